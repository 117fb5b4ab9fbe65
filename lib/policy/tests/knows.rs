//! Does a host know who is on call? While it does nobody lets themselves in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use policy::{
    Claims, Evidence, Fault, Host, HostSelector, Principal, Revocation, Revoked, Roster, Rule, Rules,
    Schedule, ScheduleRef, Shift, Span, Timestamp, Window, knows_who_is_on_call,
};

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

fn reference(id: &str) -> ScheduleRef {
    ScheduleRef { source: "pd".to_string(), id: id.to_string() }
}

fn rules() -> Rules {
    Rules {
        host: Host { name: "db1".to_string(), labels: Vec::new() },
        rules: vec![Rule {
            name: "db".to_string(),
            hosts: vec![HostSelector::parse("db*")],
            schedules: vec![reference("P1"), reference("P2")],
            max_escalation_level: 1,
            claim: false,
            incident: None,
        }],
        ..Rules::compiled()
    }
}

/// Two schedules, read so many minutes ago; alice is on call by the first one.
fn roster(minutes: [i64; 2]) -> Roster {
    let schedule = |id: &str, minutes| Schedule {
        reference: reference(id),
        provider_id: id.to_string(),
        name: id.into(),
        synced: NOW.minus(Span::minutes(minutes)),
        horizon: NOW.plus(Span::hours(72)),
    };
    let window = Window::new(NOW.minus(Span::hours(1)), NOW.plus(Span::hours(8))).unwrap();
    Roster {
        late: Vec::new(),
        incidents: Default::default(),
        published: NOW.minus(Span::minutes(1)),
        floor: NOW.minus(Span::minutes(1)),
        schedules: vec![schedule("P1", minutes[0]), schedule("P2", minutes[1])],
        shifts: vec![Shift { schedule: 0, principal: name("alice"), level: 1, window }].into(),
        eligible: [(name("alice"), true)].into(),
    }
}

#[test]
fn a84_a_host_knows_by_news_that_are_younger_than_warn_age_alone() {
    let nobody = Revoked::nobody();
    let knows = |roster: &Roster, revoked: &Revoked, rules: &Rules| {
        let evidence =
            Evidence { roster: Ok(roster), revoked: Ok(revoked), grants: &[], claims: Claims::NotAsked };
        knows_who_is_on_call(&evidence, rules, NOW)
    };
    let warn = Rules::compiled().ages.of(&roster([0, 0]).schedules[0]).warn_age.as_seconds() / 60;
    // alice is on call by the first; where that is old, the second says that nobody else is, which is not enough.
    for (minutes, expected) in [
        ([1, 1], true),
        ([warn, warn], true),
        ([1, warn + 1], true),
        ([warn + 1, 1], false),
        ([warn + 1, warn + 1], false),
        ([9_999, 9_999], false),
    ] {
        assert_eq!(knows(&roster(minutes), &nobody, &rules()), expected, "{minutes:?}");
    }
    // Nobody is, and all of it is known; or a part of it is not.
    let mut empty = roster([1, 1]);
    empty.shifts = Vec::new().into();
    assert!(knows(&empty, &nobody, &rules()));
    let mut half = roster([1, warn + 1]);
    half.shifts = Vec::new().into();
    assert!(!knows(&half, &nobody, &rules()));
    // Whom a shift does not admit is nobody who could be asked.
    let revocation = Revocation::by_root(NOW, "root".to_string(), String::new());
    let revoked: Revoked = [(name("alice"), revocation)].into_iter().collect();
    assert!(knows(&roster([1, 1]), &revoked, &rules()));
    assert!(!knows(&roster([1, warn + 1]), &revoked, &rules()));
    let mut unfit = roster([1, warn + 1]);
    unfit.eligible = [(name("alice"), false)].into();
    assert!(!knows(&unfit, &nobody, &rules()));
    // A schedule that is not there, one that ends, a clock that is behind, no roster.
    let mut absent = rules();
    absent.rules[0].schedules.push(reference("P3"));
    assert!(knows(&roster([1, 1]), &nobody, &absent) && !knows(&empty, &nobody, &absent));
    let mut over = roster([1, 1]);
    over.schedules.iter_mut().for_each(|schedule| schedule.horizon = NOW);
    assert!(!knows(&over, &nobody, &rules()));
    let mut ahead = roster([1, 1]);
    ahead.floor = NOW.plus(Span::hours(24));
    assert!(!knows(&ahead, &nobody, &rules()));
    let missing =
        Evidence { roster: Err(Fault::Missing), revoked: Ok(&nobody), grants: &[], claims: Claims::NotAsked };
    assert!(!knows_who_is_on_call(&missing, &rules(), NOW));
    // No rule covers the host: nobody is on call for it, and that is known.
    let mut elsewhere = rules();
    elsewhere.host.name = "web1".to_string();
    assert!(knows(&roster([9_999, 9_999]), &nobody, &elsewhere));
}
