//! What single services have of their own, and answers of which a part is odd: only what it concerns is not known.

use std::sync::LazyLock;

use super::*;

static INCIDENT_IO: LazyLock<&Case> = LazyLock::new(|| &CASES[2]);
const ROTATION: &str = "01G0J1EXE7AXZ2C93K61WBPYEH";
const LAYER: &str = "01G0J1EXE7AXZ2C93K61WBPYEL";

#[test]
fn an_error_of_graphql_comes_with_status_200() {
    let error = fixture!("goalert/error.json").to_string();
    let (answer, _) = ask(&CASES[1], &[&*CASES[1].schedule], &|_, _| Some(reply(200, &error)));
    let told = answer.unwrap().failed()[0].1.to_string();
    assert!(told.starts_with("source-error: GoAlert answers \"unauthorized\"; check the key"), "{told}");
}

#[test]
fn nobody_assigned_is_a_gap_and_a_team_on_call_is_unknown() {
    let unassigned = fixture!("incident_io/schedule_entries-unassigned.json").to_string();
    let spoil = |path: &str, _: usize| (path == "/v2/schedule_entries").then(|| reply(200, &unassigned));
    let answer = ask(&CASES[2], &[&*CASES[2].schedule], &spoil).0.unwrap();
    assert_eq!((answer.schedules().len(), answer.schedules()[0].shifts.len()), (1, 0));
    let mut timeline = fixture!("jsm/timeline.json");
    timeline["finalTimeline"]["rotations"][0]["periods"][0]["responder"]["type"] = json!("team");
    let spoil = |path: &str, _: usize| path.ends_with("/timeline").then(|| reply(200, &timeline.to_string()));
    let answer = ask(&CASES[4], &[&*CASES[4].schedule], &spoil).0.unwrap();
    assert!(answer.failed()[0].1.to_string().contains("is no user but \"team\""));
}

/// Whoever is on call in an answer about one schedule, with levels.
fn levels(answer: &Answer) -> Vec<(String, u8)> {
    let shifts = answer.schedules()[0].shifts.iter();
    shifts.map(|shift| (shift.user.mail.clone().unwrap(), shift.level)).collect()
}

#[test]
fn incident_ios_schedules_go_on_after_what_the_page_before_ends_with() {
    for address in [false, true] {
        let spoil = |path: &str, before: usize| {
            let mut page = fixture!("incident_io/schedules.json");
            match (before, address) {
                (0, false) => page["pagination_meta"] = json!({"after": "01A", "page_size": 25}),
                (0, true) => {
                    let next = "https://api.incident.io/v2/schedules?page_size=25&after=01A";
                    page["pagination_meta"] = json!({"after": "01A", "after_url": next});
                }
                _ => page["schedules"][0]["id"] = json!("01OTHER"),
            }
            (path == "/v2/schedules").then(|| reply(200, &page.to_string()))
        };
        let (answer, asked) = ask(&INCIDENT_IO, &["01OTHER"], &spoil);
        assert_eq!(answer.unwrap().schedules()[0].id, "01OTHER");
        assert_eq!(asked.iter().filter(|path| *path == "/v2/schedules").count(), 2);
    }
}

#[test]
fn a_page_with_other_rotations_alone_is_read_past() {
    let mut page = fixture!("incident_io/schedule_entries-page-1.json");
    for entry in page["schedule_entries"]["final"].as_array_mut().unwrap() {
        entry["rotation_id"] = json!("01ANOTHER");
        entry["layer_id"] = json!("01ANOTHERL");
    }
    let spoil = |path: &str, before: usize| {
        (path == "/v2/schedule_entries" && before == 0).then(|| reply(200, &page.to_string()))
    };
    let answer = ask(&INCIDENT_IO, &[&*INCIDENT_IO.schedule], &spoil).0.unwrap();
    assert_eq!((answer.failed().len(), answer.schedules()[0].shifts.len()), (0, 3));
}

#[test]
fn a_layer_that_is_named_is_on_its_own_level_and_an_id_that_nothing_has_is_told() {
    let ask = |rotations: &str| {
        let case = Case { settings: format!("rotations = [{rotations}]"), ..INCIDENT_IO.clone() };
        ask_deep(&case, &[&*case.schedule], &|_, _| None, &RefCell::default(), 9).0.unwrap()
    };
    for (rotations, level) in [
        (format!("'{ROTATION}'"), 1),
        (format!("'{LAYER}'"), 1),
        (format!("'{ROTATION}', '{LAYER}'"), 2),
        (format!("'{LAYER}', '{ROTATION}'"), 1),
    ] {
        let answer = ask(&rotations);
        assert!(levels(&answer).iter().all(|(_, of)| *of == level), "{rotations}: {answer:?}");
        assert_eq!((answer.schedules()[0].shifts.len(), answer.notes().len()), (5, 0), "{rotations}");
    }
    let answer = ask(&format!("'01TYPO', '{ROTATION}'"));
    assert!(levels(&answer).iter().all(|(_, of)| *of == 2));
    assert_eq!(
        answer.notes()[0].as_str(),
        "`rotations` has 01TYPO, which no schedule that was read has a shift of; check that it is the id of a rotation or a layer"
    );
}

#[test]
fn one_schedule_that_answers_no_json_costs_no_other_schedule() {
    let mut list = fixture!("incident_io/schedules.json");
    let mut second = list["schedules"][0].clone();
    second["id"] = json!("01OTHER");
    list["schedules"].as_array_mut().unwrap().push(second);
    let spoil = |path: &str, before: usize| match (path, before) {
        ("/v2/schedules", _) => Some(reply(200, &list.to_string())),
        (_, 0) => Some(reply(0, "")),
        _ => None,
    };
    let answer = ask(&INCIDENT_IO, &[&*INCIDENT_IO.schedule, "01OTHER"], &spoil).0.unwrap();
    assert_eq!(answer.schedules().iter().map(|one| &*one.id).collect::<Vec<_>>(), ["01OTHER"]);
    let (failed, error) = &answer.failed()[0];
    assert_eq!(failed, &INCIDENT_IO.schedule);
    assert!(error.to_string().contains("answered text/html instead of JSON"), "{error}");
    // Of the list nothing else can be told.
    let (answer, _) = ask(&INCIDENT_IO, &[&*INCIDENT_IO.schedule], &|_, _| Some(reply(0, "")));
    assert!(answer.unwrap_err().contains("answered text/html instead of JSON"));
}

#[test]
fn an_odd_account_at_linkedin_costs_the_rotas_that_it_is_on_and_no_other() {
    let ask = |name: &str, change: Value| {
        let mut users = fixture!("linkedin_oncall/users.json");
        let mut odd = users[0].clone();
        odd["name"] = json!(name);
        odd.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let users = users.as_array_mut().unwrap();
        users.retain(|user| user["name"] != name);
        users.push(odd);
        let users = json!(users).to_string();
        let spoil = |path: &str, _: usize| (path == "/api/v0/users").then(|| reply(200, &users));
        ask(&CASES[0], &["sre", "db"], &spoil).0.unwrap()
    };
    for odd in [json!({"contacts": null}), json!({"active": "yes"}), json!({"contacts": {"email": 7}})] {
        // Nobody's rota.
        let answer = ask("mallory", odd.clone());
        assert_eq!((answer.schedules().len(), answer.failed().len()), (2, 0), "{odd}");
        let answer = ask("bob", odd.clone());
        assert_eq!(answer.schedules().iter().map(|one| &*one.id).collect::<Vec<_>>(), ["db"], "{odd}");
        let (failed, error) = &answer.failed()[0];
        assert!(failed == "sre" && error.to_string().contains("the account \"bob\" of /users"), "{error}");
    }
    let answer = ask("x y", json!({"name": {"first": "x"}}));
    assert_eq!((answer.schedules().len(), answer.failed().len()), (2, 0));
}

#[test]
fn a_period_of_jsm_that_does_not_say_who_is_on_call_is_no_gap() {
    let case = &CASES[4];
    let ask = |responder: Option<Value>| {
        let mut timeline = fixture!("jsm/timeline.json");
        let period = timeline["finalTimeline"]["rotations"][0]["periods"][0].as_object_mut().unwrap();
        period.remove("responder");
        period.extend(responder.map(|responder| ("responder".to_string(), responder)));
        let timeline = timeline.to_string();
        let spoil = |path: &str, _: usize| path.ends_with("/timeline").then(|| reply(200, &timeline));
        ask(case, &[&*case.schedule], &spoil).0.unwrap()
    };
    let error = ask(None).failed()[0].1.to_string();
    assert!(error.contains("missing field `responder`"), "{error}");
    for gap in [Value::Null, json!({"id": "x", "type": "noParticipant"})] {
        let answer = ask(Some(gap));
        assert_eq!((answer.failed().len(), answer.schedules()[0].shifts.len()), (0, 4));
    }
}
