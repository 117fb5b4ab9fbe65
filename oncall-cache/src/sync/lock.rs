//! One sync at a time.

use std::path::Path;

use host::{Config, accounts};
use publish::{PublishError, SyncLock};

use super::error::SyncError;
use crate::said::Live;

/// The right to sync: this process is the owner of what is published, and no other sync is at work.
pub struct SyncLockHeld {
    _lock: SyncLock,
}

impl SyncLockHeld {
    /// Takes it if it is free.
    pub fn take(config: &Config) -> Result<Self, SyncError> {
        Self::by(config, SyncLock::take)
    }

    /// Waits for it, and says so; whether that took time.
    pub fn wait(config: &Config, live: Live<'_>) -> Result<(Self, bool), SyncError> {
        let mut waited = false;
        let held = Self::by(config, |path| {
            SyncLock::wait(path, || {
                waited = true;
                (live.note)(format_args!("another sync is running; waiting for it to end"));
            })
        });
        Ok((held?, waited))
    }

    fn by(
        config: &Config,
        lock: impl FnOnce(&Path) -> Result<SyncLock, PublishError>,
    ) -> Result<Self, SyncError> {
        accounts::become_owner_of(config.paths.roster.parent().unwrap_or(Path::new("/")))
            .map_err(SyncError::Owner)?;
        Ok(Self { _lock: lock(&config.paths.roster).map_err(SyncError::Lock)? })
    }
}
