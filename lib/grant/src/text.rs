//! The text of a grant: ASCII lines `name: value` in one order, so that a person can read what is signed.
//!
//! There is one text for each grant: what is read is what would be written again, byte for byte. It goes by chat, so it has
//! nothing that chats change: no two blanks in a row, no quotes, none of the signs that mark up or mention.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use key::{KeyProblem, PublicKey};
use policy::{Account, Principal, Timestamp, Window, is_plain_name, is_site_name};
use signed::SignatureError;
use signed::text::{Reader, TextError, Writer};

use crate::{GrantId, LARGEST_DOCUMENT};

/// The form that is written and read.
const FORM: &str = "1";

/// The longest text without signatures, in bytes (4 KiB): it leaves room for four signatures.
pub(crate) const LARGEST_TEXT: usize = LARGEST_DOCUMENT / 2;

/// The most hosts in one grant.
pub const MOST_HOSTS: usize = 16;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 120;

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4).
const LONGEST_HOST: usize = 253;

/// What a line without a beneficiary's key has in its place.
const NO_KEY: &str = "none";

/// One person's right to enter one account on some hosts, from one instant to another. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// The fleet or site whose hosts are named; see [`is_site_name`].
    pub site: String,
    /// The hosts, as they are called in their own configuration: 1 to 16, no two the same.
    pub hosts: Vec<String>,
    /// The account that is entered. Under sudo it is root.
    pub account: Account,
    /// Who enters it.
    pub person: Principal,
    /// A key of theirs, which opens the account by ssh. `None`: only where they are logged in already, by sudo.
    pub key: Option<PublicKey>,
    /// From when until when.
    pub window: Window,
    /// When it was asked for.
    pub issued: Timestamp,
    /// Why: 1 to 120 letters, digits, single blanks and plain punctuation.
    pub reason: String,
}

/// Why a text is no grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantError {
    /// It has a form that this release does not read.
    Form(String),
    /// It is longer than [`LARGEST_DOCUMENT`], or without its signatures than half of that.
    TooLong,
    /// It is not such text, or has other names.
    Text(TextError),
    /// The value of this name is not what it should be, which follows.
    Value(&'static str, &'static str),
    /// The beneficiary's key is none, or weak.
    Key(KeyProblem),
    /// What follows the text is not signatures.
    Signatures(SignatureError),
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(form) => {
                write!(f, "the grant has form {form:?}, and this release reads form {FORM}; update it")
            }
            Self::TooLong => write!(
                f,
                "a grant has at most {LARGEST_TEXT} bytes, and with its signatures {LARGEST_DOCUMENT}"
            ),
            Self::Text(error) => write!(f, "{error}"),
            Self::Value(name, wanted) => write!(f, "`{name}` in the grant is not {wanted}"),
            Self::Key(problem) => {
                write!(f, "`key` in the grant is no public key that opens anything: {problem}")
            }
            Self::Signatures(error) => write!(f, "below the text: {error}"),
        }
    }
}

impl core::error::Error for GrantError {}

impl From<TextError> for GrantError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::TooLong => Self::TooLong,
            error => Self::Text(error),
        }
    }
}

/// Is it a reason: 1 to 120 letters, digits, single blanks and plain punctuation?
pub fn is_reason(reason: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" .,:;?!()/+=#%_-".contains(&byte);
    (1..=LONGEST_REASON).contains(&reason.len())
        && reason.bytes().all(fits)
        && reason.split(' ').all(|word| !word.is_empty())
}

pub(crate) const GRANT: GrantError = GrantError::Value("grant", "32 of the digits 0-9 and a-f");
pub(crate) const SITE: GrantError = GrantError::Value("fleet", "1 to 64 letters, digits and . _ -");
const HOSTS: GrantError = GrantError::Value(
    "hosts",
    "1 to 16 different names of hosts (letters, digits and . _ -) with one blank between them",
);
const ACCOUNT: GrantError = GrantError::Value("account", "an account: at most 32 of a-z, 0-9 and _ . -");
pub(crate) const PERSON: GrantError = GrantError::Value(
    "person",
    "a person: at most 32 of a-z, 0-9 and _ . -, and not root, which is an account",
);
const KEY: GrantError = GrantError::Value("key", "`TYPE BASE64` of a public key, or `none`");
const WINDOW: GrantError = GrantError::Value("not-after", "later than not-before");
const REASON: GrantError =
    GrantError::Value("reason", "1 to 120 letters, digits, single blanks and . , : ; ? ! ( ) / + = # % _ -");

pub(crate) const fn instant(name: &'static str) -> GrantError {
    GrantError::Value(name, "an instant as 2026-11-20T09:00:00Z")
}

/// What comes after the first line of a text of this form.
pub(crate) fn fields<'t>(text: &'t [u8], form: &str) -> Result<Reader<'t>, GrantError> {
    if text.len() > LARGEST_TEXT {
        return Err(GrantError::TooLong);
    }
    let mut fields = Reader::new(text)?;
    let found = fields.take("form")?;
    if found != form {
        return Err(GrantError::Form(found.chars().take(20).collect()));
    }
    Ok(fields)
}

impl Grant {
    /// Reads the text that is signed.
    ///
    /// # Errors
    /// It is not exactly as [`Grant::write`] writes a grant.
    pub fn parse(text: &[u8]) -> Result<Self, GrantError> {
        let mut fields = fields(text, FORM)?;
        let grant = Self::take(&mut fields)?;
        fields.finish()?;
        // Whatever a value's reader may be lenient about.
        if grant.write()?.as_bytes() == text { Ok(grant) } else { Err(GrantError::Value("form", FORM)) }
    }

    fn take(fields: &mut Reader<'_>) -> Result<Self, GrantError> {
        let at = |text: &str, name| Timestamp::parse(text).ok_or(instant(name));
        let id = fields.take("grant")?.parse().map_err(|()| GRANT)?;
        let site = fields.take("fleet")?.to_string();
        let hosts = fields.take("hosts")?.split(' ').map(ToString::to_string).collect();
        let account = Account::new(fields.take("account")?).map_err(|_| ACCOUNT)?;
        let person = Principal::new(fields.take("person")?).map_err(|_| PERSON)?;
        let key = match fields.take("key")? {
            NO_KEY => None,
            words => {
                let (kind, blob) = words.split_once(' ').ok_or(KEY)?;
                Some(PublicKey::parse_words(kind, blob).map_err(GrantError::Key)?)
            }
        };
        let from = at(fields.take("not-before")?, "not-before")?;
        let window = Window::new(from, at(fields.take("not-after")?, "not-after")?).ok_or(WINDOW)?;
        let issued = at(fields.take("issued")?, "issued")?;
        let reason = fields.take("reason")?.to_string();
        Ok(Self { id, site, hosts, account, person, key, window, issued, reason })
    }

    fn check(&self) -> Result<(), GrantError> {
        let holds = |is_so: bool, error| if is_so { Ok(()) } else { Err(error) };
        holds(is_site_name(&self.site), SITE)?;
        let different: BTreeSet<&String> = self.hosts.iter().collect();
        holds((1..=MOST_HOSTS).contains(&self.hosts.len()) && different.len() == self.hosts.len(), HOSTS)?;
        holds(self.hosts.iter().all(|name| is_plain_name(name, LONGEST_HOST)), HOSTS)?;
        holds(self.person.as_str() != "root", PERSON)?;
        holds(self.window.start().has_date(), instant("not-before"))?;
        holds(self.window.end().has_date(), instant("not-after"))?;
        holds(self.issued.has_date(), instant("issued"))?;
        holds(is_reason(&self.reason), REASON)
    }

    /// The text that is signed.
    ///
    /// # Errors
    /// No text says this: a value is not what its line may have, or all of it is too long.
    pub fn write(&self) -> Result<String, GrantError> {
        self.check()?;
        let text = Writer::new()
            .line("form", FORM)
            .line("grant", self.id)
            .line("fleet", &self.site)
            .line("hosts", self.hosts.join(" "))
            .line("account", &self.account)
            .line("person", &self.person)
            .line("key", self.key.as_ref().map_or_else(|| NO_KEY.to_string(), PublicKey::line))
            .line("not-before", self.window.start())
            .line("not-after", self.window.end())
            .line("issued", self.issued)
            .line("reason", &self.reason)
            .finish()?;
        if text.len() <= LARGEST_TEXT { Ok(text) } else { Err(GrantError::TooLong) }
    }
}

#[cfg(test)]
pub(crate) mod tests;
