//! A host that follows a fleet: signers, what pulls, the head, and secrets that are left from before.

use harness::suite::{CONFIG, Suite, now};

use super::After::{Advice, Fix};
use super::{case, each_on, keep, suite};

const REPORT: &str = "/var/lib/oncall-cache/fleet.json";
const MARK: &str = "/var/lib/oncall-cache/fleet.mark";
const KEYS_MARK: &str = "/var/lib/authkeys/keys.mark";

/// The shipped set-up on a host of a fleet that has just pulled.
fn suite_of_fleet() -> Suite {
    let suite = suite();
    let fleet = "[fleet]\nid = 'example'\nurls = ['file:///srv/fleet']\nfreshness = '1h'\n";
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{fleet}"), 0o644);
    let signer = format!("collector namespaces=\"head@authkeys\" {}\n", suite.public_key("dave"));
    suite.host.write("/etc/authkeys/fleet-signers", signer, 0o644);
    suite.sync();
    let report = format!(
        r#"{{"version":1,"id":"example","checked":{0},"head":{{"sequence":1,"issued":{0},"valid":{0},"rota_read":null,"people_read":null,"revoked_read":{0}}}}}"#,
        now()
    );
    suite.host.write(REPORT, report, 0o644);
    suite.host.must(
        "cd /var/lib && install -d -o oncall-cache -g authkeys -m 750 oncall-cache/fleet oncall-cache/fleet/o && \
         install -o oncall-cache -g authkeys -m 640 /dev/null oncall-cache/fleet/head && \
         install -o oncall-cache -g oncall-cache -m 640 /dev/null oncall-cache/fleet.mark && \
         install -o authkeys-sync -g authkeys -m 640 /dev/null authkeys/keys.mark",
    );
    suite.host.must(&format!(
        "chown oncall-cache: {REPORT} && echo '* * * * * oncall-cache /usr/bin/oncall-cache pull' >>/etc/cron.d/authkeys"
    ));
    keep(&suite);
    suite
}

#[test]
fn a_host_of_a_fleet_needs_signers_something_that_pulls_and_no_secret() {
    const SIGNERS: &str = "/etc/authkeys/fleet-signers";
    each_on(
        &suite_of_fleet(),
        &[
            case(
                "rm /etc/authkeys/fleet-signers",
                "lock-out fleet-signers",
                SIGNERS,
                Advice("oncall-collector key new", "true"),
            ),
            case(
                ": >/etc/authkeys/fleet-signers",
                "lock-out fleet-signers",
                SIGNERS,
                Advice("oncall-collector key new", "true"),
            ),
            case("chmod 666 /etc/authkeys/fleet-signers", "lock-out fleet-signers", SIGNERS, Fix),
            case(
                "echo 'eve ssh-ed25519 AAAA' >>/etc/authkeys/fleet-signers",
                "warning fleet-signers",
                "/etc/authkeys/fleet-signers#eve ssh-",
                Advice("correct the line", "true"),
            ),
            case(
                "rm /var/lib/oncall-cache/fleet.json",
                "warning fleet-head",
                REPORT,
                Advice("oncall-cache pull", "true"),
            ),
            case(
                "sed -i 's/\"issued\":[0-9]*/\"issued\":1/' /var/lib/oncall-cache/fleet.json && chown oncall-cache: /var/lib/oncall-cache/fleet.json",
                "warning fleet-head",
                REPORT,
                Advice("oncall-cache pull", "true"),
            ),
            case(
                "sed -i 's/}}/},\"refused\":{\"reason\":\"head-fork\",\"since\":1,\"text\":\"x\",\"url\":\"y\"}}/' /var/lib/oncall-cache/fleet.json && chown oncall-cache: /var/lib/oncall-cache/fleet.json",
                "warning fleet-head",
                REPORT,
                Advice("oncall-cache pull", "true"),
            ),
            case(
                "echo nonsense >/var/lib/oncall-cache/revoked && chown oncall-cache: /var/lib/oncall-cache/revoked",
                "lock-out revoked",
                "/var/lib/oncall-cache/revoked#nonsense",
                Advice("oncall-cache pull", "rm /var/lib/oncall-cache/revoked"),
            ),
            case(
                "echo x >/etc/authkeys/token && chown root:oncall-cache /etc/authkeys/token && chmod 640 /etc/authkeys/token",
                "warning fleet-secret",
                "/etc/authkeys/token",
                Advice("shred -u /etc/authkeys/token", "rm /etc/authkeys/token"),
            ),
            case("chmod 600 /etc/authkeys/fleet-signers", "lock-out file-mode", SIGNERS, Fix),
            case("chmod 666 /var/lib/oncall-cache/fleet.mark", "lock-out file-mode", MARK, Fix),
            case("chown dave /var/lib/oncall-cache/fleet.mark", "lock-out file-mode", MARK, Fix),
            case("chmod 660 /var/lib/authkeys/keys.mark", "lock-out file-mode", KEYS_MARK, Fix),
            case("chown root: /var/lib/authkeys/keys.mark", "lock-out file-mode", KEYS_MARK, Fix),
            case(
                "chmod 777 /var/lib/oncall-cache/fleet",
                "warning file-mode",
                "/var/lib/oncall-cache/fleet",
                Fix,
            ),
            case(
                "sed -i '/pull/d' /etc/cron.d/authkeys",
                "warning timer",
                "/usr/lib/systemd/system/oncall-cache-pull.timer",
                Fix,
            ),
        ],
    );
}
