//! Which person an account is of, where the host does not call accounts by people's plain names.
//!
//! A joined domain's accounts are called `alice@example.com` (sssd with fully qualified names) or `EXAMPLE\alice`
//! (winbind). What of such a name is dropped is written in the configuration and never guessed: of `alice` in two domains,
//! one would be taken for the other.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use crate::{NameError, Principal, Rules};

/// What comes before or after a person's name in an account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affix {
    /// `EXAMPLE\`
    Before(String),
    /// `@example.com`
    After(String),
}

impl Affix {
    /// The longest, in bytes: a domain's name and the sign.
    const LONGEST: usize = 255;

    /// Reads one as the configuration writes it. It has its sign at the side of the name, which no person's name has:
    /// so a plain name is never changed.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |rest: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !rest.is_empty() && rest.len() < Self::LONGEST && rest.bytes().all(fits)
        };
        let before = text.strip_suffix(['\\', '+']).filter(|rest| plain(rest));
        let after = text.strip_prefix('@').filter(|rest| plain(rest));
        before
            .map(|_| Self::Before(text.to_string()))
            .or_else(|| after.map(|_| Self::After(text.to_string())))
    }

    /// As the configuration writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Before(text) | Self::After(text) => text,
        }
    }

    fn take_from<'n>(&self, name: &'n str, fold_case: bool) -> Option<&'n str> {
        let is = |part: &str, text: &str| part == text || fold_case && part.eq_ignore_ascii_case(text);
        match self {
            Self::Before(text) => {
                name.split_at_checked(text.len()).filter(|(part, _)| is(part, text)).map(|(_, rest)| rest)
            }
            Self::After(text) => {
                let at = name.len().checked_sub(text.len())?;
                name.split_at_checked(at).filter(|(_, part)| is(part, text)).map(|(rest, _)| rest)
            }
        }
    }

    fn add_to(&self, name: &str) -> String {
        match self {
            Self::Before(text) => format!("{text}{name}"),
            Self::After(text) => format!("{name}{text}"),
        }
    }
}

/// `[names]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// What is dropped of an account's name; one of them, once.
    pub strip: Vec<Affix>,
    /// Are capital ASCII letters taken for small ones?
    pub fold_case: bool,
}

impl Names {
    /// The name of the person whose account `account` is, as far as `[names]` says.
    pub(crate) fn plain<'n>(&self, account: &'n str) -> Cow<'n, str> {
        let rest = self.strip.iter().find_map(|affix| affix.take_from(account, self.fold_case));
        let rest = rest.unwrap_or(account);
        if self.fold_case && rest.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(rest.to_ascii_lowercase())
        } else {
            Cow::Borrowed(rest)
        }
    }

    /// What accounts of `person` are called, as far as `[names]` says.
    pub fn accounts(&self, person: &Principal) -> Vec<String> {
        let more = self.strip.iter().map(|affix| affix.add_to(person.as_str()));
        vec![person.to_string()].into_iter().chain(more).collect()
    }
}

impl Rules {
    /// The person whose account `account` is: the one place that says so.
    ///
    /// An account that is somebody's by `[names]` alone is nobody's if the configuration gives that name a right of
    /// its own: `root@example.com` is not root, and `breakglass@example.com` is not exempt. A name that is guarded is
    /// guarded in every spelling ([`Rules::guard`]), and a revocation counts in every one ([`Rules::taken_from`]).
    pub fn person_of(&self, account: &str) -> Result<Principal, NameError> {
        let plain = self.names.plain(account);
        if plain != account && self.has_own_right(&plain) {
            return Err(NameError::Taken);
        }
        Principal::new(&plain)
    }

    /// Whose account `account` would be by `[names]`, if the configuration did not give that name another right.
    pub fn taken_from(&self, account: &str) -> Option<Principal> {
        match self.person_of(account) {
            Err(NameError::Taken) => Principal::new(&self.names.plain(account)).ok(),
            _ => None,
        }
    }

    /// Does an account of that name have another right?
    fn has_own_right(&self, name: &str) -> bool {
        name == "root" || self.exempts(name) || self.shared(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Account, Shared, Who};

    fn rules(strip: &[&str], fold_case: bool) -> Rules {
        let strip = strip.iter().map(|text| Affix::parse(text).unwrap()).collect();
        Rules { names: Names { strip, fold_case }, ..Rules::compiled() }
    }

    fn person(rules: &Rules, account: &str) -> Option<String> {
        rules.person_of(account).ok().map(|person| person.to_string())
    }

    #[test]
    fn what_is_written_is_dropped_once_and_nothing_else() {
        let both = rules(&["@example.com", "EXAMPLE\\"], false);
        for account in ["alice", "alice@example.com", "EXAMPLE\\alice"] {
            assert_eq!(person(&both, account).as_deref(), Some("alice"), "{account}");
        }
        for other in [
            "alice@evil.com",
            "alice@example.com@example.com",
            "EXAMPLE\\EXAMPLE\\alice",
            "EXAMPLE\\alice@example.com",
            "alice@EXAMPLE.com",
            "example\\alice",
            "Alice",
            "alice@",
            "@example.com",
            "EXAMPLE\\",
            "",
            "\u{e9}@example.com",
        ] {
            assert_eq!(person(&both, other), None, "{other}");
            assert_eq!(person(&Rules::compiled(), other), None, "{other}");
        }
        let folded = rules(&["@example.com", "EXAMPLE\\"], true);
        for account in ["Alice", "ALICE@Example.COM", "example\\aLice"] {
            assert_eq!(person(&folded, account).as_deref(), Some("alice"), "{account}");
        }
        assert_eq!(person(&rules(&[], true), "alice@example.com"), None);
    }

    #[test]
    fn a_name_that_the_configuration_gives_a_meaning_is_nobodys_by_another_spelling() {
        let mut rules = rules(&["@example.com"], true);
        rules.exempt_accounts = vec![Account::new("breakglass").unwrap()];
        let account = Account::new("deploy").unwrap();
        rules.shared = vec![Shared { account, people: Who::Everyone, explain_refusals: false }];
        for name in ["root", "breakglass", "deploy"] {
            assert!(rules.person_of(name).is_ok() && rules.taken_from(name).is_none(), "{name}");
            for spelling in [format!("{name}@example.com"), name.to_ascii_uppercase()] {
                assert_eq!(rules.person_of(&spelling), Err(NameError::Taken), "{spelling}");
                let taken_from = rules.taken_from(&spelling);
                assert_eq!(taken_from.as_ref().map(Principal::as_str), Some(name), "{spelling}");
            }
        }
    }

    #[test]
    fn an_affix_has_its_sign_at_the_side_of_the_name() {
        for bad in ["", "@", "\\", "example.com", "x", "a@b", "@a b", "@a:b", "\\EXAMPLE", "a,+", "@\u{e9}"] {
            assert_eq!(Affix::parse(bad), None, "{bad}");
        }
        let names = rules(&["@example.com", "EXAMPLE\\", "EXAMPLE+"], false).names;
        let alice = Principal::new("alice").unwrap();
        assert_eq!(names.accounts(&alice), ["alice", "alice@example.com", "EXAMPLE\\alice", "EXAMPLE+alice"]);
    }
}
