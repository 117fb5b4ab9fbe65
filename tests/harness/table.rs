//! What each kind of directory goes through: every change that it can make; after each, the copy is what a full read would
//! be, and both are what the directory means; in both modes.

use std::collections::BTreeMap;

use crate::directory::{Closing, Directory, ELIGIBLE, Member};
use crate::{Suite, text};

/// What the directory means of one person.
#[derive(Clone, Default)]
struct Person {
    keys: Vec<usize>,
    /// The groups that they are in.
    groups: Vec<&'static str>,
    closed: bool,
}

/// A directory, what it should say, and four copies of it.
pub struct Table<'a> {
    suite: &'a Suite,
    server: &'a dyn Directory,
    keys: Vec<String>,
    people: BTreeMap<String, Person>,
    /// Everybody who was ever called something.
    names: Vec<String>,
    /// Groups whose members are eligible.
    eligible: Vec<&'static str>,
}

const SOURCES: [&str; 2] = ["copy", "live"];

/// More than a copy may lose before it is guarded, and more than the limit of [`Directory::limit`].
const CROWD: usize = 12;

impl<'a> Table<'a> {
    pub fn new(suite: &'a Suite, server: &'a dyn Directory) -> Self {
        server.hand_out(suite);
        for source in SOURCES {
            for kind in ["kept", "full"] {
                let place = format!("/run/{source}-{kind}");
                suite.host.must(&format!(
                    "install -d -o authkeys-sync -g authkeys -m 755 {place} && install -d -o authkeys -g authkeys -m 700 {place}/lookups"
                ));
                let config = format!(
                    "[host]\nname = 'testhost'\n[paths]\nkeys = '{place}/keys.db'\nlookups = '{place}/lookups/lookups.db'\n[keys]\nsource = '{source}'\n{}",
                    server.section().replacen("[directory]", "[directory]\nnested_groups = true", 1)
                );
                suite.host.write(&format!("/etc/authkeys/{source}-{kind}.toml"), config, 0o644);
            }
        }
        suite.host.must("for n in $(seq 8); do ssh-keygen -qt ed25519 -N '' -C k$n -f /root/keys/k$n; done");
        let key =
            |number| suite.public_key(&format!("k{number}")).rsplit_once(' ').map(|(key, _)| key.to_string());
        let keys = (1..=8).map(|number| key(number).expect("a key and a comment")).collect();
        let (people, names) = (BTreeMap::new(), Vec::new());
        Self { suite, server, keys, people, names, eligible: vec![ELIGIBLE] }
    }

    pub fn add(&mut self, name: &str, keys: &[usize]) {
        self.server.add(name, &self.texts(keys));
        self.names.push(name.to_string());
        self.people.insert(name.to_string(), Person { keys: keys.to_vec(), ..Person::default() });
    }

    fn texts(&self, keys: &[usize]) -> Vec<&str> {
        keys.iter().map(|&key| self.keys[key].as_str()).collect()
    }

    fn person(&mut self, name: &str) -> &mut Person {
        self.people.get_mut(name).expect("somebody of that name")
    }

    pub fn set_keys(&mut self, name: &str, keys: &[usize]) {
        self.server.set_keys(name, &self.texts(keys));
        self.person(name).keys = keys.to_vec();
    }

    pub fn give(&mut self, group: &'static str, name: &str) {
        self.server.give(group, Member::Person(name));
        self.person(name).groups.push(group);
    }

    pub fn take(&mut self, group: &'static str, name: &str) {
        self.server.take(group, Member::Person(name));
        self.person(name).groups.retain(|other| *other != group);
    }

    /// Somebody is known by another name, or in another place.
    pub fn goes_to(&mut self, from: &str, to: &str) {
        let mut person = self.people.remove(from).expect("somebody of that name");
        if !self.server.groups_follow() {
            person.groups.clear();
        }
        self.people.insert(to.to_string(), person);
        if from != to {
            self.names.push(to.to_string());
        }
    }

    pub fn goes(&mut self, name: &str) {
        self.people.remove(name);
    }

    pub fn close(&mut self, name: &str, how: Closing) {
        self.person(name).closed = self.server.close(name, how);
    }

    fn is_eligible(&self, person: &Person) -> bool {
        !person.closed && person.groups.iter().any(|group| self.eligible.contains(group))
    }

    /// Syncs what there is, reads everything anew beside it, and compares both with what the directory means.
    pub fn check(&self, row: &str) {
        let eligible: Vec<&str> = (self.people.iter())
            .filter_map(|(name, person)| self.is_eligible(person).then_some(name.as_str()))
            .collect();
        for source in SOURCES {
            let row = format!("{row}, {source}");
            self.sync(&row, source, "kept");
            let file = |kind: &str| format!("/run/{source}-{kind}/keys.db");
            self.suite.host.must(&format!("rm -f /run/{source}-full/keys.* /run/{source}-*/lookups/*"));
            self.sync(&row, source, "full");
            let [kept, full] = ["kept", "full"].map(|kind| self.content(&file(kind)));
            let without = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|line| !those.contains(line)).cloned().collect()
            };
            let none: Vec<String> = Vec::new();
            let differs = (without(&kept, &full), without(&full, &kept));
            assert_eq!(differs, (none.clone(), none), "{row}: the copy alone, a full read alone");
            let query = "SELECT principal FROM person WHERE eligible AND disabled IS NULL AND ifnull(expires, 1e12) > unixepoch() ORDER BY 1";
            let copied = self.suite.host.must(&format!("sqlite3 {} '{query}'", file("kept")));
            assert_eq!(copied.lines().collect::<Vec<_>>(), eligible, "{row}: who is eligible");
            assert_eq!(self.printed(source), self.meant(), "{row}: what authkeys prints");
        }
    }

    fn sync(&self, row: &str, source: &str, kind: &str) {
        let command = format!("authkeys-sync --config /etc/authkeys/{source}-{kind}.toml");
        let output = self.suite.run_as("authkeys-sync", &command);
        assert!(output.status.success(), "{row}, {kind}: {}", text(&output));
    }

    /// All that a copy holds, but when and from where it came.
    fn content(&self, file: &str) -> Vec<String> {
        let dump = self.suite.host.must(&format!("sqlite3 {file} .dump"));
        let mut lines: Vec<_> =
            dump.lines().filter(|line| !line.starts_with("INSERT INTO meta")).map(str::to_string).collect();
        lines.sort();
        lines
    }

    /// What `authkeys` says about everybody who was ever there, a line each.
    fn printed(&self, source: &str) -> Vec<String> {
        let script = format!(
            "for name in {}; do echo \"$name: $(authkeys --config /etc/authkeys/{source}-kept.toml $name | cut -d ' ' -f 2 | sort | tr '\\n' ' ')\"; done",
            self.names.join(" ")
        );
        self.suite.must_as("authkeys", &script).lines().map(|line| line.trim_end().to_string()).collect()
    }

    fn meant(&self) -> Vec<String> {
        let line = |name: &String| {
            let person = self.people.get(name).filter(|person| !person.closed);
            let mut keys: Vec<&str> = (person.into_iter().flat_map(|person| &person.keys))
                .filter_map(|&key| self.keys[key].split(' ').nth(1))
                .collect();
            keys.sort_unstable();
            format!("{name}: {}", keys.join(" ")).trim_end().to_string()
        };
        self.names.iter().map(line).collect()
    }
}

/// The eighteen changes.
pub fn every_change_leaves_what_a_full_read_would(suite: &Suite, server: &dyn Directory) {
    let mut table = Table::new(suite, server);
    for number in 0..CROWD {
        table.add(&format!("p{number}"), &[number % 8]);
    }
    for name in ["p0", "p1", "p2", "p3", "p6", "p7", "p8"] {
        table.give(ELIGIBLE, name);
    }
    table.check("at first");

    table.add("erin", &[1]);
    table.check("added");

    table.set_keys("erin", &[1, 2]);
    table.check("key added");

    table.set_keys("erin", &[2]);
    table.check("key removed");

    server.rename("p1", "robert");
    table.goes_to("p1", "robert");
    table.check("renamed");

    server.relocate("p2");
    table.goes_to("p2", "p2");
    table.check("moved");

    table.close("p3", Closing::Disabled);
    table.check("disabled");

    table.close("p6", Closing::Locked);
    table.check("locked");

    table.close("p7", Closing::Expired);
    table.check("expired");

    server.delete("p8");
    table.goes("p8");
    table.check("deleted");

    table.give(ELIGIBLE, "p4");
    table.check("group given");

    table.take(ELIGIBLE, "p4");
    table.check("group taken");

    server.add_group("operators", &[Member::Person("p5")]);
    table.person("p5").groups.push("operators");
    server.give(ELIGIBLE, Member::Group("operators"));
    table.eligible.push("operators");
    table.check("nested");

    // Nothing of the eligible group changes, nor of the people.
    table.take("operators", "p5");
    table.give("operators", "p11");
    table.check("an inner group changed");

    server.delete_group("operators");
    table.eligible.pop();
    table.check("lost by deletion");

    server.leave_filter("p9");
    table.goes("p9");
    table.check("left the filter");

    server.delete("p10");
    table.goes("p10");
    server.restart();
    table.check("restarted");

    server.back_up();
    let people = table.people.clone();
    table.set_keys("p4", &[6, 7]);
    table.add("frank", &[3]);
    table.check("before it is restored");
    server.restore();
    table.people = people;
    // Now the server is further than any cookie that it gave.
    table.set_keys("erin", &[5]);
    table.check("restored");

    server.limit(4);
    for name in ["p0", "p2", "p4", "p5", "erin"] {
        table.set_keys(name, &[0]);
    }
    table.check("a search finds four");

    server.exchange();
    table.set_keys("erin", &[1]);
    table.check("exchanged");
    table.set_keys("erin", &[4]);
    table.check("after it was exchanged");
}
