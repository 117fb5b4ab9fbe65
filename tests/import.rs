//! `oncall-cache config import` of real configurations: what it writes is accepted as it stands, and gives sshd the
//! keys that the other tool would find in the same directory.
//!
//! What those tools find is asked of slapd with ldapsearch, by the filters that they send.

use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::{text, wait_until};

const OPS: &str = "cn=ops,ou=groups,dc=example,dc=com";

/// Everybody, in the directory or not.
const NAMES: [&str; 9] =
    ["alice", "bob", "carol", "dave", "eve", "frank", "alice.ad", "carol.ad", "nobody.here"];

/// alice is an ordinary account. bob is no POSIX account, carol has names and keys of Active Directory, dave left,
/// eve is elsewhere in the tree, frank has no key.
fn furnish(suite: &Suite, slapd: &Slapd<'_>) {
    let key = |name: &str| suite.public_key(name);
    let posix = |name: &str, number: u32| {
        format!(
            "objectClass: posixAccount\nuidNumber: {number}\ngidNumber: 100\nhomeDirectory: /home/{name}\n"
        )
    };
    let entry = |name: &str, base: &str, more: &str| {
        format!(
            "dn: uid={name},{base}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\n\
             objectClass: elsewhere\nuid: {name}\ncn: {name}\nsn: {name}\nmail: {name}@example.com\n{more}\n"
        )
    };
    let own = |name: &str| format!("sshPublicKey: {}\n", key(name));
    let ldif = [
        "dn: ou=elsewhere,dc=example,dc=com\nchangetype: add\nobjectClass: organizationalUnit\n\n"
            .to_string(),
        entry(
            "alice",
            Slapd::BASE,
            &(posix("alice", 2001)
                + &own("alice")
                + &own("bob")
                + "sAMAccountName: alice.ad\n"
                + &format!("memberOf: {OPS}\n")),
        ),
        entry("bob", Slapd::BASE, &own("bob")),
        entry(
            "carol",
            Slapd::BASE,
            &(posix("carol", 2003)
                + &format!("altSecurityIdentities: {}\n", key("carol"))
                + &own("dave")
                + "sAMAccountName: carol.ad\n"),
        ),
        entry(
            "dave",
            Slapd::BASE,
            &(posix("dave", 2004) + &own("dave") + "employeeType: former\n" + &format!("memberOf: {OPS}\n")),
        ),
        entry("eve", "ou=elsewhere,dc=example,dc=com", &(posix("eve", 2005) + &own("carol"))),
        entry("frank", Slapd::BASE, &posix("frank", 2006)),
    ];
    slapd.modify(&ldif.concat());
    suite.host.write("/etc/authkeys/ldap-ca.pem", slapd.ca_pem(), 0o644);
}

/// Another tool's file, and what the tool would ask about a person.
struct Source {
    file: &'static str,
    content: String,
    /// With NAME for the name.
    filter: String,
    attribute: &'static str,
    /// Who must have a key by that, so that the comparison is about something.
    expected: &'static [&'static str],
}

/// The keys that the tool would find for `name`, sorted: `TYPE BASE64`.
fn found(suite: &Suite, source: &Source, name: &str) -> Vec<String> {
    let filter = source.filter.replace("NAME", name);
    let output = suite
        .host
        .command("ldapsearch")
        .args(["-x", "-LLL", "-o", "ldif-wrap=no", "-H", Slapd::LDAPS_URL, "-b", Slapd::BASE])
        .args(["-D", Slapd::BIND_DN, "-w", Slapd::BIND_PASSWORD, &filter, source.attribute])
        .env("LDAPTLS_CACERT", "/etc/authkeys/ldap-ca.pem")
        .output()
        .expect("nsenter runs");
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let start = format!("{}: ", source.attribute);
    keys(said.lines().filter_map(|line| line.strip_prefix(&start)))
}

fn keys<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut keys: Vec<String> =
        lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    keys.sort();
    keys
}

fn sources() -> [Source; 4] {
    let (base, bind, password) = (Slapd::BASE, Slapd::BIND_DN, Slapd::BIND_PASSWORD);
    let ca = "/etc/authkeys/ldap-ca.pem";
    [
        Source {
            file: "authkeys.json",
            content: format!(
                "{{\n  \"BaseDN\": \"{base}\",\n  \"DialTimeout\": 5,\n  \"KeyAttribute\": \"sshPublicKey\",\n  \
                 \"LDAPServer\": \"ldap.example.com\",\n  \"LDAPPort\": 3890,\n  \"RootCAFile\": \"{ca}\",\n  \
                 \"UserAttribute\": \"uid\",\n  \"BindDN\": \"{bind}\",\n  \"BindPW\": \"{password}\"\n}}\n"
            ),
            filter: "(uid=NAME)".to_string(),
            attribute: "sshPublicKey",
            expected: &["alice", "bob", "carol", "dave"],
        },
        Source {
            file: "olak.yml",
            content: format!(
                "---\nldap:\n  basedn: {base}\n  server_uri: ldaps://ldap.example.com:6360/\n  authdn: \"{bind}\"\n  \
                 authpw: {password}\n  timeout: 5\n  filters:\n    user: (objectClass=posixAccount)\n  attributes:\n    \
                 username: uid\n    ssh_key: sshPublicKey\n    user_disabled: {{attribute: employeeType, op: eq, value: former}}\n\
                 tls:\n  ca_file: {ca}\n  require: require\n"
            ),
            filter: "(&(objectClass=posixAccount)(uid=NAME)(!(employeeType=former)))".to_string(),
            attribute: "sshPublicKey",
            expected: &["alice", "carol"],
        },
        Source {
            file: "sssd.conf",
            content: format!(
                "[sssd]\nservices = nss, pam, ssh\ndomains = example.com\n\n[domain/example.com]\nid_provider = ldap\n\
                 access_provider = ldap\nldap_uri = ldaps://ldap.example.com:6360, ldap://ldap.example.com:3890\n\
                 ldap_search_base = dc=example,dc=com\nldap_user_search_base = {base}?subtree?(!(employeeType=former))\n\
                 ldap_default_bind_dn = {bind}\nldap_default_authtok = {password}\nldap_tls_cacert = {ca}\n\
                 ldap_access_filter = memberOf={OPS}\ncache_credentials = true\n"
            ),
            filter: format!(
                "(&(uid=NAME)(objectClass=posixAccount)(!(employeeType=former))(memberOf={OPS}))"
            ),
            attribute: "sshPublicKey",
            expected: &["alice"],
        },
        Source {
            file: "nslcd.conf",
            content: format!(
                "uid nslcd\ngid nslcd\nuri ldap://ldap.example.com:3890/\nbase dc=example,dc=com\nbase passwd {base}\n\
                 binddn {bind}\nbindpw {password}\nssl start_tls\ntls_cacertfile {ca}\n\
                 filter passwd (&(objectClass=posixAccount)(!(employeeType=former)))\nmap passwd uid sAMAccountName\n"
            ),
            filter: "(&(objectClass=posixAccount)(!(employeeType=former))(sAMAccountName=NAME))".to_string(),
            attribute: "sshPublicKey",
            expected: &["alice.ad", "carol.ad"],
        },
    ]
}

/// Imports the file as an administrator does, by the steps of docs/migration.md.
fn import(suite: &Suite, source: &Source) {
    let file = format!("/etc/{}", source.file);
    suite.host.write(&file, &source.content, 0o600);
    let output = suite.host.sh(&format!("oncall-cache config import {file} >/etc/authkeys/config.toml"));
    assert!(output.status.success(), "{}", text(&output));
    let written = suite.host.read("/etc/authkeys/config.toml");
    assert!(!written.contains(Slapd::BIND_PASSWORD), "{written}");
    let place = format!("# {file}:");
    assert!(written.contains("the password is in this line and is not copied") && written.contains(&place));
    suite.host.write("/etc/authkeys/bind-password", format!("{}\n", Slapd::BIND_PASSWORD), 0o640);
    suite.host.must("chgrp authkeys-sync /etc/authkeys/bind-password");
    let checked = suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    assert_eq!(checked, "/etc/authkeys/config.toml: ok\n");
    // No rule of ours admits anybody yet, and nobody may be refused for that.
    let sudo = suite.run_as("bob", "sudo -n true");
    assert!(sudo.status.success(), "{}", text(&sudo));
    let decisions = suite.decisions().join("\n");
    assert!(decisions.contains("decision=") && decisions.contains("mode=observe"), "{decisions}");
}

#[test]
fn an_imported_configuration_gives_the_keys_that_the_other_tool_found() {
    let suite = Suite::start();
    let slapd = Slapd::start(&suite.host);
    furnish(&suite, &slapd);
    for source in sources() {
        import(&suite, &source);
        for live in [false, true] {
            suite.host.must("rm -rf /var/lib/authkeys/* /var/cache/authkeys/*");
            if !live {
                println!("{}: {}", source.file, suite.sync_keys());
            }
            let mut have_keys = Vec::new();
            for name in NAMES {
                let theirs = found(&suite, &source, name);
                // The imported file's time for one question may be too short for a busy machine.
                let mut ours = String::new();
                wait_until("the directory is asked in time", || {
                    let output = suite.run_as("authkeys", &format!("exec authkeys {name}"));
                    ours = String::from_utf8_lossy(&output.stdout).into_owned();
                    output.status.success()
                });
                assert_eq!(keys(ours.lines()), theirs, "{} {name}", source.file);
                if !theirs.is_empty() {
                    have_keys.push(name);
                    assert!(ours.lines().all(|line| line.ends_with(&format!(" {name}"))), "{ours}");
                }
            }
            assert_eq!(have_keys, source.expected, "{}", source.file);
        }
    }
}

#[test]
fn what_lacks_a_server_is_accepted_and_asks_nobody() {
    let suite = Suite::start();
    suite.host.write("/etc/sssd.conf", "[domain/x]\nid_provider = ldap\nldap_uri = _srv_\n", 0o600);
    let output = suite.host.sh("oncall-cache config import /etc/sssd.conf >/etc/authkeys/config.toml");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    suite.host.must("oncall-cache config check /etc/authkeys/config.toml");
    assert!(
        suite.run_as("bob", "sudo -n true").status.success(),
        "an unfinished configuration refuses nobody"
    );
    let sync = suite.run_as("authkeys-sync", "authkeys-sync");
    assert_eq!(sync.status.code(), Some(2), "{}", text(&sync));
}
