# Unpacks Debian's Samba for one AD domain controller below DIRECTORY, without installing it: its packages bring a PAM
# stack and units, which this machine and the tests of what it has must not see.
#
#   sh samba.sh DIRECTORY
set -eu
umask 022
place=$1
mkdir -p "$place/packages"
cd "$place/packages"
chmod 777 .

# What is missing here of what they need. The module for ACLs is recommended alone, and provisioning needs it; what
# the rest of its package needs, it does not.
wanted() {
    apt-get install -s --no-install-recommends samba samba-ad-provision samba-dsdb-modules | sed -n 's/^Inst \([^ ]*\) .*/\1/p'
    echo samba-vfs-modules
}
names=$(wanted 2>/dev/null) && apt-get -q download $names || {
    apt-get -q update
    names=$(wanted)
    apt-get -q download $names
}
mkdir "$place/root"
for package in *.deb; do dpkg -x "$package" "$place/root"; done
cd "$place"
rm -rf packages root/usr/share/doc root/usr/share/man root/usr/share/locale
