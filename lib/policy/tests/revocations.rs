//! Lists of the fleet's revocations, merged in any order and read from any text.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use mutate::Dice;
use policy::Timestamp;
use policy::revocations::{Order, Revocations, Subject};

/// A few subjects and small numbers, so that they meet.
fn list(dice: &mut Dice) -> Revocations {
    let mut list = Revocations::none();
    for _ in 0..dice.below(6) {
        let subject = match dice.below(3) {
            0 => Subject::parse("person", ["alice", "bob"][dice.below(2)]),
            1 => Some(Subject::Key([dice.below(2) as u8; 32])),
            _ => Subject::parse("grant", ["1", "2"][dice.below(2)]),
        };
        let instant = |dice: &mut Dice| Timestamp::from_unix(1_795_165_200 + dice.below(3) as i64);
        let order = Order {
            serial: dice.below(4) as u64,
            lifted: dice.below(2) == 0,
            since: instant(dice),
            until: (dice.below(2) == 0).then(|| instant(dice)),
            by: ["eve", "root"][dice.below(2)].to_string(),
            reason: ["", "why", "why not"][dice.below(3)].to_string(),
        };
        list.insert(subject.unwrap(), order).unwrap();
    }
    list
}

fn merged(lists: &[&Revocations]) -> Revocations {
    let mut all = Revocations::none();
    lists.iter().for_each(|list| all.merge(list).unwrap());
    all
}

#[test]
fn merging_has_one_outcome_whatever_the_order_and_however_often() {
    let mut dice = Dice(0xf1ee7);
    for round in 0..20_000 {
        let [a, b, c] = [(); 3].map(|()| list(&mut dice));
        let all = merged(&[&a, &b, &c]);
        for order in [[&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]] {
            assert_eq!(merged(&order), all, "round {round}");
        }
        assert_eq!(
            merged(&[&all, &merged(&[&a, &b]), &c, &a]),
            all,
            "round {round}: an older copy changes nothing"
        );
        for (subject, order) in a.iter().chain(b.iter()).chain(c.iter()) {
            let held = all.get(subject).unwrap();
            assert!(held.serial >= order.serial, "round {round}");
            // At one serial whoever says that it is revoked has the say.
            assert!(held.serial > order.serial || !held.lifted || order.lifted, "round {round}");
        }
        assert_eq!(Revocations::parse(&all.to_string()), Ok(all), "round {round}");
    }
}

#[test]
fn what_is_read_is_what_would_be_written() {
    let mut dice = Dice(0x11f7);
    let samples: Vec<String> = (0..50).map(|_| list(&mut dice).to_string()).collect();
    let samples: Vec<&[u8]> = samples.iter().map(String::as_bytes).collect();
    let words =
        ["person", "key", "grant", "revoked", "lifted", "-", "\n", "2026-11-20T09:00:00Z", "revocations 1"];
    mutate::each(&samples, &words, 40_000, |input| {
        let Ok(text) = std::str::from_utf8(input) else { return };
        if let Ok(list) = Revocations::parse(text) {
            assert_eq!(list.to_string(), text);
        }
    });
}
