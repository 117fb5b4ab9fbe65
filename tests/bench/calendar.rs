//! A sync of a calendar: one with many series beside one with a single event, whole processes in interleaved rounds.

use std::fmt::Write as _;

use harness::suite::{DAY, instant, now};

use crate::machine::{Machine, words};
use crate::samples::median;
use crate::table::{Table, at_most, figure};

/// Series in the large one.
const EVENTS: usize = 5_000;

/// The most that these may take more, in ms.
const LIMIT: f64 = 200.0;

pub fn measure(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    let commands: Vec<Vec<String>> = [1, EVENTS]
        .into_iter()
        .map(|events| {
            host.write(&format!("/etc/authkeys/bench-{events}.ics"), calendar(events), 0o644);
            host.must(&format!("install -d -m 755 -o oncall-cache -g oncall-cache /var/lib/bench-{events}"));
            let config = format!(
                "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[paths]\nroster = '/var/lib/bench-{events}/roster.db'\n\
                 [[oncall.source]]\nname = 'cal'\nprovider = 'icalendar'\nfile = 'bench-{events}.ics'\nmax_oncall = {EVENTS}\nperson = '{{}}'\n\
                 people = {{ alice = 'alice', bob = 'bob', carol = 'carol' }}\n"
            );
            host.write(&format!("/etc/authkeys/bench-{events}.toml"), config, 0o644);
            words(&format!("/usr/bin/oncall-cache --config /etc/authkeys/bench-{events}.toml sync"))
        })
        .collect();
    let series = machine.run_well("oncall-cache", rounds, &commands, &[0]);
    let mut table = Table::new(
        &format!("oncall-cache sync of a calendar, over 72 h, whole process, {rounds} rounds"),
        &["events", "median ms", "cpu ms", "RSS MiB", "to reach"],
    );
    let wall = |at: usize| median(series[at].wall());
    let more = format!(
        "{} more than one event: {}",
        figure(wall(1) - wall(0)),
        at_most(wall(1) - wall(0), LIMIT, "ms")
    );
    for (events, at, reach) in [(1, 0, String::new()), (EVENTS, 1, more)] {
        let cpu = figure(median(series[at].cpu()));
        table.row(vec![events.to_string(), figure(wall(at)), cpu, figure(series[at].rss()), reach]);
    }
    table.print();
}

/// Weekly series of an hour, which began over the last year, each at another time of the week.
fn calendar(events: usize) -> String {
    let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\n".to_string();
    for number in 0..events {
        let minutes = i64::try_from(number % (7 * 24 * 60)).expect("minutes of a week");
        let start = now() - DAY * 7 * (1 + i64::try_from(number % 52).expect("a week")) + minutes * 60;
        let local = |at: i64| instant(at - at % 60).trim_end_matches('Z').replace(['-', ':'], "");
        let who = ["alice", "bob", "carol"][number % 3];
        let _ = write!(
            text,
            "BEGIN:VEVENT\r\nUID:{number}@example.com\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:{}\r\n\
             DTEND;TZID=Europe/Berlin:{}\r\nRRULE:FREQ=WEEKLY\r\nSUMMARY:{who}\r\nEND:VEVENT\r\n",
            local(start),
            local(start + 3_600)
        );
    }
    text + "END:VCALENDAR\r\n"
}
