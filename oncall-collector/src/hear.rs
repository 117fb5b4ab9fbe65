//! `hear`: PagerDuty says by a signed webhook that something has changed, an on-call shift or an incident, and a sync begins
//! at once.
//!
//! It listens on the loopback, behind the site's proxy, as a user of its own that reads neither tokens nor signing keys. What a
//! webhook says is not read: the sync asks the provider itself, so a forged or repeated one costs a sync, at most
//! every 2 s, and no more. `oncall-cache refresh --serve` syncs; what it writes starts the publisher's units.

mod config;
mod pace;
mod server;
mod signature;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::sync_channel;

use host::secret::{Secret, SecretError};
use policy::Timestamp;

pub use config::{HearConfig, HearSection};
use signature::Secrets;

/// What the log calls it.
const PROGRAM: &str = "oncall-collector hear";

/// Where it says when the last webhook came. A collector that stands by publishes what came after it.
pub const HEARD: &str = "/run/oncall-hear/heard";

/// Why it cannot hear.
#[derive(Debug)]
pub enum HearError {
    /// `[hear]` is missing in the configuration.
    NotConfigured,
    /// A secret is of no use.
    Secret(SecretError),
    /// It cannot listen there.
    Listen(SocketAddr, io::Error),
    /// What serves could not be set up.
    Setup(io::Error),
}

impl fmt::Display for HearError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("no [hear] in the configuration; write `secret_files` there"),
            Self::Secret(error) => write!(f, "secret_files: {error}"),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Setup(error) => write!(f, "cannot serve: {error}"),
        }
    }
}

impl std::error::Error for HearError {}

/// Hears until it is ended from outside.
///
/// # Errors
/// It cannot begin.
pub fn run(config: Option<&HearConfig>) -> Result<(), HearError> {
    let config = config.ok_or(HearError::NotConfigured)?;
    let secrets = config.secret_files.iter().map(|path| Secret::read(path));
    let secrets: Vec<Secret> = secrets.collect::<Result<_, _>>().map_err(HearError::Secret)?;
    let secrets = Secrets::new(secrets.iter().map(Secret::expose));
    let listener =
        TcpListener::bind(config.listen).map_err(|error| HearError::Listen(config.listen, error))?;
    // One place: while a sync is awaited, all further webhooks ask for one more.
    let (ask, asked) = sync_channel(1);
    std::thread::Builder::new()
        .spawn(move || pace::sync_when_asked(&asked, Path::new(pace::SOCKET), Path::new(HEARD)))
        .map_err(HearError::Setup)?;
    host::output::complain(PROGRAM, format_args!("listening on {}", config.listen));
    server::serve(listener, server::PLACES, secrets, move || _ = ask.try_send(())).map_err(HearError::Setup)
}

/// Has a webhook come since a head was `issued`, and a sync begun after it?
pub fn came_since(issued: Timestamp, now: Timestamp) -> bool {
    heard(Path::new(HEARD)).is_some_and(|heard| issued <= heard && heard <= now)
}

/// When the last webhook came after which a sync began, if any is known of since this boot.
///
/// The publisher reads it, and a user who faces the network writes it: that one must not hold up who signs, so no link is
/// followed, no FIFO waited for, and no more read than an instant has.
fn heard(path: &Path) -> Option<Timestamp> {
    let text = String::from_utf8(trust::read_start(path, LONGEST_HEARD).ok()?).ok()?;
    Timestamp::parse(text.trim_end())
}

/// The most bytes that are read of [`HEARD`].
const LONGEST_HEARD: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_a_publisher_reads_of_who_hears_is_a_short_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("heard");
        let instant = "2026-11-20T09:00:00Z";
        fs::write(&path, format!("{instant}\n")).unwrap();
        assert_eq!(heard(&path), Timestamp::parse(instant));
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(heard(&path), None, "a link");
        fs::remove_file(&path).unwrap();
        // Blanks without end after an instant would be read to the last one.
        fs::write(&path, format!("{}{instant}", " ".repeat(100_000))).unwrap();
        assert_eq!(heard(&path), None, "too long");
        fs::write(&path, format!("{instant}{}x", " ".repeat(100_000))).unwrap();
        assert_eq!(heard(&path), Timestamp::parse(instant), "read no further");
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(heard(&path), None, "waited for nobody");
    }
}
