//! The copy of an LDAP directory, sync after sync: what a real slapd with syncprov says, and what becomes of it.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use harness::slapd::Slapd;
use harness::suite::{DAY, HOUR, Suite, now};
use harness::{text, wait_until};

/// The names of people in the directory, beside four members who have keys of their own.
const MEMBERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

const COPY: &str = "/var/lib/authkeys/keys.db";
const STAMP: &str = "/var/lib/authkeys/keys.stamp";

fn config(more: &str) -> String {
    let directory = Slapd::section(&[Slapd::LDAPS_URL]);
    format!("[host]\nname = \"testhost\"\n{directory}deadline = \"5s\"\n{more}\n")
}

/// A machine whose people are in a slapd.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
}

impl<'a> Site<'a> {
    /// With four members, whose keys are in the directory, and a server that tells changes.
    fn start(suite: &'a Suite) -> Self {
        Self::with(suite, Slapd::start_with_changes(&suite.host))
    }

    fn with(suite: &'a Suite, slapd: Slapd<'a>) -> Self {
        slapd.furnish(suite, |name| format!("{name}@example.com"));
        suite.host.write("/etc/authkeys/config.toml", config(""), 0o644);
        Self { suite, slapd }
    }

    /// A sync that must succeed; what it said, without who may become root and the time it took.
    fn sync(&self) -> String {
        let said = self.suite.sync_keys();
        said.split(", ").take(3).collect::<Vec<_>>().join(", ")
    }

    /// A sync; and how many entries the server sent for people, search by search: what changed, then those who show
    /// its past and were not told, where anything happened.
    fn sync_counted(&self) -> (String, Vec<usize>) {
        self.slapd.log();
        let said = self.sync();
        // slapd may write its log a moment after its answer: what it says of earlier connections does not count.
        let mut log = self.slapd.log();
        let news = |log: &str| -> Vec<String> {
            let of = |line: &str| line.split(' ').find(|word| word.starts_with("conn=")).map(str::to_string);
            let accepted: Vec<_> = log.lines().filter(|line| line.contains(" ACCEPT ")).map(of).collect();
            log.lines().filter(|line| accepted.contains(&of(line))).map(str::to_string).collect()
        };
        let count = |log: &str, what: &str| news(log).iter().filter(|line| line.contains(what)).count();
        wait_until("every search has its result", || {
            log += &self.slapd.log();
            let asked = count(&log, " SRCH base=");
            asked > 0 && asked == count(&log, "SEARCH RESULT ")
        });
        // A result may be told after the next question: it belongs to the one with its `conn=` and `op=`.
        let operation = |line: &str| -> Vec<String> {
            let is_its = |word: &&str| word.starts_with("conn=") || word.starts_with("op=");
            line.split(' ').filter(is_its).map(str::to_string).collect()
        };
        let (mut about_people, mut counts) = (Vec::new(), Vec::new());
        for line in news(&log) {
            if line.contains(&format!(" SRCH base=\"{}\"", Slapd::BASE)) {
                about_people.push(operation(&line));
            }
            let result = line.split_once("SEARCH RESULT ").and_then(|(_, rest)| rest.split_once("nentries="));
            if let Some((_, count)) = result
                && about_people.contains(&operation(&line))
            {
                counts
                    .push(count.split(' ').next().and_then(|number| number.parse().ok()).expect("a number"));
            }
        }
        (said, counts)
    }

    /// A sync that must fail with `words` and leave the copy as it is.
    fn refused(&self, command: &str, words: &str) {
        let files = || [COPY, STAMP].map(|file| std::fs::read(self.suite.host.path(file)).ok());
        let before = files();
        let output = self.suite.run_as("authkeys-sync", command);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
        assert!(files() == before, "a refused sync changed something");
    }

    /// What `authkeys NAME` prints, if it says that this is the whole answer.
    fn keys(&self, name: &str) -> Option<String> {
        let output = self.suite.run_as("authkeys", &format!("authkeys {name}"));
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`Site::keys`], with the reason in the log.
    fn answer(&self, name: &str) -> (Option<String>, String) {
        self.suite.lines_of("authkeys");
        let keys = self.keys(name);
        let lines = self.suite.lines_of("authkeys");
        assert_eq!(lines.len(), 1, "{lines:#?}");
        let reason = lines[0].split("reason=").nth(1).and_then(|rest| rest.split(' ').next());
        (keys, reason.unwrap_or_default().to_string())
    }

    /// The line that `authkeys` prints for the member `key`, as the person `name`.
    fn line(&self, key: &str, name: &str) -> Option<String> {
        let key = self.suite.public_key(key);
        key.rsplit_once(' ').map(|(key, _)| format!("{key} {name}\n"))
    }

    fn modify(&self, uid: &str, change: &str) {
        self.slapd.modify(&format!("dn: {}\nchangetype: modify\n{change}\n", dn(uid)));
    }

    fn eligible(&self) -> String {
        let query = "SELECT group_concat(principal, ' ') FROM (SELECT principal FROM person WHERE eligible ORDER BY 1)";
        self.suite.host.must(&format!("sqlite3 {COPY} \"{query}\"")).trim().to_string()
    }

    fn inode(&self) -> u64 {
        std::fs::metadata(self.suite.host.path(COPY)).expect("a copy").ino()
    }

    /// The note in the stamp: when everybody was fetched, the view, the group, the witnesses, the cookie.
    fn note(&self) -> Option<[String; 5]> {
        let stamp = self.suite.host.read(STAMP);
        let digits = stamp.trim().split(' ').nth(2)?.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("digits");
        let note = String::from_utf8(digits.chunks(2).map(byte).collect()).expect("slapd's cookie is text");
        let words: Vec<String> = note.splitn(5, ' ').map(str::to_string).collect();
        Some(words.try_into().expect("five words"))
    }

    fn cookie(&self) -> Option<String> {
        self.note().map(|[.., cookie]| cookie)
    }

    fn set_note(&self, note: &[String; 5]) {
        let stamp = self.suite.host.read(STAMP);
        let words: Vec<&str> = stamp.trim().split(' ').collect();
        let digits: String = note.join(" ").bytes().map(|byte| format!("{byte:02x}")).collect();
        let path = self.suite.host.path(STAMP);
        std::fs::write(path, format!("{} {} {digits}\n", words[0], words[1]))
            .expect("the stamp can be written");
    }

    fn set_cookie(&self, cookie: &str) {
        let [full, view, group, witnesses, _] = self.note().expect("a note");
        self.set_note(&[full, view, group, witnesses, cookie.to_string()]);
    }
}

fn dn(uid: &str) -> String {
    format!("uid={uid},{}", Slapd::BASE)
}

#[test]
fn the_first_refresh_brings_everybody_and_nothing_changed_brings_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    assert_eq!(site.sync_counted(), ("4 changed, 0 removed, 4 people".to_string(), vec![4]));
    assert_eq!(site.eligible(), "alice bob carol");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    let (inode, cookie, stamp) = (site.inode(), site.cookie(), suite.host.read(STAMP));
    assert!(cookie.as_ref().is_some_and(|cookie| cookie.contains("csn=")), "{cookie:?}");
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 4 people".to_string(), vec![0]));
    assert_eq!((site.inode(), site.cookie()), (inode, cookie), "no cookie comes back: the old one stays");
    let generation = |stamp: &str| stamp.split(' ').next().map(str::to_string);
    assert_eq!(generation(&suite.host.read(STAMP)), generation(&stamp));
}

#[test]
fn a_changed_key_comes_alone_and_a_removed_one_opens_nothing_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.modify("bob", &format!("replace: sshPublicKey\nsshPublicKey: {}", suite.public_key("dave")));
    let before = site.cookie();
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 4 people".to_string(), vec![1, 3]));
    assert_ne!(site.cookie(), before);
    assert_eq!(site.keys("bob"), site.line("dave", "bob"));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));

    site.modify("bob", "delete: sshPublicKey");
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.answer("bob"), (Some(String::new()), "no-keys".to_string()));
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    assert_eq!(site.keys("bob"), Some(String::new()));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a16_a_deleted_person_has_no_keys_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("alice"));
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync_counted(), ("1 changed, 1 removed, 3 people".to_string(), vec![1, 2]));
    assert_eq!(site.answer("alice"), (Some(String::new()), "no-such-user".to_string()));
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    assert_eq!(site.keys("alice"), Some(String::new()));
}

#[test]
fn a_renamed_person_is_known_by_the_new_name_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd
        .modify(&format!("dn: {}\nchangetype: modrdn\nnewrdn: uid=alicia\ndeleteoldrdn: 1\n", dn("alice")));
    site.slapd.set_eligible(&["alicia", "bob"]);
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people", "the name, and carol's right");
    assert_eq!(site.keys("alice"), Some(String::new()));
    assert_eq!(site.keys("alicia"), site.line("alice", "alicia"));
    assert_eq!(site.eligible(), "alicia bob");
}

#[test]
fn an_entry_that_leaves_the_filter_is_gone_and_comes_back_with_it() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.modify("carol", "delete: sshPublicKey\n-\ndelete: objectClass\nobjectClass: ldapPublicKey");
    assert_eq!(site.sync(), "0 changed, 1 removed, 3 people");
    assert_eq!(site.keys("carol"), Some(String::new()));
    let key = suite.public_key("carol");
    site.modify(
        "carol",
        &format!("add: objectClass\nobjectClass: ldapPublicKey\n-\nadd: sshPublicKey\nsshPublicKey: {key}"),
    );
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.keys("carol"), site.line("carol", "carol"));
}

#[test]
fn a_provider_that_can_only_list_who_is_still_there_is_read_whole() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    // The log of sessions, and with it who was deleted, is in slapd's memory.
    site.slapd.stop();
    site.slapd.resume();
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![0, 3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    assert_eq!(site.sync(), "0 changed, 0 removed, 3 people");
}

#[test]
fn a_very_old_cookie_brings_everybody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    site.slapd.stop();
    site.slapd.resume();
    site.set_cookie("rid=000,csn=20200101000000.000000Z#000000#000#000000");
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![3, 3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert!(site.cookie().is_some_and(|cookie| !cookie.contains("csn=2020")));
}

#[test]
fn a_cookie_that_is_garbage_replaces_everybody_and_is_forgotten() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    site.slapd.delete(&dn("dave"));
    site.set_cookie("garbage");
    assert_eq!(site.sync_counted(), ("0 changed, 1 removed, 3 people".to_string(), vec![3]));
    assert_eq!(site.keys("dave"), Some(String::new()));
    assert_eq!(site.cookie(), None, "the empty cookie is not kept");
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 3 people".to_string(), vec![3]));
    assert!(site.cookie().is_some());
}

#[test]
fn a_provider_restored_from_a_backup_is_believed_in_the_same_run() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.stop();
    site.slapd.back_up();
    site.slapd.resume();
    site.modify("bob", "delete: sshPublicKey");
    site.slapd.delete(&dn("dave"));
    assert_eq!(site.sync(), "3 changed, 0 removed, 3 people");
    site.slapd.stop();
    site.slapd.restore();
    site.slapd.resume();
    site.slapd.log();
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people", "bob has his key again, and dave is back");
    assert!(site.slapd.log().contains("err=53"), "slapd refused the newer cookie");
    assert_eq!(site.keys("bob"), site.line("bob", "bob"));
    assert_eq!(site.sync_counted(), ("0 changed, 0 removed, 4 people".to_string(), vec![0]));
}

/// What a restore may undo: the last change to anybody in the copy, in LDIF.
const UNDONE: [(&str, &str); 6] = [
    (
        "added",
        "dn: uid=erin,BASE\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\nuid: erin\ncn: erin\nsn: erin\nsshPublicKey: KEY\n",
    ),
    ("key changed", "dn: uid=bob,BASE\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: KEY\n"),
    ("renamed", "dn: uid=bob,BASE\nchangetype: modrdn\nnewrdn: uid=robert\ndeleteoldrdn: 1\n"),
    ("deleted", "dn: uid=bob,BASE\nchangetype: delete\n"),
    (
        "out of the filter",
        "dn: uid=bob,BASE\nchangetype: modify\ndelete: sshPublicKey\n-\ndelete: objectClass\nobjectClass: ldapPublicKey\n",
    ),
    (
        "changed, and changed anew",
        "dn: uid=bob,BASE\nchangetype: modify\nreplace: sshPublicKey\nsshPublicKey: KEY\n\ndn: uid=alice,BASE\nchangetype: modify\nreplace: mail\nmail: a@example.com\n",
    ),
];

#[test]
fn what_a_restore_undid_is_not_kept_when_the_server_was_changed_since() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let dump = || suite.host.must(&format!("sqlite3 {COPY} .dump | grep -v 'INTO meta'"));
    let key = suite.public_key("dave");
    site.sync();
    site.slapd.dump();
    for (what, change) in UNDONE {
        site.slapd.modify(&change.replace("BASE", Slapd::BASE).replace("KEY", &key));
        let undone = site.sync();
        assert!(!undone.starts_with("0 changed, 0 removed"), "{what}: {undone}");
        // With a restart slapd forgets its log of sessions; of what follows it has one again.
        site.slapd.load();
        site.modify("alice", "replace: mail\nmail: alice@example.com");
        assert_eq!(site.sync_counted().1.len(), 3, "{what}: the change, who shows the past, and everybody");
        let (kept, keys) = (dump(), site.keys("bob"));
        assert_eq!(keys, site.line("bob", "bob"), "{what}");
        suite.host.must(&format!("rm {COPY} {STAMP}"));
        site.sync();
        assert_eq!(kept, dump(), "{what}: a full read comes to another copy");
    }
}

#[test]
fn what_shows_a_servers_past_is_asked_for_where_something_happened() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    assert_eq!(site.sync_counted().1, [0], "nothing happened");
    site.slapd.modify(&format!(
        "dn: {}\nchangetype: modify\nreplace: description\ndescription: x\n",
        Slapd::SUFFIX
    ));
    assert_eq!(site.sync_counted().1, [0, 4], "something, elsewhere");
    assert_eq!(site.sync_counted().1, [0]);
    site.modify("bob", "replace: mail\nmail: other@example.com");
    site.slapd.delete(&dn("dave"));
    assert_eq!(site.sync_counted(), ("1 changed, 1 removed, 3 people".to_string(), vec![1, 2]));
    // Who went and comes back is somebody else to slapd.
    site.slapd.add_person("dave", "", &[&suite.public_key("dave")]);
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 4 people".to_string(), vec![1, 3]));
    let carol = "dn: BASE\nchangetype: modify\ndelete: objectClass\nobjectClass: ldapPublicKey\n-\ndelete: sshPublicKey\n";
    site.slapd.modify(&carol.replace("BASE", &dn("carol")));
    assert_eq!(site.sync_counted().1, [0, 3]);
    let key = suite.public_key("carol");
    site.modify(
        "carol",
        &format!("add: objectClass\nobjectClass: ldapPublicKey\n-\nadd: sshPublicKey\nsshPublicKey: {key}"),
    );
    assert_eq!(site.sync_counted().1, [1, 3], "she went, and is told to be back");
    assert_eq!(site.sync_counted().1, [0]);
}

#[test]
fn a11_a_part_of_the_answer_prunes_nobody() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.limit(Some(2));
    site.refused("authkeys-sync", "sizeLimitExceeded");
    site.slapd.limit(None);
    site.sync();
    for name in MEMBERS {
        site.modify(name, "replace: mail\nmail: new@example.com");
    }
    site.slapd.limit(Some(2));
    site.refused("authkeys-sync", "ldap-partial");
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
    site.slapd.limit(None);
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
}

#[test]
fn a_server_without_the_control_is_read_page_by_page() {
    let suite = Suite::start();
    let site = Site::with(&suite, Slapd::start(&suite.host));
    let key = suite.public_key("alice");
    let names: Vec<String> = (0..1200).map(|number| format!("p{number}")).collect();
    site.slapd.add_people(names.iter().map(|name| (name.as_str(), key.as_str())));
    assert_eq!(site.sync(), "1 204 changed, 0 removed, 1 204 people");
    assert_eq!(site.cookie(), None);
    let inode = site.inode();
    site.slapd.delete(&dn("p7"));
    let (said, pages) = site.sync_counted();
    assert_eq!(said, "0 changed, 1 removed, 1 203 people");
    assert_eq!(pages, [0, 500, 500, 203], "the refused refresh, and three pages");
    assert_ne!(site.inode(), inode);
    let inode = site.inode();
    assert_eq!(site.sync(), "0 changed, 0 removed, 1 203 people");
    assert_eq!(site.inode(), inode, "the same content leaves the file alone");
}

#[test]
fn a_refresh_that_ends_at_a_size_limit_is_asked_for_in_pages() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    // Two entries for one search, and as many as there are for one in pages.
    site.slapd.restart_with("", "sizelimit size.soft=2 size.hard=unlimited");
    assert_eq!(site.sync_counted(), ("4 changed, 0 removed, 4 people".to_string(), vec![2, 4]));
    assert_eq!(site.sync(), "0 changed, 0 removed, 4 people");
}

#[test]
fn a_server_that_hides_what_it_can_do_is_read_page_by_page() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.restart_with("", "access to dn.base=\"\" by * none\naccess to * by * read");
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    site.modify("bob", "replace: mail\nmail: robert@example.com");
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
}

#[test]
fn everybody_is_fetched_again_once_a_day_and_under_another_name() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    let [full, view, rest @ ..] = site.note().expect("a note");
    let set_note = |full: &str, view: &str| {
        let [group, witnesses, cookie] = rest.clone();
        site.set_note(&[full.to_string(), view.to_string(), group, witnesses, cookie]);
    };
    let past = full.parse::<i64>().expect("seconds") - DAY;
    set_note(&past.to_string(), &view);
    assert_eq!(site.sync_counted().1, [4]);
    assert_eq!(site.sync_counted().1, [0]);
    set_note(&(now() + DAY).to_string(), &view);
    assert_eq!(site.sync_counted().1, [4], "a note from the future");
    set_note(&full, "another");
    assert_eq!(site.sync_counted().1, [4]);
}

#[test]
fn a_copy_that_is_damaged_is_replaced() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    // The head of the file is whole; what follows is not.
    suite.host.must(&format!("size=$(stat -c %s {COPY}) && dd if=/dev/zero of={COPY} bs=1 seek=8192 count=$((size-8192)) conv=notrunc status=none"));
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a05_keys_that_are_weak_or_mislabelled_are_dropped_alone() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    suite.host.must("ssh-keygen -qt rsa -b 1024 -N '' -f /root/keys/weak");
    let (weak, good) = (suite.public_key("weak"), suite.public_key("alice"));
    let mislabelled = good.replace("ssh-ed25519 ", "ssh-rsa ");
    let certificate = good.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com ");
    let dss = good.replace("ssh-ed25519 ", "ssh-dss ");
    site.slapd.add_person("erin", "", &[&weak, &mislabelled, &certificate, &dss, "ssh-new AAAA", &good]);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert_eq!(text(&output).matches("key-rejected").count(), 5, "{}", text(&output));
    assert_eq!(site.keys("erin"), site.line("alice", "erin"));
}

#[test]
fn a08_a_name_in_another_spelling_is_nobodys() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.slapd.add_person("Erin", "", &[&suite.public_key("alice")]);
    assert_eq!(site.sync(), "4 changed, 0 removed, 4 people");
    assert_eq!(site.keys("erin"), Some(String::new()));
}

#[test]
fn a09_a_name_that_a_second_entry_claims_is_nobodys_until_that_one_goes() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    site.sync();
    let claim = |uid: &str, cn: &str| {
        let base = Slapd::BASE;
        site.slapd.modify(&format!(
            "dn: cn={cn},{base}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: ldapPublicKey\ncn: {cn}\nsn: x\nuid: {uid}\nsshPublicKey: {}\n",
            suite.public_key("dave")
        ));
    };
    claim("alice", "thief");
    let (said, counts) = site.sync_counted();
    assert_eq!(said, "0 changed, 1 removed, 3 people");
    assert_eq!(counts, [1, 4, 5], "the change cannot be judged by itself");
    assert_eq!(site.keys("alice"), Some(String::new()));
    // Whoever has nothing to do with it goes on by changes alone.
    site.modify("bob", "replace: mail\nmail: other@example.com");
    assert_eq!(site.sync_counted(), ("1 changed, 0 removed, 3 people".to_string(), vec![1, 4]));
    site.slapd.delete(&format!("cn=thief,{}", Slapd::BASE));
    assert_eq!(site.sync(), "1 changed, 0 removed, 4 people");
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
    // A second value of the own entry claims as well.
    site.modify("dave", "add: uid\nuid: alice");
    assert_eq!(site.sync(), "0 changed, 2 removed, 2 people");
    site.modify("dave", "delete: uid\nuid: alice");
    assert_eq!(site.sync(), "2 changed, 0 removed, 4 people");
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
}

#[test]
fn a10_references_and_aliases_lead_nowhere() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let (give, take) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            suite.host.enter_network();
            let listener = TcpListener::bind("127.0.0.1:4444").expect("a port");
            listener.set_nonblocking(true).expect("a listener that does not wait");
            give.send(listener).expect("the test waits");
        });
    });
    let elsewhere = take.recv().expect("a listener");
    let base = Slapd::BASE;
    let key = suite.public_key("alice");
    site.slapd.modify_with(
        &["-M"],
        &format!("dn: ou=far,{base}\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://127.0.0.1:4444/{base}\n"),
    );
    site.slapd.modify(&format!(
        "dn: uid=eve,{base}\nchangetype: add\nobjectClass: alias\nobjectClass: extensibleObject\nobjectClass: ldapPublicKey\nuid: eve\naliasedObjectName: {}\nsshPublicKey: {key}\n",
        dn("alice")
    ));
    for expected in ["4 changed, 0 removed, 4 people", "0 changed, 0 removed, 4 people"] {
        let output = suite.run_as("authkeys-sync", "authkeys-sync");
        assert!(text(&output).contains(expected), "{}", text(&output));
        // It refers to it where it lists everybody; where nothing changed it says nothing.
        let told = text(&output).contains("refers to ldap://127.0.0.1:4444/");
        assert_eq!(told, expected.starts_with('4'), "{}", text(&output));
        // Live lookups are no answers meanwhile.
        let doctor = text(&suite.host.sh("oncall-cache doctor"));
        assert!(
            doctor.contains("referral") && doctor.contains("refers to ldap://127.0.0.1:4444/"),
            "{doctor}"
        );
    }
    suite.host.write("/etc/authkeys/config.toml", config("referrals = 'ignore'"), 0o644);
    let output = suite.run_as("authkeys-sync", "authkeys-sync");
    assert!(!text(&output).contains("refers to"), "{}", text(&output));
    let doctor = text(&suite.host.sh("oncall-cache doctor"));
    assert!(!doctor.contains("refers to"), "{doctor}");
    assert_eq!(site.keys("eve"), Some(String::new()));
    assert_eq!(elsewhere.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    // A base that is a reference is no answer.
    let far = config("").replace(&format!("base = \"{base}\""), &format!("base = \"ou=far,{base}\""));
    suite.host.write("/etc/authkeys/config.toml", far, 0o644);
    site.refused("authkeys-sync", "references are not followed");
    assert!(elsewhere.accept().is_err());
}

#[test]
fn a15_disabled_accounts_are_known_and_have_no_keys_also_with_ldap_down() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let names = ["expired", "locked", "blocked", "control", "former"];
    let key = suite.public_key("alice");
    for name in names {
        site.slapd.add_person(name, "", &[&key]);
    }
    site.slapd.set_eligible(&["alice", "expired", "locked", "former"]);
    suite.host.write(
        "/etc/authkeys/config.toml",
        config("[directory.disabled]\nemployeeType = ['former', 'gone']"),
        0o644,
    );
    assert_eq!(site.sync(), "9 changed, 0 removed, 9 people");
    for name in names {
        assert_eq!(site.keys(name), site.line("alice", name), "{name}");
    }
    let today = now() / DAY;
    site.modify(
        "expired",
        &format!("add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: {today}"),
    );
    site.slapd.modify_with(
        &["-e", "!relax"],
        &format!(
            "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n",
            dn("locked")
        ),
    );
    site.modify(
        "blocked",
        "add: objectClass\nobjectClass: elsewhere\n-\nadd: nsAccountLock\nnsAccountLock: TRUE",
    );
    site.modify(
        "control",
        "add: objectClass\nobjectClass: elsewhere\n-\nadd: userAccountControl\nuserAccountControl: 514",
    );
    site.modify("former", "add: employeeType\nemployeeType: Former");
    // One whose account ends tomorrow is in until then.
    site.modify(
        "bob",
        &format!(
            "add: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\nshadowExpire: {}",
            today + 1
        ),
    );
    assert_eq!(site.sync_counted(), ("6 changed, 0 removed, 9 people".to_string(), vec![6, 3]));
    let all_closed = |when: &str| {
        for name in names {
            let closed = (Some(String::new()), "account-disabled".to_string());
            assert_eq!(site.answer(name), closed, "{name}, {when}");
        }
        assert_eq!(site.keys("bob"), site.line("bob", "bob"), "{when}");
    };
    all_closed("after the sync");
    // Not eligible in the roster, though members of the group.
    suite.host.write("/etc/authkeys/rota.toml", "[[schedule]]\nid = 'primary'\nname = 'primary'\n[[schedule.shift]]\nperson = 'expired'\nstart = 2026-01-01T00:00:00Z\nend = 2099-01-01T00:00:00Z\n", 0o644);
    let source = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n";
    let with_rota = suite.host.read("/etc/authkeys/config.toml") + source;
    suite.host.write("/etc/authkeys/config.toml", with_rota, 0o644);
    suite.must_as("oncall-cache", "oncall-cache sync");
    let query = "SELECT group_concat(principal || eligible, ' ') FROM (SELECT * FROM person ORDER BY 1)";
    let roster = suite.host.must(&format!("sqlite3 /var/lib/oncall-cache/roster.db \"{query}\""));
    assert_eq!(roster, "alice1 expired0\n");
    site.slapd.stop();
    site.refused("authkeys-sync", "ldap-unavailable");
    all_closed("with ldap down");
    site.slapd.resume();
    site.modify("former", "delete: employeeType");
    assert_eq!(site.sync(), "1 changed, 0 removed, 9 people");
    assert_eq!(site.keys("former"), site.line("alice", "former"));
}

#[test]
fn a15_a_lock_after_wrong_passwords_closes_an_account_only_where_any_lock_does() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let lock = |uid: &str, since: &str| {
        site.slapd.modify_with(
            &["-e", "!relax"],
            &format!(
                "dn: {}\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: {since}\n",
                dn(uid)
            ),
        );
    };
    lock("alice", "20260101000000Z");
    lock("bob", "000001010000Z");
    let closed = (Some(String::new()), "account-disabled".to_string());
    let live = "[keys]\nfresh_for = '1s'";
    for (lockout, alice) in [("", site.line("alice", "alice")), ("lockout = 'any'\n", Some(String::new()))] {
        suite.host.write("/etc/authkeys/config.toml", config(lockout), 0o644);
        for source in ["live", "copy"] {
            assert_eq!(site.keys("alice"), alice, "{lockout}, {source}");
            assert_eq!(site.answer("bob"), closed, "{lockout}, {source}");
            site.sync();
        }
    }
    // The copy of one is not believed for the other.
    suite.host.write("/etc/authkeys/config.toml", config("") + live, 0o644);
    assert_eq!(site.keys("alice"), site.line("alice", "alice"));
}

#[test]
fn a15_accounts_begin_and_expire_by_the_clock_and_wait_for_no_sync() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let set = |uid: &str, attribute: &str, at: i64| {
        let instant = suite.host.must(&format!("date -u -d @{at} +%Y%m%d%H%M%SZ"));
        let ldif =
            format!("dn: {}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {instant}", dn(uid));
        site.slapd.modify_with(&["-e", "!relax"], &ldif);
    };
    for uid in ["new", "late"] {
        site.slapd.add_person(uid, "", &[&suite.public_key("alice")]);
    }
    site.slapd.set_eligible(&["alice", "bob", "carol", "new", "late"]);
    let soon = now() + 8;
    set("alice", "pwdEndTime", soon);
    set("bob", "pwdEndTime", now() - 1);
    set("carol", "pwdEndTime", now() + HOUR);
    set("dave", "pwdStartTime", now() - HOUR);
    set("new", "pwdStartTime", soon);
    set("late", "pwdStartTime", now() + HOUR);
    for mode in ["lookup", "replica"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nmode = '{mode}'")), 0o644);
        site.sync();
        assert_eq!(site.keys("alice"), site.line("alice", "alice"), "{mode}");
        assert_eq!(site.keys("new"), Some(String::new()), "{mode}");
        // Asked and remembered, or copied: nobody is asked any more.
        assert_eq!(site.keys("carol"), site.line("carol", "carol"), "{mode}");
    }
    site.slapd.stop();
    let closed = (Some(String::new()), "account-disabled".to_string());
    wait_until("alice's time is over", || now() >= soon);
    for mode in ["lookup", "replica"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nmode = '{mode}'")), 0o644);
        assert_eq!(site.answer("alice"), closed, "{mode}");
        assert_eq!(site.keys("carol"), site.line("carol", "carol"), "{mode}");
    }
    for closed_uid in ["bob", "late"] {
        assert_eq!(site.answer(closed_uid), closed, "{closed_uid}");
    }
    assert_eq!(site.keys("dave"), site.line("dave", "dave"));
    assert_eq!(site.keys("new"), site.line("alice", "new"));
}

#[test]
fn without_its_own_directory_authkeys_still_asks() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    for mode in ["replica", "lookup"] {
        suite.host.write("/etc/authkeys/config.toml", config(&format!("[keys]\nmode = '{mode}'")), 0o644);
        for damage in ["true", "rm -rf /var/cache/authkeys", "install -d -m 700 /var/cache/authkeys"] {
            suite.host.must(damage);
            assert_eq!(
                site.answer("dave"),
                (site.line("dave", "dave"), "keys".to_string()),
                "{mode}: {damage}"
            );
        }
        suite.host.must("install -d -m 700 -o authkeys -g authkeys /var/cache/authkeys");
    }
}

#[test]
fn who_is_not_eligible_by_keys_db_enters_no_shared_account_on_an_older_roster() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let rest = harness::suite::CONFIG.to_string() + "explain = false\n";
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
    assert!(explained.contains("alice: not eligible any more by keys.db"), "{explained}");
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
    site.refused("authkeys-sync", "1 of 1 people would not be eligible any more");
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
    site.refused("authkeys-sync", "10 of 30 people would not be eligible any more");
    site.slapd.set_eligible(&names[..21]);
    let said = suite.sync_keys();
    assert!(said.contains(" people, 9 no longer eligible, "), "fewer than ten may always go: {said}");
}

#[test]
fn a_lookup_copy_may_have_nobody_in_it_and_a_directory_may_not() {
    let suite = Suite::start();
    let site = Site::start(&suite);
    let lookup = |directory: String| {
        let text = directory.replace("eligible_group", "#eligible_group") + "[keys]\nmode = 'lookup'\n";
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
    let file = "[directory]\nfile = 'people.toml'\n[keys]\nmode = 'lookup'\n";
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
    site.refused("authkeys-sync", "2 of 2 people would not be eligible any more");
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
    site.refused("authkeys-sync", "is not there");
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
    let words = "11 of 31 people would be gone or without keys within a week, more than max_shrink (20%) allows (guard-tripped)";
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
        site.refused("authkeys-sync", "16 of 27 people would be gone or without keys within a week");
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
