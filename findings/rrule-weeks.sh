#!/bin/bash
# Most would guess: a week of a rule is a week, from WKST on (Monday, where it is not said), wherever the series begins, and its number
# is the one of ISO 8601. RFC 5545, section 3.3.10, says so.
#
# rrule has other weeks at both edges. BYSETPOS counts in the first week from DTSTART and not from that week's Monday: of
# `BYDAY=MO,WE;BYSETPOS=1` a series that begins on a Wednesday has that Wednesday, and then Mondays. And for the first days of January,
# which are in the last week of the year before, it takes the length of the wrong year where that year's first week begins no
# later than its 4th of January: 1 January 2022 is in week 52 of 2021, and comes by BYWEEKNO=53 alone. So it is in 2011 and 2039.
#
# rrule 0.14.0 (src/iter/iterinfo.rs: `weekday_set`; src/iter/yearinfo.rs).
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

fn all(rule: &str) -> Vec<chrono::DateTime<rrule::Tz>> {
    rule.parse::<rrule::RRuleSet>().expect("a rule").all(50).dates
}

fn main() {
    let first = all("DTSTART:20260603T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1;COUNT=4");
    let dates: Vec<_> = first.iter().map(|at| at.format("%a %d").to_string()).collect();
    println!("from Wed 03: {}", dates.join(", "));
    for week in [52, 53] {
        let rule = "DTSTART:20210102T090000Z\nRRULE:FREQ=YEARLY;BYDAY=SA;UNTIL=20280101T090000Z;BYWEEKNO=";
        for at in all(&format!("{rule}{week}")) {
            println!("BYWEEKNO={week}: {} is in week {}", at.format("%F"), at.iso_week().week());
        }
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo build -q --manifest-path "$work/Cargo.toml" || { echo "rrule $version could not be built" >&2; exit 2; }
"$work/target/debug/weeks" | tee "$work/seen"
grep -qx 'from Wed 03: Wed 03, Mon 08, Mon 15, Mon 22' "$work/seen" &&
    grep -qx 'BYWEEKNO=53: 2022-01-01 is in week 52' "$work/seen" && ! grep -q 'BYWEEKNO=52: 2022-01-01' "$work/seen"
