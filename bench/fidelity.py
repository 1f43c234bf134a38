#!/usr/bin/env python3
"""Trains random models and compares basket's predictions with the library's, bit by bit.

    python3 -m venv VENV && VENV/bin/pip install -r bench/fidelity-requirements.txt
    VENV/bin/python bench/fidelity.py --minutes 1

Data, objective, parameters and file format of each model are drawn from the
seed of the run and the index of the model. The library loads the file and
predicts training rows, rows with values at the model's thresholds and next to
them, and rows with odd values: zeros, infinities, NaN, subnormal and huge
numbers, categories that training did not have. `basket score` predicts the same
rows; predictions and margins must have the same bits. To repeat one model and
keep its files:

    VENV/bin/python bench/fidelity.py --seed SEED --index INDEX

The exit status is 1 if a row differs, if basket crashes or runs for more than a
minute, or if it refuses a model that is not one of REFUSALS. The command is
built from this tree, which needs Go, unless --basket names one. Models run in a
child process, because some parameters crash their library.

Not compared to the bit, because the library itself does not define the last
bits:

  - linear models of scikit-learn, because BLAS adds in an order that depends on
    the processor and on the number of rows, and numpy's exp and log, which
    depend on the processor; see Uncertain for what is demanded instead;
  - numbers beyond float32 in XGBoost's boosters dart and gblinear: DMatrix
    refuses such rows, and inplace_predict sums dart in another order and does
    not support gblinear. Rows for these boosters have none.
"""
import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_threads] = "1"  # sums have one order

import argparse
import collections
import concurrent.futures
import contextlib
import csv
import dataclasses
import json
import math
import multiprocessing
import operator
import pathlib
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import sklearn
import sklearn.linear_model
import xgboost
from sklearn import compose, dummy, ensemble, impute, neighbors, pipeline, preprocessing, tree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASKET_TIMEOUT, LIBRARY_TIMEOUT = 60, 600  # seconds for a call of basket, and for a model

# The models that basket does not read, and the reason that it must give: see
# README.md, "Limits".
REFUSALS = {
    "vector leaves": r"multi_strategy=multi_output_tree",
    "classifier": r"Classifier|gradient_boosting\.Hist",  # basket may shorten the name
    "several outputs": r"models of several outputs",
    "off the list": r"KNeighborsRegressor|PolynomialFeatures|RobustScaler|numpy\.negative|StackingRegressor|BaggingRegressor",
    "estimator as init": r"\binit_ is ",
}

NAN, INF = math.nan, math.inf
ZERO = float(np.float32(1e-35))  # LightGBM takes anything up to this for zero
MAX32 = float(np.finfo(np.float32).max)
ROUNDS_TO_MAX32 = np.nextafter(MAX32 + 2.0**103, 0)
ODD = [
    0.0, -0.0, NAN, INF, -INF, 1, -1, 5e-324, -5e-324, 1e-310, 1e-45, -1e-45, 7e-46, 1.2e-38, ZERO, -ZERO, np.nextafter(ZERO, 1),
    np.nextafter(-ZERO, -1), np.nextafter(ZERO, 0), 2e-35, 1e-20, 1e20, 1e300, -1e300, MAX32, -MAX32, ROUNDS_TO_MAX32,
    np.nextafter(ROUNDS_TO_MAX32, INF), sys.float_info.max, 2.0**24 + 1, 2.0**31, 2.0**53 + 2, -(2.0**63), 0.1, 1 / 3,
]
ODD_CODES = [
    NAN, INF, -INF, -1, -0.5, -0.0, -1e-50, 0.9, 1.5, 9.999999999, 31, 32, 33, 63, 64, 127, 128, 255, 256, 257, 511, 1e4, 65535, 65536,
    2.0**24 - 1, 2.0**24 - 0.5, 2.0**24, 2.0**31 - 1, 2.0**31 - 0.5, 2.0**31, 2.0**31 + 1, -(2.0**31), 2.0**32, 2.0**32 + 1, 1e12, 1e19, 1e300, -1e300,
]
NAMES = [
    "price", "größe", "価格", "a=b", "x y", "it's", "p(1)", "x1", "f0", "Column_1", "0", "-1", "nan", "a\\b", "😀", "#", "Tree=0", "a" * 300,
    'say "n"', "a,b", "{}", "tab\there", "line\nbreak", "<1", "[0]", "a:b", " lead", "trail ", "",
]


class Draw:
    """Random choices."""

    def __init__(self, seed, index):
        self.rng = np.random.default_rng([seed, index])

    def chance(self, p):
        return bool(self.rng.random() < p)

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def real(self, low, high):
        return float(self.rng.uniform(low, high))

    def log(self, low, high):
        return float(np.exp(self.rng.uniform(math.log(low), math.log(high))))

    def some(self, **options):
        """About a third of the options; a function draws its value."""
        return {k: v() if callable(v) else v for k, v in options.items() if self.chance(0.35)}


class Untrained(Exception):
    """The library refuses to train the model."""


@dataclasses.dataclass
class Data:
    x: np.ndarray
    signal: np.ndarray  # what targets depend on: about normal
    codes: list  # the categorical columns
    names: list | None
    weight: np.ndarray | None

    def plain_codes(self):
        """Whether there are categorical columns, of whole numbers from 0 on that are not large."""
        codes = self.x[:, self.codes]
        codes = codes[~np.isnan(codes)]
        return bool(self.codes) and bool(np.all((codes >= 0) & (codes < 2000) & (codes == np.floor(codes))))


@dataclasses.dataclass
class Check:
    """What the library answers for the rows, with these flags of basket score."""

    what: str
    flags: list
    want: np.ndarray  # a row for each row
    unit: np.ndarray | None = None  # of each row: the last place that is uncertain; 0 if bits must be equal; NaN if nothing is demanded
    exact: np.ndarray | None = None  # the answer without the rounding of a linear model's sum


@dataclasses.dataclass
class Case:
    library: str
    kind: str
    params: dict
    path: pathlib.Path
    names: list | None  # of the features, if the file has them
    rows: np.ndarray
    checks: list
    refusal: str | None = None  # the key in REFUSALS, if the model is one of those


# Data and rows


def column(draw, n, limit):
    """A column of numbers no larger than limit."""
    rng = draw.rng
    kind = draw.pick("normal", "normal", "price", "count", "ties", "sparse", "heavy", "tiny", "huge", "adjacent", "constant")
    match kind:
        case "normal":
            x = rng.normal(draw.real(-3, 3), 1, n) * draw.log(1e-2, 1e3)
        case "price":
            x = np.round(rng.gamma(2, 30, n), 2)
        case "count":
            x = rng.integers(-3, draw.integer(1, 60), n)
        case "ties":
            x = rng.choice(rng.normal(size=draw.integer(2, 6)), n)
        case "sparse":
            x = rng.normal(size=n) * (rng.random(n) < 0.2)
        case "heavy":
            x = np.exp(3 * rng.normal(size=n))
        case "tiny":
            x = rng.normal(size=n) * draw.pick(1e-10, 1e-35, 1e-38, 1e-44)
        case "huge":
            x = rng.normal(size=n) * draw.pick(1e10, limit / 100)
        case "adjacent":  # floats that follow one another
            step = draw.pick(2.0**-23, 2.0**-24, 2.0**-52)
            x = draw.pick(1.0, 4.0, -1.0) * (1 + step * rng.integers(0, 12, n))
        case "constant":
            x = np.full(n, draw.pick(0.0, 1.5, -7.0))
    return np.clip(np.asarray(x, dtype=float), -limit, limit)


def make_data(draw, limit=1e37, missing=True, infinite=False, codes=True, far=0, positive=False, most=5000):
    """Columns of many kinds, and a signal that depends on some of them. Categories are sometimes multiples of far."""
    n = min(draw.integer(800, 5000) if draw.chance(0.1) else int(draw.log(20, 800)), most)
    width = draw.pick(1, 2, 3, 4, 5, draw.integer(4, 12), draw.integer(4, 12), draw.integer(10, 40))
    if draw.chance(0.02):
        width = draw.integer(100, 400)
    x = np.column_stack([column(draw, n, limit) for _ in range(width)])
    if positive:
        x = np.abs(x)
    categorical = []
    if codes and draw.chance(0.35):
        categorical = sorted(draw.rng.choice(width, min(width, draw.integer(1, 3)), replace=False).tolist())
        for j in categorical:
            x[:, j] = draw.rng.integers(0, draw.pick(2, 4, 10, 40, 100, 250), n)
    signal = make_signal(draw, x, categorical) * draw.pick(*[1] * 40, 0)
    if far and draw.chance(0.1):
        x[:, categorical] = far * x[:, categorical] + draw.pick(0, 7)
    if infinite:
        x[(draw.rng.random(x.shape) < 0.02) & ~np.isin(np.arange(width), categorical)] = draw.pick(INF, -INF)
    if missing and draw.chance(0.6):
        rates = draw.rng.random(width) * draw.pick(0.02, 0.3, 0.9) * (draw.rng.random(width) < 0.7)
        gone = draw.rng.random(x.shape) < rates
        signal = signal + draw.real(-1, 1) * gone[:, 0]
        x[gone] = NAN
    weight = draw.rng.gamma(2, 1, n) + 1e-3 if draw.chance(0.25) else None
    return Data(x, signal, categorical, None, weight)


def make_signal(draw, x, codes):
    n, width = x.shape
    ranks = np.argsort(np.argsort(x, axis=0, kind="stable"), axis=0) / n
    signal = draw.rng.normal(size=n) * draw.pick(0.01, 0.3, 1)
    for j in draw.rng.choice(width, min(width, 4), replace=False):
        if j in codes:
            signal += draw.rng.normal(size=300)[x[:, j].astype(int)]
        else:
            signal += draw.real(-1, 1) * draw.pick(ranks[:, j], ranks[:, j] > draw.real(0, 1), np.sin(7 * ranks[:, j]))
    return signal


def odd_names(draw, width, legal):
    """Names for the columns, some of them odd; legal reports whether the library accepts a name."""
    names = [name for name in NAMES if legal(name)]
    draw.rng.shuffle(names)
    names = names[: draw.integer(0, width)]
    names += [f"n{j}" for j in range(width - len(names))]
    draw.rng.shuffle(names)
    return names


def neighbours(values):
    """Values, their neighbours in float64 and float32, and the midpoints at which rounding to float32 changes."""
    v = np.unique(np.asarray(values, dtype=float))
    v = v[np.isfinite(v)]
    f = v.astype(np.float32)
    below, above = np.nextafter(f, np.float32(-INF)).astype(float), np.nextafter(f, np.float32(INF)).astype(float)
    f = f.astype(float)
    exact = np.concatenate([v, f, below, above, (f + below) / 2, (f + above) / 2])
    return np.concatenate([exact, np.nextafter(exact, -INF), np.nextafter(exact, INF), v, v])


def make_rows(draw, data, thresholds, strict=None):
    """Rows to predict. thresholds has a list for each feature. strict is the largest number that the library accepts, if it refuses rows."""
    x, rng = data.x, draw.rng
    n = draw.pick(1, 2, 17, 100, 200, 200, 300, 500, 1030, 3000 if x.shape[1] < 50 else 100)
    rows = x[rng.integers(0, len(x), n)]
    if draw.chance(0.5):
        rows = np.column_stack([rng.permuted(c) for c in rows.T])
    share = draw.pick(0.02, 0.1, 0.4, 1 / x.shape[1])
    for j, t in enumerate(thresholds):
        odd = np.array(ODD_CODES + ODD if j in data.codes else ODD)
        codes = rng.integers(0, 300, 20) if j in data.codes else []
        at = neighbours(rng.choice(t, min(len(t), 60), replace=False)) if len(t) else []
        pool = np.concatenate([at, at, neighbours(rng.choice(x[:, j], 5)), codes, [] if strict else odd])
        if strict:
            pool = pool[np.abs(pool) <= strict]
        change = rng.random(n) < share
        if len(pool):
            rows[change, j] = rng.choice(pool, change.sum())
    if strict:  # a few odd rows only, because each refusal costs a call of the library
        for i in rng.integers(0, n, min(n // 2, 30)):
            rows[i, rng.integers(0, x.shape[1])] = draw.pick(*ODD)
    return np.vstack([rows, np.full(x.shape[1], NAN), np.zeros(x.shape[1])])


def table(values):
    """A library's answers as a row for each row."""
    values = np.asarray(values, dtype=float)
    return values.reshape(len(values), -1)


def target(draw, kind, signal, k=2):
    """A target of the kind that an objective needs; class has k classes."""
    match kind:
        case "count":
            return draw.rng.poisson(np.exp(np.clip(signal, -3, 4))).astype(float)
        case "positive":
            return np.exp(np.clip(signal, -5, 10))
        case "censored":
            return np.exp(np.clip(signal, -5, 10)) * draw.rng.choice([-1, 1, 1], len(signal))
        case "share":
            return 1 / (1 + np.exp(-signal))
        case "class":
            return np.argsort(np.argsort(signal)) * k // len(signal)  # about as many of each
    return signal * draw.log(1e-3, 1e6) + draw.pick(0, 0, 1e3, -50)


def groups(draw, n):
    sizes = []
    while sum(sizes) < n:
        sizes.append(min(draw.integer(2, 20), n - sum(sizes)))
    return sizes


# LightGBM

# The objectives, and the kind of their target.
LIGHTGBM_OBJECTIVES = {
    "regression": "real", "regression_l1": "real", "huber": "real", "fair": "real", "quantile": "real", "mape": "real",
    "poisson": "count", "tweedie": "count", "gamma": "positive", "binary": "class", "multiclass": "class", "multiclassova": "class",
    "cross_entropy": "share", "cross_entropy_lambda": "share", "lambdarank": "class", "rank_xendcg": "class",
}


def lightgbm_case(draw, folder):
    data = make_data(draw, limit=1e300 if draw.chance(0.1) else 1e37, infinite=draw.chance(0.05), far=draw.pick(0.5, 3, 1000, -1))
    params = lightgbm_params(draw, data)
    booster = lightgbm_train(draw, params, data)
    path, how = lightgbm_save(draw, booster, folder)
    loaded = lightgbm.Booster(model_file=str(path))
    names = loaded.feature_name()
    rows = make_rows(draw, data, lightgbm_thresholds(loaded, data.x.shape[1]))
    return Case(
        library="lightgbm",
        kind=params["boosting"] + (" linear" if params.get("linear_tree") else ""),
        params=params | how | {"codes": data.codes, "shape": data.x.shape},
        path=path,
        names=None if names == [f"Column_{j}" for j in range(len(names))] else names,
        rows=rows,
        checks=[
            Check("prediction", [], table(loaded.predict(rows, num_threads=1))),
            Check("margin", ["--margin"], table(loaded.predict(rows, raw_score=True, num_threads=1))),
        ],
    )


def lightgbm_params(draw, data):
    d = draw
    p = dict(
        objective=d.pick(*LIGHTGBM_OBJECTIVES), boosting=d.pick("gbdt", "gbdt", "dart", "rf", "goss"), num_leaves=d.pick(2, 4, 8, 31),
        learning_rate=d.log(0.01, 1), min_data_in_leaf=d.pick(1, 2, 5, 20), verbose=-1, num_threads=1, deterministic=True,
        force_col_wise=True, seed=d.integer(0, 10**6),
    )
    p |= d.some(
        max_depth=lambda: d.integer(1, 8), lambda_l1=lambda: d.log(1e-3, 10), lambda_l2=lambda: d.log(1e-3, 10), extra_trees=True,
        path_smooth=lambda: d.log(0.1, 10), feature_fraction=lambda: d.real(0.3, 1), max_bin=lambda: d.pick(2, 3, 15, 63, 255, 1000),
        min_data_in_bin=1, use_missing=False, zero_as_missing=True, reg_sqrt=True, boost_from_average=False, sigmoid=lambda: d.log(0.1, 5),
        max_delta_step=lambda: d.log(0.1, 10), min_sum_hessian_in_leaf=0, alpha=lambda: d.real(0.05, 0.95), enable_bundle=False,
        max_cat_to_onehot=lambda: d.pick(1, 4, 300), cat_smooth=lambda: d.pick(0, 1, 10), cat_l2=lambda: d.pick(0, 1),
        min_data_per_group=lambda: d.pick(1, 5), max_cat_threshold=lambda: d.pick(1, 8, 64), tweedie_variance_power=lambda: d.real(1, 1.99),
        bagging_by_query=False, feature_fraction_bynode=0.6, linear_lambda=lambda: d.log(1e-3, 1), feature_pre_filter=False,
        use_quantized_grad=True,
    )
    if p["boosting"] == "rf" or p["boosting"] != "goss" and d.chance(0.3):
        p |= dict(bagging_freq=1, bagging_fraction=d.real(0.3, 0.9))
    if p["boosting"] == "dart":
        p |= dict(drop_rate=d.real(0.1, 0.9), skip_drop=d.pick(0, 0.5), xgboost_dart_mode=d.chance(0.5), uniform_drop=d.chance(0.5))
    if d.chance(0.15) and p["objective"] != "regression_l1":
        p |= dict(linear_tree=True, zero_as_missing=False)
    if d.chance(0.15) and p["objective"] not in ("regression_l1", "quantile", "mape"):
        p |= dict(monotone_constraints=[0 if j in data.codes else d.integer(-1, 1) for j in range(data.x.shape[1])])
        p |= dict(monotone_constraints_method=d.pick("basic", "intermediate", "advanced"))
    if p["objective"].startswith("multiclass"):
        p["num_class"] = d.integer(2, 5)
    if p["objective"] == "binary":
        p |= d.pick({}, dict(is_unbalance=True), dict(scale_pos_weight=d.log(0.1, 10)))
    if d.chance(0.03):
        p["num_leaves"] = 255
    return p


def lightgbm_train(draw, params, data):
    d, width = draw, data.x.shape[1]
    ranked = params["objective"] in ("lambdarank", "rank_xendcg")
    y = target(d, LIGHTGBM_OBJECTIVES[params["objective"]], data.signal, params.get("num_class", 4 if ranked else 2))
    names = "auto"
    if d.chance(0.4):
        # LightGBM refuses the characters of JSON, and writes an empty name that it cannot read.
        names = odd_names(d, width, lambda s: s and not re.search(r'[",\[\]{}:\t\n]', s))
    x, codes = data.x, data.codes or "auto"
    if data.plain_codes() and d.chance(0.3):
        names = [f"c{j}" for j in range(width)]
        x, codes = frame_of_codes(data, names, np.arange), "auto"
    rounds = d.integer(100, 300) if d.chance(0.03) else d.integer(1, 25)
    given = dict(weight=data.weight, group=groups(d, len(y)) if ranked else None, feature_name=names, categorical_feature=codes, params=params)
    plain = params["boosting"] != "rf"  # what rf does not take
    custom = {"objective": lambda scores, _: (scores - np.resize(y, len(scores)), np.ones(len(scores)))} if plain and d.chance(0.03) else {}
    try:
        dataset = lightgbm.Dataset(x, y, free_raw_data=False, **given)
        stop = {}
        if d.chance(0.15):
            noise = lightgbm.Dataset(x, d.rng.permutation(y), reference=dataset, **given)
            stop = dict(valid_sets=[noise], callbacks=[lightgbm.early_stopping(2, verbose=False)])
        booster = lightgbm.train(params | custom, dataset, rounds, **stop)
        if plain and d.chance(0.08):
            booster = lightgbm.train(params | custom, dataset, d.integer(1, 5), init_model=booster)
        return booster
    except (lightgbm.basic.LightGBMError, TypeError, ValueError) as e:
        raise Untrained(e) from e


def frame_of_codes(data, names, categories):
    """A frame whose categorical columns have the codes of x."""
    frame = pd.DataFrame(data.x, columns=names)
    for j in data.codes:
        code = np.where(np.isnan(data.x[:, j]), -1, data.x[:, j]).astype(int)
        frame[names[j]] = pd.Categorical.from_codes(code, categories(max(code.max(), 0) + 1))
    return frame


def lightgbm_save(draw, booster, folder):
    path = folder / "model.txt"
    how = draw.pick({}, {}, {}, dict(num_iteration=draw.integer(1, 8)), dict(start_iteration=draw.integer(1, 3)), dict(again=True), dict(bare=True))
    if how.get("start_iteration", 0) >= booster.current_iteration():
        how = {}
    saved = {k: v for k, v in how.items() if k.endswith("iteration")}
    text = booster.model_to_string(**saved)
    if "again" in how:
        text = lightgbm.Booster(model_str=text).model_to_string()
    if "bare" in how:  # LightGBM loads this too: CRLF, no tree sizes, no parameters
        text = re.sub(r"^tree_sizes=.*\n", "", text, flags=re.M).partition("\nfeature_importances:")[0].replace("\n", "\r\n")
    path.write_text(text, newline="")
    return path, how


def lightgbm_thresholds(booster, width):
    found = [[] for _ in range(width)]
    for block in booster.model_to_string().split("\nTree=")[1:]:
        lines = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        for j, t, kind in zip(*(lines.get(k, "").split() for k in ("split_feature", "threshold", "decision_type"))):
            if not int(kind) & 1:
                found[int(j)].append(float(t))
    return found


# XGBoost

XGBOOST_OBJECTIVES = {
    "reg:squarederror": "real", "reg:squaredlogerror": "positive", "reg:logistic": "share", "reg:pseudohubererror": "real",
    "reg:absoluteerror": "real", "reg:quantileerror": "real", "reg:gamma": "positive", "reg:tweedie": "count", "binary:logistic": "class",
    "binary:logitraw": "class", "binary:hinge": "class", "count:poisson": "count", "survival:cox": "censored", "survival:aft": "positive",
    "multi:softmax": "class", "multi:softprob": "class", "rank:ndcg": "class", "rank:map": "class", "rank:pairwise": "class",
}
if tuple(map(int, xgboost.__version__.split(".")[:2])) >= (3, 4):
    XGBOOST_OBJECTIVES["reg:expectileerror"] = "real"
SEVERAL_TARGETS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:tweedie", "reg:gamma", "count:poisson",
                   "binary:logistic", "reg:logistic", "reg:squaredlogerror")
BASE_SCORES = {  # by the kind of target, and for the rest
    "share": (0.5, 0.1, 1e-7, 1 - 1e-7), "class": (0.5, 0.1, 0.9), "count": (0.5, 1e-3, 1e3), "positive": (0.5, 1e-3, 1e3),
    "censored": (0.5, 2.0), "real": (0.5, 0.0, -3.7, 1e6),
}


def xgboost_case(draw, folder):
    booster_kind = draw.pick("gbtree", "gbtree", "gbtree", "dart", "gblinear")
    data = make_data(draw, codes=booster_kind != "gblinear", far=draw.pick(3, 1000))
    params = xgboost_params(draw, booster_kind)
    booster, codes = xgboost_train(draw, params, data)
    path, how = xgboost_save(draw, booster, folder)
    loaded = xgboost.Booster({"nthread": 1}, model_file=str(path))
    rows = make_rows(draw, data, xgboost_thresholds(loaded, data.x.shape[1]))
    if booster_kind != "gbtree":
        rows[np.isinf(rows.astype(np.float32))] = draw.pick(0.0, NAN, 1.0)
    vectors = params.get("multi_strategy") == "multi_output_tree"
    kind = booster_kind + " of categories" * codes + " of several targets" * ("multi_strategy" in params and not vectors)
    return Case(
        library="xgboost",
        kind=kind + " vector leaves" * vectors,
        params=params | how | {"codes": data.codes, "shape": data.x.shape},
        path=path,
        names=loaded.feature_names,
        rows=rows,
        checks=xgboost_checks(loaded, rows),
        refusal="vector leaves" if vectors else None,
    )


def xgboost_params(draw, booster):
    d = draw
    p = dict(objective=d.pick(*XGBOOST_OBJECTIVES), booster=booster, nthread=1, seed=d.integer(0, 10**6), verbosity=0)
    if booster == "gblinear":
        p |= dict(updater=d.pick("shotgun", "coord_descent"), eta=d.log(0.01, 0.5))
        p |= d.some(reg_lambda=lambda: d.log(1e-3, 10), reg_alpha=lambda: d.log(1e-3, 1))
    else:
        p |= xgboost_tree_params(d)
    if booster == "dart":
        p |= dict(rate_drop=d.real(0.1, 0.9), skip_drop=d.pick(0, 0.5), one_drop=d.pick(0, 1))
        p |= dict(sample_type=d.pick("uniform", "weighted"), normalize_type=d.pick("tree", "forest"))
    if p["objective"].startswith("multi:"):
        p["num_class"] = d.integer(2, 5)
    if p["objective"] == "reg:quantileerror":
        p["quantile_alpha"] = d.pick(0.5, [0.1, 0.5, 0.9], [0.45, 0.5, 0.55], [0.3, 0.7])
    if p["objective"] == "reg:expectileerror":
        p["expectile_alpha"] = d.pick(0.5, 0.8)
    if p["objective"] == "survival:aft":
        p |= dict(aft_loss_distribution=d.pick("normal", "logistic", "extreme"), aft_loss_distribution_scale=d.real(0.5, 2))
    if p["objective"] in SEVERAL_TARGETS and d.chance(0.2):
        p["multi_strategy"] = "one_output_per_tree"
        if p.get("tree_method") == "hist" and booster == "gbtree" and d.chance(0.3):
            p["multi_strategy"] = "multi_output_tree"
    elif d.chance(0.35):
        p["base_score"] = d.pick(*BASE_SCORES[XGBOOST_OBJECTIVES[p["objective"]]])
    return p


def xgboost_tree_params(d):
    p = dict(tree_method=d.pick("hist", "hist", "exact", "approx"), max_depth=d.integer(1, 7), eta=d.log(0.02, 1))
    p |= d.some(
        gamma=lambda: d.log(1e-2, 50), min_child_weight=lambda: d.pick(0, 1, 10), reg_lambda=lambda: d.log(1e-3, 10),
        reg_alpha=lambda: d.log(1e-3, 1), subsample=lambda: d.real(0.4, 1), colsample_bytree=0.7, colsample_bynode=0.7,
        max_bin=lambda: d.pick(2, 16, 256, 1000), max_delta_step=lambda: d.log(0.1, 5), max_cat_to_onehot=lambda: d.pick(1, 4, 300),
        max_cat_threshold=lambda: d.pick(1, 64), scale_pos_weight=lambda: d.log(0.2, 5), num_parallel_tree=lambda: d.integer(2, 4),
    )
    if p["tree_method"] == "exact":
        p.pop("colsample_bynode", None)
    elif d.chance(0.25):
        p |= dict(grow_policy="lossguide", max_leaves=d.pick(2, 8, 31), max_depth=d.pick(0, 4))
    return p


def xgboost_target(draw, params, signal):
    kind = XGBOOST_OBJECTIVES[params["objective"]]
    if "multi_strategy" in params:
        signals = (signal, -signal, draw.rng.permutation(signal))[: draw.integer(2, 3)]
        return np.column_stack([target(draw, kind, one) for one in signals])
    return target(draw, kind, signal, 4 if params["objective"] in ("rank:ndcg", "rank:pairwise") else params.get("num_class", 2))


def xgboost_train(draw, params, data):
    """The booster, and whether it has categorical columns."""
    d, width, objective = draw, data.x.shape[1], params["objective"]
    y = xgboost_target(d, params, data.signal)
    names = odd_names(d, width, lambda s: not re.search(r"[\[\]<]", s)) if d.chance(0.4) else None
    codes = bool(data.codes) and params.get("tree_method") != "exact" and params.get("multi_strategy") != "multi_output_tree"
    x, given = data.x, dict(feature_names=names, enable_categorical=codes, nthread=1)
    if codes and names and data.plain_codes() and d.chance(0.5):
        x = frame_of_codes(data, names, lambda k: 7 + 3 * np.arange(k))
    elif codes:
        given["feature_types"] = ["c" if j in data.codes else d.pick("q", "float", "int") for j in range(width)]
    sizes = groups(d, len(y))

    def matrix(y):
        m = xgboost.DMatrix(x, **given)
        if objective == "survival:aft":
            m.set_float_info("label_lower_bound", y)
            m.set_float_info("label_upper_bound", np.where(d.rng.random(len(y)) < 0.3, INF, y))
        else:
            m.set_label(y)
        if objective.startswith("rank:"):
            m.set_group(sizes)
        elif data.weight is not None:
            m.set_weight(data.weight)
        return m

    try:
        booster = xgboost_boost(d, params, matrix, y)
    except (xgboost.core.XGBoostError, ValueError, TypeError, IndexError) as e:
        raise Untrained(e) from e
    if d.chance(0.1):
        booster.set_attr(note='a "note"\n\\é\U0001f600', best="1")
    return booster, codes


def xgboost_boost(d, params, matrix, y):
    rounds = d.integer(80, 200) if d.chance(0.03) else d.integer(1, 20)
    train, more = matrix(y), {}
    if d.chance(0.2):  # the loss on noise grows early
        more = dict(evals=[(matrix(d.rng.permutation(y)), "noise")], early_stopping_rounds=d.integer(1, 3), verbose_eval=False)
    if d.chance(0.03):
        more["obj"] = lambda scores, _: (scores - np.resize(y, scores.shape), np.ones(scores.shape))
    booster = xgboost.train(params, train, rounds, **more)
    if d.chance(0.08):
        return xgboost.train(params, train, d.integer(1, 4), xgb_model=booster)
    rounds = booster.num_boosted_rounds()
    if d.chance(0.05) and params["booster"] != "gblinear" and rounds > 2:
        return booster[d.integer(0, 1) : d.integer(2, rounds)]
    if d.chance(0.05) and params["booster"] == "gbtree":
        update = dict(process_type="update", updater=d.pick("refresh", "prune", "refresh,prune"), gamma=d.log(0.1, 10))
        return xgboost.train(params | update, train, rounds, xgb_model=booster)
    return booster


def xgboost_save(draw, booster, folder):
    form = draw.pick("json", "ubj")
    path = folder / f"model.{form}"
    how = draw.pick("file", "file", "bytes", "again")
    if how == "again":
        booster = xgboost.Booster(model_file=booster.save_raw(draw.pick("json", "ubj")))
    if how == "bytes":
        path.write_bytes(booster.save_raw(form))
    else:
        booster.save_model(path)
    return path, dict(form=form, how=how)


def xgboost_thresholds(booster, width):
    found = [[] for _ in range(width)]
    learner = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    model = learner.get("gbtree", learner)["model"]
    for t in model.get("trees", []):
        for left, j, value, kind in zip(t["left_children"], t["split_indices"], t["split_conditions"], t["split_type"]):
            if left != -1 and not kind:
                found[j].append(value)
    return found


def xgboost_checks(booster, rows):
    """The booster's predictions, by inplace_predict for rows that DMatrix refuses."""
    wide = np.isinf(rows.astype(np.float32)).any(axis=1)
    narrow = xgboost.DMatrix(rows[~wide], feature_names=booster.feature_names, feature_types=booster.feature_types, enable_categorical=True, nthread=1)

    def predict(margin, rounds):
        got = table(booster.predict(narrow, output_margin=margin, iteration_range=rounds))
        if not wide.any():
            return got
        kind = "margin" if margin else "value"
        rest = table(booster.inplace_predict(rows[wide], predict_type=kind, iteration_range=rounds, validate_features=False))
        want = np.empty((len(rows), got.shape[1]))
        want[~wide], want[wide] = got, rest
        return want

    checks = [Check("prediction", [], predict(False, (0, 0))), Check("margin", ["--margin"], predict(True, (0, 0)))]
    if booster.attr("best_iteration") is not None:
        best = (0, int(booster.attr("best_iteration")) + 1)
        checks.append(Check("best prediction", ["--best-iteration"], predict(False, best)))
        checks.append(Check("best margin", ["--margin", "--best-iteration"], predict(True, best)))
    return checks


# scikit-learn

INEXACT = (np.exp, np.expm1, np.log, np.log1p)
FORESTS = ("DecisionTree", "ExtraTree", "RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
LINEAR = ("LinearRegression", "Ridge", "Lasso", "ElasticNet")


def sklearn_case(draw, folder):
    if draw.chance(0.04):
        return refused_case(draw, folder)
    name = draw.pick(*FORESTS, *FORESTS, *LINEAR)
    form = draw.pick("", "", "pipeline", "target", "pipeline of target", "target of pipeline")
    kind = name if not form else f"{form}, {'linear' if name in LINEAR else 'forest'}"
    hist = name == "HistGradientBoosting"
    wide = 1e300 if hist and draw.chance(0.1) else 1e37
    limit = wide if name in FORESTS and not form else 1e6
    missing = hist or "pipeline" in form or name in FORESTS and name != "GradientBoosting" and draw.chance(0.3)
    data = make_data(draw, limit, missing, codes=hist and not form, far=draw.pick(0.5, 3, 1000, -1), positive=bool(form) and draw.chance(0.4), most=1500)
    if draw.chance(0.3):
        data.names = odd_names(draw, data.x.shape[1], lambda s: True)
    positive = draw.chance(0.5)
    y = (np.exp(data.signal) if positive else data.signal) * draw.log(1e-2, 1e4)
    model = regressor(draw, name, data, positive, bool(form))
    chain = steps(draw, data) if "pipeline" in form else []
    match form:
        case "pipeline":
            model = pipeline.Pipeline([*chain, ("model", model)])
        case "target":
            model = target_of(draw, model, positive)
        case "pipeline of target":
            model = pipeline.Pipeline([*chain, ("model", target_of(draw, model, positive))])
        case "target of pipeline":
            model = target_of(draw, pipeline.Pipeline([*chain, ("model", model)]), positive)
    fit(draw, model, data, y)
    path, how = sklearn_save(draw, model, folder)
    strict = None if hist and not form else MAX32 if limit > 1e6 else 1e8
    rows = make_rows(draw, data, sklearn_thresholds(model, data), strict)
    return Case(
        library="sklearn",
        kind=kind,
        params=how | {"model": " ".join(repr(model).split()), "codes": data.codes, "shape": data.x.shape},
        path=path,
        names=data.names,
        rows=rows,
        checks=sklearn_checks(model, rows, data.names),
    )


def regressor(draw, name, data, positive, composed):
    d = draw
    seed = d.pick(d.integer(0, 10**6), np.random.RandomState(d.integer(0, 10**6)))
    signs = None if composed else [0 if j in data.codes else d.integer(-1, 1) for j in range(data.x.shape[1])]
    positive = positive and not composed  # a transformer may make the target negative
    grow = dict(max_depth=d.pick(1, 2, 3, 5, 8, np.int64(4)), random_state=seed)
    grow |= d.some(
        min_samples_leaf=lambda: d.integer(1, 20), max_features=lambda: d.pick("sqrt", 0.5, 1), max_leaf_nodes=lambda: d.integer(2, 40),
        ccp_alpha=lambda: d.log(1e-6, 1e-1), min_impurity_decrease=lambda: d.log(1e-6, 1e-2), min_samples_split=lambda: d.integer(2, 20),
    )
    criterion = d.pick("squared_error", "squared_error", "friedman_mse", *["absolute_error"] * (len(data.x) < 300), *["poisson"] * positive)
    rounds = d.integer(60, 150) if d.chance(0.03) else d.integer(1, 15)
    match name:
        case "DecisionTree" | "ExtraTree":
            make = tree.DecisionTreeRegressor if name == "DecisionTree" else tree.ExtraTreeRegressor
            grow |= d.some(splitter=lambda: d.pick("best", "random"), monotonic_cst=lambda: signs)
            return make(criterion=criterion, **grow)
        case "RandomForest" | "ExtraTrees":
            make = ensemble.RandomForestRegressor if name == "RandomForest" else ensemble.ExtraTreesRegressor
            grow |= d.pick({}, dict(bootstrap=True, max_samples=0.7), dict(bootstrap=True, oob_score=True), dict(bootstrap=False))
            return make(n_estimators=rounds, criterion=criterion, n_jobs=1, **grow)
        case "GradientBoosting":
            grow |= dict(loss=d.pick("squared_error", "absolute_error", "huber", "quantile"), learning_rate=d.log(0.01, 1), n_estimators=rounds)
            grow |= d.some(init=lambda: d.pick("zero", dummy.DummyRegressor(strategy="median")), subsample=lambda: d.real(0.4, 1),
                           alpha=lambda: d.real(0.1, 0.9), n_iter_no_change=2)
            return ensemble.GradientBoostingRegressor(**grow)
        case "HistGradientBoosting":
            return hist_regressor(d, data, positive, rounds, signs, seed)
        case "LinearRegression":
            return sklearn.linear_model.LinearRegression(**d.some(positive=True, fit_intercept=False))
        case "Ridge":
            return sklearn.linear_model.Ridge(alpha=d.log(1e-3, 100), **d.some(fit_intercept=False, solver=lambda: d.pick("svd", "cholesky")))
        case "Lasso":
            return sklearn.linear_model.Lasso(alpha=d.log(1e-3, 10), **d.some(positive=True))
    return sklearn.linear_model.ElasticNet(alpha=d.log(1e-3, 10), l1_ratio=d.real(0.1, 0.9))


def hist_regressor(d, data, positive, rounds, signs, seed):
    loss = d.pick("squared_error", "absolute_error", "quantile", *["poisson", "gamma"] * positive)
    options = dict(loss=loss, quantile=d.real(0.1, 0.9), max_iter=rounds, max_leaf_nodes=d.pick(2, 4, 8, 31), min_samples_leaf=d.pick(1, 5, 20))
    options |= dict(learning_rate=d.log(0.02, 1), random_state=seed, early_stopping=d.chance(0.15))
    options |= d.some(max_bins=lambda: d.pick(2, 10, 255), monotonic_cst=lambda: signs, l2_regularization=lambda: d.log(1e-3, 10),
                      max_depth=lambda: d.integer(1, 6), max_features=0.6, interaction_cst=lambda: d.pick("pairwise", "no_interactions"))
    options["categorical_features"] = None
    if data.codes:
        mask = [j in data.codes for j in range(data.x.shape[1])]
        named = [[data.names[j] for j in data.codes]] + ["from_dtype"] * data.plain_codes() if data.names else []
        options["categorical_features"] = d.pick(data.codes, mask, np.array(mask), *named)
    return ensemble.HistGradientBoostingRegressor(**options)


def steps(draw, data):
    """Steps of a Pipeline before the model."""
    d, width = draw, data.x.shape[1]
    chain, functions = [], d.chance(0.35)
    if d.chance(0.85 if np.isnan(data.x).any() else 0.2):
        chain.append(imputer(d))
    if d.chance(0.3):
        columns = lambda: columns_of(d, width, data.names if not chain else None)
        parts = [(f"part{i}", d.pick(scaler(d), scaler(d), "passthrough", imputer(d), pipeline.make_pipeline(imputer(d), scaler(d)), "drop"), columns())
                 for i in range(d.integer(1, 4))]
        weights = d.pick(None, {"part0": d.real(0.1, 3)})
        rest = d.pick("passthrough", "drop", scaler(d))
        chain.append(compose.ColumnTransformer(parts, remainder=rest, transformer_weights=weights, sparse_threshold=0))
    if functions and np.nanmin(data.x) >= 0:
        chain.append(preprocessing.FunctionTransformer(d.pick(np.log1p, np.log, np.sqrt, np.square), validate=d.chance(0.3)))
    elif functions:
        chain.append(preprocessing.MinMaxScaler(feature_range=(-2, 3)))
        chain.append(preprocessing.FunctionTransformer(d.pick(np.exp, np.expm1, np.square)))
    if d.chance(0.6):
        chain.append(scaler(d))
    if d.chance(0.2):
        chain = [pipeline.make_pipeline(*chain, "passthrough")]
    return [(f"step{i}", step) for i, step in enumerate(chain)]


def imputer(d):
    strategy = d.pick("mean", "median", "most_frequent", "constant")
    value = d.pick(None, -5, 0.5) if strategy == "constant" else None
    return impute.SimpleImputer(strategy=strategy, fill_value=value, **d.some(add_indicator=True, keep_empty_features=True, missing_values=lambda: d.pick(0, 1)))


def scaler(d):
    if d.chance(0.5):
        return preprocessing.StandardScaler(**d.some(with_mean=False, with_std=False))
    return preprocessing.MinMaxScaler(**d.some(clip=True, feature_range=lambda: (d.real(-3, 0), d.real(0.1, 5))))


def columns_of(d, width, names):
    some = sorted(d.rng.choice(width, d.integer(1, width), replace=False).tolist())
    mask = np.isin(np.arange(width), some)
    named = [[names[j] for j in some]] if names else []
    return d.pick(some, some[::-1], slice(some[0], some[-1] + 1), mask, *named)


def target_of(draw, model, positive):
    d = draw
    pairs = [(np.expm1, np.log1p), (np.exp, np.log), (np.sqrt, np.square)]
    if positive:
        pairs = [(np.log1p, np.expm1), (np.log, np.exp), (np.sqrt, np.square), (np.square, np.sqrt)]
    if positive and d.chance(0.6):
        func, inverse = d.pick(*pairs)
        if d.chance(0.5):
            return compose.TransformedTargetRegressor(model, func=func, inverse_func=inverse, check_inverse=False)
        function = preprocessing.FunctionTransformer(func, inverse, check_inverse=False)
        return compose.TransformedTargetRegressor(model, transformer=pipeline.make_pipeline(function, scaler(d)), check_inverse=False)
    return compose.TransformedTargetRegressor(model, transformer=d.pick(scaler(d), None, pipeline.make_pipeline(scaler(d), scaler(d))), check_inverse=False)


def fit(draw, model, data, y):
    x = data.x
    if draw.chance(0.1):
        x = np.asfortranarray(x, dtype=np.float32)
    if data.names:
        x = pd.DataFrame(x, columns=data.names)
        if str(getattr(model, "categorical_features", None)) == "from_dtype":
            x = frame_of_codes(data, data.names, np.arange)
    if isinstance(model, tuple(getattr(sklearn.linear_model, name) for name in LINEAR)) and draw.chance(0.2):
        y = y.reshape(-1, 1)
    alone = not isinstance(model, (pipeline.Pipeline, compose.TransformedTargetRegressor))
    weight = {"sample_weight": data.weight} if data.weight is not None and alone else {}
    if data.names and isinstance(model, pipeline.Pipeline) and draw.chance(0.2):
        model.set_output(transform="pandas")
    try:
        model.fit(x, y, **weight)
        if "warm_start" in model.get_params() and draw.chance(0.1):
            rounds = "max_iter" if "max_iter" in model.get_params() else "n_estimators"
            model.set_params(warm_start=True).set_params(**{rounds: model.get_params()[rounds] + 2}).fit(x, y, **weight)
    except (ValueError, TypeError, KeyError) as e:
        raise Untrained(e) from e


def sklearn_save(draw, model, folder):
    protocol = draw.pick(None, 2, 3, 4, 5)
    if draw.chance(0.3):
        path = folder / "model.pkl"
        path.write_bytes(pickle.dumps(model, protocol))
        return path, dict(form="pickle", protocol=protocol)
    compress = draw.pick(0, 0, True, *[(c, draw.integer(1, 9)) for c in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4")])
    path = folder / "model.joblib"
    joblib.dump(model, path, compress=compress, protocol=protocol)
    return path, dict(form="joblib", compress=compress, protocol=protocol)


def refused_case(draw, folder):
    """A model that basket does not read."""
    data = make_data(draw, limit=1e6, missing=False, codes=False, most=300)
    refusal = draw.pick("classifier", "several outputs", "off the list", "estimator as init")
    y = data.signal
    ridge = sklearn.linear_model.Ridge()
    match refusal:
        case "classifier":
            y = target(draw, "class", data.signal, 3)
            model = draw.pick(tree.DecisionTreeClassifier(), ensemble.RandomForestClassifier(3), ensemble.GradientBoostingClassifier(n_estimators=3),
                              ensemble.HistGradientBoostingClassifier(max_iter=3), pipeline.make_pipeline(scaler(draw), tree.ExtraTreeClassifier()))
        case "several outputs":
            y = np.column_stack([y, -y])
            model = draw.pick(tree.DecisionTreeRegressor(max_depth=3), ensemble.RandomForestRegressor(3), ridge, compose.TransformedTargetRegressor(ridge))
        case "off the list":
            model = draw.pick(
                neighbors.KNeighborsRegressor(1), ensemble.BaggingRegressor(n_estimators=2), ensemble.StackingRegressor([("ridge", ridge)]),
                pipeline.make_pipeline(preprocessing.PolynomialFeatures(), ridge), pipeline.make_pipeline(preprocessing.RobustScaler(), ridge),
                compose.TransformedTargetRegressor(ridge, func=np.negative, inverse_func=np.negative))
        case "estimator as init":
            model = ensemble.GradientBoostingRegressor(init=ridge, n_estimators=2)
    fit(draw, model, data, y)
    path, how = sklearn_save(draw, model, folder)
    return Case("sklearn", refusal, how | {"model": " ".join(repr(model).split())}, path, None, data.x[:5], [Check("prediction", [], np.zeros((5, 1)))], refusal)


def unwrapped(model):
    """The steps before the regressor of a fitted model, in order, and the regressor."""
    if isinstance(model, pipeline.Pipeline):
        before, last = unwrapped(model.steps[-1][1])
        return [step for _, step in model.steps[:-1]] + before, last
    if isinstance(model, compose.TransformedTargetRegressor):
        return unwrapped(model.regressor_)
    return [], model


def trees_thresholds(model, width):
    """The thresholds of a regressor, in the columns that it sees."""
    found = [[] for _ in range(width)]
    for e in np.ravel(model.estimators_) if hasattr(model, "estimators_") else [model]:
        if hasattr(e, "tree_"):
            for j, t in zip(e.tree_.feature, e.tree_.threshold):
                if j >= 0:
                    found[j].append(t)
    for (predictor,) in getattr(model, "_predictors", []):
        for node in predictor.nodes[(predictor.nodes["is_leaf"] == 0) & (predictor.nodes["is_categorical"] == 0)]:
            found[int(node["feature_idx"])].append(float(node["num_threshold"]))
    return found


def sklearn_thresholds(model, data):
    """The thresholds of a model in the columns of the row; none if steps other than scalers are in between."""
    width = data.x.shape[1]
    before, last = unwrapped(model)
    if not all(isinstance(step, (preprocessing.StandardScaler, preprocessing.MinMaxScaler)) for step in before):
        return [[] for _ in range(width)]
    found = [[t for t in some if math.isfinite(t)] for some in trees_thresholds(last, width)]
    if getattr(last, "_preprocessor", None) is not None:  # it puts categories first
        order = data.codes + [j for j in range(width) if j not in data.codes]
        found = [found[order.index(j)] for j in range(width)]
    for step in reversed(before):
        for j, values in enumerate(found):
            seen = np.zeros((len(values), width))
            seen[:, j] = values
            found[j] = list(step.inverse_transform(seen)[:, j]) if values else []
    return found


def refusing(predict, rows):
    """The result of predict for each row; NaN where it refuses the row."""
    try:
        return np.asarray(predict(rows), dtype=float).reshape(-1)
    except ValueError:
        if len(rows) == 1:
            return np.array([NAN])
    half = len(rows) // 2
    return np.concatenate([refusing(predict, rows[:half]), refusing(predict, rows[half:])])


def sklearn_checks(model, rows, names):
    given = pd.DataFrame(rows, columns=names) if names else rows
    prediction = refusing(model.predict, given)
    margin = refusing(lambda x: margin_of(model, x), given)
    checks = [Check("prediction", [], prediction, np.zeros(len(rows)), prediction.copy()), Check("margin", ["--margin"], margin, np.zeros(len(rows)), margin.copy())]
    taken = ~np.isnan(margin)
    if taken.any():
        answer = uncertain(model, given[taken], np.zeros((taken.sum(), rows.shape[1])))
        for check, value in zip(checks, (answer, answer.margin)):
            check.exact[taken], check.unit[taken] = value.exact, value.unit
    for check in checks:
        check.unit[np.isnan(check.want) & ~np.isnan(check.unit)] = 0
        check.want = table(check.want)
    return checks


def margin_of(model, x):
    """The model's sum before the link of its loss and the inverse of a target's transformer."""
    if isinstance(model, pipeline.Pipeline):
        for _, step in model.steps[:-1]:
            x = x if step in (None, "passthrough") else step.transform(x)
        return margin_of(model.steps[-1][1], x)
    if isinstance(model, compose.TransformedTargetRegressor):
        return margin_of(model.regressor_, x)
    if isinstance(model, ensemble.HistGradientBoostingRegressor):
        return model._raw_predict(x)
    return model.predict(x)


@dataclasses.dataclass
class Uncertain:
    """A model's predictions, and the unit in which other implementations may differ.

    A linear model is a sum, computed here with 64 bits; its unit is the last
    place of the largest summand. The unit of numpy's exp and log is their last
    place. Later steps scale the unit with the number. It is 0 where bits must be
    equal. It is NaN, and nothing is demanded, where an uncertain number is so
    close to a threshold, or to the end of a function's domain (sqrt of a sum near
    0), that both sides are right.

    basket must be within 4 units of the library's prediction, or within 1 unit of
    the exact one: with many features BLAS is sometimes further off.
    """

    exact: np.ndarray
    unit: np.ndarray
    margin: object = None  # the same before the link


def uncertain(model, x, size):
    """size has, for each number in x, a number whose last place is the unit of x; 0 if x is exact."""
    if isinstance(model, pipeline.Pipeline):
        for _, step in model.steps[:-1]:
            x, size = through(step, x, size)
        return uncertain(model.steps[-1][1], x, size)
    if isinstance(model, compose.TransformedTargetRegressor):
        inner = uncertain(model.regressor_, x, size)
        exact, unit = back(model.transformer_, inner.exact, inner.unit)
        return Uncertain(exact, unit, inner.margin)
    if hasattr(model, "coef_"):
        answer = linear_sum(np.ravel(model.coef_), np.ravel(model.intercept_)[0], np.asarray(x), size)
        answer.margin = answer
        return answer
    value = np.asarray(model.predict(x), dtype=float).reshape(-1)
    unit = np.where(ambiguous(model, x, size), NAN, 0.0)
    log_link = getattr(model, "loss", "") in ("poisson", "gamma")
    return Uncertain(value, unit + np.spacing(value) * log_link, Uncertain(margin_of(model, x).reshape(-1), unit))


def linear_sum(coef, intercept, x, size):
    wide = np.longdouble  # of 64 bits on x86-64
    exact = (x.astype(wide) @ coef.astype(wide) + wide(intercept)).astype(float)
    summands = np.abs(coef) * np.maximum(np.abs(x), size)
    largest = np.maximum(summands.max(axis=1), np.maximum(np.abs(exact), np.abs(intercept)))
    return Uncertain(exact, np.spacing(largest) + (np.abs(coef) * np.where(size > 0, np.spacing(size), 0)).sum(axis=1))


def ambiguous(model, x, size):
    """Whether a number of each row is uncertain and at a threshold."""
    some = np.zeros(len(size), dtype=bool)
    if not size.any():
        return some
    x = np.asarray(x, dtype=float)
    cast = (lambda v: v) if hasattr(model, "_predictors") else (lambda v: v.astype(np.float32).astype(float))
    off = 4 * np.where(size > 0, np.spacing(size), 0)
    low, high = cast(x - off), cast(x + off)
    for j, t in enumerate(trees_thresholds(model, x.shape[1])):
        if t:
            some |= ((low[:, [j]] <= np.array(t)) != (high[:, [j]] <= np.array(t))).any(axis=1)
    return some


def through(step, x, size):
    """The output of a fitted step for x, and the sizes of the output."""
    if step in (None, "passthrough"):
        return x, size
    out = np.asarray(step.transform(x), dtype=float)
    match step:
        case pipeline.Pipeline():
            for _, s in step.steps:
                x, size = through(s, x, size)
        case compose.ColumnTransformer():
            size = columns_through(step, np.asarray(x), size)
        case preprocessing.FunctionTransformer() if step.func in INEXACT:
            size = np.abs(out)
        case preprocessing.StandardScaler() if step.with_std:
            size = size / step.scale_
        case preprocessing.MinMaxScaler():
            size = size * np.abs(step.scale_)
        case impute.SimpleImputer():
            shown = len(step.indicator_.features_) if step.add_indicator else 0
            kept = np.ones(size.shape[1], bool) if out.shape[1] - shown == size.shape[1] else ~pd.isna(step.statistics_)
            size = np.hstack([size[:, kept], np.zeros((len(size), shown))])
    return out, size


def columns_through(step, x, size):
    blocks = []
    for name, transformer, _ in step.transformers_:
        of = step._transformer_to_input_indices[name]
        if transformer == "drop" or not len(of):
            continue
        block = through(transformer, x[:, of], size[:, of])[1]
        blocks.append(block * (step.transformer_weights or {}).get(name, 1))
    return np.hstack(blocks)


def back(transformer, exact, unit):
    """The inverse of a target's transformer, and its unit."""
    if isinstance(transformer, pipeline.Pipeline):
        for _, step in reversed(transformer.steps):
            exact, unit = back(step, exact, unit)
        return exact, unit
    inverse = lambda v: refusing(lambda some: transformer.inverse_transform(some.reshape(-1, 1)), v)
    low, out, high = (inverse(exact + k * unit) for k in (-4, 0, 4))
    missing = np.isnan([low, out, high])
    edge = missing.any(axis=0) & ~missing.all(axis=0)  # of the numbers that the inverse accepts
    moved = np.fmax(np.abs(low - out), np.abs(high - out)) / 4
    rounded = getattr(transformer, "inverse_func", None) in INEXACT
    size = np.abs(out)
    return out, np.where(np.isnan(unit) | edge, NAN, np.where(np.isfinite(size), moved + np.spacing(size) * (rounded | (unit > 0)), 0))


# The comparison


class Refused(Exception):
    """basket reports that it cannot read the model or the rows."""


class Failed(Exception):
    """basket crashed, or took too long."""


def write_rows(draw, case, folder):
    """Writes the rows as columns x0, x1, ..., or by the model's names in any order and among other columns."""
    columns = {f"x{j}": c for j, c in enumerate(case.rows.T)}
    if case.names and (draw.chance(0.5) or columns.keys() & set(case.names)):
        columns = dict(zip(case.names, case.rows.T))
        keys = list(columns) + ["another"] * ("another" not in columns)
        draw.rng.shuffle(keys)
        columns = {k: columns.get(k, case.rows[:, 0]) for k in keys}
    # basket removes the space around a name in CSV.
    if draw.chance(0.5) or any(name != name.strip() for name in columns):
        path = folder / "rows.parquet"
        pyarrow.parquet.write_table(pyarrow.table(columns), path, compression=draw.pick("none", "snappy", "zstd"), data_page_version=draw.pick("1.0", "2.0"))
        return path
    path = folder / "rows.csv"
    with open(path, "w", newline="", encoding="utf-8") as f:
        out = csv.writer(f, lineterminator=draw.pick("\n", "\r\n"))
        out.writerow(columns)
        out.writerows(["" if v != v else repr(float(v)) for v in row] for row in zip(*columns.values()))
    return path


def score(basket, case, rows, out, flags):
    """The answers of basket score."""
    command = [basket, "score", "--model", case.path, "--in", rows, "--out", out, *flags]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=BASKET_TIMEOUT)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"no answer after {BASKET_TIMEOUT} s") from e
    text = done.stderr.strip()
    if done.returncode == 1 and text.startswith("basket: ") and "\n" not in text and "defect" not in text:
        raise Refused(text.replace(str(case.path.parent) + os.sep, ""))
    if done.returncode != 0 or text:
        raise Failed(f"exit status {done.returncode}: {text[:2000]}")
    if out.suffix == ".csv":
        return np.loadtxt(out, delimiter=",", skiprows=1, ndmin=2)
    return np.column_stack([c.to_numpy(zero_copy_only=False) for c in pyarrow.parquet.read_table(out).columns])


@dataclasses.dataclass
class Tally:
    """Counts of the models of one kind, and of their rows."""

    models: int = 0
    refused: int = 0
    rows: int = 0
    equal: int = 0  # to the bit, in each check
    within: int = 0  # not equal, but within 4 units
    nearer: int = 0  # not within, but within 1 unit of the exact prediction
    undefined: int = 0  # nothing is demanded
    differ: int = 0
    worst: float = 0  # of those within, in units

    def add(self, outcomes):
        """Counts rows, each as the worst of its checks."""
        differ, undefined, nearer, within = (
            np.any(some, axis=0) for some in zip(*((o.differ(), o.undefined, o.nearer, o.within) for o in outcomes)))
        self.rows += len(differ)
        self.differ += int(differ.sum())
        self.undefined += int((undefined & ~differ).sum())
        self.nearer += int((nearer & ~undefined & ~differ).sum())
        self.within += int((within & ~nearer & ~undefined & ~differ).sum())
        self.equal += int(np.all([o.equal for o in outcomes], axis=0).sum())
        self.worst = max(self.worst, *(o.worst for o in outcomes))

    def merge(self, other):
        for field in dataclasses.fields(self):
            combine = max if field.name == "worst" else operator.add
            setattr(self, field.name, combine(getattr(self, field.name), getattr(other, field.name)))


def same_bits(a, b):
    return (a.view(np.int64) == b.view(np.int64)) | np.isnan(a) & np.isnan(b)


@dataclasses.dataclass
class Outcome:
    """The result of each row of a check, as in Tally."""

    equal: np.ndarray
    within: np.ndarray
    nearer: np.ndarray
    undefined: np.ndarray
    worst: float = 0

    def differ(self):
        return ~(self.equal | self.within | self.nearer | self.undefined)


def compare(check, got):
    if got.shape != check.want.shape:
        raise Failed(f"{check.what}: {got.shape[0]} rows of {got.shape[1]} outputs, want {check.want.shape[0]} of {check.want.shape[1]}")
    equal = same_bits(np.ascontiguousarray(check.want), np.ascontiguousarray(got, dtype=float)).all(axis=1)
    if check.unit is None:
        return Outcome(equal, ~equal & equal, ~equal & equal, ~equal & equal)
    got, want = got.reshape(-1), check.want.reshape(-1)
    units = np.abs(got - want) / check.unit
    within = ~equal & (units <= 4)
    nearer = ~equal & ~within & (check.unit > 0) & (np.abs(got - check.exact) <= check.unit)
    return Outcome(equal, within, nearer, ~equal & np.isnan(check.unit), float(units[within].max(initial=0)))


@contextlib.contextmanager
def quiet():
    """Discards the standard error stream, to which LightGBM writes errors that it raises as well."""
    with open(os.devnull, "w") as null:
        kept = os.dup(2)
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@dataclasses.dataclass
class Result:
    """The result of one model."""

    library: str
    kind: str = ""
    objective: str = ""
    untrained: str = ""  # the library's reason not to train it
    refused: str = ""  # basket's reason not to read it
    tally: Tally = dataclasses.field(default_factory=Tally)
    wrong: list = dataclasses.field(default_factory=list)  # lines of text
    files: str = ""  # the folder of its files, if they are kept


def run_model(args, basket, scratch, index):
    """Makes, scores and compares a model, which is determined by the seed and the index."""
    draw = Draw(args.seed, index)
    library, make = LIBRARIES[index % len(LIBRARIES)]
    folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
    try:
        with quiet():
            case = make(draw, folder)
    except Untrained as e:
        return Result(library, untrained=plain(first_line(e)))
    else:
        result = Result(library, case.kind, str(case.params.get("objective", "")), tally=Tally(models=1))
        check_case(draw, basket, case, folder, result)
        if result.wrong or args.index is not None:
            result.files = str(keep(args, index, case, folder))
        return result
    finally:
        shutil.rmtree(folder)


def check_case(draw, basket, case, folder, result):
    rows, outcomes = write_rows(draw, case, folder), []
    try:
        for check in case.checks:
            out = folder / f"{check.what.replace(' ', '-')}{draw.pick('.parquet', '.csv')}"
            got = score(basket, case, rows, out, check.flags)
            outcomes.append(compare(check, got))
            result.wrong += describe(case, check, got, outcomes[-1].differ())
        result.tally.add(outcomes)
    except Refused as e:
        reason = plain(re.sub(r"^basket: \S+: bad model: ", "", str(e)))
        result.tally.refused, result.refused = 1, f"{case.refusal or 'NOT EXPECTED'}: {reason}"
        if not case.refusal or not re.search(REFUSALS[case.refusal], str(e)):
            result.wrong.append(f"refused: {e}")
    except Failed as e:
        result.wrong.append(f"FAILED: {e}")


def keep(args, index, case, folder):
    """Copies a model's files to the folder of findings."""
    to = args.keep / f"{args.seed}-{index}"
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    for check in case.checks:
        pd.DataFrame(check.want).to_csv(to / f"want-{check.what.replace(' ', '-')}.csv", index=False)
    (to / "params.json").write_text(json.dumps(case.params, indent=1, default=str))
    return to


class Run:
    """Runs models in a child process and counts their results."""

    def __init__(self, args, basket, scratch):
        self.args, self.basket, self.scratch = args, basket, scratch
        self.tallies = collections.defaultdict(Tally)
        self.refusals, self.untrained = collections.Counter(), collections.Counter()
        self.objectives = collections.defaultdict(set)
        self.findings = 0
        self.pool = None

    def model(self, index):
        if self.pool is None:
            self.pool = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), set_up)
        try:
            result = self.pool.submit(run_model, self.args, self.basket, self.scratch, index).result(LIBRARY_TIMEOUT)
        except concurrent.futures.process.BrokenProcessPool:
            self.pool, result = None, Result(LIBRARIES[index % len(LIBRARIES)][0], untrained="the library crashes")
        except TimeoutError:
            for child in multiprocessing.active_children():
                child.kill()
            self.pool, result = None, Result(LIBRARIES[index % len(LIBRARIES)][0], untrained=f"more than {LIBRARY_TIMEOUT} s")
        except Exception as e:  # of this program, or one of a library that it does not expect
            result = Result(LIBRARIES[index % len(LIBRARIES)][0], "(failed)", wrong=traceback.format_exception(e))
        self.count(index, result)

    def close(self):
        if self.pool:
            self.pool.shutdown()

    def count(self, index, result):
        if result.untrained:
            self.untrained[f"{result.library}: {result.untrained}"] += 1
            return
        self.tallies[result.library, result.kind].merge(result.tally)
        self.objectives[result.library].add(result.objective)
        if result.refused:
            self.refusals[f"{result.library}: {result.refused}"] += 1
        self.findings += bool(result.wrong)
        if result.wrong or result.files:
            print(f"{'WRONG' if result.wrong else 'equal'}: {result.library} {result.kind}: --seed {self.args.seed} --index {index}; files: {result.files}")
            print("".join(f"    {line}\n" for line in result.wrong), end="", flush=True)

    def report(self):
        counts = ("models", "refused", "rows", "equal", "within", "nearer", "undefined", "differ")
        head = f"{'library':9} {'kind':34}" + "".join(f"{c:>10}" for c in counts)
        print(f"\n{head}\n{'-' * len(head)}")
        total = Tally()
        for (library, kind), tally in sorted(self.tallies.items()):
            print(f"{library:9} {kind:34}" + "".join(f"{getattr(tally, c):10}" for c in counts))
            total.merge(tally)
        print(f"{'all':44}" + "".join(f"{getattr(total, c):10}" for c in counts))
        print(f"\nequal: all bits; within: 4 units in the last place, the worst {total.worst:.2f};"
              " nearer: more than 4, but basket is within 1 unit of the exact prediction")
        for library, names in sorted(self.objectives.items()):
            if names - {""}:
                print(f"{library}: {len(names)} objectives: {', '.join(sorted(names))}")
        for title, counter in (("refused", self.refusals), ("not trained, because the library refuses", self.untrained)):
            print(f"{title}: {sum(counter.values())}")
            for text, n in counter.most_common():
                print(f"  {n:5} {text}")
        print(f"seed {self.args.seed}: {total.models} models, {total.rows} rows: {total.differ} rows differ, {total.refused} models refused,"
              f" {self.findings} models with findings")


def describe(case, check, got, off):
    """The first rows that differ."""
    if not off.any():
        return []
    lines = [f"{check.what}: {off.sum()} of {len(off)} rows differ"]
    for i in np.flatnonzero(off)[:3]:
        k = int(np.flatnonzero(~same_bits(check.want[i], np.ascontiguousarray(got[i])))[0])
        unit = "" if check.unit is None else f", unit {check.unit[i]:g}"
        lines.append(f"  row {i}, output {k}: want {float(check.want[i, k])!r}, got {float(got[i, k])!r}{unit}; row {case.rows[i].tolist()}"[:1500])
    return lines


def first_line(error):
    """The first line of a library's message, without time and source file."""
    lines = [line for line in str(error).split("\n") if line.strip() and not line.startswith("Stack trace")]
    return re.sub(r"^\[[\d:]+\] \S+: ?", "", lines[0] if lines else repr(error))


def plain(text):
    """A message without numbers and folders, so that equal reasons are counted together."""
    return re.sub(r"\d[\d.e+-]*", "N", re.sub(r"\S*/(\S+)", r"\1", text))[:160]


LIBRARIES = (("lightgbm", lightgbm_case), ("xgboost", xgboost_case), ("sklearn", sklearn_case))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="The comment at the top of the program says more.")
    parser.add_argument("--minutes", type=float, default=1, help="how long to run (default 1)")
    parser.add_argument("--models", type=int, help="stop after so many models, whatever the time")
    parser.add_argument("--seed", type=int, help="seed of the run (default: the time)")
    parser.add_argument("--index", type=int, help="make this model of the run only, and keep its files")
    parser.add_argument("--only", choices=[name for name, _ in LIBRARIES], help="make models of this library only")
    parser.add_argument("--basket", type=pathlib.Path, help="the command to test (default: built from this tree)")
    parser.add_argument("--keep", type=pathlib.Path, default=ROOT / "bench" / "work" / "fidelity", help="folder for the files of findings")
    args = parser.parse_args()
    args.seed = int(time.time()) if args.seed is None else args.seed
    return args


def command(args, folder):
    """The command to test, as a copy that does not change during the run."""
    path = folder / "basket"
    if args.basket:
        shutil.copy(args.basket, path)
    else:
        subprocess.run(["go", "-C", ROOT / "cmd" / "basket", "build", "-o", path, "."], check=True)
    return path


def indices(args):
    """The models to make, until the time is over."""
    if args.index is not None:
        yield args.index
        return
    end = time.monotonic() + 60 * args.minutes
    done, index = 0, 0
    while done < args.models if args.models is not None else time.monotonic() < end:
        if args.only in (None, LIBRARIES[index % len(LIBRARIES)][0]):
            yield index
            done += 1
        index += 1


def set_up():
    """Silences the libraries in the process that calls them."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    lightgbm.register_logger(Silent())
    xgboost.set_config(verbosity=0)


def main():
    args = parse_args()
    print(f"lightgbm {lightgbm.__version__}, xgboost {xgboost.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__},"
          f" joblib {joblib.__version__}, Python {sys.version.split()[0]}; seed {args.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fidelity-") as scratch:
        run = Run(args, command(args, pathlib.Path(scratch)), scratch)
        start = shown = time.monotonic()
        for index in indices(args):
            run.model(index)
            if time.monotonic() - shown > 60:
                shown = time.monotonic()
                print(f"{(shown - start) / 60:.0f} min: model {index}, {run.findings} models with findings", flush=True)
        run.close()
        run.report()
    return 1 if run.findings else 0


class Silent:
    """LightGBM's logger."""

    def info(self, text):
        pass

    warning = info


if __name__ == "__main__":
    sys.exit(main())
