#!/bin/sh
# Puts pam_oncall.so into the PAM stacks of sshd, sudo and sudo -i, as Debian and Ubuntu write them; a
# second run changes nothing. Takes effect at once: try it in a second session before you close the first.
#
#   packaging/pam/enable.sh            packaging/pam/enable.sh --undo
set -eu

for service in sshd sudo sudo-i; do
    stack=/etc/pam.d/$service
    [ -e "$stack" ] || continue
    grep -q '^@include common-account' "$stack" ||
        { echo "$stack has no '@include common-account'; put the lines in by hand, see README.md" >&2; exit 1; }
    # Written beside its place and renamed: no login meets half a stack.
    new=$stack.authkeys-new
    cp -p "$stack" "$new"
    sed -i '/pam_oncall\.so/d' "$new"
    if [ "${1:-}" != --undo ]; then
        case $service in
        sshd)
            # sshd tells the key only when the session opens: account passes shared accounts on, and the
            # session line, first of its kind, decides.
            sed -i -e '/^@include common-account/i account required pam_oncall.so shared=session' \
                -e '/^@include common-account/a session requisite pam_oncall.so' "$new"
            ;;
        *)
            sed -i '/^@include common-account/i account required pam_oncall.so' "$new"
            ;;
        esac
    fi
    mv -f "$new" "$stack"
done
