//! The keys that sign what is published, and the list by which hosts judge signatures.

use std::fmt;
use std::path::PathBuf;

use policy::Timestamp;
use signed::{Purpose, SignatureError, Signers, SigningKey, SigningKeyError, verify};
use trust::{Owner, Refusal};

use crate::config::Config;

/// The largest private key that is read, in bytes.
const LARGEST_KEY: u64 = 16 * 1024;

/// The keys of this collector, each with the name that hosts know it by.
#[derive(Debug)]
pub struct Signing {
    own: Vec<(SigningKey, String)>,
    /// Whose signatures count, as hosts have it.
    pub signers: Signers,
    /// Keys of this collector whose signatures count for nothing: the file, and why.
    pub idle: Vec<(PathBuf, SignatureError)>,
}

/// Why this collector cannot sign.
#[derive(Debug)]
pub enum SigningError {
    /// A file is absent, unreadable, or others could have written it.
    File(Refusal),
    /// A file holds no key that signs.
    Key(PathBuf, SigningKeyError),
    /// No signature of this collector would count: the list, and why the first one would not.
    NotListed(PathBuf, SignatureError),
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) if refusal.is_missing() => {
                write!(f, "{refusal}; see `oncall-collector key new`")
            }
            Self::File(refusal) if refusal.is_denied() => {
                write!(f, "{refusal}; the unit's user reads it: chown root:oncall-collector and chmod 640 it")
            }
            Self::File(refusal) => refusal.fmt(f),
            Self::Key(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotListed(list, error) => write!(
                f,
                "no host would take over what this collector signs, by its {}: {error}",
                list.display()
            ),
        }
    }
}

impl std::error::Error for SigningError {}

impl Signing {
    /// Reads keys and list, and tries each key.
    ///
    /// # Errors
    /// A file cannot be used, or no signature would count at `now`.
    pub fn load(config: &Config, now: Timestamp) -> Result<Self, SigningError> {
        let (signers, _) = mirror::read_signers(&config.signers).map_err(SigningError::File)?;
        let (mut own, mut idle) = (Vec::new(), Vec::new());
        for path in &config.signing_keys {
            let pem = trust::read_secret(path, Owner::Root, LARGEST_KEY).map_err(SigningError::File)?;
            let key = SigningKey::parse(&pem).map_err(|error| SigningError::Key(path.clone(), error))?;
            let armour =
                key.sign(Purpose::Head, PROBE).map_err(|error| SigningError::Key(path.clone(), error))?;
            match verify(&signers, Purpose::Head, PROBE, armour.as_bytes(), now) {
                Ok(signer) => own.push((key, signer.name.clone())),
                Err(error) => idle.push((path.clone(), error)),
            }
        }
        if let (true, Some((_, error))) = (own.is_empty(), idle.first()) {
            return Err(SigningError::NotListed(config.signers.clone(), error.clone()));
        }
        Ok(Self { own, signers, idle })
    }

    /// Is one of these who signed this collector?
    pub fn is_own(&self, names: &[String]) -> bool {
        self.own.iter().any(|(_, own)| names.contains(own))
    }

    /// `text` with a signature by each key.
    ///
    /// # Errors
    /// A key could not sign.
    pub fn sign(&self, text: &str) -> Result<String, SigningKeyError> {
        let mut document = text.to_string();
        for (key, _) in &self.own {
            document += &key.sign(Purpose::Head, text.as_bytes())?;
        }
        Ok(document)
    }

    /// When the last key of this collector ends by the list, if each has an end.
    pub fn ends(&self) -> Option<Timestamp> {
        let ends = self.own.iter().map(|(key, _)| {
            let lines = self
                .signers
                .iter()
                .filter(|signer| signer.key == *key.public() && signer.signs(Purpose::Head));
            lines.map(|signer| signer.ends().unwrap_or(Timestamp::MAX)).max().unwrap_or(Timestamp::MAX)
        });
        ends.max().filter(|end| *end < Timestamp::MAX)
    }
}

/// What is signed to see whether a signature counts. No head begins like this.
const PROBE: &[u8] = b"probe\n";
