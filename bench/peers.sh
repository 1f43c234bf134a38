#!/bin/sh
# Installs the peers of the benchmarks in FOLDER, by default bench/work:
#
#   bench/peers.sh [FOLDER]
#
# The peers are a Python environment with LightGBM, lleaves, XGBoost, scikit-learn,
# pandas and DuckDB; a driver for each library with a C interface; and the load
# generator wrk, on Debian and as root only. Peers that cannot be installed are skipped
# and listed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/work}
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
skipped=0
skip() { echo "skipped: $1: $2" >&2; skipped=$((skipped + 1)); }

python=$work/venv/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "$work/venv" || skip "all Python peers" "python3 -m venv failed"
fi

command -v timeout >/dev/null || timeout() { shift; "$@"; }

# install NAME PACKAGE...: one call per peer, so that a failure affects this peer only.
install() {
  name=$1
  shift
  [ -x "$python" ] || return 1
  if timeout 900 "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@" >"$work/pip.log" 2>&1; then
    echo "installed: $name"
  else
    skip "$name" "pip: $(grep -i error "$work/pip.log" | tail -1)"
    return 1
  fi
}

# library PACKAGE FILE: prints the path of the shared library in a Python package.
library() { "$python" -c "import importlib.util as u, pathlib as p; print(next(p.Path(u.find_spec('$1').origin).parent.glob('lib/$2.*')))"; }

# build NAME VERSION LIBRARY: compiles the driver peers/NAME.c.
build() {
  if ! command -v cc >/dev/null; then
    skip "the driver of $1" "no C compiler (cc)"
  elif cc -O3 -Wall -o "$work/$1" -DVERSION="\"$2\"" "$here/peers/$1.c" "$3" "-Wl,-rpath,$(dirname "$3")"; then
    echo "built: the driver of $1"
  else
    skip "the driver of $1" "cc failed"
  fi
}

if install lightgbm lightgbm==4.7.0; then
  build lightgbm 4.7.0 "$(library lightgbm lib_lightgbm)"
fi
install lleaves lleaves==1.3.0 'llvmlite<0.45' 'pandas<3' # `go run .` builds its driver, one per model
if install xgboost xgboost==3.2.0; then
  build xgboost 3.2.0 "$(library xgboost libxgboost)"
fi
install scikit-learn scikit-learn joblib threadpoolctl 'pandas<3'
install "pandas and DuckDB" 'pandas<3' pyarrow duckdb

if ! command -v wrk >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk; } >"$work/apt.log" 2>&1 ||
      skip wrk "apt-get: $(tail -1 "$work/apt.log"); the load generator in Go replaces it"
  else
    skip wrk "not installed, and this script installs it only on Debian and as root; the load generator in Go replaces it"
  fi
fi
echo "peers are in $work; skipped: $skipped"
