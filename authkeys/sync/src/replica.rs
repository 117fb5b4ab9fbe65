//! From what the directory says to what is published: which entries are new, gone or the same.
//!
//! Pure: the wire is in lib/ldap, SQL in `store`. A server with RFC 4533 tells only what changed
//! since a cookie; any other lists everybody each time. A part is applied only where that comes to
//! the same as judging everybody anew: as long as no entry outside it claims a name that an entry in
//! it claims, or claimed before. Otherwise everybody is fetched ([`Plan::FetchEverything`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ldap::{Answer, Eligible, Entry, News};
use store::StoreError;
use store::keys::{Base, Change, Flag, Lookup};

use super::entry;

/// What to do with an answer.
#[derive(Debug)]
pub enum Plan {
    /// Publish this.
    Publish(PendingCopy),
    /// The part cannot be judged by itself: fetch everybody.
    FetchEverything,
}

/// What there is to publish.
#[derive(Debug)]
pub struct PendingCopy {
    /// What becomes of the copy.
    pub change: Change,
    /// A line for whatever was dropped.
    pub dropped: Vec<String>,
    /// Has the directory shown nobody at all?
    pub shows_nobody: bool,
}

/// Makes a plan for `answer`, against the copy `base`. `group` is the digest of the eligible group that the
/// copy was made with.
pub fn plan(
    base: Option<&Base>,
    answer: Answer,
    group: Option<&str>,
    keep: Keep,
) -> Result<Plan, StoreError> {
    let Answer { news, eligible, .. } = answer;
    match (base, news) {
        (base, News::Everything(entries)) => whole(base, entries, keep),
        (Some(base), News::Part { set, gone }) if !base.is_damaged() => {
            let regrouped = group != Some(eligible.digest().as_str());
            part(base, set, gone, regrouped.then_some(&eligible))
        }
        (Some(base), News::Listed { set, there }) if !base.is_damaged() => {
            let Some(gone) = gone(base, &set, &there)? else { return Ok(Plan::FetchEverything) };
            let regrouped = group != Some(eligible.digest().as_str());
            part(base, set, gone, regrouped.then_some(&eligible))
        }
        (_, News::Part { .. } | News::Listed { .. }) => Ok(Plan::FetchEverything),
    }
}

/// Who of the copy is not `there` any more; `None` if somebody is there who is neither in it nor in `set`, or at another
/// place: then more changed than `set` tells.
fn gone(
    base: &Base,
    set: &[Entry],
    there: &BTreeMap<String, String>,
) -> Result<Option<BTreeSet<String>>, StoreError> {
    let told: BTreeSet<&str> = set.iter().map(|entry| entry.id.as_str()).collect();
    let mut copied = base.entries("", "\u{10ffff}")?;
    copied.retain(|id, _| !told.contains(id.as_str()));
    let is_as_copied =
        |(id, dn): (&String, &String)| told.contains(id.as_str()) || copied.get(id) == Some(dn);
    if !there.iter().all(is_as_copied) {
        return Ok(None);
    }
    Ok(Some(copied.into_keys().filter(|id| !there.contains_key(id)).collect()))
}

/// Whom a copy is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Everybody in the directory.
    Everybody,
    /// Those who may ever become root: the others are asked for live.
    Eligible,
}

/// The plan for everybody. All are looked at in any case, so that names which two entries claim are known.
pub fn whole(base: Option<&Base>, entries: Vec<Entry>, keep: Keep) -> Result<Plan, StoreError> {
    let mut believed = entry::believe(entries);
    let shows_nobody = believed.records.iter().all(|record| record.person.is_none());
    if keep == Keep::Eligible {
        believed.records.retain(|record| record.is_eligible());
    }
    let change = match base {
        Some(base) => base.replaced_by(believed.records)?,
        None => Change::everything(believed.records),
    };
    Ok(Plan::Publish(PendingCopy { change, dropped: believed.dropped, shows_nobody }))
}

/// The plan for entries that are new or another, and ids of such as are gone; of the others it is said in `eligible` who
/// is, where that changed.
pub fn part(
    base: &Base,
    set: Vec<Entry>,
    gone: BTreeSet<String>,
    eligible: Option<&Eligible>,
) -> Result<Plan, StoreError> {
    let mut affected: BTreeSet<String> = set.iter().map(|entry| entry.id.clone()).collect();
    affected.extend(gone.iter().cloned());
    if !affected.is_empty() && touches_others(&mut base.lookup()?, &set, &affected)? {
        return Ok(Plan::FetchEverything);
    }
    let flags = match eligible {
        Some(eligible) => reflagged(base.flags()?, eligible, &affected),
        None => Vec::new(),
    };
    let believed = entry::believe(set);
    let change = base.changed_by(believed.records, &gone, flags)?;
    let shows_nobody = change.effect().people == 0;
    Ok(Plan::Publish(PendingCopy { change, dropped: believed.dropped, shows_nobody }))
}

/// Does an entry that is not affected claim a name that an affected one claims, or claimed before?
fn touches_others(
    known: &mut Lookup<'_>,
    set: &[Entry],
    affected: &BTreeSet<String>,
) -> Result<bool, StoreError> {
    let mut names: BTreeSet<String> = set.iter().flat_map(entry::claims).map(Cow::into_owned).collect();
    for id in affected {
        names.extend(known.names_of(id)?);
    }
    for name in &names {
        if known.claimants(name)?.iter().any(|id| !affected.contains(id)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of the unaffected whose eligibility is another now.
fn reflagged(flags: Vec<Flag>, eligible: &Eligible, affected: &BTreeSet<String>) -> Vec<Flag> {
    let others = flags.into_iter().filter(|flag| !affected.contains(&flag.id));
    others
        .filter_map(|flag| {
            let now = eligible.admits(&flag.dn, &[flag.principal.to_string()]);
            (now != flag.eligible).then_some(Flag { eligible: now, ..flag })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Timestamp;
    use std::path::PathBuf;
    use store::keys;

    const KEY: &[u8] = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";
    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn entry(id: &str, names: &[&str]) -> Entry {
        Entry {
            id: id.to_string(),
            dn: format!("cn={id},dc=x"),
            names: names.iter().map(ToString::to_string).collect(),
            keys: vec![KEY.to_vec()],
            ..Entry::default()
        }
    }

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
        ids.map(str::to_string).into()
    }

    /// A directory and its copy, kept up to date by parts.
    struct World {
        directory: BTreeMap<String, Entry>,
        scratch: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let scratch = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
            Self { directory: BTreeMap::new(), scratch }
        }

        fn path(&self) -> PathBuf {
            self.scratch.path().join("keys.db")
        }

        fn publish(&self, base: Option<&Base>, change: &Change) {
            keys::publish(&self.path(), "test", base, change, None, NOW).unwrap();
        }

        fn publish_everything(&self) {
            let base = Base::open(&self.path(), "test").ok();
            let everybody = self.directory.values().cloned().collect();
            let Ok(Plan::Publish(PendingCopy { change, .. })) =
                whole(base.as_ref(), everybody, Keep::Everybody)
            else {
                panic!()
            };
            self.publish(base.as_ref(), &change);
        }

        /// Brings the copy up to date by a part; says whether that was enough.
        fn publish_part(&self, set: BTreeSet<String>, gone: BTreeSet<String>) -> bool {
            let base = Base::open(&self.path(), "test").unwrap();
            let set = set.iter().filter_map(|id| self.directory.get(id)).cloned().collect();
            match part(&base, set, gone, None).unwrap() {
                Plan::Publish(PendingCopy { change, .. }) => {
                    self.publish(Some(&base), &change);
                    true
                }
                Plan::FetchEverything => {
                    self.publish_everything();
                    false
                }
            }
        }

        fn copied(&self) -> Vec<(String, String)> {
            let base = Base::open(&self.path(), "test").unwrap();
            let people = base.flags().unwrap().into_iter();
            let mut people: Vec<_> = people.map(|one| (one.principal.to_string(), one.id)).collect();
            people.sort();
            people
        }

        /// What judging everybody anew would come to.
        fn judged(&self) -> Vec<(String, String)> {
            let believed = entry::believe(self.directory.values().cloned().collect());
            let people = believed.records.into_iter().filter_map(|record| record.person);
            let mut people: Vec<_> = people.map(|person| (person.principal.to_string(), person.id)).collect();
            people.sort();
            people
        }
    }

    /// Numbers that look random and are the same each time.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    #[test]
    fn parts_come_to_the_same_as_judging_everybody_anew_whatever_names_are_contested() {
        let (mut world, mut dice) = (World::new(), Dice(1));
        for id in 0..12 {
            world.directory.insert(id.to_string(), entry(&id.to_string(), &[&format!("p{id}")]));
        }
        world.publish_everything();
        let mut enough = 0;
        for step in 0..400 {
            let (mut set, mut gone) = (BTreeSet::new(), BTreeSet::new());
            for _ in 0..=dice.below(3) {
                let id = dice.below(14).to_string();
                let names: Vec<String> =
                    (0..dice.below(8) / 3).map(|_| format!("p{}", dice.below(20))).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                if dice.below(4) == 0 {
                    world.directory.remove(&id);
                    set.remove(&id);
                    gone.insert(id);
                } else {
                    world.directory.insert(id.clone(), entry(&id, &names));
                    gone.remove(&id);
                    set.insert(id);
                }
            }
            enough += usize::from(world.publish_part(set, gone));
            assert_eq!(world.copied(), world.judged(), "step {step}");
        }
        assert!((50..350).contains(&enough), "both ways were gone: {enough} of 400");
    }

    #[test]
    fn a_name_that_was_contested_heals_when_a_claim_ends() {
        let mut world = World::new();
        for (id, name) in [("1", "alice"), ("2", "alice"), ("3", "carol")] {
            world.directory.insert(id.to_string(), entry(id, &[name]));
        }
        world.publish_everything();
        assert_eq!(world.copied(), [("carol".to_string(), "3".to_string())]);
        world.directory.remove("2");
        assert!(!world.publish_part(ids([]), ids(["2"])));
        assert_eq!(world.copied().len(), 2);
    }

    #[test]
    fn whoever_is_not_listed_is_gone_and_who_is_listed_without_being_told_is_a_reason_to_read_everybody() {
        let mut world = World::new();
        for id in ["1", "2", "3"] {
            world.directory.insert(id.to_string(), entry(id, &[&format!("p{id}")]));
        }
        world.publish_everything();
        let base = Base::open(&world.path(), "test").unwrap();
        let gone = |told: &[&str], there: &[(&str, &str)]| {
            let set: Vec<Entry> = told.iter().map(|id| entry(id, &[])).collect();
            let there = there.iter().map(|(id, dn)| (id.to_string(), dn.to_string())).collect();
            gone(&base, &set, &there).unwrap()
        };
        let (one, two, three) = (("1", "cn=1,dc=x"), ("2", "cn=2,dc=x"), ("3", "cn=3,dc=x"));
        assert_eq!(gone(&[], &[one, two, three]), Some(ids([])));
        assert_eq!(gone(&[], &[one, three]), Some(ids(["2"])));
        assert_eq!(gone(&["4"], &[one, three, ("4", "cn=4,dc=x")]), Some(ids(["2"])));
        assert_eq!(gone(&["2", "4"], &[one, three]), Some(ids([])), "they came while the others were listed");
        assert_eq!(gone(&["2"], &[one, ("2", "cn=2,dc=y"), three]), Some(ids([])));
        assert_eq!(gone(&[], &[one, two, three, ("4", "cn=4,dc=x")]), None);
        assert_eq!(gone(&[], &[one, ("2", "cn=2,dc=y"), three]), None, "moved, and not told");
        assert_eq!(gone(&[], &[]), Some(ids(["1", "2", "3"])));
    }
}
