#!/usr/bin/env bash
# Releases HEAD in a temporary clone, then installs the command and builds a
# program with the library as a new user does: empty caches, and the version on
# a module proxy made of files. Other modules come from the module cache, or
# from GOPROXY where they are not in it.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "release_test: $*" >&2; exit 1; }
step() { echo "-- $* (${SECONDS}s)"; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
repo=$tmp/repo
here=$PWD
module=$(sed -n 's/^module //p' go.mod)
version=v0.0.1-ci.1
state() { git -C "$1" for-each-ref; git -C "$1" rev-parse HEAD; git -C "$1" status --porcelain; }
before=$(state .)
git clone --quiet --config advice.detachedHead=false . "$repo"
git -C "$repo" checkout --quiet --detach "$(git rev-parse HEAD)"

# release runs the clone's script without any git configuration of a user.
release() { (cd "$tmp" && GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 "$repo/release/release.sh" "$@"); }
# commit commits all files of the clone.
commit() { git -C "$repo" add . && git -C "$repo" -c user.name=test -c user.email=test@localhost commit --quiet --message "$*"; }
# refuses checks that a release fails in one line which contains $1 and changes nothing.
refuses() {
  local want=$1 out was
  shift
  was=$(state "$repo")
  if out=$(release "$@" 2>&1); then fail "release.sh ${*@Q}: no error"; fi
  [[ $out == "release: "*"$want"* && $out != *$'\n'* ]] || fail "release.sh ${*@Q}: \"$out\", want one line with \"$want\""
  [[ $(state "$repo") == "$was" ]] || fail "release.sh ${*@Q}: changed the repository"
}

step "refusals"
refuses usage
for bad in "" 0.1.0 v0.1 v2.0.0 v01.0.0 v0.1.0+meta v0.1.0- v0.1.0-01 "v0.1.0 x" $'v0.1.0\n'; do refuses "want v0" "$bad"; done
refuses CHANGELOG.md v0.0.1
refuses exists $version "$tmp"
touch "$repo/new"
refuses "work tree" $version
rm "$repo/new"
echo >>"$repo/go.mod"
refuses "work tree" $version
git -C "$repo" checkout --quiet .
git -C "$repo" tag "cmd/basket/$version"
refuses "tag cmd/basket/$version exists" $version
git -C "$repo" tag --delete "cmd/basket/$version" >"$tmp/log"
head=$(git -C "$repo" rev-parse HEAD)
go -C "$repo/cmd/basket" mod edit -replace=example.com/other=../other
commit "A replace of a module that is not ours"
refuses "cmd/basket/go.mod" $version
git -C "$repo" reset --quiet --hard "$head"

step "release"
release $version "$tmp/proxy"
cd "$repo"
[[ $(git rev-parse HEAD) == "$head" && -z $(git status --porcelain) ]] || fail "the release moved HEAD or left files"
[[ $(git rev-parse "$version^{}") == "$head" ]] || fail "$version is not at HEAD"
[[ -z $(git tag --list 'bench/*') ]] || fail "bench is tagged"
other=$(git diff --name-only "$head" "cmd/basket/$version" | grep -vE '(^|/)go\.(mod|sum)$' || true)
[[ -z $other ]] || fail "the release changes $other"

mkdir "$tmp/home" "$tmp/lib"
pass=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR; do
  if [[ ${!name-} ]]; then pass+=("$name=${!name}"); fi
done
others="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)"
# user runs a command as a user who has Go and nothing else; the proxy is $proxy.
user() {
  env -i PATH="$PATH" HOME="$tmp/home" "${pass[@]}" GOPROXY="file://$proxy,$others" GOSUMDB="$(go env GOSUMDB)" \
    GONOSUMDB="$module" GOFLAGS=-modcacherw "$@"
}

step "go install of the command"
proxy=$tmp/proxy
cd "$tmp/home"
user go install "$module/cmd/basket@$version" 2>"$tmp/log" || fail "go install: $(cat "$tmp/log")"
basket=$tmp/home/go/bin/basket
[[ $(user "$basket" --help) == "Usage: basket <command>"* ]] || fail "basket --help: $("$basket" --help)"
[[ $(user "$basket" inspect "$repo/testdata/models/lightgbm-binary/model.txt") == *trees* ]] || fail "basket inspect"
info=$(go version -m "$basket")
echo "$info" | grep "$module"
grep -q "mod.$module/cmd/basket.$version.h1:" <<<"$info" || fail "build information without the command's version"
grep -q "dep.$module.$version.h1:" <<<"$info" || fail "build information without the library's version"
! grep -q '=>' <<<"$info" || fail "build information with a replacement"

step "a program with the library"
cd "$tmp/lib"
cat >main.go <<END
package main

import (
	"fmt"

	"$module"
)

func main() {
	fmt.Println(basket.LoadModel("$repo/testdata/models/lightgbm-binary/model.txt"))
}
END
user go mod init example.com/lib 2>"$tmp/log"
user go get "$module@$version" 2>"$tmp/log" || fail "go get: $(cat "$tmp/log")"
out=$(user go run .) && [[ $out == *trees*"<nil>" ]] || fail "go run: $out"

step "go.sum in the tag"
git -C "$repo" checkout --quiet "cmd/basket/$version"
user go -C "$repo/cmd/basket" mod tidy -diff 2>"$tmp/log" || fail "go mod tidy: $(cat "$tmp/log")"
git -C "$repo" checkout --quiet "$head"

step "a module between the command and the library"
version=v0.0.1-ci.2
for dir in x/between examples/own; do
  mkdir -p "$repo/$dir"
  cd "$repo/$dir"
  printf 'package between\n\nimport _ "%s"\n' "$module" >between.go
  printf 'module %s\n\ngo 1.26\n\nrequire %s v0.0.0\n\nreplace %s => ../..\n' "$module/$dir" "$module" "$module" >go.mod
done
cd "$repo/cmd/basket"
printf 'package main\n\nimport _ "%s/x/between"\n' "$module" >between.go
go mod edit -require="$module/x/between@v0.0.0" -replace="$module/x/between=../../x/between"
commit "A module between the command and the library"
release $version "$tmp/proxy2"
[[ $(git tag --list "*$version" | tr '\n' ' ') == *"x/between/$version "* ]] || fail "x/between is not tagged"
[[ -z $(git tag --list "examples/*") ]] || fail "a module in examples is tagged"
proxy=$tmp/proxy2
cd "$tmp/home"
user go install "$module/cmd/basket@$version" 2>"$tmp/log" || fail "go install: $(cat "$tmp/log")"
go version -m "$basket" | grep -q "dep.$module/x/between.$version.h1:" || fail "build information without x/between"
[[ -f $tmp/home/go/pkg/mod/$module/x/between@$version/LICENSE ]] || fail "x/between has no license"

[[ $(state "$here") == "$before" ]] || fail "the repository changed"
step "done"
