#!/bin/bash
# Most would guess: each weekday of a BYDAY adds days, `BYDAY=TU,3FR` by month every Tuesday and the third Friday; and a rule that RFC
# 5545 forbids, as `BYDAY=2WE` by week, is refused by a library that validates rules.
#
# Section 3.3.10 has one list, in which each weekday may have a number, by month and by year alone. rrule makes two of it, and leaves out
# each day that either does not have: a day has to be in both. Of `TU,1TU,3FR` that is the first Tuesday; of `MO,1TU` it is none, and
# the answer is an empty list that does not say that the search was given up. By week the list of numbers lets every day pass,
# and the rule is valid: Wednesday's second is each day of the week.
#
# rrule 0.14.0 (src/iter/filters.rs: `is_filtered_by_weekday`, `is_filtered_by_neg_weekday`; src/validator/validate_rrule.rs).
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
    // 1 June 2026 is a Monday.
    for rule in [
        "MONTHLY;BYDAY=TU;UNTIL=20260630T235959Z",
        "MONTHLY;BYDAY=1TU,3FR;UNTIL=20260630T235959Z",
        "MONTHLY;BYDAY=TU,1TU,3FR;UNTIL=20260630T235959Z",
        "MONTHLY;BYDAY=MO,1TU",
        "WEEKLY;BYDAY=2WE;COUNT=5",
    ] {
        match format!("DTSTART:20260601T090000Z\nRRULE:FREQ={rule}").parse::<rrule::RRuleSet>() {
            Err(problem) => println!("{rule} refused: {problem}"),
            Ok(set) => {
                let found = set.all(50);
                let dates: Vec<_> = found.dates.iter().map(|at| at.format("%d").to_string()).collect();
                println!("{rule}: {} limited {}", dates.join(","), found.limited);
            }
        }
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/weekdays" | tee "$work/seen"
grep -qx 'MONTHLY;BYDAY=TU;UNTIL=20260630T235959Z: 02,09,16,23,30 limited false' "$work/seen" &&
    grep -qx 'MONTHLY;BYDAY=1TU,3FR;UNTIL=20260630T235959Z: 02,19 limited false' "$work/seen" &&
    grep -qx 'MONTHLY;BYDAY=TU,1TU,3FR;UNTIL=20260630T235959Z: 02 limited false' "$work/seen" &&
    grep -qx 'MONTHLY;BYDAY=MO,1TU:  limited false' "$work/seen" &&
    grep -qx 'WEEKLY;BYDAY=2WE;COUNT=5: 01,02,03,04,05 limited false' "$work/seen"
