"""Trains the LightGBM models of this folder and writes LightGBM's predictions.

    pip install lightgbm==4.7.0 'numpy<3' && python3 make_lightgbm.py

Models of older versions need an environment each, with lightgbm==3.3.5 or 2.2.3, and 'numpy<1.24'.

Each case is a folder lightgbm-CASE:

    model.txt
    rows.csv      inputs x0, x1, ...; an empty field is missing
    want.csv      margin and y, or margin0, ... and y0, ... if there are several outputs
    origin.json   library, version, seed, parameters

Numbers are written with all digits that float64 needs. The Go tests do not run this script.
"""
import json
import pathlib

import lightgbm
import numpy as np

HERE = pathlib.Path(__file__).parent
SEED = 20261123
ZERO = float(np.float32(1e-35))  # LightGBM treats values up to this magnitude as zero


def training_data(rng, missing=0.0, categories=False):
    n = 1200
    x = np.column_stack([
        rng.gamma(2.0, 30.0, n),                # like a price
        rng.integers(0, 40, n),                 # like a count, with ties
        rng.integers(-1, 6, n) * rng.integers(0, 2, n),  # many zeros
        rng.normal(0, 1, n),
    ]).astype("float64")
    y = 20 + 0.6 * x[:, 0] + 2 * x[:, 1] - 3 * x[:, 2] ** 2 + 5 * np.sin(3 * x[:, 3]) + rng.normal(0, 2, n)
    if categories:
        c = rng.integers(0, 70, n)
        y += np.where(c % 7 < 3, 25.0, 0.0)
        x = np.column_stack([x, c])
    if missing:
        x[rng.random(x.shape) < missing] = np.nan
    return x, y


def make_rows(rng, x, model):
    """Returns rows with edge cases: thresholds and their neighbours, zeros, tiny and huge numbers, missing values."""
    thresholds = set()

    def walk(node):
        if "split_index" in node:
            if node["decision_type"] == "<=":
                thresholds.add((node["split_feature"], node["threshold"]))
            walk(node["left_child"])
            walk(node["right_child"])

    for tree in model.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    rows = list(x[rng.integers(0, len(x), 40)])
    for j, t in rng.permutation(sorted(thresholds))[:25] if thresholds else []:
        for v in (t, np.nextafter(t, np.inf), np.nextafter(t, -np.inf), float(np.float32(t))):
            row = x[rng.integers(0, len(x))].copy()
            row[int(j)] = v
            rows.append(row)
    edge_values = [0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), np.nextafter(-ZERO, -1), 2e-35, 1e-300, np.inf, -np.inf, np.nan,
                   1e300, -1, -0.5, 0.9, 31, 32, 63, 64, 69, 70, 255, 256, 1e6, 1e12, 2.0**31, -2.0**31]
    for v in edge_values:
        for j in range(x.shape[1]):
            row = x[rng.integers(0, len(x))].copy()
            row[j] = v
            rows.append(row)
    rows.append(np.full(x.shape[1], np.nan))
    rows.append(np.zeros(x.shape[1]))
    return np.array(rows)


def write_case(case, model, rows, params):
    d = HERE / f"lightgbm-{case}"
    d.mkdir(exist_ok=True)
    model.save_model(str(d / "model.txt"))
    loaded = lightgbm.Booster(model_file=str(d / "model.txt"))
    margin = np.asarray(loaded.predict(rows, raw_score=True, num_threads=1)).reshape(len(rows), -1)
    y = np.asarray(loaded.predict(rows, num_threads=1)).reshape(len(rows), -1)

    def names(name, width):
        return [name] if width == 1 else [f"{name}{k}" for k in range(width)]

    def write_csv(path, header, values):
        with open(path, "w", newline="\n") as f:
            f.write(",".join(header) + "\n")
            for row in values:
                f.write(",".join("" if np.isnan(v) else repr(float(v)) for v in row) + "\n")

    write_csv(d / "rows.csv", [f"x{j}" for j in range(rows.shape[1])], rows)
    write_csv(d / "want.csv", names("margin", margin.shape[1]) + names("y", y.shape[1]), np.hstack([margin, y]))
    (d / "origin.json").write_text(json.dumps(
        {"library": f"lightgbm {lightgbm.__version__}", "seed": SEED, "params": params}, indent=1) + "\n")


CASES = {
    "regression": dict(objective="regression"),
    "nan": dict(objective="regression", missing=0.1),
    "zero-missing": dict(objective="regression", zero_as_missing=True, missing=0.1),
    "no-missing": dict(objective="regression", use_missing=False, missing=0.1),
    "categorical": dict(objective="regression", categories=True, min_data_per_group=5, cat_smooth=1.0, missing=0.05),
    "onehot": dict(objective="regression", categories=True, max_cat_to_onehot=100, min_data_per_group=5),
    "linear": dict(objective="regression", linear_tree=True, missing=0.1),
    "sqrt": dict(objective="regression", reg_sqrt=True),
    "poisson": dict(objective="poisson"),
    "binary": dict(objective="binary", sigmoid=2.5),
    "multiclass": dict(objective="multiclass", num_class=3),
    "ova": dict(objective="multiclassova", num_class=3),
    "xentropy": dict(objective="cross_entropy"),
    "xentlambda": dict(objective="cross_entropy_lambda"),
    "rf-poisson": dict(objective="poisson", boosting="rf", bagging_freq=1, bagging_fraction=0.6),
    "dart": dict(objective="quantile", boosting="dart", alpha=0.3),
    "constant": dict(objective="regression", min_data_in_leaf=100000),
}


# The cases of older versions. The version is the end of the folder's name.
OLDER_CASES = {
    "2.2": ["regression", "categorical", "multiclass", "xentropy", "rf-poisson"],
    "3.3": ["nan", "categorical", "linear", "binary", "rf-poisson"],
}


def main():
    version = ".".join(lightgbm.__version__.split(".")[:2])
    for case, params in CASES.items():
        if version != "4.7" and case not in OLDER_CASES[version]:
            continue
        rng = np.random.default_rng(SEED)
        params = dict(params)
        missing, categories = params.pop("missing", 0.0), params.pop("categories", False)
        x, y = training_data(rng, missing, categories)
        match params["objective"]:
            case "binary":
                y = (y > 70).astype("float64")
            case "multiclass" | "multiclassova":
                y = np.digitize(y, [50, 90]).astype("float64")
            case "cross_entropy" | "cross_entropy_lambda":
                y = 1 / (1 + np.exp(-(y - 70) / 30))
            case "poisson":
                y = np.maximum(y, 0)
        full = dict(params, num_leaves=8, verbose=-1, seed=SEED, deterministic=True, num_threads=1)
        full.setdefault("min_data_in_leaf", 10)
        data = lightgbm.Dataset(x, y, categorical_feature=[4] if categories else "auto", params=full)
        model = lightgbm.train(full, data, num_boost_round=6)
        write_case(case if version == "4.7" else f"{case}-{version}", model, make_rows(rng, x, model), full)


if __name__ == "__main__":
    main()
