//! lookups.db: what `authkeys` was told about the people whom it asked for, one by one.
//!
//! Unlike the published copies it is written in the login path, by the uid that reads it, in a directory of
//! its own; NSS, PAM and the syncs never look at it. It is a memory and no source: one that is damaged is
//! thrown away, and one that cannot be written costs a question and never an answer.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy::{Principal, Proven, Rules, Span, Timestamp, Uptime};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use trust::Owner;

use crate::keys::unless_weak;
use crate::publish::replace;
use crate::schema::{Form, Schema};
use crate::{PublicKey, StoreError};

const SCHEMA: Schema = Schema {
    application: 0x414b_6c6b, // "AKlk"
    written: Form {
        version: 1,
        statements: &[
            "CREATE TABLE answer (scope TEXT NOT NULL, principal TEXT NOT NULL, asked INTEGER NOT NULL, kind TEXT NOT NULL, keys TEXT NOT NULL, PRIMARY KEY (scope, principal)) WITHOUT ROWID",
        ],
    },
    // A memory is no copy: one of another form is begun anew.
    also: None,
};

/// How long another run of the same program may keep us from reading or writing.
const BUSY: Duration = Duration::from_millis(200);

/// What is known about a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// These are their keys.
    Keys(Vec<PublicKey>),
    /// The account is disabled: no keys, whatever the directory holds.
    Disabled,
    /// The directory has no such person.
    Absent,
}

impl Known {
    fn kind(&self) -> &'static str {
        match self {
            Self::Keys(_) => "keys",
            Self::Disabled => "disabled",
            Self::Absent => "absent",
        }
    }
}

/// What the directory said about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// This is known of the person.
    Answer(Known),
    /// This is known of the person until this instant: the account expires or begins then.
    Passing(Known, Timestamp),
    /// Nothing that can be used, for certain: no older answer covers that.
    Unusable(Unusable),
}

impl Heard {
    /// What is known, until the instant `changes` if there is one.
    pub fn new(known: Known, changes: Option<Timestamp>) -> Self {
        match changes {
            Some(instant) => Self::Passing(known, instant),
            None => Self::Answer(known),
        }
    }

    /// What it comes to at `now`: who had keys has expired, and who had none is to be asked about again.
    pub fn at(self, now: Timestamp) -> Option<Self> {
        match self {
            Self::Passing(Known::Keys(_), end) if end <= now => Some(Self::Answer(Known::Disabled)),
            Self::Passing(_, end) if end <= now => None,
            Self::Passing(known, _) => Some(Self::Answer(known)),
            other => Some(other),
        }
    }
}

/// Between the kind of an answer and the instant until which it holds.
const UNTIL: &str = " until ";

/// Between these and when it was asked for by the clock that nobody can set; an earlier release left that out.
const AT: &str = " at ";

/// When a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// By the clock of then.
    pub at: Timestamp,
    /// By the clock that nobody can set, if that was kept.
    pub uptime: Option<Uptime>,
}

impl Asked {
    /// How long ago that was at `now` and `uptime`; `None` if the clock is behind, and tells no age. By what is
    /// `proven` of the time it shows which of two clocks was wrong where they do not agree: the one of then, or this one.
    pub fn age(&self, now: Timestamp, uptime: &Uptime, proven: Option<&Proven>) -> Option<Span> {
        if proven.is_some_and(|proven| now.plus(Rules::SKEW) < proven.floor(uptime)) {
            return None;
        }
        let elapsed = self.uptime.and_then(|asked| uptime.after(&asked));
        let elapsed =
            elapsed.map(|elapsed| Span::seconds(i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)));
        match (elapsed, self.at <= now.plus(Rules::SKEW)) {
            (Some(elapsed), true) => Some(elapsed.max(now.since(self.at))),
            (None, true) => Some(now.since(self.at)),
            (elapsed, false) => elapsed.filter(|_| proven.is_some()),
        }
    }
}

/// Why an answer names nobody's keys although the directory gave it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// It contradicts itself about the name.
    Ambiguous,
    /// It has more keys than an answer holds.
    TooManyKeys,
    /// A later release kept it, in words that this one does not know.
    OfLaterRelease,
}

impl Unusable {
    const ALL: [Self; 2] = [Self::Ambiguous, Self::TooManyKeys];

    /// The token for the log.
    pub fn token(self) -> &'static str {
        match self {
            Self::Ambiguous => "ldap-ambiguous",
            Self::TooManyKeys => "too-many-keys",
            Self::OfLaterRelease => "memory-of-later-release",
        }
    }

    /// The reverse of [`Unusable::token`].
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unusable| unusable.token() == token)
    }
}

/// The memory, open.
#[derive(Debug)]
pub struct Lookups {
    path: PathBuf,
    scope: String,
    connection: Connection,
}

impl Lookups {
    /// Opens the memory at `path`; what it holds of other directories than `scope` is not seen.
    pub fn open(path: &Path, scope: &str) -> Result<Self, StoreError> {
        let connection = SCHEMA.open_own(path, BUSY)?;
        Ok(Self { path: path.to_path_buf(), scope: scope.to_string(), connection })
    }

    /// As [`Lookups::open`], for somebody who is not its owner: nothing of it can be changed.
    pub fn look(path: &Path, scope: &str) -> Result<Self, StoreError> {
        let connection = SCHEMA.open(path)?;
        Ok(Self { path: path.to_path_buf(), scope: scope.to_string(), connection })
    }

    /// As [`Lookups::open`]; makes one where there is none that can be used. The caller holds a lock against
    /// others who do the same.
    pub fn open_or_make(path: &Path, scope: &str) -> Result<Self, StoreError> {
        match Self::open(path, scope) {
            Err(StoreError::Missing(_) | StoreError::Corrupt(..) | StoreError::Version(..)) => {
                Self::make(path)?;
                Self::open(path, scope)
            }
            opened => opened,
        }
    }

    fn make(path: &Path) -> Result<(), StoreError> {
        // A journal that was left behind belongs to no file any more.
        Self::remove(path)?;
        replace(path, 0o600, |temporary| {
            SCHEMA
                .create(temporary)
                .and_then(|connection| connection.close().map_err(|(_, error)| error))
                .map_err(|error| error.to_string())
        })
    }

    fn remove(path: &Path) -> Result<(), StoreError> {
        let mut journal = path.as_os_str().to_owned();
        journal.push("-journal");
        for file in [Path::new(&journal), path] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::write(file, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was answered about `principal`, and when it was asked.
    pub fn recall(&self, principal: &Principal) -> Result<Option<(Heard, Asked)>, StoreError> {
        let row = self
            .connection
            .query_row(
                "SELECT asked, kind, keys FROM answer WHERE scope = ?1 AND principal = ?2",
                params![self.scope, principal.as_str()],
                |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
            )
            .optional()
            .map_err(|error| self.failed(error))?;
        let Some((asked, kind, keys)) = row else { return Ok(None) };
        let (kind, uptime) = match kind.split_once(AT) {
            Some((kind, uptime)) => {
                (kind, Some(Uptime::parse(uptime).ok_or_else(|| self.corrupt("no time since a boot"))?))
            }
            None => (kind.as_str(), None),
        };
        let (kind, changes) = match kind.split_once(UNTIL) {
            Some((kind, instant)) => {
                let instant = instant.parse().map_err(|error| self.corrupt(error))?;
                (kind, Some(Timestamp::from_unix(instant)))
            }
            None => (kind, None),
        };
        let heard = match (kind, keys.as_str()) {
            ("keys", lines) => {
                let keys = lines.lines().filter_map(|line| unless_weak(line).transpose());
                let keys = keys.collect::<Result<_, _>>().map_err(|problem| self.corrupt(problem))?;
                Heard::new(Known::Keys(keys), changes)
            }
            ("disabled", "") => Heard::new(Known::Disabled, changes),
            ("absent", "") => Heard::Answer(Known::Absent),
            ("disabled" | "absent", _) => return Err(self.corrupt("an answer without keys that has some")),
            (token, keys) => match Unusable::from_token(token) {
                Some(unusable) if keys.is_empty() => Heard::Unusable(unusable),
                // It may say that the person has no account any more, which the copy may be older than. Nor is the rest
                // of the memory worth less for it.
                None if is_token(token) => Heard::Unusable(Unusable::OfLaterRelease),
                _ => return Err(self.corrupt("an answer of an unknown kind")),
            },
        };
        Ok(Some((heard, Asked { at: Timestamp::from_unix(asked), uptime })))
    }

    /// Keeps `heard` as the answer to a question about `principal` that was asked at `asked`, and forgets what was asked
    /// before `forget`. What was asked later and answered sooner stays; further ahead than any question takes, it
    /// is of a clock that was wrong.
    pub fn remember(
        &mut self,
        principal: &Principal,
        heard: &Heard,
        asked: Asked,
        forget: Timestamp,
    ) -> Result<(), StoreError> {
        let (kind, changes) = match heard {
            Heard::Answer(known) => (known.kind(), None),
            Heard::Passing(known, instant) => (known.kind(), Some(*instant)),
            Heard::Unusable(unusable) => (unusable.token(), None),
        };
        let kind = changes.map_or(kind.to_string(), |instant| format!("{kind}{UNTIL}{}", instant.unix()));
        let kind = asked.uptime.map_or(kind.clone(), |uptime| format!("{kind}{AT}{uptime}"));
        let keys: String = match heard {
            Heard::Answer(Known::Keys(keys)) | Heard::Passing(Known::Keys(keys), _) => {
                keys.iter().map(|key| key.line() + "\n").collect()
            }
            _ => String::new(),
        };
        let mut write = || {
            let transaction = self.connection.transaction()?;
            transaction.execute("DELETE FROM answer WHERE asked < ?1", [forget.unix()])?;
            transaction.execute(
                "INSERT INTO answer VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE
                 SET asked = excluded.asked, kind = excluded.kind, keys = excluded.keys
                 WHERE asked <= excluded.asked OR asked > ?6",
                params![
                    self.scope,
                    principal.as_str(),
                    asked.at.unix(),
                    kind,
                    keys,
                    asked.at.plus(Rules::SKEW).unix()
                ],
            )?;
            transaction.commit()
        };
        write().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: rusqlite::Error) -> StoreError {
        failed(&self.path, error)
    }

    fn corrupt(&self, what: impl std::fmt::Display) -> StoreError {
        StoreError::corrupt(&self.path, what)
    }

    /// Throws the memory away: for one that turned out to be damaged.
    pub fn discard(self) {
        let _ = Self::remove(&self.path);
    }
}

/// Could this be what a release calls a kind of answer?
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

/// Damaged is what SQLite calls so, and a value of the wrong type; everything else, a full disk or another
/// run's lock for example, may pass.
fn failed(path: &Path, error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => StoreError::corrupt(path, error),
        Some(_) => StoreError::write(path, error),
    }
}

impl Schema {
    /// Opens a database that this uid alone reads and writes; what an interrupted write left is undone.
    fn open_own(&self, path: &Path, busy: Duration) -> Result<Connection, StoreError> {
        trust::open(path, Owner::Service).map_err(StoreError::from_trust)?;
        let prepare = || {
            let connection = self.connect_own(path)?;
            connection.busy_timeout(busy)?;
            Ok(connection)
        };
        let connection = prepare().map_err(|error| failed(path, error))?;
        self.check(&connection, path, |error| failed(path, error))?;
        // sshd waits for the answer that is being kept. The journal undoes what a killed process left; what a host that
        // lost its power left is begun anew where it is damaged.
        connection.pragma_update(None, "synchronous", "OFF").map_err(|error| failed(path, error))?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);
    const DAY: Span = Span::hours(24);

    /// Asked at `at`, by the one clock or by both.
    fn asked(at: Timestamp, uptime: &str) -> Asked {
        Asked { at, uptime: Uptime::parse(uptime) }
    }

    fn name(name: &str) -> Principal {
        Principal::new(name).unwrap()
    }

    fn keys() -> Heard {
        Heard::Answer(Known::Keys(vec![PublicKey::parse(KEY.as_bytes()).unwrap()]))
    }

    fn keys_until(instant: Timestamp) -> Heard {
        let Heard::Answer(known) = keys() else { panic!() };
        Heard::Passing(known, instant)
    }

    #[test]
    fn a15_an_answer_holds_until_the_account_expires_or_begins() {
        let (before, later) = (NOW.minus(Span::seconds(1)), NOW.plus(Span::seconds(1)));
        assert_eq!(keys_until(NOW).at(before), Some(keys()));
        for over in [NOW, later] {
            assert_eq!(keys_until(NOW).at(over), Some(Heard::Answer(Known::Disabled)));
            assert_eq!(Heard::Passing(Known::Disabled, NOW).at(over), None);
            assert_eq!(ABSENT.at(over), Some(ABSENT));
        }
        assert_eq!(Heard::Passing(Known::Disabled, NOW).at(before), Some(Heard::Answer(Known::Disabled)));
    }

    const ABSENT: Heard = Heard::Answer(Known::Absent);

    #[test]
    fn answers_of_every_kind_are_remembered_with_their_instant() {
        let directory = crate::scratch();
        let path = directory.path().join("lookups.db");
        let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
        for (person, heard) in [
            ("alice", keys()),
            ("bob", Heard::Answer(Known::Disabled)),
            ("zoe", ABSENT),
            ("eve", Heard::Unusable(Unusable::Ambiguous)),
            ("many", Heard::Unusable(Unusable::TooManyKeys)),
            ("old", keys_until(NOW)),
            ("young", Heard::Passing(Known::Disabled, NOW)),
        ] {
            for asked in [asked(NOW, ""), asked(NOW, "b0:51000.25")] {
                lookups.remember(&name(person), &heard, asked, NOW.minus(DAY)).unwrap();
                let again = Lookups::open_or_make(&path, "test").unwrap();
                assert_eq!(again.recall(&name(person)).unwrap(), Some((heard.clone(), asked)));
            }
        }
        assert_eq!(lookups.recall(&name("dave")).unwrap(), None);
        lookups.remember(&name("alice"), &ABSENT, asked(NOW, ""), NOW.minus(DAY)).unwrap();
        assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((ABSENT, asked(NOW, ""))));
    }

    #[test]
    fn what_was_asked_later_stays_whatever_is_answered_last() {
        let directory = crate::scratch();
        let mut lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
        let alice = name("alice");
        let mut after = |seconds: i64, heard: &Heard| {
            let asked = asked(NOW.plus(Span::seconds(seconds)), "");
            lookups.remember(&alice, heard, asked, NOW.minus(DAY)).unwrap();
            let (heard, asked) = lookups.recall(&alice).unwrap().unwrap();
            (heard, asked.at.since(NOW).as_seconds())
        };
        assert_eq!(after(5, &ABSENT), (ABSENT, 5));
        assert_eq!(after(3, &keys()), (ABSENT, 5), "an older word");
        assert_eq!(after(5, &keys()), (keys(), 5));
        assert_eq!(after(-200, &ABSENT), (ABSENT, -200), "the clock was ahead");
    }

    #[test]
    fn the_clock_that_nobody_sets_tells_the_age_where_the_other_one_was_set() {
        let at = |seconds| NOW.plus(Span::seconds(seconds));
        let proven = |seconds| Proven::seen(at(seconds), None, Uptime::parse("b0:1000").unwrap(), NOW);
        let age = |asked: Asked, now, uptime: &str, proven: Option<Proven>| {
            let age = asked.age(at(now), &Uptime::parse(uptime).unwrap(), proven.as_ref());
            age.map(Span::as_seconds)
        };
        let (kept, old) = (asked(NOW, "b0:1000"), asked(NOW, ""));
        for asked in [kept, old] {
            assert_eq!(age(asked, 50, "b0:1050", None), Some(50));
            assert_eq!(age(asked, -120, "b0:1000", None), Some(if asked == kept { 0 } else { -120 }));
            assert_eq!(age(asked, -121, "b0:1000", None), None, "one of the two, and nothing says which");
            assert_eq!(age(asked, 50, "b0:1171", Some(proven(0))), None, "set back");
            assert_eq!(age(asked, 9, "b1:9", Some(proven(130))), None, "set back before this boot");
        }
        assert_eq!(age(kept, 50, "b0:90000", None), Some(89_000), "set back, and old all the same");
        assert_eq!(age(kept, 90_000, "b0:1050", None), Some(90_000));
        assert_eq!(age(kept, -5000, "b0:1050", Some(proven(-5050))), Some(50), "it was ahead then");
        assert_eq!(age(old, -5000, "b0:1050", Some(proven(-5050))), None);
        assert_eq!(age(kept, -5000, "b1:1050", Some(proven(-5050))), None);
    }

    #[test]
    fn another_directory_sees_nothing_and_old_answers_are_forgotten() {
        let directory = crate::scratch();
        let path = directory.path().join("lookups.db");
        let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
        lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY)).unwrap();
        let mut other = Lookups::open_or_make(&path, "another").unwrap();
        assert_eq!(other.recall(&name("alice")).unwrap(), None);
        other.remember(&name("bob"), &keys(), asked(NOW.plus(DAY), ""), NOW.plus(Span::seconds(1))).unwrap();
        assert_eq!(lookups.recall(&name("alice")).unwrap(), None);
    }

    #[test]
    fn a_damaged_memory_is_made_anew() {
        let directory = crate::scratch();
        let path = directory.path().join("lookups.db");
        for damage in [&b""[..], b"not a database, and longer than sixteen bytes", &[0; 8192]] {
            let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
            lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY)).unwrap();
            fs::write(&path, damage).unwrap();
            let lookups = Lookups::open_or_make(&path, "test").unwrap();
            assert_eq!(lookups.recall(&name("alice")).unwrap(), None);
        }
        // A table more is somebody else's doing.
        Connection::open(&path).unwrap().execute("CREATE TABLE x (y)", []).unwrap();
        let mut lookups = Lookups::open_or_make(&path, "test").unwrap();
        lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY)).unwrap();
    }

    #[test]
    fn a_weak_key_that_an_earlier_release_remembered_is_none() {
        let directory = crate::scratch();
        let lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
        let weak = made_keys::small_order().into_iter().map(|weak| weak.line);
        let lines: Vec<String> = weak.chain([KEY.to_string()]).collect();
        let row = params![lines.join("\n")];
        let statement = "INSERT INTO answer VALUES ('test', 'alice', 0, 'keys', ?1)";
        lookups.connection.execute(statement, row).unwrap();
        assert_eq!(
            lookups.recall(&name("alice")).unwrap(),
            Some((keys(), asked(Timestamp::from_unix(0), "")))
        );
    }

    #[test]
    fn what_a_later_release_kept_closes_one_person_and_leaves_the_others() {
        let directory = crate::scratch();
        let mut lookups = Lookups::open_or_make(&directory.path().join("lookups.db"), "test").unwrap();
        lookups
            .remember(&name("bob"), &Heard::Answer(Known::Disabled), asked(NOW, ""), NOW.minus(DAY))
            .unwrap();
        for kind in ["of-next-year", "of-next-year until 1795165200"] {
            let statement = "INSERT OR REPLACE INTO answer VALUES ('test', 'alice', ?1, ?2, 'x')";
            lookups.connection.execute(statement, params![NOW.unix(), kind]).unwrap();
            let unusable = Heard::Unusable(Unusable::OfLaterRelease);
            assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((unusable, asked(NOW, ""))), "{kind}");
        }
        assert_eq!(
            lookups.recall(&name("bob")).unwrap(),
            Some((Heard::Answer(Known::Disabled), asked(NOW, "")))
        );
        lookups.remember(&name("alice"), &keys(), asked(NOW, ""), NOW.minus(DAY)).unwrap();
        assert_eq!(lookups.recall(&name("alice")).unwrap(), Some((keys(), asked(NOW, ""))));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_no_answer() {
        let directory = crate::scratch();
        let path = directory.path().join("lookups.db");
        let lookups = Lookups::open_or_make(&path, "test").unwrap();
        for (kind, keys) in [
            ("keys", "command=\"id\" x"),
            ("absent", KEY),
            ("ldap-ambiguous", KEY),
            ("", ""),
            ("keys until x", KEY),
        ] {
            lookups
                .connection
                .execute(
                    "INSERT OR REPLACE INTO answer VALUES ('test', 'alice', 0, ?1, ?2)",
                    params![kind, keys],
                )
                .unwrap();
            assert!(matches!(lookups.recall(&name("alice")), Err(StoreError::Corrupt(..))), "{kind}");
        }
    }
}
