//! The sync programs themselves: who runs them, the configuration they take, the answers they give.

use harness::suite::{HOUR, Suite};
use harness::text;
use serde_json::Value;

use super::fails;

#[test]
fn a_sync_that_root_runs_by_hand_is_the_services() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.host.must("authkeys-sync && oncall-cache sync");
    let owners = suite.host.must("cd /var/lib && stat -c '%n %U:%G %a' authkeys/* oncall-cache/*");
    assert_eq!(
        owners,
        "authkeys/keys.clock authkeys-sync:authkeys 640\nauthkeys/keys.db authkeys-sync:authkeys 640\nauthkeys/keys.lock authkeys-sync:authkeys-sync 600\n\
         authkeys/keys.stamp authkeys-sync:authkeys 640\noncall-cache/fleet oncall-cache:authkeys 750\n\
         oncall-cache/group oncall-cache:oncall-cache 644\n\
         oncall-cache/group.clock oncall-cache:oncall-cache 644\n\
         oncall-cache/history.jsonl oncall-cache:oncall-cache 640\n\
         oncall-cache/roster.clock oncall-cache:oncall-cache 644\noncall-cache/roster.db oncall-cache:oncall-cache 644\noncall-cache/roster.lock oncall-cache:oncall-cache 600\n\
         oncall-cache/status.json oncall-cache:oncall-cache 644\n"
    );
    suite.sync();
    // The owner of the directory cannot make root write elsewhere.
    for (directory, lock, program) in
        [("oncall-cache", "roster.lock", "oncall-cache sync"), ("authkeys", "keys.lock", "authkeys-sync")]
    {
        suite.host.must(&format!("cd /var/lib/{directory} && rm {lock} && ln -s /etc/made-by-root {lock}"));
        let output = suite.host.sh(program);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(suite.host.sh("test -e /etc/made-by-root").status.code() == Some(1));
    }
}

#[test]
fn a_people_file_that_is_the_same_to_the_byte_is_not_read_again_and_every_other_one_is() {
    let suite = Suite::start();
    let host = &suite.host;
    let state = |name: &str| format!("/var/lib/authkeys/{name}");
    let stamp = || {
        let text = host.read(&state("keys.stamp"));
        text.trim().split(' ').map(str::to_string).collect::<Vec<_>>()
    };
    let says = |effect: &str| {
        let said = suite.sync_keys();
        assert!(said.starts_with(effect), "expected {effect}: {said}");
    };
    says("4 changed, 0 removed, 4 people, 3 newly eligible, ");
    let first = stamp();
    assert_eq!(first.len(), 3, "a note of the file: {first:?}");
    says("0 changed, 0 removed, 4 people, ");
    assert_eq!(stamp()[2], first[2], "the note says still when the file was read");

    // Another content of the same size and time.
    let people = host.read("/etc/authkeys/people.toml");
    host.must("cp -p /etc/authkeys/people.toml /root/people.toml");
    let other = people.replace("dave@example.com", "dave@example.net");
    host.write("/etc/authkeys/people.toml", &other, 0o644);
    host.must("touch -r /root/people.toml /etc/authkeys/people.toml");
    says("1 changed, 0 removed, 4 people, ");
    says("0 changed");
    // A copy from elsewhere, and its stamp with it or not.
    let (new, new_stamp) = (host.read_bytes(&state("keys.db")), host.read(&state("keys.stamp")));
    host.must("cp -p /root/people.toml /etc/authkeys/people.toml");
    says("1 changed, 0 removed, 4 people, ");
    std::fs::write(host.path(&state("keys.db")), &new).expect("root can write");
    says("1 changed, 0 removed, 4 people, ");
    std::fs::write(host.path(&state("keys.db")), &new).expect("root can write");
    std::fs::write(host.path(&state("keys.stamp")), new_stamp).expect("root can write");
    says("1 changed, 0 removed, 4 people, ");
    let mail = "sqlite3 /var/lib/authkeys/keys.db \"SELECT address FROM mail WHERE principal = 'dave'\"";
    assert_eq!(host.must(mail), "dave@example.com\n");
    host.must("rm /var/lib/authkeys/keys.db");
    says("4 changed, 0 removed, 4 people, ");

    // The same bytes under another name, and for another kind of copy.
    let config = host.read("/etc/authkeys/config.toml");
    host.must("cp /etc/authkeys/people.toml /etc/authkeys/people2.toml");
    host.write("/etc/authkeys/config.toml", config.replace("people.toml", "people2.toml"), 0o644);
    says("4 changed, 0 removed, 4 people, ");
    host.write("/etc/authkeys/config.toml", format!("{config}[keys]\nsource = 'live'\n"), 0o644);
    says("3 changed, 0 removed, 3 people, ");
    host.write("/etc/authkeys/config.toml", &config, 0o644);
    says("4 changed, 0 removed, 4 people, ");

    // What was dropped is said each time; a file that others can write is not even hashed.
    host.write("/etc/authkeys/people.toml", people.replacen("keys = [", "keys = ['none', ", 1), 0o644);
    for _ in 0..2 {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(text(&output).contains("dropped alice: key 1: "), "{}", text(&output));
    }
    assert_eq!(stamp().len(), 2);
    host.write("/etc/authkeys/people.toml", &people, 0o644);
    says("1 changed");
    host.must("chmod o+w /etc/authkeys/people.toml");
    fails(&suite, "authkeys-sync", "others can write it");
}

#[test]
fn mistakes_in_the_configuration_are_named_with_file_and_line() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let good = suite.host.read("/etc/authkeys/config.toml");
    let bad = good.replace("exempt_accounts", "exempt_acounts");
    suite.host.write("/etc/authkeys/config.toml", &bad, 0o644);
    let words = "/etc/authkeys/config.toml:11: unknown key `exempt_acounts`; did you mean `exempt_accounts`?";
    fails(&suite, "authkeys-sync", words);
    fails(&suite, "oncall-cache sync", words);
    for (user, command) in [
        ("authkeys", "authkeys alice"),
        ("nobody", "oncall-cache test-access alice"),
        ("nobody", "oncall-cache who"),
        ("nobody", "oncall-cache config check /etc/authkeys/config.toml"),
    ] {
        let output = suite.run_as(user, command);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", text(&output));
        assert!(text(&output).contains(words), "{command}: {}", text(&output));
    }
    suite.host.write("/etc/authkeys/config.toml", &good, 0o664);
    fails(
        &suite,
        "oncall-cache sync",
        "/etc/authkeys/config.toml: refused, others can write it; chmod go-w it",
    );
    suite.host.must("rm /etc/authkeys/config.toml");
    fails(&suite, "authkeys-sync", "/etc/authkeys/config.toml: no such file");
    suite.host.write("/etc/authkeys/config.toml", &good, 0o644);
    suite.host.write("/etc/authkeys/people.toml", "[[person]]\nusername = 'alice'\nkey = 'x'\n", 0o644);
    fails(&suite, "authkeys-sync", "/etc/authkeys/people.toml:3: unknown key `key`; did you mean `keys`?");
}

#[test]
fn the_configuration_as_it_holds_is_a_configuration() {
    let suite = Suite::start();
    let shown = suite.must_as("nobody", "oncall-cache config show");
    assert!(shown.contains("\nfile = \"/etc/authkeys/people.toml\"\n"), "{shown}");
    assert!(shown.contains("\nmax_age = \"1d\"\n"), "defaults are filled in: {shown}");
    suite.host.write("/etc/authkeys/shown.toml", &shown, 0o644);
    suite.must_as("nobody", "oncall-cache config check /etc/authkeys/shown.toml");
    let again = suite.must_as("nobody", "oncall-cache --config /etc/authkeys/shown.toml config show");
    assert_eq!(again.lines().skip(1).collect::<Vec<_>>(), shown.lines().skip(1).collect::<Vec<_>>());
    let json = suite.must_as("nobody", "oncall-cache config show --json");
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["version"], 1);
    assert_eq!(json["config"]["policy"]["rule"][0]["name"], "everywhere");
}

#[test]
fn a01_hostile_names_are_refused_before_anything_is_read() {
    let suite = Suite::start();
    // No database: a name that is judged first, by what [names] says, is still the reason.
    suite.host.must("rm -r /var/lib/authkeys");
    let long = "x".repeat(33);
    let endless = "x".repeat(100_000);
    for name in ["*", "a)(uid=*", "\\2a", "", "-x", "Alice", "al\u{ee}ce", "a\nb", &long, &endless] {
        let output = suite.host.command("/usr/bin/authkeys").arg(name).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{name:.20?}: {}", text(&output));
        assert!(output.stdout.is_empty());
        let lines = suite.lines_of("authkeys");
        assert_eq!(lines.len(), 1, "{name:.20?}: {lines:#?}");
        assert!(lines[0].contains("decision=unknown reason=bad-user"), "{lines:#?}");
        let check = suite
            .host
            .command("/usr/bin/oncall-cache")
            .args(["test-access", "--", name])
            .output()
            .expect("it runs");
        assert_eq!(check.status.code(), Some(2), "{name:.20?}: {}", text(&check));
    }
}

#[test]
fn authkeys_prints_whole_answers_or_none() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let run = |arguments: &[&str]| {
        suite
            .host
            .command("/usr/sbin/runuser")
            .args(["-u", "authkeys", "--", "authkeys"])
            .args(arguments)
            .output()
            .expect("it runs")
    };
    let key = |name: &str| {
        suite.public_key(name).rsplit_once(' ').map(|(key, _)| key.to_string()).unwrap_or_default()
    };
    let stdout = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let alice = run(&["alice"]);
    assert_eq!((alice.status.code(), stdout(&alice)), (Some(0), format!("{} alice\n", key("alice"))));
    let root = run(&["root"]);
    // The keys of those off call lead to one command.
    let forced = |line: &&str| line.starts_with("restrict,command=\"/usr/bin/oncall-cache explain\" ");
    let told = stdout(&root);
    let open: Vec<&str> = told.lines().filter(|line| !forced(line)).collect();
    assert_eq!((root.status.code(), open), (Some(0), vec![format!("{} alice", key("alice")).as_str()]));
    let nobody = run(&["nobody"]);
    assert_eq!((nobody.status.code(), stdout(&nobody)), (Some(0), String::new()));
    let (kind, blob) = (key("alice"), key("bob"));
    let (kind, alices, bobs) = (
        kind.split(' ').next().unwrap_or(""),
        kind.split(' ').nth(1).unwrap_or(""),
        blob.split(' ').nth(1).unwrap_or(""),
    );
    assert_eq!(stdout(&run(&["alice", kind, alices])), format!("{kind} {alices} alice\n"));
    assert_eq!(stdout(&run(&["alice", kind, bobs])), "");
    for usage in
        [&[][..], &["alice", kind][..], &["alice", kind, "!!"][..], &["alice", kind, alices, "x"][..]]
    {
        let output = run(usage);
        assert_eq!((output.status.code(), stdout(&output)), (Some(64), String::new()), "{usage:?}");
        assert!(!output.stderr.is_empty());
    }
    // A reader that goes away early is no failure.
    let gone = suite
        .host
        .sh("runuser -u authkeys -- sh -c 'authkeys alice; echo $? >/tmp/status' | true; cat /tmp/status");
    assert_eq!(stdout(&gone), "0\n", "{}", text(&gone));
    // The roster gone, root's keys are not known: not the same as none.
    suite.host.must("rm /var/lib/oncall-cache/roster.db");
    let unknown = run(&["root"]);
    assert_eq!((unknown.status.code(), stdout(&unknown)), (Some(2), String::new()));
    assert!(suite.lines_of("authkeys").last().is_some_and(|line| line.contains("reason=cache-missing")));
}

#[test]
fn a_sync_that_waited_in_vain_for_another_one_says_so_and_changes_nothing() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    suite.sync();
    let state = "stat -c '%n %Y %i' /var/lib/authkeys/keys.db /var/lib/oncall-cache/*.db /var/lib/oncall-cache/status.json";
    let before = suite.host.must(state);
    // Both at once: each waits for half a minute.
    suite.host.must(
        "try() { { runuser -u $1 -- flock -n /var/lib/$2.lock $1 $3; echo code $?; } >/run/$1 2>&1; }
         try authkeys-sync authkeys/keys & try oncall-cache oncall-cache/roster sync & wait",
    );
    for (program, lock) in [
        ("authkeys-sync", "/var/lib/authkeys/keys.lock"),
        ("oncall-cache", "/var/lib/oncall-cache/roster.lock"),
    ] {
        let said = suite.host.read(&format!("/run/{program}"));
        let end = format!(
            "{program}: another sync is running (it holds {lock}), nothing was done; run this again when it has ended\ncode 2\n"
        );
        assert!(said.ends_with(&end), "{said}");
    }
    assert_eq!(suite.host.must(state), before);
    // As root leaves it who brings a backup back.
    for (program, lock) in [
        ("authkeys-sync", "/var/lib/authkeys/keys.lock"),
        ("oncall-cache sync", "/var/lib/oncall-cache/roster.lock"),
    ] {
        suite.host.must(&format!("chown root:root {lock}"));
        let output = suite.host.sh(program);
        let fix = format!("chown --reference={} {lock}", lock.rsplit_once('/').expect("a path").0);
        assert!(text(&output).contains(&format!("owner: sudo {fix}\n")), "{}", text(&output));
        suite.host.must(&format!("{fix} && {program}"));
    }
}
