//! What a sync refuses, keeps, records and warns of; and what is left when it is killed.

mod killed;
mod limits;
mod sources;
mod told;

use std::fmt::Write as _;

use harness::suite::{CONFIG, HOUR, Suite, instant, now};
use harness::text;
use serde_json::Value;

/// A schedule's id and its shifts, as person, start, end in seconds from now.
type Rota<'a> = (&'a str, &'a [(&'a str, i64, i64)]);

/// Writes rota.toml.
fn write_rota(suite: &Suite, schedules: &[Rota<'_>]) {
    let now = now();
    let mut rota = String::new();
    for (id, shifts) in schedules {
        let _ = writeln!(rota, "[[schedule]]\nid = '{id}'");
        for (person, start, end) in *shifts {
            let (start, end) = (instant(now + start), instant(now + end));
            let _ = writeln!(rota, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        }
    }
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
}

/// A configuration whose source lists three schedules, all of which admit; `more` is in the source.
fn configure(suite: &Suite, more: &str) {
    let config = CONFIG
        .replace(
            "file = \"rota.toml\"\n",
            &format!("file = \"rota.toml\"\nschedules = ['one', 'two', 'three']\n{more}\n"),
        )
        .replace("schedules = [\"rota/primary\"]", "schedules = ['rota/one', 'rota/two', 'rota/three']");
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
}

/// Runs `oncall-cache sync` with `arguments`, which must exit with `code`; all that it said.
fn sync(suite: &Suite, arguments: &str, code: i32) -> String {
    let output = suite.run_as("oncall-cache", &format!("oncall-cache sync {arguments}"));
    assert_eq!(output.status.code(), Some(code), "sync {arguments}: {}", text(&output));
    text(&output)
}

/// Who is on call now, schedule by schedule, as `who` tells programs.
fn on_call(suite: &Suite) -> Vec<(String, Vec<String>)> {
    let said = suite.must_as("nobody", "oncall-cache who --json");
    let who: Value = serde_json::from_str(&said).expect("JSON");
    let names = |row: &Value| {
        let people = row["now"].as_array().expect("an array").iter();
        people.map(|one| one["person"].as_str().expect("a name").to_string()).collect()
    };
    let rows = who["schedules"].as_array().expect("an array").iter();
    rows.map(|row| (row["schedule"].as_str().expect("a name").to_string(), names(row))).collect()
}

fn report(suite: &Suite) -> Value {
    serde_json::from_str(&suite.host.read("/var/lib/oncall-cache/status.json")).expect("JSON")
}

/// alice, bob and carol on call for one schedule each.
const THREE: &[Rota<'_>] = &[
    ("one", &[("alice", -HOUR, HOUR)]),
    ("two", &[("bob", -HOUR, HOUR)]),
    ("three", &[("carol", -HOUR, HOUR)]),
];

fn three(suite: &Suite) {
    configure(suite, "");
    write_rota(suite, THREE);
    suite.sync();
}

/// Exit statuses of `check`, in the order of `names`.
fn checks<const N: usize>(suite: &Suite, names: [&str; N]) -> [Option<i32>; N] {
    names.map(|name| suite.run_as("nobody", &format!("oncall-cache test-access {name}")).status.code())
}

/// A configuration with a source of its own for each of `sources`, as name and settings; all schedules count.
fn configure_sources(suite: &Suite, sources: &[(&str, &str)], rules: &str) {
    let mut config = "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n".to_string();
    for (name, settings) in sources {
        let _ = writeln!(config, "[[oncall.source]]\nname = '{name}'\n{settings}");
    }
    let _ = writeln!(
        config,
        "[[policy.rule]]\nname = 'all'\nschedules = [{rules}]\n[[policy.shared_account]]\naccount = 'root'"
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
}

/// A document of a `file` or `exec` source: one schedule with one person's shift; `more` stands at its start.
fn document(schedule: &str, user: &str, more: &str) -> String {
    let (start, end) = (instant(now() - HOUR), instant(now() + HOUR));
    format!(
        r#"{{"version":1,{more}"schedules":[{{"id":"{schedule}","shifts":[{{"user":{user},"start":"{start}","end":"{end}"}}]}}]}}"#
    )
}
