"""Measures the computation of feature rows by pandas or DuckDB, with the protocol of
driver.h.

features.py pandas|pandas-tuned|duckdb|duckdb-tuned FOLDER CLOCK [THREADS]

    batch N    compute the newest feature row of each user from the parquet files, N
               times; the answer is the nanoseconds per repetition
    out FILE   write these rows as text, "USER v0 v1 v2 v3", sorted by user ID; the
               answer is "ok"

Without THREADS the rows are computed on one thread, and once before the first command;
the result is a data frame. With THREADS, which DuckDB only takes, nothing is computed
before the first command; a computation opens a database, and its result stays there.

The rules of the features are those of basket.Materializer with LastOrder. "pandas" is
the usual vectorised form with explode and merge. "pandas-tuned" combines user and item
in one number and looks all of them up in a set at once. "duckdb" ranks all orders and
joins them with themselves. "duckdb-tuned" finds the last two orders of each user first,
and reads the items of these only.
"""
import pathlib
import sys
import time

engine, folder = sys.argv[1], pathlib.Path(sys.argv[2])
now = time.process_time_ns if sys.argv[3] == "cpu" else time.perf_counter_ns
threads = int(sys.argv[4]) if len(sys.argv) > 4 else 0
names = ["prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"]

if engine in ("pandas", "pandas-tuned") and not threads:
    import numpy
    import pandas
    import pyarrow

    version = pandas.__version__
    pyarrow.set_cpu_count(1)

    def merged(orders, regulars):
        bought = orders[["user", "ordered_items"]].explode("ordered_items").dropna().reset_index(names="order")
        bought["variant_id"] = bought.pop("ordered_items").astype("int64")
        bought = bought.drop_duplicates(["order", "variant_id"])
        return bought.merge(regulars[["user", "variant_id"]].drop_duplicates(), on=["user", "variant_id"])

    def tuned(orders, regulars):
        variant = numpy.concatenate(orders.ordered_items.to_numpy())
        span = 1 + max(variant.max(), regulars.variant_id.max())
        bought = pandas.DataFrame({
            "order": numpy.repeat(orders.index, orders["items"]),
            "key": numpy.repeat(orders.user.to_numpy(), orders["items"]) * span + variant,
        })
        return bought[bought.key.isin(regulars.user * span + regulars.variant_id)].drop_duplicates()

    def newest():
        orders = pandas.read_parquet(folder / "orders.parquet", columns=["user_id", "created_at", "ordered_items"])
        regulars = pandas.read_parquet(folder / "regulars.parquet", columns=["user_id", "variant_id"])
        price = pandas.read_parquet(folder / "inventory.parquet", columns=["price"]).price.mean()
        # Users become integers, because sorting and joining text takes most of the time.
        orders["user"], users = pandas.factorize(orders.pop("user_id"))
        regulars["user"] = users.get_indexer(regulars.user_id)
        orders = orders.sort_values(["user", "created_at"], kind="stable", ignore_index=True)
        orders["items"] = orders.ordered_items.map(len)
        orders["order_rank"] = orders.groupby("user").created_at.rank().astype("int64")
        hits = tuned(orders, regulars) if engine == "pandas-tuned" else merged(orders, regulars)
        orders["regulars_count"] = hits.groupby("order").size().reindex(orders.index, fill_value=0)
        prior = pandas.DataFrame({
            "user": orders.user, "order_rank": orders.order_rank + 1,
            names[0]: orders["items"] * price, names[1]: orders["items"], names[2]: orders.regulars_count,
        })
        rows = orders[["user", "order_rank", "regulars_count"]].merge(prior, on=["user", "order_rank"]).drop_duplicates("user", keep="last")
        rows["user_id"] = users[rows.user]
        return rows[["user_id", *names]]

elif engine in ("duckdb", "duckdb-tuned"):
    import duckdb

    version = duckdb.__version__
    # Users become integers, as above. "not materialized": to read a column again is
    # cheaper than to keep all of them.
    tables = f"""
    with raw as not materialized (
      select file_row_number as n, user_id, created_at, ordered_items from read_parquet('{folder}/orders.parquet', file_row_number = true)
    ), users as (
      select user_id, row_number() over () :: integer as u from (select distinct user_id from raw)
    ), price as (
      select avg(price) as mean from read_parquet('{folder}/inventory.parquet') where not isnan(price)
    ), owned as (
      select u, list(distinct variant_id) as variants
      from read_parquet('{folder}/regulars.parquet') join users using (user_id) group by u
    )"""
    plain = f"""{tables}, counted as (
      select u, n, created_at, len(ordered_items) as items,
             case when variants is null then 0 else len(list_intersect(ordered_items, variants)) end as regulars
      from raw join users using (user_id) left join owned using (u)
    ), ranked as (
      select *, rank() over (partition by u order by created_at)
                + (count(*) over (partition by u, created_at) - 1) // 2 as order_rank
      from counted
    ), newest as (
      select c.u, max_by(
               struct_pack(a := p.items * (select mean from price), b := p.items, c := p.regulars, d := c.regulars),
               (c.created_at, c.n, p.n)) as v
      from ranked c join ranked p on p.u = c.u and p.order_rank + 1 = c.order_rank group by c.u
    )
    select user_id, v.a as {names[0]}, v.b as {names[1]}, v.c as {names[2]}, v.d as {names[3]} from newest join users using (u)
    """
    # Orders at one time share their mean rank, cut to an integer. It is one more than
    # that of the orders at the time before if and only if one order is at the time
    # before, and one or two are at this time.
    tuned = f"""{tables}, times as (
      select u, created_at, max(n) as n, count(*) as orders from raw join users using (user_id) group by u, created_at
    ), steps as (
      select *, lag(n) over w as prior, lag(orders) over w as prior_orders
      from times window w as (partition by u order by created_at)
    ), newest as (
      select u, max_by(n, created_at) as own, max_by(prior, created_at) as prior
      from steps where prior_orders = 1 and orders <= 2 group by u
    ), counted as (
      select n, len(ordered_items) as items,
             case when variants is null then 0
                  else len(list_distinct(list_filter(ordered_items, lambda v: list_contains(variants, v)))) end as regulars
      from raw join (select u, unnest([own, prior]) as n from newest) using (n) left join owned using (u)
    )
    select user_id, p.items * (select mean from price) as {names[0]}, p.items as {names[1]},
           p.regulars as {names[2]}, o.regulars as {names[3]}
    from newest join users using (u) join counted o on o.n = own join counted p on p.n = prior
    """
    query = tuned if engine == "duckdb-tuned" else plain

    if threads:

        def newest():
            db = duckdb.connect(config={"threads": threads})
            db.execute(f"create table newest as {query}")
            return db.table("newest")

    else:
        db = duckdb.connect(config={"threads": 1})

        def newest():
            return db.sql(query).df()

else:
    sys.exit(f"{engine}: want pandas or pandas-tuned without THREADS, or duckdb or duckdb-tuned")

if not threads:
    newest()
print("ready", version, flush=True)
for line in sys.stdin:
    command, argument = line.split(maxsplit=1)
    argument = argument.rstrip("\n")
    if command == "batch":
        start = now()
        for _ in range(int(argument)):
            rows = newest()
        answer = (now() - start) / int(argument)
    elif command == "out":
        rows = newest()
        if threads:
            rows = rows.df()
        with open(argument, "w") as out:
            for row in rows.sort_values("user_id").itertuples(index=False):
                print(row[0], *(repr(float(v)) for v in row[1:]), file=out)
        answer = "ok"
    else:
        sys.exit(f"{line}: unknown command")
    print(answer, flush=True)
