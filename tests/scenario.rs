//! One story of people on call, told by five sources: PagerDuty, rota.toml, a command, a file and a calendar. Whoever tells
//! it, the same people are admitted at the same instants.
//!
//! The story is written for certain days, and a host's clock is nobody's to set for a test: so all of it is moved
//! by one length of time, once so that it was fetched now, and once so that all of it is ahead.

use std::fmt::Write as _;

use harness::pagerduty::PagerDuty;
use harness::suite::{self, Member, Suite};
use harness::text;
use serde_json::{Value, json};

const STORY: &str = include_str!("fixtures/scenario.json");

/// dave could become root here as well: that he is refused shall be for his shift's sake.
const TEAM: [Member; 4] = [
    Member { name: "alice", eligible: true },
    Member { name: "bob", eligible: true },
    Member { name: "carol", eligible: true },
    Member { name: "dave", eligible: true },
];

const TOKEN: &str = "u+tokenOfTheStory";
const COMMAND: &str = "/etc/authkeys/rota-command";
const FILE: &str = "/var/lib/rota/rota.json";

/// The story, so many seconds later.
struct Story {
    told: Value,
    later: i64,
}

impl Story {
    /// With the instant that is written as `anchor` at `unix`.
    fn moved(anchor: &str, unix: i64) -> Self {
        let told = serde_json::from_str(STORY).expect("the story is JSON");
        Self { told, later: unix - suite::seconds(anchor) }
    }

    fn instant(&self, written: &Value) -> String {
        suite::instant(suite::seconds(written.as_str().expect("an instant")) + self.later)
    }

    fn list(&self, name: &str) -> &[Value] {
        self.told[name].as_array().expect("a list")
    }

    /// Who is on call at each instant that is listed, from `first` on.
    fn expected(&self, first: &str) -> Vec<(String, Vec<&str>)> {
        let listed = self.list("expect_primary_at").iter();
        let listed = listed.filter(|entry| entry["at"].as_str().expect("an instant") >= first);
        let names = |entry: &'static str, value: &'_ Value| -> Vec<String> {
            value[entry]
                .as_array()
                .expect("names")
                .iter()
                .map(|name| name.as_str().expect("a name").into())
                .collect()
        };
        listed
            .map(|entry| {
                let on_call = names("users", entry);
                let known = TEAM.iter().map(|member| member.name);
                (
                    self.instant(&entry["at"]),
                    known.filter(|name| on_call.iter().any(|on| on == name)).collect(),
                )
            })
            .collect()
    }

    /// The shifts of both schedules as our JSON, and dave without start and end.
    fn document(&self) -> Value {
        let shifts = |name: &str| -> Vec<Value> {
            let shift = |shift: &Value| {
                let (start, end) = (self.instant(&shift["start"]), self.instant(&shift["end"]));
                json!({"user": {"id": shift["user"], "email": shift["email"]}, "start": start, "end": end})
            };
            self.list(name).iter().map(shift).collect()
        };
        let mut primary = shifts("primary");
        for dave in self.list("permanent") {
            let user = json!({"id": dave["user"], "email": dave["email"]});
            primary.push(json!({"user": user, "level": dave["level"], "start": null, "end": null}));
        }
        json!({
            "version": 1,
            "generated_at": suite::instant(suite::now()),
            "schedules": [
                {"id": "primary", "name": "Primary", "shifts": primary},
                {"id": "secondary", "name": "Secondary", "shifts": shifts("secondary")},
            ],
        })
    }

    /// The same as a rota with one `[[schedule.shift]]` for each.
    fn rota_of_shifts(&self) -> String {
        ["primary", "secondary"].map(|name| self.rota(name, self.list(name))).concat()
    }

    fn rota(&self, name: &str, shifts: &[Value]) -> String {
        let mut text = format!("[[schedule]]\nid = '{name}'\n");
        for shift in shifts {
            let kind = if shift["override"] == json!(true) { "override" } else { "shift" };
            let (start, end) = (self.instant(&shift["start"]), self.instant(&shift["end"]));
            let _ = writeln!(
                text,
                "[[schedule.{kind}]]\nperson = {}\nstart = {start}\nend = {end}",
                shift["email"]
            );
        }
        text
    }

    /// The same as it came to be: alice and bob take turns, and carol stands in for two hours.
    fn rota_of_turns(&self) -> String {
        let shifts = self.list("primary");
        let local = |at: &Value| self.instant(at).trim_end_matches('Z').to_string();
        let last = shifts.last().expect("a shift");
        let turns = format!(
            "[[schedule.rotation]]\npeople = ['alice', 'bob']\ntime_zone = 'UTC'\nevery = '1d'\nstart = {}\nuntil = {}\n",
            local(&shifts[0]["start"]),
            local(&last["end"]),
        );
        let overrides: Vec<Value> =
            shifts.iter().filter(|shift| shift["override"] == json!(true)).cloned().collect();
        let primary = self.rota("primary", &overrides);
        let (head, tail) = primary.split_at(primary.find("[[schedule.").expect("an override"));
        format!("{head}{turns}{tail}{}", self.rota("secondary", self.list("secondary")))
    }

    /// One of its schedules as a calendar.
    fn calendar(&self, name: &str) -> String {
        let mut text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//story//EN\r\n".to_string();
        for (number, shift) in self.list(name).iter().enumerate() {
            let time = |end: &str| self.instant(&shift[end]).replace(['-', ':'], "");
            let mail = shift["email"].as_str().expect("an address");
            let _ = write!(
                text,
                "BEGIN:VEVENT\r\nUID:{number}\r\nDTSTAMP:20261120T120000Z\r\nDTSTART:{}\r\nDTEND:{}\r\nSUMMARY:On call\r\n\
                 ATTENDEE:mailto:{mail}\r\nEND:VEVENT\r\n",
                time("start"),
                time("end")
            );
        }
        text + "END:VCALENDAR\r\n"
    }

    /// The same as the entries of PagerDuty's /oncalls.
    fn oncalls(&self) -> Vec<Value> {
        let entry = |shift: &Value, schedule: Value, start: Value, end: Value| {
            let user = json!({"id": format!("PU{}", shift["user"].as_str().expect("a name").to_uppercase()), "type": "user", "summary": "Somebody", "name": "Somebody", "email": shift["email"]});
            let level = shift.get("level").cloned().unwrap_or(json!(1));
            json!({"user": user, "schedule": schedule, "escalation_level": level, "start": start, "end": end})
        };
        let mut oncalls = Vec::new();
        for (name, id) in [("primary", "PPRIMARY"), ("secondary", "PSECONDARY")] {
            for shift in self.list(name) {
                let schedule = json!({"id": id, "type": "schedule_reference", "summary": name});
                let (start, end) = (self.instant(&shift["start"]), self.instant(&shift["end"]));
                oncalls.push(entry(shift, schedule, json!(start), json!(end)));
            }
        }
        let permanent = |dave| entry(dave, Value::Null, Value::Null, Value::Null);
        oncalls.extend(self.list("permanent").iter().map(permanent));
        oncalls
    }
}

/// One way to tell the story.
struct Source {
    what: &'static str,
    /// `[[oncall.source]]` but for its name and level.
    settings: String,
    /// What a rule has to name.
    primary: &'static str,
    secondary: &'static str,
    tell: fn(&Suite, &PagerDuty, &Story),
}

fn sources() -> Vec<Source> {
    let source = |what, settings: &str, tell| Source {
        what,
        settings: settings.into(),
        primary: "it/primary",
        secondary: "it/secondary",
        tell,
    };
    vec![
        Source {
            what: "PagerDuty",
            settings: format!(
                "provider = 'pagerduty'\napi = '{}'\ntoken_file = 'pagerduty-token'\nca_file = 'pagerduty-ca.pem'\n\
                 schedules = ['PPRIMARY', 'secondary']",
                PagerDuty::API
            ),
            primary: "it/PPRIMARY",
            secondary: "it/secondary",
            tell: |_, pagerduty, story| pagerduty.set_oncalls(story.oncalls()),
        },
        source("rota.toml with shifts", "provider = 'rota'\nfile = 'rota.toml'", |suite, _, story| {
            suite.host.write("/etc/authkeys/rota.toml", story.rota_of_shifts(), 0o644);
        }),
        source("rota.toml with turns", "provider = 'rota'\nfile = 'rota.toml'", |suite, _, story| {
            suite.host.write("/etc/authkeys/rota.toml", story.rota_of_turns(), 0o644);
        }),
        source(
            "a command",
            &format!(
                "provider = 'exec'\ncommand = ['{COMMAND}', 'now']\nschedules = ['primary', 'secondary']"
            ),
            |suite, _, story| {
                let script =
                    format!("#!/bin/sh\n[ \"$1\" = now ] && cat <<'JSON'\n{:#}\nJSON\n", story.document());
                suite.host.write(COMMAND, script, 0o755);
            },
        ),
        Source {
            what: "calendars",
            settings: "provider = 'icalendar'\nfile = 'primary.ics'\nschedules = ['primary']\n[[oncall.source]]\n\
                       name = 'second'\nprovider = 'icalendar'\nfile = 'secondary.ics'\nschedules = ['secondary']"
                .to_string(),
            primary: "it/primary",
            secondary: "second/secondary",
            tell: |suite, _, story| {
                for name in ["primary", "secondary"] {
                    suite.host.write(&format!("/etc/authkeys/{name}.ics"), story.calendar(name), 0o644);
                }
            },
        },
        source("a file", &format!("provider = 'file'\nfile = '{FILE}'"), |suite, _, story| {
            suite.host.write(FILE, story.document().to_string(), 0o644);
            // A service of its own writes it.
            suite.host.must("chown -R daemon /var/lib/rota");
        }),
    ]
}

/// A configuration with one source, whose deepest level, and the rule's, is `level`.
fn configure(suite: &Suite, source: &Source, level: u8) {
    let config = format!(
        "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[oncall]\nlookahead = '90h'\nmax_age = '90h'\n\
         [[oncall.source]]\nname = 'it'\n{}\nmax_escalation_level = {level}\n\
         [[policy.rule]]\nname = 'primary'\nschedules = ['{}']\nmax_escalation_level = {level}\n[[policy.shared_account]]\naccount = 'root'\n",
        source.settings, source.primary
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    // A source that becomes another one would have to be accepted.
    suite.host.must("rm -f /var/lib/oncall-cache/roster.db");
}

/// Who of the team is admitted at each of `instants`, by `check`.
fn admitted(suite: &Suite, instants: &[&str]) -> Vec<Vec<&'static str>> {
    let people = TEAM.map(|member| member.name).join(" ");
    let script = format!(
        "for at in {}; do for person in {people}; do oncall-cache test-access $person --at $at >/dev/null; echo $?; done; done",
        instants.join(" ")
    );
    let output = suite.run_as("nobody", &script);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let codes: Vec<&str> = said.lines().collect();
    assert_eq!(codes.len(), instants.len() * TEAM.len(), "{}", text(&output));
    assert!(codes.iter().all(|code| ["0", "1"].contains(code)), "{}", text(&output));
    let who = |codes: &[&str]| {
        TEAM.iter().zip(codes).filter(|(_, code)| **code == "0").map(|(member, _)| member.name).collect()
    };
    codes.chunks(TEAM.len()).map(who).collect()
}

/// Who is on call on `schedule` at `at`, by `who`.
fn on_call(suite: &Suite, schedule: &str, at: &str) -> Vec<String> {
    let output = suite.run_as("nobody", &format!("oncall-cache who --json --at {at}"));
    let who: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    let rows = who["schedules"].as_array().expect("schedules");
    let mine = rows.iter().filter(|row| row["schedule"] == json!(schedule));
    let now = mine.flat_map(|row| row["now"].as_array().expect("shifts"));
    now.map(|shift| shift["person"].as_str().expect("a name").to_string()).collect()
}

fn start() -> (Suite, PagerDuty) {
    let suite = Suite::start();
    suite.write_people(&TEAM);
    suite.sync_keys();
    let pagerduty = PagerDuty::start(&suite.host, TOKEN);
    let named = |id: &str, name: &str| json!({"id": id, "type": "schedule", "summary": name, "name": name, "time_zone": "Etc/UTC"});
    pagerduty.set_schedules(vec![named("PPRIMARY", "primary"), named("PSECONDARY", "secondary")]);
    pagerduty.set_page_cap(3);
    pagerduty.install(&suite.host, TOKEN);
    (suite, pagerduty)
}

#[test]
fn the_story_holds_at_every_instant_whoever_tells_it() {
    let (suite, pagerduty) = start();
    let (fetched, first) = ("2026-11-20T12:00:00Z", "2026-11-20T08:59:59Z");
    for source in sources() {
        let what = source.what;
        configure(&suite, &source, 2);
        for (anchor, at) in [(fetched, 0), (first, 120)] {
            let story = Story::moved(anchor, suite::now() + at);
            (source.tell)(&suite, &pagerduty, &story);
            suite.must_as("oncall-cache", "oncall-cache sync");
            let expected = story.expected(anchor);
            assert_eq!(expected.len(), if anchor == first { 11 } else { 9 });
            let instants: Vec<&str> = expected.iter().map(|(at, _)| at.as_str()).collect();
            let people: Vec<Vec<&str>> = expected.iter().map(|(_, people)| people.clone()).collect();
            assert_eq!(admitted(&suite, &instants), people, "{what}: {instants:#?}");
            for (at, people) in &expected {
                assert_eq!(on_call(&suite, source.primary, at), *people, "{what} at {at}");
            }
            assert_eq!(on_call(&suite, source.secondary, instants[0]), ["carol"], "{what}");
        }
        let requests = pagerduty.requests();
        assert!(requests.iter().all(|request| request.problem.is_none()), "{requests:#?}");
    }
}

#[test]
fn who_is_on_call_for_ever_is_so_where_the_level_is_admitted() {
    let (suite, pagerduty) = start();
    let story = Story::moved("2026-11-20T08:59:59Z", suite::now() + 120);
    let sources = sources();
    for source in sources.iter().filter(|source| ["a command", "a file"].contains(&source.what)) {
        (source.tell)(&suite, &pagerduty, &story);
        configure(&suite, source, 3);
        suite.must_as("oncall-cache", "oncall-cache sync");
        let expected = story.expected("");
        let instants: Vec<&str> = expected.iter().map(|(at, _)| at.as_str()).collect();
        for (people, (at, primary)) in admitted(&suite, &instants).into_iter().zip(&expected) {
            assert_eq!(people, [primary.as_slice(), &["dave"]].concat(), "{} at {at}", source.what);
        }
    }
}
