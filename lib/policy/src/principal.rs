//! Names of people, of Unix accounts and of groups: validated on construction, never mixed up.
//!
//! All follow one grammar, `[a-z_][a-z0-9_.-]{0,31}`, because a name travels into LDAP filters,
//! log lines and group files. A name outside it is refused before anything is read or sent.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The longest name, in bytes: what `useradd` and utmp hold.
const LONGEST: usize = 32;

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// No bytes at all.
    Empty,
    /// More than 32 bytes; the number of bytes.
    TooLong(usize),
    /// A byte that the grammar does not allow, and its position.
    Byte(u8, usize),
    /// By `[names]` it would be an account that the configuration names.
    Taken,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name cannot be empty"),
            Self::TooLong(length) => write!(f, "a name has at most {LONGEST} bytes, this one has {length}"),
            Self::Byte(byte, at) => write!(
                f,
                "byte {} (0x{byte:02x}) does not fit [a-z_][a-z0-9_.-]{{0,31}}",
                at.saturating_add(1)
            ),
            Self::Taken => {
                f.write_str("without what [names] strips, it is an account that config.toml names")
            }
        }
    }
}

impl core::error::Error for NameError {}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > LONGEST {
        return Err(NameError::TooLong(name.len()));
    }
    let fits = |at: usize, byte: u8| match byte {
        b'a'..=b'z' | b'_' => true,
        b'0'..=b'9' | b'.' | b'-' => at > 0,
        _ => false,
    };
    match name.bytes().enumerate().find(|(at, byte)| !fits(*at, *byte)) {
        Some((at, byte)) => Err(NameError::Byte(byte, at)),
        None => Ok(()),
    }
}

/// Does `name` fit the grammar? For text that is read where it lies.
pub(crate) fn is_name(name: &str) -> bool {
    check(name).is_ok()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Does `name` fit the grammar?
            pub fn check(name: &str) -> Result<(), NameError> {
                check(name)
            }

            /// Accepts `name` if it fits the grammar.
            pub fn new(name: &str) -> Result<Self, NameError> {
                check(name)?;
                Ok(Self(String::from(name)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A person, by the uid the directory knows them by: `alice`.
    Principal
}

name! {
    /// A Unix login that is being entered: `root`, `deploy`.
    Account
}

name! {
    /// A Unix group of ours: `oncall`.
    GroupName
}

impl Account {
    /// The person whose personal account this is: a personal account is named like its owner.
    pub fn owner(&self) -> Principal {
        Principal(self.0.clone())
    }
}

impl Principal {
    /// Their names, with `between` between two of them: `alice,bob`.
    pub fn list<'a>(people: impl IntoIterator<Item = &'a Self>, between: &str) -> String {
        people.into_iter().map(Self::as_str).collect::<Vec<_>>().join(between)
    }

    /// The personal account of this person.
    pub fn personal_account(&self) -> Account {
        Account(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_grammar_or_are_refused() {
        for good in ["a", "_x", "alice", "a.b-c_9", &"x".repeat(32)] {
            assert_eq!(Principal::new(good).unwrap().as_str(), good);
        }
        assert_eq!(Account::new(""), Err(NameError::Empty));
        assert_eq!(Account::new(&"x".repeat(33)), Err(NameError::TooLong(33)));
        for (bad, byte, at) in [
            ("*", b'*', 0),
            ("-x", b'-', 0),
            ("9x", b'9', 0),
            ("Alice", b'A', 0),
            ("a)(uid=*", b')', 1),
            ("a\n", b'\n', 1),
            ("al\u{ee}ce", 0xc3, 2),
            ("\\2a", b'\\', 0),
        ] {
            assert_eq!(Account::new(bad), Err(NameError::Byte(byte, at)), "{bad:?}");
        }
    }
}
