CREATE TABLE IF NOT EXISTS {table} (
    user_id    text COLLATE "C" PRIMARY KEY,
    ordered_at timestamptz NOT NULL, -- event time of the order, cut to the microsecond
    ordered_ns smallint NOT NULL DEFAULT 0 CHECK (ordered_ns BETWEEN 0 AND 999), -- nanoseconds after ordered_at
    number     bigint NOT NULL, -- which of the user's feature rows it is, from one
    {features} -- NULL is missing
)
