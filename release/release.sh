#!/usr/bin/env bash
# Tags HEAD and every released module with one version. README.md describes a
# release.
#
#   release/release.sh VERSION [PROXY]
#
# PROXY is a folder to create: a module proxy of files that holds the version.
#
# The work is done in a temporary clone and the tags are fetched from it at the
# end, so a release that fails changes nothing. The go command downloads our
# modules from the clone as a public proxy downloads them from the origin, so
# the sums that it writes to go.sum are those that every user computes.
set -euo pipefail
fail() { echo "release: $*" >&2; exit 1; }

[[ $# == 1 || $# == 2 ]] || fail "usage: release/release.sh VERSION [PROXY]"
version=$1 proxy=${2-}
[[ $proxy == "" || $proxy == /* ]] || proxy=$PWD/$proxy
cd "$(dirname "$0")/.."
repository=$PWD

number='(0|[1-9][0-9]*)' word='(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)'
[[ $version =~ ^v[01]\.$number\.$number(-$word(\.$word)*)?$ ]] ||
  fail "version ${version@Q}: want v0.MINOR.PATCH or v1.MINOR.PATCH, such as v0.3.0 or v0.3.0-rc.1"
[[ -z $(git status --porcelain) ]] || fail "the work tree has changes: commit or remove them (see git status)"
present=$(git tag --list "$version" "*/$version")
[[ -z $present ]] || fail "tag ${present%%$'\n'*} exists: use the next version"
[[ $version == *-* ]] || grep -qE "^## \[?${version:1}\]?( |$)" CHANGELOG.md ||
  fail "CHANGELOG.md has no section \"## ${version:1}\": rename \"Unreleased\" and commit"
[[ -z $proxy || ! -e $proxy ]] || fail "$proxy exists: name a new folder"

# The released modules, by folder: those that others may import or install.
mapfile -t dirs < <(git ls-files go.mod '*/go.mod' | grep -vE '(^|/)(bench|examples|parity|testdata|browser)/' | xargs -n1 dirname)
declare -A path tag
for dir in "${dirs[@]}"; do
  path[$dir]=$(sed -n 's/^module //p' "$dir/go.mod")
  tag[$dir]=$dir/$version
done
root=${path[.]} name=${path[.]##*/}
tag[.]=$version
for dir in "${dirs[@]}"; do
  [[ $dir == . || ${path[$dir]} == "$root/$dir" ]] || fail "$dir/go.mod: module ${path[$dir]}: want $root/$dir"
done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tree=$tmp/tree
git clone --quiet --config advice.detachedHead=false . "$tree"
git -C "$tree" config user.name "$(git config user.name || echo "$name release")"
git -C "$tree" config user.email "$(git config user.email || echo release@localhost)"
git -C "$tree" checkout --quiet --detach "$(git rev-parse HEAD)"

# The go command finds our modules in the clone, and reads other modules from
# the present module cache before it asks a proxy.
n=${GIT_CONFIG_COUNT:-0}
export GIT_CONFIG_COUNT=$((n + 1)) "GIT_CONFIG_KEY_$n=url.$tree.insteadOf" "GIT_CONFIG_VALUE_$n=https://$root"
GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
export GOPROXY GONOPROXY=$root GONOSUMDB=$root
export GOMODCACHE=$tmp/mod GOWORK=off GOFLAGS="-modcacherw -trimpath -buildvcs=false"
cd "$tree"

# run hides the output of a command that succeeds.
run() { "$@" >"$tmp/log" 2>&1 || { cat "$tmp/log" >&2; fail "$* failed"; }; }

# tag_module tags the module in folder $1 after the modules of ours that it
# requires. If two require each other, go mod tidy fails.
declare -A started
tag_module() {
  local dir=$1 other
  [[ -z ${started[$dir]-} ]] || return 0
  started[$dir]=1
  for other in "${dirs[@]}"; do
    if grep -qF "${path[$other]} v" "$dir/go.mod"; then tag_module "$other"; fi
  done
  for other in "${dirs[@]}"; do
    go mod edit -dropreplace="${path[$other]}" "$dir/go.mod"
    if grep -qF "${path[$other]} v" "$dir/go.mod"; then go mod edit -require="${path[$other]}@$version" "$dir/go.mod"; fi
  done
  go mod edit -json "$dir/go.mod" >"$tmp/mod.json"
  ! grep -qE '"(Replace|Exclude)": \[' "$tmp/mod.json" || fail "$dir/go.mod: go install refuses replace and exclude: remove them"
  if ! git diff --quiet; then
    run go -C "$dir" mod tidy
    run go -C "$dir" build -o /dev/null ./...
    git add "$dir/go.mod" "$dir/go.sum"
    git commit --quiet --message "$dir: require $name $version"
  fi
  git tag --annotate --message "$name $version" "${tag[$dir]}"
}
for dir in "${dirs[@]}"; do tag_module "$dir"; done
for dir in "${dirs[@]}"; do run go mod download "${path[$dir]}@$version"; done

cd "$repository"
if [[ $proxy ]]; then # the download cache has the layout of a proxy
  mkdir -p "$proxy/${root%/*}"
  cp -R "$GOMODCACHE/cache/download/$root" "$proxy/$root"
  find "$proxy" -name '*.lock' -delete
fi
refs=()
for t in "${tag[@]}"; do refs+=(tag "$t"); done
git fetch --quiet --atomic --no-tags --no-write-fetch-head "$tree" "${refs[@]}"

# HEAD:main makes the push fail if main has commits that HEAD lacks, so the tag
# is always on main. --atomic publishes all tags or none.
echo "tagged; publish with:"
echo "  git push --atomic origin HEAD:main ${tag[*]}"
