//! `[event]` of notify.toml: who may tell of VPN logins, and how often they are told on.

use std::collections::BTreeMap;

use policy::Span;
use serde::Deserialize;
use toml::Spanned;

use super::Problem;
use super::channel::length;
use crate::words;

/// Who is the person, unless root writes something else.
pub const PERSON: &str = "username or common_name";

/// For how long one client is told once.
const WINDOW: Span = Span::minutes(10);

/// The most events of one user in a minute: a VPN server that comes back has all of its clients at once.
const MOST_A_MINUTE: u32 = 600;

/// The user that belongs to nobody, and so to everybody who runs something as nobody.
const NOBODY: (&str, u32) = ("nobody", 65_534);

/// Who may tell of VPN logins, and how often they are told on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// Names, or uids in digits.
    pub users: Vec<String>,
    /// For how long the same client's connections from one place are told once; nothing: each is told.
    pub window: Option<Span>,
    /// The most events of one user in a minute.
    pub most_a_minute: u32,
    /// The expression that says who it is.
    pub person: String,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventSection {
    users: Spanned<Vec<String>>,
    window: Option<Spanned<String>>,
    most_a_minute: Option<Spanned<u32>>,
    person: Option<Spanned<String>>,
}

impl EventSection {
    /// What it means.
    ///
    /// # Errors
    /// Where, and what does not hold.
    pub fn check(self) -> Result<Events, Problem> {
        let (at, users) = (self.users.span().start, self.users.into_inner());
        if users.is_empty() {
            return Err((at, "`users` names nobody; write the user that OpenVPN runs as".into()));
        }
        let is_nobody = |user: &String| user == NOBODY.0 || user.parse() == Ok(NOBODY.1);
        if users.iter().any(is_nobody) {
            let text = "`users` has nobody, as whom other programs run too; give OpenVPN a user of its own";
            return Err((at, text.into()));
        }
        let at = |span: std::ops::Range<usize>| move |text: String| (span.start, text);
        let window = match self.window {
            None => Some(WINDOW),
            Some(window) => length("window", Some(window.get_ref()), "").map_err(at(window.span()))?,
        };
        let most_a_minute = self.most_a_minute.unwrap_or(Spanned::new(0..0, MOST_A_MINUTE));
        if !(1..=60_000).contains(most_a_minute.get_ref()) {
            return Err((most_a_minute.span().start, "`most_a_minute` is 1 to 60000 events".into()));
        }
        let person = self.person.unwrap_or(Spanned::new(0..0, PERSON.to_string()));
        words::check_expression(person.get_ref())
            .map_err(|problem| format!("`person`: {problem}"))
            .map_err(at(person.span()))?;
        let (most_a_minute, person) = (most_a_minute.into_inner(), person.into_inner());
        Ok(Events { users, window, most_a_minute, person })
    }
}

impl Events {
    /// The users by their uids, and what they are called; and a line for each that this host does not know, or not yet.
    pub fn uids(&self) -> (BTreeMap<u32, String>, Vec<String>) {
        let (mut uids, mut problems) = (BTreeMap::new(), Vec::new());
        for user in &self.users {
            match uid(user) {
                Ok(uid) => _ = uids.insert(uid, user.clone()),
                Err(problem) => problems.push(problem),
            }
        }
        (uids, problems)
    }
}

fn uid(user: &str) -> Result<u32, String> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    host::accounts::uid_of(user)
        .map_err(|error| format!("[event] users: {user}: {error}"))?
        .ok_or_else(|| format!("[event] users: this host has no user {user}"))
}
