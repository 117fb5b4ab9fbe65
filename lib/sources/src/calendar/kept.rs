//! The calendar that an address had when it was last read, kept beside the roster: so that a server need not send again what
//! has not changed, and that an older copy, which some cache or mirror still has, does not take the place of a newer one.
//!
//! It counts only for the address that it came from. It can be lost at any time: then all of the calendar is asked for.

use std::fs;
use std::path::Path;

use http::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, Reply};
use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trust::Owner;

use super::LARGEST;
use crate::fetch::SKEW;

/// The longest entity tag that is sent back, in bytes.
const LONGEST_TAG: usize = 256;

/// For so long after a newer one was seen, a calendar that says it was changed before that is the copy of a mirror that lags;
/// later it is one that was restored.
const LAG: Span = Span::hours(1);

/// What is kept of one calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The calendar.
    pub text: Vec<u8>,
    about: About,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    /// The digest of its address, which is a secret.
    address: String,
    /// The digest of its text.
    text: String,
    etag: Option<String>,
    last_modified: Option<String>,
    /// When the server had it so, in seconds since the epoch.
    at: i64,
}

impl Kept {
    /// What is kept at `path`, if it is of `address`, and nobody else could have read or written it.
    pub fn read(path: &Path, address: &str) -> Option<Self> {
        let about = trust::read_secret(path, Owner::Service, 4096).ok()?;
        let about: About = serde_json::from_slice(&about).ok()?;
        let text = trust::read_secret(&path.with_extension("ics"), Owner::Service, LARGEST).ok()?;
        (about.address == digest(address.as_bytes()) && about.text == digest(&text))
            .then_some(Self { text, about })
    }

    /// What `reply`, which was complete at `at`, has of the calendar at `address`.
    pub fn of(reply: &Reply, address: &str, at: Timestamp) -> Self {
        let tag = |tag: &String| {
            tag.len() <= LONGEST_TAG && tag.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        };
        let about = About {
            address: digest(address.as_bytes()),
            text: digest(&reply.body),
            etag: reply.etag.clone().filter(tag),
            last_modified: reply.last_modified.clone().filter(|_| reply.modified().is_some()).filter(tag),
            at: at.unix(),
        };
        Self { text: reply.body.clone(), about }
    }

    /// Writes it to `path`, of which `before` is kept there. That this fails is no reason to stop.
    pub fn keep(&self, path: &Path, before: Option<&Self>) {
        let Ok(about) = serde_json::to_vec(&self.about) else { return };
        let write = |path: &Path, bytes: &[u8]| publish::replace(path, 0o600, |file| fs::write(file, bytes));
        let is_there = before.is_some_and(|before| before.about.text == self.about.text);
        if is_there || write(&path.with_extension("ics"), &self.text).is_ok() {
            let _ = write(path, &about);
        }
    }

    /// What asks for the calendar only if it is another one.
    pub fn conditions(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let conditions = [(IF_NONE_MATCH, &self.about.etag), (IF_MODIFIED_SINCE, &self.about.last_modified)];
        conditions.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// When the server had it so.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_unix(self.about.at)
    }

    /// The same, as the server still had it at `at`.
    pub fn seen(&self, at: Timestamp) -> Self {
        let at = self.at().max(at).unix();
        Self { about: About { at, ..self.about.clone() }, ..self.clone() }
    }

    /// Does `reply`, which was true at `at`, have a calendar that was written before this one?
    pub fn is_later_than(&self, reply: &Reply, at: Timestamp, now: Timestamp) -> bool {
        if self.at() > now.plus(SKEW) {
            // By a clock that was wrong.
            return false;
        }
        let modified =
            |text: &Option<String>| Reply { last_modified: text.clone(), ..Reply::default() }.modified();
        let changed = modified(&self.about.last_modified).zip(reply.modified());
        at < self.at() || changed.is_some_and(|(own, other)| other < own) && now.since(self.at()) < LAG
    }
}

/// When the server had what `reply` has, as far as that is told: a cache on the way says how long it has had it, and one that
/// does not say so keeps the server's Date.
pub fn true_at(reply: &Reply, now: Timestamp) -> Timestamp {
    let age = reply.age.as_deref().and_then(|age| age.trim().parse::<u32>().ok()).unwrap_or(0);
    let by_age = now.minus(Span::seconds(age.into()));
    let by_date = reply.clock().filter(|date| now.since(*date) > SKEW);
    by_date.map_or(by_age, |date| by_age.min(date))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "Fri, 20 Nov 2026 12:00:00 GMT";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_176_000 + seconds)
    }

    fn reply(text: &str, last_modified: Option<&str>) -> Reply {
        let last_modified = last_modified.map(str::to_string);
        Reply {
            status: 200,
            body: text.as_bytes().to_vec(),
            etag: Some("\"a\"".to_string()),
            last_modified,
            ..Reply::default()
        }
    }

    #[test]
    fn how_old_a_copy_is_is_told_by_its_age_and_its_date() {
        let told = |age: Option<&str>, date: Option<&str>| {
            let (age, date) = (age.map(str::to_string), date.map(str::to_string));
            true_at(&Reply { age, date, ..Reply::default() }, at(600)).since(at(0)).as_seconds()
        };
        assert_eq!((told(None, None), told(Some("90"), None), told(Some("soon"), None)), (600, 510, 600));
        assert_eq!(
            (told(None, Some(NOON)), told(Some("90"), Some(NOON)), told(Some("900"), Some(NOON))),
            (0, 0, -300)
        );
        // Two minutes are borne, and what has not come tells nothing.
        assert_eq!(told(None, Some("Fri, 20 Nov 2026 12:08:00 GMT")), 600);
        assert_eq!(told(None, Some("Fri, 20 Nov 2026 23:00:00 GMT")), 600);
    }

    #[test]
    fn an_older_copy_does_not_count_and_a_restored_one_does_after_an_hour() {
        let one = "Fri, 20 Nov 2026 11:00:00 GMT";
        let kept = Kept::of(&reply("new", Some(NOON)), "https://h/x", at(0));
        let is_older =
            |modified, was: i64, now: i64| kept.is_later_than(&reply("old", modified), at(was), at(now));
        assert!(is_older(None, -1, 60), "it was true before");
        assert!(!is_older(None, 60, 60) && !is_older(Some(NOON), 60, 60));
        assert!(is_older(Some(one), 60, 60) && is_older(Some(one), 3_599, 3_599));
        assert!(!is_older(Some(one), 3_600, 3_600), "it was restored");
        assert!(kept.seen(at(3_000)).is_later_than(&reply("old", Some(one)), at(3_600), at(3_600)));
        assert!(!is_older(Some(one), -1_000, -1_000), "what is kept is from a time that has not come");
    }

    #[test]
    fn what_is_kept_is_of_its_address_and_whole() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("calendar-c.json");
        let kept = Kept::of(&reply("text", Some(NOON)), "https://h/geheim", at(0));
        kept.keep(&path, None);
        assert!(!fs::read_to_string(&path).unwrap().contains("geheim"));
        assert_eq!(Kept::read(&path, "https://h/geheim"), Some(kept.clone()));
        assert_eq!(Kept::read(&path, "https://h/other"), None);
        let conditions: Vec<_> = kept.conditions().map(|(_, value)| value.to_string()).collect();
        assert_eq!(conditions, ["\"a\"", NOON]);
        let later = kept.seen(at(9));
        later.keep(&path, Some(&kept));
        assert_eq!(Kept::read(&path, "https://h/geheim").map(|kept| kept.at()), Some(at(9)));
        fs::write(path.with_extension("ics"), "other").unwrap();
        assert_eq!(Kept::read(&path, "https://h/geheim"), None);
    }
}
