//! `oncall-notify` and a receiver that is away for a day: a real rsyslog, and the hours are those of the records.

use harness::notices::Notices;
use harness::suite::now;
use harness::wait_within;
use policy::{Mode, Timestamp, Verdict};
use record::{Effect, Phase, Record, Token};

const HOURS: u64 = 24;
const EACH: u64 = 1_000;

/// What waits at most: of a day's records a tenth.
const MOST: u64 = 2_400;

/// Whatever the machine does meanwhile.
const LIMIT: u64 = 900;

fn opened(number: u64, at: i64) -> String {
    let record = Record {
        seq: Some(number),
        boot_id: "7d0c2f11-0000-4000-8000-000000000001".into(),
        host: format!("db{}", number % 50),
        id: format!("{number:016x}"),
        person: format!("p{}", number % 300),
        account: "root".into(),
        service: "sshd".into(),
        phase: Some(Token::Known(Phase::Session)),
        verdict: Some(Token::Known(Verdict::Allow)),
        effect: Some(Token::Known(Effect::Pass)),
        mode: Some(Token::Known(Mode::Enforce)),
        ..Record::at(Timestamp::from_unix(at))
    };
    record.line()
}

/// So many notices were written to the spool so far, all in all.
fn written(site: &Notices) -> u64 {
    let state: serde_json::Value = serde_json::from_str(&site.host.read("/var/lib/oncall-notify/state.json"))
        .expect("the state is replaced whole");
    state["next"].as_u64().expect("a number")
}

fn waiting(site: &Notices) -> u64 {
    let files = std::fs::read_dir(site.host.path("/var/lib/oncall-notify/spool/siem")).expect("the spool");
    files.count() as u64
}

/// The number of each message in turn, or how many records it stands for.
fn told(taken: &str) -> Vec<Result<u64, u64>> {
    let value = |line: &str, name: &str| -> Option<u64> {
        line.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0.parse().ok()
    };
    let one = |line: &str| {
        value(line, "number")
            .map(Ok)
            .or_else(|| value(line, "count").map(Err))
            .unwrap_or_else(|| panic!("{line}"))
    };
    taken.lines().map(one).collect()
}

#[test]
fn a95_a_day_without_a_receiver_is_counted_and_told_and_the_newest_are_kept_and_drained_in_order() {
    let site = Notices::start();
    site.configure(&format!(
        "[[channel]]\nname = \"siem\"\nmost = {MOST}\n\
         syslog = {{ server = \"logs.example.com:601\", transport = \"tcp\" }}\n"
    ));
    site.begin();
    let begin = now() - 24 * 3_600;
    let second = |number: u64| i64::try_from(number * 3_600 / EACH).expect("a day");
    for hour in 0..HOURS {
        let numbers = hour * EACH..(hour + 1) * EACH;
        site.append(&numbers.map(|number| opened(number + 1, begin + second(number))).collect::<String>());
        if hour == HOURS / 2 {
            // In the middle of reading, of writing or of telling many as one.
            site.kill();
            site.begin();
        }
        wait_within(LIMIT, "the hour is read", || written(&site) >= (hour + 1) * EACH);
    }
    wait_within(LIMIT, "what is too much is told as one", || waiting(&site) <= MOST);
    let log = site.log();
    assert!(log.contains("channel siem: logs.example.com port 601: "), "{log}");
    assert!(!log.contains("are not told") && !log.contains("is not delivered"), "{log}");

    // A run of its own does not sit out the pauses of the one before.
    site.kill();
    site.start_rsyslog();
    site.begin();
    wait_within(LIMIT, "all of it is told", || waiting(&site) == 0);
    let mut all = vec![];
    wait_within(LIMIT, "rsyslog has written all of it", || {
        let taken = std::fs::read(site.host.path("/srv/taken/tcp")).unwrap_or_default();
        // Up to the end of the last whole line.
        let end = taken.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        all = told(&String::from_utf8_lossy(&taken[..end]));
        all.last() == Some(&Ok(HOURS * EACH))
    });
    let counts: u64 = all.iter().map(|told| told.err().unwrap_or(1)).sum();
    assert_eq!(counts, HOURS * EACH, "every record is counted");
    let singly: Vec<u64> = all.iter().filter_map(|told| told.ok()).collect();
    let least = usize::try_from(MOST / 2).expect("few");
    assert!(singly.len() >= least, "only {} of the newest are told by themselves", singly.len());
    let newest: Vec<u64> = (HOURS * EACH + 1 - singly.len() as u64..=HOURS * EACH).collect();
    assert_eq!(singly, newest, "the newest, in order, once");
    assert!(matches!(all[..], [Err(_), Ok(_), ..]), "one message for the older ones, first: {:?}", &all[..3]);
    assert_eq!(all.len(), singly.len() + 1);
    let taken = site.host.read("/srv/taken/tcp");
    assert!(taken.contains("records told as one, because there were too many"), "{taken}");
}
