//! The decision inside sshd's process: pam_oncall.so alone in a stack, with a large roster and many rules.

use std::fmt::Write as _;

use harness::Host;
use harness::suite::{CONFIG, instant, now};

use crate::machine::Machine;
use crate::samples::{median, quantile};
use crate::table::{Table, at_most, figure};
use crate::tools::INSIDE;

pub const RULES: usize = 50;
pub const SHIFTS: usize = 200;

/// Calls after the first one in a process: with it, no more than are written down of one person in a minute.
pub const CALLS: usize = 50;

/// libpam's codes.
pub const SUCCESS: f64 = 0.0;
pub const PERM_DENIED: f64 = 6.0;

/// The first decision of a process, in microseconds.
const MOST_COLD: f64 = 300.0;

pub fn measure(machine: &Machine, rounds: usize) {
    write_policy(machine);
    let stack = |name: &str, line: &str| {
        machine.suite.host.write(
            &format!("/run/bench/{name}/sshd"),
            format!("{line}account required pam_permit.so\n"),
            0o644,
        );
    };
    stack("floor", "");
    stack("oncall", "account required pam_oncall.so config=/etc/authkeys/many.toml shared=session\n");

    let cases = [
        ("floor: pam_permit.so", "floor", "alice", SUCCESS),
        ("guarded account, on call", "oncall", "alice", SUCCESS),
        ("guarded account, not on call", "oncall", "carol", PERM_DENIED),
        ("account that is not guarded", "oncall", "dave", SUCCESS),
    ];
    let mut figures = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((what, stack, user, expected), figures) in cases.iter().zip(&mut figures) {
            let [start, first, later, code] =
                process(&machine.suite.host, &format!("/run/bench/{stack}"), user, CALLS);
            assert_eq!(code, *expected, "{what}: the stack's answer");
            figures.push([start / 1e3, first / 1e3, later / 1e3]);
        }
    }
    let mut table = Table::new(
        &format!("Account management in process, {SHIFTS} shifts, {RULES} rules, {rounds} processes"),
        &["", "load us", "first us", "p95", "min", "later us", "to reach"],
    );
    for ((what, ..), figures) in cases.iter().zip(&figures) {
        let column = |at: usize| figures.iter().map(move |figure| figure[at]);
        let first = median(column(1));
        table.row(vec![
            (*what).to_string(),
            figure(median(column(0))),
            figure(first),
            figure(quantile(column(1), 0.95)),
            figure(quantile(column(1), 0.0)),
            figure(median(column(2))),
            if what.starts_with("floor") { String::new() } else { at_most(first, MOST_COLD, "us") },
        ]);
    }
    table.print();
}

/// Decisions about `user` in one process, the first and then `calls` more: what loading took, the first and the median of
/// the others in nanoseconds, and the stack's answer. `stack` is a directory of stacks.
pub fn process(host: &Host, stack: &str, user: &str, calls: usize) -> [f64; 4] {
    // Each process is the first of its minute, or its decisions would not be written down.
    host.must("rm -f /run/authkeys/audit/*.*");
    let line = host.must(&format!("{INSIDE}/decision {stack} sshd {user} {calls}"));
    let words: Vec<f64> = line.split_ascii_whitespace().map(|word| word.parse().expect("a figure")).collect();
    words.try_into().unwrap_or_else(|_| panic!("{line}"))
}

/// Writes the configuration of many rules, and its roster.
fn write_policy(machine: &Machine) {
    let (rota, config) = many();
    let config = config + "[paths]\nroster = '/var/lib/oncall-many/roster.db'\n";
    let host = &machine.suite.host;
    host.write("/etc/authkeys/many-rota.toml", rota, 0o644);
    host.write("/etc/authkeys/many.toml", config, 0o644);
    host.must("install -d -m 755 -o oncall-cache -g oncall-cache /var/lib/oncall-many");
    machine.suite.must_as("oncall-cache", "oncall-cache sync --config /etc/authkeys/many.toml");
}

/// many-rota.toml, with a schedule for each team, and a configuration with a rule for each, without paths. alice is on
/// call in the last.
pub fn many() -> (String, String) {
    let now = now();
    let (mut rota, mut rules) = (String::new(), String::new());
    for schedule in 0..RULES {
        let _ = writeln!(rota, "[[schedule]]\nid = 's{schedule}'\nname = 'team {schedule}'");
        let _ = writeln!(rules, "[[policy.rule]]\nname = 'r{schedule}'\nschedules = ['rota/s{schedule}']");
        for turn in 0..SHIFTS / RULES {
            let person = if schedule + 1 == RULES { "alice" } else { "bob" };
            let start = now - 3_600 + turn as i64 * 28_800;
            let (start, end) = (instant(start), instant(start + 28_800));
            let _ = writeln!(rota, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        }
    }
    let one = "[[policy.rule]]\nname = \"everywhere\"\nschedules = [\"rota/primary\"]\n";
    let config = CONFIG.replace(one, &rules).replace("rota.toml", "many-rota.toml");
    assert!(!config.contains("rota/primary"), "the suite's configuration is not as it was");
    (rota, config)
}
