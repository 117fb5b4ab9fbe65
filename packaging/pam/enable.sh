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

# All stacks are looked at before the first is changed.
for stack in $stacks; do
    $undo || grep -q '^@include common-account' "$stack" || {
        echo "$stack has no '@include common-account'; nothing changed, put the lines in by hand, see README.md" >&2
        exit 1
    }
done

for stack in $stacks; do
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
        sed -i '/^@include common-account/i account required pam_oncall.so' "$new"
        ;;
    esac
    mv -f "$new" "$stack"
done
