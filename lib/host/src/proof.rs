//! When each way in that needs no network was last proven: kept for people, who ask before they count on it. Nothing goes by it.
//!
//! `enforce` and `doctor` try those ways by real transactions ([`crate::probe`]), and write a line for each that let somebody
//! in: when, a blank, and what was shown. What was tried and let nobody in keeps the line that it has. Root's file outlasts
//! the boot; the other is a copy of it, which everybody may read.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use policy::{OneLine, Rules, Span, Timestamp, Uptime};
use trust::Owner;

use crate::probe::{Tried, ways};

/// Where it is kept, for root.
const LASTING: &str = "/var/log/authkeys/way-in";

/// Where everybody reads it, until the boot ends.
const SHOWN: &str = "/run/authkeys/way-in";

/// The largest that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Each way in that was tried and has let somebody in: what was shown, and when that was last so, by the clock that can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proofs(BTreeMap<String, Timestamp>);

impl Proofs {
    /// Those of the ways that `rules` has. Where there are none, what is there is not root's, or it is not understood, nothing
    /// was ever proven.
    pub fn read(rules: &Rules) -> Self {
        Self::at(Path::new(LASTING), Path::new(SHOWN)).of(rules)
    }

    /// As root's file has them; for others, who may not look there, as the copy does.
    fn at(lasting: &Path, shown: &Path) -> Self {
        let text = match trust::read_kept(lasting, LARGEST) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                trust::read(shown, Owner::Root, LARGEST).ok()
            }
            text => text.ok(),
        };
        text.and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let lines = std::str::from_utf8(text).ok()?.strip_suffix('\n')?.split('\n');
        let proof = |line: &str| {
            let (at, shown) = line.split_once(' ')?;
            Some((shown.to_string(), Timestamp::parse(at)?))
        };
        lines.map(proof).collect::<Option<_>>().map(Self)
    }

    /// Without those of consoles and accounts that the configuration has no more.
    fn of(mut self, rules: &Rules) -> Self {
        let ways = ways(rules);
        self.0.retain(|shown, _| ways.iter().any(|way| line(way) == *shown));
        self
    }

    /// These, and what `tried` shows at `at`.
    fn with<'t>(mut self, tried: impl IntoIterator<Item = &'t Tried>, at: Timestamp) -> Self {
        let shown = tried.into_iter().filter(|one| one.outcome.is_ok());
        self.0.extend(shown.map(|one| (line(&one.way), at)));
        self
    }

    /// Keeps what `tried` shows at `at` beside what is known of the other ways of `rules`. For root; where it cannot be
    /// written, people read what was known before.
    pub fn keep<'t>(rules: &Rules, tried: impl IntoIterator<Item = &'t Tried>, at: Timestamp) {
        let proofs = Self::read(rules).with(tried, at);
        for (path, mode) in [(LASTING, 0o600), (SHOWN, 0o644)] {
            let _ = proofs.write(Path::new(path), mode);
        }
    }

    fn write(&self, path: &Path, mode: u32) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let lines: String = self.0.iter().map(|(shown, at)| format!("{at} {shown}\n")).collect();
        let new = path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        // Whatever root's umask is.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(lines.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// When this way was last proven, in words for `now`.
    pub fn last(&self, way: &str, now: Timestamp) -> String {
        self.0.get(&line(way)).map_or_else(
            || "never proven before".to_string(),
            |at| format!("last proven {} ago", now.since(*at).max(Span::seconds(0))),
        )
    }

    /// The instants at which something was last proven, the latest first, each with what was.
    pub fn by_instant(&self) -> Vec<(Timestamp, String)> {
        let mut instants: BTreeMap<Timestamp, Vec<&str>> = BTreeMap::new();
        for (shown, at) in &self.0 {
            instants.entry(*at).or_default().push(shown);
        }
        instants.into_iter().rev().map(|(at, shown)| (at, shown.join("; "))).collect()
    }

    /// What people read at `now`, so long after the boot; where there is none, what to do.
    pub fn line(&self, now: Timestamp, uptime: &Uptime) -> String {
        let uptime = Span::seconds(i64::try_from(uptime.since_boot().as_secs()).unwrap_or(i64::MAX));
        let told = |(at, shown): &(Timestamp, String)| {
            let ago = now.since(*at).max(Span::seconds(0));
            let boot = if ago > uptime { ", before this host booted" } else { "" };
            format!("proven {ago} ago{boot}: {shown}")
        };
        let told: Vec<String> = self.by_instant().iter().map(told).collect();
        if told.is_empty() {
            return "none was ever proven, or that is root's to read; as root, oncall-cache doctor tries them".to_string();
        }
        told.join("; and ")
    }
}

/// As it stands in a line.
fn line(shown: &str) -> String {
    OneLine::new(shown).to_string()
}

#[cfg(test)]
mod tests {
    use policy::Account;

    use super::*;

    const AT: Timestamp = Timestamp::from_unix(1_795_165_200);

    const CONSOLE: &str = "login: root gets in on tty1";

    fn tried(way: &str, outcome: Result<(), &str>) -> Tried {
        Tried { service: "login", way: way.to_string(), outcome: outcome.map_err(String::from) }
    }

    fn enters(name: &str) -> String {
        format!("{name}, exempt, gets in")
    }

    fn rules(accounts: &[&str]) -> Rules {
        let exempt_accounts = accounts.iter().map(|name| Account::new(name).unwrap()).collect();
        Rules { exempt_accounts, ..Rules::compiled() }
    }

    #[test]
    fn each_way_in_keeps_the_time_at_which_it_last_let_somebody_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/way-in");
        let account = enters("break");
        let first = Proofs::default().with(&[tried(CONSOLE, Ok(())), tried(&account, Ok(()))], AT);
        let later = AT.plus(Span::hours(48));
        let second = first.clone().with(&[tried(CONSOLE, Ok(())), tried(&account, Err("no"))], later);
        second.write(&path, 0o644).unwrap();
        assert_eq!(Proofs::parse(&fs::read(&path).unwrap()), Some(second.clone()));
        let uptime = Uptime::parse("0f0e0d0c-0b0a-4908-8706-050403020100:10800.00").unwrap();
        let line = |proofs: &Proofs, hours| proofs.line(later.plus(Span::hours(hours)), &uptime);
        assert_eq!(line(&first, -48), format!("proven 0s ago: {account}; {CONSOLE}"));
        let told =
            format!("proven 2h ago: {CONSOLE}; and proven 2d 2h ago, before this host booted: {account}");
        assert_eq!(line(&second, 2), told);
        // By a clock that was set back.
        assert!(line(&second, -1).starts_with("proven 0s ago: "), "{}", line(&second, -1));
        assert_eq!(second.last(&account, later), "last proven 2d ago");
        assert_eq!(Proofs::default().last(&account, later), "never proven before");
        assert!(line(&Proofs::default(), 0).contains("oncall-cache doctor"));
        assert_eq!(second.by_instant(), [(later, CONSOLE.to_string()), (AT, account)]);
    }

    #[test]
    fn what_is_no_way_in_any_more_was_not_proven() {
        let shown = ["break", "other"].map(|name| tried(&enters(name), Ok(())));
        let proofs = Proofs::default().with(&shown, AT);
        let console = Proofs::default().with(&[tried(CONSOLE, Ok(()))], AT);
        assert_eq!(console.clone().of(&rules(&[])), console);
        assert_eq!(proofs.clone().of(&rules(&["break", "other"])), proofs);
        assert_eq!(proofs.clone().of(&rules(&["break"])), Proofs::default().with(&shown[..1], AT));
        assert_eq!(proofs.of(&rules(&[])), Proofs::default());
    }

    #[test]
    fn a_file_that_is_damaged_or_not_roots_proves_nothing() {
        let whole = b"2026-11-20T09:00:00Z x\n2026-11-20T10:00:00Z y\n";
        assert_eq!(Proofs::parse(whole).map(|proofs| proofs.0.len()), Some(2));
        for wrong in [
            &b""[..],
            b"\n",
            b"yesterday x\n",
            b"2026-11-20T09:00:00Z\n",
            b"2026-11-20T09:00:00Z x",
            b"2026-11-20T09:00:00Z x\n\n",
            b"2026-11-20T09:00:00Z x\nyesterday y\n",
            b"\xff x\n",
        ] {
            assert_eq!(Proofs::parse(wrong), None, "{wrong:?}");
        }
        let directory = tempfile::tempdir().unwrap();
        let [lasting, shown] = ["lasting", "shown"].map(|name| directory.path().join(name));
        let at = || Proofs::at(&lasting, &shown);
        // There is none; and a copy is nothing to those who may read root's.
        fs::write(&shown, whole).unwrap();
        assert_eq!(at(), Proofs::default());
        // One that anybody could have written.
        fs::write(&lasting, whole).unwrap();
        fs::set_permissions(&lasting, Permissions::from_mode(0o666)).unwrap();
        assert_eq!(at(), Proofs::default());
        fs::write(&lasting, "nonsense\n").unwrap();
        assert_eq!(at(), Proofs::default());
    }
}
