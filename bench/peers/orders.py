"""Writes the files of a made-up shop, for the comparison of features at scale.

orders.py USERS ORDERS FOLDER

A user ID is 128 hex digits. An order has 1 to 15 of the shop's 2,000 variants and a
time within one year, to the second. The first two orders of each user come first, user
by user, so that each has a feature row; the others are of any user. There are three
regulars for each user on average. Row groups have 500,000 rows. The same arguments
give the same files. One million users with ten million orders take 1.8 GB.
"""
import pathlib
import sys

import numpy
import pyarrow
import pyarrow.parquet

user_count, order_count, folder = int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3])
random = numpy.random.default_rng(20210101)
row_group = 500_000
first_variant, variant_count = 40_000_000_000_000, 2_000
year = 365 * 24 * 60 * 60  # seconds

id_length = 128
digits = random.bytes(user_count * id_length // 2).hex().encode()
starts = numpy.arange(user_count + 1, dtype="int32") * id_length
user_ids = pyarrow.StringArray.from_buffers(user_count, pyarrow.py_buffer(starts), pyarrow.py_buffer(digits))


def variants(n):
    return pyarrow.array(first_variant + random.integers(variant_count, size=n))


def users_of_orders(start, n):
    """The first two orders of each user are in turn."""
    users = numpy.arange(start, start + n) % user_count
    later = max(0, min(n, start + n - 2 * user_count))
    users[n - later :] = random.integers(user_count, size=later)
    return user_ids.take(pyarrow.array(users))


def orders(start, n):
    items = random.integers(1, 16, size=n)
    ends = numpy.concatenate([[0], items.cumsum()]).astype("int32")
    times = numpy.datetime64("2021-01-01T00:00:00", "us") + random.integers(year, size=n).astype("timedelta64[s]")
    return {
        "user_id": users_of_orders(start, n),
        "created_at": pyarrow.array(times),
        "ordered_items": pyarrow.ListArray.from_arrays(pyarrow.array(ends), variants(ends[-1])),
    }


def regulars(start, n):
    return {"user_id": user_ids.take(pyarrow.array(random.integers(user_count, size=n))), "variant_id": variants(n)}


def inventory(start, n):
    return {
        "variant_id": pyarrow.array(first_variant + numpy.arange(start, start + n)),
        "price": pyarrow.array((0.5 + random.gamma(2, 3, size=n)).round(2)),
    }


def write(name, row_count, rows):
    """rows(start, n) returns the columns of n rows."""
    writer = None
    for start in range(0, row_count, row_group):
        table = pyarrow.table(rows(start, min(row_group, row_count - start)))
        writer = writer or pyarrow.parquet.ParquetWriter(folder / f"{name}.parquet", table.schema)
        writer.write_table(table, row_group_size=row_group)
    writer.close()


folder.mkdir(parents=True, exist_ok=True)
write("inventory", variant_count, inventory)
write("regulars", 3 * user_count, regulars)
write("orders", order_count, orders)
