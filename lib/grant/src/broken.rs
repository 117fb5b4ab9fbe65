//! Break-glass: what stands in the way of somebody who lets themselves in, beside what stands in the way of every grant.
//!
//! It is asked when one is brought, and not again: what was accepted counts to its end, also once the roster is back.

use policy::{GrantRule, Span, Timestamp, Uptime};

use crate::{GrantId, Refusal, Stored};

/// So long after one that nobody has reviewed there is no other on the same host.
pub const AGAIN: Span = Span::hours(24);

/// A use of break-glass on this host that nobody has reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken {
    /// By which grant.
    pub id: GrantId,
    /// How long it stands in the way of another; zero or less: no more.
    pub left: Span,
}

impl Broken {
    /// What is known of a use that was accepted as `stored`, by clocks that show `now` and `uptime`: within its boot the clock
    /// that cannot be set tells how old it is, after that the other one. One that is of the future is as new as can be.
    pub fn of(stored: &Stored<'_>, now: Timestamp, uptime: &Uptime) -> Self {
        let age = stored.age(uptime).unwrap_or_else(|_| now.since(stored.at));
        let left = AGAIN.as_seconds().saturating_sub(age.as_seconds().max(0));
        Self { id: stored.document.grant.id, left: Span::seconds(left) }
    }

    /// Does it stand in the way of another?
    pub fn is_in_the_way(&self) -> bool {
        self.left > Span::seconds(0)
    }
}

/// May somebody whose grant is accepted by `rule` otherwise let themselves in: the host does not know who is on call, or
/// the rule does not ask, and no earlier use of this host stands in the way.
///
/// # Errors
/// What does.
pub fn may_break(
    rule: &GrantRule,
    knows_who_is_on_call: bool,
    broken: impl IntoIterator<Item = Broken>,
) -> Result<(), Refusal> {
    if knows_who_is_on_call && !rule.always {
        return Err(Refusal::OnCallKnown);
    }
    let last = broken.into_iter().filter(Broken::is_in_the_way).max_by_key(|broken| broken.left);
    last.map_or(Ok(()), |last| Err(Refusal::ReviewOpen(last.id, last.left)))
}
