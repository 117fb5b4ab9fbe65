//! One person, asked for live: `authkeys-sync --user NAME`, the child of `authkeys`.
//!
//! It parses what a server sends, so it is made to be lost: little memory, a deadline, no core dump, and
//! nothing that it could write. Its answer is lines of text with an end that must be there:
//!
//! ```text
//! authkeys-answer 1
//! silent ldaps://...           each server that was asked before and gave no answer
//! person alice                 or: absent alice, disabled alice
//! until 1795165200             if it is known when that changes: the account begins or expires then
//! key ssh-ed25519 AAAA...      one line each
//! rejected 2 weak-rsa          the values that are no acceptable key, by number, and why; 256 at most
//! end
//! ```
//!
//! or the one line `error REASON CONCERNS TEXT`, whose words are `host::unanswered`'s.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use host::accounts::OwnerError;
use host::config::Directory;
use host::unanswered::{Concerns, Unanswered};
use host::{Config, FileError, accounts};
use ldap::{DirectoryError, Entry, Found};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{alarm, dup2_stdout};
use policy::{Principal, Timestamp};
use store::Rejected;
use store::keys::Record;

use crate::cli::Arguments;
use crate::entry::{Believed, believe, claims};
use crate::people;

/// Address space, in bytes.
const MOST_SPACE: u64 = 512 * 1024 * 1024;

/// Memory that can be written where a server is asked, in bytes; with the program itself it stays below 64 MiB.
/// people.toml is root's and no stranger's: it may be as large as it likes.
const MOST_DATA: u64 = 48 * 1024 * 1024;

/// The longest answer, in bytes: as much as `authkeys` reads.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Why there is no answer.
enum Problem {
    /// No one can be called that.
    Name(policy::NameError),
    /// The configuration cannot be followed.
    Config(FileError),
    /// This process cannot become the user whom the memory belongs to.
    Owner(OwnerError),
    /// It names no directory.
    NoDirectory,
    /// People are those that a fleet's collector publishes: there is nobody to ask.
    OfFleet,
    /// The directory does not answer.
    Directory(DirectoryError),
    /// Its answer is about more than one person, or about another one.
    Ambiguous(String),
    /// More keys than an answer holds; how many.
    TooMany(usize),
}

impl Problem {
    fn reason(&self) -> Unanswered {
        match self {
            Self::Name(_) => Unanswered::BadUser,
            Self::Config(FileError::File(refusal)) if !refusal.is_missing() => Unanswered::FileUntrusted,
            Self::Config(_) | Self::Owner(_) | Self::NoDirectory | Self::OfFleet => Unanswered::ConfigInvalid,
            Self::Directory(error) => error.reason(),
            Self::Ambiguous(_) => Unanswered::Ambiguous,
            Self::TooMany(_) => Unanswered::TooManyKeys,
        }
    }

    /// Would everybody's question fail like this, or this person's, and is it the directory's fault at all?
    fn concerns(&self) -> Concerns {
        match self {
            Self::Directory(error) if error.reason() == Unanswered::FileUntrusted => Concerns::ThisHost,
            Self::Directory(error) if error.concerns_everybody() => Concerns::Everybody,
            Self::Directory(_) | Self::Ambiguous(_) | Self::TooMany(_) => Concerns::Person,
            Self::Name(_) | Self::Config(_) | Self::Owner(_) | Self::NoDirectory | Self::OfFleet => {
                Concerns::ThisHost
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Name(error) => error.to_string(),
            Self::Config(error) => error.to_string(),
            Self::Owner(error) => error.to_string(),
            Self::NoDirectory => "config.toml has no [directory]; set where people are".to_string(),
            Self::OfFleet => {
                "this host reads people from its fleet and knows no directory to ask".to_string()
            }
            Self::Directory(error) => error.to_string(),
            Self::Ambiguous(why) => why.clone(),
            Self::TooMany(count) => format!("{count} keys are more than an answer holds"),
        }
    }
}

/// Prints the answer about `name`, or why there is none.
pub fn run(arguments: &Arguments, name: &str, now: Timestamp) -> ExitCode {
    confine(arguments.timeout);
    let (text, code) = match answer(arguments, name, now) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(problem) => {
            let text = problem.text().replace(|c: char| c.is_control(), "?");
            (format!("error {} {} {text}\n", problem.reason(), problem.concerns()), ExitCode::from(2))
        }
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => {
            let_go();
            code
        }
        Err(_) => ExitCode::from(2),
    }
}

/// Gives standard output away: its reader has everything, and need not wait until this process is taken down.
fn let_go() {
    if let Ok(nowhere) = File::options().write(true).open("/dev/null") {
        let _ = dup2_stdout(nowhere);
    }
}

/// Limits what this process can cost, whatever becomes of it and of its parent. A limit that cannot be set
/// is no reason to refuse a login: the parent has its own.
fn confine(limit: Duration) {
    let _ = setrlimit(Resource::RLIMIT_AS, MOST_SPACE, MOST_SPACE);
    // A dump would hold the password to bind with.
    let _ = prctl::set_dumpable(false);
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    alarm::set(u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).saturating_add(2));
}

fn answer(arguments: &Arguments, name: &str, now: Timestamp) -> Result<String, Problem> {
    let start = Instant::now();
    let name = Principal::new(name).map_err(Problem::Name)?;
    let config = Config::load(&arguments.config).map_err(Problem::Config)?;
    // What a network sends is not for root to read, also where root asks by hand.
    accounts::become_owner_of(config.paths.lookups.parent().unwrap_or(Path::new("/")))
        .map_err(Problem::Owner)?;
    let found = match config.directory.as_ref().ok_or(Problem::NoDirectory)? {
        Directory::Ldap(ldap) => {
            let _ = setrlimit(Resource::RLIMIT_DATA, MOST_DATA, MOST_DATA);
            let left = arguments.timeout.saturating_sub(start.elapsed());
            ldap::find(ldap, name.as_str(), &arguments.last, left).map_err(Problem::Directory)?
        }
        Directory::Fleet(_) => return Err(Problem::OfFleet),
        Directory::File(path) => {
            let mut everybody = people::read(path).map_err(Problem::Config)?;
            everybody.retain(|entry| claims(entry).any(|claimed| claimed == name.as_str()));
            Found { entries: everybody, silent: Vec::new() }
        }
    };
    let text = judge(name.as_str(), &found, now)?;
    if text.len() > LONGEST_ANSWER {
        return Err(Problem::TooMany(text.lines().filter(|line| line.starts_with("key ")).count()));
    }
    Ok(text)
}

/// The answer that `entries` are: nobody, or exactly the person who was asked for, byte for byte.
fn judge(name: &str, found: &Found, now: Timestamp) -> Result<String, Problem> {
    let mut text = "authkeys-answer 1\n".to_string();
    for server in &found.silent {
        let _ = writeln!(text, "silent {server}");
    }
    match found.entries.as_slice() {
        [] => {
            let _ = writeln!(text, "absent {name}");
        }
        [Entry { names, .. }] if names.as_slice() == [name] => {
            let Believed { records, dropped } = believe(found.entries.clone());
            let [Record { person: Some(person), .. }] = records.as_slice() else {
                return Err(Problem::Ambiguous(dropped.join("; ")));
            };
            let changes = person.changes(now);
            let person = person.clone().at(now);
            let standing = if person.disabled.is_some() { "disabled" } else { "person" };
            let _ = writeln!(text, "{standing} {name}");
            if let Some(instant) = changes {
                let _ = writeln!(text, "until {}", instant.unix());
            }
            for key in &person.keys {
                let _ = writeln!(text, "key {}", key.line());
            }
            for Rejected { number, problem } in &person.rejected {
                let _ = writeln!(text, "rejected {number} {}", problem.token());
            }
        }
        [Entry { nobody: Some(why), dn, .. }] => {
            let dn = record::Escaped(dn);
            return Err(Problem::Ambiguous(format!("asked for {name}, the directory shows {dn}: {why}")));
        }
        [Entry { names, .. }] => {
            let why =
                format!("asked for {name}, the directory shows an entry with {} user names", names.len());
            let other = names.first().filter(|_| names.len() == 1);
            return Err(Problem::Ambiguous(other.map_or(why, |other| {
                format!("asked for {name}, the directory shows {}", record::Escaped(other))
            })));
        }
        several => {
            return Err(Problem::Ambiguous(format!("{} entries are called {name}", several.len())));
        }
    }
    text.push_str("end\n");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn judge(name: &str, entries: &[Entry], now: Timestamp) -> Result<String, Problem> {
        super::judge(name, &Found { entries: entries.to_vec(), silent: Vec::new() }, now)
    }

    fn entry(names: &[&str], keys: &[&str]) -> Entry {
        Entry {
            id: "1".to_string(),
            names: names.iter().map(ToString::to_string).collect(),
            keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
            ..Entry::default()
        }
    }

    #[test]
    fn one_entry_of_exactly_that_name_is_an_answer() {
        let text = judge("alice", &[entry(&["alice"], &[KEY, "# none"])], NOW).ok().unwrap();
        assert_eq!(
            text,
            format!("authkeys-answer 1\nperson alice\nkey {KEY}\nrejected 2 no-key-type\nend\n")
        );
        let text = judge("alice", &[], NOW).ok().unwrap();
        assert_eq!(text, "authkeys-answer 1\nabsent alice\nend\n");
    }

    #[test]
    fn a15_a_disabled_or_expired_person_is_known_and_has_no_keys() {
        let text = |disabled: Option<&str>, expires: Option<i64>| {
            let expires = expires.map(Timestamp::from_unix);
            let entry =
                Entry { disabled: disabled.map(str::to_string), expires, ..entry(&["alice"], &[KEY]) };
            judge("alice", &[entry], NOW).ok().unwrap()
        };
        let disabled = "authkeys-answer 1\ndisabled alice\nend\n";
        assert_eq!(text(Some("nsAccountLock"), None), disabled);
        assert_eq!(text(None, Some(NOW.unix())), disabled);
        assert!(text(None, Some(NOW.unix() + 1)).contains("person alice\nuntil 1795165201\nkey "));
        let begins = Some(NOW.plus(policy::Span::hours(1)));
        let entry = Entry { begins, ..entry(&["alice"], &[KEY]) };
        let text = judge("alice", &[entry], NOW).ok().unwrap();
        assert_eq!(text, "authkeys-answer 1\ndisabled alice\nuntil 1795168800\nend\n");
    }

    #[test]
    fn a08_a09_another_spelling_a_second_name_and_a_second_entry_are_none() {
        for entries in [
            vec![entry(&["Alice"], &[KEY])],
            vec![entry(&["alice", "bob"], &[KEY])],
            vec![entry(&[], &[KEY])],
            vec![entry(&["alice"], &[KEY]), entry(&["alice"], &[KEY])],
        ] {
            let problem = judge("alice", &entries, NOW).unwrap_err();
            assert_eq!((problem.reason(), problem.concerns()), (Unanswered::Ambiguous, Concerns::Person));
        }
    }

    impl std::fmt::Debug for Problem {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.text())
        }
    }
}
