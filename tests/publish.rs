//! A collector and two hosts of its fleet, booted, set up from packages by the Ansible role; what runs there by itself.

use harness::nginx::Nginx;
use harness::pagerduty::{self, PagerDuty};
use harness::playbook::Run;
use harness::releases::THIS;
use harness::slapd::Slapd;
use harness::suite::{HOUR, now, seconds};
use harness::{Booted, Site, packages, page, text, wait_until};
use serde_json::{Value, json};

const NAMES: [&str; 3] = ["collector", "web1", "web2"];

/// What all hosts have: rules, and Ansible's own key.
fn policy(site: &Site) -> Value {
    json!({
        "exempt_accounts": ["breakglass"],
        "rule": [{ "name": "everywhere", "schedules": ["pd/PDB0001"] }],
        "shared_account": [{ "account": "root" }],
        "automation": [{
            "account": "ansible", "keys": [site.public_key("ansible")], "from": ["192.0.2.0/24"],
            "services": ["sshd", "sudo"], "owner": "us", "reason": "ansible", "until": "2100-01-01",
        }],
    })
}

/// The one that asks and publishes.
fn collector(site: &Site, slapd: &Slapd, key: &str, signers: &str) -> Value {
    let secret =
        |name: &str, content: &str, group: &str| json!({ "name": name, "content": content, "group": group });
    let mut secrets = Site::SECRETS.map(|(name, content, group)| secret(name, content, group)).to_vec();
    secrets.push(secret("fleet-key", key, "oncall-collector"));
    json!({
        "authkeys_collector": { "fleet": "example", "store": { "directory": Nginx::DIRECTORY } },
        "authkeys_secrets": secrets,
        "authkeys_files": [
            { "name": "ldap-ca.pem", "content": slapd.ca_pem() },
            { "name": "pagerduty-ca.pem", "content": site.pagerduty.ca_pem() },
            { "name": "fleet-signers", "content": signers },
        ],
        "authkeys_config": {
            "directory": {
                "urls": [Slapd::LDAPS_URL], "base": Slapd::BASE, "ca_file": "ldap-ca.pem", "eligible_group": Slapd::GROUP_DN,
                "bind_dn": Slapd::BIND_DN, "bind_password_file": "bind-password", "timeout": "5s",
            },
            "oncall": { "source": [{
                "name": "pd", "provider": "pagerduty", "api": PagerDuty::API, "ca_file": "pagerduty-ca.pem",
                "token_file": "pagerduty-token", "schedules": ["PDB0001"], "timeout": "5s",
            }] },
            "policy": policy(site),
        },
    })
}

/// One that reads what it publishes.
fn follower(site: &Site, ca_pem: &str, signers: &str) -> Value {
    json!({
        "authkeys_secrets": [{ "name": "store-header", "content": Nginx::HEADER, "group": "oncall-cache" }],
        "authkeys_files": [
            { "name": "store-ca.pem", "content": ca_pem },
            { "name": "fleet-signers", "content": signers },
        ],
        "authkeys_config": {
            "fleet": { "id": "example", "urls": [Nginx::URL], "ca_file": "store-ca.pem", "header_file": "store-header" },
            "directory": { "fleet": true },
            "oncall": { "source": [{ "name": "pd", "provider": "fleet", "schedules": ["PDB0001"] }] },
            "policy": policy(site),
        },
    })
}

/// Runs the example play, the collector first, then the others.
fn play(site: &Site, mode: &str) -> Run {
    let variables = json!({ "authkeys_mode": mode, "batches": [1, "100%"] });
    site.play(&json!({}), &["-e", &variables.to_string()])
}

fn play_well(site: &Site, hosts: &[Booted], mode: &str) {
    let run = play(site, mode);
    let came = (run.recap.len(), run.count("failed") + run.count("unreachable"));
    let log = "journalctl -b -q -n 30 -o cat -u 'oncall-*' -u 'authkeys-*'";
    let logs = || hosts.iter().map(|host| text(&host.sh(log))).collect::<String>();
    assert_eq!(came, (3, 0), "{}\n{}", run.gist(), logs());
}

fn write_inventory(site: &Site, hosts: &[Booted], variables: &[Value; 3]) {
    let mut inventory = json!({ "oncall": { "hosts": {}, "vars": {
        "ansible_user": "ansible",
        "ansible_ssh_private_key_file": "/root/keys/ansible",
        "authkeys_package_dir": packages::debs_inside(&THIS),
    }}});
    for ((name, host), own) in NAMES.iter().zip(hosts).zip(variables) {
        let mut own = own.clone();
        own["ansible_host"] = host.address().to_string().into();
        inventory["oncall"]["hosts"][*name] = own;
    }
    site.network.write("/root/inventory.json", inventory.to_string(), 0o600);
}

/// Does `name` become root by sudo, in an account of their own, on each host?
fn may_sudo(hosts: &[Booted], name: &str) -> Vec<bool> {
    let may = |host: &Booted| host.sh(&format!("runuser -u {name} -- sudo -n true")).status.success();
    hosts.iter().map(may).collect()
}

/// Does the key of `name` open root on each host?
fn opens_root(site: &Site, hosts: &[Booted], name: &str) -> Vec<bool> {
    hosts.iter().map(|host| site.ssh(host, name, "root", "true").status.success()).collect()
}

/// Waits until all hosts have heard that `name` is on call: by their own pulls, which come every half minute.
fn wait_for_root(site: &Site, hosts: &[Booted], name: &str) {
    wait_until(&format!("{name} becomes root on all"), || {
        opens_root(site, hosts, name).into_iter().all(|opens| opens)
    });
}

/// What `oncall-cache status` says, however well the host is.
fn status(host: &Booted) -> Value {
    serde_json::from_slice(&host.sh("oncall-cache status --json").stdout).expect("JSON")
}

#[test]
fn a66_a_collector_and_two_hosts_from_packages_go_on_by_themselves() {
    let site = Site::start();
    let slapd = site.directory();
    let key_file = "/root/keys/fleet";
    site.network.must(&format!("ssh-keygen -qt ed25519 -N '' -C collector -f {key_file}"));
    let signers = format!("collector namespaces=\"head@authkeys\" {}\n", site.public_key("fleet"));
    let mut hosts = NAMES.map(|name| site.host(name));
    let [asks, follow @ ..] = &hosts;
    hosts.iter().for_each(|host| site.let_ansible_in(host));
    asks.add("nginx");
    let ca_pem = Nginx::configure(asks);
    asks.must("systemctl restart nginx");
    follow.iter().for_each(|host| host.knows(&[(asks.address(), Nginx::NAME)]));
    let mut variables = [
        collector(&site, &slapd, &site.network.read(key_file), &signers),
        follower(&site, &ca_pem, &signers),
        follower(&site, &ca_pem, &signers),
    ];
    write_inventory(&site, &hosts, &variables);

    let start = now();
    site.on_call(&[("alice", start - HOUR, start + HOUR)]);
    play_well(&site, &hosts, "observe");
    play_well(&site, &hosts, "enforce");
    play(&site, "enforce").must_count(3, 0, 0);
    assert_eq!(opens_root(&site, follow, "alice"), [true; 2]);
    assert_eq!(opens_root(&site, follow, "bob"), [false; 2]);

    // An override, once the collector has heard of it.
    site.on_call(&[("bob", start - HOUR, start + HOUR)]);
    asks.must("systemctl start oncall-cache-sync");
    wait_for_root(&site, follow, "bob");
    assert_eq!(opens_root(&site, follow, "alice"), [false; 2]);
    for host in follow {
        wait_until("it says that all is well", || host.sh("oncall-cache status").status.success());
    }

    a76_a_webhook_alone_brings_an_override_to_all_hosts(&site, &hosts, &ca_pem);
    variables[0]["authkeys_collector"]["hear"] = json!({ "secret_files": ["webhook-secret"] });
    write_inventory(&site, &hosts, &variables);
    the_role_takes_webhooks_too(&site, &hosts[0], &ca_pem);
    let [asks, _, restarts] = &mut hosts;
    a68_after_a_reboot_a_host_goes_by_its_copy_and_takes_nothing_older(&site, asks, restarts);

    let [asks, follow @ ..] = &hosts;
    who_leaves_is_refused_while_nobody_can_be_asked(&site, &slapd, asks, follow);

    // A person is shut out while they are down.
    asks.must("oncall-collector revoke bob --reason 'laptop lost'");
    wait_until("bob is refused on both", || opens_root(&site, follow, "bob") == [false; 2]);

    follow.iter().for_each(nothing_of_the_collectors_is_there);
}

/// The directory, too, is down before anybody could read of it: nothing is published before it is.
fn who_leaves_is_refused_while_nobody_can_be_asked(
    site: &Site,
    slapd: &Slapd,
    asks: &Booted,
    follow: &[Booted],
) {
    assert_eq!(
        (opens_root(site, follow, "carol"), may_sudo(follow, "carol")),
        (vec![true; 2], vec![true; 2])
    );
    asks.must(&format!("systemctl stop {PUBLISHES} oncall-collector-publish.service"));
    slapd.delete(&format!("uid=carol,{}", Slapd::BASE));
    asks.must("systemctl start authkeys-sync");
    site.pagerduty.hang(true);
    slapd.stop();
    assert_eq!(opens_root(site, follow, "carol"), [true; 2], "nobody was told");
    asks.must(&format!("systemctl start {PUBLISHES}"));
    wait_until("carol is refused on both, as root and by sudo", || {
        (opens_root(site, follow, "carol"), may_sudo(follow, "carol")) == (vec![false; 2], vec![false; 2])
    });
    assert_eq!((opens_root(site, follow, "bob"), may_sudo(follow, "bob")), (vec![true; 2], vec![true; 2]));
}

/// Neither its secrets nor its program, nor a name of what it asks; and no unit has failed.
fn nothing_of_the_collectors_is_there(host: &Booted) {
    for (_, secret, _) in Site::SECRETS {
        host.must(&format!(
            "! grep -raslF '{secret}' /etc /var /root /home /srv /run/authkeys /run/oncall-cache"
        ));
    }
    for name in [pagerduty::NAMES[0], "ldap.example.com"] {
        let asked =
            host.must("journalctl --quiet --output=cat --identifier=oncall-cache --identifier=authkeys-sync");
        assert!(!asked.contains(name), "{asked}");
    }
    assert_eq!(host.must("systemctl is-system-running"), "running\n");
    assert!(!host.path("/usr/bin/oncall-collector").exists());
}

/// As PagerDuty shows it once, when a subscription is made.
const WEBHOOK_SECRET: &str = "GSyNUx5s9z2b7Ml2TqQ8hVJ1rO4kWc6d";

/// Where the collector's own notes on webhooks are.
const HEARD: &str = "/run/oncall-hear/heard";

/// Timers that would sync and publish without one.
const COLLECTORS_TIMERS: &str = "authkeys-sync.timer oncall-cache-sync.timer oncall-collector-publish.timer";

/// What lets the collector publish.
const PUBLISHES: &str = "oncall-collector-publish.timer oncall-collector-publish.path";

/// With the unit set up as docs/fleet.md says: through the proxy, and on by units.
fn a76_a_webhook_alone_brings_an_override_to_all_hosts(site: &Site, hosts: &[Booted; 3], ca_pem: &str) {
    let [asks, follow @ ..] = hosts;
    let typed = page::boxes("Webhooks").concat();
    asks.write("/root/typed", typed, 0o600);
    asks.must(&format!("echo '{WEBHOOK_SECRET}' | sh -e /root/typed"));
    asks.wait_for_port(9461);
    // What a timer has begun ends before.
    asks.must(&format!(
        "systemctl stop {COLLECTORS_TIMERS} && systemctl start oncall-cache-sync oncall-collector-publish"
    ));

    let send = |secret| site.send_webhook(asks.address(), Nginx::HOOKS_URL, ca_pem, secret);
    assert_eq!(send("another secret"), "401");
    assert!(!asks.path(HEARD).exists());
    site.on_call(&["bob", "carol"].map(|name| (name, now() - HOUR, now() + 2 * HOUR)));
    assert_eq!(send(WEBHOOK_SECRET), "202");
    wait_until("a sync is done", || asks.path(HEARD).exists());
    assert_eq!(asks.must(&format!("stat -c '%U:%G %a' {HEARD}")), "oncall-hear:oncall-hear 644\n");
    wait_for_root(site, follow, "carol");
    let said = asks.must("journalctl --boot --quiet --output=cat --unit=oncall-collector-hear");
    assert!(said.contains("a webhook: ") && !said.contains("no sync") && !said.contains("heard: "), "{said}");
    asks.must(&format!("systemctl start {COLLECTORS_TIMERS}"));
}

/// By hand or by the role: it listens.
fn the_role_takes_webhooks_too(site: &Site, asks: &Booted, ca_pem: &str) {
    asks.must("systemctl disable --now oncall-collector-hear");
    let run = site.play(&json!({ "authkeys_mode": "enforce" }), &["--limit", NAMES[0]]);
    assert_eq!((run.recap.len(), run.count("failed") + run.count("unreachable")), (1, 0), "{}", run.gist());
    asks.must("systemctl is-enabled oncall-collector-hear");
    asks.wait_for_port(9461);
    assert_eq!(site.send_webhook(asks.address(), Nginx::HOOKS_URL, ca_pem, WEBHOOK_SECRET), "202");
}

/// The store is out of reach from before the reboot on, and shows an older head when it is back.
fn a68_after_a_reboot_a_host_goes_by_its_copy_and_takes_nothing_older(
    site: &Site,
    asks: &Booted,
    host: &mut Booted,
) {
    asks.must(&format!("systemctl stop {PUBLISHES} && cp {}/head /root/older", Nginx::DIRECTORY));
    asks.must("systemctl start oncall-collector-publish");
    host.must("oncall-cache pull --now");
    let boot = |host: &Booted| host.must("cat /proc/sys/kernel/random/boot_id");
    let (before, first) = (status(host), boot(host));
    site.network.cut(host.address());
    host.power_off();
    host.boot_anew_cut_off();
    assert_ne!(boot(host), first);

    assert_eq!(
        ["carol", "alice"].map(|name| site.ssh(host, name, "root", "true").status.success()),
        [true, false]
    );
    let after = status(host);
    assert_eq!(after["fleet"]["head"], before["fleet"]["head"]);
    let age = |said: &Value| said["fleet"]["lag_seconds"].as_i64().expect("seconds");
    let at = |said: &Value| seconds(said["at"].as_str().expect("an instant"));
    assert_eq!(age(&after) - age(&before), at(&after) - at(&before), "{before:#}{after:#}");
    refuses_when_the_copy_is_older_than_it_may_be(site, host);
    wait_until("a pull has failed", || {
        host.sh("journalctl --boot --quiet --unit=oncall-cache-pull | grep -q Failed").status.success()
    });

    asks.must(&format!("cp -p /root/older {}/head", Nginx::DIRECTORY));
    site.network.heal();
    takes_nothing_older(host);
    asks.must(&format!("systemctl start {PUBLISHES}"));
    let sequence = |host: &Booted| status(host)["fleet"]["head"]["sequence"].as_u64();
    let had = before["fleet"]["head"]["sequence"].as_u64();
    wait_until("a newer head is taken over", || {
        // By itself it asks no sooner than two minutes after the refusals.
        host.sh("oncall-cache pull --now");
        sequence(host) > had
    });
    assert!(site.ssh(host, "carol", "root", "true").status.success());
    host.must("systemctl reset-failed");
}

/// With a limit that the age of the copy, which no reboot makes younger, is past.
fn refuses_when_the_copy_is_older_than_it_may_be(site: &Site, host: &Booted) {
    let config = host.read("/etc/authkeys/config.toml");
    let limit = "[oncall]\nwarn_age = \"1s\"\nmax_age = \"2s\"\n";
    host.write("/etc/authkeys/config.toml", config.replace("[oncall]\n", limit), 0o644);
    host.must("oncall-cache config check /etc/authkeys/config.toml");
    // The machine may have booted in less.
    wait_until("carol is told that the copy is too old", || {
        text(&site.ssh(host, "carol", "root", "true")).contains("who is on call was last known ")
    });
    assert!(site.ssh(host, "breakglass", "breakglass", "sudo -n true").status.success());
    host.write("/etc/authkeys/config.toml", config, 0o644);
    assert!(site.ssh(host, "carol", "root", "true").status.success());
}

/// The store shows a head from before this host's: all that decides here stays, byte for byte.
fn takes_nothing_older(host: &Booted) {
    let by_itself = "authkeys-sync.timer oncall-cache-sync.timer oncall-cache-pull.timer authkeys-fleet.path \
                     oncall-cache-people.path authkeys-changed.path";
    host.must(&format!(
        "systemctl stop {by_itself}; systemctl stop oncall-cache-pull oncall-cache-sync authkeys-sync"
    ));
    let state = "cd /var/lib && find oncall-cache/fleet oncall-cache/fleet.mark oncall-cache/roster.db oncall-cache/revoked \
                 authkeys/keys.db authkeys/keys.mark -type f ! -name lock ! -name backoff | sort | xargs sha256sum";
    let before = host.must(state);
    assert!(before.contains("oncall-cache/fleet/head") && before.contains("keys.db"), "{before}");
    let said = host.sh("oncall-cache pull --now");
    assert!(said.status.code() == Some(2) && text(&said).contains("head-replay"), "{}", text(&said));
    assert_eq!(host.must(state), before);
    host.must(&format!("systemctl start {by_itself}"));
}
