//! What is written is what is read.

use mutate::Dice;
use policy::{Revocation, Span};
use serde_json::Value as Json;

use super::*;

const NINE: Timestamp = Timestamp::from_unix(1_795_165_200);

/// Names and places as callers choose them.
const ODD: [&str; 13] = [
    "",
    "alice",
    "db1.example",
    "a b",
    "\"\\",
    "\\u0041",
    "\u{1f600}\n\r\t\0\u{7f}",
    "\u{fffd}\u{202e}",
    "{\"a\":[",
    ",:+-",
    "...",
    "....",
    "x...",
];

fn any_text(dice: &mut Dice) -> String {
    // Mostly nothing, so that records are met in which nothing was cut.
    if dice.below(12) > 0 {
        return String::new();
    }
    let odd = |dice: &mut Dice| ODD[dice.below(ODD.len())];
    match dice.below(4) {
        // Longer than what is written.
        0 => odd(dice).repeat(dice.below(300)),
        1 => format!("{}{}", odd(dice), odd(dice)),
        _ => odd(dice).to_string(),
    }
}

fn any_time(dice: &mut Dice) -> Timestamp {
    match dice.below(6) {
        0 => Timestamp::MIN,
        1 => Timestamp::MAX,
        _ => Timestamp::from_unix(i64::try_from(dice.below(1 << 33)).unwrap()),
    }
}

fn some<T>(dice: &mut Dice, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    (dice.below(2) == 0).then(|| make(dice))
}

fn word<T: Word + Clone>(dice: &mut Dice, all: &[T]) -> Option<Token<T>> {
    some(dice, |dice| match dice.below(all.len() + 1) {
        newer if newer == all.len() => {
            Token::Other(["incident", "four-eyes", "\u{e9}"][dice.below(3)].to_string())
        }
        known => Token::Known(all[known].clone()),
    })
}

/// Any record that could be, with values in any of its fields.
fn any_record(dice: &mut Dice) -> Record {
    let groups = Guard::Group(any_text(dice));
    let guards =
        [Guard::Sudo, Guard::Doas, Guard::Polkit, Guard::UidZero, groups, Guard::Shared, Guard::Named];
    let dropped = (0..dice.below(3)).map(|number| (format!("bob{number}-"), 1 + number as u64));
    Record {
        late: Default::default(),
        dropped: Counts(dropped.collect()),
        seq: some(dice, |_| u64::MAX),
        time: any_time(dice),
        host: any_text(dice),
        id: any_text(dice),
        phase: word(
            dice,
            &[Phase::Account, Phase::Test, Phase::Session, Phase::Close, Phase::Heartbeat, Phase::WouldEnd],
        ),
        pid: some(dice, |_| 7),
        pid_start: some(dice, |_| u64::MAX - 1),
        boot_id: any_text(dice),
        loginuid: some(dice, |_| 0),
        audit_session: some(dice, |_| u32::MAX),
        cgroup: any_text(dice),
        person: any_text(dice),
        account: any_text(dice),
        account_before: any_text(dice),
        service: any_text(dice),
        asker: any_text(dice),
        caller: some(dice, |_| 1000),
        rhost: any_text(dice),
        tty: any_text(dice),
        fingerprint: any_text(dice),
        authority: any_text(dice),
        serial: some(dice, |_| u64::MAX),
        key_id: any_text(dice),
        verdict: word(dice, Verdict::ALL),
        reason: word(dice, Reason::ALL),
        effect: word(dice, &[Effect::Pass, Effect::Refuse]),
        mode: word(dice, &[Mode::Enforce, Mode::Observe]),
        guard: word(dice, &guards),
        rule: any_text(dice),
        schedule: any_text(dice),
        schedule_name: any_text(dice),
        level: some(dice, |_| u8::MAX),
        start: some(dice, any_time),
        end: some(dice, any_time),
        age_seconds: some(dice, |_| i64::MIN),
        limit_seconds: some(dice, |_| i64::MAX),
        since: some(dice, any_time),
        by: any_text(dice),
        automation: some(dice, |_| 1),
        grant: any_text(dice),
        approvers: any_text(dice),
        owner: any_text(dice),
        incident: any_text(dice),
        claim: any_text(dice),
        why: any_text(dice),
        ended: word(dice, &[Cause::Shift, Cause::Revoked, Cause::Grant, Cause::Root]),
        ends: some(dice, any_time),
        until: some(dice, any_time),
        owners: any_text(dice),
        problem: any_text(dice),
        previous: Counts((0..dice.below(3)).map(|number| (format!("boot-{number}"), 41)).collect()),
        policy: any_text(dice),
        approval: any_text(dice),
        policy_number: (dice.below(2) == 0).then(|| dice.below(100) as u64),
        policy_digest: any_text(dice),
    }
}

#[test]
fn a_line_that_is_read_and_written_again_is_the_same_line() {
    let mut dice = Dice(1);
    let mut whole = 0;
    for _ in 0..3_000 {
        let record = any_record(&mut dice);
        let line = record.line();
        let read = Record::read(&line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(read.line(), line);
        let is_cut = line.contains("...");
        assert!(is_cut || read == record, "{record:?}\n{read:?}");
        whole += u32::from(!is_cut);
        // Another reader of JSON finds the same names.
        let other: Json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let other = other.as_object().unwrap();
        assert_eq!(other.get("person").and_then(Json::as_str).unwrap_or_default(), read.person);
        assert_eq!(other.get("seq").and_then(Json::as_u64), read.seq);
        // And what another writer makes of it is read as well.
        assert_eq!(Record::read(&serde_json::to_string_pretty(other).unwrap()), Some(read));
    }
    assert!(whole > 50, "{whole}");
}

#[test]
fn a_record_of_an_earlier_release_or_a_later_one_is_read() {
    let earlier = "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"id\":\"1\",\"phase\":\"account\"}";
    let read = Record::read(earlier).unwrap();
    assert_eq!((read.phase(), read.boot_id.as_str(), read.pid_start), (Some(Phase::Account), "", None));
    let later = "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"reason\":\"incident\",\"responders\":[\"bob\"],\"x\":1.5,\"phase\":\"end\"}";
    let read = Record::read(later).unwrap();
    assert_eq!(
        (read.reason(), read.reason.as_ref().map(ToString::to_string)),
        (None, Some("incident".to_string()))
    );
    assert!(read.line().contains("\"phase\":\"end\"") && read.line().contains("\"reason\":\"incident\""));
    for other in [
        "",
        "{}",
        "{\"version\":1}",
        "{\"version\":2,\"time\":\"2026-11-20T09:00:00Z\"}",
        "{\"time\":\"2026-11-20T09:00:00Z\"}",
        "{\"version\":1,\"time\":\"yesterday\"}",
        "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"pid\":\"7\"}",
        "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"level\":256}",
        "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\",\"person\":7}",
        "{\"version\":1,\"time\":\"2026-11-20T09:00:00Z\"",
    ] {
        assert_eq!(Record::read(other), None, "{other}");
    }
}

#[test]
fn a65_whatever_line_comes_is_read_or_is_not_and_takes_no_time() {
    let mut dice = Dice(2);
    let lines: Vec<String> = (0..20).map(|_| any_record(&mut dice).line()).collect();
    let samples: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    mutate::each(&samples, &["\"version\":1", "\\ud83d", "{\"", "null", "[[["], 20_000, |input| {
        if let Some(record) = std::str::from_utf8(input).ok().and_then(Record::read) {
            let line = record.line();
            assert_eq!(Record::read(&line).map(|again| again.line()), Some(line));
        }
    });
}

fn revoked() -> Record {
    let revocation = Revocation::by_root(Timestamp::from_unix(0), "root".to_string(), String::new());
    let decision = Decision {
        verdict: Verdict::Refuse,
        reason: Reason::Revoked,
        guard: Some(Guard::Group("sudo".to_string())),
        ground: Ground::Revoked(revocation),
        until: None,
    };
    let record = Record {
        seq: Some(7),
        host: "db1".to_string(),
        id: "0123456789abcdef".to_string(),
        phase: Some(Token::Known(Phase::Account)),
        pid: Some(4711),
        person: "alice".to_string(),
        account: "root".to_string(),
        service: "su".to_string(),
        caller: Some(1000),
        rhost: "\u{1f600}\"\\\n".to_string(),
        tty: "x".repeat(70_000),
        dropped: Counts(vec![("bob".to_string(), 3)]),
        ..Record::at(NINE)
    };
    record.decided(&decision, Mode::Observe)
}

#[test]
fn a65_a_record_is_one_line_of_json_whatever_it_is_told() {
    let tty = "x".repeat(LONGEST);
    assert_eq!(
        revoked().line(),
        format!(
            "{{\"version\":1,\"seq\":7,\"time\":\"2026-11-20T09:00:00Z\",\"host\":\"db1\",\"id\":\"0123456789abcdef\",\
             \"phase\":\"account\",\"pid\":4711,\"person\":\"alice\",\"account\":\"root\",\"service\":\"su\",\"caller\":1000,\
             \"rhost\":\"\\ud83d\\ude00\\\"\\\\\\u000a\",\"tty\":\"{tty}...\",\"verdict\":\"refuse\",\"reason\":\"revoked\",\
             \"effect\":\"pass\",\"mode\":\"observe\",\"guard\":\"group:sudo\",\"since\":\"1970-01-01T00:00:00Z\",\"by\":\"root\",\
             \"dropped\":\"bob:3\"}}\n"
        )
    );
    let close = revoked().closed(NINE.plus(Span::seconds(1))).line();
    let start = "{\"version\":1,\"time\":\"2026-11-20T09:00:01Z\",\"host\":\"db1\",\"id\":\"0123456789abcdef\",\"phase\":\"close\",\"person\":\"alice\"";
    assert!(close.starts_with(start) && !close.contains("verdict") && !close.contains("seq"), "{close}");
}
