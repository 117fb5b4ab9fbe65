//! A file of root's orders, held while a verb changes it: read once, replaced whole, and read again as a login
//! would read it, so that an order that does not count is never called one.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::config::DEFAULT_PATH;
use host::orders::{OrderFile, OrdersError};
use host::{Config, accounts};
use policy::EndAction;
use publish::{PublishError, SyncLock};

use crate::said::Live;

/// What becomes of the sessions that are open when somebody loses a right, for messages.
pub fn open_sessions(config: &Path) -> &'static str {
    match Config::load(config).map_or(EndAction::List, |config| config.end.action) {
        EndAction::List => "sessions that are open stay open",
        EndAction::HangUp | EndAction::Kill => "sessions that are open end as [policy.end] says",
    }
}

/// What verbs change together, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Matter {
    /// What they do: `switch the mode`.
    pub what: &'static str,
    /// Which they are: `pause or enforce`.
    pub verbs: &'static str,
}

/// Why an order was not given.
#[derive(Debug)]
pub enum HeldError {
    /// Only root gives orders.
    NotRoot(Matter),
    /// There is no configuration at this path, and it is not the default one: no login reads this file of orders.
    NoConfig(PathBuf, PathBuf),
    /// Somebody else is changing the file, and holds this lock.
    Busy(Matter, PathBuf),
    /// The file is not understood, or is not root's alone.
    Unreadable(OrdersError),
    /// It could not be written.
    Write(PublishError),
    /// It could not be removed.
    Remove(String),
}

impl fmt::Display for HeldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot(Matter { what, .. }) => write!(f, "only root may {what}; use sudo"),
            Self::NoConfig(config, path) => write!(
                f,
                "nothing changed: there is no {}, so no login would read {}; check --config",
                config.display(),
                path.display()
            ),
            Self::Busy(Matter { verbs, .. }, lock) => {
                let lock = lock.display();
                write!(f, "nothing changed: another {verbs} holds {lock}; lslocks shows its process")
            }
            Self::Unreadable(error) => write!(f, "nothing changed: {error}"),
            Self::Write(error) => error.fmt(f),
            Self::Remove(problem) => f.write_str(problem),
        }
    }
}

/// A file of orders as it is now, held so that nobody else changes it.
#[derive(Debug)]
pub struct HeldOrders {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub text: Vec<u8>,
    _lock: SyncLock,
}

impl HeldOrders {
    /// Takes the file that belongs to the configuration at `config`. Waits for another holder.
    pub fn take(file: &OrderFile, config: &Path, matter: Matter, live: Live<'_>) -> Result<Self, HeldError> {
        if !accounts::is_root() {
            return Err(HeldError::NotRoot(matter));
        }
        let path = file.beside(config);
        // Logins read root's orders beside the default path even where the configuration there is lost. Any other path
        // without a file is a slip.
        if config != Path::new(DEFAULT_PATH) && config.try_exists().is_ok_and(|exists| !exists) {
            return Err(HeldError::NoConfig(config.to_path_buf(), path));
        }
        let waits = || (live.note)(format_args!("another {} is running; waiting for it", matter.verbs));
        let lock = SyncLock::wait(&path, waits).map_err(|error| match error {
            PublishError::Busy(lock) => HeldError::Busy(matter, lock),
            other => HeldError::Write(other),
        })?;
        let text = file.text(&path).map_err(HeldError::Unreadable)?;
        Ok(Self { path, text, _lock: lock })
    }

    /// Replaces what is in the file by `text`; returns what `read` then finds there. Where nothing is left, there is
    /// no file.
    pub fn put<T>(
        &self,
        text: &[u8],
        read: impl FnOnce(&Path) -> Result<T, OrdersError>,
    ) -> Result<T, HeldError> {
        if text.is_empty() {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(HeldError::Remove(format!("{}: {error}", self.path.display())));
                }
                _ => {}
            }
        } else {
            let mode = fs::metadata(&self.path).map_or(0o644, |metadata| metadata.mode() & 0o777);
            let write = |temporary: &Path| fs::write(temporary, text);
            publish::replace(&self.path, mode, write).map_err(HeldError::Write)?;
        }
        read(&self.path).map_err(HeldError::Unreadable)
    }
}
