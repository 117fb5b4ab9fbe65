//! The copy of an LDAP directory, sync after sync: what a real slapd with syncprov says, and what becomes of it.

mod entries;
mod groups;
mod pages;
mod refresh;

use std::os::unix::fs::MetadataExt;
use std::process::Output;

use harness::slapd::Slapd;
use harness::suite::Suite;
use harness::{text, wait_until};

/// The names of people in the directory, beside four members who have keys of their own.
const MEMBERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

const COPY: &str = "/var/lib/authkeys/keys.db";
const STAMP: &str = "/var/lib/authkeys/keys.stamp";

fn config(more: &str) -> String {
    let directory = Slapd::section(&[Slapd::LDAPS_URL]);
    format!("[host]\nname = \"testhost\"\n{directory}timeout = \"20s\"\n{more}\n")
}

/// A machine whose people are in a slapd.
struct Site<'a> {
    suite: &'a Suite,
    slapd: Slapd<'a>,
}

/// What a run of `authkeys` printed that did not fail.
fn printed(output: &Output) -> Option<String> {
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
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
        // A result may be told after the next one: it belongs to the question with its `conn=` and `op=`, which count up.
        let operation = |line: &str| -> Vec<u32> {
            let numbers = line.split(' ').filter_map(|word| {
                word.strip_prefix("conn=").or_else(|| word.strip_prefix("op="))?.parse().ok()
            });
            numbers.collect()
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
                let count = count.split(' ').next().and_then(|number| number.parse().ok());
                counts.push((operation(&line), count.expect("a number")));
            }
        }
        counts.sort();
        (said, counts.into_iter().map(|(_, count)| count).collect())
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
        printed(&self.suite.run_as("authkeys", &format!("authkeys {name}")))
    }

    /// The same at one second, since the epoch.
    fn keys_at(&self, at: i64, name: &str) -> Option<String> {
        printed(&self.suite.run_at("authkeys", at, &format!("authkeys {name}")))
    }

    /// As [`Site::keys`], with the reason in the log.
    fn answer(&self, name: &str) -> (Option<String>, String) {
        self.with_reason(|| self.keys(name))
    }

    /// What `keys` finds, with the reason in the log.
    fn with_reason(&self, keys: impl FnOnce() -> Option<String>) -> (Option<String>, String) {
        self.suite.lines_of("authkeys");
        let keys = keys();
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
