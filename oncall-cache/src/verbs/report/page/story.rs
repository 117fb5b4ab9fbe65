//! What happened, in order of time: the model's rows as sentences.
//!
//! What is usual is told together where there is much of it: first what follows on itself, then by day, then of the whole
//! time. What is not usual is told one by one.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Span, Timestamp};

use super::super::contents::Report;
use super::super::could::Right;
use super::super::login::{Class, Count, Kind, Login};
use super::super::until::Until;
use super::outlived::Outlived;
use super::people::{People, shown};

/// The most rows.
pub const MOST: usize = 600;

/// A copy of the rota as old as this is worth a word.
const OLD: i64 = 3_600;

/// What is said of a shift that does not count here.
pub const UNTAKEN: &str = "lets nobody in here: no rule of this host counts it";

/// Why this host may have learned of a shift so late: it cannot tell which.
const WHY_LATE: &str = "the rota was changed then, or a sync came late";

/// What kind of thing happened, as the page marks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Shift,
    OnCall,
    Observed,
    Exempt,
    Policy,
    Refused,
    Grant,
    BreakGlass,
    Late,
    Outlived,
    Ended,
    Revoked,
}

impl Tone {
    /// In a class of the style sheet.
    pub fn word(self) -> &'static str {
        match self {
            Self::Shift => "shift",
            Self::OnCall => "oncall",
            Self::Observed => "observed",
            Self::Exempt => "exempt",
            Self::Policy => "policy",
            Self::Refused => "refused",
            Self::Grant => "grant",
            Self::BreakGlass => "glass",
            Self::Late => "late",
            Self::Outlived => "outlived",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Shift => "on call",
            Self::OnCall => "in, on call",
            Self::Observed => "in, not enforced",
            Self::Exempt => "in, exempt",
            Self::Policy => "configuration",
            Self::Refused => "refused",
            Self::Grant => "in, by a grant",
            Self::BreakGlass => "in, break-glass",
            Self::Late => "shift seen late",
            Self::Outlived => "right ended",
            Self::Ended => "session ended",
            Self::Revoked => "revoked",
        }
    }

    /// What somebody should look at.
    pub const UNUSUAL: [Self; 7] = [
        Self::BreakGlass,
        Self::Grant,
        Self::Late,
        Self::Outlived,
        Self::Ended,
        Self::Revoked,
        Self::Refused,
    ];

    /// Is it what happens every day?
    fn is_usual(self) -> bool {
        matches!(self, Self::Shift | Self::OnCall | Self::Observed | Self::Exempt | Self::Policy)
    }

    /// Of a login.
    pub fn of(class: Class) -> Self {
        match class {
            Class::OnCall => Self::OnCall,
            Class::Grant => Self::Grant,
            Class::BreakGlass => Self::BreakGlass,
            Class::Exempt | Class::Automation => Self::Exempt,
            Class::Observed => Self::Observed,
        }
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    pub tone: Tone,
    /// How often it happened, and by which services.
    pub times: u64,
    pub services: BTreeSet<String>,
    pub who: String,
    /// What they did.
    pub what: String,
    /// By what right, or why not.
    pub ground: String,
    pub until: Until,
}

impl Until {
    /// For people who read when it began.
    pub fn seen_from(self, begun: Timestamp) -> String {
        match self {
            Self::At(at) if at < begun => format!("{} (the clock was set back)", clock(at, begun)),
            until => until.told(|at| clock(at, begun)),
        }
    }
}

/// All rows, in order.
pub fn story(report: &Report, people: &People, outlived: &[Outlived]) -> Vec<Event> {
    let mut events = Telling { report, people }.all(outlived);
    events.sort_by_key(|event| event.at);
    told_together(events)
}

/// At most [`MOST`] of them, in order, and how many of each kind are left out. Each kind has as many as any other, as far as
/// there are: whoever makes many of one does not hide what is of another.
pub fn kept(events: &[Event]) -> (Vec<&Event>, BTreeMap<Tone, usize>) {
    let mut counts: BTreeMap<Tone, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, usize, &Event)> = Vec::new();
    for (place, event) in events.iter().enumerate() {
        let count = counts.entry(event.tone).or_default();
        *count += 1;
        ranked.push((*count, place, event));
    }
    ranked.sort_by_key(|(rank, place, _)| (*rank, *place));
    ranked.truncate(MOST);
    ranked.sort_by_key(|(_, place, _)| *place);
    let kept: Vec<&Event> = ranked.into_iter().map(|(.., event)| event).collect();
    for event in &kept {
        if let Some(count) = counts.get_mut(&event.tone) {
            *count -= 1;
        }
    }
    counts.retain(|_, count| *count > 0);
    (kept, counts)
}

struct Telling<'r> {
    report: &'r Report,
    people: &'r People,
}

impl Telling<'_> {
    fn all(&self, outlived: &[Outlived]) -> Vec<Event> {
        let Report { could, logins, .. } = self.report;
        let mut events = self.shifts();
        events.extend(could.policy_changes.iter().map(|at| {
            event(*at, Tone::Policy, String::new(), "the configuration of this host changed".to_string())
        }));
        let seen = logins.logins.iter().filter(|login| login.class != Class::Automation);
        events.extend(seen.map(|login| self.login(login)));
        for (counts, tone) in [(&logins.refused, Tone::Refused), (&logins.revoked, Tone::Revoked)] {
            events.extend(counts.iter().map(|(kind, count)| self.counted(kind, count, tone)));
        }
        events.extend(outlived.iter().map(|it| self.outlived(it)));
        events.extend(logins.ended.iter().map(|ended| {
            let by = if ended.by.is_empty() {
                String::new()
            } else {
                format!(", by {}", self.people.name(&ended.by))
            };
            let what = format!("session as {} was ended{by}", self.people.label(&ended.account));
            let cause = match ended.cause.as_str() {
                "shift" => "the shift was over".to_string(),
                "grant" => "the grant was over".to_string(),
                "root" => "by hand".to_string(),
                cause => shown(cause),
            };
            Event { ground: cause, ..event(ended.at, Tone::Ended, self.people.name(&ended.person), what) }
        }));
        events
    }

    fn shifts(&self) -> Vec<Event> {
        let could = &self.report.could;
        let late = could.late.iter().map(|late| {
            let right = &late.right;
            let (who, schedule) = (self.people.name(&right.person), self.people.label(&right.schedule));
            let (from, to) = (clock(right.from, late.seen), clock(right.to, right.from));
            let what = format!(
                "got a shift in {schedule} that was new to this host: level {}, {from} to {to}",
                right.level
            );
            let seen = clock(late.seen, right.from);
            let before = right.from.since(late.seen).as_seconds();
            let ground = if before > 0 {
                format!("first seen at {seen}, {} before it began", length(before))
            } else {
                format!("first seen at {seen}, when it had begun")
            };
            let parts = [ground.as_str(), WHY_LATE, self.untaken(right)];
            let ground = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
            Event { ground, ..event(late.seen, Tone::Late, who, what) }
        });
        let begun = could.stretches().into_iter().map(|right| {
            let who = self.people.name(&right.person);
            let what = format!("on call: {}, level {}", self.people.label(&right.schedule), right.level);
            let ends = right.to < self.report.period.until;
            let until = if ends { Until::At(right.to) } else { Until::After };
            let ground = self.untaken(&right).to_string();
            Event { until, ground, ..event(right.from, Tone::Shift, who, what) }
        });
        late.chain(begun).collect()
    }

    /// What is to be said of a shift that does not count here.
    fn untaken(&self, right: &Right) -> &'static str {
        if self.report.takes(right) { "" } else { UNTAKEN }
    }

    fn login(&self, login: &Login) -> Event {
        let account = self.people.label(&login.account);
        let place = match self.people.words(&login.remote_host) {
            Some(place) => format!(" from {place}"),
            None => String::new(),
        };
        let what = match login.account.as_str() {
            "root" => format!("became root by {}{place}", shown(&login.service)),
            own if own == login.person && login.opened.is_none() => {
                format!("passed {}{place}", shown(&login.service))
            }
            _ => format!("entered {account} by {}{place}", shown(&login.service)),
        };
        let until = Until::of(login);
        let services = BTreeSet::from([shown(&login.service)]);
        let (tone, who) = (Tone::of(login.class), self.people.name(&login.person));
        Event { services, until, ground: self.ground(login), ..event(login.decided, tone, who, what) }
    }

    /// By what right somebody was let in.
    fn ground(&self, login: &Login) -> String {
        let why = self.people.words(&login.why);
        let ends = login.right_ends.map(|ends| clock(ends, login.decided));
        let mut parts = Vec::new();
        match login.class {
            Class::Grant => {
                parts.push(format!("signed by {}", self.people.names(&login.approvers)));
                parts.extend(ends.map(|ends| format!("grant until {ends}")));
            }
            Class::BreakGlass => {
                parts.push("signed by nobody else".to_string());
                parts.extend(ends.map(|ends| format!("break-glass until {ends}")));
            }
            Class::Exempt => parts.push("an exempt account or console".to_string()),
            Class::Observed => parts.push(format!("would have been refused: {}", reason(&login.reason))),
            Class::OnCall | Class::Automation => {}
        }
        let named = [("", &login.schedule), ("by this host's rule ", &login.rule)];
        parts.extend(
            named
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(word, text)| format!("{word}{}", self.people.label(text))),
        );
        parts.extend(login.late.map(|seen| format!("shift first seen {}", clock(seen, login.decided))));
        parts.extend(login.incident_told().map(|told| self.people.label(&told)));
        parts.extend(login.certificate.as_ref().map(|it| self.people.certificate(it)));
        match (login.claim.as_str(), why, login.why.is_empty()) {
            (_, Some(why), _) => parts.push(format!("because: {why}")),
            (_, None, false) => parts.push("a reason, left out here".to_string()),
            ("unclaimed", ..) => parts.push("could not be asked why".to_string()),
            _ => {}
        }
        parts.extend(
            login
                .age_seconds
                .filter(|age| *age >= OLD)
                .map(|age| format!("rota read {} before", length(age))),
        );
        parts.join("; ")
    }

    fn counted(&self, kind: &Kind, count: &Count, tone: Tone) -> Event {
        let (who, account) = (self.people.name(&kind.who), self.people.label(&kind.account));
        let service = shown(&kind.service);
        // Under sudo and its like the account is the caller's own when that is decided.
        let what = match tone {
            Tone::Refused if kind.account == kind.who => format!("was refused by {service}"),
            Tone::Refused => format!("was refused {account} by {service}"),
            _ => format!("is revoked, and tried {account} by {service}: {}", of_revoked(count)),
        };
        let until = if count.count > 1 { Until::At(count.last) } else { Until::Unsaid };
        let services = BTreeSet::from([service]);
        let ground = if tone == Tone::Revoked { String::new() } else { reason(&kind.reason) };
        Event { times: count.count, services, until, ground, ..event(count.first, tone, who, what) }
    }

    fn outlived(&self, outlived: &Outlived) -> Event {
        let Outlived { login, since } = outlived;
        let account = self.people.label(&login.account);
        let what = if outlived.is_certain() {
            format!("no longer had the right; session as {account} stayed open")
        } else {
            format!("no longer had the right; session as {account} may have stayed open")
        };
        let mut ground = format!("{} session of {}", shown(&login.service), clock(login.decided, *since));
        if !outlived.is_certain() {
            ground += &self.of_its_end(outlived);
        }
        let until = Until::of(login);
        Event { until, ground, ..event(*since, Tone::Outlived, self.people.name(&login.person), what) }
    }

    /// What else is known of the end of a session that is not recorded.
    fn of_its_end(&self, outlived: &Outlived) -> String {
        let Outlived { login, since } = outlived;
        let logins = &self.report.logins;
        let opened = login.opened.unwrap_or(login.decided);
        let is_missing = logins.missing.iter().any(|(_, to)| *to > opened);
        let is_of = |kind: &Kind| {
            (&kind.who, &kind.account, &kind.service) == (&login.person, &login.account, &login.service)
        };
        let looked = logins.would_end.iter().filter(|(kind, count)| is_of(kind) && count.last >= *since);
        let seen = looked.map(|(_, count)| count.last).max();
        let lost = if is_missing { "; its end may be in the missing records" } else { "" };
        let seen = seen.map(|at| format!("; this host saw such a session open at {}", clock(at, *since)));
        lost.to_string() + &seen.unwrap_or_default()
    }
}

fn event(at: Timestamp, tone: Tone, who: String, what: String) -> Event {
    let (ground, services) = (String::new(), BTreeSet::new());
    Event { at, tone, times: 1, services, who, what, ground, until: Until::Unsaid }
}

/// What came of the tries of a person, key or program that is revoked.
fn of_revoked(count: &Count) -> &'static str {
    match count.let_in {
        0 => "refused",
        some if some == count.count => "let in, since nothing is enforced",
        _ => "not always refused, since nothing was enforced",
    }
}

/// What is usual, told together as far as it has to be.
fn told_together(events: Vec<Event>) -> Vec<Event> {
    let mut told: Vec<Event> = Vec::new();
    for event in events {
        match told.last_mut() {
            Some(last) if last.tone.is_usual() && event.tone != Tone::Shift && is_alike(last, &event) => {
                last.times += event.times;
                last.until = event.until;
            }
            _ => told.push(event),
        }
    }
    for day in [24, i64::MAX / 3_600] {
        if told.len() > MOST {
            told = by_length(told, Span::hours(day));
        }
    }
    told
}

fn is_alike(one: &Event, other: &Event) -> bool {
    (one.tone, &one.who, &one.what, &one.ground) == (other.tone, &other.who, &other.what, &other.ground)
}

/// What is usual of one person in each `length` of time, as one.
fn by_length(events: Vec<Event>, length: Span) -> Vec<Event> {
    let mut alike: BTreeMap<(i64, Tone, String), Event> = BTreeMap::new();
    let mut told = Vec::new();
    for event in events {
        if !event.tone.is_usual() {
            told.push(event);
            continue;
        }
        let key = (event.at.unix().div_euclid(length.as_seconds()), event.tone, event.who.clone());
        if let Some(sum) = alike.get_mut(&key) {
            sum.times += event.times;
            sum.services.extend(event.services);
            let services: Vec<&str> = sum.services.iter().map(String::as_str).collect();
            sum.what = together(sum.tone, &services.join(", "));
            sum.ground = String::new();
            sum.until = Until::At(event.at);
        } else {
            alike.insert(key, event);
        }
    }
    told.extend(alike.into_values());
    told.sort_by_key(|event| event.at);
    told
}

fn together(tone: Tone, services: &str) -> String {
    match tone {
        Tone::Shift => "on call, in several shifts".to_string(),
        Tone::Policy => "the configuration of this host changed".to_string(),
        _ => format!("came in by {services}"),
    }
}

/// A reason that is met often, for people; others as they are written.
pub fn reason(token: &str) -> String {
    match token {
        "not-oncall" => "not on call".to_string(),
        "not-eligible" => "not eligible".to_string(),
        "no-incident" => "on call, but no incident counted".to_string(),
        "claim-needed" => "had not said why".to_string(),
        "certificate-authority" => "a certificate of an authority that is not listed here".to_string(),
        "certificate-period" => "a certificate that was not valid then".to_string(),
        "certificate-unusable" => "a certificate that cannot be used".to_string(),
        "revoked" => "revoked".to_string(),
        token => shown(token),
    }
}

/// `2026-11-28 22:59:07`, UTC.
pub fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    if at.has_date() { text.replace('T', " ").replace('Z', "") } else { text }
}

/// `text` with each instant in it as [`moment`] writes it.
pub fn with_moments(text: &str) -> String {
    let is_instant = |word: &str| Timestamp::parse(word).is_some();
    let mut told = String::new();
    for part in text.split_inclusive([' ', '(', ')', ';', ',']) {
        let word = part.trim_end_matches([' ', '(', ')', ';', ',']);
        let behind = part.get(word.len()..).unwrap_or_default();
        match is_instant(word) {
            true => told.push_str(&word.replace('T', " ").replace('Z', "")),
            false => told.push_str(word),
        }
        told.push_str(behind);
    }
    told
}

/// The time of day alone where that is the day of `beside`.
pub fn clock(at: Timestamp, beside: Timestamp) -> String {
    let (text, other) = (moment(at), moment(beside));
    match (text.split_once(' '), other.split_once(' ')) {
        (Some((day, clock)), Some((other, _))) if day == other => clock.to_string(),
        _ => text,
    }
}

/// A length of time in two words.
pub fn length(seconds: i64) -> String {
    match seconds {
        ..=59 => format!("{seconds} s"),
        60..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual(at: i64, who: &str) -> Event {
        event(Timestamp::from_unix(at), Tone::OnCall, who.to_string(), "became root by sudo".to_string())
    }

    #[test]
    fn what_is_usual_is_told_together_and_what_is_not_one_by_one() {
        let refused = |at| Event { tone: Tone::Refused, ..usual(at, "bob") };
        let few = told_together(vec![usual(1, "alice"), usual(2, "alice"), refused(3), usual(4, "alice")]);
        assert_eq!(
            few.iter().map(|event| (event.at.unix(), event.times)).collect::<Vec<_>>(),
            [(1, 2), (3, 1), (4, 1)]
        );
        let people = ["alice", "carol"].into_iter().cycle();
        let mut many: Vec<Event> = (0..20_000).zip(people).map(|(at, who)| usual(at * 1_000, who)).collect();
        many.extend((0..9).map(|at| refused(at * 1_000_000)));
        many.sort_by_key(|event| event.at);
        let told = told_together(many);
        assert!(told.len() <= MOST, "{}", told.len());
        assert_eq!(told.iter().filter(|event| event.tone == Tone::Refused).count(), 9);
        assert_eq!(told.iter().map(|event| event.times).sum::<u64>(), 20_009);
    }

    #[test]
    fn many_rows_of_one_kind_do_not_hide_those_of_another() {
        let of = |tone: Tone, at: i64| Event { tone, ..usual(at, "bob") };
        let mut events: Vec<Event> = (0..5_000).map(|at| of(Tone::Late, at)).collect();
        events.extend((5_000..5_300).map(|at| of(Tone::Refused, at)));
        events.push(of(Tone::BreakGlass, 6_000));
        let (kept, more) = kept(&events);
        let count = |tone| kept.iter().filter(|event| event.tone == tone).count();
        assert_eq!((kept.len(), count(Tone::BreakGlass)), (MOST, 1));
        assert_eq!((count(Tone::Late), count(Tone::Refused)), (300, 299));
        assert!(kept.is_sorted_by_key(|event| event.at));
        assert_eq!(more, BTreeMap::from([(Tone::Late, 4_700), (Tone::Refused, 1)]));
        let few = [of(Tone::Late, 1)];
        assert_eq!(super::kept(&few), (vec![&few[0]], BTreeMap::new()));
    }

    #[test]
    fn an_end_before_the_beginning_is_said_to_be_of_a_clock() {
        let at = Timestamp::parse("2026-11-28T22:59:07Z").unwrap();
        let before = Until::At(at.minus(Span::minutes(9)));
        assert_eq!(before.seen_from(at), "22:50:07 (the clock was set back)");
        assert_eq!(Until::At(at).seen_from(at), "22:59:07");
        let booted = Until::Booted(at.plus(Span::minutes(1)));
        assert_eq!(booted.seen_from(at), "no end recorded; the host had booted by 23:00:07");
    }

    #[test]
    fn a_moment_names_its_day_unless_it_is_the_same() {
        let at = Timestamp::parse("2026-11-28T22:59:07Z").unwrap();
        assert_eq!(moment(at), "2026-11-28 22:59:07");
        assert_eq!(
            with_moments("of TZ (2026-11-28T22:59:07Z), 2026-11-28T22:59:07Z; none"),
            "of TZ (2026-11-28 22:59:07), 2026-11-28 22:59:07; none"
        );
        assert_eq!(clock(at, at.plus(Span::minutes(1))), "22:59:07");
        assert_eq!(clock(at, at.plus(Span::hours(2))), "2026-11-28 22:59:07");
        assert_eq!([90, 3_700, 90_000, 200_000].map(length), ["1 min", "61 min", "25 h", "2 days"]);
    }
}
