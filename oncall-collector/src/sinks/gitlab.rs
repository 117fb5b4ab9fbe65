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
}

#[derive(Deserialize)]
struct Member {
    id: u64,
    username: String,
    access_level: u32,
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
    username: String,
}

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
}

/// Makes the people on call members, and no longer those whom we added and who are not.
pub fn write(
    gitlab: &Gitlab,
    work: &Work<'_>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Result<(), Failure> {
    let token = secret(&gitlab.token_file, "token_file")?;
    let client = client(&gitlab.service, &[(TOKEN, token.expose())])?;
    let path = format!("/api/v4/groups/{}/members", gitlab.group.replace('/', "%2F"));
    let members = members(&client, &path)?;
    let wanted = users(&client, gitlab, work, outcome)?;
    let found = Found { client, path, gitlab, members, wanted };
    let placed: BTreeSet<u64> = memory.placed.iter().filter_map(|id| id.parse().ok()).collect();
    let ours = found.members.iter().filter(|member| found.is_ours(member, &placed));
    let mut ours: BTreeSet<u64> = ours.map(|member| member.id).collect();
    if work.before.is_none() {
        outcome.notes.extend(found.others(&ours));
    }
    found.add(work, (&mut ours, &mut *memory), outcome)?;
    found.remove(work, &mut ours, outcome)?;
    remember(&ours, memory);
    Ok(())
}

impl Found<'_> {
    /// Did a sink add them? Who left, or was given more, or comes from elsewhere now, is nobody of ours any more.
    fn is_ours(&self, member: &Member, placed: &BTreeSet<u64>) -> bool {
        let added = member.access_level == self.gitlab.access_level && self.is_added_for_us(member);
        (added || placed.contains(&member.id))
            && member.access_level < MAINTAINER
            && member.group_saml_identity.is_none()
            && !member.r#override
    }

    fn is_added_for_us(&self, member: &Member) -> bool {
        let is_named =
            |by: &Creator| self.gitlab.added_by.iter().any(|name| name.eq_ignore_ascii_case(&by.username));
        member.created_by.as_ref().is_some_and(is_named)
    }

    /// Members who may be there by a rota as well, and stay, as those who added them are not named: another collector, or
    /// what wrote the group before.
    fn others(&self, ours: &BTreeSet<u64>) -> Vec<String> {
        let mut by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let level = self.gitlab.access_level;
        for member in self.members.iter().filter(|one| one.access_level == level && !ours.contains(&one.id)) {
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

    /// Adds who is missing. Whom GitLab does not take is left out, as long as it takes somebody.
    fn add(
        &self,
        work: &Work<'_>,
        (ours, memory): (&mut BTreeSet<u64>, &mut Memory),
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let mut refused = None;
        let mut stand = self.members.iter().filter(|member| self.wanted.contains_key(&member.id)).count();
        let is_missing = |id: &u64| !self.members.iter().any(|member| member.id == *id);
        for (id, name) in self.wanted.iter().filter(|(id, _)| is_missing(id)) {
            if self.inherited(*id)? > self.gitlab.access_level {
                stand += 1;
                outcome.notes.push(format!(
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
            ours.insert(*id);
            remember(ours, memory);
            work.keep(memory)?;
            match self.add_one(*id)? {
                Added::Done => outcome.changes.push(format!("added {name}")),
                Added::Already => _ = ours.remove(id),
                Added::Refused(status) => {
                    ours.remove(id);
                    let line = format!(
                        "{name} is on call, and GitLab does not add them (status {status}): left out"
                    );
                    outcome.notes.push(line.clone());
                    refused = Some(line);
                    continue;
                }
            }
            stand += 1;
        }
        remember(ours, memory);
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

    fn remove(
        &self,
        work: &Work<'_>,
        ours: &mut BTreeSet<u64>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let gone = |member: &&Member| ours.contains(&member.id) && !self.wanted.contains_key(&member.id);
        let gone: Vec<&Member> = self.members.iter().filter(gone).collect();
        for member in gone {
            outcome.changes.push(format!("{} {}", work.would("removed", "would remove"), member.username));
            if work.apply == Apply::Write {
                let reply = self.client.delete(&format!("{}/{}", self.path, member.id), &KEEP_BELOW)?;
                if reply.status != 404 {
                    accepted(&reply)?;
                }
                ours.remove(&member.id);
            }
        }
        Ok(())
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

fn remember(ours: &BTreeSet<u64>, memory: &mut Memory) {
    memory.placed = ours.iter().map(ToString::to_string).collect();
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
    for page in 1..=MOST_PAGES {
        let number = page.to_string();
        let reply = client.get(group, &[("per_page", "100"), ("page", &number)])?;
        let some: Vec<Member> = read(&reply)?;
        let is_last = some.len() < PAGE;
        members.extend(some);
        if is_last {
            return Ok(members);
        }
    }
    Err(Failure::new("the group has more than 5000 members; use one of its own for people on call"))
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
    let name = gitlab.users.get(person).map_or(person.as_str(), String::as_str);
    let found: Vec<User> = read(&client.get("/api/v4/users", &[("username", name)])?)?;
    Ok(found.into_iter().find(|user| user.username.eq_ignore_ascii_case(name) && user.state == "active"))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Failure> {
    accepted(reply)?;
    serde_json::from_slice(&reply.body)
        .map_err(|_| Failure::new("GitLab's answer is not understood; see `url`, and any proxy in between"))
}
