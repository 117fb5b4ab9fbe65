//! Instants as people read them: UTC first, since that is what logs say, then the reader's own zone.

use std::fmt;

use jiff::tz::TimeZone;
use policy::Timestamp;

/// An instant, seen from another one.
#[derive(Debug, Clone, Copy)]
pub struct When(pub Timestamp, pub Timestamp);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.near(self.1))
    }
}

impl When {
    /// `2026-11-20 18:00:00 UTC (19:00:00 CET)`; the zone is left out where it is UTC.
    pub fn full(self, zone: &TimeZone) -> String {
        let utc = self.0.to_string().replace('T', " ").replace('Z', " UTC");
        let local =
            jiff::Timestamp::from_second(self.0.unix()).ok().map(|at| at.to_zoned_datetime(zone.clone()));
        match local {
            Some(local) if local.offset().seconds() != 0 && !utc.ends_with(['s', 'r']) => {
                format!("{utc} ({})", local.strftime("%a %H:%M:%S %Z"))
            }
            _ => utc,
        }
    }
}

/// The instant that `--at` names; without it, now.
///
/// # Errors
/// Text that says how to write one.
pub fn asked(at: Option<&str>, now: Timestamp) -> Result<Timestamp, String> {
    at.map_or(Ok(now), parse)
}

/// Reads an instant.
///
/// # Errors
/// Text that says how to write one.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let at: jiff::Timestamp = text.parse().map_err(|_| {
        format!("`{text}` is not a valid time; write date, time and zone: 2026-11-20T18:00:00Z")
    })?;
    Ok(Timestamp::from_unix(at.as_second()))
}
