//! What a person who is refused reads: one line, no file names; who is on call, and what would help.

use alloc::vec::Vec;
use core::fmt;

use crate::{
    Actor, Decision, Evidence, Ground, Guard, IncidentState, Login, Principal, Reason, Revocation, Rules,
    Timestamp, asks_the_caller, told_on_call,
};

/// The most names in one line.
const MOST_NAMES: usize = 5;

/// So many of those on call are enough to know: whether there are more than are named shows with one more.
pub const ENOUGH_NAMES: usize = MOST_NAMES + 1;

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

    /// `alice is, until 18:00 UTC`: what follows "is for people on call".
    fn on_call_now(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(people) = &self.on_call else { return f.write_str("who is on call is not known") };
        if people.is_empty() {
            return match self.rules.uncovered() {
                Some(uncovered) => write!(f, "{uncovered}"),
                None => f.write_str("nobody is now"),
            };
        }
        self.named(f, people, " is,")
    }

    /// ` (on call: alice until 18:00 UTC)`, behind a cause that is not about being on call; nothing where nobody is.
    fn people_on_call(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(people) = self.on_call.as_ref().filter(|people| !people.is_empty()) else { return Ok(()) };
        f.write_str(" (on call: ")?;
        self.named(f, people, "")?;
        f.write_str(")")
    }

    /// `alice until 18:00 UTC, carol until 21:00 UTC, and others`; `verb` comes behind each name.
    fn named(
        &self,
        f: &mut fmt::Formatter<'_>,
        people: &[(&Principal, Timestamp)],
        verb: &str,
    ) -> fmt::Result {
        for (index, (person, until)) in people.iter().take(MOST_NAMES).enumerate() {
            let before = if index > 0 { ", " } else { "" };
            write!(f, "{before}{person}{verb} until {}", until.near(self.now))?;
        }
        if people.len() > MOST_NAMES { f.write_str(", and others") } else { Ok(()) }
    }

    /// Why not, in words, with who is on call.
    fn cause(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.decision.reason, self.login.person) {
            (Reason::NotOnCall, Actor::Known(person)) => {
                write!(f, "{person} is not (")?;
                self.on_call_now(f)?;
                return f.write_str(")");
            }
            (Reason::NotOnCall | Reason::NoRule, _) => return self.on_call_now(f),
            (Reason::Revoked, person) => {
                match person {
                    Actor::Known(person) => write!(f, "{person} is revoked")?,
                    Actor::RevokedKey(_) => f.write_str("the key that opened this session is revoked")?,
                    _ => write!(f, "{} is revoked", self.login.account)?,
                }
                if let Ground::Revoked(Revocation { authority, since, .. }) = &self.decision.ground {
                    write!(f, " {} since {}", authority.place(), since.near(self.now))?;
                }
            }
            (Reason::NoIncident, _) => self.incident(f)?,
            (Reason::ClaimNeeded, _) => {
                f.write_str("say why first, once a shift: oncall-cache claim --reason \"INC-42\"; or from elsewhere: ")?;
                write!(f, "echo \"claim: INC-42\" | ssh oncall-grant@{}", self.rules.host.name)?;
            }
            (Reason::NotEligible, Actor::Known(person)) => {
                write!(f, "the directory does not list {person} as eligible")?;
            }
            (Reason::UnknownPerson, _) if asks_the_caller(self.login.service) => {
                f.write_str("the caller's name and uid do not belong together")?;
            }
            (Reason::UnknownPerson, _) if self.login.service == "sshd" => {
                f.write_str("what opened this session belongs to nobody in the directory; log in with your own key")?;
            }
            (Reason::UnknownPerson, _) => {
                f.write_str("this service does not tell who you are; log in as yourself and use sudo")?;
            }
            (Reason::AmbiguousPerson, _) => f.write_str(
                "what opened this session does not identify one person; log in with a key that is yours alone",
            )?,
            (Reason::AutomationExpired | Reason::AutomationOutOfScope, _) => self.program(f)?,
            (Reason::BadUser, _) => {
                f.write_str("this account name cannot belong to a person; log in as yourself")?;
            }
            (reason, _) => self.doubt(f, reason)?,
        }
        self.people_on_call(f)
    }

    /// That there is no incident, and of which services one would do.
    fn incident(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rule, state) = match &self.decision.ground {
            Ground::OnCall(ground) => (Some(&ground.rule), &ground.incident),
            _ => (None, &IncidentState::Missing),
        };
        let waits = self.rules.here().filter(|own| rule.is_none_or(|rule| own.name == *rule));
        let mut services: Vec<&str> = waits
            .filter_map(|rule| rule.incident.as_ref())
            .flat_map(|one| &one.services)
            .map(|id| &**id)
            .collect();
        services.dedup();
        let more = if services.len() > MOST_NAMES { ", ..." } else { "" };
        services.truncate(MOST_NAMES);
        write!(f, "only during an incident of {}{more}, and ", services.join(", "))?;
        f.write_str(match state {
            IncidentState::Unknown => "which are open is not known here; run oncall-cache refresh",
            _ => {
                "none that counts is known here (your own do not); have a colleague open one, then run oncall-cache refresh"
            }
        })
    }

    /// Why a program's key does not open this.
    fn program(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this key belongs to a program")?;
        let Ground::Program(program) = &self.decision.ground else { return Ok(()) };
        let number = program.number;
        match self.decision.reason {
            Reason::AutomationExpired => {
                write!(
                    f,
                    ", and its [[policy.automation]] {number} expired: {}",
                    program.until.near(self.now)
                )
            }
            _ => write!(
                f,
                ", and its [[policy.automation]] {number} does not cover this account, service or address"
            ),
        }
    }

    /// Why this host cannot tell, or why a certificate says nothing to it.
    fn doubt(&self, f: &mut fmt::Formatter<'_>, reason: Reason) -> fmt::Result {
        match (reason, &self.decision.ground) {
            (Reason::CertificateAuthority, _) => {
                f.write_str("the certificate's authority does not count on this host")?;
            }
            (Reason::CertificatePeriod, _) => {
                f.write_str("the certificate has expired, or is not valid yet; get a new one")?;
            }
            (Reason::CertificateUnusable, _) => {
                f.write_str(
                    "the certificate is no user's, or has a critical option that this host does not know",
                )?;
            }
            (Reason::RevokedUnreadable, _) => {
                f.write_str("this host cannot tell who is revoked (revoked-unreadable)")?;
            }
            (Reason::RevokedStale, _) => {
                f.write_str("this host's list of who is revoked in the fleet is too old (revoked-stale)")?;
            }
            (Reason::CacheStale, Ground::Unbelieved(_, age, limit)) => {
                write!(f, "who is on call was last known {age} ago, limit {limit}")?;
            }
            (Reason::CacheStale, _) => f.write_str("what this host knows is too old")?,
            (Reason::ClockRollback, _) => f.write_str(
                "what this host knows is newer than its clock; set the clock, or wait for the next sync",
            )?,
            (reason, _) => write!(f, "this host cannot tell who is ({reason})")?,
        }
        Ok(())
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
                Reason::NotOnCall
                | Reason::NoIncident
                | Reason::ClaimNeeded
                | Reason::NoRule
                | Reason::NotEligible
                | Reason::Revoked,
                Actor::Known(person),
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
    use crate::{Claims, Facts, Fault, Revoked, decide};
    use alloc::string::ToString;

    #[test]
    fn a_refusal_without_evidence_says_why_and_what_to_run() {
        let facts = Facts { uid: Some(0), ..Facts::default() };
        let carol = Principal::new("carol").unwrap();
        let login = Login {
            service: "sshd",
            account: "root",
            facts: &facts,
            person: Actor::Known(&carol),
            tty: "",
            place: "",
        };
        let nobody = Revoked::nobody();
        let evidence = Evidence {
            roster: Err(Fault::Missing),
            revoked: Ok(&nobody),
            grants: &[],
            claims: Claims::NotAsked,
        };
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
