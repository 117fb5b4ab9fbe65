//! Whole runs of authkeys-sync: from a file, and from slapd over TLS.

use harness::slapd::Slapd;
use harness::suite::TEAM;

use crate::machine::{Machine, key, name, words};
use crate::samples::{Sample, median};
use crate::table::{Table, at_most, figure};

/// What is reached with a number of people: full, nothing changed, one changed, in ms; memory in MiB.
struct Target {
    people: usize,
    full: f64,
    same: Option<f64>,
    one: Option<f64>,
    memory: Option<f64>,
}

const TARGETS: [Target; 2] = [
    Target { people: 10_000, full: 250.0, same: Some(10.0), one: Some(50.0), memory: None },
    Target { people: 100_000, full: 2_500.0, same: None, one: None, memory: Some(150.0) },
];

/// Where the measured copies are.
const STATE: &str = "/var/lib/authkeys-bench";

pub fn measure(machine: &Machine, people: usize, rounds: usize) {
    let host = &machine.suite.host;
    host.must(&format!("install -d -m 755 -o authkeys-sync -g authkeys {STATE}"));
    let mut table = Table::new(
        &format!("authkeys-sync, {people} people, whole process, {rounds} rounds"),
        &["", "median ms", "min", "cpu ms", "RSS MiB", "to reach"],
    );
    let paths = format!("[paths]\nkeys = '{STATE}/keys.db'\n");
    host.write(
        "/etc/authkeys/bench-file.toml",
        format!("[directory]\nfile = 'bench-people.toml'\n{paths}"),
        0o644,
    );
    machine.write_people("/etc/authkeys/bench-people.toml", people);
    let original = host.read("/etc/authkeys/bench-people.toml");
    one_source(machine, "people.toml", "bench-file", people, rounds, &mut table, |round| {
        let changed = original.replacen("p00010@example.com", &format!("r{round}@example.com"), 1);
        host.write("/etc/authkeys/bench-people.toml", changed, 0o644);
    });

    let slapd = fill_slapd(machine, people);
    host.write("/etc/authkeys/ldap-ca.pem", slapd.ca_pem(), 0o644);
    host.write("/etc/authkeys/bind-password", Slapd::BIND_PASSWORD, 0o640);
    host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    host.write(
        "/etc/authkeys/bench-ldap.toml",
        format!(
            "[directory]\nurls = ['{}']\nbase = '{}'\nbind_dn = '{}'\nbind_password_file = 'bind-password'\nca_file = 'ldap-ca.pem'\neligible_group = '{}'\n{paths}",
            Slapd::LDAPS_URL,
            Slapd::BASE,
            Slapd::BIND_DN,
            Slapd::GROUP_DN
        ),
        0o644,
    );
    let search = format!(
        "/usr/bin/env LDAPTLS_CACERT=/etc/authkeys/ldap-ca.pem ldapsearch -x -LLL -o ldif-wrap=no -H {} -D {} -y /etc/authkeys/bind-password -b {} -E pr=1000/noprompt (objectClass=ldapPublicKey) uid mail entryUUID sshPublicKey",
        Slapd::LDAPS_URL,
        Slapd::BIND_DN,
        Slapd::BASE
    );
    let series = machine.run("authkeys-sync", rounds, &[words(&search)]);
    row(&mut table, "peer: ldapsearch of all", &series[0].0, String::new());
    one_source(machine, "ldaps", "bench-ldap", people, rounds, &mut table, |round| {
        slapd.modify(&format!(
            "dn: uid=p00010,{}\nchangetype: modify\nreplace: mail\nmail: r{round}@example.com\n",
            Slapd::BASE
        ));
    });
    slapd.stop();
    table.print();
}

/// Full, again, and after `change`, in turn.
fn one_source(
    machine: &Machine,
    source: &str,
    config: &str,
    people: usize,
    rounds: usize,
    table: &mut Table,
    change: impl Fn(usize),
) {
    let command = [words(&format!("/usr/bin/authkeys-sync --config /etc/authkeys/{config}.toml"))];
    let once = || {
        let sample = machine.run("authkeys-sync", 1, &command)[0].0[0];
        assert_eq!(sample.status, 0, "authkeys-sync from {source}");
        sample
    };
    let (mut full, mut same, mut one) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        machine.suite.host.must(&format!("rm -f {STATE}/keys.db {STATE}/keys.stamp"));
        full.push(once());
        same.push(once());
        change(round);
        one.push(once());
    }
    let target = TARGETS.iter().find(|target| target.people == people);
    let reach = |samples: &[Sample], limit: Option<f64>| {
        let limit = limit.map(|limit| at_most(wall(samples), limit, "ms"));
        let memory = target.and_then(|target| target.memory).map(|limit| at_most(rss(samples), limit, "MiB"));
        limit.into_iter().chain(memory).collect::<Vec<_>>().join("; ")
    };
    let full_target = reach(&full, target.map(|target| target.full));
    row(table, &format!("{source}, full"), &full, full_target);
    row(
        table,
        &format!("{source}, nothing changed"),
        &same,
        reach(&same, target.and_then(|target| target.same)),
    );
    row(table, &format!("{source}, one changed"), &one, reach(&one, target.and_then(|target| target.one)));
}

fn wall(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.wall_ms))
}

fn rss(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.rss_mib).fold(0.0, f64::max)
}

fn row(table: &mut Table, what: &str, samples: &[Sample], target: String) {
    table.row(vec![
        what.to_string(),
        figure(wall(samples)),
        figure(samples.iter().map(|sample| sample.wall_ms).fold(f64::INFINITY, f64::min)),
        figure(median(samples.iter().map(|sample| sample.cpu_ms))),
        figure(rss(samples)),
        target,
    ]);
}

/// A slapd with the same people as the file.
pub fn fill_slapd(machine: &Machine, people: usize) -> Slapd<'_> {
    let slapd = Slapd::start_with_changes(&machine.suite.host);
    let team = TEAM.map(|member| (member.name.to_string(), machine.suite.public_key(member.name)));
    let numbered = (TEAM.len()..people).map(|number| (name(number), key(number)));
    let everyone: Vec<(String, String)> = team.into_iter().chain(numbered).collect();
    // A file at a time, so that a large directory is not one text in memory.
    for some in everyone.chunks(10_000) {
        slapd.add_people(some.iter().map(|(name, key)| (name.as_str(), key.as_str())));
    }
    let eligible: Vec<&str> = everyone.iter().step_by(50).map(|(name, _)| name.as_str()).collect();
    slapd.set_eligible(&eligible);
    slapd
}
