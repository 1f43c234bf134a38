# Shared by run and long; sourced in the root of the project.

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0

step() { printf '\n== %s (%ds)\n' "$*" "$SECONDS"; }

# Each go.mod is a module; the root comes first.
mapfile -t modules < <(git ls-files 'go.mod' '*/go.mod' | xargs -n1 dirname | sort)

# each COMMAND...: runs a command in each module.
each() { for m in "${modules[@]}"; do echo "-- $m: $*"; (cd "$m" && "$@"); done; }

# packages NAME...: installs Debian packages, as root. Their servers are not started.
packages() {
  local sudo= policy=/usr/sbin/policy-rc.d
  if [ "$(id -u)" != 0 ]; then sudo=sudo; fi
  $sudo apt-get update -qq
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod +x $policy
  else
    policy=
  fi
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  if [ -n "$policy" ]; then $sudo rm $policy; fi
}

# fuzz TIME: fuzzes each target for TIME. Go before 1.27 can fail a target with nothing but
# "context deadline exceeded" when TIME is over (https://go.dev/issue/75804); such a target
# is fuzzed again, once.
fuzz() {
  local file target log
  log=$(mktemp)
  for file in $(git grep -lE '^func Fuzz' -- '*_test.go'); do
    for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file"); do
      echo "-- $file $target"
      fuzz_target "$file" "$target" "$1" | tee "$log" && continue
      if grep -A1 '^--- FAIL' "$log" | grep -q '^ *context deadline exceeded$' && ! grep -qi 'failing input' "$log"; then
        echo "-- $file $target, again: no failing input"
        fuzz_target "$file" "$target" "$1" && continue
      fi
      rm "$log"
      return 1
    done
  done
  rm "$log"
}

# fuzz_target FILE TARGET TIME
fuzz_target() {
  (cd "$(dirname "$1")" && go test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 1x . 2>&1)
}

# python [NAME REQUIREMENTS]: makes a Python environment, by default that of
# bench/fidelity.py, and prints its python.
python() {
  local dir=${TMPDIR:-/tmp}/basket-${1:-fidelity}
  if [ ! -x "$dir/bin/python" ]; then
    python3 -m venv "$dir" >&2
  fi
  "$dir/bin/pip" install --quiet --disable-pip-version-check -r "${2:-bench/fidelity-requirements.txt}" >&2
  echo "$dir/bin/python"
}
