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

# fuzz TIME: fuzzes each target of the root module for TIME.
fuzz() {
  local file target
  for file in $(git grep -lE '^func Fuzz' -- '*_test.go'); do
    for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file"); do
      echo "-- $file $target"
      (cd "$(dirname "$file")" && go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 1x .)
    done
  done
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
