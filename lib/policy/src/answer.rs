//! What a decision is: a verdict, its reason, and what it rests on.

use alloc::format;
use alloc::string::String;
use core::fmt;

use crate::{
    Automation, Claim, Granted, IncidentState, OneLine, Revocation, ScheduleRef, Span, Timestamp, Window,
};

/// Why evidence is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no copy.
    Missing,
    /// The copy is damaged or not ours.
    Corrupt,
    /// The system fails to read the copy.
    Unreadable,
    /// The copy is in a form this release does not read.
    Version,
    /// Others could have written the copy.
    Untrusted,
    /// The configuration cannot be read, so nothing it names can be.
    Config,
    /// The copy is too old.
    Stale,
    /// This host's clock is behind what is proven of the time, or the copy from the future.
    ClockRollback,
}

/// Why an account is guarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// sudo leads to root, for every caller.
    Sudo,
    /// So does doas.
    Doas,
    /// And so does an administrator's proof to polkit.
    Polkit,
    /// The account's uid is 0, whatever its name.
    UidZero,
    /// The account is in a group that confers root.
    Group(String),
    /// The account is in `[[policy.shared_account]]`.
    Shared,
    /// The account is in `policy.guarded_accounts`.
    Named,
}

macro_rules! tokens {
    ($(#[$meta:meta])* $type:ident { $($(#[$doc:meta])* $name:ident => $token:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($(#[$doc])* $name,)*
        }

        impl $type {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable token.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$name => $token,)*
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.token())
            }
        }
    };
}

tokens! {
    /// What can follow.
    Verdict {
        /// Admitted.
        Allow => "allow",
        /// Not admitted.
        Refuse => "refuse",
        /// The evidence does not tell: not admitted either.
        CannotTell => "cannot-tell",
        /// Not ours to decide: the login is none of those guarded here.
        NotOurs => "not-ours",
        /// The name cannot be used: not admitted.
        BadName => "bad-name",
    }
}

tokens! {
    /// Why, as a word that logs, reports and documents share. Tokens never change their meaning.
    #[expect(missing_docs, reason = "the tokens say it; docs/operations.md has a heading for each")]
    Reason {
        OnCall => "oncall",
        Grant => "grant",
        BreakGlass => "break-glass",
        Automation => "automation",
        Exempt => "exempt",
        AwaitsKey => "awaits-key",
        OutOfScope => "out-of-scope",
        NotGuarded => "not-guarded",
        AlreadyRoot => "already-root",
        Revoked => "revoked",
        RevokedUnreadable => "revoked-unreadable",
        RevokedStale => "revoked-stale",
        NoRule => "no-rule",
        NotOnCall => "not-oncall",
        NoIncident => "no-incident",
        ClaimNeeded => "claim-needed",
        NotEligible => "not-eligible",
        UnknownPerson => "unknown-person",
        AmbiguousPerson => "ambiguous-person",
        AutomationExpired => "automation-expired",
        AutomationOutOfScope => "automation-out-of-scope",
        CertificateAuthority => "certificate-authority",
        CertificatePeriod => "certificate-period",
        CertificateUnusable => "certificate-unusable",
        BadUser => "bad-user",
        CacheMissing => "cache-missing",
        CacheCorrupt => "cache-corrupt",
        CacheUnreadable => "cache-unreadable",
        CacheVersion => "cache-version",
        CacheStale => "cache-stale",
        FileUntrusted => "file-untrusted",
        ClockRollback => "clock-rollback",
        BeyondHorizon => "beyond-horizon",
        SourceIncomplete => "source-incomplete",
        ConfigInvalid => "config-invalid",
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Missing => Self::CacheMissing,
            Fault::Corrupt => Self::CacheCorrupt,
            Fault::Unreadable => Self::CacheUnreadable,
            Fault::Version => Self::CacheVersion,
            Fault::Untrusted => Self::FileUntrusted,
            Fault::Config => Self::ConfigInvalid,
            Fault::Stale => Self::CacheStale,
            Fault::ClockRollback => Self::ClockRollback,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo => f.write_str("sudo leads to root"),
            Self::Doas => f.write_str("doas leads to root"),
            Self::Polkit => f.write_str("polkit authentication as administrator leads to root"),
            Self::UidZero => f.write_str("its uid is 0"),
            Self::Group(group) => write!(f, "it is in group {group}"),
            Self::Shared => f.write_str("it is a shared account"),
            Self::Named => f.write_str("it is in policy.guarded_accounts"),
        }
    }
}

/// On what ground somebody is admitted: one shift, the rule that counts it, and how old the news is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnCall {
    /// Name of the rule.
    pub rule: String,
    /// The schedule.
    pub schedule: ScheduleRef,
    /// Its name for people.
    pub schedule_name: OneLine,
    /// The escalation level of the shift.
    pub level: u8,
    /// The shift.
    pub window: Window,
    /// All of the person's shifts that count here and follow each other without a gap, this one among them: from
    /// when to when people would say that they are on call.
    pub stretch: Window,
    /// Time since the sync that told.
    pub age: Span,
    /// Is that longer than `warn_age`: trusted, and worth saying?
    pub is_old: bool,
    /// When this host first saw the shift, if that was less than [`NOTICE`](crate::NOTICE) before it began.
    pub late: Option<Timestamp>,
    /// Why they enter, where the rule asks for that.
    pub claim: Claim,
    /// The incident by which the rule counts, where it asks for one.
    pub incident: IncidentState,
}

impl OnCall {
    /// One line for somebody who is admitted on news older than `warn_age`.
    pub fn old_news(&self) -> String {
        format!("still valid, but last synced {} ago; run `oncall-cache refresh`", self.age)
    }
}

/// The `[[policy.automation]]` by which a program is admitted, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its place in the file, from 1.
    pub number: usize,
    /// Who answers for it.
    pub owner: String,
    /// What it is for.
    pub reason: String,
    /// When it ends.
    pub until: Timestamp,
}

impl From<&Automation> for Program {
    fn from(entry: &Automation) -> Self {
        let Automation { number, owner, reason, until, .. } = entry;
        Self { number: *number, owner: owner.clone(), reason: reason.clone(), until: *until }
    }
}

/// What speaks for an admission, or for its absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// A shift.
    OnCall(OnCall),
    /// An exception for a program.
    Program(Program),
    /// A grant.
    Grant(Granted),
    /// A schedule that is not trusted, the time since it was read, and the limit.
    Unbelieved(ScheduleRef, Span, Span),
    /// The person is shut out, or the key.
    Revoked(Revocation),
    /// Nothing to show.
    None,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// What follows.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// Why the account is guarded, where it is.
    pub guard: Option<Guard>,
    /// What the answer rests on.
    pub ground: Ground,
    /// When the verdict will next change by the passing of time alone; `None`: never, as far as is known.
    pub until: Option<Timestamp>,
}

impl Decision {
    pub(crate) const fn plain(verdict: Verdict, reason: Reason) -> Self {
        Self { verdict, reason, guard: None, ground: Ground::None, until: None }
    }

    /// The answer to a name that no account has: empty, endless, or with control bytes in it.
    pub const fn unusable_name() -> Self {
        Self::plain(Verdict::BadName, Reason::BadUser)
    }

    /// The answer where two looks at one login, a moment apart, found different rules or accounts.
    pub const fn undecided() -> Self {
        Self::plain(Verdict::CannotTell, Reason::ConfigInvalid)
    }

    /// Is the person admitted?
    pub fn allows(&self) -> bool {
        self.verdict == Verdict::Allow
    }

    /// May a refusal be left to the next one who asks about the same login? A person who is blocked by name is refused
    /// by the first, and what is not guarded nobody else would ask about.
    pub fn can_wait(&self) -> bool {
        self.guard.is_some() && !matches!(self.reason, Reason::Revoked | Reason::BadUser)
    }
}
