"""make_importances.py: writes importances.json, what LightGBM, XGBoost and scikit-learn say
of the importance of the features of files in models/: by gain, and by splits where the
library says that. With the versions of bench/fidelity-requirements.txt."""
import json
import pathlib
import warnings

import joblib
import lightgbm
import sklearn
import xgboost

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent
out = {}
for case in sorted((here / "models").iterdir()):
    for file in case.glob("model.*"):
        try:
            if case.name.startswith("lightgbm"):
                m = lightgbm.Booster(model_file=str(file))
                out[case.name] = {
                    "library": "LightGBM " + lightgbm.__version__,
                    "gain": [float(v) for v in m.feature_importance("gain")],
                    "splits": [int(v) for v in m.feature_importance("split")],
                }
            elif case.name.startswith("xgboost"):
                m = xgboost.Booster(model_file=str(file))
                names = m.feature_names or [f"f{j}" for j in range(m.num_features())]
                gain, splits = m.get_score(importance_type="total_gain"), m.get_score(importance_type="weight")
                if isinstance(next(iter(gain.values()), 0.0), list):
                    continue  # gblinear
                out[case.name] = {
                    "library": "XGBoost " + xgboost.__version__,
                    "gain": [gain.get(n, 0.0) for n in names],
                    "splits": [int(splits.get(n, 0)) for n in names],
                }
            elif file.suffix in (".joblib", ".pkl", ".pickle"):
                m = joblib.load(file)
                # Of trees without pipelines; sums to 1, or is NaN for some old files.
                if getattr(m, "feature_importances_", None) is not None and m.feature_importances_.sum() == m.feature_importances_.sum():
                    out[case.name] = {
                        "library": "scikit-learn " + sklearn.__version__,
                        "share": [float(v) for v in m.feature_importances_],
                        "class": type(m).__name__,
                    }
        except Exception as e:  # files of old versions, which these do not load
            print(case.name, type(e).__name__, str(e)[:80])
(here / "importances.json").write_text(json.dumps(out, indent=1) + "\n")
print(len(out), "models")
