//! The time that is asked about.

use policy::{Span, Timestamp};

use crate::when;

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Period {
    /// From this instant.
    pub since: Timestamp,
    /// Up to, not including, this one.
    pub until: Timestamp,
}

impl Period {
    /// Reads `--since` and `--until`: an instant, or how long before `now`.
    ///
    /// # Errors
    /// Text that says what cannot be read.
    pub fn parse(since: &str, until: Option<&str>, now: Timestamp) -> Result<Self, String> {
        let read = |text: &str| match Span::parse(text, "mhdw", 5) {
            Some(ago) => Ok(now.minus(ago)),
            None => when::parse(text).map_err(|_| {
                format!("`{text}` is not a time; write 30d, 12h or 90m ago, or 2026-11-20T18:00:00Z")
            }),
        };
        // What is recorded in this very second is in it.
        let until = until.map_or(Ok(now.plus(Span::seconds(1))), read)?;
        let since = read(since)?;
        if since < until {
            Ok(Self { since, until })
        } else {
            Err(format!("there is no time between {since} and {until}"))
        }
    }

    /// Is `at` in it?
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_two_instants_or_how_long_ago_they_were() {
        let now = Timestamp::from_unix(1_795_165_200);
        let period =
            |since, until| Period::parse(since, until, now).map(|p| (p.since.unix(), p.until.unix()));
        assert_eq!(period("30d", None), Ok((now.unix() - 30 * 86_400, now.unix() + 1)));
        assert_eq!(
            period("2026-11-20T08:00:00Z", Some("90m")),
            Err("there is no time between 2026-11-20T08:00:00Z and 2026-11-20T07:30:00Z".to_string())
        );
        for bad in ["", "d", "-1d", "1y", "é", "999999d", "yesterday"] {
            assert!(period(bad, None).is_err(), "{bad}");
        }
    }
}
