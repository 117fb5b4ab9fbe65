//! Which pages and rows count, and what becomes of those that do not.

use harness::pagerduty::Reply;
use harness::suite::HOUR;
use harness::text;
use serde_json::{Value, json};

use super::{BY_KEY, Site, answer, oncall, policy, rendered};

/// Values that a field of a page may have in place of its own, `None`: the field is not there.
fn wrong_values(right: &Value) -> Vec<Option<Value>> {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0.5),
        json!(1_u64 << 40),
        json!("0"),
        json!([0]),
        json!({"0": 0}),
    ];
    let near = right.as_u64().map(|number| json!(number + 1));
    let flipped = right.as_bool().map(|flag| json!(!flag));
    let wrong = others.into_iter().chain(near).chain(flipped).filter(|value| value != right);
    std::iter::once(None).chain(wrong.map(Some)).collect()
}

#[test]
fn a_page_counts_only_as_the_one_that_was_asked_for() {
    let site = Site::start();
    site.sync();
    let shifts = vec![oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)];
    let right = json!({"oncalls": shifts, "limit": 100, "offset": 0, "more": false, "total": 1});
    for field in ["oncalls", "limit", "offset", "more", "total"] {
        for value in wrong_values(&right[field]) {
            // That is what it is where nobody asked for it.
            if field == "total" && value.as_ref().is_none_or(Value::is_null) {
                continue;
            }
            let mut page = right.clone();
            match &value {
                Some(value) => page[field] = value.clone(),
                None => drop(page.as_object_mut().expect("an object").remove(field)),
            }
            site.pagerduty.script_at("/oncalls", vec![Reply::json(200, &page)]);
            site.refuses(&["source-"]);
            assert_eq!(site.people(), ["PDB0001 alice 1"], "{page}");
        }
    }
    // Each list is read by the same rules, to its end or not at all.
    site.pagerduty.set_policies(vec![policy("PEP0001", "SRE", &["PTEAM01"])]);
    site.pagerduty.set_teams(vec![json!({"id": "PTEAM01", "type": "team", "name": "sre", "summary": "sre"})]);
    for (wanted, path, list) in [
        ("schedules = ['PDB0001']", "/schedules", "schedules"),
        ("schedules = ['PGONE01']", "/v3/schedules", "schedules"),
        ("escalation_policies = ['SRE']", "/escalation_policies", "escalation_policies"),
        ("teams = ['sre']", "/teams", "teams"),
        ("escalation_policies = ['SRE']", "/oncalls", "oncalls"),
    ] {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        let page = json!({list: [], "limit": 100, "offset": 100, "more": false, "total": null});
        site.pagerduty.script_at(path, vec![Reply::json(200, &page)]);
        site.fails(&[
            "source-incomplete",
            &format!("{path}: asked for offset 0, the answer is for offset 100"),
        ]);
    }
}

#[test]
fn the_second_page_must_follow_the_first() {
    let site = Site::start();
    let many = |names: std::ops::Range<usize>| -> Vec<Value> {
        names
            .map(|n| oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR + i64::try_from(n).unwrap()))
            .collect()
    };
    site.pagerduty.set_oncalls(many(0..150));
    site.sync();
    assert_eq!(site.people().len(), 150);
    assert_eq!(site.asked(), ["/schedules", "/oncalls", "/oncalls"]);
    let page = |entries: Vec<Value>, offset: usize, more: bool, total: Value| {
        Reply::json(
            200,
            &json!({"oncalls": entries, "limit": 100, "offset": offset, "more": more, "total": total}),
        )
    };
    let first = || page(many(0..100), 0, true, json!(150));
    for (second, words) in [
        // What a cache in between may do: the first page once more, or a page of another question.
        (first(), "asked for offset 100, the answer is for offset 0"),
        (
            page(many(0..50), 100, false, json!(151)),
            "a page says that there are 150 entries, another one 151",
        ),
        (
            page(many(0..49), 100, false, json!(150)),
            "there are 150 entries, 149 have come, and that is the end",
        ),
        (page(many(0..51), 100, false, json!(150)), "there are 150 entries, 151 have come"),
        (
            page(many(0..50), 100, true, json!(150)),
            "there are 150 entries, 150 have come, and more are to come",
        ),
        (page(many(0..101), 100, false, json!(null)), "101 entries on a page of at most 100"),
    ] {
        site.pagerduty.script_at("/oncalls", vec![first(), second]);
        site.fails(&["source-incomplete", words]);
    }
}

/// Every field of every answer is spoilt in lib/sources/src/pagerduty/fields.rs, by the same code without a network.
#[test]
fn a_row_of_a_schedule_that_was_not_asked_for_is_an_answer_to_another_question() {
    let site = Site::start();
    site.sync();
    for schedule in [Some("PWEB001"), None] {
        let row = oncall("carol", schedule, "PEP0001", 1, -HOUR, HOUR);
        let page = json!({"oncalls": [row], "more": false, "offset": 0, "limit": 100, "total": null});
        site.pagerduty.script_at("/oncalls", vec![Reply::json(200, &page)]);
        site.fails(&["source-incomplete", "asked for some schedule_ids[]"]);
    }
}

#[test]
fn a_user_id_with_two_addresses_or_names_is_nobody_but_by_the_table() {
    let site = Site::start();
    let on = |entries: &[Value]| site.pagerduty.set_oncalls(entries.to_vec());
    let bob = oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    // All of them are of one shift: what is another second is another shift.
    let shift = oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    let row = |key: &str, value: &str, level: u64| {
        let mut row = shift.clone();
        row["user"][key] = json!(value);
        row["escalation_level"] = json!(level);
        row
    };
    let alice = || row("email", "alice@example.com", 1);
    for table in ["", "[oncall.source.people]\nPUALICE = 'alice'\n"] {
        site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}\n{table}", Site::at_example()));
        for (other, what) in [
            (row("email", "carol@example.com", 1), "two mail addresses"),
            (row("email", "", 1), "two mail addresses"),
            (row("name", "Carol", 1), "two names"),
            // A row that does not count tells as well.
            (row("email", "carol@example.com", 5), "two mail addresses"),
        ] {
            for rows in [[alice(), other.clone()], [other.clone(), alice()]] {
                on(&[&rows[..], std::slice::from_ref(&bob)].concat());
                let said = site.sync();
                if !table.is_empty() {
                    // Who an id is does not depend then on what else is told of it.
                    assert!(!said.contains("skipped"), "{said}");
                    assert_eq!(site.people(), ["PDB0001 alice 1", "PDB0001 bob 1"], "{rows:?}");
                    continue;
                }
                assert!(
                    said.contains(&format!("skipped pd/PUALICE: the source gives this user {what} ")),
                    "{said}"
                );
                assert_eq!(site.people(), ["PDB0001 bob 1"], "{rows:?}");
            }
        }
        on(&[alice(), row("email", "Alice@Example.COM", 1), bob.clone()]);
        site.sync();
        assert_eq!(
            site.people(),
            ["PDB0001 alice 1", "PDB0001 bob 1"],
            "as addresses are compared, that is one"
        );
    }
}

#[test]
fn a_shift_without_an_end_is_unknown_and_one_without_length_is_left_out() {
    let site = Site::start();
    site.source(&format!("{}\nschedules = ['PDB0001', 'PWEB001']\n{BY_KEY}", Site::at_example()));
    site.sync();
    for key in ["end", "start"] {
        let mut open = oncall("carol", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
        open[key] = Value::Null;
        site.pagerduty.set_oncalls(vec![open, oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
        let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let words = "schedule pd/PDB0001: source-incomplete: a shift of user `PUCAROL` that";
        assert!(
            text(&output).contains(words) && text(&output).contains(&format!("has no {key}")),
            "{}",
            text(&output)
        );
        assert_eq!(site.people(), ["PDB0001 alice 1", "PWEB001 carol 1"], "the other schedule moves on");
    }
    // The same by itself.
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    let mut open = rendered("carol", -HOUR, HOUR);
    open["end"] = Value::Null;
    site.pagerduty.set_rendered("PDB0001", vec![open]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("has no end"), "{}", text(&output));
    assert_eq!(site.people(), ["PDB0001 alice 1", "PWEB001 carol 1"]);
    let nothing = oncall("carol", Some("PDB0001"), "PEP0001", 1, 60, 60);
    let bob = oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    site.pagerduty.set_oncalls(vec![nothing, bob, oncall("bob", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    let said = site.sync();
    assert!(said.contains("source `pd`: a shift of user PUCAROL on PDB0001 starts and ends at "), "{said}");
    assert_eq!(site.people(), ["PDB0001 bob 1", "PWEB001 bob 1"]);
}

#[test]
fn instants_are_read_to_the_end_of_time_and_json_behind_a_byte_order_mark() {
    let site = Site::start();
    let last = 253_402_300_799_i64;
    for (end, expected) in [
        ("9999-12-31T23:59:59Z", last),
        ("9999-12-31T23:59:59.9999999999999999999999Z", last),
        ("9999-12-31T23:59:59-08:00", last),
        ("9999-12-31T00:00:00+00:00", last - 86_399),
        ("2090-07-01T09:00:00.123456789012345678901234567890+02:00", 3_802_575_600),
    ] {
        let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, 0, 1);
        (entry["start"], entry["end"]) = (json!("2026-03-01T09:00:00.1+01:00"), json!(end));
        site.pagerduty.set_oncalls(vec![entry]);
        site.sync();
        assert_eq!(site.roster(0), [format!("PDB0001 alice 1 1772352000 {expected}")], "{end}");
    }
    for wrong in [
        "2090-07-01T09:00:00+24:00",
        "2090-07-01T09:00:00+25:59",
        "2090-07-01T09:00:00",
        "9999-12-32T00:00:00Z",
    ] {
        let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, 0, 1);
        entry["end"] = json!(wrong);
        site.pagerduty.set_oncalls(vec![entry]);
        site.fails(&["source-error", wrong]);
    }
    let page = json!({"oncalls": [oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)],
                      "limit": 100, "offset": 0, "more": false, "total": null});
    let marked = format!("\u{feff}{page}");
    site.pagerduty.script_at("/oncalls", vec![answer("application/json", marked.as_bytes())]);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 bob 1"]);
}
