//! People as a fleet's collector publishes them, from this host's mirror of the store.
//!
//! `oncall-cache pull` fetched and verified it all as another user. Nothing of that is relied on: the head is verified
//! here once more, against a mark of this program, and each object by its digest. No network.

use std::error::Error;
use std::path::{Path, PathBuf};

use fleet::{HeadRefusal, Mark, Origin, Standing};
use host::clock;
use host::config::Fleet;
use mirror::{FleetError, Mirror, MirrorError, Opened, Trusted, open, read_mark, read_signers};
use policy::{Proven, Rules, Timestamp, Uptime};
use store::keys::Base;

use crate::complain;
use crate::note::Note;
use crate::replica::PendingCopy;
use crate::source::Fetched;
use crate::tree;

/// So often it is begun anew because a pull replaced what was being read.
const MOST_TRIES: usize = 5;

/// Where the mark of this program is, beside the copy at `keys`.
pub fn mark_path(keys: &Path) -> PathBuf {
    keys.with_extension("mark")
}

/// What the mirror has, for the copy at `keys`: what changed, where the copy says what it was made of, else everybody.
pub fn fetch(
    keys: &Path,
    fleet: &Fleet,
    base: Option<&Base>,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    let mirror = Mirror::at(&fleet.mirror);
    let mut tries = 0;
    loop {
        let document = mirror.head_document().map_err(|error| {
            format!("nothing of fleet `{}` is here: {error}; as root, run `oncall-cache pull`", fleet.id)
        })?;
        let fetched = verified(keys, fleet, &document, asked)
            .and_then(|opened| taken_over(&mirror, &opened, base, asked));
        tries += 1;
        // A pull puts another head in place, and removes what only the last one named.
        match fetched {
            Err(_) if tries < MOST_TRIES && is_replaced(&mirror, &document) => {}
            fetched => return fetched,
        }
    }
}

fn is_replaced(mirror: &Mirror, document: &[u8]) -> bool {
    mirror.head_document().is_ok_and(|now| now != document)
}

/// The head, if it counts. One that this program has not taken over is judged as if it came from the store, but that it may
/// have ended since the pull: `valid` binds taking a head over from there, and ages bind what it says. The first head of
/// all must still be valid, for nothing else says here which time it is from.
fn verified(keys: &Path, fleet: &Fleet, document: &[u8], asked: Timestamp) -> Result<Opened, Box<dyn Error>> {
    let (signers, dead) = read_signers(&fleet.signers)?;
    for line in dead {
        let path = fleet.signers.display();
        complain(format_args!("{path}:{}: counts for nobody: {}", line.line, line.problem));
    }
    let mark = read_mark(&mark_path(keys))?;
    let Fleet { id, epoch, signatures, .. } = fleet;
    let trusted = Trusted { fleet: id, epoch: *epoch, signers: &signers, signatures: *signatures };
    let judged = |origin| open(&trusted, document, mark.as_ref(), origin, asked);
    let opened = match judged(Origin::Copy) {
        Ok(copied @ Opened { standing: Standing::Newer, .. }) => match judged(Origin::Store) {
            Err(FleetError::Refused(HeadRefusal::Expired(_))) if mark.is_some() => Ok(copied),
            opened => opened,
        },
        opened => opened,
    };
    opened.map_err(|error| format!("{error} ({}), nothing published", error.word()).into())
}

fn taken_over(
    mirror: &Mirror,
    opened: &Opened,
    base: Option<&Base>,
    asked: Timestamp,
) -> Result<Fetched, Box<dyn Error>> {
    let Opened { head, mark, .. } = opened;
    let (Some(root), Some(read)) = (&head.people, head.people_read) else {
        return Err("the fleet publishes no people, nothing published; see `oncall-collector status` on the collector".into());
    };
    let old = base.and_then(|base| Note::read(base.resume()?));
    let note = Note::of_fleet(root, asked);
    let fetched = |pending, note, read| Fetched {
        time: Some(head.issued),
        mark: Some(*mark),
        ..Fetched::alone(pending, note, read)
    };
    // As after a collector was set up anew from what an older one left. A copy from what has not come was read by a clock that
    // was wrong, and says nothing about which is later.
    let is_later = |base: &&Base| read < base.synced() && base.synced() <= asked.plus(Rules::SKEW);
    if let Some(base) = base.filter(|base| !base.is_damaged()).filter(is_later) {
        let since = base.synced();
        complain(format_args!(
            "the fleet's people were read at {read}, before those of this host at {since}; these stay"
        ));
        return Ok(fetched(
            PendingCopy { change: base.kept(), dropped: Vec::new(), shows_nobody: false },
            old,
            since,
        ));
    }
    let known = old.as_ref().filter(|old| old.goes_on_to(&note));
    let full = known.map_or(asked, |old| old.full);
    let pending = tree::pending(base, known.and_then(Note::fleet_root).as_ref(), root, mirror)?;
    if pending.shows_nobody {
        return Err("the fleet has nobody (source-empty), nothing published; see `oncall-collector status` on the collector".into());
    }
    Ok(fetched(pending, Some(Note { full, ..note }), read))
}

/// What is proven of the time by the head of `mark`, which says `seen`, and by what was proven for the copy at `keys` before.
/// A head that was taken over before says nothing new: a clock that was set back since then shows still.
///
/// # Errors
/// What was taken over before is not known.
pub fn proven(
    keys: &Path,
    seen: Proven,
    mark: &Mark,
    asked: Timestamp,
    uptime: &Uptime,
) -> Result<Proven, MirrorError> {
    let is_later = read_mark(&mark_path(keys))?.is_some_and(|known| known != *mark);
    let before = clock::proven(keys);
    let corrected =
        before.filter(|_| is_later).and_then(|before| before.corrected(seen.instant(), asked, *uptime));
    Ok(seen.or_later(corrected.or(before)))
}

#[cfg(test)]
mod tests;
