//! `authkeys-sync`: LDAP or people.toml into keys.db.

#![forbid(unsafe_code)]

mod cli;
mod directory;
mod entry;
mod live;
mod people;
mod replica;
mod witnesses;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use host::clock::{self, now};
use host::config::{Directory, KeysMode, Ldap, Membership, Referrals};
use host::{Config, accounts, toml_file};
use policy::{Proven, Timestamp};
use store::keys::{self, Base, Effect};
use store::{StoreError, SyncLock};

use directory::{Deadline, Since};
use replica::{Draft, Keep, Note, Plan};

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
        return live::run(&arguments, name, now());
    }
    let done = match &arguments.check {
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

/// One line on standard error, whatever stands in it.
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
        config.directory.as_ref().ok_or("config.toml has no [directory]; say where people are")?;
    let asked = now();
    let base = Base::open(&config.paths.keys, &config.copy_scope(directory)).ok().map(|base| base.at(asked));
    let had_base = base.is_some();
    let published = match replicate(&config, directory, base.as_ref(), arguments.accept, asked) {
        // A copy that turns out to be damaged is replaced like one that is missing.
        Err(error) if had_base && error.is::<StoreError>() => {
            replicate(&config, directory, None, arguments.accept, asked)
        }
        published => published,
    }?;
    let _ = writeln!(io::stdout(), "{}, {} ms", told(published), start.elapsed().as_millis());
    Ok(())
}

/// The turn to sync, and the configuration as it is then.
fn begin(path: &Path) -> Result<(SyncLock, Config), Box<dyn Error>> {
    loop {
        let config = Config::load(path)?.with_credentials();
        accounts::become_owner_of(config.paths.keys.parent().unwrap_or(Path::new("/")))?;
        let mut waited = false;
        let lock = SyncLock::wait(&config.paths.keys, || {
            waited = true;
            complain("another sync is at work; waiting for its end");
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

/// Fetches and publishes, against the copy that stands if there is one.
fn replicate(
    config: &Config,
    directory: &Directory,
    base: Option<&Base>,
    accept: bool,
    asked: Timestamp,
) -> Result<Effect, Box<dyn Error>> {
    let keep = match config.keys.mode {
        KeysMode::Replica => Keep::Everybody,
        KeysMode::Lookup => Keep::Eligible,
    };
    let Fetched { draft, note, refers, groups } = match directory {
        Directory::Ldap(ldap) => from_ldap(ldap, base, keep, asked)?,
        Directory::File(path) => from_file(path, base, keep, asked)?,
    };
    let Draft { change, dropped, shows_nobody } = draft;
    dropped.iter().for_each(|line| complain(format_args!("dropped {line}")));
    let effect = change.effect();
    replica::guard(effect, shows_nobody, config.max_shrink, accept)?;
    if let Directory::Ldap(ldap) = directory {
        told_of_eligible(ldap, keep, effect, &groups).into_iter().for_each(complain);
    }
    let note = note.map(|note| note.write());
    let path = &config.paths.keys;
    keys::publish(path, &config.copy_scope(directory), base, &change, note.as_deref(), asked)?;
    let noted = match &refers {
        Refers::To(url) => keys::note_elsewhere(path, Some(url)),
        Refers::Nowhere => keys::note_elsewhere(path, None),
        Refers::Untold => Ok(()),
    };
    if let Err(error) = noted.and_then(|()| keys::note_groups(path, &groups)) {
        complain(error);
    }
    let seen = Proven::seen(asked, None, clock::uptime(), asked);
    let proven = match directory {
        // No directory is asked for the time, and one that is down cannot mend what a wrong clock left.
        Directory::Ldap(_) => seen.borne_out(clock::proven(path).as_ref()),
        Directory::File(_) => seen,
    };
    if let Err(problem) = store::prove(path, 0o640, &proven) {
        complain(format_args!("a clock that is set back will be noticed late: {problem}"));
    }
    Ok(effect)
}

/// What there is to say about who is eligible: groups that are not followed, and where to look if nobody is.
fn told_of_eligible(ldap: &Ldap, keep: Keep, effect: Effect, groups: &[String]) -> Vec<String> {
    let Some(group) = &ldap.eligible_group else {
        let nothing = "mode = \"lookup\" copies eligible people alone, and [directory] names no eligible_group: there is \
                       nothing to fetch; keys are asked for at each login";
        return if keep == Keep::Eligible { vec![nothing.to_string()] } else { Vec::new() };
    };
    let Effect { eligible_before, gained, deprived, .. } = effect;
    let mut told = Vec::new();
    if let Some(first) = groups.first() {
        told.push(host::config::unfollowed_groups(group, groups.len(), first));
    }
    if eligible_before + gained == deprived {
        told.push(match ldap.membership {
            Membership::Group => format!(
                "nobody is eligible: no member of {group} is a person below `base` whom `filter` finds"
            ),
            Membership::Person => format!(
                "nobody is eligible: nobody below `base` has {group} as memberOf. The entries of an OpenLDAP that were loaded by \
                 slapadd have none until the group is written again; eligible_group_by = \"member\" reads the group itself"
            ),
        });
    }
    told
}

/// What a source says.
struct Fetched {
    /// What there is to publish.
    draft: Draft,
    /// For the next sync.
    note: Option<Note>,
    /// Does it refer to another server for more people?
    refers: Refers,
    /// Groups in the eligible group that are not followed.
    groups: Vec<String>,
}

impl Fetched {
    /// Of a source that has neither other servers nor groups.
    fn alone(draft: Draft, note: Option<Note>) -> Self {
        Self { draft, note, refers: Refers::Nowhere, groups: Vec::new() }
    }
}

/// What a directory said of other servers.
enum Refers {
    /// More people are there.
    To(String),
    /// Everybody is here.
    Nowhere,
    /// It told what changed, and nothing of that.
    Untold,
}

/// Everybody in the file; no change if the copy was made from the same bytes.
fn from_file(
    path: &Path,
    base: Option<&Base>,
    keep: Keep,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    let text = toml_file::read(path)?;
    let note = Note::of_file(&text, asked);
    if let Some((base, old)) = base.and_then(|base| Some((base, Note::read(base.resume()?)?)))
        && old.is_of_same_file(&note)
    {
        // A copy of eligible people alone may have nobody in it.
        let draft = Draft { change: base.kept(), dropped: Vec::new(), shows_nobody: false };
        return Ok(Fetched::alone(draft, Some(old)));
    }
    match replica::whole(base, people::parse(path, &text)?, keep)? {
        // What was dropped is said again by each sync, so the next one has to look again.
        Plan::Publish(draft) => {
            let note = draft.dropped.is_empty().then_some(note);
            Ok(Fetched::alone(draft, note))
        }
        Plan::FetchEverything => Err("people.toml is read whole or not at all".into()),
    }
}

/// What changed if the server and the copy agree on since when, else everybody.
fn from_ldap(
    ldap: &Ldap,
    base: Option<&Base>,
    keep: Keep,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    if keep == Keep::Eligible && ldap.eligible_group.is_none() {
        let Plan::Publish(draft) = replica::whole(base, Vec::new(), keep)? else {
            return Err("nobody is read whole".into());
        };
        let draft = Draft { shows_nobody: false, ..draft };
        return Ok(Fetched { refers: Refers::Untold, ..Fetched::alone(draft, None) });
    }
    let deadline = Deadline::new(ldap.deadline);
    let view = replica::view(ldap);
    let old = base.and_then(|base| Note::read(base.resume()?));
    // Who went last is worth knowing whatever else the note is.
    let witnesses = old.as_ref().map(|note| note.witnesses.clone()).unwrap_or_default();
    let mut since = Since { cookie: None, witnesses }.of_everybody();
    // What changed can be told only to a copy of everybody.
    let good = |note: &Note| keep == Keep::Everybody && note.is_good(&view, ldap.full_refresh, asked);
    let old = old.filter(good);
    if let Some(note) = &old {
        since = Since { cookie: Some(note.cookie.clone()), witnesses: note.witnesses.clone() };
    }
    let copied = base.map(Base::eligible_dns).transpose()?.unwrap_or_default();
    loop {
        let answer = match keep {
            Keep::Everybody => directory::fetch(ldap, &since, &copied, deadline),
            Keep::Eligible => directory::fetch_eligible(ldap, &copied, deadline),
        };
        let mut answer =
            answer.map_err(|error| format!("{error} ({}), nothing published", error.reason()))?;
        answer.news.forget_beginnings(asked);
        if let Some(url) = &answer.elsewhere {
            complain(format_args!(
                "the directory refers to {url}, which is not asked: nobody is copied from there, and a live \
                 lookup is no answer; narrow [directory] base, or write referrals = \"ignore\""
            ));
        }
        let old = old.as_ref().filter(|_| since.cookie.is_some());
        let full = match (&answer.news, old) {
            (replica::News::Part { .. }, Some(note)) => note.full,
            _ => asked,
        };
        let refers = refers(ldap, &answer);
        let (next, group) = (answer.next.clone(), answer.eligible.digest());
        let groups = std::mem::take(&mut answer.groups);
        match replica::plan(base, answer, old.map(|note| note.group.as_str()), keep)? {
            Plan::Publish(mut draft) => {
                // Of eligible people alone there may be none.
                draft.shows_nobody &= keep == Keep::Everybody;
                let note = next.and_then(|Since { cookie, mut witnesses }| {
                    witnesses.lose(draft.change.removed());
                    Some(Note { full, view, group, witnesses, cookie: cookie? })
                });
                return Ok(Fetched { draft, note, refers, groups });
            }
            Plan::FetchEverything if since.cookie.is_some() => since = since.of_everybody(),
            Plan::FetchEverything => {
                return Err("the server told a part, and was asked for all".into());
            }
        }
    }
}

fn refers(ldap: &Ldap, answer: &directory::Answer) -> Refers {
    let is_part = matches!(answer.news, replica::News::Part { .. });
    match &answer.elsewhere {
        Some(url) => Refers::To(url.clone()),
        None if is_part && ldap.referrals == Referrals::Refuse => Refers::Untold,
        None => Refers::Nowhere,
    }
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
