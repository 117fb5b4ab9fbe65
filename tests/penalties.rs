//! sshd's PerSourcePenalties, on since 9.8: who fails to log in costs everybody behind their address. Debian 13's sshd counts,
//! and refusals of ours must not.

use std::process::Output;
use std::thread;

use harness::releases::THIS;
use harness::suite::{CONFIG, HOUR, instant, now};
use harness::{Booted, Debian, Network, packages, text, wait_until};

/// alice is on call, bob and carol are not, and may be; dave may never be.
const PEOPLE: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// A host with the packages and enforcing, and everybody's keys in /root/keys. alice is on call.
fn host(release: Debian, network: &Network) -> Booted {
    host_with(release, network, &["alice"])
}

/// The same with these people on call.
pub fn host_with(release: Debian, network: &Network, on_call: &[&str]) -> Booted {
    let host = Booted::of(release, network, release.name());
    packages::bring_debs(&host, &THIS, "/root/debs");
    host.must("apt-get -q install /root/debs/*.deb");
    host.must("mkdir -m 700 /root/keys; ssh-keygen -qt ed25519 -N '' -f /root/keys/stranger");
    let mut people = String::new();
    for name in PEOPLE {
        host.must(&format!("ssh-keygen -qt ed25519 -N '' -C {name} -f /root/keys/{name}"));
        let groups = if name == "dave" { "" } else { "-G sudo" };
        host.must(&format!("useradd -m -s /bin/sh {groups} {name}"));
        let key = host.read(&format!("/root/keys/{name}.pub"));
        let (key, eligible) = (key.trim(), name != "dave");
        people += &format!("[[person]]\nusername = '{name}'\neligible = {eligible}\nkeys = ['{key}']\n");
    }
    host.write("/etc/authkeys/people.toml", people, 0o644);
    let (start, end) = (instant(now() - HOUR), instant(now() + HOUR));
    let shift = |name| format!("[[schedule.shift]]\nperson = '{name}'\nstart = {start}\nend = {end}\n");
    let shifts: String = on_call.iter().map(shift).collect();
    host.write("/etc/authkeys/rota.toml", format!("[[schedule]]\nid = 'primary'\n{shifts}"), 0o644);
    host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    host.must("systemctl start authkeys-sync.service oncall-cache-sync.service");
    host.must("cp /usr/share/authkeys/10-authkeys.conf /etc/ssh/sshd_config.d/");
    host.must("pam-oncall-enable");
    host.reload_sshd();
    host
}

/// `ssh ACCOUNT@127.0.0.1` from `address`, with one key and what else `words` say.
pub fn ssh(host: &Booted, address: &str, key: &str, account: &str, words: &str) -> Output {
    host.sh(&format!(
        "timeout 120 ssh -F none -b {address} -i /root/keys/{key} -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR {account}@127.0.0.1 {words}"
    ))
}

fn enters(host: &Booted, address: &str) -> bool {
    ssh(host, address, "alice", "root", "id -un").stdout == b"root\n"
}

#[test]
fn whoever_is_off_call_costs_the_person_on_call_behind_their_address_nothing() {
    let network = Network::start();
    let host = host(Debian::Trixie, &network);
    let here = "127.0.0.1";
    for number in 0..30 {
        let (name, other) = if number % 2 == 0 { ("bob", "carol") } else { ("carol", "bob") };
        let account = if number % 3 == 0 { name } else { "root" };
        let output = ssh(&host, here, name, account, "echo in");
        let words = format!(" on testhost is for people on call: {name} is not (alice is, until ");
        assert!(text(&output).contains(&words), "try {number}: {}", text(&output));
        assert_eq!(output.status.code(), Some(254), "try {number}: {}", text(&output));
        assert!(!text(&output).contains(other) && !text(&output).contains("\nin\n"), "{}", text(&output));
        if number % 5 == 4 {
            assert!(enters(&host, here), "try {number}: alice is shut out");
        }
    }
    // Nor does a host that cannot tell who is on call, once it can again.
    host.must("mv /var/lib/oncall-cache/roster.db /var/lib/oncall-cache/away");
    for number in 0..6 {
        let output = ssh(&host, here, "alice", "alice", "echo in");
        assert!(
            text(&output).contains("this host cannot tell who is (cache-missing)"),
            "try {number}: {}",
            text(&output)
        );
    }
    host.must("mv /var/lib/oncall-cache/away /var/lib/oncall-cache/roster.db");
    assert!(enters(&host, here));
    // This sshd does count: from another address, keys that open nothing shut everybody there out.
    let there = "127.0.0.2";
    assert!(enters(&host, there));
    // At once and again: penalties are forgotten with time, which a busy machine takes.
    wait_until("strangers have shut everybody there out", || {
        thread::scope(|scope| {
            let strangers: Vec<_> =
                (0..5).map(|_| scope.spawn(|| ssh(&host, there, "stranger", "root", "true"))).collect();
            for stranger in strangers {
                assert!(!stranger.join().expect("it is tried").status.success());
            }
        });
        !enters(&host, there)
    });
    assert!(enters(&host, here));
    // The host is up, and costs more than what follows: it is about grants and break-glass alone.
    crate::granted::somebody_gets_in_when_nothing_answers(&host);
}

/// Everything that a connection is good for, with what shows that it worked. `SSH` is ssh with its options,
/// `WHO` for the account on the host.
const USES: [(&str, &str, &str); 9] = [
    ("a command", "SSH WHO 'echo in-$((40 + 2))'", "in-42"),
    ("a terminal", "SSH -tt WHO 'echo in-$((40 + 2))'", "in-42"),
    ("a shell", "echo 'echo in-$((40 + 2))' | SSH WHO", "in-42"),
    ("files", "echo 'ls -1 /etc/debian_v*' | SFTP WHO", "/etc/debian_version"),
    (
        "one forwarding",
        "coproc SSH -W 127.0.0.1:22 WHO; read -r said <&${COPROC[0]}; echo $said; kill %1",
        "SSH-2.0",
    ),
    ("forwardings", "SSH -N -L 7001:127.0.0.1:22 WHO & ask 7001", "SSH-2.0"),
    ("forwardings to here", "SSH -N -R 7002:127.0.0.1:22 WHO & ask 7002", "SSH-2.0"),
    ("a socket there", "SSH -N -L 7003:/run/greeting WHO & ask 7003", "SSH-2.0"),
    ("a socket here", "SSH -N -R /tmp/of-WHO:127.0.0.1:22 WHO & ask /tmp/of-WHO", "SSH-2.0"),
];

/// Reads the first line from a port of 127.0.0.1 or a socket, once there is one; what is in the background, which ends where
/// it is not to be, ends with it.
const ASK: &str = r#"
ask() {
    python3 - "$1" $! <<'PYTHON'
import socket, sys, time
name, pid = sys.argv[1:]
kind, place = (socket.AF_UNIX, name) if name.startswith("/") else (socket.AF_INET, ("127.0.0.1", int(name)))
def ended():
    try:
        with open(f"/proc/{pid}/stat") as status:
            return ") Z " in status.read()
    except OSError:
        return True
while True:
    has_ended = ended()
    try:
        with socket.socket(kind) as one:
            one.connect(place)
            print(one.recv(100).decode())
            break
    except OSError:
        if has_ended:
            break
        time.sleep(0.1)
PYTHON
    kill %1 2>/dev/null; wait
}
"#;

/// Does a use of the connection of `key` to `account` show what it should?
fn works(host: &Booted, key: &str, account: &str, (what, script, shows): (&str, &str, &str)) -> bool {
    let options = format!(
        "-F none -i /root/keys/{key} -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ExitOnForwardFailure=yes"
    );
    let script = script
        .replace("SSH ", &format!("timeout 120 ssh {options} "))
        .replace("SFTP ", &format!("timeout 120 sftp {options} "))
        .replace("of-WHO", &format!("of-{account}"))
        .replace("WHO", &format!("{account}@127.0.0.1"));
    let words = ["300", "/bin/bash", "-c", &(ASK.to_string() + &script)];
    let output = host.command("/usr/bin/timeout").args(words).output().expect("nsenter runs");
    println!("{what} for {key} as {account}: {}", text(&output));
    text(&output).contains(shows)
}

#[test]
fn whom_the_session_refuses_gets_nothing_out_of_the_connection() {
    let network = Network::start();
    let try_all = |release: Debian| {
        let host = host(release, &network);
        // Clients that connect there are greeted too.
        let socket = "[Socket]\nListenStream=/run/greeting\nAccept=yes\n";
        let service = "[Service]\nExecStart=/bin/echo SSH-2.0\nStandardOutput=socket\n";
        host.write("/etc/systemd/system/greeting.socket", socket, 0o644);
        host.write("/etc/systemd/system/greeting@.service", service, 0o644);
        host.must("systemctl daemon-reload; systemctl start greeting.socket");
        for (key, account, expected) in
            [("alice", "alice", true), ("bob", "bob", false), ("bob", "root", false)]
        {
            for one in USES {
                assert_eq!(works(&host, key, account, one), expected, "{release:?}: {} for {key}", one.0);
            }
            let refused = if expected { "0" } else { "9" };
            let logged = "journalctl --boot --quiet --identifier=pam_oncall --grep 'decision=refuse reason=not-oncall .* account=ACCOUNT '";
            let count = host.must(&format!("{} | wc -l", logged.replace("ACCOUNT", account)));
            assert_eq!(count.trim(), refused, "{release:?}: {key} as {account}");
        }
    };
    thread::scope(|scope| {
        for release in Debian::ALL {
            scope.spawn(move || try_all(release));
        }
    });
}
