//! The tables of the page: counts, rights, programs, inputs; each with its rows bounded, and how many more there are.

use std::collections::BTreeMap;

use maud::{Markup, html};
use policy::Timestamp;

use super::super::contents::Report;
use super::super::login::{Class, Count, Kind, Login};
use super::super::until::Until;
use super::people::{People, shown};
use super::story::{Event, Tone, UNTAKEN, kept, moment, reason};

/// The most rows of one table.
const MOST: usize = 200;

/// What is read behind a table whose rows are not all of it.
fn more(count: usize) -> Markup {
    let more = count.saturating_sub(MOST);
    html! { @if more > 0 { p.more { "and " (more) " more rows; oncall-cache report --json has all of them" } } }
}

fn head(names: &[&str]) -> Markup {
    html! { thead { tr { @for name in names { th scope="col" { (name) } } } } }
}

/// A table of `all` under these names, with the cells that each has; and how many more there are.
fn table<T>(names: &[&str], all: impl ExactSizeIterator<Item = T>, cells: impl Fn(T) -> Markup) -> Markup {
    let count = all.len();
    html! {
        table {
            (head(names))
            tbody { @for one in all.take(MOST) { tr { (cells(one)) } } }
        }
        (more(count))
    }
}

/// A cell with an instant, under the name that it has where the table is a list.
fn time(name: &str, at: Timestamp) -> Markup {
    html! { td.time data-label=(name) { (moment(at)) } }
}

/// What happened, in order.
pub fn story(events: &[Event]) -> Markup {
    let (events, left_out) = kept(events);
    let more = left_out.values().sum::<usize>();
    let kinds: Vec<String> =
        left_out.iter().map(|(tone, count)| format!("{count} {}", tone.label())).collect();
    let day = |event: &Event| moment(event.at).split(' ').next().unwrap_or_default().to_string();
    let clock = |event: &Event| moment(event.at).split(' ').nth(1).unwrap_or_default().to_string();
    let mut last = String::new();
    let mut begins = |event: &Event| {
        let today = day(event);
        (std::mem::replace(&mut last, today.clone()) != today).then_some(today)
    };
    html! {
        @if events.is_empty() { p { "Nothing is known to have happened." } }
        @else {
            table {
                (head(&["Time (UTC)", "What", "Who", "Did what", "By what right, or why not", "Until, or last"]))
                tbody {
                    @for event in events.iter().copied() {
                        @if let Some(day) = begins(event) { tr.day { td colspan="6" { (day) } } }
                        tr {
                            td.time { (clock(event)) }
                            td { span class=(format!("tag {}", event.tone.word())) { (event.tone.label()) } }
                            td.who { b { (event.who) } }
                            td { (event.what) @if event.times > 1 { ", " (event.times) " times" } }
                            td { (event.ground) }
                            td.time data-label="until, or last" { (event.until.seen_from(event.at)) }
                        }
                    }
                }
            }
        }
        @if more > 0 {
            p.more {
                "and " (more) " more rows (" (kinds.join("; ")) "): ask for a shorter time, or for oncall-cache report --json, which has every login, refusal, shift and late change"
            }
        }
    }
}

/// What is counted together, the most first.
pub fn counted(report: &Report, people: &People, counts: &BTreeMap<Kind, Count>) -> Markup {
    let is_stranger = |kind: &Kind| report.names.is_whole && !kind.is_person;
    let mut rows: Vec<_> = counts.iter().collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(count.count));
    table(
        &["Who", "Account", "Service", "Why", "Times", "First", "Last"],
        rows.into_iter(),
        |(kind, count)| {
            html! {
                td.who { b { (people.name(&kind.who)) } @if is_stranger(kind) { " (not in the directory)" } }
                td data-label="account" { (people.label(&kind.account)) }
                td data-label="service" { (shown(&kind.service)) }
                td data-label="why" { (reason(&kind.reason)) }
                td.number data-label="times" { (count.count) }
                (time("first", count.first))
                (time("last", count.last))
            }
        },
    )
}

/// Who could become root.
pub fn could(report: &Report, people: &People) -> Markup {
    let rights = report.could.stretches();
    if rights.is_empty() {
        return html! { p { "Nobody, as far as this host knew." } };
    }
    table(&["Who", "From", "To", "Schedule", "Level"], rights.iter(), |right| {
        html! {
            td.who { b { (people.name(&right.person)) } }
            (time("from", right.from))
            (time("to", right.to))
            td data-label="schedule" {
                (people.label(&right.schedule))
                @if !report.takes(right) { " (" (UNTAKEN) ")" }
            }
            td.number data-label="level" { (right.level) }
        }
    })
}

/// Shifts of the rota that did not count here, because a file of `[[policy.rego]]` said so.
pub fn left_out(report: &Report, people: &People) -> Markup {
    let names = ["Who", "Did not count from", "To", "Schedule", "Level", "By the file", "What it did"];
    table(&names, report.could.left_out.iter(), |left| {
        html! {
            td.who { b { (people.name(&left.person)) } }
            (time("did not count from", left.from))
            (time("to", left.to))
            td data-label="schedule" { (people.label(&left.schedule)) }
            td.number data-label="level" { (left.level) }
            td data-label="by the file" { code { (people.label(&left.by)) } }
            td data-label="what it did" { (people.label(&left.why_in_words())) }
        }
    })
}

/// Every login of a person, one by one: folded, since there may be many.
pub fn logins(report: &Report, people: &People) -> Markup {
    let logins: Vec<&Login> =
        report.logins.logins.iter().filter(|login| login.class != Class::Automation).collect();
    let left_out = |text: &str| people.words(text).unwrap_or_default();
    let names = ["Who", "Came in", "Session ended", "Account", "Service", "From", "Key", "How"];
    html! {
        @if !logins.is_empty() {
            h2 { "Logins" }
            details {
                summary { "All logins of people, one by one: when, by what, from where (" (logins.len()) ")" }
                (table(&names, logins.iter(), |login| html! {
                    td.who { b { (people.name(&login.person)) } }
                    (time("came in", login.decided))
                    td.time data-label="session ended" { (Until::of(login).seen_from(login.decided)) }
                    td data-label="account" { (people.label(&login.account)) }
                    td data-label="service" { (shown(&login.service)) }
                    td data-label="from" { (left_out(&login.remote_host)) }
                    td data-label="key" { (left_out(&login.fingerprint)) }
                    td data-label="how" { (Tone::of(login.class).label()) }
                }))
            }
        }
    }
}

/// What programs did, counted together.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Program<'r> {
    name: &'r str,
    owner: &'r str,
    account: &'r str,
    service: &'r str,
}

/// Listed programs, each in one row for an account and a service.
pub fn programs(report: &Report, people: &People) -> Markup {
    let mut programs: BTreeMap<Program, (u64, Timestamp, Timestamp)> = BTreeMap::new();
    for login in report.logins.logins.iter().filter(|login| login.class == Class::Automation) {
        let name = if login.person.is_empty() { &login.fingerprint } else { &login.person };
        let program = Program { name, owner: &login.owner, account: &login.account, service: &login.service };
        let (count, _, last) = programs.entry(program).or_insert((0, login.decided, login.decided));
        *count += 1;
        *last = login.decided;
    }
    let name = |program: &Program| match program.name {
        key if key.starts_with("SHA256:") && people.are_numbered() => "a key".to_string(),
        name => people.label(name),
    };
    let names = ["Program", "Who answers for it", "Account", "Service", "Times", "First", "Last"];
    table(&names, programs.iter(), |(program, (count, first, last))| {
        html! {
            td.who { b { (name(program)) } }
            td data-label="answers for it" { (people.words(program.owner).unwrap_or_default()) }
            td data-label="account" { (people.label(program.account)) }
            td data-label="service" { (shown(program.service)) }
            td.number data-label="times" { (count) }
            (time("first", *first))
            (time("last", *last))
        }
    })
}

/// What was read, so that somebody else can see that theirs is the same.
pub fn inputs(report: &Report, people: &People) -> Markup {
    html! {
        table {
            (head(&["File", "Bytes read", "SHA-256 of them"]))
            tbody {
                @for input in report.inputs() {
                    tr {
                        td { code { (people.label(&input.path.display().to_string())) } }
                        td.number data-label="bytes" { (input.bytes) }
                        td { code { (input.sha256) } }
                    }
                }
            }
        }
    }
}
