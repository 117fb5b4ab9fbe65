//! A group in a real directory is who is on call: slapd, 389 Directory Server and Samba's Active Directory.

mod turns;

use std::process::Output;

use harness::directory::{Directory, ELIGIBLE, Member};
use harness::ds389::Ds389;
use harness::relay::{Trip, Tripwire};
use harness::samba::Samba;
use harness::size::sized;
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite, instant, now};
use harness::{Host, Moments, text};

/// The group, below where this server has groups.
const GROUP: &str = "cn=oncall,ou=groups,dc=example,dc=com";

/// A member of it whom nobody manages, and who is in it so that it is never empty.
const NOBODY: &str = "cn=nobody,dc=example,dc=com";
const ROBOT: &str = "cn=robot,ou=services,dc=example,dc=com";

/// A rota of two schedules: alice is on call for the one, for the next hour, and bob after her; carol replaces her for half
/// an hour of that from ten minutes on. For the other it is bob.
fn rota() -> String {
    let shift = |person: &str, from: i64, to: i64| {
        let (from, to) = (instant(now() + from), instant(now() + to));
        format!("person = '{person}'\nstart = {from}\nend = {to}\n")
    };
    [
        "[[schedule]]\nid = 'primary'\nname = 'primary'\n".to_string(),
        format!("[[schedule.shift]]\n{}", shift("alice", -HOUR, HOUR)),
        format!("[[schedule.shift]]\n{}", shift("bob", HOUR, 3 * HOUR)),
        format!("[[schedule.shift]]\n{}", shift("dave", -HOUR, HOUR)),
        format!("[[schedule.override]]\n{}", shift("carol", 10 * 60, 40 * 60)),
        "[[schedule]]\nid = 'second'\nname = 'second'\n".to_string(),
        format!("[[schedule.shift]]\n{}", shift("bob", -HOUR, HOUR)),
    ]
    .concat()
}

/// Writes the configuration of the syncs, whose `[directory]` is `directory`, and makes both copies.
fn configure(suite: &Suite, directory: &str) {
    let rest = "[host]\nname = 'testhost'\n[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                [policy]\n[[policy.rule]]\nname = 'everywhere'\nschedules = ['rota/*']\nhosts = ['*']\n";
    let rest = rest.replace("'rota/*'", "'rota/primary', 'rota/second'");
    suite.host.write("/etc/authkeys/config.toml", format!("{directory}{rest}"), 0o644);
    suite.host.write("/etc/authkeys/rota.toml", rota(), 0o644);
    suite.sync();
}

/// Writes sinks.toml with this group, for whoever may write.
fn sink(suite: &Suite, (dn, password): (&str, &str), group: &str) {
    sink_for(suite, "sinks.toml", "primary", (dn, password), group);
}

fn sink_for(suite: &Suite, file: &str, schedule: &str, (dn, password): (&str, &str), group: &str) {
    let host = &suite.host;
    host.write("/etc/authkeys/sink-password", format!("{password}\n"), 0o640);
    host.must("chgrp oncall-sink /etc/authkeys/sink-password");
    let toml = format!(
        "[[sink]]\nname = 'group'\nschedules = ['rota/{schedule}']\n[sink.ldap_group]\nbind_dn = '{dn}'\n\
         bind_password_file = 'sink-password'\n{group}\n"
    );
    host.write(&format!("/etc/authkeys/{file}"), toml, 0o644);
}

fn run(suite: &Suite, ahead: i64, words: &str) -> Output {
    suite.run_ahead("oncall-sink", ahead, &format!("oncall-collector sink {words}"))
}

/// What it says; it must succeed.
fn at(suite: &Suite, ahead: i64, words: &str) -> String {
    let output = run(suite, ahead, words);
    assert!(output.status.success(), "{words}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A hand-over, an override, and what others do to a group, in one kind of server.
struct Server<'a> {
    suite: &'a Suite,
    /// Members now.
    members: &'a dyn Fn() -> Vec<String>,
    /// Applies LDIF.
    modify: &'a dyn Fn(&str),
    /// How many changes of the group the server has made since it was started, if it shows that.
    changes: &'a dyn Fn() -> usize,
    /// The DN of a person.
    dn: &'a dyn Fn(&str) -> String,
    /// The group, and who stays in it.
    group: &'a str,
    others: &'a [&'a str],
}

impl Server<'_> {
    /// The group has whoever stays, and these people, in any spelling.
    fn has(&self, people: &[&str]) {
        let mut expected: Vec<String> = people.iter().map(|name| (self.dn)(name).to_lowercase()).collect();
        expected.extend(self.others.iter().map(|dn| dn.to_lowercase()));
        expected.sort();
        let mut found: Vec<String> =
            (self.members)().iter().map(|dn| dn.to_lowercase().replace(", ", ",")).collect();
        found.sort();
        assert_eq!(found, expected);
    }

    /// The next run, so many seconds ahead, makes so many changes.
    fn makes(&self, changes: usize, ahead: i64) -> String {
        // Those by hand are counted before.
        let before = (self.changes)();
        let said = at(self.suite, ahead, "");
        assert_eq!((self.changes)() - before, changes, "{said}");
        said
    }

    fn change_member(&self, how: &str, value: &str) {
        let group = self.group;
        (self.modify)(&format!("dn: {group}\nchangetype: modify\n{how}: member\nmember: {value}\n"));
    }

    fn a99(&self) {
        // What would be written is told, and is not.
        let said = at(self.suite, 0, "--dry-run");
        assert!(said.contains(&format!("would add {}", (self.dn)("alice"))), "{said}");
        self.has(&[]);
        let said = self.makes(1, 0);
        assert!(said.contains("dave is on call and not eligible by the directory: left out"), "{said}");
        self.has(&["alice"]);
        let said = self.makes(0, 0);
        assert!(said.contains("group: nothing to do"), "{said}");
        assert_eq!(at(self.suite, 0, "--quiet"), "");
        // The override, its end, and the hand-over: one change each.
        for (ahead, person) in [(15 * 60, "carol"), (45 * 60, "alice"), (2 * HOUR, "bob"), (0, "alice")] {
            self.makes(1, ahead);
            self.has(&[person]);
        }
        // Somebody who is managed was put in by hand, and somebody on call taken out.
        self.change_member("add", &(self.dn)("bob"));
        let said = self.makes(1, 0);
        assert!(said.contains("drift: somebody had put it in; removed"), "{said}");
        self.has(&["alice"]);
        self.change_member("delete", &(self.dn)("alice"));
        let said = self.makes(1, 0);
        assert!(said.contains("drift: somebody had taken it out; added"), "{said}");
        self.has(&["alice"]);
    }
}

/// A slapd with the team in it and the group, and the syncs' copies of both.
fn with_slapd(suite: &Suite) -> Slapd<'_> {
    let slapd = Slapd::start(&suite.host);
    slapd.furnish(suite, |name| format!("{name}@example.com"));
    slapd.modify(&format!(
        "dn: {GROUP}\nchangetype: add\nobjectClass: groupOfNames\nmember: {NOBODY}\nmember: {ROBOT}\n\n\
         dn: cn=numbers,ou=groups,dc=example,dc=com\nchangetype: add\nobjectClass: posixGroup\ngidNumber: 2000\nmemberUid: robot\n"
    ));
    configure(suite, &Slapd::section(&[Slapd::LDAPS_URL]));
    slapd
}

#[test]
fn a99_slapd_makes_one_change_at_each_hand_over() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    sink(&suite, Slapd::WRITER, &format!("group = '{GROUP}'\nplaceholder = '{NOBODY}'"));
    let counted = std::cell::Cell::new(0);
    let server = Server {
        suite: &suite,
        members: &|| slapd.values(GROUP, "member"),
        modify: &|ldif| {
            slapd.modify(ldif);
            slapd.log();
        },
        changes: &|| {
            counted.set(counted.get() + slapd.log().matches(&format!("MOD dn=\"{GROUP}\"")).count());
            counted.get()
        },
        dn: &|name| format!("uid={name},{}", Slapd::BASE),
        group: GROUP,
        others: &[NOBODY, ROBOT],
    };
    server.a99();
    // In another spelling they are who they are.
    server.change_member("delete", &(server.dn)("alice"));
    server.change_member("add", "UID=Alice, ou=People, dc=Example, dc=com");
    server.makes(0, 0);

    // By uniqueMember and by name the same.
    let unique = "cn=unique,ou=groups,dc=example,dc=com";
    slapd.modify(&format!(
        "dn: {unique}\nchangetype: add\nobjectClass: groupOfUniqueNames\nuniqueMember: {NOBODY}\n"
    ));
    let numbers = "cn=numbers,ou=groups,dc=example,dc=com";
    for (group, attribute, alice, bob, other) in [
        (unique, "uniqueMember", (server.dn)("alice"), (server.dn)("bob"), NOBODY),
        (numbers, "memberUid", "alice".into(), "bob".into(), "robot"),
    ] {
        suite.host.must("rm /var/lib/oncall-sink/group.json");
        sink(&suite, Slapd::WRITER, &format!("group = '{group}'\nattribute = '{attribute}'"));
        for (ahead, person) in [(0, &alice), (2 * HOUR, &bob)] {
            at(&suite, ahead, "");
            let mut found = slapd.values(group, attribute);
            found.sort();
            let mut expected = vec![other.to_string(), person.clone()];
            expected.sort();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn a99_a_389_makes_one_change_at_each_hand_over() {
    let suite = Suite::start();
    let ds389 = Ds389::start(&suite.host);
    ds389.hand_out(&suite);
    ds389.set("nsslapd-accesslog-logbuffering", "off");
    let key = suite.public_key("alice");
    for name in ["alice", "bob", "carol", "dave"] {
        ds389.add(name, &[&key]);
    }
    for name in ["alice", "bob", "carol"] {
        ds389.give(ELIGIBLE, Member::Person(name));
    }
    ds389.modify(&format!(
        "dn: {GROUP}\nchangetype: add\nobjectClass: groupOfNames\nmember: {NOBODY}\nmember: {ROBOT}\n"
    ));
    configure(&suite, &ds389.section());
    sink(&suite, Ds389::WRITER, &format!("group = '{GROUP}'\nplaceholder = '{NOBODY}'"));
    Server {
        suite: &suite,
        members: &|| ds389.values(GROUP, "member"),
        modify: &|ldif| ds389.modify(ldif),
        changes: &|| ds389.changes(GROUP),
        dn: &|name| format!("uid={name},ou=people,dc=example,dc=com"),
        group: GROUP,
        others: &[NOBODY, ROBOT],
    }
    .a99();
}

#[test]
fn a99_active_directory_as_samba_plays_it_has_who_is_on_call() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |name| format!("{name}@example.com"));
    let group = "CN=oncall,OU=groups,DC=example,DC=com";
    let robot = Samba::BIND_DN;
    samba.modify(&format!(
        "dn: {group}\nchangetype: add\nobjectClass: group\nsAMAccountName: oncall\nmember: {robot}\n"
    ));
    configure(&suite, &format!("{}timeout = '20s'\n", Samba::section()));
    sink(&suite, Samba::WRITER, &format!("group = '{group}'"));
    // Each change gives the entry another number.
    let changed = std::cell::RefCell::new((0, samba.values(group, "uSNChanged")));
    Server {
        suite: &suite,
        members: &|| samba.values(group, "member"),
        modify: &|ldif| {
            samba.modify(ldif);
            changed.borrow_mut().1 = samba.values(group, "uSNChanged");
        },
        changes: &|| {
            let number = samba.values(group, "uSNChanged");
            let mut changed = changed.borrow_mut();
            changed.0 += usize::from(changed.1 != number);
            changed.1 = number;
            changed.0
        },
        dn: &|name| Samba::dn(name),
        group,
        others: &[robot],
    }
    .a99();
}

/// Two collectors of one fleet on this machine, the second one in a directory below the first one's.
fn two_collectors(host: &Host) {
    host.must("install -d -o oncall-collector -g oncall-collector -m 755 /srv/fleet");
    for (directory, name) in [("/etc/authkeys", "one"), ("/etc/authkeys/second", "two")] {
        let (state, turn) = (format!("/var/lib/collector-{name}"), format!("/run/collector-{name}"));
        host.must(&format!(
            "install -d {directory} && install -d -m 750 -o oncall-collector -g oncall-collector {state} && \
             install -d -m 755 -o oncall-collector -g oncall-collector {turn}"
        ));
        let toml = format!(
            "fleet = 'example'\nsigners = '/etc/authkeys/fleet-signers'\nstate = '{state}'\nturn = '{turn}'\n[store]\ndirectory = '/srv/fleet'\n"
        );
        host.write(&format!("{directory}/collector.toml"), toml, 0o644);
        host.must(&format!(
            "oncall-collector key new {directory}/fleet-key --name {name} >>/etc/authkeys/fleet-signers"
        ));
    }
    host.must("for file in config.toml rota.toml ldap-ca.pem bind-password; do cp -p /etc/authkeys/$file /etc/authkeys/second/$file; done");
}

#[test]
fn a99_of_two_collectors_one_writes() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    let group = "cn=numbers,ou=groups,dc=example,dc=com";
    two_collectors(&suite.host);
    sink(&suite, Slapd::WRITER, &format!("group = '{group}'\nattribute = 'memberUid'"));
    let publish =
        |words: &str| suite.must_as("oncall-collector", &format!("oncall-collector publish {words}"));
    let second = "--config /etc/authkeys/second/collector.toml";
    let sinks = "--sinks /etc/authkeys/sinks.toml";
    let members = || slapd.values(group, "memberUid");
    // Before anything is published, nothing is told.
    assert!(at(&suite, 0, "").starts_with("standing by"));
    publish("");
    assert!(at(&suite, 0, &format!("{second} {sinks}")).starts_with("standing by"));
    assert_eq!(members(), ["robot"]);
    let said = at(&suite, 0, "");
    assert!(said.contains("group: added alice"), "{said}");
    // What the fleet has revoked is nobody on call; the other one stands by all the same.
    suite.must_as("oncall-collector", "oncall-collector revoke alice --reason lost");
    let output = run(&suite, 0, "");
    assert!(text(&output).contains("alice is on call and revoked: left out"), "{}", text(&output));
    assert_eq!(members(), ["robot"], "a hole in the rota holds nobody who is revoked");
    suite.must_as("oncall-collector", "oncall-collector unrevoke alice");
    publish("");
    assert!(at(&suite, 0, "").contains("added alice"));
    // The other one takes over: the first does no more, whether it has noticed or not.
    publish(&format!("{second} --now"));
    assert!(publish("").starts_with("standing by"));
    assert!(at(&suite, 0, "").starts_with("standing by"));
    assert!(at(&suite, 0, &format!("{second} {sinks}")).contains("nothing to do"));
    // And one that does not publish any more has no turn, before somebody could take over.
    let old = at(&suite, 10 * 60, &format!("{second} {sinks}"));
    assert!(old.contains("last published") && old.contains("another one may be at work"), "{old}");
    assert_eq!(members().len(), 2);
}

#[test]
fn a63_whatever_a_rota_and_a_directory_say_is_a_name_and_no_filter() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    // A person whose DN has all that a filter and a DN are made of, and one whose mail address is a filter.
    let odd = r"cn=Smith\, (Bob)\2a \5c+uid=odd,ou=people,dc=example,dc=com";
    slapd.modify(&format!(
        "dn: {odd}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\nsn: x\nuid: odd\n\n\
         dn: {}\nchangetype: modify\nadd: member\nmember: {odd}\n",
        Slapd::GROUP_DN
    ));
    configure(&suite, &Slapd::section(&[Slapd::LDAPS_URL]));
    sink(&suite, Slapd::WRITER, &format!("group = '{GROUP}'"));
    at(&suite, 0, "");
    let before = slapd.values(GROUP, "member");
    assert!(before.iter().any(|dn| dn.starts_with("uid=alice,")), "{before:?}");
    for person in ["*)(uid=*", "alice\\\\", "a\\u0000b", "ali*"] {
        let (from, to) = (instant(now() - HOUR), instant(now() + HOUR));
        let shift =
            |person: &str| format!("[[schedule.shift]]\nperson = \"{person}\"\nstart = {from}\nend = {to}\n");
        let rota = format!(
            "[[schedule]]\nid = 'primary'\nname = 'primary'\n{}[[schedule]]\nid = 'second'\nname = 'second'\n{}",
            shift(person),
            shift("bob")
        );
        suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
        // Whatever becomes of it: nobody is found by it, and the group is as it was.
        suite.run_as("oncall-cache", "oncall-cache sync");
        run(&suite, 0, "");
        assert_eq!(slapd.values(GROUP, "member"), before, "{person}");
    }
    let (from, to) = (instant(now() - HOUR), instant(now() + HOUR));
    let rota = format!(
        "[[schedule]]\nid = 'primary'\nname = 'primary'\n[[schedule.shift]]\nperson = 'odd'\nstart = {from}\nend = {to}\n"
    );
    let second = rota.replace("primary", "second");
    suite.host.write("/etc/authkeys/rota.toml", format!("{rota}{second}"), 0o644);
    suite.run_as("oncall-cache", "oncall-cache sync");
    let said = at(&suite, 0, "");
    assert!(said.contains("added cn=Smith") && said.contains("removed uid=alice"), "{said}");
    assert_eq!(slapd.values(GROUP, "member").len(), before.len());
    assert!(at(&suite, 0, "").contains("nothing to do"), "it is found again");
}

/// Both sets of people, by two files of sinks.
fn two_sets<'a>(suite: &'a Suite, url: &str) -> impl Fn(&str) -> Output + 'a {
    let group = format!(
        "group = 'cn=numbers,ou=groups,dc=example,dc=com'\nattribute = 'memberUid'\nurls = ['{url}']"
    );
    sink_for(suite, "alice.toml", "primary", Slapd::WRITER, &group);
    sink_for(suite, "bob.toml", "second", Slapd::WRITER, &group);
    |command| suite.run_as("oncall-sink", command)
}

/// The managed members of the group.
fn on_call(slapd: &Slapd<'_>) -> Vec<String> {
    let mut members = slapd.values("cn=numbers,ou=groups,dc=example,dc=com", "memberUid");
    members.retain(|name| ["alice", "bob", "carol"].contains(&name.as_str()));
    members
}

#[test]
fn a64_a100_killed_at_any_moment_the_group_has_the_old_or_the_new_people() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    let run = two_sets(&suite, Slapd::LDAPS_URL);
    let command = |person: &str| format!("oncall-collector sink --sinks /etc/authkeys/{person}.toml");
    let mut is = "alice";
    let mut moments = Moments::of(sized(100, 200), 3, || drop(run(&command("alice"))));
    assert_eq!(on_call(&slapd), ["alice"]);
    while let Some(after) = moments.next_kill() {
        let next = if is == "alice" { "bob" } else { "alice" };
        let seconds = after.as_secs_f64().max(0.0005);
        run(&format!("timeout -s KILL {seconds:.4} {}", command(next)));
        let found = on_call(&slapd);
        assert!(found == [is] || found == [next], "{found:?}");
        moments.struck(found == [next]);
        if found == [next] {
            is = next;
        }
    }
    // And the next run that is not killed makes it what it should be.
    for person in ["bob", "alice"] {
        let output = run(&command(person));
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(on_call(&slapd), [person]);
    }
}

#[test]
fn a64_a100_a_lost_connection_and_a_change_in_between_leave_no_empty_group() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    let wire = Tripwire::start(&suite.host, 6363, 6360);
    let run = two_sets(&suite, "ldaps://ldap.example.com:6363");
    let command = |person: &str| format!("oncall-collector sink --sinks /etc/authkeys/{person}.toml");
    assert!(run(&command("alice")).status.success());
    let mut is = "alice";
    for word in 1.. {
        let next = if is == "alice" { "bob" } else { "alice" };
        wire.set(word, Trip::Cut);
        let output = run(&command(next));
        if wire.is_set() {
            assert!(output.status.success(), "{}", text(&output));
            break;
        }
        let found = on_call(&slapd);
        assert!(found == [is] || found == [next], "{word}: {found:?}");
        if found == [next] && !output.status.success() {
            let said = text(&output);
            assert!(said.contains("may be done or not"), "{said}");
        }
        assert!(run(&command(next)).status.success());
        assert_eq!(on_call(&slapd), [next], "{word}");
        is = next;
    }

    // Others change it at each of these moments: whom they take out and put in is theirs, and nobody of ours is lost.
    let numbers = "cn=numbers,ou=groups,dc=example,dc=com";
    for word in 1.. {
        let (is, next) =
            (on_call(&slapd).remove(0), if on_call(&slapd) == ["alice"] { "bob" } else { "alice" });
        let (path, old) = (suite.host.path("/run/slapd/between"), is.clone());
        std::fs::write(&path, format!(
            "dn: {numbers}\nchangetype: modify\ndelete: memberUid\nmemberUid: {old}\n-\nadd: memberUid\nmemberUid: other{word}\n"
        )).expect("a file");
        let mut client = suite.host.command("/usr/bin/ldapmodify");
        let (dn, password) = Slapd::WRITER;
        client.args(["-x", "-H", Slapd::LDAPS_URL, "-D", dn, "-w", password, "-f", "/run/slapd/between"]);
        client.env("LDAPTLS_CACERT", "/run/slapd/ca.pem");
        wire.set(
            word,
            Trip::Do(Box::new(move || {
                // Whoever comes after our own change finds nobody to take out.
                let _ = client.output();
            })),
        );
        let output = run(&command(next));
        assert!(output.status.success(), "{word}: {}", text(&output));
        assert_eq!(on_call(&slapd), [next], "{word}");
        let all = slapd.values(numbers, "memberUid");
        assert!(all.contains(&"robot".to_string()), "{all:?}");
        if wire.is_set() {
            // The first words are spoken before anything is read.
            assert!(all.contains(&"other1".to_string()), "{all:?}");
            break;
        }
    }
}

#[test]
fn a100_nobody_on_call_holds_the_last_ones_and_then_there_is_an_alert() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    slapd.modify(&format!("dn: {GROUP}\nchangetype: modify\ndelete: member\nmember: {ROBOT}\nmember: {NOBODY}\n-\nadd: member\nmember: uid=alice,{}\n", Slapd::BASE));
    let group = format!("group = '{GROUP}'\nplaceholder = '{NOBODY}'");
    sink(&suite, Slapd::WRITER, &group);
    let alice = [format!("uid=alice,{}", Slapd::BASE)];
    at(&suite, 0, "");
    assert_eq!(slapd.values(GROUP, "member"), alice);
    // From three hours on it is nobody's turn, as far as is known.
    let said = at(&suite, 4 * HOUR, "");
    assert!(said.contains("nobody is on call: the last ones are held until"), "{said}");
    assert_eq!(slapd.values(GROUP, "member"), alice);
    // What is not known is not nobody: after the end of what was asked for, nothing is changed.
    let unknown = run(&suite, 400 * HOUR, "");
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown));
    assert!(text(&unknown).contains("cannot tell who is on call"), "{}", text(&unknown));
    assert_eq!(slapd.values(GROUP, "member"), alice);
    suite.host.must("sed -i \"s/^schedules/hold_max = '1h'\\nschedules/\" /etc/authkeys/sinks.toml");
    let over = run(&suite, 6 * HOUR, "");
    assert_eq!(over.status.code(), Some(1));
    assert!(text(&over).contains("group: nobody is on call for 2h; see `hold_max`"), "{}", text(&over));
    assert_eq!(slapd.values(GROUP, "member"), [NOBODY], "the placeholder alone");
    // Somebody is on call again.
    at(&suite, 0, "");
    assert_eq!(slapd.values(GROUP, "member").len(), 2);
}
