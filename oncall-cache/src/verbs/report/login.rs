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

/// The certificate that somebody came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The key that signed it, as `SHA256:…`.
    pub authority: String,
    /// Its number, as its authority counts.
    pub serial: Option<u64>,
    /// What its authority calls it: whatever was written there.
    pub key_id: String,
}

impl Certificate {
    /// The one that `record` tells of.
    fn of(record: &Record) -> Option<Self> {
        let Record { authority, serial, key_id, .. } = record;
        let certificate = || Self { authority: authority.clone(), serial: *serial, key_id: key_id.clone() };
        (!authority.is_empty()).then(certificate)
    }

    /// For people: `certificate 7 signed by SHA256:… (INC-42)`; at the end is what may be of any length.
    pub fn told(&self) -> String {
        let Self { authority, serial, key_id } = self;
        let serial = serial.map(|serial| format!(" {serial}")).unwrap_or_default();
        let key_id = if key_id.is_empty() { String::new() } else { format!(" ({key_id})") };
        format!("certificate{serial} signed by {authority}{key_id}")
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
    /// The certificate of that key, where it came with one.
    pub certificate: Option<Certificate>,
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
    /// In which boot that is, by its number among those seen.
    pub boot: Option<usize>,
    /// Of a session whose end is not recorded: when the host had booted anew, with which it was over.
    pub booted: Option<Timestamp>,
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
    /// How many of them were let in all the same: that is so where nothing is enforced.
    pub let_in: u64,
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
            certificate: Certificate::of(&record),
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
            boot: None,
            booted: None,
        }
    }

    /// The same once its session has opened: some programs learn the key and the account only then.
    pub fn open(&mut self, session: Record) {
        self.opened = Some(session.time);
        self.certificate = self.certificate.take().or_else(|| Certificate::of(&session));
        if self.fingerprint.is_empty() {
            self.fingerprint = session.fingerprint;
        }
        self.account = session.account;
    }

    /// The shift's schedule and rule, who answers for the program, or what a grant was asked for; what is to be said of a
    /// shift; and the certificate.
    pub fn ground(&self) -> String {
        let asked = if self.grant.is_empty() { "" } else { self.why.as_str() };
        let parts = [self.schedule.as_str(), asked, &self.rule, &self.owner];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let claim = match (self.claim.as_str(), self.why.as_str()) {
            ("", _) => None,
            (word, "") => Some(word.to_string()),
            (_, why) => Some(format!("because of {why}")),
        };
        let more = [
            self.late.map(|seen| format!("late: first seen {seen}")),
            self.incident_told(),
            claim,
            self.certificate.as_ref().map(|certificate| format!("with {}", certificate.told())),
        ];
        let right = Some(parts.join(" by rule ")).filter(|right| !right.is_empty());
        right.into_iter().chain(more.into_iter().flatten()).collect::<Vec<_>>().join(", ")
    }

    /// The incident by which a rule that waits for one admitted them.
    pub fn incident_told(&self) -> Option<String> {
        match self.incident.as_str() {
            "" => None,
            "unknown" => Some("it was not known which incidents were open".to_string()),
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
        let certificate = self.certificate.as_ref().map_or(0, |it| length(&[&it.authority, &it.key_id]));
        size_of::<Self>() + length(&whose) + length(&grounds) + certificate
    }
}

impl Kind {
    /// What it takes in memory, with its count.
    pub fn bytes(&self) -> usize {
        let Self { who, account, service, reason, .. } = self;
        size_of::<(Self, Count)>() + [who, account, service, reason].map(String::len).iter().sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Phase;

    fn login(record: Record) -> Login {
        Login::begun(record, 1)
    }

    #[test]
    fn by_what_somebody_came_in_is_said_in_one_line() {
        let at = Timestamp::from_unix(1_795_165_200);
        let plain = || Record::at(at);
        let text = |text: &str| text.to_string();
        let certified =
            |serial, key_id| Record { authority: text("SHA256:ca"), serial, key_id: text(key_id), ..plain() };
        assert_eq!(
            login(certified(Some(7), "INC-42 alice")).ground(),
            "with certificate 7 signed by SHA256:ca (INC-42 alice)"
        );
        assert_eq!(login(certified(None, "")).ground(), "with certificate signed by SHA256:ca");
        let oncall = Record {
            schedule: text("pd/P1"),
            rule: text("db"),
            incident: text("Q1"),
            claim: text("stated"),
            why: text("disk full"),
            late: Some(at),
            ..certified(Some(0), "a")
        };
        assert_eq!(
            login(oncall).ground(),
            "pd/P1 by rule db, late: first seen 2026-11-20T09:00:00Z, during incident Q1, because of disk full, \
             with certificate 0 signed by SHA256:ca (a)"
        );
        let unknown = Record { incident: text("unknown"), ..plain() };
        assert_eq!(login(unknown).ground(), "it was not known which incidents were open");
        assert_eq!(login(plain()).ground(), "");
    }

    #[test]
    fn what_is_known_only_when_the_session_opens_is_of_the_login() {
        let at = Timestamp::from_unix(1_795_165_200);
        let mut own = login(Record { account: "alice".to_string(), ..Record::at(at) });
        let session = Record {
            phase: Some(Token::Known(Phase::Session)),
            account: "root".to_string(),
            fingerprint: "SHA256:key".to_string(),
            authority: "SHA256:ca".to_string(),
            serial: Some(7),
            ..Record::at(at)
        };
        own.open(session.clone());
        assert_eq!(
            (own.account.as_str(), own.fingerprint.as_str(), own.opened),
            ("root", "SHA256:key", Some(at))
        );
        own.open(Record { authority: "SHA256:other".to_string(), ..session });
        assert_eq!(own.certificate.map(|it| it.authority), Some("SHA256:ca".to_string()));
    }
}
