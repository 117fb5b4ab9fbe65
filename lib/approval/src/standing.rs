//! Is what runs here what was signed?

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host::Config;
use host::config::host_name;
use policy::{Host, Timestamp};
use signed::{DeadLine, Purpose, SignatureError, Signers, split_within, verify};
use trust::{Owner, Refusal};

use crate::hosts::{labels_for, normal, written_name};
use crate::text::{Approved, LARGEST, TextError, digest, lines};
use crate::{Labels, Mark, Seen};

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
    /// The digest of the whole text, with its number and its hosts.
    pub text_digest: String,
    /// When the last signature that counts no longer does, if that is known.
    pub ends: Option<Timestamp>,
}

/// What is amiss.
#[derive(Debug)]
pub enum Problem {
    /// The list of signers, or the signature, cannot be read; or nothing is signed.
    Unreadable(Refusal),
    /// No signature counts: why the first one does not.
    Signature(SignatureError),
    /// The file has signatures alone, without the text that was signed.
    Alone,
    /// What was signed is no text of a policy.
    Text(TextError),
    /// What runs is not what was signed: lines that were not signed, with `+`, and such as do not run, with `-`.
    Differs(Vec<String>),
    /// It is what was signed, but that it observes, where `enforce` was signed: as on the way to enforcing.
    Observes,
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
            Self::Alone => f.write_str(
                "the file has the signature alone, without the text: cat policy armour >policy.sig",
            ),
            Self::Text(error) => write!(f, "what was signed is no policy: {error}"),
            Self::Observes => {
                f.write_str("this host observes, and what was signed enforces; all else is as signed")
            }
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
    pub seen: Mark,
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

    /// Why nobody knows here whether a newer one was in force before.
    pub fn doubt(&self) -> Option<String> {
        match &self.seen {
            Mark::Nothing | Mark::Highest(_) => None,
            Mark::Hidden => Some(
                "as far as this user may know: ask as root whether a newer one was in force here".to_string(),
            ),
            Mark::Broken(problem) => {
                Some(format!("it cannot be told whether a newer one was in force here: {problem}"))
            }
        }
    }

    /// One line for people, where somebody asked.
    pub fn told(&self) -> Option<String> {
        match (&self.signed, self.problems.as_slice()) {
            _ if !self.is_asked => None,
            (Some(Signed { number, issued, by, .. }), []) => {
                let doubt = self.doubt().map_or_else(String::new, |doubt| format!("; {doubt}"));
                Some(format!("number {number} of {issued}, signed by {}{doubt}", by.join(" and ")))
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
    standing_on(&host_name(), config, seen, at)
}

/// The same on the host that the kernel calls `kernel`.
fn standing_on(kernel: &str, config: &Config, seen: &Path, at: Timestamp) -> Standing {
    // A configuration that was read is TOML.
    let running = lines(&config.text).unwrap_or_default();
    let mut standing = Standing {
        digest: digest(&running),
        is_asked: true,
        signed: None,
        problems: Vec::new(),
        dead: Vec::new(),
        seen: Mark::read(seen),
    };
    let path = beside(&config.path, SIGNERS);
    // First of all: at a desk, where no such file is, it does not matter whose the directory is.
    if fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        standing.is_asked = false;
        return standing;
    }
    match trust::read(&path, Owner::Root, Signers::LARGEST as u64) {
        Ok(text) => {
            let (signers, dead) = Signers::parse(&text);
            standing.dead = dead;
            standing.judge(config, &signers, &running, (kernel, at));
        }
        Err(refusal) if refusal.is_missing() => standing.is_asked = false,
        Err(refusal) => standing.problems.push(Problem::Unreadable(refusal)),
    }
    standing
}

impl Standing {
    fn judge(
        &mut self,
        config: &Config,
        signers: &Signers,
        running: &[String],
        (kernel, at): (&str, Timestamp),
    ) {
        let (approved, by, ends) = match open(&beside(&config.path, SIGNATURE), signers, at) {
            Ok(opened) => opened,
            Err(problem) => return self.problems.push(problem),
        };
        if approved.lines != running {
            let differs = || Problem::Differs(difference(&approved.lines, running));
            let observes = observes(&approved.lines, running).then_some(Problem::Observes);
            self.problems.push(observes.unwrap_or_else(differs));
        }
        // Rules go by the name, so a name that the file alone knows is none that a pattern was signed for.
        let written = written_name(&config.text).unwrap_or_default();
        let is_given = written.is_some_and(|name| normal(&name) != normal(kernel));
        self.problems.extend(not_for(&config.rules.host, is_given, &approved).map(Problem::Host));
        let text_digest = approved.text_digest();
        match &self.seen {
            Mark::Highest(Seen { number, .. }) if approved.number < *number => {
                self.problems.push(Problem::Older { number: approved.number, seen: *number });
            }
            Mark::Highest(Seen { number, digest })
                if approved.number == *number && text_digest != *digest =>
            {
                self.problems.push(Problem::Twice(approved.number));
            }
            _ => {}
        }
        let digest = digest(&approved.lines);
        let Approved { number, issued, .. } = approved;
        self.signed = Some(Signed { number, issued, by, digest, text_digest, ends });
    }
}

/// Who signed, and when the last of these signatures no longer counts.
type Opened = (Approved, Vec<String>, Option<Timestamp>);

/// What was signed, and by whom. Nothing of a text is read that nobody listed has signed.
fn open(path: &Path, signers: &Signers, at: Timestamp) -> Result<Opened, Problem> {
    let document = trust::read(path, Owner::Root, LARGEST as u64).map_err(Problem::Unreadable)?;
    if document.starts_with(b"-----BEGIN SSH SIGNATURE-----") {
        return Err(Problem::Alone);
    }
    let (text, armours) = split_within(&document, LARGEST).map_err(Problem::Signature)?;
    let (mut names, mut ends, mut problem) = (BTreeSet::new(), Vec::new(), None);
    for armour in armours {
        match verify(signers, Purpose::Policy, text, armour, at) {
            Ok(signer) => {
                names.insert(signer.name.clone());
                ends.push(signer.ends());
            }
            Err(error) => _ = problem.get_or_insert(error),
        }
    }
    if names.is_empty() {
        return Err(Problem::Signature(problem.unwrap_or(SignatureError::NoSignature)));
    }
    let approved = Approved::parse(text).map_err(Problem::Text)?;
    // One that counts for ever is enough.
    let ends = ends.into_iter().collect::<Option<Vec<Timestamp>>>().and_then(|all| all.into_iter().max());
    Ok((approved, names.into_iter().collect(), ends))
}

/// That the host is another one than was signed for. `is_given`: its name is from the configuration alone.
fn not_for(host: &Host, is_given: bool, approved: &Approved) -> Option<String> {
    let told = |labels: Vec<&str>| match labels.as_slice() {
        [] => "no labels".to_string(),
        labels => format!("the labels {}", labels.join(", ")),
    };
    let name = &host.name;
    match labels_for(&approved.hosts, host, is_given) {
        Labels::Signed(signed) if *signed == host.labels.iter().cloned().collect() => None,
        Labels::Signed(signed) => {
            let own = told(host.labels.iter().map(String::as_str).collect());
            let signed = told(signed.iter().map(String::as_str).collect());
            Some(format!("{name} gives itself {own}, and it was signed with {signed}"))
        }
        Labels::NoHost if is_given => Some(format!(
            "{name} is the name that config.toml gives this host, and the policy was signed for no host of that whole name"
        )),
        Labels::NoHost => Some(format!("{name} is none of the hosts for which the policy was signed")),
        Labels::Unclear(one, other) => {
            Some(format!("{name} is both {one} and {other}, which were signed with other labels"))
        }
    }
}

/// Is `running` what was signed, but that it observes?
fn observes(signed: &[String], running: &[String]) -> bool {
    const MODE: &str = "policy.mode = ";
    let mode = |lines: &[String]| lines.iter().find_map(|line| line.strip_prefix(MODE).map(String::from));
    let rest =
        |lines: &[String]| lines.iter().filter(|line| !line.starts_with(MODE)).cloned().collect::<Vec<_>>();
    let modes = (mode(signed), mode(running));
    (modes.0.as_deref(), modes.1.as_deref()) == (Some("\"enforce\""), Some("\"observe\""))
        && rest(signed) == rest(running)
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
