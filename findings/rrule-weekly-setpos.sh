#!/bin/bash
# Most would guess: `FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1` is every Monday, whichever day DTSTART is.
#
# RFC 5545, section 3.3.10: BYSETPOS counts within a set of times, and a set starts with the beginning of the interval, here with the
# week (WKST, Monday where it is not said). rrule lets the first week begin with DTSTART: of a series that begins on a Wednesday it
# counts that Wednesday as the first of its week, and then the Mondays. By the standard the first time is the Monday after.
#
# rrule 0.14.0 (src/iter/iterinfo.rs: `weekday_set`).
#
# Needs cargo; half a minute.
set -eu
version=0.14.0
command -v cargo >/dev/null || { echo "needs cargo" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "positions"
version = "0.0.0"
edition = "2021"
[dependencies]
rrule = { version = "=$version", default-features = false }
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    let rule = "DTSTART:20260603T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1;COUNT=4";
    let set: rrule::RRuleSet = rule.parse().expect("a rule");
    let dates: Vec<_> = set.all(9).dates.iter().map(|at| at.format("%a %d").to_string()).collect();
    println!("from Wed 03: {}", dates.join(", "));
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/positions" | tee "$work/seen"
grep -qx 'from Wed 03: Wed 03, Mon 08, Mon 15, Mon 22' "$work/seen"
