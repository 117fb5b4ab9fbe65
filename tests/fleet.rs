//! A fleet: five booted hosts, set up, changed and set back by the Ansible role of packaging/ansible, over ssh.

use std::process::Output;

use harness::packages::{self, LOGINS, VERSIONS};
use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, now};
use harness::{Booted, Site, text};
use serde_json::{Value, json};

const NAMES: [&str; 5] = ["db1", "db2", "db3", "web1", "web2"];

/// What Python's parser makes of TOML.
const READ: &str = "import json, sys, tomllib; print(json.dumps(tomllib.load(sys.stdin.buffer)))";

/// What of ours is on a host, beside what logins go by.
const OURS: &str = "ls /usr/bin /usr/sbin /var/lib /var/cache /var/log | grep -E 'authkeys|oncall'; \
    cd /etc/authkeys && ls -l --time-style=full-iso && sha256sum *; true";

/// Hosts at a site, on whose own machine Ansible runs.
struct Fleet {
    hosts: Vec<Booted>,
    site: Site,
}

/// What a run came to.
struct Run {
    said: String,
    /// What the recap says of each host.
    recap: Vec<String>,
}

impl Run {
    fn of(output: &Output) -> Self {
        let said = text(output);
        let recap = said.split("PLAY RECAP").nth(1).unwrap_or_default().lines();
        let recap = recap.filter(|line| line.contains("unreachable=")).map(String::from).collect();
        Self { said, recap }
    }

    /// What a test that fails has to print: each task in which something went wrong or was changed, and the recap.
    fn gist(&self) -> String {
        let tasks = self.said.split("\n\n");
        let telling = ["fatal: ", "failed: ", "changed: ", "ERROR", "PLAY RECAP"];
        let told: Vec<_> = tasks.filter(|task| telling.iter().any(|word| task.contains(word))).collect();
        told.join("\n\n")
    }

    /// The sum over all hosts of what the recap calls `word`.
    fn count(&self, word: &str) -> u32 {
        let of_host = |line: &String| {
            let value = line.split_whitespace().find_map(|field| field.strip_prefix(word)?.strip_prefix('='));
            value.and_then(|value| value.parse::<u32>().ok()).unwrap_or_else(|| panic!("{}", self.said))
        };
        self.recap.iter().map(of_host).sum()
    }

    fn must_count(&self, hosts: usize, failed: u32, changed: u32) {
        let found =
            (self.recap.len(), self.count("failed") + self.count("unreachable"), self.count("changed"));
        assert_eq!(found, (hosts, failed, changed), "{}", self.gist());
    }
}

impl Fleet {
    /// Boots the hosts, each with an account for Ansible.
    fn start() -> Self {
        packages::of(VERSIONS[0]);
        let site = Site::start();
        site.network.must("ssh-keygen -qt ed25519 -N '' -C ansible -f /root/keys/ansible");
        let hosts: Vec<Booted> = NAMES.iter().map(|name| site.host(name)).collect();
        for host in &hosts {
            host.must("useradd -m -s /bin/sh ansible");
            host.write("/etc/sudoers.d/ansible", "ansible ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
            host.write("/home/ansible/.ssh/authorized_keys", site.public_key("ansible"), 0o644);
        }
        Self { hosts, site }
    }

    /// The hosts, and what they are to have: the site's configuration, and Ansible's own key.
    fn write_inventory(&self, slapd: &Slapd) {
        let hub = &self.site.network;
        hub.write("/root/config.toml", Site::config(), 0o644);
        let config = hub.must(&format!("/usr/bin/python3 -c '{READ}' </root/config.toml"));
        let mut config: Value = serde_json::from_str(&config).expect("JSON");
        config["host"] = json!({ "labels": ["{{ 'role=' ~ inventory_hostname[:2] }}"] });
        config["policy"]["automation"] = json!([{
            "account": "ansible", "keys": [self.site.public_key("ansible")], "from": ["192.0.2.0/24"],
            "services": ["sshd", "sudo"], "owner": "us", "reason": "ansible", "until": "2100-01-01",
        }]);
        let hosts = NAMES.iter().zip(&self.hosts);
        let hosts: serde_json::Map<_, _> = hosts
            .map(|(name, host)| ((*name).to_string(), json!({ "ansible_host": host.address().to_string() })))
            .collect();
        let inventory = json!({ "oncall": { "hosts": hosts, "vars": {
            "ansible_user": "ansible",
            "ansible_ssh_private_key_file": "/root/keys/ansible",
            "authkeys_package_dir": format!("/run/suite/build/packages/{}", VERSIONS[0]),
            "config": config,
            "authkeys_config": "{{ config }}",
            "authkeys_files": [
                { "name": "ldap-ca.pem", "content": slapd.ca_pem() },
                { "name": "pagerduty-ca.pem", "content": self.site.pagerduty.ca_pem() },
                { "name": "rota.toml", "content": "[[schedule]]\nid = 'local'\n" },
            ],
            "authkeys_secrets": Site::SECRETS
                .map(|(name, content, group)| json!({ "name": name, "content": content, "group": group })),
        }}});
        hub.write("/root/inventory.json", inventory.to_string(), 0o600);
    }

    /// Runs the example play with more variables, on all hosts at once unless they say otherwise.
    fn play(&self, variables: &Value, words: &[&str]) -> Run {
        let output = self
            .site
            .network
            .command("/usr/bin/ansible-playbook")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_PIPELINING", "1")
            .env("ANSIBLE_HOST_KEY_CHECKING", "0")
            .args(["-i", "/root/inventory.json", "/run/suite/source/packaging/ansible/site.yml"])
            .args(["-e", r#"{"batches": ["100%"]}"#, "-e", &variables.to_string()])
            .args(words)
            .output()
            .expect("nsenter runs");
        Run::of(&output)
    }

    /// As [`Fleet::play`], on all hosts, without a failure.
    fn play_well(&self, variables: &Value, words: &[&str]) -> Run {
        let run = self.play(variables, words);
        let failed = run.count("failed") + run.count("unreachable");
        assert_eq!((run.recap.len(), failed), (NAMES.len(), 0), "{}", run.gist());
        run
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
    fleet.play_well(&nothing, &[]);
    fleet.play(&nothing, &[]).must_count(5, 0, 0);
    fleet.play(&nothing, &CHECK).must_count(5, 0, 0);
    let secrets =
        fleet.hosts[0].must("cd /etc/authkeys && stat -c '%n %U:%G %a' bind-password pagerduty-token");
    assert_eq!(secrets, "bind-password root:authkeys-sync 640\npagerduty-token root:oncall-cache 640\n");
    assert!(fleet.hosts[4].read("/etc/authkeys/config.toml").contains("labels = [ \"role=we\" ]"));

    // They observe: the key of whoever is on call opens root, and nobody is refused.
    assert_eq!(fleet.entered("alice", "root", "true"), everywhere);
    assert_eq!(fleet.entered("bob", "root", "true"), [""; 0]);
    assert_eq!(fleet.entered("bob", "bob", "sudo -n true"), everywhere);
    let observing = fleet.state();

    a_slip_of_the_pen_changes_nothing(&fleet);
    what_check_mode_shows_has_no_secret_in_it(&fleet);
    assert_eq!(fleet.state(), observing);

    // Where the doctor finds something nobody enforces: the batch ends.
    let enforce = json!({ "authkeys_mode": "enforce", "authkeys_trial": "5m" });
    fleet.hosts[4].write("/etc/sudoers.d/late", "Defaults !pam_acct_mgmt\n", 0o440);
    let run = fleet.play(&enforce, &[]);
    assert!(run.said.contains("sudo-pam /etc/sudoers.d/late"), "{}", run.said);
    run.must_count(5, 1, 0);
    assert_eq!(fleet.state(), observing);
    fleet.hosts[4].must("rm /etc/sudoers.d/late");
    a_trial_that_shuts_ansible_out_is_not_made_final(&fleet);

    fleet.play_well(&enforce, &[]);
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

    let absent = json!({ "authkeys_state": "absent", "authkeys_purge": true });
    fleet.play_well(&absent, &[]);
    assert_eq!(fleet.state(), before);
    assert_eq!(fleet.entered("breakglass", "breakglass", "sudo -n true"), everywhere);
    assert_eq!(fleet.entered("alice", "root", "true"), [""; 0]);
    for host in &fleet.hosts {
        host.must("runuser -u bob -- sudo -n true");
    }
    fleet.play(&absent, &[]).must_count(5, 0, 0);
}

/// It ends at the first host, which is left as it was too; check mode finds it as well.
fn a_slip_of_the_pen_changes_nothing(fleet: &Fleet) {
    let slip = with_policy("sercives", "[]");
    for words in [&["-e", r#"{"batches": [1, "50%"]}"#][..], &["--check", "--limit", "db1"]] {
        let run = fleet.play(&slip, words);
        assert!(run.said.contains("unknown key `sercives`; did you mean `services`?"), "{}", run.said);
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
    shut_out["authkeys_trial"] = "5m".into();
    shut_out["authkeys_doctor_ignores"] = json!(["sudo-refused"]);
    let run = fleet.play(&shut_out, &["--limit", "db1"]);
    assert!(run.said.contains("TASK [authkeys : Confirm from the new login]"), "{}", run.said);
    assert_eq!(run.count("failed") + run.count("unreachable"), 1, "{}", run.gist());
    let host = &fleet.hosts[0];
    assert!(host.must("oncall-cache status; true").contains("enforced on trial until "));
    assert!(host.read("/etc/authkeys/config.toml").contains("mode = \"observe\""));
    host.must("oncall-cache enforce --end");
}
