#!/bin/sh
# Puts pam_oncall.so into the PAM stacks of every service that it guards (`oncall-cache pam-doors`), those that are asked
# on this host, or into those that are named; a second run changes nothing. Where a program asks by a service that has no
# stack, as sudo-rs does without sudo, the one that decided until then (other) is copied and gets the lines. Takes effect at once: try it in a second session before you close the first.
# A stack in which they would not count is left as it is, and that is said: exit status 1. So is a service that is named and
# left out; without names that is no failure, because policy.pam_services and the console may say so.
# --dry-run says what would change.
#
#   pam-oncall-enable [--dry-run] [--undo] [sshd|sudo|sudo-i|su|su-l|login|doas|polkit-1...]
set -eu

usage() {
    echo "usage: $0 [--dry-run] [--undo] [sshd|sudo|sudo-i|su|su-l|login|doas|polkit-1...]" >&2
    exit 64
}

help() {
    cat <<'END'
Put pam_oncall.so into the PAM stacks of this host. KEEP A ROOT SHELL OPEN until
a second session has shown that you can log in: it takes effect at once.

Usage: pam-oncall-enable [--dry-run] [--undo] [SERVICE...]

Without SERVICE: all of sshd, sudo, sudo-i, su, su-l, login, doas and polkit-1
that this host uses. A second run changes nothing.

Options:
  --dry-run    say what would change, and change nothing
  --undo       remove the lines from every stack
  -h, --help   print this

Writes files in /etc/pam.d, nothing else. A service without its own file
gets a copy of the one that decides until then (other), which --undo removes.

Examples:
  pam-oncall-enable --dry-run     what would it write?
  pam-oncall-enable sudo          only sudo, to begin with
  pam-oncall-enable --undo        remove it from PAM

Without SERVICE it leaves out, and names, services that are not in
policy.pam_services, and login while root could not log in on the console.

Exit status: 0, also if it left those out; 1, a stack was left as it is, a
SERVICE that you named was left out, or nothing could be done: it says which and
why; 64, wrong usage. A SERVICE that this host does not use is no failure.
More: man pam-oncall-enable
END
    exit 0
}

undo=false dry_run=false would='' services=
for word in "$@"; do
    case $word in
    --undo) undo=true ;;
    --dry-run) dry_run=true would='would be ' ;;
    -h | --help) help ;;
    '' | -* | *[!a-z0-9-]*) usage ;;
    *) services="$services $word" ;;
    esac
done

[ "$(id -u)" = 0 ] || { echo "nothing changed; run it as root" >&2; exit 1; }

config=/etc/authkeys/config.toml
probe=/usr/libexec/authkeys/pam-probe
ours='^[[:space:]]*-?(auth|account|password|session)[[:space:]].*pam_oncall\.so'
mark='# A copy that pam_oncall.so was put into; enable.sh --undo removes it again and leaves '

# A stack that names a module which is not there refuses everybody.
consoles=
if ! $undo; then
    module=
    for directory in /usr/lib/*/security /lib/*/security /usr/lib64/security /usr/lib/security; do
        [ ! -e "$directory/pam_unix.so" ] || [ ! -e "$directory/pam_oncall.so" ] || module=$directory/pam_oncall.so
    done
    [ -n "$module" ] || { echo "no pam_oncall.so beside pam_unix.so; nothing changed, install it first" >&2; exit 1; }
    [ -x $probe ] || { echo "no $probe; nothing changed, install it first" >&2; exit 1; }
    oncall-cache config check $config >/dev/null ||
        { echo "nothing changed; fix the configuration first" >&2; exit 1; }
    # A line each: SERVICE here|absent decided|undecided.
    doors=$(oncall-cache --config $config pam-doors)
    known=" $(printf '%s\n' "$doors" | cut -d ' ' -f 1 | paste -sd ' ') "
    for service in $services; do
        case $known in *" $service "*) ;; *) usage ;; esac
    done
    consoles=$(oncall-cache --config $config config show | sed -n 's/^exempt_ttys = //p' | tr -d '[],"')
fi

# Would root be refused at this machine's own console? The kernel knows which it is; a container has none.
shut_console() {
    for tty in $(cat /sys/class/tty/console/active 2>/dev/null); do
        [ "$tty" != tty0 ] || tty=tty1
        case " $consoles " in *" $tty "*) ;; *) echo "$tty"; return ;; esac
    done
}

# The file that a service has, by its real name: a link stays a link.
stack_of() { # service
    for directory in /etc/pam.d /usr/lib/pam.d; do
        if [ -e "$directory/$1" ]; then readlink -f "$directory/$1"; return; fi
    done
}

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

take_out() { # stack
    if counted "$1"; then
        left="$left $1"
    elif grep -qF "$mark" "$1"; then
        $dry_run || rm "$1"
        echo "$1: ${would}removed"
    elif grep -qE "$ours" "$1"; then
        # Written beside its place and renamed: no login meets half a stack.
        $dry_run || { cp -p "$1" "$1.authkeys-new" && sed -i -E "/$ours/d" "$1.authkeys-new" && mv -f "$1.authkeys-new" "$1"; }
        echo "$1: pam_oncall.so ${would}removed"
    fi
}

if $undo; then
    left='' stacks=
    for service in $services; do
        [ ! -e /etc/pam.d/$service ] || stacks="$stacks $(readlink -f /etc/pam.d/$service)"
    done
    # Lines that somebody put elsewhere go too: a stack that names a module that is gone refuses everybody.
    if [ -z "$services" ]; then
        for stack in $(grep -lE "$ours" /etc/pam.d/* 2>/dev/null); do stacks="$stacks $(readlink -f "$stack")"; done
    fi
    for stack in $(printf '%s\n' $stacks | sort -u); do take_out "$stack"; done
    # Lines in another spelling of libpam's, over two lines or in capitals, are for their author to change. The module has to stay until then.
    if [ -z "$services" ] && ! $dry_run; then
        left="$left $(grep -lE '^[^#]*pam_oncall\.so' /etc/pam.d/* 2>/dev/null || true)"
    fi
    left=$(for stack in $left; do readlink -f "$stack"; done | sort -u | paste -sd ' ')
    [ -z "$left" ] || {
        echo "${left}: lines of pam_oncall.so that were edited by hand, and others that count them; remove them by hand, before you remove the module" >&2
        exit 1
    }
    exit 0
fi

# A copy of all stacks, in which libpam is asked before anything counts. There, in place of pam_oncall.so, stands a module
# that refuses everybody, one that admits everybody, and nothing.
copy=$(mktemp -d /run/pam-oncall-enable.XXXXXX)
trap 'rm -rf "$copy"' EXIT
mkdir "$copy/refusing" "$copy/admitting" "$copy/without"
pretend() { # file, service
    imitate "$1" "$copy/refusing/$2" 's/^([^#]*)pam_oncall\.so.*/\1pam_deny.so/'
    imitate "$1" "$copy/admitting/$2" 's/^([^#]*)pam_oncall\.so.*/\1pam_permit.so/'
}
imitate() { # file, copy, what becomes of our lines
    # Included files are read from /etc/pam.d whatever directory libpam is given (measured: 1.5.2), but for absolute paths.
    include='^((@include|-?[a-z]+[[:space:]]+(include|substack))[[:space:]]+)([^/[:space:]])'
    sed -E -e "$3" -e "s,$include,\1${2%/*}/\4,I" "$1" >"$2"
}
for stack in /usr/lib/pam.d/* /etc/pam.d/*; do
    [ -f "$stack" ] || continue
    pretend "$stack" "${stack##*/}"
    imitate "$stack" "$copy/without/${stack##*/}" "/$ours/d"
done

said() { timeout 20 $probe "$@" </dev/null 2>&1 || echo "no answer"; }
printf 'account required pam_oncall.so\naccount required pam_permit.so\n' >"$copy/refusing/pam-oncall-enable"
case $(said pam-oncall-enable nobody "confdir=$copy/refusing") in
0\ *) ;;
*) echo "libpam cannot load $module; nothing changed" >&2; exit 1 ;;
esac

# Does libpam refuse whom our lines refuse, and say of others what it says without them? It is asked about root, nobody and some administrators.
people="root nobody $(getent group sudo wheel | cut -d : -f 4 | tr , '\n' | sort -u | head -n 4 | paste -sd ' ')"
libpam_agrees() { # service, and: are the lines new?
    for person in $people; do
        case $(said "$1" "$person" "confdir=$copy/refusing") in
        0\ * | 12\ *) problem="libpam would admit $person where our lines refuse"; return 1 ;;
        esac
        was=$(said "$1" "$person" "confdir=$copy/without")
        is=$(said "$1" "$person" "confdir=$copy/admitting")
        if $2 && [ "$was" != "$is" ]; then problem="libpam would say \"$is\" of $person, not \"$was\""; return 1; fi
    done
}

refused=false counts='' skipped='' seen=' '
leave() { # stack, why
    echo "$1: left as it is: $2" >&2
    skipped="$skipped $service"
    refused=true
}

# Without names, what is left out by the configuration is no failure.
leave_out() { # service, why
    echo "$2" >&2
    skipped="$skipped $1"
    [ -z "$services" ] || refused=true
}

# The lines go before every line that can end the stack in success. Which that is, oncall-cache knows, as its doctor does.
put_in() { # service
    stack=$(stack_of "$1") service=$1 planned=
    # What decided until now.
    [ -n "$stack" ] || { stack=$(stack_of other) planned=other; }
    place=$stack
    case $planned:$stack in other:* | :/usr/lib/pam.d/*) place=/etc/pam.d/$1 ;; esac
    # sshd's, also by another name.
    [ "$stack" != "$(readlink -f /etc/pam.d/sshd || true)" ] || service=sshd
    planned=${planned:-$service}
    plan=$(oncall-cache pam-lines "$planned")
    case $plan in
    *' left '*)
        leave "$stack" "${plan#* left }; \`oncall-cache doctor\` says more"
        return
        ;;
    *' counts')
        if libpam_agrees "$service" false; then counts="$counts $1"; else leave "$stack" "$problem"; fi
        return
        ;;
    esac
    # It asks as su or sudo does, by their own lines.
    if grep -qE '^account[[:space:]]+include[[:space:]]+su(do)?[[:space:]]*$' "$stack"; then
        $dry_run || leave "$stack" "it asks by the lines of a stack that has none of ours"
        return
    fi
    # Written beside its place and renamed: no login meets half a stack.
    new=$place.authkeys-new
    ! $dry_run || new=$copy/new
    if [ "$stack" = "$place" ]; then cp -p "$stack" "$new"; else cat "$stack" >"$new"; fi
    printf '%s\n' "$plan" | sed "s/^$planned insert //" >"$copy/lines"
    sed -i -f "$copy/lines" "$new"
    pretend "$new" "$service"
    if ! libpam_agrees "$service" true; then
        rm "$new"
        pretend "$stack" "$service"
        leave "$stack" "$problem"
        return
    fi
    [ "$stack" = "$place" ] || sed -i "1i $mark$stack" "$new"
    if $dry_run; then rm "$new"; else mv -f "$new" "$place"; fi
    if [ "$planned" = other ]; then
        echo "$place: ${would}written, a copy of other with pam_oncall.so"
    else
        echo "$place: pam_oncall.so ${would}added"
    fi
    counts="$counts $1"
}

for service in ${services:-$known}; do
    stack=$(stack_of "$service")
    here=$(printf '%s\n' "$doors" | sed -n "s/^$service //p")
    case $stack:$here:$seen in
    # Nobody asks by it.
    :absent*) continue ;;
    *:here\ undecided:*)
        leave_out "$service" "$service: not in policy.pam_services, so no decision is taken there"
        continue
        ;;
    :*) ;;
    *" $stack "*) continue ;;
    esac
    seen="$seen$stack "
    if [ "$service" = login ] && [ -n "$(shut_console)" ]; then
        leave_out login "$stack: left as it is: root could not log in on this machine's console; add \"$(shut_console)\" to policy.exempt_ttys and run this again"
        continue
    fi
    put_in "$service"
done

if ! $dry_run && [ -n "$counts" ]; then
    echo "Now in effect for${counts}: log in from a second session before you close this one."
    # Named or not.
    for service in $(printf '%s\n' "$doors" | sed -n 's/ here .*//p'); do
        case " $counts $skipped :$(oncall-cache pam-lines "$service")" in
        *" $service "* | *' counts') ;;
        *) skipped="$skipped $service" ;;
        esac
    done
    [ -z "$skipped" ] || echo "Not in effect for${skipped}: nobody is checked there; \`oncall-cache doctor\` says more."
    echo "On the console, login refuses nobody on: ${consoles:-no terminal at all}"
fi
! $refused
