//! `/etc/authkeys/revoked`: who is shut out on this host, whatever all else says.
//!
//! `oncall-cache revoke` writes it, and so may whatever manages /etc: one line for each person, `#` before a
//! comment.
//!
//! ```text
//! alice 2026-11-20T09:00:00Z root laptop stolen
//! ```
//!
//! Name, since when (UTC), who said so, and the rest of the line is why. A file that is not there revokes nobody. One
//! that others could have written, or with a line that is not understood, tells nothing: half a list of
//! those who are shut out is no list.

use std::fmt;
use std::path::{Path, PathBuf};

use policy::{Fault, Principal, Revocation, Revoked, Timestamp};
use trust::Owner;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 200;

/// Why the file tells nothing.
#[derive(Debug)]
pub enum Unreadable {
    /// It cannot be read, or others could have written it.
    File(trust::Refusal),
    /// A line is not understood; its number, from 1.
    Line(PathBuf, usize),
}

impl Unreadable {
    /// The same for a decision.
    pub fn fault(&self) -> Fault {
        match self {
            Self::File(_) => Fault::Untrusted,
            Self::Line(..) => Fault::Corrupt,
        }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::Line(path, line) => write!(
                f,
                "{}:{line}: not a revocation; write `name 2026-11-20T09:00:00Z who why`, or take the line out",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

/// Reads the file at `path`.
///
/// # Errors
/// Why it cannot be told who is revoked.
pub fn read(path: &Path) -> Result<Revoked, Unreadable> {
    parse(path, &text(path)?)
}

/// The file's text, for whoever changes it; empty where there is none.
///
/// # Errors
/// Why it is not to be believed.
pub fn text(path: &Path) -> Result<Vec<u8>, Unreadable> {
    match trust::read(path, Owner::Root, LARGEST) {
        Err(refusal) if refusal.is_missing() => Ok(Vec::new()),
        outcome => outcome.map_err(Unreadable::File),
    }
}

/// Reads `text` as the content of `path`.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(path: &Path, text: &[u8]) -> Result<Revoked, Unreadable> {
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| is_entry(line))
        .map(|(number, line)| {
            let entry = std::str::from_utf8(line).ok().and_then(entry);
            entry.ok_or_else(|| Unreadable::Line(path.to_path_buf(), number.saturating_add(1)))
        })
        .collect()
}

/// Does a line say anything?
fn is_entry(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    !line.is_empty() && !line.starts_with(b"#")
}

fn entry(line: &str) -> Option<(Principal, Revocation)> {
    let (name, rest) = line.split_once(' ')?;
    let (since, rest) = rest.split_once(' ')?;
    let (by, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let revocation =
        Revocation { since: Timestamp::parse(since)?, by: by.to_string(), reason: reason.trim().to_string() };
    let fits = !by.is_empty() && by.bytes().all(|byte| byte.is_ascii_graphic()) && is_reason(reason);
    fits.then_some((Principal::new(name).ok()?, revocation))
}

/// Can `text` stand as a reason: one line, of a length that a log can hold?
pub fn is_reason(text: &str) -> bool {
    text.len() <= LONGEST_REASON && !text.chars().any(char::is_control)
}

/// `text` without the lines about `person`, and with `revocation` as their line if there is one. Whatever else
/// stands in it stays as it is.
pub fn with(text: &[u8], person: &Principal, revocation: Option<&Revocation>) -> Vec<u8> {
    let theirs = |line: &[u8]| {
        is_entry(line) && line.split(|&byte| byte == b' ').next() == Some(person.as_str().as_bytes())
    };
    let mut changed: Vec<u8> = Vec::new();
    for line in text.split_inclusive(|&byte| byte == b'\n').filter(|line| !theirs(line)) {
        changed.extend_from_slice(line);
    }
    if let Some(Revocation { since, by, reason }) = revocation {
        if !changed.is_empty() && !changed.ends_with(b"\n") {
            changed.push(b'\n');
        }
        changed.extend_from_slice(format!("{person} {since} {by} {reason}").trim_end().as_bytes());
        changed.push(b'\n');
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str =
        "# kept\n\nalice 2026-11-20T09:00:00Z root laptop stolen\nbob 2026-11-20T10:00:00Z eve\n";

    fn name(text: &str) -> Principal {
        Principal::new(text).unwrap()
    }

    fn lines(text: &[u8]) -> Result<Vec<String>, String> {
        let revoked = parse(Path::new("/r"), text).map_err(|error| error.to_string())?;
        let told = |(name, revocation): (&Principal, &Revocation)| {
            format!("{name}|{}|{}|{}", revocation.since, revocation.by, revocation.reason)
        };
        Ok(revoked.iter().map(told).collect())
    }

    #[test]
    fn a_line_is_a_name_an_instant_a_name_and_a_reason() {
        let expected = ["alice|2026-11-20T09:00:00Z|root|laptop stolen", "bob|2026-11-20T10:00:00Z|eve|"];
        assert_eq!(lines(LINES.as_bytes()).unwrap(), expected);
        assert_eq!(lines(b"").unwrap(), [""; 0]);
        assert_eq!(lines(b"alice 2026-11-20T09:00:00Z root").unwrap().len(), 1, "no line break at the end");
    }

    #[test]
    fn a_line_that_is_not_understood_spoils_the_file() {
        for wrong in [
            "alice",
            "alice 2026-11-20T09:00:00Z",
            "alice yesterday root",
            "Alice 2026-11-20T09:00:00Z root",
            "alice  2026-11-20T09:00:00Z root",
            " alice 2026-11-20T09:00:00Z root",
            "alice 2026-11-20T09:00:00Z  why",
            "alice 2026-11-20T09:00:00Z root why\tnot",
            "alice 2026-11-20T09:00:00Z root why\r",
            &format!("alice 2026-11-20T09:00:00Z root {}", "x".repeat(201)),
            "\u{0}",
        ] {
            let text = format!("# one\n{wrong}\n{LINES}");
            assert!(lines(text.as_bytes()).unwrap_err().starts_with("/r:2: not a revocation"), "{wrong:?}");
        }
        assert!(lines(b"alice 2026-11-20T09:00:00Z root \xff").is_err());
    }

    #[test]
    fn one_persons_lines_change_and_all_others_stay() {
        let since = Timestamp::parse("2026-11-21T00:00:00Z").unwrap();
        let again = Revocation { since, by: "root".to_string(), reason: String::new() };
        let changed = with(LINES.as_bytes(), &name("alice"), Some(&again));
        let bob = "bob 2026-11-20T10:00:00Z eve\n";
        let expected = format!("# kept\n\n{bob}alice 2026-11-21T00:00:00Z root\n");
        assert_eq!(String::from_utf8(changed).unwrap(), expected);
        let without = with(LINES.as_bytes(), &name("alice"), None);
        assert_eq!(String::from_utf8(without).unwrap(), format!("# kept\n\n{bob}"));
        assert_eq!(with(LINES.as_bytes(), &name("ali"), None), LINES.as_bytes());
        assert_eq!(with(b"# x", &name("ali"), Some(&again)), b"# x\nali 2026-11-21T00:00:00Z root\n");
    }

    #[test]
    fn no_file_revokes_nobody_and_one_that_others_could_have_written_tells_nothing() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("revoked");
        assert_eq!(read(&path).unwrap(), Revoked::nobody());
        std::fs::write(&path, LINES).unwrap();
        assert!(read(&path).unwrap().names(&name("alice")));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&path, mode).unwrap();
        assert_eq!(read(&path).unwrap_err().fault(), Fault::Untrusted);
    }
}
