//! A group in a real directory says who is on call, as Deputize and others write it.

use harness::hostile::{Hostile, Play, ber};
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::{Host, text};

const GROUP: &str = "cn=oncall,ou=groups,dc=example,dc=com";

/// A member of it who is nobody, so that it is never empty.
const NOBODY: &str = "cn=nobody,dc=example,dc=com";

const ROSTER: &str = "/var/lib/oncall-cache/roster.db";

fn configure(suite: &Suite, settings: &str) {
    let config = format!(
        "{}[host]\nname = 'testhost'\n[[oncall.source]]\nname = 'group'\nprovider = 'ldap-group'\ngroup = '{GROUP}'\n\
         bind_dn = '{}'\nbind_password_file = 'group-password'\nschedules = ['oncall']\n{settings}\n\
         [[policy.rule]]\nname = 'all'\nschedules = ['group/oncall']\n[[policy.shared_account]]\naccount = 'root'\n",
        Slapd::section(&[Slapd::LDAPS_URL]),
        Slapd::BIND_DN
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    password(&suite.host, Slapd::BIND_PASSWORD);
}

fn password(host: &Host, password: &str) {
    host.write("/etc/authkeys/group-password", format!("{password}\n"), 0o640);
    host.must("chgrp oncall-cache /etc/authkeys/group-password");
}

fn sync(suite: &Suite) -> (bool, String) {
    let output = suite.run_as("oncall-cache", "oncall-cache sync");
    (output.status.success(), text(&output))
}

/// Whoever is on call by the roster, and for ever, as far as it knows.
fn roster(suite: &Suite) -> Vec<String> {
    let query = "SELECT schedule.id, principal FROM shift JOIN schedule ON schedule.number = shift.schedule ORDER BY 2";
    let rows = suite.host.must(&format!("sqlite3 -separator ' ' {ROSTER} '{query}'"));
    rows.lines().map(str::to_string).collect()
}

#[test]
fn the_members_of_a_group_are_on_call_while_they_are_in_it() {
    let suite = Suite::start();
    let slapd = Slapd::start(&suite.host);
    slapd.furnish(&suite, |name| format!("{name}@example.com"));
    let dn = |name: &str| format!("uid={name},{}", Slapd::BASE);
    let member = |how: &str, name: &str| {
        slapd.modify(&format!("dn: {GROUP}\nchangetype: modify\n{how}: member\nmember: {}\n", dn(name)));
    };
    slapd.modify(&format!(
        "dn: {GROUP}\nchangetype: add\nobjectClass: groupOfNames\nmember: {NOBODY}\nmember: {}\nmember: {}\n",
        dn("alice"),
        dn("stranger")
    ));
    configure(&suite, "");
    suite.must_as("authkeys-sync", "authkeys-sync");
    let (good, said) = sync(&suite);
    assert!(good, "{said}");
    assert_eq!(roster(&suite), ["oncall alice"]);
    let check =
        |person: &str| suite.run_as("nobody", &format!("oncall-cache test-access {person}")).status.code();
    assert_eq!((check("alice"), check("bob")), (Some(0), Some(1)));
    let who = suite.host.must("oncall-cache who");
    assert!(who.contains("alice"), "{who}");

    // The rota turns there, and the next sync sees it.
    member("add", "bob");
    member("delete", "alice");
    assert!(sync(&suite).0);
    assert_eq!(
        (roster(&suite), check("alice"), check("bob")),
        (vec!["oncall bob".to_string()], Some(1), Some(0))
    );
    // A sync that finds the same changes nothing.
    let history = || suite.host.read("/var/lib/oncall-cache/history.jsonl");
    let before = history();
    assert!(sync(&suite).0);
    assert_eq!(history(), before);
    // Whoever is in it and may never become root is on call, and not let in.
    member("add", "dave");
    assert!(sync(&suite).0);
    assert_eq!((roster(&suite).len(), check("dave")), (2, Some(1)));
    member("delete", "dave");

    // A wrong password, a group that is not there or shows nobody, and no server: nothing changes, and says why.
    let fails = |words: &str| {
        let before = suite.host.read_bytes(ROSTER);
        let (good, said) = sync(&suite);
        assert!(!good && said.contains(words), "{words}: {said}");
        assert!(!said.contains(Slapd::BIND_PASSWORD), "{said}");
        assert!(suite.host.read_bytes(ROSTER) == before, "{words}: the roster changed");
    };
    assert!(sync(&suite).0);
    password(&suite.host, "wrong");
    fails("source-error");
    password(&suite.host, Slapd::BIND_PASSWORD);
    member("delete", "bob");
    member("delete", "stranger");
    fails("source-empty");
    slapd.delete(GROUP);
    fails(GROUP);
    slapd.stop();
    fails("source-error");
    slapd.resume();

    let said = text(&suite.host.sh("oncall-cache config show"));
    assert!(said.contains(GROUP) && said.contains("provider = \"ldap-group\""), "{said}");
    let said = suite.host.must("oncall-cache provider list");
    assert!(said.contains("ldap-group"), "{said}");
}

/// A group and the entries of its members, as a server tells them, and what becomes of it.
#[test]
fn a11_a_part_of_a_groups_members_is_not_all_of_them() {
    let suite = Suite::start();
    let slapd = Slapd::start(&suite.host);
    slapd.furnish(&suite, |name| format!("{name}@example.com"));
    let hostile = Hostile::start(&suite.host, slapd.ca_pem());
    suite.host.write("/etc/authkeys/hostile-ca.pem", hostile.ca_pem(), 0o644);
    configure(
        &suite,
        &format!("urls = ['{}']\nca_file = 'hostile-ca.pem'\nallow_empty = true", Hostile::LDAPS_URL),
    );
    suite.must_as("authkeys-sync", "authkeys-sync");
    let dn = |name: &str| format!("uid={name},{}", Slapd::BASE);
    let group = |attribute: &str, names: &[&str]| {
        let dns: Vec<String> = names.iter().map(|name| dn(name)).collect();
        let values: Vec<&[u8]> = dns.iter().map(String::as_bytes).collect();
        vec![ber::entry(GROUP, &[("objectClass", &[b"groupOfNames"]), (attribute, &values)]), ber::done(0)]
    };
    let people = |names: &[&str], more: &[Vec<u8>]| {
        let person = |name: &&str| ber::person(name, &[]);
        [names.iter().map(person).collect(), more.to_vec(), vec![ber::done(0)]].concat()
    };
    // Who it is, what the server is, and what comes then.
    let play = |turns: &[Vec<Vec<u8>>]| {
        let begin = [vec![ber::bind_success()], vec![ber::done(0)]];
        hostile.play(Play::Answers([&begin[..], turns].concat()));
    };
    let both = ["alice", "bob"];
    play(&[group("member", &both), people(&both, &[]), people(&both, &[])]);
    let (good, said) = sync(&suite);
    assert!(good, "{said}");
    assert_eq!(roster(&suite), ["oncall alice", "oncall bob"]);

    let elsewhere = "ldap://other.example.com/ou=people,dc=example,dc=com";
    let (one, all) = (people(&["alice"], &[]), people(&both, &[]));
    let cut = vec![ber::person("alice", &[]), ber::done(4)];
    let nobody = || vec![ber::done(0)];
    for (turns, words) in [
        // bob is said to be on another server: beside the others, or when he is asked for.
        (
            vec![
                group("member", &both),
                people(&["alice"], &[ber::reference(elsewhere)]),
                vec![ber::done(32)],
                one.clone(),
            ],
            "refers to ldap://other.example.com",
        ),
        (
            vec![group("member", &both), one.clone(), vec![ber::referral(elsewhere)], one.clone()],
            "referral (10)",
        ),
        // He is there, and not for us.
        (
            vec![group("member", &both), one.clone(), vec![ber::done(50)], one.clone()],
            "insufficientAccessRights (50)",
        ),
        // Nobody is for us.
        (
            vec![
                group("member", &["alice"]),
                nobody(),
                vec![ber::done(32)],
                group("member", &["alice"]),
                nobody(),
            ],
            "lists 1 members below `base`, and not one of them is shown",
        ),
        // A limit was met.
        (vec![group("member", &both), cut], "sizeLimitExceeded (4)"),
        // Some of the members came, and what is asked for then is not the others.
        (vec![group("member;range=0-0", &["alice"]), nobody()], "changed while it was being read"),
        (
            vec![group("member;range=0-0", &["alice"]), group("member;range=1-*", &["bob"])],
            "slices that do not fit together",
        ),
        (
            vec![group("uniqueMember;range=0-0", &["alice"]), group("member", &["alice"])],
            "changed while it was being read",
        ),
    ] {
        play(&turns);
        let before = suite.host.read_bytes(ROSTER);
        let (good, said) = sync(&suite);
        assert!(!good && said.contains(words), "{words}: {said}");
        assert!(suite.host.read_bytes(ROSTER) == before, "{words}: the roster changed");
    }
    // Slices that fit are the whole of it.
    play(&[group("member;range=0-0", &["alice"]), group("member;range=0-*", &both), all.clone(), all]);
    assert!(sync(&suite).0);
    assert_eq!(roster(&suite), ["oncall alice", "oncall bob"]);
    // Whoever is not shown, beside others who are, is told; an entry that is gone looks the same.
    let gone = || vec![ber::done(32)];
    play(&[group("member", &both), one.clone(), gone(), one, gone()]);
    let (good, said) = sync(&suite);
    assert!(good && said.contains("1 members of cn=oncall"), "{said}");
    assert_eq!(roster(&suite), ["oncall alice"]);
}
