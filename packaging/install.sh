#!/bin/sh
# Installs the suite from a build directory, where there is no package for it: programs, modules, units, users and
# directories. Starts the timers, as a package does. Changes no login: pam.d, nsswitch.conf, sshd_config and the
# configuration stay the administrator's.
#
#   packaging/install.sh BUILD_DIRECTORY       (cargo's: target/release)
set -eu

build=$(cd "${1:?usage: packaging/install.sh BUILD_DIRECTORY}" && pwd)
share=$build/share
cd "$(dirname "$0")/.."
. packaging/stage.sh
[ "$(id -u)" = 0 ] || { echo "packaging/install.sh: needs root" >&2; exit 1; }

# Where this system keeps PAM modules and libraries of our kind: beside a pam_unix.so, and a C library, of the same
# word size and machine. Another architecture's directories may be there too.
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
[ -n "$libraries" ] || { echo "packaging/install.sh: found no libc.so.6 for this build's architecture; where are libraries here?" >&2; exit 1; }
[ -n "$modules" ] || { echo "packaging/install.sh: found no pam_unix.so for this build's architecture; where are PAM modules here?" >&2; exit 1; }

listed all | while read -r _ _ _ source _; do
    case $source in
    # Made by make install; programs work without man pages and completions.
    share/*) ;;
    *) [ -e "$(source_of "$source")" ] || { echo "packaging/install.sh: no $(source_of "$source"); run make build" >&2; exit 1; } ;;
    esac
done
# Once: what the administrator disables stays so.
is_first=true
[ ! -e /usr/lib/systemd/system/authkeys-sync.timer ] || is_first=false

pages=$(links all)
listed all | while read -r _ kind mode source destination; do
    source=$(source_of "$source")
    [ -e "$source" ] || continue
    [ "$kind" = conffile ] && [ -e "$destination" ] && continue
    put "$source" "$mode" "$destination"
done

# What sysusers.d and tmpfiles.d say, also where there is no systemd.
user() {
    getent group "$1" >/dev/null || groupadd --system "$1"
    getent passwd "$1" >/dev/null ||
        useradd --system --gid "$1" --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"
}
for file in authkeys oncall-collector oncall-notify; do
    while read -r type name group rest; do
        case $type in
        u)
            user "$name"
            case $rest in */bin/sh) usermod --shell /bin/sh "$name" ;; esac
            ;;
        m) usermod -a -G "$group" "$name" ;;
        esac
    done <packaging/sysusers.d/$file.conf
done
install -d -m 755 -o root -g root /etc/authkeys
for file in authkeys oncall-collector oncall-notify; do
    while read -r type path mode owner group _; do
        [ "$type" != d ] || install -d -m "$mode" -o "$owner" -g "$group" "$path"
    done <packaging/tmpfiles.d/$file.conf
done
[ -e /etc/authkeys/config.toml ] || install -m 644 -o root -g root packaging/examples/config.toml /etc/authkeys/config.toml
now=
[ ! -d /run/systemd/system ] || { now=--now && systemctl daemon-reload; }
# Enabled they can be also where systemd does not run yet, as in an image.
if $is_first && command -v systemctl >/dev/null; then
    systemctl --quiet enable $now $(sed -n 's/^enable //p' packaging/rpm/90-authkeys.preset) ||
        echo "packaging/install.sh: not all timers run; see oncall-cache doctor" >&2
fi

[ ! -e /var/lib/authkeys/keys.db ] ||
    echo "Was the last release here not the one before this? Then run authkeys-sync && oncall-cache sync now: root logins need copies in a format that this release can read."
echo "Installed in /usr/bin, $modules and $libraries. No login has changed; for the next steps see docs/install.md."
