#!/bin/bash
# Most would guess: each weekday of a BYDAY adds days to a rule, so `BYDAY=MO,1TU` by month is every Monday, and the first Tuesday.
#
# RFC 5545, section 3.3.10, has one list, in which each weekday may have a number. rrule keeps those with a number and those without
# apart, and leaves out each day that either list does not have: what is left has to be in both. Of `MO,1TU` that is no day at
# all; of `TU,1TU,3FR` the first Tuesday alone. The rule is taken, and nothing marks its answer.
#
# rrule 0.14.0 (src/iter/filters.rs: `is_filtered_by_weekday`, `is_filtered_by_neg_weekday`).
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
name = "weekdays"
version = "0.0.0"
edition = "2021"
[dependencies]
rrule = { version = "=$version", default-features = false }
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    // 1 June 2026 is a Monday. Each list by itself, and then both in one.
    for days in ["TU", "1TU,3FR", "TU,1TU,3FR"] {
        let rule = format!("DTSTART:20260601T090000Z\nRRULE:FREQ=MONTHLY;BYDAY={days};UNTIL=20260630T235959Z");
        let set: rrule::RRuleSet = rule.parse().expect("a rule");
        let found = set.all(50);
        let dates: Vec<_> = found.dates.iter().map(|at| at.format("%d").to_string()).collect();
        println!("{days} in June: {} limited {}", dates.join(","), found.limited);
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/weekdays" | tee "$work/seen"
grep -qx 'TU in June: 02,09,16,23,30 limited false' "$work/seen" &&
    grep -qx '1TU,3FR in June: 02,19 limited false' "$work/seen" &&
    grep -qx 'TU,1TU,3FR in June: 02 limited false' "$work/seen"
