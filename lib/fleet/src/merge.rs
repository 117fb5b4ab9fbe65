//! Two collectors: what is published next of what this one knows and of what was published last.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use policy::{Span, Timestamp};

use crate::{ReadSchedule, ReadService};

/// How long a schedule stays that no collector reads any more. A host keeps what it has for as long as it may.
const FORGOTTEN: Span = Span::hours(24);

/// Of each schedule the later reading, by source and id: a collector whose source fails publishes for the one whose
/// source does not. What this collector does not read stays as it was published, for a day.
pub fn later(own: Vec<ReadSchedule>, published: Vec<ReadSchedule>, now: Timestamp) -> Vec<ReadSchedule> {
    let name = |schedule: &ReadSchedule| (schedule.source.clone(), schedule.id.clone());
    choose(own, published, now, name, |schedule| schedule.read)
}

/// The same of the services whose incidents are read.
pub fn later_incidents(
    own: Vec<ReadService>,
    published: Vec<ReadService>,
    now: Timestamp,
) -> Vec<ReadService> {
    let name = |service: &ReadService| (service.source.clone(), service.id.clone());
    choose(own, published, now, name, |service| service.read)
}

fn choose<T>(
    own: Vec<T>,
    published: Vec<T>,
    now: Timestamp,
    name: impl Fn(&T) -> (String, String),
    read: impl Fn(&T) -> Timestamp,
) -> Vec<T> {
    let mut chosen: BTreeMap<(String, String), T> = BTreeMap::new();
    let remembered = published.into_iter().filter(|one| now.since(read(one)) <= FORGOTTEN);
    chosen.extend(remembered.map(|one| (name(&one), one)));
    for one in own {
        let name = name(&one);
        if chosen.get(&name).is_none_or(|published| read(published) <= read(&one)) {
            chosen.insert(name, one);
        }
    }
    chosen.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Digest, Head, ObjectRef, Part, RotaIndex};
    use alloc::format;
    use mutate::Dice;

    /// What a source says: a schedule's shifts at the last of its changes before `read`.
    fn schedule(id: u64, read: i64) -> ReadSchedule {
        let content = Digest::of(format!("{id} {}", read / 300).as_bytes());
        ReadSchedule {
            source: "pd".into(),
            id: format!("{id}"),
            provider_id: format!("P{id}"),
            name: "".into(),
            read: Timestamp::from_unix(read),
            horizon: Timestamp::from_unix(read).plus(Span::hours(72)),
            shifts: Part { content, object: ObjectRef::new(content, 1, 1).unwrap() },
        }
    }

    #[test]
    fn a72_whoever_publishes_an_older_reading_never_replaces_a_newer_one() {
        let mut dice = Dice(72);
        for _ in 0..300 {
            let mut now = 1_800_000_000;
            // What each of two collectors has read, with its own clock, and what is published.
            let mut own: [Vec<ReadSchedule>; 2] = Default::default();
            let skew = [0, 60];
            let mut published: Vec<ReadSchedule> = Vec::new();
            let mut sequence: Option<u64> = None;
            for _ in 0..60 {
                now += dice.below(90) as i64;
                let who = dice.below(2);
                let clock = now + skew[who];
                // A sync reads some of the schedules: a source may fail, and so may all of them.
                for id in (0..4).filter(|_| dice.below(3) > 0) {
                    own[who].retain(|schedule| schedule.id != format!("{id}"));
                    own[who].push(schedule(id, clock));
                }
                if dice.below(2) == 0 {
                    continue;
                }
                let next = later(own[who].clone(), published.clone(), Timestamp::from_unix(clock));
                for before in &published {
                    let after = next.iter().find(|after| after.id == before.id).unwrap();
                    assert!(before.read <= after.read, "{before:?} became {after:?}");
                    assert!(before.read < after.read || before.shifts == after.shifts);
                }
                assert!(
                    own[who]
                        .iter()
                        .all(|own| next.iter().any(|next| next.id == own.id && next.read >= own.read))
                );
                let milliseconds = u64::try_from(clock).unwrap() * 1000;
                let following = Head::next_sequence(sequence, milliseconds);
                assert!(sequence.is_none_or(|sequence| sequence < following));
                sequence = Some(following);
                // As it comes back out of the index that hosts read.
                let (index, read) = RotaIndex::new(next).unwrap();
                let read = read.unwrap_or(Timestamp::MIN);
                published = index.schedules().iter().map(|schedule| schedule.resolve(read)).collect();
            }
        }
    }

    #[test]
    fn what_nobody_reads_any_more_is_forgotten() {
        let kept = |age: i64| {
            later(Vec::new(), [schedule(1, 1_800_000_000)].into(), Timestamp::from_unix(1_800_000_000 + age))
                .len()
        };
        assert_eq!((kept(0), kept(86_400), kept(86_401)), (1, 1, 0));
        let failing = later([schedule(1, 0)].into(), Vec::new(), Timestamp::from_unix(1_800_000_000));
        assert_eq!(failing.len(), 1, "what this collector is to read stays, however old it is");
    }
}
