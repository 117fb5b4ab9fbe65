#!/bin/sh
# The main job, shown: the person on call gets root, the others do not, and the hand-over happens at its
# second with no network and no sync.
#
#   tests/demo.sh BUILD_DIRECTORY
#
# Runs on a private machine: an overlay of this one, in memory, with processes, mounts and network of its
# own. What is missing is installed there; nothing outside it changes, and it ends with this script.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s ==\n\n' "$*"; }

# --- outside: start the private machine ---

outside() {
    source=$(dirname "$here")
    build=$(cd "${1:?usage: tests/demo.sh BUILD_DIRECTORY}" && pwd)
    command -v unshare >/dev/null || { say "demo: needs unshare, from util-linux" >&2; exit 1; }
    if [ "$(id -u)" = 0 ]; then
        exec unshare --mount --pid --ipc --uts --fork --kill-child sh "$0" machine "$source" "$build"
    fi
    say "Without root there are no logins to show: here are the decisions alone. For logins: sudo sh $0 $1"
    unshare --user --map-root-user --mount true 2>/dev/null || {
        say "demo: this system does not let users make namespaces either; run it as root" >&2
        exit 1
    }
    exec unshare --user --map-root-user --mount sh "$0" decisions "$source" "$build"
}

# --- the private machine: packages first, while there is a network; then none ---

machine() {
    source=$1 build=$2
    # Process 1 of a namespace takes no signal that it does not ask for.
    trap 'exit 130' INT TERM
    hostname demo
    cp -L /etc/resolv.conf /dev/shm/demo-resolv.conf 2>/dev/null && resolv=/dev/shm/demo-resolv.conf || resolv=
    . "$here/harness/boot.sh"
    if [ -n "$resolv" ]; then
        rm -f etc/resolv.conf && cat "$resolv" >etc/resolv.conf && rm -f "$resolv"
    fi
    say '127.0.0.1 localhost demo' >etc/hosts
    chroot . /bin/sh /run/suite/source/tests/demo.sh packages
    unshare --net chroot . /bin/sh /run/suite/source/tests/demo.sh logins
}

packages() {
    missing=
    need() { [ -e "$1" ] || missing="$missing $2"; }
    need /usr/sbin/sshd openssh-server
    need /usr/bin/ssh openssh-client
    need /usr/bin/sudo sudo
    need /usr/sbin/useradd passwd
    [ -e /usr/sbin/ip ] || [ -e /sbin/ip ] || missing="$missing iproute2"
    [ -n "$missing" ] || return 0
    say "Installing$missing on the private machine"
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    export DEBIAN_FRONTEND=noninteractive
    log=/tmp/apt.log
    # shellcheck disable=SC2086 # a list of words
    { apt-get -q update && apt-get -qy install --no-install-recommends $missing; } >$log 2>&1 ||
        { cat $log >&2; say "demo: could not install$missing" >&2; exit 1; }
}

# The example observes; what is refused is what there is to show.
enforce() { sed 's/^mode = "observe"/mode = "enforce"/'; }

# --- people and a rota ---

write_rota() { # seconds to the hand-over
    now=$(date +%s)
    handover=$((now + $1))
    at() { date -u -d "@$1" +%Y-%m-%dT%H:%M:%SZ; }
    cat >/etc/authkeys/rota.toml <<ROTA
[[schedule]]
id = "primary"
name = "Primary"
[[schedule.shift]]
person = "alice"
start = $(at $((now - 3600)))
end = $(at $handover)
[[schedule.shift]]
person = "bob"
start = $(at $handover)
end = $(at $((handover + 28800)))
ROTA
}

write_person() {
    printf '[[person]]\nusername = "%s"\nmail = ["%s@example.com"]\neligible = %s\nkeys = ["%s"]\n' \
        "$1" "$1" "$2" "$3" >>/etc/authkeys/people.toml
}

# What there is to show before the hand-over, twenty seconds from when the machine is ready; on a machine that is too slow
# for that, twice as many, and so on.
in_time() { # the function that shows it; its argument are the seconds
    seconds=20
    while :; do
        "$1" $seconds >/tmp/shown
        [ "$(date +%s)" -ge "$handover" ] || break
        seconds=$((seconds * 2))
    done
    cat /tmp/shown
}

# --- logins ---

try() { # what is tried; its output goes to /tmp/said
    if timeout 300 "$@" >/tmp/said 2>&1 </dev/null; then
        if grep -qx 0 /tmp/said; then echo 'in, as root'; else echo 'in, as themselves'; fi
    else
        grep -v '^Warning: Permanently added' /tmp/said | grep -iE 'on call|denied' | head -n 1 | tr -d '\r' >/tmp/words || true
        echo 'refused'
    fi
}

enter() { # person account
    try ssh -F none -i "/root/keys/$1" -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$2@127.0.0.1" id -u
}

show_logins() {
    : >/tmp/explained
    printf '%-7s %-18s %-18s %s\n' '' 'ssh root@demo' 'ssh NAME@demo' 'sudo'
    for person in alice bob carol dave; do
        rm -f /tmp/words
        as_root=$(enter $person root)
        explain "ssh root@demo" $person
        as_self=$(enter $person $person)
        explain "ssh $person@demo" $person
        by_sudo=$(try runuser -u $person -- sudo -n id -u)
        explain "sudo" $person
        printf '%-7s %-18s %-18s %s\n' "$person" "$as_root" "$as_self" "$by_sudo"
    done
    printf '\nWhat those refused read:\n'
    cat /tmp/explained
}

explain() { # door person
    if [ -s /tmp/words ]; then
        printf '  %-6s %-15s %s\n' "$2" "$1" "$(cat /tmp/words)" >>/tmp/explained
        rm -f /tmp/words
    fi
}

# Stands where syslogd would; perl-base is on every Debian.
keep_log() {
    : >/tmp/keeper
    perl -MSocket -e '
        socket(LOG, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
        bind(LOG, sockaddr_un("/dev/log")) or die "bind: $!";
        chmod 0666, "/dev/log";
        open(KEPT, ">>", "/var/log/auth.log") or die "auth.log: $!";
        print STDOUT "ready\n"; close STDOUT;
        while (defined recv(LOG, my $line, 8192, 0)) { syswrite(KEPT, "$line\n") }' >/tmp/keeper &
    keeper=$!
    while ! grep -q ready /tmp/keeper; do kill -0 $keeper; done
}

show_log() { # decision
    sed -n "s/^<86>pam_oncall\[[0-9]*\]: \(.* decision=$1 .*\)/  \1/p" /var/log/auth.log
}

logins() {
    ip link set lo up
    keep_log
    sh /run/suite/source/packaging/install.sh /run/suite/build >/dev/null
    enforce </run/suite/source/packaging/examples/config.toml >/etc/authkeys/config.toml
    mkdir -p /run/sshd /root/keys
    chmod 700 /root/keys
    : >/etc/authkeys/people.toml
    for person in alice bob carol dave; do
        id $person >/dev/null 2>&1 || useradd -m -s /bin/sh $person
        ssh-keygen -qt ed25519 -N '' -C $person -f /root/keys/$person
        eligible=true
        [ $person != dave ] || eligible=false
        write_person $person $eligible "$(cat /root/keys/$person.pub)"
    done
    for person in alice bob carol; do usermod -a -G sudo $person; done
    echo '%sudo ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/demo
    chmod 440 /etc/sudoers.d/demo
    # What the configuration names is there by now: whoever sets a host up is warned otherwise.
    write_rota 20
    sh /run/suite/source/packaging/pam/enable.sh >/dev/null
    mkdir -p /etc/ssh/sshd_config.d
    cp /run/suite/source/packaging/sshd_config.d/10-authkeys.conf /etc/ssh/sshd_config.d/
    grep -q '^Include /etc/ssh/sshd_config.d' /etc/ssh/sshd_config ||
        sed -i '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config
    : >/etc/motd
    rm -f /etc/update-motd.d/*
    ssh-keygen -A >/dev/null
    /usr/sbin/sshd -p 2222 -o ListenAddress=127.0.0.1
    # It goes into the background before it listens.
    tries=3000
    until ssh-keyscan -p 2222 127.0.0.1 2>/dev/null | grep -q .; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || { echo 'demo: sshd does not answer' >&2; exit 1; }
        sleep 0.1
    done
    cp /etc/authkeys/people.toml /tmp/people.toml
    in_time before

    left=$((handover - $(date +%s)))
    [ $left -le 0 ] || { printf '\nWaiting %s s for the hand-over; no sync, no network, the rota itself is deleted ...\n' $left; sleep $left; }

    heading "After the hand-over ($(date -u +%H:%M:%S) UTC)"
    show_logins
    printf '\n$ oncall-cache who\n' && runuser -u nobody -- oncall-cache who
    printf '\n$ oncall-cache why alice\n'
    runuser -u nobody -- oncall-cache why alice || true
    heading 'What the log keeps of those who became root'
    show_log allow
    printf '\nThe private machine is gone with this line; this one has not changed.\n'
}

before() { # seconds to the hand-over
    : >/var/log/auth.log
    cp /tmp/people.toml /etc/authkeys/people.toml
    write_rota "$1"
    heading 'People from people.toml, shifts from rota.toml, once, into SQLite'
    say "alice is on call now, bob from $(date -u -d "@$handover" +%H:%M:%S) UTC; carol may become root and is never"
    say "on call; dave is an ordinary user. alice, bob and carol are in group sudo, so their own accounts are"
    say "guarded too. This machine has no network."
    say
    printf '$ authkeys-sync\n' && runuser -u authkeys-sync -- authkeys-sync
    printf '$ oncall-cache sync\n' && runuser -u oncall-cache -- oncall-cache sync
    rm /etc/authkeys/people.toml /etc/authkeys/rota.toml

    heading "Before the hand-over ($(date -u +%H:%M:%S) UTC)"
    show_logins
    printf '\n$ oncall-cache who\n' && runuser -u nobody -- oncall-cache who
    printf '\n$ oncall-cache why alice\n'
    # It says no where the hand-over has come.
    runuser -u nobody -- oncall-cache why alice || true
}

# --- without root: the same files and programs, no logins ---

decisions() {
    source=$1 build=$2
    # Held open while /mnt is covered: either may be below it.
    exec 8<"$source" 9<"$build"
    mount -t tmpfs -o mode=0755 tmpfs /mnt
    cd /mnt
    mkdir -p etc/authkeys var/lib/authkeys var/lib/oncall-cache source build tmp
    for place in usr bin sbin lib lib32 lib64 dev proc; do
        if [ -L "/$place" ]; then
            cp -P "/$place" "$place"
        elif [ -d "/$place" ]; then
            mkdir "$place" && mount --rbind "/$place" "$place"
        fi
    done
    cp -L /etc/passwd /etc/group /etc/ld.so.cache etc/
    mount --bind /proc/self/fd/8 source
    mount --bind /proc/self/fd/9 build
    enforce <source/packaging/examples/config.toml >etc/authkeys/config.toml
    exec chroot . /bin/sh /source/tests/demo.sh answers
}

answers() {
    PATH=/build:$PATH
    : >/etc/authkeys/people.toml
    key='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6'
    for person in alice bob carol; do write_person $person true "$key"; done
    write_person dave false "$key"
    in_time answers_before
    left=$((handover - $(date +%s)))
    printf '\nWaiting %s s for the hand-over, without another sync ...\n' $left
    [ $left -le 0 ] || sleep $left
    show_answers
    printf '\n$ oncall-cache who\n' && oncall-cache who
    printf '\n$ oncall-cache why bob\n' && oncall-cache why bob
}

answers_before() { # seconds to the hand-over
    write_rota "$1"
    printf '\n$ authkeys-sync\n' && authkeys-sync
    printf '$ oncall-cache sync\n' && oncall-cache sync
    show_answers
}

show_answers() {
    heading "May they enter root by ssh? ($(date -u +%H:%M:%S) UTC)"
    for person in alice bob carol dave; do
        printf '%-7s' $person
        oncall-cache test-access $person || true
    done
}

case ${1:-} in
machine | packages | logins | decisions | answers) "$@" ;;
*) outside "$@" ;;
esac
