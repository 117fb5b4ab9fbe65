#!/bin/bash
# Most would guess: `userdbctl ssh-authorized-keys NAME`, which systemd names as sshd's AuthorizedKeysCommand, prints the keys of a
# record in /etc/userdb to whoever may read the record's files; and it says by its status when it cannot.
#
# So it is, until systemd-userdbd listens. Then the daemon is asked, and leaves the keys out for every caller who is not root or
# the user, whatever the files' modes say: a warning, no key, status 0, which to sshd is "has no keys". With --with-varlink=no the
# same caller reads the same files, and has them.
#
# systemd 252.39-1~deb12u2 (Debian 12; 257.13-1~deb13u1 of Debian 13 does the same). userdbctl(1) has --with-varlink; that
# privileged sections go to privileged callers alone is in "User Record Blob Sharing" of systemd's JSON User Records.
#
# Needs root and debootstrap; two minutes, most of it downloads.
set -eu
version=252.39-1~deb12u2

[ "$(id -u)" = 0 ] && command -v debootstrap unshare >/dev/null || { echo "needs root, debootstrap and unshare" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
debootstrap --variant=minbase --include=systemd-userdbd,openssh-client bookworm "$work/root" >"$work/log" 2>&1 || { tail -n 3 "$work/log" >&2; exit 2; }
found=$(chroot "$work/root" dpkg-query -W -f '${Version}' systemd-userdbd)
echo "systemd-userdbd $found"
[ "$found" = "$version" ] || { echo "the archive has another version than $version" >&2; exit 2; }

cat >"$work/root/ask" <<'INSIDE'
set -eu
mkdir -p /run/systemd/userdb /etc/userdb
useradd --system reader
ssh-keygen -q -t ed25519 -N '' -C '' -f /run/key
echo '{"userName":"carl","uid":20009,"gid":100,"homeDirectory":"/home/carl","shell":"/bin/sh","disposition":"regular"}' >/etc/userdb/carl.user
echo "{\"privileged\":{\"sshAuthorizedKeys\":[\"$(cat /run/key.pub)\"]}}" >/etc/userdb/carl.user-privileged
chown root:reader /etc/userdb/carl.user-privileged
chmod 640 /etc/userdb/carl.user-privileged
socket=/run/systemd/userdb/io.systemd.Multiplexer

# Asks as reader: how many keys, and the status.
ask() {
    status=0
    keys=$(runuser -u reader -- userdbctl "$@" ssh-authorized-keys carl 2>/run/complaint) || status=$?
    echo "$(printf '%s' "$keys" | grep -c ssh-ed25519) keys, status $status${1:+, with $1}$(sed 's/^/; /' /run/complaint)"
}
alone=$(ask)
systemd-socket-activate -l "$socket" /lib/systemd/systemd-userdbd >/dev/null 2>&1 &
until [ -S "$socket" ]; do sleep 0.1; done
chmod 666 "$socket"
daemon=$(ask)
direct=$(ask --with-varlink=no)
printf 'no daemon:   %s\ndaemon:      %s\nthe same:    %s\n' "$alone" "$daemon" "$direct"
case "$alone|$daemon|$direct" in
"1 keys, status 0|0 keys, status 0; Warning: lacking rights"*"|1 keys, status 0, with --with-varlink=no") ;;
*) exit 1 ;;
esac
INSIDE

status=0
unshare --mount --pid --fork --kill-child sh -eu -c '
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount -t tmpfs tmpfs "$1/run"
    mount --rbind /dev "$1/dev"
    chroot "$1" bash /ask' ask "$work/root" || status=$?
exit "$status"
