use std::fs;
use std::io::Write;

use policy::{Mode, Timestamp, Verdict};
use record::{Effect, Phase, Record, Token};

use super::*;
use crate::config::Config;

const NOW: i64 = 1_800_000_000;

/// A directory with a record, and two channels: one told each record, one with a window.
struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        fs::write(site.directory.path().join("log"), "").unwrap();
        site
    }

    fn engine(&self) -> Engine {
        let root = self.directory.path().display();
        let text = format!(
            "files = [\"{root}/log\", \"{root}/more\"]\nstate = \"{root}/state\"\n[people]\nmail_domain = \"example.com\"\n\
             [[channel]]\nname = \"each\"\ngelf = {{ server = \"127.0.0.1:1\", transport = \"udp\" }}\n\
             [[channel]]\nname = \"people\"\nslack = {{ token_file = \"t\", to = \"person\" }}\n"
        );
        let config = Config::parse(Path::new("/notify.toml"), text.as_bytes()).unwrap();
        make(&config.state).unwrap();
        Engine::open(config, Timestamp::from_unix(NOW)).unwrap()
    }

    fn append(&self, text: &str) {
        let path = self.directory.path().join("log");
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    fn record(&self, number: u64, host: &str, at: i64) {
        let record = Record {
            seq: Some(number),
            boot_id: "b".into(),
            host: host.into(),
            id: format!("{number:016x}"),
            person: "alice".into(),
            account: "root".into(),
            phase: Some(Token::Known(Phase::Session)),
            verdict: Some(Token::Known(Verdict::Allow)),
            effect: Some(Token::Known(Effect::Pass)),
            mode: Some(Token::Known(Mode::Enforce)),
            ..Record::at(Timestamp::from_unix(at))
        };
        self.append(&record.line());
    }
}

fn step(engine: &mut Engine, now: i64) {
    while engine.step(Timestamp::from_unix(now)).unwrap().more {}
}

/// What waits for a channel.
fn waiting(engine: &Engine, channel: &str) -> Vec<Notice> {
    let spool = &engine.spools[channel];
    let mut all = Vec::new();
    while spool.len() > 0 {
        let (number, entry) = spool.take(|_| false);
        all.push(entry.notice);
        spool.done(number).unwrap();
    }
    all
}

#[test]
fn each_record_reaches_each_channel_that_takes_it_once() {
    let site = Site::new();
    site.append("from before\n");
    let mut engine = site.engine();
    site.record(1, "db1", NOW);
    site.record(2, "db2", NOW);
    site.record(2, "db2", NOW);
    site.append("{\"no\":\"record\"}\n");
    step(&mut engine, NOW);
    assert_eq!(waiting(&engine, "each").len(), 2, "the second one came twice");
    assert_eq!(waiting(&engine, "people").len(), 1, "one person, one window");
    assert_eq!(engine.state.unreadable, 1);
    drop(engine);
    let mut engine = site.engine();
    step(&mut engine, NOW);
    assert_eq!((waiting(&engine, "each").len(), waiting(&engine, "people").len()), (0, 0));
    step(&mut engine, NOW + 600);
    let digest = waiting(&engine, "people");
    assert!(matches!(&digest[..], [Notice::Many(many)] if many.count == 1), "{digest:?}");
}

#[test]
fn a92_a_run_killed_between_two_steps_loses_nothing_and_doubles_nothing() {
    let site = Site::new();
    let mut engine = site.engine();
    site.record(1, "db1", NOW);
    step(&mut engine, NOW);
    // What is on disk if it is killed after the spool was written and before the state was.
    let state = site.directory.path().join("state/state.json");
    let before = fs::read(&state).unwrap();
    site.record(2, "db2", NOW);
    step(&mut engine, NOW);
    fs::write(&state, before).unwrap();
    drop(engine);
    let mut engine = site.engine();
    assert_eq!(engine.spools["each"].len(), 1);
    step(&mut engine, NOW);
    let ids: Vec<String> = waiting(&engine, "each").iter().map(|notice| notice.id().to_string()).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a92_an_outage_of_a_day_is_one_digest_for_people() {
    let site = Site::new();
    let mut engine = site.engine();
    for number in 0..400 {
        site.record(
            number + 1,
            &format!("web{}", number % 312),
            NOW - 86_400 + i64::try_from(number).unwrap(),
        );
    }
    step(&mut engine, NOW);
    let told = waiting(&engine, "people");
    let [Notice::Many(many)] = &told[..] else { panic!("one digest: {}", told.len()) };
    assert_eq!((many.count, many.hosts.count()), (400, (312, false)));
    assert_eq!(waiting(&engine, "each").iter().map(Notice::count).sum::<u64>(), 400);
}

#[test]
fn what_cannot_be_remembered_is_read_again() {
    let site = Site::new();
    let mut engine = site.engine();
    site.record(1, "db1", NOW);
    let spool = site.directory.path().join("state/spool/each");
    fs::rename(&spool, spool.with_extension("gone")).unwrap();
    assert!(engine.step(Timestamp::from_unix(NOW)).is_err());
    fs::rename(spool.with_extension("gone"), &spool).unwrap();
    step(&mut engine, NOW);
    assert_eq!((waiting(&engine, "each").len(), waiting(&engine, "people").len()), (1, 1));
}

#[test]
fn a_step_that_fails_leaves_nothing_to_be_told_twice() {
    let site = Site::new();
    let mut engine = site.engine();
    site.record(1, "db1", NOW);
    let spools = site.directory.path().join("state/spool");
    let files = || fs::read_dir(spools.join("each")).unwrap().count();
    // The second channel has no room for what the first one has written already.
    fs::rename(spools.join("people"), spools.join("gone")).unwrap();
    assert!(engine.step(Timestamp::from_unix(NOW)).is_err());
    let next = engine.state.next;
    assert_eq!((files(), next), (0, 2), "and no number is given twice");
    fs::rename(spools.join("gone"), spools.join("people")).unwrap();
    step(&mut engine, NOW);
    assert_eq!((files(), engine.state.next), (1, 4));
    // Nor does one that cannot be remembered.
    let state = site.directory.path().join("state");
    fs::create_dir(state.join("state.new")).unwrap();
    site.record(2, "db1", NOW);
    assert!(engine.step(Timestamp::from_unix(NOW)).is_err());
    assert_eq!(files(), 1);
    fs::remove_dir(state.join("state.new")).unwrap();
    step(&mut engine, NOW);
    assert_eq!(files(), 2);
}

#[test]
fn a_backlog_in_several_files_is_told_whole_and_in_order() {
    let site = Site::new();
    let mut engine = site.engine();
    let log = site.directory.path().join("log");
    let more = site.directory.path().join("more/db2");
    // Each file takes several steps.
    let long = |number| {
        site.record(number, "db1", NOW);
        site.append(&format!("{}\n", " ".repeat(6_000)));
    };
    (1..=100).for_each(long);
    fs::create_dir_all(&more).unwrap();
    fs::copy(&log, more.join("z.jsonl")).unwrap();
    fs::rename(&log, log.with_file_name("log-20261130")).unwrap();
    (101..=200).for_each(long);
    fs::copy(&log, more.join("a.jsonl")).unwrap();
    for (name, second) in [("z.jsonl", 1), ("a.jsonl", 2)] {
        let file = fs::OpenOptions::new().append(true).open(more.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }
    let length = fs::metadata(&log).unwrap().len();
    assert!(length > 524_288, "{length}");
    step(&mut engine, NOW);
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for notice in waiting(&engine, "each") {
        let Notice::One(one) = notice else { panic!("there is room for each: {notice:?}") };
        numbers.entry(one.get("sender").to_string()).or_default().push(one.get("number").parse().unwrap());
    }
    let all: Vec<u64> = (1..=200).collect();
    assert_eq!(numbers, [("".to_string(), all.clone()), ("db2".to_string(), all)].into());
}

#[test]
fn what_many_hosts_have_kept_is_read_in_steps_and_all_of_it() {
    let site = Site::new();
    let mut engine = site.engine();
    let more = site.directory.path().join("more");
    fs::create_dir(&more).unwrap();
    for host in 0..7 {
        fs::write(more.join(host.to_string()), "no record at all\n".repeat(40_000)).unwrap();
    }
    site.record(1, "db1", NOW);
    let mut steps = 1;
    while engine.step(Timestamp::from_unix(NOW)).unwrap().more {
        steps += 1;
    }
    assert!(steps > 3, "{steps}");
    assert_eq!((engine.state.unreadable, waiting(&engine, "each").len()), (280_000, 1));
}
