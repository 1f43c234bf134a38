"""Makes the demo shop of examples/server: synthetic orders of 300 users, and a LightGBM model trained on them.

    pip install lightgbm==4.7.0 'pandas<3' pyarrow && python3 make.py

Writes orders.parquet, regulars.parquet, inventory.parquet and model.txt to the script's folder. The data is random,
not of a real shop. One user has the ID of the example request in the Python service's documentation.
"""
import hashlib
import pathlib

import lightgbm
import numpy as np
import pandas as pd

HERE = pathlib.Path(__file__).parent
EXAMPLE_USER = "0cad47d6c469dc763adb1d206463099d94102e680eb2815de5d0ae055bdd72e2f2df884c327bfffbbefed72720bb6ec523e244912bf26aa78f5fe7d7ab893bc7"
rng = np.random.default_rng(20261123)

variants = np.arange(1000, 1400)
inventory = pd.DataFrame({"variant_id": variants, "price": np.round(rng.gamma(2.0, 2.2, len(variants)) + 0.3, 2)})
inventory.loc[rng.choice(len(variants), 12, replace=False), "price"] = np.nan

users = [EXAMPLE_USER] + [hashlib.sha512(f"demo user {i}".encode()).hexdigest() for i in range(299)]
orders, regulars = [], []
start = pd.Timestamp("2025-01-02 08:00:00")
for user in users:
    own = rng.choice(variants, rng.integers(1, 12), replace=False)
    regulars += [(user, int(v)) for v in own]
    size = rng.gamma(3.0, 4.0)
    when = start + pd.Timedelta(minutes=int(rng.integers(0, 60 * 24 * 30)))
    for _ in range(1 + int(rng.geometric(0.15)) + (4 if user == EXAMPLE_USER else 0)):
        n = 1 + int(rng.poisson(size))
        items = np.where(rng.random(n) < 0.4, rng.choice(own, n), rng.choice(variants, n))
        orders.append((user, when, [int(v) for v in items]))
        size = max(1.0, size * rng.lognormal(0, 0.25))
        when += pd.Timedelta(minutes=int(rng.gamma(2.0, 60 * 24 * 5)))
rng.shuffle(orders)

orders = pd.DataFrame(orders, columns=["user_id", "created_at", "ordered_items"])
orders.to_parquet(HERE / "orders.parquet", index=False, coerce_timestamps="us")
pd.DataFrame(regulars, columns=["user_id", "variant_id"]).to_parquet(HERE / "regulars.parquet", index=False)
inventory.to_parquet(HERE / "inventory.parquet", index=False)

# A training row has the features of an order and of the order before it; the target is the price of the order.
price = inventory.set_index("variant_id").price.fillna(inventory.price.mean())
regular_variants = pd.DataFrame(regulars, columns=["user_id", "variant_id"]).groupby("user_id").variant_id.agg(set)
orders = orders.sort_values(["user_id", "created_at"], kind="stable")
orders["total"] = [price[items].sum() for items in orders.ordered_items]
orders["item_count"] = [float(len(items)) for items in orders.ordered_items]
orders["basket_value"] = orders.item_count * inventory.price.mean()
orders["regulars_count"] = [float(len(regular_variants[u] & set(items))) for u, items in zip(orders.user_id, orders.ordered_items)]
for column in ("basket_value", "item_count", "regulars_count"):
    orders["prior_" + column] = orders.groupby("user_id")[column].shift(1)
rows = orders.dropna(subset=["prior_item_count"])
names = ["prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"]
params = dict(objective="regression", num_leaves=15, learning_rate=0.08, min_data_in_leaf=20, verbose=-1, seed=7, deterministic=True, num_threads=1)
lightgbm.train(params, lightgbm.Dataset(rows[names], rows.total), num_boost_round=60).save_model(HERE / "model.txt")
