//! Queries and forms, decoded, and the instants in them.

use super::{Refusal, invalid};

/// A query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').ok_or_else(|| invalid(format!("{pair} has no =")))?;
            Ok((decode(name)?, decode(value)?))
        };
        text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Refuses parameters that are neither `single` nor `lists` (name, allowed values; none: any but the empty one).
    pub(super) fn knows(&self, single: &[&str], lists: &[(&str, &[&str])]) -> Result<(), Refusal> {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let list = lists.iter().find(|(list, _)| list == name);
            let allowed = match list {
                Some((_, [])) => !value.is_empty(),
                Some((_, values)) => values.contains(&value.as_str()),
                None => single.contains(&name.as_str()),
            };
            if !allowed {
                return Err(invalid(format!("{name}={value} is not known here")));
            }
            if self.0[..index]
                .iter()
                .any(|earlier| earlier.0 == *name && (list.is_none() || earlier.1 == *value))
            {
                return Err(invalid(format!("{name}={value} comes twice")));
            }
        }
        Ok(())
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(invalid(format!("{name} comes twice"))),
        }
    }
}

/// `application/x-www-form-urlencoded`: a plus that is not escaped is a space.
fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap_or_default(), bytes.next().unwrap_or_default()];
                let digits = std::str::from_utf8(&digits).ok().filter(|text| !text.starts_with('+'));
                digits
                    .and_then(|digits| u8::from_str_radix(digits, 16).ok())
                    .ok_or_else(|| invalid(format!("{text} has a bad escape")))?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| invalid(format!("{text} is not UTF-8")))
}

/// RFC 3339 and nothing looser: `2026-11-20T09:00:00Z`, `…09:00:00.5+01:00`; in seconds since the epoch.
pub(super) fn instant(name: &str, text: &str) -> Result<i64, Refusal> {
    read_instant(text).ok_or_else(|| invalid(format!("{name} is {text}, which is not RFC 3339")))
}

pub(super) fn read_instant(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(rest.get(..8)?, ':', [2, 2, 2])?;
    let mut zone = rest.get(8..)?;
    if let Some(fraction) = zone.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        zone = fraction.get(digits..).filter(|_| digits > 0)?;
    }
    let offset = match zone.split_at_checked(1)? {
        ("Z", "") => 0,
        (sign @ ("+" | "-"), rest) => {
            let [hours, minutes] = numbers(rest, ':', [2, 2])?;
            (hours * 60 + minutes) * if sign == "-" { -60 } else { 60 }
        }
        _ => return None,
    };
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    fits.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset)
}

/// `N` numbers of exactly so many digits each, between `separator`s.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[i64; N]> {
    let parts: Vec<&str> = text.split(separator).collect();
    let plain =
        |(part, &length): (&&str, &usize)| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
    (parts.len() == N && parts.iter().zip(&digits).all(plain)).then_some(())?;
    parts.iter().map(|part| part.parse().ok()).collect::<Option<Vec<i64>>>()?.try_into().ok()
}

/// Days since the epoch, counted over years that begin in March.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (153 * month + 2) / 5
        + day
        - 719_469
}
