//! The calendar that an address had when it was last read, kept beside the roster: so that a server need not send again what
//! has not changed, and that an older copy, which some cache or mirror still has, does not take the place of a newer one.
//!
//! Nothing that a server says of the time can keep a calendar for long. It is asked for by its tag alone: a date says nothing
//! of what was deleted, or restored from a backup. What a server calls unchanged is asked for whole after [`WHOLE`] anyway,
//! because some make tags of the second and the length. An older copy waits for [`LAG`], by this host's clock; then what
//! comes is what there is, as old as it says it is.
//!
//! It counts only for the address that it came from. It can be lost at any time: then all of the calendar is asked for.

use std::fs;
use std::path::Path;

use http::{HeaderName, IF_NONE_MATCH, Reply};
use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use trust::Owner;

use super::LARGEST;
use crate::fetch::SKEW;

/// The longest entity tag that is sent back, in bytes.
const LONGEST_TAG: usize = 256;

/// For so long after all of it was read, a server is asked only whether it has changed.
const WHOLE: Span = Span::minutes(10);

/// For so long after a newer one was seen, an older one is the copy of a cache or a mirror that lags; later it is what there is.
pub const LAG: Span = Span::minutes(15);

/// nginx, Apache and others make a tag of the second of the change, and of the length: within so many seconds it may have
/// changed once more under the same tag (RFC 9110, section 8.8.1).
const SETTLED: Span = Span::seconds(2);

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
    /// What asks whether it has changed.
    etag: Option<String>,
    /// When the server had it so, in seconds since the epoch.
    at: i64,
    /// When this host last read all of it, by its own clock, in seconds since the epoch.
    #[serde(default)]
    whole: i64,
    /// When this host last saw that it is the newest, by its own clock, in seconds since the epoch.
    #[serde(default)]
    seen: i64,
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

    /// What `reply`, which came `now` and was true at `at`, has of the calendar at `address`.
    pub fn of(reply: &Reply, address: &str, at: Timestamp, now: Timestamp) -> Self {
        let about = About {
            address: digest(address.as_bytes()),
            text: digest(&reply.body),
            etag: reply.etag.clone().filter(|tag| is_tag(tag) && is_settled(reply, now)),
            at: at.unix(),
            whole: now.unix(),
            seen: now.unix(),
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

    /// What asks for the calendar only if it is another one; none where all of it should be read.
    pub fn condition(&self, now: Timestamp) -> Option<(HeaderName, &str)> {
        let tag = self.about.etag.as_deref()?;
        is_within(WHOLE, self.about.whole, now).then_some((IF_NONE_MATCH, tag))
    }

    /// Is `reply`, to that question, about this one? A server that names another tag has another calendar.
    pub fn is_meant_by(&self, reply: &Reply) -> bool {
        let strong = |tag: &String| tag.strip_prefix("W/").unwrap_or(tag).to_string();
        reply.etag.as_ref().map(strong).is_none_or(|tag| self.about.etag.as_ref().map(strong) == Some(tag))
    }

    /// When the server had it so.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_unix(self.about.at)
    }

    /// The same, as the server said `now` that it still had it at `at`.
    pub fn confirmed(&self, at: Timestamp, now: Timestamp) -> Self {
        // A cache that has had the same for long does not know that there is no newer one.
        let seen = if at < self.at() { self.about.seen } else { now.unix() };
        let at = self.at().max(at).unix();
        Self { about: About { at, seen, ..self.about.clone() }, ..self.clone() }
    }

    /// Does this one still stand `now`, when a reply comes that was true at `at`? One that is older by what caches or the
    /// server's clock say of it may be a copy that lags, and waits; but a clock that goes wrong keeps nothing for long.
    pub fn stands_before(&self, at: Timestamp, now: Timestamp) -> bool {
        // What is from a time that has not come, is by a clock of ours that was wrong.
        self.at() <= now.plus(SKEW) && at < self.at() && is_within(LAG, self.about.seen, now)
    }
}

/// Is it `now` less than `span` after `since`, in seconds since the epoch, and not before that?
fn is_within(span: Span, since: i64, now: Timestamp) -> bool {
    let since = Timestamp::from_unix(since);
    since <= now && now.since(since) < span
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= LONGEST_TAG && tag.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Had it last changed long enough before it was sent that another change has another tag? Both times are the server's.
fn is_settled(reply: &Reply, now: Timestamp) -> bool {
    reply.modified().is_none_or(|modified| reply.clock().unwrap_or(now).since(modified) >= SETTLED)
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

    fn reply(text: &str) -> Reply {
        Reply {
            status: 200,
            body: text.as_bytes().to_vec(),
            etag: Some("\"a\"".to_string()),
            ..Reply::default()
        }
    }

    fn kept() -> Kept {
        Kept::of(&reply("new"), "https://h/x", at(0), at(0))
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
    fn an_older_copy_waits_for_a_quarter_of_an_hour_whatever_clock_says_that_it_is_older() {
        let kept = kept();
        assert!(kept.stands_before(at(-1), at(60)) && kept.stands_before(at(-40_000), at(899)));
        assert!(!kept.stands_before(at(0), at(60)) && !kept.stands_before(at(60), at(60)));
        assert!(!kept.stands_before(at(-1), at(900)), "nothing else comes any more");
        let confirmed = kept.confirmed(at(600), at(600));
        assert!(confirmed.stands_before(at(500), at(1_499)) && !confirmed.stands_before(at(500), at(1_500)));
        assert!(!kept.stands_before(at(-1_000), at(-1_000)), "what is kept is from a time that has not come");
        assert!(!kept.confirmed(at(-5), at(600)).stands_before(at(-1), at(900)), "an old cache has it too");
        // A server whose clock was put back is waited for once, and not at each sync.
        let behind = Kept::of(&reply("other"), "https://h/x", at(-40_000), at(900));
        assert!(!behind.stands_before(at(-39_900), at(1_000)));
    }

    #[test]
    fn what_is_unchanged_is_read_whole_after_ten_minutes_all_the_same() {
        let kept = kept();
        let asks = |kept: &Kept, now: i64| kept.condition(at(now)).is_some();
        assert!(asks(&kept, 0) && asks(&kept, 599) && !asks(&kept, 600) && !asks(&kept, -1));
        assert!(!asks(&kept.confirmed(at(599), at(599)), 600), "that it is unchanged does not count");
        let about: About =
            serde_json::from_str(r#"{"address":"a","text":"b","etag":"\"a\"","last_modified":null,"at":9}"#)
                .unwrap();
        assert!(!asks(&Kept { text: Vec::new(), about }, 9), "an earlier release kept it");
    }

    #[test]
    fn a_tag_counts_once_a_second_change_would_have_another() {
        let with = |modified: Option<&str>, date: Option<&str>| {
            let (last_modified, date) = (modified.map(str::to_string), date.map(str::to_string));
            let reply = Reply { last_modified, date, ..reply("new") };
            Kept::of(&reply, "https://h/x", at(0), at(0)).condition(at(0)).is_some()
        };
        let before = "Fri, 20 Nov 2026 11:59:58 GMT";
        assert!(with(None, None) && with(Some(before), Some(NOON)) && with(Some(before), None));
        assert!(!with(Some(NOON), Some(NOON)) && !with(Some(NOON), Some(before)) && !with(Some(NOON), None));
        let names =
            |tag: &str| kept().is_meant_by(&Reply { etag: Some(tag.to_string()), ..Reply::default() });
        assert!(
            names("\"a\"") && names("W/\"a\"") && !names("\"b\"") && kept().is_meant_by(&Reply::default())
        );
    }

    #[test]
    fn what_is_kept_is_of_its_address_and_whole() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = directory.path().join("calendar-c.json");
        let kept = Kept::of(&reply("text"), "https://h/geheim", at(0), at(0));
        kept.keep(&path, None);
        assert!(!fs::read_to_string(&path).unwrap().contains("geheim"));
        assert_eq!(Kept::read(&path, "https://h/geheim"), Some(kept.clone()));
        assert_eq!(Kept::read(&path, "https://h/other"), None);
        assert_eq!(kept.condition(at(0)), Some((IF_NONE_MATCH, "\"a\"")));
        let later = kept.confirmed(at(9), at(9));
        later.keep(&path, Some(&kept));
        assert_eq!(Kept::read(&path, "https://h/geheim").map(|kept| kept.at()), Some(at(9)));
        fs::write(path.with_extension("ics"), "other").unwrap();
        assert_eq!(Kept::read(&path, "https://h/geheim"), None);
    }
}
