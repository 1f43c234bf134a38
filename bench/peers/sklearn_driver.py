"""Measures a scikit-learn model on one thread, with the protocol of driver.h.

sklearn_driver.py MODEL.joblib ROWS NROWS NCOLUMNS CLOCK

A single row is passed as an array of one row. Loading a model executes code from the
file, as pickle does, so load trusted files only.
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
row = 0
for line in sys.stdin:
    command, argument = line.split(maxsplit=1)
    argument = argument.rstrip("\n")
    if command == "one":
        times = int(argument)
        start = now()
        for _ in range(times):
            model.predict(one[row])
            row = (row + 1) % n
        answer = (now() - start) / times
    elif command == "batch":
        times = int(argument)
        start = now()
        for _ in range(times):
            model.predict(rows)
        answer = (now() - start) / times / n
    elif command == "out":
        # Only the first rows are predicted singly, because a call takes about 1 ms.
        single = numpy.concatenate([model.predict(r) for r in one[:600]])
        numpy.concatenate([single, model.predict(rows)]).astype("float64").tofile(argument)
        answer = "ok"
    else:
        sys.exit(f"{line}: unknown command")
    print(answer, flush=True)
