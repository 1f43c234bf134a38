#!/usr/bin/env python3
"""Trains the scikit-learn models of this folder and writes scikit-learn's predictions.

    pip install scikit-learn==1.9.1 joblib==1.6.0 pandas lz4
    python make_sklearn.py [folder]          the committed cases
    python make_sklearn.py folder all        all cases
    python make_sklearn.py folder name ...   the named cases

Other releases of scikit-learn make the cases whose folders end with the release. The
committed ones are from 1.2.2 (with joblib 1.1.1), 1.3.2 and 1.6.1. Each case is a
folder sklearn-CASE:

    model.joblib or model.pkl
    rows.csv      inputs x0, x1, ...; an empty field is NaN
    want.csv      y, each row predicted by its own call; nan if predict fails
    origin.json   library, version, seed, parameters
"""
import json
import math
import os
import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import sklearn
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (ExtraTreesRegressor, GradientBoostingRegressor, HistGradientBoostingRegressor,
                              RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

warnings.simplefilter("ignore")
SEED = 20240229
VERSION = tuple(int(v) for v in sklearn.__version__.split(".")[:2])
NAN = float("nan")
NAMES = ["value", "items", "regulars", "known share"]


def data(missing=0.0, categories=0):
    """Returns 300 rows like the feature rows of baskets, and their targets."""
    rng = np.random.default_rng(SEED)
    X = np.column_stack([
        np.round(rng.gamma(3, 20, 300), 2), rng.integers(1, 12, 300), rng.integers(0, 5, 300), rng.random(300),
    ]).astype(float)
    y = 5 + 0.6 * X[:, 0] + 2.5 * X[:, 1] * (X[:, 2] > 2) + np.round(rng.normal(0, 4, 300), 2)
    if categories:
        X[:, 2] = rng.integers(0, categories, 300)
        y += 9 * ((X[:, 2] * 7919) % 5)
    y = np.maximum(y, 0.5)
    if missing:
        y += 6 * (rng.random(300) < 0.5)
        mask = rng.random(X.shape) < missing
        mask[:, 3] = False
        y += 10 * mask[:, 0]
        X[mask] = NAN
    return X, y


def thresholds(model):
    """Returns some pairs (feature, threshold) of the model's trees."""
    found = []
    for e in list(np.ravel(model.estimators_)) if hasattr(model, "estimators_") else [model]:
        t = getattr(e, "tree_", None)
        if t is not None:
            found += [(f, v) for f, v in zip(t.feature, t.threshold) if f >= 0]
    for (p,) in getattr(model, "_predictors", []):
        found += [(int(n["feature_idx"]), float(n["num_threshold"])) for n in p.nodes if not n["is_leaf"] and not n["is_categorical"]]
    return found[:: max(1, len(found) // 6)]


def make_rows(model, X, extra):
    rng = np.random.default_rng(SEED + 1)
    out = [list(r) for r in X[rng.integers(0, len(X), 12)]]
    for _ in range(6):
        out.append([X[rng.integers(0, len(X)), j] for j in range(X.shape[1])])
    for f, t in thresholds(model):
        if f >= X.shape[1]:
            continue
        for v in (t, np.nextafter(t, math.inf), float(np.nextafter(np.float32(t), np.float32(math.inf)))):
            r = list(X[rng.integers(0, len(X))])
            r[f] = float(v)
            out.append(r)
    for j in range(X.shape[1]):
        for v in (NAN, math.inf, -math.inf, 1e300, 3.4028235677973362e38, 3.4028235677973366e38, -1.5, 0.0, -0.0, 1e-310):
            if rng.random() < 0.5 or v != v:
                r = [0.0 if math.isnan(c) else c for c in X[rng.integers(0, len(X))]]
                r[j] = v
                out.append(r)
    out.append([NAN] * X.shape[1])
    return out + extra


CASES = {}


def case(name, since=(0, 0), **save):
    """Registers a function that returns (model, training rows, extra rows) as a case."""
    def register(make):
        if VERSION >= since:
            CASES[name] = (make, save)
        return make
    return register


def simple(name, estimator, missing=0.0, categories=0, frame=False, since=(0, 0), extra=(), **save):
    """Registers a case that fits an estimator to data()."""
    @case(name, since, **save)
    def make():
        X, y = data(missing, categories)
        estimator.fit(pd.DataFrame(X, columns=NAMES) if frame else X, y)
        return estimator, X, list(extra)


GB = dict(n_estimators=4, max_depth=3, random_state=SEED)
RF = dict(n_estimators=4, max_depth=4, random_state=SEED)
HIST = dict(max_iter=4, max_leaf_nodes=6, min_samples_leaf=5, random_state=SEED, early_stopping=False)
# Rows with edge cases of a category in column 2.
CATEGORY_ROWS = [[50.0, 3.0, c, 0.5] for c in (-1.0, -0.5, 0.5, 2.5, 17.0, 39.0, 40.0, 41.0, 255.0, 256.0, 258.0, 300.5, 2147483647.0,
                                               2147483648.0, 4294967298.0, 1e12, NAN)]

simple("tree", DecisionTreeRegressor(max_depth=5))
simple("tree-missing", DecisionTreeRegressor(max_depth=6, min_samples_leaf=2), missing=0.3, since=(1, 3))
simple("tree-absolute", DecisionTreeRegressor(max_depth=4, criterion="absolute_error"))
simple("tree-leaf", DecisionTreeRegressor(min_samples_leaf=1000, max_leaf_nodes=2))
if VERSION >= (1, 4):
    simple("tree-monotonic", DecisionTreeRegressor(max_depth=4, monotonic_cst=[1, 0, 0, -1]))
simple("tree-numpy-params", DecisionTreeRegressor(max_depth=np.int64(3), min_impurity_decrease=np.float64(0.1)))
simple("extratree", ExtraTreeRegressor(max_depth=5, random_state=SEED))
simple("rf", RandomForestRegressor(**RF))
simple("rf-jobs-oob", RandomForestRegressor(n_estimators=5, max_depth=4, n_jobs=1, oob_score=True, random_state=np.random.RandomState(5)))
simple("rf-missing", RandomForestRegressor(**RF), missing=0.2, since=(1, 4))
simple("rf-poisson", RandomForestRegressor(criterion="poisson", max_features=0.5, min_samples_split=6, max_samples=0.7, **RF))
simple("rf-frame", RandomForestRegressor(**RF), frame=True)
simple("extratrees", ExtraTreesRegressor(bootstrap=True, **RF))
simple("gb", GradientBoostingRegressor(**GB))
simple("gb-zero", GradientBoostingRegressor(init="zero", subsample=0.6, **GB))
simple("gb-huber", GradientBoostingRegressor(loss="huber", max_features=2, **GB))
simple("gb-quantile", GradientBoostingRegressor(loss="quantile", alpha=0.8, **GB))
simple("gb-absolute", GradientBoostingRegressor(loss="absolute_error", n_iter_no_change=3, **GB))
simple("gb-unseeded", GradientBoostingRegressor(n_estimators=4, max_depth=2, subsample=0.5))
simple("hist", HistGradientBoostingRegressor(**HIST))
simple("hist-missing", HistGradientBoostingRegressor(**HIST), missing=0.2)
simple("hist-poisson", HistGradientBoostingRegressor(loss="poisson", **HIST))
simple("hist-gamma", HistGradientBoostingRegressor(loss="gamma", **HIST), since=(1, 3))
simple("hist-quantile", HistGradientBoostingRegressor(loss="quantile", quantile=0.9, **HIST))
simple("hist-absolute", HistGradientBoostingRegressor(loss="absolute_error", **HIST))
simple("hist-monotonic", HistGradientBoostingRegressor(monotonic_cst=[1, 0, 0, -1], interaction_cst=[{0, 1}, {2, 3}], **HIST))
simple("hist-categorical", HistGradientBoostingRegressor(categorical_features=[2], **HIST), categories=40, extra=CATEGORY_ROWS)
simple("hist-categorical-missing", HistGradientBoostingRegressor(categorical_features=[False, False, True, False], **HIST),
       missing=0.1, categories=40, extra=CATEGORY_ROWS)
simple("hist-categorical-name", HistGradientBoostingRegressor(categorical_features=["regulars"], **HIST), categories=12, frame=True,
       extra=CATEGORY_ROWS)
simple("hist-stopped", HistGradientBoostingRegressor(max_iter=9, max_leaf_nodes=4, early_stopping=True, random_state=SEED))


@case("hist-infinite-threshold")
def _():
    X, y = data()
    X[np.arange(300) % 3 == 0, 0] = NAN
    y = np.where(np.isnan(X[:, 0]), 100.0, 1.0) + X[:, 1]
    return HistGradientBoostingRegressor(**HIST).fit(X, y), X, []


@case("tree-infinite-threshold", since=(1, 4))
def _():
    X, y = data()
    X[np.arange(300) % 3 == 0, 0] = NAN
    y = np.where(np.isnan(X[:, 0]), 100.0, 1.0) + X[:, 1]
    return DecisionTreeRegressor(max_depth=4).fit(X, y), X, []


@case("hist-sparse-categories", since=(1, 4))
def _():
    X, y = data(categories=12)
    X[:, 2] = np.array([-7.5, -1, 0, 0.25, 3, 40, 41, 255, 256, 1000, 1e6, 1e12])[X[:, 2].astype(int)]
    m = HistGradientBoostingRegressor(categorical_features=[2], **HIST).fit(X, y)
    return m, X, CATEGORY_ROWS + [[50.0, 3.0, c, 0.5] for c in (-7.5, 1e6, 1000001.0, 0.25)]


@case("hist-warm")
def _():
    X, y = data()
    m = HistGradientBoostingRegressor(warm_start=True, **HIST).fit(X, y)
    return m.set_params(max_iter=6).fit(X, y), X, []


@case("gb-warm")
def _():
    X, y = data()
    m = GradientBoostingRegressor(warm_start=True, **GB).fit(X, y)
    return m.set_params(n_estimators=6).fit(X, y), X, []


@case("rf-warm")
def _():
    X, y = data()
    m = RandomForestRegressor(warm_start=True, **RF).fit(X, y)
    return m.set_params(n_estimators=6).fit(X, y, sample_weight=y), X, []


@case("tree-weights")
def _():
    X, y = data()
    return DecisionTreeRegressor(max_depth=4, ccp_alpha=0.5).fit(X.astype(np.float32), y, sample_weight=y), X, []


simple("linear", LinearRegression())
simple("linear-positive", LinearRegression(positive=True, fit_intercept=False))
simple("ridge", Ridge(alpha=3.0))
simple("ridge-frame", Ridge(solver="svd"), frame=True)
simple("lasso", Lasso(alpha=0.5))
simple("elasticnet", ElasticNet(alpha=0.2, l1_ratio=0.3))


@case("linear-column-target")
def _():
    X, y = data()
    return LinearRegression().fit(X, y.reshape(-1, 1)), X, []


@case("linear-float32")
def _():
    X, y = data()
    return Ridge().fit(X.astype(np.float32), y.astype(np.float32)), X, []


simple("pipeline-ridge", make_pipeline(StandardScaler(), Ridge()))
simple("pipeline-minmax-rf", make_pipeline(MinMaxScaler(clip=True, feature_range=(-1, 2)), RandomForestRegressor(**RF)))
simple("pipeline-minmax-tree", make_pipeline(MinMaxScaler(), DecisionTreeRegressor(max_depth=5)))
simple("pipeline-imputer-gb", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), GradientBoostingRegressor(**GB)),
       missing=0.2)
simple("pipeline-nested", Pipeline([("a", Pipeline([("i", SimpleImputer(strategy="median")), ("none", None)])), ("b", "passthrough"),
                                    ("c", Pipeline([("s", StandardScaler(with_mean=False)), ("r", Ridge())]))]), missing=0.1)
simple("pipeline-scale-only", make_pipeline(StandardScaler(with_std=False), StandardScaler(with_mean=False),
                                            DecisionTreeRegressor(max_depth=4)))
simple("pipeline-constant", make_pipeline(SimpleImputer(strategy="constant", fill_value=-5), HistGradientBoostingRegressor(**HIST)),
       missing=0.2)
simple("pipeline-zero-missing", make_pipeline(SimpleImputer(missing_values=0, strategy="most_frequent", add_indicator=True),
                                              RandomForestRegressor(**RF)))
simple("pipeline-log", make_pipeline(FunctionTransformer(np.log1p), Ridge()))
simple("pipeline-sqrt-hist", make_pipeline(FunctionTransformer(np.sqrt, validate=True), HistGradientBoostingRegressor(**HIST)))


def empty_column(keep):
    def make():
        X, y = data(0.1)
        X[:, 1] = NAN
        m = make_pipeline(SimpleImputer(add_indicator=True, keep_empty_features=keep), GradientBoostingRegressor(**GB)).fit(X, y)
        return m, X, [[40.0, 3.0, 1.0, 0.5]]
    return make


case("pipeline-empty-column")(empty_column(False))
case("pipeline-empty-column-kept")(empty_column(True))

simple("columns-int", make_pipeline(ColumnTransformer([("s", StandardScaler(), [1, 0]), ("m", MinMaxScaler(), [2])],
                                                      remainder="passthrough", transformer_weights={"s": 0.3}), Ridge()))
simple("columns-slice", make_pipeline(ColumnTransformer([("s", StandardScaler(), slice(1, 3)), ("p", "passthrough", [0, 0]),
                                                         ("d", "drop", [3])]), GradientBoostingRegressor(**GB)))
simple("columns-bool", make_pipeline(ColumnTransformer([("s", make_pipeline(SimpleImputer(), StandardScaler()), np.array([True, False, False, True])),
                                                        ("e", StandardScaler(), [])], remainder=SimpleImputer()),
                                     RandomForestRegressor(**RF)), missing=0.2)
simple("columns-name", make_pipeline(ColumnTransformer([("s", StandardScaler(), ["items", "value"]), ("l", FunctionTransformer(np.log1p), ["regulars"])],
                                                       remainder="drop"), Lasso(alpha=0.1)), frame=True)
simple("columns-name-slice", make_pipeline(ColumnTransformer([("s", StandardScaler(), slice("items", "known share"))], remainder="passthrough"),
                                           DecisionTreeRegressor(max_depth=4)), frame=True)
simple("columns-pandas", Pipeline([("c", ColumnTransformer([("s", StandardScaler(), ["items"])], remainder="passthrough",
                                                           verbose_feature_names_out=False).set_output(transform="pandas")),
                                   ("d", ColumnTransformer([("m", MinMaxScaler(), ["value", "items"])], remainder="passthrough")),
                                   ("g", GradientBoostingRegressor(**GB))]), frame=True)

simple("target-log1p", TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1))
simple("target-log-rf", TransformedTargetRegressor(RandomForestRegressor(**RF), func=np.log, inverse_func=np.exp))
simple("target-sqrt-gb", TransformedTargetRegressor(GradientBoostingRegressor(**GB), func=np.sqrt, inverse_func=np.square))
simple("target-scaler", TransformedTargetRegressor(make_pipeline(StandardScaler(), DecisionTreeRegressor(max_depth=4)), transformer=StandardScaler()))
simple("target-minmax", TransformedTargetRegressor(DecisionTreeRegressor(max_depth=4), transformer=MinMaxScaler()))
simple("target-default", TransformedTargetRegressor())
simple("target-pipeline", make_pipeline(StandardScaler(), TransformedTargetRegressor(
    HistGradientBoostingRegressor(**HIST), transformer=make_pipeline(FunctionTransformer(np.log1p, np.expm1), StandardScaler()))))

for _compress in ("zlib", "gzip", "bz2", "xz", "lzma") + (("lz4",) if VERSION >= (1, 9) else ()):
    simple("compress-" + _compress, DecisionTreeRegressor(max_depth=5), compress=(_compress, 3))
for _protocol in (2, 3, 4, 5):
    simple(f"pickle-{_protocol}-tree", DecisionTreeRegressor(max_depth=5), protocol=_protocol)
    simple(f"pickle-{_protocol}-gb", GradientBoostingRegressor(**GB), protocol=_protocol)
    simple(f"pickle-{_protocol}-hist", HistGradientBoostingRegressor(categorical_features=[2], **HIST), categories=40, protocol=_protocol)
    simple(f"pickle-{_protocol}-pipeline", make_pipeline(SimpleImputer(), StandardScaler(), RandomForestRegressor(**RF)), missing=0.2,
           frame=True, protocol=_protocol)
simple("joblib-protocol-2", RandomForestRegressor(**RF), joblib_protocol=2)


# The committed cases, by release.
COMMITTED = {
    (1, 2): "tree",
    (1, 3): "tree-missing gb-zero hist-categorical columns-int",
    (1, 6): "hist-gamma columns-int",
    (1, 9): """tree-missing tree-infinite-threshold extratrees rf-missing rf-frame gb-huber
        hist-missing hist-poisson hist-monotonic hist-categorical-missing hist-sparse-categories
        linear-column-target elasticnet pipeline-nested pipeline-imputer-gb pipeline-log columns-int columns-bool columns-name
        target-log1p target-minmax target-pipeline
        compress-zlib compress-gzip compress-bz2 compress-xz compress-lzma compress-lz4
        pickle-2-gb pickle-3-tree pickle-5-pipeline""",
}


def number(v):
    return "" if math.isnan(v) else repr(float(v))


def write_case(folder, name, make, save):
    np.random.seed(SEED)
    model, X, extra = make()
    folder = os.path.join(folder, name)
    os.makedirs(folder, exist_ok=True)
    if "protocol" in save:
        with open(os.path.join(folder, "model.pkl"), "wb") as f:
            pickle.dump(model, f, protocol=save["protocol"])
    else:
        joblib.dump(model, os.path.join(folder, "model.joblib"), compress=save.get("compress", 0), protocol=save.get("joblib_protocol"))
    table = make_rows(model, X, extra)
    want = []
    named = hasattr(model, "feature_names_in_")
    for r in table:
        x = np.array([r])
        try:
            y = model.predict(pd.DataFrame(x, columns=NAMES) if named else x)
            want.append(float(np.ravel(y)[0]))
        except ValueError:
            want.append(NAN)
    with open(os.path.join(folder, "rows.csv"), "w") as f:
        f.write(",".join(f"x{j}" for j in range(X.shape[1])) + "\n")
        f.writelines(",".join(number(v) for v in r) + "\n" for r in table)
    with open(os.path.join(folder, "want.csv"), "w") as f:
        f.write("y\n")
        f.writelines((number(v) or "nan") + "\n" for v in want)
    with open(os.path.join(folder, "origin.json"), "w") as f:
        json.dump({"library": "scikit-learn", "version": sklearn.__version__, "numpy": np.__version__, "joblib": joblib.__version__,
                   "seed": SEED, "params": " ".join(repr(model).split()), "saved": {k: str(v) for k, v in save.items()}}, f, indent=1)
        f.write("\n")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    suffix = "" if VERSION >= (1, 9) else "-%d.%d" % VERSION
    selected = sys.argv[2:] or COMMITTED[VERSION].split()
    for name, (make, save) in CASES.items():
        if selected == ["all"] or name in selected:
            write_case(folder, "sklearn-" + name + suffix, make, save)


if __name__ == "__main__":
    main()
