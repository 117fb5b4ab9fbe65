//! From what the directory says to what is published: which entries are new, gone or the same.
//!
//! Pure: the wire is in `directory`, SQL in `store`. A server with RFC 4533 tells only what changed
//! since a cookie; any other lists everybody each time. A part is applied only where that comes to
//! the same as judging everybody anew: as long as no entry outside it claims a name that an entry in
//! it claims, or claimed before. Otherwise everybody is fetched ([`Plan::FetchEverything`]).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use host::config::Ldap;
use policy::{Span, Timestamp};
use sha2::{Digest, Sha256};
use store::StoreError;
use store::keys::{Base, Change, Effect, Flag, Lookup};

use crate::directory::{Answer, Eligible, Since};
use crate::entry::{self, Entry};
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
}

impl News {
    /// The entries that are told.
    pub fn entries(&self) -> &[Entry] {
        let (Self::Everything(entries) | Self::Part { set: entries, .. }) = self;
        entries
    }

    /// The same, to have.
    pub fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Everything(entries) | Self::Part { set: entries, .. } => entries,
        }
    }

    /// Forgets the beginnings of accounts that have begun: a reader that knows no beginnings would not let these in.
    pub fn forget_beginnings(&mut self, now: Timestamp) {
        let (Self::Everything(entries) | Self::Part { set: entries, .. }) = self;
        for entry in entries {
            entry.begins.take_if(|begin| *begin <= now);
        }
    }
}

/// The messages of one RFC 4533 refresh, collected. Entries go by their entryUUID: that is how removals
/// are told, and it outlives a rename.
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
    /// that was asked with; `told` and `refresh_deletes` are the server's last words. `None` if everybody has to be
    /// fetched; for an answer without a cookie that is a contradiction.
    pub fn finish(
        self,
        sent: Option<&[u8]>,
        told: Option<Vec<u8>>,
        refresh_deletes: bool,
    ) -> Option<(News, Option<Since>)> {
        let Self { mut set, gone, listed, present_phase_ended, mut witnesses } = self;
        gone.iter().for_each(|id| witnesses.forget(id));
        let since = |cookie: Vec<u8>| Since { cookie: Some(cookie), witnesses };
        set.reverse();
        // Stable, so that the last of one id is the first now.
        set.sort_by(|left, right| left.id.cmp(&right.id));
        set.dedup_by(|later, kept| later.id == kept.id);
        // Whoever came after they went has been taken out of `gone`.
        set.retain(|entry| !gone.contains(&entry.id));
        // slapd's answer to a cookie that it cannot read: everybody, as if changes, and an empty cookie.
        let replaced = told.as_ref().is_some_and(Vec::is_empty);
        if sent.is_none() || replaced {
            // Whoever is only "still there" was not shown to us; nobody can be, the first time.
            let told = told.filter(|_| !replaced);
            return (!listed).then(|| (News::Everything(set), told.map(since)));
        }
        if listed || present_phase_ended || !refresh_deletes {
            return None;
        }
        let news = News::Part { set, gone };
        // No new cookie: nothing happened, the old one stays good.
        Some((news, told.or_else(|| sent.map(<[u8]>::to_vec)).map(since)))
    }
}

/// What a sync leaves for the next one, kept in keys.stamp: it counts only for the content it was left with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// When everybody was fetched for the last time.
    pub full: Timestamp,
    /// What else the cookie depends on: see [`view`].
    pub view: String,
    /// A digest of the eligible group.
    pub group: String,
    /// By what the server's past is known.
    pub witnesses: Witnesses,
    /// The server's cookie.
    pub cookie: Vec<u8>,
}

impl Note {
    /// Reads what [`Note::write`] wrote; `None` if it is something else.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.splitn(5, |&byte| byte == b' ');
        let mut text = || std::str::from_utf8(words.next()?).ok().map(str::to_string);
        let (full, view, group, witnesses) = (text()?, text()?, text()?, text()?);
        let witnesses = Witnesses::read(&witnesses)?;
        let cookie = words.next()?.to_vec();
        Some(Self { full: Timestamp::from_unix(full.parse().ok()?), view, group, witnesses, cookie })
    }

    /// The note as bytes.
    pub fn write(&self) -> Vec<u8> {
        let Self { full, view, group, witnesses, cookie } = self;
        let witnesses = witnesses.write();
        [format!("{} {view} {group} {witnesses} ", full.unix()).as_bytes(), cookie].concat()
    }

    /// May this sync go on from it? Not under another name or with another release, which may see other
    /// entries or other keys; and once in a while everybody is fetched, because there are changes that
    /// servers do not tell: their access rules, subtrees moved away, attributes that are computed.
    pub fn is_good(&self, view: &str, full_refresh: Span, now: Timestamp) -> bool {
        self.view == view && self.full <= now && now.since(self.full) < full_refresh
    }
}

/// What a cookie depends on besides what the whole copy is tied to.
pub fn view(ldap: &Ldap) -> String {
    let who = match (&ldap.bind_dn, &ldap.client) {
        (Some(dn), _) => dn.clone(),
        (None, Some(files)) => files.certificate.display().to_string(),
        (None, None) => String::new(),
    };
    digest_of_view(&format!("{:?} {who}", ldap.bind))
}

/// Goes up when an entry comes to be judged otherwise than before (marks, names, addresses): what was copied by then is
/// read again at the next sync.
const JUDGEMENT: u32 = 3;

fn digest_of_view(bind: &str) -> String {
    let digest = Sha256::digest(format!("{} {JUDGEMENT} {bind}", env!("CARGO_PKG_VERSION")));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// A people.toml that the copy was made from is parsed again after this long all the same: a copy that came
/// to differ from it would stay different otherwise.
const FILE_REREAD: Span = Span::hours(24);

impl Note {
    /// The note of a sync that read `text` whole, as people.toml. Its cookie is a digest of every byte: size and
    /// time of a file can be the same after a change.
    pub fn of_file(text: &[u8], now: Timestamp) -> Self {
        let cookie = Sha256::digest(text).to_vec();
        Self {
            full: now,
            view: digest_of_view(""),
            group: "-".to_string(),
            witnesses: Witnesses::default(),
            cookie,
        }
    }

    /// Was the copy with this note made by this release from the bytes that `new` is the note of, and not too
    /// long ago?
    pub fn is_of_same_file(&self, new: &Self) -> bool {
        self.is_good(&new.view, FILE_REREAD, new.full) && self.group == new.group && self.cookie == new.cookie
    }
}

/// What to do with an answer.
#[derive(Debug)]
pub enum Plan {
    /// Publish this.
    Publish(Draft),
    /// The part cannot be judged by itself: fetch everybody.
    FetchEverything,
}

/// What there is to publish.
#[derive(Debug)]
pub struct Draft {
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
        (Some(base), News::Part { set, gone }) => {
            let regrouped = group != Some(eligible.digest().as_str());
            part(base, set, gone, regrouped.then_some(&eligible))
        }
        (None, News::Part { .. }) => Ok(Plan::FetchEverything),
    }
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
    Ok(Plan::Publish(Draft { change, dropped: believed.dropped, shows_nobody }))
}

fn part(
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
    Ok(Plan::Publish(Draft { change, dropped: believed.dropped, shows_nobody }))
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

/// Fewer people lost than this are never too many.
const FEW_LOST: usize = 10;

/// Why a change is not published although it was fetched whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Nobody would be left.
    Empty,
    /// Too many would lose their keys, now or soon: how many, of how many, and the percentage allowed.
    Shrink(usize, usize, u8),
    /// Too many could not become root any more: how many, of how many, and the percentage allowed.
    Deprived(usize, usize, u8),
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(
                "the directory shows nobody (source-empty), nothing published; check `base`, `filter` and what the bind DN may read",
            ),
            Self::Shrink(lost, before, share) => write!(
                f,
                "{lost} of {before} people would be gone or without keys within a week, more than max_shrink ({share}%) allows (guard-tripped), \
                 nothing published; check `base`, `filter` and what the bind DN may read, or accept it once: authkeys-sync --accept"
            ),
            Self::Deprived(lost, before, share) => write!(
                f,
                "{lost} of {before} people would not be eligible any more, all of them or more than max_shrink ({share}%) allows \
                 (guard-tripped), nothing published; check `eligible_group` and what the bind DN may read of it, or accept it \
                 once: authkeys-sync --accept"
            ),
        }
    }
}

impl std::error::Error for Guarded {}

/// Refuses a change that takes away too many, or the last who may become root: a mistake in the directory must
/// not lock everybody out. Where the administrator accepts it, only a directory that `shows_nobody` is refused
/// still; a copy of nobody is none, as long as nobody is eligible.
pub fn guard(effect: Effect, shows_nobody: bool, max_shrink: u8, accept: bool) -> Result<(), Guarded> {
    let Effect { lost, before, gained, deprived, eligible_before, .. } = effect;
    let many = |lost: usize, before: usize| {
        let allowed = before.saturating_mul(usize::from(max_shrink));
        lost >= FEW_LOST && lost.saturating_mul(100) > allowed
    };
    let all_deprived = deprived > 0 && eligible_before + gained == deprived;
    if shows_nobody {
        Err(Guarded::Empty)
    } else if accept {
        Ok(())
    } else if all_deprived || many(deprived, eligible_before) {
        Err(Guarded::Deprived(deprived, eligible_before, max_shrink))
    } else if many(lost, before) {
        Err(Guarded::Shrink(lost, before, max_shrink))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use store::keys::{self, KeyCopy};

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
        assert_eq!(said(false, false, false), None, "389: whoever is not named is gone, and nobody is named");
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

    #[test]
    fn a_note_is_read_back_and_has_its_limits() {
        let note = Note {
            full: NOW,
            view: "v".into(),
            group: "g".into(),
            witnesses: Witnesses::default(),
            cookie: b"a b\xff ".to_vec(),
        };
        assert_eq!(Note::read(&note.write()), Some(note.clone()));
        for nonsense in [&b""[..], b"1 v g", b"1 v g none", b"1 v g c d", b"x v g none c", b"\xff v g none c"]
        {
            assert_eq!(Note::read(nonsense), None);
        }
        let day = Span::hours(24);
        let good = |view, at| note.is_good(view, day, at);
        assert!(good("v", NOW) && good("v", NOW.plus(Span::seconds(86_399))));
        assert!(!good("w", NOW) && !good("v", NOW.plus(day)) && !good("v", NOW.minus(Span::seconds(1))));
    }

    #[test]
    fn a_file_is_the_same_by_every_byte_and_for_a_day() {
        let note = Note::of_file(b"people", NOW);
        assert_eq!(Note::read(&note.write()), Some(note.clone()));
        let same = |text: &[u8], seconds| {
            note.is_of_same_file(&Note::of_file(text, NOW.plus(Span::seconds(seconds))))
        };
        assert!(same(b"people", 0) && same(b"people", 86_399));
        assert!(!same(b"peoplf", 0) && !same(b"people", 86_400) && !same(b"people", -1));
        let other_release = Note { view: "x".to_string(), ..note.clone() };
        assert!(!other_release.is_of_same_file(&note));
    }

    #[test]
    fn a_shrink_is_refused_above_its_share_and_an_empty_directory_always() {
        let effect = |lost, before, people| Effect { lost, before, people, ..Effect::default() };
        let guard = |effect: Effect, share, accept| guard(effect, effect.people == 0, share, accept);
        assert_eq!(guard(effect(20, 100, 80), 20, false), Ok(()));
        assert_eq!(guard(effect(21, 100, 79), 20, false), Err(Guarded::Shrink(21, 100, 20)));
        assert_eq!(guard(effect(21, 100, 79), 20, true), Ok(()));
        assert_eq!(guard(effect(9, 10, 1), 0, false), Ok(()));
        assert_eq!(guard(effect(10, 1000, 990), 0, false), Err(Guarded::Shrink(10, 1000, 0)));
        assert_eq!(guard(effect(0, 0, 0), 100, true), Err(Guarded::Empty));
        assert_eq!(guard(effect(0, 0, 5), 20, false), Ok(()));
    }

    #[test]
    fn the_last_who_may_become_root_and_too_many_of_them_stay_unless_that_is_accepted() {
        let of = |deprived, eligible_before, gained| {
            let effect = Effect { deprived, eligible_before, gained, people: 100, ..Effect::default() };
            [false, true].map(|accept| guard(effect, false, 20, accept))
        };
        let refused = |lost, before| [Err(Guarded::Deprived(lost, before, 20)), Ok(())];
        assert_eq!(of(1, 1, 0), refused(1, 1));
        assert_eq!(of(3, 3, 0), refused(3, 3));
        assert_eq!(of(3, 3, 1), [Ok(()), Ok(())]);
        assert_eq!(of(9, 20, 0), [Ok(()), Ok(())], "fewer than ten are never many");
        assert_eq!(of(10, 20, 0), refused(10, 20));
        assert_eq!(of(10, 50, 0), [Ok(()), Ok(())]);
        assert_eq!(of(0, 0, 0), [Ok(()), Ok(())]);
        // A copy of eligible people alone may be empty; a directory may not.
        let nobody = Effect::default();
        assert_eq!(guard(nobody, false, 20, false), Ok(()));
        assert_eq!(guard(nobody, true, 20, true), Err(Guarded::Empty));
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
            let Ok(Plan::Publish(Draft { change, .. })) = whole(base.as_ref(), everybody, Keep::Everybody)
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
                Plan::Publish(Draft { change, .. }) => {
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
            let copy = KeyCopy::open(&self.path(), "test", Span::hours(24), NOW).unwrap();
            let people = copy.people().unwrap().into_iter();
            people.map(|person| (person.principal.to_string(), person.id)).collect()
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
}
