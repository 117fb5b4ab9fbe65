#!/bin/sh
# Puts pam_oncall.so into the PAM stacks of sshd, sudo and sudo -i, as Debian and Ubuntu write them; a
# second run changes nothing. Takes effect at once: try it in a second session before you close the first.
#
#   packaging/pam/enable.sh            packaging/pam/enable.sh --undo
set -eu

case $#:${1:-} in
0:) undo=false ;;
1:--undo) undo=true ;;
*)
    echo "usage: packaging/pam/enable.sh [--undo]" >&2
    exit 64
    ;;
esac

# What is there, each by its real name: a link stays a link.
stacks=
for service in sshd sudo sudo-i; do
    [ ! -e /etc/pam.d/$service ] || stacks="$stacks $(readlink -f /etc/pam.d/$service)"
done

# A stack that names a module which is not there refuses everybody.
if ! $undo; then
    module=
    for directory in /usr/lib/*/security /lib/*/security /usr/lib64/security /usr/lib/security; do
        [ ! -e "$directory/pam_unix.so" ] || [ ! -e "$directory/pam_oncall.so" ] || module=$directory/pam_oncall.so
    done
    [ -n "$module" ] || { echo "no pam_oncall.so beside pam_unix.so; nothing changed, run packaging/install.sh first" >&2; exit 1; }
    oncall-cache config check /etc/authkeys/config.toml >/dev/null ||
        { echo "nothing changed; mend the configuration first" >&2; exit 1; }
fi

# All stacks are looked at before the first is changed.
for stack in $stacks; do
    $undo || grep -q '^@include common-account' "$stack" || {
        echo "$stack has no '@include common-account'; nothing changed, put the lines in by hand, see README.md" >&2
        exit 1
    }
done

for stack in $stacks; do
    # Lines that stand stay as they are, with the words somebody gave them.
    if ! $undo && grep -qE '^[[:space:]]*-?account[[:space:]].*pam_oncall\.so' "$stack"; then
        continue
    fi
    # Written beside its place and renamed: no login meets half a stack.
    new=$stack.authkeys-new
    cp -p "$stack" "$new"
    sed -i -E '/^[[:space:]]*-?(account|session)[[:space:]].*pam_oncall\.so/d' "$new"
    case $undo:$(basename "$stack") in
    true:*) ;;
    false:sshd)
        # sshd tells the key only when the session opens: account passes shared accounts on, and the
        # session line, first of its kind, decides.
        sed -i -e '/^@include common-account/i account required pam_oncall.so shared=session' \
            -e '/^@include common-account/a session requisite pam_oncall.so' "$new"
        ;;
    *)
        # The session line only records: a sudo must not fail for want of it.
        sed -i -e '/^@include common-account/i account required pam_oncall.so' \
            -e '/^@include common-account/a session optional pam_oncall.so' "$new"
        ;;
    esac
    mv -f "$new" "$stack"
    $undo && echo "$stack: pam_oncall.so taken out" || echo "$stack: pam_oncall.so put in"
done
$undo || echo "It counts from now on: log in from a second session before you close this one."
