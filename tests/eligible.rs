//! Who is eligible, on a real slapd and a real domain controller: groups in the eligible group are told, or followed to
//! their end; and with `source = "live"` the sync asks for eligible people alone.

use harness::directory::{Directory as _, ELIGIBLE, Member};
use harness::ds389::Ds389;
use harness::samba::Samba;
use harness::slapd::Slapd;
use harness::suite::{HOUR, Suite};
use harness::text;

fn group(name: &str) -> String {
    format!("cn={name},ou=groups,{}", Slapd::SUFFIX)
}

fn person(name: &str) -> String {
    format!("uid={name},{}", Slapd::BASE)
}

/// A slapd with the team in it, of whom nobody is eligible, and a copy of it.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
}

impl<'a> Site<'a> {
    fn start(suite: &'a Suite) -> Self {
        Self::with(suite, Slapd::start_with_changes(&suite.host))
    }

    fn with(suite: &'a Suite, slapd: Slapd<'a>) -> Self {
        slapd.furnish(suite, |name| format!("{name}@example.com"));
        slapd.set_eligible(&[]);
        let site = Self { suite, slapd };
        site.configure("nested_groups = true");
        site
    }

    fn configure(&self, more: &str) {
        let directory = Slapd::section(&[Slapd::LDAPS_URL]);
        let text = format!("[host]\nname = 'testhost'\n{directory}timeout = '30s'\n{more}\n");
        self.suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    }

    fn add_group(&self, name: &str, members: &[String]) {
        let members: String = members.iter().map(|dn| format!("member: {dn}\n")).collect();
        let dn = group(name);
        self.slapd.modify(&format!("dn: {dn}\nchangetype: add\nobjectClass: groupOfNames\n{members}"));
    }

    fn change(&self, name: &str, change: &str, member: &str) {
        let dn = group(name);
        self.slapd.modify(&format!("dn: {dn}\nchangetype: modify\n{change}: member\nmember: {member}\n"));
    }

    /// Syncs, and what that said.
    fn sync(&self) -> String {
        let output = self.suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    fn eligible(&self) -> String {
        eligible(self.suite)
    }
}

fn eligible(suite: &Suite) -> String {
    let query = "SELECT principal FROM person WHERE eligible ORDER BY principal";
    let rows = suite.host.must(&format!("sqlite3 /var/lib/authkeys/keys.db '{query}'"));
    rows.lines().collect::<Vec<_>>().join(" ")
}

const EMPTY: &str = "a group in cn=root-eligible,ou=groups,dc=example,dc=com shows no member (cn=inner,ou=groups,dc=example,dc=com)";

const TOLD: &str = "has a group as members (cn=operators,ou=groups,dc=example,dc=com)";

#[test]
fn a_group_in_the_group_is_told_until_it_is_followed_or_gone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.add_group("operators", &[person("bob")]);
    site.change("root-eligible", "add", &person("alice"));
    site.change("root-eligible", "add", &group("operators"));
    let doctor = || {
        let said = suite.run_as("root", "oncall-cache doctor");
        text(&said).contains("nested-groups")
    };
    let check = || text(&suite.run_as("root", "oncall-cache config check /etc/authkeys/config.toml"));
    for by in ["member", "memberOf"] {
        if by == "memberOf" {
            let change = "add: objectClass\nobjectClass: elsewhere\n-\nadd: memberOf";
            let (dn, top) = (person("alice"), Slapd::GROUP_DN);
            site.slapd.modify(&format!("dn: {dn}\nchangetype: modify\n{change}\nmemberOf: {top}\n"));
        }
        site.configure(&format!("eligible_group_by = '{by}'"));
        for _ in 0..2 {
            let said = site.sync();
            assert!(said.contains(TOLD) && said.contains("nested_groups = true"), "{said}");
            assert_eq!(site.eligible(), "alice");
        }
        assert!(doctor() && check().contains(TOLD), "{}", check());
    }
    let status = || text(&suite.run_as("nobody", "oncall-cache status"));
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let source = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'";
    site.configure(source);
    suite.sync();
    assert!(status().contains(TOLD), "{}", status());
    site.configure(&format!("nested_groups = true\n{source}"));
    let said = site.sync();
    suite.must_as("oncall-cache", "oncall-cache sync");
    assert!(!status().contains(TOLD), "{}", status());
    assert!(!said.contains(" as members ") && !doctor() && !check().contains(TOLD), "{said}");
    assert_eq!(site.eligible(), "alice bob");
    site.configure("");
    site.change("root-eligible", "delete", &group("operators"));
    let said = site.sync();
    assert!(!said.contains(" as members ") && !doctor(), "{said}");
}

#[test]
fn who_comes_into_an_inner_group_or_leaves_it_is_seen_where_changes_are_told() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let unique = "cn=unique,ou=groups,dc=example,dc=com";
    let posix = "cn=posix,ou=groups,dc=example,dc=com";
    site.slapd.modify(&format!(
        "dn: {posix}\nchangetype: add\nobjectClass: posixGroup\ngidNumber: 9100\nmemberUid: dave\n\n\
         dn: {unique}\nchangetype: add\nobjectClass: groupOfUniqueNames\nuniqueMember: {}\nuniqueMember: {posix}\n",
        person("carol")
    ));
    site.add_group("inner", &[person("bob"), unique.to_string()]);
    site.change("root-eligible", "add", &group("inner"));
    // In a circle, and by itself.
    site.change("inner", "add", Slapd::GROUP_DN);
    site.change("inner", "add", &group("inner"));
    site.sync();
    assert_eq!(site.eligible(), "bob carol dave");
    let stamp = || suite.host.read("/var/lib/authkeys/keys.stamp");
    assert_eq!(stamp().split(' ').count(), 3, "the next sync asks for changes alone");
    let told = |said: &str, changed: &str| assert!(said.contains(changed), "{said}");

    site.change("inner", "delete", &person("bob"));
    told(&site.sync(), "1 changed, 0 removed, 4 people, 1 no longer eligible");
    site.change("inner", "add", &person("alice"));
    told(&site.sync(), "1 changed, 0 removed, 4 people, 1 newly eligible");
    site.slapd.modify(&format!("dn: {posix}\nchangetype: modify\nreplace: memberUid\nmemberUid: bob\n"));
    told(&site.sync(), "2 changed, 0 removed, 4 people, 1 newly eligible, 1 no longer eligible");
    assert_eq!(site.eligible(), "alice bob carol");
    site.slapd.delete(posix);
    told(&site.sync(), "1 changed, 0 removed, 4 people, 1 no longer eligible");
    // A group, where somebody eligible was.
    site.slapd.delete(&person("carol"));
    site.sync();
    site.add_group("late", &[person("dave")]);
    site.slapd.modify(&format!(
        "dn: {unique}\nchangetype: modify\nadd: uniqueMember\nuniqueMember: {}\n",
        group("late")
    ));
    site.sync();
    assert_eq!(site.eligible(), "alice dave");
}

#[test]
fn groups_are_followed_eight_levels_deep_and_no_sync_is_cut_short_below() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let name = |level: usize| format!("level{level}");
    for level in (1..=9).rev() {
        let below = if level == 9 { person("carol") } else { group(&name(level + 1)) };
        let member = if level == 8 { person("bob") } else { below };
        site.add_group(&name(level), &[member]);
    }
    site.change("root-eligible", "add", &group(&name(1)));
    for source in ["", "[keys]\nsource = 'live'"] {
        site.configure(&format!("nested_groups = true\n{source}"));
        site.sync();
        assert_eq!(site.eligible(), "bob");
    }
    site.change(&name(8), "add", &group(&name(9)));
    for source in ["[keys]\nsource = 'live'", ""] {
        site.configure(&format!("nested_groups = true\n{source}"));
        for _ in 0..2 {
            let output = suite.run_as("authkeys-sync", "authkeys-sync");
            let said = text(&output);
            assert!(output.status.code() == Some(2) && said.contains("deeper than 8 levels"), "{said}");
            assert!(said.contains("cn=level9,") && said.contains("ldap-partial"), "{said}");
            assert_eq!(site.eligible(), "bob", "the copy stays as it was");
        }
    }
    site.change(&name(8), "delete", &group(&name(9)));
    site.sync();
}

#[test]
fn inner_groups_that_show_no_member_count_as_empty_are_named_and_are_guarded() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.add_group("inner", &[person("bob")]);
    site.change("root-eligible", "add", &person("alice"));
    site.change("root-eligible", "add", &group("inner"));
    // Gone already, and never there.
    site.change("root-eligible", "add", &group("nowhere"));
    site.sync();
    assert_eq!(site.eligible(), "alice bob");
    site.slapd.hide_from(&group("inner"), "member");
    let doctor = || text(&suite.run_as("root", "oncall-cache doctor")).contains("empty-group");
    let check = || text(&suite.run_as("root", "oncall-cache config check /etc/authkeys/config.toml"));
    assert!(!doctor());
    suite.write_rota(&[("alice", -HOUR, HOUR)]);
    let source = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'";
    for mode in ["", LOOKUP] {
        site.configure(&format!("nested_groups = true\n{source}\n{mode}"));
        let said = site.sync();
        assert!(said.contains(EMPTY) && said.contains(" no longer eligible") == mode.is_empty(), "{said}");
        assert_eq!(site.eligible(), "alice");
        assert!(doctor() && check().contains(EMPTY), "{}", check());
    }
    suite.sync();
    let status = text(&suite.run_as("nobody", "oncall-cache status"));
    assert!(status.contains(EMPTY), "{status}");
    // What is not shown at all is no group.
    site.slapd.hide_from(&group("inner"), "entry");
    site.configure("nested_groups = true");
    let said = site.sync();
    assert!(!said.contains("no member") && !doctor(), "{said}");
    assert_eq!(site.eligible(), "alice");

    // Where rights take too many away, nothing is published.
    site.add_group("team", &[person("alice"), person("carol")]);
    site.change("root-eligible", "add", &group("team"));
    site.change("root-eligible", "delete", &person("alice"));
    site.sync();
    assert_eq!(site.eligible(), "alice carol");
    site.slapd.hide_from(&group("team"), "member");
    let refused = |why: &str| {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(output.status.code() == Some(2) && text(&output).contains(why), "{}", text(&output));
        assert_eq!(site.eligible(), "alice carol");
    };
    refused("guard-tripped");
    // The eligible group itself is never taken for empty.
    site.slapd.hide_from(Slapd::GROUP_DN, "member");
    refused(&format!("{} shows no member", Slapd::GROUP_DN));
}

/// 389 Directory Server's groupOfNames may have no member, and FreeIPA's are of that class.
#[test]
fn a_group_of_389_without_members_stops_no_sync() {
    let suite = Suite::start();
    let server = Ds389::start(&suite.host);
    server.hand_out(&suite);
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/k");
    let key = suite.public_key("k");
    ["alice", "bob"].iter().for_each(|name| server.add(name, &[&key]));
    server.give(ELIGIBLE, Member::Person("alice"));
    server.add_group("inner", &[Member::Person("bob")]);
    server.give(ELIGIBLE, Member::Group("inner"));
    let section = server.section().replacen("[directory]", "[directory]\nnested_groups = true", 1);
    suite.host.write("/etc/authkeys/config.toml", format!("[host]\nname = 'testhost'\n{section}"), 0o644);
    let sync = || suite.must_as("authkeys-sync", "authkeys-sync 2>&1");
    assert!(!sync().contains("no member"));
    assert_eq!(eligible(&suite), "alice bob");
    server.modify(&format!("dn: {}\nchangetype: modify\ndelete: member\n", group("inner")));
    let said = sync();
    assert!(said.contains("shows no member (cn=inner,") && said.contains("1 no longer eligible"), "{said}");
    assert_eq!(eligible(&suite), "alice");
}

/// Its plug-in writes the groups in which a group is into its members' entries, too, so nothing need be followed.
#[test]
fn a_389_with_its_member_of_plug_in_says_who_is_eligible() {
    let suite = Suite::start();
    let server = Ds389::start(&suite.host);
    server.keep_member_of();
    server.hand_out(&suite);
    suite.host.must("ssh-keygen -qt ed25519 -N '' -f /root/keys/k");
    let key = suite.public_key("k");
    ["alice", "bob", "carol"].iter().for_each(|name| server.add(name, &[&key]));
    server.add_group("inner", &[Member::Person("bob")]);
    server.give(ELIGIBLE, Member::Person("alice"));
    server.give(ELIGIBLE, Member::Group("inner"));
    let check = |wanted: &str| {
        for (nested, mode) in [("false", ""), ("true", ""), ("false", LOOKUP), ("true", LOOKUP)] {
            let more = format!("[directory]\neligible_group_by = 'memberOf'\nnested_groups = {nested}");
            let section = server.section().replacen("[directory]", &more, 1);
            let text = format!("[host]\nname = 'testhost'\n{section}\n{mode}\n");
            suite.host.write("/etc/authkeys/config.toml", text, 0o644);
            suite.must_as("authkeys-sync", "authkeys-sync");
            assert_eq!(eligible(&suite), wanted, "{more} {mode}");
        }
    };
    check("alice bob");
    server.give(ELIGIBLE, Member::Person("carol"));
    server.take("inner", Member::Person("bob"));
    check("alice carol");
    server.take(ELIGIBLE, Member::Person("alice"));
    check("carol");
}

/// What a sync asks the server, in searches.
fn searches(site: &Site<'_>) -> usize {
    site.slapd.log();
    site.sync();
    site.slapd.log().matches(" SRCH base=").count()
}

#[test]
fn members_that_are_no_people_are_asked_about_together() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let service = |number: usize| format!("cn=service{number},ou=services,{}", Slapd::SUFFIX);
    let services: String = (0..120)
        .map(|number| format!("dn: {}\nchangetype: add\nobjectClass: device\n\n", service(number)))
        .collect();
    site.slapd.modify(&services);
    let groups: Vec<String> = (0..60).map(|number| format!("g{number}")).collect();
    for (name, who) in groups.iter().zip(["alice", "bob", "carol"].iter().cycle()) {
        site.add_group(name, &[person(who)]);
    }
    let gone = (0..300).map(|number| format!("cn=gone{number},ou=groups,{}", Slapd::SUFFIX));
    let all = (0..120).map(service).chain(groups.iter().map(|name| group(name))).chain(gone);
    let members: String = all.map(|dn| format!("member: {dn}\n")).collect();
    let change = format!("dn: {}\nchangetype: modify\nadd: member\n{members}", Slapd::GROUP_DN);
    site.slapd.modify(&change);
    for mode in ["", LOOKUP] {
        site.configure(&format!("nested_groups = true\n{mode}"));
        for _ in 0..2 {
            let asked = searches(&site);
            // 480 members in batches, and the first of those that are nowhere by themselves.
            assert!(asked < 80, "{asked} searches");
            assert_eq!(site.eligible(), "alice bob carol");
        }
        let said = site.sync();
        assert!(said.contains("250 members of") && said.contains("were not looked up"), "{said}");
    }
    site.configure("");
    let asked = searches(&site);
    assert!(asked < 60, "{asked} searches");
    assert!(!site.sync().contains("were not looked up"), "groups are not followed");
}

#[test]
fn lookup_mode_asks_about_as_many_names_of_one_entry_as_it_looks_at() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.set_eligible(&["alice", "bob"]);
    site.configure(LOOKUP);
    let usual = searches(&site);
    let names: String = (0..2_000).map(|number| format!("uid: other{number}\n")).collect();
    site.slapd.modify(&format!("dn: {}\nchangetype: modify\nadd: uid\n{names}", person("bob")));
    let asked = searches(&site);
    assert!(asked <= usual + 1, "{asked} searches, {usual} before");
    assert_eq!(site.eligible(), "alice");
}

#[test]
fn by_member_of_each_inner_group_is_asked_for() {
    let suite = Suite::start();
    let site = Site::with(&suite, Slapd::start_with_member_of(&suite.host));
    site.add_group("inmost", &[person("carol")]);
    site.add_group("inner", &[person("bob"), group("inmost")]);
    site.change("root-eligible", "add", &person("alice"));
    site.change("root-eligible", "add", &group("inner"));
    site.configure("eligible_group_by = 'memberOf'");
    let said = site.sync();
    assert!(said.contains("cn=inner,"), "{said}");
    assert_eq!(site.eligible(), "alice");
    for source in ["", "[keys]\nsource = 'live'"] {
        site.configure(&format!("eligible_group_by = 'memberOf'\nnested_groups = true\n{source}"));
        site.sync();
        assert_eq!(site.eligible(), "alice bob carol");
    }
    site.configure("eligible_group_by = 'memberOf'\nnested_groups = true");
    site.sync();
    site.change("inmost", "add", &person("dave"));
    site.change("inner", "delete", &person("bob"));
    site.sync();
    assert_eq!(site.eligible(), "alice carol dave");
}

#[test]
fn a_domain_follows_groups_itself_and_primary_groups_count() {
    let suite = Suite::start();
    let samba = Samba::start(&suite.host);
    samba.furnish(&suite, |_| String::new());
    let group = |name: &str| format!("CN={name},OU=groups,{}", Samba::SUFFIX);
    let configure = |more: &str| {
        let text = format!("{}{more}\n[host]\nname = 'testhost'\n", Samba::section());
        suite.host.write("/etc/authkeys/config.toml", text, 0o644);
    };
    let sync = || text(&suite.run_as("authkeys-sync", "authkeys-sync"));
    let modify = |dn: &str, change: &str| samba.modify(&format!("dn: {dn}\nchangetype: modify\n{change}\n"));
    samba.set_eligible(&["alice"]);
    for name in ["inner", "inmost", "other"] {
        samba.modify(&format!(
            "dn: {}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n",
            group(name)
        ));
    }
    modify(
        &group("inmost"),
        &format!("add: member\nmember: {}\nmember: {}", Samba::dn("bob"), Samba::GROUP_DN),
    );
    modify(&group("inner"), &format!("add: member\nmember: {}", group("inmost")));
    modify(Samba::GROUP_DN, &format!("add: member\nmember: {}", group("inner")));
    configure("");
    let said = sync();
    assert!(said.contains("has a group as members (CN=inner,OU=groups,DC=example,DC=com)"), "{said}");
    assert_eq!(eligible(&suite), "alice");

    let make_primary = |name: &str, of: &str| {
        modify(&group(of), &format!("add: member\nmember: {}", Samba::dn(name)));
        let number = samba.values(&group(of), "primaryGroupToken").concat();
        modify(&Samba::dn(name), &format!("replace: primaryGroupID\nprimaryGroupID: {number}"));
        let members = samba.values(&group(of), "member");
        assert!(!members.contains(&Samba::dn(name)), "not listed any more: {members:?}");
    };
    make_primary("carol", "inmost");
    make_primary("dave", "other");
    configure("nested_groups = true");
    for source in ["", "[keys]\nsource = 'live'"] {
        configure(&format!("nested_groups = true\n{source}"));
        sync();
        assert_eq!(eligible(&suite), "alice bob carol", "{source}");
    }
    modify(&group("inmost"), &format!("delete: member\nmember: {}", Samba::dn("bob")));
    modify(&group("inner"), &format!("add: member\nmember: {}", group("other")));
    sync();
    assert_eq!(eligible(&suite), "alice carol dave");
    samba.delete(&group("inner"));
    sync();
    assert_eq!(eligible(&suite), "alice");
}

const LOOKUP: &str = "[keys]\nsource = 'live'";

#[test]
fn lookup_mode_needs_no_right_to_list_everybody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names: Vec<String> = (0..520).map(|number| format!("p{number:03}")).collect();
    site.slapd.add_people(names.iter().map(|name| (name.as_str(), "none")));
    site.slapd.set_eligible(&["alice", "bob", "carol"]);
    // What slapd has where nothing is written.
    site.slapd.limit(Some(500));
    site.configure("");
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(text(&output).contains("ldap-partial"), "{}", text(&output));
    site.configure(LOOKUP);
    let said = site.sync();
    assert!(said.contains("\n3 changed, 0 removed, 3 people, 3 newly eligible"), "{said}");

    // More than one question holds, and by their names alone.
    let many: Vec<&str> = names.iter().take(120).map(String::as_str).collect();
    site.slapd.set_eligible(&[&many[..], &["alice"]].concat());
    site.slapd.log();
    site.sync();
    assert_eq!(site.eligible().split(' ').count(), 121);
    let log = site.slapd.log();
    let counts =
        log.split(" nentries=").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(counts.max().is_some_and(|most| most <= 50), "{log}");
    let posix = "cn=posix,ou=groups,dc=example,dc=com";
    site.slapd.modify(&format!(
        "dn: {posix}\nchangetype: add\nobjectClass: posixGroup\ngidNumber: 9100\nmemberUid: dave\nmemberUid: gone\n"
    ));
    let directory = Slapd::section(&[Slapd::LDAPS_URL]).replace(Slapd::GROUP_DN, posix);
    suite.host.write(
        "/etc/authkeys/config.toml",
        format!("[host]\nname = 'testhost'\n{directory}{LOOKUP}\n"),
        0o644,
    );
    site.sync();
    assert_eq!(site.eligible(), "dave");
}

/// A person may be read by name and not be found by it: however many members are gone, nobody is left out.
#[test]
fn lookup_mode_asks_for_each_member_however_many_are_gone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let gone: Vec<String> = (0..120).map(|number| format!("gone{number}")).collect();
    site.slapd.add_people([("zoe", "none")]);
    let members: Vec<&str> = gone.iter().map(String::as_str).chain(["alice", "zoe"]).collect();
    site.slapd.set_eligible(&members);
    site.slapd.allow(&format!("to dn.base=\"{}\" attrs=uid by * =r", person("zoe")));
    site.configure(LOOKUP);
    site.sync();
    assert_eq!(site.eligible(), "alice zoe");
}

#[test]
fn lookup_mode_and_replica_mode_agree_on_who_is_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.set_eligible(&["alice", "bob", "carol"]);
    // Another entry, of nobody eligible, claims a name; and a person is a member who stands elsewhere.
    let unit = format!("ou=moved,{}", Slapd::BASE);
    let classes = "objectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: x\nsn: x";
    site.slapd.modify(&format!(
        "dn: {unit}\nchangetype: add\nobjectClass: organizationalUnit\n\n\
         dn: cn=other,{unit}\nchangetype: add\n{classes}\nuid: Alice\n\n\
         dn: uid=erin,ou=services,{}\nchangetype: add\n{classes}\n",
        Slapd::SUFFIX
    ));
    site.change("root-eligible", "add", &format!("uid=erin,ou=services,{}", Slapd::SUFFIX));
    // Whose name is no part of the DN.
    site.slapd
        .modify(&format!("dn: cn=Frank \\2c \\28F\\29 *,{unit}\nchangetype: add\n{classes}\nuid: frank\n"));
    site.change("root-eligible", "add", &format!("cn=Frank \\, (F) *,{unit}"));
    for source in ["", LOOKUP] {
        site.configure(source);
        let said = site.sync();
        assert!(said.contains("user name alice is in several entries"), "{source}: {said}");
        assert_eq!(site.eligible(), "bob carol frank", "{source}");
    }
    site.slapd.delete(&format!("cn=other,{unit}"));
    site.sync();
    assert_eq!(site.eligible(), "alice bob carol frank");
}

#[test]
fn lookup_mode_without_an_eligible_group_has_nothing_to_fetch_and_says_so() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let directory = Slapd::section(&[Slapd::LDAPS_URL]).replace("eligible_group", "#eligible_group");
    suite.host.write(
        "/etc/authkeys/config.toml",
        format!("[host]\nname = 'testhost'\n{directory}{LOOKUP}\n"),
        0o644,
    );
    site.slapd.log();
    for _ in 0..2 {
        let said = site.sync();
        assert!(
            said.contains("0 changed, 0 removed, 0 people") && said.contains("nothing to fetch"),
            "{said}"
        );
    }
    assert!(!site.slapd.log().contains(" SRCH "), "nobody is asked");
    assert!(suite.must_as("authkeys", "authkeys dave").contains("ssh-ed25519 "), "at a login");
    // A group without people is an answer.
    site.configure(LOOKUP);
    let said = site.sync();
    assert!(said.contains("0 people") && said.contains("nobody is eligible"), "{said}");
}
