//! `authkeys` as a program: readers, environment, files, arguments, the child that asks.

use harness::hostile::{Hostile, Play};
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::text;

use super::{MEMORY, Site, key_of, stdout, timed};

#[test]
fn a18_a_reader_that_leaves_or_never_reads_holds_nobody_up() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let keys: Vec<String> = (0..64).map(made_keys::numbered).collect();
    site.slapd.add_person("many", "", &keys.iter().map(String::as_str).collect::<Vec<_>>());
    suite.sync_keys();
    let gone = suite.run_as(
        "root",
        "(runuser -u authkeys -- authkeys many; echo $? >/tmp/status) | head -1 >/dev/null; cat /tmp/status",
    );
    assert_eq!(stdout(&gone), "0\n", "{}", text(&gone));
    // A pipe that is full already and that nobody reads.
    let script = "mkfifo -m 666 /tmp/pipe; exec 3<>/tmp/pipe; (timeout 1 cat /dev/zero >&3); \
                  runuser -u authkeys -- authkeys many >&3; echo $?";
    let stuck = timed(900, || suite.run_as("root", script));
    assert_eq!(stdout(&stuck), "2\n", "{}", text(&stuck));
}

#[test]
fn a19_the_environment_changes_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let forged = "AUTHKEYS_CONFIG=/tmp/x LDAPCONF=/tmp/x LDAPTLS_REQCERT=never LDAPTLS_CACERT=/tmp/x \
                  SSL_CERT_FILE=/tmp/x SSL_CERT_DIR=/tmp HTTPS_PROXY=http://127.0.0.1:1 ALL_PROXY=socks5://127.0.0.1:1 \
                  RUST_LOG=trace RUST_BACKTRACE=full TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 PATH=/tmp LD_LIBRARY_PATH=/tmp HOME=/tmp";
    let both = || {
        let plain = suite.run_as("authkeys", "/usr/bin/authkeys alice");
        site.forget_outages();
        let forged = suite.run_as("authkeys", &format!("env {forged} /usr/bin/authkeys alice"));
        assert_eq!(
            (plain.status, &plain.stdout, &plain.stderr),
            (forged.status, &forged.stdout, &forged.stderr)
        );
        plain
    };
    assert_eq!(stdout(&both()), format!("{} alice\n", key_of(&suite, "alice")), "live");
    suite.sync_keys();
    assert_eq!(both().status.code(), Some(0), "from the copy");
    site.slapd.stop();
    site.without_copy();
    assert_eq!(both().status.code(), Some(2), "unknown");
}

#[test]
fn a20_files_that_others_could_have_written_or_read_are_refused_before_any_packet() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.record();
    let good = suite.host.read("/etc/authkeys/config.toml");
    for damage in [
        "chmod g+w config.toml",
        "chown authkeys config.toml",
        "mv config.toml real.toml && ln -s real.toml config.toml",
        "chmod o+r bind-password",
        "chown authkeys bind-password",
        "chmod o+w ldap-ca.pem",
    ] {
        site.hostile.play(Play::Proxy);
        let _ = site.hostile.counted();
        suite.host.must(&format!("cd /etc/authkeys && {damage}"));
        site.without_copy();
        site.cannot_tell("alice", "file-untrusted");
        // Requests are not counted: the farewell of the conversation before may come late.
        assert_eq!(site.hostile.counted().0, 0, "{damage}: no packet");
        suite.host.must("cd /etc/authkeys && rm -f config.toml && chown root bind-password && chmod 640 bind-password && chmod 644 ldap-ca.pem");
        suite.host.write("/etc/authkeys/config.toml", &good, 0o644);
        site.serves_alice();
    }
}

#[test]
fn a21_wrong_usage_is_said_on_stderr_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = key_of(&suite, "alice");
    for usage in ["", "alice ssh-ed25519", "alice ssh-ed25519 '!!'", &format!("alice {key} more")] {
        let output = site.run(usage);
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(64), ""), "{usage}");
        assert!(!output.stderr.is_empty(), "{usage}");
    }
}

#[test]
fn lookup_mode_asks_once_remembers_and_copies_eligible_people_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.configure(&[Hostile::LDAPS_URL], "source = 'live'");
    site.hostile.play(Play::Proxy);
    // Twenty logins at once are one question.
    let script = "i=0; while [ $i -lt 20 ]; do authkeys alice & i=$((i+1)); done; wait";
    let said = suite.must_as("authkeys", script);
    assert_eq!(said, format!("{} alice\n", key_of(&suite, "alice")).repeat(20));
    assert_eq!(site.hostile.counted(), (1, 3), "one connection: bind, search, unbind");
    // So is a login of somebody whom nobody knows.
    for _ in 0..3 {
        assert!(site.knows_none_for("nobody").contains("reason=no-such-user"));
    }
    assert_eq!(site.hostile.counted().0, 1);
    let explained = stdout(&site.run("--explain alice"));
    assert!(explained.contains("\nanswer: an earlier live answer, "), "{explained}");
    assert!(explained.contains("were dropped is not recorded\n"), "{explained}");
    assert_eq!(site.hostile.counted().0, 0);
    // Old enough, it is asked again.
    site.age_memory(301);
    site.serves_alice();
    assert_eq!(site.hostile.counted().0, 1);
    // A memory that is damaged, or cannot be written, is no obstacle.
    suite.host.must(&format!("echo damaged >{MEMORY}/lookups.db"));
    site.serves_alice();
    assert!(site.serves_alice().ends_with("owners=alice"), "it was made anew");
    suite.host.must(&format!("mount -t tmpfs -o size=4k,mode=700,uid=$(id -u authkeys) tmpfs {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!(
        "dd if=/dev/zero of={MEMORY}/full bs=4k count=1 2>/dev/null; chown authkeys {MEMORY}"
    ));
    assert!(site.serves_alice().contains("source=directory memory="), "a full disk is said");
    suite.host.must(&format!("mount -o remount,ro {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!("umount {MEMORY} && chmod 770 {MEMORY}"));
    site.serves_alice();
    suite.host.must(&format!("chmod 700 {MEMORY}"));
    // Another filter is another directory: nothing that was remembered counts.
    site.configure(&[Slapd::LDAPS_URL], "source = 'live'");
    suite.sync_keys();
    let copied = suite.host.must("sqlite3 /var/lib/authkeys/keys.db 'SELECT principal FROM person'");
    assert_eq!(copied, "alice\nbob\ncarol\n", "dave is not eligible");
    // That copy is no copy of everybody.
    site.configure(&[Slapd::LDAPS_URL], "");
    let dave = site.run("dave");
    assert_eq!(stdout(&dave), format!("{} dave\n", key_of(&suite, "dave")), "{}", text(&dave));
}

#[test]
fn a_large_people_file_is_asked_live_too() {
    use std::fmt::Write as _;
    let suite = Suite::start();
    let mut people = String::new();
    for number in 0..20_000 {
        let key = made_keys::numbered(number);
        let _ = writeln!(
            people,
            "[[person]]\nusername = 'u{number}'\nmail = ['u{number}@example.com']\nkeys = ['{key}']"
        );
    }
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    let config = "[directory]\nfile = 'people.toml'\n[keys]\nsource = 'live'\ntimeout = '10s'\n";
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    let output = suite.run_as("authkeys", "authkeys u19999");
    assert_eq!(stdout(&output), format!("{} u19999\n", made_keys::numbered(19_999)), "{}", text(&output));
}

#[test]
fn the_child_of_root_gives_up_root_before_it_asks() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let secret = "/etc/authkeys/bind-password";
    let ours = suite.must_as("root", "authkeys dave");
    assert_eq!(ours, format!("{} dave\n", key_of(&suite, "dave")));
    // A file that root alone can read is not for it.
    suite
        .host
        .must(&format!("stat -c %G {secret} >/tmp/group && chown root:root {secret} && chmod 600 {secret}"));
    let output = suite.run_as("root", "authkeys dave");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("bind-password"), "{}", text(&output));
    suite.host.must(&format!("chown root:$(cat /tmp/group) {secret} && chmod 640 {secret}"));
    assert_eq!(suite.must_as("root", "authkeys dave"), ours);
    drop(site);
}

#[test]
fn root_explains_what_sshd_gets_also_in_an_outage_and_leaves_nothing() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let answer = format!("{} dave\n", key_of(&suite, "dave"));
    let files = || suite.host.must(&format!("cd {MEMORY} && ls -l --time-style=full-iso && sha256sum *"));
    for source in ["live", "copy"] {
        site.without_copy();
        site.configure(&[Slapd::LDAPS_URL], &format!("source = '{source}'"));
        assert_eq!(stdout(&site.run("dave")), answer);
        site.slapd.stop();
        site.age_memory(400);
        let before = files();
        let explained = suite.must_as("root", "authkeys --explain dave");
        assert!(
            explained.starts_with("dave: 1 key (keys-stale)\nanswer: an earlier live answer"),
            "{explained}"
        );
        assert_eq!(suite.must_as("root", "authkeys dave"), answer, "{source}");
        assert_eq!(files(), before, "{source}");
        // What root cannot use is no obstacle, and stays for its owner to fix.
        suite.host.must(&format!("echo damaged >{MEMORY}/lookups.db"));
        assert_eq!(suite.run_as("root", "authkeys dave").status.code(), Some(2));
        assert_eq!(suite.host.read(&format!("{MEMORY}/lookups.db")), "damaged\n");
        site.slapd.resume();
        site.forget_outages();
    }
}
