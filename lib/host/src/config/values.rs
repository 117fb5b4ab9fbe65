//! What sections are made of: lengths of time, shares, names; and complaints about them.

use std::collections::BTreeSet;
use std::fmt;

use policy::{Account, Rules, Span};
use serde::Deserialize;
use toml::Spanned;

use super::grant::GRANT_DOOR;
use crate::toml_file;

/// A complaint about a value: its byte offset, and the text.
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) text: String,
}

pub(super) fn problem<T>(value: &Spanned<T>, text: impl Into<String>) -> Problem {
    Problem { at: value.span().start, text: text.into() }
}

/// `"20%"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Percent(pub(super) u8);

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.strip_suffix('%').filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let share = number.and_then(|number| number.parse().ok()).filter(|&share: &u8| share <= 100);
        share.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is not a share; write 0 to 100 and %: \"20%\""))
        })
    }
}

/// A text that is no length of time; prints as how to write one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError(String);

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text) = self;
        write!(f, "`{text}` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"")
    }
}

impl std::error::Error for DurationError {}

/// Reads a length of time as the configuration writes it, for command lines.
///
/// # Errors
/// It is none.
pub fn duration(text: &str) -> Result<Span, DurationError> {
    text.parse().map(|Duration(span)| span)
}

/// `"90s"`, `"5m"`, `"6h"`, `"3d"`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Duration(pub(super) Span);

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let length = Span::parse(text, "smhd", 6).filter(|length| *length > Span::seconds(0));
        length.map(Self).ok_or_else(|| DurationError(text.to_string()))
    }
}

pub(super) fn level(value: &Spanned<u8>) -> Result<u8, Problem> {
    match *value.get_ref() {
        0 => Err(problem(value, "escalation levels start at 1")),
        level => Ok(level),
    }
}

pub(super) fn first_level() -> Spanned<u8> {
    Spanned::new(0..0, 1)
}

pub(super) fn named<T>(
    value: &Spanned<String>,
    new: impl Fn(&str) -> Result<T, policy::NameError>,
) -> Result<T, Problem> {
    new(value.get_ref()).map_err(|error| problem(value, format!("`{}`: {error}", value.get_ref())))
}

pub(super) fn all_named<T>(
    values: &[Spanned<String>],
    new: impl Fn(&str) -> Result<T, policy::NameError> + Copy,
) -> Result<Vec<T>, Problem> {
    values.iter().map(|value| named(value, new)).collect()
}

/// An account that a rule is about. The door for grants is none: it is open to everybody who has a key, and does nothing but
/// take a text.
pub(super) fn account(value: &Spanned<String>) -> Result<Account, Problem> {
    match named(value, Account::new)? {
        account if account.as_str() == GRANT_DOOR => {
            let text = "takes grants and does nothing else, so no rule is about it; leave it out";
            Err(problem(value, format!("`{GRANT_DOOR}` {text}")))
        }
        account => Ok(account),
    }
}

/// The same of each.
pub(super) fn accounts(values: &[Spanned<String>]) -> Result<Vec<Account>, Problem> {
    values.iter().map(account).collect()
}

/// Refuses a second section of one name: it would say something that the first one hides.
pub(super) fn unique<'a>(
    names: impl Iterator<Item = &'a Spanned<String>>,
    section: &str,
) -> Result<(), Problem> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name.get_ref()) {
            return Err(problem(
                name,
                format!("a second {section} for `{}`; make one of them", name.get_ref()),
            ));
        }
    }
    Ok(())
}

/// What was probably meant by a name that nothing has, as the end of a complaint.
pub(super) fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    toml_file::nearest(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// Those of the services that this release decides for, written as `setting`; at least one.
pub(super) fn services(
    written: &Spanned<Vec<Spanned<String>>>,
    setting: &str,
) -> Result<Vec<String>, Problem> {
    if written.get_ref().is_empty() {
        let text = format!("`{setting}` is empty, so it has no effect; leave it out for the defaults");
        return Err(problem(written, text));
    }
    let known = |service: &Spanned<String>| match Rules::SERVICES.contains(&service.get_ref().as_str()) {
        true => Ok(service.get_ref().clone()),
        false => Err(problem(
            service,
            format!(
                "this release takes no decisions for service `{}`; it knows {}",
                service.get_ref(),
                Rules::SERVICES.join(", ")
            ),
        )),
    };
    written.get_ref().iter().map(known).collect()
}
