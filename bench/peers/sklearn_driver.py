"""Measures a scikit-learn model on one thread; the protocol is that of driver.h.

sklearn_driver.py MODEL.joblib ROWS NROWS NCOLUMNS CLOCK

One row goes in as an array of one row, the batch as one array. A model is loaded
as pickle does it, so give only files whose maker you trust.
"""
import sys
import time
import warnings

import joblib
import numpy
import sklearn
import threadpoolctl

warnings.filterwarnings("ignore")
threadpoolctl.threadpool_limits(1)
path, file, n, columns = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
now = time.process_time_ns if sys.argv[5] == "cpu" else time.perf_counter_ns
model = joblib.load(path)
rows = numpy.fromfile(file).reshape(n, columns)
if getattr(model, "feature_names_in_", None) is not None:
    import pandas

    rows = pandas.DataFrame(rows, columns=model.feature_names_in_)
    one = [rows.iloc[i : i + 1] for i in range(n)]
else:
    one = [rows[i : i + 1] for i in range(n)]

print("ready", sklearn.__version__, flush=True)
at = 0
for line in sys.stdin:
    command, argument = line.split(maxsplit=1)
    argument = argument.rstrip("\n")
    if command == "one":
        times = int(argument)
        start = now()
        for _ in range(times):
            model.predict(one[at])
            at = (at + 1) % n
        answer = (now() - start) / times
    elif command == "batch":
        times = int(argument)
        start = now()
        for _ in range(times):
            model.predict(rows)
        answer = (now() - start) / times / n
    elif command == "out":
        # Row by row for the first rows only: a thousand take a second.
        single = numpy.concatenate([model.predict(r) for r in one[:600]])
        numpy.concatenate([single, model.predict(rows)]).astype("float64").tofile(argument)
        answer = "ok"
    else:
        sys.exit(f"{line}: no command")
    print(answer, flush=True)
