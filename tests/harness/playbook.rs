//! Ansible at a site: its account on the hosts, what is to be there, and runs of the example play.

use std::process::Output;

use serde_json::{Map, Value, json};

use crate::slapd::Slapd;
use crate::{Booted, Site, text};

/// What Python's parser makes of TOML.
const READ: &str = "import json, sys, tomllib; print(json.dumps(tomllib.load(sys.stdin.buffer)))";

/// What a run came to.
pub struct Run {
    pub said: String,
    /// What the recap says of each host.
    pub recap: Vec<String>,
}

impl Run {
    fn of(output: &Output) -> Self {
        let said = text(output);
        let recap = said.split("PLAY RECAP").nth(1).unwrap_or_default().lines();
        let recap = recap.filter(|line| line.contains("unreachable=")).map(String::from).collect();
        Self { said, recap }
    }

    /// What a test that fails has to print: each task in which something went wrong or was changed, and the recap.
    pub fn gist(&self) -> String {
        let tasks = self.said.split("\n\n");
        let telling = ["fatal: ", "failed: ", "changed: ", "ERROR", "PLAY RECAP"];
        let told: Vec<_> = tasks.filter(|task| telling.iter().any(|word| task.contains(word))).collect();
        told.join("\n\n")
    }

    /// The sum over all hosts of what the recap calls `word`.
    pub fn count(&self, word: &str) -> u32 {
        let of_host = |line: &String| {
            let value = line.split_whitespace().find_map(|field| field.strip_prefix(word)?.strip_prefix('='));
            value.and_then(|value| value.parse::<u32>().ok()).unwrap_or_else(|| panic!("{}", self.said))
        };
        self.recap.iter().map(of_host).sum()
    }

    /// On how many hosts, how many of those that failed or were not reached, and how many changes there were.
    pub fn must_count(&self, hosts: usize, failed: u32, changed: u32) {
        let found =
            (self.recap.len(), self.count("failed") + self.count("unreachable"), self.count("changed"));
        assert_eq!(found, (hosts, failed, changed), "{}", self.gist());
    }
}

impl Site {
    /// Gives Ansible an account on a host, from which it becomes root.
    pub fn let_ansible_in(&self, host: &Booted) {
        self.network.must(
            "[ -e /root/keys/ansible ] || ssh-keygen -qt ed25519 -N '' -C ansible -f /root/keys/ansible",
        );
        host.must("useradd -m -s /bin/sh ansible");
        host.write("/etc/sudoers.d/ansible", "ansible ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
        host.write("/home/ansible/.ssh/authorized_keys", self.public_key("ansible"), 0o644);
    }

    /// Writes down which hosts there are and what they are to have: the packages in `packages`, the site's
    /// configuration, and Ansible's own key.
    pub fn write_inventory(&self, slapd: &Slapd, hosts: &[(&str, &Booted)], packages: &str) {
        let hub = &self.network;
        hub.write("/root/config.toml", Self::config(), 0o644);
        let config = hub.must(&format!("/usr/bin/python3 -c '{READ}' </root/config.toml"));
        let mut config: Value = serde_json::from_str(&config).expect("JSON");
        config["host"] = json!({ "labels": ["{{ 'role=' ~ inventory_hostname[:2] }}"] });
        config["policy"]["automation"] = json!([{
            "account": "ansible", "keys": [self.public_key("ansible")], "from": ["192.0.2.0/24"],
            "services": ["sshd", "sudo"], "owner": "us", "reason": "ansible", "until": "2100-01-01",
        }]);
        let hosts: Map<_, _> = (hosts.iter())
            .map(|(name, host)| ((*name).to_string(), json!({ "ansible_host": host.address().to_string() })))
            .collect();
        let inventory = json!({ "oncall": { "hosts": hosts, "vars": {
            "ansible_user": "ansible",
            "ansible_ssh_private_key_file": "/root/keys/ansible",
            "authkeys_package_dir": packages,
            "config": config,
            "authkeys_config": "{{ config }}",
            "authkeys_files": [
                { "name": "ldap-ca.pem", "content": slapd.ca_pem() },
                { "name": "pagerduty-ca.pem", "content": self.pagerduty.ca_pem() },
                { "name": "rota.toml", "content": "[[schedule]]\nid = 'local'\n" },
            ],
            "authkeys_secrets": Self::SECRETS
                .map(|(name, content, group)| json!({ "name": name, "content": content, "group": group })),
        }}});
        hub.write("/root/inventory.json", inventory.to_string(), 0o600);
    }

    /// Runs the example play with more variables, on all hosts at once unless they say otherwise.
    pub fn play(&self, variables: &Value, words: &[&str]) -> Run {
        let output = self
            .network
            .command("/usr/bin/ansible-playbook")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_PIPELINING", "1")
            .env("ANSIBLE_HOST_KEY_CHECKING", "0")
            // For a connection and for sudo's prompt: a busy host takes longer than the ten seconds of the default.
            .env("ANSIBLE_TIMEOUT", "300")
            .args(["-i", "/root/inventory.json", "/run/suite/source/packaging/ansible/site.yml"])
            .args(["-e", r#"{"batches": ["100%"]}"#, "-e", &variables.to_string()])
            .args(words)
            .output()
            .expect("nsenter runs");
        Run::of(&output)
    }

    /// As [`Site::play`], on this many hosts, without a failure.
    pub fn play_well(&self, hosts: usize, variables: &Value) -> Run {
        let run = self.play(variables, &[]);
        let failed = run.count("failed") + run.count("unreachable");
        assert_eq!((run.recap.len(), failed), (hosts, 0), "{}", run.gist());
        run
    }
}
