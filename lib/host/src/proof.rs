//! When a way in that needs no network was last proven: kept for people, who ask before they count on it. Nothing goes by it.
//!
//! `enforce` and `doctor` try those ways by real transactions ([`crate::probe`]), and write one line: when, a blank, and what
//! was shown. It ends with the boot, after which the stacks may be others.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use policy::{OneLine, Span, Timestamp};
use trust::Owner;

use crate::probe::Tried;

/// Where it is kept.
const FILE: &str = "/run/authkeys/way-in";

/// The largest that is read, in bytes.
const LARGEST: u64 = 4096;

/// Some way in was tried and let somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// When, by the clock that can be set.
    pub at: Timestamp,
    /// What was shown: a sentence for each way, with `; ` between them.
    pub told: String,
}

impl Proof {
    /// The last one of this boot; `None`: there was none, or what is there is not root's.
    pub fn read() -> Option<Self> {
        let text = trust::read(Path::new(FILE), Owner::Root, LARGEST).ok()?;
        Self::parse(&text)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (at, told) = std::str::from_utf8(text).ok()?.strip_suffix('\n')?.split_once(' ')?;
        Some(Self { at: Timestamp::parse(at)?, told: told.to_string() })
    }

    /// What of this was shown at `at`; `None`: nobody was let in.
    fn of<'t>(tried: impl IntoIterator<Item = &'t Tried>, at: Timestamp) -> Option<Self> {
        let shown: Vec<&str> =
            tried.into_iter().filter_map(|one| one.outcome.as_ref().ok().map(String::as_str)).collect();
        (!shown.is_empty()).then(|| Self { at, told: shown.join("; ") })
    }

    /// Keeps what of this was shown at `at` in place of the one before, if anything was. For root; where it cannot be
    /// written, people read the one before, or that there is none.
    pub fn keep<'t>(tried: impl IntoIterator<Item = &'t Tried>, at: Timestamp) {
        if let Some(proof) = Self::of(tried, at) {
            let _ = proof.write(Path::new(FILE));
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let new = path.with_extension("new");
        fs::write(&new, format!("{} {}\n", self.at, OneLine::new(&self.told)))?;
        // For everybody to read, whatever root's umask is.
        fs::set_permissions(&new, Permissions::from_mode(0o644))?;
        fs::rename(&new, path)
    }

    /// What people read at `now`; of a host where there is none, what to do.
    pub fn line(proof: Option<&Self>, now: Timestamp) -> String {
        match proof {
            Some(Self { at, told }) => format!("proven {} ago: {told}", now.since(*at).max(Span::seconds(0))),
            None => {
                "none was proven since this host booted; as root, oncall-cache doctor tries them".to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn tried(outcome: Result<&str, &str>) -> Tried {
        Tried { service: "login", outcome: outcome.map(String::from).map_err(String::from) }
    }

    #[test]
    fn what_let_somebody_in_is_kept_and_what_did_not_is_no_proof() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/way-in");
        assert_eq!(Proof::of(&[tried(Err("login refuses root"))], AT), None);
        let both = [tried(Ok("login: root gets in on tty1")), tried(Err("no")), tried(Ok("x\ny gets in"))];
        Proof::of(&both, AT).unwrap().write(&path).unwrap();
        let read = || Proof::parse(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((read().at, read().told.lines().count()), (AT, 1));
        assert!(read().told.starts_with("login: root gets in on tty1; x"), "{}", read().told);
        let told = |seconds| Proof::line(Some(&read()), AT.plus(Span::seconds(seconds)));
        assert!(told(7200).starts_with("proven 2h ago: login: root gets in on tty1; x"), "{}", told(7200));
        // A clock that was set back.
        assert!(told(-60).starts_with("proven 0s ago: "), "{}", told(-60));
        assert!(Proof::line(None, AT).contains("oncall-cache doctor"));
        for wrong in [
            &b""[..],
            b"\n",
            b"yesterday x\n",
            b"2026-11-20T09:00:00Z\n",
            b"2026-11-20T09:00:00Z x",
            b"\xff x\n",
        ] {
            assert_eq!(Proof::parse(wrong), None, "{wrong:?}");
        }
    }
}
