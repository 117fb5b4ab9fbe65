//! Which keys open an account: all of them or none, and why.

use std::path::PathBuf;

use host::Config;
use host::config::{Directory, KeyRule, KeysSource};
use policy::{Account, Decision, Digest, Granted, Principal, Span, Timestamp};
use record::Line;
use state::HostState;
use store::keys::{MOST_KEYS, Refused, Which};
use store::lookups::Known;
use store::{PublicKey, Rejected};

use crate::automation::Programs;
use crate::offered::Offered;
use crate::person::{self, Clock, Found, Origin};
use crate::problem::Problem;
use crate::reason::Outcome;
use crate::rules::{self, Candidate, Dropped, Owner, Printed, Standing, Why};
use crate::shared::{self, MOST_LINES};

/// A known answer: what is printed, and why nothing else is.
#[derive(Debug)]
pub struct Answer {
    /// The keys that are printed, each with the person whose it is.
    pub printed: Vec<Printed>,
    /// The keys that are kept back.
    pub dropped: Vec<Dropped>,
    /// What else people should know who ask.
    pub remarks: Vec<String>,
    /// For a shared account whose keys these are, and what that rests on.
    pub people: Vec<(Principal, Decision)>,
    /// The directory's values that are no keys; `None` if nobody remembers, or nobody asked the copy.
    pub rejected: Option<Vec<Refused>>,
    /// Where it came from.
    pub origin: Origin,
    /// What it comes to.
    pub reason: Outcome,
    /// Fields for the log.
    pub evidence: Vec<(&'static str, String)>,
    /// Lines of other commands.
    pub chained: String,
}

impl Answer {
    /// The lines for sshd, each `TYPE BASE64 PERSON`, behind options if a rule or `explain_refusals` adds them; and those
    /// of other commands.
    pub fn text(&self) -> String {
        let line = |Printed { candidate, options }: &Printed| {
            let blank = if options.is_empty() { "" } else { " " };
            format!("{options}{blank}{} {}\n", candidate.key.line(), candidate.owner)
        };
        self.printed.iter().map(line).chain([self.chained.clone()]).collect()
    }

    /// May another command have more to say? Not about a person whom the directory or this host has blocked, nor about a
    /// key that opens nothing, or is in the answer already, or that a rule keeps back.
    pub fn leaves_open(&self, offered: Option<&Offered>) -> bool {
        let answered = match offered {
            None => false,
            Some(Offered::Unacceptable) => true,
            Some(Offered::Key(_)) => !self.printed.is_empty() || !self.dropped.is_empty(),
        };
        !self.reason.is_shut_out() && !answered
    }

    /// Adds the lines of another command, and what it did for the log.
    pub fn add(&mut self, lines: &str, did: String) {
        self.chained.push_str(lines);
        self.evidence.push(("chain", did));
    }

    /// The same with one more field for the log.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.evidence.push((name, value.to_string()));
        self
    }

    fn of(&self, told: bool) -> impl Iterator<Item = &Candidate> {
        let candidates = self.printed.iter().map(|printed| &printed.candidate);
        candidates.filter(move |candidate| (candidate.standing == Standing::Told) == told)
    }

    /// Those whose keys are nobody's, because several of them have one.
    fn ambiguous(&self) -> String {
        let mut people: Vec<Principal> = Vec::new();
        for dropped in &self.dropped {
            if let Why::Owners(owners) = &dropped.why {
                people.extend(
                    owners.iter().filter(|owner| !people.contains(owner)).cloned().collect::<Vec<_>>(),
                );
            }
        }
        Principal::list(&people, ",")
    }

    /// How many keys open the account.
    pub fn opening(&self) -> usize {
        self.of(false).count()
    }

    /// The audit line.
    pub fn line(&self, user: &str) -> Line {
        let distinct = |told| {
            let person = |candidate: &Candidate| match &candidate.owner {
                Owner::Person(person) => Some(person.to_string()),
                Owner::Automation(_) => None,
            };
            let mut owners: Vec<String> = self.of(told).filter_map(person).collect();
            owners.dedup();
            owners.join(",")
        };
        let counted = |count: usize| Some(count).filter(|&count| count > 0).map(|count| count.to_string());
        let programs = self.of(false).filter(|one| matches!(one.owner, Owner::Automation(_))).count();
        let line = Line::new(user, "known", self.reason)
            .field("keys", &self.opening().to_string())
            .field("owners", &distinct(false))
            .field("told", &distinct(true))
            .field("automation", &counted(programs).unwrap_or_default())
            .field("dropped", &counted(self.dropped.len()).unwrap_or_default())
            .field("ambiguous", &self.ambiguous());
        self.evidence.iter().fold(line, |line, (name, value)| line.field(name, value))
    }
}

/// May the caller read what an answer is made from? One who may not would get another answer than sshd, or none.
pub fn may_explain(config: &Config) -> Result<(), Problem> {
    let read = match config.keys.source {
        KeysSource::Copy => vec![&config.paths.keys],
        KeysSource::Live => vec![&config.paths.keys, &config.paths.lookups],
    };
    let denied =
        |path: &&PathBuf| trust::open(path, trust::Owner::Service).is_err_and(|refusal| refusal.is_denied());
    match read.into_iter().find(denied) {
        Some(path) => Err(Problem::Denied(path.clone())),
        None => Ok(()),
    }
}

/// The keys that open `account` now; with `offered` only that one, if it is among them.
pub fn answer(
    state: &HostState,
    account: &Account,
    offered: Option<&Offered>,
    clock: Clock,
) -> Result<Answer, Problem> {
    let config = state.config()?;
    let shared = config.rules.shared(account.as_str()).is_some();
    let revoked = match state.revoked() {
        Ok(revoked) if !shared && revoked.names(&account.owner(), clock.now) => {
            return Ok(Answer::none(Outcome::Revoked));
        }
        Ok(revoked) => revoked,
        // An account that is open whatever happens stays open.
        Err(_) if !shared && config.rules.exempts(account.as_str()) => {
            return Ok(Answer::none(Outcome::Exempt));
        }
        Err(unreadable) => return Err(unreadable.into()),
    };
    let reached = host::clock::reached([&config.paths.roster, &config.paths.keys], clock.now);
    let programs = Programs::new(&config.rules, account, revoked, reached);
    let question = Question { state, config, account, offered, programs };
    match question.with_directory(clock) {
        // What config.toml says of this key, or of an account that no directory is named for, is all there is.
        Err(problem) if question.needs_no_directory(&problem) => {
            question.without_directory(&problem, clock.now)
        }
        answer => answer,
    }
}

/// `answer` with the values of the copy that are no keys, for those who ask why; sshd does not.
pub fn with_rejected(
    mut answer: Answer,
    config: &Config,
    account: &Account,
    now: Timestamp,
) -> Result<Answer, Problem> {
    let (Origin::Copy(_), Some(directory)) = (answer.origin, &config.directory) else { return Ok(answer) };
    let owners = match config.rules.shared(account.as_str()) {
        Some(_) => answer.people.iter().map(|(person, _)| person.clone()).collect(),
        None => vec![account.owner()],
    };
    let copy = person::open_copy(config, directory, now).map_err(Problem::Store)?;
    let mut rejected = Vec::new();
    for owner in owners {
        rejected.extend(copy.refused_of(&owner).map_err(Problem::Store)?);
    }
    answer.rejected = Some(rejected);
    Ok(answer)
}

struct Question<'a> {
    state: &'a HostState,
    config: &'a Config,
    account: &'a Account,
    offered: Option<&'a Offered>,
    programs: Programs<'a>,
}

impl Question<'_> {
    fn with_directory(&self, clock: Clock) -> Result<Answer, Problem> {
        let directory = self.config.directory.as_ref().ok_or(Problem::NoDirectory)?;
        if self.config.rules.shared(self.account.as_str()).is_some() {
            return self.of_shared(directory, clock.now);
        }
        if self.config.rules.exempts(self.account.as_str()) {
            // Nobody needs a shift to enter it, so its keys come from this host's own files alone: a directory
            // entry of that name must not be a way round the rota.
            return Ok(Answer::none(Outcome::Exempt));
        }
        self.of_person(directory, clock)
    }

    fn needs_no_directory(&self, problem: &Problem) -> bool {
        let unnamed = matches!(problem, Problem::NoDirectory) && self.programs.are_listed();
        let by_grant =
            || self.granted().iter().any(|one| self.offered.is_some_and(|it| it.matches(&one.key)));
        unnamed || self.programs.decide(self.offered) || by_grant()
    }

    fn without_directory(&self, problem: &Problem, now: Timestamp) -> Result<Answer, Problem> {
        let mut answer = self.select(self.granted(), now)?;
        answer.origin = Origin::Configuration;
        if !matches!(problem, Problem::NoDirectory) {
            answer.evidence.push(("without", problem.reason().to_string()));
            answer.evidence.push(("problem", problem.to_string()));
        }
        Ok(answer)
    }

    fn of_person(&self, directory: &Directory, clock: Clock) -> Result<Answer, Problem> {
        let owner = self.account.owner();
        let Found { known, stale, origin, rejected, evidence } =
            person::find(self.config, directory, &owner, clock)?;
        let own = |key| Candidate { key, owner: Owner::Person(owner.clone()), standing: Standing::Own };
        let mut answer = match known {
            Known::Keys(keys) => {
                self.select(self.with_granted(keys.into_iter().map(own).collect()), clock.now)?
            }
            // Nobody enters an account that is shut, programs neither.
            Known::Disabled => Answer::none(Outcome::AccountDisabled),
            Known::Absent => match self.select(Vec::new(), clock.now)? {
                nothing if nothing.printed.is_empty() => Answer { reason: Outcome::NoSuchUser, ..nothing },
                programs => programs,
            },
        };
        if stale && answer.reason == Outcome::Keys {
            answer.reason = Outcome::StaleKeys;
        }
        let refused = |Rejected { number, problem }| {
            let (principal, which) = (owner.clone(), Which::Value(number));
            Refused { principal, which, problem }
        };
        let theirs = |values: Vec<Rejected>| values.into_iter().map(refused).collect();
        Ok(Answer { origin, rejected: rejected.map(theirs), evidence, ..answer })
    }

    fn of_shared(&self, directory: &Directory, now: Timestamp) -> Result<Answer, Problem> {
        let Self { state, config, account, offered, .. } = self;
        let mut age = Span::seconds(0);
        let open = || {
            let copy = person::open_copy(config, directory, now);
            copy.inspect(|copy| age = now.since(copy.synced())).map_err(Problem::Store)
        };
        let wanted = self.programs.wanted();
        let (offered, wanted) = (*offered, wanted.as_slice());
        let question = shared::Question { state, account, offered, wanted, now };
        let shared::Owned { mut keys, dropped, found, people, undecided } = shared::keys(&question, open)?;
        keys.extend(found.into_iter().map(|key| self.programs.own(key)));
        let mut answer = self.select(self.with_granted(keys), now)?;
        match undecided {
            Some(reason) if answer.printed.is_empty() => return Err(Problem::Undecided(reason)),
            Some(reason) if answer.opening() == 0 => answer.reason = Outcome::Undecided(reason),
            _ => {}
        }
        let asked = |one: &Dropped| self.offered.is_none_or(|offered| offered.matches(&one.candidate.key));
        answer.dropped.extend(dropped.into_iter().filter(asked));
        Ok(Answer { people, origin: Origin::Copy(age), ..answer })
    }

    /// The keys in the grants that open this account: a personal one to its owner alone.
    fn granted(&self) -> Vec<Candidate> {
        let (rules, account) = (&self.config.rules, self.account);
        let is_shared = rules.shared(account.as_str()).is_some();
        let is_meant = |grant: &&Granted| {
            !rules.exempts(account.as_str()) && (is_shared || grant.person == account.owner())
        };
        let candidate = |grant: &Granted| {
            let key = PublicKey::parse(grant.key.as_ref()?.as_bytes()).ok()?;
            let owner = Owner::Person(grant.person.clone());
            Some(Candidate { key, owner, standing: Standing::Admitted(Some(grant.window.end())) })
        };
        let people = |grant: &&Granted| rules.lists(account.as_str(), &grant.person);
        self.state.grants().iter().filter(is_meant).filter(people).filter_map(candidate).collect()
    }

    /// `keys`, and those in grants that are not among the ones that open the account anyway.
    fn with_granted(&self, mut keys: Vec<Candidate>) -> Vec<Candidate> {
        for granted in self.granted() {
            let is_there = |one: &Candidate| one.key == granted.key && one.standing != Standing::Told;
            if !keys.iter().any(is_there) {
                keys.retain(|one| one.key != granted.key);
                keys.push(granted);
            }
        }
        keys
    }

    /// Those of `keys` that are printed, each as the rules for the account want it, and those of programs.
    fn select(&self, keys: Vec<Candidate>, now: Timestamp) -> Result<Answer, Problem> {
        let (mut keys, mut dropped) = self.programs.sort(keys);
        if let Some(offered) = self.offered {
            keys.retain(|candidate| offered.matches(&candidate.key));
            dropped.retain(|dropped| offered.matches(&dropped.candidate.key));
        }
        let mut answer = Answer { dropped, ..Answer::none(Outcome::NoKeys) };
        answer.print(self.config, self.account, keys, now)?;
        let is_printed = |key: &Digest| answer.printed.iter().any(|one| one.candidate.key.sha256() == *key);
        answer.remarks = self.programs.remarks(is_printed);
        Ok(answer)
    }
}

impl Answer {
    /// No key.
    pub fn none(reason: Outcome) -> Self {
        Self {
            printed: Vec::new(),
            dropped: Vec::new(),
            remarks: Vec::new(),
            people: Vec::new(),
            rejected: None,
            origin: Origin::Configuration,
            reason,
            evidence: Vec::new(),
            chained: String::new(),
        }
    }

    /// Prints those of `keys` that the rules for `account` let through, each behind their options.
    pub fn print(
        &mut self,
        config: &Config,
        account: &Account,
        keys: Vec<Candidate>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let is_shared = config.rules.shared(account.as_str()).is_some();
        let covering: Vec<&KeyRule> =
            config.keys.rules.iter().filter(|rule| rule.accounts.covers(account, is_shared)).collect();
        // Those who are only told come last, and take nothing from the others.
        let (told, opening): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|candidate| candidate.standing == Standing::Told);
        for candidate in opening.into_iter().chain(told) {
            match rules::apply(&covering, candidate, now) {
                Ok(printed) => self.printed.push(printed),
                Err(dropped) => self.dropped.push(dropped),
            }
        }
        let (opening, limit) = (self.opening(), if is_shared { MOST_LINES } else { MOST_KEYS });
        if opening > limit {
            return Err(Problem::TooMany(opening, limit));
        }
        self.printed.truncate(limit);
        if opening > 0 {
            self.reason = Outcome::Keys;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Revoked, Switch};
    use state::StateError;
    use std::path::Path;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    fn selected(config: &str, account: &str, standings: &[(Standing, usize)]) -> Result<Answer, Problem> {
        let config = Config::parse(Path::new("/c"), config.as_bytes()).unwrap();
        let key = PublicKey::parse(KEY.as_bytes()).unwrap();
        let owner = Owner::Person(Principal::new("alice").unwrap());
        let keys = standings.iter().flat_map(|(standing, count)| {
            let (key, owner, standing) = (key.clone(), owner.clone(), standing.clone());
            std::iter::repeat_n(Candidate { key, owner, standing }, *count)
        });
        let (account, now) = (Account::new(account).unwrap(), Timestamp::from_unix(0));
        let state =
            HostState::of(config, Ok(Revoked::nobody()), Ok(Switch::untouched()), Err(StateError::NotAsked));
        let (config, revoked) = (state.config().unwrap(), state.revoked().unwrap());
        let programs = Programs::new(&config.rules, &account, revoked, now);
        let question = Question { state: &state, config, account: &account, offered: None, programs };
        question.select(keys.collect(), now)
    }

    #[test]
    fn who_is_only_told_never_crowds_out_who_is_admitted() {
        let shared = "[[policy.shared_account]]\naccount = 'root'\nexplain_refusals = true";
        let answer =
            selected(shared, "root", &[(Standing::Admitted(None), 3), (Standing::Told, 2000)]).unwrap();
        assert_eq!((answer.opening(), answer.printed.len(), answer.reason), (3, MOST_LINES, Outcome::Keys));
        let answer = selected(shared, "root", &[(Standing::Told, 5)]).unwrap();
        assert_eq!((answer.opening(), answer.printed.len(), answer.reason), (0, 5, Outcome::NoKeys));
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
            (0, MOST_KEYS + 1, Outcome::NoKeys)
        );
    }
}
