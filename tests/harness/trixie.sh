# Unpacks Debian 13's PACKAGES with all that they need into DIRECTORY, to be run by chroot.
#
#   sh trixie.sh DIRECTORY PACKAGE...
set -eu
umask 022
root=$1
shift
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/debs/partial"
: >"$scratch/status"

# From where this machine has its own packages: a mirror has every release.
mirror=$(. /etc/os-release && [ "$ID" != debian ] ||
    apt-get indextargets --format '$(REPO_URI)' "Codename: $VERSION_CODENAME" 'Created-By: Packages' | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$scratch/sources.list"
# As if nothing were installed.
about() {
    "$@" -q -o Dir::State::status="$scratch/status" -o Dir::State::lists="$scratch/lists" \
        -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null -o APT::Default-Release= \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
}
about apt-get update
about apt-get install --yes --no-install-recommends --download-only -o Dir::Cache::archives="$scratch/debs" "$@"
mkdir -p "$root"
for directory in bin lib lib64 sbin; do
    mkdir -p "$root/usr/$directory"
    ln -s "usr/$directory" "$root/$directory"
done
for package in "$scratch"/debs/*.deb; do dpkg -x "$package" "$root"; done
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/perl" "$root"/usr/lib/*/perl
mkdir -p "$root/tmp"
