//! Which mode holds: the word in the configuration, or what root has said since then by a switch of this host.
//!
//! A pause turns enforcing into observing for some hours. An enforcement turns observing into enforcing: on
//! trial until an instant, or, once it is confirmed, until root ends it. What they say is data, and what follows
//! from it is decided here, so that a trial ends and a pause is over without anybody doing anything.

use alloc::string::String;
use core::time::Duration;

use crate::{Mode, Rules, Span, Timestamp};

/// What root said, when, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// When it was said.
    pub from: Timestamp,
    /// The first instant at which it holds no more; `None`: root ends it.
    pub until: Option<Timestamp>,
    /// Who said it.
    pub by: String,
    /// Why, in their words; may be empty.
    pub reason: String,
    /// The time since then by a clock that nobody can set, where that is known: not after a restart.
    pub elapsed: Option<Duration>,
}

impl Order {
    /// The longest that enforcing is paused.
    pub const LONGEST: Span = Span::hours(24);

    /// Does it hold at `now`? Not before it was said: a clock that went back must not make it longer; nor, by
    /// whatever clock, longer than was said.
    pub fn holds(&self, now: Timestamp) -> bool {
        let Some(until) = self.until else { return true };
        let length = u64::try_from(until.since(self.from).as_seconds()).unwrap_or(0);
        let in_time = self.from <= now.plus(Rules::SKEW) && now < until;
        in_time && self.elapsed.is_none_or(|elapsed| elapsed < Duration::from_secs(length))
    }
}

/// What the switch of this host says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switch {
    /// Enforcing is paused.
    pub pause: Option<Order>,
    /// Observing is over, or on trial to be.
    pub enforcement: Option<Order>,
}

impl Switch {
    /// Nobody has said anything.
    pub const fn untouched() -> Self {
        Self { pause: None, enforcement: None }
    }
}

/// Where the mode comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModeSource<'a> {
    /// The configuration says so.
    Config,
    /// Enforcing is paused.
    Paused(&'a Order),
    /// Enforcing is on trial; the configuration observes.
    Trial(&'a Order),
    /// Enforcing was tried and confirmed; the configuration observes.
    Confirmed(&'a Order),
    /// The switch cannot be read: it may have said that this host enforces.
    Unreadable,
}

impl ModeSource<'_> {
    /// A word for the log, where the mode is not simply what the configuration says.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Config | Self::Confirmed(_) => "",
            Self::Paused(_) => "paused",
            Self::Trial(_) => "trial",
            Self::Unreadable => "switch-unreadable",
        }
    }
}

/// The mode that holds at `now`, and where it comes from: `written` is the configuration's; the switch, `None` if it
/// cannot be read.
pub fn mode_in_force(written: Mode, switch: Option<&Switch>, now: Timestamp) -> (Mode, ModeSource<'_>) {
    let Some(switch) = switch else { return (Mode::Enforce, ModeSource::Unreadable) };
    let (mode, source) = match (written, &switch.enforcement) {
        (Mode::Observe, Some(order)) if order.holds(now) => {
            let source =
                if order.until.is_some() { ModeSource::Trial(order) } else { ModeSource::Confirmed(order) };
            (Mode::Enforce, source)
        }
        (written, _) => (written, ModeSource::Config),
    };
    match &switch.pause {
        // Where nothing is enforced yet as well: what is to be enforced would not be.
        Some(order) if order.holds(now) => (Mode::Observe, ModeSource::Paused(order)),
        _ => (mode, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn order(until: Option<i64>, elapsed: Option<u64>) -> Order {
        Order {
            from: at(0),
            until: until.map(at),
            by: String::from("root"),
            reason: String::new(),
            elapsed: elapsed.map(Duration::from_secs),
        }
    }

    fn mode(written: Mode, pause: Option<Order>, enforcement: Option<Order>, now: i64) -> Mode {
        mode_in_force(written, Some(&Switch { pause, enforcement }), at(now)).0
    }

    #[test]
    fn a_pause_observes_until_its_second_and_no_clock_makes_it_longer() {
        let paused = |elapsed, now| mode(Mode::Enforce, Some(order(Some(3_600), elapsed)), None, now);
        assert_eq!(paused(None, 0), Mode::Observe);
        assert_eq!(paused(None, 3_599), Mode::Observe);
        assert_eq!(paused(None, 3_600), Mode::Enforce);
        // A clock that went back: a little, before its start, and inside of it.
        assert_eq!(paused(None, -120), Mode::Observe);
        assert_eq!(paused(None, -121), Mode::Enforce);
        assert_eq!(paused(Some(3_599), 10), Mode::Observe);
        assert_eq!(paused(Some(3_600), 10), Mode::Enforce);
    }

    #[test]
    fn a_trial_enforces_until_its_second_and_a_confirmed_one_for_good() {
        let enforced = |until, now| mode(Mode::Observe, None, Some(order(until, None)), now);
        assert_eq!(enforced(Some(300), 299), Mode::Enforce);
        assert_eq!(enforced(Some(300), 300), Mode::Observe);
        assert_eq!(enforced(Some(300), -121), Mode::Observe);
        assert_eq!(enforced(None, 1_000_000_000), Mode::Enforce);
        assert_eq!(enforced(None, -1_000_000), Mode::Enforce);
        assert_eq!(mode(Mode::Observe, None, None, 0), Mode::Observe);
        assert_eq!(mode(Mode::Enforce, None, Some(order(Some(300), None)), 300), Mode::Enforce);
    }

    #[test]
    fn a_pause_goes_before_all_else_and_where_it_comes_from_is_told() {
        let switch = Switch { pause: Some(order(Some(60), None)), enforcement: Some(order(None, None)) };
        for written in [Mode::Enforce, Mode::Observe] {
            let (mode, source) = mode_in_force(written, Some(&switch), at(0));
            assert!(mode == Mode::Observe && matches!(source, ModeSource::Paused(_)));
            assert_eq!(mode_in_force(written, Some(&switch), at(60)).0, Mode::Enforce);
            assert_eq!(mode_in_force(written, None, at(0)), (Mode::Enforce, ModeSource::Unreadable));
            assert_eq!(
                mode_in_force(written, Some(&Switch::untouched()), at(0)),
                (written, ModeSource::Config)
            );
        }
        assert!(matches!(mode_in_force(Mode::Observe, Some(&switch), at(60)).1, ModeSource::Confirmed(_)));
        assert_eq!(mode_in_force(Mode::Enforce, Some(&switch), at(60)).1, ModeSource::Config);
        let alone = Switch { enforcement: None, ..switch };
        let (mode, source) = mode_in_force(Mode::Observe, Some(&alone), at(0));
        assert!(mode == Mode::Observe && matches!(source, ModeSource::Paused(_)), "told before it matters");
        assert_eq!(mode_in_force(Mode::Observe, Some(&alone), at(60)), (Mode::Observe, ModeSource::Config));
    }
}
