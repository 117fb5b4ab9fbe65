//! The ways to a directory, through the real programs and a real slapd.

use std::time::Duration;

use harness::dns::{Dns, Manner};
use harness::relay::Relay;
use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::text;

/// A machine whose people are in LDAP, and nothing copied or remembered yet.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
}

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        let slapd = Slapd::start(&suite.host);
        slapd.furnish(suite, |name| format!("{name}@example.com"));
        Self { suite, slapd }
    }

    fn configure(&self, directory: &str) {
        self.configure_within("6s", directory);
    }

    /// A question may take so long, whatever is waited for in vain.
    fn configure_within(&self, timeout: &str, directory: &str) {
        let config = format!("{directory}timeout = '{timeout}'\n");
        self.suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    }

    fn forget(&self) {
        self.suite.host.must("rm -f /var/lib/authkeys/* /var/cache/authkeys/*");
    }

    /// Both ways of asking work: the login's, as `authkeys`, and the timer's.
    fn serves(&self, directory: &str) {
        self.configure(directory);
        self.forget();
        let key = self.suite.public_key("alice");
        let output = self.suite.run_as("authkeys", "authkeys alice");
        let said = format!("{directory}{}{:#?}", text(&output), self.suite.lines_of("authkeys"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{key}\n"), "{said}");
        assert!(self.suite.sync_keys().contains("4 people"), "{directory}");
    }

    /// Neither does; and the sync says `words`.
    fn refuses(&self, directory: &str, words: &str) {
        self.configure_within("3s", directory);
        self.forget();
        let output = self.suite.run_as("authkeys", "authkeys alice");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{directory}{}", text(&output));
        let output = self.suite.run_as("authkeys-sync", "authkeys-sync");
        assert_eq!(output.status.code(), Some(2), "{directory}{}", text(&output));
        assert!(text(&output).contains(words), "{directory}expected {words:?} in {}", text(&output));
        assert!(!text(&output).contains(Slapd::BIND_PASSWORD), "{}", text(&output));
    }
}

#[test]
fn an_ipv6_address_is_compared_with_the_certificate() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.host.must("ip address add fd00::2/128 dev lo nodad");
    let everywhere = ["::1", "fd00::2"].map(|ip| format!("ldap://[{ip}]:3890/ ldaps://[{ip}]:6360/"));
    site.slapd.restart_with(&everywhere.join(" "), "");
    for (scheme, port) in [("ldaps", 6360), ("ldap", 3890)] {
        site.serves(&Slapd::section(&[&format!("{scheme}://[::1]:{port}")]));
        // The same server and certificate, which does not have this address in it.
        let url = format!("{scheme}://[fd00::2]:{port}");
        site.refuses(&Slapd::section(&[&url]), &format!("{url}: its certificate is for another name"));
    }
    suite.host.write(
        "/etc/authkeys/ldap-ca.pem",
        suite.host.read("/etc/ssl/certs/ca-certificates.crt"),
        0o644,
    );
    site.refuses(&Slapd::section(&["ldaps://[::1]:6360"]), "no authority in ca_file signed its certificate");
}

/// Who the holder of the certificate for `host7` is to slapd.
const MAPPED: &str = "TLSCACertificateFile HOME/ca.pem\nauthz-regexp \"^cn=host7$\" \"BIND_DN\"\n";

const EXTERNAL: &str =
    "bind = \"external\"\nclient_cert_file = \"host.pem\"\nclient_key_file = \"host.key\"\n";

impl Site<'_> {
    /// Gives this host the certificate for `name`.
    fn certify(&self, name: &str) {
        let (certificate, key) = self.slapd.client_certificate(name);
        self.suite.host.write("/etc/authkeys/host.pem", certificate, 0o644);
        self.suite.host.write("/etc/authkeys/host.key", key, 0o640);
        self.suite.host.must("chgrp authkeys-sync /etc/authkeys/host.key");
    }
}

#[test]
fn a_client_certificate_says_who_we_are() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.restart_with("", &format!("{MAPPED}TLSVerifyClient demand\n"));
    suite.host.must("rm /etc/authkeys/bind-password");
    for url in [Slapd::LDAPS_URL, Slapd::LDAP_URL] {
        let directory = Slapd::section_unbound(&[url]);
        site.certify("host7");
        site.serves(&format!("{directory}{EXTERNAL}"));
        let log = site.slapd.log();
        assert!(log.contains(&format!("BIND dn=\"{}\" mech=EXTERNAL", Slapd::BIND_DN)), "{log}");
        // Without one the server does not talk to us at all, and says why.
        site.refuses(&directory, "see [directory] client_cert_file");
        // Of an authority that it does not know.
        let (certificate, key) = Slapd::foreign_certificate("host7");
        suite.host.write("/etc/authkeys/host.pem", certificate, 0o644);
        suite.host.write("/etc/authkeys/host.key", key, 0o600);
        suite
            .host
            .must("chown root:authkeys-sync /etc/authkeys/host.key && chmod 640 /etc/authkeys/host.key");
        site.refuses(&format!("{directory}{EXTERNAL}"), "see [directory] client_cert_file");
        // Good, but nobody who may read.
        site.certify("host8");
        site.refuses(&format!("{directory}{EXTERNAL}"), "may not see it");
    }
}

#[test]
fn a_server_that_asks_for_no_certificate_takes_us_for_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.certify("host7");
    site.refuses(
        &format!("{}{EXTERNAL}", Slapd::section_unbound(&[Slapd::LDAPS_URL])),
        "accepts no identity by SASL EXTERNAL, see [directory] bind",
    );
    // The certificate and a password go together as well.
    site.slapd.restart_with("", &format!("{MAPPED}TLSVerifyClient demand\n"));
    let certificate = EXTERNAL.replace("bind = \"external\"\n", "");
    site.serves(&format!("{}{certificate}", Slapd::section(&[Slapd::LDAPS_URL])));
}

#[test]
fn a20_a_key_that_others_could_read_or_have_written_is_refused_before_any_packet() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.restart_with("", &format!("{MAPPED}TLSVerifyClient demand\n"));
    let directory = format!("{}{EXTERNAL}", Slapd::section_unbound(&[Slapd::LDAPS_URL]));
    for (damage, words) in [
        ("chmod o+r host.key", "client_key_file: /etc/authkeys/host.key: refused, everybody can read it"),
        ("chmod g+w host.key", "client_key_file: /etc/authkeys/host.key: refused, others can write it"),
        ("chown authkeys host.key", "client_key_file: /etc/authkeys/host.key: refused, it belongs"),
        ("rm host.key", "client_key_file: /etc/authkeys/host.key: no such file"),
        ("echo secret >host.key", "holds no private key in PEM without a passphrase"),
        ("chmod o+w host.pem", "client_cert_file: /etc/authkeys/host.pem: refused, others can write it"),
        ("echo >host.pem", "client_cert_file: /etc/authkeys/host.pem: holds no certificate in PEM"),
        ("cp ldap-ca.pem host.pem", "host.pem: is not the certificate of the key in client_key_file"),
    ] {
        site.certify("host7");
        suite.host.must(&format!("cd /etc/authkeys && {damage}"));
        let _ = site.slapd.log();
        site.refuses(&directory, words);
        assert!(!site.slapd.log().contains("ACCEPT"), "{damage}: no packet");
        suite.host.must("rm -f /etc/authkeys/host.*");
    }
}

/// A socket where Debian's slapd has it.
const SOCKET: &str = "/run/slapd/ldapi";
const LDAPI_URL: &str = "ldapi://%2Frun%2Fslapd%2Fldapi";

/// The reader is not root: the programs run as their own users.
const PEER: &str = "authz-regexp \"^gidNumber=[0-9]+\\\\+uidNumber=[1-9][0-9]*,cn=peercred,cn=external,cn=auth$\" \"BIND_DN\"\n";

#[test]
fn over_a_socket_of_this_host_the_user_is_who_binds() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let external = format!("{}bind = \"external\"\n", Slapd::section_unbound(&[LDAPI_URL]));
    site.refuses(&external, &format!("{LDAPI_URL}: cannot connect; is it running, and is this its socket?"));
    site.slapd.restart_with(LDAPI_URL, PEER);
    // No TLS, so no authorities.
    suite.host.must("rm /etc/authkeys/ldap-ca.pem");
    site.serves(&external);
    let log = site.slapd.log();
    assert!(log.contains("mech=EXTERNAL") && !log.contains("TLS established"), "{log}");
    site.serves(&Slapd::section(&[LDAPI_URL]));
    site.refuses(&Slapd::section_unbound(&[LDAPI_URL]), "may not see it");
    // Who could have put another server there?
    for (damage, repair, words) in [
        ("chmod o+w /run/slapd", "chmod o-w /run/slapd", "/run/slapd can be written by others"),
        (
            "chown dave SOCKET",
            "chown root SOCKET",
            "it belongs neither to root nor to the owner of its directory",
        ),
        ("mv SOCKET SOCKET2 && ln -s SOCKET2 SOCKET", "mv SOCKET2 SOCKET", "it is not a socket"),
    ] {
        suite.host.must(&damage.replace("SOCKET", SOCKET));
        let _ = site.slapd.log();
        site.refuses(&external, words);
        assert!(!site.slapd.log().contains("ACCEPT"), "{damage}");
        suite.host.must(&repair.replace("SOCKET", SOCKET));
        site.serves(&external);
    }
    // A service's socket in the service's directory.
    suite.host.must(&format!("chown dave /run/slapd {SOCKET}"));
    site.serves(&external);
    suite.host.must(&format!("chown root /run/slapd {SOCKET}"));
    site.slapd.stop();
    site.refuses(&external, "cannot connect");
}

#[test]
fn a14_a_socket_where_nobody_answers_ends_at_the_deadline() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let path = suite.host.path(SOCKET);
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket can be made");
    suite.host.must(&format!("chmod 666 {SOCKET}"));
    let directory = format!("{}bind = \"external\"\n", Slapd::section_unbound(&[LDAPI_URL]));
    site.refuses(&directory, "no answer within 3s, binding");
}

const SRV_URL: &str = "srv://example.com";
const LDAPS_SRV: &str = "_ldaps._tcp.example.com";

/// slapd's port for TLS, and where nobody listens.
const PORT: u16 = 6360;
const NOBODY: u16 = 1;

fn by_dns(more: &[&str]) -> String {
    let urls = [&[SRV_URL], more].concat();
    format!("{}srv_hosts = [\"ldap*.example.com\"]\n", Slapd::section(&urls))
}

fn name_server(suite: &Suite, address: [u8; 4]) -> Dns {
    suite.host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644);
    // What DNS may lead to, and what it may not: all of it is slapd.
    suite.host.must("echo 127.0.0.1 ldap9.example.com web1.example.com >>/etc/hosts");
    Dns::start(&suite.host, address.into())
}

#[test]
fn dns_leads_to_the_servers_of_a_domain_in_their_order() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let dns = name_server(&suite, [127, 0, 0, 1]);
    site.refuses(
        &by_dns(&[]),
        "srv://example.com: DNS lists no server for it, neither _ldaps._tcp nor _ldap._tcp",
    );
    dns.set(LDAPS_SRV, &[(1, 0, PORT, "LDAP.example.com")]);
    site.serves(&by_dns(&[]));
    // Without such servers those that begin without TLS, which means StartTLS.
    dns.set("_ldap._tcp.example.com", &[(1, 0, 3890, "ldap.example.com")]);
    let _ = site.slapd.log();
    site.serves(&by_dns(&[]));
    let log = site.slapd.log();
    assert!(log.contains("STARTTLS") && log.contains("TLS established"), "{log}");
    // One that is down costs its share; and one of less priority is not even asked.
    dns.set(
        LDAPS_SRV,
        &[
            (3, 0, NOBODY, "ldap.example.com"),
            (2, 0, PORT, "ldap.example.com"),
            (1, 0, NOBODY, "ldap.example.com"),
        ],
    );
    site.serves(&by_dns(&[]));
    dns.set(LDAPS_SRV, &[(0, 0, 0, ".")]);
    site.refuses(&by_dns(&[]), "DNS lists no server for it");
    dns.set(LDAPS_SRV, &[(1, 0, NOBODY, "ldap.example.com"), (2, 0, NOBODY, "ldap9.example.com")]);
    site.refuses(&by_dns(&[]), "ldaps://ldap.example.com:1: cannot connect");
    site.refuses(&by_dns(&[]), "ldaps://ldap9.example.com:1: cannot connect");
}

#[test]
fn dns_vouches_for_no_server() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let dns = name_server(&suite, [127, 0, 0, 1]);
    // A name that nobody allowed, whatever certificate it may have.
    dns.set(LDAPS_SRV, &[(1, 0, PORT, "web1.example.com")]);
    let _ = site.slapd.log();
    site.refuses(&by_dns(&[]), "DNS leads to web1.example.com, which is not among [directory] srv_hosts");
    assert!(!site.slapd.log().contains("ACCEPT"), "no packet");
    dns.set(LDAPS_SRV, &[(1, 0, PORT, "web1.example.com"), (2, 0, PORT, "ldap.example.com")]);
    site.serves(&by_dns(&[]));
    // A name that is allowed, and whose certificate the server does not have.
    dns.set(LDAPS_SRV, &[(1, 0, PORT, "ldap9.example.com")]);
    site.refuses(&by_dns(&[]), "ldaps://ldap9.example.com:6360: its certificate is for another name");
}

#[test]
fn dns_that_is_dead_or_lies_is_survived() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let dns = name_server(&suite, [127, 0, 0, 1]);
    let good = [(1, 0, PORT, "ldap.example.com")];
    dns.set(LDAPS_SRV, &good);
    for manner in [Manner::Truncating, Manner::Noisy] {
        dns.behave(manner);
        site.serves(&by_dns(&[]));
    }
    for (manner, words) in [
        (
            Manner::Failing,
            "no name server answers for _ldaps._tcp.example.com, see /etc/resolv.conf: 127.0.0.1:53 answers with code 2",
        ),
        (
            Manner::Silent,
            "no name server answers for _ldaps._tcp.example.com, see /etc/resolv.conf: 127.0.0.1:53: timed out",
        ),
    ] {
        dns.behave(manner);
        site.refuses(&by_dns(&[]), words);
        // A server that is named is asked all the same.
        site.serves(&by_dns(&[Slapd::LDAPS_URL]));
    }
    // The second name server is asked while there is time.
    let second = Dns::start(&suite.host, [127, 0, 0, 2].into());
    second.set(LDAPS_SRV, &good);
    suite.host.write("/etc/resolv.conf", "nameserver 127.0.0.1\nnameserver 127.0.0.2\n", 0o644);
    site.serves(&by_dns(&[]));
    suite.host.must("rm /etc/resolv.conf");
    dns.behave(Manner::Good);
    site.serves(&by_dns(&[]));
}

#[test]
fn a_live_answer_costs_four_round_trips_and_five_with_start_tls() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let delay = Duration::from_millis(100);
    // TCP, TLS, bind, search; and the question for TLS.
    for (url, port, server, expected) in
        [("ldaps://ldap.example.com:7636", 7636, PORT, 4), ("ldap://ldap.example.com:7389", 7389, 3890, 5)]
    {
        let relay = Relay::start(&suite.host, port, server, delay);
        site.configure(&Slapd::section(&[url]));
        let round_trips = || {
            site.forget();
            let output = suite.run_as("authkeys", "authkeys alice");
            assert!(output.status.success(), "{}", text(&output));
            relay.round_trips()
        };
        // A client that was held up between two words of one turn may have been spoken to in between.
        let least = (0..10).map(|_| round_trips()).find(|&trips| trips <= expected);
        assert_eq!(least, Some(expected), "{url}");
    }
}
