#!/bin/sh
# Makes a checkout able to run (`setup.sh run`) or to run, test and measure (`setup.sh all`).
#
# Wants git, make and a Python of 3.11 or newer. Safe to repeat; quick when there is nothing to do: each step leaves a
# stamp that names what it was made from. What cannot be had here (no apt-get, no network) is said, not fatal, unless
# the broker itself cannot run without it: the tests that need it are skipped and say so.
set -eu
cd "$(dirname "$0")/.."
what=${1:-all}
venv=.venv

say() { printf 'setup: %s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

apt_updated=
# apt PACKAGE...: install Debian packages where that is allowed.
apt() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ -z "$apt_updated" ]; then
        as_root apt-get update -qq >/dev/null 2>&1 || true
        apt_updated=yes
    fi
    say "apt-get install $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-} python3 python3.11 python3.12 python3.13 python3.14 python; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    say "Python 3.11 or newer is needed (set PYTHON to its path if it is not on the PATH)"
    exit 1
}

# Debian's Python may come without ensurepip: then pip enters the environment another way.
make_venv() {
    python=$(find_python)
    say "virtual environment of $("$python" -V) in $venv"
    if "$python" -m venv --clear "$venv" >/dev/null 2>&1; then return; fi
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if { apt "python$version-venv" || apt python3-venv; } && "$python" -m venv --clear "$venv" >/dev/null 2>&1; then return; fi
    "$python" -m venv --clear --without-pip "$venv"
    if "$python" -m pip --version >/dev/null 2>&1 && "$python" -m pip --python "$venv/bin/python" install -q pip; then return; fi
    for wheel in /usr/share/python-wheels/pip-*.whl; do
        if [ -e "$wheel" ] && "$venv/bin/python" "$wheel/pip" install -q --no-index "$wheel"; then return; fi
    done
    rm -rf "$venv"
    say "no way found to get pip into a virtual environment: install the package python3-venv"
    exit 1
}

# fresh STAMP KEY: whether the step was done for this very key.
fresh() { [ -e "$venv/$1" ] && [ "$(cat "$venv/$1")" = "$2" ]; }
stamp() { printf '%s\n' "$2" >"$venv/$1"; }
hash_of() { cat "$@" | cksum; }

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null || make_venv

key=$(hash_of requirements/dev.txt pyproject.toml)
if ! fresh .installed "$key" || [ ! -x "$venv/bin/moldau" ]; then
    say "Python packages at the versions of requirements/dev.txt"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements/dev.txt
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
    stamp .installed "$key"
fi
[ "$what" = run ] && exit 0

# Commands the tests and benchmarks use, and the packages they come in.
for pair in cc:gcc kcat:kcat java:openjdk-17-jre-headless mvn:maven strace:strace; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || apt "${pair##*:}" || say "${pair%%:*} is not to be had here: what needs it will be skipped"
done
# Debian moves on from Java 17: any newer one runs the peer as well.
command -v java >/dev/null 2>&1 || apt default-jre-headless || true
if command -v cc >/dev/null 2>&1 && ! printf '#include <stdio.h>\nint main(void){return 0;}\n' | cc -x c -o /dev/null - 2>/dev/null; then
    apt libc6-dev || say "no C library headers: the load generators cannot be built"
fi

key=$(hash_of bench/*.c bench/*.h)
if command -v cc >/dev/null 2>&1 && ! fresh .generators "$key"; then
    say "load generators (bench/*.c)"
    "$venv/bin/python" -m bench.build && stamp .generators "$key" || say "the load generators could not be built"
fi

if command -v mvn >/dev/null 2>&1 && command -v java >/dev/null 2>&1; then
    key=$(hash_of tests/support/peer.pom.xml)
    if ! fresh .peer "$key" || [ -n "$("$venv/bin/python" -m tests.support.peer missing)" ]; then
        say "Apache Kafka, the peer, into the user's cache"
        "$venv/bin/python" -m tests.support.peer fetch && stamp .peer "$key" || say "Apache Kafka could not be fetched: what needs it will be skipped"
    fi
fi
