#!/bin/bash
# Most would guess: a rule that RFC 5545 forbids is refused by a library that validates rules, or its forbidden part is ignored.
#
# `FREQ=WEEKLY;BYDAY=2WE` is one: section 3.3.10 has numbers before weekdays in months and years alone. rrule validates it, and
# gives every single day. A rule that can come at no day (30 February) is none of its errors either: it looks for a third of a
# second, and gives an empty list that is not marked as limited.
#
# rrule 0.14.0 (src/validator/validate_rrule.rs, src/iter/rrule_iter.rs).
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
name = "rules"
version = "0.0.0"
edition = "2021"
[dependencies]
rrule = { version = "=$version", default-features = false }
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    for rule in ["FREQ=WEEKLY;BYDAY=2WE", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"] {
        match format!("DTSTART:20260701T090000Z\nRRULE:{rule}").parse::<rrule::RRuleSet>() {
            Err(problem) => println!("{rule} refused: {problem}"),
            Ok(set) => {
                let found = set.all(5);
                let dates: Vec<_> = found.dates.iter().map(|at| at.format("%d").to_string()).collect();
                println!("{rule} days {} limited {}", dates.join(","), found.limited);
            }
        }
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/rules" | tee "$work/seen"
grep -qx 'FREQ=WEEKLY;BYDAY=2WE days 01,02,03,04,05 limited true' "$work/seen" &&
    grep -qx 'FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30 days  limited false' "$work/seen"
