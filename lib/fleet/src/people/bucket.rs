//! A bucket: the people of one place, with their keys.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use policy::{Principal, Timestamp, is_printable};
use serde::{Deserialize, Serialize};

use super::Place;
use crate::object::{self, Form, ObjectError};

/// The most people of a bucket; one with more is split.
pub const MOST_IN_BUCKET: usize = 96;

/// The largest bucket, decoded, in bytes: as many people as it has at most, each with the most keys.
pub const LARGEST_BUCKET: u32 = 8 * 1024 * 1024;

/// The most keys of one person that are published: one more than a host prints, so that whoever has too many is refused
/// there as they would be at the collector.
pub const MOST_KEYS: usize = 65;

/// The most bytes of one person's keys.
const MOST_KEY_BYTES: usize = 64 * 1024;

/// The longest reason for which an account is disabled, in bytes: an attribute's name, as a rule.
const LONGEST_REASON: usize = 100;

/// What stands for a reason that is not fit to be published.
const OTHER_REASON: &str = "disabled";

/// A person as a fleet's hosts know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetPerson {
    /// Their name.
    #[serde(with = "object::person")]
    pub principal: Principal,
    /// May they ever become root?
    #[serde(default, skip_serializing_if = "is_false")]
    pub eligible: bool,
    /// Why the account is disabled, if it is. Nobody who is disabled has keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// The instant before which the account may not be used.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "object::instant")]
    pub begins: Option<Timestamp>,
    /// The instant from which the account is expired.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "object::instant")]
    pub expires: Option<Timestamp>,
    /// Their keys, each `TYPE BASE64`. Here only their form is looked at; hosts judge what they are worth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Is this a key as [`FleetPerson::keys`] has it?
fn is_key_line(line: &str) -> bool {
    let graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    line.split_once(' ').is_some_and(|(kind, key)| graphic(kind) && graphic(key))
}

fn is_reason(text: &str) -> bool {
    (1..=LONGEST_REASON).contains(&text.len()) && text.chars().all(is_printable)
}

impl FleetPerson {
    /// The same as it is published: each key once, in one order, nothing that could not be read back. Says whether keys
    /// had to be left out that a host might have printed.
    pub(super) fn fitted(mut self) -> (Self, bool) {
        self.begins = self.begins.map(dated);
        self.expires = self.expires.map(dated);
        if self.disabled.as_deref().is_some_and(|reason| !is_reason(reason)) {
            self.disabled = Some(OTHER_REASON.to_string());
        }
        let before = self.keys.len();
        self.keys.retain(|line| is_key_line(line));
        let mut is_cut = self.keys.len() < before;
        self.keys.sort_unstable();
        self.keys.dedup();
        let mut room = MOST_KEY_BYTES;
        let fit = self.keys.iter().take(MOST_KEYS).take_while(|line| {
            let left = room.checked_sub(line.len());
            room = left.unwrap_or(0);
            left.is_some()
        });
        let fit = fit.count();
        is_cut |= fit < self.keys.len();
        self.keys.truncate(fit);
        if self.disabled.is_some() {
            self.keys.clear();
            is_cut = false;
        }
        (self, is_cut)
    }

    /// Is it as [`FleetPerson::fitted`] leaves it?
    fn is_fit(&self) -> bool {
        let bytes: usize = self.keys.iter().map(String::len).sum();
        self.keys.len() <= MOST_KEYS
            && bytes <= MOST_KEY_BYTES
            && self.keys.iter().all(|line| is_key_line(line))
            && self.keys.is_sorted_by(|one, next| one < next)
            && self.disabled.as_deref().is_none_or(is_reason)
            && (self.disabled.is_none() || self.keys.is_empty())
    }
}

/// The nearest instant that has a date.
fn dated(at: Timestamp) -> Timestamp {
    const FIRST: Timestamp = Timestamp::from_unix(-62_135_596_800);
    const LAST: Timestamp = Timestamp::from_unix(253_402_300_799);
    at.clamp(FIRST, LAST)
}

/// The people of one place, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    people: Vec<FleetPerson>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    form: Form,
    bucket: Place,
    people: Vec<FleetPerson>,
}

#[derive(Serialize)]
struct Written<'a> {
    form: Form,
    bucket: Place,
    people: &'a [&'a FleetPerson],
}

/// The bucket of these people, all of whom are at `place`: the same bytes for the same people.
pub(super) fn to_bytes<'a>(place: Place, people: impl Iterator<Item = &'a FleetPerson>) -> Vec<u8> {
    let mut people: Vec<&FleetPerson> = people.collect();
    people.sort_unstable_by(|one, other| one.principal.cmp(&other.principal));
    object::write(&Written { form: Form, bucket: place, people: &people })
}

impl Bucket {
    /// Reads the bucket that a page has at `place`.
    ///
    /// # Errors
    /// It has another form, more people than a bucket has, people of another place, somebody twice, or keys that are
    /// not in their order or too many.
    pub fn parse(bytes: &[u8], place: Place) -> Result<Self, ObjectError> {
        let Body { form: Form, bucket, people } = object::read(bytes, LARGEST_BUCKET)?;
        let problem = if bucket != place {
            "a bucket of another place"
        } else if people.is_empty() || people.len() > MOST_IN_BUCKET {
            "a bucket of nobody or of too many"
        } else if !people.is_sorted_by(|one, next| one.principal < next.principal) {
            "people twice or out of order"
        } else if !people.iter().all(|person| place.holds(Place::spot(&person.principal))) {
            "people of another place"
        } else if !people.iter().all(FleetPerson::is_fit) {
            "a person with keys that none has"
        } else {
            return Ok(Self { people });
        };
        Err(ObjectError::Impossible(problem))
    }

    /// The people, by name; at least one, at most [`MOST_IN_BUCKET`].
    pub fn people(&self) -> &[FleetPerson] {
        &self.people
    }

    /// The people.
    pub fn into_people(self) -> Vec<FleetPerson> {
        self.people
    }
}
