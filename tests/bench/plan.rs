//! What `oncall-cache policy plan` costs as a fleet and its rota grow: whole processes, which read files alone.

use std::fmt::Write as _;

use harness::suite::instant;

use crate::machine::{Machine, words};
use crate::samples::median;
use crate::table::{Table, at_most, figure};

/// Hosts and shifts; the last is the one that has to be fast.
const SIZES: [(usize, usize); 6] =
    [(250, 200), (500, 200), (1_000, 50), (1_000, 100), (1_000, 400), (1_000, 200)];

/// The longest that a plan for 1,000 hosts, 14 days and 200 shifts may take, in ms.
const LONGEST: f64 = 2_000.0;

/// The most memory that it may take, in MiB.
const MOST_MEMORY: f64 = 128.0;

/// When it is planned from.
const START: i64 = 1_793_577_600;

/// Rules: each host has a role, and each role a rule and a schedule of its own.
const ROLES: usize = 20;

pub fn measure(machine: &Machine, rounds: usize) {
    let command = |(hosts, shifts): (usize, usize)| {
        let place = format!("/srv/plan-{hosts}-{shifts}");
        write(machine, &place, hosts, shifts);
        words(&format!(
            "/usr/bin/oncall-cache policy plan {place}/old.toml {place}/new.toml --inventory {place}/hosts.toml \
             --rota {place}/rota.toml --from {}",
            instant(START)
        ))
    };
    let series = machine.run_well("oncall-cache", rounds, &SIZES.map(command), &[0]);
    let title =
        format!("oncall-cache policy plan for 14 days, {ROLES} rules, whole process, {rounds} rounds");
    let mut table = Table::new(&title, &["hosts", "shifts", "median ms", "cpu ms", "RSS MiB", "to reach"]);
    for ((hosts, shifts), series) in SIZES.into_iter().zip(&series) {
        let (wall, memory) = (median(series.wall()), series.rss());
        let reach = match (hosts, shifts) {
            (1_000, 200) => {
                format!("{}; {}", at_most(wall, LONGEST, "ms"), at_most(memory, MOST_MEMORY, "MiB"))
            }
            _ => String::new(),
        };
        let [hosts, shifts] = [hosts, shifts].map(|count| count.to_string());
        table.row(vec![hosts, shifts, figure(wall), figure(median(series.cpu())), figure(memory), reach]);
    }
    table.print();
}

/// The files of a plan: one rule becomes deeper, and one covers every host.
fn write(machine: &Machine, place: &str, hosts: usize, shifts: usize) {
    machine.suite.host.must(&format!("mkdir -p {place}"));
    let (mut inventory, mut rota, mut rules) = (String::new(), String::new(), String::new());
    for number in 0..hosts {
        writeln!(inventory, "[[host]]\nname = \"host{number}\"\nlabels = [\"role={}\"]", number % ROLES)
            .expect("a text");
    }
    let ids: Vec<String> = (0..ROLES).map(|role| format!("\"s{role}\"")).collect();
    for role in 0..ROLES {
        writeln!(rules, "[[policy.rule]]\nname = \"r{role}\"\nhosts = [\"label:role={role}\"]\nschedules = [\"rota/s{role}\"]")
            .expect("a text");
        writeln!(rota, "[[schedule]]\nid = \"s{role}\"").expect("a text");
        for shift in (role..shifts).step_by(ROLES) {
            let start = START
                + i64::try_from(shift).expect("few") * 14 * 86_400 / i64::try_from(shifts).expect("few");
            writeln!(rota, "[[schedule.shift]]\nperson = \"p{}\"", shift % 50).expect("a text");
            writeln!(
                rota,
                "level = {}\nstart = {}\nend = {}",
                1 + shift % 2,
                instant(start),
                instant(start + 86_400)
            )
            .expect("a text");
        }
    }
    let source = format!(
        "[[oncall.source]]\nname = \"rota\"\nprovider = \"rota\"\nfile = \"rota.toml\"\nschedules = [{}]\nmax_escalation_level = 2\n",
        ids.join(", ")
    );
    let old = format!("{source}[[policy.shared_account]]\naccount = \"root\"\n{rules}");
    let new = old
        .replace("\"label:role=0\"", "\"*\"")
        .replace("\"rota/s1\"]", "\"rota/s1\"]\nmax_escalation_level = 2");
    for (name, text) in [("old.toml", old), ("new.toml", new), ("hosts.toml", inventory), ("rota.toml", rota)]
    {
        machine.suite.host.write(&format!("{place}/{name}"), text, 0o644);
    }
}
