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
    /// Whoever comes by a group of a single sign-on.
    #[serde(default)]
    group_saml_identity: Option<Value>,
    /// There for members who are synced from a directory alone, whatever it says.
    #[serde(default, deserialize_with = "there")]
    r#override: bool,
}

fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Value::deserialize(deserializer).map(|_| true)
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
    let group = format!("/api/v4/groups/{}/members", gitlab.group.replace('/', "%2F"));
    let members = members(&client, &group)?;
    let mut wanted = BTreeMap::new();
    for person in work.wanted {
        match user(&client, gitlab, person)? {
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
    let mut ours: BTreeSet<u64> = memory.placed.iter().filter_map(|id| id.parse().ok()).collect();
    // Who left, or was given more, or comes from elsewhere now, is nobody of ours any more.
    let is_ours = |member: &Member| {
        ours.contains(&member.id)
            && member.access_level < MAINTAINER
            && member.group_saml_identity.is_none()
            && !member.r#override
    };
    ours = members.iter().filter(|member| is_ours(member)).map(|member| member.id).collect();
    for (id, name) in wanted.iter().filter(|(id, _)| !members.iter().any(|member| member.id == **id)) {
        outcome.changes.push(format!("{} {name}", work.would("added", "would add")));
        if work.apply == Apply::Write {
            // Before it is done: a run that ends in between must not leave them there for ever.
            ours.insert(*id);
            remember(&ours, memory);
            work.keep(memory)?;
            if !add(&client, &group, *id, gitlab.access_level)? {
                ours.remove(id);
            }
        }
    }
    let gone = |member: &&Member| ours.contains(&member.id) && !wanted.contains_key(&member.id);
    let gone: Vec<&Member> = members.iter().filter(gone).collect();
    for member in gone {
        outcome.changes.push(format!("{} {}", work.would("removed", "would remove"), member.username));
        if work.apply == Apply::Write {
            let reply = client.delete(&format!("{group}/{}", member.id), &KEEP_BELOW)?;
            if reply.status != 404 {
                accepted(&reply)?;
            }
            ours.remove(&member.id);
        }
    }
    remember(&ours, memory);
    Ok(())
}

/// What somebody else has given them in a project or group below stays; GitLab's default is to take that too.
const KEEP_BELOW: [(&str, &str); 1] = [("skip_subresources", "true")];

/// Makes a user a member; not, if somebody else was faster.
fn add(client: &Client, group: &str, id: u64, access_level: u32) -> Result<bool, Failure> {
    let body = json!({ "user_id": id, "access_level": access_level });
    let reply = client.tell(group, &[], body.to_string().into_bytes())?;
    if reply.status == 409 { Ok(false) } else { accepted(&reply).map(|()| true) }
}

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
