//! Members of a group at GitLab: those on call, as long as they are. Who is a member already is left as they are, and so is
//! everybody whom we did not add: approvers by that group are who is on call, and who always was.
//!
//! Paths and fields as docs.gitlab.com has them: api/users, api/members (group members).

use std::collections::{BTreeMap, BTreeSet};

use http::{Client, HeaderName, Reply};
use policy::Principal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::Gitlab;
use super::{Apply, Failure, Memory, Outcome, Work, client, judge, secret};

/// The header that has the token.
const TOKEN: HeaderName = HeaderName::from_static("private-token");

/// Entries of a page, the most that there are; and the most pages.
const PAGE: usize = 100;
const MOST_PAGES: usize = 50;

/// From this level on somebody owns or maintains the group: docs.gitlab.com, access levels.
const MAINTAINER: u32 = 40;

#[derive(Deserialize)]
struct User {
    id: u64,
    username: String,
    state: String,
    /// Nobody, but a program: only of one user by number.
    #[serde(default)]
    bot: bool,
}

#[derive(Deserialize)]
struct Member {
    id: u64,
    username: String,
    access_level: u32,
    /// Since when they are a member: another time, if somebody has removed and added them meanwhile.
    #[serde(default)]
    created_at: Option<String>,
    /// Who made them a member, if GitLab still knows.
    #[serde(default)]
    created_by: Option<Creator>,
    /// Whoever comes by a group of a single sign-on.
    #[serde(default)]
    group_saml_identity: Option<Value>,
    /// There for members who are synced from a directory alone, whatever it says.
    #[serde(default, deserialize_with = "there")]
    r#override: bool,
}

#[derive(Deserialize)]
struct Creator {
    #[serde(default)]
    id: Option<u64>,
    username: String,
}

/// Whom we added, by number, and since when they are members; nothing, before that was read.
type Ours = BTreeMap<u64, Option<String>>;

fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Value::deserialize(deserializer).map(|_| true)
}

/// The group, as it is found.
struct Found<'a> {
    client: Client,
    /// Where its members are.
    path: String,
    gitlab: &'a Gitlab,
    members: Vec<Member>,
    /// Those on call who are users there.
    wanted: BTreeMap<u64, String>,
    /// Whom we have added.
    ours: Ours,
    /// Whom somebody in `added_by` has.
    named: BTreeSet<u64>,
}

/// Makes the people on call members, and no longer those whom we added and who are not.
pub fn write(
    gitlab: &Gitlab,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut found = Found::read(gitlab, memory)?;
    if work.before.is_none() {
        outcome.notes.extend(found.others());
    }
    let added = users(&found.client, gitlab, work, outcome).and_then(|wanted| {
        found.wanted = wanted;
        found.add(work, memory, outcome)
    });
    let done = match added {
        Ok(()) => found.remove(work, (outcome, ""), |found, member| !found.wanted.contains_key(&member.id)),
        Err(problem) => found.remove_barred(work, outcome).and(Err(problem)),
    };
    remember(&found.ours, memory);
    done
}

/// Takes out whom we added and who may not be in it any more, whoever is on call; all others stay.
pub fn bar(
    gitlab: &Gitlab,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let mut found = Found::read(gitlab, memory)?;
    let done = found.remove_barred(work, outcome);
    remember(&found.ours, memory);
    done
}

impl<'a> Found<'a> {
    fn read(gitlab: &'a Gitlab, memory: &Memory) -> Result<Self, Failure> {
        let token = secret(&gitlab.token_file, "token_file")?;
        let client = client(&gitlab.service, &[(TOKEN, token.expose())])?;
        let path = format!("/api/v4/groups/{}/members", gitlab.group.replace('/', "%2F"));
        let members = members(&client, &path)?;
        let (wanted, ours, named) = (BTreeMap::new(), Ours::new(), BTreeSet::new());
        let mut found = Self { client, path, gitlab, members, wanted, ours, named };
        found.sort(&placed(memory))?;
        Ok(found)
    }

    /// Whom a sink has added. Who left, or was given more, or comes from elsewhere now, is nobody of ours any more.
    fn sort(&mut self, placed: &Ours) -> Result<(), Failure> {
        let (mut ours, mut named, mut us) = (Ours::new(), BTreeSet::new(), None);
        let may_be = |one: &&Member| {
            one.access_level < MAINTAINER && one.group_saml_identity.is_none() && !one.r#override
        };
        for member in self.members.iter().filter(may_be) {
            if self.is_placed(member, placed, &mut us)? {
                ours.insert(member.id, member.created_at.clone());
            } else if self.is_added_for_us(member) {
                named.insert(member.id);
            }
        }
        (self.ours, self.named) = (ours, named);
        Ok(())
    }

    fn is_ours(&self, id: u64) -> bool {
        self.ours.contains_key(&id) || self.named.contains(&id)
    }

    /// Is it the membership that we made? Somebody else's is another one, also where it is of the same user. `us`: our own
    /// number, once it was asked.
    fn is_placed(&self, member: &Member, placed: &Ours, us: &mut Option<u64>) -> Result<bool, Failure> {
        let Some(since) = placed.get(&member.id) else { return Ok(false) };
        if let (Some(since), Some(now)) = (since, &member.created_at) {
            return Ok(since == now);
        }
        // The run that added them has not read that: it is told by who did it, as far as GitLab knows.
        let Some(by) = member.created_by.as_ref().and_then(|by| by.id) else { return Ok(true) };
        let us = match *us {
            Some(us) => us,
            None => *us.insert(read::<User>(&self.client.get("/api/v4/user", &[])?)?.id),
        };
        Ok(by == us)
    }

    fn is_added_for_us(&self, member: &Member) -> bool {
        let is_named =
            |by: &Creator| self.gitlab.added_by.iter().any(|name| name.eq_ignore_ascii_case(&by.username));
        member.access_level == self.gitlab.access_level && member.created_by.as_ref().is_some_and(is_named)
    }

    /// Is it a program? A user of a token, or a service account, is never on call.
    fn is_robot(&self, id: u64) -> Result<bool, Failure> {
        let reply = self.client.get(&format!("/api/v4/users/{id}"), &[])?;
        if reply.status == 404 { Ok(false) } else { read(&reply).map(|user: User| user.bot) }
    }

    /// Members who may be there by a rota as well, and stay, as those who added them are not named: another collector, or
    /// what wrote the group before.
    fn others(&self) -> Vec<String> {
        let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let level = self.gitlab.access_level;
        let is_other = |one: &&Member| one.access_level == level && !self.is_ours(one.id);
        for member in self.members.iter().filter(is_other) {
            if let Some(creator) = &member.created_by {
                by.entry(&creator.username).or_default().push(&member.username);
            }
        }
        let line = |(by, names): (&str, Vec<&str>)| {
            let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(5);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(
                "{shown}{more}, whom {by} added, stay; if {by} adds people for a rota alone, put it into `added_by`"
            )
        };
        by.into_iter().map(line).collect()
    }

    /// Adds who is missing. Whom GitLab does not take is left out, as long as somebody on call is a member of the group itself:
    /// others count for no rule that asks the group.
    fn add(&mut self, work: &Work<'_>, memory: &mut Memory, outcome: &mut Outcome) -> Result<(), Failure> {
        let mut refused = None;
        let mut stand = self.members.iter().filter(|member| self.wanted.contains_key(&member.id)).count();
        let is_missing = |id: &u64| !self.members.iter().any(|member| member.id == *id);
        let missing: Vec<(u64, String)> = self
            .wanted
            .iter()
            .filter(|(id, _)| is_missing(id))
            .map(|(id, name)| (*id, name.clone()))
            .collect();
        for (id, name) in missing {
            let mut leave_out = |why: String| {
                outcome.notes.push(why.clone());
                refused = Some(why);
            };
            if self.inherited(id)? > self.gitlab.access_level {
                leave_out(format!(
                    "{name} is a member by another group, with more than `access_level`: GitLab adds nobody with less"
                ));
                continue;
            }
            if work.apply == Apply::Look {
                stand += 1;
                outcome.changes.push(format!("would add {name}"));
                continue;
            }
            // Before it is done: a run that ends in between must not leave them there for ever.
            self.ours.insert(id, None);
            remember(&self.ours, memory);
            work.keep(memory)?;
            match self.add_one(id)? {
                Added::Done => outcome.changes.push(format!("added {name}")),
                Added::Already => _ = self.ours.remove(&id),
                Added::Refused(status) => {
                    self.ours.remove(&id);
                    leave_out(format!(
                        "{name} is on call, and GitLab does not add them (status {status}): left out"
                    ));
                    continue;
                }
            }
            stand += 1;
        }
        match refused.filter(|_| stand == 0) {
            Some(why) => Err(Failure::new(format_args!("the group stays as it is: {why}"))),
            None => Ok(()),
        }
    }

    /// What a user may do in the group by another one: 0, if they are no member.
    fn inherited(&self, id: u64) -> Result<u32, Failure> {
        let reply = self.client.get(&format!("{}/all/{id}", self.path), &[])?;
        if reply.status == 404 { Ok(0) } else { read(&reply).map(|member: Member| member.access_level) }
    }

    fn add_one(&self, id: u64) -> Result<Added, Failure> {
        let body = json!({ "user_id": id, "access_level": self.gitlab.access_level });
        let reply = self.client.tell(&self.path, &[], body.to_string().into_bytes())?;
        match reply.status {
            409 => Ok(Added::Already),
            // Of this user: others may be taken all the same.
            400 | 404 | 405 | 422 => Ok(Added::Refused(reply.status)),
            _ => accepted(&reply).map(|()| Added::Done),
        }
    }

    /// Those who have lost the right itself. Where it is not known who is eligible, these are the revoked.
    fn remove_barred(&mut self, work: &Work<'_>, outcome: &mut Outcome) -> Result<(), Failure> {
        let rota = work.rota;
        let name = |person: &Principal| name_of(self.gitlab, person).to_ascii_lowercase();
        let revoked: BTreeSet<String> = rota.revoked.iter().map(name).collect();
        let eligible: BTreeSet<String> =
            rota.roster.eligible.keys().filter(|person| !rota.bars(person)).map(name).collect();
        // Where nobody who should be there is known there, names may have changed.
        let knows = rota.unread.is_none() && !eligible.is_empty() && work.wanted.is_empty();
        self.remove(work, (outcome, ", who is revoked or not eligible any more"), |_, member| {
            let name = member.username.to_ascii_lowercase();
            revoked.contains(&name) || (knows && !eligible.contains(&name))
        })
    }

    /// Removes those of ours for whom `is_gone`, but no robots that somebody in `added_by` has added.
    fn remove(
        &mut self,
        work: &Work<'_>,
        (outcome, why): (&mut Outcome, &str),
        is_gone: impl Fn(&Self, &Member) -> bool,
    ) -> Result<(), Failure> {
        let gone = |member: &&Member| self.is_ours(member.id) && is_gone(self, member);
        let gone: Vec<(u64, String)> =
            self.members.iter().filter(gone).map(|member| (member.id, member.username.clone())).collect();
        let mut failed = None;
        for (id, name) in gone {
            if !self.ours.contains_key(&id) && self.is_robot(id)? {
                outcome
                    .notes
                    .push(format!("{name}, whom somebody in `added_by` added, is a robot and stays"));
                continue;
            }
            if work.apply == Apply::Write {
                let reply = self.client.delete(&format!("{}/{id}", self.path), &KEEP_BELOW)?;
                match accepted(&reply) {
                    Err(failure) if reply.status != 404 => {
                        let failure =
                            Failure { why: format!("{name} is not removed: {}", failure.why), ..failure };
                        // Of this one; all else is refused to whoever asks.
                        if matches!(reply.status, 401 | 429 | 500..) {
                            return Err(failure);
                        }
                        failed = failed.or(Some(failure));
                        continue;
                    }
                    _ => _ = self.ours.remove(&id),
                }
            }
            outcome.changes.push(format!("{} {name}{why}", work.would("removed", "would remove")));
        }
        failed.map_or(Ok(()), Err)
    }
}

/// What became of somebody who was to be added.
enum Added {
    Done,
    /// Somebody else was faster.
    Already,
    /// With this status.
    Refused(u16),
}

/// What somebody else has given them in a project or group below stays; GitLab's default is to take that too.
const KEEP_BELOW: [(&str, &str); 1] = [("skip_subresources", "true")];

fn remember(ours: &Ours, memory: &mut Memory) {
    let line = |(id, since): (&u64, &Option<String>)| match since {
        Some(since) => format!("{id} {since}"),
        None => id.to_string(),
    };
    memory.placed = ours.iter().map(line).collect();
}

/// What [`remember`] wrote; an earlier release wrote numbers alone.
fn placed(memory: &Memory) -> Ours {
    let read = |line: &String| {
        let (id, since) = line.split_once(' ').map_or((line.as_str(), None), |(id, since)| (id, Some(since)));
        Some((id.parse().ok()?, since.map(str::to_string)))
    };
    memory.placed.iter().filter_map(read).collect()
}

fn accepted(reply: &Reply) -> Result<(), Failure> {
    judge(
        reply,
        "GitLab",
        "`token_file`, `url` and `group`: the token needs the scope api, and its user to own the group",
    )
}

/// Everybody who is a member of the group itself.
fn members(client: &Client, group: &str) -> Result<Vec<Member>, Failure> {
    let mut members: Vec<Member> = Vec::new();
    let mut page = 1;
    for _ in 0..MOST_PAGES {
        let number = page.to_string();
        let reply = client.get(group, &[("per_page", "100"), ("page", &number)])?;
        let some: Vec<Member> = read(&reply)?;
        let is_full = some.len() >= PAGE;
        members.extend(some);
        match next_page(&reply, page, is_full)? {
            Some(next) => page = next,
            None => return Ok(members),
        }
    }
    Err(Failure::new("the group has more than 5000 members; use one of its own for people on call"))
}

/// The page behind `page`, if there is one: GitLab says so in a header, and a page that is not full need not be the last one
/// (docs.gitlab.com, REST API, pagination). A proxy may have taken the header away.
fn next_page(reply: &Reply, page: usize, is_full: bool) -> Result<Option<usize>, Failure> {
    match reply.next_page.as_deref().map(str::trim) {
        None => Ok(is_full.then_some(page + 1)),
        Some("") => Ok(None),
        Some(next) => match next.parse() {
            Ok(next) if next > page => Ok(Some(next)),
            _ => Err(Failure::new(format!("of its members GitLab names {next:?} as the page after {page}"))),
        },
    }
}

/// The users at GitLab who are on call.
fn users(
    client: &Client,
    gitlab: &Gitlab,
    work: &Work<'_>,
    outcome: &mut Outcome,
) -> Result<BTreeMap<u64, String>, Failure> {
    let mut wanted = BTreeMap::new();
    for person in work.wanted {
        match user(client, gitlab, person)? {
            Some(user) => _ = wanted.insert(user.id, user.username),
            None => outcome.notes.push(format!(
                "{person} is on call, and GitLab has no active user of that name: left out; see `users`"
            )),
        }
    }
    if wanted.is_empty() && !work.wanted.is_empty() {
        return Err(Failure::new(
            "none of the people on call is a user at GitLab, so the group stays as it is; see `users`",
        ));
    }
    Ok(wanted)
}

fn user(client: &Client, gitlab: &Gitlab, person: &Principal) -> Result<Option<User>, Failure> {
    let name = name_of(gitlab, person);
    let found: Vec<User> = read(&client.get("/api/v4/users", &[("username", name)])?)?;
    Ok(found.into_iter().find(|user| user.username.eq_ignore_ascii_case(name) && user.state == "active"))
}

/// What somebody is called there.
fn name_of<'a>(gitlab: &'a Gitlab, person: &'a Principal) -> &'a str {
    gitlab.users.get(person).map_or(person.as_str(), String::as_str)
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Failure> {
    accepted(reply)?;
    serde_json::from_slice(&reply.body)
        .map_err(|_| Failure::new("GitLab's answer is not understood; see `url`, and any proxy in between"))
}
