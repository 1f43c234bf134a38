"""Trains the XGBoost models of this folder and writes XGBoost's predictions.

Each case belongs to one version of XGBoost. A run makes the cases of the installed
version, so each version needs its own environment and run:

    pip install xgboost==3.2.0 numpy && python make_xgboost.py

The versions are 0.90, 1.0.2, 1.5.2, 1.6.2, 1.7.6, 3.2.0 and 3.4.1. Versions before 1.3
add the base score last, unlike later ones. So runs with 0.90 and 1.0.2 write no
want.csv; a later run with 1.7.6 loads their models and writes it.

Each case is a folder xgboost-CASE:

    model.json, model.ubj, model.bin   one model, in the formats that the version writes
    rows.csv      inputs x0, x1, ...; an empty field is missing
    want.csv      margin and y, or margin0, margin1, ...; with early stopping also
                  best_margin and best_y, of the rounds up to the best one
    origin.json   library, version, seed, parameters

Predictions are float32, written with the digits of the equal float64. The rows are
training rows in which some values are replaced: by thresholds and their neighbours in
float32 and float64, by numbers close to zero, and in categorical columns by negative,
fractional and large numbers.
"""

import csv
import json
import os
import sys

import numpy as np
import xgboost as xgb

HERE = os.path.dirname(os.path.abspath(__file__))
VERSION = xgb.__version__
RELEASE = tuple(int(x) for x in VERSION.split(".")[:2])
N, COLUMNS, ROWS = 300, 4, 24

ALL = ("json", "ubj", "bin")  # those that the version can write
SQUARED = {"objective": "reg:squarederror", "max_depth": 3}
CLASSES = {"objective": "multi:softprob", "num_class": 3, "max_depth": 2}

# Name, version, parameters and kind of target, and further arguments of make.
CASES = [
    ("regression", "3.2.0", SQUARED, "real", {"missing": 0.15, "formats": ALL}),
    ("names", "3.2.0", SQUARED, "real", {"names": ["price", "items", 'the "n" of\nregulars', "größe"]}),
    ("logistic", "3.2.0", {"objective": "binary:logistic", "max_depth": 3, "base_score": 0.1}, "binary", {}),
    ("hinge", "3.2.0", {"objective": "binary:hinge", "max_depth": 2}, "binary", {}),
    ("poisson", "3.2.0", {"objective": "count:poisson", "max_depth": 3}, "count", {"missing": 0.1, "formats": ("ubj",)}),
    ("aft", "3.2.0", {"objective": "survival:aft", "max_depth": 2, "base_score": 2.5}, "survival", {}),
    ("softprob", "3.2.0", CLASSES, "class", {"rounds": 2, "missing": 0.1, "formats": ALL}),
    ("softmax", "3.2.0", dict(CLASSES, objective="multi:softmax"), "class", {"rounds": 2, "formats": ("ubj",)}),
    ("quantiles", "3.2.0", {"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9], "max_depth": 2}, "real", {"rounds": 2}),
    ("targets", "3.2.0", {"objective": "reg:squarederror", "max_depth": 2}, "targets", {"rounds": 2}),
    ("vector-leaf", "3.2.0", {"objective": "reg:squarederror", "max_depth": 2, "tree_method": "hist", "multi_strategy": "multi_output_tree"}, "targets", {"rounds": 2}),
    ("dart", "3.2.0", {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5, "max_depth": 2}, "real", {"rounds": 5, "formats": ALL}),
    ("parallel", "3.2.0", dict(CLASSES, num_parallel_tree=2, subsample=0.6), "class", {"rounds": 2}),
    ("pruned", "3.2.0", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 40.0, "max_depth": 4}, "real", {}),
    ("lossguide", "3.2.0", {"objective": "reg:squarederror", "grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0}, "real", {"missing": 0.1}),
    ("root-only", "3.2.0", {"objective": "reg:squarederror", "gamma": 1e9}, "real", {}),
    ("tweedie", "3.2.0", {"objective": "reg:tweedie", "max_depth": 2}, "count", {"rounds": 2}),
    ("early-stopping", "3.2.0", {"objective": "reg:squarederror", "eta": 0.3, "max_depth": 2}, "real", {"rounds": 9, "stop": 2}),
    ("one-hot", "3.2.0", dict(SQUARED, max_cat_to_onehot=100), "category", {"categorical": [1], "missing": 0.1}),
    ("categories", "3.2.0", dict(SQUARED, max_cat_to_onehot=1), "category", {"categorical": [1, 2], "missing": 0.1, "formats": ALL}),
    ("far-categories", "3.2.0", dict(SQUARED, max_cat_to_onehot=10**7, max_depth=2), "far", {"categorical": [1]}),
    ("linear", "3.2.0", {"objective": "reg:squarederror", "booster": "gblinear"}, "real", {"missing": 0.1, "formats": ALL}),
    ("linear-softprob", "3.2.0", {"objective": "multi:softprob", "num_class": 3, "booster": "gblinear"}, "class", {"missing": 0.1}),
    ("dart-3.4", "3.4.1", {"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5, "max_depth": 2}, "real", {"rounds": 5, "formats": ALL}),
    ("present", "3.4.1", {"objective": "reg:squarederror", "max_depth": 3, "monotone_constraints": "(-1,1,0,0)"}, "present", {"missing": 0.4}),
    ("expectile", "3.4.1", {"objective": "reg:expectileerror", "expectile_alpha": 0.7, "max_depth": 2}, "real", {}),
    ("regression-1.7", "1.7.6", SQUARED, "real", {"missing": 0.15, "formats": ALL}),
    ("categories-1.7", "1.7.6", dict(SQUARED, tree_method="hist", max_cat_to_onehot=1), "category", {"categorical": [1, 2], "missing": 0.1, "formats": ALL}),
    ("softprob-1.7", "1.7.6", CLASSES, "class", {"rounds": 2, "formats": ("bin",)}),
    ("dart-1.7", "1.7.6", {"objective": "binary:logistic", "booster": "dart", "rate_drop": 0.5, "max_depth": 2}, "binary", {"rounds": 5, "formats": ("bin",)}),
    ("linear-1.7", "1.7.6", {"objective": "count:poisson", "booster": "gblinear", "eta": 0.05}, "count", {"formats": ALL}),
    ("early-stopping-1.7", "1.7.6", {"objective": "reg:squarederror", "eta": 0.3, "max_depth": 2}, "real", {"rounds": 9, "stop": 2, "formats": ("bin",)}),
    ("logistic-1.5", "1.5.2", {"objective": "binary:logistic", "max_depth": 3}, "binary", {"missing": 0.1, "formats": ALL}),
    ("regression-1.0", "1.0.2", SQUARED, "real", {"missing": 0.15, "formats": ALL}),
    ("poisson-0.90", "0.90", {"objective": "count:poisson", "max_depth": 3, "base_score": 0.4}, "count", {"missing": 0.1, "formats": ALL}),
    ("pruned-0.90", "0.90", {"objective": "reg:squarederror", "tree_method": "exact", "gamma": 40.0, "max_depth": 4}, "real", {"formats": ALL}),
    ("quantiles-3.4", "3.4.1", {"objective": "reg:quantileerror", "quantile_alpha": [0.45, 0.5, 0.55], "max_depth": 2}, "real", {"rounds": 2}),
    ("categories-1.6", "1.6.2", dict(SQUARED, tree_method="hist", max_cat_to_onehot=1), "category", {"categorical": [1, 2], "missing": 0.1}),
]


def data(target, seed, missing, categorical):
    r = np.random.RandomState(seed)
    x = np.round(r.randn(N, COLUMNS) * [1, 10, 0.1, 3], 3)
    for j in categorical:
        x[:, j] = r.randint(0, 40, N)
    y = x[:, 0] * 2 + (x[:, 1] > 3) * 3 + np.sin(x[:, 2] * 10) * 2 + r.randn(N) * 0.3
    if target in ("category", "far"):
        y = x[:, 0] + sum((np.random.RandomState(7).randn(40) * 3)[x[:, j].astype(int)] for j in categorical)
    if target == "far":
        x[:, 1] *= 5000
    y = {
        "binary": lambda: (y > 0).astype(float),
        "count": lambda: r.poisson(np.exp(np.clip(y / 3, -3, 3))),
        "class": lambda: np.digitize(y, [-1, 1]),
        "targets": lambda: np.stack([y, x[:, 3] - y], 1),
        "survival": lambda: np.exp(y / 3),
        "present": lambda: r.randn(N) * 0.01,
    }.get(target, lambda: y)()
    if missing:
        x = np.where(r.rand(N, COLUMNS) < missing, np.nan, x)
    if target == "present":
        y = y + np.isnan(x[:, 0]) * 3 - np.isnan(x[:, 1]) * 2
    return x, y


def matrix(x, y=None, categorical=(), names=None):
    kw = {}
    if len(categorical):
        kw = {"enable_categorical": True, "feature_types": ["c" if j in categorical else "q" for j in range(COLUMNS)]}
    return xgb.DMatrix(x, y, feature_names=names, **kw)


def thresholds(booster):
    found, names = {}, booster.feature_names
    booster.feature_names = None  # f0, f1, ...
    for line in "".join(booster.get_dump()).split("\n"):
        if "<" in line and ":{" not in line:
            name, t = line[line.index("[") + 1 : line.rindex("]")].rsplit("<", 1)
            found.setdefault(int(name[1:]), []).append(np.float32(t))
    booster.feature_names = names
    return found


def make_rows(booster, x, seed, categorical, linear):
    r = np.random.RandomState(seed + 1000)
    rows = x[r.randint(0, N, ROWS)].copy()
    found = {} if linear else thresholds(booster)
    tiny = [0.0, -0.0, 1.0000000180025095e-35, 1e-45, -1e-300, 3e38, -3e38, np.nan]
    categories = [-1, -0.5, -1e-50, 0.9, 9.999999999, 31, 32, 39.5, 63, 64, 255, 195000, 195000.5, 2**24 - 1, 2**24, 2**31, 1e20, np.nan]
    for i in range(ROWS):
        for j in range(COLUMNS):
            dice = r.randint(0, 6)
            if j in categorical:
                if dice < 4:
                    rows[i, j] = categories[r.randint(0, len(categories))]
            elif dice < 4 and j in found:
                t = found[j][r.randint(0, len(found[j]))]
                t64, below, above = float(t), float(np.nextafter(t, np.float32(-9e37))), float(np.nextafter(t, np.float32(9e37)))
                choice = [t64, np.nextafter(t64, -9e99), np.nextafter(t64, 9e99), below, above, (t64 + below) / 2, (t64 + above) / 2]
                rows[i, j] = choice[r.randint(0, len(choice))]
            elif dice == 4:
                rows[i, j] = tiny[r.randint(0, len(tiny))]
    rows[~(np.abs(rows) <= 3.4e38)] = np.nan  # -inf is a threshold of the case "present", but XGBoost rejects it as input
    return rows


def write_csv(path, columns):
    names, values = [], []
    for name, v in columns:
        v = np.asarray(v, dtype=np.float64).reshape(-1, int(np.prod(np.shape(v)[1:]) or 1))
        names += [name] if v.shape[1] == 1 and name != "x" else ["%s%d" % (name, k) for k in range(v.shape[1])]
        values.append(v)
    with open(path, "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow(names)
        for row in np.concatenate(values, 1):
            w.writerow("" if np.isnan(v) else repr(float(v)) for v in row)


def read_rows(path):
    with open(path) as f:
        return np.array([[float(v or "nan") for v in row] for row in list(csv.reader(f))[1:]])


def write_want(path, names, categorical, best=None):
    model = next(p for p in (os.path.join(path, "model." + e) for e in ("json", "ubj", "bin")) if os.path.exists(p))
    booster = xgb.Booster(model_file=model)
    d = matrix(read_rows(os.path.join(path, "rows.csv")), None, categorical, names)
    columns = [("margin", booster.predict(d, output_margin=True)), ("y", booster.predict(d))]
    if best is not None:
        kw = {"iteration_range": (0, best + 1)}
        columns += [("best_margin", booster.predict(d, output_margin=True, **kw)), ("best_y", booster.predict(d, **kw))]
    write_csv(os.path.join(path, "want.csv"), columns)


def make(seed, name, params, target, rounds=3, missing=0.0, categorical=(), names=None, stop=0, formats=("json",)):
    path = os.path.join(HERE, "xgboost-" + name)
    if not os.path.isdir(path):
        os.makedirs(path)
    x, y = data(target, seed, missing, categorical)
    d = matrix(x, y, categorical, names)
    if target == "survival":
        d.set_float_info("label_lower_bound", y)
        d.set_float_info("label_upper_bound", y)
    kw = {}
    if stop:
        # With halved validation targets, the best round is about halfway.
        valid = data(target, seed + 1, missing, categorical)
        kw = {"evals": [(matrix(valid[0], valid[1] / 2), "v")], "early_stopping_rounds": stop}
    p = dict(params, nthread=1, seed=seed)
    booster = xgb.train(p, d, rounds, verbose_eval=False, **kw)
    if RELEASE >= (1, 0) and "json" in formats:
        booster.save_model(os.path.join(path, "model.json"))
    if RELEASE >= (1, 6) and "ubj" in formats:
        booster.save_model(os.path.join(path, "model.ubj"))
    if RELEASE < (2, 0) and "bin" in formats and not len(categorical):
        booster.save_model(os.path.join(path, "model.bin"))
    write_csv(os.path.join(path, "rows.csv"), [("x", make_rows(booster, x, seed, categorical, params.get("booster") == "gblinear"))])
    with open(os.path.join(path, "origin.json"), "w") as f:
        origin = {"library": "xgboost", "version": VERSION, "seed": seed, "rounds": rounds, "params": params}
        f.write(json.dumps(origin, indent=1, sort_keys=True) + "\n")
    if RELEASE >= (1, 3):
        write_want(path, names, categorical, booster.best_iteration if stop else None)


for i, (case, version, parameters, kind, arguments) in enumerate(CASES):
    if version == VERSION:
        make(i, case, parameters, kind, **arguments)
    elif version in ("0.90", "1.0.2") and VERSION == "1.7.6":
        write_want(os.path.join(HERE, "xgboost-" + case), None, ())
print(VERSION, sys.version.split()[0], "done")
