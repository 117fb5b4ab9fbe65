#!/bin/bash
# Most would guess: an unencrypted ECDSA key that ssh-keygen wrote is read by a library for that format, each time or never.
#
# ssh-key refuses some of them: those whose private number is short. OpenSSH writes the number as an mpint, which leaves zeros at
# the front out (RFC 4251, section 5), and the library wants as many bytes as the curve's numbers have at most. Of keys on P-521,
# whose highest byte is a single bit, that is every fourth; on P-256 it is one in some 500. `ssh-keygen -y` reads them all.
#
# ssh-key 0.6.7 (src/private/ecdsa.rs, `EcdsaPrivateKey::decode`), keys of OpenSSH 9.2 and later.
#
# Needs cargo and ssh-keygen; half a minute.
set -eu
version=0.6.7
count=64

command -v cargo ssh-keygen >/dev/null || { echo "needs cargo and ssh-keygen" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src" "$work/keys"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "scalars"
version = "0.0.0"
edition = "2021"
[dependencies]
ssh-key = { version = "=$version", default-features = false, features = ["std", "p256", "p521"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    for file in std::env::args().skip(1) {
        match ssh_key::PrivateKey::from_openssh(std::fs::read(file).expect("a file")) {
            Ok(key) => println!("{} read", key.algorithm()),
            Err(problem) => println!("refused: {problem}"),
        }
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "ssh-key $version could not be built" >&2; exit 2; }
for number in $(seq $count); do
    ssh-keygen -q -t ecdsa -b 521 -N '' -C '' -f "$work/keys/$number"
    ssh-keygen -y -f "$work/keys/$number" >/dev/null
    rm "$work/keys/$number.pub"
done
echo "ssh-key $version, of $count keys on P-521 that ssh-keygen wrote and reads ($(ssh -V 2>&1 | cut -d, -f1)):"
"$work/target/debug/scalars" "$work"/keys/* | sort | uniq -c | tee "$work/seen"
# Of so many, all are read, or none, once in more than a thousand million runs.
grep -q ' ecdsa-sha2-nistp521 read$' "$work/seen" && grep -q ' refused: length invalid$' "$work/seen"
