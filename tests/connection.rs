//! The ways to a directory, through the real programs and a real slapd.

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
        let config = format!("{directory}deadline = '5s'\n");
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
        self.configure(directory);
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
    site.refuses(&Slapd::section(&["ldaps://[::1]:6360"]), "nobody in ca_file vouches for its certificate");
}
