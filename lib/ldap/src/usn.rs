//! Active Directory by changes: what a domain controller's count of changes proves. Pure; `domain` is the wire.
//!
//! Each change that a domain controller takes gets the next update sequence number of its database, which the entry then
//! has as uSNChanged ([MS-ADTS] 3.1.1.1.9); invocationId says which database counts. An entry that is deleted, or moved to
//! where we may not look, is not shown with its number. So the numbers since the last sync are accounted for one by one:
//! where each is that of an account or a group that is shown, nobody went. Where one is missing, everybody is listed by
//! id. A list says who went; only what is no doubt by either is published, and for the rest everybody is read.
//!
//! A database that was put back from a copy goes on counting from there, under the same invocationId, and may have come as
//! far as before. So the last numbers are remembered with their entries, and have to be as they were.

use std::collections::{BTreeMap, BTreeSet};

use super::dn::Dn;

/// How many of the last numbers are remembered, of those that entries have which are shown.
const MOST_KEPT: usize = 8;

/// How far back the first of them may be when everybody was read.
pub(super) const LOOK_BACK: u64 = 64;

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
    /// Is it an account or a group, and so nothing that people could be below?
    pub(super) is_account: bool,
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
    /// That cannot be told.
    Unknown,
}

impl Mark {
    /// The mark of a copy that is made now, of a database that has come to `last`; `listed` is shown from `first` on.
    pub(super) fn new(database: String, last: u64, first: u64, listed: &[Numbered]) -> Self {
        let mut known: BTreeMap<u64, (String, String)> = (listed.iter())
            .filter(|entry| (first..=last).contains(&entry.number))
            .map(|entry| (entry.number, (entry.id.clone(), entry.changed.clone())))
            .collect();
        let mut mark_first = first;
        while known.len() > MOST_KEPT {
            known.pop_first();
            mark_first = known.first_key_value().map_or(first, |(number, _)| *number);
        }
        Self { database, last, first: mark_first, known }
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
        let known = words.map(|word| {
            let (number, entry) = word.split_once('=')?;
            let (id, changed) = entry.split_once('@')?;
            Some((number.parse().ok()?, (id.to_string(), changed.to_string())))
        });
        Some(Self { database, last, first, known: known.collect::<Option<_>>()? })
    }

    /// The cookie.
    pub(super) fn write(&self) -> Vec<u8> {
        let Self { database, last, first, known } = self;
        let known: String =
            known.iter().map(|(number, (id, changed))| format!(" {number}={id}@{changed}")).collect();
        format!("{FORM} {database} {last} {first}{known}").into_bytes()
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
            !entry.is_account && dn.is_none_or(|dn| dn.is_within(base) || base.is_within(&dn))
        };
        if new.iter().any(is_above) {
            return Progress::Unknown;
        }
        if last == self.last {
            return Progress::None;
        }
        let told: BTreeSet<u64> =
            new.iter().filter(|entry| entry.is_account).map(|entry| entry.number).collect();
        let is_whole = (self.last + 1..=last).all(|number| told.contains(&number));
        Progress::Some { changed, is_whole }
    }
}

/// The names of the attributes in a filter (RFC 4515); `None` if one part of it names none.
pub(super) fn attributes_of(filter: &str) -> Option<BTreeSet<&str>> {
    let mut names = BTreeSet::new();
    for part in filter.split('(').skip(1) {
        if part.is_empty() || part.starts_with(['&', '|', '!', ')']) {
            continue;
        }
        let end = part.find(['=', '<', '>', '~', ':'])?;
        let name = part.get(..end)?.split(';').next()?.trim();
        if name.is_empty() {
            return None;
        }
        names.insert(name);
    }
    (!names.is_empty()).then_some(names)
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
            is_account: true,
        }
    }

    fn unit(number: u64, dn: &str) -> Numbered {
        Numbered { dn: dn.to_string(), is_account: false, ..entry(number, "unit") }
    }

    fn mark(last: u64, listed: &[Numbered]) -> Mark {
        Mark::new("d".to_string(), last, 1, listed)
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
        for mark in [long, mark(9, &[]), mark(9, &listed[3..4])] {
            assert_eq!(Mark::read(&mark.write()), Some(mark.clone()));
            assert!(Mark::is_mark(&mark.write()));
        }
        for nonsense in ["", "usn1", "usn2 d 1 1", "usn1 d 1", "usn1 d x 1", "usn1 d 1 1 2", "usn1 d 1 1 2=x"]
        {
            assert_eq!(Mark::read(nonsense.as_bytes()), None, "{nonsense}");
        }
        assert_eq!(Mark::read(b"\xff"), None);
    }

    #[test]
    fn a_mark_is_of_one_database_that_has_not_gone_back() {
        let mark = mark(9, &[]);
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
    fn what_may_be_above_people_is_no_account_of_anything() {
        let mark = mark(9, &[]);
        for dn in ["OU=people,DC=x", "OU=a,OU=people,DC=x", "DC=x"] {
            assert_eq!(after(&mark, 10, &[unit(10, dn)]), Progress::Unknown, "{dn}");
        }
        assert_eq!(
            after(&mark, 10, &[unit(10, "OU=other,DC=x")]),
            some(&["unit"], false),
            "it may have been there"
        );
    }

    #[test]
    fn a_filter_names_its_attributes() {
        let names = |filter| attributes_of(filter).map(|names| names.into_iter().collect::<Vec<_>>());
        let all = "(&(objectClass=user)(!(memberOf:1.2.840.113556.1.4.1941:=CN=g\\28x\\29,DC=x))(|(a>=1)(b~=x)(c;x-y<=2)))";
        assert_eq!(names(all), Some(vec!["a", "b", "c", "memberOf", "objectClass"]));
        assert_eq!(names("(uid=*)"), Some(vec!["uid"]));
        for strange in ["", "uid=x", "(:dn:2.5.13.2:=x)", "(x)"] {
            assert_eq!(names(strange), None, "{strange}");
        }
    }
}
