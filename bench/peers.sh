#!/bin/sh
# Sets up what `go run .` compares with, in bench/work or the folder given:
#
#   bench/peers.sh [FOLDER]
#
# a Python of its own with LightGBM, lleaves, XGBoost, scikit-learn, pandas and
# DuckDB; a small driver for each library that has a C interface; and wrk, if
# this is Debian and you are root. What cannot be had is left out and named.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/work}
mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
left=0
leave() { echo "left out: $1: $2" >&2; left=$((left + 1)); }

python=$work/venv/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "$work/venv" || leave "all Python peers" "python3 with venv is not here, or failed"
fi

command -v timeout >/dev/null || timeout() { shift; "$@"; }

# install NAME PACKAGE... : one peer a call, so that one which fails takes no other along.
install() {
  name=$1
  shift
  [ -x "$python" ] || return 1
  if timeout 900 "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@" >"$work/pip.log" 2>&1; then
    echo "have: $name"
  else
    leave "$name" "pip: $(grep -i error "$work/pip.log" | tail -1)"
    return 1
  fi
}

# library PACKAGE FILE: where the package has its shared library.
library() { "$python" -c "import importlib.util as u, pathlib as p; print(next(p.Path(u.find_spec('$1').origin).parent.glob('lib/$2.*')))"; }

# build NAME VERSION-OR-NOTHING LIBRARY
build() {
  if ! command -v cc >/dev/null; then
    leave "the driver of $1" "no C compiler, cc"
  elif cc -O3 -Wall -o "$work/$1" -DVERSION="\"$2\"" "$here/peers/$1.c" "$3" "-Wl,-rpath,$(dirname "$3")"; then
    echo "have: the driver of $1"
  else
    leave "the driver of $1" "cc failed"
  fi
}

if install lightgbm lightgbm==4.7.0; then
  build lightgbm 4.7.0 "$(library lightgbm lib_lightgbm)"
fi
install lleaves lleaves==1.3.0 'llvmlite<0.45' 'pandas<3' # its driver is built by `go run .`, one a model
if install xgboost xgboost==3.2.0; then
  build xgboost 3.2.0 "$(library xgboost libxgboost)"
fi
install scikit-learn scikit-learn joblib threadpoolctl 'pandas<3'
install "pandas and DuckDB" 'pandas<3' pyarrow duckdb

if ! command -v wrk >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk; } >"$work/apt.log" 2>&1 ||
      leave wrk "apt-get: $(tail -1 "$work/apt.log"); a load generator in Go stands in"
  else
    leave wrk "not here, and only root can install it, on Debian; a load generator in Go stands in"
  fi
fi
echo "set up in $work; left out: $left"
