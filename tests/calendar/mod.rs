//! `oncall-cache sync` and calendars: what real programs write, kept by a real server, is what two other programs read in it;
//! where they do not agree it is refused with the line, and so is what a server answers instead.

mod outcomes;

use std::collections::BTreeSet;

use harness::grants::Grants;
use harness::radicale::{PROGRAMS, Radicale};
use harness::suite::{DAY, HOUR, Suite, instant, now};
use harness::text;
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::Value;

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

/// How far ahead everything is read: over two changes of clocks.
const AHEAD: i64 = 400 * DAY;

/// Somebody, from when to when.
type Shift = (String, i64, i64);

/// A machine whose rota is a calendar.
struct Site<'a> {
    suite: &'a Suite,
}

impl<'a> Site<'a> {
    fn on(suite: &'a Suite) -> Self {
        suite.sync_keys();
        Self { suite }
    }

    /// Writes a configuration with these settings of the source.
    fn source(&self, settings: &str) {
        let config = format!(
            "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[oncall]\nlookahead = '400d'\n\
             [[oncall.source]]\nname = 'cal'\nprovider = 'icalendar'\nmax_oncall = 100\n{settings}\n\
             [[policy.rule]]\nname = 'all'\nschedules = ['cal/calendar']\n[[policy.shared_account]]\naccount = 'root'\n"
        );
        self.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    }

    /// The same, by the secret address `url`.
    fn address(&self, url: &str, more: &str) {
        self.suite.host.write("/etc/authkeys/calendar-url", format!("{url}\n"), 0o640);
        self.suite.host.must("chgrp oncall-cache /etc/authkeys/calendar-url");
        self.source(&format!(
            "url_file = 'calendar-url'\nca_file = 'calendar-ca.pem'\ntimeout = '30s'\n{more}"
        ));
    }

    /// What a sync makes of it, from nothing; or what it says instead.
    fn read(&self) -> Result<Vec<Shift>, String> {
        self.suite.host.must("rm -f /var/lib/oncall-cache/roster.*");
        let output = self.suite.run_as("oncall-cache", "oncall-cache sync");
        if !output.status.success() {
            return Err(text(&output));
        }
        let query = "SELECT principal, starts, ends FROM shift ORDER BY 1, 2";
        let rows = self.suite.host.must(&format!("sqlite3 -separator ' ' {ROSTER} '{query}'"));
        let row = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("three columns");
            let (person, start, end) = (word().to_string(), word(), word());
            (person, start.parse().expect("seconds"), end.parse().expect("seconds"))
        };
        Ok(rows.lines().map(row).collect())
    }

    /// What each of the two readers makes of each of `files`: nothing, if it gives up.
    fn readers(&self, from: i64, to: i64, files: &[String]) -> Vec<[Option<Vec<Shift>>; 2]> {
        let command = format!(
            "{PROGRAMS}/python3 /run/suite/source/tests/calendar/read.py Europe/Berlin {from} {to} {}",
            files.join(" ")
        );
        let told: Value = serde_json::from_str(&self.suite.host.must(&command)).expect("JSON");
        let shift = |row: &Value| {
            let seconds = |at: usize| row[at].as_i64().expect("seconds");
            (row[0].as_str().expect("a summary").to_string(), seconds(1), seconds(2))
        };
        let told = told.as_array().expect("a list").iter();
        let mut told =
            told.map(|row| row[2].as_array().map(|rows| rows.iter().map(shift).collect::<Vec<_>>()));
        files.iter().map(|_| [told.next().expect("a reader"), told.next().expect("another reader")]).collect()
    }
}

/// Is whoever is on call by `ours` at each instant at which anything changes whoever is by `theirs`?
fn agree(what: &str, ours: &[Shift], theirs: &[Shift], from: i64, to: i64) {
    let changes: BTreeSet<i64> =
        ours.iter().chain(theirs).flat_map(|(_, start, end)| [*start, *end]).collect();
    let on_call = |shifts: &[Shift], at: i64| -> BTreeSet<String> {
        shifts
            .iter()
            .filter(|(_, start, end)| *start <= at && at < *end)
            .map(|(person, ..)| person.clone())
            .collect()
    };
    let instants = changes.iter().flat_map(|at| [at - 1, *at]).filter(|at| from <= *at && *at < to);
    for at in instants {
        assert_eq!(on_call(ours, at), on_call(theirs, at), "{what} at {}", instant(at));
    }
}

#[test]
fn a103_what_three_programs_write_is_what_two_others_read() {
    let suite = Suite::start();
    let site = Site::on(&suite);
    let host = &site.suite.host;
    let radicale = Radicale::start(host);
    host.must("mkdir -p /run/calendars && chmod 755 /run/calendars");
    let python = format!("{PROGRAMS}/python3 /run/suite/source/tests/calendar/write.py");
    for (zone, file) in [("Europe/Berlin", "written"), ("\"W. Europe Standard Time\"", "windows")] {
        host.must(&format!("{python} '{zone}' >/run/calendars/{file}.ics"));
    }
    // Radicale writes what it was given anew.
    radicale.publish("rota", "/run/calendars/written.ics");
    radicale.save("rota", "/run/calendars/kept.ics");
    khal(&site, &radicale);
    radicale.save("khal", "/run/calendars/khal.ics");
    let (from, to) = (now(), now() + AHEAD - DAY);
    let attendee = "time_zone = 'Europe/Berlin'\n";
    let summary = "time_zone = 'Europe/Berlin'\nperson = '{}'\npeople = { alice = 'alice', bob = 'bob', carol = 'carol' }\n";
    for (file, served, settings, least, answers) in [
        ("written", None, attendee, 400, 2),
        ("kept", Some("rota"), attendee, 400, 2),
        ("khal", Some("khal"), summary, 150, 2),
        // One of the two knows no names of Windows.
        ("windows", None, attendee, 400, 1),
    ] {
        let path = format!("/run/calendars/{file}.ics");
        match served {
            Some(name) => site.address(&Radicale::address(name), settings),
            None => site.source(&format!("file = '{path}'\n{settings}")),
        }
        let ours = site.read().unwrap_or_else(|said| panic!("{file}: {said}"));
        let readers: Vec<Vec<Shift>> =
            site.readers(from, to, &[path]).remove(0).into_iter().flatten().collect();
        assert_eq!(readers.len(), answers, "{file}: how many readers have an answer");
        for theirs in readers {
            assert!(theirs.len() >= least, "{file}: {} shifts", theirs.len());
            agree(file, &ours, &theirs, from, to);
        }
        let changes: BTreeSet<i64> =
            ours.iter().map(|(_, start, _)| *start).filter(|at| *at > from).collect();
        for at in changes.into_iter().step_by(60) {
            // What is a year ahead is known, and not believed yet: that is its exit status.
            let said = site.suite.run_as("nobody", &format!("oncall-cache who --json --at {}", instant(at)));
            let said: Value = serde_json::from_slice(&said.stdout).expect("JSON");
            let people = said["schedules"][0]["now"].as_array().expect("shifts").iter();
            let people: BTreeSet<&str> =
                people.map(|shift| shift["person"].as_str().expect("a name")).collect();
            let expected = ours.iter().filter(|(_, start, end)| *start <= at && at < *end);
            assert_eq!(
                people,
                expected.map(|(person, ..)| person.as_str()).collect(),
                "{file} at {}",
                instant(at)
            );
        }
    }
}

/// A rota as people keep it with khal, brought to the server by vdirsyncer.
fn khal(site: &Site<'_>, radicale: &Radicale<'_>) {
    let config = "[calendars]\n[[rota]]\npath = /run/khal/vdir/khal\n[locale]\nlocal_timezone = Europe/Berlin\n\
                  default_timezone = Europe/Berlin\ntimeformat = %H:%M\ndateformat = %Y-%m-%d\nlongdateformat = %Y-%m-%d\n\
                  datetimeformat = %Y-%m-%d %H:%M\nlongdatetimeformat = %Y-%m-%d %H:%M\n[default]\ndefault_calendar = rota\n\
                  [sqlite]\npath = /run/khal/khal.db\n";
    site.suite.host.write("/run/khal/config", config, 0o600);
    site.suite.host.must("mkdir -p /run/khal/vdir/khal");
    let day = |from_now: i64| instant(now() + from_now * DAY).split('T').next().expect("a date").to_string();
    for event in [
        format!("{} 09:00 {} 09:00 alice -r weekly", day(-10), day(-3)),
        format!("{} 20:00 {} 08:00 bob -r daily -u {}", day(2), day(3), day(150)),
        format!("{} {} carol", day(20), day(22)),
    ] {
        site.suite.host.must(&format!("{PROGRAMS}/khal -c /run/khal/config new -a rota {event}"));
    }
    radicale.follow("khal");
}

#[test]
fn a103_an_edit_made_now_is_late() {
    let host = Grants::start();
    let site = Site::on(&host.suite);
    let radicale = Radicale::start(&site.suite.host);
    let write = |person: &str, start: i64| {
        let time = |at: i64| instant(at).replace(['-', ':'], "");
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:{0}\r\nDTSTART:{0}\r\nDTEND:{1}\r\n\
             SUMMARY:on call\r\nATTENDEE:mailto:{person}@example.com\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            time(start),
            time(start + 2 * DAY)
        );
        site.suite.host.write("/run/edit.ics", text, 0o644);
        radicale.publish("edited", "/run/edit.ics");
    };
    site.suite.host.must("rm -f /var/lib/oncall-cache/roster.*");
    site.address(&Radicale::address("edited"), "");
    let shown = site.suite.host.must("oncall-cache config show");
    assert!(shown.contains("late = \"claim\""), "{shown}");
    write("alice", now() - HOUR);
    site.suite.sync();
    assert!(
        !site.suite.host.path("/var/lib/oncall-cache/roster.late").exists(),
        "what the first sync finds is not late"
    );
    // bob gives himself the shift.
    write("bob", now() - 1);
    site.suite.sync();
    let late = site.suite.host.read("/var/lib/oncall-cache/roster.late");
    assert!(late.contains("bob") && !late.contains("alice"), "{late}");
    let asked = site.suite.host.sh("oncall-cache test-access bob");
    assert!(text(&asked).contains("say why first, once a shift"), "{}", text(&asked));
    let asked = site.suite.host.sh("oncall-cache test-access bob --json");
    assert!(text(&asked).contains("\"late\": \""), "{}", text(&asked));
}

/// One calendar, and who of the two readers and ours reads it.
struct Case {
    name: &'static str,
    events: String,
    /// Says why, where ours refuses what both take in one way, or takes what one of them does not.
    apart: Option<&'static str>,
}

/// `@A+2` is two days after clocks go back next, and `@S-1` a day before they go forward, as the standard writes dates.
fn dated(text: &str) -> String {
    let today: Date = instant(now()).split('T').next().expect("a date").parse().expect("a date");
    let change = |month: i8| {
        let of = |year: i16| {
            let last = Date::new(year, month, 31).expect("a date");
            last.checked_sub(i64::from(last.weekday().to_sunday_zero_offset()).days()).expect("a date")
        };
        let this = of(today.year());
        if this > today.checked_add(12.days()).expect("a date") { this } else { of(today.year() + 1) }
    };
    let mut text = text.to_string();
    for (letter, sunday) in [('A', change(10)), ('S', change(3))] {
        for days in (-40_i64..=40).rev() {
            let day = sunday.checked_add(days.days()).expect("a date").strftime("%Y%m%d").to_string();
            text = text.replace(&format!("@{letter}{days:+}."), &day);
        }
    }
    text
}

fn event(summary: &str, lines: &str) -> String {
    format!("BEGIN:VEVENT\nUID:1\nDTSTAMP:20260101T000000Z\nSUMMARY:{summary}\n{lines}\nEND:VEVENT\n")
}

fn cases() -> Vec<Case> {
    const NIGHTS: &str = "DTSTART;TZID=Europe/Berlin:@A-2.T230000\nDTEND;TZID=Europe/Berlin:@A-1.T010000\nRRULE:FREQ=DAILY;COUNT=5";
    const LATER: &str = "DTSTART;TZID=Europe/Berlin:@A+0.T100000\nDTEND;TZID=Europe/Berlin:@A+0.T110000";
    let one = |name, lines: &str| Case { name, events: event("alice", lines), apart: None };
    let more = |name, lines: &str| one(name, &format!("{NIGHTS}\n{lines}"));
    let rule = |name, rule: &str| one(name, &NIGHTS.replace("FREQ=DAILY;COUNT=5", rule));
    let moved = |name, id: &str, lines: &str| Case {
        name,
        events: event("alice", NIGHTS) + &event("bob", &format!("{id}\n{lines}")),
        apart: None,
    };
    let apart = |why, case: Case| Case { apart: Some(why), ..case };
    let week = "DTSTART;TZID=Europe/Berlin:@A-6.T090000\nDTEND;TZID=Europe/Berlin:@A+1.T090000\nRRULE:FREQ=WEEKLY;COUNT=3";
    vec![
        one("weeks", week),
        one("windows", &week.replace("Europe/Berlin", "W. Europe Standard Time")),
        one("unknown", &week.replace("Europe/Berlin", "Mars/Base")),
        more("left out by time", "EXDATE;TZID=Europe/Berlin:@A-1.T230000,@A+0.T230000"),
        more("left out in UTC", "EXDATE:@A-1.T210000Z"),
        more("left out by day", "EXDATE;VALUE=DATE:@A+0."),
        more("one more", "RDATE;TZID=Europe/Berlin:@A+9.T230000"),
        one(
            "times without a rule",
            "DTSTART;TZID=Europe/Berlin:@A-2.T120000\nDURATION:PT1H\nRDATE;TZID=Europe/Berlin:@A+1.T120000",
        ),
        more("a period", "RDATE;VALUE=PERIOD:@A+9.T110000Z/PT3H"),
        moved("moved", "RECURRENCE-ID;TZID=Europe/Berlin:@A+0.T230000", LATER),
        moved("moved, without a zone", "RECURRENCE-ID:@A+0.T230000", LATER),
        apart(
            "one of them knows its series by what is written",
            moved("moved, in UTC", "RECURRENCE-ID:@A-1.T210000Z", LATER),
        ),
        apart(
            "they put two people on call where one was meant",
            moved("moved, by day", "RECURRENCE-ID;VALUE=DATE:@A+0.", LATER),
        ),
        moved(
            "called off",
            "RECURRENCE-ID;TZID=Europe/Berlin:@A+0.T230000",
            &format!("{LATER}\nSTATUS:CANCELLED"),
        ),
        Case {
            name: "left out and called off",
            events: event("alice", &format!("{NIGHTS}\nEXDATE;TZID=Europe/Berlin:@A+0.T230000"))
                + &event(
                    "bob",
                    &format!("RECURRENCE-ID;TZID=Europe/Berlin:@A+0.T230000\n{LATER}\nSTATUS:CANCELLED"),
                ),
            apart: None,
        },
        moved(
            "moved, and all after it",
            "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:@A+0.T230000",
            LATER,
        ),
        moved("moved, but from nowhere", "RECURRENCE-ID;TZID=Europe/Berlin:@A+0.T220000", LATER),
        moved("twice", "", LATER),
        one("all called off", &format!("{NIGHTS}\nSTATUS:CANCELLED")),
        rule("until", "FREQ=DAILY;UNTIL=@A+1.T220000Z"),
        rule("until just before", "FREQ=DAILY;UNTIL=@A+1.T215959Z"),
        rule("until a local time", "FREQ=DAILY;UNTIL=@A+1.T120000"),
        rule("until a day", "FREQ=DAILY;UNTIL=@A+1."),
        rule("weekdays", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=9"),
        rule("the last Friday", "FREQ=MONTHLY;BYDAY=-1FR;COUNT=2"),
        rule("never", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        one(
            "not by its own rule",
            "DTSTART;TZID=Europe/Berlin:@A-3.T120000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=3",
        ),
        one(
            "skipped",
            "DTSTART;TZID=Europe/Berlin:@S-1.T023000\nDTEND;TZID=Europe/Berlin:@S-1.T060000\nRRULE:FREQ=DAILY;COUNT=3",
        ),
        one(
            "begins where clocks skip",
            "DTSTART;TZID=Europe/Berlin:@S+0.T023000\nDTEND;TZID=Europe/Berlin:@S+0.T060000\nRRULE:FREQ=DAILY;COUNT=2",
        ),
        one(
            "twice shown",
            "DTSTART;TZID=Europe/Berlin:@A-1.T023000\nDTEND;TZID=Europe/Berlin:@A-1.T060000\nRRULE:FREQ=DAILY;COUNT=3",
        ),
        one("a day", "DTSTART;TZID=Europe/Berlin:@A-1.T120000\nDURATION:P1D"),
        apart(
            "by the standard these are 24 hours",
            one("24 hours", "DTSTART;TZID=Europe/Berlin:@A-1.T120000\nDURATION:PT24H"),
        ),
        apart("to both it has no length", one("no end", "DTSTART;TZID=Europe/Berlin:@A-1.T120000")),
        one("whole days", "DTSTART;VALUE=DATE:@A-1.\nDTEND;VALUE=DATE:@A+1."),
        one("one whole day", "DTSTART;VALUE=DATE:@A+0."),
        one(
            "whole weeks",
            "DTSTART;VALUE=DATE:@A-6.\nDTEND;VALUE=DATE:@A+1.\nRRULE:FREQ=WEEKLY;COUNT=2\nEXDATE;VALUE=DATE:@A+1.",
        ),
        one("whole days until one", "DTSTART;VALUE=DATE:@A-2.\nRRULE:FREQ=DAILY;UNTIL=@A+1."),
        one("whole days until a midnight", "DTSTART;VALUE=DATE:@A-2.\nRRULE:FREQ=DAILY;UNTIL=@A+1.T000000Z"),
        apart(
            "both take the day that it is in UTC",
            one("whole days until a time", "DTSTART;VALUE=DATE:@A-2.\nRRULE:FREQ=DAILY;UNTIL=@A+1.T230000Z"),
        ),
        apart(
            "both count as python-dateutil does, the days that are both",
            rule("weekdays with a number and without", "FREQ=MONTHLY;BYDAY=SU,-1FR;COUNT=9"),
        ),
        one("without a zone", "DTSTART:@A-1.T120000\nDTEND:@A-1.T130000\nRRULE:FREQ=DAILY;COUNT=3"),
        one(
            "ends in another zone",
            "DTSTART;TZID=Europe/Berlin:@A-2.T120000\nDTEND;TZID=America/New_York:@A-2.T080000\nRRULE:FREQ=DAILY;COUNT=5",
        ),
        Case {
            name: "shown elsewhere",
            events: "X-WR-TIMEZONE:Europe/Berlin\n".to_string()
                + &event("alice", "DTSTART:@A-2.T100000Z\nDTEND:@A-2.T110000Z\nRRULE:FREQ=DAILY;COUNT=4"),
            apart: None,
        },
        Case {
            name: "a zone of its own",
            events: OWN_ZONE.to_string()
                + &event("alice", &week.replace("Europe/Berlin", "Customized Time Zone")),
            apart: None,
        },
    ]
}

/// As Outlook defines one.
const OWN_ZONE: &str = "BEGIN:VTIMEZONE\nTZID:Customized Time Zone\nBEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\n\
    RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\n\
    TZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";

#[test]
fn a103_what_two_readers_agree_on_is_taken_and_what_not_is_refused_with_its_line() {
    let suite = Suite::start();
    let site = Site::on(&suite);
    let (from, to) = (now(), now() + AHEAD - DAY);
    site.suite.host.must("mkdir -p /run/calendars && chmod 755 /run/calendars");
    let cases = cases();
    let files: Vec<String> = (0..cases.len()).map(|number| format!("/run/calendars/{number}.ics")).collect();
    for (case, file) in cases.iter().zip(&files) {
        let text = dated(&format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{}END:VCALENDAR\n", case.events));
        assert!(!text.contains('@'), "{text}");
        site.suite.host.write(file, text.replace('\n', "\r\n"), 0o644);
    }
    let readers = site.readers(from, to, &files);
    let (mut taken, mut refused) = (0, 0);
    for ((Case { name, apart, .. }, file), [first, second]) in cases.iter().zip(&files).zip(&readers) {
        site.source(&format!("file = '{file}'\nallow_empty = true\ntime_zone = 'Europe/Berlin'\nperson = '{{}}'\npeople = {{ alice = 'alice', bob = 'bob' }}"));
        let ours = site.read();
        match (&ours, first, second) {
            (Ok(ours), Some(first), Some(second)) if apart.is_none() => {
                for theirs in [first, second] {
                    agree(name, ours, theirs, from, to);
                }
            }
            // Where one of them gives up, the other one's word is as good as the standard's.
            (Ok(ours), Some(only), None) | (Ok(ours), None, Some(only)) => agree(name, ours, only, from, to),
            (Ok(_), None, None) => panic!("{name}: no reader reads this"),
            (Ok(_), ..) => {}
            (Err(said), first, second) => {
                assert!(said.contains(&format!("{file}: line ")), "{name}: {said}");
                let both = first.is_some() && first == second;
                assert!(!both || apart.is_some(), "{name}: both readers read this: {said}");
            }
        }
        *if ours.is_ok() { &mut taken } else { &mut refused } += 1;
    }
    assert!(taken >= 25 && refused >= 8, "{taken} taken, {refused} refused");
}
