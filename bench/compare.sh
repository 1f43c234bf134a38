#!/usr/bin/env bash
# Benchmarks of the root module at HEAD against where it left a branch:
#
#   bench/compare.sh BASE
#
# Both run in turns, in work trees of their own, and benchstat compares them. A
# shared machine is noisy, so this fails only if all benchmarks together, by the
# geometric mean, take more than 1.5 times as long; LIMIT sets another bound.
set -euo pipefail
cd "$(dirname "$0")/.."

benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
limit=${LIMIT:-1.5}
count=${COUNT:-6}
# Package and benchmarks.
list='
.                    ^Benchmark(Predictor_Predict|Handler)$
.                    ^BenchmarkMemoryStore_Row$/^users=1000$
./basketparquet      ^BenchmarkMaterialize$/^data=golden$
./basketleaves       ^BenchmarkPredict$
./internal/lightgbm  ^BenchmarkRead$
'

[ $# = 1 ] || { echo "usage: bench/compare.sh BASE" >&2; exit 2; }
head=$(git rev-parse --verify HEAD)
base=$(git merge-base "$1" HEAD) || { echo "$1 and HEAD have no common commit here" >&2; exit 2; }
if [ "$base" = "$head" ]; then
  echo "HEAD is part of $1: nothing to compare"
  exit 0
fi

work=$(mktemp -d)
clean() {
  for side in base head; do
    git worktree remove --force "$work/$side" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap clean EXIT
git worktree add --quiet --detach "$work/base" "$base"
git worktree add --quiet --detach "$work/head" "$head"

# One program a package and side, built before the turns.
program() { echo "$work/$1$(tr ./ __ <<<"$2").test"; }
for package in $(awk '{print $1}' <<<"$list" | sort -u); do
  for side in base head; do
    (cd "$work/$side" && go test -c -o "$(program "$side" "$package")" "$package") ||
      { echo "$side: $package: no benchmarks" >&2; rm -f "$(program "$side" "$package")"; }
  done
done

for ((round = 0; round < count; round++)); do
  sides="base head"
  if ((round % 2)); then sides="head base"; fi
  while read -r package pattern; do
    [ -n "$package" ] || continue
    for side in $sides; do
      [ -x "$(program "$side" "$package")" ] || continue
      (cd "$work/$side/$package" &&
        "$(program "$side" "$package")" -test.run '^$' -test.bench "$pattern" -test.benchtime 100ms -test.timeout 5m) >>"$work/$side.txt"
    done
  done <<<"$list"
done

echo "base ${base:0:12}, head ${head:0:12}, $count rounds in turns"
go run "$benchstat" "base=$work/base.txt" "head=$work/head.txt"
go run "$benchstat" -filter .unit:sec/op -format csv "base=$work/base.txt" "head=$work/head.txt" 2>/dev/null >"$work/table.csv"
awk -F, -v limit="$limit" '
  $1 != "geomean" && $2 + 0 > 0 && $4 + 0 > 0 { n++; sum += log($4 / $2) } # one benchmark a line: name, base, +-, head
  END {
    if (!n) { print "no benchmark is in both" ; exit 1 }
    ratio = exp(sum / n)
    printf "geometric mean of time: head takes %.3f of the base, at most %s is allowed\n", ratio, limit
    exit ratio > limit
  }' "$work/table.csv"
