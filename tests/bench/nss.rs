//! What the groups of those on call add to a login's list of groups.

use harness::suite::CONFIG;

use crate::machine::Machine;
use crate::samples::{median, quantile};
use crate::table::{Table, at_most, figure};
use crate::tools::INSIDE;

/// What `initgroups` may take more than with `files` alone, in microseconds.
const MOST_MORE: f64 = 15.0;

/// alice is on call, bob is not; with `files` alone nobody is a member.
const CASES: [(&str, &str, &str, f64); 3] = [
    ("floor: files", "files", "alice", 1.0),
    ("files oncall, a member", "files oncall", "alice", 2.0),
    ("files oncall, no member", "files oncall", "bob", 1.0),
];

pub fn measure(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    let group = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['*']\n";
    host.write("/etc/authkeys/config.toml", CONFIG.to_string() + group, 0o644);
    machine.suite.sync();
    host.must("for name in alice bob; do gpasswd -d $name sudo; done");

    let mut figures = vec![Vec::new(); CASES.len()];
    for _ in 0..rounds {
        for ((what, services, user, groups), figures) in CASES.iter().zip(&mut figures) {
            let line = host.must(&format!("{INSIDE}/nss '{services}' {user} 2000"));
            let words: Vec<f64> =
                line.split_ascii_whitespace().map(|word| word.parse().expect("a figure")).collect();
            let [first, later, count] = words[..] else { panic!("{line}") };
            assert_eq!(count, *groups, "{what}: groups");
            figures.push([first / 1e3, later / 1e3]);
        }
    }
    let size = host.must("stat -c %s /var/lib/oncall-cache/group");
    let mut table = Table::new(
        &format!("initgroups in process, {} bytes published, {rounds} processes", size.trim()),
        &["", "first us", "later us", "min", "more us", "to reach"],
    );
    let column = |case: usize, at: usize| figures[case].iter().map(move |figure| figure[at]);
    for (case, (what, ..)) in CASES.iter().enumerate() {
        let more = median(column(case, 1)) - median(column(0, 1));
        table.row(vec![
            (*what).to_string(),
            figure(median(column(case, 0))),
            figure(median(column(case, 1))),
            figure(quantile(column(case, 1), 0.0)),
            figure(more),
            if case == 0 { String::new() } else { at_most(more, MOST_MORE, "us more") },
        ]);
    }
    table.print();
}
