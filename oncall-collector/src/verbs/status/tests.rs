use super::*;
use fleet::{Digest, Head, Mark, ObjectRef, Part};
use signed::LineProblem;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(1_795_000_000 + seconds)
}

/// A publication that is so many seconds old, of this host's own.
fn status(age: i64) -> Status {
    let object = ObjectRef::new(Digest::of(b"x"), 1, 1).unwrap();
    let part = Part { content: Digest::of(b"y"), object };
    let head = Head {
        fleet: "example".into(),
        sequence: 1_795_000_000_000,
        issued: at(-age),
        valid: at(-age + 6 * 3600),
        scope: Digest::of(b""),
        rota_read: Some(at(-age - 5)),
        people_read: None,
        incidents_read: None,
        revoked_read: at(-age),
        rota: Some(part),
        people: None,
        incidents: None,
        revoked: part,
        pack: None,
        pad: 8,
    };
    let mark = Mark::of(0, &head, b"");
    let mut status = Status {
        at: at(0),
        fleet: "example".into(),
        place: "/srv/fleet".into(),
        patience: Span::seconds(90),
        head: Ok(Signed { head, names: vec!["one".into()], length: 500, mark }),
        schedules: Vec::new(),
        objects: Some((3, 4_001)),
        publishes: Ok(()),
        is_fit: true,
        key_ends: None,
        dead: Vec::new(),
        policy: None,
        problems: Vec::new(),
    };
    status.note_problems();
    status
}

#[test]
fn health_is_what_hosts_get() {
    for (age, health) in [(0, 0), (90, 0), (91, 1), (6 * 3600 - 1, 1), (6 * 3600, 2)] {
        assert_eq!(status(age).health(), health, "{age}");
    }
    let nothing = Status { head: Err("nothing is published yet".into()), ..status(0) };
    assert_eq!(nothing.health(), 2);
    let standby = Status { publishes: Err("standing by".into()), ..status(0) };
    assert_eq!(standby.health(), 0);
    // One that could not take over fails before it has to.
    let unfit = Status { publishes: Err("no key".into()), is_fit: false, ..status(0) };
    assert_eq!(unfit.health(), 1);
}

#[test]
fn what_is_to_be_done_is_named() {
    let dead = DeadLine { line: 3, problem: LineProblem::NoNamespaces };
    let mut soon = Status { dead: vec![dead], key_ends: Some(at(86_400)), ..status(0) };
    soon.note_problems();
    assert_eq!(soon.health(), 1);
    let text = table::table(&soon);
    assert!(text.contains("problem    line 3 of fleet-signers lets nobody sign: no namespaces"), "{text}");
    assert!(text.contains("problem    the signing key of this collector ends 2026-"), "{text}");
    let old = table::table(&status(1_000));
    assert!(old.contains("the publication is 16m 40s old"), "{old}");
    assert!(old.contains("the rota is 16m 45s old"), "{old}");
}

#[test]
fn each_form_has_the_same_facts() {
    let well = status(12);
    assert_eq!(
        table::table(&well),
        "fleet      example, in /srv/fleet\n\
         head       1795000000000, 12s ago, signed by one\n\
         rota       0 schedules, read 17s ago\n\
         revoked    read 12s ago\n\
         valid      for another 5h 59m\n\
         objects    3, 5 kB\n\
         this host  publishes"
    );
    let json = json::json(&well);
    assert_eq!(
        (&json["health"], &json["head"]["age"], &json["head"]["rota"]["age"]),
        (&"well".into(), &12.into(), &17.into())
    );
    let metrics = prometheus::prometheus(&well);
    for line in [
        "oncall_collector_status 0",
        "oncall_collector_head_age_seconds 12",
        "oncall_collector_valid_seconds 21588",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    assert!(!metrics.contains("people_age"), "{metrics}");
}

#[test]
fn the_policy_that_runs_here_is_told() {
    let policy = |problems| Standing {
        digest: "0123456789abcdef".repeat(4),
        is_asked: true,
        signed: Some(approval::Signed {
            number: 7,
            issued: at(-60),
            by: vec!["alice".into()],
            digest: String::new(),
            text_digest: String::new(),
            ends: None,
        }),
        problems,
        dead: Vec::new(),
        seen: approval::Mark::Nothing,
    };
    let signed = Status { policy: Some(policy(Vec::new())), ..status(12) };
    let table = table::table(&signed);
    assert!(table.contains("policy     0123456789ab, number 7 of "), "{table}");
    assert!(prometheus::prometheus(&signed).contains("\noncall_collector_policy_number 7"));
    assert_eq!(json::json(&signed)["policy"]["number"], 7);
    let older = vec![approval::Problem::Older { number: 7, seen: 8 }];
    let mut older = Status { policy: Some(policy(older)), ..status(12) };
    older.note_problems();
    let table = table::table(&older);
    assert!(table.contains("policy     0123456789ab, NOT AS SIGNED"), "{table}");
    assert!(
        table.contains("problem    the policy is number 7, and number 8 was in force here before"),
        "{table}"
    );
    assert!(prometheus::prometheus(&older).contains("\noncall_collector_policy_number 0"));
    assert_eq!(older.health(), 1);
}
