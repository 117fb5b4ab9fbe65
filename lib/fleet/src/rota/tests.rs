use super::*;
use crate::{Digest, ObjectRef};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;

fn part(of: &str) -> Part {
    let object = ObjectRef::new(Digest::of(of.as_bytes()), 10, 20).unwrap();
    Part { content: Digest::of(&[of.as_bytes(), b"content"].concat()), object }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(&format!("2026-11-29T{text}Z")).unwrap()
}

fn schedule(id: &str, read: Timestamp, horizon: Timestamp) -> ReadSchedule {
    ReadSchedule {
        source: "pd".into(),
        id: id.into(),
        provider_id: format!("P{id}"),
        name: "db primary".into(),
        read,
        horizon,
        shifts: part(id),
    }
}

fn shift(person: &str, start: Timestamp, end: Timestamp) -> FleetShift {
    let window = Window::new(start, end).unwrap();
    FleetShift { principal: Principal::new(person).unwrap(), window, level: 1 }
}

#[test]
fn ten_idle_syncs_leave_the_index_as_it_is() {
    let ahead = Span::hours(72);
    let failed = schedule("C", at("08:00:00"), at("08:00:00").plus(ahead));
    // A file that was written before the first sync, and is asked at each.
    let written = at("10:59:00");
    let sync = |minute: i64| {
        let now = at("11:00:00").plus(Span::minutes(minute));
        let all = vec![
            failed.clone(),
            schedule("A", now, now.plus(ahead)),
            schedule("B", written, now.plus(ahead)),
        ];
        let (index, read) = RotaIndex::new(all).unwrap();
        assert_eq!(read, Some(now));
        index.to_bytes()
    };
    let first = sync(0);
    assert!((1..10).all(|minute| sync(minute) == first));
    let index = RotaIndex::parse(&first).unwrap();
    let now = at("12:00:00");
    let resolved = |id| index.find("pd", id).unwrap().resolve(now);
    assert_eq!(resolved("A"), schedule("A", now, now.plus(ahead)));
    assert_eq!(resolved("B"), schedule("B", written, written.plus(ahead)));
    assert_eq!(resolved("C"), failed, "what failed is as old as it was");
    assert_eq!(index.find("pd", "D"), None);
}

#[test]
fn nothing_reaches_further_than_it_was_read() {
    for seconds in [0, 59, 61, 43_199, 43_200, 90_061] {
        let (read, horizon) = (at("11:00:00"), at("11:00:00").plus(Span::seconds(seconds)));
        let later = read.plus(Span::seconds(1));
        let both = vec![schedule("A", read, horizon), schedule("B", later, horizon)];
        let (index, rota_read) = RotaIndex::new(both).unwrap();
        let resolved = index.schedules().iter().map(|schedule| schedule.resolve(rota_read.unwrap()));
        for (resolved, read) in resolved.zip([read, later]) {
            assert!(resolved.read == read, "{seconds}: {resolved:?}");
            assert!(resolved.horizon <= horizon.max(read), "{seconds}: {resolved:?}");
        }
    }
}

#[test]
fn shifts_come_back_as_they_were_written() {
    let shifts = vec![
        shift("bob", at("10:00:00"), Timestamp::MAX),
        shift("alice", Timestamp::MIN, at("10:00:00")),
        shift("bob", at("10:00:00"), Timestamp::MAX),
    ];
    let shifts = ScheduleShifts::new(shifts).unwrap();
    assert_eq!(shifts.shifts().len(), 2);
    let bytes = shifts.to_bytes();
    assert_eq!(
        core::str::from_utf8(&bytes).unwrap(),
        r#"{"form":1,"shifts":[{"principal":"alice","level":1,"start":null,"end":"2026-11-29T10:00:00Z"},{"principal":"bob","level":1,"start":"2026-11-29T10:00:00Z","end":null}]}"#
    );
    assert_eq!(ScheduleShifts::parse(&bytes).unwrap(), shifts);
}

#[test]
fn what_no_collector_writes_is_refused() {
    let refused = |json: &str| ScheduleShifts::parse(json.as_bytes()).unwrap_err();
    assert_eq!(refused(r#"{"form":2,"rows":[]}"#), ObjectError::Form(2));
    for json in [
        "",
        "[]",
        "<html>",
        r#"{"shifts":[]}"#,
        r#"{"form":1}"#,
        r#"{"form":1,"shifts":[],"more":1}"#,
        r#"{"form":1,"shifts":[],"shifts":[]}"#,
        r#"{"form":1,"shifts":[{"principal":"alice","level":1,"start":null}]}"#,
        r#"{"form":1,"shifts":[{"principal":"Alice","level":1,"start":null,"end":null}]}"#,
        r#"{"form":1,"shifts":[{"principal":"alice","level":0,"start":null,"end":null}]}"#,
        r#"{"form":1,"shifts":[{"principal":"alice","level":1,"start":"2026-11-29T10:00:00Z","end":"2026-11-29T10:00:00Z"}]}"#,
        r#"{"form":1,"shifts":[{"principal":"alice","level":1,"start":"2026-11-29 10:00","end":null}]}"#,
    ] {
        assert!(matches!(refused(json), ObjectError::Malformed(_)), "{json}");
    }
    let twice = r#"{"principal":"alice","level":1,"start":null,"end":null}"#;
    let twice = format!(r#"{{"form":1,"shifts":[{twice},{twice}]}}"#);
    assert!(refused(&twice).to_string().contains("twice"));
    let error = refused(&"x".repeat(LARGEST_SHIFTS as usize + 1));
    assert!(error.to_string().contains("larger than any"), "{error}");
}

#[test]
fn an_index_has_each_schedule_once_and_no_text_that_readers_refuse() {
    let now = at("11:00:00");
    assert!(RotaIndex::new(vec![schedule("A", now, now), schedule("A", now, now)]).is_err());
    let (index, _) = RotaIndex::new(vec![schedule("A", now, now)]).unwrap();
    let text = alloc::string::String::from_utf8(index.to_bytes()).unwrap();
    let with = |from: &str, to: &str| RotaIndex::parse(text.replace(from, to).as_bytes());
    assert_eq!(with("", "").unwrap(), index);
    for (from, to) in [
        ("db primary", &*"x".repeat(321)),
        ("db primary", "a\\nb"),
        (r#""id":"A""#, r#""id":"""#),
        (r#""id":"A""#, r#""id":"a\u202eb""#),
        (r#""lookahead":0"#, r#""lookahead":-1"#),
        (r#""lookahead":0"#, r#""lookahead":99999999999"#),
        (r#""size":10"#, r#""size":0"#),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        assert!(with(from, to).is_err(), "{to}");
    }
    let none = RotaIndex::new(vec![]).unwrap();
    assert_eq!(none, (RotaIndex::default(), None));
}

#[test]
fn mistaken_objects_are_refused_or_read_back_the_same() {
    let now = at("11:00:00");
    let (index, _) = RotaIndex::new(vec![schedule("A", now, now), schedule("B", now, now)]).unwrap();
    let shifts = ScheduleShifts::new(vec![shift("alice", now, Timestamp::MAX)]).unwrap();
    let words = ["form", "1", "null", "\"", "{", "2026-11-29T10:00:00Z", "schedules", "alice"];
    mutate::each(&[&index.to_bytes(), &shifts.to_bytes()], &words, 4000, |bytes| {
        if let Ok(index) = RotaIndex::parse(bytes) {
            assert_eq!(RotaIndex::parse(&index.to_bytes()), Ok(index));
        }
        if let Ok(shifts) = ScheduleShifts::parse(bytes) {
            assert_eq!(ScheduleShifts::parse(&shifts.to_bytes()), Ok(shifts));
        }
    });
}
