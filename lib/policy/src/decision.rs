//! The decision: scope, guard, exemption, eligibility, shift, age. In that order, here and nowhere else.

use alloc::vec::Vec;
use core::cell::OnceCell;

use crate::answer::{Decision, Fault, Ground, OnCall, Reason, Verdict};
use crate::roster_view::{Counted, RosterView};
use crate::{
    Automation, CertificateFault, Claims, Facts, Granted, Principal, Revocation, Revoked, Roster, Rules,
    Timestamp, asks_the_caller, entered,
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
    pub person: Actor<'a>,
    /// The terminal, as PAM was told: `tty1`, `/dev/pts/0`, `ssh`; empty if there is none.
    pub tty: &'a str,
    /// From where, as PAM was told: an address or a name; empty if there is none.
    pub place: &'a str,
}

/// The human being behind a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
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
    /// The account would be this one's by `[names]`, but the configuration gives their name another right
    /// ([`Rules::person_of`](crate::Rules::person_of)). It is nobody's, but for a revocation of that name.
    Taken(&'a Principal),
    /// The caller is uid 0 already and gains nothing.
    Superuser,
    /// Nobody: the key that opened the session is revoked, whoever's it was.
    RevokedKey(&'a Revocation),
    /// Nobody: the key that opened the session is a program's, and listed here. Whether it opens this account is
    /// still to be decided.
    Program(&'a Automation),
    /// Nobody: the certificate that opened the session counts for nobody here.
    Certificate(CertificateFault),
}

/// What the decision is made from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// Who is on call, or why that is not known.
    pub roster: Result<&'a Roster, Fault>,
    /// Who is revoked on this host, or why that is not known.
    pub revoked: Result<&'a Revoked, Fault>,
    /// The grants that stand on this host, as far as they may be about this login.
    pub grants: &'a [Granted],
    /// What is known of the reason that the person of this login has stated.
    pub claims: Claims<'a>,
}

/// May this person enter this account now?
///
/// The order is part of the contract. A login that is out of scope, or by somebody who is root already, is not
/// ours. A revoked person enters nothing, guarded or not, exempt or not. Otherwise a login that is not guarded
/// is never touched by any fault; an exempt account or console needs no evidence; a program needs an entry of
/// its own, and no roster; everybody else needs to be eligible and on call by a rule that covers this host, and
/// the evidence must be whole and young enough. Or a grant lets them in, which needs no roster: it only ever adds
/// to the answer, and takes nothing away.
pub fn decide(login: &Login<'_>, evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> Decision {
    Judge::new(evidence, rules).decide(login, now)
}

/// [`decide`] about several logins by the same evidence, which is weighed once.
#[derive(Debug)]
pub struct Judge<'a> {
    evidence: Evidence<'a>,
    rules: &'a Rules,
    view: OnceCell<RosterView<'a>>,
}

impl<'a> Judge<'a> {
    /// Looks at nothing yet.
    pub fn new(evidence: &Evidence<'a>, rules: &'a Rules) -> Self {
        Self { evidence: *evidence, rules, view: OnceCell::new() }
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
            (Actor::Superuser, _) if guarded => Decision::plain(Verdict::NotOurs, Reason::AlreadyRoot),
            (Actor::Known(person) | Actor::Taken(person), Ok(revoked)) if revoked.names(person, now) => {
                shut_out(revoked.get(person, now))
            }
            (Actor::RevokedKey(revocation), _) => shut_out(Some(revocation.clone())),
            // An account that has its own name revoked, in whichever spelling, is closed to its programs too.
            (Actor::Program(_), Ok(revoked))
                if revoked.get_by_name(&rules.names.plain(login.account), now).is_some() =>
            {
                shut_out(revoked.get_by_name(&rules.names.plain(login.account), now))
            }
            _ if !guarded => Decision::plain(Verdict::NotOurs, Reason::NotGuarded),
            _ if rules.exempts_login(login) => Decision::plain(Verdict::Allow, Reason::Exempt),
            (_, Err(_)) => unreadable(evidence),
            (_, Ok(revoked)) if revoked.is_stale(now) => stale(evidence),
            (Actor::Program(entry), Ok(_)) => decide_program(entry, login, reached(evidence, now)),
            (Actor::Known(person), Ok(_)) => self.decide_granted(person, login, now),
            (Actor::Unknown, _) => Decision::plain(Verdict::Refuse, Reason::UnknownPerson),
            (Actor::Ambiguous, _) => Decision::plain(Verdict::Refuse, Reason::AmbiguousPerson),
            (Actor::Certificate(fault), _) => Decision::plain(Verdict::Refuse, fault.into()),
            (Actor::CannotTell(fault), _) => Decision::plain(Verdict::CannotTell, fault.into()),
            (Actor::Unusable | Actor::Taken(_), _) => Decision::unusable_name(),
            (Actor::Superuser, _) => Decision::plain(Verdict::NotOurs, Reason::AlreadyRoot),
        };
        Decision { guard, ..decision }
    }

    /// Why nobody at all can be judged by a roster now, if so.
    pub fn cannot_tell(&self, now: Timestamp) -> Option<Decision> {
        if self.evidence.revoked.is_ok_and(|revoked| revoked.is_stale(now)) {
            return Some(stale(&self.evidence));
        }
        match believed(&self.evidence, now) {
            Ok(_) if self.rules.uncovered().is_some() => None,
            Ok(roster) => self.view(roster).all_unbelieved(now),
            Err(decision) => Some(decision),
        }
    }

    fn view(&self, roster: &'a Roster) -> &RosterView<'a> {
        self.view.get_or_init(|| RosterView::new(self.rules, roster))
    }

    /// A person, by what they are here without a grant, and by the grants that stand for them.
    fn decide_granted(&self, person: &Principal, login: &Login<'_>, now: Timestamp) -> Decision {
        let plain = self.decide_caller(person, login, now);
        let theirs = |grant: &&Granted| grant.person == *person && grant.opens(login.service, login.account);
        let grants: Vec<&Granted> = self.evidence.grants.iter().filter(theirs).collect();
        if grants.is_empty() || !self.rules.lists(entered(login.service, login.account), person) {
            return plain;
        }
        let last_of = |at: Timestamp| {
            grants.iter().filter(|grant| grant.window.contains(at)).max_by_key(|grant| grant.window.end())
        };
        let Some(grant) = last_of(now).filter(|_| !plain.allows()) else {
            return self.joined(plain, person, login, now, &grants);
        };
        let ground = Ground::Grant((*grant).clone());
        let reason = if grant.is_break_glass { Reason::BreakGlass } else { Reason::Grant };
        let granted = Decision { ground, ..Decision::plain(Verdict::Allow, reason) };
        let granted = Decision { until: Some(grant.window.end()), ..granted };
        self.joined(granted, person, login, now, &grants)
    }

    /// `decision` with its end where shifts and grants together end; a refusal ends where the next grant begins.
    fn joined(
        &self,
        decision: Decision,
        person: &Principal,
        login: &Login<'_>,
        now: Timestamp,
        grants: &[&Granted],
    ) -> Decision {
        if !decision.allows() {
            let begins = grants.iter().map(|grant| grant.window.start()).filter(|start| now < *start);
            let until = begins.chain(decision.until).min();
            return Decision { until, ..decision };
        }
        let mut until = decision.until;
        // Each turn ends later than the one before, at the end of a grant or of what a roster tells.
        while let Some(end) = until {
            let plain = self.decide_caller(person, login, end);
            let by_grant = grants.iter().filter(|grant| grant.window.contains(end));
            let next = match by_grant.map(|grant| grant.window.end()).max() {
                _ if plain.allows() => plain.until,
                Some(granted) => Some(granted),
                None => break,
            };
            if next == until {
                break;
            }
            until = next;
        }
        Decision { until, ..decision }
    }

    /// A person; or under sudo and su a program, which these show by its account alone: neither key nor place.
    fn decide_caller(&self, person: &Principal, login: &Login<'_>, now: Timestamp) -> Decision {
        let as_person = |at| self.decide_person(person, login, at);
        let longest = self.rules.programs(login.service, person.as_str()).max_by_key(|entry| entry.until);
        let at = reached(&self.evidence, now);
        let entry = longest.filter(|entry| asks_the_caller(login.service) && !entry.is_over(at));
        let Some(entry) = entry else { return as_person(now) };
        // The owner of the account may be on call when its day is over.
        let then = as_person(entry.until);
        let until = if then.allows() { then.until } else { Some(entry.until) };
        let ground = Ground::Program(entry.into());
        Decision { ground, until, ..Decision::plain(Verdict::Allow, Reason::Automation) }
    }

    /// What the roster says to it: whether it tells anything at all, then of this person.
    fn decide_person(&self, person: &Principal, login: &Login<'_>, now: Timestamp) -> Decision {
        let (evidence, rules) = (&self.evidence, self.rules);
        // Of a clock that is behind nobody knows until when: what it has to reach moves on with it in one boot.
        let roster = match believed(evidence, now) {
            Ok(roster) => roster,
            Err(decision) => return decision,
        };
        if rules.uncovered().is_some() {
            return Decision::plain(Verdict::Refuse, Reason::NoRule);
        }
        let view = self.view(roster);
        if let Some(decision) = view.all_unbelieved(now) {
            return decision;
        }
        if !rules.lists(login.account, person) || !roster.is_eligible(person) {
            let until = view.ends().max();
            return Decision { until, ..Decision::plain(Verdict::Refuse, Reason::NotEligible) };
        }
        let claims = rules.asks_claim_of(login).then_some(evidence.claims);
        view.by_shifts(roster.shifts.of(person), claims, now)
    }
}

/// It cannot be told who is revoked. Where the configuration cannot be read either, that comes first: it is what
/// has to be fixed first.
fn unreadable(evidence: &Evidence<'_>) -> Decision {
    let reason = match evidence.roster {
        Err(Fault::Config) => Reason::ConfigInvalid,
        _ => Reason::RevokedUnreadable,
    };
    Decision::plain(Verdict::CannotTell, reason)
}

/// What the fleet says about who is revoked is older than root allows.
fn stale(evidence: &Evidence<'_>) -> Decision {
    let reason = match evidence.roster {
        Err(Fault::Config) => Reason::ConfigInvalid,
        _ => Reason::RevokedStale,
    };
    Decision::plain(Verdict::CannotTell, reason)
}

fn shut_out(revocation: Option<Revocation>) -> Decision {
    let until = revocation.as_ref().and_then(|revocation| revocation.until);
    let ground = revocation.map_or(Ground::None, Ground::Revoked);
    Decision { ground, until, ..Decision::plain(Verdict::Refuse, Reason::Revoked) }
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
            let login = Login { person: Actor::Program(entry), ..*login };
            decide(&login, evidence, rules, now).allows()
        })
    };
    match keyless.reason {
        Reason::OnCall | Reason::Grant | Reason::BreakGlass => {}
        Reason::Exempt | Reason::NotGuarded | Reason::OutOfScope | Reason::AlreadyRoot => return keyless,
        Reason::Revoked | Reason::RevokedUnreadable | Reason::RevokedStale => return keyless,
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
        Ok(people) if !people.is_empty() => Decision::plain(Verdict::Allow, Reason::AwaitsKey),
        Ok(_) if rules.uncovered().is_some() => Decision::plain(Verdict::Refuse, Reason::NoRule),
        Ok(_) if waits_for_incident(login, evidence, rules, now) => {
            Decision::plain(Verdict::Refuse, Reason::NoIncident)
        }
        Ok(_) => Decision::plain(Verdict::Refuse, Reason::NotOnCall),
        Err(decision) => decision,
    };
    Decision { guard: unknown.guard, ..decision }
}

/// Is an incident all that somebody lacks who is on call?
fn waits_for_incident(login: &Login<'_>, evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> bool {
    let (Ok(roster), true) = (evidence.roster, rules.asks_incidents()) else { return false };
    let mut on_call = roster.shifts.iter().filter(|shift| shift.window.contains(now));
    let judge = Judge::new(evidence, rules);
    on_call.any(|shift| {
        let login = Login { person: Actor::Known(&shift.principal), ..*login };
        judge.decide(&login, now).reason == Reason::NoIncident
    })
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
    match evidence.revoked {
        Err(_) => return Err(unreadable(evidence)),
        Ok(revoked) if revoked.is_stale(now) => return Err(stale(evidence)),
        Ok(_) => {}
    }
    let granted = evidence.grants.iter().filter(|grant| grant.opens(service, account));
    let mut people: Vec<&Principal> = granted.map(|grant| &grant.person).collect();
    let roster = believed(evidence, now);
    if let Ok(roster) = &roster {
        let on_call = roster.shifts.iter().filter(|shift| shift.window.contains(now));
        people.extend(on_call.map(|shift| &shift.principal));
    }
    people.sort();
    people.dedup();
    let judge = Judge::new(evidence, rules);
    people.retain(|person| {
        let login = Login { service, account, facts, person: Actor::Known(person), tty: "", place: "" };
        judge.decide(&login, now).allows()
    });
    if !people.is_empty() {
        return Ok(people);
    }
    judge.view(roster?).unbelieved(now).next().map_or(Ok(people), Err)
}

/// Everyone on call now by a rule that covers this host and a schedule that is trusted, eligible or not, with
/// the ground; without those who are `revoked`.
pub fn on_call_now<'r>(
    rules: &Rules,
    roster: &'r Roster,
    revoked: &Revoked,
    now: Timestamp,
) -> Vec<(&'r Principal, OnCall)> {
    let view = RosterView::new(rules, roster);
    let mut counted: Vec<(&Principal, u8, Counted<'_>)> = roster
        .shifts
        .iter()
        .filter(|shift| shift.window.contains(now) && !revoked.names(&shift.principal, now))
        .filter_map(|shift| Some((&shift.principal, shift.level, view.counted(shift)?)))
        .filter(|(_, _, counted)| counted.window().contains(now))
        .collect();
    // Of each person the first of the least level; only of that one is looked at what joins it.
    counted.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
    counted.dedup_by(|right, left| right.0 == left.0);
    counted.into_iter().map(|(person, _, counted)| (person, view.shown(&counted, now))).collect()
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
    let is_known = !people.is_empty() || RosterView::new(rules, roster).unbelieved(now).next().is_none();
    is_known.then_some(people)
}

/// Does this host know who is on call: is there anybody whom a shift admits by news younger than `warn_age`, or is all that
/// its rules go by so young? Where no rule covers it, it knows that nobody is.
pub fn knows_who_is_on_call(evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> bool {
    let (Ok(roster), nobody) = (believed(evidence, now), Revoked::nobody()) else { return false };
    let people = on_call_now(rules, roster, evidence.revoked.unwrap_or(&nobody), now);
    people.iter().any(|(person, ground)| !ground.is_old && roster.is_eligible(person))
        || is_fresh(evidence, rules, now)
}

/// Is all that the rules of this host go by there, trusted, and younger than `warn_age`?
pub fn is_fresh(evidence: &Evidence<'_>, rules: &Rules, now: Timestamp) -> bool {
    believed(evidence, now).is_ok_and(|roster| RosterView::new(rules, roster).is_fresh(now))
}

/// The roster, if it may be trusted at `now` at all.
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
        (false, _) => Decision::plain(Verdict::Refuse, Reason::AutomationOutOfScope),
        (true, true) => Decision::plain(Verdict::Refuse, Reason::AutomationExpired),
        (true, false) => {
            let admitted = Decision::plain(Verdict::Allow, Reason::Automation);
            Decision { until: Some(entry.until), ..admitted }
        }
    };
    Decision { ground, ..decision }
}

/// The instant that entries of this host's configuration are judged by: a clock that was set back brings none of them
/// back, as far as the roster shows what the time was.
fn reached(evidence: &Evidence<'_>, now: Timestamp) -> Timestamp {
    evidence.roster.map_or(now, |roster| now.max(roster.floor.minus(Rules::SKEW)))
}

#[cfg(test)]
mod tests;
