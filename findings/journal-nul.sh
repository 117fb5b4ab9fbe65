#!/bin/bash
# Most would guess: journald makes one record of each line that a service writes to its standard error, so text that has no line
# feed in it is a part of the record that it stands in.
#
# So it is, but for NUL: it ends a record as a line feed does, and what stands behind it is a record of its own, with the service's
# name, process and priority, which journalctl shows below the first as if the service had said it. A carriage return, a form
# feed, U+0085, U+2028 and U+2029 end none. Without -o json, in which _LINE_BREAK is "nul", the two cannot be told from
# two lines.
#
# systemd 252.39-1~deb12u2 (Debian 12). systemd.journal-fields(7) has _LINE_BREAK; stdout_stream_scan() in journald-stream.c looks
# for both bytes.
#
# Needs root and debootstrap; two minutes, most of it downloads.
set -eu
version=252.39-1~deb12u2

[ "$(id -u)" = 0 ] && command -v debootstrap unshare >/dev/null || { echo "needs root, debootstrap and unshare" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
debootstrap --variant=minbase --include=systemd bookworm "$work/root" >"$work/log" 2>&1 || { tail -n 3 "$work/log" >&2; exit 2; }
found=$(chroot "$work/root" dpkg-query -W -f '${Version}' systemd)
echo "systemd $found"
[ "$found" = "$version" ] || { echo "the archive has another version than $version" >&2; exit 2; }

cat >"$work/root/ask" <<'INSIDE'
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3
# journald does not start without a hierarchy of control groups; whichever kind this machine has.
mount -t sysfs sysfs /sys
mount -t cgroup2 none /sys/fs/cgroup 2>/dev/null || mount -t tmpfs none /sys/fs/cgroup
tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
mkdir -p /run/log/journal
/lib/systemd/systemd-journald >/dev/null 2>&1 &
for _ in $(seq 200); do ! systemd-cat true 2>/dev/null || break; sleep 0.1; done
systemd-cat true 2>/dev/null || { echo "journald does not run" >&2; exit 2; }

# How many records a service makes by writing "one", these bytes, "two" and a line feed.
records() {
    printf "one${2}two\n" | systemd-cat -t "$1"
    for _ in $(seq 100); do
        journalctl --sync 2>/dev/null || true
        shown=$(journalctl -q --file "$(echo /run/log/journal/*/system.journal)" -t "$1" -o json --all | grep -c MESSAGE || true)
        [ "$shown" = 0 ] || break
        sleep 0.1
    done
    echo "$shown"
}
status=0
expect() { # name bytes records
    found=$(records "$1" "$2")
    echo "one, $1, two: $found"
    [ "$found" = "$3" ] || status=1
}
expect NUL '\0' 2
expect LF '\n' 2
expect CR '\r' 1
expect FF '\f' 1
expect U+0085 '\302\205' 1
expect U+2028 '\342\200\250' 1
journalctl -q --file "$(echo /run/log/journal/*/system.journal)" -t NUL -o json | grep -o '"_LINE_BREAK":"nul"' || status=1
journalctl -q --file "$(echo /run/log/journal/*/system.journal)" -t NUL -o short | sed 's/^[^N]*//'
exit $status
INSIDE
unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child chroot "$work/root" sh /ask
