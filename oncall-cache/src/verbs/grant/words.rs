//! What a grant says, in words: who would get what, where, until when.

use std::fmt::Display;

use grant::{Grant, may_be_signed};
use policy::{Span, Timestamp};

/// A line each. All of it was read from a grant, so it is ASCII.
pub fn words(grant: &Grant, now: Timestamp) -> Vec<String> {
    let (start, end) = (grant.window.start(), grant.window.end());
    let (by, key) = match &grant.key {
        Some(key) => ("ssh with this key, or sudo", format!("{} ({})", key.fingerprint(), key.kind())),
        None => ("sudo alone", "none".to_string()),
    };
    let (person, account, hosts) = (&grant.person, &grant.account, and(&grant.hosts));
    let age = now.since(grant.issued);
    let age = if age > Span::seconds(0) { format!(" ({age} ago)") } else { String::new() };
    let mut lines = vec![
        format!("{person} would get {account} on {hosts} for {}", end.since(start)),
        row("from", utc(start)),
        row("until", utc(end)),
        row("by", by),
        row("key", key),
        row("because", &grant.reason),
        row("fleet", &grant.site),
        row("asked for", format!("{}{age}", utc(grant.issued))),
        row("grant", grant.id),
    ];
    match may_be_signed(grant, now) {
        Err(refusal) => lines.push(row("NOT VALID", refusal)),
        Ok(()) if now < start => lines.push(row("NOT YET", "a host takes it once it begins, and not before")),
        Ok(()) => {}
    }
    lines
}

/// A line below the first.
pub fn row(heading: &str, value: impl Display) -> String {
    format!("  {heading:<11} {value}")
}

fn utc(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', " UTC")
}

/// `db7`, `db7 and db8`, `db7, db8 and db9`.
fn and(names: &[String]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        names => names.concat(),
    }
}
