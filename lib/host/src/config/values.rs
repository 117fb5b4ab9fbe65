//! What sections are made of: lengths of time, shares, names; and complaints about them.

use std::collections::BTreeSet;

use policy::Span;
use serde::Deserialize;
use toml::Spanned;

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

/// Reads a length of time as the configuration writes it, for command lines.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Span, String> {
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
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is not a duration; write a whole number and s, m, h or d: \"90s\", \"6h\"");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return Err(bad()),
        };
        let plain =
            !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
        let count: i64 =
            plain.then(|| number.parse().ok()).flatten().filter(|&count| count > 0).ok_or_else(bad)?;
        Ok(Self(Span::seconds(count.saturating_mul(seconds))))
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
