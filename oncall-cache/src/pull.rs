//! `pull`: what the fleet's collector published is brought to this host's mirror.
//!
//! A conditional request for `head`; its signatures, its fleet, its place after what this host has; then the objects that
//! it names, as far as this host needs them. Only a publication that is whole and verified replaces the one that is here:
//! its head is written last. Whatever a store does otherwise, all that this host decides by stays byte for byte.

mod backoff;
mod error;
mod heads;
mod idle;
mod limits;
mod objects;
mod session;
mod store;
mod tags;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fleet::{Digest, Head, Standing};
use host::config::Fleet;
use host::{Config, clock};
use mirror::{Mirror, Trusted, read_mark, read_signers, write_mark};
use policy::revocations::{self, Revocations};
use policy::{Rules, Timestamp};
use publish::PublishError;
use status::{FleetStatus, HeadStatus, RefusedHead};

use crate::said::Live;
use crate::sync::{SyncLockHeld, groups_path};
use backoff::Backoff;
pub use error::PullError;
use heads::{Found, Judge};
pub use idle::Stamp;
pub use limits::TIME;
use objects::{Objects, Whole};
use session::Session;
use tags::Tags;

/// How often the head is asked for again in one pull, because the store had moved on when its objects were fetched.
const ROUNDS: usize = 3;

/// About when this release was made. A clock that shows less is wrong; it is asked of before the first head, which says
/// what the time is from then on.
const MADE: Timestamp = Timestamp::from_unix(1_795_910_400);

/// What a pull came to.
#[derive(Debug)]
pub struct Pulled {
    /// What the mirror has now.
    pub head: Head,
    /// Was it taken over by this pull?
    pub is_new: bool,
    /// By what the roster was made, if all that this host does with the head was done already.
    pub stands: Option<Stamp>,
    /// Objects that were fetched.
    pub objects: usize,
    /// Requests to all urls.
    pub requests: u32,
    /// Bytes of all answers, without what HTTP and TLS add.
    pub bytes: u64,
    /// What somebody should look at, a line each.
    pub notes: Vec<String>,
}

/// Where a pull keeps what is its own, in the mirror.
struct Files {
    tags: PathBuf,
    backoff: PathBuf,
}

impl Files {
    fn of(mirror: &Mirror) -> Self {
        let file = |name| mirror.directory().join(name);
        Self { tags: file("etags"), backoff: file("backoff") }
    }
}

/// What this program wrote in the mirror for itself: text of at most `limit` bytes. Only the service can write there, and
/// what is not understood is as if it were not there.
fn read_own(path: &Path, limit: u64) -> Option<String> {
    let text = String::from_utf8(trust::read_start(path, limit + 1).ok()?).ok()?;
    (text.len() as u64 <= limit).then_some(text)
}

/// Pulls once. After failures the store is left alone for a while, unless it is to be asked `at_once`.
///
/// # Errors
/// Nothing was taken over, and why.
pub fn pull(
    _: &SyncLockHeld,
    config: &Config,
    at_once: bool,
    now: Timestamp,
    live: Live<'_>,
) -> Result<Pulled, PullError> {
    let fleet = config.fleet.as_deref().ok_or(PullError::NoFleet)?;
    let mirror = Mirror::at(&fleet.mirror);
    let files = Files::of(&mirror);
    let failed = Backoff::read(&files.backoff);
    if let Some((failed, until)) =
        failed.and_then(|failed| Some((failed, failed.until(now, fleet.revoked_age)?)))
        && !at_once
    {
        return Err(PullError::Waits(failed.failures, until));
    }
    let outcome = look(config, fleet, &mirror, &files, now);
    let written = match (&outcome, failed) {
        (Err(_), before) => Backoff::after(before, now).write(&files.backoff),
        (Ok(_), Some(_)) => {
            fs::remove_file(&files.backoff).map_err(|error| PublishError::write(&files.backoff, error))
        }
        (Ok(_), None) => Ok(()),
    };
    for problem in [written, report(fleet, &outcome, now)].into_iter().filter_map(Result::err) {
        (live.note)(format_args!("{problem}"));
    }
    outcome
}

fn look(
    config: &Config,
    fleet: &Fleet,
    mirror: &Mirror,
    files: &Files,
    now: Timestamp,
) -> Result<Pulled, PullError> {
    mirror.create().map_err(PullError::Mirror)?;
    let (signers, dead) = read_signers(&fleet.signers).map_err(PullError::Signers)?;
    let mark = read_mark(&fleet.mark).map_err(PullError::Mirror)?;
    let document = mirror.head_document().ok();
    if mark.is_none() && now < MADE {
        return Err(PullError::Early(now));
    }
    let signatures = fleet.signatures;
    let judge = Judge {
        trusted: Trusted { fleet: &fleet.id, epoch: fleet.epoch, signers: &signers, signatures },
        document: document.as_deref(),
        mark: mark.as_ref(),
        freshness: fleet.freshness,
        now,
        began: Instant::now(),
    };
    let mut session = Session::new(fleet).map_err(PullError::Store)?;
    let mut tags = Tags::read(&files.tags, Digest::of(document.as_deref().unwrap_or_default()));
    let (found, mut whole, stands) = settled(&judge, &mut session, &mut tags, mirror, config)?;
    let is_new = found.opened.standing == Standing::Newer;
    if let Some(keep) = whole.keep.as_mut().filter(|_| is_new) {
        let before = judge.copied().and_then(|head| head.people);
        keep.extend(objects::pages_before(mirror, before.as_ref(), found.opened.head.people.as_ref()));
    }
    take_over(fleet, mirror, &found, &whole, document.as_deref(), now)?;
    if let Some(tags) = tags.of(Digest::of(&found.document)) {
        tags.write(&files.tags).map_err(PullError::Write)?;
    }
    let mut notes = found.notes;
    if is_new && mark.is_some() {
        notes.extend(correct_clock(config, &found.opened.head, now).err().map(|error| error.to_string()));
    }
    if is_new {
        notes.extend(
            dead.iter().map(|dead| format!("{}:{}: {}", fleet.signers.display(), dead.line, dead.problem)),
        );
    }
    let (requests, bytes) = (session.limits().requests(), session.limits().bytes());
    let (head, objects) = (found.opened.head, whole.fetched);
    Ok(Pulled { head, is_new, stands, objects, requests, bytes, notes })
}

/// A head, all of its objects that this host needs, and whether these were here and are in the roster. A store that moves on while they are fetched is asked for its
/// head again, a few times.
fn settled(
    judge: &Judge<'_>,
    session: &mut Session<'_>,
    tags: &mut Tags,
    mirror: &Mirror,
    config: &Config,
) -> Result<(Found, Whole, Option<Stamp>), PullError> {
    let mut found = judge.newest(session, tags)?;
    if let Some(stamp) = Stamp::standing(mirror, config, &found.opened.head, judge.now)
        && let Ok(whole) = Objects::new(session, mirror, found.place).known(&found.opened.head)
    {
        return Ok((found, whole, Some(stamp)));
    }
    for _ in 1..ROUNDS {
        match Objects::new(session, mirror, found.place).complete(&found.opened.head, config, judge.now) {
            Ok(whole) => return Ok((found, whole, None)),
            Err(failure) if failure.may_have_moved() => {
                let again = judge.newest(session, tags)?;
                if again.opened.head.sequence <= found.opened.head.sequence {
                    return Err(PullError::Object(failure));
                }
                found = again;
            }
            Err(failure) => return Err(PullError::Object(failure)),
        }
    }
    let whole = Objects::new(session, mirror, found.place).complete(&found.opened.head, config, judge.now);
    whole.map(|whole| (found, whole, None)).map_err(PullError::Object)
}

/// Makes the publication this host's, in an order in which a crash between two steps leaves one that is whole: what is
/// done already is found so by the next pull. Revocations come first: until then the next step shuts out more, not less.
fn take_over(
    fleet: &Fleet,
    mirror: &Mirror,
    found: &Found,
    whole: &Whole,
    before: Option<&[u8]>,
    now: Timestamp,
) -> Result<(), PullError> {
    revoke(&fleet.revoked, &whole.revoked, found.opened.head.revoked_read, now)?;
    if before != Some(found.document.as_slice()) {
        mirror.put_head(&found.document).map_err(PullError::Mirror)?;
    }
    if found.opened.standing == Standing::Newer {
        write_mark(&fleet.mark, &found.opened.mark).map_err(PullError::Mirror)?;
        if let Some(keep) = &whole.keep {
            mirror.sweep(keep).map_err(PullError::Mirror)?;
        }
    }
    Ok(())
}

/// A head that is later than those before it puts right what the clock of this boot has counted too much: without that, nothing
/// of the rota would be trusted until a restart.
fn correct_clock(config: &Config, head: &Head, now: Timestamp) -> Result<(), PublishError> {
    let uptime = clock::uptime();
    for copy in [&config.paths.roster, &groups_path(config)] {
        let before = clock::proven(copy);
        if let Some(corrected) = before.and_then(|before| before.corrected(head.issued, now, uptime)) {
            publish::prove(copy, 0o644, &corrected)?;
        }
    }
    Ok(())
}

/// Brings this host's copy of the fleet's revocations up to what the collector had `read` then.
///
/// An order holds until it is over or a later one about the same takes its place, never because a list lacks it: one that a
/// store or a collector has lost, or that is older than what is here, lets nobody back in. So the copy is as young as the
/// younger of the two. One from what has not come yet says nothing about which is later.
fn revoke(path: &Path, revoked: &Revocations, read: Timestamp, now: Timestamp) -> Result<(), PullError> {
    let known = read_own(path, revocations::LARGEST as u64);
    let mut list = revoked.clone().read_at(Some(read));
    if let Some(mut before) = known.as_deref().and_then(|text| Revocations::parse(text).ok()) {
        before.drop_ended(now);
        // Together more than a list may have: then the collector's word alone.
        let _ = list.merge(&before);
        if let Some(at) = before.read().filter(|at| *at > read && *at <= now.plus(Rules::SKEW)) {
            list = list.read_at(Some(at));
        }
    }
    let text = list.to_string();
    if known.is_some_and(|known| known == text) {
        return Ok(());
    }
    publish::replace(path, 0o644, |temporary| fs::write(temporary, &text)).map_err(PullError::Write)
}

/// Writes what `status` shows of the fleet.
fn report(fleet: &Fleet, outcome: &Result<Pulled, PullError>, now: Timestamp) -> Result<(), PublishError> {
    let path = FleetStatus::path(fleet);
    let before = FleetStatus::read(&path, fleet).unwrap_or_else(|_| FleetStatus::new(&fleet.id));
    let unix = |at: Option<Timestamp>| at.map(Timestamp::unix);
    let status = match outcome {
        Ok(Pulled { head, .. }) => FleetStatus {
            checked: Some(now.unix()),
            head: Some(HeadStatus {
                sequence: head.sequence,
                issued: head.issued.unix(),
                valid: head.valid.unix(),
                rota_read: unix(head.rota_read),
                people_read: unix(head.people_read),
                revoked_read: head.revoked_read.unix(),
            }),
            refused: None,
            ..before
        },
        Err(error) => {
            let Some(shown) = error.refused() else { return Ok(()) };
            let known = before.refused.as_ref().filter(|known| known.reason == shown.word);
            let since = known.map_or(now.unix(), |known| known.since.min(now.unix()));
            let (reason, text, url) = (shown.word.to_string(), error.text(), shown.url);
            FleetStatus { refused: Some(RefusedHead { reason, since, text, url }), ..before }
        }
    };
    status.write(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revocation_holds_until_it_is_over_or_lifted_whatever_a_list_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        let at = |seconds: i64| Timestamp::from_unix(1_795_165_200 + seconds);
        let list = |text: &str| Revocations::parse(&format!("revocations 1\n{text}")).unwrap();
        let none = Revocations::none();
        let alice = list("person alice 1 revoked 2026-11-20T08:00:00Z 2026-11-21T08:00:00Z eve left\n");
        let bob = list("person bob 7 revoked 2026-11-20T08:00:00Z - eve\n");
        let both = {
            let mut both = alice.clone();
            both.merge(&bob).unwrap();
            both
        };
        let kept = || Revocations::parse(&fs::read_to_string(&path).unwrap()).unwrap();
        let pull = |list: &Revocations, read, now| {
            revoke(&path, list, at(read), at(now)).unwrap();
            (kept().read_at(None), kept().read().unwrap().since(at(0)).as_seconds())
        };
        assert_eq!(pull(&alice, 60, 60), (alice.clone(), 60));
        // As a store shows it to a host that has lost its mark.
        assert_eq!(pull(&none, 0, 90), (alice.clone(), 60));
        // By a collector that never had it, and by one whose clock is behind.
        assert_eq!(pull(&none, 90, 90), (alice.clone(), 90));
        assert_eq!(pull(&bob, 30, 90), (both.clone(), 90));
        // Lifted by a later order alone.
        let lifted = list("person alice 2 lifted 2026-11-20T09:01:00Z 2026-11-21T08:00:00Z eve\n");
        let (now, _) = pull(&lifted, 120, 120);
        assert_eq!((now.in_force(at(120)).count(), now.iter().count()), (1, 2));
        assert_eq!(pull(&both, 100, 130).0, now, "an older copy");
        // Over, it is forgotten once nobody tells of it any more.
        assert_eq!(pull(&none, 90_000, 90_000).0, bob);
        // A clock that was wrong left a list from the future: the next ones are not kept away.
        assert_eq!(pull(&bob, 97_200, 97_200).1, 97_200);
        assert_eq!(pull(&bob, 90_150, 90_150).1, 90_150);
        fs::write(&path, "not a list").unwrap();
        assert_eq!(pull(&alice, 90_160, 90_160), (alice, 90_160));
    }

    #[test]
    fn more_than_a_list_may_have_together_is_what_the_collector_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("revoked");
        let at = Timestamp::from_unix(1_795_165_200);
        let lines = |first: usize| {
            let line = |number| format!("grant {number:09} 1 revoked 2026-11-20T08:00:00Z - eve\n");
            let lines: String = (first..first + revocations::MOST).map(line).collect();
            Revocations::parse(&format!("revocations 1\n{lines}")).unwrap()
        };
        for first in [0, 5] {
            revoke(&path, &lines(first), at, at).unwrap();
            let kept = Revocations::parse(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(kept.read_at(None), lines(first));
        }
    }
}
