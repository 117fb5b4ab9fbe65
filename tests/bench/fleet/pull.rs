//! What a host of a fleet does every half minute, whole process, on nginx over TLS; and what it costs to take over shifts,
//! beside a sync of the same ones from a file.

use std::fmt::Write as _;

use harness::nginx::Nginx;
use harness::suite::{HOUR, instant};

use crate::machine::{Machine, name, words};
use crate::samples::{Sample, median};
use crate::table::{Table, at_most, figure};

#[allow(dead_code, reason = "tests publish more kinds of things")]
#[path = "../../fleet_pull/publication.rs"]
mod publication;
use publication::{Publication, Shifts, Signer};

/// Shifts, in so many schedules, of so many people.
const SHIFTS: usize = 10_000;
const SCHEDULES: usize = 200;
const PEOPLE: usize = 500;

/// Where the measured copies are.
const STATE: &str = "/var/lib/oncall-cache-bench";

pub fn measure(rounds: usize) {
    let machine = Machine::start(PEOPLE);
    let host = &machine.suite.host;
    let nginx = Nginx::start(host);
    host.must(&format!("echo 127.0.0.1 {} >>/etc/hosts; mkdir -p {}/o", Nginx::NAME, Nginx::DIRECTORY));
    host.must(&format!("install -d -m 755 -o oncall-cache -g oncall-cache {STATE} {STATE}/file"));
    let signer = Signer::new("collector", 1);
    host.write("/etc/authkeys/fleet-signers", signer.line(""), 0o644);
    host.write("/etc/authkeys/store-ca.pem", nginx.ca_pem(), 0o644);
    host.write("/etc/authkeys/store-header", format!("{}\n", Nginx::HEADER), 0o640);
    host.must("chgrp oncall-cache /etc/authkeys/store-header");
    let first = publication();
    write_configs(&machine, &first);
    let publish = |publication: &Publication| {
        for (path, bytes) in publication.signed(&[&signer]) {
            host.write(&format!("{}{path}", Nginx::DIRECTORY), bytes, 0o644);
        }
    };
    let once = |what: &str, command: &str| {
        let sample = machine.run("oncall-cache", 1, &[words(command)])[0].0[0];
        assert_eq!(sample.status, 0, "{what}");
        sample
    };
    let pull = format!("/usr/bin/oncall-cache --config {STATE}.toml pull --now");
    let sync = format!("/usr/bin/oncall-cache --config {STATE}-file.toml sync");
    let (mut idle, mut again, mut new, mut file) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut last = first.later(-600);
    for _ in 0..rounds {
        // Everything moves by a second.
        last = last.later(1);
        publish(&last);
        new.push(once("new shifts", &pull));
        last = last.heartbeat(1);
        publish(&last);
        again.push(once("the same shifts, read again", &pull));
        idle.push(once("nothing new", &pull));
        file.push(once("a file", &sync));
    }
    let mut table = Table::new(
        &format!("oncall-cache pull, {SHIFTS} shifts in {SCHEDULES} schedules, {rounds} rounds"),
        &["", "cpu ms", "wall ms", "RSS MiB", "to reach"],
    );
    let limits = |samples: &[Sample]| {
        format!("{}; {}", at_most(cpu(samples), 8.0, "ms"), at_most(rss(samples), 12.0, "MiB"))
    };
    row(&mut table, "nothing new (304)", &idle, limits(&idle));
    row(&mut table, "a head with later instants", &again, limits(&again));
    row(&mut table, "all shifts new", &new, at_most(cpu(&new) / cpu(&file), 1.5, "x a sync from a file"));
    row(&mut table, "peer: sync of the same from a file", &file, String::new());
    table.print();
}

/// Everybody has shifts of an hour, one after the other in each schedule.
fn publication() -> Publication {
    let each = i64::try_from(SHIFTS / SCHEDULES).expect("small");
    let shifts = |schedule: usize| -> Shifts {
        let who =
            |number: i64| name(4 + (schedule * 7 + usize::try_from(number).expect("small")) % (PEOPLE - 4));
        (0..each).map(|number| (who(number), number * HOUR, (number + 1) * HOUR)).collect()
    };
    let names = (0..SCHEDULES).map(|number| -> &'static str { format!("P{number:05}").leak() });
    let schedules = names.enumerate().map(|(number, name)| (name, shifts(number))).collect();
    Publication { schedules, ..Publication::new() }
}

fn write_configs(machine: &Machine, publication: &Publication) {
    let host = &machine.suite.host;
    let schedules: Vec<String> = publication.schedules.iter().map(|(id, _)| format!("'{id}'")).collect();
    let source = format!("name = 'pd'\nschedules = [{}]\n", schedules.join(", "));
    let people = "[directory]\nfile = '/etc/authkeys/people.toml'\n";
    let fleet = format!(
        "[fleet]\nid = 'example'\nurls = ['{}']\nsigners = '/etc/authkeys/fleet-signers'\nca_file = '/etc/authkeys/store-ca.pem'\n\
         header_file = '/etc/authkeys/store-header'\n",
        Nginx::URL
    );
    let of_fleet = format!(
        "{fleet}{people}[paths]\nroster = '{STATE}/roster.db'\n[[oncall.source]]\nprovider = 'fleet'\n{source}"
    );
    host.write(&format!("{STATE}.toml"), of_fleet, 0o644);
    let of_file = format!(
        "{people}[paths]\nroster = '{STATE}/file/roster.db'\n[[oncall.source]]\nprovider = 'file'\nfile = '{STATE}.json'\n{source}"
    );
    host.write(&format!("{STATE}-file.toml"), of_file, 0o644);
    let mut text = String::new();
    for (id, shifts) in &publication.schedules {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{{\"id\":\"{id}\",\"shifts\":[");
        for (number, (who, start, end)) in shifts.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let (start, end) = (instant(publication.base + start), instant(publication.base + end));
            let _ = write!(
                text,
                "{comma}{{\"user\":{{\"id\":\"{who}\",\"username\":\"{who}\"}},\"start\":\"{start}\",\"end\":\"{end}\"}}"
            );
        }
        text += "]}";
    }
    host.write(&format!("{STATE}.json"), format!("{{\"version\":1,\"schedules\":[{text}]}}"), 0o644);
}

fn cpu(samples: &[Sample]) -> f64 {
    median(samples.iter().map(|sample| sample.cpu_ms))
}

fn rss(samples: &[Sample]) -> f64 {
    samples.iter().map(|sample| sample.rss_mib).fold(0.0, f64::max)
}

fn row(table: &mut Table, what: &str, samples: &[Sample], target: String) {
    let wall = median(samples.iter().map(|sample| sample.wall_ms));
    table.row(vec![what.to_string(), figure(cpu(samples)), figure(wall), figure(rss(samples)), target]);
}
