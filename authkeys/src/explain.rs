//! `authkeys --explain USER`: what is printed for an account and what is not, key by key, for people.
//!
//! sshd never asks for this. Nothing of the directory's values is shown but their numbers: what is printed are keys
//! that were parsed, names that were checked, and words of ours; of the rest, printable ASCII alone.

use std::fmt::Write as _;

use host::output::counted;
use policy::{Decision, Ground, OnCall, Reason, Timestamp};
use store::keys::Refused;

use crate::lookup::Answer;
use crate::person::Origin;
use crate::reason::Outcome;
use crate::rules::Candidate;

/// The report about `account`, whose name was checked before anything was read.
pub fn report(account: &str, answer: &Answer, now: Timestamp) -> String {
    let mut text = format!("{account}: {} ({})\n", counted(answer.opening(), "key"), answer.reason);
    if answer.reason == Outcome::Revoked {
        text.push_str("revoked: oncall-cache why says since when and by whom\n");
        return text;
    }
    let _ = writeln!(text, "answer: {}", origin(&answer.origin));
    for (name, value) in &answer.evidence {
        let _ = writeln!(text, "{name}: {}", plain(value));
    }
    for (principal, decision) in &answer.people {
        let _ = writeln!(text, "{principal}: {}", standing(decision, now));
    }
    for printed in &answer.printed {
        let _ = write!(text, "{}", key(&printed.candidate));
        if !printed.options.is_empty() {
            let _ = write!(text, ", behind {}", printed.options);
        }
        text.push('\n');
    }
    for dropped in &answer.dropped {
        let _ = writeln!(text, "{}: {}", key(&dropped.candidate), dropped.why);
    }
    for remark in &answer.remarks {
        let _ = writeln!(text, "{}", plain(remark));
    }
    rejected(&mut text, answer);
    text
}

/// The values that never were keys.
fn rejected(text: &mut String, answer: &Answer) {
    let Some(rejected) = &answer.rejected else {
        text.push_str("which values of the directory were dropped is not recorded\n");
        return;
    };
    for Refused { principal, which, problem } in rejected {
        let _ = writeln!(text, "{principal}: {which} dropped: {problem} ({})", problem.token());
    }
}

fn key(candidate: &Candidate) -> String {
    let Candidate { key, owner, .. } = candidate;
    format!("{owner}: {} {} {}", key.kind(), key.bits(), key.fingerprint())
}

/// Why a person's keys open a shared account, or only tell them that they do not.
fn standing(decision: &Decision, now: Timestamp) -> String {
    match &decision.ground {
        Ground::OnCall(OnCall { rule, schedule, level, window, .. }) => plain(&format!(
            "on call for {schedule}, level {level}, {} to {} (rule {rule})",
            window.start().near(now),
            window.end().near(now)
        )),
        _ if decision.reason == Reason::NotEligible => {
            "no longer eligible, by keys.db; the roster follows at its next sync".to_string()
        }
        _ if decision.allows() => format!("admitted ({})", decision.reason),
        _ => format!("not admitted ({}); their keys only run `oncall-cache explain`", decision.reason),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Compiled => {
            "root is an account, not a person; no [[policy.shared_account]] lists it".to_string()
        }
        Origin::Configuration => "config.toml alone".to_string(),
        Origin::Copy(age) => format!("copy, {age} old"),
        Origin::Directory => "live, from the directory".to_string(),
        Origin::Memory(age) => format!("an earlier live answer, {age} old"),
    }
}

/// `text` as a terminal may get it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(plain("a\x1b[2J\n\u{202e}\u{e9} b"), "a?[2J??? b");
    }
}
