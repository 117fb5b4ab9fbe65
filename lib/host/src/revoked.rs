//! `/etc/authkeys/revoked`: who is blocked on this host, whatever all else says.
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
//! those who are blocked is no list.

use std::path::Path;

use policy::revocations::{self, Revocations, RevocationsError};
use policy::{Principal, Revocation, Revoked, Timestamp};
use trust::Owner;

use crate::Config;
use crate::orders::{self, OrderFile, OrdersError};

/// The file.
pub const FILE: OrderFile = OrderFile {
    name: "revoked",
    largest: 1024 * 1024,
    advice: "not a revocation; write `name 2026-11-20T09:00:00Z who why` with one blank between words, `# ...` for a comment, or delete the line",
};

/// Who is revoked on the host of `config`: by root, and by the fleet, where it belongs to one.
///
/// # Errors
/// Why it cannot be told.
pub fn all(config: &Config) -> Result<Revoked, OrdersError> {
    let here = read(&config.paths.revoked)?;
    let Some(fleet) = &config.fleet else { return Ok(here) };
    Ok(here.with_fleet(read_fleet(&fleet.revoked)?, fleet.revoked_age))
}

/// What is wrong with this host's copy of the fleet's list, and what to do.
const FLEET_ADVICE: &str =
    "not a list of the fleet's revocations; as root, run `oncall-cache pull`, which writes it anew";

/// Reads this host's copy of the fleet's list at `path`, which a pull writes; before the first one there is none, and
/// nobody is on it.
///
/// # Errors
/// It cannot be read, others than its service could have written it, or a line is not understood.
pub fn read_fleet(path: &Path) -> Result<Revocations, OrdersError> {
    let text = match trust::read(path, Owner::Service, revocations::LARGEST as u64) {
        Err(refusal) if refusal.is_missing() => return Ok(Revocations::none()),
        outcome => outcome.map_err(OrdersError::File)?,
    };
    let list = std::str::from_utf8(&text).map_err(|_| RevocationsError::Form).and_then(Revocations::parse);
    list.map_err(|error| {
        let line = if let RevocationsError::Line(line) = error { line } else { 1 };
        OrdersError::Line { path: path.to_path_buf(), line, advice: FLEET_ADVICE }
    })
}

/// Reads the file at `path`.
///
/// # Errors
/// Why it cannot be told who is revoked.
pub fn read(path: &Path) -> Result<Revoked, OrdersError> {
    parse(path, &FILE.text(path)?)
}

/// Reads `text` as the content of `path`.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(path: &Path, text: &[u8]) -> Result<Revoked, OrdersError> {
    let mut revoked = Vec::new();
    FILE.parse(path, text, |line| {
        revoked.push(revocation(line)?);
        Some(())
    })?;
    Ok(revoked.into_iter().collect())
}

fn revocation(line: &str) -> Option<(Principal, Revocation)> {
    let (name, rest) = line.split_once(' ')?;
    let (since, rest) = rest.split_once(' ')?;
    let (by, reason) = orders::said(rest)?;
    Some((Principal::new(name).ok()?, Revocation::by_root(Timestamp::parse(since)?, by, reason)))
}

/// `text` without the lines about `person`, and with `revocation` as their line if there is one.
pub fn with(text: &[u8], person: &Principal, revocation: Option<&Revocation>) -> Vec<u8> {
    let line = |Revocation { since, by, reason, .. }: &Revocation| format!("{person} {since} {by} {reason}");
    orders::with(text, person.as_str(), revocation.map(line).as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Fault;

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
        let again = Revocation::by_root(since, "root".to_string(), String::new());
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
        assert!(read(&path).unwrap().names(&name("alice"), Timestamp::MIN));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&path, mode).unwrap();
        assert_eq!(read(&path).unwrap_err().fault(), Fault::Untrusted);
    }

    #[test]
    fn the_fleets_list_counts_beside_roots_where_there_is_a_fleet() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let at = |name: &str| directory.path().join(name);
        let config = |text: &str| {
            let text = format!("{text}[paths]\nroster = 'state/roster.db'\n");
            Config::parse(&at("config.toml"), text.as_bytes()).unwrap()
        };
        let (plain, member) =
            (config(""), config("[fleet]\nid = 'x'\nurls = ['https://h']\nrevoked_age = '2m'\n"));
        let now = Timestamp::parse("2026-11-20T09:00:00Z").unwrap();
        std::fs::write(at("revoked"), LINES).unwrap();
        std::fs::create_dir(at("state")).unwrap();
        let before = all(&member).unwrap();
        assert!(before.names(&name("alice"), now) && before.is_stale(now), "nothing was pulled yet");

        let list =
            "revocations 1 2026-11-20T08:59:00Z\nperson dave 1 revoked 2026-11-20T08:00:00Z - eve left\n";
        std::fs::write(at("state/revoked"), list).unwrap();
        let both = all(&member).unwrap();
        assert!(both.names(&name("alice"), now) && both.names(&name("dave"), now) && !both.is_stale(now));
        assert!(!all(&plain).unwrap().names(&name("dave"), now));

        std::fs::write(at("state/revoked"), list.replace("person", "people")).unwrap();
        let problem = all(&member).unwrap_err();
        assert_eq!(problem.fault(), Fault::Corrupt);
        assert!(
            problem.to_string().contains("state/revoked:2: not a list of the fleet's revocations"),
            "{problem}"
        );
        assert!(all(&plain).is_ok(), "without a fleet it is not looked at");
        std::fs::write(at("state/revoked"), b"\xff").unwrap();
        assert!(all(&member).unwrap_err().to_string().contains("state/revoked:1: "));
    }
}
