//! lookups.db: what `authkeys` was told about the people whom it asked for, one by one.
//!
//! Unlike the published copies it is written in the login path, by the uid that reads it, in a directory of
//! its own; NSS, PAM and the syncs never look at it. It is a memory and no source: one that is damaged is
//! thrown away, and one that cannot be written costs a question and never an answer. sshd waits while an answer is
//! kept: the journal undoes what a killed process left, and only an answer that takes something back waits for the disk
//! ([`Keeping`]). What a host that lost its power left is begun anew where it is damaged.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use policy::{Principal, Proven, Rules, Span, Timestamp, Uptime};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
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

/// The first answer of such a while that is kept looks for old ones: that reads the whole file, while sshd waits.
const SWEEP: Span = Span::hours(1);

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
    /// Is it the same? Directories tell values in any order.
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Keys(keys), Self::Keys(others)) => {
                let lines = |keys: &[PublicKey]| keys.iter().map(PublicKey::line).collect::<BTreeSet<_>>();
                lines(keys) == lines(others)
            }
            _ => self == other,
        }
    }

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

    /// What is known by it, as long as it holds.
    fn known(&self) -> Option<&Known> {
        match self {
            Self::Answer(known) | Self::Passing(known, _) => Some(known),
            Self::Unusable(_) => None,
        }
    }

    /// Is it the same, and for as long?
    fn is_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Answer(known), Self::Answer(others)) => known.is_as(others),
            (Self::Passing(known, end), Self::Passing(others, until)) => known.is_as(others) && end == until,
            _ => self == other,
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
            SCHEMA.create(temporary).and_then(|connection| connection.close().map_err(|(_, error)| error))
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
            Some((kind, uptime)) => (
                kind,
                Some(Uptime::parse(uptime).ok_or_else(|| self.corrupt("a time since boot that is none"))?),
            ),
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
            ("disabled" | "absent", _) => {
                return Err(self.corrupt("an answer with keys that should have none"));
            }
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

    /// Keeps `heard` as the answer to a question about `principal` that was asked at `asked`, and forgets once an hour what
    /// was asked before `forget`. What was asked later and answered sooner stays; further ahead than any question takes, it
    /// is of a clock that was wrong. `copied` is what the copy says of them, where an outage would ask that.
    pub fn remember(
        &mut self,
        principal: &Principal,
        heard: &Heard,
        asked: Asked,
        forget: Timestamp,
        copied: Option<&Known>,
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
        let write = |keeping: Keeping| {
            self.connection.pragma_update(None, "synchronous", keeping.synchronous())?;
            let transaction = Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            // What another run has kept meanwhile counts. Nothing is written yet, and no journal begun.
            let needed = match self.recall(principal) {
                Ok(before) => Keeping::of(heard, before.as_ref().map(|(before, _)| before), copied),
                Err(_) => Keeping::Lasting,
            };
            if needed > keeping {
                return Ok(Some(needed));
            }
            if self.is_to_be_swept(asked.at) {
                transaction.execute("DELETE FROM answer WHERE asked < ?1", [forget.unix()])?;
            }
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
            transaction.commit()?;
            Ok(None)
        };
        let mut keeping = Keeping::Passing;
        while let Some(needed) = write(keeping).map_err(|error| self.failed(error))? {
            keeping = needed;
        }
        Ok(())
    }

    /// Was the last answer kept in another hour than that of `now`?
    fn is_to_be_swept(&self, now: Timestamp) -> bool {
        let hour = |seconds: i64| seconds.div_euclid(SWEEP.as_seconds());
        fs::metadata(&self.path).is_ok_and(|file| hour(file.mtime()) != hour(now.unix()))
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

/// Whether an answer has to outlive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keeping {
    /// It says what is known without it, or there is nothing that would be served in its place: sshd need not wait for a
    /// disk.
    Passing,
    /// Without it an outage would bring back what it has taken away.
    Lasting,
}

impl Keeping {
    /// What is due to `heard`, where the memory has `before` and the copy `copied`.
    fn of(heard: &Heard, before: Option<&Heard>, copied: Option<&Known>) -> Self {
        let is_news = before.is_some_and(|before| !before.is_as(heard))
            || copied.is_some_and(|copied| !heard.known().is_some_and(|known| known.is_as(copied)));
        if is_news { Self::Lasting } else { Self::Passing }
    }

    /// SQLite's word for it. With FULL the journal's end may be lost, and the old answer is put back from it; EXTRA
    /// syncs the directory as well (sqlite.org/pragma.html#pragma_synchronous).
    fn synchronous(self) -> &'static str {
        match self {
            Self::Passing => "OFF",
            Self::Lasting => "EXTRA",
        }
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
        Ok(connection)
    }
}

#[cfg(test)]
mod tests;
