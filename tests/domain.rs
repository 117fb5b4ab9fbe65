//! Active Directory by changes, as Samba plays it: after each change the copy is what a full read would be, and most of them
//! cost next to nothing.

use std::time::Duration;

use harness::relay::Relay;
use harness::samba::Samba;
use harness::suite::{Suite, now};
use harness::{text, wait_until};

/// How a sync came to know what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// What changed was told, or who is there was listed.
    Changes,
    /// Everybody was read.
    Everybody,
}

/// A domain, a copy of it that is kept by changes, and one that is made anew each time.
struct Domain<'a> {
    suite: &'a Suite,
    samba: Samba<'a>,
}

const KEPT: &str = "/var/lib/authkeys/keys.db";
const FULL: &str = "/run/full/keys.db";

/// The schema's id of uSNChanged ([MS-ADA3] 2.326).
const USN_CHANGED: &str = "bf967a6f-0de6-11d0-a285-00aa003049e2";

/// People who have left are here; nothing of it is shown to the reader.
const HIDDEN: &str = "OU=hidden,DC=example,DC=com";

impl<'a> Domain<'a> {
    fn start(suite: &'a Suite) -> Self {
        let samba = Samba::start(&suite.host);
        samba.furnish(suite, |_| String::new());
        let domain = Self { suite, samba };
        domain.configure("");
        suite.host.must("install -d -o authkeys-sync -g authkeys -m 755 /run/full");
        domain
    }

    fn configure(&self, more: &str) {
        let section = Samba::section()
            .replacen("[directory]", "[directory]\nnested_groups = true\ntimeout = '300s'", 1)
            .replace("(!(objectClass=computer))", "(!(objectClass=computer))(!(employeeType=gone))");
        let config = |paths: &str| format!("[host]\nname = 'testhost'\n{paths}{section}{more}");
        self.suite.host.write("/etc/authkeys/config.toml", config(""), 0o644);
        let full = config(&format!("[paths]\nkeys = '{FULL}'\n"));
        self.suite.host.write("/etc/authkeys/full.toml", full, 0o644);
    }

    /// The note of the last sync: when everybody was read, and the cookie.
    fn note(&self) -> (i64, String) {
        let stamp = self.suite.host.read("/var/lib/authkeys/keys.stamp");
        let digits = stamp.split_whitespace().nth(2).unwrap_or_else(|| panic!("no note in {stamp}"));
        let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
        let note: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
        let note = String::from_utf8(note).expect("text");
        let mut words = note.splitn(5, ' ');
        let full = words.next().and_then(|full| full.parse().ok()).expect("an instant");
        (full, words.nth(3).expect("a cookie").to_string())
    }

    /// Syncs, and says how that came to know.
    fn sync(&self) -> (By, String) {
        let (before, _) = self.note();
        wait_until("the next second", || now() > before);
        let output = self.suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(output.status.success(), "{}", text(&output));
        let by = if self.note().0 == before { By::Changes } else { By::Everybody };
        (by, String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Did the last sync keep a cookie?
    fn keeps_a_cookie(&self) -> bool {
        self.suite.host.read("/var/lib/authkeys/keys.stamp").split_whitespace().count() > 2
    }

    /// Syncs: the copy is another then, and right.
    fn notices(&self, row: &str) {
        let before = self.content(KEPT);
        self.suite.must_as("authkeys-sync", "authkeys-sync");
        self.equals_a_full_read(row);
        assert_ne!(self.content(KEPT), before, "{row}: nothing changed");
    }

    /// Everything in a copy, but when and from where it came.
    fn content(&self, file: &str) -> Vec<String> {
        let dump = self.suite.host.must(&format!("sqlite3 {file} .dump"));
        let lines = dump.lines().filter(|line| !line.starts_with("INSERT INTO meta"));
        let mut lines: Vec<_> = lines.map(str::to_string).collect();
        lines.sort();
        lines
    }

    fn equals_a_full_read(&self, row: &str) {
        let command = "rm -f /run/full/keys.*; authkeys-sync --config /etc/authkeys/full.toml";
        let output = self.suite.run_as("authkeys-sync", command);
        assert!(output.status.success(), "{row}: {}", text(&output));
        assert_eq!(self.content(KEPT), self.content(FULL), "{row}: by changes, and by a full read");
    }

    /// After something that changes the copy: it is noticed in this way, and right.
    fn check(&self, row: &str, by: By) {
        let before = self.content(KEPT);
        let (how, told) = self.sync();
        self.equals_a_full_read(row);
        assert_ne!(self.content(KEPT), before, "{row}: nothing changed; {told}");
        assert_eq!(how, by, "{row}: {told}");
        let again = self.sync();
        assert!(again.0 == By::Changes && again.1.starts_with("0 changed, 0 removed"), "{row}: {}", again.1);
    }

    fn modify(&self, dn: &str, change: &str) {
        self.samba.modify(&format!("dn: {dn}\nchangetype: modify\n{change}\n"));
    }

    fn go(&self, dn: &str, name: &str, to: &str) {
        self.samba.modify(&format!(
            "dn: {dn}\nchangetype: modrdn\nnewrdn: CN={name}\ndeleteoldrdn: 1\nnewsuperior: {to}\n"
        ));
    }

    fn add_unit(&self, dn: &str) {
        self.samba.modify(&format!("dn: {dn}\nchangetype: add\nobjectClass: organizationalUnit\n"));
    }

    fn add_group(&self, name: &str) {
        let dn = group(name);
        self.samba
            .modify(&format!("dn: {dn}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\n"));
    }

    /// Takes from the reader the right to see what is below `dn`.
    fn hide(&self, dn: &str) {
        self.deny("(D;;LC;;;", &[dn]);
    }

    /// Takes from the reader the right to read the number of the last change of each of these, and that alone.
    fn hide_numbers(&self, names: &[&str]) {
        let dns: Vec<String> = names.iter().map(|name| Samba::dn(name)).collect();
        let dns: Vec<&str> = dns.iter().map(String::as_str).collect();
        self.deny(&format!("(OD;;RP;{USN_CHANGED};;"), &dns);
    }

    /// Puts an entry that begins with `deny` and is about the reader into the rights of each of these.
    fn deny(&self, deny: &str, dns: &[&str]) {
        let samba = "-s /srv/ad/etc/smb.conf -H /srv/ad/private/sam.ldb";
        self.suite.host.must(&format!(
            "sid=$(samba-tool user show authkeys {samba} --attributes=objectSid | sed -n 's/^objectSid: //p')
            for dn in {}; do samba-tool dsacl set {samba} --objectdn=$dn --sddl=\"{deny}$sid)\" || exit; done",
            dns.join(" ")
        ));
    }
}

fn group(name: &str) -> String {
    format!("CN={name},OU=groups,{}", Samba::SUFFIX)
}

#[test]
fn a79_every_change_in_a_domain_comes_to_what_a_full_read_would() {
    let suite = Suite::start();
    let domain = Domain::start(&suite);
    let samba = &domain.samba;
    let names: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    samba.add_people(names.iter().map(String::as_str));
    let elsewhere = format!("CN=Users,{}", Samba::SUFFIX);
    let left = format!("OU=left,{}", Samba::BASE);
    domain.add_unit(HIDDEN);
    domain.hide(HIDDEN);
    suite.must_as("authkeys-sync", "authkeys-sync");
    domain.equals_a_full_read("at first");
    assert!(domain.note().1.starts_with("usn1 "), "{}", domain.note().1);
    let (how, told) = domain.sync();
    assert!(how == By::Changes && told.starts_with("0 changed, 0 removed, 16 people,"), "{told}");

    samba.add_person("erin", "", &[&suite.public_key("alice")]);
    domain.check("added", By::Changes);
    domain.go(&Samba::dn("erin"), "Erin", Samba::BASE);
    samba.set("Erin", "sAMAccountName", &["erin2"]);
    domain.check("renamed", By::Changes);
    for (row, attribute, values) in [
        ("disabled", "userAccountControl", vec!["514"]),
        ("enabled", "userAccountControl", vec!["544"]),
        ("a key changed", "altSecurityIdentities", vec![&*suite.public_key("bob")]),
        (
            "a key added",
            "altSecurityIdentities",
            vec![&*suite.public_key("bob"), &*suite.public_key("carol")],
        ),
        ("a key removed", "altSecurityIdentities", vec![&*suite.public_key("carol")]),
        ("its account ends", "accountExpires", vec!["133800000000000000"]),
        ("its account does not end", "accountExpires", vec!["0"]),
        ("left the filter", "employeeType", vec!["gone"]),
        ("back in the filter", "employeeType", vec!["here"]),
    ] {
        samba.set("Erin", attribute, &values);
        domain.check(row, By::Changes);
    }
    domain.go(&Samba::dn("Erin"), "Erin", &left);
    domain.check("moved below the base", By::Changes);
    domain.go(&format!("CN=Erin,{left}"), "Erin", &elsewhere);
    domain.check("moved out of the base", By::Changes);
    domain.go(&format!("CN=Erin,{elsewhere}"), "Erin", Samba::BASE);
    domain.check("moved back", By::Changes);

    samba.delete(&Samba::dn("p0"));
    domain.check("deleted", By::Changes);
    samba.delete(&Samba::dn("p1"));
    samba.set("p2", "sAMAccountName", &["two"]);
    domain.check("deleted, and another changed", By::Changes);
    // Nothing of the person is shown any more, and nothing of where they went.
    domain.go(&Samba::dn("p3"), "p3", HIDDEN);
    domain.check("moved to where nothing is shown", By::Changes);

    for (row, change) in [("given", "add"), ("taken", "delete"), ("given again", "add")] {
        domain.modify(Samba::GROUP_DN, &format!("{change}: member\nmember: {}", Samba::dn("p4")));
        domain.check(row, By::Changes);
    }
    domain.add_group("inner");
    domain.add_group("inmost");
    domain.modify(&group("inner"), &format!("add: member\nmember: {}", group("inmost")));
    domain.modify(&group("inmost"), &format!("add: member\nmember: {}", Samba::dn("p5")));
    domain.modify(Samba::GROUP_DN, &format!("add: member\nmember: {}", group("inner")));
    domain.check("nested", By::Changes);
    domain.modify(&group("inmost"), &format!("add: member\nmember: {}", Samba::dn("p6")));
    domain.check("given in an inner group", By::Changes);
    let number = samba.values(&group("inner"), "primaryGroupToken").concat();
    domain.modify(&group("inner"), &format!("add: member\nmember: {}", Samba::dn("p7")));
    domain.check("given in a group between", By::Changes);
    samba.set("p7", "primaryGroupID", &[&number]);
    domain.sync();
    domain.equals_a_full_read("its primary group, and no member any more");
    samba.set("p7", "primaryGroupID", &["513"]);
    domain.modify(&group("inner"), &format!("delete: member\nmember: {}", Samba::dn("p7")));
    domain.check("not its primary group", By::Changes);
    samba.delete(&group("inmost"));
    domain.sync();
    domain.equals_a_full_read("lost by deletion of a group");
    let copied = |query: &str| suite.host.must(&format!("sqlite3 {KEPT} \"{query}\""));
    let eligible = copied("SELECT principal FROM person WHERE eligible ORDER BY 1");
    assert_eq!(eligible, "alice\nbob\ncarol\np4\n");
    samba.delete(&Samba::dn("p4"));
    domain.sync();
    domain.equals_a_full_read("lost by deletion of the member");
    assert_eq!(copied("SELECT principal FROM person WHERE eligible ORDER BY 1"), "alice\nbob\ncarol\n");

    // What is above people changes them without a word.
    domain.go(&Samba::dn("p8"), "p8", &left);
    domain.check("moved once more", By::Changes);
    samba.modify(&format!("dn: {left}\nchangetype: modrdn\nnewrdn: OU=right\ndeleteoldrdn: 1\n"));
    domain.notices("their unit has another name");
    assert_eq!(
        domain.sync().0,
        By::Everybody,
        "for a while, rights may still come to people without a number"
    );
    let right = format!("OU=right,{}", Samba::BASE);
    samba.modify(&format!(
        "dn: {right}\nchangetype: modrdn\nnewrdn: OU=right\ndeleteoldrdn: 1\nnewsuperior: {}\n",
        Samba::SUFFIX
    ));
    domain.notices("their unit left the base");
    domain.hide(Samba::BASE);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    let said = text(&output);
    assert!(output.status.code() == Some(2) && said.contains("source-empty"), "hidden: {said}");
}

/// Number `count` of changes to accounts that are nobody's.
fn change_others(domain: &Domain<'_>, count: u64) {
    for number in 0..count {
        domain.modify(Samba::BIND_DN, &format!("replace: description\ndescription: change {number}"));
    }
}

#[test]
fn a79_another_domain_controller_or_one_from_a_backup_is_read_whole() {
    let suite = Suite::start();
    let domain = Domain::start(&suite);
    let samba = &domain.samba;
    // The last numbers are of the configuration, which is another tree.
    let sites = format!("CN=Sites,CN=Configuration,{}", Samba::SUFFIX);
    let change =
        |number| format!("dn: {sites}\nchangetype: modify\nreplace: description\ndescription: {number}\n");
    samba.modify(&(0..70).map(change).collect::<Vec<_>>().join("\n"));
    suite.must_as("authkeys-sync", "authkeys-sync");
    assert!(domain.note().1.contains('='), "an entry is remembered: {}", domain.note().1);
    let last =
        || -> u64 { domain.note().1.split(' ').nth(2).and_then(|last| last.parse().ok()).expect("a number") };
    let restore = || {
        samba.stop();
        samba.restore();
        samba.resume();
    };
    samba.stop();
    samba.back_up();
    samba.resume();
    domain.sync();
    let begun = last();
    // It has not come as far again, has come exactly as far, and further.
    for beyond in [None, Some(0), Some(3)] {
        samba.set("dave", "altSecurityIdentities", &[&suite.public_key("alice")]);
        samba.add_person("frank", "", &[&suite.public_key("bob")]);
        domain.sync();
        domain.equals_a_full_read("before it is restored");
        let undone = last() - begun;
        assert!(undone >= 2);
        restore();
        change_others(&domain, beyond.map_or(0, |beyond| undone + beyond));
        domain.check(&format!("restored, {beyond:?} beyond"), By::Everybody);
        restore();
        domain.sync();
        domain.equals_a_full_read("restored once more");
    }

    // Another database counts: its numbers say nothing about ours.
    samba.stop();
    suite.host.write("/srv/another.py", ANOTHER, 0o644);
    suite.host.must("/usr/bin/python3 /srv/another.py");
    samba.resume();
    let (how, told) = domain.sync();
    assert_eq!(how, By::Everybody, "{told}");
    samba.set("dave", "altSecurityIdentities", &[]);
    domain.check("exchanged, and changed", By::Changes);
}

#[test]
fn a79_who_hides_their_number_is_read_each_time_and_who_is_eligible_no_longer_by_time_alone_is_not() {
    let suite = Suite::start();
    let domain = Domain::start(&suite);
    let samba = &domain.samba;
    suite.must_as("authkeys-sync", "authkeys-sync");
    assert!(domain.keeps_a_cookie());

    // A membership that ends by time is gone without a number.
    samba.stop();
    suite.host.write("/srv/without_number.py", WITHOUT_NUMBER, 0o644);
    suite.host.must("/usr/bin/python3 /srv/without_number.py");
    samba.resume();
    let (_, cookie) = domain.note();
    domain.check("bob's membership ended", By::Changes);
    assert_eq!(domain.note().1, cookie, "no number was taken");

    // One person hides it, and that is a change that says so.
    domain.hide_numbers(&["dave"]);
    suite.must_as("authkeys-sync", "authkeys-sync");
    domain.equals_a_full_read("dave hides his number");
    assert!(!domain.keeps_a_cookie(), "his changes would be found by no number");
    samba.set("dave", "userAccountControl", &["514"]);
    domain.notices("dave is disabled");
    // All do, from the first sync on.
    domain.hide_numbers(&["alice", "bob", "carol"]);
    suite.host.must("rm /var/lib/authkeys/keys.*");
    suite.must_as("authkeys-sync", "authkeys-sync");
    assert!(!domain.keeps_a_cookie());
    samba.set("carol", "altSecurityIdentities", &[]);
    domain.notices("carol's key is taken away");
}

/// Takes bob out of the eligible group, in the file and not by the server: nothing counts that.
const WITHOUT_NUMBER: &str = "\
import ldb

tree = ldb.Ldb('/srv/ad/private/sam.ldb.d/DC=EXAMPLE,DC=COM.ldb')
[group] = tree.search('CN=root-eligible,OU=groups,DC=example,DC=com', ldb.SCOPE_BASE, attrs=['member'])
stay = [value for value in group['member'] if b'CN=bob,' not in value]
assert len(stay) == len(group['member']) - 1
change = ldb.Message(group.dn)
change['member'] = ldb.MessageElement(stay, ldb.FLAG_MOD_REPLACE, 'member')
tree.modify(change)
change = ldb.Message(ldb.Dn(tree, 'CN=bob,OU=people,DC=example,DC=com'))
change['memberOf'] = ldb.MessageElement([], ldb.FLAG_MOD_DELETE, 'memberOf')
tree.modify(change)
";

/// Gives the domain controller's database another name.
const ANOTHER: &str = "\
import ldb
from samba.auth import system_session
from samba.param import LoadParm
from samba.samdb import SamDB

domain = SamDB('/srv/ad/private/sam.ldb', session_info=system_session(), lp=LoadParm('/srv/ad/etc/smb.conf'))
change = ldb.Message(ldb.Dn(domain, domain.get_dsServiceName()))
change['invocationId'] = ldb.MessageElement(bytes(range(16)), ldb.FLAG_MOD_REPLACE, 'invocationId')
domain.modify(change, controls=['relax:0'])
";

#[test]
fn a79_what_changes_without_the_entry_keeps_no_cookie_and_limits_hold() {
    let suite = Suite::start();
    let domain = Domain::start(&suite);
    let samba = &domain.samba;
    let names: Vec<String> = (0..24).map(|number| format!("p{number}")).collect();
    samba.add_people(names.iter().map(String::as_str));
    suite.must_as("authkeys-sync", "authkeys-sync");
    // As many as no sync may take away.
    let gone: String = names
        .iter()
        .take(12)
        .map(|name| format!("dn: {}\nchangetype: delete\n\n", Samba::dn(name)))
        .collect();
    samba.modify(&gone);
    let before = domain.content(KEPT);
    for _ in 0..2 {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        let said = text(&output);
        assert!(output.status.code() == Some(2) && said.contains("guard-tripped"), "{said}");
        assert_eq!(domain.content(KEPT), before);
    }
    let said = suite.must_as("authkeys-sync", "authkeys-sync --accept");
    assert!(said.starts_with("0 changed, 12 removed, 16 people"), "{said}");
    domain.equals_a_full_read("accepted");
    // The last who is eligible is not taken by changes either.
    samba.set_eligible(&[]);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(text(&output).contains("no longer be eligible"), "{}", text(&output));
    samba.set_eligible(&["alice"]);
    domain.sync();
    domain.equals_a_full_read("eligible again");

    // A day is over.
    domain.configure("full_refresh = '1s'\n");
    assert_eq!(domain.sync().0, By::Everybody);

    // A group's members are in no entry of theirs.
    let config = suite.host.read("/etc/authkeys/config.toml");
    let filter = format!("(memberOf={})(!(employeeType=gone))", Samba::GROUP_DN);
    let config = config.replace("(!(employeeType=gone))", &filter);
    suite.host.write("/etc/authkeys/config.toml", config, 0o644);
    let sync = || suite.must_as("authkeys-sync", "authkeys-sync --accept");
    assert!(sync().contains(" 1 people"), "alice alone");
    let stamp = suite.host.read("/var/lib/authkeys/keys.stamp");
    assert_eq!(stamp.trim().split(' ').count(), 2, "no cookie is kept: {stamp}");
    samba.set_eligible(&["alice", "bob"]);
    assert!(sync().contains(" 2 people"), "and bob, in whose entry nothing changed");
    // The same by the attribute's number, and one that the schema does not know.
    for part in [format!("1.2.840.113556.1.2.102={}", Samba::GROUP_DN), "unheardOf=x".to_string()] {
        let part = format!("(|(objectClass=user)({part}))");
        domain.configure("");
        let config = suite.host.read("/etc/authkeys/config.toml");
        let config = config.replace("(!(employeeType=gone))", &format!("(!(employeeType=gone)){part}"));
        suite.host.write("/etc/authkeys/config.toml", config, 0o644);
        sync();
        assert!(!domain.keeps_a_cookie(), "{part}");
    }
}

/// What a sync of a domain of 3,000 costs on the way, both directions together: beside a full read.
#[test]
fn a79_nothing_new_costs_a_hundredth_and_one_change_a_fiftieth_of_a_full_read() {
    let suite = Suite::start();
    let domain = Domain::start(&suite);
    let key = suite.public_key("alice");
    let person = |number: u32| {
        format!(
            "dn: {}\nchangetype: add\nobjectClass: user\nsAMAccountName: p{number:04}\nuserAccountControl: 544\n\
             altSecurityIdentities: {key}\n",
            Samba::dn(&format!("p{number:04}"))
        )
    };
    domain.samba.modify(&(0..3_000).map(person).collect::<Vec<_>>().join("\n"));
    let relay = Relay::start(&suite.host, 6361, 636, Duration::ZERO);
    let config = suite.host.read("/etc/authkeys/config.toml");
    suite.host.write(
        "/etc/authkeys/config.toml",
        config.replace(Samba::URL, &format!("{}:6361", Samba::URL)),
        0o644,
    );
    let cost = || {
        relay.bytes();
        let told = suite.must_as("authkeys-sync", "authkeys-sync");
        (relay.bytes(), told)
    };
    let (full, told) = cost();
    assert!(told.contains(" 3 004 people"), "{told}");
    let (nothing, told) = cost();
    assert!(told.starts_with("0 changed, 0 removed, 3 004 people"), "{told}");
    domain.samba.set("p0007", "altSecurityIdentities", &[&suite.public_key("bob")]);
    let (one, told) = cost();
    assert!(told.starts_with("1 changed, 0 removed, 3 004 people"), "{told}");
    domain.samba.delete(&Samba::dn("p0008"));
    let (gone, told) = cost();
    assert!(told.starts_with("0 changed, 1 removed, 3 003 people"), "{told}");
    domain.equals_a_full_read("in the end");
    println!("bytes: all {full}, nothing new {nothing}, one change {one}, one deleted {gone}");
    assert!(nothing * 100 <= full, "nothing new: {nothing} of {full} bytes");
    assert!(one * 50 <= full, "one change: {one} of {full} bytes");
    assert!(gone < full, "one deleted: {gone} of {full} bytes");
}
