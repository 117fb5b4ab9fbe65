//! Later readings of a roster that stayed the same: kept beside it, so that it need not be written again for them.
//!
//! On a host of a fleet the collector reads the rota every half minute and mostly finds what it was. The file says which
//! instant the schedules of which sources now have in place of the one in the roster, and of which roster that is said. A
//! reader of an earlier release does not know it and sees the earlier instant: the shifts count for less long, never for
//! longer.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use policy::{Roster, Timestamp};
use publish::PublishError;
use trust::{Directory, Owner};

/// How the line begins that is written.
const FORM: &str = "reread 1";

/// The longest line, in bytes.
const LONGEST: usize = 1024;

/// A later reading of what a roster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reread {
    /// The date of that roster: nothing is said of another one.
    pub roster: Timestamp,
    /// The instant that its schedules have.
    pub read: Timestamp,
    /// The instant at which they were last read, and were the same.
    pub again: Timestamp,
    /// The sources whose schedules these are.
    pub sources: BTreeSet<String>,
}

impl Reread {
    /// Where it is kept of the roster at `path`.
    fn beside(path: &Path) -> PathBuf {
        path.with_extension("reread")
    }

    /// What is said of the roster at `path`. What others could have written or is not understood is as none.
    pub(super) fn read(directory: &Directory, path: &Path) -> Option<Self> {
        let text = directory.read(&Self::beside(path), Owner::Service, LONGEST as u64).ok()?;
        Self::parse(std::str::from_utf8(&text).ok()?)
    }

    /// The same beside a copy of a roster, whoever could have written that.
    pub(super) fn unjudged(path: &Path) -> Option<Self> {
        let text = fs::read(Self::beside(path)).ok().filter(|text| text.len() <= LONGEST)?;
        Self::parse(std::str::from_utf8(&text).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').filter(|line| !line.contains('\n'))?;
        let mut words = line.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let mut instant = || words.next().and_then(Timestamp::parse);
        let (roster, read, again) = (instant()?, instant()?, instant()?);
        let sources: BTreeSet<String> = words.map(str::to_string).collect();
        (read <= again && !sources.is_empty()).then_some(Self { roster, read, again, sources })
    }

    /// Keeps it beside the roster at `path`; who may read that may read this.
    ///
    /// # Errors
    /// It could not be written, or is longer than what is read.
    pub fn write(&self, path: &Path) -> Result<(), PublishError> {
        let (file, text) = (Self::beside(path), self.to_string());
        if text.len() > LONGEST {
            return Err(PublishError::write(&file, "too many sources"));
        }
        publish::replace(&file, 0o644, |temporary| fs::write(temporary, &text))
    }

    /// Gives those schedules of `roster` the later instant, and as much more time ahead.
    pub(super) fn apply(&self, roster: &mut Roster) {
        if self.roster != roster.published {
            return;
        }
        let later = self.again.since(self.read);
        for schedule in &mut roster.schedules {
            if schedule.synced == self.read && self.sources.contains(&schedule.reference.source) {
                schedule.synced = self.again;
                schedule.horizon = schedule.horizon.plus(later);
            }
        }
    }
}

impl fmt::Display for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {} {} {}", self.roster, self.read, self.again)?;
        self.sources.iter().try_for_each(|source| write!(f, " {source}"))?;
        f.write_str("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Schedule, ScheduleRef, Shifts};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn roster() -> Roster {
        let schedule = |source: &str, synced| Schedule {
            reference: ScheduleRef { source: source.into(), id: "P1".into() },
            provider_id: "P1".into(),
            name: "db".into(),
            synced: at(synced),
            horizon: at(synced + 1000),
        };
        Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published: at(5),
            floor: at(5),
            schedules: vec![schedule("pd", 0), schedule("pd2", -60), schedule("rota", 0)],
            shifts: Shifts::default(),
            eligible: Default::default(),
        }
    }

    fn reread() -> Reread {
        Reread { roster: at(5), read: at(0), again: at(30), sources: ["pd".into(), "pd2".into()].into() }
    }

    #[test]
    fn only_what_was_read_again_is_younger() {
        let known = |roster: &Roster| -> Vec<(i64, i64)> {
            let seconds = |instant: Timestamp| instant.since(at(0)).as_seconds();
            roster.schedules.iter().map(|one| (seconds(one.synced), seconds(one.horizon))).collect()
        };
        let mut one = roster();
        reread().apply(&mut one);
        assert_eq!(known(&one), [(30, 1030), (-60, 940), (0, 1000)]);
        let mut other = Roster { published: at(6), ..roster() };
        reread().apply(&mut other);
        assert_eq!(known(&other), known(&roster()), "said of another roster");
    }

    #[test]
    fn what_is_not_as_it_is_written_says_nothing() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("roster.db");
        let read = || Reread::read(&Directory::of(&path).unwrap(), &path);
        assert_eq!(read(), None);
        reread().write(&path).unwrap();
        assert_eq!(read(), Some(reread()));
        let text = reread().to_string();
        let back = Reread { again: at(-1), ..reread() }.to_string();
        for wrong in [
            "",
            "\n",
            text.trim_end(),
            &text.replace("d 1 ", "d 2 "),
            &back,
            &format!("{text}x\n"),
            "reread 1 x y z pd\n",
        ] {
            fs::write(directory.path().join("roster.reread"), wrong).unwrap();
            assert_eq!(read(), None, "{wrong:?}");
        }
        let many = Reread { sources: (0..500).map(|n| format!("s{n}")).collect(), ..reread() };
        assert!(many.write(&path).is_err());
    }
}
