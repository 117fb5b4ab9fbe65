mod left_out;
mod worlds;

use super::*;
use crate::{
    Account, Actor, AgeLimit, Claims, End, EndAction, Evidence, Facts, Fault, Granted, Host, HostSelector,
    Login, Order, Principal, Revocation, Revoked, Roster, Rule, Schedule, ScheduleRef, Shift, Switch, Window,
    decide, is_fresh, mode_in_force,
};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

const NINE: i64 = 1_795_165_200; // 2026-11-20T09:00:00Z

/// So many minutes after nine.
fn at(minute: i64) -> Timestamp {
    Timestamp::from_unix(NINE + minute * 60)
}

/// 18:00, when alice's shift ends.
const END: i64 = 540;

fn alice() -> Principal {
    Principal::new("alice").unwrap()
}

fn schedule(id: &str) -> Schedule {
    let reference = ScheduleRef { source: "pd".to_string(), id: id.to_string() };
    let name = "primary".into();
    Schedule { reference, provider_id: id.to_string(), name, synced: at(0), horizon: at(10_000) }
}

fn shift(schedule: usize, from: i64, to: i64) -> Shift {
    Shift { schedule, principal: alice(), level: 1, window: Window::new(at(from), at(to)).unwrap() }
}

fn grant(from: i64, to: i64) -> Granted {
    Granted {
        id: "0".repeat(32),
        rule: "night".to_string(),
        person: alice(),
        account: Account::new("root").unwrap(),
        key: Some("ssh-ed25519 AAAA".to_string()),
        window: Window::new(at(from), at(to)).unwrap(),
        approvers: vec![Principal::new("carol").unwrap()],
        reason: "db".to_string(),
        is_break_glass: false,
    }
}

/// A host, and one session on it: alice is on call from 09:00 to 18:00, and came as root at 09:30.
#[derive(Clone)]
struct World {
    opening: Opening,
    rules: Rules,
    roster: Result<Roster, Fault>,
    revoked: Result<Revoked, Fault>,
    grants: Vec<Granted>,
    knows_grants: bool,
    left_out: Vec<Window>,
    /// Is a reason asked for that nobody has stated?
    lacks_claim: bool,
    /// Seconds that the clock which can be set is ahead.
    ahead: i64,
    switch: Option<Switch>,
    end: End,
    since: Timestamp,
    memory: Remembered,
}

impl World {
    fn new() -> Self {
        let rules = Rules {
            host: Host { name: "db1".to_string(), labels: vec![] },
            rules: vec![Rule {
                name: "db".to_string(),
                hosts: vec![HostSelector::parse("db*")],
                schedules: vec![schedule("P1").reference, schedule("P2").reference],
                max_escalation_level: 1,
                claim: false,
                incident: None,
            }],
            ..Rules::compiled()
        };
        let roster = Roster {
            published: at(0),
            floor: at(0),
            schedules: vec![schedule("P1"), schedule("P2")],
            shifts: vec![shift(0, 0, END)].into(),
            eligible: BTreeMap::from([(alice(), true)]),
            late: Vec::new(),
            incidents: Default::default(),
        };
        let opening = Opening {
            at: at(30),
            began: Some(boot_time(30)),
            right: Opened::ByShift,
            promised: Some(at(END)),
            was_enforced: true,
            is_own_login: false,
            is_shared_connection: true,
            is_first: true,
        };
        Self {
            opening,
            rules,
            roster: Ok(roster),
            revoked: Ok(Revoked::nobody()),
            grants: Vec::new(),
            knows_grants: true,
            left_out: Vec::new(),
            lacks_claim: false,
            ahead: 0,
            switch: Some(Switch::untouched()),
            end: End { action: EndAction::Kill, ..End::default() },
            since: at(0),
            memory: Remembered::default(),
        }
    }

    fn roster(&mut self) -> &mut Roster {
        self.roster.as_mut().unwrap()
    }

    fn decided(&self, at: Timestamp) -> Decision {
        let (person, facts) = (alice(), Facts { uid: Some(0), root_groups: vec![] });
        let person = Actor::Known(&person);
        let login = Login { service: "sshd", account: "root", facts: &facts, person, tty: "ssh", place: "" };
        decide(&login, &self.evidence(), &self.rules, at)
    }

    fn evidence(&self) -> Evidence<'_> {
        let (roster, revoked) = (self.roster.as_ref().map_err(|e| *e), self.revoked.as_ref().map_err(|e| *e));
        let claims = if self.lacks_claim { Claims::Stated(None) } else { Claims::NotAsked };
        Evidence { roster, revoked, grants: &self.grants, claims }
    }

    /// A run, so many seconds after nine.
    fn run(&mut self, second: i64) -> Outcome {
        let now = Timestamp::from_unix(NINE + second + self.ahead);
        let uptime = Uptime::new(Some(1), boot_time(0) + Duration::from_secs(u64::try_from(second).unwrap()));
        let decision = self.decided(now);
        let then = decision.until.filter(|_| decision.allows()).map(|until| self.decided(until));
        let (outcome, memory) = judge(
            &self.opening,
            &Now {
                moment: Moment { at: now, uptime },
                decision: Some(&decision),
                then: then.as_ref(),
                is_fresh: is_fresh(&self.evidence(), &self.rules, now),
                left_out: &self.left_out,
                knows_grants: self.knows_grants,
                mode: mode_in_force(self.rules.mode, self.switch.as_ref(), now),
                end: self.end,
                since: self.since,
            },
            &self.memory,
        );
        self.memory = memory;
        outcome
    }

    /// A run each minute, as the timer has it, over copies that a sync has read just now; what happened, by the minute.
    fn minutes(&mut self, from: i64, to: i64, mut change: impl FnMut(&mut Self, i64)) -> Vec<(i64, Outcome)> {
        let mut happened = Vec::new();
        for minute in from..to {
            if let Ok(roster) = &mut self.roster {
                roster.schedules.iter_mut().for_each(|schedule| schedule.synced = at(minute));
            }
            change(self, minute);
            happened.push((minute, self.run(minute * 60)));
        }
        happened
    }
}

/// The host booted a day before nine.
fn boot_time(minute: i64) -> Duration {
    Duration::from_secs(u64::try_from(86_400 + minute * 60).unwrap())
}

fn first(happened: &[(i64, Outcome)], is_wanted: impl Fn(&Outcome) -> bool) -> Option<(i64, Outcome)> {
    happened.iter().copied().find(|(_, outcome)| is_wanted(outcome))
}

fn is_due(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Due(..))
}

fn is_warning(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Warn(_))
}

fn order(from: i64, until: i64) -> Option<Order> {
    let (from, until) = (at(from), Some(at(until)));
    Some(Order { from, until, by: String::new(), reason: String::new(), elapsed: None })
}

#[test]
fn a_session_is_warned_once_before_the_end_and_ended_when_two_runs_agree_after_the_grace() {
    let mut world = World::new();
    let happened = world.minutes(500, 560, |_, _| {});
    let ends = Ends { right: at(END), due: at(END + 5), means: Means::Kill, cause: Cause::Shift };
    let warned: Vec<_> = happened.iter().filter(|(_, outcome)| is_warning(outcome)).collect();
    assert_eq!(warned, [&(END - 15, Outcome::Warn(ends))]);
    assert_eq!(first(&happened, is_due), Some((END + 5, Outcome::Due(Means::Kill, Cause::Shift))));
    let waits = |due| Outcome::Stays(Stay::Waits(Ends { right: at(END), due, ..ends }));
    assert_eq!(happened[usize::try_from(END - 500).unwrap()].1, waits(at(END + 5)));
    // By hang-up the connection alone.
    let mut world = World::new();
    world.end.action = EndAction::HangUp;
    let happened = world.minutes(500, 560, |_, _| {});
    assert_eq!(first(&happened, is_due), Some((END + 5, Outcome::Due(Means::HangUp, Cause::Shift))));
}

#[test]
fn whoever_loses_the_right_unwarned_is_warned_and_has_the_grace_from_then() {
    let mut world = World::new();
    let happened = world.minutes(500, 560, |world, minute| {
        if minute == 510 {
            world.roster().eligible.insert(alice(), false);
        }
    });
    let ends = Ends { right: at(510), due: at(515), means: Means::Kill, cause: Cause::Shift };
    assert_eq!(first(&happened, is_warning), Some((510, Outcome::Warn(ends))));
    assert_eq!(first(&happened, is_due), Some((515, Outcome::Due(Means::Kill, Cause::Shift))));
}

#[test]
fn whoever_is_revoked_is_out_at_once_but_not_while_that_cannot_be_told() {
    let revoked = || -> Revoked {
        let revocation = Revocation::by_root(at(0), "root".to_string(), String::new());
        [(alice(), revocation)].into_iter().collect()
    };
    let mut world = World::new();
    let happened = world.minutes(100, 120, |world, minute| {
        if minute == 110 {
            world.revoked = Ok(revoked());
        }
    });
    assert_eq!(first(&happened, is_due), Some((110, Outcome::Due(Means::Kill, Cause::Revoked))));
    assert_eq!(first(&happened, is_warning), None);
    // An old roster keeps nobody who is revoked, and somebody who came by no shift is revoked too.
    let mut world = World::new();
    (world.revoked, world.opening.right) = (Ok(revoked()), Opened::Otherwise);
    assert_eq!(world.run(6 * 3600), Outcome::Due(Means::Kill, Cause::Revoked));
    let mut world = World { revoked: Err(Fault::Untrusted), ..World::new() };
    let happened = world.minutes(500, 600, |_, _| {});
    assert!(
        happened.iter().all(|(_, outcome)| {
            *outcome == Outcome::Listed(WhyNot::CannotTell(Reason::RevokedUnreadable))
        })
    );
}

#[test]
fn a_grant_that_is_over_or_revoked_ends_and_one_that_is_merely_gone_does_not() {
    let mut world = World::new();
    world.roster().shifts = Vec::new().into();
    world.grants = vec![grant(20, 60)];
    world.opening.right = Opened::ByGrant(GrantNow::Unknown);
    world.opening.promised = Some(at(60));
    let mut gone = world.clone();
    let happened = world.minutes(31, 80, |world, minute| {
        if minute >= 60 {
            (world.grants, world.opening.right) = (Vec::new(), Opened::ByGrant(GrantNow::Over));
        }
    });
    let ends = Ends { right: at(60), due: at(65), means: Means::Kill, cause: Cause::Grant };
    assert_eq!(first(&happened, is_warning), Some((45, Outcome::Warn(ends))));
    assert_eq!(first(&happened, is_due), Some((65, Outcome::Due(Means::Kill, Cause::Grant))));
    let mut revoked = gone.clone();
    let happened = gone.minutes(31, 80, |world, minute| {
        if minute == 40 {
            world.grants.clear();
        }
    });
    assert_eq!(first(&happened, is_due), None);
    assert_eq!(happened.last().unwrap().1, Outcome::Listed(WhyNot::GrantUnknown));
    // On a host where nobody is ever on call too.
    revoked.rules.rules.clear();
    let happened = revoked.minutes(31, 80, |world, minute| {
        if minute == 40 {
            (world.grants, world.opening.right) = (Vec::new(), Opened::ByGrant(GrantNow::Revoked));
        }
    });
    assert_eq!(first(&happened, is_due), Some((45, Outcome::Due(Means::Kill, Cause::Grant))));
}

/// What is different from the session that is ended, when, and what is said of it at 18:30.
type Row = (&'static str, fn(&mut World, i64), Outcome);

const fn listed(why: WhyNot) -> Outcome {
    Outcome::Listed(why)
}

/// One for each clause.
fn rows() -> Vec<Row> {
    let holds = |until| Outcome::Stays(Stay::Holds(Some(at(until))));
    vec![
        (
            "extended",
            |world, minute| {
                if minute == 520 {
                    world.roster().shifts = vec![shift(0, 0, 900)].into();
                }
            },
            holds(900),
        ),
        (
            "a touching shift",
            |world, _| {
                world.roster().shifts = vec![shift(0, 0, END), shift(0, END, 900)].into();
            },
            holds(900),
        ),
        (
            "a shift of another schedule, as for an incident",
            |world, minute| {
                if minute == 535 {
                    world.roster().shifts = vec![shift(0, 0, END), shift(1, 530, 900)].into();
                }
            },
            holds(900),
        ),
        ("a grant", |world, _| world.grants = vec![grant(500, 900)], holds(900)),
        (
            "suspended",
            |world, _| {
                world.switch = Some(Switch { pause: order(500, 900), enforcement: None });
            },
            listed(WhyNot::Paused),
        ),
        (
            "on trial",
            |world, _| {
                world.rules.mode = Mode::Observe;
                world.switch = Some(Switch { pause: None, enforcement: order(500, 900) });
            },
            listed(WhyNot::Trial),
        ),
        ("a switch that cannot be read", |world, _| world.switch = None, listed(WhyNot::SwitchUnreadable)),
        (
            "a roster older than warn_age",
            |world, _| {
                world.roster().schedules[1].synced = at(450);
            },
            listed(WhyNot::OldRoster),
        ),
        (
            "a roster that is too old",
            |world, _| {
                world.rules.ages.all = AgeLimit { warn_age: Span::hours(1), max_age: Span::hours(2) };
                world.roster().schedules[1].synced = at(400);
            },
            listed(WhyNot::CannotTell(Reason::CacheStale)),
        ),
        (
            "a roster that cannot be read",
            |world, _| world.roster = Err(Fault::Corrupt),
            listed(WhyNot::CannotTell(Reason::CacheCorrupt)),
        ),
        ("grants that cannot be read", |world, _| world.knows_grants = false, listed(WhyNot::GrantUnknown)),
        (
            "a shift shortened by an edit, and no connection",
            |world, minute| {
                world.opening.is_shared_connection = false;
                world.opening.promised = Some(at(900));
                if minute == 500 {
                    world.roster().shifts = vec![shift(0, 0, 500)].into();
                }
            },
            listed(WhyNot::Shortened),
        ),
        (
            "extended, then shortened by an edit",
            |world, minute| {
                world.opening.is_shared_connection = false;
                let end = if minute < 520 { 900 } else { END };
                world.roster().shifts = vec![shift(0, 0, end)].into();
            },
            listed(WhyNot::Shortened),
        ),
        ("a clock that was set ahead", |world, _| world.ahead = 121 + 60, listed(WhyNot::ClockJumped)),
        (
            "a clock that was set ahead and back",
            |world, minute| {
                world.ahead = [0, 3_600][usize::try_from(minute % 2).unwrap()];
            },
            Outcome::Stays(Stay::Waits(Ends {
                right: at(570),
                due: at(575),
                means: Means::Kill,
                cause: Cause::Shift,
            })),
        ),
        (
            "a virtual machine that was stopped for an hour",
            |world, minute| {
                world.ahead = if minute < 500 { 0 } else { 3_600 };
            },
            listed(WhyNot::ClockJumped),
        ),
        ("from before the action was in force", |world, _| world.since = at(30), listed(WhyNot::Before)),
        (
            "from when the host observed",
            |world, _| world.opening.was_enforced = false,
            listed(WhyNot::Observed),
        ),
        (
            "the person's own login",
            |world, _| {
                (world.opening.is_shared_connection, world.opening.is_own_login) = (false, true);
            },
            listed(WhyNot::OwnLogin),
        ),
        ("a process that may be another", |world, _| world.opening.began = None, listed(WhyNot::Unsure)),
        (
            "a reason is missing",
            |world, _| {
                (world.rules.rules[0].claim, world.lacks_claim) = (true, true);
                world.roster().shifts = vec![shift(0, 0, 900)].into();
            },
            listed(WhyNot::Refused(Reason::ClaimNeeded)),
        ),
        (
            "the incident is over",
            |world, _| {
                world.rules.rules[0].incident = Some(crate::IncidentRule {
                    source: "pd".into(),
                    services: vec!["PSVC1".into()],
                    linger: Span::minutes(30),
                    max_open: Span::hours(24),
                    known_for: Span::hours(24),
                    on_unknown: crate::OnUnknown::Refuse,
                });
                world.roster().shifts = vec![shift(0, 0, 900)].into();
            },
            listed(WhyNot::Refused(Reason::NoIncident)),
        ),
        (
            "no rule covers the host",
            |world, _| world.rules.rules.clear(),
            listed(WhyNot::Refused(Reason::NoRule)),
        ),
        (
            "no connection, and only these are hung up",
            |world, _| {
                (world.end.action, world.opening.is_shared_connection) = (EndAction::HangUp, false);
            },
            listed(WhyNot::NoConnection),
        ),
        (
            "opened inside another person's session",
            |world, _| world.opening.is_first = false,
            listed(WhyNot::Another),
        ),
        (
            "dpkg at work for more than half an hour",
            |world, minute| {
                // It is found by whoever ends the session, which is then tried again.
                let uptime = Uptime::new(Some(1), boot_time(510));
                if minute >= END + 5 {
                    world.memory.held = Some(Moment { at: at(510), uptime });
                }
            },
            listed(WhyNot::Busy),
        ),
        (
            "opened by no right that ends",
            |world, _| world.opening.right = Opened::Otherwise,
            Outcome::Stays(Stay::NoRight),
        ),
        (
            "unwarned",
            |world, minute| {
                // The memory of each warning is lost.
                world.memory.warned = None;
                if minute > 569 {
                    world.memory = Remembered::default();
                }
            },
            Outcome::Warn(Ends { right: at(570), due: at(575), means: Means::Kill, cause: Cause::Shift }),
        ),
    ]
}

#[test]
fn a90_each_clause_alone_keeps_a_session_and_says_why() {
    for (what, change, expected) in rows() {
        let mut world = World::new();
        let happened = world.minutes(480, 571, change);
        assert_eq!(first(&happened, is_due), None, "{what}");
        assert_eq!(happened.last().unwrap().1, expected, "{what}");
    }
}

#[test]
fn one_whose_shift_was_shortened_is_hung_up_and_not_before_a_quarter_of_an_hour() {
    let mut world = World::new();
    let happened = world.minutes(480, 571, |world, minute| {
        if minute == 500 {
            world.roster().shifts = vec![shift(0, 0, 500)].into();
        }
    });
    let ends = Ends { right: at(500), due: at(515), means: Means::HangUp, cause: Cause::Shift };
    assert_eq!(first(&happened, is_warning), Some((500, Outcome::Warn(ends))));
    assert_eq!(first(&happened, is_due), Some((515, Outcome::Due(Means::HangUp, Cause::Shift))));
}

#[test]
fn where_nothing_is_ended_it_is_told_once_what_would_be_and_nobody_is_warned() {
    let would_end = |world: &mut World| -> Vec<_> {
        let happened = world.minutes(480, 571, |_, _| {});
        assert!(!happened.iter().any(|(_, outcome)| is_due(outcome) || is_warning(outcome)), "{happened:?}");
        happened.into_iter().filter(|(_, outcome)| matches!(outcome, Outcome::WouldEnd(..))).collect()
    };
    let told = vec![(END + 5, Outcome::WouldEnd(Means::Kill, Cause::Shift))];
    let mut listing = World::new();
    listing.end.action = EndAction::List;
    assert_eq!(would_end(&mut listing), told);
    let mut observing = World::new();
    (observing.rules.mode, observing.opening.was_enforced) = (Mode::Observe, false);
    assert_eq!(would_end(&mut observing), told);
    assert_eq!(observing.run(580 * 60), Outcome::Stays(Stay::Told));
    // As it stands there, nobody is ended who is told to be when that is done.
    (observing.rules.mode, observing.end.grace) = (Mode::Enforce, Span::minutes(1));
    assert_eq!(observing.run(590 * 60), Outcome::Listed(WhyNot::Observed));
}

#[test]
fn two_runs_agree_only_a_minute_apart_by_the_clock_that_nobody_sets() {
    let mut world = World::new();
    world.end.grace = Span::minutes(1);
    world.minutes(480, END, |_, _| {});
    let run = |world: &mut World, second: i64| {
        world.roster().schedules.iter_mut().for_each(|schedule| schedule.synced = at(END));
        world.run(END * 60 + second)
    };
    for second in [0, 1, 30, 59] {
        assert!(matches!(run(&mut world, second), Outcome::Stays(Stay::Waits(_))), "{second}");
    }
    let mut other = world.clone();
    assert!(is_due(&run(&mut world, 60)));
    // One in between that cannot tell starts it over; who was warned is not warned again.
    let roster = other.roster.clone();
    other.roster = Err(Fault::Unreadable);
    assert!(matches!(other.run(END * 60 + 59), Outcome::Listed(_)));
    other.roster = roster;
    for second in [60, 119] {
        assert!(matches!(run(&mut other, second), Outcome::Stays(Stay::Waits(_))), "{second}");
    }
    assert!(is_due(&run(&mut other, 120)));
}

#[test]
fn a91_whoever_was_warned_of_an_end_that_moved_is_warned_of_the_new_one_and_otherwise_once() {
    let mut world = World::new();
    let happened = world.minutes(480, 960, |world, minute| {
        if minute == 530 {
            world.roster().shifts = vec![shift(0, 0, 900)].into();
        }
        // As the next run reads it, which another start of the timer is.
        let mut memory = Memory::default();
        memory.keep("0000000000000001", world.memory);
        world.memory = Memory::parse(&memory.to_string()).unwrap().of("0000000000000001");
    });
    let warned: Vec<i64> =
        happened.iter().filter(|(_, outcome)| is_warning(outcome)).map(|(minute, _)| *minute).collect();
    assert_eq!(warned, [END - 15, 900 - 15]);
    assert_eq!(first(&happened, is_due).unwrap().0, 905);
    // What was remembered of another boot is no time that has passed.
    let mut world = World::new();
    world.minutes(480, 541, |_, _| {});
    let other =
        |moment: Moment| Moment { uptime: Uptime::new(Some(2), moment.uptime.since_boot()), ..moment };
    world.memory.refused = world.memory.refused.map(other);
    world.memory.warned = world.memory.warned.map(other);
    let happened = world.minutes(541, 700, |_, _| {});
    assert_eq!(first(&happened, is_due), None);
    assert_eq!(first(&happened, is_warning), None);
}
