//! What follows from a decision: the one place that knows that a mode which only observes refuses nobody.

use crate::{Decision, Verdict};

/// `policy.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// People who are not admitted are refused.
    Enforce,
    /// Decisions are taken and logged, and nobody is refused. It opens nothing either.
    Observe,
}

/// What a hook does about a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Lets the person in.
    Allow,
    /// Has no say: the rest of the stack decides.
    Ignore,
    /// Refuses.
    Refuse,
    /// Refuses, because the evidence does not tell.
    CannotTell,
    /// Refuses a name that no account can have.
    BadName,
}

impl Effect {
    /// Is the person turned away?
    pub fn refuses(self) -> bool {
        !matches!(self, Self::Allow | Self::Ignore)
    }
}

impl Decision {
    /// What a hook does about this decision in `mode`.
    pub fn effect(&self, mode: Mode) -> Effect {
        match (self.verdict, mode) {
            (Verdict::Allow, _) => Effect::Allow,
            (Verdict::NotOurs, _) => Effect::Ignore,
            (Verdict::Refuse | Verdict::CannotTell | Verdict::BadName, Mode::Observe) => Effect::Ignore,
            (Verdict::Refuse, Mode::Enforce) => Effect::Refuse,
            (Verdict::CannotTell, Mode::Enforce) => Effect::CannotTell,
            (Verdict::BadName, Mode::Enforce) => Effect::BadName,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ground, Reason};

    #[test]
    fn observing_refuses_nobody_and_lets_nobody_in_whom_enforcing_would_not() {
        let effects = |verdict| {
            let decision = Decision {
                verdict,
                reason: Reason::NotOnCall,
                guard: None,
                ground: Ground::None,
                until: None,
            };
            (decision.effect(Mode::Enforce), decision.effect(Mode::Observe))
        };
        assert_eq!(effects(Verdict::Allow), (Effect::Allow, Effect::Allow));
        assert_eq!(effects(Verdict::NotOurs), (Effect::Ignore, Effect::Ignore));
        assert_eq!(effects(Verdict::Refuse), (Effect::Refuse, Effect::Ignore));
        assert_eq!(effects(Verdict::CannotTell), (Effect::CannotTell, Effect::Ignore));
        assert_eq!(effects(Verdict::BadName), (Effect::BadName, Effect::Ignore));
    }
}
