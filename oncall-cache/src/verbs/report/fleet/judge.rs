//! What is missing of what was collected, or is not as it should be: a sentence each, by host.

use std::collections::BTreeMap;

use host::output::agreed;
use policy::{Span, Timestamp};

use super::collected::{Approval, Boot, Collected, Host};
use super::inventory::{Inventory, Listed};

/// The most places of one host that are told at which something is missing.
const MOST_PLACES: usize = 10;

/// How much longer than one instant two boots of one host may seem to last beside each other: clocks are set.
const BESIDE: Span = Span::minutes(2);

/// Something amiss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Empty: it is about all that was collected.
    pub host: String,
    /// What sort: a word for programs.
    pub kind: &'static str,
    pub text: String,
}

/// Everything that is amiss; without an inventory what that alone can tell is left out.
pub fn judge(collected: &Collected, inventory: Option<&Inventory>) -> Vec<Finding> {
    let mut all = Vec::new();
    let no_host = Host::default();
    let listed = inventory.iter().flat_map(|inventory| inventory.hosts.keys());
    let names: std::collections::BTreeSet<&String> = listed.chain(collected.hosts.keys()).collect();
    let newest = newest(collected);
    for name in names {
        let host = collected.hosts.get(name).unwrap_or(&no_host);
        let listed = inventory.and_then(|inventory| inventory.hosts.get(name));
        let mut judged = Judged::new(collected, host, listed);
        judged.enrolment(inventory.is_some());
        judged.heart();
        judged.boots();
        judged.counts();
        judged.policy(newest);
        all.extend(judged.findings(name));
    }
    all.extend(unasked(collected, newest));
    all.extend(of_all(collected));
    all
}

/// The highest number of a signed policy, a host that runs it, and the digest of what runs there.
type Newest<'a> = Option<(u64, &'a str, &'a str)>;

fn newest(collected: &Collected) -> Newest<'_> {
    let each = collected.hosts.iter();
    let numbered = each.filter_map(|(name, host)| Some((host.signed.number?, &**name, &*host.signed.digest)));
    // Of several the first by name.
    numbered.max_by_key(|(number, name, _)| (*number, std::cmp::Reverse(*name)))
}

/// How many hosts have never said whether their policy is signed, where others do: one line, since a pilot has many.
fn unasked(collected: &Collected, newest: Newest<'_>) -> Option<Finding> {
    let (number, name, _) = newest?;
    let silent = collected.hosts.values().filter(|host| host.last_beat.is_some() && !host.was_asked).count();
    let said = agreed(silent as u64, "host does not say", "hosts do not say");
    let text = format!("{said} whether its policy is signed, and {name} runs number {number}");
    let text = if silent == 1 { text } else { text.replacen("its policy is", "their policies are", 1) };
    (silent > 0).then_some(Finding { host: String::new(), kind: "policy", text })
}

/// What is amiss with no host in particular.
fn of_all(collected: &Collected) -> Vec<Finding> {
    let finding = |kind, text| Finding { host: String::new(), kind, text };
    let mut all = Vec::new();
    for ((sender, host), forged) in &collected.forged {
        let (records, count) = match forged.count {
            1 => ("record", "it does not count"),
            _ => ("records", "they do not count"),
        };
        let text = format!(
            "{} {records} of {host} came from {sender}, {} to {}: {count}; if that is its name for the log \
             server, write sender={sender} into the inventory",
            forged.count, forged.first, forged.last
        );
        all.push(Finding { host: host.clone(), kind: "forged", text });
    }
    let Collected { unread, senderless, hostless, lost, .. } = collected;
    let counts = [
        ("unreadable", unread, "line is no record", "lines are no records"),
        (
            "sender",
            senderless,
            "record lies where nobody knows who sent it: any host can have written it",
            "records lie where nobody knows who sent them: any host can have written them",
        ),
        (
            "host",
            hostless,
            "record does not say of which host it is",
            "records do not say of which host they are",
        ),
        (
            "too-many",
            lost,
            "record is of too many hosts, boots or holes to be looked at",
            "records are of too many hosts, boots or holes to be looked at",
        ),
    ];
    let counted = counts.into_iter().filter(|(_, count, ..)| **count > 0);
    all.extend(counted.map(|(kind, count, one, more)| finding(kind, agreed(*count, one, more))));
    all
}

/// One host, while it is judged.
struct Judged<'a> {
    collected: &'a Collected,
    host: &'a Host,
    listed: Option<&'a Listed>,
    /// The time in which something of this host is expected.
    since: Timestamp,
    until: Timestamp,
    found: Vec<(&'static str, String)>,
}

impl<'a> Judged<'a> {
    fn new(collected: &'a Collected, host: &'a Host, listed: Option<&'a Listed>) -> Self {
        let since = listed.and_then(|listed| listed.since);
        let until = listed.and_then(|listed| listed.until);
        Self {
            collected,
            host,
            listed,
            since: since.map_or(collected.since, |since| since.max(collected.since)),
            until: until.map_or(collected.until, |until| until.min(collected.until)),
            found: Vec::new(),
        }
    }

    fn find(&mut self, kind: &'static str, text: String) {
        self.found.push((kind, text));
    }

    /// Of the first so many places each; the others are counted.
    fn findings(self, name: &str) -> Vec<Finding> {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        let mut all = Vec::new();
        for (kind, text) in self.found {
            let count = kinds.entry(kind).or_default();
            *count += 1;
            if *count <= MOST_PLACES {
                all.push(Finding { host: name.to_string(), kind, text });
            }
        }
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > MOST_PLACES) {
            let more = agreed((count - MOST_PLACES) as u64, "more place", "more places");
            let text = format!("{more} of this kind: {kind}");
            all.push(Finding { host: name.to_string(), kind: "more", text });
        }
        all
    }

    /// Is it where it should be, and there at all?
    fn enrolment(&mut self, has_inventory: bool) {
        let is_heard = self.host.records > 0;
        match self.listed {
            Some(_) if !is_heard && self.since < self.until => {
                self.find("never-enrolled", "is in the inventory, and nothing of it is here".to_string());
            }
            None if has_inventory => {
                self.find(
                    "not-in-inventory",
                    format!(
                        "reports, and is not in the inventory: {}",
                        agreed(self.host.records, "record", "records")
                    ),
                );
            }
            _ => {}
        }
    }

    /// Does it run the signed policy that others run, of which this is the `newest`?
    fn policy(&mut self, newest: Newest<'_>) {
        let Approval { word, number, digest, .. } = &self.host.signed;
        let text = match (word.as_str(), number, newest) {
            ("unsigned", ..) => {
                "its policy is not the one that was signed: oncall-cache doctor there says more".to_string()
            }
            ("signed", Some(number), Some((newest, name, _))) if *number < newest => {
                format!("runs the signed policy number {number}, and {name} runs number {newest}")
            }
            // The number was given twice, to two texts.
            ("signed", Some(number), Some((newest, name, other)))
                if *number == newest && ![digest.as_str(), other].contains(&"") && digest != other =>
            {
                format!("runs another policy with the number {number} than {name}: both were signed")
            }
            // Or it cannot read its configuration, which its heartbeats say.
            ("", ..) if self.host.was_asked => {
                "no longer says whether its policy is signed, and did before".to_string()
            }
            _ => return,
        };
        self.find("policy", text);
    }

    /// Does it go on reporting, and did it always?
    fn heart(&mut self) {
        let silent = self.collected.silent;
        if self.host.records == 0 || self.until <= self.since {
            return;
        }
        let last = self.host.boots.values().map(|boot| boot.last).max();
        // A host that has just been started has had no time for one.
        let begun = self.host.boots.values().map(|boot| boot.first).max().unwrap_or(self.since);
        let alive = self.host.last_beat.map_or(begun, |beat| beat.max(begun));
        if alive.plus(silent) < self.until {
            let heard = last.map_or_else(String::new, |last| format!("; its last record is of {last}"));
            let text = match self.host.last_beat {
                Some(beat) => format!("no heartbeat since {beat}{heard}"),
                None => format!("no heartbeat at all{heard}"),
            };
            self.find("stopped", text);
        }
        for (id, boot) in &self.host.boots {
            let is_newest = Some(boot.last) == last;
            for (from, to) in boot.beats.holes(boot.first, boot.last, silent) {
                // What reaches until now is told above.
                let is_end = boot.beats.last().is_none_or(|beat| beat == from);
                if self.since <= to && from < self.until && !(is_end && is_newest) {
                    self.find("silent", format!("no heartbeat from {from} to {to} ({})", named(id)));
                }
            }
        }
    }

    /// Are all numbers there, from the first of each boot to its last?
    fn boots(&mut self) {
        let claims = Claims::of(self.host);
        for (id, boot) in &self.host.boots {
            self.holes(id, boot);
            if let Some(claim) = claims.0.get(&**id) {
                self.end(id, boot, claim);
            }
        }
        for (id, claim) in claims.0.iter().filter(|(id, _)| !self.host.boots.contains_key(**id)) {
            if claim.at >= self.since && claim.last > 0 {
                let (boot, at) = (named(id), claim.at);
                let text = match claim.last {
                    1 => format!("the only record of {boot} is missing, which was before {at}"),
                    last => format!("all {last} records of {boot} are missing, which was before {at}"),
                };
                self.find("missing", text);
            }
        }
        self.ends(&claims);
    }

    fn holes(&mut self, id: &str, boot: &Boot) {
        let runs = boot.numbers.runs();
        if let Some(first) = runs.first().map(|run| run.first).filter(|first| first.number > 1)
            && first.at >= self.since
        {
            let text = format!(
                "{} missing: number {} ({}) is the first that is here",
                those("first", first.number - 1, id),
                first.number,
                first.at
            );
            self.find("missing", text);
        }
        for (after, before) in runs.iter().zip(runs.iter().skip(1)).map(|(one, next)| (one.last, next.first))
        {
            if before.at >= self.since && after.at < self.until {
                let text = format!(
                    "{} missing between number {} ({}) and number {} ({}) of {}",
                    agreed(before.number - after.number - 1, "record is", "records are"),
                    after.number,
                    after.at,
                    before.number,
                    before.at,
                    named(id)
                );
                self.find("missing", text);
            }
        }
    }

    /// What a later boot knows of this one's end.
    fn end(&mut self, id: &str, boot: &Boot, claim: &Claim) {
        let Some(last) = boot.numbers.runs().last().map(|run| run.last) else { return };
        if last.number < claim.last && claim.at >= self.since {
            let text = format!(
                "{} missing: number {} ({}) is the last that is here, and the boot of {} knows of {}",
                those("last", claim.last - last.number, id),
                last.number,
                last.at,
                claim.at,
                claim.last
            );
            self.find("missing", text);
        }
    }

    /// A boot that no later one knows: of another host of that name, or its end is not known.
    fn ends(&mut self, claims: &Claims<'_>) {
        let boots = &self.host.boots;
        let Some((newest_id, newest)) = boots.iter().max_by_key(|(_, boot)| boot.last) else { return };
        let is_young =
            newest.beats.last().is_none() && newest.first.plus(self.collected.silent) >= self.until;
        let unknown = boots.iter().filter(|(id, boot)| {
            *id != newest_id
                && !claims.0.contains_key(&***id)
                && boot.last >= self.since
                && boot.last < self.until
        });
        let mut texts = Vec::new();
        for (id, boot) in unknown {
            let beside = boots.iter().find(|(other, at)| {
                *other != id && boot.first.max(at.first).plus(BESIDE) < boot.last.min(at.last)
            });
            if let Some((other, at)) = beside {
                let (from, to) = (boot.first.max(at.first), boot.last.min(at.last));
                let text = format!(
                    "two hosts have this name: {} and {} both wrote from {from} to {to}",
                    named(id),
                    named(other)
                );
                texts.push(("two-hosts", text));
            } else if !is_young {
                let text = format!(
                    "no later boot knows how {} ended: its last record that is here is of {}",
                    named(id),
                    boot.last
                );
                texts.push(("end-unknown", text));
            }
        }
        self.found.extend(texts);
    }

    fn counts(&mut self) {
        let Host { unnumbered, dropped, .. } = *self.host;
        if unnumbered > 0 {
            let those = agreed(unnumbered, "record has", "records have");
            self.find("unnumbered", format!("{those} no number or no boot: others may be missing too"));
        }
        if dropped > 0 {
            let those = agreed(dropped, "record was", "records were");
            self.find("dropped", format!("{those} left out on the host: too many of one person in a minute"));
        }
    }
}

/// As a person tells boots apart.
fn named(id: &str) -> String {
    let short: String = id.chars().take(8).collect();
    format!("boot {short}")
}

/// The first or last so many records of a boot, up to their verb.
fn those(which: &str, count: u64, id: &str) -> String {
    match count {
        1 => format!("the {which} record of {} is", named(id)),
        _ => format!("the {which} {count} records of {} are", named(id)),
    }
}

/// What is known of the end of a boot.
struct Claim {
    last: u64,
    /// When the first of the boots began that know of it.
    at: Timestamp,
}

/// What boots know of those before them.
struct Claims<'a>(BTreeMap<&'a str, Claim>);

impl<'a> Claims<'a> {
    fn of(host: &'a Host) -> Self {
        let mut all: BTreeMap<&str, Claim> = BTreeMap::new();
        for (own, boot) in &host.boots {
            for (id, last) in boot.previous.iter().filter(|(id, _)| id != own) {
                let claim = all.entry(id).or_insert(Claim { last: *last, at: boot.first });
                claim.last = claim.last.max(*last);
                claim.at = claim.at.min(boot.first);
            }
        }
        Self(all)
    }
}
