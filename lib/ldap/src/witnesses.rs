//! Entries that show whether a server's past is still the one that a cookie was given in.
//!
//! A cookie of RFC 4533 is an instant. slapd (measured: 2.5.13) takes one that is not later than its own last change, and
//! tells what came after it. Restored from a backup and changed since, it takes the cookie of a future that is undone, and
//! never tells what the restore undid: somebody who was added in it, or a key, would stay in the copy until everybody is
//! fetched for another reason.
//!
//! A restore undoes the last changes, whichever these were. So the last ones that a copy knows are remembered: by entryCSN
//! which entries were written last, and which went. Where a refresh reported other changes, the server is asked about
//! these. One that it did not tell of has to be as it was, or there not to be; otherwise everybody is fetched.

use std::collections::{BTreeMap, BTreeSet};

/// How many of each kind. A restore that undid more changes to people than this is seen unless each of these was changed
/// anew since; of fewer, each is seen by itself.
const MOST: usize = 16;

/// The longest entryCSN that is kept; slapd's have 40 bytes.
const LONGEST_CSN: usize = 64;

/// What is remembered of a server's past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnesses {
    /// The entries that were written last, by entryCSN and entryUUID. CSNs begin with the instant, in digits of one
    /// length: in the order of their texts they are in the order of time.
    written: BTreeSet<(String, String)>,
    /// Some that went last, by entryUUID; the last at the end.
    gone: Vec<String>,
}

impl Witnesses {
    /// What a refresh from the beginning goes on from: every entry that is there is reported then.
    pub fn without_entries(self) -> Self {
        Self { written: BTreeSet::new(), ..self }
    }

    /// An entry was reported: new, or different.
    pub fn see(&mut self, id: &str, csn: Option<&str>) {
        self.forget(id);
        let Some(csn) = csn.filter(|csn| is_csn(csn) && is_uuid(id)) else { return };
        self.written.insert((csn.to_string(), id.to_string()));
        if self.written.len() > MOST {
            self.written.pop_first();
        }
    }

    /// Nothing of this entry counts any more.
    pub fn forget(&mut self, id: &str) {
        self.written.retain(|(_, known)| known != id);
        self.gone.retain(|known| known != id);
    }

    /// Entries that were in the copy are gone.
    pub fn lose<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        for id in ids {
            self.forget(id);
            if is_uuid(id) {
                self.gone.push(id.clone());
            }
        }
        self.gone.drain(..self.gone.len().saturating_sub(MOST));
    }

    /// The filter that finds, among those whom `filter` finds, the ones of which the refresh has not `reported`; `None` if
    /// there are none.
    pub fn filter(&self, filter: &str, is_reported: impl Fn(&str) -> bool) -> Option<String> {
        let ids = self.written.iter().map(|(_, id)| id).chain(&self.gone).filter(|id| !is_reported(id));
        let ids: String = ids.map(|id| format!("(entryUUID={id})")).collect();
        (!ids.is_empty()).then(|| format!("(&{filter}(|{ids}))"))
    }

    /// Is the server's past another one? `found` are those whom [`Witnesses::filter`] found, with their entryCSN. A later
    /// one is a change since the refresh, which the next one tells.
    pub fn contradict(
        &self,
        found: &BTreeMap<String, Option<String>>,
        is_reported: impl Fn(&str) -> bool,
    ) -> bool {
        let is_as_it_was =
            |(csn, id): &(String, String)| found.get(id).is_some_and(|now| now.as_ref() >= Some(csn));
        let another = self.written.iter().any(|witness| !is_reported(&witness.1) && !is_as_it_was(witness));
        another || self.gone.iter().any(|id| !is_reported(id) && found.contains_key(id))
    }

    /// As a word without blanks.
    pub fn write(&self) -> String {
        let written = self.written.iter().map(|(csn, id)| format!("{id}={csn}"));
        let words: Vec<String> = written.chain(self.gone.iter().map(|id| format!("{id}-"))).collect();
        if words.is_empty() { "none".to_string() } else { words.join(",") }
    }

    /// Reads what [`Witnesses::write`] wrote.
    pub fn read(text: &str) -> Option<Self> {
        let mut witnesses = Self::default();
        for word in text.split(',').filter(|_| text != "none") {
            match word.split_once('=') {
                Some((id, csn)) if is_uuid(id) && is_csn(csn) => {
                    witnesses.written.insert((csn.to_string(), id.to_string()));
                }
                Some(_) => return None,
                None => witnesses.gone.push(word.strip_suffix('-').filter(|id| is_uuid(id))?.to_string()),
            }
        }
        Some(witnesses)
    }
}

/// As RFC 4530 writes it. What is not could mean something else in a filter.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `20261128195454.105337Z#000000#000#000000`: instant, count, server, modification.
fn is_csn(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'#');
    !text.is_empty() && text.len() <= LONGEST_CSN && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> String {
        format!("00112233-4455-6677-8899-{number:012x}")
    }

    fn csn(second: usize) -> String {
        format!("20261128195{second:03}.000000Z#000000#000#000000")
    }

    fn with(entries: &[(usize, usize)], gone: &[usize]) -> Witnesses {
        let mut witnesses = Witnesses::default();
        for (number, second) in entries {
            witnesses.see(&id(*number), Some(&csn(*second)));
        }
        witnesses.lose(&gone.iter().map(|number| id(*number)).collect::<Vec<_>>());
        witnesses
    }

    fn found(entries: &[(usize, usize)]) -> BTreeMap<String, Option<String>> {
        entries.iter().map(|(number, second)| (id(*number), Some(csn(*second)))).collect()
    }

    #[test]
    fn whoever_was_not_told_has_to_be_as_they_were_or_not_there() {
        let witnesses = with(&[(1, 10), (2, 20)], &[3]);
        let contradict = |entries: &[(usize, usize)], reported: &[usize]| {
            witnesses.contradict(&found(entries), |known| reported.iter().any(|number| id(*number) == known))
        };
        assert!(!contradict(&[(1, 10), (2, 20)], &[]));
        assert!(!contradict(&[(1, 10), (2, 21)], &[]), "changed after the refresh");
        assert!(!contradict(&[(1, 10)], &[2]), "reported: gone");
        assert!(!contradict(&[(1, 10), (2, 5)], &[2]), "reported: different");
        assert!(!contradict(&[(1, 10), (2, 20), (3, 7)], &[3]), "reported: back");
        assert!(contradict(&[(1, 9), (2, 20)], &[]), "as it was before a change that is undone");
        assert!(contradict(&[(2, 20)], &[]), "it was added, and that is undone");
        assert!(contradict(&[(1, 9), (2, 21)], &[2]), "one of them was changed anew");
        assert!(contradict(&[(1, 10), (2, 20), (3, 7)], &[]), "it went, and that is undone");
        let hidden = BTreeMap::from([(id(1), None), (id(2), None)]);
        assert!(witnesses.contradict(&hidden, |_| false), "entryCSN cannot be read any more");
        assert!(!Witnesses::default().contradict(&found(&[]), |_| false));
    }

    #[test]
    fn the_last_ones_are_kept_of_each_kind_and_read_back() {
        let entries: Vec<(usize, usize)> = (0..40).rev().map(|number| (number, number)).collect();
        let mut witnesses = with(&entries, &(40..80).collect::<Vec<_>>());
        assert_eq!((witnesses.written.len(), witnesses.gone.len()), (MOST, MOST));
        assert!(witnesses.written.contains(&(csn(24), id(24))) && witnesses.gone.contains(&id(64)));
        assert_eq!(Witnesses::read(&witnesses.write()), Some(witnesses.clone()));
        assert!(witnesses.write().len() < 2000, "a note has to hold it");
        witnesses.see(&id(79), Some(&csn(90)));
        witnesses.see(&id(39), None);
        assert_eq!((witnesses.written.len(), witnesses.gone.len()), (MOST - 1, MOST - 1));
        assert!(witnesses.clone().without_entries().written.is_empty());
        assert_eq!(Witnesses::read("none"), Some(Witnesses::default()));
        assert_eq!(Witnesses::default().filter("(a=*)", |_| false), None);
        for nonsense in ["", "-", "none,none", "*-", "*=1", &format!("{}=)", id(1)), &id(1)] {
            assert_eq!(Witnesses::read(nonsense), None, "{nonsense}");
        }
        let strange = {
            let mut strange = Witnesses::default();
            strange.see("uid=x,dc=y", Some(&csn(1)));
            strange
        };
        assert_eq!(strange, Witnesses::default(), "what could mean something in a filter is not kept");
    }

    #[test]
    fn they_are_asked_for_among_the_people() {
        let witnesses = with(&[(1, 10)], &[2]);
        let filter = witnesses.filter("(uid=*)", |_| false).unwrap();
        assert_eq!(filter, format!("(&(uid=*)(|(entryUUID={})(entryUUID={})))", id(1), id(2)));
        let filter = witnesses.filter("(uid=*)", |reported| reported == id(1)).unwrap();
        assert_eq!(filter, format!("(&(uid=*)(|(entryUUID={})))", id(2)));
        assert_eq!(witnesses.filter("(uid=*)", |_| true), None);
    }
}
