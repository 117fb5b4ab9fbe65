#!/bin/bash
# Most would guess: a line of /etc/pam.d that begins with no known type, `@includes common-auth` say, is reported in the log and
# otherwise passed over; or else it spoils the file, however that is read.
# What is so: in an account stack it does nothing where it stands in the service's own file or comes in by Debian's `@include`,
# and the very same file, read by `account include` or `account substack`, refuses everybody (6, PAM_PERM_DENIED).
# Version: libpam0g 1.5.2-6+deb12u2; 1.7.0-5 answers the same. Source: pam.conf(5) does not say; libpam/pam_handlers.c,
# _pam_parse_conf_file ("illegal module type": the type that was asked for, or auth, gets a line that must fail).
# Exit status: 0, it is so; 1, it is not any more; 2, it could not be tried. Half a minute, most of it for the package.
set -u

version=1.5.2-6+deb12u2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir root conf || exit 2

apt-get download "libpam0g=$version" "libpam-modules=$version" >/dev/null 2>&1 ||
    { echo "cannot get libpam0g and libpam-modules $version"; exit 2; }
for package in ./*.deb; do dpkg-deb -x "$package" root || exit 2; done
library=$(find root -name 'libpam.so.0' | head -n 1)
permit=$(realpath "$(find root -name pam_permit.so | head -n 1)")
[ -n "$library" ] && [ -f "$permit" ] || exit 2

cat >account.py <<'PYTHON'
import ctypes
import sys

library, directory, *services = sys.argv[1:]
pam = ctypes.CDLL(library)
CONVERSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class Conversation(ctypes.Structure):
    _fields_ = [("conv", CONVERSE), ("data", ctypes.c_void_p)]


conversation = Conversation(CONVERSE(lambda *_: 19), None)
for service in services:
    handle = ctypes.c_void_p()
    begun = pam.pam_start_confdir(
        service.encode(), b"root", ctypes.byref(conversation), directory.encode(), ctypes.byref(handle)
    )
    code = begun or pam.pam_acct_mgmt(handle, 0)
    if begun == 0:
        pam.pam_end(handle, code)
    print(service, code)
PYTHON

printf '@includes something\naccount required %s\n' "$permit" >conf/lines
lines=$work/conf/lines
cp conf/lines conf/own
echo "@include $lines" >conf/at-include
echo "account include $lines" >conf/include
echo "account substack $lines" >conf/substack

said=$(python3 account.py "$PWD/$library" "$PWD/conf" own at-include include substack 2>&1)
echo "libpam0g $version, a line \`@includes something\` before one of pam_permit.so:"
echo "$said"
expected='own 0
at-include 0
include 6
substack 6'
[ "$said" = "$expected" ]
