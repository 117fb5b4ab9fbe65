//! `check` and `why`: the same decision that PAM takes, printed with its evidence.

use std::fmt::Write as _;

use host::{Config, FileError, accounts};
use policy::{
    Decision, Evidence, Fault, Ground, Login, Person, Principal, Reason, Refusal, Roster, Rules, Timestamp,
    Verdict, decide, is_sudo,
};
use serde_json::{Value, json};
use store::roster;

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
    at: Timestamp,
    decision: Decision,
    eligible: Option<bool>,
    mappings: Vec<String>,
    refusal: String,
    /// Why the roster is not believed, for those who may read file names.
    fault: Option<String>,
}

/// What this host knows, as PAM would find it.
#[derive(Debug)]
pub struct World {
    /// The rules of the configuration, or the compiled ones if it cannot be read.
    pub rules: Rules,
    /// The roster, or why it is not believed: for the decision, and in words.
    pub roster: Result<Roster, (Fault, String)>,
    /// How its people were found.
    pub mappings: Mappings,
}

impl World {
    /// Reads the roster that the configuration names.
    pub fn load(config: Result<Config, FileError>) -> Self {
        match config {
            Ok(config) => Self {
                roster: roster::read(&config.paths.roster)
                    .map_err(|error| (error.fault(), error.to_string())),
                mappings: Mappings::read(&config),
                rules: config.rules,
            },
            Err(error) => Self {
                rules: Rules::compiled(),
                roster: Err((Fault::Config, error.to_string())),
                mappings: Mappings::default(),
            },
        }
    }
}

/// Asks what PAM would ask.
pub fn ask(world: &World, question: &Question, principal: &Principal, at: Timestamp) -> Answer {
    let rules = &world.rules;
    let sudo = is_sudo(&question.service);
    // Under sudo PAM is asked about the invoking user, whatever the target.
    let account = match &question.account {
        _ if sudo => principal.as_str(),
        Some(account) => account,
        None => "root",
    };
    let facts = accounts::facts(account, &rules.groups);
    let person = if sudo && facts.uid == Some(0) {
        Person::Superuser
    } else if sudo || rules.is_shared(account, &facts) || account == principal.as_str() {
        Person::Known(principal)
    } else {
        // A personal account is entered as its owner; nobody else has a key to it.
        Person::Unknown
    };
    let login = Login { service: &question.service, account, facts: &facts, person };
    let evidence = Evidence { roster: world.roster.as_ref().map_err(|(fault, _)| *fault) };
    let decision = decide(&login, &evidence, rules, at);
    Answer {
        person: principal.to_string(),
        account: account.to_string(),
        service: question.service.clone(),
        host: rules.host.name.clone(),
        at,
        refusal: Refusal::new(&login, &decision, &evidence, rules, at).to_string(),
        eligible: world.roster.as_ref().ok().map(|roster| roster.is_eligible(principal)),
        mappings: world.mappings.of(principal),
        fault: world.roster.as_ref().err().map(|(_, text)| text.clone()),
        decision,
    }
}

impl Answer {
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
                let until = self.decision.until.unwrap_or(ground.window.end());
                format!(
                    "yes: {person} is on call for {} until {}",
                    ground.schedule_name,
                    When(until, self.at)
                )
            }
            (_, Reason::Exempt) => format!("yes: {} is exempt (policy.exempt_accounts)", self.account),
            (_, Reason::NotGuarded) => {
                format!("not guarded: {} by {} is no root-capable login here", self.account, self.service)
            }
            (_, Reason::OutOfScope) => {
                format!("not guarded: service {} is not in policy.services", self.service)
            }
            _ if self.decision.verdict == Verdict::Refuse => format!("no: {}", self.refusal),
            _ => match &self.fault {
                Some(fault) => format!("cannot tell ({}): {fault}", self.decision.reason),
                None => format!("cannot tell: {}", self.refusal),
            },
        }
    }

    /// The line, and below it each fact.
    pub fn chain(&self) -> String {
        let mut text = self.line();
        let mut fact = |name: &str, value: String| {
            let _ = write!(text, "\n  {name:<12}{value}");
        };
        fact(
            "login",
            format!("{} enters {} by {} on {}", self.person, self.account, self.service, self.host),
        );
        fact("at", When(self.at, self.at).full());
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
                fact(
                    "shift",
                    format!(
                        "{} to {}",
                        When(ground.window.start(), self.at).full(),
                        When(ground.window.end(), self.at).full()
                    ),
                );
                fact("rule", ground.rule.clone());
                fact("known since", format!("{} ago", ground.age));
            }
            Ground::Unbelieved(schedule, age, limit) => {
                fact("known since", format!("{schedule} was last read {age} ago, limit {limit}"));
            }
            Ground::None => {}
        }
        fact("reason", self.decision.reason.to_string());
        match self.decision.until {
            Some(until) => fact("next change", When(until, self.at).full()),
            None => fact("next change", "none that is known".to_string()),
        }
        text
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    pub fn json(&self) -> Value {
        let ground = match &self.decision.ground {
            Ground::OnCall(ground) => json!({
                "rule": ground.rule,
                "schedule": ground.schedule.to_string(),
                "schedule_name": ground.schedule_name,
                "level": ground.level,
                "start": ground.window.start().to_string(),
                "end": ground.window.end().to_string(),
                "age_seconds": ground.age.as_seconds(),
            }),
            Ground::Unbelieved(schedule, age, limit) => json!({
                "schedule": schedule.to_string(),
                "age_seconds": age.as_seconds(),
                "limit_seconds": limit.as_seconds(),
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
            "ground": ground,
            "until": self.decision.until.map(|until| until.to_string()),
            "message": self.line(),
        })
    }
}
