//! rota.toml: everybody on a schedule is written there, with that level.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use policy::{Timestamp, Window};
use sources::rota::Rota;
use toml::Value;

fuzz_target!(|text: &[u8]| {
    let Some(window) = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_420_800))
    else {
        return;
    };
    let path = "/etc/authkeys/rota.toml".as_ref();
    let answer = match Rota::new(path, &[], u8::MAX).parse(text, window) {
        Ok(answer) => answer,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    let written = written(text);
    for schedule in answer.schedules() {
        for shift in &schedule.shifts {
            assert!(shift.level > 0 && shift.window.intersect(window).is_some(), "{shift:?}");
            let row = (schedule.id.clone(), shift.user.id.clone(), i64::from(shift.level));
            assert!(written.as_ref().is_none_or(|rows| rows.contains(&row)), "nobody wrote {row:?}");
        }
        // Nothing of another schedule is in it: asked for by itself, it is the same.
        let wanted = std::slice::from_ref(&schedule.id);
        let alone = Rota::new(path, wanted, u8::MAX).parse(text, window).expect("it was read");
        assert_eq!(alone.schedules(), std::slice::from_ref(schedule));
    }
});

/// Schedule, person and level wherever a person is named; `None` where serde takes a list of values for a table.
fn written(text: &[u8]) -> Option<BTreeSet<(String, String, i64)>> {
    let rota: toml::Table = toml::from_str(std::str::from_utf8(text).ok()?).ok()?;
    let mut rows = BTreeSet::new();
    for schedule in rota.get("schedule")?.as_array()? {
        let schedule = schedule.as_table()?;
        let id = schedule.get("id")?.as_str()?;
        for list in ["shift", "override", "rotation"] {
            for entry in schedule.get(list).and_then(Value::as_array).into_iter().flatten() {
                let entry = entry.as_table()?;
                let level = entry.get("level").map_or(Some(1), Value::as_integer)?;
                let several = entry.get("people").and_then(Value::as_array).into_iter().flatten();
                for person in entry.get("person").into_iter().chain(several) {
                    // A mail address is the same person in any letters.
                    let person = person.as_str()?;
                    let person =
                        if person.contains('@') { person.to_ascii_lowercase() } else { person.to_string() };
                    rows.insert((id.to_string(), person, level));
                }
            }
        }
    }
    Some(rows)
}
