//! `[[keys.chain]]`: other commands that print keys, asked after our own answer is known.
//!
//! sshd takes one AuthorizedKeysCommand. The others may stall, crash, flood or lie: what they print is read line
//! by line and written anew, and whatever they do costs a bounded time and never a key of ours. They are not
//! asked about guarded accounts, whose keys follow from the policy alone.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::Config;
use host::accounts::{facts_in, lists};
use host::child::{Child, Ending, Trouble};
use host::config::{Chained, KeyRule, Piece};
use policy::{Account, Revoked, Rules};
use state::HostState;
use store::PublicKey;
use trust::{Owner, Refusal};

use crate::foreign::{ForeignKey, Line};
use crate::lookup::Answer;
use crate::memory::Memory;
use crate::offered::Offered;
use crate::person::Clock;
use crate::rules::{self, Candidate, Standing};

/// The longest time for all commands together.
const TOTAL: Duration = Duration::from_secs(5);

/// The most that a command may print, in bytes.
const LONGEST_OUTPUT: u64 = 256 * 1024;

/// The largest /etc/passwd or /etc/group that is read, in bytes.
const LARGEST_TABLE: u64 = 16 * 1024 * 1024;

/// What asks the host's name services.
const GETENT: &str = "/usr/bin/getent";

/// The longest that the name services may take; sssd and the like may ask the network.
const LONGEST_LOOKUP: Duration = Duration::from_secs(2);

/// The longest line of passwd(5) that they may give, in bytes.
const LONGEST_ENTRY: u64 = 64 * 1024;

/// What the mark says that their silence leaves. No command has such a name: there is a dot in it.
const NAME_SERVICES: &str = "name.services";

/// All that a command finds in its environment; sshd's own commands have the same PATH.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/bin:/bin:/usr/sbin:/sbin"), ("LANG", "C")];

/// What one command gave.
#[derive(Debug, Default, PartialEq, Eq)]
struct Gained {
    lines: String,
    kept: usize,
    dropped: usize,
}

/// Why a command gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The account is guarded.
    Guarded,
    /// Neither the host's own files nor its name services tell what the account is, so it may be guarded.
    UnknownAccount,
    /// It wants to be told the key, and sshd did not tell it.
    NoKeyOffered,
    /// It is not there.
    Missing,
    /// Others could have written it, or this user cannot look.
    Untrusted,
    /// It could not be started.
    NotStarted,
    /// It was still running at its deadline.
    Late,
    /// It stalled a moment ago, when it was asked about this account.
    Resting,
    /// The commands before it took all the time.
    NoTimeLeft,
    /// It printed more than it may.
    TooLong,
    /// It could not be read.
    Unreadable,
    /// It ended with this code.
    Exit(i32),
    /// It was ended by this signal.
    Signal(i32),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guarded => f.write_str("guarded"),
            Self::UnknownAccount => f.write_str("account-unknown"),
            Self::NoKeyOffered => f.write_str("no-key-offered"),
            Self::Missing => f.write_str("missing"),
            Self::Untrusted => f.write_str("file-untrusted"),
            Self::NotStarted => f.write_str("not-started"),
            Self::Late => f.write_str("timeout"),
            Self::Resting => f.write_str("stalled-before"),
            Self::NoTimeLeft => f.write_str("no-time-left"),
            Self::TooLong => f.write_str("output-too-long"),
            Self::Unreadable => f.write_str("output-unreadable"),
            Self::Exit(code) => write!(f, "exit-{code}"),
            Self::Signal(signal) => write!(f, "signal-{signal}"),
        }
    }
}

/// `answer`, and what the commands that are configured for `account` add to it. With `offered` that key alone.
pub fn extend(
    mut answer: Answer,
    state: &HostState,
    account: &Account,
    offered: Option<&Offered>,
    clock: Clock,
) -> Answer {
    // Whoever cannot tell which keys are revoked names none.
    let (Ok(config), Ok(revoked)) = (state.config(), state.revoked()) else { return answer };
    let wanted = wanted(config, account);
    if wanted.is_empty() || !answer.leaves_open(offered) {
        return answer;
    }
    // Never a shared account: those are guarded.
    let rules = config.keys.rules.iter().filter(|rule| rule.accounts.covers(account, false)).collect();
    let memory = Memory::open(&config.paths.lookups);
    let now = Instant::now();
    let end = now.checked_add(TOTAL).unwrap_or(now);
    let (offered, policy) = (offered.and_then(Offered::key), &config.rules);
    let question = Question { account, offered, rules, policy, revoked, clock, memory };
    let permitted = permitted(config, account, || question.name_services());
    for command in wanted {
        match permitted.and_then(|()| question.ask(command, end)) {
            Ok(Gained { lines, kept, dropped }) => {
                answer.add(&lines, format!("{}:keys={kept},dropped={dropped}", command.name));
            }
            Err(failure) => answer.add("", format!("{}:{failure}", command.name)),
        }
    }
    answer
}

fn wanted<'a>(config: &'a Config, account: &Account) -> Vec<&'a Chained> {
    config.keys.chain.iter().filter(|command| command.covers(account)).collect()
}

/// `answer` with a word on each command that [`extend`] would run for `account`, or why not. None is run.
pub fn foretell(mut answer: Answer, config: &Config, account: &Account) -> Answer {
    let permitted = permitted(config, account, || look_up(account).map_err(|_| Failure::UnknownAccount));
    for command in wanted(config, account) {
        let name = &command.name;
        let told = match (permitted, program(command)) {
            (Err(failure), _) => format!("{name}: not run ({failure})"),
            _ if !answer.leaves_open(None) => format!("{name}: not run ({})", answer.reason),
            (_, Err(refusal)) => format!("{name}: not run ({}): {refusal}", Failure::of(&refusal)),
            (_, Ok(program)) if command.wants_key() => {
                format!("{name}: sshd's run also asks {}, if sshd passes the key", program.display())
            }
            (_, Ok(program)) => format!("{name}: sshd's run also asks {}", program.display()),
        };
        answer.add("", told);
    }
    answer
}

/// The program of `command`, if nobody but root could have written it, by a path without links.
fn program(command: &Chained) -> Result<PathBuf, Refusal> {
    let path = trust::follow_directories(&command.program)?;
    trust::open(&path, Owner::Root).map(|_file| path)
}

/// Is `account` one that others may name keys for? Its uid and groups are those that pam_oncall judges by. This program
/// is linked statically and has no name services: /etc/passwd is read as text, and where that does not have the account,
/// which sssd, winbind or systemd-homed may have, `name_services` gives its line. Of an account that is nowhere, or
/// twice, nothing is known: it may be anything.
fn permitted(
    config: &Config,
    account: &Account,
    name_services: impl Fn() -> Result<Vec<u8>, Failure>,
) -> Result<(), Failure> {
    let read = |path| trust::read(Path::new(path), Owner::Root, LARGEST_TABLE);
    let (Ok(mut passwd), Ok(group)) = (read("/etc/passwd"), read("/etc/group")) else {
        return Err(Failure::UnknownAccount);
    };
    if !lists(&passwd, account.as_str()) {
        passwd = name_services()?;
    }
    let rules = &config.rules;
    let guarded = |facts| rules.guard("sshd", account.as_str(), facts).is_some();
    match facts_in(&passwd, &group, account.as_str(), &rules.privileged_groups) {
        // Nobody needs a shift to enter an exempt account: no other command may say who that is.
        Some(facts) if guarded(&facts) || rules.exempts(account.as_str()) => Err(Failure::Guarded),
        Some(_) => Ok(()),
        None => Err(Failure::UnknownAccount),
    }
}

/// What the host's name services say of `account`, as getent(1) prints it: they run in a separate process, which
/// ends when they have taken too long.
fn look_up(account: &Account) -> Result<Vec<u8>, Failure> {
    let path = trust::follow_directories(Path::new(GETENT)).map_err(|_| Failure::UnknownAccount)?;
    trust::open(&path, Owner::Root).map_err(|_| Failure::UnknownAccount)?;
    let now = Instant::now();
    let end = now.checked_add(LONGEST_LOOKUP).unwrap_or(now);
    match hear(&path, &["passwd".to_string(), account.to_string()], end, LONGEST_ENTRY) {
        Err(Failure::Late) => Err(Failure::Late),
        said => said.map_err(|_| Failure::UnknownAccount),
    }
}

/// What the commands are asked.
struct Question<'a> {
    account: &'a Account,
    offered: Option<&'a PublicKey>,
    /// What is asked of keys for this account, wherever they come from.
    rules: Vec<&'a KeyRule>,
    /// Which keys are programs'.
    policy: &'a Rules,
    /// Which keys the fleet has revoked.
    revoked: &'a Revoked,
    clock: Clock,
    /// Which commands stalled a moment ago.
    memory: Option<Memory>,
}

impl Question<'_> {
    /// Runs `command` and reads what it prints, until its own deadline and `end` at most.
    fn ask(&self, command: &Chained, end: Instant) -> Result<Gained, Failure> {
        let arguments: Vec<String> = command
            .arguments
            .iter()
            .map(|pieces| self.argument(pieces))
            .collect::<Option<_>>()
            .ok_or(Failure::NoKeyOffered)?;
        let program = program(command).map_err(|refusal| Failure::of(&refusal))?;
        if self.stalled(&command.name) {
            return Err(Failure::Resting);
        }
        let now = Instant::now();
        if now >= end {
            return Err(Failure::NoTimeLeft);
        }
        let own = Duration::from_secs(u64::try_from(command.timeout.as_seconds()).unwrap_or(0));
        let own_end = now.checked_add(own).unwrap_or(end);
        let said = hear(&program, &arguments, own_end.min(end), LONGEST_OUTPUT).inspect_err(|failure| {
            // One that had less than its own time has not shown that it stalls.
            if *failure == Failure::Late && own_end <= end {
                self.remember_stall(&command.name);
            }
        })?;
        Ok(self.choose(&said, &command.name))
    }

    /// What the host's name services say of the account, unless they said nothing a moment ago.
    fn name_services(&self) -> Result<Vec<u8>, Failure> {
        if self.stalled(NAME_SERVICES) {
            return Err(Failure::UnknownAccount);
        }
        look_up(self.account).map_err(|failure| {
            if failure == Failure::Late {
                self.remember_stall(NAME_SERVICES);
            }
            Failure::UnknownAccount
        })
    }

    /// sshd asks again for each key that is offered: one stall must not cost a deadline for each.
    fn stalled(&self, name: &str) -> bool {
        let memory = self.memory.as_ref();
        memory.is_some_and(|memory| memory.stalled(name, self.account, self.clock.now))
    }

    fn remember_stall(&self, name: &str) {
        if let Some(memory) = &self.memory {
            memory.mark_stalled(name, self.account, self.clock.later());
        }
    }

    /// An argument; `None` if it is about a key that sshd did not tell.
    fn argument(&self, pieces: &[Piece]) -> Option<String> {
        let word = |number| self.offered.and_then(|key| key.line().split(' ').nth(number).map(String::from));
        let text = |piece: &Piece| match piece {
            Piece::Text(text) => Some(text.clone()),
            Piece::Account => Some(self.account.to_string()),
            Piece::KeyType => word(0),
            Piece::KeyBase64 => word(1),
            Piece::Fingerprint => self.offered.map(PublicKey::fingerprint),
        };
        pieces.iter().map(text).collect()
    }

    /// The lines of `said` that are printed, written anew.
    fn choose(&self, said: &[u8], name: &str) -> Gained {
        let mut gained = Gained::default();
        for line in said.split(|&byte| byte == b'\n') {
            match Line::read(line) {
                Line::Nothing => {}
                Line::Key(foreign) => match self.ruled(&foreign) {
                    Some(line) => {
                        let _ = writeln!(gained.lines, "{line} chain:{name}");
                        gained.kept += 1;
                    }
                    None => gained.dropped += 1,
                },
                Line::Refused => gained.dropped += 1,
            }
        }
        gained
    }

    /// The line of a key that is wanted and that the rules let through. Their options come first: what comes
    /// behind them can only restrict further.
    fn ruled(&self, foreign: &ForeignKey) -> Option<String> {
        if self.offered.is_some_and(|offered| foreign.key != *offered) {
            return None;
        }
        // A program's key is good only from its own places, wherever else it is listed.
        let digest = foreign.key.sha256();
        if self.policy.automation(&digest).is_some() || self.revoked.key(&digest, self.clock.now).is_some() {
            return None;
        }
        let owner = rules::Owner::Person(self.account.owner());
        let candidate = Candidate { key: foreign.key.clone(), owner, standing: Standing::Own };
        let options = rules::apply(&self.rules, candidate, self.clock.now).ok()?.options;
        // sshd takes one from= in a line.
        if options.has_from() && foreign.has_from() {
            return None;
        }
        Some(match (options.is_empty(), foreign.is_restricted()) {
            (true, _) => foreign.to_string(),
            (false, true) => format!("{options},{foreign}"),
            (false, false) => format!("{options} {foreign}"),
        })
    }
}

impl Failure {
    fn of(refusal: &Refusal) -> Self {
        if refusal.is_missing() { Self::Missing } else { Self::Untrusted }
    }
}

/// All that a program printed which ended well.
fn hear(program: &Path, arguments: &[String], end: Instant, longest: u64) -> Result<Vec<u8>, Failure> {
    let mut child = Child::start(program, arguments, &ENVIRONMENT).map_err(|_| Failure::NotStarted)?;
    let said = child.listen(end, longest).map_err(|trouble| match trouble {
        Trouble::Late => Failure::Late,
        Trouble::Endless => Failure::TooLong,
        Trouble::Pipe(_) => Failure::Unreadable,
    })?;
    match child.ending(end) {
        Some(Ending::Exit(0)) => Ok(said),
        Some(Ending::Exit(code)) => Err(Failure::Exit(code)),
        Some(Ending::Signal(signal)) => Err(Failure::Signal(signal)),
        None => Err(Failure::Late),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Timestamp;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqnFMGpZIBdoJ51sSTzbGF+TPdJsyKHXxmErQvWJy5o";

    fn key() -> PublicKey {
        PublicKey::parse(KEY.as_bytes()).unwrap()
    }

    fn with<T>(offered: Option<&PublicKey>, action: impl FnOnce(&Question<'_>) -> T) -> T {
        let account = Account::new("ec2-user").unwrap();
        let (policy, revoked) = (Rules::compiled(), &Revoked::nobody());
        let clock = Clock { now: Timestamp::from_unix(0), start: Instant::now() };
        let rules = Vec::new();
        action(&Question { account: &account, offered, rules, policy: &policy, revoked, clock, memory: None })
    }

    #[test]
    fn arguments_are_filled_in_piece_by_piece() {
        let key = key();
        let text = |text: &str| Piece::Text(text.to_string());
        let filled =
            |offered: Option<&PublicKey>, pieces: &[Piece]| with(offered, |asked| asked.argument(pieces));
        assert_eq!(filled(None, &[]).as_deref(), Some(""));
        assert_eq!(filled(None, &[text("%u "), Piece::Account]).as_deref(), Some("%u ec2-user"));
        let all = [Piece::KeyType, text(" "), Piece::KeyBase64];
        assert_eq!(filled(Some(&key), &all).as_deref(), Some(KEY));
        assert_eq!(filled(Some(&key), &[Piece::Fingerprint]), Some(key.fingerprint()));
        for piece in [Piece::KeyType, Piece::KeyBase64, Piece::Fingerprint] {
            assert_eq!(filled(None, &[Piece::Account, piece]), None);
        }
    }

    #[test]
    fn whatever_a_command_says_each_line_is_a_key_of_this_name() {
        let keys = mutate::keys();
        let whole = keys.iter().map(|key| format!("no-pty {key} x\n# y\n{key}\n")).collect::<String>();
        let samples: [&[u8]; 2] = [whole.as_bytes(), KEY.as_bytes()];
        mutate::each(&samples, &["\n", "\r", "\n\n", KEY, OTHER, " chain:own", "restrict "], 1_000, |said| {
            let gained = with(None, |asked| asked.choose(said, "eic"));
            let lines = said.split(|byte| *byte == b'\n').count();
            assert!(gained.kept + gained.dropped <= lines && gained.lines.lines().count() == gained.kept);
            assert!(gained.lines.len() <= said.len() + lines * 48);
            for line in gained.lines.lines() {
                let line = line.strip_suffix(" chain:eic").expect("whose it is");
                assert!(matches!(Line::read(line.as_bytes()), Line::Key(_)), "{line}");
            }
        });
    }

    #[test]
    fn lines_are_written_anew_and_the_rest_is_counted() {
        let said = format!("# x\n\n{KEY} me\ncommand=\"id\" {KEY}\nno-pty {OTHER} command=\nx\n{KEY}");
        let gained = with(None, |asked| asked.choose(said.as_bytes(), "eic"));
        assert_eq!(gained.lines, format!("{KEY} chain:eic\nno-pty {OTHER} chain:eic\n{KEY} chain:eic\n"));
        assert_eq!((gained.kept, gained.dropped), (3, 2));
        let gained = with(Some(&key()), |asked| asked.choose(said.as_bytes(), "eic"));
        assert_eq!(gained.lines, format!("{KEY} chain:eic\n").repeat(2));
        assert_eq!((gained.kept, gained.dropped), (2, 3));
    }
}
