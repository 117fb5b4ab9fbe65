//! Active Directory by changes: what a domain controller's count of changes proves. Pure; `domain` is the wire.
//!
//! Each change that a domain controller takes gets the next update sequence number of its database, which the entry then
//! has as uSNChanged ([MS-ADTS] 3.1.1.1.9); invocationId says which database counts. An entry that is deleted, or moved to
//! where we may not look, is not shown with its number. So the numbers since the last sync are accounted for one by one:
//! where each is that of an account or a group that is shown, nobody went. Where one is missing, everybody is listed by
//! id. A list says who went; only what is no doubt by either is published, and for the rest everybody is read.
//!
//! What is above people changes them without numbers of theirs, and the server takes its time for that: after such a change
//! everybody is read for an hour.
//!
//! A database that was put back from a copy goes on counting from there, under the same invocationId, and may have come as
//! far as before. So the last numbers are remembered with their entries, and have to be as they were.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Span, Timestamp};

use super::dn::Dn;

/// How many of the last numbers are remembered, of those that entries have which are shown.
const MOST_KEPT: usize = 8;

/// How far back the first of them may be when everybody was read: further, where so few are shown that numbers were taken
/// elsewhere (by other domains' data, settings, DNS).
pub(super) const LOOK_BACK: [u64; 3] = [64, 1_024, 16_384];

/// So many of the last numbers show well enough whether the past is still the same.
const ENOUGH: usize = 4;

/// So long rights that changed above people may take until they are those of the people: [MS-ADTS] 3.1.1.1.9 gives these no
/// numbers, and sets no limit.
const SETTLING: Span = Span::minutes(60);

/// More numbers since the last sync than these are not accounted for: to list them could cost more than to read everybody.
const MOST_NUMBERS: u64 = 5_000;

/// The first word of a cookie that is a [`Mark`].
const FORM: &str = "usn1";

/// An entry as a list of numbers has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    /// uSNChanged.
    pub(super) number: u64,
    /// objectGUID, as text.
    pub(super) id: String,
    /// whenChanged: GeneralizedTime.
    pub(super) changed: String,
    /// Where it is.
    pub(super) dn: String,
    /// What it is to people.
    pub(super) kind: Kind,
}

/// What an entry can be to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An account or a group.
    Account,
    /// Of a class that nobody is below.
    Leaf,
    /// People may be below it.
    Unit,
}

/// Classes below whose entries nobody is: what is shared and published ("leaf"), addresses, keys of disks, and what is kept
/// below accounts for their devices.
const LEAVES: [&str; 5] =
    ["leaf", "contact", "msFVE-RecoveryInformation", "msExchActiveSyncDevices", "msExchActiveSyncDevice"];

impl Kind {
    /// By the classes of an entry. Accounts and groups, and they alone, have a sAMAccountType ([MS-ADA3] 2.222).
    pub(super) fn of(has_account_type: bool, classes: &[Vec<u8>]) -> Self {
        let is = |class: &Vec<u8>| LEAVES.iter().any(|leaf| class.eq_ignore_ascii_case(leaf.as_bytes()));
        match has_account_type {
            true => Self::Account,
            false if classes.iter().any(is) => Self::Leaf,
            false => Self::Unit,
        }
    }
}

/// Are there enough entries in `listed` that have a number up to `last`?
pub(super) fn are_enough(listed: &[Numbered], last: u64) -> bool {
    listed.iter().filter(|entry| entry.number <= last).count() >= ENOUGH
}

/// How far a copy goes, by the count of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Which database counts: invocationId, as text.
    pub(super) database: String,
    /// Its last number when the copy was made: highestCommittedUSN.
    pub(super) last: u64,
    /// The number from which `known` has all that are shown.
    pub(super) first: u64,
    /// The id and the time of the entry that has a number.
    known: BTreeMap<u64, (String, String)>,
    /// Until then everybody is read, because something above people changed.
    unsettled: Timestamp,
}

/// What a list of numbers says of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing happened since.
    None,
    /// These have changed since, whatever they are.
    Some {
        /// Their ids.
        changed: BTreeSet<String>,
        /// Is every number accounted for? Otherwise somebody may have gone without being shown.
        is_whole: bool,
    },
    /// Something above people changed, and who knows what of theirs with it.
    Above,
    /// That cannot be told.
    Unknown,
}

impl Mark {
    /// The mark of a copy that is made now, of a database that has come to `last`; `listed` is shown from `first` on. `None`
    /// if nothing is shown up to there: then nobody could tell the database from one that was put back.
    pub(super) fn new(database: String, last: u64, first: u64, listed: &[Numbered]) -> Option<Self> {
        let mut known: BTreeMap<u64, (String, String)> = (listed.iter())
            .filter(|entry| (first..=last).contains(&entry.number))
            .map(|entry| (entry.number, (entry.id.clone(), entry.changed.clone())))
            .collect();
        let mut mark_first = first;
        while known.len() > MOST_KEPT {
            known.pop_first();
            mark_first = known.first_key_value().map_or(first, |(number, _)| *number);
        }
        let unsettled = Timestamp::from_unix(0);
        (!known.is_empty()).then_some(Self { database, last, first: mark_first, known, unsettled })
    }

    /// The same, for a copy that was made by what `old` and `progress` tell `now`.
    pub(super) fn following(mut self, old: Option<&Self>, progress: &Progress, now: Timestamp) -> Self {
        let before = old.map_or(self.unsettled, |old| old.unsettled);
        self.unsettled = if *progress == Progress::Above { now.plus(SETTLING) } else { before };
        self
    }

    /// Have people come by now to what changed above them?
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        self.unsettled <= now
    }

    /// Is this a cookie of ours?
    pub(super) fn is_mark(cookie: &[u8]) -> bool {
        cookie.starts_with(FORM.as_bytes())
    }

    /// Reads what [`Mark::write`] wrote.
    pub(super) fn read(cookie: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(cookie).ok()?.split(' ');
        if words.next()? != FORM {
            return None;
        }
        let database = words.next()?.to_string();
        let (last, first) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let unsettled = Timestamp::from_unix(words.next()?.parse().ok()?);
        let known = words.map(|word| {
            let (number, entry) = word.split_once('=')?;
            let (id, changed) = entry.split_once('@')?;
            Some((number.parse().ok()?, (id.to_string(), changed.to_string())))
        });
        let known: BTreeMap<_, _> = known.collect::<Option<_>>()?;
        (!known.is_empty()).then_some(Self { database, last, first, known, unsettled })
    }

    /// The cookie.
    pub(super) fn write(&self) -> Vec<u8> {
        let Self { database, last, first, known, unsettled } = self;
        let known: String =
            known.iter().map(|(number, (id, changed))| format!(" {number}={id}@{changed}")).collect();
        format!("{FORM} {database} {last} {first} {}{known}", unsettled.unix()).into_bytes()
    }

    /// Can the database `database`, which has come to `last`, be asked what changed since?
    pub(super) fn is_of(&self, database: &str, last: u64) -> bool {
        let behind = last.checked_sub(self.last);
        self.database == database
            && self.first <= self.last
            && behind.is_some_and(|behind| behind <= MOST_NUMBERS)
    }

    /// What happened up to `last`, if `listed` are all entries that are shown with a number from [`Mark::first`] on.
    /// People are below `base`.
    pub(super) fn progress(&self, last: u64, listed: &[Numbered], base: &Dn) -> Progress {
        let (old, new): (Vec<&Numbered>, Vec<&Numbered>) =
            listed.iter().partition(|entry| entry.number <= self.last);
        let is_known = |entry: &&Numbered| {
            self.known
                .get(&entry.number)
                .is_some_and(|(id, changed)| *id == entry.id && *changed == entry.changed)
        };
        let changed: BTreeSet<String> = new.iter().map(|entry| entry.id.clone()).collect();
        let still: BTreeSet<u64> = old.iter().map(|entry| entry.number).collect();
        let is_there =
            |(number, (id, _)): (&u64, &(String, String))| still.contains(number) || changed.contains(id);
        if !old.iter().all(is_known) || !self.known.iter().all(is_there) {
            return Progress::Unknown;
        }
        // What is above people, or could be, changes more than itself: where they are, who may be seen.
        let is_above = |entry: &&Numbered| {
            let dn = Dn::read(&entry.dn);
            entry.kind == Kind::Unit && dn.is_none_or(|dn| dn.is_within(base) || base.is_within(&dn))
        };
        if new.iter().any(is_above) {
            return Progress::Above;
        }
        if last == self.last {
            return Progress::None;
        }
        let told: BTreeSet<u64> =
            new.iter().filter(|entry| entry.kind == Kind::Account).map(|entry| entry.number).collect();
        let is_whole = (self.last + 1..=last).all(|number| told.contains(&number));
        Progress::Some { changed, is_whole }
    }
}

/// The names of the attributes in a filter (RFC 4515); `None` if one part of it names none, or by a number, which the schema
/// has nobody look up.
pub(super) fn attributes_of(filter: &str) -> Option<BTreeSet<&str>> {
    let mut names = BTreeSet::new();
    for part in filter.split('(').skip(1) {
        if part.is_empty() || part.starts_with(['&', '|', '!', ')']) {
            continue;
        }
        let end = part.find(['=', '<', '>', '~', ':'])?;
        let name = part.get(..end)?.split(';').next()?.trim();
        if !is_name(name) {
            return None;
        }
        names.insert(name);
    }
    (!names.is_empty()).then_some(names)
}

/// Is an attribute called by its name, and not by its number (RFC 4512, 2.5)?
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic()) && !text.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, id: &str) -> Numbered {
        Numbered {
            number,
            id: id.to_string(),
            changed: format!("2026113014{number:04}.0Z"),
            dn: format!("CN={id},OU=people,DC=x"),
            kind: Kind::Account,
        }
    }

    fn unit(number: u64, dn: &str) -> Numbered {
        Numbered { dn: dn.to_string(), kind: Kind::Unit, ..entry(number, "unit") }
    }

    fn mark(last: u64, listed: &[Numbered]) -> Mark {
        Mark::new("d".to_string(), last, 1, listed).unwrap()
    }

    fn after(mark: &Mark, last: u64, listed: &[Numbered]) -> Progress {
        mark.progress(last, listed, &Dn::read("ou=people,dc=x").unwrap())
    }

    fn some(ids: &[&str], is_whole: bool) -> Progress {
        Progress::Some { changed: ids.iter().map(ToString::to_string).collect(), is_whole }
    }

    #[test]
    fn a_mark_is_read_back_and_keeps_the_last_numbers_whole() {
        let listed: Vec<Numbered> = (1..=20).map(|number| entry(number, &format!("e{number}"))).collect();
        let long = mark(18, &listed);
        assert_eq!((long.first, long.known.len()), (11, MOST_KEPT));
        let unsettled = mark(9, &listed).following(None, &Progress::Above, Timestamp::from_unix(7));
        for mark in [long, unsettled, mark(9, &listed[3..4])] {
            assert_eq!(Mark::read(&mark.write()), Some(mark.clone()));
            assert!(Mark::is_mark(&mark.write()));
        }
        for nonsense in [
            "",
            "usn1",
            "usn2 d 1 1 0 1=a@b",
            "usn1 d 1",
            "usn1 d x 1 0 1=a@b",
            "usn1 d 1 1 1=a@b",
            "usn1 d 1 1 0",
            "usn1 d 1 1 0 2",
            "usn1 d 1 1 0 2=x",
        ] {
            assert_eq!(Mark::read(nonsense.as_bytes()), None, "{nonsense}");
        }
        assert_eq!(Mark::read(b"\xff"), None);
    }

    #[test]
    fn a_mark_is_of_one_database_that_has_not_gone_back() {
        let mark = mark(9, &[entry(9, "a")]);
        assert!(mark.is_of("d", 9) && mark.is_of("d", 10) && mark.is_of("d", 9 + MOST_NUMBERS));
        assert!(!mark.is_of("e", 9) && !mark.is_of("d", 8) && !mark.is_of("d", 10 + MOST_NUMBERS));
    }

    #[test]
    fn every_number_is_accounted_for_or_somebody_may_have_gone() {
        let known = [entry(7, "a"), entry(9, "b")];
        let mark = mark(9, &known);
        assert_eq!(after(&mark, 9, &known), Progress::None);
        assert_eq!(after(&mark, 10, &[entry(7, "a"), entry(9, "b"), entry(10, "c")]), some(&["c"], true));
        assert_eq!(after(&mark, 10, &[entry(7, "a"), entry(10, "b")]), some(&["b"], true));
        assert_eq!(after(&mark, 11, &[entry(7, "a"), entry(9, "b"), entry(11, "c")]), some(&["c"], false));
        assert_eq!(after(&mark, 10, &known), some(&[], false), "nothing is shown of the change");
        // Another change came while it was read.
        assert_eq!(after(&mark, 10, &[entry(7, "a"), entry(9, "b"), entry(11, "c")]), some(&["c"], false));
        assert_eq!(after(&mark, 9, &[entry(7, "a"), entry(10, "b")]), Progress::None);
    }

    #[test]
    fn a_past_that_is_another_is_no_progress() {
        let mark = mark(9, &[entry(7, "a"), entry(9, "b")]);
        for (listed, why) in [
            (vec![entry(7, "a")], "the last change is undone"),
            (vec![entry(9, "b")], "an earlier one is undone, or its entry gone"),
            (vec![entry(7, "a"), entry(9, "c")], "another entry has its number"),
            (
                vec![entry(7, "a"), Numbered { changed: "later".to_string(), ..entry(9, "b") }],
                "at another time",
            ),
            (vec![entry(7, "a"), entry(8, "c"), entry(9, "b")], "one more has a number"),
            (vec![entry(7, "a"), entry(10, "c")], "undone, and counted on"),
        ] {
            for last in [9, 10] {
                assert_eq!(after(&mark, last, &listed), Progress::Unknown, "{why}");
            }
        }
    }

    #[test]
    fn a_mark_that_remembers_nobody_is_none() {
        let listed = [entry(3, "a"), entry(4, "b"), entry(5, "c"), entry(6, "d")];
        assert!(are_enough(&listed, 6) && !are_enough(&listed, 5) && !are_enough(&[], 6));
        assert!(Mark::new("d".to_string(), 2, 1, &listed).is_none(), "all changed since");
        assert!(Mark::new("d".to_string(), 9, 7, &listed).is_none(), "all changed long before");
        assert!(Mark::new("d".to_string(), 3, 1, &listed).is_some());
    }

    #[test]
    fn what_may_be_above_people_is_no_account_of_anything() {
        let known = entry(9, "a");
        let mark = mark(9, std::slice::from_ref(&known));
        let after = |new: Numbered| after(&mark, 10, &[known.clone(), new]);
        for dn in ["OU=people,DC=x", "OU=a,OU=people,DC=x", "DC=x"] {
            assert_eq!(after(unit(10, dn)), Progress::Above, "{dn}");
        }
        let there = some(&["unit"], false);
        assert_eq!(after(unit(10, "OU=other,DC=x")), there, "it may have been there");
        let leaf = Numbered { kind: Kind::Leaf, ..unit(10, "CN=printer,OU=people,DC=x") };
        assert_eq!(after(leaf), there, "nobody is below it");
    }

    #[test]
    fn for_an_hour_after_a_change_above_people_everybody_is_read() {
        let at = |minute: i64| Timestamp::from_unix(1_795_165_200).plus(Span::minutes(minute));
        let first = mark(9, &[entry(9, "a")]);
        assert!(first.is_settled(at(0)));
        let changed = first.clone().following(Some(&first), &Progress::Above, at(0));
        assert!(!changed.is_settled(at(0)) && !changed.is_settled(at(59)) && changed.is_settled(at(60)));
        for progress in [Progress::None, Progress::Unknown, some(&[], false)] {
            let next = first.clone().following(Some(&changed), &progress, at(30));
            assert_eq!(next, changed, "{progress:?} does not settle it, nor begin anew");
        }
        let again = first.clone().following(Some(&changed), &Progress::Above, at(30));
        assert!(!again.is_settled(at(89)) && again.is_settled(at(90)));
    }

    #[test]
    fn a_kind_is_told_by_classes() {
        let kind = |is_account, classes: &[&str]| {
            let classes: Vec<Vec<u8>> = classes.iter().map(|class| class.as_bytes().to_vec()).collect();
            Kind::of(is_account, &classes)
        };
        assert_eq!(kind(true, &["top", "person", "user"]), Kind::Account);
        assert_eq!(kind(false, &["top", "Leaf", "connectionPoint", "printQueue"]), Kind::Leaf);
        assert_eq!(kind(false, &["top", "person", "organizationalPerson", "contact"]), Kind::Leaf);
        for classes in [&["top", "organizationalUnit"][..], &["top", "container"], &["top", "unheardOf"], &[]]
        {
            assert_eq!(kind(false, classes), Kind::Unit, "{classes:?}");
        }
    }

    #[test]
    fn a_filter_names_its_attributes() {
        let names = |filter| attributes_of(filter).map(|names| names.into_iter().collect::<Vec<_>>());
        let all = "(&(objectClass=user)(!(memberOf:1.2.840.113556.1.4.1941:=CN=g\\28x\\29,DC=x))(|(a>=1)(b~=x)(c;x-y<=2)))";
        assert_eq!(names(all), Some(vec!["a", "b", "c", "memberOf", "objectClass"]));
        assert_eq!(names("(uid=*)"), Some(vec!["uid"]));
        for strange in [
            "",
            "uid=x",
            "(:dn:2.5.13.2:=x)",
            "(x)",
            "(1.2.840.113556.1.2.102=CN=g,DC=x)",
            "(&(a=b)(!(OID.1.2.840.113556.1.2.102:dn:=x)))",
        ] {
            assert_eq!(names(strange), None, "{strange}");
        }
    }
}
