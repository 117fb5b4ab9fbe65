//! What the doctor found: how bad it is, where, why it matters, and what fixes it.

use std::fmt;

use host::clock;
use host::proof::Proofs;
use policy::Timestamp;
use serde_json::{Value, json};

/// How bad a finding is; the worst one is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Note,
    /// Something that will go wrong, or a way to root that is not asked about.
    Warning,
    /// Somebody enters whom the policy would refuse.
    Open,
    /// Somebody is refused, or soon will be, whom the policy would admit.
    LockOut,
}

impl Severity {
    /// The exit status: 0, 1 or 2, as `status` has it.
    pub fn code(self) -> u8 {
        match self {
            Self::Note => 0,
            Self::Warning => 1,
            Self::Open | Self::LockOut => 2,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Open => "open",
            Self::LockOut => "lock-out",
        })
    }
}

/// A file, and the line in it where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: Option<usize>,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl fmt::Display) -> Self {
        Self { file: file.to_string(), line: None }
    }

    /// A line of it, from 1.
    pub fn line(file: impl fmt::Display, line: usize) -> Self {
        Self { file: file.to_string(), line: Some(line) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// What makes it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fix {
    /// A command for root's shell.
    Command(String),
    /// What somebody has to decide or to write.
    Advice(String),
}

impl Fix {
    fn text(&self) -> &str {
        match self {
            Self::Command(text) | Self::Advice(text) => text,
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A stable token; docs/operations.md has a line for each.
    pub id: &'static str,
    pub severity: Severity,
    /// What is there.
    pub what: String,
    pub place: Option<Place>,
    /// What follows from it.
    pub why: &'static str,
    pub fix: Fix,
}

impl Finding {
    /// A finding without a place and without a fix.
    pub fn new(severity: Severity, id: &'static str, what: impl fmt::Display) -> Self {
        let fix = Fix::Advice(String::new());
        Self { id, severity, what: what.to_string(), place: None, why: "", fix }
    }

    pub fn lock_out(id: &'static str, what: impl fmt::Display) -> Self {
        Self::new(Severity::LockOut, id, what)
    }

    pub fn open(id: &'static str, what: impl fmt::Display) -> Self {
        Self::new(Severity::Open, id, what)
    }

    pub fn warning(id: &'static str, what: impl fmt::Display) -> Self {
        Self::new(Severity::Warning, id, what)
    }

    pub fn note(id: &'static str, what: impl fmt::Display) -> Self {
        Self::new(Severity::Note, id, what)
    }

    /// Where it is.
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Why it matters.
    pub fn why(self, why: &'static str) -> Self {
        Self { why, ..self }
    }

    /// Mended by this command.
    pub fn run(self, command: impl fmt::Display) -> Self {
        Self { fix: Fix::Command(command.to_string()), ..self }
    }

    /// Mended by somebody who does this.
    pub fn advise(self, advice: impl fmt::Display) -> Self {
        Self { fix: Fix::Advice(advice.to_string()), ..self }
    }

    fn json(&self) -> Value {
        let (file, line) = match &self.place {
            Some(place) => (Some(&place.file), place.line),
            None => (None, None),
        };
        json!({
            "id": self.id,
            "severity": self.severity.to_string(),
            "what": self.what,
            "file": file,
            "line": line,
            "why": self.why,
            "fix": self.fix.text(),
            "is_command": matches!(self.fix, Fix::Command(_)),
        })
    }

    /// Four lines for people.
    fn text(&self) -> String {
        let place = self.place.as_ref().map(|place| format!("  {place}")).unwrap_or_default();
        let fix = match &self.fix {
            Fix::Command(command) => format!("  # {command}"),
            Fix::Advice(advice) => format!("  {advice}"),
        };
        let head = format!("{:<8}  {}{place}", self.severity.to_string(), self.id);
        let lines = [self.what.as_str(), self.why, &fix];
        let lines =
            lines.iter().filter(|line| !line.trim().is_empty()).map(|line| format!("\n          {line}"));
        head + &lines.collect::<String>()
    }
}

/// Everything that was found, and when each way in was last proven.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>, Proofs);

impl Findings {
    /// The worst first; the same thing is told once.
    pub fn new(mut all: Vec<Finding>, proofs: Proofs) -> Self {
        let mut kept: Vec<Finding> = Vec::new();
        all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        for finding in all {
            if !kept.contains(&finding) {
                kept.push(finding);
            }
        }
        Self(kept, proofs)
    }

    /// Each of them.
    pub fn all(&self) -> &[Finding] {
        &self.0
    }

    /// The exit status.
    pub fn exit_code(&self) -> u8 {
        self.0.iter().map(|finding| finding.severity.code()).max().unwrap_or(0)
    }

    fn headline(&self) -> String {
        let count = |wanted| self.0.iter().filter(|finding| finding.severity == wanted).count();
        let told = [
            (count(Severity::LockOut), "locks out", "lock out"),
            (count(Severity::Open), "lets through", "let through"),
            (count(Severity::Warning), "warning", "warnings"),
        ];
        let told = told.iter().filter(|(count, ..)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many }))
            .collect();
        if told.is_empty() { "nothing is wrong".to_string() } else { told.join(", ") }
    }

    /// Everything for people, who read it at `at`.
    pub fn text(&self, at: Timestamp) -> String {
        let mut text = format!("{}\nways in: {}", self.headline(), self.1.line(at, &clock::uptime()));
        for finding in &self.0 {
            text.push_str("\n\n");
            text.push_str(&finding.text());
        }
        text
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    pub fn json(&self, host: &str, at: Timestamp) -> Value {
        json!({
            "version": 1,
            "at": at.to_string(),
            "host": host,
            "exit": self.exit_code(),
            "message": self.headline(),
            "way_in": ways_in(&self.1).first(),
            "ways_in": ways_in(&self.1),
            "findings": self.0.iter().map(Finding::json).collect::<Vec<_>>(),
        })
    }
}

/// The instants at which ways in were last proven, the latest first, for programs.
fn ways_in(proofs: &Proofs) -> Vec<Value> {
    let one = |(at, told): (Timestamp, String)| json!({ "at": at.to_string(), "told": told });
    proofs.by_instant().into_iter().map(one).collect()
}

/// `text` as one word for a shell.
pub fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:=,@%".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The command that edits `file` by these instructions of sed; a link stays a link.
pub fn edit(file: &str, instructions: &[String]) -> String {
    let instructions: Vec<String> =
        instructions.iter().map(|one| format!("-e '{}'", one.replace('\'', "'\\''"))).collect();
    format!("sed -i --follow-symlinks {} {}", instructions.join(" "), quoted(file))
}

/// The first few names.
pub fn listed(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 8;
    let mut text = names.iter().take(MOST).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_answer_and_comes_first() {
        let all = vec![
            Finding::note("n", "n"),
            Finding::lock_out("l", "l"),
            Finding::warning("w", "w"),
            Finding::note("n", "n"),
        ];
        let findings = Findings::new(all, Proofs::default());
        let ids: Vec<&str> = findings.0.iter().map(|finding| finding.id).collect();
        assert_eq!((ids, findings.exit_code()), (vec!["l", "w", "n"], 2));
        assert_eq!(findings.headline(), "1 locks out, 1 warning");
        assert_eq!(Findings::new(vec![Finding::note("n", "n")], Proofs::default()).exit_code(), 0);
        assert_eq!(Findings::new(vec![Finding::warning("w", "w")], Proofs::default()).exit_code(), 1);
    }

    #[test]
    fn what_is_told_to_a_shell_is_quoted() {
        assert_eq!(quoted("/etc/pam.d/sshd"), "/etc/pam.d/sshd");
        assert_eq!(quoted("/etc/a b;'$(id)"), "'/etc/a b;'\\''$(id)'");
        assert_eq!(quoted(""), "''");
        assert_eq!(
            edit("/x", &["1d".to_string(), "2c it's".to_string()]),
            "sed -i --follow-symlinks -e '1d' -e '2c it'\\''s' /x"
        );
    }
}
