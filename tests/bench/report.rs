//! What a report of one host and a year costs, as a page and in the other forms: whole processes.

use harness::records::AUDIT;
use harness::suite::instant;

use crate::machine::{Machine, words};
use crate::samples::median;
use crate::table::{Table, at_most, figure};

/// Logins in a year, each with its session's end.
const LOGINS: i64 = 20_000;

/// When the year begins.
const BEGIN: i64 = 1_764_288_000;

/// Seconds from one login to the next.
const APART: i64 = 1_500;

/// The longest that the page may take, in ms; the most memory, and the largest page, in MiB.
const LONGEST: f64 = 5_000.0;
const MOST_MEMORY: f64 = 128.0;
const LARGEST: f64 = 3.0;

const PAGE: &str = "/root/year.html";

pub fn measure(machine: &Machine, rounds: usize) {
    write(machine);
    let forms = [
        format!("--html {PAGE}"),
        format!("--html {PAGE} --pseudonyms"),
        "--json".to_string(),
        String::new(),
    ];
    let period = format!("--since {} --until {}", instant(BEGIN), instant(BEGIN + (LOGINS + 1) * APART));
    let commands = forms.clone().map(|form| words(&format!("/usr/bin/oncall-cache report {period} {form}")));
    // 1: the record does not go back that far.
    let series = machine.run_well("root", rounds, &commands, &[0, 1]);
    let title = format!("oncall-cache report of {LOGINS} logins, whole process, {rounds} rounds");
    let mut table = Table::new(&title, &["form", "median ms", "cpu ms", "RSS MiB", "to reach"]);
    for (form, series) in forms.iter().zip(&series) {
        let (wall, memory) = (median(series.wall()), series.rss());
        let is_page = form.contains("--html");
        let reach = format!("{}; {}", at_most(wall, LONGEST, "ms"), at_most(memory, MOST_MEMORY, "MiB"));
        let form = if form.is_empty() { "table" } else { form };
        let reach = if is_page { reach } else { String::new() };
        table.row(vec![form.to_string(), figure(wall), figure(median(series.cpu())), figure(memory), reach]);
    }
    table.print();
    let bytes: f64 = machine.suite.host.must(&format!("stat -c %s {PAGE}")).trim().parse().expect("bytes");
    let mebibytes = bytes / 1_048_576.0;
    println!("The page, in MiB: {}, {}", figure(mebibytes), at_most(mebibytes, LARGEST, "MiB"));
}

/// The record of a year: two people by turns, now and then somebody who is refused.
fn write(machine: &Machine) {
    let mut lines = String::new();
    for number in 0..LOGINS {
        let person = if number % 50 == 0 { "dave" } else { ["alice", "bob"][usize::from(number % 2 == 0)] };
        let (verdict, reason) = if person == "dave" { ("refuse", "not-oncall") } else { ("allow", "oncall") };
        let effect = if person == "dave" { "refuse" } else { "pass" };
        let record = |seq: i64, phase: &str, more: &str| {
            format!(
                "{{\"version\":1,\"seq\":{seq},\"time\":\"{}\",\"host\":\"db1\",\"id\":\"{number:016x}\",\"phase\":\"{phase}\",\"pid\":4711,\
                 \"boot_id\":\"7d0c2f11-5a0e-4c52-9d3e-0b8f6f1a2c33\",\"person\":\"{person}\",\"account\":\"root\",\"service\":\"sshd\",\
                 \"rhost\":\"10.0.4.17\",\"fingerprint\":\"SHA256:8mQe0o0fI2b7n1pXJ9gq8mQe0o0fI2b7n1pXJ9gq8mQ\"{more}}}\n",
                instant(BEGIN + number * APART + seq % 2)
            )
        };
        lines += &record(
            number * 2 + 1,
            "session",
            &format!(
                ",\"verdict\":\"{verdict}\",\"reason\":\"{reason}\",\"effect\":\"{effect}\",\"mode\":\"enforce\",\"guard\":\"uid-0\",\
                 \"rule\":\"everywhere\",\"schedule\":\"rota/primary\",\"level\":1,\"age_seconds\":40"
            ),
        );
        lines += &record(number * 2 + 2, "close", "");
    }
    machine.suite.host.write(AUDIT, lines, 0o640);
}
