#!/bin/sh
# Puts `oncall` behind `files` on the group: line of /etc/nsswitch.conf, so that the groups of [[nss.group]] are
# groups of this host; a second run changes nothing. Programs that are running see it when they look next.
# --undo takes it out, of an initgroups: line too.
#
#   nss-oncall-enable [--undo]
set -eu

case $#:${1:-} in
0:) undo=false ;;
1:--undo) undo=true ;;
1:-h | 1:--help)
    cat <<'END'
Make the groups of [[nss.group]] groups of this host: puts oncall behind files
on the group: line of /etc/nsswitch.conf.

Usage: nss-oncall-enable [--undo]

Options:
  --undo       remove it again, from an initgroups: line too
  -h, --help   print this

Writes /etc/nsswitch.conf, nothing else; a second run changes nothing. Programs
that run already see the groups when they read the file next.

Examples:
  nss-oncall-enable && getent group oncall
  nss-oncall-enable --undo

Exit status: 0; 1, nothing was changed: it says why (authselect writes the file,
or an action follows files); after --undo 1 also if the file still names oncall,
in a line that it does not edit, although others may be edited; 64, wrong usage.
More: man nss-oncall-enable
END
    exit 0
    ;;
*)
    echo "usage: $0 [--undo]" >&2
    exit 64
    ;;
esac

# A link stays a link.
root=${DPKG_ROOT:-}
[ -n "$root" ] || [ "$(id -u)" = 0 ] || { echo "nothing changed; run it as root" >&2; exit 1; }
switch=$(readlink -f "$root/etc/nsswitch.conf")
line='^[[:space:]]*group:'
# As glibc reads it: a name begins behind a blank, the colon or an action, and ends before a blank or an action.
lists() { grep -qsE "$1([^#]*[][:space:]])?oncall([[:space:]#[]|\$)" "$switch"; }

# Written beside its place and renamed: nobody meets half a file.
change() {
    case $switch in
    */authselect/*)
        echo "$switch is rewritten by authselect; nothing changed, change its profile, see install.md" >&2
        exit 1
        ;;
    esac
    cp -p "$switch" "$switch.authkeys-new"
    sed -i -E "$1" "$switch.authkeys-new"
    mv -f "$switch.authkeys-new" "$switch"
}

if $undo; then
    for line in "$line" '^[[:space:]]*initgroups:'; do
        lists "$line" || continue
        # With what somebody said is to follow from its answer; and a line that names nobody else goes whole.
        change "/$line/{
            s/^([^#]*)([[:space:]]|([]:]))oncall(([[:space:]]*\\[[^]]*\\])+|([[:space:]#]|\$))/\\1\\3\\6/
            /$line[[:space:]]*(#.*)?\$/d
        }"
        echo "$switch: oncall removed from ${line##*\]\*}"
    done
    ! lists '^[[:space:]]*[a-z_]+:' || { echo "$switch still names oncall; remove it before you remove the library" >&2; exit 1; }
    exit 0
fi

library=
for directory in "$root"/usr/lib/*-linux-* "$root"/lib/*-linux-* "$root"/usr/lib64 "$root"/lib64 "$root"/usr/lib "$root"/lib; do
    [ ! -e "$directory/libc.so.6" ] || [ ! -e "$directory/libnss_oncall.so.2" ] || library=$directory
done
[ -n "$library" ] || { echo "no libnss_oncall.so.2 beside libc.so.6; nothing changed, install it first" >&2; exit 1; }

if ! lists "$line"; then
    # What is to follow from the answer of `files` is the administrator's to say, for two services as for one.
    grep -qsE "$line([^#]*[[:space:]])?files([[:space:]]+[^[:space:][][^#]*)?[[:space:]]*(#.*)?\$" "$switch" || {
        echo "$switch has no group: line with a plain \`files\`; nothing changed, add \`oncall\` after it by hand, see operations.md" >&2
        exit 1
    }
    change "/$line/s/^([^#]*[[:space:]:])files([[:space:]#]|\$)/\\1files oncall\\2/"
    echo "$switch: oncall added after files in group:"
fi
! grep -qsE '^[[:space:]]*initgroups:' "$switch" || lists '^[[:space:]]*initgroups:' ||
    echo "$switch has an initgroups: line, which decides the groups of a login: see operations.md" >&2
