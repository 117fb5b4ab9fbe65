//! What is drawn in the timeline: each kind of mark, with all that hangs on its kind.

use policy::Timestamp;

use super::super::login::Class;

/// What a mark is of, in the order in which marks lie on each other: bands of the rota are behind all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A shift that a rule takes.
    Could,
    /// One that none does.
    Untaken,
    /// One that did not count, because a file of `[[policy.rego]]` said so.
    LeftOut,
    Program,
    Exempt,
    Observed,
    OnCall,
    Grant,
    BreakGlass,
    /// A session that was open after the right had ended, or may have been.
    Outlived,
    /// Where this host first saw a shift.
    Late,
    Refused,
    Revoked,
    /// The latest end of a session of which none is recorded.
    Unsure,
}

impl What {
    /// All of them, as the legend has them: bars first.
    pub const ALL: [Self; 14] = [
        Self::Could,
        Self::Untaken,
        Self::LeftOut,
        Self::OnCall,
        Self::Grant,
        Self::BreakGlass,
        Self::Exempt,
        Self::Program,
        Self::Observed,
        Self::Outlived,
        Self::Unsure,
        Self::Refused,
        Self::Revoked,
        Self::Late,
    ];

    /// Of a login.
    pub fn of(class: Class) -> Self {
        match class {
            Class::OnCall => Self::OnCall,
            Class::Grant => Self::Grant,
            Class::BreakGlass => Self::BreakGlass,
            Class::Exempt => Self::Exempt,
            Class::Automation => Self::Program,
            Class::Observed => Self::Observed,
        }
    }

    /// In the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Could => "could",
            Self::Untaken => "untaken",
            Self::LeftOut => "left",
            Self::Program => "program",
            Self::Exempt => "exempt",
            Self::Observed => "observed",
            Self::OnCall => "oncall",
            Self::Grant => "grant",
            Self::BreakGlass => "glass",
            Self::Outlived => "outlived",
            Self::Late => "late",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Unsure => "unsure",
        }
    }

    /// The letter or sign of it, if it has one: beside its bar, or in place of one.
    pub fn sign(self) -> Option<&'static str> {
        match self {
            Self::Grant => Some("+"),
            Self::BreakGlass => Some("!"),
            Self::Late => Some("▾"),
            Self::Refused => Some("×"),
            Self::Revoked => Some("⊗"),
            Self::Unsure => Some("?"),
            _ => None,
        }
    }

    /// Is it a bar, whether it has a sign as well or not?
    pub fn is_bar(self) -> bool {
        !matches!(self, Self::Late | Self::Refused | Self::Revoked | Self::Unsure)
    }

    /// Is it behind the others?
    pub fn is_band(self) -> bool {
        matches!(self, Self::Could | Self::Untaken | Self::LeftOut)
    }

    /// Is it of tries, of which it is said how many?
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Refused | Self::Revoked)
    }

    /// How much it is to be seen: the less the more.
    pub fn weight(self) -> u8 {
        match self {
            Self::BreakGlass => 0,
            Self::Grant => 1,
            Self::Outlived => 2,
            Self::Late => 3,
            Self::OnCall => 4,
            Self::Could => 5,
            Self::Observed => 6,
            Self::Exempt => 7,
            Self::Refused | Self::Revoked => 8,
            Self::Untaken | Self::LeftOut | Self::Program | Self::Unsure => 9,
        }
    }

    /// What the legend says of it.
    pub fn told(self) -> &'static str {
        match self {
            Self::Could => "could be root: a shift, as this host knew the rota",
            Self::Untaken => "a shift that lets nobody in here: no rule of this host counts it",
            Self::LeftOut => "a shift that did not count here: a file of [[policy.rego]] left it out",
            Self::OnCall => "was in, on call",
            Self::Grant => "was in by a grant",
            Self::BreakGlass => "was in by break-glass",
            Self::Exempt => "was in by an exempt account",
            Self::Program => "a listed program was in",
            Self::Observed => "was in, since nothing is enforced",
            Self::Outlived => "still open after the right had ended",
            Self::Unsure => "no end recorded: open to here at most; still open, or cut off before",
            Self::Refused => "refused; with a number, so many times",
            Self::Revoked => "refused, and revoked",
            Self::Late => "when this host first saw a shift that was about to begin, or had begun",
        }
    }
}

/// What is drawn from one instant to another, or at one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub from: Timestamp,
    pub to: Timestamp,
    pub what: What,
    /// Is it drawn as its sign, and not as a bar?
    pub is_sign: bool,
    pub title: String,
    /// How many are drawn together.
    pub count: u64,
    /// Is it a session without a recorded end?
    pub is_open: bool,
}

impl Mark {
    /// A bar from one instant to another, or at the first where a clock was set back in between.
    pub fn bar(from: Timestamp, to: Timestamp, what: What, title: String) -> Self {
        Self { from, to: to.max(from), what, is_sign: false, title, count: 1, is_open: false }
    }

    /// The sign of it, at an instant.
    pub fn sign(at: Timestamp, what: What, title: String) -> Self {
        Self { is_sign: true, ..Self::bar(at, at, what, title) }
    }

    /// How many more it stands for.
    pub fn drawn_with(&self) -> String {
        if self.count > 1 { format!(", and {} more", self.count - 1) } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_kind_of_mark_has_a_look_and_a_word_of_its_own() {
        const STYLE: &str = include_str!("style.css");
        let all: BTreeSet<What> = What::ALL.into();
        assert_eq!(all.len(), What::ALL.len());
        for tell in [What::class, What::told] {
            assert_eq!(all.iter().map(|what| tell(*what)).collect::<BTreeSet<_>>().len(), all.len());
        }
        for what in all {
            let class = what.class();
            assert!(what.is_bar() || what.sign().is_some(), "{class}: nothing is drawn");
            assert_eq!(STYLE.contains(&format!("rect.{class} {{")), what.is_bar(), "{class}");
            assert_eq!(STYLE.contains(&format!("svg text.{class} {{")), what.sign().is_some(), "{class}");
        }
        // Whatever else is drawn lies on the bands.
        let (bands, others): (Vec<What>, Vec<What>) = What::ALL.into_iter().partition(|what| what.is_band());
        assert!(bands.iter().max() < others.iter().min());
    }
}
