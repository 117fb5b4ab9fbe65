//! `report --html`: the same report as one page, for people who were not there: an auditor, a colleague on the next morning.
//!
//! It is made of the model that the table and JSON are made of. Every text from outside is put on one line, and escaped by
//! maud. The page has no script and loads nothing, and says so to the browser.

mod marks;
mod outlived;
mod people;
mod story;
mod tables;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64ct::{Base64, Encoding as _};
use host::output::agreed;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use policy::Timestamp;
use sha2::{Digest as _, Sha256};

use super::contents::Report;
use super::login::{Class, Count, Kind, Login};
use super::show::WAITS;
use super::until::Until;
use crate::said::{CANNOT_TELL, Said};
use outlived::{Outlived, outlived};
use people::{People, shown};
use story::{Event, Tone, moment, story};
use timeline::Timeline;

const STYLE: &str = include_str!("page/style.css");

/// The most things of one kind that are pointed at.
const MOST_POINTED: usize = 8;

/// The most things of which it is told that they are not known.
const MOST_GAPS: usize = 100;

/// Writes the page of `report` to `file`.
pub fn run(report: Result<Report, String>, file: &Path, with_numbers: bool, now: Timestamp) -> Said {
    let report = match report {
        Ok(report) => report,
        Err(problem) => return Said::failure(CANNOT_TELL, format_args!("cannot tell: {problem}")),
    };
    let people = if with_numbers { People::numbered(&report) } else { People::default() };
    let text = Page::of(&report, &people, now).html().into_string();
    if let Err(problem) = publish::write_private(file, text.as_bytes()) {
        return Said::failure(CANNOT_TELL, problem);
    }
    let gaps = match report.gaps.len() {
        0 => "nothing is known to be missing".to_string(),
        count => {
            agreed(u64::try_from(count).unwrap_or(u64::MAX), "thing is not known", "things are not known")
        }
    };
    let (file, sha256) = (shown(&file.display().to_string()), hex(&Sha256::digest(text.as_bytes())));
    Said::text(format!("{file}: {} bytes, SHA-256 {sha256}; {gaps}", text.len())).exit(report.exit_code())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Page<'r> {
    report: &'r Report,
    people: &'r People,
    outlived: Vec<Outlived<'r>>,
    events: Vec<Event>,
    now: Timestamp,
}

impl<'r> Page<'r> {
    fn of(report: &'r Report, people: &'r People, now: Timestamp) -> Self {
        let outlived = outlived(report, now);
        let events = story(report, people, &outlived);
        Self { report, people, outlived, events, now }
    }

    fn html(&self) -> Markup {
        let digest = Base64::encode_string(&Sha256::digest(STYLE.as_bytes()));
        let allowed =
            format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(allowed);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    title { "Who was root on " (shown(&self.report.host)) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (self.header())
                    (self.not_known())
                    (self.glance())
                    h2 { "Who could be root, and who was" }
                    p.soft {
                        "A band is a shift, as this host knew the rota at that time; while the rota could not be reached, from the last copy. A bar is when somebody was in."
                        @if !self.report.are_rules_known() {
                            " The configuration of this host has changed since this time began: every shift is drawn as if a rule took it."
                        }
                    }
                    @for rule in self.report.waiting.iter().take(MOST_POINTED) {
                        p.soft { "Rule " (self.people.label(rule)) " " (WAITS) "." }
                    }
                    (Timeline::of(self.report, self.people, &self.outlived, self.now).draw())
                    h2 { "What happened, in order" }
                    p.soft {
                        @if self.is_folded() { "What is usual is told together; the rest one by one. " }
                        "Level is that of escalation: 1 is called first. A rule is a part of this host's configuration: it says whose shifts, or which grants, let somebody in."
                    }
                    (tables::story(&self.events))
                    (self.details())
                    (self.footer())
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let Report { host, period, .. } = self.report;
        html! {
            header {
                h1 { "Who was root on " (shown(host)) }
                p { (moment(period.since)) " to " (moment(period.until)) ". All times are UTC." }
                @if self.people.are_numbered() {
                    p { "People have numbers here, the same ones on all of this page. Reasons, owners, addresses, keys and certificates are left out; so are names within other texts, where they are known. A schedule, a host or an account may still say whose it is." }
                }
            }
        }
    }

    fn not_known(&self) -> Markup {
        let gaps = &self.report.gaps;
        html! {
            div.box.bad[!gaps.is_empty()] id="not-known" {
                h2 { "What is not known" }
                @if gaps.is_empty() { p { "Nothing is known to be missing." } }
                @else {
                    ul {
                        @for gap in gaps.iter().take(MOST_GAPS) { li { (self.people.gap(gap)) } }
                        @if gaps.len() > MOST_GAPS { li { "and " (gaps.len() - MOST_GAPS) " more; oncall-cache report has all of them" } }
                    }
                }
                p.soft { "Whoever was root on this host could have changed what it wrote down. What had left the host by then is out of their reach; compare it with the digests " a href="#read" { "at the end of this page" } "." }
            }
        }
    }

    /// What somebody with a minute wants to know.
    fn glance(&self) -> Markup {
        let Report { could, logins, .. } = self.report;
        let of = |class| logins.logins.iter().filter(move |login| login.class == class);
        let distinct = |logins: &mut dyn Iterator<Item = &'r Login>| {
            logins.map(|login| &login.person).collect::<BTreeSet<_>>().len()
        };
        let able: BTreeSet<_> =
            could.rights.iter().filter(|right| self.report.takes(right)).map(|right| &right.person).collect();
        let sum = |counts: &BTreeMap<Kind, Count>| {
            counts.values().fold(0, |sum: u64, count| sum.saturating_add(count.count))
        };
        let count = |class| u64::try_from(of(class).count()).unwrap_or(u64::MAX);
        let len = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let revoked = if logins.revoked.values().any(|count| count.let_in > 0) {
            "by revoked people: not all refused"
        } else {
            "by revoked people: all refused"
        };
        let (bad, grant, late) = (Some("bad"), Some("grant"), Some("late"));
        // How many, of what, what else is to be said of them, and in which colour: that of the timeline.
        let facts = [
            (
                len(able.len()),
                ["person", "people"],
                "could be root by the rota (grants and break-glass not counted)",
                None,
            ),
            (len(distinct(&mut of(Class::OnCall))), ["person", "people"], "came in while on call", None),
            (count(Class::Grant), ["login", "logins"], "by a grant", grant),
            (count(Class::BreakGlass), ["login", "logins"], "by break-glass", bad),
            (count(Class::Exempt), ["login", "logins"], "by an exempt account", bad),
            (sum(&logins.refused), ["try", "tries"], "refused (those by revoked people: next)", bad),
            (sum(&logins.revoked), ["try", "tries"], revoked, bad),
            (
                len(could.late.len()),
                ["shift", "shifts"],
                "new to this host when about to begin, or later",
                late,
            ),
            (len(self.outlived.len()), ["session", "sessions"], self.stayed(), bad),
            (
                count(Class::Observed),
                ["login", "logins"],
                "that would have been refused if this host enforced",
                late,
            ),
        ];
        html! {
            ul.facts {
                @for (count, [one, more], text, tone) in facts {
                    li class=[tone.filter(|_| count > 0)] { b { (agreed(count, one, more)) } (text) }
                }
            }
            (self.pointed())
        }
    }

    /// What is counted as open after the right had ended.
    fn stayed(&self) -> &'static str {
        match self.outlived.iter().all(Outlived::is_certain) {
            true => "open after the right had ended",
            false => "open after the right had ended, or without a recorded end",
        }
    }

    /// What is not usual, in a sentence each, in order of time.
    fn pointed(&self) -> Markup {
        let of = |tone| self.events.iter().filter(move |event: &&Event| event.tone == tone);
        let mut pointed: Vec<&Event> =
            Tone::UNUSUAL.into_iter().flat_map(|tone| of(tone).take(MOST_POINTED)).collect();
        pointed.sort_by_key(|event| event.at);
        let rest =
            Tone::UNUSUAL.into_iter().map(|tone| (tone, of(tone).count().saturating_sub(MOST_POINTED)));
        html! {
            @if !pointed.is_empty() { h2 { "Look at these first" } }
            ul.look {
                @for event in pointed {
                    li {
                        (moment(event.at)) " " span class=(format!("tag {}", event.tone.word())) { (event.tone.label()) } " "
                        b { (event.who) } " " (event.what)
                        @if event.times > 1 { ", " (event.times) " times" }
                        @if !event.ground.is_empty() { " (" (event.ground) ")" }
                        @match event.until {
                            Until::Unsaid => {}
                            until if until.is_unrecorded() => { ", " (event.until.seen_from(event.at)) }
                            until if matches!(event.tone, Tone::Refused | Tone::Revoked) => {
                                ", last at " (until.seen_from(event.at))
                            }
                            until => { "; session ended at " (until.seen_from(event.at)) }
                        }
                    }
                }
                @for (tone, rest) in rest.filter(|(_, rest)| *rest > 0) {
                    li.soft { "and " (rest) " more: " (tone.label()) ", in the list below" }
                }
            }
        }
    }

    fn details(&self) -> Markup {
        let logins = &self.report.logins;
        let counted = [
            ("Refused", &logins.refused),
            ("Revoked, and tried", &logins.revoked),
            ("Still there after their right had ended, as the host saw it", &logins.would_end),
            ("Would be refused if this host enforced", &logins.would_refuse),
        ];
        let has_programs = logins.logins.iter().any(|login| login.class == Class::Automation);
        html! {
            @for (title, counts) in counted {
                @if !counts.is_empty() { h2 { (title) } (tables::counted(self.report, self.people, counts)) }
            }
            @if has_programs { h2 { "Programs" } (tables::programs(self.report, self.people)) }
            (tables::logins(self.report, self.people))
            h2 { "Who could be root, by the rota" }
            p.soft { "Shifts as this host knew the rota at that time; one counts from when this host first saw it. Grants, break-glass and exempt accounts are not in the rota." }
            (tables::could(self.report, self.people))
            @if !self.report.could.left_out.is_empty() {
                h2 { "On call by the rota, but not on this host" }
                p.soft { "Rules in Rego that this host has (files of [[policy.rego]]) can leave a shift out, or end it earlier. In the times below these people were on call by the rota, and could not be root here by that shift." }
                (tables::left_out(self.report, self.people))
            }
        }
    }

    fn footer(&self) -> Markup {
        let others = self.report.logins.not_ours;
        html! {
            footer {
                h2 id="read" { "Where this is from" }
                @if others > 0 { p { (others) " more logins were not guarded, or were root's own; they are not shown." } }
                p { "The doctor's tests and heartbeats are left out: nobody logged in." }
                p {
                    "What is not known: " (self.report.gaps.len()) ", " a href="#not-known" { "above" } ". "
                    "Read from these files, as they were when this page was made; and the journal, for what could not be written there."
                }
                (tables::inputs(self.report, self.people))
                p.soft { "A file that was appended to since still has the same beginning: head -c BYTES FILE | sha256sum" }
                p.soft { "Made by oncall-cache " (env!("CARGO_PKG_VERSION")) " at " (moment(self.now)) " UTC. No script, nothing loaded." }
            }
        }
    }

    fn is_folded(&self) -> bool {
        self.events
            .iter()
            .any(|event| event.times > 1 && !matches!(event.tone, Tone::Refused | Tone::Revoked))
    }
}
