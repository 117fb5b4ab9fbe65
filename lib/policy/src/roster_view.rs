//! The roster as the rules of this host read it: which shifts count, until when each schedule is trusted.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::answer::{Decision, Ground, OnCall, Reason, Verdict};
use crate::{
    Ages, Claim, Claims, IncidentState, Principal, Roster, Rule, Rules, Schedule, ScheduleIndex, ScheduleRef,
    Shift, Span, Timestamp, Window, stretches,
};

/// The end of the unbroken cover that holds at `now`: touching and overlapping shifts are one.
/// `windows` are in order of their start.
fn covered_until(windows: impl Iterator<Item = Window>, now: Timestamp) -> Timestamp {
    windows.fold(now, |end, window| {
        let joins = window.start() <= end && window.end() > end;
        if joins { window.end() } else { end }
    })
}

/// A roster as the rules of this host read it.
#[derive(Debug)]
pub(crate) struct RosterView<'a> {
    roster: &'a Roster,
    ages: &'a Ages,
    /// Sources of whose late shifts a reason is asked.
    late_claims: &'a BTreeSet<String>,
    /// The rules here that count a schedule of the roster, in the order of these schedules.
    rules: Vec<(usize, &'a Rule)>,
    /// When a rule of this name is open to those who have opened no incident; not of one that waits for none.
    open: BTreeMap<&'a str, Vec<Window>>,
    /// Schedules that a rule here names and the roster does not have.
    absent: Vec<&'a ScheduleRef>,
}

/// A shift that counts here, cut to the time for which it is trusted.
#[derive(Clone, Copy)]
pub(crate) struct Counted<'a> {
    rule: &'a Rule,
    schedule: &'a Schedule,
    shift: &'a Shift,
    window: Window,
    /// Is a reason asked for?
    asks: bool,
    /// Does it count during incidents alone, and there is none?
    waits: bool,
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
        let open = rules
            .here()
            .filter_map(|rule| Some((&*rule.name, rule.incident.as_ref()?.open(None, &roster.incidents))));
        let (open, ages, late_claims) = (open.collect(), &rules.ages, &rules.late_claims);
        Self { roster, ages, late_claims, rules: counting, open, absent }
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
        // Any rule admits: one that asks less comes first.
        let asked = |rule: &&Rule| (rule.incident.is_some(), rule.claim);
        Some((self.rules_for(shift).min_by_key(asked)?, schedule))
    }

    /// All that do, in their order.
    fn rules_for(&self, shift: &Shift) -> impl Iterator<Item = &'a Rule> {
        let level = shift.level;
        self.rules_of(shift.schedule).filter(move |rule| level <= rule.max_escalation_level)
    }

    /// What `shift` admits to here, if anything; by a rule that waits for an incident, while there is one.
    pub(crate) fn counted(&self, shift: &'a Shift) -> Option<Counted<'a>> {
        let (rule, schedule) = self.counts(shift)?;
        let believed = Window::new(Timestamp::MIN, self.believed_until(schedule))?;
        let window = shift.window.intersect(believed)?;
        Some(Counted { rule, schedule, shift, window, asks: rule.claim, waits: false })
    }

    /// The same in parts: each by the rule that asks least of those that are open then, and what is left of it by none.
    pub(crate) fn by_incidents(&self, shift: &'a Shift) -> Vec<Counted<'a>> {
        let Some(whole) = self.counted(shift) else { return Vec::new() };
        if whole.rule.incident.is_none() && !whole.asks {
            return vec![whole];
        }
        let mut rules: Vec<&Rule> = self.rules_for(shift).collect();
        rules.sort_by_key(|rule| rule.claim);
        let (mut parts, mut left) = (Vec::new(), vec![whole.window]);
        for rule in rules {
            let open = self.open_to(rule, &shift.principal);
            for window in core::mem::take(&mut left) {
                let within = open.iter().filter_map(|open| window.intersect(*open));
                parts.extend(within.map(|window| Counted { rule, window, asks: rule.claim, ..whole }));
                left.extend(window.without(&open));
            }
        }
        parts.extend(left.into_iter().map(|window| Counted { window, waits: true, ..whole }));
        parts
    }

    /// When `rule` is open to this person, as far as incidents have a say.
    fn open_to(&self, rule: &Rule, person: &Principal) -> Vec<Window> {
        let known = &self.roster.incidents;
        match &rule.incident {
            Some(incident) if known.has_one_by(person) => incident.open(Some(person), known),
            Some(_) => self.open.get(rule.name.as_str()).cloned().unwrap_or_default(),
            None => Window::new(Timestamp::MIN, Timestamp::MAX).into_iter().collect(),
        }
    }

    /// The same, where a reason is asked for some of it, because it is late there.
    fn parts(&self, shift: &'a Shift) -> impl Iterator<Item = Counted<'a>> {
        let late = stretches(self.roster.late_parts(shift).map(|part| part.window));
        let of = move |whole: Counted<'a>| {
            let asks_late = !whole.asks && self.asks_late(whole.schedule);
            let late: &[Window] = if asks_late { &late } else { &[] };
            let plain = whole.window.without(late).into_iter().map(move |window| Counted { window, ..whole });
            let late = late.iter().filter_map(|part| part.intersect(whole.window)).collect::<Vec<_>>();
            plain
                .chain(late.into_iter().map(move |window| Counted { window, asks: true, ..whole }))
                .collect::<Vec<_>>()
        };
        self.by_incidents(shift).into_iter().flat_map(of)
    }

    fn asks_late(&self, schedule: &Schedule) -> bool {
        self.late_claims.contains(&schedule.reference.source)
    }

    /// What follows from the shifts of somebody whom they may admit; `claims`: what is known of their reason, where it is
    /// asked for at this login.
    pub(crate) fn by_shifts(&self, own: &'a [Shift], claims: Option<Claims<'_>>, now: Timestamp) -> Decision {
        let mut counted: Vec<Counted<'_>> = own.iter().flat_map(|shift| self.parts(shift)).collect();
        counted.sort_by_key(|counted| counted.window);
        let mut admitting: Vec<(Counted<'_>, Claim)> =
            counted.iter().filter_map(|counted| self.admitting(counted, own, claims)).collect();
        admitting.sort_by_key(|(counted, _)| counted.window);
        if let Some((counted, claim)) = admitting.iter().find(|(counted, _)| counted.window.contains(now)) {
            let windows = admitting.iter().map(|(counted, _)| counted.window);
            return Decision {
                ground: Ground::OnCall(self.on_call(counted, claim.clone(), now)),
                until: Some(covered_until(windows, now)),
                ..Decision::plain(Verdict::Allow, Reason::OnCall)
            };
        }
        let first_of = |windows: &mut dyn Iterator<Item = Window>| {
            windows.map(Window::start).filter(|&start| start > now).min()
        };
        let windows = || counted.iter().map(|counted| counted.window);
        let next = first_of(&mut admitting.iter().map(|(counted, _)| counted.window));
        let waits = counted.iter().find(|counted| counted.window.contains(now));
        if let (None, Some(decision)) = (waits, self.unbelieved(now).next()) {
            return Decision { until: first_of(&mut windows()), ..decision };
        }
        // Whoever is refused is so until they are admitted, or until it is not known and no shift of theirs says more.
        let unknown = covered_until(windows(), self.known_until().max(now));
        let until = next.into_iter().chain([unknown]).min();
        // Where a reason is all that is missing, that is said.
        let waits = counted.iter().find(|one| one.window.contains(now) && !one.waits).or(waits);
        let (reason, ground) = match waits {
            Some(waits) if waits.waits => {
                (Reason::NoIncident, Ground::OnCall(self.on_call(waits, Claim::NotNeeded, now)))
            }
            Some(waits) => (Reason::ClaimNeeded, Ground::OnCall(self.on_call(waits, Claim::Needed, now))),
            None => (Reason::NotOnCall, Ground::None),
        };
        Decision { ground, until, ..Decision::plain(Verdict::Refuse, reason) }
    }

    /// The part of what `counted` admits to for which no reason is missing, and what there is of one. It is stated in any
    /// of the shifts that follow each other without a gap, trusted or not.
    fn admitting(
        &self,
        counted: &Counted<'a>,
        own: &[Shift],
        claims: Option<Claims<'_>>,
    ) -> Option<(Counted<'a>, Claim)> {
        let claim = match claims {
            _ if counted.waits => return None,
            _ if !counted.asks => Claim::NotNeeded,
            None => Claim::NotNeeded,
            Some(Claims::NotAsked) => Claim::NotAsked,
            Some(Claims::Closed) => Claim::Unclaimed,
            Some(Claims::Stated(claimed)) => {
                let counting = own.iter().filter(|shift| self.counts(shift).is_some());
                let whole = stretches(counting.map(|shift| shift.window))
                    .into_iter()
                    .find(|stretch| stretch.join(counted.shift.window).is_some());
                match claimed.filter(|claimed| whole.is_some_and(|whole| whole.contains(claimed.at))) {
                    Some(claimed) => Claim::Stated(claimed.reason.clone()),
                    // Who is on call is too old to stand between them and the host.
                    None => return self.old_part(counted).map(|counted| (counted, Claim::Unclaimed)),
                }
            }
        };
        Some((*counted, claim))
    }

    /// The part in which its schedule is older than `warn_age`.
    fn old_part(&self, counted: &Counted<'a>) -> Option<Counted<'a>> {
        let fresh = self.ages.of(counted.schedule).warn_age;
        let old = Window::new(counted.schedule.synced.plus(fresh).plus(Span::seconds(1)), Timestamp::MAX)?;
        Some(Counted { window: counted.window.intersect(old)?, ..*counted })
    }

    /// What `counted` means to somebody who only looks at `now`.
    pub(crate) fn shown(&self, counted: &Counted<'_>, now: Timestamp) -> OnCall {
        let is_late = self.asks_late(counted.schedule) && self.roster.late_at(counted.shift, now).is_some();
        let claim = if counted.asks || is_late { Claim::NotAsked } else { Claim::NotNeeded };
        self.on_call(counted, claim, now)
    }

    /// What `counted` means to a reader at `now`.
    fn on_call(&self, counted: &Counted<'_>, claim: Claim, now: Timestamp) -> OnCall {
        let Counted { rule, schedule, shift, .. } = counted;
        let age = now.since(schedule.synced);
        let incident = rule.incident.as_ref().map_or(IncidentState::NotNeeded, |incident| {
            incident.state(&shift.principal, &self.roster.incidents, now)
        });
        OnCall {
            rule: rule.name.clone(),
            schedule: schedule.reference.clone(),
            schedule_name: schedule.name.clone(),
            level: shift.level,
            window: shift.window,
            stretch: self.stretch(counted, now),
            age,
            is_old: age > self.ages.of(schedule).warn_age,
            late: self.roster.late_at(shift, now),
            claim,
            incident,
        }
    }

    /// Whatever of the same person counts here, is trusted at `now` and joins `counted` without a gap. Belief that
    /// ends later cuts nothing off: a sync comes before that, most likely.
    fn stretch(&self, counted: &Counted<'_>, now: Timestamp) -> Window {
        let joins = |shift: &&Shift| {
            self.counts(shift).is_some_and(|(_, schedule)| now < self.believed_until(schedule))
        };
        let own =
            self.roster.shifts.of(&counted.shift.principal).iter().filter(joins).map(|shift| shift.window);
        let whole = stretches(own).into_iter().find(|stretch| stretch.join(counted.shift.window).is_some());
        whole.unwrap_or(counted.shift.window)
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

    /// Is every schedule that counts here there and trusted, and its news younger than `warn_age`?
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        let is_old = |schedule: &Schedule| now.since(schedule.synced) > self.ages.of(schedule).warn_age;
        self.unbelieved(now).next().is_none() && !self.here().any(is_old)
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

impl Counted<'_> {
    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// Does it admit, as far as incidents have a say?
    pub(crate) fn is_open(&self) -> bool {
        !self.waits
    }
}
