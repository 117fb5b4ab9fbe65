//! `[[policy.rego]]`: files that take shifts away, by a real sync: they can add nobody, fail into what is configured, end where
//! they would not, and are named by whoever asks why.

use std::fmt::Write as _;

use harness::suite::{CONFIG, HOUR, Suite, instant, now};
use harness::text;
use serde_json::{Value, json};

const FILE: &str = "/etc/authkeys/narrow.rego";
const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

/// When the next shifts begin; a copy of now is still believed then, for `max_age`.
const NEXT: i64 = 12 * HOUR;
/// And the ones after them.
const AFTER: i64 = 16 * HOUR;

/// A shift of schedule `primary`: whose, level, start and end in seconds from now.
type Turn<'a> = (&'a str, u8, i64, i64);

/// The usual configuration, which reads and counts two levels; `entry` is in `[[policy.rego]]`.
fn configure(suite: &Suite, entry: &str) {
    let deep = CONFIG
        .replace("file = \"rota.toml\"\n", "file = \"rota.toml\"\nmax_escalation_level = 2\n")
        .replace("[\"rota/primary\"]\n", "[\"rota/primary\"]\nmax_escalation_level = 2\n");
    let rego = format!("[[policy.rego]]\nfile = 'narrow.rego'\nquery = 'data.authkeys.keep'\n{entry}\n");
    suite.host.write("/etc/authkeys/config.toml", format!("{deep}{rego}"), 0o644);
}

fn write_rota(suite: &Suite, turns: &[Turn<'_>]) -> i64 {
    let now = now();
    let mut rota = "[[schedule]]\nid = 'primary'\n".to_string();
    for (person, level, start, end) in turns {
        let (start, end) = (instant(now + start), instant(now + end));
        let _ = writeln!(
            rota,
            "[[schedule.shift]]\nperson = '{person}'\nlevel = {level}\nstart = {start}\nend = {end}"
        );
    }
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
    now
}

/// Puts this in the file, after its package.
fn write(suite: &Suite, rules: &str) {
    suite.host.write(FILE, format!("package authkeys\n\nimport rego.v1\n\n{rules}\n"), 0o644);
}

/// A host with this rota and this in its file.
fn start(turns: &[Turn<'_>], rules: &str) -> Suite {
    let suite = Suite::start();
    configure(&suite, "");
    write_rota(&suite, turns);
    write(&suite, rules);
    suite.sync_keys();
    suite
}

fn sync(suite: &Suite, code: i32) -> String {
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    assert_eq!(output.status.code(), Some(code), "{}", text(&output));
    text(&output)
}

/// Who of the team is admitted so many seconds after `now`.
fn admitted(suite: &Suite, now: i64, after: i64) -> Vec<&'static str> {
    let at = instant(now + after);
    let may = |name: &&str| {
        let asked = suite.run_as("nobody", &format!("oncall-cache test-access {name} --at {at}"));
        asked.status.code() == Some(0)
    };
    ["alice", "bob", "carol", "dave"].into_iter().filter(may).collect()
}

fn asked(suite: &Suite, command: &str) -> Value {
    let output = suite.run_as("nobody", command);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

fn bytes(suite: &Suite) -> Vec<u8> {
    std::fs::read(suite.host.path(ROSTER)).expect("there is a roster")
}

/// alice and bob are on call now, carol next.
const TURNS: &[Turn<'_>] =
    &[("alice", 1, -HOUR, 11 * HOUR), ("bob", 2, -HOUR, 11 * HOUR), ("carol", 1, NEXT, 20 * HOUR)];

#[test]
fn a106_a_file_takes_shifts_away_and_who_asks_why_reads_which() {
    let suite = start(TURNS, "keep if input.level == 1");
    sync(&suite, 0);
    let now = now();
    assert_eq!(admitted(&suite, now, 60), ["alice"]);
    assert_eq!(admitted(&suite, now, NEXT + HOUR), ["carol"]);
    let why = text(&suite.run_as("nobody", "oncall-cache why bob"));
    assert!(why.contains("left out    rota/primary, level 2, "), "{why}");
    assert!(why.contains(&format!(": left out by {FILE}")), "{why}");
    let told = asked(&suite, "oncall-cache why --json bob");
    assert_eq!(told["left_out"][0]["by"], FILE, "{told:#}");
    assert_eq!(told["left_out"][0]["why"], "verdict", "{told:#}");
    let status = asked(&suite, "oncall-cache status --json");
    assert_eq!(status["last_sync"]["left_out"], 1, "{status:#}");
    let metrics = suite.must_as("nobody", "oncall-cache status --prometheus");
    assert!(metrics.contains("\noncall_cache_left_out_shifts 1\n"), "{metrics}");
    assert!(metrics.contains("\noncall_cache_last_sync_rego_answered 1\n"), "{metrics}");
    let why = text(&suite.run_as("nobody", "oncall-cache why alice"));
    assert!(!why.contains("left out"), "{why}");

    // Ended earlier: the shift began an hour ago.
    write(&suite, "keep := {\"allow\": true, \"ttl\": \"3h\"}");
    sync(&suite, 0);
    assert_eq!(admitted(&suite, now, HOUR), ["alice", "bob"]);
    assert!(admitted(&suite, now, 3 * HOUR).is_empty());
    assert_eq!(admitted(&suite, now, NEXT + 2 * HOUR), ["carol"]);
    assert!(admitted(&suite, now, NEXT + 4 * HOUR).is_empty());
    let why = text(&suite.run_as("nobody", "oncall-cache why alice"));
    assert!(why.contains(": ended earlier, at ") && why.contains(FILE), "{why}");
    // The same again is the same, and so is the rota whole again without the file.
    sync(&suite, 0);
    assert_eq!(admitted(&suite, now, HOUR), ["alice", "bob"]);
    assert!(admitted(&suite, now, 3 * HOUR).is_empty());
    configure(&suite, "hosts = ['otherhost']");
    sync(&suite, 0);
    assert_eq!(admitted(&suite, now, 3 * HOUR), ["alice", "bob"]);
    assert!(!suite.host.path("/var/lib/oncall-cache/roster.left").exists());
}

#[test]
fn a106_whatever_a_file_says_it_adds_nobody() {
    let suite = start(TURNS, "keep := true");
    sync(&suite, 0);
    let now = now();
    let moments = [60, 3 * HOUR, 12 * HOUR, NEXT + HOUR, 3 * NEXT];
    let before: Vec<_> = moments.map(|after| admitted(&suite, now, after)).into();
    assert_eq!(before[0], ["alice", "bob"]);
    for rules in [
        "default keep := true\nallow := true\ndave := true",
        "keep := {\"allow\": true, \"ttl\": \"9999d\"}",
        "keep := \"dave\"",
        "keep := [\"alice\", \"dave\"]",
        "keep contains \"dave\"",
        "keep[\"dave\"] := true",
    ] {
        write(&suite, rules);
        let _ = suite.run_as("oncall-cache", "oncall-cache sync");
        let after: Vec<_> = moments.map(|after| admitted(&suite, now, after)).into();
        for (before, after) in before.iter().zip(&after) {
            assert!(after.iter().all(|one| before.contains(one)), "{rules}: {before:?}, {after:?}");
        }
    }
}

#[test]
fn a106_tomorrows_shift_is_judged_by_the_people_of_tomorrow() {
    let turns: &[Turn<'_>] = &[
        ("alice", 1, -HOUR, HOUR),
        ("bob", 1, -HOUR, HOUR),
        ("alice", 1, NEXT, NEXT + 2 * HOUR),
        ("carol", 1, AFTER, AFTER + HOUR),
        ("bob", 2, AFTER, AFTER + HOUR),
    ];
    // Nobody alone.
    let suite = start(turns, "keep if count({entry.person | some entry in input.on_call}) > 1");
    sync(&suite, 0);
    let now = now();
    assert_eq!(admitted(&suite, now, 60), ["alice", "bob"]);
    assert!(admitted(&suite, now, NEXT + HOUR).is_empty());
    assert_eq!(admitted(&suite, now, AFTER + 60), ["bob", "carol"]);
}

/// What asks a provider elsewhere finds its answer in `data.oncalls` here.
#[test]
fn a106_the_usual_example_says_what_max_escalation_level_says() {
    let example = include_str!("../packaging/examples/policy/oncall.rego");
    let suite = start(TURNS, "keep := true");
    suite.host.write(FILE, example, 0o644);
    let config = suite.host.read("/etc/authkeys/config.toml");
    suite.host.write(
        "/etc/authkeys/config.toml",
        config.replace("data.authkeys.keep", "data.authkeys.decision"),
        0o644,
    );
    sync(&suite, 0);
    let now = now();
    let moments = [0, 60, 10 * HOUR, 12 * HOUR, NEXT - 60, NEXT + HOUR, AFTER - 60, AFTER + 60];
    let by_file = moments.map(|after| admitted(&suite, now, after));
    assert!(by_file.iter().any(|people| !people.is_empty()));
    let level = config.split("[[policy.rego]]").next().unwrap_or_default().replace(
        "[\"rota/primary\"]\nmax_escalation_level = 2\n",
        "[\"rota/primary\"]\nmax_escalation_level = 1\n",
    );
    suite.host.write("/etc/authkeys/config.toml", level, 0o644);
    sync(&suite, 0);
    assert_eq!(moments.map(|after| admitted(&suite, now, after)), by_file);
}

#[test]
fn a106_a_file_that_is_not_understood_changes_nothing() {
    let suite = start(TURNS, "keep if input.level == 1");
    sync(&suite, 0);
    let before = bytes(&suite);
    let left = suite.host.read("/var/lib/oncall-cache/roster.left");
    // What would be new.
    write_rota(&suite, &[("carol", 1, -HOUR, HOUR)]);
    for (rules, expected) in [
        ("keep if {", "narrow.rego:"),
        ("keep { true }", "narrow.rego:5: "),
        (
            "keep if http.send({\"method\": \"GET\", \"url\": \"https://x\"}).status_code == 200",
            "narrow.rego:5: `http.send`",
        ),
        ("keep := true\nx if time.now_ns() > 0", "narrow.rego:6: `time.now_ns`"),
        ("keep if rand.intn(\"x\", 2) == 1", "narrow.rego:5: `rand.intn`"),
        ("keep if frobnicate(input.person)", "narrow.rego:5: no function is called `frobnicate`"),
        ("keep if data.secrets.x", "narrow.rego:5: `data.secrets.x`"),
        ("allow := true", "narrow.rego: it has no rule `keep`"),
    ] {
        write(&suite, rules);
        let said = sync(&suite, 2);
        assert!(said.contains(expected) && said.contains("nothing is published"), "{rules}: {said}");
        let checked = suite.run_as("nobody", "oncall-cache config check /etc/authkeys/config.toml");
        assert_eq!(checked.status.code(), Some(2), "{}", text(&checked));
        assert!(text(&checked).contains(expected), "{rules}: {}", text(&checked));
        assert_eq!(bytes(&suite), before, "{rules}");
        assert_eq!(suite.host.read("/var/lib/oncall-cache/roster.left"), left);
    }
    let (status, problem) = (asked(&suite, "oncall-cache status --json"), "it has no rule `keep`");
    assert!(status["last_sync"]["problem"].as_str().is_some_and(|told| told.contains(problem)), "{status:#}");
    // What is left out of what stands is as many as before, and nobody has answered.
    assert_eq!(
        (&status["last_sync"]["left_out"], &status["last_sync"]["rego_refused"]),
        (&1.into(), &true.into())
    );
    let metrics = text(&suite.run_as("nobody", "oncall-cache status --prometheus"));
    for line in ["oncall_cache_left_out_shifts 1", "oncall_cache_last_sync_rego_answered 0"] {
        assert!(metrics.contains(&format!("\n{line}\n")), "{line}: {metrics}");
    }
    // Nor one that others could have written, is another than what was signed, or is not there.
    write(&suite, "keep := true");
    suite.host.must(&format!("chmod 666 {FILE}"));
    assert!(sync(&suite, 2).contains("narrow.rego"));
    suite.host.must(&format!("chmod 644 {FILE}"));
    configure(&suite, &format!("sha256 = '{}'", "0".repeat(64)));
    assert!(sync(&suite, 2).contains("config.toml wants 0000"));
    assert_eq!(bytes(&suite), before);
    let digest = suite.host.must(&format!("sha256sum <{FILE}"));
    configure(&suite, &format!("sha256 = '{}'", digest.split(' ').next().unwrap_or_default()));
    sync(&suite, 0);
    assert_eq!(admitted(&suite, now(), 0), ["carol"]);
    let standing = bytes(&suite);
    suite.host.must(&format!("rm {FILE}"));
    assert!(sync(&suite, 2).contains("narrow.rego"));
    assert_eq!(bytes(&suite), standing);
}

#[test]
fn a106_a_file_that_fails_keeps_the_shift_or_drops_it_and_is_told() {
    let rules = "keep if input.person != \"alice\"\nkeep if 1 / (input.level - 1) > 0";
    let suite = start(TURNS, rules);
    let said = sync(&suite, 1);
    assert!(
        said.contains("narrow.rego failed, and the shift of alice from ") && said.contains("stays as it is"),
        "{said}"
    );
    let now = now();
    assert_eq!(admitted(&suite, now, 60), ["alice", "bob"]);
    let status = asked(&suite, "oncall-cache status --json");
    assert_eq!(status["health"], "failing", "{status:#}");
    assert!(
        status["last_sync"]["rego_problem"].as_str().is_some_and(|told| told.contains("divi")),
        "{status:#}"
    );
    let metrics = suite.run_as("nobody", "oncall-cache status --prometheus");
    assert!(text(&metrics).contains("\noncall_cache_last_sync_rego_answered 0\n"), "{}", text(&metrics));
    configure(&suite, "on_error = 'drop'");
    assert!(sync(&suite, 1).contains("is left out"));
    assert_eq!(admitted(&suite, now, 60), ["bob"]);
    let why = text(&suite.run_as("nobody", "oncall-cache why alice"));
    assert!(why.contains("because the file failed and on_error is \"drop\""), "{why}");
}

#[test]
fn a106_what_would_not_end_is_stopped_and_the_rota_is_published() {
    // Steps enough for an hour, and a list that would not fit into memory: for alice alone.
    let rules = "many := numbers.range(1, 1000)\n\
                 keep if input.person != \"alice\"\n\
                 keep if count([[a, b, c] | some a in many; some b in many; some c in many]) > 0";
    let suite = start(TURNS, rules);
    let said = sync(&suite, 1);
    assert!(said.contains("narrow.rego failed, and the shift of alice"), "{said}");
    let now = now();
    assert!(admitted(&suite, now, 60).contains(&"alice"));
    assert_eq!(admitted(&suite, now, NEXT + HOUR), ["carol"]);
}

#[test]
fn a106_what_a_file_says_counts_during_an_outage_too() {
    let suite = start(TURNS, "keep := true");
    sync(&suite, 0);
    let now = now();
    suite.host.must("mv /etc/authkeys/rota.toml /root/rota.toml");
    write(&suite, "keep if input.level == 1");
    assert!(sync(&suite, 2).contains("no schedule was read"));
    assert_eq!(admitted(&suite, now, 60), ["alice"]);
    let left_out = || asked(&suite, "oncall-cache status --json")["last_sync"]["left_out"].clone();
    assert_eq!(left_out(), 1);
    sync(&suite, 2);
    assert_eq!(left_out(), 1, "it is the same again");
    // What was left out is known, and comes back.
    write(&suite, "keep := {\"allow\": true, \"ttl\": \"3h\"}");
    sync(&suite, 2);
    assert_eq!(admitted(&suite, now, 60), ["alice", "bob"]);
    assert!(admitted(&suite, now, 3 * HOUR).is_empty());
    sync(&suite, 2);
    assert!(admitted(&suite, now, 3 * HOUR).is_empty());
    write(&suite, "keep := true");
    sync(&suite, 2);
    assert_eq!(admitted(&suite, now, 3 * HOUR), ["alice", "bob"]);
}

/// The morning after: who was on call by the rota and not admitted here, by which file, and until when that was so.
#[test]
fn a106_the_report_says_who_was_left_out_and_by_which_file() {
    let suite = start(TURNS, "keep if input.level == 1");
    sync(&suite, 0);
    suite.must_as("alice", "sudo -n true");
    let begin = instant(now() - 60);
    let report = |form: &str| {
        let until = instant(now() + 30 * HOUR);
        // There is more that it does not know: nothing was recorded before this.
        let output = suite.host.sh(&format!("oncall-cache report {form} --since {begin} --until {until}"));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let told = report("");
    let line = told.lines().find(|line| line.trim_start().starts_with("bob ") && line.contains(FILE));
    assert!(line.is_some_and(|line| line.contains("rota/primary") && line.contains("left out")), "{told}");
    assert!(told.contains("left out by files of [[policy.rego]]"), "{told}");
    let left = || -> Vec<Value> {
        let told: Value = serde_json::from_str(&report("--json")).expect("JSON");
        told["left_out"].as_array().expect("a list").clone()
    };
    let all = left();
    let [bob] = all.as_slice() else { panic!("{all:#?}") };
    let expected = json!({ "person": "bob", "schedule": "rota/primary", "level": 2, "by": FILE, "why": "verdict",
        "from": bob["from"], "to": bob["to"] });
    assert_eq!(*bob, expected);
    assert!(report("--csv").contains(&format!(",left out by {FILE},")), "{}", report("--csv"));
    let page = |words: &str| {
        report(&format!("--html /root/left.html {words}"));
        suite.host.read("/root/left.html")
    };
    let (named, numbered) = (page(""), page("--pseudonyms"));
    let (_, behind) = named.split_once("On call by the rota, but not on this host").expect("a table");
    assert!(behind.contains("<b>bob</b>") && behind.contains(&format!("<code>{FILE}</code>")), "{named}");
    assert!(
        named.contains("class=\"left\"") && named.contains("a file of [[policy.rego]] left it out"),
        "{named}"
    );
    assert!(numbered.contains("class=\"left\"") && !numbered.contains("bob"), "{numbered}");

    // Once it counts, it was left out until then; and nobody came into the rota late.
    let before = bob["to"].clone();
    write(&suite, "keep := true");
    let output = suite.run_ahead("oncall-cache", 60, "oncall-cache sync");
    assert!(output.status.success(), "{}", text(&output));
    let all = left();
    let [bob] = all.as_slice() else { panic!("{all:#?}") };
    assert!(bob["to"].as_str() < before.as_str(), "{bob:#}");
    let told = report("--json");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert!(
        told["could"].as_array().is_some_and(|all| all.iter().any(|one| one["person"] == "bob")),
        "{told:#}"
    );
    let gaps = told["gaps"].to_string();
    assert!(!gaps.contains("could not be read") && !gaps.contains("too many"), "{gaps}");
}
