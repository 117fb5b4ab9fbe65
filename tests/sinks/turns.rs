//! What a sink takes for having been just before: not what it saw before its collector's turn, nor what it only tried; and
//! who is on call by a late shift waits, where that gives a right.

use super::*;

const NUMBERS: &str = "cn=numbers,ou=groups,dc=example,dc=com";

/// The people on call now, each for hours, and read by the sync.
fn on_call_now(suite: &Suite, people: &[&str]) {
    let (from, to) = (instant(now() - HOUR), instant(now() + 9 * HOUR));
    let shifts = people
        .iter()
        .map(|person| format!("[[schedule.shift]]\nperson = '{person}'\nstart = {from}\nend = {to}\n"));
    let second = format!(
        "[[schedule]]\nid = 'second'\nname = 'second'\n[[schedule.shift]]\nperson = 'bob'\nstart = {from}\nend = {to}\n"
    );
    let rota = "[[schedule]]\nid = 'primary'\nname = 'primary'\n".to_string()
        + &shifts.collect::<String>()
        + &second;
    suite.host.write("/etc/authkeys/rota.toml", rota, 0o644);
    suite.must_as("oncall-cache", "oncall-cache sync");
}

#[test]
fn what_a_collector_saw_before_its_turn_is_not_what_was_just_before() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    two_collectors(&suite.host);
    let group = format!("group = '{NUMBERS}'\nattribute = 'memberUid'");
    sink(&suite, Slapd::WRITER, &group);
    let host = &suite.host;
    host.must(
        "install -d -m 750 -o oncall-sink -g oncall-sink /var/lib/oncall-sink-two && \
         (echo \"state = '/var/lib/oncall-sink-two'\"; cat /etc/authkeys/sinks.toml) >/etc/authkeys/two.toml",
    );
    let publish =
        |words: &str| suite.must_as("oncall-collector", &format!("oncall-collector publish {words}"));
    let second = "--config /etc/authkeys/second/collector.toml";
    let two = format!("{second} --sinks /etc/authkeys/two.toml");
    let members = || slapd.values(NUMBERS, "memberUid");
    // The second one has its turn, and sees alice. It goes on for as long as it has that.
    publish(&format!("{second} --now"));
    assert!(at(&suite, 0, &two).contains("added alice"));
    // The first one takes over. Somebody else is on call then, and later on nobody who is eligible.
    publish("--now");
    on_call_now(&suite, &["carol"]);
    publish("");
    assert!(at(&suite, 0, "").contains("added carol"));
    assert_eq!(members(), ["robot", "carol"]);
    on_call_now(&suite, &["dave"]);
    // Back to the second, after weeks perhaps: it knows nobody who could be held, and leaves what is there.
    publish(&format!("{second} --now"));
    let said = at(&suite, 0, &two);
    assert!(said.contains("nobody is on call: nothing is changed until"), "{said}");
    assert_eq!(members(), ["robot", "carol"]);
    // But for who is revoked: they go at once, whoever put them there.
    suite.must_as("oncall-collector", &format!("oncall-collector revoke carol --reason lost {second}"));
    let said = at(&suite, 0, &format!("{two} --dry-run"));
    assert!(said.contains("would remove carol, who is revoked"), "{said}");
    let said = at(&suite, 0, &two);
    assert!(said.contains("removed carol, who is revoked or not eligible any more"), "{said}");
    assert_eq!(members(), ["robot"]);
    suite.must_as("oncall-collector", &format!("oncall-collector unrevoke carol {second}"));
    // Within its turn it remembers, also after a restart of the machine, which takes what was handed over.
    on_call_now(&suite, &["alice"]);
    publish(second);
    at(&suite, 0, &two);
    host.must("rm /run/collector-two/*");
    on_call_now(&suite, &["dave"]);
    publish(second);
    let said = at(&suite, 0, &two);
    assert!(said.contains("nobody is on call: the last ones are held"), "{said}");
    assert_eq!(members(), ["robot", "alice"]);
}

#[test]
fn a_change_that_failed_is_no_drift() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    sink(&suite, Slapd::WRITER, &format!("group = '{NUMBERS}'\nattribute = 'memberUid'"));
    at(&suite, 0, "");
    let password = "/etc/authkeys/sink-password";
    suite.host.must(&format!("cp -p {password} /run/kept && echo wrong >{password}"));
    assert_eq!(run(&suite, 2 * HOUR, "").status.code(), Some(1));
    suite.host.must(&format!("cp -p /run/kept {password}"));
    let said = at(&suite, 2 * HOUR, "");
    assert!(said.contains("added bob") && said.contains("removed alice"), "{said}");
    assert!(!said.contains("drift"), "{said}");
    // What somebody else does is.
    slapd.modify(&format!("dn: {NUMBERS}\nchangetype: modify\ndelete: memberUid\nmemberUid: bob\n"));
    let said = at(&suite, 2 * HOUR, "");
    assert!(said.contains("drift: somebody had taken it out; added bob"), "{said}");
}

#[test]
fn a_late_shift_gives_a_right_once_it_is_known_for_long_enough() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    let config = "/etc/authkeys/config.toml";
    suite.host.must(&format!("sed -i \"s/^provider = 'rota'/&\\nlate = 'claim'/\" {config}"));
    suite.sync();
    sink(&suite, Slapd::WRITER, &format!("group = '{NUMBERS}'\nattribute = 'memberUid'"));
    at(&suite, 0, "");
    assert_eq!(on_call(&slapd), ["alice"]);
    // bob joins now, and gets the right once his shift is known for as long as one in time is.
    on_call_now(&suite, &["alice", "bob"]);
    let said = at(&suite, 0, "");
    assert!(said.contains("bob is on call by a late shift, which counts here from"), "{said}");
    assert_eq!(on_call(&slapd), ["alice"]);
    let said = at(&suite, 20 * 60, "");
    assert!(said.contains("added bob") && !said.contains("left out"), "{said}");
    // carol takes it from both. Until that counts, whoever had it stays.
    on_call_now(&suite, &["carol"]);
    let said = at(&suite, 0, "");
    assert!(
        said.contains("carol is on call by a late shift") && said.contains("the last ones are held"),
        "{said}"
    );
    let mut held = on_call(&slapd);
    held.sort();
    assert_eq!(held, ["alice", "bob"]);
    // Where late shifts are only recorded, it counts at once.
    suite.host.must(&format!("sed -i \"s/^late = 'claim'/late = 'flag'/\" {config}"));
    at(&suite, 0, "");
    assert_eq!(on_call(&slapd), ["carol"]);
}

#[test]
fn who_is_revoked_goes_at_the_next_run_whatever_is_not_known() {
    let suite = Suite::start();
    let slapd = with_slapd(&suite);
    let host = &suite.host;
    sink(&suite, Slapd::WRITER, &format!("group = '{GROUP}'\nplaceholder = '{NOBODY}'"));
    let alice = format!("uid=alice,{}", Slapd::BASE);
    let is_member = || slapd.values(GROUP, "member").contains(&alice);
    let memory = "/var/lib/oncall-sink/group.json";
    let eligible = |how: &str| {
        slapd.modify(&format!(
            "dn: {}\nchangetype: modify\n{how}: member\nmember: {alice}\n",
            Slapd::GROUP_DN
        ));
    };
    for (ahead, code, why, breaks, mends) in [
        (400 * HOUR, 1, "cannot tell who is on call", "true", "true"),
        (
            0,
            1,
            "roster.db",
            "mv /var/lib/oncall-cache/roster.db /run/kept",
            "mv /run/kept /var/lib/oncall-cache/roster.db",
        ),
        (0, 1, "not understood", "cp -p MEMORY /run/kept && echo x >MEMORY", "cp -p /run/kept MEMORY"),
        // Nobody knows that she was put in, and nobody is on call.
        (4 * HOUR, 0, "nobody is on call", "rm MEMORY", "true"),
    ] {
        at(&suite, 0, "");
        assert!(is_member(), "{why}");
        host.must(&breaks.replace("MEMORY", memory));
        run(&suite, ahead, "");
        assert!(is_member(), "{why}: she stays as long as it is not known");
        // Whether she is eligible still or not.
        eligible("delete");
        host.must("oncall-cache revoke alice --reason lost");
        let output = run(&suite, ahead, "");
        assert_eq!(output.status.code(), Some(code), "{}", text(&output));
        let said = text(&output);
        assert!(said.contains(why) && said.contains(&format!("removed {alice}, who is revoked")), "{said}");
        assert!(!is_member(), "{why}");
        assert_eq!(slapd.values(GROUP, "member").len(), 2, "all others stay");
        host.must("oncall-cache unrevoke alice");
        eligible("add");
        host.must(&mends.replace("MEMORY", memory));
    }
}
