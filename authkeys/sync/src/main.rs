//! `authkeys-sync`: LDAP or people.toml into keys.db.

#![forbid(unsafe_code)]

mod cli;
mod directory;
mod entry;
mod live;
mod people;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use host::config::{Directory, KeysMode};
use host::{Config, accounts};
use policy::Timestamp;
use store::{SyncLock, keys};

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    // What a hostile server can make ldap3 panic with ends as an error like any other; the panic's own
    // text, and the cost of its backtrace, help nobody.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(name) = &arguments.user {
        return live::run(&arguments.config, name, arguments.deadline);
    }
    match sync(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "authkeys-sync: {error}");
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the program's shell is where the clock is read")]
fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(seconds).unwrap_or(0))
}

fn sync(arguments: &cli::Arguments) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let config = Config::load(&arguments.config)?;
    let directory =
        config.directory.as_ref().ok_or("config.toml has no [directory]; say where people are")?;
    accounts::become_owner_of(config.paths.keys.parent().unwrap_or(Path::new("/")))?;
    let _lock = SyncLock::take(&config.paths.keys)?;
    let asked = now();
    let entries = match directory {
        Directory::Ldap(ldap) => directory::fetch(ldap)
            .map_err(|error| format!("{error} ({}), nothing published", error.reason()))?,
        Directory::File(path) => people::read(path)?,
    };
    let mut believed = entry::believe(&entries);
    let mut stderr = io::stderr().lock();
    for line in &believed.dropped {
        let _ = writeln!(stderr, "authkeys-sync: dropped {line}");
    }
    if believed.people.is_empty() {
        return Err("the directory shows nobody (source-empty), nothing published; check `base`, `filter` and what the bind DN may read".into());
    }
    // Everybody was fetched, so that names which two entries claim are known. Those who can become root are few.
    if config.keys.mode == KeysMode::Lookup {
        believed.people.retain(|person| person.eligible);
    }
    let published =
        keys::publish(&config.paths.keys, &config.copy_scope(directory), &believed.people, asked)?;
    let _ = writeln!(
        io::stdout(),
        "{} changed, {} removed, {} people, {} ms",
        published.changed,
        published.removed,
        published.people,
        start.elapsed().as_millis()
    );
    Ok(())
}
