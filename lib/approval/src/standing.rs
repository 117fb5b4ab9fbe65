//! Is what runs here what was signed?

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use host::Config;
use policy::{Host, Timestamp};
use signed::{DeadLine, Purpose, SignatureError, Signers, split_within, verify};
use trust::{Owner, Refusal};

use crate::Seen;
use crate::text::{Approved, LARGEST, TextError, digest, lines};

/// The signed text with its signatures, beside config.toml.
pub const SIGNATURE: &str = "policy.sig";

/// Who may sign, beside config.toml: lines of allowed_signers(5).
pub const SIGNERS: &str = "policy-signers";

/// The most lines of a difference that are told.
const MOST_LINES: usize = 4;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The number of the text.
    pub number: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// Who signed it, and counts.
    pub by: Vec<String>,
    /// The digest of the policy in it.
    pub digest: String,
}

/// What is amiss.
#[derive(Debug)]
pub enum Problem {
    /// The list of signers, or the signature, cannot be read; or nothing is signed.
    Unreadable(Refusal),
    /// No signature counts: why the first one does not.
    Signature(SignatureError),
    /// What was signed is no text of a policy.
    Text(TextError),
    /// What runs is not what was signed: lines that were not signed, with `+`, and such as do not run, with `-`.
    Differs(Vec<String>),
    /// It was signed for other hosts, or for other labels of this one.
    Host(String),
    /// A newer one has been in force here.
    Older {
        /// The number that runs.
        number: u64,
        /// The highest that was seen.
        seen: u64,
    },
    /// Another text with this number has been in force here.
    Twice(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(refusal) if refusal.is_missing() => {
                write!(f, "the policy is not signed: {refusal}")
            }
            Self::Unreadable(refusal) => {
                write!(f, "it cannot be told whether the policy is signed: {refusal}")
            }
            Self::Signature(error) => write!(f, "the policy is signed by nobody who may: {error}"),
            Self::Text(error) => write!(f, "what was signed is no policy: {error}"),
            Self::Differs(lines) => {
                write!(f, "the policy is not the one that was signed: {}", lines.join("; "))
            }
            Self::Host(what) => f.write_str(what),
            Self::Older { number, seen } => {
                write!(f, "the policy is number {number}, and number {seen} was in force here before")
            }
            Self::Twice(number) => {
                write!(f, "another policy with the number {number} was in force here before")
            }
        }
    }
}

/// What is known of the policy of a host.
#[derive(Debug)]
pub struct Standing {
    /// The digest of what runs.
    pub digest: String,
    /// Is there a list of signers, so that somebody wants it signed?
    pub is_asked: bool,
    /// What is signed, as far as the signature counts.
    pub signed: Option<Signed>,
    /// What is amiss; nothing, where nobody asked.
    pub problems: Vec<Problem>,
    /// Lines of the signers that let nobody sign.
    pub dead: Vec<DeadLine>,
    /// What was in force here before, as far as whoever asks may know.
    pub seen: Option<Seen>,
}

impl Standing {
    /// Does what was signed run here? `None`: nobody asked.
    pub fn is_as_signed(&self) -> Option<bool> {
        self.is_asked.then(|| self.signed.is_some() && self.problems.is_empty())
    }

    /// The number that counts here; nothing, where the policy is not as signed.
    pub fn number(&self) -> Option<u64> {
        let signed = self.signed.as_ref().filter(|_| self.is_as_signed() == Some(true));
        signed.map(|signed| signed.number)
    }

    /// One line for people, where somebody asked.
    pub fn told(&self) -> Option<String> {
        match (&self.signed, self.problems.as_slice()) {
            _ if !self.is_asked => None,
            (Some(Signed { number, issued, by, digest: _ }), []) => {
                Some(format!("number {number} of {issued}, signed by {}", by.join(" and ")))
            }
            (_, problems) => Some(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        }
    }
}

/// Where the file of that name is for the configuration at `config`.
fn beside(config: &Path, name: &str) -> PathBuf {
    config.with_file_name(name)
}

/// Looks at what is beside `config`, at the instant `at`; `seen` is where this host keeps what was in force.
pub fn standing(config: &Config, seen: &Path, at: Timestamp) -> Standing {
    // A configuration that was read is TOML.
    let running = lines(&config.text).unwrap_or_default();
    let mut standing = Standing {
        digest: digest(&running),
        is_asked: true,
        signed: None,
        problems: Vec::new(),
        dead: Vec::new(),
        seen: Seen::read(seen),
    };
    match trust::read(&beside(&config.path, SIGNERS), Owner::Root, Signers::LARGEST as u64) {
        Ok(text) => {
            let (signers, dead) = Signers::parse(&text);
            standing.dead = dead;
            standing.judge(config, &signers, &running, at);
        }
        Err(refusal) if refusal.is_missing() => standing.is_asked = false,
        Err(refusal) => standing.problems.push(Problem::Unreadable(refusal)),
    }
    standing
}

impl Standing {
    fn judge(&mut self, config: &Config, signers: &Signers, running: &[String], at: Timestamp) {
        let opened = open(&beside(&config.path, SIGNATURE), signers, at);
        let (approved, by) = match opened {
            Ok(opened) => opened,
            Err(problem) => return self.problems.push(problem),
        };
        if approved.lines != running {
            self.problems.push(Problem::Differs(difference(&approved.lines, running)));
        }
        if !approved.is_for(&config.rules.host) {
            self.problems.push(Problem::Host(not_for(&config.rules.host, &approved)));
        }
        let signed = digest(&approved.lines);
        match &self.seen {
            Some(Seen { number, .. }) if approved.number < *number => {
                self.problems.push(Problem::Older { number: approved.number, seen: *number });
            }
            Some(Seen { number, digest }) if approved.number == *number && signed != *digest => {
                self.problems.push(Problem::Twice(approved.number));
            }
            _ => {}
        }
        let Approved { number, issued, .. } = approved;
        self.signed = Some(Signed { number, issued, by, digest: signed });
    }
}

/// What was signed, and by whom. Nothing of a text is read that nobody listed has signed.
fn open(path: &Path, signers: &Signers, at: Timestamp) -> Result<(Approved, Vec<String>), Problem> {
    let document = trust::read(path, Owner::Root, LARGEST as u64).map_err(Problem::Unreadable)?;
    let (text, armours) = split_within(&document, LARGEST).map_err(Problem::Signature)?;
    let (mut names, mut problem) = (BTreeSet::new(), None);
    for armour in armours {
        match verify(signers, Purpose::Policy, text, armour, at) {
            Ok(signer) => _ = names.insert(signer.name.clone()),
            Err(error) => _ = problem.get_or_insert(error),
        }
    }
    if names.is_empty() {
        return Err(Problem::Signature(problem.unwrap_or(SignatureError::NoSignature)));
    }
    let approved = Approved::parse(text).map_err(Problem::Text)?;
    Ok((approved, names.into_iter().collect()))
}

/// That the host is another one than was signed for.
fn not_for(host: &Host, approved: &Approved) -> String {
    let told = |labels: Vec<&str>| match labels.as_slice() {
        [] => "no labels".to_string(),
        labels => format!("the labels {}", labels.join(", ")),
    };
    let own = told(host.labels.iter().map(String::as_str).collect());
    match approved.labels_for(host).next() {
        Some(signed) => {
            let signed = told(signed.iter().map(String::as_str).collect());
            format!("{} gives itself {own}, and it was signed with {signed}", host.name)
        }
        None => format!("{} is none of the hosts for which the policy was signed", host.name),
    }
}

/// The first lines that differ.
fn difference(signed: &[String], running: &[String]) -> Vec<String> {
    let (was, is): (BTreeSet<&String>, BTreeSet<&String>) =
        (signed.iter().collect(), running.iter().collect());
    let added = is.difference(&was).map(|line| format!("+ {line}"));
    let gone = was.difference(&is).map(|line| format!("- {line}"));
    let all: Vec<String> = gone.chain(added).collect();
    let mut told: Vec<String> = all.iter().take(MOST_LINES).cloned().collect();
    if all.len() > MOST_LINES {
        told.push(format!("and {} lines more", all.len() - MOST_LINES));
    }
    if told.is_empty() {
        told.push("the order of its lines".to_string());
    }
    told
}

#[cfg(test)]
mod tests;
