//! The answer to a request for a sync.

use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The time from one sync to the next that may be asked for.
pub const EVERY: Span = Span::seconds(30);

/// The same for a collector that heard of a change from the provider itself, by a signed webhook.
pub const AFTER_WEBHOOK: Span = Span::seconds(2);

/// The longest message, in bytes.
const LONGEST_MESSAGE: usize = 4096;

/// The only form so far.
pub const VERSION: u32 = 1;

/// What everybody who waits is told; one JSON object, and the same for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Changes when a field changes its meaning or goes.
    pub version: u32,
    /// 0, all of it is new; 1, some of it, or it was too early; 2, nothing is new.
    pub exit: u8,
    /// Did a sync begin after this was asked for? Absent in answers of earlier releases.
    #[serde(default)]
    pub began: bool,
    /// What the sync said, or why there was none, and who is on call.
    pub message: String,
    /// When the last sync began, in RFC 3339; where that is known.
    pub attempted: Option<String>,
    /// From when on another may be asked for.
    pub next: Option<String>,
}

impl Answer {
    /// An answer after a sync that began at `attempted`, if one is known of.
    pub fn new(exit: u8, began: bool, message: &str, attempted: Option<Timestamp>) -> Self {
        let end = (0..=LONGEST_MESSAGE).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        let cut = if message.len() > end { "…" } else { "" };
        Self {
            version: VERSION,
            exit,
            began,
            message: format!("{}{cut}", message.get(..end).unwrap_or(message)),
            attempted: attempted.map(|at| at.to_string()),
            next: attempted.map(|at| at.plus(EVERY).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_between_letters() {
        let answer = Answer::new(0, true, &"é".repeat(LONGEST_MESSAGE), None);
        assert_eq!(answer.message.len(), LONGEST_MESSAGE + "…".len());
        assert_eq!(Answer::new(0, true, "short", None).message, "short");
    }
}
