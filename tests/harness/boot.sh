# Makes a private machine below /mnt/root: an overlay of every local file system, its own /dev, /run and
# /tmp, and the project at /run/suite. Read by a shell that is alone in new mount and process namespaces.
#
#   source=PROJECT build=BUILD_DIRECTORY [layer=DIRECTORY] . boot.sh
#
# `layer` is what has been written on another machine made by this, its upper*, and what was in its /run. It stays as it is.
set -e
mount --make-rprivate /
# What the machine keeps its files on, before anything of ours is mounted.
local=$(awk '$3 ~ /^(ext[234]|xfs|btrfs|zfs|f2fs|overlay)$/ && $2 ~ "^/(usr|var|etc|opt|home|root|lib|srv)(/|$)" { print $2 }' /proc/mounts)
# Held open while /mnt is covered: either may be below it.
exec 8<"$source" 9<"$build"
[ -z "${layer-}" ] || exec 6<"$layer"
mount -t tmpfs -o mode=0755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o "lowerdir=${layer:+/proc/self/fd/6/upper:}/,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
number=0
for place in $local; do
    number=$((number + 1))
    mkdir "/mnt/upper.$number" "/mnt/work.$number"
    chmod --reference="$place" "/mnt/upper.$number"
    mount -t overlay overlay -o "lowerdir=${layer:+/proc/self/fd/6/upper.$number:}$place,upperdir=/mnt/upper.$number,workdir=/mnt/work.$number" "/mnt/root$place"
done
cd /mnt/root
mount -t proc proc proc
mount -t tmpfs -o mode=0755 tmpfs dev
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
[ -z "${layer-}" ] || { cp -a /proc/self/fd/6/run/. run/ && exec 6<&-; }
mkdir -p run/suite/source run/suite/build
mount --bind /proc/self/fd/8 run/suite/source
mount --bind /proc/self/fd/9 run/suite/build
exec 8<&- 9<&-
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
