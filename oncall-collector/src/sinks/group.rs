//! A group in a directory. Who the people on call are there, the directory says itself, as it does for the syncs: whoever is
//! eligible, by the name that people have here.

use std::collections::{BTreeMap, BTreeSet};

use host::config::{Bind, Directory, Ldap};
use ldap::{Change, Deadline, MemberAttribute, Membership};
use policy::Principal;

use super::config::Group;
use super::{Apply, Failure, Memory, Outcome, Work};

/// So many names are looked for by one search.
const MOST_NAMES: usize = 200;

/// Makes the group what it should be.
pub fn write(
    group: &Group,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let there = There::read(group, work)?;
    let mut members = Vec::new();
    for person in work.wanted {
        match there.people.get(person) {
            Some(value) => members.push(value.clone()),
            None => outcome.notes.push(format!(
                "{person} is on call, and the directory has nobody eligible of that name: left out"
            )),
        }
    }
    if members.is_empty() && !work.wanted.is_empty() {
        there.bar(work, memory, outcome)?;
        return Err(Failure::new(format_args!(
            "none of the people on call is in the directory, so {} stays as it is: {}",
            group.dn,
            super::named(work.wanted)
        )));
    }
    // Who was put in and is not eligible any more is taken out as well, and who is revoked, whoever put them in.
    let managed = there.people.values().chain(&there.revoked).chain(&memory.placed).cloned().collect();
    let placed = std::mem::take(&mut memory.placed);
    let both: BTreeSet<&String> = placed.iter().chain(&members).collect();
    memory.placed = both.into_iter().cloned().collect();
    work.keep(memory)?;
    let wanted = Membership { managed, members };
    let change = there.change(&wanted, work.apply)?;
    let stood = std::mem::replace(&mut memory.stood, wanted.members.clone());
    memory.placed = wanted.members;
    outcome.changes.extend(told(&change, group.attribute, (&placed, &stood), work));
    Ok(())
}

/// Takes out who may not be in it any more, whoever is on call; all others stay.
pub fn bar(
    group: &Group,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    There::read(group, work)?.bar(work, memory, outcome)
}

/// The group and the people there.
struct There<'a> {
    ldap: Ldap,
    group: &'a Group,
    /// How the group names those who are eligible.
    people: BTreeMap<Principal, String>,
    /// The same of those who are revoked, eligible or not.
    revoked: Vec<String>,
}

impl<'a> There<'a> {
    fn read(group: &'a Group, work: &Work<'_>) -> Result<Self, Failure> {
        let ldap = reached(group, work.syncs)?;
        let rota = work.rota;
        let by_name = |person: &Principal| person.as_str().to_string();
        let (people, revoked) = match group.attribute {
            MemberAttribute::MemberUid => {
                let eligible = rota.roster.eligible.iter().filter(|(_, is_eligible)| **is_eligible);
                let people = eligible.map(|(person, _)| (person.clone(), by_name(person))).collect();
                (people, rota.revoked.iter().map(by_name).collect())
            }
            MemberAttribute::Member | MemberAttribute::UniqueMember => {
                let people = eligible(&ldap)?;
                let mut revoked: Vec<String> =
                    rota.revoked.iter().filter_map(|person| people.get(person)).cloned().collect();
                let others: Vec<&str> = rota
                    .revoked
                    .iter()
                    .filter(|person| !people.contains_key(person))
                    .map(Principal::as_str)
                    .collect();
                for names in others.chunks(MOST_NAMES) {
                    let found = ldap::dns_of(&ldap, names, Deadline::new(ldap.timeout));
                    revoked.extend(found.map_err(failure)?);
                }
                (people, revoked)
            }
        };
        Ok(Self { ldap, group, people, revoked })
    }

    fn bar(&self, work: &Work<'_>, memory: &mut Memory, outcome: &mut Outcome) -> Result<(), Failure> {
        // Whom we put in, and who is eligible no more; not, where the directory knows none of those who should be in it.
        let is_by_name = self.group.attribute == MemberAttribute::MemberUid;
        let knows =
            !self.people.is_empty() && work.wanted.is_empty() && (work.rota.unread.is_none() || !is_by_name);
        let eligible: BTreeSet<_> =
            self.people.values().filter_map(|one| self.group.attribute.key(one)).collect();
        let is_lost =
            |value: &str| self.group.attribute.key(value).is_none_or(|key| !eligible.contains(&key));
        let lost = memory.placed.iter().filter(|value| knows && is_lost(value));
        let managed: Vec<String> = self.revoked.iter().chain(lost).cloned().collect();
        if managed.is_empty() {
            return Ok(());
        }
        let change = self.change(&Membership { managed, members: Vec::new() }, work.apply)?;
        let (done, put) = (work.would("removed", "would remove"), work.would("added", "would add"));
        for value in &change.removed {
            outcome.changes.push(format!("{done} {value}, who is revoked or not eligible any more"));
            let stays = |one: &String| !self.group.attribute.is_same(one, value);
            memory.placed.retain(stays);
            memory.stood.retain(stays);
        }
        outcome.changes.extend(change.added.iter().map(|value| format!("{put} {value}")));
        Ok(())
    }

    fn change(&self, wanted: &Membership, apply: Apply) -> Result<Change, Failure> {
        let Group { dn, attribute, placeholder, .. } = self.group;
        let group = ldap::Group { dn, attribute: *attribute, placeholder: placeholder.as_deref() };
        let apply = match apply {
            Apply::Write => ldap::Apply::Write,
            Apply::Look => ldap::Apply::Look,
        };
        let deadline = Deadline::new(self.ldap.timeout);
        ldap::set_members(&self.ldap, &group, wanted, apply, deadline).map_err(failure)
    }
}

/// [directory], as this sink reaches it.
fn reached(group: &Group, syncs: &host::Config) -> Result<Ldap, Failure> {
    let Some(Directory::Ldap(ldap)) = &syncs.directory else {
        return Err(Failure::new("a group in a directory needs `urls` in [directory] of config.toml"));
    };
    let mut ldap = (**ldap).clone();
    ldap.bind = Bind::Simple;
    ldap.bind_dn = Some(group.bind_dn.clone());
    ldap.bind_password_file = Some(group.bind_password_file.clone());
    ldap.client = None;
    if let Some(urls) = &group.urls {
        ldap.urls.clone_from(urls);
    }
    if let Some(ca_file) = &group.ca_file {
        ldap.ca_file.clone_from(ca_file);
    }
    Ok(ldap)
}

/// The DNs of those who are eligible, by name. A name that two entries have is nobody's.
fn eligible(ldap: &Ldap) -> Result<BTreeMap<Principal, String>, Failure> {
    Ok(ldap::group_members(ldap, Deadline::new(ldap.timeout)).map_err(failure)?.people)
}

/// The settings that it names have the same names in a sink.
fn failure(error: ldap::DirectoryError) -> Failure {
    Failure::new(error.to_string().replace("[directory] ", ""))
}

/// What was done, and what others did to people of ours: who was in without being on call, and who on call was not. Whom a
/// run `placed` that failed may have come in by it or not; who `stood` there was in.
fn told(
    change: &Change,
    attribute: MemberAttribute,
    (placed, stood): (&[String], &[String]),
    work: &Work<'_>,
) -> Vec<String> {
    let (mut lines, is_known) = (Vec::new(), work.before.is_some());
    let is_in = |list: &[String], value: &String| list.iter().any(|one| attribute.is_same(one, value));
    for value in &change.added {
        let drift = if is_known && is_in(stood, value) { "drift: somebody had taken it out; " } else { "" };
        lines.push(format!("{drift}{} {value}", work.would("added", "would add")));
    }
    for value in &change.removed {
        let drift = if is_known && !is_in(placed, value) { "drift: somebody had put it in; " } else { "" };
        lines.push(format!("{drift}{} {value}", work.would("removed", "would remove")));
    }
    lines
}
