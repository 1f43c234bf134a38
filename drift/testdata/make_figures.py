"""Makes figures.json: what Evidently and NannyML say of some references and windows.

    pip install -r requirements.txt && python make_figures.py

Both libraries choose bins of their own. Here their code gets ours: Evidently as
categories, the numbers of the bins; NannyML in the attributes that its fit sets.
"""

import importlib
import json

import numpy as np
import pandas as pd
from evidently.legacy.core import ColumnType
from nannyml.drift.univariate import methods

stattests = "evidently.legacy.calculations.stattests."
psi = importlib.import_module(stattests + "psi")._psi
wasserstein = importlib.import_module(stattests + "wasserstein_distance_norm")._wasserstein_distance_norm


def nannyml(method, attributes, window):
    m = method(chunker=None, threshold=None)
    for name, value in attributes.items():
        setattr(m, name, value)
    return float(m._calculate(pd.Series(window)))


def figures(reference, window, cuts, exact):
    values, served = reference[~np.isnan(reference)], window[~np.isnan(window)]
    edges = np.array([values.min(), *cuts, values.max()])
    outer = np.array([-np.inf, *cuts, np.inf])
    counts = np.histogram(values, edges)[0]
    assert (counts == np.histogram(values, outer)[0]).all()
    shares = counts / len(values)
    std = float(np.std(values))

    def categories(x):
        bins = np.searchsorted(cuts, x, side="right")
        if len(cuts) == 0:
            bins = np.where(x < edges[0], 100, np.where(x > edges[-1], 101, bins))
        return pd.Series(np.where(np.isnan(x), -1, bins))

    want = {
        "psi": float(psi(categories(reference), categories(window), ColumnType.Categorical, 0.1)[0]),
        "js_distance": nannyml(
            methods.ContinuousJensenShannonDistance, {"_bins": outer, "_reference_proba_in_bins": shares}, served
        ),
        "ks": nannyml(
            methods.KolmogorovSmirnovStatistic,
            {"calculation_method": "estimated", "_fitted": True, "_reference_size": len(values), "_qts": outer,
             "_ref_rel_freqs": np.cumsum(shares)},
            served,
        ),
        "mean": float(served.mean()),
        "null_rate": float(np.isnan(window).mean()),
        "out_of_range_rate": float(((served < edges[0]) | (served > edges[-1])).sum() / len(window)),
    }
    # NannyML 0.13.1 counts one row too many below the minimum (amount_smaller), so its
    # figure is taken where there is none. With a value in each bin, the distance of the
    # bins is that of the samples, which Evidently computes.
    if exact:
        want["wasserstein"] = float(wasserstein(pd.Series(values), pd.Series(served), ColumnType.Numerical, 0.1)[0])
    elif not (served < edges[0]).any():
        want["wasserstein"] = nannyml(
            methods.WassersteinDistance,
            {"calculation_method": "estimated", "_fitted": True, "_reference_size": len(values), "_bin_edges": edges,
             "_bin_width": np.diff(edges), "_ref_min": edges[0], "_ref_max": edges[-1], "_ref_cdf": np.cumsum(shares)},
            served,
        ) / max(std, 0.001)
    return edges, counts, std, want


def case(name, reference, window, cuts, exact=False):
    edges, counts, std, want = figures(reference, window, np.array(cuts, dtype=float), exact)
    values = reference[~np.isnan(reference)]
    return {
        "name": name,
        "column": {
            "name": "x", "edges": edges.tolist(), "counts": counts.tolist(), "nulls": int(np.isnan(reference).sum()),
            "mean": float(values.mean()), "std": std, "min": edges[0], "max": edges[-1],
            "quantiles": np.quantile(values, np.linspace(0, 1, 101)).tolist(),
        },
        "window": [None if np.isnan(v) else float(v) for v in window],
        "want": want,
    }


def main():
    r = np.random.default_rng(7)

    def prices(n, factor=1.0):
        return np.round(r.lognormal(3, 0.6, n) * factor, 2)

    def nulls(x, share):
        x = x.copy()
        x[r.random(len(x)) < share] = np.nan
        return x

    reference = prices(5000)
    deciles = np.quantile(reference, np.arange(1, 10) / 10, method="higher")
    counts, more = r.poisson(2, 4000).astype(float), r.poisson(2.7, 600).astype(float)
    counts, more = np.minimum(counts, 6), np.minimum(more, 8)
    within = prices(600)
    cases = [
        case("no drift", reference, np.clip(within, reference.min(), None), deciles),
        case("prices times 1.3", reference, np.clip(prices(600, 1.3), reference.min(), None), deciles),
        case("lower prices, some below the minimum", reference, prices(600, 0.5), deciles),
        case("far above the maximum", reference, prices(600) + 500, deciles),
        case("values on the edges", reference, np.repeat(deciles, 60), deciles),
        case("nulls in both", nulls(reference, 0.05), np.clip(nulls(within, 0.2), reference.min(), None), deciles),
        case("nulls in the window only", reference, np.clip(nulls(within, 0.01), reference.min(), None), deciles),
        case("one bin only", reference, np.full(600, deciles[3]), deciles),
        case("a bin for each value", counts, more, [1, 2, 3, 4, 5, 6], exact=True),
        case("a bin for each value, some below the minimum", counts + 2, np.append(more, [-1.5, -3, 0]) + 1, [3, 4, 5, 6, 7, 8], exact=True),
        case("few rows of the reference in a bin, no nulls", np.append(prices(30000), 10000.0), nulls(prices(600), 0.1), [10, 20, 40, 9000]),
        case("few rows of the reference in a bin", np.append(prices(30000), 10000.0), prices(600), [10, 20, 40, 9000]),
        case("a constant reference, other values", np.full(1000, 3.0), np.repeat([3.0, 4.0], 300), []),
        case("a constant reference, values on both sides", np.full(1000, 3.0), np.repeat([3.0, 4.0, 2.0, np.nan], 150), []),
    ]
    with open("figures.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


main()
