//! What the directory, or people.toml in its place, says at a sync: what there is to publish, and what to say about it.

use std::error::Error;
use std::path::Path;

use fleet::Mark;
use host::config::{Ldap, Membership, Referrals};
use host::toml_file;
use ldap::{Answer, Deadline, News, Since};
use policy::Timestamp;
use store::keys::{Base, Effect, InnerGroups};

use crate::note::{self, Note};
use crate::replica::{self, Keep, PendingCopy, Plan};
use crate::{complain, people};

/// What a source says.
pub struct Fetched {
    /// What there is to publish.
    pub pending: PendingCopy,
    /// For the next sync.
    pub note: Option<Note>,
    /// Does it refer to another server for more people?
    pub refers: Refers,
    /// Groups in the eligible group that give nobody; `None`: as the last sync found them.
    pub groups: Option<InnerGroups>,
    /// What time it is by the directory's clock, if that tells.
    pub time: Option<Timestamp>,
    /// When people were read whom it says: from then on the copy ages.
    pub read: Timestamp,
    /// Of a fleet: which publication is taken over with it.
    pub mark: Option<Mark>,
}

impl Fetched {
    /// Of a source that has neither other servers nor groups.
    pub fn alone(pending: PendingCopy, note: Option<Note>, read: Timestamp) -> Self {
        let (refers, groups) = (Refers::Nowhere, Some(InnerGroups::default()));
        Self { pending, note, refers, groups, time: None, read, mark: None }
    }
}

/// What a directory said of other servers.
pub enum Refers {
    /// More people are there.
    To(String),
    /// Everybody is here.
    Nowhere,
    /// It reported what changed, and nothing of that.
    Untold,
}

/// Everybody in the file; no change if the copy was made from the same bytes.
pub fn from_file(
    path: &Path,
    base: Option<&Base>,
    keep: Keep,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    let text = toml_file::read(path)?;
    let note = Note::of_file(&text, asked);
    if let Some((base, old)) = base.and_then(|base| Some((base, Note::read(base.resume()?)?)))
        && old.is_of_same_file(&note)
    {
        // A copy of eligible people alone may have nobody in it.
        let pending = PendingCopy { change: base.kept(), dropped: Vec::new(), shows_nobody: false };
        return Ok(Fetched::alone(pending, Some(old), asked));
    }
    match replica::whole(base, people::parse(path, &text)?, keep)? {
        // What was dropped is said again by each sync, so the next one has to look again.
        Plan::Publish(pending) => {
            let note = pending.dropped.is_empty().then_some(note);
            Ok(Fetched::alone(pending, note, asked))
        }
        Plan::FetchEverything => Err("people.toml is read whole or not at all".into()),
    }
}

/// What changed if the server and the copy agree on since when, else everybody.
pub fn from_ldap(
    ldap: &Ldap,
    base: Option<&Base>,
    keep: Keep,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    if keep == Keep::Eligible && ldap.eligible_group.is_none() {
        let Plan::Publish(pending) = replica::whole(base, Vec::new(), keep)? else {
            return Err("nobody is read whole".into());
        };
        let pending = PendingCopy { shows_nobody: false, ..pending };
        return Ok(Fetched { refers: Refers::Untold, ..Fetched::alone(pending, None, asked) });
    }
    let deadline = Deadline::new(ldap.timeout);
    let view = note::view(ldap);
    let (old, mut since) = resumed(ldap, base, keep, &view, asked);
    let copied = base.map(Base::eligible_dns).transpose()?.unwrap_or_default();
    loop {
        let mut answer = ask(ldap, &since, &copied, keep, deadline)?;
        forget_beginnings(&mut answer.news, asked);
        let old = old.as_ref().filter(|_| since.cookie.is_some());
        let full = match (&answer.news, old) {
            (News::Part { .. } | News::Listed { .. }, Some(note)) => note.full,
            _ => asked,
        };
        let refers = refers(ldap, &answer);
        let (next, group) = (answer.next.clone(), answer.eligible.digest());
        let unfollowed = std::mem::take(&mut answer.unfollowed);
        let groups = InnerGroups { unfollowed, empty: std::mem::take(&mut answer.empty) };
        let time = answer.time;
        match replica::plan(base, answer, old.map(|note| note.group.as_str()), keep)? {
            Plan::Publish(mut pending) => {
                // Of eligible people alone there may be none.
                pending.shows_nobody &= keep == Keep::Everybody;
                let note = next.and_then(|Since { cookie, mut witnesses }| {
                    witnesses.lose(pending.change.removed());
                    Some(Note { full, view, group, witnesses, cookie: cookie? })
                });
                let groups = Some(groups);
                return Ok(Fetched { refers, groups, time, ..Fetched::alone(pending, note, asked) });
            }
            Plan::FetchEverything if since.cookie.is_some() => since = since.of_everybody(),
            Plan::FetchEverything => {
                return Err(
                    "the directory was asked for everybody and sent only a part; see the server's log \
                            (ldap-partial), nothing published"
                        .into(),
                );
            }
        }
    }
}

/// The note that this sync goes on from, and since when: the beginning, where there is no note or it does not hold.
fn resumed(
    ldap: &Ldap,
    base: Option<&Base>,
    keep: Keep,
    view: &str,
    asked: Timestamp,
) -> (Option<Note>, Since) {
    let old = base.and_then(|base| Note::read(base.resume()?));
    // Who went last is worth knowing whatever else the note is.
    let witnesses = old.as_ref().map(|note| note.witnesses.clone()).unwrap_or_default();
    // What changed can be reported only to a copy of everybody.
    let good = |note: &Note| keep == Keep::Everybody && note.is_good(view, ldap.full_refresh, asked);
    match old.filter(good) {
        Some(note) => {
            let since = Since { cookie: Some(note.cookie.clone()), witnesses };
            (Some(note), since)
        }
        None => (None, Since { cookie: None, witnesses }.of_everybody()),
    }
}

/// One answer of the directory; that it is not everybody's, or may not have all groups, is worth a line.
fn ask(
    ldap: &Ldap,
    since: &Since,
    copied: &[String],
    keep: Keep,
    deadline: Deadline,
) -> Result<Answer, Box<dyn Error>> {
    let answer = match keep {
        Keep::Everybody => ldap::fetch(ldap, since, copied, deadline),
        Keep::Eligible => ldap::fetch_eligible(ldap, copied, deadline),
    };
    let answer = answer.map_err(|error| format!("{error} ({}), nothing published", error.reason()))?;
    if let Some(url) = &answer.elsewhere {
        complain(format_args!(
            "the directory refers to {url}, which is not asked: nobody is copied from there, and a live \
             lookup is no answer; narrow [directory] base, or write referrals = \"ignore\""
        ));
    }
    if let (count @ 1.., Some(group)) = (answer.unasked, &ldap.eligible_group) {
        complain(format_args!(
            "{} members of {group} and its inner groups were not looked up, after 50 in a row that do not exist or are \
             hidden: if they are groups, their members are not eligible; take those that are gone out of the groups, or let \
             the bind DN read `objectClass`",
            crate::grouped(count)
        ));
    }
    Ok(answer)
}

/// Forgets the beginnings of accounts that have begun: a reader that knows no beginnings would not let these in.
fn forget_beginnings(news: &mut News, now: Timestamp) {
    for entry in news.entries_mut() {
        entry.begins.take_if(|begin| *begin <= now);
    }
}

fn refers(ldap: &Ldap, answer: &Answer) -> Refers {
    // A list is of everybody, and so is what it refers to.
    let is_part = matches!(answer.news, News::Part { .. });
    match &answer.elsewhere {
        Some(url) => Refers::To(url.clone()),
        None if is_part && ldap.referrals == Referrals::Refuse => Refers::Untold,
        None => Refers::Nowhere,
    }
}

/// What there is to say about who is eligible: groups that give nobody, and where to look if nobody is.
pub fn told_of_eligible(ldap: &Ldap, keep: Keep, effect: Effect, groups: &InnerGroups) -> Vec<String> {
    let Some(group) = &ldap.eligible_group else {
        let nothing = "source = \"live\" copies eligible people alone, and [directory] names no eligible_group: there is \
                       nothing to fetch; keys are asked for at each login";
        return if keep == Keep::Eligible { vec![nothing.to_string()] } else { Vec::new() };
    };
    let Effect { eligible_before, gained, deprived, .. } = effect;
    let mut told = Vec::new();
    if let Some(first) = groups.unfollowed.first() {
        told.push(host::config::unfollowed_groups(group, groups.unfollowed.len(), first));
    }
    if let Some(first) = groups.empty.first() {
        told.push(host::config::empty_groups(group, groups.empty.len(), first));
    }
    if eligible_before + gained == deprived {
        told.push(match ldap.membership {
            Membership::Group => format!(
                "nobody is eligible: no member of {group} is a person below `base` who matches `filter`"
            ),
            Membership::Person => format!(
                "nobody is eligible: nobody below `base` has {group} as memberOf. The entries of an OpenLDAP that were loaded by \
                 slapadd have none until the group is written again; eligible_group_by = \"member\" reads the group itself"
            ),
        });
    }
    told
}
