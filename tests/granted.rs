//! The night on which nothing answers, on a host that systemd has booted from packages: provider, directory and the fleet's
//! store are gone, and their copies beyond their age. Two colleagues let somebody in, another lets himself in, for as long
//! as they have signed and no longer.

use harness::grants::{ACCEPTED, GLASS, Text};
use harness::session::{SUDO, Session};
use harness::suite::{CONFIG, HOUR, instant, now, seconds, soon};
use harness::{Booted, Debian, Network, text, wait_within};
use serde_json::Value;

use crate::penalties::{host_with, ssh};

/// A host of the fleet that this machine is the collector of.
const FLEET: &str = "[host]\nname = 'testhost'\n[fleet]\nid = 'acme'\nurls = ['file:///srv/authkeys-fleet']\n\
    [directory]\nfleet = true\n[[oncall.source]]\nname = 'rota'\nprovider = 'fleet'\nschedules = ['primary']\n";

/// A copy is too old as soon as it is older than a second.
const AGES: &str = "[oncall]\nmax_age = '1s'\n[keys]\nmax_age = '1s'\n";
const NIGHT: &str = "[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice', 'carol']\nquorum = 2\nmax = '4h'\n";

/// Who may sign what.
const SIGNERS: &str = "for name in alice bob carol; do \
    echo \"$name namespaces=\\\"grant@authkeys,review@authkeys\\\" $(cat /root/keys/$name.pub)\"; done >/etc/authkeys/grant-signers";

/// Refusals are from addresses of their own: sshd counts them.
const HERE: &str = "127.0.0.1";
const ELSEWHERE: [&str; 5] = ["127.0.0.3", "127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7"];

/// dave, who may log in under his own name at any time, and may sudo once somebody lets him; over ssh since before.
fn session(host: &Booted) -> Session {
    let mut ssh = host.command("/usr/bin/ssh");
    ssh.args(["-F", "none", "-i", "/root/keys/dave", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"])
        .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
        .args(["-o", "LogLevel=ERROR", "dave@127.0.0.1", SUDO]);
    Session::open(&mut ssh)
}

/// Root for somebody until `end`, signed by these with ssh-keygen; where it is.
fn signed(host: &Booted, person: &'static str, end: i64, by: &str) -> (Text, String) {
    let key = host.read(&format!("/root/keys/{person}.pub"));
    let grant = Text { person, end, ..Text::new(&key) };
    host.write("/root/text", grant.text(), 0o644);
    let path = format!("/root/{person}.grant");
    host.must(&format!(
        "for name in {by}; do ssh-keygen -qY sign -n grant@authkeys -f /root/keys/$name </root/text >/root/$name.sig; done; \
         cat /root/text >{path}; for name in {by}; do cat /root/$name.sig >>{path}; done"
    ));
    (grant, path)
}

fn is_root_by_ssh(host: &Booted, address: &str, person: &str) -> bool {
    ssh(host, address, person, "root", "id -u").stdout == b"0\n"
}

/// The configuration of a host of the fleet, with what `more` says.
fn config(more: &str) -> String {
    let (_, policy) = CONFIG.split_once("[policy]").expect("a policy");
    format!("{FLEET}[policy]{policy}{more}")
}

/// The host reads its people and its rota from a fleet's store: as docs/fleet.md has it on one machine.
fn follow_a_fleet(host: &Booted) {
    host.must(
        "oncall-collector key new >>/etc/authkeys/fleet-signers && \
         install -d -o oncall-collector -g oncall-collector /srv/authkeys-fleet && \
         printf '%s\\n' 'fleet = \"acme\"' '[store]' 'directory = \"/srv/authkeys-fleet\"' >/etc/authkeys/collector.toml && \
         oncall-collector publish && rm /etc/authkeys/people.toml /etc/authkeys/rota.toml",
    );
    host.write("/etc/authkeys/config.toml", config(""), 0o644);
    // The first pull takes the publication over, and still finds people of another directory.
    let read = host.sh("systemctl start oncall-cache-pull; systemctl start authkeys-sync && systemctl start oncall-cache-sync");
    let log =
        "journalctl --boot --quiet --output=cat --lines=20 --unit='oncall-cache-*' --unit=authkeys-sync";
    assert!(read.status.success(), "{}", text(&host.sh(log)));
    assert!(is_root_by_ssh(host, HERE, "alice"), "{}", text(&host.sh("oncall-cache status")));
}

/// The host takes grants from now on, by this configuration.
fn take_grants(host: &Booted, config: &str) {
    host.must(&format!(
        "{SIGNERS}; echo 'dave ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/dave; chmod 440 /etc/sudoers.d/dave"
    ));
    host.write("/etc/authkeys/config.toml", config, 0o644);
    host.must("systemctl enable --now oncall-grant-accept.socket oncall-grant-accept.service");
    // What was issued before it remembers is refused.
    wait_within(300, "the acceptor is there", || host.path(ACCEPTED).join(".memory").exists());
}

/// It does, and everything that it asks is gone, for longer than its copies count.
fn all_else_is_gone(host: &Booted) {
    host.must("rm -r /srv/authkeys-fleet");
    take_grants(host, &config(&format!("{AGES}{NIGHT}{GLASS}")));
    wait_within(300, "the copies are too old", || host.sh("oncall-cache status").status.code() == Some(2));
    let findings = text(&host.sh("oncall-cache doctor --json"));
    assert!(!findings.contains("\"grant-"), "{findings}");
}

/// dave gets in by ssh and by sudo, bob by ssh, until the instant that is signed; it is said, logged and recorded.
pub fn somebody_gets_in_when_nothing_answers(host: &Booted) {
    let mut session = session(host);
    assert_eq!(session.sudo(), "refused", "while the host knows who is on call");
    follow_a_fleet(host);
    all_else_is_gone(host);
    assert!(!is_root_by_ssh(host, ELSEWHERE[0], "alice"), "not even who is on call");
    assert_eq!(session.sudo(), "refused");
    assert!(!is_root_by_ssh(host, ELSEWHERE[1], "dave"));
    assert!(!is_root_by_ssh(host, ELSEWHERE[2], "bob"));
    let (by_others, by_himself) = both_get_in(host, &mut session);
    break_glass_is_told_afterwards(host, &by_himself);
    grant_is_told_afterwards(host, &by_others);
    the_acceptor_comes_back_as_often_as_it_is_killed(host, &mut session);
    close(host, &by_himself);
}

/// dave by his colleagues and bob by himself, until one instant, and not from it on.
fn both_get_in(host: &Booted, session: &mut Session) -> (Text, Text) {
    let (mut by_others, mut by_himself) = (None, None::<Text>);
    let end = soon(20, |seconds| {
        if let Some(earlier) = by_himself.take() {
            close(host, &earlier);
        }
        let end = now() + seconds;
        by_others = Some(let_in(host, session, end));
        by_himself = Some(let_himself_in(host, end));
        let metrics = metrics(host);
        for metric in ["grants_in_force 2", "break_glass_unreviewed 1"] {
            assert!(metrics.contains(&format!("\noncall_cache_{metric}\n")), "{metric}: {metrics}");
        }
        end
    });
    assert_eq!(session.sudo(), "refused", "it is over");
    assert!(!is_root_by_ssh(host, ELSEWHERE[3], "dave"));
    assert!(!is_root_by_ssh(host, ELSEWHERE[4], "bob"));
    assert!(metrics(host).contains("\noncall_cache_grants_in_force 0\n"));
    let listed = host.must("oncall-cache grant list");
    assert!(
        !listed.contains(" enters ") && listed.starts_with("not reviewed: bob let themselves into "),
        "{listed}"
    );
    let both = (by_others.expect("it was brought"), by_himself.expect("it was brought"));
    for grant in [&both.0, &both.1] {
        let last = allowed(host, grant).into_iter().map(|(at, _)| at).max();
        assert!(last.is_some_and(|last| last < end), "{last:?}, and it ends at {end}");
    }
    both
}

/// Debian 12's nspawn mounts the container's boot id over the kernel's, where units with a /proc of their own see the kernel's:
/// the acceptor, which has one, and logins, which have none, mean the same boot.
#[test]
fn a_grant_counts_in_a_container_for_as_long_as_that_runs() {
    let network = Network::start();
    let mut host = host_with(Debian::Bookworm, &network, &["alice"]);
    let mut session = session(&host);
    assert_eq!(session.sudo(), "refused", "it is open");
    take_grants(&host, &format!("{CONFIG}{NIGHT}[grant]\nid = 'acme'\n"));
    assert_eq!(session.sudo(), "refused");
    let (_, path) = signed(&host, "dave", now() + HOUR, "alice carol");
    let brought = text(&ssh(&host, HERE, "dave", "oncall-grant", &format!("<{path}")));
    assert!(brought.contains("accepted: dave may enter root on this host until "), "{brought}");
    assert_eq!(session.sudo(), "0");
    assert!(is_root_by_ssh(&host, HERE, "dave"));
    drop(session);
    host.power_off();
    host.boot();
    assert!(is_root_by_ssh(&host, HERE, "alice"));
    assert!(!is_root_by_ssh(&host, ELSEWHERE[0], "dave"), "it ends with the boot");
}

/// What monitoring reads, by the unit as it is confined.
fn metrics(host: &Booted) -> String {
    host.must("mkdir -p /var/lib/prometheus/node-exporter && systemctl start authkeys-metrics.service");
    host.read("/var/lib/prometheus/node-exporter/oncall-cache.prom")
}

/// Root at a terminal, by ssh to this host, for somebody who reads these words there.
fn reads_at_the_terminal(host: &Booted, person: &str, words: &str) {
    let terminal = host.sh(&format!(
        "echo 'id -u; exit' | timeout 300 ssh -tt -F none -i /root/keys/{person} -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1",
    ));
    let told = text(&terminal);
    assert!(told.contains(words) && told.contains("\n0\r"), "{told}");
}

/// Colleagues let dave in.
fn let_in(host: &Booted, session: &mut Session, end: i64) -> Text {
    let (grant, path) = signed(host, "dave", end, "alice carol");
    let brought = text(&ssh(host, HERE, "dave", "oncall-grant", &format!("<{path}")));
    let words = format!("accepted: dave may enter root on this host until {}", instant(end));
    assert!(brought.contains(&words), "{brought}");
    assert_eq!(session.sudo(), "0", "in the session of before");
    assert!(is_root_by_ssh(host, HERE, "dave"));
    reads_at_the_terminal(host, "dave", &format!("let in by alice and carol (grant {}) until ", grant.id));
    let shown = host.must("oncall-cache grant list");
    assert!(shown.starts_with("dave enters root until ") && shown.contains(&grant.id), "{shown}");
    grant
}

/// bob lets himself in, and reads at his terminal that everybody sees it.
fn let_himself_in(host: &Booted, end: i64) -> Text {
    let (grant, path) = signed(host, "bob", end, "bob");
    let brought = text(&ssh(host, HERE, "bob", "oncall-grant", &format!("<{path}")));
    let words = format!("accepted: break-glass: bob may enter root on this host until {}", instant(end));
    assert!(brought.contains(&words), "{brought}");
    reads_at_the_terminal(host, "bob", "break-glass: bob has let themselves in until ");
    grant
}

/// An approver reviews it.
fn close(host: &Booted, grant: &Text) {
    let review = "oncall-cache grant review --yes --finding 'as it should be' -i /root/keys/alice";
    let used = format!("/var/lib/oncall-grant-accept/{}.used", grant.id);
    let told = host.must(&format!("{review} {used} | oncall-cache grant use"));
    assert!(told.contains("the break-glass of bob") && told.contains("is closed, by alice"), "{told}");
}

/// In the log of this program, of at least this priority, are so many lines with these words about the grant.
fn logged(host: &Booted, (identifier, priority): (&str, &str), words: &str, grant: &Text, least: usize) {
    wait_within(300, words, || {
        let log = host.must(&format!(
            "journalctl --boot --quiet --output=cat --priority={priority} --identifier={identifier}"
        ));
        log.lines().filter(|line| line.contains(words) && line.contains(&grant.id)).count() >= least
    });
}

/// When and by which services somebody was let in by this grant, by the record.
fn allowed(host: &Booted, grant: &Text) -> Vec<(i64, String)> {
    let records = host.read("/var/log/authkeys/decisions.jsonl");
    let records = records.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_of_it = |record: &Value| {
        record["grant"] == grant.id.as_str() && record["why"] == grant.reason && record["verdict"] == "allow"
    };
    let at = |record: &Value| record["time"].as_str().map(seconds).expect("an instant");
    let one = |record: Value| Some((at(&record), record["service"].as_str()?.to_string()));
    records.filter(is_of_it).filter_map(one).collect()
}

/// By which services somebody came in by this grant, for the reason in it, by the record.
fn recorded(host: &Booted, grant: &Text, reason: &str) -> Vec<String> {
    let records =
        host.must(&format!("grep -F '\"grant\":\"{}\"' /var/log/authkeys/decisions.jsonl", grant.id));
    assert!(records.lines().all(|line| line.contains(&format!("\"reason\":\"{reason}\""))), "{records}");
    allowed(host, grant).into_iter().map(|(_, service)| service).collect()
}

/// The part of the report below these words.
fn reported(host: &Booted, heading: &str) -> String {
    let report = text(&host.sh("oncall-cache report --since 1h"));
    let (_, part) = report.split_once(heading).unwrap_or_else(|| panic!("no {heading}: {report}"));
    part.split_once("\n\n").map_or(part, |(part, _)| part).to_string()
}

/// In the log, the record and the report: who came in, by whose signatures, and why.
fn grant_is_told_afterwards(host: &Booted, grant: &Text) {
    let words = "decision=accepted reason=grant rule=night approvers=alice,carol";
    logged(host, ("oncall-grant-accept", "debug"), words, grant, 1);
    logged(host, ("pam_oncall", "debug"), "person=dave decision=allow reason=grant rule=night", grant, 2);
    let services = recorded(host, grant, "grant");
    assert!(["sshd", "sudo"].iter().all(|door| services.iter().any(|one| one == door)), "{services:?}");
    let report = reported(host, "let in by colleagues, with a grant");
    assert!(report.contains("alice and carol: INC-42 disk full"), "{report}");
}

/// The same, as what somebody has to look at; and in what monitoring reads, until it is reviewed.
fn break_glass_is_told_afterwards(host: &Booted, grant: &Text) {
    let words = "person=bob decision=accepted reason=break-glass rule=glass approvers=bob";
    logged(host, ("oncall-grant-accept", "alert"), words, grant, 1);
    logged(
        host,
        ("pam_oncall", "alert"),
        "person=bob decision=allow reason=break-glass rule=glass",
        grant,
        1,
    );
    let services = recorded(host, grant, "break-glass");
    assert!(!services.is_empty() && services.iter().all(|one| one == "sshd"), "{services:?}");
    let report = reported(host, "let themselves in, by break-glass");
    assert!(report.contains("bob") && report.contains("INC-42 disk full"), "{report}");
}

/// More often than systemd starts a service that nobody has said otherwise of.
fn the_acceptor_comes_back_as_often_as_it_is_killed(host: &Booted, session: &mut Session) {
    let (_, path) = signed(host, "dave", now() + HOUR, "alice carol");
    let bring = || text(&host.sh(&format!("oncall-cache grant use <{path}")));
    assert!(bring().contains("accepted: dave may enter root"));
    for _ in 0..6 {
        host.must("systemctl kill --signal=KILL oncall-grant-accept.service");
        wait_within(300, "it is there again", || bring().contains("in force until"));
    }
    assert_eq!(host.must("systemctl is-active oncall-grant-accept.service"), "active\n");
    assert_eq!(session.sudo(), "0");
}
