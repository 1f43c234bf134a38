#!/usr/bin/env bash
# Compares the benchmarks of the root module at HEAD with those at the merge base of
# BASE and HEAD:
#
#   bench/compare.sh BASE
#
# Both are built in temporary work trees and run in alternating order; benchstat
# compares them. The script fails if the geometric mean of the times grows by more than
# the factor LIMIT, by default 1.5, because a shared machine is noisy. COUNT is the
# number of rounds, by default 6.
set -euo pipefail
cd "$(dirname "$0")/.."

benchstat=golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
limit=${LIMIT:-1.5}
count=${COUNT:-6}
# Each line is a package and a pattern of benchmarks.
list='
.                    ^Benchmark(Predictor_Predict|Handler)$
.                    ^BenchmarkMemoryStore_Row$/^users=1000$
./basketparquet      ^BenchmarkMaterialize$/^data=golden$
./basketleaves       ^BenchmarkPredict$
./internal/lightgbm  ^BenchmarkRead$
'

[ $# = 1 ] || { echo "usage: bench/compare.sh BASE" >&2; exit 2; }
head=$(git rev-parse --verify HEAD)
base=$(git merge-base "$1" HEAD) || { echo "$1 and HEAD have no merge base in this clone" >&2; exit 2; }
if [ "$base" = "$head" ]; then
  echo "HEAD is part of $1: nothing to compare"
  exit 0
fi

work=$(mktemp -d)
clean() {
  for version in base head; do
    git worktree remove --force "$work/$version" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap clean EXIT
git worktree add --quiet --detach "$work/base" "$base"
git worktree add --quiet --detach "$work/head" "$head"

# program VERSION PACKAGE: prints the path of the test binary.
program() { echo "$work/$1$(tr ./ __ <<<"$2").test"; }
for package in $(awk '{print $1}' <<<"$list" | sort -u); do
  for version in base head; do
    (cd "$work/$version" && go test -c -o "$(program "$version" "$package")" "$package") ||
      { echo "$version: $package does not build: its benchmarks are skipped" >&2; rm -f "$(program "$version" "$package")"; }
  done
done

for ((round = 0; round < count; round++)); do
  versions="base head"
  if ((round % 2)); then versions="head base"; fi
  while read -r package pattern; do
    [ -n "$package" ] || continue
    for version in $versions; do
      [ -x "$(program "$version" "$package")" ] || continue
      (cd "$work/$version/$package" &&
        "$(program "$version" "$package")" -test.run '^$' -test.bench "$pattern" -test.benchtime 100ms -test.timeout 5m) >>"$work/$version.txt"
    done
  done <<<"$list"
done

echo "base ${base:0:12}, head ${head:0:12}, $count interleaved rounds"
go run "$benchstat" "base=$work/base.txt" "head=$work/head.txt"
go run "$benchstat" -filter .unit:sec/op -format csv "base=$work/base.txt" "head=$work/head.txt" 2>/dev/null >"$work/table.csv"
awk -F, -v limit="$limit" '
  $1 != "geomean" && $2 + 0 > 0 && $4 + 0 > 0 { n++; sum += log($4 / $2) } # each line: name, base, +-, head
  END {
    if (!n) { print "no benchmark ran in both" ; exit 1 }
    ratio = exp(sum / n)
    printf "geometric mean: head takes %.3f times as long as base, limit %s\n", ratio, limit
    exit ratio > limit
  }' "$work/table.csv"
