//! What a directory says: everybody, or what changed; and what the messages of a refresh come to.

use std::collections::{BTreeMap, BTreeSet};

use crate::Since;
use crate::entry::Entry;
use crate::witnesses::Witnesses;

/// What a directory says.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Everybody there is.
    Everything(Vec<Entry>),
    /// What changed since a cookie.
    Part {
        /// Entries that are new or different.
        set: Vec<Entry>,
        /// Entries that are gone.
        gone: BTreeSet<String>,
    },
    /// What changed, and who is there: whoever is not, is gone.
    Listed {
        /// Entries that are new or different.
        set: Vec<Entry>,
        /// Everybody, by id, and where their entry is.
        there: BTreeMap<String, String>,
    },
}

impl News {
    /// The entries that are shown.
    pub fn entries(&self) -> &[Entry] {
        match self {
            Self::Everything(entries)
            | Self::Part { set: entries, .. }
            | Self::Listed { set: entries, .. } => entries,
        }
    }

    /// The same, to change.
    pub fn entries_mut(&mut self) -> &mut [Entry] {
        match self {
            Self::Everything(entries)
            | Self::Part { set: entries, .. }
            | Self::Listed { set: entries, .. } => entries,
        }
    }

    /// The same, to have.
    pub fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Everything(entries)
            | Self::Part { set: entries, .. }
            | Self::Listed { set: entries, .. } => entries,
        }
    }
}

/// The messages of one RFC 4533 refresh, collected. Entries go by their entryUUID: that is how removals
/// are reported, and it outlives a rename.
///
/// Nobody is gone because the server did not speak of them. A list of those who are still there (the present phase)
/// says which other people are gone only if it is whole, and a server that lists them does not know itself what
/// changed: 389 Directory Server lists nobody and means everybody, and slapd, restored from a backup and changed since,
/// has people on its list who are not in the copy, or as they were before. So it leads to everybody being fetched.
#[derive(Debug, Default)]
pub struct Refresh {
    /// In the order of their arrival; of several with one id the last counts. A map would cost a
    /// directory of a hundred thousand half as much again.
    set: Vec<Entry>,
    gone: BTreeSet<String>,
    /// Has the server named somebody who is still there?
    listed: bool,
    /// Has it said that it has named all of them?
    present_phase_ended: bool,
    witnesses: Witnesses,
}

impl From<Witnesses> for Refresh {
    fn from(witnesses: Witnesses) -> Self {
        Self { witnesses, ..Self::default() }
    }
}

impl Refresh {
    /// An entry that is new or different, and its entryCSN. The server never says which of both.
    pub fn set(&mut self, entry: Entry, csn: Option<&str>) {
        self.witnesses.see(&entry.id, csn);
        if !self.gone.is_empty() {
            self.gone.remove(&entry.id);
        }
        self.set.push(entry);
    }

    /// Entries that are gone.
    pub fn remove(&mut self, ids: impl IntoIterator<Item = String>) {
        self.gone.extend(ids);
    }

    /// The server has named somebody who is still there.
    pub fn list(&mut self) {
        self.listed = true;
    }

    /// The server has named everybody who is still there; what follows are changes.
    pub fn end_present_phase(&mut self) {
        self.present_phase_ended = true;
    }

    /// The end, with success: what the messages mean, and from where to go on the next time. `sent` is the cookie
    /// that was asked with; `received` and `refresh_deletes` are the server's last words. `None` if everybody has to be
    /// fetched; for an answer without a cookie that is a contradiction.
    pub fn finish(
        self,
        sent: Option<&[u8]>,
        received: Option<Vec<u8>>,
        refresh_deletes: bool,
    ) -> Option<(News, Option<Since>)> {
        let Self { mut set, gone, listed, present_phase_ended, mut witnesses } = self;
        gone.iter().for_each(|id| witnesses.forget(id));
        let since = |cookie: Vec<u8>| Since { cookie: Some(cookie), witnesses };
        set.reverse();
        // Stable, so that the last of one id is the first now.
        set.sort_by(|left, right| left.id.cmp(&right.id));
        set.dedup_by(|later, kept| later.id == kept.id);
        // An entry that came after it went has been taken out of `gone`.
        set.retain(|entry| !gone.contains(&entry.id));
        // slapd's answer to a cookie that it cannot read: everybody, as if changes, and an empty cookie.
        let replaced = received.as_ref().is_some_and(Vec::is_empty);
        if sent.is_none() || replaced {
            // An entry that is only "still there" was not shown to us; nobody can be, the first time.
            let received = received.filter(|_| !replaced);
            return (!listed).then(|| (News::Everything(set), received.map(since)));
        }
        if listed || present_phase_ended || !refresh_deletes {
            return None;
        }
        let news = News::Part { set, gone };
        // No new cookie: nothing happened, the old one stays good.
        Some((news, received.or_else(|| sent.map(<[u8]>::to_vec)).map(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, names: &[&str]) -> Entry {
        Entry {
            id: id.to_string(),
            dn: format!("cn={id},dc=x"),
            names: names.iter().map(ToString::to_string).collect(),
            ..Entry::default()
        }
    }

    /// What the next refresh goes on from, where no entry had an entryCSN.
    #[allow(clippy::unnecessary_wraps)]
    fn from(cookie: &[u8]) -> Option<Since> {
        Some(Since { cookie: Some(cookie.to_vec()), ..Since::default() })
    }

    fn ids<const N: usize>(ids: [&str; N]) -> BTreeSet<String> {
        ids.map(str::to_string).into()
    }

    #[test]
    fn without_a_cookie_the_answer_is_everybody() {
        let mut refresh = Refresh::default();
        refresh.set(entry("1", &["alice"]), None);
        refresh.set(entry("1", &["alicia"]), None);
        let said = refresh.finish(None, Some(b"c1".to_vec()), true);
        let everybody = News::Everything(vec![entry("1", &["alicia"])]);
        assert_eq!(said, Some((everybody, from(b"c1"))));
    }

    #[test]
    fn nothing_changed_keeps_the_cookie() {
        let said = Refresh::default().finish(Some(b"c1"), None, true);
        let nothing = News::Part { set: vec![], gone: ids([]) };
        assert_eq!(said, Some((nothing, from(b"c1"))));
    }

    #[test]
    fn whoever_is_gone_is_told_by_id_and_the_last_word_counts() {
        let mut refresh = Refresh::default();
        refresh.set(entry("1", &["alice"]), None);
        refresh.set(entry("2", &["bob"]), None);
        refresh.remove(ids(["1", "3"]));
        refresh.set(entry("3", &["carol"]), None);
        let (news, next) = refresh.finish(Some(b"c1"), Some(b"c2".to_vec()), true).unwrap();
        let set = vec![entry("2", &["bob"]), entry("3", &["carol"])];
        assert_eq!(news, News::Part { set, gone: ids(["1"]) });
        assert_eq!(next, from(b"c2"));
    }

    #[test]
    fn a_list_of_those_who_are_still_there_takes_nobody_away_and_asks_for_everybody() {
        let said = |named: bool, ended: bool, deletes: bool| {
            let mut refresh = Refresh::default();
            refresh.set(entry("1", &["alice"]), None);
            if named {
                refresh.list();
            }
            if ended {
                refresh.end_present_phase();
            }
            refresh.finish(Some(b"c1"), Some(b"c2".to_vec()), deletes)
        };
        let part = News::Part { set: vec![entry("1", &["alice"])], gone: ids([]) };
        for (named, ended) in [(true, false), (true, true), (false, true)] {
            assert_eq!(said(named, ended, false), None);
            assert_eq!(said(named, ended, true), None, "a delete phase followed");
        }
        assert_eq!(
            said(false, false, false),
            None,
            "389: everybody who is not named is gone, and nobody is named"
        );
        assert_eq!(said(false, false, true), Some((part, from(b"c2"))));
    }

    #[test]
    fn an_empty_new_cookie_means_everybody_and_is_not_kept() {
        let mut refresh = Refresh::default();
        refresh.set(entry("1", &["alice"]), None);
        let said = refresh.finish(Some(b"garbage"), Some(Vec::new()), true);
        assert_eq!(said, Some((News::Everything(vec![entry("1", &["alice"])]), None)));
        // Everybody, but some of them not shown: that is no answer.
        let mut refresh = Refresh::default();
        refresh.list();
        assert_eq!(refresh.finish(Some(b"garbage"), Some(Vec::new()), true), None);
        let mut refresh = Refresh::default();
        refresh.list();
        assert_eq!(refresh.finish(None, Some(b"c1".to_vec()), false), None);
    }
}
