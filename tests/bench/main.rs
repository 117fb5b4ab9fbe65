//! `make bench`: what lookups, decisions, groups, logins and syncs cost, beside floors measured in the same run.
//!
//! Everything runs on a private machine, in interleaved rounds. It prints figures and whether the targets
//! of the design are reached, and asserts nothing about them: on a busy machine trust the ratios, the
//! minima and the processor time.

mod beside;
mod calendar;
mod decision;
mod domain;
mod fleet;
mod grants;
mod growth;
mod live;
mod login;
mod lookup;
mod machine;
mod nss;
mod plan;
mod rego;
mod report;
mod samples;
mod shipped;
mod sync;
mod table;
mod tools;

use std::path::PathBuf;

use machine::Machine;

const USAGE: &str =
    "make bench [BENCH='[--rounds N] [--logins N] [--large] [--pullers N] [--go FILE] [--records N] [lookup] [live] [decision] [nss] [login] [sync] [calendar] [fleet] [store] [growth] [grants] [domain] [policy] [rego] [report] [beside] [shipped]']

--rounds N   rounds of lookups (200)
--logins N   logins per server (40)
--large      sync 100,000 people as well
--pullers N  hosts that pull from a fleet's store (2000); 20,000 take two minutes more and both cores
--records N  records on a log server (5000000), for shipped
--go FILE    a build of github.com/threatstack/authkeys, to measure live lookups beside
A word measures that part alone; growth, grants, policy, rego, report, beside (timers and notices), shipped (report --fleet) and domain (20,000 people in Samba) are measured only when they are named; store is the part of fleet with many hosts.";

/// People in the directory.
const PEOPLE: usize = 10_000;

struct Options {
    rounds: usize,
    logins: usize,
    large: bool,
    pullers: usize,
    records: usize,
    go: Option<PathBuf>,
    parts: Vec<String>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let (rounds, logins, pullers, parts) = (200, 40, 2_000, Vec::new());
        let mut options = Self { rounds, logins, large: false, pullers, records: 5_000_000, go: None, parts };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = words.next()?.parse().ok().filter(|&rounds| rounds > 0)?,
                "--logins" => options.logins = words.next()?.parse().ok().filter(|&logins| logins > 0)?,
                "--pullers" => options.pullers = words.next()?.parse().ok().filter(|&count| count > 0)?,
                "--records" => options.records = words.next()?.parse().ok().filter(|&count| count >= 50)?,
                "--large" => options.large = true,
                "--go" => options.go = Some(std::path::absolute(words.next()?).ok()?),
                // What `cargo bench` adds.
                "--bench" => {}
                "lookup" | "live" | "decision" | "nss" | "login" | "sync" | "calendar" | "fleet"
                | "store" | "growth" | "grants" | "domain" | "policy" | "rego" | "report" | "beside"
                | "shipped" => options.parts.push(word),
                _ => return None,
            }
        }
        Some(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }
}

fn main() {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        std::process::exit(64);
    };
    println!("Load average before: {}", load());
    if options.wants("fleet") {
        fleet::measure(options.rounds.div_ceil(4), options.pullers);
    } else if options.wants("store") {
        fleet::measure_store(options.pullers);
    }
    if options.parts.iter().any(|part| part == "grants") {
        grants::measure(options.rounds.div_ceil(8));
    }
    // The others need a machine, which takes a while to start.
    if options.parts.iter().all(|part| ["fleet", "store", "grants"].contains(&part.as_str()))
        && !options.parts.is_empty()
    {
        return;
    }
    let machine = Machine::start(PEOPLE);
    println!("{}", machine.suite.host.must("uname -sr; grep -m1 'model name' /proc/cpuinfo; nproc").trim());
    if options.wants("lookup") {
        lookup::measure(&machine, PEOPLE, options.rounds);
    }
    if options.wants("decision") {
        decision::measure(&machine, options.rounds.div_ceil(4));
    }
    if options.wants("nss") {
        nss::measure(&machine, options.rounds.div_ceil(4));
    }
    if options.wants("login") {
        login::measure(&machine, options.logins);
    }
    if options.wants("calendar") {
        calendar::measure(&machine, options.rounds.div_ceil(8));
    }
    if options.parts.iter().any(|part| part == "growth") {
        growth::measure(&machine, options.rounds.div_ceil(8));
    }
    if options.parts.iter().any(|part| part == "domain") {
        domain::measure(&machine, 3);
    }
    if options.parts.iter().any(|part| part == "beside") {
        beside::measure(&machine, options.rounds.div_ceil(8));
    }
    if options.parts.iter().any(|part| part == "shipped") {
        shipped::measure(&machine, options.records);
    }
    if options.parts.iter().any(|part| part == "report") {
        report::measure(&machine, options.rounds.div_ceil(20));
    }
    if options.parts.iter().any(|part| part == "policy") {
        plan::measure(&machine, options.rounds.div_ceil(20));
    }
    if options.parts.iter().any(|part| part == "rego") {
        rego::measure(&machine, options.rounds.div_ceil(20));
    }
    drop(machine);
    if options.wants("live") {
        live::measure(&Machine::start(PEOPLE), PEOPLE, options.rounds, options.go.as_deref());
    }
    if options.wants("sync") {
        sync::measure(&Machine::start(PEOPLE), PEOPLE, 7);
        if options.large {
            sync::measure(&Machine::start(PEOPLE), 10 * PEOPLE, 3);
        }
    }
    println!("\nLoad average after: {}", load());
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_string()
}
