#!/bin/sh
# Puts pam_oncall.so into the PAM stacks of sshd, sudo and sudo -i, as Debian, Ubuntu, Fedora and RHEL write them; a
# second run changes nothing. Takes effect at once: try it in a second session before you close the first.
#
#   pam-oncall-enable            pam-oncall-enable --undo
set -eu

case $#:${1:-} in
0:) undo=false ;;
1:--undo) undo=true ;;
*)
    echo "usage: $0 [--undo]" >&2
    exit 64
    ;;
esac

# What is there, each by its real name: a link stays a link. Lines that somebody put elsewhere go too: what names a
# module that is gone refuses everybody.
ours='^[[:space:]]*-?(auth|account|password|session)[[:space:]].*pam_oncall\.so'
stacks=
for stack in /etc/pam.d/sshd /etc/pam.d/sudo /etc/pam.d/sudo-i $(! $undo || grep -lE "$ours" /etc/pam.d/*); do
    [ ! -e "$stack" ] || stacks="$stacks $(readlink -f "$stack")"
done
stacks=$(printf '%s\n' $stacks | sort -u)

# A stack that names a module which is not there refuses everybody.
if ! $undo; then
    module=
    for directory in /usr/lib/*/security /lib/*/security /usr/lib64/security /usr/lib/security; do
        [ ! -e "$directory/pam_unix.so" ] || [ ! -e "$directory/pam_oncall.so" ] || module=$directory/pam_oncall.so
    done
    [ -n "$module" ] || { echo "no pam_oncall.so beside pam_unix.so; nothing changed, install it first" >&2; exit 1; }
    oncall-cache config check /etc/authkeys/config.toml >/dev/null ||
        { echo "nothing changed; mend the configuration first" >&2; exit 1; }
fi

# What a stack asks all modules of the host by: Debian's line, or that of Fedora and RHEL.
common='^(@include[[:space:]]+common-account|account[[:space:]]+(include|substack)[[:space:]]+(password-auth|system-auth))([[:space:]]|$)'

# All stacks are looked at before the first is changed.
for stack in $stacks; do
    $undo || [ "$(grep -cE "$common" "$stack")" = 1 ] || {
        echo "$stack has no single line for all accounts (@include common-account, account include password-auth);" \
            "nothing changed, put the lines in by hand, see pam_oncall(8)" >&2
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
    sed -i -E "/$ours/d" "$new"
    case $undo:$(basename "$stack") in
    true:*) ;;
    false:sshd)
        # sshd tells the key only when the session opens: account passes shared accounts on, and the
        # session line, first of its kind, decides.
        sed -i -E -e "/$common/i account required pam_oncall.so shared=session" \
            -e "/$common/a session requisite pam_oncall.so" "$new"
        ;;
    *)
        sed -i -E "/$common/i account required pam_oncall.so" "$new"
        ;;
    esac
    mv -f "$new" "$stack"
    $undo && echo "$stack: pam_oncall.so taken out" || echo "$stack: pam_oncall.so put in"
done
$undo || echo "It counts from now on: log in from a second session before you close this one."
