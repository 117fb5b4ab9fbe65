//! What decisions and syncs cost as rotas and directories grow, beside the build before they were made flat. Both builds
//! run in one machine, in interleaved rounds, each on copies that it made itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::suite::{CONFIG, TEAM, instant, now};

use crate::decision::{CALLS, PERM_DENIED, RULES, SHIFTS, SUCCESS, many, process};
use crate::machine::{Machine, key, name, words};
use crate::samples::{Sample, median};
use crate::table::{Table, at_most, figure};

/// The commit before decisions read their own rows alone.
const BEFORE: &str = "c29babc";

/// How much there is to know.
struct Size {
    name: &'static str,
    people: usize,
    schedules: usize,
    shifts: usize,
}

const SIZES: [Size; 2] = [
    Size { name: "small", people: 100, schedules: 1, shifts: 10 },
    Size { name: "large", people: 100_000, schedules: 200, shifts: 10_000 },
];

/// A build: its name, where its programs are inside the machine, and its words for what has another name now.
struct Build {
    name: &'static str,
    place: &'static str,
    /// The verb that asks what PAM would.
    asks: &'static str,
    /// The key of a person's name in people.toml.
    person: &'static str,
    /// The table of accounts that several people enter.
    shared: &'static str,
}

const BUILDS: [Build; 2] = [
    Build {
        name: "before",
        place: "/run/suite/build/bench/before",
        asks: "check",
        person: "principal",
        shared: "[[policy.shared]]",
    },
    Build {
        name: "now",
        place: "/run/suite/build",
        asks: "test-access",
        person: "username",
        shared: "[[policy.shared_account]]",
    },
];

/// The most rounds of all else: the build before takes minutes for forty.
const MOST_ROUNDS: usize = 40;

/// How often each sync is measured; the slowest, of the build before at the large size, once.
const SYNC_ROUNDS: usize = 3;

/// Programs that are measured; the last is the PAM module.
const PROGRAMS: [&str; 4] = ["authkeys", "authkeys-sync", "oncall-cache", "libpam_oncall.so"];

pub fn measure(machine: &Machine, rounds: usize) {
    let rounds = rounds.min(MOST_ROUNDS);
    build(BEFORE, "before", &PROGRAMS);
    for size in &SIZES {
        write_size(machine, size);
    }
    let mut table = Table::new(
        &format!("Growth: {rounds} rounds; before is {BEFORE}"),
        &[
            "",
            "before small",
            "large",
            "now small",
            "large",
            "now/before small",
            "large",
            "now large/small",
            "to reach",
        ],
    );
    for_syncs(machine, &mut table);
    for_logins(machine, rounds, &mut table);
    for_decisions(machine, rounds, &mut table);
    table.print();
    for_rules(machine, rounds);
}

/// Builds an earlier commit in a tree of its own, and puts `programs` of it beside the tools of this one, in bench/NAME.
pub fn build(commit: &str, name: &str, programs: &[&str]) {
    let own = std::env::current_exe().expect("a program has a path");
    let build = own.ancestors().nth(2).expect("target/PROFILE/deps").to_path_buf();
    let (root, place) = (build.with_file_name(name), build.join("bench").join(name));
    let source = root.join("source");
    if programs.iter().all(|program| place.join(program).exists()) {
        return;
    }
    println!("building {commit} for comparison");
    std::fs::create_dir_all(&source).expect("the build directory can be written");
    let script = format!("git archive {commit} | tar -x -C '{}'", source.display());
    run(Command::new("sh").args(["-c", &script]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    let mut make = Command::new("make");
    make.arg("release").current_dir(&source).env("CARGO_TARGET_DIR", root.join("target"));
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            make.env_remove(&name);
        }
    }
    run(&mut make);
    std::fs::create_dir_all(&place).expect("the build directory can be written");
    for program in programs {
        copy(&root.join("target/release").join(program), &place.join(program));
    }
}

fn run(command: &mut Command) {
    assert!(command.status().is_ok_and(|status| status.success()), "{command:?}");
}

fn copy(from: &Path, to: &PathBuf) {
    std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The directory and rota of one size, the configuration and the copies of each build.
fn write_size(machine: &Machine, size: &Size) {
    let host = &machine.suite.host;
    let counted: Vec<String> = (0..size.schedules).map(|number| format!("\"rota/s{number}\"")).collect();
    host.write(&format!("/etc/authkeys/{}-rota.toml", size.name), rota(size), 0o644);
    let [_, now] = &BUILDS;
    for build in &BUILDS {
        let people_file = format!("{}-{}-people.toml", size.name, build.name);
        host.write(&format!("/etc/authkeys/{people_file}"), people(machine, size, build), 0o644);
        let place = format!("/var/lib/growth/{}-{}", size.name, build.name);
        host.must(&format!(
            "install -d -m 755 /var/lib/growth && install -d -m 755 -o authkeys-sync -g authkeys {place}-keys && \
             install -d -m 755 -o oncall-cache -g oncall-cache {place}-roster"
        ));
        let config = CONFIG
            .replace("people.toml", &people_file)
            .replace(now.shared, build.shared)
            .replace("rota.toml", &format!("{}-rota.toml", size.name))
            .replace("\"rota/primary\"", &counted.join(", "))
            + &format!("[paths]\nkeys = '{place}-keys/keys.db'\nroster = '{place}-roster/roster.db'\n");
        let file = config_file(size, build);
        host.write(&file, config, 0o644);
        for (user, program) in [("authkeys-sync", "authkeys-sync"), ("oncall-cache", "oncall-cache sync")] {
            machine.suite.must_as(user, &format!("{}/{program} --config {file}", build.place));
        }
        host.write(
            &format!("/run/bench/{}-{}/sshd", size.name, build.name),
            format!("account required {}/libpam_oncall.so config={file} shared=session\n", build.place),
            0o644,
        );
    }
}

fn config_file(size: &Size, build: &Build) -> String {
    format!("/etc/authkeys/{}-{}.toml", size.name, build.name)
}

/// Everybody is eligible; the team comes first.
fn people(machine: &Machine, size: &Size, build: &Build) -> String {
    let (mut text, key_of_name) = (String::new(), build.person);
    let team = TEAM.iter().map(|member| (member.name.to_string(), machine.suite.public_key(member.name)));
    let others = (TEAM.len()..size.people).map(|number| (name(number), key(number)));
    for (name, key) in team.chain(others) {
        let _ = writeln!(
            text,
            "[[person]]\n{key_of_name}='{name}'\nmail=['{name}@example.com']\nkeys=['{key}']\neligible=true"
        );
    }
    text
}

/// In each schedule one shift after the other; alice has the first of all, which outlasts the measurement, and nobody
/// else of the team has any.
fn rota(size: &Size) -> String {
    let (now, each) = (now(), size.shifts / size.schedules);
    let mut text = String::new();
    for schedule in 0..size.schedules {
        let _ = writeln!(text, "[[schedule]]\nid = 's{schedule}'\nname = 'team {schedule}'");
        for turn in 0..each {
            let number = TEAM.len() + (schedule + turn * size.schedules) % (size.people - TEAM.len());
            let person = if schedule + turn == 0 { "alice".to_string() } else { name(number) };
            let start = now - 60 + turn as i64 * 5_000;
            let (start, end) = (instant(start), instant(start + 5_000));
            let _ = writeln!(text, "[[schedule.shift]]\nperson = '{person}'\nstart = {start}\nend = {end}");
        }
    }
    text
}

/// One figure of each build at each size, in the order of the table's columns.
type Four = [f64; 4];

fn row(table: &mut Table, what: &str, four: Four, to_reach: &str) {
    let [before_small, before_large, now_small, now_large] = four;
    let ratios = [now_small / before_small, now_large / before_large, now_large / now_small];
    let cells = four.into_iter().chain(ratios).map(figure);
    let verdict = [to_reach.to_string()];
    table.row([what.to_string()].into_iter().chain(cells).chain(verdict).collect());
}

/// Every command for each build and size, in the order of [`Four`].
fn for_each(command: impl Fn(&Size, &Build) -> String) -> Vec<Vec<String>> {
    let all = BUILDS.iter().flat_map(|build| SIZES.iter().map(move |size| (size, build)));
    all.map(|(size, build)| words(&command(size, build))).collect()
}

fn four(of: impl Fn(usize) -> f64) -> Four {
    [0, 1, 2, 3].map(of)
}

/// Whole processes, as sshd or a person starts them.
fn for_logins(machine: &Machine, rounds: usize, table: &mut Table) {
    let alice = machine.suite.public_key("alice");
    let alice = alice.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let asked = [
        ("test-access, on call; ms", "ASK alice", at_most as fn(f64, f64, &str) -> String, 1.5),
        ("test-access, off call; ms", "ASK carol", at_most, 1.5),
        ("authkeys root TYPE KEY; ms", &format!("authkeys root {alice}"), at_most, 2.0),
        ("authkeys root; ms", "authkeys root", at_most, f64::NAN),
    ];
    for (what, command, reached, limit) in asked {
        let plan = for_each(|size, build| {
            let command = command.replace("ASK", &format!("oncall-cache {}", build.asks));
            let (program, arguments) = command.split_once(' ').expect("a program and arguments");
            format!("{}/{program} --config {} {arguments}", build.place, config_file(size, build))
        });
        let series = machine.run("authkeys", rounds, &plan);
        let wall = four(|at| median(series[at].wall()));
        let to_reach = if limit.is_nan() {
            let lines = |at: usize| {
                let printed = machine.suite.must_as("authkeys", &plan[at].join(" "));
                printed.lines().count() as f64
            };
            let per_key = wall[3] / lines(3) / (wall[2] / lines(2));
            format!(
                "a key, large/small {}; {}",
                figure(per_key),
                at_most(wall[3] / wall[1], 0.1, "x before, large")
            )
        } else {
            reached(wall[3] / wall[2], limit, "x small")
        };
        row(table, what, wall, &to_reach);
        let memory = four(|at| series[at].rss());
        row(table, &what.replace("; ms", "; MiB"), memory, &at_most(memory[3] / memory[2], 1.5, "x small"));
    }
}

/// pam_oncall.so alone in a stack, in one process.
fn for_decisions(machine: &Machine, rounds: usize, table: &mut Table) {
    for (what, user, expected) in
        [("PAM, on call", "alice", SUCCESS), ("PAM, off call", "carol", PERM_DENIED)]
    {
        let mut figures = vec![[Vec::new(), Vec::new()]; 4];
        for _ in 0..rounds {
            for (at, build) in BUILDS.iter().enumerate() {
                for (nth, size) in SIZES.iter().enumerate() {
                    let stack = format!("/run/bench/{}-{}", size.name, build.name);
                    let [_, first, later, code] = process(&machine.suite.host, &stack, user, 20);
                    assert_eq!(code, expected, "{what}: the stack's answer, {} {}", size.name, build.name);
                    let [firsts, laters] = &mut figures[2 * at + nth];
                    firsts.push(first / 1e3);
                    laters.push(later / 1e3);
                }
            }
        }
        for (nth, when) in ["first", "later"].into_iter().enumerate() {
            let four = four(|at| median(figures[at][nth].iter().copied()));
            row(table, &format!("{what}, {when}; us"), four, &at_most(four[3] / four[2], 1.5, "x small"));
        }
    }
}

/// The same with many rules and few shifts, of both builds; beside them a stack without us.
fn for_rules(machine: &Machine, rounds: usize) {
    let host = &machine.suite.host;
    let (rota, config) = many();
    host.write("/etc/authkeys/many-rota.toml", rota, 0o644);
    let [_, now] = &BUILDS;
    for build in &BUILDS {
        let (file, place) = (
            format!("/etc/authkeys/many-{}.toml", build.name),
            format!("/var/lib/growth/many-{}", build.name),
        );
        let paths = format!("[paths]\nroster = '{place}/roster.db'\n");
        host.write(&file, config.replace(now.shared, build.shared) + &paths, 0o644);
        host.must(&format!("install -d -m 755 -o oncall-cache -g oncall-cache {place}"));
        machine.suite.must_as("oncall-cache", &format!("{}/oncall-cache sync --config {file}", build.place));
        let line =
            format!("account required {}/libpam_oncall.so config={file} shared=session\n", build.place);
        let permit = "account required pam_permit.so\n";
        host.write(&format!("/run/bench/many-{}/sshd", build.name), line + permit, 0o644);
        host.write("/run/bench/many-none/sshd", permit, 0o644);
    }
    let mut table = Table::new(
        &format!("Account management in process, {SHIFTS} shifts, {RULES} rules; before is {BEFORE}"),
        &["", "pam_permit us", "before us", "now us", "now/before", "to reach"],
    );
    for (what, user, expected) in [
        ("guarded, on call", "alice", SUCCESS),
        ("guarded, off call", "carol", PERM_DENIED),
        ("not guarded", "dave", SUCCESS),
    ] {
        // Loading, the first decision and the later ones, of each stack.
        let mut figures = vec![vec![[0.0; 3]; 0]; 3];
        for _ in 0..rounds {
            for (stack, figures) in ["none", "before", "now"].iter().zip(&mut figures) {
                let stack_dir = format!("/run/bench/many-{stack}");
                let [start, first, later, code] = process(&machine.suite.host, &stack_dir, user, CALLS);
                assert!(*stack == "none" || code == expected, "{what}: the stack's answer, {stack}");
                figures.push([start, first, later].map(|nanoseconds| nanoseconds / 1e3));
            }
        }
        for (nth, when) in ["loading", "first", "later"].into_iter().enumerate() {
            let [none, before, now] =
                [0, 1, 2].map(|at: usize| median(figures[at].iter().map(|one| one[nth])));
            let to_reach =
                if when == "loading" { String::new() } else { at_most(now / before, 0.5, "x before") };
            let cells = [figure(none), figure(before), figure(now), figure(now / before), to_reach];
            table.row([format!("{what}, {when}")].into_iter().chain(cells).collect());
        }
    }
    table.print();
}

/// Whole runs of both syncs.
fn for_syncs(machine: &Machine, table: &mut Table) {
    let mut measured = |what: &str, user: &str, command: &str, to_reach: fn(Four, Four) -> String| {
        let plan = for_each(|size, build| {
            format!("{}/{command} --config {}", build.place, config_file(size, build))
        });
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); plan.len()];
        for round in 0..SYNC_ROUNDS {
            if user == "authkeys-sync" {
                machine.suite.host.must(
                    "rm -f /var/lib/growth/*-now-keys/keys.db* /var/lib/growth/*-now-keys/keys.stamp \
                     /var/lib/growth/small-before-keys/keys.db* /var/lib/growth/small-before-keys/keys.stamp",
                );
            }
            if user == "authkeys-sync" && round == 0 {
                machine.suite.host.must("rm -f /var/lib/growth/large-before-keys/keys.db* /var/lib/growth/large-before-keys/keys.stamp");
            }
            // The build before, at the large size, is the second of the plan.
            let some: Vec<usize> = (0..plan.len()).filter(|at| *at != 1 || round == 0).collect();
            let commands: Vec<_> = some.iter().map(|at| plan[*at].clone()).collect();
            for (at, series) in some.iter().zip(machine.run(user, 1, &commands)) {
                samples[*at].extend(series.0.iter().filter(|sample| sample.status == 0));
            }
        }
        let wall = four(|at| median(samples[at].iter().map(|sample| sample.wall_ms)));
        let memory = four(|at| samples[at].iter().map(|sample| sample.rss_mib).fold(0.0, f64::max));
        row(table, &format!("{what}; ms"), wall, &to_reach(wall, memory));
        row(table, &format!("{what}; MiB"), memory, "");
    };
    measured("authkeys-sync, full", "authkeys-sync", "authkeys-sync", |_, memory| {
        at_most(memory[3] / memory[1], 0.4, "x before's memory")
    });
    measured("oncall-cache sync", "oncall-cache", "oncall-cache sync", |wall, memory| {
        let (time, size) =
            (at_most(wall[3] / wall[1], 0.5, "x before"), at_most(memory[3] / memory[1], 0.5, "x MiB"));
        format!("{time}; {size}")
    });
}
