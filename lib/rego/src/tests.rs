use super::*;

/// From 09:00 on 2 November 2026, UTC: hours from then.
fn shift(person: &str, level: u8, start: i64, end: i64) -> Shift {
    let at = |hours: i64| 1_793_610_000 + hours * 3_600;
    Shift {
        start: at(start),
        end: at(end),
        person: person.to_string(),
        level,
        source: "pd".to_string(),
        schedule: "PDB0001".to_string(),
        schedule_name: "Database".to_string(),
    }
}

fn two() -> Vec<Shift> {
    vec![shift("alice", 1, 0, 12), shift("bob", 2, 6, 24), shift("carla", 1, 24, 48)]
}

fn job(text: &str, shifts: Vec<Shift>) -> Job {
    let text = format!("package authkeys\nimport rego.v1\n{text}");
    let file = Asked { name: "db.rego".to_string(), text, query: "data.authkeys.keep".to_string() };
    let (host, labels) = ("db1".to_string(), vec!["role=db".to_string()]);
    Job { host, labels, file, shifts, first: 0, every_rule: false }
}

fn said(job: &Job) -> (Opening, Vec<Outcome>) {
    let mut out = Vec::new();
    judge(job, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let mut lines = text.lines();
    let opening = serde_json::from_str(lines.next().unwrap()).unwrap();
    (opening, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What a file comes to that has this after its first two lines, for each shift.
fn outcomes(text: &str, shifts: Vec<Shift>) -> Vec<Outcome> {
    let (opening, said) = said(&job(text, shifts));
    assert_eq!(opening, Opening::Loaded, "{text}");
    said
}

fn refusal(text: &str) -> String {
    match said(&job(text, two())) {
        (Opening::Refused(why), none) if none.is_empty() => why,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_shift_stays_ends_earlier_or_is_left_out() {
    use Outcome::{For, Keep, LeaveOut};
    for (text, expected) in [
        ("keep := true", [Keep, Keep, Keep]),
        ("keep := false", [LeaveOut, LeaveOut, LeaveOut]),
        ("keep if input.level == 1", [Keep, LeaveOut, Keep]),
        ("default keep := false\nkeep if input.person == \"bob\"", [LeaveOut, Keep, LeaveOut]),
        ("keep := {\"allow\": input.level < 2, \"ttl\": \"8h\"}", [For(28_800), LeaveOut, For(28_800)]),
        ("keep := {\"allow\": true}", [Keep, Keep, Keep]),
        ("keep if input.host == \"db1\"\nkeep if \"role=web\" in input.labels", [Keep, Keep, Keep]),
        ("keep if input.end <= \"2026-11-02T21:00:00Z\"", [Keep, LeaveOut, LeaveOut]),
        ("keep if input.seconds > 43200", [LeaveOut, Keep, Keep]),
        ("short(s) if s <= 43200\nkeep if short(input.seconds)", [Keep, LeaveOut, LeaveOut]),
    ] {
        assert_eq!(outcomes(text, two()), expected, "{text}");
    }
}

#[test]
fn a_shift_is_judged_by_those_who_are_on_call_within_it() {
    use Outcome::{Keep, LeaveOut};
    let others = "keep if count(input.on_call) == 2";
    assert_eq!(outcomes(others, two()), [Keep, Keep, LeaveOut]);
    // Whatever else is in the rota.
    let mut longer = two();
    longer.extend([shift("dora", 1, 60, 70), shift("emil", 1, -10, 0)]);
    assert_eq!(outcomes(others, longer)[..3], [Keep, Keep, LeaveOut]);
    let first = "keep if {\n\tsome entry in data.oncalls\n\tentry.escalation_level == 1\n\tentry.user.name == input.person\n\
                 \tentry.schedule.id == input.schedule\n\tentry.schedule.summary == \"Database\"\n}";
    assert_eq!(outcomes(first, two()), [Keep, LeaveOut, Keep]);
    let imported = "import data.oncalls\nkeep if oncalls[0].user.name == input.person";
    assert_eq!(outcomes(imported, two()), [Keep, LeaveOut, Keep]);
    let quoted = "keep if data[\"oncalls\"][0].start == input.start";
    assert_eq!(outcomes(quoted, two()), [Keep, LeaveOut, Keep]);
}

#[test]
fn whatever_else_is_said_is_a_failure() {
    for (text, expected) in [
        ("keep := 1", "neither true nor false"),
        ("keep := \"false\"", "neither true nor false"),
        ("keep := {\"ttl\": \"8h\"}", "without `allow`"),
        ("keep := {\"allow\": \"yes\"}", "`\"allow\": \"yes\"`"),
        ("keep := {\"allow\": true, \"tll\": \"8h\"}", "`\"tll\": \"8h\"`"),
        ("keep := {\"allow\": true, \"ttl\": \"-8h\"}", "its `ttl` is \"-8h\""),
        ("keep := {\"allow\": true, \"ttl\": \"0s\"}", "its `ttl` is \"0s\""),
        ("keep := {\"allow\": true, \"ttl\": \"99999999d\"}", "its `ttl` is"),
        ("keep := {\"allow\": true, \"ttl\": \"é\"}", "its `ttl` is"),
        ("keep if 1 / (input.level - input.level) == 1", "line 3: divide by zero"),
        ("keep if input.level >= 1\nkeep := false if input.level == 1", ""),
    ] {
        match outcomes(text, vec![shift("alice", 1, 0, 12)]).as_slice() {
            [Outcome::Failed(why)] => assert!(why.contains(expected), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_a_verdict_must_not_hang_on_is_refused_with_its_line() {
    for (text, expected) in [
        (
            "keep if http.send({\"url\": \"https://x\"}).status_code == 200",
            "db.rego:3: `http.send`: a verdict hangs on",
        ),
        ("keep if rand.intn(\"x\", 2) == 1", "db.rego:3: `rand.intn`: a verdict"),
        ("keep := true\nx if time.now_ns() > 1", "db.rego:4: `time.now_ns`: a verdict"),
        ("keep := true\nx if opa.runtime().env", "db.rego:4: `opa.runtime`"),
        ("keep := true\n\nf(x) if frobnicate(x)", "db.rego:5: no function is called `frobnicate`"),
        ("keep := [x | x := frob(1)]", "db.rego:3: no function is called `frob`"),
        ("keep if data.secrets.x", "db.rego:3: `data.secrets.x`: there is data.oncalls, and nothing else"),
        ("keep if data[input.person]", "db.rego:3: `data`: there is data.oncalls"),
        ("keep if count(data) > 0", "db.rego:3: `data`: there is"),
        ("keep if not data.authkeys.denny\ndeny if input.level > 1", "db.rego:3: it has no rule `denny`"),
        ("keep if input.lvel == 1", "db.rego:3: `input` has no `lvel`; it has person, "),
        ("keep if input[\"oncalls\"]", "db.rego:3: `input` has no `oncalls`"),
        ("keep if count(input) > 0", "db.rego:3: write input.NAME"),
        ("import data.other\nkeep := true", "db.rego:3: `import data.other`"),
        ("keep if input.level == 1 with input as {\"level\": 1}", "db.rego:3: `with` asks"),
        ("kept := true", "db.rego: it has no rule `keep`"),
        ("keep(x) := true", "db.rego: it has no rule `keep`"),
        ("data := 1\nkeep := true", "db.rego:3: "),
        ("keep { true }", "this is Rego v1, as OPA 1.0 has it"),
        ("keep if {", "db.rego:"),
        ("keep if x == y", "unsafe"),
        ("keep if keep", "recursion"),
    ] {
        let why = refusal(text);
        assert!(why.contains(expected), "{text}: {why}");
        assert_eq!(why.lines().count(), 1, "{why}");
    }
    let mut other = job("", two());
    other.file.text = "package cyral\nkeep := true".to_string();
    let (opening, _) = said(&other);
    assert_eq!(
        opening,
        Opening::Refused("db.rego:1: write `package authkeys`: it is the only one that is asked".to_string())
    );
    for query in ["data.authkeys", "data.other.keep", "data.authkeys.keep.x", "data.authkeys.a b", "true"] {
        let mut other = job("keep := true", two());
        other.file.query = query.to_string();
        let (opening, _) = said(&other);
        assert!(
            matches!(&opening, Opening::Refused(why) if why.contains("write data.authkeys.NAME")),
            "{opening:?}"
        );
    }
    let long = format!("keep := true\n{}", "# x\n".repeat(LONGEST / 4));
    assert!(refusal(&long).contains("it may have 65536"));
}

#[test]
fn what_takes_too_long_is_stopped_and_the_rest_is_asked() {
    // Every pair of every pair of some hundred entries: steps enough for minutes.
    let text = "many := numbers.range(1, 400)\n\
                keep if input.person != \"alice\"\n\
                keep if count([1 | some a in many; some b in many; some c in many; some d in many; a + b + c + d < 0]) > 0";
    match outcomes(text, two()).as_slice() {
        [Outcome::Failed(why), Outcome::Keep | Outcome::Failed(_), Outcome::Keep | Outcome::Failed(_)] => {
            assert!(why.contains("time limit"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_rule_is_evaluated_where_that_is_asked() {
    let text = "keep := true\nrisky if 1 / (input.level - 1) > 0";
    assert_eq!(outcomes(text, two()), [Outcome::Keep, Outcome::Keep, Outcome::Keep]);
    let (opening, said) = said(&Job { every_rule: true, ..job(text, two()) });
    assert_eq!(opening, Opening::Loaded);
    assert!(matches!(&said[0], Outcome::Failed(why) if why.contains("line 4")), "{said:?}");
    assert_eq!(said[1], Outcome::Keep);
}

#[test]
fn only_the_first_faults_are_told_in_words() {
    let many = (0..50).map(|hour| shift("alice", 1, hour, hour + 1)).collect();
    let told = outcomes("keep := 1", many);
    let repeated = |outcome: &Outcome| *outcome == Outcome::Failed("as others before it".to_string());
    assert_eq!(told.iter().filter(|outcome| repeated(outcome)).count(), 30);
}

#[test]
fn shifts_that_are_known_already_are_asked_about_no_more_and_still_seen() {
    let first = |first| said(&Job { first, ..job("keep if count(input.on_call) == 2", two()) }).1;
    use Outcome::{Keep, LeaveOut};
    assert_eq!(
        [first(0), first(1), first(3), first(9)],
        [vec![Keep, Keep, LeaveOut], vec![Keep, LeaveOut], vec![], vec![]]
    );
}

/// The clock of the machine goes on while others have it; what a file says must not hang on that.
#[test]
fn the_time_of_a_file_is_what_the_processor_spends_on_it() {
    let before = clock::spent();
    let shown = bounds::spent();
    assert!(before <= shown && shown <= clock::spent(), "{before:?} {shown:?}");
}

#[test]
fn a_file_looks_at_the_host_if_a_rule_or_an_import_names_it() {
    let looks = |text: &str| {
        let text = format!("package authkeys\nimport rego.v1\n{text}");
        looks_at_host("db.rego", &text, "data.authkeys.keep").map_err(|refused| refused.to_string())
    };
    for text in [
        "keep if input.host == \"db1\"",
        "keep if input[\"host\"] == \"db1\"",
        "keep if input[`labels`][0] == \"role=db\"",
        "keep if \"role=db\" in input.labels",
        "import input.host as here\nkeep if here == \"db1\"",
        // By whatever way the answer comes to it, or does not.
        "keep if ours\nours if startswith(input.host, \"db\")",
        "is_db(text) if startswith(text, \"db\")\nkeep if is_db(input.host)",
        "keep if every label in input.labels { label != \"role=web\" }",
        "keep if count({label | some label in input.labels}) > 0",
        "keep if not input.host == \"db1\"",
        "keep := {\"allow\": true, \"ttl\": sprintf(\"%dh\", [count(input.labels)])}",
        "keep := true\nunused := input.host",
    ] {
        assert_eq!(looks(text), Ok(true), "{text}");
    }
    for text in [
        "keep := true",
        "# input.host, or its labels\nkeep if input.level == 1",
        "keep if input.schedule != \"input.host\"",
        "keep if input.schedule in {`input.labels`, \"host\"}",
        "keep if host\nhost if input.level == 1",
        "hosts := [\"db1\"]\nkeep if count(hosts) == 1",
        "labels := {\"host\": 1}\nkeep if labels.host == input.level",
        "keep if { some host in data.oncalls; host.level == 1 }",
    ] {
        assert_eq!(looks(text), Ok(false), "{text}");
    }
    // One that is not understood says nothing.
    for text in ["keep if", "keep if input == {}", "keep if input.hostname == \"db1\"", "other := true"] {
        assert!(looks(text).is_err(), "{text}");
    }
}
