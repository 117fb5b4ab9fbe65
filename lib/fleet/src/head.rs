//! The head: which publication this is, when what it says was read, and which objects hold it.
//!
//! ASCII lines `name: value` in one order, so that a person can read what is signed. There is one text for each head:
//! what is read is what would be written again, byte for byte.

use alloc::string::{String, ToString};
use core::fmt;
use core::str::FromStr;

use policy::Timestamp;
use signed::text::{Reader, TextError, Writer};

use crate::{Digest, ObjectRef, Part};

/// The largest head with its signatures, in bytes.
pub const LARGEST_HEAD: usize = 4096;

/// The form that is written and read.
const FORM: &str = "1";

/// The most characters of padding.
const MOST_PAD: usize = 256;

/// How much longer than the head before a head is, modulo [`MOST_PAD`]: more than signatures by ECDSA differ in length.
const PAD_STEP: usize = 8;

/// A fleet's publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The fleet's name.
    pub fleet: String,
    /// Grows with each publication; about its instant, in milliseconds since 1970.
    pub sequence: u64,
    /// When it was published.
    pub issued: Timestamp,
    /// The first instant at which no host takes it over any more.
    pub valid: Timestamp,
    /// By which of the collector's settings people are chosen; two that differ are not compared.
    pub scope: Digest,
    /// When the rota was read, but for schedules of which the index says otherwise. There is a rota if there is this.
    pub rota_read: Option<Timestamp>,
    /// When people were read. There are people if there is this.
    pub people_read: Option<Timestamp>,
    /// When incidents were read, but for services of which their object says otherwise. There are incidents if there is
    /// this; a collector that is asked for none leaves it out, so that an earlier release reads the head.
    pub incidents_read: Option<Timestamp>,
    /// When the fleet's revocations were read.
    pub revoked_read: Timestamp,
    /// A [`RotaIndex`](crate::RotaIndex).
    pub rota: Option<Part>,
    /// The root of the tree of people.
    pub people: Option<Part>,
    /// [`FleetIncidents`](crate::FleetIncidents).
    pub incidents: Option<Part>,
    /// The text of `policy::Revocations`.
    pub revoked: Part,
    /// Many objects in one, for a host that has none.
    pub pack: Option<ObjectRef>,
    /// So many characters say nothing, from 1 to 256; see [`Head::pad_after`].
    pub pad: usize,
}

/// Why a text is no head (`head-form`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadError {
    /// It has a form that this release does not read.
    Form(String),
    /// More bytes than [`LARGEST_HEAD`].
    TooLong,
    /// It is not such text, or has other names.
    Text(TextError),
    /// The value of this name is impossible.
    Value(&'static str),
}

impl HeadError {
    /// The word for it in status and records.
    pub const WORD: &'static str = "head-form";
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => {
                write!(f, "the head has form {form:?}, and this release reads form {FORM}; update this host")
            }
            Self::TooLong => write!(f, "the head is larger than {LARGEST_HEAD} bytes"),
            Self::Text(error) => write!(f, "the head is not as a collector writes it: {error}"),
            Self::Value(name) => write!(f, "`{name}` in the head is not as a collector writes it"),
        }
    }
}

impl core::error::Error for HeadError {}

impl From<TextError> for HeadError {
    fn from(error: TextError) -> Self {
        Self::Text(error)
    }
}

impl Head {
    /// Reads the text that is signed.
    ///
    /// # Errors
    /// It is not exactly as [`Head::write`] writes a head.
    pub fn parse(text: &[u8]) -> Result<Self, HeadError> {
        if text.len() > LARGEST_HEAD {
            return Err(HeadError::TooLong);
        }
        let mut fields = Reader::new(text)?;
        let form = fields.take("form")?;
        if form != FORM {
            return Err(HeadError::Form(form.chars().take(20).collect()));
        }
        let head = Self::take(&mut fields)?;
        fields.finish()?;
        head.check()?;
        // Signs, leading zeros and other blanks, at which a number's reader is lenient.
        if head.write().as_bytes() == text { Ok(head) } else { Err(HeadError::Value("form")) }
    }

    fn take(fields: &mut Reader<'_>) -> Result<Self, HeadError> {
        Ok(Self {
            fleet: fields.take("fleet")?.to_string(),
            sequence: number(fields.take("sequence")?).ok_or(HeadError::Value("sequence"))?,
            issued: instant(fields.take("issued")?, "issued")?,
            valid: instant(fields.take("valid")?, "valid")?,
            scope: fields.take("scope")?.parse().map_err(|_| HeadError::Value("scope"))?,
            rota_read: fields.take_opt("rota-read").map(|at| instant(at, "rota-read")).transpose()?,
            people_read: fields.take_opt("people-read").map(|at| instant(at, "people-read")).transpose()?,
            incidents_read: fields
                .take_opt("incidents-read")
                .map(|at| instant(at, "incidents-read"))
                .transpose()?,
            revoked_read: instant(fields.take("revoked-read")?, "revoked-read")?,
            rota: fields.take_opt("rota").map(|value| part(value, "rota")).transpose()?,
            people: fields.take_opt("people").map(|value| part(value, "people")).transpose()?,
            incidents: fields.take_opt("incidents").map(|value| part(value, "incidents")).transpose()?,
            revoked: part(fields.take("revoked")?, "revoked")?,
            pack: fields.take_opt("pack").map(|value| object(value, "pack")).transpose()?,
            pad: fields.take("pad")?.len(),
        })
    }

    fn check(&self) -> Result<(), HeadError> {
        let value = |is_possible: bool, name| if is_possible { Ok(()) } else { Err(HeadError::Value(name)) };
        value(policy::is_site_name(&self.fleet), "fleet")?;
        value(self.issued < self.valid, "valid")?;
        value(self.rota.is_some() == self.rota_read.is_some(), "rota-read")?;
        value(self.people.is_some() == self.people_read.is_some(), "people-read")?;
        value(self.incidents.is_some() == self.incidents_read.is_some(), "incidents-read")?;
        value((1..=MOST_PAD).contains(&self.pad), "pad")
    }

    /// The text that is signed.
    pub fn write(&self) -> String {
        let text = Writer::new()
            .line("form", FORM)
            .line("fleet", &self.fleet)
            .line("sequence", self.sequence)
            .line("issued", self.issued)
            .line("valid", self.valid)
            .line("scope", self.scope)
            .line_opt("rota-read", self.rota_read)
            .line_opt("people-read", self.people_read)
            .line_opt("incidents-read", self.incidents_read)
            .line("revoked-read", self.revoked_read)
            .line_opt("rota", self.rota)
            .line_opt("people", self.people)
            .line_opt("incidents", self.incidents)
            .line("revoked", self.revoked)
            .line_opt("pack", self.pack)
            .line("pad", ".".repeat(self.pad.max(1)))
            .finish();
        // Only a name that no fleet may have fails here, and a text without one is refused by whoever reads it.
        text.unwrap_or_default()
    }

    /// Chooses the padding so that this head is longer than the one before, whose text has `before` bytes, or wraps
    /// round: nginx's ETag is the second of the change and the length. Of two heads with one ETag a host would miss the
    /// later one, and within a second there may be several.
    pub fn pad_after(&mut self, before: usize) {
        self.pad = 1;
        let wanted = (before + PAD_STEP + 1).wrapping_sub(self.write().len()) % MOST_PAD;
        self.pad = if wanted == 0 { MOST_PAD } else { wanted };
    }

    /// The sequence of a publication at `now_ms` (milliseconds since 1970) after the one with `previous`: it grows also
    /// where a clock went back, and is about the time as soon as that is later. So a counter that was lost heals by itself.
    pub fn next_sequence(previous: Option<u64>, now_ms: u64) -> u64 {
        previous.map_or(now_ms, |previous| now_ms.max(previous.saturating_add(1)))
    }
}

fn number<N: FromStr>(text: &str) -> Option<N> {
    text.parse().ok()
}

fn instant(text: &str, name: &'static str) -> Result<Timestamp, HeadError> {
    Timestamp::parse(text).ok_or(HeadError::Value(name))
}

fn object(text: &str, name: &'static str) -> Result<ObjectRef, HeadError> {
    text.parse().map_err(|()| HeadError::Value(name))
}

fn part(text: &str, name: &'static str) -> Result<Part, HeadError> {
    let (content, rest) = text.split_once(' ').ok_or(HeadError::Value(name))?;
    let content = content.parse().map_err(|_| HeadError::Value(name))?;
    Ok(Part { content, object: object(rest, name)? })
}

impl fmt::Display for ObjectRef {
    /// Digest, stored size, decoded size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.digest, self.size, self.raw)
    }
}

impl FromStr for ObjectRef {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let digest = words.next().and_then(number::<Digest>).ok_or(())?;
        let size = words.next().and_then(number).ok_or(())?;
        let raw = words.next().and_then(number).ok_or(())?;
        let object = Self::new(digest, size, raw).ok_or(())?;
        if words.next().is_none() { Ok(object) } else { Err(()) }
    }
}

impl fmt::Display for Part {
    /// Digest of the content, then the object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.content, self.object)
    }
}

#[cfg(test)]
pub(crate) mod tests;
