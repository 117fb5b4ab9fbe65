//! What a person who is refused reads: one line, no file names, and what would help.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    Decision, Evidence, Ground, Login, Person, Principal, Reason, Rules, Timestamp, is_sudo, on_call_now,
};

/// The line for one refused login.
#[derive(Debug)]
pub struct Refusal<'a> {
    login: &'a Login<'a>,
    decision: &'a Decision,
    host: &'a str,
    now: Timestamp,
    on_call: Vec<(&'a Principal, Timestamp)>,
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
        let on_call = match evidence.roster {
            Ok(roster) if decision.reason != Reason::ClockRollback => on_call_now(rules, roster, now)
                .into_iter()
                .filter(|(person, _)| roster.is_eligible(person))
                .map(|(person, ground)| (person, ground.window.end()))
                .collect(),
            _ => Vec::new(),
        };
        Self { login, decision, host: &rules.host.name, now, on_call }
    }

    fn on_call_now(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_call.is_empty() {
            return f.write_str("nobody is now");
        }
        for (index, (person, until)) in self.on_call.iter().enumerate() {
            let before = if index > 0 { ", " } else { "" };
            write!(f, "{before}{person} is, until {}", until.near(self.now))?;
        }
        Ok(())
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entered = if is_sudo(self.login.service) { "sudo" } else { self.login.account };
        write!(f, "{entered}")?;
        if !self.host.is_empty() {
            write!(f, " on {}", self.host)?;
        }
        f.write_str(" is for people on call: ")?;
        match (self.decision.reason, self.login.person) {
            (Reason::NotOnCall, Person::Known(person)) => {
                write!(f, "{person} is not (")?;
                self.on_call_now(f)?;
                write!(f, "); more: oncall-cache why {person}")
            }
            (Reason::NotOnCall, _) => {
                self.on_call_now(f)?;
                f.write_str("; more: oncall-cache who")
            }
            (Reason::NotEligible, Person::Known(person)) => write!(
                f,
                "{person} is not among those the directory lets become root; more: oncall-cache why {person}"
            ),
            (Reason::UnknownPerson, _) if is_sudo(self.login.service) => {
                f.write_str("the caller's name and uid do not belong together")
            }
            (Reason::UnknownPerson, _) => {
                f.write_str(
                    "nobody in the directory owns what opened this session; log in with your own key (",
                )?;
                self.on_call_now(f)?;
                f.write_str(")")
            }
            (Reason::AmbiguousPerson, _) => {
                f.write_str("what opened this session is not one person's key alone, so it is nobody's")
            }
            (Reason::BadUser, _) => f.write_str("this account's name cannot be a person's"),
            (Reason::CacheStale, _) => match &self.decision.ground {
                Ground::Unbelieved(_, age, limit) => write!(
                    f,
                    "who is on call was last known {age} ago, limit {limit}; more: oncall-cache who"
                ),
                _ => f.write_str("what this host knows is too old; more: oncall-cache who"),
            },
            (Reason::ClockRollback, _) => f.write_str(
                "what this host knows is from after that time; set its clock, or wait for the next sync",
            ),
            (reason, _) => write!(f, "this host cannot tell who is ({reason}); more: oncall-cache who"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Fault, decide};
    use alloc::string::ToString;

    #[test]
    fn a_refusal_without_evidence_says_why_and_what_to_run() {
        let facts = Facts { uid: Some(0), ..Facts::default() };
        let carol = Principal::new("carol").unwrap();
        let login = Login { service: "sshd", account: "root", facts: &facts, person: Person::Known(&carol) };
        let evidence = Evidence { roster: Err(Fault::Missing) };
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
