#!/bin/sh
# Runs every fuzz target of the module for a while: fuzz.sh DURATION [PACKAGES].
set -eu
duration=$1
shift
[ $# -gt 0 ] || set -- ./...
status=0
for package in $(go list "$@"); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target, $duration"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$package" || status=1
	done
done
exit $status
