//! The plan in sentences, and for programs.

use std::collections::BTreeMap;
use std::fmt;

use policy::{Principal, Timestamp, Window};
use serde_json::{Value, json};

use crate::changes::Effect;
use crate::door::{By, Door};
use crate::moves::{Counts, Move};
use crate::question::Plan;

/// The most times of one person that a sentence tells; a program gets all.
const MOST_TIMES: usize = 5;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        self.write_doors(f)?;
        if self.observes && !self.moves.is_empty() {
            writeln!(
                f,
                "the new policy observes: what follows is decided and logged, and PAM refuses nobody"
            )?;
        }
        for (moved, hosts) in &self.moves {
            self.write_move(f, moved, hosts)?;
        }
        if self.moves.is_empty() {
            self.write_nobody(f)?;
        } else {
            let Counts { gained, lost, most_admitted, most_before } = self.counts;
            let (span, gain, lose) = (self.span(), people(gained, "gain"), people(lost, "lose"));
            writeln!(
                f,
                "{span}: {gain}, {lose}; at most {most_admitted} at once may be root on one host ({most_before} before), accounts that are never refused included"
            )?;
        }
        if self.lets_in_others() {
            writeln!(
                f,
                "this is not all: lines above with `loosens` or `may loosen` can let in people whom these files do not name"
            )?;
        }
        for line in &self.cannot_tell {
            writeln!(f, "cannot tell {line}")?;
        }
        write!(f, "not known:")?;
        self.not_known.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Plan {
    fn span(&self) -> String {
        let (start, end) = (self.window.start(), self.window.end());
        format!("from {} to {}", short(start, start), instant(end, self.window))
    }

    /// The doors that are decided at on one side alone.
    fn write_doors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (account, services) in by_account(&self.opened) {
            let by = services_in_words(&services);
            writeln!(
                f,
                "opens {account} by {by} to whoever has a key, a password or a line in sudoers: nothing is decided there any more"
            )?;
        }
        for (account, services) in by_account(&self.closed) {
            let by = services_in_words(&services);
            writeln!(
                f,
                "closes {account} by {by} to whoever is not on call: nothing was decided there before"
            )?;
        }
        Ok(())
    }

    /// That no shift admits anybody else, where that is so and says something.
    fn write_nobody(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_of_all = self.changes.iter().any(|change| change.place == "[policy]" && change.key == "mode");
        let is_elsewhere = is_of_all || !self.opened.is_empty() || !self.closed.is_empty();
        if !self.cannot_tell.is_empty() {
            return Ok(());
        }
        if self.is_unchanged() {
            return writeln!(f, "no setting that decides who is admitted differs");
        }
        if is_elsewhere {
            return Ok(());
        }
        writeln!(f, "{}: shifts give nobody new access, and take none away", self.span())
    }

    /// Is there more that may let people in than what is told of shifts and doors?
    fn lets_in_others(&self) -> bool {
        let may = self.changes.iter().any(|change| change.effect == Effect::MayLoosen);
        let is_told = !self.moves.is_empty() || !self.opened.is_empty() || self.observes;
        may || self.loosened() > 0 && !is_told
    }

    /// ``gains root on 12 hosts (label service=db): anna, from … to …, by the rule `db` ``, and ``loses root on db1, which the
    /// rule `db` gave anna from … to …``.
    fn write_move(&self, f: &mut fmt::Formatter<'_>, moved: &Move, hosts: &str) -> fmt::Result {
        let verb = if moved.gains { "gains" } else { "loses" };
        write!(f, "{verb} {}", moved.account)?;
        if !moved.services.is_empty() {
            write!(f, " by {}", services_in_words(&moved.services))?;
        }
        write!(f, " on {hosts}")?;
        let by = ground(&moved.by, moved.gains);
        match moved.people.as_slice() {
            [(person, windows)] if moved.gains => writeln!(f, ": {person}, {}, {by}", self.times(windows)),
            [(person, windows)] => writeln!(f, ", {by} {person} {}", self.times(windows)),
            people => {
                writeln!(f, ", {by}{}:", if moved.gains { "" } else { " to" })?;
                let each =
                    |(person, windows): &(Principal, Vec<Window>)| (person.to_string(), self.times(windows));
                people.iter().map(each).try_for_each(|(person, times)| writeln!(f, "  {person}, {times}"))
            }
        }
    }

    fn times(&self, windows: &[Window]) -> String {
        let mut told: Vec<String> =
            windows.iter().take(MOST_TIMES).map(|window| self.time(*window)).collect();
        if let (true, Some(last)) = (windows.len() > MOST_TIMES, windows.last()) {
            told.push(format!(
                "{} times more, the last one {}",
                windows.len() - MOST_TIMES,
                self.time(*last)
            ));
        }
        told.join(", and ")
    }

    fn time(&self, window: Window) -> String {
        let (start, end) = (window.start(), window.end());
        match (start <= self.window.start(), end >= self.window.end()) {
            (true, true) => "all the time".to_string(),
            (true, false) => format!("until {}", instant(end, self.window)),
            (false, true) => format!("from {} to the end of this plan", instant(start, self.window)),
            (false, false) => {
                format!("from {} to {}", short(start, self.window.start()), instant(end, self.window))
            }
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let times = |windows: &[Window]| -> Vec<Value> {
            let each = windows.iter();
            each.map(|one| json!({ "start": one.start().to_string(), "end": one.end().to_string() }))
                .collect()
        };
        let moves = self.moves.iter().map(|(moved, hosts)| {
            let people = moved.people.iter();
            let people: Vec<Value> = people
                .map(|(person, windows)| json!({ "person": person.as_str(), "times": times(windows) }))
                .collect();
            json!({
                "gains": moved.gains,
                "account": moved.account,
                "services": moved.services,
                "hosts": moved.hosts,
                "hosts_in_words": hosts,
                "by": by_json(&moved.by),
                "people": people,
            })
        });
        let changes = self.changes.iter().map(|change| {
            json!({
                "effect": change.effect.word(),
                "place": change.place,
                "key": change.key,
                "change": change.what,
                "means": change.means,
                "text": change.to_string(),
            })
        });
        let opened = self.opened.iter();
        json!({
            "version": 1,
            "from": self.window.start().to_string(),
            "until": self.window.end().to_string(),
            "unchanged": self.is_unchanged(),
            "changes": changes.collect::<Vec<_>>(),
            "opened": opened.map(|door| json!({ "account": door.account, "service": door.service })).collect::<Vec<_>>(),
            "closed": self.closed.iter().map(|door| json!({ "account": door.account, "service": door.service })).collect::<Vec<_>>(),
            "observes": self.observes,
            "moves": moves.collect::<Vec<_>>(),
            "gained": self.counts.gained,
            "lost": self.counts.lost,
            "most_admitted": self.counts.most_admitted,
            "most_admitted_before": self.counts.most_before,
            "loosened": self.loosened(),
            "cannot_tell": self.cannot_tell,
            "not_known": self.not_known,
        })
    }
}

fn by_json(by: &By) -> Value {
    match by {
        By::Rule(name) => json!({ "rule": name }),
        By::Exempt => json!({ "exempt": true }),
        By::Program(number, owner) => json!({ "automation": number, "owner": owner }),
    }
}

fn ground(by: &By, gains: bool) -> String {
    match (by, gains) {
        (By::Rule(name), true) => format!("by the rule `{name}`"),
        (By::Rule(name), false) => format!("which the rule `{name}` gave"),
        (By::Exempt, true) => "because it is never refused (exempt_accounts)".to_string(),
        (By::Exempt, false) => "which exempt_accounts gave".to_string(),
        (By::Program(number, owner), true) => {
            format!("as a program (entry {number} of [[policy.automation]], of {owner})")
        }
        (By::Program(number, owner), false) => {
            format!("which entry {number} of [[policy.automation]], of {owner}, gave")
        }
    }
}

fn by_account(doors: &[Door]) -> BTreeMap<&str, Vec<&'static str>> {
    let mut accounts: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for door in doors {
        accounts.entry(&door.account).or_default().push(door.service);
    }
    accounts
}

/// As people call them.
fn services_in_words(services: &[&'static str]) -> String {
    let name = |service: &&'static str| if *service == "sshd" { "ssh" } else { service };
    services.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn people(count: usize, verb: &str) -> String {
    match count {
        0 => format!("nobody {verb}s"),
        1 => format!("1 {verb}s"),
        count => format!("{count} {verb}"),
    }
}

/// `Mon 2 Nov 08:00 UTC`, with the year where it is not that of the plan's start.
pub(crate) fn instant(at: Timestamp, plan: Window) -> String {
    format!("{} UTC", short(at, plan.start()))
}

/// The same without the zone.
fn short(at: Timestamp, near: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let day = |at: Timestamp| at.unix().div_euclid(86_400);
    // The date is told on the same day too.
    let near = if day(at) == day(near) { near.plus(policy::Span::hours(24)) } else { near };
    let told = at.near(near).to_string();
    let place = usize::try_from(day(at).rem_euclid(7)).unwrap_or(0);
    let (Some(day), true) = (DAYS.get(place), at.has_date()) else { return told };
    let told = told.trim_end_matches(" UTC");
    format!("{day} {told}")
}
