//! `check` and `why`: the same decision that PAM takes, printed with its evidence.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use host::audit::Escaped;
use host::{Config, accounts, revoked, switch};
use jiff::tz::TimeZone;
use policy::{
    Automation, Decision, Evidence, Fault, Ground, Login, Mode, ModeSource, NameError, OneLine, Person,
    Principal, Reason, Refusal, Revoked, Roster, Rules, Subject, Switch, Timestamp, Verdict, Window, decide,
    mode_in_force, stretches, told_on_call,
};
use serde_json::{Value, json};
use store::StoreError;
use store::roster::{self, Part};

use crate::advice;
use crate::cli::Question;
use crate::identity::Mappings;
use crate::when::When;

/// A question with its answer.
#[derive(Debug)]
pub struct Answer {
    person: String,
    account: String,
    service: String,
    host: String,
    mode: Mode,
    /// Where the mode comes from, if not from the configuration alone.
    mode_by: Option<String>,
    at: Timestamp,
    decision: Decision,
    /// Who is on call and until when, if that is known.
    on_call: Option<Vec<(String, Timestamp)>>,
    /// Whom the roster shows for now, believed or not.
    last_known: Vec<(String, Timestamp)>,
    eligible: Option<bool>,
    revoked: Option<bool>,
    mappings: Vec<String>,
    refusal: String,
    /// That no rule covers this host, if so.
    uncovered: Option<String>,
    /// What the answer is at the instant at which it next changes.
    then: Option<(Verdict, Reason)>,
    /// Why the roster, or the list of those who are revoked, is not believed, for those who may read file names.
    fault: Option<String>,
}

/// What this host knows, as PAM would find it.
#[derive(Debug)]
pub struct World {
    /// The rules of the configuration, or the compiled ones if it cannot be read.
    pub rules: Rules,
    /// Why it cannot.
    pub config_problem: Option<String>,
    /// The roster, or why it is not believed: for the decision, and in words.
    pub roster: Result<Roster, (Fault, String)>,
    /// Who is revoked, or why that cannot be told.
    pub revoked: Result<Revoked, (Fault, String)>,
    /// What root has said about enforcing, or why that cannot be told.
    pub switch: Result<Switch, String>,
    /// How the person in question was found.
    pub mappings: Mappings,
}

impl World {
    /// Reads the configuration at `path`, and what it names, to tell how it is at `at`.
    pub fn load(path: &Path, at: Timestamp) -> Self {
        Self::with_roster(path, |config| {
            (as_of(at, |now| roster::read(&config.paths.roster, now)), Mappings::default())
        })
    }

    /// The same, of the roster only what it says about whoever is called so, and who is on call at `at`.
    pub fn load_about(path: &Path, name: &str, at: Timestamp) -> Self {
        Self::with_roster(path, |config| {
            let (schedules, person) = (config.rules.schedules(), config.rules.person_of(name).ok());
            let part = Part { schedules: &schedules, people: person.as_slice(), on_call: Some(at) };
            let mappings = person.as_ref().map(|person| Mappings::read(config, person)).unwrap_or_default();
            (as_of(at, |now| roster::read_part(&config.paths.roster, part, now)), mappings)
        })
    }

    fn with_roster(
        path: &Path,
        read: impl FnOnce(&Config) -> (Result<Roster, StoreError>, Mappings),
    ) -> Self {
        let revoked = revoked::read(&Config::revoked_beside(path))
            .map_err(|unreadable| (unreadable.fault(), unreadable.to_string()));
        let config = Config::load(path).map_err(|error| error.to_string());
        let config_problem = config.as_ref().err().cloned();
        let (rules, roster, mappings) = match config {
            Ok(config) => {
                let (roster, mappings) = read(&config);
                let roster = roster.map_err(|error| (error.fault(), error.to_string()));
                (config.rules, roster, mappings)
            }
            Err(problem) => (Rules::compiled(), Err((Fault::Config, problem)), Mappings::default()),
        };
        let switch = switch::read(&switch::beside(path)).map_err(|unreadable| unreadable.to_string());
        Self { rules, config_problem, roster, revoked, switch, mappings }
    }

    /// The person whose account is called so, or who is.
    pub fn person(&self, name: &str) -> Result<Principal, NameError> {
        self.rules.person_of(name)
    }

    /// What follows from decisions at `at`, and where that comes from.
    pub fn mode(&self, at: Timestamp) -> (Mode, ModeSource<'_>) {
        mode_in_force(self.rules.mode, self.switch.as_ref().ok(), at)
    }

    /// The same for a decision.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            roster: self.roster.as_ref().map_err(|(fault, _)| *fault),
            revoked: self.revoked.as_ref().map_err(|(fault, _)| *fault),
        }
    }

    /// Eligible people with a shift at `at`, whatever its age: for the eye, never for a decision.
    fn last_known(&self, at: Timestamp) -> Vec<(String, Timestamp)> {
        let Ok(roster) = &self.roster else { return Vec::new() };
        let shifts = roster.shifts.iter().filter(|shift| shift.window.contains(at));
        let people: BTreeSet<&Principal> = shifts
            .map(|shift| &shift.principal)
            .filter(|person| roster.is_eligible(person))
            .filter(|person| !self.revoked.as_ref().is_ok_and(|revoked| revoked.names(person)))
            .collect();
        let until = |person: &&Principal| {
            let own = roster.shifts.iter().filter(|shift| shift.principal == **person);
            let all = stretches(own.map(|shift| shift.window));
            all.into_iter().find(|stretch| stretch.contains(at)).map(Window::end)
        };
        people.iter().filter_map(|person| Some((person.to_string(), until(person)?))).collect()
    }

    /// Why a decision cannot tell, in words.
    fn problem(&self, reason: Reason) -> Option<String> {
        let text = match reason {
            Reason::RevokedUnreadable => self.revoked.as_ref().err(),
            _ => self.roster.as_ref().err(),
        };
        text.map(|(_, text)| text.clone())
    }
}

/// The roster as `read` makes of it by this host's clock. What is asked about the past is not this clock's to judge: of that
/// the roster knows nothing before its own date, and no more.
fn as_of(
    at: Timestamp,
    read: impl FnOnce(Timestamp) -> Result<Roster, StoreError>,
) -> Result<Roster, StoreError> {
    let now = host::clock::now();
    let mut roster = read(now)?;
    if at < now.minus(Rules::SKEW) {
        roster.floor = roster.floor.min(roster.published);
    }
    Ok(roster)
}

/// Asks what PAM would ask.
///
/// # Errors
/// The question is about a key that is no program's here.
pub fn ask(
    world: &World,
    question: &Question,
    principal: &Principal,
    at: Timestamp,
) -> Result<Answer, String> {
    let (rules, service) = (&world.rules, question.service.as_str());
    let program = question.key.as_ref().map(|key| program(rules, key, principal.as_str())).transpose()?;
    // Under sudo and doas PAM is asked about the invoking user, whatever the target.
    let own = question.person.as_str();
    let account = match &question.account {
        _ if policy::names_its_caller(service) || program.is_some() => own,
        Some(account) => account,
        None => "root",
    };
    let facts = accounts::facts(account, &rules.groups);
    let asked = match rules.subject(service, account, &facts) {
        Subject::Caller if accounts::facts(own, &[]).uid == Some(0) => Person::Superuser,
        Subject::Caller | Subject::KeyOwner => Person::Known(principal),
        // A personal account is entered as its owner; nobody else has a key to it.
        Subject::Owner | Subject::OwnerOrProgram if rules.person_of(account).as_ref() == Ok(principal) => {
            Person::Known(principal)
        }
        Subject::Owner | Subject::OwnerOrProgram | Subject::Nobody => Person::Unknown,
    };
    let person = program.map_or(asked, Person::Program);
    let (tty, place) = (question.tty.as_deref(), question.from.as_deref());
    let (tty, place) = (tty.unwrap_or_default(), place.unwrap_or_default());
    let login = Login { service, account, facts: &facts, person, tty, place };
    Ok(Answer::new(world, &login, principal, decide(&login, &world.evidence(), rules, at), at))
}

/// The entry by which a key is judged when it opens `account`.
fn program<'r>(rules: &'r Rules, key: &str, account: &str) -> Result<&'r Automation, String> {
    let wrong =
        || format!("`{}` is no fingerprint; write what `ssh-keygen -l` prints, SHA256:…", Escaped(key));
    let digest = store::parse_fingerprint(key).ok_or_else(wrong)?;
    let unlisted =
        || format!("no [[policy.automation]] lists {key}; ask without --key about whoever owns it");
    rules.program(&digest, account).ok_or_else(unlisted)
}

impl Answer {
    /// The answer to `login`, asked about `principal`: `decision`, with what it rests on.
    pub fn new(
        world: &World,
        login: &Login<'_>,
        principal: &Principal,
        decision: Decision,
        at: Timestamp,
    ) -> Self {
        let (rules, evidence) = (&world.rules, world.evidence());
        let named = |(person, until): (&Principal, Timestamp)| (person.to_string(), until);
        Self {
            person: principal.to_string(),
            account: login.account.to_string(),
            service: login.service.to_string(),
            host: rules.host.name.clone(),
            mode: world.mode(at).0,
            mode_by: crate::switch::told(world.mode(at).1, world.switch.as_ref().err(), at),
            at,
            on_call: told_on_call(&evidence, rules, at).map(|people| people.into_iter().map(named).collect()),
            last_known: world.last_known(at),
            refusal: Refusal::new(login, &decision, &evidence, rules, at).to_string(),
            // Of a program nobody asks that.
            eligible: match decision.ground {
                Ground::Program(_) => None,
                _ => world.roster.as_ref().ok().map(|roster| roster.is_eligible(principal)),
            },
            revoked: world.revoked.as_ref().ok().map(|revoked| revoked.names(principal)),
            mappings: world.mappings.of(principal),
            uncovered: rules.uncovered().map(|uncovered| uncovered.to_string()),
            fault: world.problem(decision.reason),
            then: decision.until.map(|until| {
                let then = decide(login, &evidence, rules, until);
                (then.verdict, then.reason)
            }),
            decision,
        }
    }

    /// What whoever is refused reads; `None` for those who are not.
    #[cfg(test)]
    pub fn refusal(&self) -> Option<&str> {
        self.decision.effect(Mode::Enforce).refuses().then_some(self.refusal.as_str())
    }

    /// 0 yes, 1 no, 2 cannot tell, 3 nothing is guarded there.
    pub fn exit_code(&self) -> u8 {
        match self.decision.verdict {
            Verdict::Allow => 0,
            Verdict::Refuse => 1,
            Verdict::CannotTell | Verdict::BadName => 2,
            Verdict::NotOurs => 3,
        }
    }

    /// One line: yes or no, and the most useful reason.
    pub fn line(&self) -> String {
        let person = &self.person;
        match (&self.decision.ground, self.decision.reason) {
            (Ground::OnCall(ground), _) => {
                let until = When(self.decision.until.unwrap_or(ground.stretch.end()), self.at);
                let old = if ground.is_old { format!(" ({})", ground.old_news()) } else { String::new() };
                format!("yes: {person} is on call for {} until {until}{old}", ground.schedule_name)
            }
            (Ground::Program(program), Reason::Automation) => {
                let policy::Program { number, owner, reason, .. } = program;
                let until = When(self.decision.until.unwrap_or(program.until), self.at);
                let account = &self.account;
                format!(
                    "yes: [[policy.automation]] {number} admits a program to {account} until {until} ({owner}: {reason})"
                )
            }
            (_, Reason::Exempt) => {
                format!("yes: {} by {} is exempt from asking who is on call", self.account, self.service)
            }
            (_, Reason::AwaitsKey) => {
                format!(
                    "yes, by the key of somebody who is admitted: who enters {} is told by their key",
                    self.account
                )
            }
            (_, Reason::NotGuarded) => {
                format!("not guarded: {} by {} is no root-capable login here", self.account, self.service)
            }
            (_, Reason::OutOfScope) => {
                format!("not guarded: service {} is not in policy.services", self.service)
            }
            (_, Reason::AlreadyRoot) => {
                format!("not guarded: who calls {} here is root already", self.service)
            }
            _ if self.decision.verdict == Verdict::Refuse => {
                format!("no{}: {}", self.observed(), self.refusal)
            }
            (_, reason) => match &self.fault {
                Some(fault) => format!("cannot tell ({reason}){}: {fault}", self.observed()),
                None => format!("cannot tell{}: {}", self.observed(), self.refusal),
            },
        }
    }

    /// What becomes of a refusal where nothing is enforced.
    fn observed(&self) -> &'static str {
        let refused = self.decision.effect(Mode::Enforce).refuses();
        let lets_in = refused && !self.decision.effect(self.mode).refuses();
        match &self.mode_by {
            _ if !lets_in => "",
            None => " (would be refused; observe mode lets in)",
            Some(_) => " (would be refused; enforcing is suspended)",
        }
    }

    /// The line, and below it each fact; local times are those of `zone`.
    pub fn chain(&self, zone: &TimeZone) -> String {
        let (mut text, full) = (self.line(), |at: Timestamp| When(at, self.at).full(zone));
        let mut fact = |name: &str, value: String| {
            let _ = write!(text, "\n  {name:<12}{}", OneLine::from(value));
        };
        fact(
            "login",
            format!("{} enters {} by {} on {}", self.person, self.account, self.service, self.host),
        );
        fact("at", full(self.at));
        if let Some(guard) = &self.decision.guard {
            fact("guarded", format!("yes, {guard}"));
        }
        for mapping in &self.mappings {
            fact("known as", mapping.clone());
        }
        if let Some(eligible) = self.eligible {
            let says = if eligible {
                "yes, the directory lets them become root"
            } else {
                "no, the directory does not list them"
            };
            fact("eligible", says.to_string());
        }
        match &self.decision.ground {
            Ground::OnCall(ground) => {
                fact(
                    "on call",
                    format!("{} ({}), level {}", ground.schedule_name, ground.schedule, ground.level),
                );
                let (whole, part) = (ground.stretch, ground.window);
                fact("shift", format!("{} to {}", full(whole.start()), full(whole.end())));
                if whole != part {
                    fact("part of it", format!("{} to {}", full(part.start()), full(part.end())));
                }
                fact("rule", ground.rule.clone());
                let old = if ground.is_old { ", longer than warn_age; still believed" } else { "" };
                fact("known since", format!("{} ago{old}", ground.age));
            }
            Ground::Unbelieved(schedule, age, limit) => {
                fact("known since", format!("{schedule} was last read {age} ago, limit {limit}"));
            }
            Ground::Program(policy::Program { number, owner, reason, until }) => {
                fact("program", format!("[[policy.automation]] {number}, until {}", full(*until)));
                fact("for", format!("{reason}; {owner} answers for it"));
            }
            Ground::Revoked(revocation) => {
                let why = if revocation.reason.is_empty() { "not said" } else { &revocation.reason };
                fact("revoked", format!("since {} by {}: {why}", full(revocation.since), revocation.by));
            }
            Ground::None => {}
        }
        fact("who is", self.others());
        fact("reason", self.decision.reason.to_string());
        match &self.mode_by {
            Some(told) => fact("mode", told.clone()),
            None if self.mode == Mode::Observe => {
                fact("mode", "observe: decided and logged, nobody is refused".to_string());
            }
            None => {}
        }
        fact("next step", advice::step(self.decision.reason, &self.person, &self.account));
        match (self.decision.until, self.then) {
            (Some(until), Some((verdict, reason))) => {
                fact("next change", format!("{}, then {verdict} ({reason})", full(until)));
            }
            _ => fact("next change", "none that is known".to_string()),
        }
        text
    }

    /// Who is on call, until when; where that is not believed, who was.
    fn others(&self) -> String {
        let named = |people: &[(String, Timestamp)]| {
            let told =
                |(person, until): &(String, Timestamp)| format!("{person} until {}", When(*until, self.at));
            people.iter().map(told).collect::<Vec<_>>().join(", ")
        };
        match &self.on_call {
            Some(_) if self.uncovered.is_some() => {
                format!("on call here: nobody: {}", self.uncovered.as_deref().unwrap_or_default())
            }
            Some(people) if people.is_empty() => "on call here: nobody now".to_string(),
            Some(people) => format!("on call here: {}", named(people)),
            None if self.last_known.is_empty() => "on call here cannot be told".to_string(),
            None => format!("on call here cannot be told; last known: {}", named(&self.last_known)),
        }
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    pub fn json(&self) -> Value {
        let ground = match &self.decision.ground {
            Ground::OnCall(ground) => json!({
                "rule": ground.rule,
                "schedule": ground.schedule.to_string(),
                "schedule_name": ground.schedule_name.as_str(),
                "level": ground.level,
                "start": ground.window.start().to_string(),
                "end": ground.window.end().to_string(),
                "stretch_start": ground.stretch.start().to_string(),
                "stretch_end": ground.stretch.end().to_string(),
                "age_seconds": ground.age.as_seconds(),
                "old": ground.is_old,
            }),
            Ground::Unbelieved(schedule, age, limit) => json!({
                "schedule": schedule.to_string(),
                "age_seconds": age.as_seconds(),
                "limit_seconds": limit.as_seconds(),
            }),
            Ground::Program(policy::Program { number, owner, reason, until }) => json!({
                "automation": number,
                "owner": owner,
                "why": reason,
                "until": until.to_string(),
            }),
            Ground::Revoked(revocation) => json!({
                "since": revocation.since.to_string(),
                "by": revocation.by,
                "why": revocation.reason,
            }),
            Ground::None => Value::Null,
        };
        json!({
            "version": 1,
            "person": self.person,
            "account": self.account,
            "service": self.service,
            "host": self.host,
            "at": self.at.to_string(),
            "verdict": self.decision.verdict.to_string(),
            "reason": self.decision.reason.token(),
            "guarded": self.decision.guard.as_ref().map(ToString::to_string),
            "eligible": self.eligible,
            "known_as": self.mappings,
            "revoked": self.revoked,
            "mode": if self.mode == Mode::Observe { "observe" } else { "enforce" },
            "mode_by": self.mode_by,
            "ground": ground,
            "until": self.decision.until.map(|until| until.to_string()),
            "message": self.line(),
        })
    }
}
