//! The roster as the rules of this host read it: which shifts count, until when each schedule is trusted.

use alloc::vec::Vec;

use crate::answer::{Decision, Ground, OnCall, Reason, Verdict};
use crate::{
    Ages, Roster, Rule, Rules, Schedule, ScheduleIndex, ScheduleRef, Shift, Timestamp, Window, stretches,
};

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
pub(crate) struct RosterView<'a> {
    roster: &'a Roster,
    ages: &'a Ages,
    /// The rules here that count a schedule of the roster, in the order of these schedules.
    rules: Vec<(usize, &'a Rule)>,
    /// Schedules that a rule here names and the roster does not have.
    absent: Vec<&'a ScheduleRef>,
}

/// A shift that admits its person, cut to the time for which it is trusted.
pub(crate) struct Claim<'a> {
    rule: &'a Rule,
    schedule: &'a Schedule,
    shift: &'a Shift,
    window: Window,
}

impl<'a> RosterView<'a> {
    pub(crate) fn new(rules: &'a Rules, roster: &'a Roster) -> Self {
        let (mut counting, mut absent) = (Vec::new(), Vec::new());
        let known: ScheduleIndex<'_> = roster.schedules.iter().map(|one| &one.reference).collect();
        for rule in rules.here() {
            for wanted in &rule.schedules {
                match known.find(&wanted.source, &wanted.id) {
                    Some(number) => counting.push((number, rule)),
                    None => absent.push(wanted),
                }
            }
        }
        // Rules of one schedule stay in their order: the first that counts a shift is the one that is named.
        counting.sort_by_key(|(number, _)| *number);
        Self { roster, ages: &rules.ages, rules: counting, absent }
    }

    /// The rules here that count the schedule of this number.
    fn rules_of(&self, schedule: usize) -> impl Iterator<Item = &'a Rule> {
        let start = self.rules.partition_point(|(number, _)| *number < schedule);
        let counting = self.rules.iter().skip(start).take_while(move |(number, _)| *number == schedule);
        counting.map(|(_, rule)| *rule)
    }

    /// The rule here that counts `shift`, if one does, and its schedule.
    fn counts(&self, shift: &Shift) -> Option<(&'a Rule, &'a Schedule)> {
        let schedule = self.roster.schedules.get(shift.schedule)?;
        let rule = self.rules_of(shift.schedule).find(|rule| shift.level <= rule.max_escalation_level)?;
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
    pub(crate) fn by_shifts(&self, own: &'a [Shift], now: Timestamp) -> Decision {
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

    /// What `claim` means to a reader at `now`.
    pub(crate) fn on_call(&self, claim: &Claim<'_>, now: Timestamp) -> OnCall {
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

    /// Whatever of the same person counts here, is trusted at `now` and joins `claim` without a gap. Belief that
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

    /// Schedules of the roster that count here, each once.
    fn here(&self) -> impl Iterator<Item = &'a Schedule> {
        let groups = self.rules.chunk_by(|one, next| one.0 == next.0);
        groups.filter_map(|group| self.roster.schedules.get(group.first()?.0))
    }

    fn believed_until(&self, schedule: &Schedule) -> Timestamp {
        schedule.believed_until(self.ages.of(schedule).max_age)
    }

    /// For each schedule that counts here the first instant at which it is not trusted.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Timestamp> {
        self.here().map(|schedule| self.believed_until(schedule))
    }

    /// The first instant at which somebody whom no shift admits is not known to be off call.
    pub(crate) fn known_until(&self) -> Timestamp {
        match self.absent.is_empty() {
            true => self.ends().min().unwrap_or(Timestamp::MAX),
            false => Timestamp::MIN,
        }
    }

    /// The decision that says so, where no schedule that counts here is trusted.
    pub(crate) fn all_unbelieved(&self, now: Timestamp) -> Option<Decision> {
        if self.ends().any(|end| now < end) { None } else { self.unbelieved(now).next() }
    }

    /// For each schedule that counts here and is not valid: the decision that says so.
    pub(crate) fn unbelieved(&self, now: Timestamp) -> impl Iterator<Item = Decision> {
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
