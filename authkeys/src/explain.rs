//! `authkeys --explain USER`: what is printed for an account and what is not, key by key, for people.
//!
//! sshd never asks for this. Nothing of the directory's values is shown but their numbers: all that is printed
//! are keys that were parsed, names that were checked, and words of ours.

use std::fmt::Write as _;

use policy::{Principal, Timestamp};
use store::PublicKey;

use crate::lookup::Answer;
use crate::person::Origin;
use crate::rules::{Candidate, Standing};

/// The report about `account`, whose name was checked before anything was read.
pub fn report(account: &str, answer: &Answer, now: Timestamp) -> String {
    let mut text = format!("{account}: {} ({})\n", counted(answer.opening()), answer.reason);
    let _ = writeln!(text, "answer: {}", origin(&answer.origin));
    for (name, value) in &answer.evidence {
        let _ = writeln!(text, "{name}: {}", plain(value));
    }
    for printed in &answer.printed {
        let _ = write!(text, "{}", key(&printed.candidate, now));
        if !printed.options.is_empty() {
            let _ = write!(text, ", behind {}", printed.options);
        }
        text.push('\n');
    }
    for dropped in &answer.dropped {
        let _ = writeln!(
            text,
            "{}: dropped by [[keys.rule]] {}: {}",
            key(&dropped.candidate, now),
            dropped.rule,
            dropped.why
        );
    }
    rejected(&mut text, answer);
    text
}

/// The values that never were keys.
fn rejected(text: &mut String, answer: &Answer) {
    let Some(rejected) = &answer.rejected else {
        text.push_str("what was dropped of the directory's values is not remembered\n");
        return;
    };
    for (owner, value) in rejected {
        let (number, problem) = (value.number, value.problem);
        let _ = writeln!(text, "{owner}: value {number} dropped: {problem} ({})", problem.token());
    }
}

fn key(candidate: &Candidate, now: Timestamp) -> String {
    let Candidate { key, owner, standing } = candidate;
    format!("{}: {}", person(owner, *standing, now), described(key))
}

fn described(key: &PublicKey) -> String {
    format!("{} {} {}", key.kind(), key.bits(), key.fingerprint())
}

fn person(owner: &Principal, standing: Standing, now: Timestamp) -> String {
    match standing {
        Standing::Own | Standing::Admitted(None) => owner.to_string(),
        Standing::Admitted(Some(until)) => format!("{owner} (until {})", until.near(now)),
        Standing::Told => format!("{owner} (not admitted now, and told so)"),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Compiled => {
            "root is an account and no person; [[policy.shared]] does not list it".to_string()
        }
        Origin::Copy(age) => format!("copy, {age} old"),
        Origin::Directory => "live, from the directory".to_string(),
        Origin::Memory(age) => format!("memory of an earlier question, {age} old"),
    }
}

fn counted(keys: usize) -> String {
    format!("{keys} key{}", if keys == 1 { "" } else { "s" })
}

/// `text` as a terminal may get it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}
