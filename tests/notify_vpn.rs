//! `oncall-notify event` as OpenVPN's client-connect: a real openvpn, server and clients on the loopback, as docs/notify.md sets
//! it up. It tells of each login, refuses none, and nobody else can make one up.

use std::time::Instant;

use harness::notices::Notices;
use harness::page::boxes_of;
use harness::store::StoreRequest;
use harness::{text, wait_until};
use serde_json::Value;

const CONFIG: &str = "/etc/openvpn/server/server.conf";

/// OpenVPN's own lines, before those of the page.
const SERVER: &str = "dev tun\ndev-node /dev/net/tun\nlocal 127.0.0.1\nport 1194\nproto udp4\ntopology subnet\n\
                      server 10.8.0.0 255.255.255.0\nca ca.pem\ncert server.pem\nkey server.key\ndh none\n\
                      duplicate-cn\npersist-key\npersist-tun\nverb 3\n";

/// Certificates of the server and of two people.
const CERTIFICATES: &str = "
set -e
mkdir -p /etc/openvpn/server /dev/net /run/oncall-notify && cd /etc/openvpn/server && export HOME=/root
[ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
chown oncall-notify:oncall-notify /run/oncall-notify
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=ca -days 3 -keyout ca.key -out ca.pem
for name in server alice bob; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$name -keyout $name.key -out $name.csr
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3 -out $name.pem
done
";

struct Vpn {
    site: Notices,
}

impl Vpn {
    /// Set up as the page says, without a server yet.
    fn start() -> Self {
        let site = Notices::start();
        site.answer("/hook", 200, "{}");
        let [config, user, lines] = &boxes_of(include_str!("../docs/notify.md"), "VPN logins")[..] else {
            panic!("three boxes")
        };
        site.host.must(CERTIFICATES);
        let (add, restart) = user.split_once('\n').expect("two lines");
        assert_eq!(restart.trim(), "systemctl restart oncall-notify openvpn-server@server");
        site.host.must(add);
        site.host.write(CONFIG, format!("{SERVER}{lines}"), 0o644);
        let person = "[[channel]]\nname = \"person\"\nfilter = \"event in ['opened', 'vpn']\"\n";
        site.configure(&format!(
            "{config}{person}{}",
            site.webhook().replace("[[channel]]\nname = \"hook\"\n", "")
        ));
        Self { site }
    }

    fn serve(&self) {
        let argv = ["openvpn", "--cd", "/etc/openvpn/server", "--config", CONFIG];
        self.site.host.daemon(&argv, "/var/log/openvpn.log");
        wait_until("the server serves", || self.served("Initialization Sequence Completed") == 1);
    }

    /// So often the server's log has this.
    fn served(&self, words: &str) -> usize {
        self.site.host.read("/var/log/openvpn.log").matches(words).count()
    }

    /// Somebody connects, is let in, and goes away.
    fn connect(&self, name: &str) {
        let log = format!("/var/log/openvpn-{name}.log");
        let files = format!("--ca ca.pem --cert {name}.pem --key {name}.key");
        self.site.host.must(&format!(
            "rm -f {log}
             openvpn --cd /etc/openvpn/server --client --dev null --remote 127.0.0.1 1194 --proto udp4 {files} --nobind --ifconfig-noexec \
                 --route-noexec --connect-retry-max 3 --writepid /run/client.pid --log {log} --daemon"
        ));
        wait_until("the client is let in", || {
            let log = self.site.host.read(&log);
            assert!(!log.contains("AUTH_FAILED"), "{log}\n{}", self.site.host.read("/var/log/openvpn.log"));
            log.contains("Initialization Sequence Completed")
        });
        self.site.host.must("kill $(cat /run/client.pid) && while kill -0 $(cat /run/client.pid) 2>/dev/null; do sleep 0.01; done");
    }

    /// Whom the next notice is about, and what it says.
    fn told(&self) -> (String, Value) {
        let asked: Vec<StoreRequest> = self.site.wait_for("/hook", 1);
        let body: Value = serde_json::from_slice(&asked[0].body).expect("JSON");
        assert_eq!(asked.len(), 1, "one at a time: {asked:?}");
        (body["record"]["person"].as_str().expect("a person").to_string(), body)
    }

    /// Types `event` as OpenVPN would run it, as this user, until it is answered; what it says.
    fn type_event(&self, user: &str, name: &str) -> String {
        let mut told = String::new();
        wait_until("the program answers in time", || {
            let said = self.site.host.sh(&format!(
                "runuser -u {user} -- env script_type=client-connect common_name={name} trusted_ip=198.51.100.7 \
                 oncall-notify event /tmp/openvpn_cc.tmp"
            ));
            assert!(said.status.success(), "{}", text(&said));
            told = text(&said);
            !told.contains("no answer within")
        });
        told
    }
}

#[test]
fn a94_a_real_openvpn_tells_of_each_login_and_refuses_none() {
    let vpn = Vpn::start();
    vpn.site.begin();
    vpn.serve();
    vpn.connect("alice");
    let (person, notice) = vpn.told();
    assert_eq!(person, "alice");
    let record = &notice["record"];
    for (name, value) in
        [("event", "vpn"), ("service", "openvpn"), ("rhost", "127.0.0.1"), ("common_name", "alice")]
    {
        assert_eq!(record[name], value, "{name}: {notice}");
    }
    let host = vpn.site.host.must("hostname");
    assert_eq!(record["host"], host.trim());
    let origin = record["origin"].as_str().expect("an origin");
    assert!(origin.starts_with("openvpn, run by openvpn (uid "), "{origin}");
    assert!(record["address"].as_str().is_some_and(|address| address.starts_with("10.8.0.")), "{notice}");
    assert!(record["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{notice}");
    assert!(
        notice["text"].as_str().is_some_and(|text| text.starts_with("alice: connected to the VPN of ")),
        "{notice}"
    );
    // She comes again, and then bob: there is no notice between the two.
    vpn.connect("alice");
    vpn.connect("bob");
    assert_eq!(vpn.told().0, "bob");
    assert_eq!(vpn.served("Peer Connection Initiated"), 3);

    // Whatever becomes of the program, of its configuration and of itself: whoever may connect does.
    vpn.site.kill();
    vpn.connect("alice");
    wait_until("the server's log says it", || vpn.served("oncall-notify does not run") > 0);
    let config = "/etc/authkeys/notify.toml";
    vpn.site.host.must(&format!("mv {config} /root/kept && echo '[[[' >{config}"));
    vpn.connect("alice");
    vpn.site.host.must(&format!("mv /root/kept {config}"));
    vpn.site.host.must("mv /usr/bin/oncall-notify /root/");
    vpn.connect("alice");
    vpn.site.host.must("mv /root/oncall-notify /usr/bin/");
    vpn.site.begin();
    vpn.site.host.must("kill -STOP $(pidof oncall-notify)");
    let before = vpn.served("no answer within");
    vpn.connect("bob");
    wait_until("the server's log says it", || vpn.served("no answer within") > before);
    // As many connections as wait.
    vpn.site.host.must(FULL);
    vpn.connect("bob");
    wait_until("the server's log says it", || vpn.served("too many events wait") > 0);
    vpn.site.host.must("kill $(cat /run/full.pid); kill -CONT $(pidof oncall-notify)");
    assert_eq!(vpn.served("AUTH_FAILED"), 0);
}

/// Connects until nobody else can, and stays.
const FULL: &str = "
cat >/root/full.py <<'END'
import os, socket, time
kept = []
try:
    while True:
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        one.connect('/run/oncall-notify/event.sock')
        kept.append(one)
except BlockingIOError:
    pass
open('/run/full', 'w').close()
time.sleep(100000)
END
/usr/bin/python3 /root/full.py >/dev/null 2>&1 &
echo $! >/run/full.pid
while [ ! -e /run/full ]; do sleep 0.01; done
";

/// An event without the program. Who is refused may be so before anything is sent.
const FORGE: &str = "
import socket
s = socket.socket(socket.AF_UNIX)
s.connect('/run/oncall-notify/event.sock')
try:
    s.send(b'{\"version\":1,\"values\":{\"common_name\":\"alice\"}}')
    s.shutdown(1)
except OSError:
    pass
print(s.recv(999))
";

/// A directory that comes later than the program at a boot: what is known is heard, and the rest once it is known.
#[test]
fn a94_a_user_who_is_known_later_is_heard_then() {
    let vpn = Vpn::start();
    vpn.site
        .host
        .must("sed -i 's/^users = .*/users = [\"openvpn\", \"tunneller\"]/' /etc/authkeys/notify.toml");
    vpn.site.begin();
    wait_until("the log says it", || {
        vpn.site.log().contains("this host has no user tunneller, so it is not heard yet")
    });
    assert!(!vpn.type_event("openvpn", "alice").contains("oncall-notify: "), "it runs all the same");
    assert_eq!(vpn.told().0, "alice");
    vpn.site.host.must("useradd tunneller");
    wait_until("the user is known", || !vpn.type_event("tunneller", "bob").contains("is not in `users`"));
    assert_eq!(vpn.told().0, "bob");
}

#[test]
fn a94_nobody_else_makes_up_a_login_and_what_openvpn_says_is_data() {
    let vpn = Vpn::start();
    vpn.site.host.must("useradd mallory");
    vpn.site.begin();
    let said = vpn.type_event("mallory", "alice");
    assert!(said.contains("is not in `users` of [event]"), "{said}");
    // Not by the program, nor without it; root is not listed either, so a mistake of root's tells nothing.
    vpn.site.host.write("/root/forge.py", FORGE, 0o644);
    let said = vpn.site.host.must("runuser -u mallory -- /usr/bin/python3 - </root/forge.py");
    assert!(said.contains("refused: uid "), "{said}");
    assert!(vpn.type_event("root", "alice").contains("is not in `users` of [event]"));
    let said =
        vpn.site.host.sh("runuser -u mallory -- sh -c 'echo x >>/var/lib/oncall-notify/events/events.jsonl'");
    assert!(!said.status.success(), "{}", text(&said));
    // A record that looks like an event is none.
    vpn.site.append("{\"version\":1,\"time\":1796038153,\"host\":\"vpn1\",\"teller\":\"x\",\"values\":{\"common_name\":\"alice\"}}\n");
    let said = vpn.type_event("openvpn", "bob");
    assert!(!said.contains("oncall-notify: "), "it is taken: {said}");
    assert_eq!(vpn.told().0, "bob", "nobody was told of alice");
    wait_until("the log says it", || {
        vpn.site.log().contains("is not heard") && vpn.site.log().contains("are no records")
    });

    // Breaks of lines, markup, letters that turn others round, 64 KiB: one notice, inert.
    vpn.site.host.must(
        "runuser -u openvpn -- env script_type=client-connect trusted_ip=198.51.100.7 \
         common_name=\"$(printf 'x\\r\\n\\342\\200\\256<!channel> {{ secret }} \"}\\n{\"a\":1}')\" \
         username=\"$(head -c 65536 /dev/zero | tr '\\0' y)\" oncall-notify event",
    );
    let (person, notice) = vpn.told();
    assert!(person.len() < 300 && person.starts_with("yyy"), "{person}");
    let name = notice["record"]["common_name"].as_str().expect("a name");
    assert!(name.starts_with("x\\u{d}\\u{a}\\u{202e}<!channel> {{ secret }} "), "{name}");
    assert!(notice["text"].as_str().is_some_and(|text| !text.contains(['\n', '\u{202e}'])), "{notice}");

    // What is wrong is refused before it runs.
    let check = |from: &str, to: &str| {
        vpn.site.host.must(&format!(
            "cp -a /etc/authkeys/notify.toml /root/kept && sed -i 's/{from}/{to}/' /etc/authkeys/notify.toml"
        ));
        let said = vpn.site.host.sh("runuser -u oncall-notify -- oncall-notify config check");
        vpn.site.host.must("mv /root/kept /etc/authkeys/notify.toml");
        assert_eq!(said.status.code(), Some(2), "{}", text(&said));
        text(&said)
    };
    assert!(check("\"openvpn\"", "\"opnvpn\"").contains("this host has no user opnvpn"));
    assert!(check("\"openvpn\"", "\"nobody\"").contains("give OpenVPN a user of its own"));
    assert!(check("^users = ", "user = ").contains("unknown key `user`"));
    vpn.site.host.must("test \"$(runuser -u mallory -- oncall-notify event; echo $?)\" = 64");

    // Nothing is asserted of it: how long the program takes, when it is run by hand.
    let mut times: Vec<u128> = (0..21)
        .map(|number| {
            let begun = Instant::now();
            vpn.type_event("openvpn", &format!("p{number}"));
            begun.elapsed().as_millis()
        })
        .collect();
    times.sort_unstable();
    println!("an event, with runuser and env: {} ms in the middle, {} ms at most", times[10], times[20]);
}
