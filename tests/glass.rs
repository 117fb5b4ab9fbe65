//! Break-glass on a host: who cannot be let in by anybody lets themselves in, seen by everybody, for an hour and once; and an
//! approver's review. On a real sshd, libpam and sudo, with signatures by ssh-keygen.

use std::process::Output;

use harness::grants::{ACCEPTED, GLASS, GONE, Grants, RULE, Text, said, sign_text, sudo};
use harness::suite::{CONFIG, HOUR, Member, Suite, TEAM, now};
use harness::{text, wait_until};

/// Where the acceptor keeps who has let themselves in.
const USED: &str = "/var/lib/oncall-grant-accept";

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{}", text(output));
}

fn refused(output: &Output) {
    assert!(!output.status.success(), "was let in: {}", text(output));
}

/// An hour of root for bob with his own signature below it.
fn own(host: &Grants) -> (Text, String) {
    let grant = Text::new(&host.suite.public_key("bob"));
    let signed = grant.sign(&host.suite, &["bob"]);
    (grant, signed)
}

/// Some line that was sent to the log with this severity and has these words.
fn alerts(lines: &[String], ident: &str, words: &str) -> bool {
    lines.iter().any(|line| line.starts_with(&format!("<81>{ident}[")) && line.contains(words))
}

/// How many uses nobody has reviewed, as Prometheus reads it.
fn unreviewed(suite: &Suite) -> String {
    suite.host.must("mkdir -p /run/metrics && /usr/libexec/authkeys/write-metrics /run/metrics");
    suite.host.must("sed -n 's/^oncall_cache_break_glass_unreviewed //p' /run/metrics/oncall-cache.prom")
}

#[test]
fn a84_where_nobody_can_tell_who_is_on_call_bob_lets_himself_in_and_everybody_sees_it() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    // It is over by the time that the clock will show that cannot be set.
    let uptime: i64 = suite.host.must("cut -d. -f1 /proc/uptime").trim().parse().expect("seconds");
    let mut grant = Text::new(&suite.public_key("bob"));
    grant.end = grant.begin + (uptime / 2).min(HOUR);
    let signed = grant.sign(suite, &["bob"]);
    said(&host.bring(&signed), 1, "refused (on-call-known): this host can tell who is on call");
    refused(&sudo(suite, "bob"));
    assert_eq!(unreviewed(suite), "0\n");
    host.lose_everything();
    // Longer than an hour, by another's signature, and by one who is not named.
    let long = Text { end: grant.begin + HOUR + 1, ..grant.clone() };
    said(&host.bring(&long.sign(suite, &["bob"])), 1, "refused (lifetime)");
    said(&host.bring(&grant.sign(suite, &["carol"])), 1, "refused (quorum)");
    let dave = Text { person: "dave", ..Text::new("none") };
    refused(&host.bring(&dave.sign(suite, &["dave"])));
    let alice = Text { person: "alice", ..Text::new("none") };
    said(&host.bring(&alice.sign(suite, &["alice"])), 1, "refused (self)");
    let unexplained =
        sign_text(suite, &grant.text().replace("reason: INC-42 disk full\n", ""), "grant@authkeys", &["bob"]);
    said(&host.bring(&unexplained), 1, "`reason` is missing");
    refused(&sudo(suite, "bob"));
    let _ = suite.log_lines();
    said(&host.bring(&signed), 0, "accepted: break-glass: bob may enter root on this host until ");
    let words = format!("decision=accepted reason=break-glass rule=glass approvers=bob grant={}", grant.id);
    let log = suite.log_lines();
    assert!(alerts(&log, "oncall-grant-accept", &words), "{log:#?}");
    // By sudo and by ssh; told each time, logged as what somebody has to look at, recorded.
    let output = sudo(suite, "bob");
    admitted(&output);
    let warning = "break-glass: bob has let themselves in until ";
    assert!(text(&output).contains(warning), "{}", text(&output));
    admitted(&suite.ssh("bob", "root", "id -u"));
    let log = suite.log_lines();
    let words = format!("decision=allow reason=break-glass rule=glass grant={}", grant.id);
    for service in [" service=sudo ", " service=sshd "] {
        let lines: Vec<String> = log.iter().filter(|line| line.contains(service)).cloned().collect();
        assert!(alerts(&lines, "pam_oncall", &words), "{service}: {log:#?}");
    }
    let terminal = suite.host.sh(
        "echo 'id -u; exit' | timeout 300 ssh -tt -F none -i /root/keys/bob -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null root@127.0.0.1",
    );
    assert!(text(&terminal).contains(warning), "{}", text(&terminal));
    let records = suite.host.read("/var/log/authkeys/decisions.jsonl");
    let is_of_it = |line: &&str| line.contains("\"reason\":\"break-glass\"");
    let of_it: Vec<&str> = records.lines().filter(is_of_it).collect();
    assert!(of_it.len() >= 3 && of_it.iter().all(|line| line.contains("INC-42 disk full")), "{records}");
    assert_eq!(unreviewed(suite), "1\n");
    let why = suite.host.must("oncall-cache why bob");
    assert!(why.starts_with("yes, by break-glass: bob has let themselves in until "), "{why}");
    let report = text(&suite.host.sh("oncall-cache report --since 1h"));
    assert!(report.contains("let themselves in, by break-glass"), "{report}");
    let listed = suite.host.must("oncall-cache grant list");
    assert!(
        listed.contains(", by break-glass: INC-42 disk full") && listed.contains("not reviewed: bob "),
        "{listed}"
    );
    let looked = text(&suite.host.sh("oncall-cache doctor"));
    let words = ["break-glass-review", "bob let themselves into root", "no approver has reviewed it"];
    assert!(words.iter().all(|word| looked.contains(word)), "{looked}");
    // Nobody else, and he not into another account.
    refused(&sudo(suite, "carol"));
    refused(&suite.ssh("bob", "bob", "id -u"));
    // What was accepted counts to its end, also once it is known who is on call; nothing new does.
    host.find_everything();
    admitted(&sudo(suite, "bob"));
    said(&host.bring(&signed), 0, "in force until");
    said(&host.bring(&own(&host).1), 1, "refused (on-call-known)");
    // To its end by the clock that cannot be set: accepted in the first second of this boot.
    suite.host.must(&format!("sed -i '1s/:[0-9.]*$/:1.00/' {ACCEPTED}/root@bob.*"));
    refused(&sudo(suite, "bob"));
    refused(&suite.ssh("bob", "root", "id -u"));
    said(&host.bring(&signed), 1, "refused (grant-expired)");
}

/// A text like one that was accepted in a boot that is over: it is issued after the acceptor forgot.
fn later(host: &Grants, person: &'static str) -> String {
    let grant = Text { issued: now() + 60, person, ..Text::new("none") };
    grant.sign(&host.suite, &[person])
}

#[test]
fn a84_it_stays_open_until_an_approver_reviews_it_and_the_beneficiary_forges_no_review() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    host.lose_everything();
    let (grant, signed) = own(&host);
    said(&host.bring(&signed), 0, "accepted: break-glass");
    let again = "refused (review-open): the last break-glass of this host, ";
    said(&host.bring(&later(&host, "carol")), 1, again);
    // After a boot: accepted grants are forgotten, and that is not.
    suite.host.must(&format!("rm {ACCEPTED}/* {ACCEPTED}/.memory && pkill -KILL -x oncall-grant-ac"));
    let earlier = Text { issued: now() - HOUR, begin: now() - HOUR, ..Text::new("none") };
    let earlier = earlier.sign(suite, &["alice", "carol"]);
    wait_until("it answers again", || text(&host.bring(&earlier)).contains("refused (grant-expired)"));
    refused(&sudo(suite, "bob"));
    said(&host.bring(&later(&host, "bob")), 1, again);
    said(
        &host.bring(&later(&host, "carol")),
        1,
        "; an approver reviews it by oncall-cache grant review, or wait 23h",
    );
    // bob has root, and all that the host keeps: he writes a review, and signs it by what he has.
    let used = format!("{USED}/{}.used", grant.id);
    let review = |key: &str| {
        let command =
            format!("oncall-cache grant review --yes --finding 'as it should be' -i /root/keys/{key} {used}");
        suite.host.sh(&command)
    };
    let written = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    said(&review("bob"), 1, "nobody reviews themselves");
    let by_alice = written(&review("alice"));
    let (body, _) = by_alice.split_once("-----BEGIN").expect("a text and a signature");
    let forged = |namespace: &str, keys: &[&str]| host.bring(&sign_text(suite, body, namespace, keys));
    said(&forged("review@authkeys", &["bob"]), 1, "refused (self)");
    said(&forged("review@authkeys", &["dave"]), 1, "refused (signature)");
    said(&forged("grant@authkeys", &["alice"]), 1, "refused (signature)");
    said(&host.bring(&by_alice.replacen("as it should be", "as it shoulb de", 1)), 1, "refused (signature)");
    // One of another text by the same name closes nothing: the name was bob's choice.
    let other = Text { reason: "nothing", ..grant.clone() };
    suite.host.write("/tmp/other", other.sign(suite, &["bob"]), 0o644);
    let of_other = suite
        .host
        .sh("oncall-cache grant review --yes --finding 'as it should be' -i /root/keys/alice /tmp/other");
    said(&host.bring(&written(&of_other)), 1, "refused (unknown)");
    said(&host.bring(&later(&host, "bob")), 1, again);
    assert_eq!(unreviewed(suite), "1\n");
    // alice's own.
    let closed = format!("reviewed: the break-glass of bob (grant {}) is closed, by alice", grant.id);
    let _ = suite.log_lines();
    said(&host.bring(&by_alice), 0, &closed);
    let log = suite.lines_of("oncall-grant-accept").join("\n");
    assert!(log.contains("person=bob decision=reviewed reason=break-glass approvers=alice"), "{log}");
    assert_eq!(unreviewed(suite), "0\n");
    assert!(!suite.host.must("oncall-cache grant list").contains("not reviewed"));
    said(&host.bring(&later(&host, "bob")), 0, "accepted: break-glass");
    admitted(&sudo(suite, "bob"));
}

#[test]
fn a84_where_every_copy_is_gone_roots_list_alone_says_whose_a_signature_is() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    suite.host.must("ssh-keygen -qt ed25519 -N '' -C fresh -f /root/keys/fresh");
    let bring = |key: &str, by: &[&str]| host.bring(&Text::new(key).sign(suite, by));
    let bobs = suite.public_key("bob");
    // Who is on call is known as long as there is a roster.
    suite.host.must("mv /var/lib/authkeys /var/lib/authkeys.away");
    said(&bring(&bobs, &["bob"]), 1, "refused (on-call-known)");
    suite.host.must("mv /var/lib/authkeys.away /var/lib/authkeys");
    // What a copy says against him counts, also once it is too old to say anything for anybody.
    let without_bob: Vec<Member> = TEAM.into_iter().filter(|member| member.name != "bob").collect();
    suite.write_people(&without_bob);
    suite.sync_keys();
    let old = RULE.replace("id = 'acme'", "id = 'acme'\ncopy_age = '1s'");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{old}{GLASS}{GONE}"), 0o644);
    wait_until("nobody is believed to be on call", || !sudo(suite, "alice").status.success());
    let too_old = "cannot tell: ";
    wait_until("the copy is too old", || text(&bring(&bobs, &["alice", "carol"])).contains(too_old));
    said(&bring(&bobs, &["bob"]), 1, "refused (person): the directory has nobody of the name bob");
    // Everything is gone. Colleagues' signatures need a copy, and nobody signs for another.
    suite.host.must(
        "rm -r /var/lib/authkeys/* /var/lib/oncall-cache/* /etc/authkeys/people.toml /etc/authkeys/rota.toml",
    );
    for others in [&["alice", "carol"][..], &["alice"], &["dave"], &["fresh"]] {
        said(&bring(&bobs, others), 2, "cannot tell: no /var/lib/authkeys/keys.db");
    }
    let own = |change: &dyn Fn(&mut Text)| {
        let mut grant = Text::new(&bobs);
        change(&mut grant);
        let person = grant.person;
        host.bring(&grant.sign(suite, &[person]))
    };
    said(
        &own(&|it| it.person = "alice"),
        1,
        "refused (person): without a copy of the directory grant-signers says",
    );
    said(&own(&|it| (it.person, it.key) = ("alice", "none".into())), 1, "refused (person)");
    said(&own(&|it| it.end += 1), 1, "refused (lifetime)");
    let words = "and it does not have the key in the grant for bob";
    said(&bring(&suite.public_key("fresh"), &["bob"]), 1, words);
    said(&bring(&suite.public_key("carol"), &["bob"]), 1, words);
    suite.host.must("oncall-cache revoke bob");
    said(&bring(&bobs, &["bob"]), 1, "refused (revoked)");
    suite.host.must("oncall-cache unrevoke bob");
    refused(&sudo(suite, "bob"));
    // Through the door, by the key that signs: no shell on this host is open to him.
    suite.host.write("/tmp/own", Text::new(&bobs).sign(suite, &["bob"]), 0o644);
    let through = suite.host.sh(
        "timeout 300 ssh -F none -i /root/keys/bob -p 2222 -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null oncall-grant@127.0.0.1 </tmp/own",
    );
    said(&through, 0, "accepted: break-glass: bob may enter root on this host until ");
    admitted(&sudo(suite, "bob"));
    admitted(&suite.ssh("bob", "root", "id -u"));
    // He alone, and once.
    refused(&sudo(suite, "carol"));
    said(&own(&|it| (it.person, it.key) = ("carol", "none".into())), 1, "refused (review-open)");
}

#[test]
fn a80_a84_what_somebody_did_on_the_night_of_a_full_disk_is_not_forgotten_at_the_reboot() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    host.lose_everything();
    suite.host.must(&format!(
        "mount -t tmpfs -o size=16k,mode=750,uid=$(id -u oncall-grant-accept),gid=$(id -g oncall-grant-accept) none {USED} && \
         ! head -c 64k /dev/zero >{USED}/filler 2>/dev/null"
    ));
    let (grant, signed) = own(&host);
    said(&host.bring(&signed), 0, "accepted: break-glass");
    admitted(&sudo(suite, "bob"));
    assert_eq!(unreviewed(suite), "1\n");
    let [below_run, below_var] =
        [ACCEPTED, USED].map(|place| suite.host.path(&format!("{place}/{}.used", grant.id)));
    assert!(below_run.exists() && !below_var.exists());
    // There is room again. The acceptor looks each minute, and when it starts.
    suite.host.must(&format!("umount {USED} && pkill -KILL -x oncall-grant-ac"));
    wait_until("it is where a reboot leaves it", || below_var.exists() && !below_run.exists());
    assert_eq!(unreviewed(suite), "1\n");
    said(&host.bring(&later(&host, "carol")), 1, "refused (review-open)");
}
