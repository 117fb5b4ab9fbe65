//! Syncs of a domain by changes, beside a full read of it: Samba over TLS, with what each moves on the way.

use std::time::Duration;

use harness::relay::Relay;
use harness::samba::Samba;

use crate::machine::{Machine, key, name, words};
use crate::samples::{Sample, median};
use crate::table::{Table, at_most, figure};

/// People in the domain. Samba takes minutes to load them.
const PEOPLE: usize = 20_000;

/// Where the measured copy is.
const STATE: &str = "/var/lib/authkeys-bench";

pub fn measure(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    host.must(&format!("install -d -m 755 -o authkeys-sync -g authkeys {STATE}"));
    let samba = Samba::start(host);
    samba.install_files();
    let people: Vec<String> = (0..PEOPLE).map(name).collect();
    let person = |(number, name): (usize, &String)| {
        let dn = Samba::dn(name);
        let account = format!("sAMAccountName: {name}\nuserAccountControl: 544\n");
        format!(
            "dn: {dn}\nchangetype: add\nobjectClass: user\n{account}altSecurityIdentities: {}\n",
            key(number)
        )
    };
    let ldif: Vec<String> = people.iter().enumerate().map(person).collect();
    ldif.chunks(1_000).for_each(|some| samba.modify(&some.join("\n")));
    let eligible: Vec<&str> = people.iter().step_by(50).map(String::as_str).collect();
    samba.set_eligible(&eligible);
    let relay = Relay::start(host, 6361, 636, Duration::ZERO);
    let section = Samba::section().replace(Samba::URL, &format!("{}:6361", Samba::URL));
    let config = format!("{section}timeout = '600s'\n[paths]\nkeys = '{STATE}/keys.db'\n");
    host.write("/etc/authkeys/bench-domain.toml", config, 0o644);

    let command = [words("/usr/bin/authkeys-sync --config /etc/authkeys/bench-domain.toml")];
    let once = || -> (Sample, usize) {
        relay.bytes();
        let sample = machine.run("authkeys-sync", 1, &command)[0].0[0];
        assert_eq!(sample.status, 0, "authkeys-sync of a domain");
        (sample, relay.bytes())
    };
    let mut series: [Vec<(Sample, usize)>; 4] = Default::default();
    for round in 0..rounds {
        host.must(&format!("rm -f {STATE}/keys.db {STATE}/keys.stamp"));
        series[0].push(once());
        series[1].push(once());
        samba.set(&people[10], "altSecurityIdentities", &[&key(PEOPLE + round)]);
        series[2].push(once());
        samba.delete(&Samba::dn(&people[100 + round]));
        series[3].push(once());
    }
    print(&series, rounds);
}

fn print(series: &[Vec<(Sample, usize)>; 4], rounds: usize) {
    let mut table = Table::new(
        &format!("authkeys-sync, a domain of {PEOPLE} people, whole process, {rounds} rounds"),
        &["", "median ms", "cpu ms", "KiB, both ways", "full read / this", "to reach"],
    );
    let bytes = |samples: &[(Sample, usize)]| median(samples.iter().map(|(_, bytes)| kib(*bytes)));
    let full = bytes(&series[0]);
    let reach = [None, Some(full / 100.0), Some(full / 50.0), None];
    for ((what, samples), limit) in
        ["everybody", "nothing changed", "one changed", "one deleted"].iter().zip(series).zip(reach)
    {
        table.row(vec![
            (*what).to_string(),
            figure(median(samples.iter().map(|(sample, _)| sample.wall_ms))),
            figure(median(samples.iter().map(|(sample, _)| sample.cpu_ms))),
            figure(bytes(samples)),
            figure(full / bytes(samples)),
            limit.map(|limit| at_most(bytes(samples), limit, "KiB")).unwrap_or_default(),
        ]);
    }
    table.print();
}

fn kib(bytes: usize) -> f64 {
    u32::try_from(bytes).map_or(f64::INFINITY, f64::from) / 1024.0
}
