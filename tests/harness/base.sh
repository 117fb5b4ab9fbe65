# Makes the root that booted hosts are layers over: this machine's release of Debian, with what a host of a fleet
# has and no more. Nothing in it is started.
#
#   sh base.sh DIRECTORY
set -eu
umask 022
. /etc/os-release

packages=systemd,systemd-sysv,dbus,udev,libpam-systemd,openssh-server,sudo,rsyslog,logrotate,iproute2,ca-certificates
# What Ansible needs at the other end.
packages=$packages,procps,adduser,python3,python3-apt

# From where this machine has its own packages.
mirror=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Created-By: Packages' | head -n 1)
debootstrap --variant=minbase --include="$packages" "$VERSION_CODENAME" "$1" ${mirror:+"$mirror"}

# Each host has its own at its first boot; its name it is told.
: >"$1/etc/machine-id"
rm -f "$1/var/lib/dbus/machine-id" "$1/etc/hostname" "$1"/var/cache/apt/archives/*.deb
echo 'APT::Get::Assume-Yes "true";' >"$1/etc/apt/apt.conf.d/90test"
