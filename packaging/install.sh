#!/bin/sh
# Installs the suite from a build directory: programs, the PAM and NSS modules, users and directories.
# Changes no login: pam.d, nsswitch.conf, sshd_config and the configuration stay the administrator's.
#
#   packaging/install.sh BUILD_DIRECTORY       (cargo's: target/release)
set -eu

build=${1:?usage: packaging/install.sh BUILD_DIRECTORY}
here=$(cd "$(dirname "$0")" && pwd)
[ "$(id -u)" = 0 ] || { echo "packaging/install.sh: needs root" >&2; exit 1; }

for file in authkeys authkeys-sync oncall-cache pam-probe libpam_oncall.so libnss_oncall.so; do
    [ -e "$build/$file" ] || { echo "packaging/install.sh: no $build/$file; run make build" >&2; exit 1; }
done

# Where this system keeps PAM modules and libraries of our kind: beside a pam_unix.so, and a C library, of the same
# word size and machine. Another architecture's directories may be there too.
kind() { od -An -tx1 -j4 -N1 "$1"; od -An -tx1 -j18 -N2 "$1"; }
modules=
for directory in /usr/lib/*/security /lib/*/security /usr/lib64/security /usr/lib/security; do
    [ -e "$directory/pam_unix.so" ] || continue
    [ "$(kind "$directory/pam_unix.so")" = "$(kind "$build/libpam_oncall.so")" ] && { modules=$directory; break; }
done
libraries=
for directory in /usr/lib/*-linux-* /lib/*-linux-* /usr/lib64 /lib64 /usr/lib /lib; do
    [ -e "$directory/libc.so.6" ] || continue
    [ "$(kind "$directory/libc.so.6")" = "$(kind "$build/libnss_oncall.so")" ] && { libraries=$directory; break; }
done
[ -n "$libraries" ] || { echo "packaging/install.sh: found no libc.so.6 of this build's kind; where are libraries here?" >&2; exit 1; }
[ -n "$modules" ] || { echo "packaging/install.sh: found no pam_unix.so of this build's kind; where are PAM modules here?" >&2; exit 1; }

# Written beside its place and renamed: a running sshd or sudo keeps the file it has open.
put() {
    install -m "$3" -o root -g root "$1" "$2.new"
    mv -f "$2.new" "$2"
}
put "$build/authkeys" /usr/bin/authkeys 755
put "$build/authkeys-sync" /usr/bin/authkeys-sync 755
put "$build/oncall-cache" /usr/bin/oncall-cache 755
install -d -m 755 -o root -g root /usr/libexec/authkeys
put "$build/pam-probe" /usr/libexec/authkeys/pam-probe 755
put "$build/libpam_oncall.so" "$modules/pam_oncall.so" 644
put "$build/libnss_oncall.so" "$libraries/libnss_oncall.so.2" 644

# authkeys may read the copy of the directory; authkeys-sync may read the directory's secrets.
user() {
    getent group "$1" >/dev/null || groupadd --system "$1"
    getent passwd "$1" >/dev/null ||
        useradd --system --gid "$1" --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"
}
user authkeys
user authkeys-sync
user oncall-cache
usermod -a -G authkeys-sync authkeys
usermod -a -G authkeys authkeys-sync
usermod -a -G authkeys oncall-cache

install -d -m 755 -o root -g root /etc/authkeys
install -d -m 755 -o authkeys-sync -g authkeys /var/lib/authkeys
install -d -m 700 -o authkeys -g authkeys /var/cache/authkeys
install -d -m 755 -o oncall-cache -g oncall-cache /var/lib/oncall-cache
# What was decided: root's. A group that may read it is the administrator's choice: new files get the directory's.
[ -d /var/log/authkeys ] || install -d -m 750 -o root -g root /var/log/authkeys
[ -e /etc/authkeys/config.toml ] || install -m 644 -o root -g root "$here/examples/config.toml" /etc/authkeys/config.toml

[ ! -e /var/lib/authkeys/keys.db ] ||
    echo "The copies here may be of another release's form: run authkeys-sync && oncall-cache sync now, root logins need both."
echo "Installed in /usr/bin, $modules and $libraries. No login has changed: see README.md for what comes next."
