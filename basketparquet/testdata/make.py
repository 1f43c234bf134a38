"""Writes the test files of this folder from a folder with orders.parquet,
regulars.parquet and inventory.parquet:

    python3 make.py FOLDER

It needs pandas and pyarrow; the files were written with pandas 2.3.3 and pyarrow
26.0.1. The expected features are computed here with pandas, not by the Go code.
"""

import decimal
import pathlib
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

decimal.getcontext().prec = 80
HERE = pathlib.Path(__file__).parent
FEATURES = ["prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"]


def mean_price(prices):
    """The mean item price of the service: nulls are 0.0 in the numpy sum."""
    return np.sum(prices.fillna(0.0).to_numpy(np.float64)) / prices.count()


def features(orders, regulars, prices, meaning):
    """All feature rows, by the rules of the Materializer, with pandas joins."""
    mine = regulars.dropna().groupby("user_id").variant_id.agg(set).to_dict()
    o = orders.sort_values(["user_id", "created_at"], kind="stable").reset_index(drop=True)
    o["item_count"] = o.ordered_items.map(len)
    o["regulars_in_order"] = [
        len({i for i in items if i is not None} & mine.get(user, set()))
        for user, items in zip(o.user_id, o.ordered_items)
    ]
    o["basket_value"] = o.item_count * mean_price(prices)
    o["seq"] = o.groupby("user_id").created_at.rank(method="average").astype(int)
    prior = o[["user_id", "seq", "basket_value", "item_count", "regulars_in_order"]]
    prior = prior.rename(columns=dict(zip(prior.columns[2:], FEATURES)))
    if meaning == "next-order":
        rows = pd.concat([o[["user_id", "created_at"]], prior[FEATURES[:3]]], axis=1)
        rows["regulars_count"] = [len(mine.get(user, ())) for user in rows.user_id]
    else:
        rows = o.merge(prior.assign(seq=prior.seq + 1), on=["user_id", "seq"], how="inner")
        rows["regulars_count"] = rows.regulars_in_order
    rows["orders"] = rows.groupby("user_id").cumcount() + 1
    return rows[["user_id", "created_at", "orders"] + FEATURES]


def write_csv(path, rows):
    with open(path, "w") as f:
        f.write("user_id,ordered_at,orders," + ",".join(FEATURES) + "\n")
        for r in rows.itertuples(index=False):
            at = r.created_at.as_unit("ns").value
            f.write(",".join([r.user_id, str(at), str(r.orders)] + [repr(float(v)) for v in r[3:]]) + "\n")


def array(values, typ):
    return pa.array(values, type=typ)


def orders_table(o, user=pa.string(), time=pa.timestamp("us"), items=pa.list_(pa.int64()), nullable=True):
    fields = [
        pa.field("id", pa.int64()),
        pa.field("user_id", user, nullable),
        pa.field("created_at", time, nullable),
        pa.field("note", pa.string()),
        pa.field("ordered_items", items, nullable),
    ]
    lists = [list(v) if v is not None else None for v in o.ordered_items]
    users = array(list(o.user_id), pa.string())
    columns = [
        array(range(len(o)), pa.int64()),
        users.dictionary_encode() if pa.types.is_dictionary(user) else users.cast(user),
        array(list(o.created_at), pa.timestamp("ns")).cast(time, safe=False),
        array([None, "x"] * (len(o) // 2) + ["y"] * (len(o) % 2), pa.string()),
        array(lists, items),
    ]
    return pa.table(columns, schema=pa.schema(fields))


def regulars_table(r, user=pa.string(), variant=pa.int64()):
    return pa.table({"variant_id": array(list(r.variant_id), variant), "user_id": array(list(r.user_id), pa.string()).cast(user)})


def inventory_table(i, price=pa.float64(), variant=pa.int64()):
    values = [None if pd.isna(p) else p for p in i.price]
    if pa.types.is_decimal(price):
        step = decimal.Decimal(1).scaleb(-price.scale)
        values = [None if p is None else decimal.Decimal(repr(p)).quantize(step) for p in values]
    elif pa.types.is_integer(price):
        values = [None if p is None else round(p) for p in values]
    elif pa.types.is_float16(price):
        values = [None if p is None else np.float16(p) for p in values]
    return pa.table({"variant_id": array(list(i.variant_id), variant), "vendor": ["v"] * len(i), "price": array(values, price)})


def save(table, *path, **options):
    file = HERE.joinpath(*path).with_suffix(".parquet")
    file.parent.mkdir(parents=True, exist_ok=True)
    options.setdefault("store_schema", False)
    pq.write_table(table, file, **options)


def sample(folder):
    """Some sixty users of the data, and orders for the special cases of the rules."""
    orders, regulars, inventory = (
        pd.read_parquet(pathlib.Path(folder, n + ".parquet")) for n in ("orders", "regulars", "inventory")
    )
    orders["created_at"] = orders.created_at.astype("datetime64[ns]")
    count = orders.groupby("user_id").size()
    users = []
    for n, want in [(1, 6), (2, 10), (3, 10), (4, 8), (5, 8), (7, 6), (9, 6), (13, 2), (20, 1)]:
        users += sorted(count[count == n].index)[:want]
    short = {u: u[:12] for u in users}
    assert len(set(short.values())) == len(users)
    orders = orders[orders.user_id.isin(users)][["user_id", "created_at", "ordered_items"]]
    regulars = regulars[regulars.user_id.isin(users)][["user_id", "variant_id"]]
    orders["user_id"] = orders.user_id.map(short)
    regulars["user_id"] = regulars.user_id.map(short)
    orders["ordered_items"] = orders.ordered_items.map(list)

    t = [pd.Timestamp("2018-01-01") + pd.Timedelta(days=d) for d in range(8)]
    more = [
        # Two orders of equal time, then one: places 1, 1, 3, and no row for the last.
        ("tie-gap", t[1], [1, 2]), ("tie-gap", t[0], [1]), ("tie-gap", t[0], [2, 2, 3]),
        # Places 1, 2, 2: two rows. Then places 1, 2, 4, 4, 4, 6.
        ("tie-two", t[1], [1, 2]), ("tie-two", t[0], [3, 1]), ("tie-two", t[1], [7, 7]),
        ("tie-many", t[2], [3]), ("tie-many", t[2], [2, 3]), ("tie-many", t[0], [1]), ("tie-many", t[1], [1, 1]),
        ("tie-many", t[2], [1]), ("tie-many", t[3], [9]),
        # Places 1, 2, 2, 4; then two orders of equal time.
        ("tie-mid", t[0], [1]), ("tie-mid", t[1], [2]), ("tie-mid", t[1], [3, 3, 3]), ("tie-mid", t[2], [1, 2, 3]),
        ("tie-all", t[0], [1]), ("tie-all", t[0], [2]),
        ("repeats", t[0], [5, 5, 5, 6]), ("repeats", t[1], [6, 6, 6, 6, 5, 5]), ("repeats", t[2], [8]),
        ("empty", t[0], []), ("empty", t[1], [1]), ("empty", t[2], []),
        ("one-order", t[3], [1, 2, 3]), ("two-orders", t[3], [1, 2, 3]), ("two-orders", t[4], [4]),
        ("old", pd.Timestamp("1932-05-04 03:02:01"), [1, 2]), ("old", pd.Timestamp("1970-01-01"), [2]),
    ]
    more = pd.DataFrame(more, columns=["user_id", "created_at", "ordered_items"])
    own = [("tie-two", 7), ("tie-two", 7), ("tie-two", 1), ("tie-many", 1), ("tie-many", 3), ("tie-mid", 2), ("tie-mid", 3)]
    own += [("repeats", 5), ("repeats", 6), ("repeats", 5), ("one-order", 2), ("two-orders", 3), ("no-orders", 1), ("old", 2)]
    orders = pd.concat([orders, more], ignore_index=True)
    # The files are not sorted; orders of equal time keep their order of arrival.
    orders = orders.sample(frac=1, random_state=1).reset_index(drop=True)
    regulars = pd.concat([regulars, pd.DataFrame(own, columns=["user_id", "variant_id"])], ignore_index=True)
    nulls = inventory[inventory.price.isna()][:40]
    inventory = pd.concat([inventory[::150], nulls]).sample(frac=1, random_state=2)[["variant_id", "price"]]
    return orders, regulars, inventory.reset_index(drop=True)


def golden(orders, regulars, inventory):
    # With checksums, so that a changed byte in a page must be an error.
    options = dict(write_page_checksum=True, row_group_size=150, data_page_size=1500, write_batch_size=16)
    save(orders_table(orders), "golden/orders", **options)
    save(regulars_table(regulars), "golden/regulars", **options)
    save(inventory_table(inventory), "golden/inventory", **options)
    for meaning in ("last-order", "next-order"):
        write_csv(HERE / "golden" / (meaning + ".csv"), features(orders, regulars, inventory.price, meaning))


def order_cases(o, regulars, inventory):
    tiny = dict(row_group_size=9, data_page_size=40, write_batch_size=2)
    save(orders_table(o), "orders/base")
    write_csv(HERE / "orders/base.csv", features(o, regulars, inventory.price, "last-order"))
    category = pa.dictionary(pa.int32(), pa.string())
    for name, kind in {
        "strings-large": dict(user=pa.large_string()), "strings-binary": dict(user=pa.binary()),
        "strings-category": dict(user=category), "strings-view": dict(user=pa.string_view()),
        "time-s": dict(time=pa.timestamp("s")), "time-ms": dict(time=pa.timestamp("ms")),
        "time-ns": dict(time=pa.timestamp("ns")), "time-utc": dict(time=pa.timestamp("us", "UTC")),
        "items-int32": dict(items=pa.list_(pa.int32())), "items-uint32": dict(items=pa.list_(pa.uint32())),
        "items-uint64": dict(items=pa.list_(pa.uint64())), "items-large": dict(items=pa.large_list(pa.int64())),
        "items-required": dict(items=pa.list_(pa.field("element", pa.int64(), False))),
        "required": dict(nullable=False),
    }.items():
        save(orders_table(o, **kind), "orders", name)
    table = orders_table(o)
    for codec in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        save(table, "orders", "codec-" + codec, compression=codec, data_page_version="2.0" if codec == "zstd" else "1.0")
    save(table, "orders/time-int96", use_deprecated_int96_timestamps=True)
    save(table, "orders/old-version", version="1.0")
    save(table, "orders/item-name", use_compliant_nested_type=False)
    save(table, "orders/arrow-schema", store_schema=True)
    save(table, "orders/plain", use_dictionary=False)
    save(table, "orders/pages-v1", **tiny)
    save(table, "orders/pages-v2", data_page_version="2.0", **tiny)
    save(table, "orders/pages-plain", use_dictionary=False, **tiny)
    save(table, "orders/pages-plain-v2", use_dictionary=False, data_page_version="2.0", **tiny)
    save(table, "orders/dictionary-overflow", dictionary_pagesize_limit=120, **tiny)
    save(table, "orders/checksums", write_page_checksum=True, data_page_version="2.0", row_group_size=20)
    save(table, "orders/page-index", write_page_index=True, row_group_size=20)
    items = "ordered_items.list.element"
    delta = {"id": "PLAIN", "user_id": "DELTA_LENGTH_BYTE_ARRAY", "created_at": "DELTA_BINARY_PACKED", items: "DELTA_BINARY_PACKED"}
    save(table, "orders/delta", use_dictionary=False, column_encoding=delta)
    delta["user_id"] = "DELTA_BYTE_ARRAY"
    save(table, "orders/delta-pages", use_dictionary=False, column_encoding=delta, data_page_version="2.0", **tiny)
    narrow = orders_table(o, items=pa.list_(pa.int32()))
    save(narrow, "orders/delta-int32", use_dictionary=False, column_encoding=delta)
    split = {"created_at": "BYTE_STREAM_SPLIT", items: "BYTE_STREAM_SPLIT"}
    save(table, "orders/split", use_dictionary=False, column_encoding=split)
    save(narrow, "orders/split-int32", use_dictionary=False, column_encoding=split, **tiny)

    days = o.assign(created_at=o.created_at.dt.floor("D"))
    save(orders_table(days, time=pa.date32()), "orders/date")
    write_csv(HERE / "orders/date.csv", features(days, regulars, inventory.price, "last-order"))
    holes = o.assign(ordered_items=[([None] * (n % 3) + v if n % 2 else v + [None]) for n, v in enumerate(o.ordered_items)])
    save(orders_table(holes), "orders/null-items", **tiny)
    write_csv(HERE / "orders/null-items.csv", features(holes, regulars, inventory.price, "last-order"))

    save(orders_table(o[:0]), "empty/typed")
    nothing = pa.table({n: pa.nulls(0) for n in ("user_id", "created_at", "ordered_items")})
    save(nothing, "empty/untyped")


def bad_cases(o, regulars, inventory):
    table = orders_table(o[:30])
    for column in ("user_id", "created_at", "ordered_items"):
        save(table.drop_columns([column]), "bad", "orders-no-" + column)
        holes = o[:30].copy()
        holes[column] = holes[column].astype(object)
        holes.at[17, column] = None
        save(orders_table(holes), "bad", "orders-null-" + column, row_group_size=10)

    def swap(table, column, values):
        return table.set_column(table.column_names.index(column), column, values)

    save(swap(table, "user_id", array(range(30), pa.int64())), "bad/orders-type-user_id")
    save(swap(table, "created_at", array(range(30), pa.int64())), "bad/orders-type-created_at")
    save(swap(table, "ordered_items", array([[str(i)] for i in range(30)], pa.list_(pa.string()))), "bad/orders-type-ordered_items")
    save(swap(table, "ordered_items", array([[[i]] for i in range(30)], pa.list_(pa.list_(pa.int64())))), "bad/orders-nested-items")
    save(swap(table, "ordered_items", array(range(30), pa.int64())), "bad/orders-flat-items")
    save(swap(table, "ordered_items", array([[2**63]] * 30, pa.list_(pa.uint64()))), "bad/orders-huge-items")
    save(swap(table, "user_id", array([b"\xff\xfe"] * 30, pa.binary())), "bad/orders-utf8-user_id")
    save(swap(table, "created_at", array([None] * 30, pa.null())), "bad/orders-all-null-created_at")
    twice = pa.table([table["user_id"], *table.columns], names=["user_id", *table.column_names])
    save(twice, "bad/orders-twice-user_id")

    r = regulars_table(regulars[:30])
    save(r.drop_columns(["variant_id"]), "bad/regulars-no-variant_id")
    save(swap(r, "variant_id", array([0.5] * 30, pa.float64())), "bad/regulars-type-variant_id")
    save(swap(r, "user_id", array(["a"] * 5 + [None] * 25, pa.string())), "bad/regulars-null-user_id")
    i = inventory_table(inventory[:30])
    save(i.drop_columns(["price"]), "bad/inventory-no-price")
    save(swap(i, "price", array(["1.50"] * 30, pa.string())), "bad/inventory-type-price")
    save(swap(i, "price", array([None] * 30, pa.float64())), "bad/inventory-no-known-price")
    save(swap(i, "price", array([float("inf")] * 30, pa.float64())), "bad/inventory-infinite-price")


def side_cases(regulars, inventory):
    save(regulars_table(regulars), "regulars/base")
    for name, kind in {
        "int32": dict(variant=pa.int32()), "uint64": dict(variant=pa.uint64()), "binary": dict(user=pa.binary()),
    }.items():
        save(regulars_table(regulars, **kind), "regulars", name)
    nulls = pd.DataFrame({"user_id": ["repeats", "tie-two"], "variant_id": [None, None]}, dtype=object)
    save(regulars_table(pd.concat([regulars.astype(object), nulls])), "regulars/null-variant", row_group_size=11)

    save(inventory_table(inventory), "inventory/base")
    means = {}
    for name, price in {
        "double": pa.float64(), "float": pa.float32(), "float16": pa.float16(), "int32": pa.int32(), "int64": pa.int64(),
        "uint8": pa.uint8(), "uint64": pa.uint64(), "decimal32": pa.decimal128(8, 2), "decimal64": pa.decimal128(16, 4),
        "decimal128": pa.decimal128(38, 20), "decimal256": pa.decimal256(70, 40), "decimal-small": pa.decimal128(5, 2),
    }.items():
        table = inventory_table(inventory, price)
        integer = name in ("decimal32", "decimal64")
        save(table, "inventory", name, store_decimal_as_integer=integer, row_group_size=100, use_dictionary=name != "float")
        values = pd.Series([None if v is None else float(v) for v in table["price"].to_pylist()], dtype=float)
        means[name] = mean_price(values)
    nan = inventory.price.fillna(float("nan")).to_numpy()
    save(pa.table({"price": pa.array(nan), "variant_id": array([None] * len(nan), pa.int32())}), "inventory/nan")
    means["nan"] = mean_price(inventory.price)
    split = {"price": "BYTE_STREAM_SPLIT"}
    save(inventory_table(inventory), "inventory/split", use_dictionary=False, column_encoding=split, compression="zstd")
    means["split"] = mean_price(inventory.price)
    with open(HERE / "inventory/means.csv", "w") as f:
        f.writelines(f"{name},{float(mean)!r}\n" for name, mean in means.items())


def numbers():
    """A table of each type of number, and its values as pandas reads them."""
    rng = np.random.default_rng(3)
    n = 1300
    hole = rng.random(n) < 0.1
    table = pa.table({
        "double": pa.array(rng.normal(size=n), mask=hole),
        "name": pa.array(["n"] * n),
        "float": pa.array(rng.normal(size=n).astype(np.float32)),
        "half": pa.array(rng.normal(size=n).astype(np.float16)),
        "int8": pa.array(rng.integers(-128, 128, n).astype(np.int8), mask=rng.random(n) < 0.5),
        "uint32": pa.array(rng.integers(0, 2**32, n).astype(np.uint32)),
        "int64": pa.array(rng.integers(-(2**63), 2**63 - 1, n)),
        "uint64": pa.array(rng.integers(0, 2**64 - 1, n, dtype=np.uint64)),
        "bool": pa.array(rng.random(n) < 0.5, mask=hole),
        "decimal": pa.array([decimal.Decimal(int(v)).scaleb(-3) for v in rng.integers(-(10**6), 10**6, n)], pa.decimal128(30, 3)),
        "null": pa.array([None] * n, pa.float64()),
    })
    save(table, "table/numbers", row_group_size=700, data_page_size=1000)
    save(table, "table/numbers-v2", data_page_version="2.0", compression="none", column_encoding={"bool": "RLE", "int64": "DELTA_BINARY_PACKED"},
         use_dictionary=["float", "int8"], data_page_size=2000)
    frame = pd.DataFrame({c: [float("nan") if v is None else float(v) for v in table[c].to_pylist()] for c in table.column_names if c != "name"})
    with open(HERE / "table/numbers.csv", "w") as f:
        f.write(",".join(frame.columns) + "\n")
        for row in frame[::50].itertuples(index=False):
            f.write(",".join(repr(v) for v in row) + "\n")


def main():
    orders, regulars, inventory = sample(sys.argv[1])
    golden(orders, regulars, inventory)
    special = orders[orders.user_id.str.contains("-|old|repeats|empty")].user_id.unique()
    few = list(special) + sorted(set(orders.user_id) - set(special))[6:16]
    o = orders[orders.user_id.isin(few)].reset_index(drop=True)
    r = regulars[regulars.user_id.isin([*few, "no-orders"])].reset_index(drop=True)
    i = inventory[:150]
    order_cases(o, r, i)
    side_cases(r, i)
    bad_cases(o, r, i)
    numbers()


main()
