//! Every way to root that a host may have, on each release of Debian: who is off call does not get in, who is on call does.

use harness::{Booted, Debian, Network};

#[test]
fn hosts_of_each_release_boot() {
    let network = Network::start();
    for release in Debian::ALL {
        let host = Booted::of(release, &network, release.name());
        assert_eq!(host.must(". /etc/os-release; echo $VERSION_CODENAME").trim(), release.name());
        host.add("pkexec");
        host.must("test -S /run/dbus/system_bus_socket; ss -tln | grep -q ':22 '; systemctl start polkit");
    }
}
