//! What `report --fleet` costs: the records of many hosts on a log server, read by one process.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use harness::suite::{DAY, instant, now};

use crate::machine::{Machine, words};
use crate::table::{Table, at_most, figure};

const HOSTS: usize = 50;

/// The longest that it may take, in s, and the most memory, in MiB, with five million records.
const LONGEST: f64 = 60.0;
const MOST_MEMORY: f64 = 256.0;

/// Where they are inside the machine: too many for its memory, so on the build directory's disk.
const INSIDE: &str = "/run/suite/build/bench/records";

pub fn measure(machine: &Machine, records: usize) {
    let place = place();
    let bytes = write(&place, records);
    let inventory: String = (0..HOSTS).map(|host| format!("h{host}\n")).collect();
    machine.suite.host.write("/root/inventory", inventory, 0o644);
    let command =
        [words(&format!("/usr/bin/oncall-cache report --fleet {INSIDE} --inventory /root/inventory --json"))];
    let series = &machine.run("root", 1, &command)[0];
    fs::remove_dir_all(&place).expect("what was written can be removed");
    // 1: each host is silent between its records and now.
    assert!(series.0.iter().all(|sample| sample.status < 2), "the report failed");
    let title =
        format!("oncall-cache report --fleet: {records} records of {HOSTS} hosts, {} MiB", bytes >> 20);
    let mut table = Table::new(&title, &["", "s", "cpu s", "RSS MiB", "to reach"]);
    for sample in &series.0 {
        let (seconds, memory) = (sample.wall_ms / 1e3, sample.rss_mib);
        let reach = format!("{}; {}", at_most(seconds, LONGEST, "s"), at_most(memory, MOST_MEMORY, "MiB"));
        let cpu = figure(sample.cpu_ms / 1e3);
        table.row(vec!["the month".to_string(), figure(seconds), cpu, figure(memory), reach]);
    }
    table.print();
}

/// The same place outside.
fn place() -> PathBuf {
    let own = std::env::current_exe().expect("a program has a path");
    own.parent().expect("target/PROFILE/deps").with_file_name("bench").join("records")
}

/// A file for each host, with its part of the records over a month and a heartbeat after every hundred; how many bytes.
fn write(place: &PathBuf, records: usize) -> u64 {
    let each = records / HOSTS;
    let begin = now() - 29 * DAY;
    let mut bytes = 0;
    let _ = fs::remove_dir_all(place);
    for host in 0..HOSTS {
        let directory = place.join(format!("h{host}"));
        fs::create_dir_all(&directory).expect("the build directory can be written");
        let path = directory.join("decisions.jsonl");
        let mut file = BufWriter::new(File::create(&path).expect("it can be written"));
        for seq in 1..=each {
            let at =
                begin + 28 * DAY * i64::try_from(seq).expect("fits") / i64::try_from(each).expect("fits");
            let phase = if seq % 100 == 0 { "heartbeat" } else { "session" };
            let decided = if seq % 100 == 0 {
                ""
            } else {
                ",\"person\":\"alice\",\"account\":\"root\",\"service\":\"sudo\",\"verdict\":\"allow\",\"reason\":\"oncall\",\
                 \"effect\":\"pass\",\"mode\":\"enforce\",\"rule\":\"everywhere\",\"schedule\":\"rota/primary\""
            };
            writeln!(
                file,
                "{{\"version\":1,\"seq\":{seq},\"time\":\"{}\",\"host\":\"h{host}\",\"id\":\"{seq:016x}\",\"phase\":\"{phase}\",\
                 \"pid\":4711,\"boot_id\":\"7d0c2f11-5a0e-4c52-9d3e-0b8f6f1a{host:04x}\"{decided}}}",
                instant(at)
            )
            .expect("it can be written");
        }
        file.flush().expect("it can be written");
        bytes += fs::metadata(&path).expect("it is there").len();
    }
    bytes
}
