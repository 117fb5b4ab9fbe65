//! What a person who is refused reads: one line, no file names; who is on call, and what would help.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    Decision, Evidence, Ground, Guard, Login, Person, Principal, Reason, Rules, Timestamp, asks_the_caller,
    told_on_call,
};

/// The most names in one line.
const MOST_NAMES: usize = 5;

/// The line for one refused login.
#[derive(Debug)]
pub struct Refusal<'a> {
    login: &'a Login<'a>,
    decision: &'a Decision,
    rules: &'a Rules,
    now: Timestamp,
    /// `None`: that cannot be told.
    on_call: Option<Vec<(&'a Principal, Timestamp)>>,
}

impl<'a> Refusal<'a> {
    /// Gathers what the line needs from what the decision was made from.
    pub fn new(
        login: &'a Login<'a>,
        decision: &'a Decision,
        evidence: &Evidence<'a>,
        rules: &'a Rules,
        now: Timestamp,
    ) -> Self {
        Self { login, decision, rules, now, on_call: told_on_call(evidence, rules, now) }
    }

    /// `alice is, until 18:00 UTC`.
    fn on_call_now(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(people) = &self.on_call else { return f.write_str("who is cannot be told") };
        if people.is_empty() {
            return match self.rules.uncovered() {
                Some(uncovered) => write!(f, "{uncovered}"),
                None => f.write_str("nobody is now"),
            };
        }
        for (index, (person, until)) in people.iter().take(MOST_NAMES).enumerate() {
            let before = if index > 0 { ", " } else { "" };
            write!(f, "{before}{person} is, until {}", until.near(self.now))?;
        }
        match people.len().saturating_sub(MOST_NAMES) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }

    /// Who else is on call, where only a part of the evidence is missing.
    fn anybody_else(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_call.as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        f.write_str(" (")?;
        self.on_call_now(f)?;
        f.write_str(")")
    }

    /// Why not, in words, with who is on call.
    fn cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.decision.reason, self.login.person) {
            (Reason::NotOnCall, Person::Known(person)) => write!(f, "{person} is not")?,
            (Reason::NotOnCall | Reason::NoRule, _) => return self.on_call_now(f),
            (Reason::Revoked, person) => {
                let name = match person {
                    Person::Known(person) => person.as_str(),
                    _ => self.login.account,
                };
                write!(f, "{name} is revoked on this host")?;
                if let Ground::Revoked(revocation) = &self.decision.ground {
                    write!(f, " since {}", revocation.since.near(self.now))?;
                }
            }
            (Reason::NotEligible, Person::Known(person)) => {
                write!(f, "{person} is not among those the directory lets become root")?;
            }
            (Reason::UnknownPerson, _) if asks_the_caller(self.login.service) => {
                f.write_str("the caller's name and uid do not belong together")?;
            }
            (Reason::UnknownPerson, _) if self.login.service == "sshd" => {
                f.write_str("nobody in the directory owns what opened this session; log in with your own key")?;
            }
            (Reason::UnknownPerson, _) => {
                f.write_str("this door does not tell who you are; log in as yourself and use sudo")?;
            }
            (Reason::AmbiguousPerson, _) => f.write_str(
                "what opened this session is not one person's key alone, so it is nobody's; log in with a key of your own",
            )?,
            (Reason::AutomationOver | Reason::AutomationElsewhere, _) => self.program(f)?,
            (Reason::BadUser, _) => {
                f.write_str("this account's name cannot be a person's; log in as yourself")?;
            }
            (reason, _) => return self.doubt(f, reason),
        }
        f.write_str(" (")?;
        self.on_call_now(f)?;
        f.write_str(")")
    }

    /// Why a program's key does not open this.
    fn program(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this key is a program's")?;
        let Ground::Program(program) = &self.decision.ground else { return Ok(()) };
        let number = program.number;
        match self.decision.reason {
            Reason::AutomationOver => {
                write!(f, ", and its [[policy.automation]] {number} ended {}", program.until.near(self.now))
            }
            _ => write!(
                f,
                ", and its [[policy.automation]] {number} is for another account, service or place than this"
            ),
        }
    }

    /// Why this host cannot tell.
    fn doubt(&self, f: &mut fmt::Formatter<'_>, reason: Reason) -> fmt::Result {
        match (reason, &self.decision.ground) {
            (Reason::RevokedUnreadable, _) => {
                f.write_str("this host cannot tell who is revoked on it (revoked-unreadable)")?;
            }
            (Reason::CacheStale, Ground::Unbelieved(_, age, limit)) => {
                write!(f, "who is on call was last known {age} ago, limit {limit}")?;
            }
            (Reason::CacheStale, _) => f.write_str("what this host knows is too old")?,
            (Reason::ClockRollback, _) => f.write_str(
                "what this host knows is from after that time; set its clock, or wait for the next sync",
            )?,
            (reason, _) => write!(f, "this host cannot tell who is ({reason})")?,
        }
        self.anybody_else(f)
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entered = match self.decision.guard {
            Some(Guard::Sudo) => "sudo",
            Some(Guard::Doas) => "doas",
            Some(Guard::Polkit) => "polkit",
            _ => self.login.account,
        };
        write!(f, "{entered}")?;
        if !self.rules.host.name.is_empty() {
            write!(f, " on {}", self.rules.host.name)?;
        }
        // An account that nothing guards is closed to its own person alone.
        f.write_str(if self.decision.guard.is_some() { " is for people on call: " } else { ": " })?;
        self.cause(f)?;
        match (self.decision.reason, self.login.person) {
            (
                Reason::NotOnCall | Reason::NoRule | Reason::NotEligible | Reason::Revoked,
                Person::Known(person),
            ) => {
                write!(f, "; more: oncall-cache why {person}")?;
            }
            _ => f.write_str("; more: oncall-cache who")?,
        }
        self.rules.help.as_ref().map_or(Ok(()), |help| write!(f, "; help: {help}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Fault, Revoked, decide};
    use alloc::string::ToString;

    #[test]
    fn a_refusal_without_evidence_says_why_and_what_to_run() {
        let facts = Facts { uid: Some(0), ..Facts::default() };
        let carol = Principal::new("carol").unwrap();
        let login = Login {
            service: "sshd",
            account: "root",
            facts: &facts,
            person: Person::Known(&carol),
            tty: "",
            place: "",
        };
        let nobody = Revoked::nobody();
        let evidence = Evidence { roster: Err(Fault::Missing), revoked: Ok(&nobody) };
        let mut rules = Rules::compiled();
        rules.host.name = "db1".to_string();
        let now = Timestamp::from_unix(1_795_165_200);
        let decision = decide(&login, &evidence, &rules, now);
        assert_eq!(
            Refusal::new(&login, &decision, &evidence, &rules, now).to_string(),
            "root on db1 is for people on call: this host cannot tell who is (cache-missing); more: oncall-cache who"
        );
    }
}
