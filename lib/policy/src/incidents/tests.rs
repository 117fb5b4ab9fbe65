//! When an incident counts, for whom, and what is remembered of it.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::{format, vec};

use super::*;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_unix(1_795_165_200 + 60 * minutes)
}

fn name(text: &str) -> Principal {
    Principal::new(text).unwrap()
}

fn rule() -> IncidentRule {
    IncidentRule {
        source: "pd".to_string(),
        services: vec!["PSVC1".to_string()],
        linger: Span::minutes(30),
        max_open: Span::hours(24),
        known_for: Span::minutes(15),
        on_unknown: OnUnknown::Refuse,
    }
}

fn incident(id: &str, opened: i64) -> Incident {
    Incident { service: "PSVC1".to_string(), id: id.to_string(), opened: at(opened), closed: None, by: None }
}

/// Reads it every five minutes up to this one; `told` says which are open at a minute.
fn read(until: i64, told: impl Fn(i64) -> Vec<Incident>) -> Incidents {
    let mut known = Incidents::default();
    for minute in (0..=until).step_by(5) {
        known.tell(("pd", &rule().services), told(minute), at(minute), at(minute));
    }
    known
}

fn is_open(rule: &IncidentRule, known: &Incidents, person: &str, minute: i64) -> bool {
    matches!(rule.state(&name(person), known, at(minute)), IncidentState::Open(_))
}

#[test]
fn a107_a_feed_is_known_as_long_as_every_rule_knows_what_it_was_last_told() {
    let other = IncidentRule {
        services: vec!["PSVC1".to_string(), "PSVC2".to_string()],
        known_for: Span::minutes(10),
        on_unknown: OnUnknown::OnCall,
        ..rule()
    };
    let of = |incidents: &[&IncidentRule]| {
        let rule = |incident: &&IncidentRule| crate::Rule {
            name: "db".to_string(),
            hosts: vec![crate::HostSelector::parse("*")],
            schedules: Vec::new(),
            max_escalation_level: 1,
            claim: false,
            incident: Some((*incident).clone()),
        };
        Rules { rules: incidents.iter().map(rule).collect(), ..Rules::compiled() }
    };
    let both = of(&[&rule(), &other]);
    let mut known = Incidents::default();
    assert!(known.feeds(&of(&[])).is_empty());
    let never = known.feeds(&both);
    assert_eq!((never.len(), never[0].read, never[0].is_known(at(0))), (1, None, false));
    known.tell(("pd", &rule().services), vec![], at(0), at(0));
    assert_eq!(known.feeds(&both)[0].read, None, "nothing was read of a service");
    known.tell(("pd", &other.services), vec![], at(5), at(5));
    let feed = &known.feeds(&both)[0];
    assert_eq!((feed.read, feed.known_until), (Some(at(5)), Some(at(15))));
    assert_eq!(feed.on_unknown, OnUnknown::Refuse);
    let is_known = [2, 3, 14, 15].map(|minute| feed.is_known(at(minute)));
    assert_eq!(is_known, [false, true, true, false], "and not by a reading from the future");
    assert_eq!(known.feeds(&of(&[&rule()]))[0].known_until, Some(at(20)));
}

#[test]
fn a107_what_is_told_of_one_service_leaves_the_others_as_they_are() {
    let service = |id: &str| [id.to_string()];
    let of = |id: &str, service: &str| Incident { service: service.to_string(), ..incident(id, -60) };
    let mut known = Incidents::default();
    known.tell(("pd", &service("PSVC1")), vec![of("Q1", "PSVC1")], at(0), at(0));
    known.tell(("pd", &service("PSVC2")), vec![of("Q2", "PSVC2")], at(-5), at(1));
    known.tell(("pd", &service("PSVC2")), vec![], at(2), at(2));
    let told = &known.0["pd"];
    assert_eq!(
        told.read.clone().into_iter().collect::<Vec<_>>(),
        [("PSVC1".to_string(), at(0)), ("PSVC2".to_string(), at(2))]
    );
    let closed: Vec<_> = told.incidents.iter().map(|one| (&*one.id, one.closed)).collect();
    assert_eq!(closed, [("Q1", None), ("Q2", Some(at(2)))]);
}

#[test]
fn a107_an_incident_counts_while_it_is_open_and_half_an_hour_after() {
    // Opened at 7, acknowledged and given to somebody else, which changes nothing here, and gone from 40 on.
    let story = |minute: i64| if (7..40).contains(&minute) { vec![incident("Q1", 7)] } else { vec![] };
    for (minute, open) in [(5, false), (10, true), (35, true), (40, true), (65, true), (70, false)] {
        assert_eq!(is_open(&rule(), &read(minute, story), "alice", minute), open, "{minute}");
    }
    // To the second, and by no reading that comes later.
    let closed = read(60, story);
    let windows = rule().open(None, &closed);
    assert_eq!(windows, [Window::new(at(58), at(70)).unwrap()], "before that is not known any more");
    // Opened again, it counts again, from when it was opened first.
    let again = |minute: i64| {
        if (7..40).contains(&minute) || minute > 100 { vec![incident("Q1", 7)] } else { vec![] }
    };
    assert!(
        !is_open(&rule(), &read(100, again), "alice", 100)
            && is_open(&rule(), &read(110, again), "alice", 110)
    );
    // Of two that are merged one goes on.
    let merged = |minute: i64| {
        if minute < 40 { vec![incident("Q1", 7), incident("Q2", 9)] } else { vec![incident("Q2", 9)] }
    };
    assert!(is_open(&rule(), &read(200, merged), "alice", 200));
}

#[test]
fn a107_what_stays_open_for_too_long_counts_no_more_and_does_not_linger() {
    let old = |_: i64| vec![incident("Q1", -43_200)];
    assert!(!is_open(&rule(), &read(10, old), "alice", 10), "a month ago");
    let day = 24 * 60;
    let story = |minute: i64| if minute < day + 10 { vec![incident("Q1", 0)] } else { vec![] };
    assert!(is_open(&rule(), &read(day - 5, story), "alice", day - 1));
    assert!(!is_open(&rule(), &read(day, story), "alice", day));
    assert!(!is_open(&rule(), &read(day + 15, story), "alice", day + 15), "closed after it ceased to count");
}

#[test]
fn a107_an_incident_told_of_as_newer_each_time_counts_from_when_it_was_first() {
    let day = 24 * 60;
    for ahead in [0, 5, 90 * day] {
        let newer = |minute: i64| vec![incident("Q1", minute + ahead)];
        assert!(is_open(&rule(), &read(day - 5, newer), "alice", day - 1), "{ahead}");
        assert!(!is_open(&rule(), &read(day, newer), "alice", day), "{ahead}");
    }
}

#[test]
fn a107_whoever_opened_an_incident_is_not_let_in_by_it() {
    let own = |_: i64| vec![Incident { by: Some(name("alice")), ..incident("Q1", 0) }];
    let known = read(10, own);
    assert!(!is_open(&rule(), &known, "alice", 10) && is_open(&rule(), &known, "bob", 10));
    let both = |_: i64| vec![Incident { by: Some(name("alice")), ..incident("Q1", 0) }, incident("Q2", -5)];
    let state = rule().state(&name("alice"), &read(10, both), at(10));
    assert_eq!(state, IncidentState::Open(Box::new(incident("Q2", -5))));
}

#[test]
fn a107_what_was_read_too_long_ago_or_in_the_future_says_nothing() {
    let open = |_: i64| vec![incident("Q1", 0)];
    let lenient = IncidentRule { on_unknown: OnUnknown::OnCall, ..rule() };
    let known = read(10, open);
    for (minute, expected) in [(24, true), (25, false), (8, true), (7, false)] {
        assert_eq!(is_open(&rule(), &known, "alice", minute), expected, "{minute}");
        assert_eq!(rule().is_known(&known, at(minute)), expected, "{minute}");
    }
    assert_eq!(lenient.state(&name("alice"), &known, at(25)), IncidentState::Unknown);
    assert_eq!(rule().open(None, &Incidents::default()), []);
    assert_eq!(rule().state(&name("alice"), &Incidents::default(), at(0)), IncidentState::Unknown);
    let always = Window::new(Timestamp::MIN, Timestamp::MAX).unwrap();
    assert_eq!(lenient.open(None, &Incidents::default()), [always]);
    // Another service of the same source was not read.
    let two = IncidentRule { services: vec!["PSVC1".to_string(), "PSVC2".to_string()], ..lenient.clone() };
    let quiet = read(10, |_| vec![]);
    assert_eq!(lenient.state(&name("alice"), &quiet, at(10)), IncidentState::Missing);
    assert_eq!(two.state(&name("alice"), &quiet, at(10)), IncidentState::Unknown);
}

#[test]
fn a107_thousands_repeated_and_strange_ones_are_bounded() {
    let mut known = Incidents::default();
    let services = rule().services;
    let many: Vec<Incident> =
        (0..5_000).map(|number| incident(&format!("Q{number}"), number - 6_000)).collect();
    let twice = many.iter().chain(&many).cloned().collect();
    assert_eq!(known.tell(("pd", &services), twice, at(0), at(0)), 4_900);
    let kept = &known.0["pd"].incidents;
    assert!(
        kept.len() == MOST_INCIDENTS && kept.iter().all(|one| one.opened > at(-1_101)),
        "the last are kept"
    );
    // One of a service that nobody asked about, and one that a provider's clock opens in a moment.
    let stranger = Incident { service: "PSVC9".to_string(), ..incident("Q1", 0) };
    known.tell(("pd", &services), vec![stranger, incident("Q2", 6)], at(5), at(5));
    let open: Vec<_> = known.0["pd"].incidents.iter().filter(|one| one.closed.is_none()).collect();
    assert_eq!(open, [&incident("Q2", 5)]);
    assert!(known.0["pd"].incidents.len() <= MOST_INCIDENTS);
    // What was closed by a clock that was ahead is closed by now, and all is forgotten in the end.
    known.tell(("pd", &services), vec![], at(900), at(900));
    known.tell(("pd", &services), vec![], at(10), at(10));
    assert!(known.0["pd"].incidents.iter().all(|one| one.closed <= Some(at(10))));
    known.tell(("pd", &services), vec![], at(10 + 24 * 60), at(10 + 24 * 60));
    assert_eq!(known.0["pd"].incidents, []);
    known.keep(&[("pd".to_string(), vec!["PSVC2".to_string()])].into());
    assert_eq!(known, Incidents::default());
}
