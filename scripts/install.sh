#!/bin/sh
# Installs, on Debian and its kin, the packages of programs that are missing:
#
#	install.sh [-required] PROGRAM=PACKAGE[,PACKAGE...] ...
#
# Where it may not (not root, no apt-get) it says so and goes on; with -required
# that is an error. No service is started by an installation.
set -eu
required=
if [ "${1-}" = -required ]; then
	required=1
	shift
fi
programs= packages=
for need in "$@"; do
	program=${need%%=*}
	if ! PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null; then
		programs="$programs $program"
		packages="$packages $(echo "${need#*=}" | tr , ' ')"
	fi
done
[ -n "$programs" ] || exit 0

give_up() {
	if [ -n "$required" ]; then
		echo "missing:$programs ($1); install:$packages" >&2
		exit 1
	fi
	echo "missing:$programs ($1); tests that need them will be skipped. To have them, install:$packages" >&2
	exit 0
}
[ "$(id -u)" = 0 ] || give_up "not root"
command -v apt-get >/dev/null || give_up "no apt-get"

log=$(mktemp)
policy=/usr/sbin/policy-rc.d # what it says when asked whether to start a service
own=
clean() {
	rm -f "$log"
	[ -z "$own" ] || rm -f "$policy"
}
trap clean EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
	own=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
echo "installing for$programs:$packages" >&2
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >>"$log" 2>&1 </dev/null; }
# shellcheck disable=SC2086 # a list of words
if ! { apt update && apt install -y --no-install-recommends $packages; }; then
	tail -n 20 "$log" >&2
	give_up "apt-get failed"
fi
