//! Which mode holds on this host, and where that comes from, in words.

use policy::{ModeSource, Order, Timestamp};
use state::HostState;

/// The reason of an order by which enforcing lasts while it is being tested; nobody says why they enforce.
pub const TESTED: &str = "being tested";

/// Where the mode of this host comes from at `at`, for people; `None`: from the configuration.
pub fn of(state: &HostState, at: Timestamp) -> Option<String> {
    let problem = state.switch().err().map(ToString::to_string);
    told(state.mode(at).1, problem.as_deref(), at)
}

/// The same of this `source`, with what is wrong with the switch.
pub fn told(source: ModeSource<'_>, problem: Option<&str>, at: Timestamp) -> Option<String> {
    let because = |order: &Order| match order.reason.as_str() {
        "" => format!("by {}", order.by),
        reason => format!("by {}: {reason}", order.by),
    };
    let until = |order: &Order| order.until.map(|until| until.near(at).to_string()).unwrap_or_default();
    match source {
        ModeSource::Config => None,
        ModeSource::Paused(order) => Some(format!(
            "enforcing is PAUSED until {}, nobody is refused ({}); to end it: oncall-cache pause --end",
            until(order),
            because(order)
        )),
        ModeSource::Trial(order) if order.reason == TESTED => {
            Some(format!("enforced until {} while it is tested", until(order)))
        }
        ModeSource::Trial(order) => Some(format!(
            "enforced on trial until {} ({}); to keep it: oncall-cache enforce --confirm, from a new login",
            until(order),
            because(order)
        )),
        ModeSource::Confirmed(order) => Some(format!(
            "enforced since {} ({}), while config.toml observes; to go back: oncall-cache enforce --end",
            order.from.near(at),
            because(order)
        )),
        ModeSource::Unreadable => {
            Some(format!("enforced, because the switch cannot be read: {}", problem.unwrap_or_default()))
        }
    }
}

/// The same for programs: a word, or `None`.
pub fn source(source: ModeSource<'_>) -> Option<&'static str> {
    match source {
        ModeSource::Config => None,
        ModeSource::Paused(_) => Some("paused"),
        ModeSource::Trial(_) => Some("trial"),
        ModeSource::Confirmed(_) => Some("confirmed"),
        ModeSource::Unreadable => Some("unreadable"),
    }
}
