# Keeps one booted host: a layer over the root $2, in cgroups and namespaces of its own. Boots it for each line of its
# input, says "off" when it has powered off, and at the end of its input ends everything.
#
#   sh booted.sh NAME BASE
set -eu
cgroup=authkeys-host-$$

# Empty by then: this is not in them, and outlives what is.
forget() {
    for directory in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
        [ ! -d "$directory" ] || find "$directory" -depth -type d -exec rmdir {} +
    done
}
trap forget EXIT

unshare --mount --net --pid --fork --kill-child --mount-proc /bin/sh -s "$1" "$2" "$cgroup" 3<&0 <<'INSIDE'
set -eu
name=$1 base=$2 cgroup=$3

# Hosts that share one would take each other's services for their own. Of the old kind, cpuset takes nobody as it
# comes, and no host needs it.
for directory in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ -e "$directory/cgroup.procs" ] && [ "${directory##*/}" != cpuset ] || continue
    mkdir "$directory/$cgroup"
    echo 0 >"$directory/$cgroup/cgroup.procs"
done

mount --make-rprivate /
# Held open while /mnt is covered: it may be below it.
exec 8<"$base"
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/proc/self/fd/8,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
exec 8<&-
ip link set lo up
echo ready

while read -r order <&3; do
    case $order in
    boot | boot-anew)
        clock=
        if [ "$order" = boot-anew ]; then
            uptime=$(cut -d. -f1 /proc/uptime)
            clock="unshare --time --monotonic -$uptime --boottime -$uptime"
        fi
        # Without CAP_BPF systemd cannot enforce IPAddressDeny, and says nothing.
        $clock systemd-nspawn --quiet --boot --directory=/mnt/root --machine="$name" --hostname="$name" --register=no \
            --keep-unit --settings=no --link-journal=no --resolv-conf=off --timezone=off \
            --network-namespace-path=/proc/self/ns/net --capability=CAP_BPF,CAP_NET_ADMIN --system-call-filter=bpf \
            --console=read-only </dev/null >>/mnt/console 2>&1 3<&- &
        ;;
    wait)
        # A reboot ends it too, as nobody is there to ask for another start.
        wait
        echo off
        ;;
    esac
done
INSIDE
