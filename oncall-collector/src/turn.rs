//! Whose turn it is to publish, where there are several collectors; and whether this clock is one to publish by.

use std::fmt;

use policy::{Proven, Rules, Span, Timestamp, Uptime};

/// What a collector does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It publishes.
    Publish(Why),
    /// Another one does: who, and how long ago it last did.
    StandBy(Vec<String>, Span),
}

/// Why a collector publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing is published that counts.
    First,
    /// The last publication is its own.
    Own,
    /// The last publication is another's, and is old.
    TakesOver,
    /// It was asked to, or knows of a revocation that hosts do not know.
    Asked,
}

/// The last publication, as this question needs it.
#[derive(Debug, Clone, Copy)]
pub struct Last<'a> {
    /// Who signed it.
    pub names: &'a [String],
    /// Was that this collector?
    pub is_own: bool,
    /// When it was issued.
    pub issued: Timestamp,
}

/// Whose turn it is at `now`. Another collector is left to it for as long as `patience`; one whose clock is ahead counts as
/// at work just now.
pub fn turn(last: Option<&Last<'_>>, patience: Span, is_asked: bool, now: Timestamp) -> Turn {
    let Some(last) = last else { return Turn::Publish(Why::First) };
    let age = now.since(last.issued);
    if last.is_own {
        Turn::Publish(Why::Own)
    } else if age > patience {
        Turn::Publish(Why::TakesOver)
    } else if is_asked {
        Turn::Publish(Why::Asked)
    } else {
        Turn::StandBy(last.names.to_vec(), age)
    }
}

/// What shows that this clock is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockError {
    /// How far it is ahead of that; negative: behind.
    ahead: Span,
    /// What it was compared with.
    with: &'static str,
}

impl fmt::Display for ClockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ahead, with } = self;
        let (by, side) = match ahead.as_seconds() {
            seconds @ 0.. => (Span::seconds(seconds), "ahead of"),
            seconds => (Span::seconds(seconds.saturating_neg()), "behind"),
        };
        write!(
            f,
            "clock-skew: this host's clock is {by} {side} {with}, so hosts would be shown a wrong age; see `timedatectl`"
        )
    }
}

impl std::error::Error for ClockError {}

/// Is a clock that shows `now` one to publish by? `proven` is what the syncs know of the time, `date` the store's clock.
///
/// # Errors
/// It is not: a reading instant is what all ages on all hosts are counted from.
pub fn judge_clock(
    now: Timestamp,
    uptime: &Uptime,
    proven: &[Proven],
    date: Option<Timestamp>,
) -> Result<(), ClockError> {
    let judge = |shown: Timestamp, with, is_exact: bool| {
        let ahead = now.since(shown);
        let is_far = if is_exact { ahead > Rules::SKEW } else { false };
        let is_behind = shown.since(now) > Rules::SKEW;
        if is_far || is_behind { Err(ClockError { ahead, with }) } else { Ok(()) }
    };
    for one in proven {
        // After a restart it is only known what the time was before it.
        judge(one.floor(uptime), "what the last sync proved", one.reached(uptime).is_some())?;
    }
    date.map_or(Ok(()), |date| judge(date, "the store's", true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_000_000 + seconds)
    }

    #[test]
    fn a_standby_waits_for_three_intervals_without_a_publication() {
        let names = ["one".to_string()];
        let asked = |is_own, age: i64, is_asked| {
            turn(Some(&Last { names: &names, is_own, issued: at(-age) }), Span::seconds(90), is_asked, at(0))
        };
        assert_eq!(turn(None, Span::seconds(90), false, at(0)), Turn::Publish(Why::First));
        assert_eq!(asked(true, 5, false), Turn::Publish(Why::Own));
        assert_eq!(asked(false, 90, false), Turn::StandBy(names.to_vec(), Span::seconds(90)));
        assert_eq!(asked(false, -60, false), Turn::StandBy(names.to_vec(), Span::seconds(-60)));
        assert_eq!(asked(false, 91, false), Turn::Publish(Why::TakesOver));
        assert_eq!(asked(false, 5, true), Turn::Publish(Why::Asked));
    }

    #[test]
    fn a_clock_that_is_off_publishes_nothing() {
        let boot = |seconds| Uptime::new(Some(7), Duration::from_secs(seconds));
        let proven = [Proven::seen(at(0), None, boot(1000), at(0))];
        let judge = |now: i64, uptime: Uptime, date: Option<i64>| {
            judge_clock(at(now), &uptime, &proven, date.map(at)).map_err(|error| error.to_string())
        };
        for (now, uptime, date, is_good) in [
            (0, boot(1000), None, true),
            (121, boot(1000), None, false),
            (10, boot(1010), None, true),
            (130, boot(1010), None, true),
            (131, boot(1010), None, false),
            (-111, boot(1010), None, false),
            // After a restart: the time may be anything later.
            (9_000, Uptime::new(Some(8), Duration::from_secs(5)), None, true),
            (-121, Uptime::new(Some(8), Duration::from_secs(5)), None, false),
            (10, boot(1010), Some(130), true),
            (10, boot(1010), Some(131), false),
            (10, boot(1010), Some(-111), false),
        ] {
            assert_eq!(judge(now, uptime, date).is_ok(), is_good, "{now} {date:?}");
        }
        let text = judge(131, boot(1010), None).unwrap_err();
        assert!(
            text.starts_with("clock-skew: this host's clock is 2m 1s ahead of what the last sync"),
            "{text}"
        );
        assert!(judge(10, boot(1010), Some(131)).unwrap_err().contains("2m 1s behind the store's"));
    }
}
