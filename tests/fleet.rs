//! A fleet: five booted hosts, set up, changed and set back by the Ansible role of packaging/ansible, over ssh.

use harness::packages::{self, LOGINS};
use harness::playbook::Run;
use harness::releases::{NEXT, THIS};
use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, now};
use harness::{Booted, Site};
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["db1", "db2", "db3", "web1", "web2"];

/// What of ours is on a host, beside what logins go by.
const OURS: &str = "ls /usr/bin /usr/sbin /var/lib /var/cache /var/log | grep -E 'authkeys|oncall'; \
    cd /etc/authkeys && ls -l --time-style=full-iso && sha256sum *; true";

/// Hosts at a site, on whose own machine Ansible runs.
struct Fleet {
    hosts: Vec<Booted>,
    site: Site,
}

impl Fleet {
    /// Boots the hosts, each with an account for Ansible.
    fn start() -> Self {
        let site = Site::start();
        let hosts: Vec<Booted> = NAMES.iter().map(|name| site.host(name)).collect();
        hosts.iter().for_each(|host| site.let_ansible_in(host));
        Self { hosts, site }
    }

    fn write_inventory(&self, slapd: &Slapd) {
        let hosts: Vec<(&str, &Booted)> = NAMES.into_iter().zip(&self.hosts).collect();
        self.site.write_inventory(slapd, &hosts, &packages::debs_inside(&THIS));
    }

    fn play(&self, variables: &Value, words: &[&str]) -> Run {
        self.site.play(variables, words)
    }

    fn play_well(&self, variables: &Value) {
        self.site.play_well(NAMES.len(), variables);
    }

    /// On which hosts the key of `person` enters `account` and may do `command`.
    fn entered(&self, person: &str, account: &str, command: &str) -> Vec<&'static str> {
        let enters = |host: &Booted| self.site.ssh(host, person, account, command).status.success();
        NAMES.into_iter().zip(&self.hosts).filter(|(_, host)| enters(host)).map(|(name, _)| name).collect()
    }

    fn state(&self) -> Vec<String> {
        self.hosts.iter().map(|host| host.must(LOGINS) + &host.must(OURS)).collect()
    }
}

/// The configuration with another value in its policy, which Jinja reads.
fn with_policy(key: &str, value: &str) -> Value {
    let config = format!("{{{{ config | combine({{'policy': {{'{key}': {value}}}}}, recursive=true) }}}}");
    json!({ "authkeys_config": config })
}

const CHECK: [&str; 2] = ["--check", "--diff"];

#[test]
fn five_hosts_are_set_up_enforce_and_are_set_back_by_one_playbook() {
    let fleet = Fleet::start();
    let slapd = fleet.site.directory();
    fleet.write_inventory(&slapd);
    fleet.site.on_call(&[("alice", now() - HOUR, now() + DAY)]);
    let (nothing, everywhere) = (json!({}), NAMES.to_vec());
    let before = fleet.state();

    // Of a new host check mode says that there is something to install, and can say no more.
    fleet.play(&nothing, &CHECK).must_count(5, 0, 5);
    assert_eq!(fleet.state(), before);
    fleet.play_well(&nothing);
    fleet.play(&nothing, &[]).must_count(5, 0, 0);
    fleet.play(&nothing, &CHECK).must_count(5, 0, 0);
    let secrets =
        fleet.hosts[0].must("cd /etc/authkeys && stat -c '%n %U:%G %a' bind-password pagerduty-token");
    assert_eq!(secrets, "bind-password root:authkeys-sync 640\npagerduty-token root:oncall-cache 640\n");
    assert!(fleet.hosts[4].read("/etc/authkeys/config.toml").contains("labels = [ \"role=we\" ]"));

    // They observe: the key of the person on call opens root, and nobody is refused.
    assert_eq!(fleet.entered("alice", "root", "true"), everywhere);
    assert_eq!(fleet.entered("bob", "root", "true"), [""; 0]);
    assert_eq!(fleet.entered("bob", "bob", "sudo -n true"), everywhere);
    let observing = fleet.state();

    a_slip_of_the_pen_changes_nothing(&fleet);
    a_slip_of_the_pen_in_another_file_reaches_no_host(&fleet);
    what_check_mode_shows_has_no_secret_in_it(&fleet);
    assert_eq!(fleet.state(), observing);

    // Where the doctor finds something nobody enforces: the batch ends.
    let enforce = json!({ "authkeys_mode": "enforce", "authkeys_trial": "30m" });
    fleet.hosts[4].write("/etc/sudoers.d/late", "Defaults !pam_acct_mgmt\n", 0o440);
    let run = fleet.play(&enforce, &[]);
    assert!(run.said.contains("sudo-pam /etc/sudoers.d/late"), "{}", run.said);
    run.must_count(5, 1, 0);
    assert_eq!(fleet.state(), observing);
    fleet.hosts[4].must("rm /etc/sudoers.d/late");
    a_sync_that_fails_is_made_again_until_it_is_good(&fleet);
    a_trial_that_shuts_ansible_out_is_not_made_final(&fleet);
    // As runs leave them that end during the trial, and just behind it; and after an upgrade by hand, and not of all of it.
    fleet.hosts[1].must("oncall-cache enforce --confirm-within 30m");
    fleet.hosts[2].must("oncall-cache enforce --confirm-within 30m");
    assert!(
        fleet
            .site
            .ssh(&fleet.hosts[2], "breakglass", "breakglass", "sudo -n oncall-cache enforce --confirm")
            .status
            .success()
    );
    let newer = format!("authkeys_{}-1_amd64.deb", NEXT.version);
    fleet.hosts[3].install(&packages::debs(&NEXT).join(&newer), &format!("/root/{newer}"), 0o644);
    fleet.hosts[3].must(&format!("dpkg -i /root/{newer} && rm /root/{newer} && ! apt-get check"));

    fleet.play_well(&enforce);
    assert_eq!(fleet.entered("alice", "root", "true"), everywhere);
    assert_eq!(fleet.entered("alice", "alice", "sudo -n true"), everywhere);
    assert_eq!(fleet.entered("bob", "root", "true"), [""; 0]);
    assert_eq!(fleet.entered("bob", "bob", "true"), [""; 0]);
    assert_eq!(fleet.entered("breakglass", "breakglass", "sudo -n true"), everywhere);
    for host in &fleet.hosts {
        assert!(host.read("/etc/authkeys/config.toml").contains("mode = \"enforce\""));
        assert!(!host.path("/etc/authkeys/switch").exists(), "the trial is over");
    }
    fleet.play(&enforce, &[]).must_count(5, 0, 0);

    // An sshd that cannot be reloaded keeps its drop-in, and the next run knows that it has to be.
    let absent = json!({ "authkeys_state": "absent", "authkeys_purge": true });
    fleet.hosts[4].write("/etc/ssh/sshd_config.d/99-late.conf", "Port none\n", 0o644);
    for _ in ["at first", "again"] {
        fleet.play(&absent, &["--limit", "web2"]).must_count(1, 1, 0);
    }
    fleet.hosts[4].must("rm /etc/ssh/sshd_config.d/99-late.conf && mkdir /var/cache/authkeys-packages");
    fleet.play_well(&absent);
    assert_eq!(fleet.state(), before);
    assert_eq!(fleet.entered("breakglass", "breakglass", "sudo -n true"), everywhere);
    assert_eq!(fleet.entered("alice", "root", "true"), [""; 0]);
    for host in &fleet.hosts {
        host.must("runuser -u bob -- sudo -n true");
    }
    fleet.play(&absent, &[]).must_count(5, 0, 0);
}

/// One in a file beside the configuration shuts everybody out (`revoked`), or only the sync would find it: it is
/// found before it is written, also the second time.
fn a_slip_of_the_pen_in_another_file_reaches_no_host(fleet: &Fleet) {
    let (revoked, rota) = (("revoked", "mallory\n", 1), ("rota.toml", "\n[[schedule]\n", 2));
    for (name, content, line) in [revoked, revoked, rota] {
        let slip = json!({ "authkeys_files": [{ "name": name, "content": content }] });
        let run = fleet.play(&slip, &["-e", r#"{"batches": [1, "50%"]}"#]);
        assert!(run.said.contains(&format!("/dev/stdin:{line}")), "{}", run.said);
        run.must_count(1, 1, 0);
    }
}

/// It ends at the first host, which is left as it was too; check mode finds it as well.
fn a_slip_of_the_pen_changes_nothing(fleet: &Fleet) {
    let slip = with_policy("pam_sercives", "[]");
    for words in [&["-e", r#"{"batches": [1, "50%"]}"#][..], &["--check", "--limit", "db1"]] {
        let run = fleet.play(&slip, words);
        assert!(
            run.said.contains("unknown key `pam_sercives`; did you mean `pam_services`?"),
            "{}",
            run.said
        );
        run.must_count(1, 1, 0);
    }
}

fn what_check_mode_shows_has_no_secret_in_it(fleet: &Fleet) {
    let mut change = with_policy("help", "'ask us'");
    change["authkeys_secrets"] =
        json!([{ "name": "pagerduty-token", "content": "another-token", "group": "oncall-cache" }]);
    let run = fleet.play(&change, &["--check", "--diff", "--limit", "db1"]);
    assert!(run.said.contains("+help = \"ask us\""), "{}", run.said);
    for (_, secret, _) in Site::SECRETS.iter().chain(&[("", "another-token", "")]) {
        assert!(!run.said.contains(secret), "{}", run.said);
    }
    // Both files, and the syncs.
    run.must_count(1, 0, 3);
}

/// Ansible does not come back to say that all is well, and the host would go back by itself.
fn a_trial_that_shuts_ansible_out_is_not_made_final(fleet: &Fleet) {
    let mut shut_out = with_policy("automation", "[]");
    shut_out["authkeys_mode"] = "enforce".into();
    shut_out["authkeys_trial"] = "30m".into();
    shut_out["authkeys_doctor_ignores"] = json!(["sudo-refused"]);
    let run = fleet.play(&shut_out, &["--limit", "db1"]);
    assert!(run.said.contains("TASK [authkeys : Confirm from the new login]"), "{}", run.said);
    assert_eq!(run.count("failed") + run.count("unreachable"), 1, "{}", run.gist());
    let host = &fleet.hosts[0];
    assert!(host.must("oncall-cache status; true").contains("enforced on trial until "));
    assert!(host.read("/etc/authkeys/config.toml").contains("mode = \"observe\""));
    host.must("oncall-cache enforce --end");
}

/// What was written has to be read well once. What fails later is an outage, which ends no run while what is known is
/// trusted.
fn a_sync_that_fails_is_made_again_until_it_is_good(fleet: &Fleet) {
    let (host, only) = (&fleet.hosts[0], ["--limit", "db1"]);
    let secrets = Site::SECRETS.map(|(name, content, group)| {
        let content = if name == "pagerduty-token" { "no-such-token" } else { content };
        json!({ "name": name, "content": content, "group": group })
    });
    let wrong = json!({ "authkeys_secrets": secrets });
    for changed in [1, 0] {
        let run = fleet.play(&wrong, &only);
        assert!(run.said.contains("TASK [authkeys : Sync]"), "{}", run.said);
        run.must_count(1, 1, changed);
    }
    fleet.play(&json!({}), &only).must_count(1, 0, 2);

    let service = fleet.site.pagerduty_at;
    host.must(&format!("ip route add unreachable {service}"));
    assert!(!host.sh("systemctl restart oncall-cache-sync").status.success());
    let run = fleet.play(&json!({}), &only);
    assert!(run.said.contains("failing: a source or a sync fails"), "{}", run.said);
    run.must_count(1, 0, 0);
    host.must(&format!("ip route del unreachable {service} && systemctl restart oncall-cache-sync"));
}
