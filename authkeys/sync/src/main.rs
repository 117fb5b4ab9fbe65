//! `authkeys-sync`: LDAP, people.toml or what a fleet's collector publishes, into keys.db.

#![forbid(unsafe_code)]

mod cli;
mod entry;
mod fleet;
mod guard;
mod live;
mod note;
mod people;
mod replica;
mod source;
mod tree;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use host::clock::{self, now};
use host::config::{Directory, KeysSource};
use host::{Config, accounts};
use policy::{Proven, Timestamp};
use publish::SyncLock;
use store::StoreError;
use store::keys::{self, Base, Effect};

use replica::{Keep, PendingCopy};
use source::{Fetched, Refers};

fn main() -> ExitCode {
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            host::output::page(&error, error.use_stderr());
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    // What a hostile server can make ldap3 panic with ends as an error like any other; the panic's own
    // text, and the cost of its backtrace, help nobody.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(name) = &arguments.user {
        return live::run(&arguments, name, now());
    }
    let done = match &arguments.check_people {
        Some(file) => check(file),
        None => sync(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error);
            ExitCode::from(2)
        }
    }
}

/// One line on standard error, whatever is in it.
fn complain(text: impl std::fmt::Display) {
    host::output::complain("authkeys-sync", text);
}

fn check(file: &Path) -> Result<(), Box<dyn Error>> {
    let path = std::path::absolute(file)?;
    let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", file.display()))?;
    let people = people::parse(&path, &text)?;
    let _ = writeln!(io::stdout(), "{}: ok, {} people", file.display(), grouped(people.len()));
    Ok(())
}

fn sync(arguments: &cli::Arguments) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let (_lock, config) = begin(&arguments.config)?;
    let directory =
        config.directory.as_ref().ok_or("config.toml has no [directory]; set where people are")?;
    let asked = now();
    let base = standing(&config, directory).map(|base| base.at(asked));
    let is_sound = base.as_ref().is_some_and(|base| !base.is_damaged());
    let published = match replicate(&config, directory, base.as_ref(), arguments.accept, asked) {
        // A copy may turn out to be damaged where the check does not look.
        Err(error) if is_sound && error.is::<StoreError>() => {
            let base = base.map(Base::damaged);
            replicate(&config, directory, base.as_ref(), arguments.accept, asked)
        }
        published => published,
    }?;
    let _ = writeln!(io::stdout(), "{}, {} ms", told(published), start.elapsed().as_millis());
    Ok(())
}

/// The copy that is there. Where a row of it is damaged, everybody is fetched, and it is written anew under the same limits.
fn standing(config: &Config, directory: &Directory) -> Option<Base> {
    let base = Base::open(&config.paths.keys, &config.copy_scope(directory)).ok()?;
    match base.check() {
        Ok(()) => Some(base),
        Err(error) => {
            complain(format_args!("{error}; it will be written anew"));
            Some(base.damaged())
        }
    }
}

/// The turn to sync, and the configuration as it is then.
fn begin(path: &Path) -> Result<(SyncLock, Config), Box<dyn Error>> {
    loop {
        let config = Config::load(path)?.with_credentials();
        accounts::become_owner_of(config.paths.keys.parent().unwrap_or(Path::new("/")))?;
        let mut waited = false;
        let lock = SyncLock::wait(&config.paths.keys, || {
            waited = true;
            complain("another sync is running; waiting for it to end");
        })?;
        // What was read before a wait is old, and may name another copy.
        if !waited {
            return Ok((lock, config));
        }
    }
}

/// What a sync did; who may become root is said where that changed.
fn told(effect: Effect) -> String {
    let Effect { changed, removed, people, gained, deprived, .. } = effect;
    let [changed, removed, people] = [changed, removed, people].map(grouped);
    let mut text = format!("{changed} changed, {removed} removed, {people} people");
    for (count, what) in [(gained, "newly"), (deprived, "no longer")] {
        if count > 0 {
            text += &format!(", {} {what} eligible", grouped(count));
        }
    }
    text
}

/// Fetches and publishes, against the copy that is there, if any.
fn replicate(
    config: &Config,
    directory: &Directory,
    base: Option<&Base>,
    accept: bool,
    asked: Timestamp,
) -> Result<Effect, Box<dyn Error>> {
    let keep = match config.keys.source {
        KeysSource::Copy => Keep::Everybody,
        KeysSource::Live => Keep::Eligible,
    };
    let Fetched { pending, note, refers, groups, time, read, mark } = match directory {
        Directory::Ldap(ldap) => source::from_ldap(ldap, base, keep, asked)?,
        Directory::File(path) => source::from_file(path, base, keep, asked)?,
        Directory::Fleet(fleet) => fleet::fetch(&config.paths.keys, fleet, base, asked)?,
    };
    let PendingCopy { change, dropped, shows_nobody } = pending;
    dropped.iter().for_each(|line| complain(format_args!("dropped {line}")));
    let effect = change.effect();
    // What a collector publishes was guarded there: one who accepts it there means all hosts.
    let accept = accept || mark.is_some();
    guard::guard(effect, shows_nobody, config.max_removed, accept)?;
    let path = &config.paths.keys;
    let groups = groups.unwrap_or_else(|| keys::noted_groups(path));
    if let Directory::Ldap(ldap) = directory {
        source::told_of_eligible(ldap, keep, effect, &groups).into_iter().for_each(complain);
    }
    let note = note.map(|note| note.write());
    keys::publish(path, &config.copy_scope(directory), base, &change, note.as_deref(), read)?;
    let noted = match &refers {
        Refers::To(url) => keys::note_elsewhere(path, Some(url)),
        Refers::Nowhere => keys::note_elsewhere(path, None),
        Refers::Untold => Ok(()),
    };
    if let Err(error) = noted.and_then(|()| keys::note_groups(path, &groups)) {
        complain(error);
    }
    let uptime = clock::uptime();
    let seen = Proven::seen(asked, time, uptime, read);
    let proven = match &mark {
        Some(mark) => fleet::proven(path, seen, mark, asked, &uptime)?,
        // Where the directory does not tell the time, and may be down at the next sync, the one before bears ours out.
        None => seen.borne_out(clock::proven(path).filter(|_| time.is_none()).as_ref()),
    };
    if let Err(problem) = publish::prove(path, 0o640, &proven) {
        complain(format_args!("a clock that is set back will be noticed only later: {problem}"));
    }
    if let Some(mark) = mark {
        mirror::write_mark(&fleet::mark_path(path), &mark)?;
    }
    Ok(effect)
}

/// A number with its thousands apart: `10 003`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_stand_apart() {
        let numbers = [0, 999, 1_000, 10_003, 1_234_567];
        assert_eq!(numbers.map(grouped), ["0", "999", "1 000", "10 003", "1 234 567"]);
    }
}
