use std::fs;
use std::io::Write;

use super::*;

/// A directory with files that are followed, and what was read of them.
struct Site {
    directory: tempfile::TempDir,
    follower: Follower,
    now: i64,
}

impl Site {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), follower: Follower::default(), now: 1_000 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// What is read now of `log`, or of what it was; and lines that are none.
    fn read(&mut self) -> (Vec<String>, u64) {
        let (mut lines, mut unreadable) = (Vec::new(), 0);
        loop {
            let files = self.follower.look(&[self.path("log")], false, self.now);
            let mut more = false;
            for (number, found) in &files {
                let chunk = self.follower.read(*number, found).unwrap();
                more |= chunk.more;
                unreadable += chunk.unreadable;
                lines.extend(chunk.lines.into_iter().map(|line| line.text));
            }
            if !more {
                return (lines, unreadable);
            }
        }
    }

    fn lines(&mut self) -> Vec<String> {
        self.read().0
    }

    /// As after a restart: what was kept is what was written down.
    fn restart(&mut self) {
        let kept = serde_json::to_string(&self.follower.positions).unwrap();
        self.follower = Follower::new(serde_json::from_str(&kept).unwrap());
    }
}

#[test]
fn each_line_is_read_once_whatever_is_renamed_or_restarted() {
    let mut site = Site::new();
    assert_eq!(site.lines(), [""; 0], "it is not there yet");
    site.append("log", "{1}\n{2}\n{3");
    assert_eq!(site.lines(), ["{1}", "{2}"]);
    site.append("log", "}\n");
    site.restart();
    assert_eq!(site.lines(), ["{3}"]);
    site.append("log", "{4}\n");
    fs::rename(site.path("log"), site.path("log-20261130")).unwrap();
    site.append("log", "{5}\n");
    site.restart();
    let mut read = site.lines();
    read.sort();
    assert_eq!(read, ["{4}", "{5}"], "what was left under the old name, and the new file");
    // A writer that has it open still.
    site.append("log-20261130", "{6}\n");
    assert_eq!(site.lines(), ["{6}"]);
    site.now += 2 * AFTER_ROTATION;
    assert_eq!(site.lines(), [""; 0]);
    assert_eq!(site.follower.positions.len(), 1, "the old one is done");
    assert_eq!(site.lines(), [""; 0]);
}

#[test]
fn a_file_that_was_cut_replaced_or_copied_is_known_by_its_beginning() {
    let mut site = Site::new();
    site.append("log", "{first}\n{second}\n");
    assert_eq!(site.lines().len(), 2);
    // copytruncate.
    fs::write(site.path("log"), "{third}\n").unwrap();
    assert_eq!(site.lines(), ["{third}"]);
    // Another file, of any inode, longer than what was read.
    fs::remove_file(site.path("log")).unwrap();
    site.append("log", "{fourth}\n{fifth}\n");
    assert_eq!(site.lines(), ["{fourth}", "{fifth}"]);
    // The same bytes in another inode, as a backup brings them back.
    let text = fs::read(site.path("log")).unwrap();
    fs::write(site.path("copy"), text).unwrap();
    fs::remove_file(site.path("log")).unwrap();
    fs::rename(site.path("copy"), site.path("log")).unwrap();
    site.restart();
    site.append("log", "{sixth}\n");
    assert_eq!(site.lines(), ["{sixth}"]);
}

#[test]
fn what_is_out_of_sight_for_a_while_is_not_read_again() {
    let mut site = Site::new();
    site.append("log", "{1}\n{2}\n");
    assert_eq!(site.lines().len(), 2);
    // A disk that is not mounted; and then somebody writes to where it belongs.
    let away = tempfile::tempdir().unwrap();
    fs::rename(site.path("log"), away.path().join("log")).unwrap();
    assert_eq!(site.lines(), [""; 0]);
    site.restart();
    site.append("log", "{meanwhile}\n");
    assert_eq!(site.lines(), ["{meanwhile}"]);
    fs::remove_file(site.path("log")).unwrap();
    site.now += OUT_OF_SIGHT;
    assert_eq!(site.lines(), [""; 0]);
    fs::rename(away.path().join("log"), site.path("log")).unwrap();
    site.append("log", "{3}\n");
    assert_eq!(site.lines(), ["{3}"]);
    // What is gone for good is forgotten.
    fs::remove_file(site.path("log")).unwrap();
    assert_eq!(site.lines(), [""; 0]);
    site.now += OUT_OF_SIGHT + 1;
    assert_eq!(site.lines(), [""; 0]);
    assert_eq!(site.follower.positions, []);
}

#[test]
fn a_file_that_cannot_be_read_is_the_one_that_it_was() {
    let mut site = Site::new();
    site.append("log", "{1}\n");
    assert_eq!(site.lines().len(), 1);
    // The tests may run as root, who can read all: no file, where there was one a moment ago, cannot be read either.
    let mut files = site.follower.look(&[site.path("log")], false, site.now);
    let (number, mut found) = files.remove(0);
    found.length += 1;
    assert!(site.follower.is_same(number, &found));
    fs::write(site.path("log"), "{another one}\n").unwrap();
    assert!(!site.follower.is_same(number, &found));
    fs::remove_file(site.path("log")).unwrap();
    assert!(site.follower.is_same(number, &found));
    assert!(site.follower.read(number, &found).is_err());
    assert_eq!(site.follower.positions[number].offset, 4, "and nothing is passed over");
}

#[test]
fn another_file_with_the_inode_of_one_that_is_gone_is_not_followed() {
    let mut site = Site::new();
    site.append("log", "{1}\n");
    site.append("other", "{no record of ours}\n");
    assert_eq!(site.lines(), ["{1}"]);
    fs::remove_file(site.path("log")).unwrap();
    site.follower.positions[0].inode = fs::metadata(site.path("other")).unwrap().ino();
    assert_eq!(site.lines(), [""; 0]);
    assert_eq!(site.follower.positions.len(), 1);
}

#[test]
fn a_line_that_is_none_is_counted_and_passed_over() {
    let mut site = Site::new();
    site.append("log", "no record\n\n{1}\n");
    site.append("log", &format!("{{{}}}\n", "x".repeat(400_000)));
    fs::OpenOptions::new().append(true).open(site.path("log")).unwrap().write_all(b"{\xff}\n{2}\n").unwrap();
    let (lines, unreadable) = site.read();
    assert_eq!((lines, unreadable), (vec!["{1}".to_string(), "{2}".to_string()], 3));
    // Without end.
    site.append("log", &"y".repeat(1_000_000));
    site.append("log", "\n{3}\n");
    assert_eq!(site.lines(), ["{3}"]);
}

#[test]
fn what_a_log_server_put_before_a_record_says_who_sent_it() {
    let found = |sender: Option<&str>| Found {
        path: "/srv/records/x".into(),
        inode: 1,
        length: 0,
        modified: (0, 0),
        sender: sender.map(str::to_string),
        is_renamed: false,
    };
    let sender = |line: &str, of: Option<&str>| split(line.as_bytes(), &found(of)).0.lines.remove(0).sender;
    let arrived = "2026-11-30T02:14:20.123456+00:00 {\"a\":1}\n";
    assert_eq!(sender(arrived, Some("10.0.0.7")), "10.0.0.7");
    assert_eq!(sender(arrived, None), "");
    assert_eq!(sender("2026-11-30T02:14:20+00:00 db1 {}\n", None), "db1");
    assert_eq!(sender("2026-11-30T02:14:20+00:00 db1 db2 {}\n", None), "", "db1 says so");
}

#[test]
fn a_first_run_begins_at_the_end_of_what_is_there() {
    let mut site = Site::new();
    site.append("log", "{1}\n{half");
    site.follower.look(&[site.path("log")], true, 0);
    assert_eq!(site.lines(), [""; 0]);
    site.append("log", " of it}\n{2}\n");
    assert_eq!(site.lines(), ["{half of it}", "{2}"]);
}
