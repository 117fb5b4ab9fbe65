//! Live lookups: the directory is asked by StartTLS at each, by a child; beside the Go program that many come from.
//!
//! Each lookup is about another person, so that none is answered from memory.

use std::path::Path;

use harness::slapd::Slapd;

use crate::machine::{Machine, key, name};
use crate::samples::{Series, median, quantile};
use crate::sync::fill_slapd;
use crate::table::{Table, at_most, figure};
use crate::tools::FRESH;

/// `authkeys USER` to the Go program: wall time.
const MOST_RATIO: f64 = 0.9;

/// Where it is inside.
const GO_INSIDE: &str = "/usr/lib/bench/authkeys-go";

/// As many commands as the runner takes at once.
const MOST_COMMANDS: usize = 64;

/// What is measured: its name, and the command about a person.
type Command = (&'static str, Box<dyn Fn(&str) -> Vec<String>>);

/// `go` is a build of github.com/threatstack/authkeys.
pub fn measure(machine: &Machine, people: usize, rounds: usize, go: Option<&Path>) {
    let slapd = fill_slapd(machine, people);
    furnish(machine, &slapd);
    if let Some(go) = go {
        furnish_go(machine, go);
    }
    let has_go = go.is_some();
    let commands = commands(has_go);
    let (asked, expected) = (name(people - 1), key(people - 1));
    for (what, command) in &commands {
        let command = command(&asked).join("' '");
        let printed = machine.suite.must_as("authkeys", &format!("'{command}'"));
        assert!(printed.contains(&expected), "{what}: {printed}");
    }
    let series = run(machine, &commands, rounds.min(people / 2));
    let mut table = Table::new(
        &format!("One live lookup among {people} people by StartTLS, whole process, {rounds} rounds"),
        &["", "median ms", "p95", "min", "cpu ms", "RSS MiB", "x Go", "to reach"],
    );
    let go = has_go.then(|| &series[0]);
    for (number, ((what, _), own)) in commands.iter().zip(&series).enumerate() {
        let ratio = go.map_or(f64::NAN, |go| own.ratio(go));
        let is_ours = number == usize::from(has_go);
        table.row(vec![
            (*what).to_string(),
            figure(median(own.wall())),
            figure(quantile(own.wall(), 0.95)),
            figure(quantile(own.wall(), 0.0)),
            figure(median(own.cpu())),
            figure(own.rss()),
            figure(ratio),
            if is_ours { at_most(ratio, MOST_RATIO, "x Go") } else { String::new() },
        ]);
    }
    table.print();
    if !has_go {
        println!("  (a build of github.com/threatstack/authkeys, --go FILE, is measured beside)");
    }
    slapd.stop();
}

/// Writes what our programs read.
fn furnish(machine: &Machine, slapd: &Slapd<'_>) {
    slapd.hand_out_files(&machine.suite);
    let section = Slapd::section(&[Slapd::LDAP_URL]);
    let config = format!("{section}[keys]\nsource = 'live'\n");
    machine.suite.host.write("/etc/authkeys/bench-live.toml", config, 0o644);
}

/// Installs the Go program, and writes what it reads.
fn furnish_go(machine: &Machine, go: &Path) {
    let host = &machine.suite.host;
    host.install(go, GO_INSIDE, 0o755);
    let (address, port) = Slapd::LDAP_URL
        .strip_prefix("ldap://")
        .and_then(|rest| rest.split_once(':'))
        .expect("a host and a port");
    let settings = serde_json::json!({
        "BaseDN": Slapd::BASE,
        "DialTimeout": 5,
        "KeyAttribute": "sshPublicKey",
        "LDAPServer": address,
        "LDAPPort": port.parse::<u16>().expect("a port"),
        "RootCAFile": "/etc/authkeys/ldap-ca.pem",
        "UserAttribute": "uid",
        "BindDN": Slapd::BIND_DN,
        "BindPW": Slapd::BIND_PASSWORD,
    });
    host.write("/etc/authkeys.json", settings.to_string(), 0o644);
}

/// The Go program first, if it is there; then ours.
fn commands(has_go: bool) -> Vec<Command> {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = "/etc/authkeys/bench-live.toml";
    let mut commands: Vec<Command> = Vec::new();
    if has_go {
        commands.push(("Threat Stack authkeys (Go)", Box::new(move |user| owned(&[GO_INSIDE, user]))));
    }
    let authkeys = format!("{FRESH}/authkeys");
    commands.push((
        "authkeys USER, its child included",
        Box::new(move |user| owned(&[&authkeys, "--config", config, user])),
    ));
    let child = format!("{FRESH}/authkeys-sync");
    commands.push((
        "the child alone",
        Box::new(move |user| owned(&[&child, "--config", config, "--user", user])),
    ));
    commands.push((
        "peer: ldapsearch -ZZ",
        Box::new(move |user| {
            let (filter, authority) =
                (format!("(uid={user})"), "LDAPTLS_CACERT=/etc/authkeys/ldap-ca.pem".to_string());
            let options = ["-x", "-LLL", "-ZZ", "-o", "ldif-wrap=no", "-H", Slapd::LDAP_URL];
            let who = ["-D", Slapd::BIND_DN, "-w", Slapd::BIND_PASSWORD, "-b", Slapd::BASE];
            let question = [filter.as_str(), "sshPublicKey"];
            let search = [&["/usr/bin/env", &authority, "ldapsearch"][..], &options, &who, &question];
            owned(&search.concat())
        }),
    ));
    commands
}

/// Each command about `rounds` people, and about each once; the series have them in one order.
fn run(machine: &Machine, commands: &[Command], rounds: usize) -> Vec<Series> {
    let mut series = vec![Series::default(); commands.len()];
    let everyone: Vec<String> = (1..=rounds).map(|round| name(round + 100)).collect();
    for some in everyone.chunks(MOST_COMMANDS / commands.len()) {
        let plan: Vec<Vec<String>> =
            some.iter().flat_map(|user| commands.iter().map(|(_, command)| command(user))).collect();
        for (number, ran) in machine.run("authkeys", 1, &plan).into_iter().enumerate() {
            for sample in &ran.0 {
                assert_eq!(sample.status, 0, "{:?}", plan[number]);
            }
            series[number % commands.len()].0.extend(ran.0);
        }
    }
    series
}
