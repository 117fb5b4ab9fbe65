//! `[policy.end]`: what is done about a session whose right has ended.

use crate::Span;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndAction {
    /// It is listed, and left open.
    #[default]
    List,
    /// A connection to a shared account is hung up; all else is listed.
    HangUp,
    /// What runs in it is ended.
    Kill,
}

impl EndAction {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::List, Self::HangUp, Self::Kill];

    /// The word in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::HangUp => "hangup",
            Self::Kill => "kill",
        }
    }

    /// The reverse of [`EndAction::word`].
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

/// `[policy.end]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// What is done about a session whose right has ended.
    pub action: EndAction,
    /// How long before the end of a right whoever sits there is warned.
    pub warn: Span,
    /// How long after its end, and after a warning, a session stays.
    pub grace: Span,
}

impl End {
    /// Sessions are looked at every minute: less than that is no length.
    pub const SHORTEST: Span = Span::minutes(1);

    /// The longest warning: what was read before that is forgotten.
    pub const LONGEST_WARN: Span = Span::hours(4);

    /// The longest grace: a session that stays for longer is as good as listed.
    pub const LONGEST_GRACE: Span = Span::hours(12);

    /// The least grace where a shift ends before it was said to: whoever is shortened by a mistake has time to say so.
    pub const SHORTENED_GRACE: Span = Span::minutes(15);
}

impl Default for End {
    fn default() -> Self {
        Self { action: EndAction::List, warn: Span::minutes(15), grace: Span::minutes(5) }
    }
}
