//! Active Directory, as Samba plays it: who is copied, who may become root, and who is locked or expired.

use harness::samba::Samba;
use harness::suite::{HOUR, Suite, now};
use harness::text;

/// A machine with a domain of the team, and the configuration that names it.
fn configure(suite: &Suite, more: &str) {
    let directory = Samba::section();
    suite.host.write(
        "/etc/authkeys/config.toml",
        format!("{directory}timeout = '20s'\n{more}\n[host]\nname = 'testhost'\n[[policy.shared_account]]\naccount = 'root'\n"),
        0o644,
    );
}

fn sync(suite: &Suite) -> String {
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `people` as the copy has them, in order, with what `columns` says of each.
fn copied(suite: &Suite, columns: &str) -> Vec<String> {
    let query = format!("SELECT {columns} FROM person ORDER BY principal");
    let rows = suite.host.must(&format!("sqlite3 /var/lib/authkeys/keys.db \"{query}\""));
    rows.lines().map(str::to_string).collect()
}

fn eligible(suite: &Suite) -> Vec<String> {
    copied(suite, "principal || ' ' || eligible")
        .iter()
        .filter_map(|row| row.strip_suffix(" 1"))
        .map(str::to_string)
        .collect()
}

#[test]
fn a_domain_is_copied_and_who_is_moved_or_renamed_in_it_stays_who_they_are() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |name| format!("{name}@example.com"));
    configure(&suite, "");
    let told = sync(&suite);
    assert!(told.starts_with("4 changed, 0 removed, 4 people, 3 newly eligible"), "{told}");
    let ids = copied(&suite, "id");
    assert!(ids.iter().all(|id| id.len() == 36), "{ids:?}");

    // A dozen people are moved, and their entries renamed: nobody is removed, and no guard is in the way.
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    samba.add_people(names.iter().map(String::as_str));
    sync(&suite);
    for name in &names {
        let to = format!(
            "newrdn: CN=Person {name}, \\C3\\9C.\ndeleteoldrdn: 1\nnewsuperior: OU=left,{}",
            Samba::BASE
        );
        samba.modify(&format!(
            "dn: {}\nchangetype: modrdn\n{}\n",
            Samba::dn(name),
            to.replace(", \\C3", "\\, \\C3")
        ));
    }
    let told = sync(&suite);
    assert!(told.starts_with("12 changed, 0 removed, 16 people"), "{told}");

    // One of the eligible as well: the group follows.
    samba.modify(&format!(
        "dn: {}\nchangetype: modrdn\nnewrdn: CN=Alice\ndeleteoldrdn: 1\nnewsuperior: OU=left,{}\n",
        Samba::dn("alice"),
        Samba::BASE
    ));
    let told = sync(&suite);
    assert!(told.starts_with("1 changed, 0 removed, 16 people,"), "{told}");
    assert_eq!(eligible(&suite), ["alice", "bob", "carol"]);
    let key = suite.public_key("alice");
    let printed = suite.must_as("authkeys", "authkeys alice");
    assert_eq!(printed.split(' ').nth(1), key.split(' ').nth(1));
    assert_eq!(copied(&suite, "id").first(), ids.first());
}

#[test]
fn a_group_that_comes_in_slices_is_read_to_its_end() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.install_files();
    configure(&suite, "");
    let names: Vec<String> = (0..1100).map(|number| format!("p{number:04}")).collect();
    samba.add_people(names.iter().map(String::as_str));
    for count in [499, 500, 501, 999, 1000, 1100] {
        let members: Vec<&str> = names.iter().take(count).map(String::as_str).collect();
        samba.set_eligible(&members);
        let told = sync(&suite);
        assert_eq!(eligible(&suite).len(), count, "{told}");
    }
}

#[test]
fn computers_are_nobody_and_mail_addresses_may_be_proxy_addresses() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |_| String::new());
    samba.modify(&format!(
        "dn: CN=web1,{}\nchangetype: add\nobjectClass: computer\nsAMAccountName: web1\nuserAccountControl: 4096\n",
        Samba::BASE
    ));
    samba.set(
        "alice",
        "proxyAddresses",
        &["SMTP:alice@example.com", "smtp:a.l@example.com", "X500:/o=x/cn=a@b"],
    );
    // As sssd.conf of a domain says it, imported.
    suite.host.write(
        "/etc/sssd.conf",
        format!(
            "[domain/example.com]\nid_provider = ldap\nldap_schema = ad\nldap_uri = {}\nldap_search_base = {}\n\
             ldap_default_bind_dn = {}\nldap_default_authtok = x\nldap_tls_cacert = /etc/authkeys/ldap-ca.pem\n\
             ldap_user_email = proxyAddresses\n",
            Samba::URL,
            Samba::BASE,
            Samba::BIND_DN
        ),
        0o600,
    );
    suite.host.must("oncall-cache config import /etc/sssd.conf >/etc/authkeys/config.toml");
    let told = sync(&suite);
    assert!(told.starts_with("4 changed, 0 removed, 4 people"), "{told}");
    let mails =
        suite.host.must("sqlite3 /var/lib/authkeys/keys.db 'SELECT principal, address FROM mail ORDER BY 2'");
    assert_eq!(mails, "alice|a.l@example.com\nalice|alice@example.com\n");
}

/// An instant as accountExpires has it.
fn filetime(unix: i64) -> String {
    ((unix + 11_644_473_600) * 10_000_000).to_string()
}

#[test]
fn a15_accounts_that_are_disabled_locked_or_expired_have_no_keys() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |_| String::new());
    let keys = |at: i64, name: &str| {
        let output = suite.run_at("authkeys", at, &format!("authkeys {name}"));
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8_lossy(&output.stdout).lines().count()
    };
    let open_at = |at: i64| -> Vec<&str> {
        let names = ["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"];
        names.into_iter().filter(|name| keys(at, name) > 0).collect()
    };
    let open = || open_at(now());
    for name in ["eve", "frank", "grace", "heidi"] {
        samba.add_person(name, "", &[&suite.public_key("alice")]);
    }
    samba.set_eligible(&["alice", "bob", "carol", "dave", "eve", "frank", "grace", "heidi"]);
    configure(&suite, "");
    sync(&suite);
    assert_eq!(open().len(), 8);
    let never = samba.values(&Samba::dn("alice"), "accountExpires");
    assert_eq!(never, ["9223372036854775807"], "as Samba makes people");

    samba.modify(&format!(
        "dn: {}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n",
        Samba::SUFFIX
    ));
    // Nothing is old by then.
    let soon = now() + 280;
    samba.set("alice", "accountExpires", &[&filetime(soon)]);
    samba.set("bob", "accountExpires", &["0"]);
    samba.set("carol", "accountExpires", &[&filetime(now() - 1)]);
    samba.set("dave", "userAccountControl", &["514"]);
    samba.set("eve", "userAccountControl", &["546"]);
    for _ in 0..3 {
        samba.fail_to_bind("frank");
    }
    assert_ne!(samba.values(&Samba::dn("frank"), "lockoutTime"), ["0"]);
    samba.set("grace", "accountExpires", &[&filetime(now() + HOUR)]);
    sync(&suite);
    assert_eq!(open(), ["alice", "bob", "frank", "grace", "heidi"]);

    // By the clock, with nobody to ask: in the copy, and in what was remembered of a live answer.
    let lookup = "[keys]\nsource = 'live'";
    configure(&suite, lookup);
    assert_eq!(keys(now(), "alice") + keys(now(), "grace"), 2, "both are remembered");
    samba.stop();
    assert_eq!((keys(soon - 1, "alice"), keys(soon, "alice"), keys(soon, "grace")), (1, 0, 1));
    configure(&suite, "");
    assert_eq!(open_at(soon - 1), ["alice", "bob", "frank", "grace", "heidi"]);
    assert_eq!(open_at(soon), ["bob", "frank", "grace", "heidi"]);

    samba.resume();
    configure(&suite, "disabling_locks = 'any'");
    sync(&suite);
    assert_eq!(open_at(soon.max(now())), ["bob", "grace", "heidi"]);
}

#[test]
fn a_domain_controller_tells_the_time() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |_| String::new());
    configure(&suite, "");
    // By a clock that is three days ahead, and nothing from before that could bear it out.
    let synced = suite.run_ahead("authkeys-sync", 72 * HOUR, "authkeys-sync");
    assert!(synced.status.success(), "{}", text(&synced));
    let clock = suite.host.read("/var/lib/authkeys/keys.clock");
    let seen = clock.split(' ').nth(2).expect("an instant");
    let seen: i64 = suite.host.must(&format!("date -d {seen} +%s")).trim().parse().expect("seconds");
    assert!((now() - 60..=now()).contains(&seen), "{clock}");
    assert_eq!(suite.must_as("authkeys", "authkeys alice").lines().count(), 1);
}
