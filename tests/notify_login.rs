//! No login knows of notices: they are made of the record, by a program of its own, which may hang.

use harness::records::{AUDIT, records, suite, word};
use harness::suite::Suite;
use harness::{text, wait_until};

const LOG: &str = "/var/log/oncall-notify.log";
const STATE: &str = "/var/lib/oncall-notify";

/// Nothing listens there, so what is told waits.
const CONFIG: &str = "files = [\"/var/log/authkeys/decisions.jsonl\"]\n\
    [[channel]]\nname = \"logs\"\ngelf = { server = \"127.0.0.1:12201\", transport = \"tcp\" }\n";

/// Follows the record of this host, as the program's own user.
fn follow(suite: &Suite) {
    let host = &suite.host;
    host.write("/etc/authkeys/notify.toml", CONFIG, 0o644);
    host.must(&format!(
        "ln -sf /run/suite/build/oncall-notify /usr/bin/oncall-notify
         useradd --system --user-group --home-dir {STATE} --shell /usr/sbin/nologin oncall-notify
         install -d -o oncall-notify -g oncall-notify -m 700 {STATE}
         chgrp oncall-notify /var/log/authkeys {AUDIT}"
    ));
    host.daemon(&["/usr/sbin/runuser", "-u", "oncall-notify", "--", "oncall-notify", "run"], LOG);
    wait_until("it follows the record", || {
        host.path(LOG).exists() && host.read(LOG).contains("oncall-notify: following; ")
    });
}

#[test]
fn a_login_asks_and_waits_for_no_part_of_what_tells_of_it() {
    let suite = suite();
    let ssh = "ssh -F none -i /root/keys/alice -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
               -o UserKnownHostsFile=/dev/null -o ProxyCommand='/usr/sbin/sshd -i'";
    let logins = [
        "runuser -u alice -- sudo -n true".to_string(),
        format!("{ssh} alice@localhost true"),
        format!("{ssh} root@localhost true"),
    ];
    // The first login of all makes the record.
    suite.host.must(&logins[0]);
    follow(&suite);
    let before = records(&suite).len();
    suite.host.must("kill -STOP $(pidof oncall-notify)");
    for login in &logins {
        let traced = suite.host.traced("%file,%network,kill", login);
        assert!(traced.output.status.success(), "{login}: {}", text(&traced.output));
        assert!(traced.calls().any(|call| call.contains(AUDIT)), "{login}: it is recorded, and seen here");
        let asked: Vec<&str> = traced.calls().filter(|call| call.contains("notify")).collect();
        assert!(asked.is_empty(), "{login}: {asked:#?}");
    }
    let told = records(&suite).split_off(before);
    let mut ids: Vec<&str> = told.iter().map(|record| word(record, "id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), logins.len(), "{told:#?}");
    suite.host.must("kill -CONT $(pidof oncall-notify)");
    for id in ids {
        wait_until("it is to be told", || suite.host.sh(&format!("grep -rq {id} {STATE}")).status.success());
    }
}
