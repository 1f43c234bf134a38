"""features.py FOLDER SQL FILE: computes feature rows of a folder of orders with DuckDB, and
writes them to a parquet file in the columns of basketparquet.WriteRows, but total_orders,
which is zero."""
import sys

import duckdb

folder, sql, out = sys.argv[1:]
db = duckdb.connect()
for table in ("orders", "regulars", "inventory"):
    path = f"{folder}/{table}.parquet".replace("'", "''")
    db.execute(f"create view {table} as select * from read_parquet('{path}')")
db.execute(open(sql).read())
out = out.replace("'", "''")
db.execute(f"""copy (select user_id, prior_basket_value, prior_item_count, prior_regulars_count, regulars_count,
    0::bigint as total_orders, created_at::timestamp_ns as ordered_at from rows) to '{out}' (format parquet)""")
print("DuckDB", duckdb.__version__)
