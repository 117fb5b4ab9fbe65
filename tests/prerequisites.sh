#!/bin/sh
# Installs what the end-to-end tests run: a real sshd, slapd, sudo and libpam. No service is started.
#
#   prerequisites.sh [hosts]                      what booted hosts take, too
#   prerequisites.sh --are-there test|test-hosts|bench    installs nothing: is there nothing to install?
set -eu

look=
if [ "${1:-}" = --are-there ]; then
    look=yes
    [ "$2" != test-hosts ] || set -- --are-there hosts
    shift
fi
missing=
need() { command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || missing="$missing $2"; }
need unshare util-linux
need ip iproute2
need /usr/sbin/sshd openssh-server
need ssh openssh-client
need sftp openssh-client
need sudo sudo
need useradd passwd
need /usr/sbin/slapd slapd
need ldapmodify ldap-utils
need /usr/sbin/ns-slapd 389-ds-base
need certutil libnss3-tools
need openssl openssl
need pamtester pamtester
need "$(echo /usr/lib/*/faketime/libfaketime.so.1)" libfaketime
need sqlite3 sqlite3
need systemd-analyze systemd
need lintian lintian
need rpmbuild rpm
need rpmlint rpmlint
need dnf dnf
need systemd-socket-activate systemd
need dpkg-repack dpkg-repack
need logrotate logrotate
need promtool prometheus
need checkmodule checkpolicy
need semodule_package semodule-utils
need sesearch setools
need selabel_lookup selinux-utils
need apparmor_parser apparmor
need mandoc mandoc
need cc gcc
need gcc gcc
need /usr/include/stdio.h libc6-dev
need /usr/include/openssl/evp.h libssl-dev
need script bsdutils
need strace strace
need nscd nscd
need valgrind 'valgrind libc6-dbg'
need objdump binutils
need ansible-playbook ansible-core
need ansible-lint ansible-lint
need /usr/sbin/nginx nginx
need /usr/sbin/rsyslogd rsyslog
need "$(echo /usr/lib/*/rsyslog/lmnsd_ossl.so)" rsyslog-openssl
need "$(echo /usr/lib/*/rsyslog/lmnsd_gtls.so)" rsyslog-gnutls
need /usr/sbin/postfix postfix
need prometheus-alertmanager prometheus-alertmanager
need nft nftables
need "$(echo /usr/lib/*/rsyslog/omrelp.so)" rsyslog-relp
need /usr/lib/systemd/systemd-journal-remote systemd-journal-remote
need /usr/sbin/openvpn openvpn
need chromium chromium
need /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf fonts-dejavu-core
need ruby ruby
need rubocop rubocop
# An S3 server: moto, which is not in Debian. Its versions differ in what they do with conditions; this one was measured.
s3=/opt/authkeys-tests/s3
moto='moto[s3,server]==5.2.1'
need $s3/bin/python3 python3-venv
# LinkedIn's Oncall, as it is on PyPI; what it needs for notices and pages for people is left out (harness/oncall_server.py).
oncall=/opt/authkeys-tests/oncall
oncall_needs='falcon==3.1.1 falcon-cors==1.1.7 ujson==5.10.0 sqlalchemy==1.4.54 PyYAML==6.0.2 PyMySQL==1.1.1
    phonenumbers==8.13.55 jinja2==3.0.3 markupsafe==2.0.1 beaker==1.13.0 pytz==2025.2 icalendar==5.0.13'
need $oncall/bin/python3 python3-venv
# Programs that write calendars, a server that keeps them, and two that read them (tests/calendar): what these agree on changes
# from release to release, and Debian's do not know all that is tried.
calendars=/opt/authkeys-tests/calendars
calendar_programs='radicale==3.9.0 khal==0.14.1 vdirsyncer==0.21.0 recurring-ical-events==3.8.2 ical==14.3.1'
need $calendars/whole python3-venv
if [ "${1:-}" = hosts ]; then
    need debootstrap debootstrap
    need systemd-nspawn systemd-container
fi
[ -n "$missing" ] || exit 0
[ -z "$look" ] || exit 1

[ "$(id -u)" = 0 ] || { echo "make test: missing$missing, and root alone can install them: sudo make test" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "make test: install these first:$missing" >&2; exit 1; }
echo "Installing$missing"

# Debian's maintainer scripts start what they install unless this file forbids it.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# shellcheck disable=SC2086 # a list of words
apt-get -qy install --no-install-recommends $missing
if [ ! -e $s3/bin/python3 ]; then
    /usr/bin/python3 -m venv $s3.new && $s3.new/bin/pip -q install "$moto" && rm -rf $s3 && mv $s3.new $s3
fi
if [ ! -e $oncall/bin/python3 ]; then
    # shellcheck disable=SC2086 # a list of words
    /usr/bin/python3 -m venv $oncall.new && $oncall.new/bin/pip -q install $oncall_needs &&
        $oncall.new/bin/pip -q install --no-deps oncall==2.1.7 && rm -rf $oncall && mv $oncall.new $oncall
fi
if [ ! -e $calendars/whole ]; then
    # Its programs name the interpreter by the path at which it was made, so it is not moved.
    # shellcheck disable=SC2086 # a list of words
    rm -rf $calendars && /usr/bin/python3 -m venv $calendars && $calendars/bin/pip -q install $calendar_programs &&
        : >$calendars/whole
fi
