#!/bin/bash
# Most would guess: pam_start_confdir(3) reads all of a service's configuration from the directory that it is given in
# place of /etc/pam.d, the files that the service includes too.
# What is so: in Linux-PAM 1.5.2 as Debian 12 has it, only the service's own file and `other` come from there. `include`,
# `substack` and Debian's `@include` of a plain name read /etc/pam.d; an absolute path is read where it points.
# Version: libpam0g 1.5.2-6+deb12u2. Source: pam_start(3); libpam/pam_handlers.c, _pam_load_conf_file.
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
modules=$(dirname "$(find root -name pam_permit.so | head -n 1)")
[ -n "$library" ] && [ -d "$modules" ] || exit 2

cat >ask.c <<'C'
#include <stdio.h>
struct pam_conv { int (*conv)(int, const void **, void **, void *); void *data; };
int pam_start_confdir(const char *, const char *, const struct pam_conv *, const char *, void **);
int pam_acct_mgmt(void *, int);
int pam_end(void *, int);
static int silent(int count, const void **messages, void **answers, void *data) { return 19; }
int main(int argc, char **argv)
{
    struct pam_conv conversation = { silent, 0 };
    void *handle = 0;
    int code = pam_start_confdir(argv[2], "root", &conversation, argv[1], &handle);
    if (code == 0)
        pam_end(handle, code = pam_acct_mgmt(handle, 0));
    printf("%d\n", code);
    return 0;
}
C
gcc -w -o ask ask.c "$library" 2>/dev/null || { echo "no gcc"; exit 2; }

# The file that is included is in conf alone, and admits.
permit=$(realpath "$modules")/pam_permit.so
name=included-$$-only-here
echo "account required $permit" >"conf/$name"
echo "account required $permit" >conf/own
echo "account include $name" >conf/include
echo "account substack $name" >conf/substack
echo "@include $name" >conf/at-include
echo "account include $work/conf/$name" >conf/absolute

ask() { LD_LIBRARY_PATH=$(dirname "$(realpath "$library")") ./ask "$work/conf" "$1"; }
echo "Linux-PAM $version; 0 is success, 6 permission denied, 26 critical error"
said=
for service in own absolute include substack at-include; do
    code=$(ask $service)
    printf '%-12s %s\n' "$service" "$code"
    said="$said $code"
done
[ "$said" = " 0 0 6 6 26" ] || exit 1
