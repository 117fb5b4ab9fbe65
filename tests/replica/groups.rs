//! Who may become root: groups, attributes, and how many may go at once.

use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite, now};
use harness::text;

use super::{MEMBERS, Site, config, dn};

#[test]
fn without_its_own_directory_authkeys_still_asks() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for source in ["copy", "live"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nsource = '{source}'")), 0o644);
        for damage in ["true", "rm -rf /var/cache/authkeys", "install -d -m 700 /var/cache/authkeys"] {
            suite.host.must(damage);
            assert_eq!(
                site.answer("dave"),
                (site.line("dave", "dave"), "keys".to_string()),
                "{source}: {damage}"
            );
        }
        suite.host.must("install -d -m 700 -o authkeys -g authkeys /var/cache/authkeys");
    }
}

#[test]
fn who_is_not_eligible_by_keys_db_enters_no_shared_account_on_an_older_roster() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let rest = harness::suite::CONFIG.to_string() + "explain_refusals = false\n";
    let rest = rest.replace("[host]\nname = \"testhost\"\n[directory]\nfile = \"people.toml\"\n", "");
    suite.host.write("/etc/authkeys/config.toml", config("") + &rest, 0o644);
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", -HOUR, HOUR)]);
    suite.sync();
    let enters = |name: &str| suite.ssh(name, "root", "true").status.success();
    assert!(enters("alice") && enters("bob"));
    site.slapd.set_eligible(&["bob", "carol"]);
    site.sync();
    assert_eq!(site.keys("root"), site.line("bob", "bob"));
    assert!(!enters("alice") && enters("bob"));
    let explained = suite.must_as("root", "authkeys --explain root");
    assert!(explained.contains("alice: no longer eligible, by keys.db"), "{explained}");
}

#[test]
fn who_binds_as_somebody_else_fetches_everybody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    assert_eq!(site.sync_counted().1, [0]);
    let admin = config("").replace(Slapd::BIND_DN, "cn=admin,dc=example,dc=com");
    suite.host.write("/etc/authkeys/config.toml", admin, 0o644);
    suite.host.must("printf 'root of the directory\\n' >/etc/authkeys/bind-password");
    assert_eq!(site.sync_counted().1, [4], "another reader may see other entries");
    assert_eq!(site.sync_counted().1, [0]);
}

#[test]
fn a_group_whose_members_are_hidden_is_not_an_empty_one() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let said = suite.sync_keys();
    assert!(said.starts_with("4 changed, 0 removed, 4 people, 3 newly eligible, "), "{said}");
    site.slapd.hide("member");
    site.refused("authkeys-sync", "shows no member");
    site.refused("authkeys-sync --accept", "ldap-partial");
    // By memberOf, where the attribute is hidden: nobody matches.
    let group = Slapd::GROUP_DN;
    site.modify(
        "bob",
        &format!("add: objectClass\nobjectClass: elsewhere\n-\nadd: memberOf\nmemberOf: {group}"),
    );
    suite.host.write("/etc/authkeys/config.toml", config("eligible_group_by = 'memberOf'"), 0o644);
    site.sync();
    assert_eq!(site.eligible(), "bob");
    site.slapd.hide("memberOf");
    site.refused("authkeys-sync", "1 of 1 people would no longer be eligible");
    assert_eq!(site.eligible(), "bob");
}

#[test]
fn more_eligible_people_than_max_shrink_allows_are_not_taken_away_unasked() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names: Vec<String> = (0..30).map(|n| format!("p{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        site.slapd.add_person(name, "", &[]);
    }
    site.slapd.set_eligible(&names);
    site.sync();
    site.slapd.set_eligible(&names[..20]);
    site.refused("authkeys-sync", "10 of 30 people would no longer be eligible");
    site.slapd.set_eligible(&names[..21]);
    let said = suite.sync_keys();
    assert!(said.contains(" people, 9 no longer eligible, "), "fewer than ten may always go: {said}");
}

#[test]
fn a_lookup_copy_may_have_nobody_in_it_and_a_directory_may_not() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let lookup = |directory: String| {
        let text = directory.replace("eligible_group", "#eligible_group") + "[keys]\nsource = 'live'\n";
        suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    };
    lookup(config(""));
    for _ in 0..2 {
        assert_eq!(site.sync(), "0 changed, 0 removed, 0 people");
    }
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
    suite.host.write("/etc/authkeys/config.toml", config("filter = '(uid=nobody.at.all)'"), 0o644);
    site.refused("authkeys-sync", "source-empty");
    // And from a file, which the second sync does not parse.
    let file = "[directory]\nfile = 'people.toml'\n[keys]\nsource = 'live'\n";
    suite.host.write("/etc/authkeys/config.toml", file, 0o644);
    let people = suite.host.read("/etc/authkeys/people.toml").replace("eligible = true", "eligible = false");
    suite.host.write("/etc/authkeys/people.toml", people, 0o644);
    for _ in 0..2 {
        assert_eq!(site.sync(), "0 changed, 0 removed, 0 people");
    }
}

#[test]
fn the_eligible_group_is_read_at_each_sync_in_each_of_its_forms() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.set_eligible(&["dave", "alice"]);
    assert_eq!(site.sync_counted(), ("3 changed, 0 removed, 4 people".to_string(), vec![0, 4]));
    assert_eq!(site.eligible(), "alice dave");
    assert_eq!(site.sync(), "0 changed, 0 removed, 4 people");
    // Somebody new, and a change of the group in the same breath.
    site.slapd.add_person("erin", "", &[]);
    site.slapd.set_eligible(&["erin", "alice"]);
    assert_eq!(site.sync(), "2 changed, 0 removed, 5 people");
    assert_eq!(site.eligible(), "alice erin");
    // The last of them stay until somebody says that this is meant.
    site.slapd.set_eligible(&[]);
    site.refused("authkeys-sync", "2 of 2 people would no longer be eligible");
    let accepted = suite.run_as("authkeys-sync", "authkeys-sync --accept");
    let said = text(&accepted);
    assert!(said.contains("2 changed, 0 removed, 5 people, 2 no longer eligible, "), "{said}");
    assert!(said.contains("nobody is eligible: no member of "), "{said}");
    assert_eq!(site.eligible(), "");

    for (name, class, member) in [
        ("posix", "posixGroup\ngidNumber: 9100", "memberUid: bob".to_string()),
        ("unique", "groupOfUniqueNames", format!("uniqueMember: {}", dn("bob"))),
    ] {
        let group = format!("cn={name},ou=groups,{}", Slapd::SUFFIX);
        site.slapd.modify(&format!("dn: {group}\nchangetype: add\nobjectClass: {class}\n{member}\n"));
        suite.host.write("/etc/authkeys/config.toml", config("").replace(Slapd::GROUP_DN, &group), 0o644);
        site.sync();
        assert_eq!(site.eligible(), "bob", "{name}");
    }

    suite.host.write("/etc/authkeys/config.toml", config("eligible_group_by = 'memberOf'"), 0o644);
    let member = |uid: &str, change: &str| {
        site.modify(uid, &format!("{change}: memberOf\nmemberOf: {}", Slapd::GROUP_DN));
    };
    let said = text(&suite.run_as("authkeys-sync", "authkeys-sync --accept"));
    assert!(said.contains("nobody is eligible: ") && said.contains("loaded by slapadd"), "{said}");
    site.modify("dave", "add: objectClass\nobjectClass: elsewhere");
    site.modify("carol", "add: objectClass\nobjectClass: elsewhere");
    member("dave", "add");
    site.sync();
    assert_eq!(site.eligible(), "dave");
    member("dave", "delete");
    member("carol", "add");
    site.sync();
    assert_eq!(site.eligible(), "carol");
    site.slapd.delete(Slapd::GROUP_DN);
    site.refused("authkeys-sync", "it does not exist");
}

#[test]
fn attributes_go_by_the_names_that_the_directory_has_for_them() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names = "filter = '(sAMAccountName=*)'\n[directory.attributes]\nuser = 'sAMAccountName'\nkeys = 'altSecurityIdentities'";
    suite.host.write("/etc/authkeys/config.toml", config(names), 0o644);
    let change = format!(
        "add: objectClass\nobjectClass: elsewhere\n-\nadd: sAMAccountName\nsAMAccountName: erin\n-\nadd: altSecurityIdentities\naltSecurityIdentities: X509:<I>DC=x\naltSecurityIdentities: {}",
        suite.public_key("bob")
    );
    site.modify("alice", &change);
    assert_eq!(site.sync(), "1 changed, 0 removed, 1 people");
    assert_eq!(site.keys("erin"), site.line("bob", "erin"));
    assert_eq!(site.keys("alice"), Some(String::new()));
}

#[test]
fn a_sync_that_takes_too_many_away_is_refused_until_it_is_accepted() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let key = suite.public_key("alice");
    let names: Vec<String> = (0..46).map(|number| format!("p{number}")).collect();
    site.slapd.add_people(names.iter().map(|name| (name.as_str(), key.as_str())));
    assert_eq!(site.sync(), "50 changed, 0 removed, 50 people");
    for name in &names[..10] {
        site.slapd.delete(&dn(name));
    }
    assert_eq!(site.sync(), "0 changed, 10 removed, 40 people", "a fifth may go");
    for name in &names[10..19] {
        site.slapd.delete(&dn(name));
    }
    assert_eq!(site.sync(), "0 changed, 9 removed, 31 people", "fewer than ten may always go");
    // Keys gone count like people gone.
    for name in &names[19..26] {
        site.modify(name, "delete: sshPublicKey");
    }
    for name in &names[26..30] {
        site.slapd.delete(&dn(name));
    }
    let words = "11 of 31 people would be removed or lose all keys within a week, more than max_removed (20%) allows (guard-tripped)";
    site.refused("authkeys-sync", words);
    site.refused("authkeys-sync", "authkeys-sync --accept");
    assert_eq!(site.keys("p26"), site.line("alice", "p26"));
    let said = suite.must_as("authkeys-sync", "authkeys-sync --accept");
    assert!(said.starts_with("7 changed, 4 removed, 27 people"), "{said}");
    assert_eq!(site.keys("p26"), Some(String::new()));

    // So do accounts that all end by a slip, at once or soon; an end that is far off takes nothing away yet.
    let end_on = |day: i64| {
        for name in &names[30..] {
            site.modify(name, &format!("replace: shadowExpire\nshadowExpire: {day}"));
        }
    };
    for name in &names[30..] {
        site.modify(name, "add: objectClass\nobjectClass: shadowAccount");
    }
    let today = now() / DAY;
    for day in [20_000, today + 6] {
        end_on(day);
        site.refused("authkeys-sync", "16 of 27 people would be removed or lose all keys within a week");
        assert_eq!(site.keys("p30"), site.line("alice", "p30"));
    }
    end_on(today + 30);
    assert_eq!(site.sync(), "16 changed, 0 removed, 27 people");
    end_on(20_000);
    site.refused("authkeys-sync", "16 of 27 people");
    suite.must_as("authkeys-sync", "authkeys-sync --accept");
    assert_eq!(site.keys("p30"), Some(String::new()));

    for name in names[19..26].iter().chain(&names[30..]).map(String::as_str).chain(MEMBERS) {
        site.slapd.delete(&dn(name));
    }
    site.refused("authkeys-sync --accept", "source-empty");
}
