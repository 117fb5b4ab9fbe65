//! What a publisher hands to the sinks of its host: the rota of the head that it has published, for as long as it is the one
//! who publishes.
//!
//! Sinks run as a user of their own, who can read neither the signing key nor, in a bucket, the store: so whoever
//! publishes writes what is published into a directory that they read. There is nothing in it that the hosts of the fleet
//! do not show to everybody. Whose turn it is is decided by the publisher alone: it takes the files back when another
//! collector publishes; and sinks take what is older than another collector would wait for no turn either.

use std::fs;
use std::path::{Path, PathBuf};

use ::store::roster;
use fleet::Head;
use policy::revocations::{Revocations, Subject};
use policy::{Principal, Roster, Span, Timestamp};
use serde::{Deserialize, Serialize};
use trust::Owner;

use crate::objects::ObjectsError;

/// The form of the note.
const FORM: u32 = 1;

/// The most of a note that is read, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What is handed over beside the rota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    form: u32,
    /// Which publication it is of, for people.
    sequence: u64,
    /// When it was published, in seconds since the epoch.
    issued: i64,
    /// Who is revoked in the fleet.
    revoked: Vec<String>,
    /// The publication with which the turn of this collector began; 0, if that is not known.
    #[serde(default)]
    turn: u64,
}

/// The rota of a publication, as sinks take it.
#[derive(Debug)]
pub struct Handed {
    /// Who is on call; or why that cannot be read.
    pub roster: Result<Roster, String>,
    /// Whom the fleet has revoked.
    pub revoked: Vec<Principal>,
    /// The publication since which this collector is the one who publishes.
    pub turn: Option<u64>,
}

/// Why there is nothing.
#[derive(Debug)]
pub enum NotHanded {
    /// Another collector has the turn, or nothing was published here yet.
    NoTurn,
    /// The last publication here is so old that another collector may have the turn.
    Old(Span),
    /// It cannot be read.
    Unread(String),
}

fn note(directory: &Path) -> PathBuf {
    directory.join("turn.json")
}

fn rota(directory: &Path) -> PathBuf {
    directory.join("roster.db")
}

/// Hands `head` over, whose rota is `roster`, published by a collector that has its turn since the publication `turn`:
/// each time, as it says also when it was read, and what is there may be of another collector's turn. A host without
/// the directory has no sinks.
///
/// # Errors
/// It is not written; sinks take nothing then once the last note is old.
pub fn give(
    directory: &Path,
    (head, turn): (&Head, Option<u64>),
    revoked: &Revocations,
    roster: impl FnOnce() -> Result<Roster, ObjectsError>,
) -> Result<(), String> {
    if !directory.is_dir() {
        return Ok(());
    }
    let roster = roster().map_err(|error| error.to_string())?;
    roster::publish(&rota(directory), &roster, &Default::default()).map_err(|error| error.to_string())?;
    let people = revoked.in_force(head.issued).filter_map(|(subject, _)| match subject {
        Subject::Person(person) => Some(person.as_str().to_string()),
        _ => None,
    });
    let said = Note {
        form: FORM,
        sequence: head.sequence,
        issued: head.issued.unix(),
        revoked: people.collect(),
        turn: turn.unwrap_or_default(),
    };
    let fill = |temporary: &Path| {
        fs::write(temporary, serde_json::to_vec(&said).unwrap_or_default()).map_err(|error| error.to_string())
    };
    publish::replace(&note(directory), 0o644, fill).map_err(|error| error.to_string())
}

/// Takes it back: another collector publishes.
pub fn take_back(directory: &Path) {
    let _ = fs::remove_file(note(directory));
}

/// What was handed over, at `now`, if that is not older than `patience`.
///
/// # Errors
/// Why there is nothing.
pub fn take(directory: &Path, patience: Span, now: Timestamp) -> Result<Handed, NotHanded> {
    let said = said(directory)?;
    let age = now.since(Timestamp::from_unix(said.issued));
    if age > patience {
        return Err(NotHanded::Old(age));
    }
    let roster = roster::read(&rota(directory), now).map_err(|error| error.to_string());
    let revoked = said.revoked.iter().filter_map(|name| Principal::new(name).ok()).collect();
    Ok(Handed { roster, revoked, turn: Some(said.turn).filter(|turn| *turn > 0) })
}

/// What the note says.
fn said(directory: &Path) -> Result<Note, NotHanded> {
    let path = note(directory);
    let text = match trust::read(&path, Owner::Service, LARGEST) {
        Err(refusal) if refusal.is_missing() => return Err(NotHanded::NoTurn),
        text => text.map_err(|refusal| NotHanded::Unread(refusal.to_string()))?,
    };
    let said = serde_json::from_slice(&text).ok().filter(|note: &Note| note.form == FORM);
    said.ok_or_else(|| NotHanded::Unread(format!("{}: not understood; publish anew", path.display())))
}

/// The rota of the publication `sequence`, with what of it is late, if that is what was handed over last.
pub fn last(directory: &Path, sequence: u64, now: Timestamp) -> Option<Roster> {
    said(directory).ok().filter(|said| said.sequence == sequence)?;
    roster::read(&rota(directory), now).ok()
}
