#!/bin/sh
# Puts pam_oncall.so into the PAM stacks of sshd, sudo, su, login and polkit, those that are there, or into those that
# are named; a second run changes nothing. Takes effect at once: try it in a second session before you close the first.
# --dry-run says what would change.
#
#   pam-oncall-enable [--dry-run] [--undo] [sshd|sudo|sudo-i|su|su-l|login|polkit-1...]
set -eu

undo=false dry_run=false would='' services=
for word in "$@"; do
    case $word in
    --undo) undo=true ;;
    --dry-run) dry_run=true would='would be ' ;;
    sshd | sudo | sudo-i | su | su-l | login | polkit-1) services="$services $word" ;;
    *)
        echo "usage: $0 [--dry-run] [--undo] [sshd|sudo|sudo-i|su|su-l|login|polkit-1...]" >&2
        exit 64
        ;;
    esac
done

config=/etc/authkeys/config.toml
ours='^[[:space:]]*-?(auth|account|password|session)[[:space:]].*pam_oncall\.so'
# Our account line goes before the first of these: what the distribution asks of every account.
anchor='^(@include[[:space:]]+common-account|-?account[[:space:]]+(include|substack)[[:space:]]|-?account[[:space:]].*pam_unix\.so)'
mark='# A copy that pam_oncall.so was put into; enable.sh --undo removes it again and leaves '

# A stack that names a module which is not there refuses everybody.
consoles=
if ! $undo; then
    module=
    for directory in /usr/lib/*/security /lib/*/security /usr/lib64/security /usr/lib/security; do
        [ ! -e "$directory/pam_unix.so" ] || [ ! -e "$directory/pam_oncall.so" ] || module=$directory/pam_oncall.so
    done
    [ -n "$module" ] || { echo "no pam_oncall.so beside pam_unix.so; nothing changed, install it first" >&2; exit 1; }
    oncall-cache config check $config >/dev/null ||
        { echo "nothing changed; mend the configuration first" >&2; exit 1; }
    consoles=$(oncall-cache --config $config config show | sed -n 's/^exempt_ttys = //p' | tr -d '[],"')
fi

# Would root be refused at this machine's own console? The kernel knows which it is; a container has none.
shut_console() {
    for tty in $(cat /sys/class/tty/console/active 2>/dev/null); do
        [ "$tty" != tty0 ] || tty=tty1
        case " $consoles " in *" $tty "*) ;; *) echo "$tty"; return ;; esac
    done
}

# What is there, each by its real name: a link stays a link. One that only /usr/lib has is copied to be changed.
sshd=$(readlink -f /etc/pam.d/sshd || true)
stacks=
for service in ${services:-sshd sudo sudo-i su su-l login polkit-1}; do
    stack=/etc/pam.d/$service
    [ -e $stack ] || [ ! -e /usr/lib/pam.d/$service ] || $undo || stack=/usr/lib/pam.d/$service
    [ -e $stack ] || continue
    if [ $service = login ] && ! $undo && [ -n "$(shut_console)" ]; then
        echo "$stack: left as it is: root could not log in on this machine's console; add \"$(shut_console)\" to policy.exempt_ttys and run this again" >&2
        continue
    fi
    # It asks as su or sudo does, by their own lines.
    grep -qE '^account[[:space:]]+include[[:space:]]+su(do)?[[:space:]]*$' $stack && continue
    stacks="$stacks $(readlink -f $stack)"
done

# Lines that somebody put elsewhere go too: a stack that names a module that is gone refuses everybody.
if $undo && [ -z "$services" ]; then
    for stack in $(grep -lE "$ours" /etc/pam.d/* 2>/dev/null); do stacks="$stacks $(readlink -f "$stack")"; done
fi
stacks=$(printf '%s\n' $stacks | sort -u)

# Does a control of this stack count our lines, `[success=1 ...]`? Without them it would lead elsewhere: past a module, or to a refusal.
counted() { # stack
    awk '{ type = tolower($1); sub(/^-/, "", type) }
        type !~ /^(auth|account|password|session)$/ { next }
        { lines = 0; control = $2 ~ /^\[/ ? $0 : ""; sub(/\].*/, "", control) }
        { while (match(control, /=[0-9]+/)) {
            one = substr(control, RSTART + 1, RLENGTH - 1) + 0
            if (one > lines) lines = one
            control = substr(control, RSTART + RLENGTH)
        } }
        /pam_oncall\.so/ && (lines > 0 || skipped[type] > 0) { found = 1 }
        { skipped[type]--; if (lines > skipped[type]) skipped[type] = lines }
        END { exit !found }' "$1"
}

# All stacks are looked at before the first is changed.
for stack in $stacks; do
    $undo || grep -qE "$anchor" "$stack" || {
        echo "$stack has no line that includes common-account or system-auth, or names pam_unix.so; nothing changed, put the lines in by hand, see pam_oncall(8)" >&2
        exit 1
    }
done

left='' refused=false
for stack in $stacks; do
    if $undo && counted "$stack"; then
        left="$left $stack"
        continue
    fi
    # Lines that stand stay as they are, with the words somebody gave them.
    if ! $undo && grep -qE '^[[:space:]]*-?account[[:space:]].*pam_oncall\.so' "$stack"; then
        continue
    fi
    service=$(basename "$stack") place=$stack
    [ "$stack" != "$sshd" ] || service=sshd
    case $stack in /usr/lib/pam.d/*) place=/etc/pam.d/$service ;; esac
    if $undo && grep -qF "$mark" "$stack"; then
        $dry_run || rm "$stack"
        echo "$stack: ${would}removed"
        continue
    fi
    # Written beside its place and renamed: no login meets half a stack.
    new=$place.authkeys-new
    ! $dry_run || new=$(mktemp)
    [ "$stack" = "$place" ] || echo "$mark$stack" >"$new"
    if [ "$stack" = "$place" ]; then cp -p "$stack" "$new"; else cat "$stack" >>"$new"; fi
    sed -i -E "/$ours/d" "$new"
    line=$(sed -nE "/$anchor/=" "$new" | head -n 1)
    case $undo:$service in
    true:*) ;;
    false:sshd)
        # sshd tells the key only when the session opens: account passes shared accounts on, and the
        # session line, first of its kind, decides.
        sed -i -e "${line}i account required pam_oncall.so shared=session" -e "${line}a session requisite pam_oncall.so" "$new"
        ;;
    *)
        # The session line only records: a sudo must not fail for want of it.
        sed -i -e "${line}i account required pam_oncall.so" -e "${line}a session optional pam_oncall.so" "$new"
        ;;
    esac
    if cmp -s "$new" "$stack"; then rm "$new"; continue; fi
    if ! $undo && counted "$new"; then
        rm "$new"
        echo "$stack: left as it is: a jump in it would count our lines, or lead past them; put them in by hand, see pam_oncall(8)" >&2
        refused=true
        continue
    fi
    $dry_run && rm "$new" || mv -f "$new" "$place"
    $undo && echo "$place: pam_oncall.so ${would}taken out" || echo "$place: pam_oncall.so ${would}put in"
done

# Lines in another spelling of libpam's, over two lines or in capitals, are for whoever wrote them. The module has to stay until then.
if $undo && [ -z "$services" ] && ! $dry_run; then
    left="$left $(grep -lE '^[^#]*pam_oncall\.so' /etc/pam.d/* 2>/dev/null || true)"
fi
left=$(for stack in $left; do readlink -f "$stack"; done | sort -u | paste -sd ' ')
if [ -n "$left" ]; then
    echo "${left}: lines of pam_oncall.so that were written by hand, and others that count them; take them out by hand, before the module goes" >&2
    exit 1
fi
if ! $undo && ! $dry_run; then
    echo "It counts from now on: log in from a second session before you close this one."
    echo "On the console, login refuses nobody on: ${consoles:-no terminal at all}"
fi
! $refused
