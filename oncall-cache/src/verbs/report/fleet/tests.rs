//! A whole set names nothing; whatever is taken out of it or put into it is named.

use mutate::Dice;
use policy::Timestamp;
use record::{Counts, Token};

use super::*;
use crate::verbs::report::fleet::input::Line;
use record::{Phase, Record};

/// When what is told of begins, and how long it lasts: two weeks.
const START: i64 = 1_795_165_200;
const HOUR: i64 = 3_600;
const DAYS: i64 = 14;

/// One record, and the host that sent it.
#[derive(Clone)]
struct Sent {
    sender: String,
    record: Record,
}

/// A host that writes records.
struct Writer<'a> {
    name: String,
    dice: &'a mut Dice,
    now: i64,
    boots: Vec<(String, u64)>,
    all: Vec<Sent>,
}

impl Writer<'_> {
    fn boot(&mut self) {
        let id = format!("{}-{:08x}", self.name, self.boots.len() + 1);
        self.boots.push((id, 0));
    }

    fn write(&mut self, phase: Phase) {
        let (id, last) = self.boots.last_mut().unwrap();
        *last += 1;
        let record = Record {
            host: self.name.clone(),
            boot_id: id.clone(),
            seq: Some(*last),
            phase: Some(Token::Known(phase)),
            ..Record::at(Timestamp::from_unix(self.now))
        };
        let previous = self.boots.iter().rev().skip(1).filter(|(_, last)| *last > 0).take(4).cloned();
        let previous = match phase {
            Phase::Heartbeat => Counts(previous.collect()),
            _ => Counts::default(),
        };
        self.all.push(Sent { sender: self.name.clone(), record: Record { previous, ..record } });
    }

    /// Hours of one boot: a heartbeat in each, and logins.
    fn run(&mut self, hours: i64) {
        self.boot();
        // Some are over before the first heartbeat, with a login or without one.
        if self.dice.below(5) == 0 {
            for _ in 0..self.dice.below(2) {
                self.write(Phase::Account);
            }
            self.now += 30;
            self.boot();
        }
        self.now += 20;
        for _ in 0..hours {
            self.write(Phase::Heartbeat);
            let until = self.now + HOUR;
            for _ in 0..self.dice.below(3) {
                self.now += self.dice.below(1_000) as i64;
                self.write(Phase::Account);
            }
            self.now = until;
        }
        self.write(Phase::Heartbeat);
        self.now += 1;
    }
}

/// Days of one host, which is started anew now and then, and sometimes is off for longer than it may be silent.
fn host(name: &str, days: i64, dice: &mut Dice) -> Vec<Sent> {
    let (name, end) = (name.to_string(), START + days * 24 * HOUR);
    let mut writer = Writer { name, dice, now: START, boots: Vec::new(), all: Vec::new() };
    while writer.now < end {
        let left = (end - writer.now) / HOUR + 1;
        let hours = (6 + writer.dice.below(60) as i64).min(left);
        let hours = if left - hours < 12 { left } else { hours };
        writer.run(hours);
        if writer.now < end {
            writer.now += writer.dice.below(20) as i64 * HOUR / 2;
            writer.now = writer.now.min(end - HOUR);
        }
    }
    writer.all
}

/// From before these days until after them.
fn period(days: i64) -> Period {
    let at = |hours: i64| Timestamp::from_unix(START + hours * HOUR);
    Period { since: at(-24), until: at(days * 24 + 2) }
}

fn nothing(days: i64) -> Collected {
    Collected::new(period(days).since, period(days).until, Span::hours(3))
}

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("db{number}")).collect()
}

fn inventory(names: &[String]) -> Inventory {
    Inventory::parse(&names.join("\n")).unwrap()
}

/// What is found in these, in this order.
fn found<'a>(
    days: i64,
    all: impl IntoIterator<Item = &'a Sent>,
    inventory: Option<&Inventory>,
) -> Vec<Finding> {
    let mut collected = nothing(days);
    let nobody = Inventory::default();
    for sent in all {
        let line = sent.record.line();
        collected.take(&Line { sender: Some(&sent.sender), text: Some(&line) }, inventory.unwrap_or(&nobody));
    }
    judge(&collected, inventory)
}

fn kinds(found: &[Finding]) -> Vec<(&str, &str)> {
    found.iter().map(|finding| (finding.host.as_str(), finding.kind)).collect()
}

/// As files of many hosts are read: pieces of each in any order, and some of them twice.
fn shuffled(all: &[Sent], dice: &mut Dice) -> Vec<Sent> {
    let mut pieces: Vec<Vec<Sent>> = all.chunks(97).map(<[Sent]>::to_vec).collect();
    for _ in 0..pieces.len() / 10 {
        pieces.push(pieces[dice.below(pieces.len())].clone());
    }
    for index in (1..pieces.len()).rev() {
        pieces.swap(index, dice.below(index + 1));
    }
    pieces.concat()
}

#[test]
fn a96_two_weeks_of_fifty_hosts_have_no_gap_that_is_not_there() {
    let mut dice = Dice(1);
    let names = names(50);
    let all: Vec<Sent> = names.iter().flat_map(|name| host(name, DAYS, &mut dice)).collect();
    assert!(all.len() > 20_000, "{}", all.len());
    assert_eq!(found(DAYS, &all, Some(&inventory(&names))), []);
    assert_eq!(found(DAYS, &shuffled(&all, &mut dice), Some(&inventory(&names))), []);
}

#[test]
fn a96_whichever_record_is_taken_out_it_is_named_and_nothing_else_is() {
    let (mut dice, days, names) = (Dice(2), 4, names(1));
    let inventory = inventory(&names);
    for _ in 0..3 {
        let all = host("db1", days, &mut dice);
        assert_eq!(found(days, &all, Some(&inventory)), []);
        for (index, taken) in all.iter().enumerate() {
            let rest = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, sent)| sent);
            let found = found(days, rest, Some(&inventory));
            // The last one of all shows by the next, which has not come yet.
            let wanted = if index + 1 < all.len() { vec![("db1", "missing")] } else { vec![] };
            assert_eq!(kinds(&found), wanted, "{}: {found:#?}", taken.record.line());
        }
    }
}

#[test]
fn a96_each_defect_is_named() {
    let mut dice = Dice(3);
    let names = names(4);
    let all: Vec<Sent> = names.iter().flat_map(|name| host(name, DAYS, &mut dice)).collect();
    let list = inventory(&names);
    let of = |name: &'static str| move |sent: &&Sent| sent.sender == name;
    let without = |drop: &dyn Fn(&Sent) -> bool| -> Vec<Finding> {
        found(DAYS, all.iter().filter(|sent| !drop(sent)), Some(&list))
    };
    // The last three before a boot.
    let first = all[0].record.boot_id.clone();
    let ended = all.iter().filter(|sent| sent.record.boot_id == first).count() as u64;
    let told = without(&|sent| sent.record.boot_id == first && sent.record.seq.unwrap() > ended - 3);
    assert_eq!(kinds(&told), [("db1", "missing")]);
    assert!(told[0].text.starts_with("the last 3 records of boot "), "{told:?}");
    // A whole boot, and a host.
    let told = without(&|sent| sent.record.boot_id == first);
    assert!(told[0].text.starts_with(&format!("all {ended} records of boot ")), "{told:?}");
    assert_eq!(kinds(&without(&|sent| sent.sender == "db2")), [("db2", "never-enrolled")]);
    // One that stopped, and one that said nothing for a day.
    let times = |from: i64, to: i64| {
        move |sent: &Sent| (from * HOUR..to * HOUR).contains(&(sent.record.time.unix() - START))
    };
    let told = without(&|sent| sent.sender == "db1" && times(DAYS * 24 - 10, 10_000)(sent));
    assert_eq!(kinds(&told), [("db1", "stopped")]);
    let long = all.iter().find(|sent| sent.record.seq == Some(40)).unwrap().record.boot_id.clone();
    let told = without(&|sent| sent.record.boot_id == long && (6..26).contains(&sent.record.seq.unwrap()));
    assert_eq!(kinds(&told), [("db1", "silent"), ("db1", "missing")]);
    // One that nobody has listed.
    assert_eq!(kinds(&found(DAYS, &all, Some(&inventory(&names[1..])))), [("db1", "not-in-inventory")]);
    // Two of one name: the second is db2 under the name of db1, for the log server too.
    let renamed = |sent: &Sent| {
        let record = Record { host: "db1".to_string(), ..sent.record.clone() };
        Sent { sender: "db1".to_string(), record }
    };
    let twin: Vec<Sent> = all.iter().filter(of("db2")).map(renamed).collect();
    let told = found(
        DAYS,
        all.iter().filter(|sent| sent.sender != "db2").chain(&twin),
        Some(&inventory(&["db1", "db3", "db4"].map(str::to_string))),
    );
    assert_eq!(kinds(&told), [("db1", "two-hosts")], "{told:?}");
    // A forged name: db2 speaks for db1, which it harms by nothing.
    let forged =
        Sent { sender: "db2".to_string(), record: Record { seq: Some(999), ..all[0].record.clone() } };
    let told = found(DAYS, all.iter().chain([&forged]), Some(&list));
    assert_eq!(kinds(&told), [("db1", "forged")]);
    assert!(told[0].text.starts_with("1 record of db1 came from db2, "), "{told:?}");
}

#[test]
fn a96_without_an_inventory_the_population_is_unknown() {
    let mut dice = Dice(4);
    let all = host("db1", DAYS, &mut dice);
    let mut collected = nothing(DAYS);
    for sent in &all {
        let line = sent.record.line();
        collected.take(&Line { sender: Some("db1"), text: Some(&line) }, &Inventory::default());
    }
    let findings = judge(&collected, None);
    assert_eq!(findings, []);
    let fleet = Fleet { directory: "/srv/records".into(), collected, inventory: None, findings };
    assert!(fleet.table().contains("\npopulation unknown: "), "{}", fleet.table());
    assert!(fleet.json().contains("\"population\": null"));
}

#[test]
fn a96_what_no_host_sent_counts_for_none_and_whatever_comes_is_bounded() {
    let mut collected = nothing(DAYS);
    let mut take = |sender: Option<&str>, text: &str| {
        collected.take(&Line { sender, text: Some(text) }, &Inventory::default());
    };
    take(Some("db1"), "{no record");
    let mut record = Record { host: "db1".to_string(), ..Record::at(period(DAYS).since) };
    take(Some("db1"), &record.line());
    take(None, &record.line());
    record.host = String::new();
    take(Some("db1"), &record.line());
    take(None, &record.line());
    for number in 0..3_000 {
        record.host = format!("host{number}");
        take(Some("evil"), &record.line());
    }
    let found = judge(&collected, None);
    let texts: Vec<&str> = found.iter().map(|finding| finding.text.as_str()).collect();
    assert!(texts.contains(&"3 records have no number or no boot: others may be missing too"), "{texts:#?}");
    for text in [
        "1 line is no record",
        "1 record lies where nobody knows who sent it: any host can have written it",
        "1 record does not say of which host it is",
        "2000 records are of too many hosts, boots or holes to be looked at",
    ] {
        assert!(texts.contains(&text), "{text}: {:#?}", &texts[texts.len() - 5..]);
    }
}

#[test]
fn a109_hosts_that_run_another_policy_than_the_others_are_named() {
    let mut dice = Dice(4);
    let names = names(4);
    let mut all: Vec<Sent> = names.iter().flat_map(|name| host(name, 2, &mut dice)).collect();
    let beats = all.iter_mut().filter(|sent| sent.record.phase() == Some(Phase::Heartbeat));
    for Sent { sender, record } in beats {
        let (word, number) = match sender.as_str() {
            "db1" => ("signed", Some(8)),
            "db2" => ("signed", Some(7)),
            "db3" => ("unsigned", None),
            _ => ("", None),
        };
        (record.approval, record.policy_number) = (word.to_string(), number);
    }
    let told = found(2, &all, Some(&inventory(&names)));
    assert_eq!(kinds(&told), [("db2", "policy"), ("db3", "policy"), ("", "policy")]);
    assert_eq!(told[0].text, "runs the signed policy number 7, and db1 runs number 8");
    assert!(told[1].text.starts_with("its policy is not the one that was signed"), "{told:?}");
    assert_eq!(told[2].text, "1 host does not say whether its policy is signed, and db1 runs number 8");
    // One that said it before is named.
    let first =
        all.iter_mut().find(|sent| sent.sender == "db4" && sent.record.phase() == Some(Phase::Heartbeat));
    first.unwrap().record.approval = "signed".to_string();
    let told = found(2, &all, Some(&inventory(&names)));
    assert_eq!(kinds(&told), [("db2", "policy"), ("db3", "policy"), ("db4", "policy")]);
    assert_eq!(told[2].text, "no longer says whether its policy is signed, and did before");
    // Two that are signed with one number are two all the same.
    for Sent { sender, record } in all.iter_mut().filter(|sent| sent.record.policy_number.is_some()) {
        record.policy_number = Some(8);
        record.policy_digest = if sender == "db1" { "aa" } else { "bb" }.to_string();
    }
    let told = found(2, &all, Some(&inventory(&names)));
    assert_eq!(told[0].text, "runs another policy with the number 8 than db1: both were signed");
    assert_eq!(kinds(&told), [("db2", "policy"), ("db3", "policy"), ("db4", "policy")]);
    all.iter_mut().for_each(|sent| sent.record.approval.clear());
    // Where nobody asks for a signature, nothing is said of it.
    all.retain(|sent| sent.sender == "db4");
    assert_eq!(found(2, &all, Some(&inventory(&names[3..]))), []);
}
