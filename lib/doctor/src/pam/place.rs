//! Where our lines go in a stack: before every line that can end it in success without them, and where no jump counts
//! them. `pam-oncall-enable` asks for it, and so do the doctor's fixes.
//!
//! What is proposed has been walked: a user whom our module refuses is refused, and for everybody else the stack says what
//! it said before.

use std::fmt;

use super::flow::{self, Change};
use super::known::{ACCOUNT_MODULES, CONSENTS, REFUSALS, SESSION_WORD, anything, our_line};
use super::stack::{self, Entry, MISSING, Reader};

/// The control of a line that refuses and never speaks for anybody.
const SILENT: &str = "[success=ignore ignore=ignore default=die]";

/// What is to be done with a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Its lines are there, and they count.
    Counts,
    /// These lines make them count.
    Insert(Vec<Insertion>),
    /// Nothing, and why.
    Leave(Left),
}

/// A line that is put into the file that the service has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insertion {
    /// Before this line, from 1; `None`: at the end.
    pub before: Option<usize>,
    /// The line.
    pub text: String,
}

impl Insertion {
    /// The same as an instruction of sed.
    pub fn for_sed(&self) -> String {
        match self.before {
            Some(line) => format!("{line}i {}", self.text),
            None => format!("$a {}", self.text),
        }
    }
}

/// Why a stack is left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// The service has no stack file.
    NoStack,
    /// Our line of this kind is there, and somebody whom it refuses passes.
    DoesNotCount(&'static str),
    /// sshd's account line leaves shared accounts to a session line, and there is none.
    NoSessionLine,
    /// Wherever it is put, another line lets in whom ours has refused.
    TakenBack,
    /// Wherever it is put, others pass or are refused than before.
    Changes,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStack => f.write_str("the stack does not exist"),
            Self::DoesNotCount(kind) => {
                let article = if *kind == "account" { "an" } else { "a" };
                write!(f, "it has {article} {kind} line of pam_oncall.so that does not count")
            }
            Self::NoSessionLine => f.write_str(
                "it has an account line of pam_oncall.so and lacks the session line or `shared=session`",
            ),
            Self::TakenBack => f.write_str("another line in it cancels a refusal"),
            Self::Changes => f.write_str("our line would change what its other lines do"),
        }
    }
}

/// What makes our lines count in the stack of `service`.
pub fn plan(service: &str, read: Reader<'_>) -> Plan {
    let Some((file, text)) = stack::find(service, read) else { return Plan::Leave(Left::NoStack) };
    let target = Target { service, file, text, read };
    match target.account().and_then(|account| target.with_session(account)) {
        Ok(insertions) if insertions.is_empty() => Plan::Counts,
        Ok(insertions) => Plan::Insert(insertions),
        Err(left) => Plan::Leave(left),
    }
}

/// What puts the session line of sshd where it decides, first of its kind.
pub fn session_line(service: &str, read: Reader<'_>) -> Vec<Insertion> {
    let Some((file, text)) = stack::find(service, read) else { return Vec::new() };
    Target { service, file, text, read }.session("session requisite pam_oncall.so")
}

/// The stack that the lines are for.
struct Target<'a> {
    service: &'a str,
    file: String,
    text: String,
    read: Reader<'a>,
}

impl Target<'_> {
    fn is_sshd(&self) -> bool {
        self.service == "sshd"
    }

    /// The lines of one kind that decide, if these were put in.
    fn entries(&self, kind: &str, insertions: &[Insertion]) -> Vec<Entry> {
        let edited = edited(&self.text, insertions);
        let read = |path: &str| if path == self.file { Some(edited.clone()) } else { (self.read)(path) };
        stack::expand(self.service, kind, &read).unwrap_or_default()
    }

    /// The account line.
    fn account(&self) -> Result<Vec<Insertion>, Left> {
        let entries = self.entries("account", &[]);
        if entries.iter().any(Entry::is_ours) {
            return if counts(&entries) { Ok(vec![]) } else { Err(Left::DoesNotCount("account")) };
        }
        let words: &[&str] = if self.is_sshd() { &[SESSION_WORD] } else { &[] };
        let usual = our_line("account", "pam_oncall.so", words);
        // For a stack in which nobody may speak: there our yes would let in whom no other line lets in.
        let silent = usual.replacen("required", SILENT, 1);
        let mut why = Left::TakenBack;
        for line in [usual, silent] {
            for candidate in self.candidates("account", &entries, &line) {
                let with = self.entries("account", &candidate);
                match (counts(&with), changes(&with)) {
                    (true, Change::Nothing) => return Ok(candidate),
                    (is_final, _) => why = if is_final { Left::Changes } else { Left::TakenBack },
                }
            }
        }
        Err(why)
    }

    /// Where the line could be put: as close as it can be to the modules that know accounts, so that what the host asks
    /// of everybody first (pam_nologin.so) is asked first; at last before everything.
    fn candidates(&self, kind: &str, entries: &[Entry], line: &str) -> Vec<Vec<Insertion>> {
        if !entries.iter().any(|entry| entry.through.first() == Some(&self.file)) {
            return vec![self.behind_others(kind, line)];
        }
        let knows = |entry: &Entry| {
            ACCOUNT_MODULES.contains(&entry.name()) || entry.file != self.file || entry.module == MISSING
        };
        let last = entries.iter().position(knows).unwrap_or(0);
        let mut lines: Vec<usize> = entries.iter().take(last + 1).map(|entry| entry.own_line).collect();
        lines.dedup();
        let before =
            |line_number: &usize| vec![Insertion { before: Some(*line_number), text: line.to_string() }];
        lines.iter().rev().map(before).collect()
    }

    /// A stack without a line of this kind is decided by that of `other`, until it has one: libpam's _pam_dispatch. The
    /// comment lets `pam-oncall-enable --undo` take both lines out.
    fn behind_others(&self, kind: &str, line: &str) -> Vec<Insertion> {
        let other = format!("{kind} include other # as without pam_oncall.so");
        [line.to_string(), other].into_iter().map(|text| Insertion { before: None, text }).collect()
    }

    /// `line` before all others of its kind, where no jump reaches over it.
    fn session(&self, line: &str) -> Vec<Insertion> {
        let entries = self.entries("session", &[]);
        match entries.iter().find(|entry| entry.through.first() == Some(&self.file)) {
            Some(first) => vec![Insertion { before: Some(first.own_line), text: line.to_string() }],
            None => self.behind_others("session", line),
        }
    }

    /// The session line, besides what the account line needs.
    fn with_session(&self, mut insertions: Vec<Insertion>) -> Result<Vec<Insertion>, Left> {
        let before = self.entries("session", &insertions);
        let is_ours = before.iter().any(Entry::is_ours);
        let passes_on = self
            .entries("account", &insertions)
            .iter()
            .any(|entry| entry.is_ours() && entry.arguments.iter().any(|word| word == SESSION_WORD));
        if insertions.is_empty() {
            // Lines that are there keep the words that somebody gave them.
            return match () {
                () if !self.is_sshd() || (!is_ours && !passes_on) => Ok(insertions),
                () if !is_ours => Err(Left::NoSessionLine),
                () if !counts(&before) => Err(Left::DoesNotCount("session")),
                () => Ok(insertions),
            };
        }
        if is_ours {
            return if !self.is_sshd() || counts(&before) {
                Ok(insertions)
            } else {
                Err(Left::DoesNotCount("session"))
            };
        }
        let control = if self.is_sshd() { "requisite" } else { "optional" };
        insertions.extend(self.session(&format!("session {control} pam_oncall.so")));
        let with = self.entries("session", &insertions);
        match () {
            () if self.is_sshd() && !counts(&with) => Err(Left::TakenBack),
            () if changes(&with) == Change::Shuts => Err(Left::Changes),
            () => Ok(insertions),
        }
    }
}

/// Is everybody refused whom our line refuses, whatever the other lines say?
fn counts(entries: &[Entry]) -> bool {
    let passes =
        |answer: &str| flow::ends(entries, &|entry| anything(entry, &[answer])).iter().any(|end| end.passes);
    !REFUSALS.iter().any(|answer| passes(answer))
}

/// What our line makes of the stack for those whom it does not refuse.
fn changes(entries: &[Entry]) -> Change {
    let Some(at) = entries.iter().position(Entry::is_ours) else { return Change::Nothing };
    let change = |answer: &&str| flow::change(entries, at, answer, &|entry| anything(entry, &[]));
    CONSENTS.iter().map(change).max().unwrap_or(Change::Nothing)
}

/// `text` with these lines in it, as sed puts them.
fn edited(text: &str, insertions: &[Insertion]) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        lines.extend(
            insertions.iter().filter(|one| one.before == Some(index + 1)).map(|one| one.text.as_str()),
        );
        lines.push(line);
    }
    lines.extend(insertions.iter().filter(|one| one.before.is_none()).map(|one| one.text.as_str()));
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}
