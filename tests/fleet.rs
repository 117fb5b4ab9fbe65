//! A fleet: five booted hosts, set up, changed and set back by the Ansible role of packaging/ansible, over ssh.

use harness::{Booted, Network, text};

/// Hosts, and the machine that runs Ansible.
struct Fleet {
    hosts: Vec<Booted>,
    hub: Network,
}

const NAMES: [&str; 5] = ["db1", "db2", "db3", "web1", "web2"];

/// What a run came to.
struct Run {
    said: String,
    /// For each host of the recap, in its order: its name, what it says.
    recap: Vec<(String, String)>,
}

impl Run {
    /// The sum over all hosts of what the recap calls `word`.
    fn count(&self, word: &str) -> u32 {
        let of_host = |line: &str| {
            let value = line.split_whitespace().find_map(|field| field.strip_prefix(word)?.strip_prefix('='));
            value
                .and_then(|value| value.parse::<u32>().ok())
                .unwrap_or_else(|| panic!("{word}: {}", self.said))
        };
        self.recap.iter().map(|(_, line)| of_host(line)).sum()
    }

    /// Nothing failed, and so many things changed on all hosts together.
    fn went_well(&self) -> &Self {
        assert_eq!(self.recap.len(), NAMES.len(), "{}", self.said);
        assert_eq!((self.count("failed"), self.count("unreachable")), (0, 0), "{}", self.said);
        self
    }

    fn changed_nothing(&self) {
        assert_eq!(self.went_well().count("changed"), 0, "{}", self.said);
    }
}

impl Fleet {
    /// Boots the hosts. On each are alice and bob, who may both sudo as far as sudoers go, and `ansible`, with its key.
    fn start() -> Self {
        let hub = Network::start();
        hub.must("mkdir -m 700 /root/keys && for name in ansible breakglass alice bob; do ssh-keygen -qt ed25519 -N '' -C $name -f /root/keys/$name; done");
        let hosts: Vec<Booted> = NAMES.iter().map(|name| Booted::start(&hub, name)).collect();
        for host in &hosts {
            host.must("for name in ansible breakglass alice bob; do useradd -m -s /bin/sh $name; done; usermod -a -G sudo alice; usermod -a -G sudo bob; usermod -a -G sudo breakglass");
            host.write(
                "/etc/sudoers.d/team",
                "%sudo ALL=(ALL:ALL) NOPASSWD: ALL\nansible ALL=(ALL:ALL) NOPASSWD: ALL\n",
                0o440,
            );
            // Their own keys, in their own files, as on any host before.
            for name in ["ansible", "breakglass", "alice", "bob"] {
                host.write(
                    &format!("/home/{name}/.ssh/authorized_keys"),
                    hub.read(&format!("/root/keys/{name}.pub")),
                    0o644,
                );
            }
        }
        let fleet = Self { hosts, hub };
        fleet.write_inventory();
        fleet
    }

    /// The hosts, and the variables that all runs share.
    fn write_inventory(&self) {
        let key = |name: &str| self.hub.read(&format!("/root/keys/{name}.pub")).trim().to_string();
        let hosts: String = NAMES
            .iter()
            .zip(&self.hosts)
            .map(|(name, host)| format!("    {name}: {{ansible_host: {}}}\n", host.address()))
            .collect();
        let (alice, bob, ansible) = (key("alice"), key("bob"), key("ansible"));
        self.hub.write("/root/inventory.yml", format!(r#"
oncall:
  hosts:
{hosts}
  vars:
    ansible_user: ansible
    ansible_ssh_private_key_file: /root/keys/ansible
    authkeys_package_dir: /run/suite/build/packages/0.1.0
    authkeys_config: "{{{{ config }}}}"
    config:
      host: {{labels: ["{{{{ 'role=' ~ inventory_hostname[:2] }}}}"]}}
      directory: {{file: people.toml}}
      oncall:
        source: [{{name: rota, provider: rota, file: rota.toml}}]
      policy:
        exempt_accounts: [breakglass]
        rule: [{{name: all, schedules: [rota/primary]}}]
        shared: [{{account: root}}]
        automation:
          - {{account: ansible, keys: ["{ansible}"], from: [192.0.2.0/24], services: [sshd, sudo], owner: us, reason: ansible, until: "2100-01-01"}}
    authkeys_files:
      - name: people.toml
        content: |
          [[person]]
          principal = 'alice'
          eligible = true
          keys = ['{alice}']
          [[person]]
          principal = 'bob'
          eligible = true
          keys = ['{bob}']
      - name: rota.toml
        content: |
          [[schedule]]
          id = 'primary'
          [[schedule.shift]]
          person = 'alice'
          start = 2020-01-01T00:00:00Z
          end = 2100-01-01T00:00:00Z
    authkeys_secrets:
      - {{name: token, content: not-to-be-shown, group: oncall-cache}}
"#), 0o600);
    }

    /// Runs the example play, on all hosts at once unless `words` say otherwise.
    fn play(&self, words: &[&str]) -> Run {
        let output = self
            .hub
            .command("/usr/bin/ansible-playbook")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_PIPELINING", "1")
            .env("ANSIBLE_HOST_KEY_CHECKING", "0")
            .args(["-i", "/root/inventory.yml", "/run/suite/source/packaging/ansible/site.yml"])
            .args(["-e", r#"{"batches": ["100%"]}"#])
            .args(words)
            .output()
            .expect("nsenter runs");
        let said = text(&output);
        let recap = said.split("PLAY RECAP").nth(1).unwrap_or_default().lines().skip(1);
        let recap = recap
            .filter_map(|line| line.split_once(':'))
            .map(|(name, line)| (name.trim().to_string(), line.to_string()))
            .collect();
        Run { said, recap }
    }

    /// On which hosts `key` enters `account` by ssh.
    fn entered(&self, key: &str, account: &str, command: &str) -> Vec<&'static str> {
        let enters = |host: &Booted| {
            let ssh = format!(
                "timeout 20 ssh -F none -i /root/keys/{key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
                 -o UserKnownHostsFile=/dev/null {account}@{} {command}",
                host.address()
            );
            self.hub.sh(&ssh).status.success()
        };
        NAMES.into_iter().zip(&self.hosts).filter(|(_, host)| enters(host)).map(|(name, _)| name).collect()
    }
}

/// Files that say who gets in, and what of ours is there.
const STATE: &str = "cd /etc && sha256sum nsswitch.conf pam.d/* ssh/sshd_config authkeys/* 2>/dev/null; \
    ls -la /etc/pam.d /etc/authkeys 2>/dev/null | grep -v ^total | awk '{ print $1, $3, $4, $NF }'; ls /etc/ssh/sshd_config.d; ls /usr/bin /usr/sbin | grep -E 'authkeys|oncall'; \
    ls /var/lib /var/cache /var/log | grep -E 'authkeys|oncall'; true";

/// A configuration with one more key in its policy.
fn with_policy(key: &str, value: &str) -> String {
    format!(
        r#"{{"authkeys_config": "{{{{ config | combine({{'policy': {{'{key}': {value}}}}}, recursive=true) }}}}"}}"#
    )
}

#[test]
fn five_hosts_are_set_up_and_set_back_by_one_playbook() {
    let fleet = Fleet::start();
    let everywhere = NAMES.to_vec();
    let state = || fleet.hosts.iter().map(|host| host.must(STATE)).collect::<Vec<_>>();
    let before = state();

    // A new host: check mode says that there is something to install, and can say no more.
    let check = ["--check", "--diff"];
    assert_eq!(fleet.play(&check).went_well().count("changed"), 5);
    assert_eq!(state(), before);
    fleet.play(&[]).went_well();
    fleet.play(&[]).changed_nothing();
    fleet.play(&check).changed_nothing();
    let stat = fleet.hosts[0].must("cd /etc/authkeys && stat -c '%n %U:%G %a' * && cat token");
    assert_eq!(
        stat,
        "config.toml root:root 644\npeople.toml root:root 644\nrota.toml root:root 644\ntoken root:oncall-cache 640\nnot-to-be-shown"
    );
    assert!(fleet.hosts[4].read("/etc/authkeys/config.toml").contains("labels = [ \"role=we\" ]"));

    // They observe: the key of whoever is on call opens root, and nobody is refused.
    assert_eq!(fleet.entered("alice", "root", "true"), everywhere);
    assert_eq!(fleet.entered("bob", "root", "true"), [""; 0]);
    assert_eq!(fleet.entered("bob", "bob", "sudo -n true"), everywhere);

    // A slip of the pen ends at the first host, and changes nothing there either. Check mode finds it too.
    let observing = state();
    let slip = with_policy("sercives", "[]");
    for words in [
        vec!["-e", &slip, "-e", r#"{"batches": [1, "50%"]}"#],
        vec!["-e", &slip, "--check", "--limit", "db1"],
    ] {
        let run = fleet.play(&words);
        assert!(run.said.contains("unknown key `sercives`"), "{}", run.said);
        assert_eq!(run.recap.len(), 1, "{}", run.said);
        assert_eq!((run.count("failed"), run.count("changed")), (1, 0), "{}", run.said);
        assert_eq!(state(), observing);
    }

    // What check mode says would change, changes; a secret is never shown.
    let help = with_policy("help", "'ask us'");
    let secret =
        r#"{"authkeys_secrets": [{"name": "token", "content": "not-this-either", "group": "oncall-cache"}]}"#;
    let words = ["-e", &help, "-e", secret, "--limit", "db1", "--check", "--diff"];
    let run = fleet.play(&words);
    assert!(run.said.contains("+help = ") && !run.said.contains("not-"), "{}", run.said);
    // These two, and the syncs.
    assert_eq!((run.count("failed"), run.count("changed")), (0, 3), "{}", run.said);
    assert_eq!(state(), observing);

    // Where the doctor finds something nobody enforces: the batch ends.
    let enforce = [
        "-e",
        "authkeys_mode=enforce",
        "-e",
        "authkeys_trial=5m",
        "-e",
        r#"{"authkeys_doctor_ignores": ["clock-sync"]}"#,
    ];
    fleet.hosts[4].write("/etc/sudoers.d/late", "Defaults !pam_acct_mgmt\n", 0o440);
    let run = fleet.play(&enforce);
    assert!(run.said.contains("sudo-pam /etc/sudoers.d/late"), "{}", run.said);
    assert_eq!((run.count("failed"), run.count("changed")), (1, 0), "{}", run.said);
    assert_eq!(state(), observing);
    fleet.hosts[4].must("rm /etc/sudoers.d/late");

    // Where Ansible itself would be shut out it does not come back, nothing is made final, and the trial would end by itself.
    let shut_out = with_policy("automation", "[]");
    let ignores = r#"{"authkeys_doctor_ignores": ["clock-sync", "sudo-refused"]}"#;
    let run = fleet.play(&[&enforce[..4], &["-e", ignores, "-e", &shut_out, "--limit", "db1"]].concat());
    assert!(run.said.contains("TASK [authkeys : Confirm from the new login]"), "{}", run.said);
    assert_eq!(run.count("failed") + run.count("unreachable"), 1, "{}", run.said);
    assert!(fleet.hosts[0].must("oncall-cache status; true").contains("enforced on trial until "));
    assert!(fleet.hosts[0].read("/etc/authkeys/config.toml").contains("mode = \"observe\""));
    fleet.hosts[0].must("oncall-cache enforce --end");

    fleet.play(&enforce).went_well();
    assert_eq!(fleet.entered("alice", "root", "true"), everywhere);
    assert_eq!(fleet.entered("alice", "alice", "sudo -n true"), everywhere);
    assert_eq!(fleet.entered("bob", "root", "true"), [""; 0]);
    assert_eq!(fleet.entered("bob", "bob", "true"), [""; 0]);
    assert_eq!(fleet.entered("breakglass", "breakglass", "sudo -n true"), everywhere);
    for host in &fleet.hosts {
        assert!(host.read("/etc/authkeys/config.toml").contains("mode = \"enforce\""));
        assert!(!host.path("/etc/authkeys/switch").exists(), "the trial is over");
    }
    fleet.play(&enforce).changed_nothing();

    let absent = ["-e", "authkeys_state=absent", "-e", "authkeys_purge=true"];
    fleet.play(&absent).went_well();
    assert_eq!(state(), before);
    assert_eq!(fleet.entered("bob", "bob", "sudo -n true"), everywhere);
    assert_eq!(fleet.entered("alice", "root", "true"), [""; 0]);
    fleet.play(&absent).changed_nothing();
}
