//! Who was root, as `oncall-cache report` tells it of what was written down.

use std::io::Write;

use harness::records::{AUDIT, admitted, alone, open_session, records, suite, word};
use harness::suite::{Suite, seconds};
use harness::{text, wait_until, wait_within};
use serde_json::Value;

/// `oncall-cache report`, as root, and its exit status.
fn report(suite: &Suite, words: &str) -> (i32, String) {
    let output = suite.host.sh(&format!("oncall-cache report {words}"));
    assert!(output.stderr.is_empty(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().expect("an exit status"), said)
}

fn json_report(suite: &Suite, words: &str) -> Value {
    serde_json::from_str(&report(suite, &format!("{words} --json")).1).expect("JSON")
}

#[test]
fn a_report_says_who_could_who_did_who_was_refused_and_what_is_not_known() {
    let suite = suite();
    suite.host.must("useradd -m -G sudo breakglass");
    admitted(&suite.ssh("alice", "root", "id -u"));
    admitted(&suite.run_as("alice", "sudo -n id -u"));
    admitted(&suite.run_as("breakglass", "sudo -n id -u"));
    for _ in 0..3 {
        assert!(!suite.run_as("bob", "sudo -n id -u").status.success());
    }
    suite.must_as("root", "oncall-cache revoke carol");
    assert!(!suite.run_as("carol", "sudo -n id -u").status.success());
    assert!(suite.ssh("dave", "dave", "true").status.success());
    wait_until("all sessions are closed", || {
        records(&suite).iter().filter(|record| word(record, "phase") == "close").count() == 3
    });

    let told = json_report(&suite, "--since 1h");
    let list = |name: &str, fields: &[&str]| -> Vec<String> {
        let rows = told[name].as_array().expect("a list").iter();
        rows.map(|row| {
            fields.iter().map(|field| row[field].to_string()).collect::<Vec<_>>().join(" ").replace('"', "")
        })
        .collect()
    };
    assert_eq!(
        list("logins", &["class", "person", "account", "service", "reason"]),
        [
            "oncall alice root sshd oncall",
            "oncall alice root sudo oncall",
            "exempt breakglass root sudo exempt"
        ]
    );
    for login in told["logins"].as_array().expect("a list") {
        let [decided, opened, closed] =
            ["decided", "opened", "closed"].map(|name| seconds(word(login, name)));
        assert!(decided <= opened && opened <= closed, "{login}");
    }
    assert_eq!(
        list("refused", &["who", "person", "service", "reason", "count"]),
        ["bob true sudo not-oncall 3"]
    );
    assert_eq!(list("revoked", &["who", "reason", "count"]), ["carol revoked 1"]);
    assert_eq!(list("could", &["person", "schedule", "level"]), ["alice rota/primary 1"]);
    assert_eq!(told["not_ours"], 1);
    assert_eq!((word(&told, "host"), told["version"].as_i64()), ("testhost", Some(1)));

    let (code, table) = report(&suite, "--since 1h");
    assert_eq!(code, 1, "{table}");
    for words in [
        "who could become root",
        "by an exempt account",
        "rota/primary by rule everywhere",
        "the oldest record is from ",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let (_, csv) = report(&suite, "--since 1h --csv");
    assert!(csv.lines().all(|line| line.split(',').count() >= 13), "{csv}");
    assert!(
        csv.contains("\nrefused,bob,bob,sudo,")
            && csv.contains("\noncall,alice,root,sshd,127.0.0.1,ssh,SHA256:"),
        "{csv}"
    );
    // Now the oldest record is before the time that is asked about, and nothing is missing.
    wait_until("a second is over", || harness::suite::now() > seconds(word(&records(&suite)[0], "time")) + 1);
    let since = harness::suite::instant(seconds(word(&records(&suite)[0], "time")) + 1);
    assert_eq!(report(&suite, &format!("--since {since}")).0, 0);
    let by_user = suite.run_as("alice", "oncall-cache report");
    assert_eq!(by_user.status.code(), Some(2), "{}", text(&by_user));
    assert_eq!(suite.host.sh("oncall-cache report --since yesterday").status.code(), Some(64));
}

#[test]
fn a_report_reads_rotated_and_damaged_files_and_says_what_is_gone() {
    let suite = suite();
    alone(&suite, "sshd");
    for _ in 0..4 {
        open_session(&suite);
    }
    suite.host.must(&format!("mv {AUDIT} {AUDIT}.1"));
    open_session(&suite);
    // One record taken out, one line damaged, one endless, and a rotated file that somebody compressed.
    suite.host.must(&format!(
        "sed -i 2d {AUDIT}.1 && printf 'garbled\n' >>{AUDIT}.1 && head -c 1000000 /dev/zero >>{AUDIT}.1 && touch {AUDIT}.2.gz {AUDIT}"
    ));
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(4));
    let gaps = told["gaps"].to_string();
    for words in [
        "1 record is missing between number 1 (",
        ") and number 3 (",
        "2 lines of the audit file could not be read",
        "1 rotated file of",
    ] {
        assert!(gaps.contains(words), "{gaps}");
    }
    assert!(!gaps.contains("the last"), "{gaps}");
    // What was written last is gone too, and the module has counted it.
    suite.host.must(&format!("cp {AUDIT} /var/log/authkeys.kept && : >{AUDIT}"));
    let gaps = json_report(&suite, "")["gaps"].to_string();
    let last = "the last record is missing: 5 were counted since the boot, and the last one that is there is number 4 (";
    assert!(gaps.contains(last), "{gaps}");
    suite.host.must(&format!("cat /var/log/authkeys.kept >{AUDIT}"));
    // Whatever others could have written is not trusted.
    suite.host.must(&format!("chown dave {AUDIT}.1"));
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(1));
    assert!(told["gaps"].to_string().contains("is not root's alone"), "{told}");
}

#[test]
fn whoever_reads_takes_no_more_memory_than_64_mib_whatever_the_file() {
    let suite = suite();
    alone(&suite, "sshd");
    open_session(&suite);
    let peak = |what: &str, command: &str| {
        let output = suite.host.sh(&format!("/usr/bin/time -f %M -o /run/rss {command} >/run/out 2>&1"));
        let said = suite.host.read("/run/rss");
        let kibibytes: u64 = said.trim().lines().last().and_then(|line| line.parse().ok()).expect("a number");
        println!("{what}: {kibibytes} KiB");
        assert!(kibibytes < 64 * 1024, "{what}: {kibibytes} KiB");
        (output.status.code(), suite.host.must("head -c 4000 /run/out"))
    };
    // Each record is one that could be, and of a length that a line may have; each has an id of its own.
    let first = records(&suite)[0].clone();
    for (count, length) in [(9_000, 11_000), (60_000, 9)] {
        let file = std::fs::OpenOptions::new().write(true).truncate(true).open(suite.host.path(AUDIT));
        let mut file = std::io::BufWriter::new(file.expect("the audit file"));
        for number in 0..count {
            let mut record = first.clone();
            record["id"] = number.to_string().into();
            record["rhost"] = "x".repeat(length).into();
            writeln!(file, "{record}").expect("room");
        }
        file.flush().expect("room");
        for form in ["--json", "--csv", ""] {
            let (code, _) = peak("report", &format!("oncall-cache report {form}"));
            assert_eq!(code, Some(1));
            suite.host.must("grep -q '[0-9]* records are too many' /run/out");
        }
    }
    // A roster of which every row is as it should be.
    let change = |file: &str, sql: &str| {
        suite.host.write("/run/sql", sql, 0o644);
        suite.host.must(&format!("sqlite3 {file} </run/sql"));
    };
    change(
        "/var/lib/oncall-cache/roster.db",
        "DELETE FROM schedule; DELETE FROM shift;
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
         INSERT INTO schedule SELECT i, 's', i, 'p', hex(zeroblob(500)), 0, 0 FROM n;",
    );
    // A decision does not look at schedules that no rule names.
    let (code, said) = peak("check", "oncall-cache test-access alice");
    assert!(code == Some(2) && said.contains("source-incomplete"), "{said}");
    let (code, said) = peak("who", "oncall-cache who");
    assert!(code == Some(2) && said.contains("larger than a roster may be"), "{said}");
    // One person with more keys than anybody has.
    change(
        "/var/lib/authkeys/keys.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO public_key SELECT 'alice', i, (SELECT line FROM public_key WHERE principal = 'alice') FROM n;",
    );
    let _ = suite.lines_of("authkeys");
    let (_, said) = peak("authkeys", "runuser -u authkeys -- authkeys alice");
    // The directory is asked instead: it answers, or the copy is what is wrong.
    let log = suite.lines_of("authkeys").join("\n");
    assert!(log.contains("copy=cache-corrupt") || log.contains("reason=cache-corrupt"), "{said} {log}");
}

#[test]
fn what_is_rotated_as_the_packages_do_it_is_in_the_report() {
    let suite = suite();
    alone(&suite, "sshd");
    suite.host.must("chgrp adm /var/log/authkeys");
    for _ in 0..2 {
        open_session(&suite);
        let before = harness::suite::now();
        // time(2), by which logrotate names it, is behind by up to a tick.
        wait_until("the next one gets another name", || harness::suite::now() > before + 1);
        suite
            .host
            .must("logrotate --force --state /root/rotated /run/suite/source/packaging/logrotate.d/authkeys");
    }
    open_session(&suite);
    assert_eq!(suite.host.must(&format!("ls {AUDIT}*")).lines().count(), 3);
    assert_eq!(suite.host.must(&format!("stat -c %U:%G {AUDIT}")), "root:adm\n", "its directory's group");
    let told = json_report(&suite, "");
    assert_eq!(told["logins"].as_array().map(Vec::len), Some(3), "{told}");
    assert!(!told["gaps"].to_string().contains("compressed"), "{told}");
}

#[test]
fn whom_enforcing_would_refuse_is_told_before_it_does_people_and_programs_apart() {
    let suite = suite();
    suite
        .host
        .must("useradd --system -m nagios && echo 'nagios ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/nagios");
    suite.host.must("sed -i 's/^\\[policy\\]/&\\nmode = \"observe\"/' /etc/authkeys/config.toml");
    for person in ["alice", "bob", "dave", "nagios", "nagios"] {
        admitted(&suite.run_as(person, "sudo -n id -u"));
    }
    let told = json_report(&suite, "--would-refuse --since 14d");
    let rows: Vec<(String, bool, i64)> = told["would_refuse"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| (word(row, "who").to_string(), row["person"] == true, row["count"].as_i64().unwrap_or(0)))
        .collect();
    let row = |who: &str, is_person, count| (who.to_string(), is_person, count);
    assert_eq!(rows, [row("nagios", false, 2), row("bob", true, 1), row("dave", true, 1)]);
    let (code, table) = report(&suite, "--would-refuse --since 14d");
    assert_eq!(code, 1, "{table}");
    let (people, programs) = table.split_once("programs, and others who").expect("two parts");
    assert!(people.contains("bob") && people.contains("dave") && !people.contains("nagios"), "{table}");
    assert!(programs.contains("nagios") && !programs.contains("bob"), "{table}");
}

#[test]
fn a_rotation_loses_no_record_and_a_report_meanwhile_counts_none_twice() {
    const EACH: i64 = 40;
    let suite = suite();
    // Refusals alone: one record each, and fewer than a person has in a minute. In four parts: each waits until the one
    // before it was rotated.
    let refusals = format!(
        "for part in 0 1 2 3; do
            until [ $(ls {AUDIT}-* 2>/dev/null | wc -l) -ge $part ]; do sleep 0.05; done
            for i in $(seq $(({EACH} / 4))); do for who in bob carol dave; do runuser -u $who -- sudo -n true; done; done
         done >/dev/null 2>&1; touch /run/done"
    );
    suite.host.daemon(&["/bin/sh", "-c", &refusals], "/dev/null");
    let refused = |told: &Value| -> i64 {
        let rows = told["refused"].as_array().expect("a list").iter();
        rows.map(|row| row["count"].as_i64().expect("a number")).sum()
    };
    let rotated = || {
        let count = suite.host.must(&format!("ls {AUDIT}-* 2>/dev/null | wc -l"));
        count.trim().parse::<u32>().expect("a number")
    };
    let mut before = 0;
    wait_within(900, "all is written", || {
        let is_over = suite.host.path("/run/done").exists();
        // A slow machine would rotate the first ones away.
        if rotated() < 20 {
            suite.host.sh("logrotate -f -s /run/rotated /etc/logrotate.d/authkeys");
        }
        let told = json_report(&suite, "--since 1h");
        let gaps = told["gaps"].to_string();
        assert!(!gaps.contains("missing") && !gaps.contains("not read"), "{told:#}");
        let now = refused(&told);
        assert!(now >= before && now <= 3 * EACH, "{before}, then {now}: {told:#}");
        before = now;
        is_over
    });
    assert_eq!(before, 3 * EACH, "after {} rotations", rotated());
    let files = suite.host.must("cd /var/log/authkeys && ls && stat -c '%U:%G %a' * | sort -u");
    assert!(!files.contains(".backup") && files.ends_with("root:root 640\n"), "{files}");
}

#[test]
fn the_incident_and_the_certificate_by_which_somebody_came_in_are_told_in_every_form() {
    let suite = Suite::start();
    suite.sync_keys();
    suite.host.must(
        "cd /root/keys && ssh-keygen -qt ed25519 -N '' -C '' -f ca && ssh-keygen -qs ca -I 'INC-42 alice' -z 7 -n alice -V +1h alice.pub",
    );
    let now = harness::suite::now();
    let instant = harness::suite::instant;
    let shift = serde_json::json!({"user": {"id": "1", "username": "alice"}, "start": instant(now - 3_600), "end": instant(now + 3_600)});
    let incident =
        serde_json::json!({"service": "web", "id": "4711", "opened": instant(now - 60), "closed": null});
    let rota = serde_json::json!({
        "version": 1, "generated_at": instant(now), "schedules": [{"id": "primary", "shifts": [shift]}], "incidents": [incident],
    });
    suite.host.write("/etc/authkeys/site.json", rota.to_string(), 0o644);
    let config = format!(
        "[host]\nname = 'testhost'\n[directory]\nfile = 'people.toml'\n[[oncall.source]]\nname = 'site'\nprovider = 'file'\n\
         file = 'site.json'\n[policy]\ncertificate_authorities = ['{}']\n[[policy.rule]]\nname = 'db'\n\
         schedules = ['site/primary']\nincident = {{ source = 'site', services = ['web'] }}\n",
        suite.public_key("ca").trim()
    );
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    suite.sync();
    alone(&suite, "sshd");
    // sshd tells PAM of the key in this way: here with the certificate, then without.
    for file in ["alice-cert.pub", "alice.pub"] {
        suite.host.must(&format!(
            "pamtester -E \"SSH_AUTH_INFO_0=publickey $(cut -d' ' -f1-2 /root/keys/{file})\n\" sshd root open_session"
        ));
    }
    let authority = suite.host.must("ssh-keygen -lf /root/keys/ca.pub | cut -d' ' -f2");
    let authority = authority.trim();

    let told = json_report(&suite, "--since 1h");
    let logins = told["logins"].as_array().expect("a list");
    let certificate = serde_json::json!({"authority": authority, "serial": 7, "key_id": "INC-42 alice"});
    let expected = [certificate, Value::Null];
    assert_eq!(logins.len(), expected.len(), "{told:#}");
    for (login, certificate) in logins.iter().zip(expected) {
        assert_eq!((&login["certificate"], word(login, "incident")), (&certificate, "4711"), "{login:#}");
    }
    assert_eq!(
        (&told["incident_rules"], &told["untaken"]),
        (&serde_json::json!(["db"]), &serde_json::json!([]))
    );
    let ground = "site/primary by rule db, during incident 4711";
    let by_certificate = format!("{ground}, with certificate 7 signed by {authority} (INC-42 alice)");
    let (_, table) = report(&suite, "--since 1h");
    assert!(table.contains("rule db waits for an incident: "), "{table}");
    for form in [table, report(&suite, "--since 1h --csv").1] {
        assert!(form.matches(ground).count() == 2 && form.matches(&by_certificate).count() == 1, "{form}");
    }
    let page = |words: &str| {
        suite.host.sh(&format!("oncall-cache report --since 1h --html /root/page.html {words}"));
        suite.host.read("/root/page.html")
    };
    let named = page("");
    for words in [
        "during incident 4711",
        &format!("with certificate 7 signed by {authority} (INC-42 alice)"),
        "Rule db waits for an incident",
    ] {
        assert!(named.contains(words), "{words}: {named}");
    }
    let numbered = page("--pseudonyms");
    for (words, is_there) in [
        ("during incident 4711", true),
        ("with a certificate, left out here", true),
        ("INC-42", false),
        (authority, false),
        ("alice", false),
    ] {
        assert_eq!(numbered.contains(words), is_there, "{words}: {numbered}");
    }
}

/// A line for a log server's file, of one host and boot.
fn collected(host: u64, number: u64) -> String {
    let at = harness::suite::instant(1_795_165_200 + i64::try_from(number).expect("small"));
    format!(
        "{{\"version\":1,\"seq\":{number},\"time\":\"{at}\",\"host\":\"db{host}\",\"id\":\"{number:016x}\",\"phase\":\"account\",\
         \"pid\":4711,\"boot_id\":\"00000000-0000-4000-8000-{host:012}\",\"person\":\"alice\",\"account\":\"root\",\"service\":\"sudo\",\
         \"verdict\":\"allow\",\"reason\":\"oncall\",\"effect\":\"pass\",\"mode\":\"enforce\",\"rule\":\"everywhere\"}}\n"
    )
}

#[test]
fn a96_what_a_fleets_report_takes_grows_with_hosts_and_not_with_records() {
    let suite = suite();
    let mut peaks = Vec::new();
    for count in [1_000, 40_000] {
        for host in 1..=3 {
            let lines: String = (1..=count).map(|number| collected(host, number)).collect();
            suite.host.write(&format!("/srv/records/db{host}/decisions.jsonl"), lines, 0o644);
        }
        let output = suite.host.sh("/usr/bin/time -f %M -o /run/rss oncall-cache report --fleet /srv/records --since 2026-11-20T08:00:00Z --json");
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        assert_eq!(told["hosts"].as_array().map(Vec::len), Some(3));
        assert!(
            told["hosts"].as_array().expect("a list").iter().all(|host| host["records"] == count),
            "{told}"
        );
        let said = suite.host.read("/run/rss");
        peaks.push(said.trim().lines().last().and_then(|line| line.parse::<u64>().ok()).expect("a number"));
    }
    println!("{peaks:?} KiB");
    assert!(peaks[1] < peaks[0] + 4 * 1024, "{peaks:?} KiB for forty times as many records");
}
