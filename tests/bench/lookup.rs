//! Whole processes: a lookup from spawn to exit, as the user that sshd runs it as.

use crate::machine::{Machine, key, name, words};
use crate::table::{Table, at_most, figure};
use crate::tools::FRESH;

/// `authkeys USER` to the SQLite floor: wall time.
const MOST_RATIO: f64 = 1.25;
/// `authkeys USER`: peak memory in MiB.
const MOST_RSS: f64 = 4.0;

pub fn measure(machine: &Machine, people: usize, rounds: usize) {
    let (user, its_key) = (name(people / 2), key(people / 2));
    let authkeys = format!("{FRESH}/authkeys");
    let floor = "floor: static C reads a row by SQLite";
    let mut commands = vec![
        ("floor: static C prints a line", 0, format!("{FRESH}/print {its_key} {user}")),
        (floor, 0, format!("{FRESH}/sqlite /var/lib/authkeys/keys.db {user}")),
        ("authkeys USER", 0, format!("{authkeys} {user}")),
        ("authkeys USER TYPE KEY", 0, format!("{authkeys} {user} {its_key}")),
        ("authkeys, user unknown", 0, format!("{authkeys} nobody-here")),
        ("authkeys root (shared)", 0, format!("{authkeys} root")),
        ("oncall-cache test-access alice", 0, format!("{FRESH}/oncall-cache test-access alice")),
    ];
    for (peer, program, arguments) in [
        ("peer: sss_ssh_authorizedkeys", "/usr/bin/sss_ssh_authorizedkeys", "alice"),
        ("peer: userdbctl", "/usr/bin/userdbctl", "ssh-authorized-keys alice"),
    ] {
        if machine.has(program) {
            commands.push((peer, -1, format!("{program} {arguments}")));
        }
    }
    let printed = |line: &str| machine.suite.must_as("authkeys", line);
    let expected = format!("{its_key} {user}\n");
    for line in [&commands[0].2, &commands[1].2, &commands[2].2, &commands[3].2] {
        assert_eq!(printed(line), expected, "{line}");
    }
    assert_eq!(printed(&commands[4].2), "");
    // Those off call come after her, to read why (explain_refusals).
    let alice = format!("{} alice\n", short(&machine.suite.public_key("alice")));
    assert!(printed(&commands[5].2).starts_with(&alice));

    let plan: Vec<_> = commands.iter().map(|(_, _, line)| words(line)).collect();
    machine.run("authkeys", rounds / 10 + 1, &plan);
    let series = machine.run("authkeys", rounds, &plan);
    let mut table = Table::new(
        &format!("One lookup among {people} people, whole process, {rounds} rounds"),
        &["", "median ms", "p95", "min", "cpu ms", "RSS MiB", "x print", "x SQLite", "to reach"],
    );
    let cpu_floor = crate::samples::median(series[1].cpu());
    for ((what, status, _), own) in commands.iter().zip(&series) {
        if let Some(sample) = own.0.iter().find(|sample| *status >= 0 && sample.status != *status) {
            println!("  ({what}: exit status {})", sample.status);
        }
        let (wall, cpu) = (own.wall(), crate::samples::median(own.cpu()));
        let ratio = own.ratio(&series[1]);
        let target = if *what == "authkeys USER" {
            format!(
                "{}; {}; cpu x SQLite {}",
                at_most(ratio, MOST_RATIO, "x SQLite"),
                at_most(own.rss(), MOST_RSS, "MiB"),
                figure(cpu / cpu_floor)
            )
        } else {
            String::new()
        };
        table.row(vec![
            (*what).to_string(),
            figure(crate::samples::median(wall.iter().copied())),
            figure(crate::samples::quantile(wall.iter().copied(), 0.95)),
            figure(crate::samples::quantile(wall.iter().copied(), 0.0)),
            figure(cpu),
            figure(own.rss()),
            figure(own.ratio(&series[0])),
            figure(ratio),
            target,
        ]);
    }
    table.print();
}

/// A key without its comment.
fn short(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
