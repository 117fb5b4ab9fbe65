//! What a sync leaves for the next one: from where to go on.

use fleet::{ObjectRef, Part};
use host::config::Ldap;
use ldap::Witnesses;
use policy::{Span, Timestamp};
use sha2::{Digest, Sha256};

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

/// A people.toml, or a fleet's tree, that the copy was made from is read whole again after this long all the same: a copy
/// that came to differ from it would stay different otherwise.
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

    /// The note of a sync that took over the people of whom `root` is the tree.
    pub fn of_fleet(root: &Part, now: Timestamp) -> Self {
        let Part { content, object: ObjectRef { digest, size, raw } } = root;
        Self { cookie: format!("{content} {digest} {size} {raw}").into_bytes(), ..Self::of_file(b"", now) }
    }

    /// The tree of the people who were taken over.
    pub fn fleet_root(&self) -> Option<Part> {
        let mut words = std::str::from_utf8(&self.cookie).ok()?.split(' ');
        let (content, digest) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let object = ObjectRef::new(digest, words.next()?.parse().ok()?, words.next()?.parse().ok()?)?;
        Some(Part { content, object }).filter(|_| words.next().is_none())
    }

    /// May the sync that will leave `new` go on from the copy with this note: made by this release, and not too long ago?
    pub fn goes_on_to(&self, new: &Self) -> bool {
        self.is_good(&new.view, FILE_REREAD, new.full) && self.group == new.group
    }

    /// Was the copy with this note made by this release from the bytes that `new` is the note of, and not too
    /// long ago?
    pub fn is_of_same_file(&self, new: &Self) -> bool {
        self.goes_on_to(new) && self.cookie == new.cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

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
}
