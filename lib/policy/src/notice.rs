//! What somebody who is admitted reads when a session opens: until when their right lasts.

use core::fmt;

use alloc::format;
use alloc::string::String;

use crate::{Decision, Ground, Principal, Span, Timestamp};

/// A right that ends sooner is worth a word also to those who only call sudo.
const SOON: Span = Span::minutes(15);

/// One line for a person who is admitted by a shift or a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// By what.
    right: String,
    end: Timestamp,
    now: Timestamp,
}

impl Notice {
    /// What there is to say about `decision` at `now`; nothing where neither a shift nor a grant
    /// admits, or where none ends.
    pub fn new(decision: &Decision, now: Timestamp) -> Option<Self> {
        let (right, end) = match &decision.ground {
            Ground::OnCall(ground) => (format!("on call for {}", ground.schedule_name), ground.stretch.end()),
            Ground::Grant(grant) if grant.is_break_glass => {
                (format!("break-glass (grant {})", grant.id), grant.window.end())
            }
            Ground::Grant(grant) => {
                let names = Principal::list(&grant.approvers, " and ");
                (format!("let in by {names} (grant {})", grant.id), grant.window.end())
            }
            _ => return None,
        };
        // The verdict may change before the shift ends, for want of a sync: one comes before that, most likely.
        let end = decision.until.map_or(end, |until| until.max(end));
        let ends = decision.allows() && now < end && end < Timestamp::MAX;
        ends.then_some(Self { right, end, now })
    }

    /// Does the right end within a quarter of an hour?
    pub fn is_soon(&self) -> bool {
        self.left() < SOON
    }

    fn left(&self) -> Span {
        self.end.since(self.now)
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}", self.right, self.end.near(self.now))?;
        if self.is_soon() {
            let left = self.left();
            write!(f, ", in {left}: then sudo and new logins are refused")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Claim, IncidentState, OnCall, Reason, ScheduleRef, Verdict, Window};
    use alloc::string::ToString;

    const NINE: Timestamp = Timestamp::from_unix(1_795_165_200);

    fn decision(until: Timestamp) -> Decision {
        let ground = OnCall {
            late: None,
            rule: "db".to_string(),
            schedule: ScheduleRef { source: "pd".to_string(), id: "P1".to_string() },
            schedule_name: "db\x1b primary".into(),
            level: 1,
            window: Window::new(NINE, NINE.plus(Span::hours(9))).unwrap(),
            stretch: Window::new(NINE, NINE.plus(Span::hours(9))).unwrap(),
            age: Span::seconds(3),
            is_old: false,
            claim: Claim::NotNeeded,
            incident: IncidentState::NotNeeded,
        };
        let (verdict, reason) = (Verdict::Allow, Reason::OnCall);
        Decision { verdict, reason, guard: None, ground: Ground::OnCall(ground), until: Some(until) }
    }

    #[test]
    fn a_right_is_told_with_its_end_and_what_follows_if_that_is_near() {
        let told = |until, now| Notice::new(&decision(until), now).map(|notice| notice.to_string());
        let at = |hours| NINE.plus(Span::hours(hours));
        assert_eq!(told(at(9), NINE).unwrap(), "on call for db\u{fffd} primary until 18:00 UTC");
        // A touching shift lengthens it; news that grow old in between do not cut it.
        assert!(told(at(12), NINE).unwrap().ends_with(" until 21:00 UTC"));
        assert!(told(at(2), NINE).unwrap().ends_with(" until 18:00 UTC"));
        assert_eq!(
            told(at(9), at(9).minus(Span::seconds(90))).unwrap(),
            "on call for db\u{fffd} primary until 18:00 UTC, in 1m 30s: then sudo and new logins are refused"
        );
        assert_eq!(told(Timestamp::MAX, NINE), None);
        let other = Decision { ground: Ground::None, ..decision(at(9)) };
        assert_eq!(Notice::new(&other, NINE), None);
    }
}
