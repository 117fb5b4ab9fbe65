//! Messages that nobody asked for: under another number, or after the last one of an answer.
//!
//! ldap3 drops them and says so in its log alone ("unmatched id"), so its log is what is looked at: a warning of the part
//! that reads from the server, whatever it says, means that an answer was not what it should be. tests/keys has a
//! server that sends such messages.

use std::sync::atomic::{AtomicBool, Ordering};

use log::{LevelFilter, Log, Metadata, Record};

/// The part of ldap3 that reads messages.
const READER: &str = "ldap3::conn";

static STRAYED: AtomicBool = AtomicBool::new(false);

struct Watch;

impl Log for Watch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Warn && metadata.target() == READER
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            STRAYED.store(true, Ordering::Relaxed);
        }
    }

    fn flush(&self) {}
}

/// Forgets what came before this conversation.
pub(super) fn begin() {
    // It is there already from the second conversation on.
    let _ = log::set_logger(&Watch);
    log::set_max_level(LevelFilter::Warn);
    STRAYED.store(false, Ordering::Relaxed);
}

/// Has there been such a message, as far as the server has sent?
pub(super) async fn has_strayed() -> bool {
    // What is there already is read first: this is the only other task.
    tokio::task::yield_now().await;
    STRAYED.load(Ordering::Relaxed)
}
