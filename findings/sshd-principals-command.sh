#!/bin/bash
# Most would guess: AuthorizedKeysCommand and AuthorizedPrincipalsCommand are two settings of sshd, and the order of their lines
# in sshd_config does not matter. sshd_config(5) says of neither that it does, and `sshd -t` finds nothing wrong.
#
# So it is not: behind AuthorizedKeysCommand, AuthorizedPrincipalsCommand stays `none`, without a word. With TrustedUserCAKeys, sshd
# then asks nobody, and lets a certificate into the account whose name is among its principals: it opens what the command would
# have kept closed. AuthorizedPrincipalsCommandUser is set all the same.
#
# OpenSSH 9.2p1 (Debian 12). servconf.c, process_server_config_line_depth(): both keywords share the code behind `parse_command`, as
# its behaviour shows: it looks whether authorized_keys_command is set already, whichever of the two it reads.
#
# Needs sshd and ssh-keygen; a second.
set -eu

sshd=$(command -v sshd || echo /usr/sbin/sshd)
[ -x "$sshd" ] && command -v ssh-keygen >/dev/null || { echo "needs sshd and ssh-keygen" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ssh-keygen -qt ed25519 -N '' -f "$work/host"
ssh -V 2>&1

keys='AuthorizedKeysCommand /bin/false %u
AuthorizedKeysCommandUser nobody'
principals='AuthorizedPrincipalsCommand /bin/true %u
AuthorizedPrincipalsCommandUser nobody'
holds() { # the lines of sshd_config
    printf 'HostKey %s\n%s\n' "$work/host" "$1" >"$work/config"
    "$sshd" -T -f "$work/config" 2>"$work/error" | sed -n 's/^authorizedprincipalscommand //p'
}
behind=$(holds "$keys
$principals")
before=$(holds "$principals
$keys")
[ -n "$before" ] || { cat "$work/error" >&2; exit 2; }
echo "before AuthorizedKeysCommand: $before"
echo "behind AuthorizedKeysCommand: $behind"
[ "$behind" = none ] && [ "$before" = '/bin/true %u' ]
