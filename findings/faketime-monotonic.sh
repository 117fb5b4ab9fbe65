#!/bin/bash
# Most would guess: a program that faketime runs "25 hours ago" sees another time of day, and clocks that count from the boot either
# go on as they are or are 25 hours off as well; both leave them near the time since the boot.
#
# So it is not: unless it is told otherwise, CLOCK_MONOTONIC and CLOCK_BOOTTIME show the made-up time of day, seconds since 1970. What
# compares them with /proc/uptime, or with what another process left in a file, is half a century off, and a test that sets the
# clock back in this way sets back the one that nobody can set, too. FAKETIME_DONT_FAKE_MONOTONIC=1 leaves both alone.
#
# libfaketime 0.9.10-2.1 (Debian 12). faketime(1) has --exclude-monotonic and says nothing of the value; fake_clock_gettime() in
# libfaketime.c.
#
# Needs apt-get and a C compiler; seconds.
set -eu
version=0.9.10-2.1

command -v apt-get cc dpkg-deb >/dev/null || { echo "needs apt-get, dpkg-deb and cc" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download "libfaketime=$version" >log 2>&1 || { tail -n 3 log >&2; exit 2; }
dpkg-deb -x libfaketime_*.deb . && echo "libfaketime $version"
library=$(echo "$work"/usr/lib/*/faketime/libfaketime.so.1)

cat >clocks.c <<'C'
#include <stdio.h>
#include <time.h>
int main(void) {
    struct timespec day, boot, monotonic;
    clock_gettime(CLOCK_REALTIME, &day);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    printf("%ld %ld %ld\n", (long)day.tv_sec, (long)boot.tv_sec, (long)monotonic.tv_sec);
}
C
cc -o clocks clocks.c

show() { printf '%-34s realtime %s, boottime %s, monotonic %s\n' "$@"; }
near() { [ $(($1 - $2)) -le 5 ] && [ $(($2 - $1)) -le 5 ]; }
read -r day boot monotonic < <(./clocks)
show 'as it is:' "$day" "$boot" "$monotonic"
read -r day_faked boot_faked monotonic_faked < <(FAKETIME=-25h LD_PRELOAD=$library ./clocks)
show 'FAKETIME=-25h:' "$day_faked" "$boot_faked" "$monotonic_faked"
read -r day_left boot_left monotonic_left < <(FAKETIME=-25h FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=$library ./clocks)
show 'with FAKETIME_DONT_FAKE_MONOTONIC:' "$day_left" "$boot_left" "$monotonic_left"

near "$day_faked" $((day - 90000)) && near "$boot_faked" "$day_faked" && near "$monotonic_faked" "$day_faked" || exit 1
near "$day_left" $((day - 90000)) && near "$boot_left" "$boot" && near "$monotonic_left" "$monotonic" || exit 1
