#!/bin/sh
# Says at once what a target of the Makefile lacks on this machine, and which package has it: not after the minutes that
# building takes.
#
#   packaging/needs.sh build|check|demo|install|test|test-hosts|bench|fuzz|miri|package [deb|rpm|tar...]
set -eu

missing=

# lacks WHAT DEBIAN FEDORA: the packages that have it.
lacks() {
    if command -v apt-get >/dev/null; then
        missing="$missing
  $1: apt-get install $2"
    elif command -v dnf >/dev/null; then
        missing="$missing
  $1: dnf install $3"
    else
        missing="$missing
  $1: package $2 of Debian, $3 of Fedora"
    fi
}
need() { command -v "$1" >/dev/null || lacks "$@"; }
own() { missing="$missing
  $1"; }

building() {
    command -v cargo >/dev/null || own "cargo: Rust $(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml) or later, see https://rustup.rs"
    # SQLite and ring are compiled from C.
    if ! command -v cc >/dev/null; then
        lacks cc "gcc libc6-dev" "gcc glibc-devel"
    elif ! echo '#include <stdio.h>' | cc -E - >/dev/null 2>&1; then
        lacks stdio.h libc6-dev glibc-devel
    fi
}
root() { [ "$(id -u)" = 0 ] || own "root: sudo make $1"; }

# A private machine, as tests and demo make them.
machine() {
    need unshare util-linux util-linux
    if [ "$(id -u)" = 0 ] && command -v unshare >/dev/null && ! unshare --mount --net --pid --fork true 2>/dev/null; then
        own "namespaces: unshare fails here; in a container, it takes one that may make them (--privileged)"
    fi
}

# What the target installs by itself where there is apt (tests/prerequisites.sh, tests/demo.sh).
installs() {
    command -v apt-get >/dev/null || own "apt-get: $1 takes programs by the names of Debian's packages, and tests run on Debian alone"
}

cd "$(dirname "$0")/.."
target=${1:?usage: packaging/needs.sh TARGET}
shift
building
case $target in
build) ;;
check)
    for part in fmt clippy; do
        cargo $part --version >/dev/null 2>&1 || own "cargo $part: rustup component add rustfmt clippy"
    done
    ;;
install) root install ;;
test | test-hosts | bench)
    root "$target"
    machine
    sh tests/prerequisites.sh --are-there "$target" || installs "$target"
    ;;
demo)
    machine
    # Without root it shows decisions alone, and takes nothing more.
    if [ "$(id -u)" = 0 ]; then
        for program in sshd:openssh-server ssh:openssh-client sudo:sudo useradd:passwd ip:iproute2; do
            PATH=$PATH:/usr/sbin:/sbin command -v "${program%%:*}" >/dev/null || command -v apt-get >/dev/null ||
                lacks "${program%%:*}" "${program#*:}" "${program#*:}"
        done
    fi
    ;;
fuzz)
    # libFuzzer is C++.
    need c++ g++ gcc-c++
    need xargs findutils findutils
    ;;
miri)
    for part in miri rust-src; do
        rustup +nightly component list --installed 2>/dev/null | grep -q "^$part" ||
            own "$part of nightly Rust: rustup toolchain install nightly --component miri,rust-src"
    done
    ;;
package)
    need strip binutils binutils
    for format in "$@"; do
        case $format in
        deb)
            need dpkg-deb dpkg dpkg
            need dpkg-shlibdeps dpkg-dev dpkg-dev
            ;;
        rpm) need rpmbuild rpm rpm-build ;;
        tar)
            need tar tar tar
            need gzip gzip gzip
            ;;
        esac
    done
    ;;
*) echo "packaging/needs.sh: $target: not a target of the Makefile" >&2; exit 64 ;;
esac
[ -z "$missing" ] || { echo "make $target needs:$missing" >&2; exit 1; }
