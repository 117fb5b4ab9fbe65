//! A network of machines: one cable from each to a bridge, and what can be cut on it.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Host, Machine, text};

/// A bridge on a private machine of its own, from which the test reaches every other: nothing of it is in the real
/// machine's network. Addresses are those that are set apart for documentation.
pub struct Network {
    /// Where the bridge is, and where ssh and other clients run.
    hub: Host,
    joined: AtomicU8,
}

impl Network {
    /// Starts one with nobody in it.
    pub fn start() -> Self {
        let hub = Host::start();
        hub.must("ip link add lan type bridge && ip address add 192.0.2.1/24 dev lan && ip link set lan up");
        // A bridge passes nothing on for the first while unless it is told that it is alone.
        hub.must("ip link set lan type bridge stp_state 0 forward_delay 0");
        Self { hub, joined: AtomicU8::new(1) }
    }

    /// Plugs a machine in; its address.
    pub fn join(&self, machine: &Machine) -> Ipv4Addr {
        let number = self.joined.fetch_add(1, Ordering::Relaxed) + 1;
        let (hub, pid, cable) =
            (self.hub.pid().to_string(), machine.pid().to_string(), format!("cable{number}"));
        let address = Ipv4Addr::new(192, 0, 2, number);
        // The real machine's process numbers have to be meant, so only networks are entered.
        enter(&hub, &["ip", "link", "add", &cable, "type", "veth", "peer", "name", "host0", "netns", &pid]);
        enter(&hub, &["ip", "link", "set", &cable, "master", "lan", "up"]);
        enter(&pid, &["ip", "address", "add", &format!("{address}/24"), "dev", "host0"]);
        enter(&pid, &["ip", "link", "set", "host0", "up"]);
        address
    }

    /// Lets nothing pass any more between `machine` and the others; a process that waits for an answer waits in vain. This
    /// network's own machine reaches it still, as a console does.
    pub fn cut(&self, machine: Ipv4Addr) {
        self.hub.must(&format!(
            "nft 'add table bridge cut; add chain bridge cut forward {{ type filter hook forward priority 0; }}; \
             add rule bridge cut forward ip saddr {machine} drop; add rule bridge cut forward ip daddr {machine} drop'"
        ));
    }

    /// Ends all that was cut.
    pub fn heal(&self) {
        self.hub.must("nft delete table bridge cut");
    }
}

impl Deref for Network {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.hub
    }
}

/// Runs `command` in the network of the process `pid`.
fn enter(pid: &str, command: &[&str]) {
    let output = Command::new("nsenter")
        .args(["-t", pid, "-n", "--"])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .expect("nsenter runs");
    assert!(output.status.success(), "{command:?}: {}", text(&output));
}
