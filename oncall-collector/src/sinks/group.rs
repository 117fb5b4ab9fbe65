//! A group in a directory. Who the people on call are there, the directory says itself, as it does for the syncs: whoever is
//! eligible, by the name that people have here.

use std::collections::{BTreeMap, BTreeSet};

use host::config::{Bind, Directory, Ldap};
use ldap::{Change, Deadline, MemberAttribute, Membership};
use policy::Principal;

use super::config::Group;
use super::{Apply, Failure, Memory, Outcome, Work};

/// Makes the group what it should be.
pub fn write(
    group: &Group,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let ldap = reached(group, work.syncs)?;
    let people = match group.attribute {
        MemberAttribute::MemberUid => {
            let eligible = work.rota.roster.eligible.iter().filter(|(_, is_eligible)| **is_eligible);
            eligible.map(|(person, _)| (person.clone(), person.as_str().to_string())).collect()
        }
        MemberAttribute::Member | MemberAttribute::UniqueMember => eligible(&ldap)?,
    };
    let mut members = Vec::new();
    for person in work.wanted {
        match people.get(person) {
            Some(value) => members.push(value.clone()),
            None => outcome.notes.push(format!(
                "{person} is on call, and the directory has nobody eligible of that name: left out"
            )),
        }
    }
    if members.is_empty() && !work.wanted.is_empty() {
        return Err(Failure::new(format_args!(
            "none of the people on call is in the directory, so {} stays as it is: {}",
            group.dn,
            super::named(work.wanted)
        )));
    }
    // Who was put in and is not eligible any more is taken out as well.
    let managed = people.into_values().chain(memory.placed.iter().cloned()).collect();
    let placed = std::mem::take(&mut memory.placed);
    let both: BTreeSet<&String> = placed.iter().chain(&members).collect();
    memory.placed = both.into_iter().cloned().collect();
    work.keep(memory)?;
    let wanted = Membership { managed, members };
    let change = change(&ldap, group, &wanted, work.apply)?;
    let stood = std::mem::replace(&mut memory.stood, wanted.members.clone());
    memory.placed = wanted.members;
    outcome.changes.extend(told(&change, (&placed, &stood), work));
    Ok(())
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

fn change(ldap: &Ldap, group: &Group, wanted: &Membership, apply: Apply) -> Result<Change, Failure> {
    let Group { dn, attribute, placeholder, .. } = group;
    let group = ldap::Group { dn, attribute: *attribute, placeholder: placeholder.as_deref() };
    let apply = match apply {
        Apply::Write => ldap::Apply::Write,
        Apply::Look => ldap::Apply::Look,
    };
    ldap::set_members(ldap, &group, wanted, apply, Deadline::new(ldap.timeout)).map_err(failure)
}

/// The settings that it names have the same names in a sink.
fn failure(error: ldap::DirectoryError) -> Failure {
    Failure::new(error.to_string().replace("[directory] ", ""))
}

/// What was done, and what others did to people of ours: who was in without being on call, and who on call was not. Whom a
/// run `placed` that failed may have come in by it or not; who `stood` there was in.
fn told(change: &Change, (placed, stood): (&[String], &[String]), work: &Work<'_>) -> Vec<String> {
    let (mut lines, is_known) = (Vec::new(), work.before.is_some());
    let is_in = |list: &[String], value: &String| list.iter().any(|one| one.eq_ignore_ascii_case(value));
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
