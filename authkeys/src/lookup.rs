//! Which keys open an account: all of them or none, and why.

use std::fmt;

use host::audit::Line;
use host::config::{Directory, KeyRule};
use host::revoked::{self, Unreadable};
use host::{Config, FileError};
use policy::{Account, Decision, Principal, Reason, Revoked, Span, Timestamp};
use store::keys::{KeyCopy, MOST_KEYS};
use store::lookups::Known;
use store::{KeyProblem, PublicKey, Rejected, StoreError};

use crate::live::LiveError;
use crate::person::{self, Clock, Found, Origin};
use crate::rules::{self, Candidate, Dropped, Printed, Standing};
use crate::shared;

/// The most lines of one answer: a shared account has many owners of few keys.
const MOST_LINES: usize = 1024;

/// A known answer: what is printed, and why nothing else is.
#[derive(Debug)]
pub struct Answer {
    /// The keys that are printed, each with the person whose it is.
    pub printed: Vec<Printed>,
    /// The keys that a rule keeps back.
    pub dropped: Vec<Dropped>,
    /// For a shared account whose keys these are, and what that rests on.
    pub people: Vec<(Principal, Decision)>,
    /// The directory's values that are no keys; `None` if nobody remembers.
    pub rejected: Option<Vec<(Principal, Rejected)>>,
    /// Where it came from.
    pub origin: Origin,
    /// The token for the log.
    pub reason: &'static str,
    /// Fields for the log.
    pub evidence: Vec<(&'static str, String)>,
    /// Lines of other commands.
    pub chained: String,
}

/// Why the answer is not known.
#[derive(Debug)]
pub enum Problem {
    /// The account's name cannot be looked up.
    Name(policy::NameError),
    /// `TYPE KEY` is no key.
    Offer(&'static str),
    /// The configuration says nothing that can be followed.
    Config(FileError),
    /// The configuration names no directory.
    NoDirectory,
    /// Who is revoked on this host cannot be told, so this person may be.
    Revoked(Unreadable),
    /// A copy is missing or not believed.
    Store(StoreError),
    /// The directory does not answer, and what it said before is not believed, or there is nothing of it.
    Unknown(Option<StoreError>, LiveError),
    /// The roster does not tell who may enter a shared account.
    Undecided(Reason),
    /// More keys than are printed; the number and the limit.
    TooMany(usize, usize),
}

impl Problem {
    /// The token for the log.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::Offer(_) => "bad-user",
            Self::Config(FileError::File(refusal)) if !refusal.is_missing() => "file-untrusted",
            Self::Config(_) | Self::NoDirectory => "config-invalid",
            Self::Revoked(_) => Reason::RevokedUnreadable.token(),
            Self::Store(error) => Reason::from(error.fault()).token(),
            // That nothing was there before is no news.
            Self::Unknown(None | Some(StoreError::Missing(_)), live) => live.reason,
            Self::Unknown(Some(copy), _) => Reason::from(copy.fault()).token(),
            Self::Undecided(reason) => reason.token(),
            Self::TooMany(..) => "too-many-keys",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => write!(f, "not a name that is looked up: {error}"),
            Self::Offer(what) => f.write_str(what),
            Self::Config(error) => error.fmt(f),
            Self::NoDirectory => f.write_str("config.toml has no [directory]; say where people are"),
            Self::Revoked(unreadable) => unreadable.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Unknown(None, live) => f.write_str(&live.text),
            Self::Unknown(Some(copy), live) => write!(f, "{}; and {copy}", live.text),
            Self::Undecided(reason) => {
                write!(f, "cannot tell who may enter this shared account ({reason}); see `oncall-cache who`")
            }
            Self::TooMany(count, limit) => {
                write!(
                    f,
                    "{count} keys, limit {limit}; let sshd pass `%t %k`, or remove keys from the directory"
                )
            }
        }
    }
}

impl Answer {
    /// The lines for sshd, each `TYPE BASE64 PERSON`, behind options if a rule or `explain` adds them; and those
    /// of other commands.
    pub fn text(&self) -> String {
        let line = |Printed { candidate, options }: &Printed| {
            let blank = if options.is_empty() { "" } else { " " };
            format!("{options}{blank}{} {}\n", candidate.key.line(), candidate.owner)
        };
        self.printed.iter().map(line).chain([self.chained.clone()]).collect()
    }

    /// May another command have more to say? Not about a person whom the directory or this host has shut out, nor about a
    /// key that opens nothing, or is in the answer already, or that a rule keeps back.
    pub fn leaves_open(&self, offered: Option<&Offered>) -> bool {
        let answered = match offered {
            None => false,
            Some(Offered::Unacceptable) => true,
            Some(Offered::Key(_)) => !self.printed.is_empty() || !self.dropped.is_empty(),
        };
        let shut_out = ["account-disabled", "revoked"].contains(&self.reason);
        !shut_out && !answered
    }

    /// Adds the lines of another command, and what it did for the log.
    pub fn add(&mut self, lines: &str, did: String) {
        self.chained.push_str(lines);
        self.evidence.push(("chain", did));
    }

    fn of(&self, told: bool) -> impl Iterator<Item = &Candidate> {
        let candidates = self.printed.iter().map(|printed| &printed.candidate);
        candidates.filter(move |candidate| (candidate.standing == Standing::Told) == told)
    }

    /// How many keys open the account.
    pub fn opening(&self) -> usize {
        self.of(false).count()
    }

    /// The audit line.
    pub fn line(&self, user: &str) -> Line {
        let distinct = |told| {
            let mut owners: Vec<&str> = self.of(told).map(|candidate| candidate.owner.as_str()).collect();
            owners.dedup();
            owners.join(",")
        };
        let dropped = Some(self.dropped.len()).filter(|&count| count > 0);
        let line = Line::new(user, "known", self.reason)
            .field("keys", &self.opening().to_string())
            .field("owners", &distinct(false))
            .field("told", &distinct(true))
            .field("dropped", &dropped.map(|count| count.to_string()).unwrap_or_default());
        self.evidence.iter().fold(line, |line, (name, value)| line.field(name, value))
    }
}

/// The key that sshd says is offered, from `%t %k`.
///
/// A certificate, or a type that is not accepted, is no mistake of usage: such a key opens nothing, and
/// the answer without it is the whole one.
pub fn offered(kind: Option<&str>, key: Option<&str>) -> Result<Option<Offered>, Problem> {
    let (Some(kind), Some(key)) = (kind, key) else { return Ok(None) };
    match PublicKey::parse_words(kind, key) {
        Ok(key) => Ok(Some(Offered::Key(key))),
        Err(KeyProblem::TypeNotAccepted | KeyProblem::WeakRsa) => Ok(Some(Offered::Unacceptable)),
        Err(_) => Err(Problem::Offer("TYPE KEY is not a public key; in sshd_config write `%u %t %k`")),
    }
}

/// What sshd says is offered.
#[derive(Debug)]
pub enum Offered {
    /// This key.
    Key(PublicKey),
    /// A key that opens nothing.
    Unacceptable,
}

impl Offered {
    /// The key, unless it opens nothing.
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Unacceptable => None,
        }
    }

    fn matches(&self, other: &PublicKey) -> bool {
        self.key() == Some(other)
    }
}

/// The keys that open `account` now; with `offered` only that one, if it is among them.
pub fn answer(
    config: &Config,
    account: &Account,
    offered: Option<&Offered>,
    clock: Clock,
) -> Result<Answer, Problem> {
    let directory = config.directory.as_ref().ok_or(Problem::NoDirectory)?;
    let revoked = revoked::read(&config.paths.revoked);
    if config.rules.shared(account.as_str()).is_some() {
        let revoked = revoked.map_err(Problem::Revoked)?;
        return shared_answer(config, directory, account, &revoked, offered, clock.now);
    }
    if revoked.as_ref().is_ok_and(|revoked| revoked.names(&account.owner())) {
        return Ok(Answer::none("revoked"));
    }
    if config.rules.exempts(account.as_str()) {
        // Whoever enters it needs no shift, so its keys are this host's own files' matter: a directory
        // entry of that name must not be a way round the rota.
        return Ok(Answer::none("exempt"));
    }
    revoked.map_err(Problem::Revoked)?;
    let owner = account.owner();
    let Found { known, stale, origin, rejected, evidence } = person::find(config, directory, &owner, clock)?;
    let own = |key| Candidate { key, owner: owner.clone(), standing: Standing::Own };
    let mut answer = match known {
        Known::Keys(keys) => {
            select(config, account, keys.into_iter().map(own).collect(), offered, clock.now)?
        }
        Known::Disabled => Answer::none("account-disabled"),
        Known::Absent => Answer::none("no-such-user"),
    };
    if stale && answer.reason == "keys" {
        answer.reason = "keys-stale";
    }
    let theirs = |values: Vec<Rejected>| values.into_iter().map(|value| (owner.clone(), value)).collect();
    Ok(Answer { origin, rejected: rejected.map(theirs), evidence, ..answer })
}

fn shared_answer(
    config: &Config,
    directory: &Directory,
    account: &Account,
    revoked: &Revoked,
    offered: Option<&Offered>,
    now: Timestamp,
) -> Result<Answer, Problem> {
    let scope = config.copy_scope(directory);
    let mut age = Span::seconds(0);
    let open = || {
        let copy = KeyCopy::open(&config.paths.keys, &scope, config.keys.stale_for, now);
        copy.inspect(|copy| age = now.since(copy.synced())).map_err(Problem::Store)
    };
    let shared::Owned { keys, people, rejected } = shared::keys(config, account, revoked, open, now)?;
    let answer = select(config, account, keys, offered, now)?;
    Ok(Answer { people, origin: Origin::Copy(age), rejected: Some(rejected), ..answer })
}

impl Answer {
    fn none(reason: &'static str) -> Self {
        Self {
            printed: Vec::new(),
            dropped: Vec::new(),
            people: Vec::new(),
            rejected: None,
            origin: Origin::Compiled,
            reason,
            evidence: Vec::new(),
            chained: String::new(),
        }
    }
}

/// Those of `keys` that are printed, each as the rules for `account` want it.
fn select(
    config: &Config,
    account: &Account,
    mut keys: Vec<Candidate>,
    offered: Option<&Offered>,
    now: Timestamp,
) -> Result<Answer, Problem> {
    if let Some(offered) = offered {
        keys.retain(|candidate| offered.matches(&candidate.key));
    }
    let is_shared = config.rules.shared(account.as_str()).is_some();
    let covering: Vec<&KeyRule> =
        config.keys.rules.iter().filter(|rule| rule.accounts.covers(account, is_shared)).collect();
    let mut answer = Answer::none("no-keys");
    for candidate in keys {
        match rules::apply(&covering, candidate, now) {
            Ok(printed) => answer.printed.push(printed),
            Err(dropped) => answer.dropped.push(dropped),
        }
    }
    let (opening, limit) = (answer.opening(), if is_shared { MOST_LINES } else { MOST_KEYS });
    if opening > limit {
        return Err(Problem::TooMany(opening, limit));
    }
    // Those who are only told come last, and take nothing from the others.
    answer.printed.truncate(limit);
    if opening > 0 {
        answer.reason = "keys";
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    fn selected(config: &str, account: &str, standings: &[(Standing, usize)]) -> Result<Answer, Problem> {
        let config = Config::parse(Path::new("/c"), config.as_bytes()).unwrap();
        let (key, owner) = (PublicKey::parse(KEY.as_bytes()).unwrap(), Principal::new("alice").unwrap());
        let keys = standings.iter().flat_map(|&(standing, count)| {
            std::iter::repeat_n(Candidate { key: key.clone(), owner: owner.clone(), standing }, count)
        });
        select(&config, &Account::new(account).unwrap(), keys.collect(), None, Timestamp::from_unix(0))
    }

    #[test]
    fn who_is_only_told_never_crowds_out_who_is_admitted() {
        let shared = "[[policy.shared]]\naccount = 'root'\nexplain = true";
        let answer =
            selected(shared, "root", &[(Standing::Admitted(None), 3), (Standing::Told, 2000)]).unwrap();
        assert_eq!((answer.opening(), answer.printed.len(), answer.reason), (3, MOST_LINES, "keys"));
        let answer = selected(shared, "root", &[(Standing::Told, 5)]).unwrap();
        assert_eq!((answer.opening(), answer.printed.len(), answer.reason), (0, 5, "no-keys"));
        let many = selected(shared, "root", &[(Standing::Admitted(None), MOST_LINES + 1)]);
        assert!(matches!(many, Err(Problem::TooMany(1025, 1024))));
    }

    #[test]
    fn what_a_rule_keeps_back_does_not_count_against_the_limit() {
        let own = [(Standing::Own, MOST_KEYS + 1)];
        assert!(matches!(selected("", "alice", &own), Err(Problem::TooMany(65, 64))));
        let rule = "[[keys.rule]]\naccounts = ['alice']\nsk_only = true";
        let answer = selected(rule, "alice", &own).unwrap();
        assert_eq!(
            (answer.printed.len(), answer.dropped.len(), answer.reason),
            (0, MOST_KEYS + 1, "no-keys")
        );
    }
}
