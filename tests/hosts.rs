//! Hosts of a fleet, really booted: what systemd, sshd, PAM and apt make of the packages.

use harness::slapd::Slapd;
use harness::{Booted, Host, Network};

#[test]
fn a_host_is_reached_and_cut_off_and_boots_again_as_it_was() {
    let network = Network::start();
    let directory = Host::start();
    let address = network.join(&directory);
    let slapd = Slapd::start_with_changes(&directory);
    slapd.restart_with(&format!("ldaps://{address}:6360/"), "");
    let mut host = Booted::start(&network, "web1");
    host.knows(&[(address, "ldap.example.com")]);
    network.must("mkdir -m 700 /root/keys && ssh-keygen -qt ed25519 -N '' -f /root/keys/admin");
    host.write("/root/.ssh/authorized_keys", network.read("/root/keys/admin.pub"), 0o600);
    let ssh = format!(
        "ssh -o StrictHostKeyChecking=no -o BatchMode=yes -i /root/keys/admin root@{} hostname",
        host.address()
    );
    let reaches =
        |host: &Booted| host.sh("timeout 2 bash -c '</dev/tcp/ldap.example.com/6360'").status.success();

    assert_eq!(network.must(&ssh), "web1\n");
    assert!(reaches(&host));
    network.cut(host.address());
    assert!(!reaches(&host));
    assert_eq!(network.must(&ssh), "web1\n");
    network.heal();
    assert!(reaches(&host));
    let before = host.read("/etc/machine-id");
    host.power_off();
    assert_eq!(std::fs::read_to_string(host.image("/etc/machine-id")).ok(), Some(before));
    host.boot();
    assert_eq!(network.must(&ssh), "web1\n");
}
