//! What a file or a command of the site's own says of shifts. Each shift that is read is written in one row, of that schedule.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use policy::{Timestamp, Window};
use serde_json::Value;
use sources::document::{Wanted, parse};

fuzz_target!(|text: &[u8]| {
    let Some(window) = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_420_800))
    else {
        return;
    };
    let wanted = Wanted { schedules: &[], max_escalation_level: 2, window };
    let answer = match parse(text, "FILE", wanted) {
        Ok(answer) => answer,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let rows = rows(text);
    for schedule in answer.schedules() {
        for shift in &schedule.shifts {
            assert!((1..=2).contains(&shift.level) && shift.window.intersect(window).is_some(), "{shift:?}");
            let row = (schedule.id.clone(), shift.user.id.clone(), u64::from(shift.level), shift.window);
            assert!(rows.as_ref().is_none_or(|rows| rows.contains(&row)), "no such row: {row:?}");
        }
        // Nothing of another schedule is in it: asked for by itself, it is the same.
        let alone = parse(text, "FILE", Wanted { schedules: std::slice::from_ref(&schedule.id), ..wanted });
        assert_eq!(alone.expect("it was read").schedules(), std::slice::from_ref(schedule));
    }
});

/// Schedule, user, level and window of each row, read again by other means; `None` where these see less: serde takes a
/// list of values for an object.
fn rows(text: &[u8]) -> Option<BTreeSet<(String, String, u64, Window)>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let document: Value = serde_json::from_slice(text).ok()?;
    let mut rows = BTreeSet::new();
    for schedule in document.as_object()?.get("schedules")?.as_array()? {
        let schedule = schedule.as_object()?;
        for shift in schedule.get("shifts").and_then(Value::as_array).into_iter().flatten() {
            let shift = shift.as_object()?;
            let user = shift.get("user")?.as_object()?.get("id")?.as_str()?.to_string();
            let level = shift.get("level").map_or(Some(1), Value::as_u64)?;
            let bound = |name: &str, never| match shift.get(name)? {
                Value::Null => Some(never),
                written => Timestamp::read(written.as_str()?),
            };
            // One without length is left out.
            if let Some(window) = Window::new(bound("start", Timestamp::MIN)?, bound("end", Timestamp::MAX)?)
            {
                rows.insert((schedule.get("id")?.as_str()?.to_string(), user, level, window));
            }
        }
    }
    Some(rows)
}
