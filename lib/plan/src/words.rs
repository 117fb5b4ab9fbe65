//! The plan in sentences, and for programs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use policy::{Principal, Timestamp, Window, is_printable};
use serde_json::{Value, json};

use crate::changes::{Change, Effect};
use crate::door::{By, Door, ROOT};
use crate::moves::{Counts, Move};
use crate::question::Plan;

/// The most times of one person that a sentence tells; a program gets all.
const MOST_TIMES: usize = 5;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines().iter().map(|line| one_line(line).into_owned()).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Plan {
    /// All that there is to say, a line each.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.changes.iter().map(ToString::to_string).collect();
        if !self.other_shifts.is_empty() {
            lines.push(format!("the rota has other shifts in this time: {}", self.other_shifts.join(", ")));
        }
        lines.extend(self.door_lines());
        lines.extend(self.mode_line().filter(|_| !self.moves.is_empty()).map(String::from));
        lines.extend(self.moves.iter().flat_map(|(moved, hosts)| self.move_lines(moved, hosts)));
        lines.extend(self.asked.iter().cloned());
        lines.extend(self.narrowed.iter().cloned());
        lines.extend(if self.moves.is_empty() { self.nobody_line() } else { Some(self.count_line()) });
        if self.lets_in_others() {
            lines.push(
                "this is not all: lines above with `loosens` or `may loosen` can let in people who are not counted here, and whom these files may not name"
                    .to_string(),
            );
        }
        lines.extend(self.cannot_tell.iter().map(|line| format!("cannot tell {line}")));
        lines.push("not known:".to_string());
        lines.extend(self.not_known.iter().map(|line| format!("  {line}")));
        lines
    }

    fn span(&self) -> String {
        let (start, end) = (self.window.start(), self.window.end());
        format!("from {} to {}", short(start, start), instant(end, self.window))
    }

    /// What moves are worth where PAM refuses nobody, before or after.
    fn mode_line(&self) -> Option<&'static str> {
        match (self.observed, self.observes) {
            (false, false) => None,
            (_, true) => {
                Some("the new policy observes: what follows is decided and logged, and PAM refuses nobody")
            }
            (true, false) => Some(
                "the old policy observes: what follows compares what was decided there and logged, and PAM refused nobody",
            ),
        }
    }

    /// The doors that are decided at on one side alone.
    fn door_lines(&self) -> Vec<String> {
        let refused = if self.observed { "; the old policy observes, and PAM refused nobody" } else { "" };
        let opened = by_account(&self.opened).into_iter().map(|(account, services)| {
            let by = services_in_words(&services);
            let (on, has) = (&self.everywhere, proofs(&services));
            format!(
                "opens {account} by {by} on {on} to whoever has {has}: nobody is refused there any more{refused}"
            )
        });
        let refuses = if self.observes { "; the new policy observes, and PAM refuses nobody" } else { "" };
        let closed = by_account(&self.closed).into_iter().map(|(account, services)| {
            let by = services_in_words(&services);
            let on = &self.everywhere;
            format!(
                "closes {account} by {by} on {on} to whoever is not on call: nobody was refused there before{refuses}"
            )
        });
        opened.chain(closed).collect()
    }

    fn count_line(&self) -> String {
        let Counts { gained, lost, most_admitted, most_before, most_on } = &self.counts;
        let (span, gain, lose) = (self.span(), people(*gained, "gain"), people(*lost, "lose"));
        // The same number would be read as if hosts with fewer people had no more than before.
        if most_admitted == most_before {
            return format!("{span}: {gain}, {lose}");
        }
        let [on, before_on] = most_on;
        let on = on.as_ref().map_or_else(String::new, |host| format!("{host}; "));
        let elsewhere =
            before_on.as_ref().filter(|before| most_on[0].as_ref().is_some_and(|on| on != *before));
        let before_on = elsewhere.map_or_else(String::new, |host| format!(" on {host}"));
        format!(
            "{span}: {gain}, {lose}; at most {most_admitted} at once may be root on one host ({on}{most_before} before{before_on}), accounts that are never refused included"
        )
    }

    /// That no shift admits anybody else, where that is so and says something.
    fn nobody_line(&self) -> Option<String> {
        if !self.cannot_tell.is_empty() {
            return None;
        }
        if self.is_unchanged() {
            return Some("no setting that decides who is admitted differs".to_string());
        }
        let (span, most) = (self.span(), self.counts.most_admitted);
        let is_told = !self.closed.is_empty() || !self.endless_losses().is_empty();
        match (self.observed, self.observes) {
            (true, false) => Some(format!(
                "{span}: at most {most} at once may be root on one host, accounts that are never refused included; all others are refused"
            )),
            (false, true) => None,
            _ if is_told => None,
            _ => Some(format!(
                "{span}: apart from the lines above, shifts admit the same people as before, at the same times"
            )),
        }
    }

    /// Why it cannot be counted who gains by this change: somewhere nobody is refused any more.
    pub fn endless_gains(&self) -> Vec<String> {
        let mut why = Vec::new();
        if self.observes && !self.observed {
            why.push("PAM refuses nobody any more (`mode`)".to_string());
        }
        for (account, services) in by_account(&self.opened) {
            let by = services_in_words(&services);
            why.push(format!("nobody is refused any more as {account} by {by}"));
        }
        let listed = |key: &str, is_added| {
            let own = self.changes.iter().filter(move |change| {
                change.detail.section == "policy"
                    && change.key == key
                    && change.detail.is_added == Some(is_added)
            });
            own.flat_map(|change| change.detail.items.iter())
                .map(|item| format!("`{item}`"))
                .collect::<Vec<_>>()
        };
        let (terminals, groups) = (listed("exempt_ttys", true), listed("privileged_groups", false));
        if !terminals.is_empty() {
            why.push(format!("nobody is refused any more at {}", terminals.join(", ")));
        }
        if !groups.is_empty() {
            why.push(format!(
                "members of {} are not refused any more in their own accounts",
                groups.join(", ")
            ));
        }
        why
    }

    /// Why it cannot be counted who loses by this change: somewhere all who are not admitted are refused from now on.
    pub fn endless_losses(&self) -> Vec<String> {
        let mut why = Vec::new();
        if self.observed && !self.observes {
            why.push("PAM refuses from now on whoever is not admitted (`mode`)".to_string());
        }
        for (account, services) in by_account(&self.closed) {
            if !self.observes {
                let by = services_in_words(&services);
                why.push(format!("whoever is not on call is refused from now on as {account} by {by}"));
            }
        }
        let is_without_group = |change: &Change| {
            change.effect == Effect::Tightens
                && change.detail.section == "directory"
                && change.key == "eligible_group"
        };
        if self.changes.iter().any(is_without_group) {
            why.push("nobody is eligible any more (`eligible_group`)".to_string());
        }
        why
    }

    /// ``gains root on 12 hosts (label service=db): anna, from … to …, by the rule `db` ``, and ``loses root on db1, which the
    /// rule `db` gave anna from … to …``.
    fn move_lines(&self, moved: &Move, hosts: &str) -> Vec<String> {
        let verb = if moved.gains { "gains" } else { "loses" };
        let services = match services_in_words(&moved.services) {
            none if none.is_empty() => none,
            services => format!(" by {services}"),
        };
        let (head, by) =
            (format!("{verb} {}{services} on {hosts}", moved.account), ground(&moved.by, moved.gains));
        let head = format!("{head}{}", moved.when.words());
        match moved.people.as_slice() {
            [(person, windows)] if moved.gains => {
                vec![format!("{head}: {person}, {}, {by}", self.times(windows, &moved.by))]
            }
            [(person, windows)] => vec![format!("{head}, {by} {person} {}", self.times(windows, &moved.by))],
            people => {
                let first = format!("{head}, {by}{}:", if moved.gains { "" } else { " to" });
                let each = |(person, windows): &(Principal, Vec<Window>)| {
                    format!("  {person}, {}", self.times(windows, &moved.by))
                };
                std::iter::once(first).chain(people.iter().map(each)).collect()
            }
        }
    }

    fn times(&self, windows: &[Window], by: &By) -> String {
        let mut told: Vec<String> =
            windows.iter().take(MOST_TIMES).map(|window| self.time(*window, by)).collect();
        if let (true, Some(last)) = (windows.len() > MOST_TIMES, windows.last()) {
            told.push(format!(
                "{} times more, the last one {}",
                windows.len() - MOST_TIMES,
                self.time(*last, by)
            ));
        }
        told.join(", and ")
    }

    fn time(&self, window: Window, by: &By) -> String {
        let (start, end) = (window.start(), window.end());
        match (start <= self.window.start(), end >= self.window.end()) {
            // A shift is as long as the rota has it, and nothing else has an end.
            (true, true) => match by {
                By::Rule(_) => "from the beginning to the end of this plan".to_string(),
                By::Exempt | By::Program(..) => "at any time, on call or not".to_string(),
            },
            (true, false) => format!("from the beginning of this plan to {}", instant(end, self.window)),
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
                "incident": moved.when.token(),
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
            "observed": self.observed,
            "other_shifts": self.other_shifts,
            "moves": moves.collect::<Vec<_>>(),
            "asked": self.asked,
            "lets_in_others": self.lets_in_others(),
            "uncounted_gains": self.endless_gains(),
            "uncounted_losses": self.endless_losses(),
            "narrowed": self.narrowed,
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

/// `text` on one line: what a terminal would not print as a letter is told as its escape.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_printable(c) { c.to_string() } else { c.escape_default().to_string() };
    Cow::Owned(text.chars().map(shown).collect())
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

/// Root before the others.
fn by_account(doors: &[Door]) -> Vec<(&str, Vec<&'static str>)> {
    let mut accounts: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for door in doors {
        accounts.entry(&door.account).or_default().push(door.service);
    }
    let mut accounts: Vec<_> = accounts.into_iter().collect();
    accounts.sort_by_key(|(account, _)| *account != ROOT);
    accounts
}

/// As people call them.
fn services_in_words(services: &[&'static str]) -> String {
    let name = |service: &&'static str| if *service == "sshd" { "ssh" } else { service };
    services.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What is asked for by these services themselves.
fn proofs(services: &[&'static str]) -> String {
    let has = |own: &[&str]| services.iter().any(|service| own.contains(service));
    let proofs = [
        (has(&["sshd"]), "a key for it"),
        (has(&["sshd", "login", "su", "su-l"]), "its password"),
        (has(&["sudo", "sudo-i", "doas"]), "a line in sudoers"),
        (has(&["polkit-1"]), "a right by polkit"),
    ];
    let proofs: Vec<&str> = proofs.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, it)| it).collect();
    proofs.join(" or ")
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
