#!/bin/bash
# Most would guess: BYWEEKNO knows the weeks of ISO 8601, as RFC 5545, section 3.3.10, has it, at both ends of a year.
#
# For the first days of January, which belong to the last week of the year before, rrule has to know whether that year had 52 weeks or
# 53. Where that year's first week begins no later than its 4th of January it counts with the length and the beginning of the wrong
# year: 1 January 2022 is in week 52 of 2021, and comes by BYWEEKNO=53 and not by BYWEEKNO=52. So it is with 2011 and 2039.
#
# rrule 0.14.0 (src/iter/yearinfo.rs); python-dateutil 2.9.0.post0, of which it is a port, gives the same.
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
name = "weeks"
version = "0.0.0"
edition = "2021"
[dependencies]
chrono = "=0.4.45"
rrule = { version = "=$version", default-features = false }
TOML
cat >"$work/src/main.rs" <<'RUST'
use chrono::Datelike;

fn main() {
    for week in [52, 53] {
        let rule = format!("DTSTART:20210102T090000Z\nRRULE:FREQ=YEARLY;BYWEEKNO={week};BYDAY=SA;UNTIL=20280101T090000Z");
        let set: rrule::RRuleSet = rule.parse().expect("a rule");
        for at in set.all(50).dates {
            println!("BYWEEKNO={week}: {} is in week {}", at.format("%F"), at.iso_week().week());
        }
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/weeks" | tee "$work/seen"
grep -qx 'BYWEEKNO=53: 2022-01-01 is in week 52' "$work/seen" && ! grep -q 'BYWEEKNO=52: 2022-01-01' "$work/seen"
