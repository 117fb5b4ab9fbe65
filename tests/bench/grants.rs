//! What grants cost: from a text that is brought to root, and each decision while others' grants stand; and where no rule
//! takes any, beside the build before there were grants.

use harness::grants::{ACCEPTED, Grants, Text};
use harness::suite::CONFIG;

use crate::decision::{PERM_DENIED, SUCCESS, process};
use crate::growth;
use crate::machine::{Machine, name};
use crate::samples::{median, quantile};
use crate::table::{Table, at_most, figure};

/// The commit before grants.
const BEFORE: &str = "95f8209";
/// Where its module is, inside.
const PLACE: &str = "/run/suite/build/bench/before-grants";

/// People in the directory: no person has more than eight grants.
const PEOPLE: usize = 50;
/// Grants that stand.
const STANDING: usize = 100;
/// Texts that are brought, each followed by sudo.
const BROUGHT: usize = 20;

pub fn measure(rounds: usize) {
    growth::build(BEFORE, "before-grants", &["libpam_oncall.so"]);
    let machine = Machine::start(PEOPLE);
    let host = Grants::on(machine.suite);
    from_text_to_root(&host);
    beside_others(&host, rounds);
}

/// Brings what is signed as somebody with this uid: one user's are taken one a second.
fn bring(uid: usize) -> String {
    format!(
        "setpriv --reuid={uid} --regid={uid} --clear-groups oncall-cache grant use </run/bench/text >/dev/null"
    )
}

fn from_text_to_root(host: &Grants) {
    let suite = &host.suite;
    suite.host.must("mkdir -p /run/bench");
    let mut taken = Vec::new();
    for number in 0..BROUGHT {
        suite.host.must(&format!("rm -f {ACCEPTED}/*@*"));
        let signed = Text::new("none").sign(suite, &["alice", "carol"]);
        suite.host.write("/run/bench/text", signed, 0o644);
        let script = format!(
            "start=$(date +%s%N); {} && runuser -u bob -- sudo -n true && echo $(( $(date +%s%N) - start ))",
            bring(40_000 + number)
        );
        let nanoseconds: f64 = suite.host.must(&script).trim().parse().expect("a figure");
        taken.push(nanoseconds / 1e6);
    }
    suite.host.must(&format!("rm -f {ACCEPTED}/*@*"));
    let mut table = Table::new(
        &format!("A grant of two signatures: from the text to root by sudo, {BROUGHT} texts"),
        &["", "ms", "p95", "max", "to reach"],
    );
    let most = quantile(taken.iter().copied(), 1.0);
    table.row(vec![
        "brought, then sudo".to_string(),
        figure(median(taken.iter().copied())),
        figure(quantile(taken.iter().copied(), 0.95)),
        figure(most),
        at_most(most, 1_000.0, "ms"),
    ]);
    table.print();
}

/// Lets so many grants for others stand.
fn let_others_stand(host: &Grants) {
    for number in 0..STANDING {
        let person: &'static str = Box::leak(name(4 + number % (PEOPLE - 4)).into_boxed_str());
        let grant = Text { person, ..Text::new("none") };
        host.suite.host.write("/run/bench/text", grant.sign(&host.suite, &["alice", "carol"]), 0o644);
        host.suite.host.must(&bring(50_000 + number));
    }
    let files = host.suite.host.must(&format!("ls {ACCEPTED} | wc -l"));
    assert_eq!(files.trim(), STANDING.to_string());
}

/// A stack of which pam_oncall.so of `place` is all, by this configuration.
fn stack(host: &Grants, name: &str, module: &str, config: &str) -> String {
    let stack = format!("/run/bench/grants-{name}");
    let line =
        format!("account required {module} config={config} shared=session\naccount required pam_permit.so\n");
    host.suite.host.write(&format!("{stack}/sshd"), line, 0o644);
    stack
}

/// Decisions about who is on call and who is not: what the first in a process and the later ones take.
fn beside_others(host: &Grants, rounds: usize) {
    let plain = "/etc/authkeys/plain.toml";
    host.suite.host.write(plain, CONFIG, 0o644);
    let stacks = [
        ("before grants", stack(host, "before", &format!("{PLACE}/libpam_oncall.so"), plain)),
        ("no rule takes any", stack(host, "plain", "pam_oncall.so", plain)),
        ("a rule, and none stands", stack(host, "rule", "pam_oncall.so", "/etc/authkeys/config.toml")),
    ];
    let none = figures(host, &stacks.each_ref().map(|(_, stack)| stack), rounds);
    let_others_stand(host);
    let [beside] = figures(host, &[&stacks[2].1], rounds);
    let mut table = Table::new(
        &format!("Account management in process, {rounds} processes; before is {BEFORE}"),
        &["", "on call, first us", "later us", "off call, first us", "later us", "to reach"],
    );
    let row = |what: &str, own: &[Figures; 2], floor: Option<&[Figures; 2]>| {
        let cells = own.iter().flat_map(|one| [figure(one.first), figure(one.later)]);
        let worst = floor.map(|floor| {
            let ratios = own.iter().zip(floor).flat_map(|(own, floor)| own.over(floor));
            ratios.fold(0.0, f64::max)
        });
        let reach = worst.map_or_else(String::new, |worst| at_most(worst, 1.2, "x the row above"));
        [vec![what.to_string()], cells.collect(), vec![reach]].concat()
    };
    for (at, (what, _)) in stacks.iter().enumerate() {
        table.row(row(what, &none[at], at.checked_sub(1).map(|above| &none[above])));
    }
    table.row(row(&format!("the same, {STANDING} stand"), &beside, Some(&none[2])));
    table.print();
}

/// What decisions in one process take, in microseconds.
struct Figures {
    first: f64,
    later: f64,
}

impl Figures {
    fn over(&self, floor: &Self) -> [f64; 2] {
        [self.first / floor.first, self.later / floor.later]
    }
}

/// Of alice, who is on call, and of carol, who is not, by each stack; in turns, so that what else the machine does falls on
/// all of them.
fn figures<const STACKS: usize>(
    host: &Grants,
    stacks: &[&String; STACKS],
    rounds: usize,
) -> [[Figures; 2]; STACKS] {
    let people = [("alice", SUCCESS), ("carol", PERM_DENIED)];
    let mut taken: [[Vec<(f64, f64)>; 2]; STACKS] = std::array::from_fn(|_| Default::default());
    for _ in 0..rounds {
        for (stack, taken) in stacks.iter().zip(&mut taken) {
            for ((person, expected), taken) in people.iter().zip(taken) {
                let [_, first, later, code] = process(&host.suite.host, stack, person, 20);
                assert_eq!(code, *expected, "{stack}: the stack's answer for {person}");
                taken.push((first / 1e3, later / 1e3));
            }
        }
    }
    taken.map(|people| {
        people.map(|taken| Figures {
            first: median(taken.iter().map(|(first, _)| *first)),
            later: median(taken.iter().map(|(_, later)| *later)),
        })
    })
}
