//! What files of `[[policy.rego]]` add to a sync of 10,000 shifts in 200 schedules: whole processes, with the same rota.

use std::fmt::Write as _;

use harness::suite::{CONFIG, TEAM, instant, now};

use crate::machine::{Machine, words};
use crate::samples::median;
use crate::table::{Table, at_most, figure};

const SCHEDULES: i64 = 200;
const SHIFTS: i64 = 10_000;

/// The most that a file may add to a sync of this rota, in ms.
const LONGEST: f64 = 1_000.0;

/// The files: their name, and what is in them after the package.
const FILES: [(&str, &str); 3] = [
    ("none", ""),
    ("its level", "keep if input.level == 1"),
    (
        "who is on call within it",
        "keep if {\n\tsome entry in data.oncalls\n\tentry.user.name == input.person\n\tentry.schedule.id == input.schedule\n\
         \tentry.escalation_level <= 1\n}",
    ),
];

pub fn measure(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    let mut rota = String::new();
    let start = now() - 3_600;
    for schedule in 0..SCHEDULES {
        writeln!(rota, "[[schedule]]\nid = 's{schedule}'").expect("a text");
        for turn in 0..SHIFTS / SCHEDULES {
            // An hour and a half each, one after the other: three days.
            let (start, end) = (instant(start + turn * 5_400), instant(start + (turn + 1) * 5_400));
            let person = TEAM.get(usize::try_from((schedule + turn) % 3).expect("few")).expect("a team").name;
            writeln!(rota, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}")
                .expect("a text");
        }
    }
    host.write("/etc/authkeys/bench-rota.toml", rota, 0o644);
    let commands = FILES.map(|(name, rules)| {
        let place = format!("/var/lib/rego-bench/{}", name.replace(' ', "-"));
        host.must(&format!("install -d -m 755 -o oncall-cache -g oncall-cache /var/lib/rego-bench {place}"));
        let config = CONFIG
            .replace("rota.toml", "bench-rota.toml")
            .replace("schedules = [\"rota/primary\"]", "schedules = [\"rota/s0\"]");
        let entry = match rules {
            "" => String::new(),
            rules => {
                let file = format!("/etc/authkeys/{}.rego", name.replace(' ', "-"));
                host.write(&file, format!("package authkeys\nimport rego.v1\n{rules}\n"), 0o644);
                format!("[[policy.rego]]\nfile = '{file}'\nquery = 'data.authkeys.keep'\n")
            }
        };
        let file = format!("/etc/authkeys/rego-{}.toml", name.replace(' ', "-"));
        host.write(&file, format!("{config}{entry}[paths]\nroster = '{place}/roster.db'\n"), 0o644);
        words(&format!("/usr/bin/oncall-cache --config {file} sync"))
    });
    let series = machine.run_well("oncall-cache", rounds, &commands, &[0]);
    let title = format!(
        "oncall-cache sync, {SHIFTS} shifts in {SCHEDULES} schedules, whole process, {rounds} rounds"
    );
    let mut table =
        Table::new(&title, &["[[policy.rego]] asks", "median ms", "cpu ms", "RSS MiB", "to reach"]);
    let without = median(series[0].wall());
    for ((name, rules), series) in FILES.into_iter().zip(&series) {
        let wall = median(series.wall());
        let reach = match rules {
            "" => String::new(),
            _ => format!("{} more: {}", figure(wall - without), at_most(wall - without, LONGEST, "ms")),
        };
        let row = [name.to_string(), figure(wall), figure(median(series.cpu())), figure(series.rss()), reach];
        table.row(row.to_vec());
    }
    table.print();
}
