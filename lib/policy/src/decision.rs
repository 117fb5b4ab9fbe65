//! The decision: scope, guard, exemption, eligibility, shift, age. In that order, here and nowhere else.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::OnceCell;
use core::fmt;

use crate::{
    Ages, Automation, Facts, OneLine, Principal, Revocation, Revoked, Roster, Rule, Rules, Schedule,
    ScheduleRef, Shift, Span, Timestamp, Who, Window, asks_the_caller, stretches,
};

/// Who is entering what, and by which door.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// PAM service: `sshd`, `sudo`.
    pub service: &'a str,
    /// The account PAM was asked about: the one entered; under sudo the invoking user.
    pub account: &'a str,
    /// What this host knows of that account.
    pub facts: &'a Facts,
    /// The human being.
    pub person: Person<'a>,
    /// The terminal, as PAM was told: `tty1`, `/dev/pts/0`, `ssh`; empty if there is none.
    pub tty: &'a str,
    /// From where, as PAM was told: an address or a name; empty if there is none.
    pub place: &'a str,
}

/// The human being behind a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person<'a> {
    /// This one.
    Known(&'a Principal),
    /// Nobody that the directory knows: no key opened the session, or nobody owns it.
    Unknown,
    /// More than one owner for one key is no owner.
    Ambiguous,
    /// The key copy could not be read, so the key's owner cannot be told.
    CannotTell(Fault),
    /// The account has a name that is no person's, such as one with capitals.
    Unusable,
    /// The account would be this one's by `[names]`, but the configuration gives their name a right of its own
    /// ([`Rules::person_of`](crate::Rules::person_of)). It is nobody's, but for a revocation of that name.
    Taken(&'a Principal),
    /// The caller is uid 0 already and gains nothing.
    Superuser,
    /// Nobody: the key that opened the session is a program's, and listed here. Whether it opens this account is
    /// still to be decided.
    Program(&'a Automation),
}

/// What the decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Who is on call, or why that is not known.
    pub roster: Result<&'a Roster, Fault>,
    /// Who is revoked on this host, or why that is not known.
    pub revoked: Result<&'a Revoked, Fault>,
}

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
    /// sudo leads to root, whoever calls it.
    Sudo,
    /// So does doas.
    Doas,
    /// And so does an administrator's proof to polkit.
    Polkit,
    /// The account's uid is 0, whatever its name.
    UidZero,
    /// The account is in a group that confers root.
    Group(String),
    /// The account is in `[[policy.shared]]`.
    Shared,
    /// The account is in `policy.accounts`.
    Named,
}

/// The four things that can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Admitted.
    Allow,
    /// Not admitted.
    Refuse,
    /// The evidence does not tell: not admitted either.
    CannotTell,
    /// Not ours to decide: the login is none of those guarded here.
    NotOurs,
    /// The name cannot be used: not admitted.
    BadName,
}

macro_rules! reasons {
    ($($name:ident => $token:literal,)*) => {
        /// Why, as a word that logs, reports and documents share. Tokens never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the tokens say it; docs/operations.md has a heading for each")]
        pub enum Reason {
            $($name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable token.
            pub const fn token(self) -> &'static str {
                match self {
                    $(Self::$name => $token,)*
                }
            }
        }
    };
}

reasons! {
    OnCall => "oncall",
    Automation => "automation",
    Exempt => "exempt",
    AwaitsKey => "awaits-key",
    OutOfScope => "out-of-scope",
    NotGuarded => "not-guarded",
    AlreadyRoot => "already-root",
    Revoked => "revoked",
    RevokedUnreadable => "revoked-unreadable",
    NoRule => "no-rule",
    NotOnCall => "not-oncall",
    NotEligible => "not-eligible",
    UnknownPerson => "unknown-person",
    AmbiguousPerson => "ambiguous-person",
    AutomationOver => "automation-over",
    AutomationElsewhere => "automation-elsewhere",
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
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

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Refuse => "refuse",
            Self::CannotTell => "cannot-tell",
            Self::NotOurs => "not-ours",
            Self::BadName => "bad-name",
        })
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sudo => f.write_str("sudo leads to root"),
            Self::Doas => f.write_str("doas leads to root"),
            Self::Polkit => f.write_str("an administrator's proof to polkit leads to root"),
            Self::UidZero => f.write_str("its uid is 0"),
            Self::Group(group) => write!(f, "it is in group {group}"),
            Self::Shared => f.write_str("it is a shared account"),
            Self::Named => f.write_str("policy.accounts names it"),
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
    /// Is that longer than `warn_age`: believed, and worth saying?
    pub is_old: bool,
}

impl OnCall {
    /// One line for somebody who is admitted on news older than `warn_age`.
    pub fn old_news(&self) -> String {
        format!("believed, but last sync {} ago; run `oncall-cache refresh`", self.age)
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
    /// A schedule that is not believed, the time since it was read, and the limit.
    Unbelieved(ScheduleRef, Span, Span),
    /// Root of this host shut the person out.
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
    const fn plain(verdict: Verdict, reason: Reason) -> Self {
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

    /// May a refusal be left to the next one who asks about the same login? Whoever is shut out by name is turned away
    /// by the first, and what is not guarded nobody else would ask about.
    pub fn can_wait(&self) -> bool {
        self.guard.is_some() && !matches!(self.reason, Reason::Revoked | Reason::BadUser)
    }
}

/// May this person enter this account now?
///
/// The order is part of the contract. A login that is out of scope, or by somebody who is root already, is not
/// ours. Whoever is revoked enters nothing, guarded or not, exempt or not. Otherwise a login that is not guarded
/// is never touched by any fault; an exempt account or console needs no evidence; a program needs an entry of
/// its own, and no roster; everybody else needs to be eligible and on call by a rule that covers this host, and
/// the evidence must be whole and young enough.
pub fn decide(login: &Login<'_>, evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> Decision {
    Judge::new(evidence, rules).decide(login, now)
}

/// [`decide`] about several logins by the same evidence, which is weighed once.
#[derive(Debug)]
pub struct Judge<'a> {
    evidence: Evidence<'a>,
    rules: &'a Rules,
    counted: OnceCell<Counted<'a>>,
}

impl<'a> Judge<'a> {
    /// Looks at nothing yet.
    pub fn new(evidence: &Evidence<'a>, rules: &'a Rules) -> Self {
        Self { evidence: *evidence, rules, counted: OnceCell::new() }
    }

    /// See [`decide`].
    pub fn decide(&self, login: &Login<'_>, now: Timestamp) -> Decision {
        let Self { evidence, rules, .. } = self;
        if !rules.covers_service(login.service) {
            return Decision::plain(Verdict::NotOurs, Reason::OutOfScope);
        }
        let guard = rules.guard(login.service, login.account, login.facts);
        let guarded = guard.is_some();
        let decision = match (login.person, evidence.revoked) {
            (Person::Superuser, _) if guarded => Decision::plain(Verdict::NotOurs, Reason::AlreadyRoot),
            (Person::Known(person) | Person::Taken(person), Ok(revoked)) if revoked.names(person) => {
                shut_out(revoked.get(person))
            }
            // An account that has its own name revoked, in whichever spelling, is closed to its programs too.
            (Person::Program(_), Ok(revoked))
                if revoked.get_by_name(&rules.names.plain(login.account)).is_some() =>
            {
                shut_out(revoked.get_by_name(&rules.names.plain(login.account)))
            }
            _ if !guarded => Decision::plain(Verdict::NotOurs, Reason::NotGuarded),
            _ if rules.exempts_login(login) => Decision::plain(Verdict::Allow, Reason::Exempt),
            (_, Err(_)) => unreadable(evidence),
            (Person::Program(entry), Ok(_)) => decide_program(entry, login, now),
            (Person::Known(person), Ok(_)) => self.decide_caller(person, login, now),
            (Person::Unknown, _) => Decision::plain(Verdict::Refuse, Reason::UnknownPerson),
            (Person::Ambiguous, _) => Decision::plain(Verdict::Refuse, Reason::AmbiguousPerson),
            (Person::CannotTell(fault), _) => Decision::plain(Verdict::CannotTell, fault.into()),
            (Person::Unusable | Person::Taken(_), _) => Decision::unusable_name(),
            (Person::Superuser, _) => Decision::plain(Verdict::NotOurs, Reason::AlreadyRoot),
        };
        Decision { guard, ..decision }
    }

    /// Why nobody at all can be judged by a roster now, if so.
    pub fn cannot_tell(&self, now: Timestamp) -> Option<Decision> {
        match believed(&self.evidence, now) {
            Ok(_) if self.rules.uncovered().is_some() => None,
            Ok(roster) => self.counted(roster).all_unbelieved(now),
            Err(decision) => Some(decision),
        }
    }

    fn counted(&self, roster: &'a Roster) -> &Counted<'a> {
        self.counted.get_or_init(|| Counted::new(self.rules, roster))
    }

    /// A person; or under sudo and su a program, which these show by its account alone: neither key nor place.
    fn decide_caller(&self, person: &Principal, login: &Login<'_>, now: Timestamp) -> Decision {
        let as_person = |at| self.decide_person(person, login.account, at);
        let longest = self.rules.programs(login.service, person.as_str()).max_by_key(|entry| entry.until);
        let entry = longest.filter(|entry| asks_the_caller(login.service) && !entry.is_over(now));
        let Some(entry) = entry else { return as_person(now) };
        // Whoever keeps its account may be on call when its day is over.
        let then = as_person(entry.until);
        let until = if then.allows() { then.until } else { Some(entry.until) };
        let ground = Ground::Program(entry.into());
        Decision { ground, until, ..Decision::plain(Verdict::Allow, Reason::Automation) }
    }

    /// What the roster says to it: whether it tells anything at all, then of this person.
    fn decide_person(&self, person: &Principal, account: &str, now: Timestamp) -> Decision {
        let (evidence, rules) = (&self.evidence, self.rules);
        let roster = match believed(evidence, now) {
            Ok(roster) => roster,
            Err(decision) => {
                let until = healed(evidence, |then| self.decide_person(person, account, then));
                return Decision { until, ..decision };
            }
        };
        if rules.uncovered().is_some() {
            return Decision::plain(Verdict::Refuse, Reason::NoRule);
        }
        let counted = self.counted(roster);
        if let Some(decision) = counted.all_unbelieved(now) {
            return decision;
        }
        let listed = match rules.shared(account).map(|shared| &shared.principals) {
            Some(Who::Only(people)) => people.contains(person),
            Some(Who::Everyone) | None => true,
        };
        if !listed || !roster.is_eligible(person) {
            let until = counted.ends().max();
            return Decision { until, ..Decision::plain(Verdict::Refuse, Reason::NotEligible) };
        }
        counted.by_shifts(roster.shifts.of(person), now)
    }
}

/// It cannot be told who is revoked. Where the configuration cannot be read either, that comes first: it is what
/// has to be mended first.
fn unreadable(evidence: &Evidence<'_>) -> Decision {
    let reason = match evidence.roster {
        Err(Fault::Config) => Reason::ConfigInvalid,
        _ => Reason::RevokedUnreadable,
    };
    Decision::plain(Verdict::CannotTell, reason)
}

fn shut_out(revocation: Option<&Revocation>) -> Decision {
    let ground = revocation.map_or(Ground::None, |revocation| Ground::Revoked(revocation.clone()));
    Decision { ground, ..Decision::plain(Verdict::Refuse, Reason::Revoked) }
}

/// Could anybody enter this account now? Asked where the key is not yet known: sshd tells PAM the key only
/// when the session opens. [`Reason::AwaitsKey`] says that the real decision follows.
///
/// An account that several people share is entered as nobody; any other as its owner, unless the key turns out
/// to be a program's.
pub fn anyone(login: &Login<'_>, evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> Decision {
    let keyless = decide(login, evidence, rules, now);
    let has_program = || {
        let mut entries = rules.programs(login.service, login.account);
        entries.any(|entry| {
            let login = Login { person: Person::Program(entry), ..*login };
            decide(&login, evidence, rules, now).allows()
        })
    };
    match keyless.reason {
        Reason::OnCall => {}
        Reason::Exempt | Reason::NotGuarded | Reason::OutOfScope | Reason::AlreadyRoot => return keyless,
        Reason::Revoked | Reason::RevokedUnreadable => return keyless,
        _ if has_program() => {}
        Reason::UnknownPerson => return anyone_on_call(login, keyless, evidence, rules, now),
        _ => return keyless,
    }
    Decision { guard: keyless.guard, ..Decision::plain(Verdict::Allow, Reason::AwaitsKey) }
}

/// The same of an account that several people share, and people alone.
fn anyone_on_call(
    login: &Login<'_>,
    unknown: Decision,
    evidence: &Evidence<'_>,
    rules: &Rules,
    now: Timestamp,
) -> Decision {
    let decision = match admitted(login.service, login.account, login.facts, evidence, rules, now) {
        Ok(_) if rules.uncovered().is_some() => Decision::plain(Verdict::Refuse, Reason::NoRule),
        Ok(people) if people.is_empty() => Decision::plain(Verdict::Refuse, Reason::NotOnCall),
        Ok(_) => Decision::plain(Verdict::Allow, Reason::AwaitsKey),
        Err(decision) => decision,
    };
    Decision { guard: unknown.guard, ..decision }
}

/// Everyone whom [`decide`] admits to this account now, in order of name.
///
/// # Errors
/// The decision that says why nobody can be named, where the evidence does not tell.
pub fn admitted<'r>(
    service: &str,
    account: &str,
    facts: &Facts,
    evidence: &Evidence<'r>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Vec<&'r Principal>, Decision> {
    if evidence.revoked.is_err() {
        return Err(unreadable(evidence));
    }
    let roster = believed(evidence, now)?;
    // In order of their people.
    let on_call = roster.shifts.iter().filter(|shift| shift.window.contains(now));
    let mut people: Vec<&Principal> = on_call.map(|shift| &shift.principal).collect();
    people.dedup();
    let judge = Judge::new(evidence, rules);
    people.retain(|person| {
        let login = Login { service, account, facts, person: Person::Known(person), tty: "", place: "" };
        judge.decide(&login, now).allows()
    });
    match judge.counted(roster).unbelieved(now).next() {
        Some(decision) if people.is_empty() => Err(decision),
        _ => Ok(people),
    }
}

/// Everyone on call now by a rule that covers this host and a schedule that is believed, eligible or not, with
/// the ground; without those who are `revoked`.
pub fn on_call_now<'r>(
    rules: &Rules,
    roster: &'r Roster,
    revoked: &Revoked,
    now: Timestamp,
) -> Vec<(&'r Principal, OnCall)> {
    let counted = Counted::new(rules, roster);
    let mut people: Vec<(&Principal, OnCall)> = roster
        .shifts
        .iter()
        .filter(|shift| !revoked.names(&shift.principal))
        .filter_map(|shift| {
            let claim = counted.claim(shift)?;
            claim.window.contains(now).then(|| (&shift.principal, counted.on_call(&claim, now)))
        })
        .collect();
    people.sort_by(|left, right| (left.0, left.1.level).cmp(&(right.0, right.1.level)));
    people.dedup_by(|right, left| right.0 == left.0);
    people
}

/// Everyone whom their shift would admit now, with the end of the stretch that it is a part of; `None`: nobody can be named, and that may be for
/// want of evidence. What a person who is refused is told.
pub fn told_on_call<'r>(
    evidence: &Evidence<'r>,
    rules: &Rules,
    now: Timestamp,
) -> Option<Vec<(&'r Principal, Timestamp)>> {
    let (roster, nobody) = (believed(evidence, now).ok()?, Revoked::nobody());
    let people: Vec<(&Principal, Timestamp)> =
        on_call_now(rules, roster, evidence.revoked.unwrap_or(&nobody), now)
            .into_iter()
            .filter(|(person, _)| roster.is_eligible(person))
            .map(|(person, ground)| (person, ground.stretch.end()))
            .collect();
    let is_known = !people.is_empty() || Counted::new(rules, roster).unbelieved(now).next().is_none();
    is_known.then_some(people)
}

/// The roster, if it may be believed at `now` at all.
fn believed<'r>(evidence: &Evidence<'r>, now: Timestamp) -> Result<&'r Roster, Decision> {
    let roster =
        evidence.roster.map_err(|fault| Decision::plain(Verdict::CannotTell, Reason::from(fault)))?;
    if !roster.clock_holds(now) {
        return Err(Decision::plain(Verdict::CannotTell, Reason::ClockRollback));
    }
    Ok(roster)
}

/// A program, by its key: this account, by this door, from this place, and not after its day.
fn decide_program(entry: &Automation, login: &Login<'_>, now: Timestamp) -> Decision {
    let ground = Ground::Program(entry.into());
    let is_here = entry.account.as_str() == login.account
        && entry.covers_service(login.service)
        && entry.from.iter().any(|place| place.covers(login.place));
    let decision = match (is_here, entry.is_over(now)) {
        (false, _) => Decision::plain(Verdict::Refuse, Reason::AutomationElsewhere),
        (true, true) => Decision::plain(Verdict::Refuse, Reason::AutomationOver),
        (true, false) => {
            let admitted = Decision::plain(Verdict::Allow, Reason::Automation);
            Decision { until: Some(entry.until), ..admitted }
        }
    };
    Decision { ground, ..decision }
}

/// When a clock that is behind the roster is no longer, or, if the answer is the same then, when that changes.
fn healed(evidence: &Evidence<'_>, then: impl FnOnce(Timestamp) -> Decision) -> Option<Timestamp> {
    let at = evidence.roster.ok()?.floor.minus(Rules::SKEW);
    match then(at) {
        Decision { verdict: Verdict::CannotTell, until, .. } => until,
        _ => Some(at),
    }
}

/// The end of the unbroken cover that holds at `now`: touching and overlapping shifts are one.
/// `claims` are in order of their start.
fn covered_until(claims: &[Claim<'_>], now: Timestamp) -> Timestamp {
    claims.iter().fold(now, |end, claim| {
        let joins = claim.window.start() <= end && claim.window.end() > end;
        if joins { claim.window.end() } else { end }
    })
}

/// A roster as the rules of this host read it.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    roster: &'a Roster,
    ages: &'a Ages,
    /// For each schedule of the roster the rules here that count it.
    rules: Vec<Vec<&'a Rule>>,
    /// Schedules that a rule here names and the roster does not have.
    absent: Vec<&'a ScheduleRef>,
}

/// A shift that admits its person, cut to the time for which it is believed.
pub(crate) struct Claim<'a> {
    rule: &'a Rule,
    schedule: &'a Schedule,
    shift: &'a Shift,
    window: Window,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(rules: &'a Rules, roster: &'a Roster) -> Self {
        let mut by_schedule: Vec<Vec<&Rule>> = alloc::vec![Vec::new(); roster.schedules.len()];
        let mut absent = Vec::new();
        let numbered = roster.schedules.iter().enumerate().map(|(number, one)| (&one.reference, number));
        let numbers: BTreeMap<&ScheduleRef, usize> = numbered.collect();
        for rule in rules.here() {
            for wanted in &rule.schedules {
                match numbers.get(wanted).and_then(|number| by_schedule.get_mut(*number)) {
                    Some(counting) => counting.push(rule),
                    None => absent.push(wanted),
                }
            }
        }
        Self { roster, ages: &rules.ages, rules: by_schedule, absent }
    }

    /// The rule here that counts `shift`, if one does, and its schedule.
    fn counts(&self, shift: &Shift) -> Option<(&'a Rule, &'a Schedule)> {
        let schedule = self.roster.schedules.get(shift.schedule)?;
        let rule = self.rules.get(shift.schedule)?.iter().find(|rule| shift.level <= rule.max_level)?;
        Some((rule, schedule))
    }

    /// What `shift` admits to here, if anything.
    pub(crate) fn claim(&self, shift: &'a Shift) -> Option<Claim<'a>> {
        let (rule, schedule) = self.counts(shift)?;
        let believed = Window::new(Timestamp::MIN, self.believed_until(schedule))?;
        let window = shift.window.intersect(believed)?;
        Some(Claim { rule, schedule, shift, window })
    }

    /// What follows from the shifts of somebody whom they may admit.
    fn by_shifts(&self, own: &'a [Shift], now: Timestamp) -> Decision {
        let mut claims: Vec<Claim<'_>> = own.iter().filter_map(|shift| self.claim(shift)).collect();
        claims.sort_by_key(|claim| claim.window);
        if let Some(claim) = claims.iter().find(|claim| claim.window.contains(now)) {
            return Decision {
                ground: Ground::OnCall(self.on_call(claim, now)),
                until: Some(covered_until(&claims, now)),
                ..Decision::plain(Verdict::Allow, Reason::OnCall)
            };
        }
        let next = claims.iter().map(|claim| claim.window.start()).filter(|&start| start > now).min();
        if let Some(decision) = self.unbelieved(now).next() {
            return Decision { until: next, ..decision };
        }
        let until = next.into_iter().chain(self.ends()).min();
        Decision { until, ..Decision::plain(Verdict::Refuse, Reason::NotOnCall) }
    }

    /// What `claim` is to whoever reads of it at `now`.
    fn on_call(&self, claim: &Claim<'_>, now: Timestamp) -> OnCall {
        let Claim { rule, schedule, shift, .. } = claim;
        let age = now.since(schedule.synced);
        OnCall {
            rule: rule.name.clone(),
            schedule: schedule.reference.clone(),
            schedule_name: schedule.name.clone(),
            level: shift.level,
            window: shift.window,
            stretch: self.stretch(claim, now),
            age,
            is_old: age > self.ages.of(schedule).warn_age,
        }
    }

    /// Whatever of the same person counts here, is believed at `now` and joins `claim` without a gap. Belief that
    /// ends later cuts nothing off: a sync comes before that, most likely.
    fn stretch(&self, claim: &Claim<'_>, now: Timestamp) -> Window {
        let joins = |shift: &&Shift| {
            self.counts(shift).is_some_and(|(_, schedule)| now < self.believed_until(schedule))
        };
        let own =
            self.roster.shifts.of(&claim.shift.principal).iter().filter(joins).map(|shift| shift.window);
        let whole = stretches(own).into_iter().find(|stretch| stretch.join(claim.shift.window).is_some());
        whole.unwrap_or(claim.shift.window)
    }

    fn here(&self) -> impl Iterator<Item = &'a Schedule> {
        self.roster
            .schedules
            .iter()
            .zip(&self.rules)
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(one, _)| one)
    }

    fn believed_until(&self, schedule: &Schedule) -> Timestamp {
        schedule.believed_until(self.ages.of(schedule).max_age)
    }

    /// For each schedule that counts here the first instant at which it is not believed.
    fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.here().map(|schedule| self.believed_until(schedule))
    }

    /// The first instant at which somebody whom no shift admits is not known to be off call.
    pub(crate) fn known_until(&self) -> Timestamp {
        match self.absent.is_empty() {
            true => self.ends().min().unwrap_or(Timestamp::MAX),
            false => Timestamp::MIN,
        }
    }

    /// The decision that says so, where no schedule that counts here is believed.
    fn all_unbelieved(&self, now: Timestamp) -> Option<Decision> {
        if self.ends().any(|end| now < end) { None } else { self.unbelieved(now).next() }
    }

    /// For each schedule that counts here and is not believed: the decision that says so.
    fn unbelieved(&self, now: Timestamp) -> impl Iterator<Item = Decision> {
        let old =
            self.here().filter(move |schedule| now >= self.believed_until(schedule)).map(move |schedule| {
                let (age, limit) = (now.since(schedule.synced), self.ages.of(schedule).max_age);
                let reason = if age < limit { Reason::BeyondHorizon } else { Reason::CacheStale };
                let ground = Ground::Unbelieved(schedule.reference.clone(), age, limit);
                Decision { ground, ..Decision::plain(Verdict::CannotTell, reason) }
            });
        let absent =
            self.absent.iter().map(|_| Decision::plain(Verdict::CannotTell, Reason::SourceIncomplete));
        old.chain(absent)
    }
}

impl Claim<'_> {
    pub(crate) fn window(&self) -> Window {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, AgeLimit, Host, HostSelector, Shared, SourceAges};
    use alloc::collections::BTreeMap;
    use alloc::string::ToString;
    use alloc::vec;

    const NINE: i64 = 1_795_165_200; // 2026-11-20T09:00:00Z

    fn at(hour: i64, minute: i64, second: i64) -> Timestamp {
        Timestamp::from_unix(NINE + (hour - 9) * 3600 + minute * 60 + second)
    }

    fn name(text: &str) -> Principal {
        Principal::new(text).unwrap()
    }

    fn reference(id: &str) -> ScheduleRef {
        ScheduleRef { source: "pd".to_string(), id: id.to_string() }
    }

    fn shift(person: &str, level: u8, from: Timestamp, to: Timestamp) -> Shift {
        Shift { schedule: 0, principal: name(person), level, window: Window::new(from, to).unwrap() }
    }

    fn add(roster: &mut Roster, shift: Shift) {
        roster.shifts = roster.shifts.iter().cloned().chain([shift]).collect();
    }

    /// alice 09–18, bob 18–21; alice, bob and carol are eligible, dave is not.
    fn roster() -> Roster {
        Roster {
            published: at(9, 0, 0),
            floor: at(9, 0, 0),
            schedules: vec![Schedule {
                reference: reference("P1"),
                provider_id: "P1".to_string(),
                name: "primary".into(),
                synced: at(9, 0, 0),
                horizon: at(81, 0, 0),
            }],
            shifts: vec![
                shift("alice", 1, at(9, 0, 0), at(18, 0, 0)),
                shift("bob", 1, at(18, 0, 0), at(21, 0, 0)),
                shift("carol", 2, at(9, 0, 0), at(21, 0, 0)),
                shift("dave", 1, at(9, 0, 0), at(21, 0, 0)),
            ]
            .into(),
            eligible: BTreeMap::from([
                (name("alice"), true),
                (name("bob"), true),
                (name("carol"), true),
                (name("dave"), false),
            ]),
        }
    }

    fn rules() -> Rules {
        Rules {
            host: Host { name: "db1".to_string(), labels: vec![] },
            rules: vec![Rule {
                name: "db".to_string(),
                hosts: vec![HostSelector::parse("db*")],
                schedules: vec![reference("P1")],
                max_level: 1,
            }],
            ..Rules::compiled()
        }
    }

    fn root() -> Facts {
        Facts { uid: Some(0), root_groups: vec![] }
    }

    static NOBODY: Revoked = Revoked::nobody();

    fn evidence(roster: Result<&Roster, Fault>) -> Evidence<'_> {
        Evidence { roster, revoked: Ok(&NOBODY) }
    }

    fn decision(person: &str, roster: &Roster, rules: &Rules, now: Timestamp) -> Decision {
        let (principal, facts) = (name(person), root());
        let login = Login {
            service: "sshd",
            account: "root",
            facts: &facts,
            person: Person::Known(&principal),
            tty: "",
            place: "",
        };
        decide(&login, &evidence(Ok(roster)), rules, now)
    }

    fn outcome(person: &str, now: Timestamp) -> (Verdict, Reason) {
        let decision = decision(person, &roster(), &rules(), now);
        (decision.verdict, decision.reason)
    }

    #[test]
    fn the_shift_ends_at_its_second_and_the_next_begins() {
        assert_eq!(outcome("alice", at(8, 59, 59)), (Verdict::Refuse, Reason::NotOnCall));
        assert_eq!(outcome("alice", at(9, 0, 0)), (Verdict::Allow, Reason::OnCall));
        assert_eq!(outcome("alice", at(17, 59, 59)), (Verdict::Allow, Reason::OnCall));
        assert_eq!(outcome("alice", at(18, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
        assert_eq!(outcome("bob", at(17, 59, 59)), (Verdict::Refuse, Reason::NotOnCall));
        assert_eq!(outcome("bob", at(18, 0, 0)), (Verdict::Allow, Reason::OnCall));
    }

    #[test]
    fn on_call_without_eligibility_admits_nobody() {
        assert_eq!(outcome("dave", at(10, 0, 0)), (Verdict::Refuse, Reason::NotEligible));
        assert_eq!(outcome("mallory", at(10, 0, 0)), (Verdict::Refuse, Reason::NotEligible));
    }

    #[test]
    fn a_deeper_level_than_the_rule_counts_admits_nobody() {
        assert_eq!(outcome("carol", at(10, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
        let mut deeper = rules();
        deeper.rules[0].max_level = 2;
        assert!(decision("carol", &roster(), &deeper, at(10, 0, 0)).allows());
    }

    #[test]
    fn a_rule_for_other_hosts_admits_nobody_here() {
        let mut elsewhere = rules();
        elsewhere.host.name = "web1".to_string();
        let decision = decision("alice", &roster(), &elsewhere, at(10, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::NoRule));
    }

    #[test]
    fn old_news_cannot_tell_even_for_the_person_on_call() {
        let mut roster = roster();
        let long = Window::new(at(9, 0, 0), at(200, 0, 0)).unwrap();
        let stays = |shift: &&Shift| shift.principal != name("alice");
        let others = roster.shifts.iter().filter(stays).cloned();
        let alices = Shift { window: long, ..roster.shifts[0].clone() };
        roster.shifts = others.chain([alices]).collect();
        let reason = |now| {
            let decision = decision("alice", &roster, &rules(), now);
            (decision.verdict, decision.reason)
        };
        assert_eq!(reason(at(32, 59, 59)), (Verdict::Allow, Reason::OnCall));
        assert_eq!(reason(at(33, 0, 0)), (Verdict::CannotTell, Reason::CacheStale));
        roster.schedules[0].horizon = at(20, 0, 0);
        let decision = decision("alice", &roster, &rules(), at(20, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (Verdict::CannotTell, Reason::BeyondHorizon));
    }

    #[test]
    fn a_clock_behind_the_publication_cannot_tell() {
        assert_eq!(outcome("alice", at(8, 57, 59)), (Verdict::CannotTell, Reason::ClockRollback));
        assert_eq!(outcome("alice", at(8, 58, 0)), (Verdict::Refuse, Reason::NotOnCall));
    }

    #[test]
    fn a_schedule_named_like_anothers_id_does_not_stand_in_for_it() {
        let mut roster = roster();
        let renamed =
            Schedule { reference: reference("P9"), name: "P1".into(), ..roster.schedules[0].clone() };
        roster.schedules.push(renamed);
        add(&mut roster, Shift { schedule: 1, ..shift("bob", 1, at(9, 0, 0), at(18, 0, 0)) });
        assert_eq!(decision("bob", &roster, &rules(), at(10, 0, 0)).reason, Reason::NotOnCall);
        assert!(decision("alice", &roster, &rules(), at(10, 0, 0)).allows());
        // A name is what whoever edits the rota chooses.
        let mut by_name = rules();
        by_name.rules[0].schedules = vec![reference("primary")];
        assert_eq!(decision("alice", &roster, &by_name, at(10, 0, 0)).reason, Reason::SourceIncomplete);
    }

    #[test]
    fn a_caller_of_sudo_who_is_not_identified_is_not_exempt() {
        let (facts, breakglass) = (Facts::default(), name("breakglass"));
        let rules = Rules { exempt_accounts: vec![Account::new("breakglass").unwrap()], ..rules() };
        let ask = |person| {
            let login =
                Login { service: "sudo", account: "breakglass", facts: &facts, person, tty: "", place: "" };
            decide(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0)).reason
        };
        assert_eq!(ask(Person::Unknown), Reason::UnknownPerson);
        assert_eq!(ask(Person::Known(&breakglass)), Reason::Exempt);
    }

    #[test]
    fn a_schedule_that_the_roster_lacks_cannot_tell() {
        let mut rules = rules();
        rules.rules[0].schedules = vec![reference("P2")];
        let decision = decision("alice", &roster(), &rules, at(10, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (Verdict::CannotTell, Reason::SourceIncomplete));
    }

    #[test]
    fn one_schedule_that_is_too_old_takes_nothing_from_another() {
        let mut roster = roster();
        let second = Schedule { reference: reference("P2"), ..roster.schedules[0].clone() };
        roster.schedules.push(second);
        roster.shifts = vec![
            shift("alice", 1, at(9, 0, 0), at(18, 0, 0)),
            Shift { schedule: 1, ..shift("bob", 1, at(9, 0, 0), at(18, 0, 0)) },
        ]
        .into();
        let limit = |hours| AgeLimit { warn_age: Span::minutes(30), max_age: Span::hours(hours) };
        let own = SourceAges { all: limit(24), schedules: BTreeMap::from([("P2".to_string(), limit(1))]) };
        let mut rules = rules();
        rules.rules[0].schedules.push(reference("P2"));
        rules.ages.sources.insert("pd".to_string(), own);
        let reason = |person, now| decision(person, &roster, &rules, now).reason;
        assert_eq!(reason("bob", at(9, 59, 59)), Reason::OnCall);
        // P2 is too old from ten on: whoever only it could admit is not known to be off call either.
        assert_eq!(reason("bob", at(10, 0, 0)), Reason::CacheStale);
        assert_eq!(reason("carol", at(10, 0, 0)), Reason::CacheStale);
        assert_eq!(reason("alice", at(10, 0, 0)), Reason::OnCall);
        assert_eq!(decision("bob", &roster, &rules, at(9, 0, 0)).until, Some(at(10, 0, 0)));
        let facts = root();
        let people = admitted("sshd", "root", &facts, &evidence(Ok(&roster)), &rules, at(10, 0, 0)).unwrap();
        assert_eq!(people, [&name("alice")]);
    }

    #[test]
    fn a_revocation_wins_over_all_but_scope_and_being_root_already() {
        let (alice, roster, facts, plain) = (name("alice"), roster(), root(), Facts::default());
        let since = at(8, 0, 0);
        let revocation = Revocation { since, by: "root".to_string(), reason: String::new() };
        let revoked: Revoked = [(alice.clone(), revocation)].into_iter().collect();
        let exempt = vec![Account::new("alice").unwrap(), Account::new("toor").unwrap()];
        let rules = Rules { exempt_accounts: exempt, ..rules() };
        let ask = |service, account, facts, person, revoked| {
            let login = Login { service, account, facts, person, tty: "tty1", place: "" };
            decide(&login, &Evidence { roster: Ok(&roster), revoked }, &rules, at(10, 0, 0)).reason
        };
        let known = Person::Known(&alice);
        for (service, account, facts) in [
            ("sshd", "root", &facts),
            ("sshd", "toor", &facts),
            ("sshd", "alice", &plain),
            ("login", "alice", &plain),
            ("sudo", "alice", &plain),
            ("su", "dave", &plain),
        ] {
            assert_eq!(
                ask(service, account, facts, known, Ok(&revoked)),
                Reason::Revoked,
                "{service} {account}"
            );
        }
        assert_eq!(ask("cron", "alice", &plain, known, Ok(&revoked)), Reason::OutOfScope);
        assert_eq!(ask("su", "root", &facts, Person::Superuser, Ok(&revoked)), Reason::AlreadyRoot);
        // A list that cannot be read: what is exempt, the console and whatever is not guarded go on.
        let unreadable = Err(Fault::Corrupt);
        assert_eq!(ask("sshd", "root", &facts, known, unreadable), Reason::RevokedUnreadable);
        assert_eq!(ask("sshd", "toor", &facts, known, unreadable), Reason::Exempt);
        assert_eq!(ask("login", "root", &facts, Person::Unknown, unreadable), Reason::Exempt);
        assert_eq!(ask("sshd", "alice", &plain, known, unreadable), Reason::NotGuarded);
    }

    /// Opens `account` until noon.
    fn robot(account: &str, services: &[&str]) -> Automation {
        Automation {
            number: 3,
            account: Account::new(account).unwrap(),
            digests: vec![[7; 32]],
            keys: vec![],
            from: vec![crate::FromPattern::new("10.0.0.0/8").unwrap()],
            services: services.iter().map(ToString::to_string).collect(),
            owner: "platform team".to_string(),
            reason: "ansible".to_string(),
            until: at(12, 0, 0),
        }
    }

    #[test]
    fn a_programs_key_opens_its_account_from_its_places_until_its_day_without_a_roster() {
        let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
        let entry = robot("deploy", &["sshd"]);
        let ask = |service, account, place, now| {
            let person = Person::Program(&entry);
            let login = Login { service, account, facts: &admin, person, tty: "", place };
            decide(&login, &evidence(Err(Fault::Missing)), &rules(), now)
        };
        let open = ask("sshd", "deploy", "10.1.2.3", at(11, 59, 59));
        assert_eq!((open.verdict, open.reason), (Verdict::Allow, Reason::Automation));
        assert_eq!((open.until, open.guard), (Some(at(12, 0, 0)), Some(Guard::Group("sudo".to_string()))));
        assert!(matches!(open.ground, Ground::Program(program) if program.number == 3));
        let over = ask("sshd", "deploy", "10.1.2.3", at(12, 0, 0));
        assert_eq!((over.verdict, over.reason), (Verdict::Refuse, Reason::AutomationOver));
        for (service, account, place) in [
            ("sshd", "root", "10.1.2.3"),
            ("login", "deploy", "10.1.2.3"),
            ("sshd", "deploy", "192.0.2.1"),
            ("sshd", "deploy", "ci.example.com"),
            ("sshd", "deploy", ""),
        ] {
            let reason = ask(service, account, place, at(10, 0, 0)).reason;
            assert_eq!(reason, Reason::AutomationElsewhere, "{service} {account} {place}");
        }
    }

    #[test]
    fn sudo_shows_a_program_by_its_account_alone() {
        let (deploy, plain) = (name("deploy"), Facts::default());
        let ask = |service, services: &[&str], now| {
            let rules = Rules { automation: vec![robot("deploy", services)], ..rules() };
            let person = Person::Known(&deploy);
            let login = Login { service, account: "deploy", facts: &plain, person, tty: "", place: "" };
            decide(&login, &evidence(Err(Fault::Missing)), &rules, now).reason
        };
        assert_eq!(ask("sudo", &["sshd", "sudo"], at(11, 59, 59)), Reason::Automation);
        assert_eq!(ask("sudo", &["sshd", "sudo"], at(12, 0, 0)), Reason::CacheMissing);
        assert_eq!(ask("sudo", &["sshd"], at(10, 0, 0)), Reason::CacheMissing);
        assert_eq!(ask("sudo-i", &["sudo"], at(10, 0, 0)), Reason::CacheMissing);
    }

    #[test]
    fn a_revocation_reaches_an_account_whose_name_means_something_else_here() {
        let since = at(8, 0, 0);
        let revocation = Revocation { since, by: "root".to_string(), reason: String::new() };
        let revoked: Revoked = [(name("breakglass"), revocation)].into_iter().collect();
        let (breakglass, plain, admin) = (name("breakglass"), Facts::default(), root());
        let ask = |facts, revoked| {
            let person = Person::Taken(&breakglass);
            let account = "EXAMPLE\\breakglass";
            let login = Login { service: "sshd", account, facts, person, tty: "", place: "" };
            decide(&login, &Evidence { roster: Err(Fault::Missing), revoked }, &rules(), at(10, 0, 0)).reason
        };
        assert_eq!(ask(&plain, Ok(&NOBODY)), Reason::NotGuarded);
        assert_eq!(ask(&plain, Ok(&revoked)), Reason::Revoked);
        assert_eq!(ask(&admin, Ok(&NOBODY)), Reason::BadUser);
        assert_eq!(ask(&admin, Ok(&revoked)), Reason::Revoked);
    }

    #[test]
    fn a_revoked_account_is_closed_to_its_programs_too() {
        let since = at(8, 0, 0);
        let revocation = Revocation { since, by: "root".to_string(), reason: String::new() };
        let revoked: Revoked = [(name("deploy"), revocation)].into_iter().collect();
        let (deploy, roster, facts, plain) = (name("deploy"), roster(), root(), Facts::default());
        let entry = robot("deploy", &["sshd", "sudo"]);
        let rules = Rules { automation: vec![entry.clone()], ..rules() };
        let ask = |service, person, facts, revoked| {
            let login = Login { service, account: "deploy", facts, person, tty: "", place: "10.0.0.1" };
            decide(&login, &Evidence { roster: Ok(&roster), revoked }, &rules, at(10, 0, 0)).reason
        };
        for (service, person) in [("sshd", Person::Program(&entry)), ("sudo", Person::Known(&deploy))] {
            assert_eq!(ask(service, person, &facts, Ok(&revoked)), Reason::Revoked, "{service}");
            assert_eq!(ask(service, person, &facts, Ok(&NOBODY)), Reason::Automation, "{service}");
            let unreadable = ask(service, person, &facts, Err(Fault::Corrupt));
            assert_eq!(unreadable, Reason::RevokedUnreadable, "{service}");
        }
        assert_eq!(ask("sshd", Person::Program(&entry), &plain, Ok(&revoked)), Reason::Revoked);
    }

    #[test]
    fn an_account_that_programs_enter_waits_for_the_key_if_somebody_could_be_admitted() {
        let (alice, bob, roster) = (name("alice"), name("bob"), roster());
        let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
        let automation = vec![robot("alice", &["sshd"]), robot("bob", &["sshd"]), robot("root", &["sshd"])];
        let rules = Rules { automation, ..rules() };
        let ask = |account, facts, person, place, roster, now| {
            let login = Login { service: "sshd", account, facts, person, tty: "", place };
            anyone(&login, &evidence(roster), &rules, now).reason
        };
        let (shared, here, away) = (root(), "10.1.2.3", "192.0.2.1");
        let (theirs, his) = (Person::Known(&alice), Person::Known(&bob));
        let (good, none) = (Ok(&roster), Err(Fault::Missing));
        assert_eq!(rules.subject("sshd", "bob", &admin), crate::Subject::OwnerOrProgram);
        assert_eq!(rules.subject("sshd", "bob", &Facts::default()), crate::Subject::Owner);
        // alice is on call: her own key admits her, from wherever.
        assert_eq!(ask("alice", &admin, theirs, away, good, at(10, 0, 0)), Reason::AwaitsKey);
        assert_eq!(ask("bob", &admin, his, here, good, at(10, 0, 0)), Reason::AwaitsKey);
        assert_eq!(ask("bob", &admin, his, away, good, at(10, 0, 0)), Reason::NotOnCall);
        assert_eq!(ask("bob", &admin, his, here, good, at(12, 0, 0)), Reason::NotOnCall);
        assert_eq!(ask("bob", &admin, his, here, none, at(10, 0, 0)), Reason::AwaitsKey);
        assert_eq!(ask("bob", &admin, his, away, none, at(10, 0, 0)), Reason::CacheMissing);
        assert_eq!(ask("root", &shared, Person::Unknown, here, none, at(10, 0, 0)), Reason::AwaitsKey);
        assert_eq!(ask("root", &shared, Person::Unknown, away, none, at(10, 0, 0)), Reason::CacheMissing);
        assert_eq!(ask("root", &shared, Person::Unknown, here, good, at(22, 0, 0)), Reason::NotOnCall);
    }

    #[test]
    fn su_is_for_whoever_calls_it_and_exempt_by_the_caller() {
        let (roster, facts, plain) = (roster(), root(), Facts::default());
        let rules = Rules { exempt_accounts: vec![Account::new("nagios").unwrap()], ..rules() };
        let ask = |caller: &str, account, facts| {
            let caller = name(caller);
            let login = Login {
                service: "su",
                account,
                facts,
                person: Person::Known(&caller),
                tty: "tty1",
                place: "",
            };
            decide(&login, &evidence(Ok(&roster)), &rules, at(10, 0, 0)).reason
        };
        assert_eq!(ask("alice", "root", &facts), Reason::OnCall);
        assert_eq!(ask("bob", "root", &facts), Reason::NotOnCall, "tty1 is a console for login alone");
        assert_eq!(ask("bob", "dave", &plain), Reason::NotGuarded);
        assert_eq!(ask("nagios", "root", &facts), Reason::Exempt);
        assert_eq!(ask("bob", "nagios", &facts), Reason::NotOnCall, "the caller is not who is exempt");
        let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
        assert_eq!(ask("bob", "alice", &admin), Reason::NotOnCall);
    }

    #[test]
    fn touching_shifts_are_one_cover() {
        let mut roster = roster();
        add(&mut roster, shift("alice", 1, at(18, 0, 0), at(19, 0, 0)));
        add(&mut roster, shift("alice", 1, at(19, 30, 0), at(20, 0, 0)));
        assert_eq!(decision("alice", &roster, &rules(), at(10, 0, 0)).until, Some(at(19, 0, 0)));
        assert_eq!(decision("alice", &roster, &rules(), at(19, 0, 0)).until, Some(at(19, 30, 0)));
    }

    #[test]
    fn faults_refuse_the_guarded_and_touch_nobody_else() {
        let (alice, plain, facts) = (name("alice"), Facts::default(), root());
        let evidence = evidence(Err(Fault::Config));
        let ask = |service, account, facts| {
            let login = Login { service, account, facts, person: Person::Known(&alice), tty: "", place: "" };
            let decision = decide(&login, &evidence, &Rules::compiled(), at(10, 0, 0));
            (decision.verdict, decision.reason)
        };
        assert_eq!(ask("sshd", "root", &facts), (Verdict::CannotTell, Reason::ConfigInvalid));
        assert_eq!(ask("sudo", "alice", &plain), (Verdict::CannotTell, Reason::ConfigInvalid));
        assert_eq!(ask("sshd", "dave", &plain), (Verdict::NotOurs, Reason::NotGuarded));
        assert_eq!(ask("cron", "root", &facts), (Verdict::NotOurs, Reason::OutOfScope));
    }

    #[test]
    fn a44_root_by_uid_or_group_is_guarded_whatever_its_name() {
        let guard = |account: &str, facts: &Facts| rules().guard("sshd", account, facts);
        assert_eq!(guard("toor", &root()), Some(Guard::UidZero));
        let admin = Facts { uid: Some(1000), root_groups: vec!["sudo".to_string()] };
        assert_eq!(guard("eve", &admin), Some(Guard::Group("sudo".to_string())));
        assert_eq!(guard("eve", &Facts { uid: Some(1000), root_groups: vec![] }), None);
        assert_eq!(guard("root", &Facts::default()), Some(Guard::Named));
    }

    #[test]
    fn nobody_without_a_name_enters_a_guarded_account() {
        let facts = root();
        for (person, verdict, reason) in [
            (Person::Unknown, Verdict::Refuse, Reason::UnknownPerson),
            (Person::Ambiguous, Verdict::Refuse, Reason::AmbiguousPerson),
            (Person::CannotTell(Fault::Missing), Verdict::CannotTell, Reason::CacheMissing),
            (Person::Unusable, Verdict::BadName, Reason::BadUser),
            (Person::Superuser, Verdict::NotOurs, Reason::AlreadyRoot),
        ] {
            let login = Login { service: "sshd", account: "root", facts: &facts, person, tty: "", place: "" };
            let decision = decide(&login, &evidence(Ok(&roster())), &rules(), at(10, 0, 0));
            assert_eq!((decision.verdict, decision.reason), (verdict, reason));
        }
    }

    #[test]
    fn an_exempt_account_needs_no_evidence() {
        let facts = root();
        let rules = Rules { exempt_accounts: vec![Account::new("root").unwrap()], ..rules() };
        let login = Login {
            service: "sshd",
            account: "root",
            facts: &facts,
            person: Person::Unknown,
            tty: "",
            place: "",
        };
        let decision = decide(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (Verdict::Allow, Reason::Exempt));
        assert_eq!(
            anyone(&login, &evidence(Err(Fault::Missing)), &rules, at(10, 0, 0)).reason,
            Reason::Exempt
        );
    }

    #[test]
    fn a_shared_account_with_a_list_admits_only_those_on_it() {
        let mut rules = rules();
        let only = Who::Only(vec![name("bob")]);
        rules.shared =
            vec![Shared { account: Account::new("root").unwrap(), principals: only, explain: false }];
        let decision = decision("alice", &roster(), &rules, at(10, 0, 0));
        assert_eq!((decision.verdict, decision.reason), (Verdict::Refuse, Reason::NotEligible));
    }

    #[test]
    fn admitted_lists_exactly_those_whom_decide_admits() {
        let (roster, facts) = (roster(), root());
        let people = |now| {
            admitted("sshd", "root", &facts, &evidence(Ok(&roster)), &rules(), now)
                .map(|people| people.iter().map(ToString::to_string).collect::<Vec<_>>())
                .map_err(|decision| decision.reason)
        };
        assert_eq!(people(at(10, 0, 0)), Ok(vec!["alice".to_string()]));
        assert_eq!(people(at(18, 0, 0)), Ok(vec!["bob".to_string()]));
        assert_eq!(people(at(22, 0, 0)), Ok(vec![]));
        assert_eq!(people(at(40, 0, 0)), Err(Reason::CacheStale));
    }

    #[test]
    fn a_shared_account_waits_for_the_key_only_if_somebody_is_admitted() {
        let (roster, facts) = (roster(), root());
        let login = Login {
            service: "sshd",
            account: "root",
            facts: &facts,
            person: Person::Unknown,
            tty: "",
            place: "",
        };
        let ask = |now| {
            let decision = anyone(&login, &evidence(Ok(&roster)), &rules(), now);
            (decision.verdict, decision.reason)
        };
        assert_eq!(ask(at(10, 0, 0)), (Verdict::Allow, Reason::AwaitsKey));
        assert_eq!(ask(at(22, 0, 0)), (Verdict::Refuse, Reason::NotOnCall));
        assert_eq!(ask(at(40, 0, 0)), (Verdict::CannotTell, Reason::CacheStale));
    }
}
