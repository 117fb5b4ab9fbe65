//! What is told of one login, and what is counted together.

use policy::{Reason, Timestamp, Verdict};
use record::{Record, Token};

/// How somebody got in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// By their shift.
    OnCall,
    /// By a grant that colleagues signed.
    Grant,
    /// By themselves, with nobody who could let them in.
    BreakGlass,
    /// By an exempt account or console.
    Exempt,
    /// As a program that is listed.
    Automation,
    /// Because nobody is refused while observing.
    Observed,
}

impl Class {
    /// As tables and JSON have it.
    pub fn token(self) -> &'static str {
        match self {
            Self::OnCall => "oncall",
            Self::Grant => "grant",
            Self::BreakGlass => "break-glass",
            Self::Exempt => "exempt",
            Self::Automation => "automation",
            Self::Observed => "observed",
        }
    }

    pub fn of(record: &Record) -> Self {
        match record.reason() {
            _ if record.verdict() != Some(Verdict::Allow) => Self::Observed,
            Some(Reason::Grant) => Self::Grant,
            Some(Reason::BreakGlass) => Self::BreakGlass,
            Some(Reason::Exempt) => Self::Exempt,
            Some(Reason::Automation) => Self::Automation,
            _ => Self::OnCall,
        }
    }
}

/// One login that was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub class: Class,
    pub id: String,
    pub person: String,
    pub account: String,
    pub service: String,
    pub remote_host: String,
    pub tty: String,
    pub fingerprint: String,
    pub reason: String,
    /// The shift's schedule.
    pub schedule: String,
    /// The rule that counts the shift, or takes the grant.
    pub rule: String,
    /// Who answers for the program.
    pub owner: String,
    /// What a grant was asked for, or what somebody on call has stated.
    pub why: String,
    /// The incident by which a rule that waits for one admitted them, or `unknown`.
    pub incident: String,
    /// Of somebody on call whose rule asks why: `stated` or `unclaimed`.
    pub claim: String,
    /// When this host first saw the shift, if that was late.
    pub late: Option<Timestamp>,
    /// When the shift or the grant ends, as it was known then.
    pub right_ends: Option<Timestamp>,
    /// Seconds since the sync by which it was decided.
    pub age_seconds: Option<i64>,
    /// The grant's name, and who signed it, with commas between.
    pub grant: String,
    pub approvers: String,
    /// When it was decided.
    pub decided: Timestamp,
    /// Its place among those that were decided.
    pub place: usize,
    /// When its session opened, where a session line is in the stack.
    pub opened: Option<Timestamp>,
    /// When that closed.
    pub closed: Option<Timestamp>,
}

/// A session that was ended for whoever was in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub at: Timestamp,
    pub person: String,
    pub account: String,
    /// Why: `shift`, `revoked`, `grant`, `root`.
    pub cause: String,
    /// Who did it by hand.
    pub by: String,
}

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Is it somebody whom the directory knows?
    pub is_person: bool,
    /// The person; where none is known the key, or the name that asked.
    pub who: String,
    pub account: String,
    pub service: String,
    pub reason: String,
}

/// How often, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Why, as it is written: a newer release's reasons too.
pub fn reason(record: &Record) -> String {
    record.reason.as_ref().map(Token::to_string).unwrap_or_default()
}

impl Login {
    /// What `record` begins, the `place`th of all.
    pub fn begun(record: Record, place: usize) -> Self {
        // Of others it is told elsewhere.
        let is_told = !record.grant.is_empty() || !record.claim.is_empty();
        Self {
            class: Class::of(&record),
            reason: reason(&record),
            opened: (record.phase() == Some(record::Phase::Session)).then_some(record.time),
            why: if is_told { record.why } else { String::new() },
            id: record.id,
            schedule: record.schedule,
            rule: record.rule,
            owner: record.owner,
            incident: record.incident,
            claim: record.claim,
            late: record.late,
            right_ends: record.end,
            age_seconds: record.age_seconds,
            grant: record.grant,
            approvers: record.approvers,
            person: record.person,
            account: record.account,
            service: record.service,
            remote_host: record.rhost,
            tty: record.tty,
            fingerprint: record.fingerprint,
            decided: record.time,
            place,
            closed: None,
        }
    }

    /// The shift's schedule and rule, who answers for the program, or what a grant was asked for; and what is to be said of
    /// a shift.
    pub fn ground(&self) -> String {
        let asked = if self.grant.is_empty() { "" } else { self.why.as_str() };
        let parts = [self.schedule.as_str(), asked, &self.rule, &self.owner];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let late = self.late.map(|seen| format!(", late: first seen {seen}")).unwrap_or_default();
        let claim = match (self.claim.as_str(), self.why.as_str()) {
            ("", _) => String::new(),
            (word, "") => format!(", {word}"),
            (_, why) => format!(", because of {why}"),
        };
        let incident = self.incident_told().map(|told| format!(", {told}")).unwrap_or_default();
        parts.join(" by rule ") + &late + &incident + &claim
    }

    /// The incident by which a rule that waits for one admitted them.
    pub fn incident_told(&self) -> Option<String> {
        match self.incident.as_str() {
            "" => None,
            "unknown" => Some("not known which incidents were open".to_string()),
            id => Some(format!("during incident {id}")),
        }
    }

    /// The ground, with those who signed for it before it.
    pub fn signed_ground(&self) -> String {
        match self.approvers.as_str() {
            "" => self.ground(),
            approvers => format!("{}: {}", approvers.replace(',', " and "), self.ground()),
        }
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        let Self { id, person, account, service, remote_host, tty, fingerprint, reason, .. } = self;
        let Self { schedule, rule, owner, why, incident, claim, grant, approvers, .. } = self;
        let whose = [id, id, person, account, service, remote_host, tty, fingerprint, reason];
        let grounds = [schedule, rule, owner, why, incident, claim, grant, approvers];
        let length = |texts: &[&String]| texts.iter().map(|text| text.len()).sum::<usize>();
        size_of::<Self>() + length(&whose) + length(&grounds)
    }
}

impl Kind {
    /// What it takes in memory, with its count.
    pub fn bytes(&self) -> usize {
        let Self { who, account, service, reason, .. } = self;
        size_of::<(Self, Count)>() + [who, account, service, reason].map(String::len).iter().sum::<usize>()
    }
}
