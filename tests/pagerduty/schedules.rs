//! What is asked for: schedules of both kinds, policies, teams; and whom a name means.

use harness::oncalls::{id_of, schedule, user};
use harness::pagerduty::Reply;
use harness::suite::{DAY, HOUR, now};
use harness::text;
use serde_json::{Value, json};

use super::{BY_KEY, ROSTER, Site, error, from_now, oncall, permanent, policy, reference, rendered};

#[test]
fn a_policy_and_a_team_are_schedules_of_their_own() {
    let site = Site::start();
    site.pagerduty.set_policies(vec![
        policy("PEP0001", "SRE", &["PTEAM01"]),
        policy("PEP0002", "DBA", &["PTEAM01", "PTEAM02"]),
        policy("PEP0003", "Management", &[]),
    ]);
    let team = |id: &str, name: &str| json!({"id": id, "type": "team", "summary": name, "name": name});
    site.pagerduty.set_teams(vec![
        team("PTEAM01", "Operations"),
        team("PTEAM02", "Data"),
        team("PTEAM03", "Nobody"),
    ]);
    site.pagerduty.set_oncalls(vec![
        oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR),
        oncall("bob", Some("PWEB001"), "PEP0001", 2, -HOUR, HOUR),
        permanent("dave", "PEP0001", 3),
        // The same shift through another policy, and at another level.
        oncall("alice", Some("PDB0001"), "PEP0002", 2, -HOUR, HOUR),
        permanent("carol", "PEP0002", 1),
        permanent("dave", "PEP0003", 1),
    ]);
    let people = |wanted: &str| {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        site.sync();
        assert!(!site.asked().contains(&"/users".to_string()));
        site.people()
    };
    assert_eq!(people("escalation_policies = ['SRE']"), ["SRE alice 1"]);
    assert_eq!(people("escalation_policies = ['PEP0002']"), ["PEP0002 carol 1"]);
    assert_eq!(
        people("escalation_policies = ['SRE']\nmax_escalation_level = 2"),
        ["SRE alice 1", "SRE bob 2"]
    );
    assert_eq!(
        people("escalation_policies = ['SRE']\nmax_escalation_level = 3").len(),
        3,
        "dave is permanent on level 3"
    );
    assert_eq!(people("teams = ['Operations']"), ["Operations alice 1", "Operations carol 1"]);
    assert_eq!(
        people("teams = ['PTEAM02']\nmax_escalation_level = 2"),
        ["PTEAM02 alice 2", "PTEAM02 carol 1"]
    );
    assert_eq!(
        people("schedules = ['db']\nescalation_policies = ['DBA']\nteams = ['Data']"),
        ["DBA carol 1", "Data carol 1", "db alice 1"],
        "who is permanent is on no schedule"
    );
    // Permanent means that there is neither a start nor an end.
    let ends = format!("sqlite3 {ROSTER} 'SELECT count(*) FROM shift WHERE ends > {}'", now() + 365 * DAY);
    assert_eq!(site.suite.host.must(&ends), "2\n");
    for (wanted, words) in [
        (
            "escalation_policies = ['sre']",
            "PagerDuty has no escalation policy `sre`; check `escalation_policies`",
        ),
        ("teams = ['Ops']", "PagerDuty has no team `Ops`; check `teams`"),
    ] {
        site.source(&format!("{}\n{wanted}\n{BY_KEY}", Site::at_example()));
        site.fails(&["source-incomplete", words]);
    }
}

#[test]
fn nobody_is_on_call_through_a_team_without_policies() {
    let site = Site::start();
    site.sync();
    site.pagerduty.set_policies(vec![policy("PEP0001", "SRE", &["PTEAM01"])]);
    site.pagerduty
        .set_teams(vec![json!({"id": "PTEAM03", "type": "team", "summary": "none", "name": "none"})]);
    site.source(&format!("{}\nteams = ['none']\n{BY_KEY}", Site::at_example()));
    let _ = site.asked();
    // Without ids the service would tell of everybody, and refuse here.
    site.refuses(&["source-empty"]);
    assert_eq!(site.asked(), ["/escalation_policies", "/teams"]);
}

#[test]
fn a_schedule_in_no_policy_is_asked_for_by_itself() {
    let site = Site::start();
    site.pagerduty.set_oncalls(vec![oncall("bob", Some("PWEB001"), "PEP0001", 2, -HOUR, HOUR)]);
    let shifts = [
        rendered("alice", -HOUR, HOUR),
        rendered("carol", HOUR, 2 * HOUR),
        rendered("bob", -3 * HOUR, -2 * HOUR),
    ];
    site.pagerduty.set_rendered("PDB0001", shifts.to_vec());
    site.pagerduty.set_rendered("PWEB001", vec![rendered("dave", -HOUR, HOUR)]);
    site.source(&format!(
        "{}\nschedules = ['PDB0001', 'web']\nallow_empty = true\nmax_oncall = 50\n{BY_KEY}",
        Site::at_example()
    ));
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1", "PDB0001 carol 1"], "the second level of `web` is a level");
    assert_eq!(
        site.asked(),
        ["/schedules", "/v3/schedules", "/oncalls", "/schedules/PDB0001", "/users/PUALICE", "/users/PUCAROL"]
    );
    // Somebody who is no user any more is skipped, and the others stay.
    site.pagerduty.set_users(vec![user("alice")]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("skipped pd/PUCAROL: has no mail address"), "{}", text(&output));
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    let _ = site.pagerduty.requests();
    // Many are looked up in the list of all.
    let names: Vec<String> = (0..30).map(|number| format!("user{number}")).collect();
    let mut users = vec![user("alice")];
    users.extend(names.iter().map(|name| user(name)));
    let mut shifts = vec![rendered("alice", -HOUR, HOUR)];
    shifts.extend(names.iter().map(|name| rendered(name, -HOUR, HOUR)));
    site.pagerduty.set_users(users);
    site.pagerduty.set_rendered("PDB0001", shifts);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    assert_eq!(site.asked(), ["/schedules", "/v3/schedules", "/oncalls", "/schedules/PDB0001", "/users"]);
    // Deleted after the list was read: that one is missing, not empty.
    site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    site.pagerduty.script_at("/schedules/PDB0001", vec![error(404)]);
    site.fails(&["source-incomplete", "/schedules/PDB0001: status 404"]);
}

#[test]
fn a_shift_based_schedule_is_found_and_read() {
    let site = Site::start();
    let assignment = |member: Value, start: i64, end: i64| {
        json!({"type": "computed_shift_assignment", "start_time": from_now(start), "end_time": from_now(end),
               "member": member, "source": {"type": "schedule_rotation", "rotation_id": "R1"}})
    };
    let member = |name: &str| json!({"type": "user_member", "user_id": id_of(name)});
    site.pagerduty.set_shift_based(vec![
        json!({"id": "PNEW001", "name": "new", "computed_shift_assignments": [
            assignment(member("alice"), -HOUR, HOUR),
            assignment(member("bob"), -HOUR, HOUR),
            assignment(json!({"type": "empty_member"}), HOUR, 2 * HOUR),
            assignment(member("carol"), -5 * HOUR, -4 * HOUR),
        ]}),
        json!({"id": "PNEW002", "name": "db", "computed_shift_assignments": []}),
    ]);
    for (wanted, expected) in [("new", 2), ("PNEW001", 2)] {
        site.source(&format!("{}\nschedules = ['{wanted}']\n{BY_KEY}", Site::at_example()));
        site.sync();
        assert_eq!(site.people().len(), expected);
        let asked = site.asked();
        assert_eq!(asked[..4], ["/schedules", "/v3/schedules", "/oncalls", "/v3/schedules/PNEW001"]);
    }
    assert_eq!(site.people(), ["PNEW001 alice 1", "PNEW001 bob 1"]);
    // In a policy, /oncalls tells of it as of any other.
    let mut entry = oncall("carol", Some("PNEW001"), "PEP0001", 1, -HOUR, HOUR);
    entry["schedule"]["type"] = json!("schedule_v3_reference");
    site.pagerduty.set_oncalls(vec![entry]);
    site.sync();
    assert_eq!(site.people(), ["PNEW001 carol 1"]);
    assert_eq!(site.asked(), ["/schedules", "/v3/schedules", "/oncalls"]);
    // Upgraded between two questions: the old address answers 400, the new one is asked.
    site.pagerduty.set_oncalls(vec![]);
    let old = json!({"schedules": [{"id": "PNEW001", "type": "schedule", "name": "new"}], "limit": 100,
                     "offset": 0, "more": false, "total": null});
    site.pagerduty.script_at("/schedules", vec![Reply::json(200, &old)]);
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(site.people(), ["PNEW001 alice 1", "PNEW001 bob 1"]);
    // An account without them has no such list.
    site.pagerduty.script_at("/v3/schedules", vec![error(404)]);
    site.source(&format!("{}\nschedules = ['PGONE01']\n{BY_KEY}", Site::at_example()));
    site.fails(&["source-incomplete", "PagerDuty has no schedule `PGONE01`"]);
}

#[test]
fn a_name_of_two_schedules_is_neither() {
    let site = Site::start();
    site.sync();
    site.pagerduty.set_schedules(vec![schedule("PDB0001", "db"), schedule("PDB0002", "db")]);
    site.source(&format!("{}\nschedules = ['db']\n{BY_KEY}", Site::at_example()));
    site.fails(&["source-incomplete", "`db` is the name of PDB0001 and of PDB0002; write the id"]);
    site.source(&format!("{}\nschedules = ['PDB0001']\n{BY_KEY}", Site::at_example()));
    site.sync();
}

#[test]
fn a_person_who_is_only_a_reference_is_looked_up() {
    let site = Site::start();
    let mut entry = oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR);
    entry["user"] = reference("alice");
    let mut deep = oncall("carol", Some("PDB0001"), "PEP0001", 2, -HOUR, HOUR);
    deep["user"] = reference("carol");
    site.pagerduty.set_oncalls(vec![entry, deep]);
    site.sync();
    assert_eq!(site.people(), ["PDB0001 alice 1"]);
    assert_eq!(
        site.asked(),
        ["/schedules", "/oncalls", "/users/PUALICE"],
        "nobody asks for those who do not count"
    );
    // Without the permission, everything has failed: half the people would be missing.
    site.pagerduty.script_at("/users/PUALICE", vec![error(403)]);
    site.fails(&["source-error", "/users/PUALICE: status 403", "users.read"]);
    // An answer about somebody else is none.
    let bob = json!({ "user": user("bob") });
    site.pagerduty.script_at("/users/PUALICE", vec![Reply::json(200, &bob)]);
    site.fails(&["source-incomplete", "asked for user PUALICE, the answer is about \"PUBOB\""]);
}

/// A configuration whose `settings` name schedules, and a rule that counts `schedules`.
fn with_rule(site: &Site, settings: &str, schedules: &str) {
    let rule = format!(
        "[[policy.rule]]\nname='r'\nschedules=[{schedules}]\n[[policy.shared_account]]\naccount='root'"
    );
    let at = Site::at_example();
    site.configure("", &format!("{at}\n{settings}\n{BY_KEY}\n{rule}"));
}

fn shift_based(id: &str, whose: &Value) -> Value {
    let shift = json!({"type": "computed_shift_assignment", "start_time": from_now(-HOUR), "end_time": from_now(HOUR),
        "member": whose, "source": {"type": "schedule_rotation", "rotation_id": "R1"}});
    json!({"id": id, "name": "new", "computed_shift_assignments": [shift]})
}

fn member(name: &str) -> Value {
    json!({"type": "user_member", "user_id": id_of(name)})
}

/// Exit status of a sync, and who of the team would be admitted to root after it.
fn admitted(site: &Site) -> (Option<i32>, Vec<&'static str>) {
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    let check = |name: &&str| {
        site.suite.run_as("nobody", &format!("oncall-cache test-access {name}")).status.success()
    };
    (output.status.code(), ["alice", "bob", "carol"].into_iter().filter(check).collect())
}

#[test]
fn a_schedule_that_is_given_anothers_id_as_its_name_does_not_stand_in_for_it() {
    let site = Site::start();
    // Of two kinds of schedules one is asked for only where the other does not show what is wanted.
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("alice"))]);
    with_rule(&site, "schedules = ['PNEW001']", "'pd/PNEW001'");
    site.pagerduty.set_schedules(vec![schedule("PEVIL01", "PNEW001")]);
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PEVIL01"), "PEP0001", 1, -HOUR, HOUR)]);
    assert_eq!(admitted(&site), (Some(0), vec!["alice"]));
    // Also once it is gone: what the text meant, it goes on to mean, until somebody says otherwise.
    site.pagerduty.set_shift_based(vec![]);
    assert_eq!(admitted(&site), (Some(2), vec!["alice"]));
    let output = site.suite.run_as("oncall-cache", "oncall-cache sync");
    assert!(text(&output).contains("`PNEW001` was PNEW001 and would now be PEVIL01"), "{}", text(&output));
    site.suite.must_as("oncall-cache", "oncall-cache sync --accept pd/PNEW001");
    assert_eq!(admitted(&site), (Some(0), vec!["carol"]));
}

#[test]
fn a_policy_that_is_not_there_fails_at_each_sync_whatever_a_schedule_is_named() {
    let site = Site::start();
    with_rule(&site, "schedules = ['PWEB001']\nescalation_policies = ['PEP0009']", "'pd/PEP0009'");
    site.pagerduty.set_schedules(vec![schedule("PWEB001", "PEP0009")]);
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PWEB001"), "PEP0001", 1, -HOUR, HOUR)]);
    for _ in 0..2 {
        assert_eq!(admitted(&site), (Some(1), vec![]));
    }
}

#[test]
fn a_schedule_that_cannot_be_read_by_itself_keeps_none_of_the_others() {
    let site = Site::start();
    with_rule(&site, "schedules = ['PDB0001', 'PNEW001']", "'pd/PDB0001'");
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("bob"))]);
    site.pagerduty.set_oncalls(vec![oncall("alice", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    assert_eq!(admitted(&site), (Some(0), vec!["alice"]));
    site.pagerduty.set_oncalls(vec![oncall("carol", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    site.pagerduty
        .set_shift_based(vec![shift_based("PNEW001", &json!({"type": "team_member", "team_id": "PT1"}))]);
    assert_eq!(admitted(&site), (Some(1), vec!["carol"]));
    site.pagerduty.set_shift_based(vec![shift_based("PNEW001", &member("bob"))]);
    site.pagerduty.set_oncalls(vec![oncall("bob", Some("PDB0001"), "PEP0001", 1, -HOUR, HOUR)]);
    site.pagerduty.script_at("/v3/schedules/PNEW001", vec![error(500), error(500)]);
    assert_eq!(admitted(&site), (Some(1), vec!["bob"]));
}
