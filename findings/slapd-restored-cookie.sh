#!/bin/bash
# Most would guess: a consumer of RFC 4533 whose cookie is of a future that the server does not have any more, because it was
# restored from a backup, is refused or told everything anew.
# What is so: slapd 2.5.13 refuses the cookie (53, "consumer state is newer than provider!") only until its next change.
# From then on its contextCSN is later than the cookie, and it tells what came after the cookie's instant: nothing of what
# the restore undid, whoever was added in between included, with success and a new cookie.
# Version: slapd, ldap-utils and libldap-2.5-0 2.5.13+dfsg-5. Source: RFC 4533, section 2.6 (the server may send
# e-syncRefreshRequired); servers/slapd/overlays/syncprov.c, syncprov_op_search and syncprov_add_slog.
# Exit status: 0, it is so; 1, it is not any more; 2, it could not be tried. Ten seconds; changes nothing outside its directory.
set -u

version=2.5.13+dfsg-5
work=$(mktemp -d) || exit 2
trap '[ ! -s "$work/pid" ] || kill "$(cat "$work/pid")"; rm -rf "$work"' EXIT
cd "$work" || exit 2
mkdir root db || exit 2

apt-get download "slapd=$version" "ldap-utils=$version" "libldap-2.5-0=$version" libltdl7 libodbc2 libsasl2-2 libwrap0 \
    libperl5.36 >/dev/null 2>&1 || { echo "cannot get slapd $version"; exit 2; }
for package in ./*.deb; do dpkg-deb -x "$package" root || exit 2; done
LD_LIBRARY_PATH=$work/root/usr/lib/$(uname -m)-linux-gnu:$work/root/usr/lib
export LD_LIBRARY_PATH
PATH=$work/root/usr/sbin:$work/root/usr/bin:$PATH

url=ldapi://$(printf %s "$work/socket" | sed 's,/,%2F,g')
{
    for schema in core cosine inetorgperson; do echo "include $work/root/etc/ldap/schema/$schema.schema"; done
    cat <<CONF
modulepath $work/root/usr/lib/ldap
moduleload back_mdb
moduleload syncprov
pidfile $work/pid
database mdb
suffix dc=example,dc=com
rootdn cn=admin,dc=example,dc=com
rootpw secret
directory $work/db
index entryUUID,entryCSN eq
access to * by * write
overlay syncprov
syncprov-sessionlog 100
CONF
} >conf

start() {
    slapd -f conf -h "$url" -d 0 2>log &
    for _ in $(seq 100); do
        ldapsearch -x -H "$url" -b '' -s base 1.1 >/dev/null 2>&1 && return
        sleep 0.1
    done
    cat log; exit 2
}
stop() { kill "$(cat pid)"; wait; }
change() { ldapmodify -x -H "$url" -D cn=admin,dc=example,dc=com -w secret >/dev/null || exit 2; }
person() { printf 'dn: cn=%s,dc=example,dc=com\nchangetype: add\nobjectClass: person\nsn: x\n\n' "$1" | change; }
# What a refresh tells, and its cookie, by the cookie in $1.
refresh() { ldapsearch -x -LLL -o ldif-wrap=no -H "$url" -b dc=example,dc=com -E "!sync=ro${1:+/$1}" '(cn=*)' cn 2>&1; }

slapd -VV 2>&1 | head -n 1
start
printf 'dn: dc=example,dc=com\nchangetype: add\nobjectClass: dcObject\nobjectClass: organization\no: x\n\n' | change
person alice
slapcat -f conf -b dc=example,dc=com -l backup.ldif || exit 2
sleep 1
person mallory
cookie=$(ldapsearch -x -LLL -o ldif-wrap=no -H "$url" -b dc=example,dc=com -s base contextCSN | sed -n 's/^contextCSN: //p')
cookie="rid=000,csn=$cookie"
echo "the consumer has alice and mallory, and the cookie $cookie"
stop
rm db/*
slapadd -q -w -f conf -b dc=example,dc=com -l backup.ldif || exit 2
start
before=$(refresh "$cookie")
echo "restored, asked with that cookie: $(printf '%s' "$before" | tr '\n' ' ' | cut -c1-200)"
sleep 1
person bob
after=$(refresh "$cookie")
echo "bob was added, asked with it again: $(printf '%s' "$after" | tr '\n' ' ' | cut -c1-400)"
case $before in *"newer than provider"*) ;; *) exit 1 ;; esac
case $after in *mallory*|*alice*) exit 1 ;; *"cn: bob"*) ;; *) exit 1 ;; esac
echo "mallory is not there any more, and nothing says so"
