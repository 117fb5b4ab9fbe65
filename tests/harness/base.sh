# Makes the root that booted hosts of a release of Debian are layers over, with what a host of a fleet has and no more.
# Nothing in it is started. Programs that some tests install besides lie in /opt/debs, a directory each, with what
# they need: hosts have no network.
#
#   sh base.sh DIRECTORY RELEASE
set -eu
umask 022
base=$1 release=$2

packages=systemd,systemd-sysv,dbus,udev,libpam-systemd,openssh-server,sudo,rsyslog,logrotate,iproute2,ca-certificates
# What Ansible needs at the other end.
packages=$packages,procps,adduser,python3,python3-apt

# From where this machine has its own packages: a mirror has every release.
mirror=$(. /etc/os-release && [ "$ID" != debian ] ||
    apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Created-By: Packages' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
# It leaves /proc mounted in there: not on this machine.
unshare --mount debootstrap --variant=minbase --include="$packages" "$release" "$base" "$mirror"

# This machine's apt, which knows its way out, about that root, with lists for this alone.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$base/opt/debs"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$scratch/sources.list"
about() {
    tool=$1
    shift
    "$tool" -q -o Dir::State::status="$base/var/lib/dpkg/status" -o Dir::State::lists="$scratch/lists" \
        -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences="$scratch/preferences" -o Dir::Etc::preferencesparts=/dev/null -o APT::Default-Release= \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}
put_by() { # directory, package
    debs=$base/opt/debs/$1
    mkdir -p "$debs/partial"
    about apt-get install --yes --no-install-recommends --download-only -o APT::Default-Release="$release" \
        -o Dir::Cache::archives="$debs" "$2"
    rm -rf "$debs/partial" "$debs/lock"
}
: >"$scratch/preferences"
about apt-get update
for program in pkexec opendoas dropbear-bin systemd-container sudo-rs nginx tmux screen; do
    # Not every release has each.
    ! about apt-cache show "$program" >/dev/null || put_by "$program" "$program"
done
# What asks PAM in another way from the next release on, with as little else of that as can be.
if [ "$release" = trixie ]; then
    sed 's/ trixie main/ forky main/' "$scratch/sources.list" >"$scratch/next"
    cat "$scratch/next" >>"$scratch/sources.list"
    printf 'Package: polkitd pkexec libpolkit-* sudo-rs\nPin: release n=forky\nPin-Priority: 995\n' >"$scratch/preferences"
    about apt-get update
    put_by next-polkit pkexec
    put_by next-sudo-rs sudo-rs
fi

# Each host has its own at its first boot; its name it is told.
: >"$base/etc/machine-id"
rm -f "$base/var/lib/dbus/machine-id" "$base/etc/hostname" "$base"/var/cache/apt/archives/*.deb
echo 'APT::Get::Assume-Yes "true";' >"$base/etc/apt/apt.conf.d/90test"
