//! `[policy.end]`: what is done about a session whose right has ended.

use policy::{End, EndAction, Span};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Duration, Problem, problem};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EndSection {
    action: Option<Spanned<String>>,
    warn: Option<Spanned<Duration>>,
    grace: Option<Spanned<Duration>>,
}

impl EndSection {
    pub(super) fn check(&self) -> Result<End, Problem> {
        let standard = End::default();
        let length = |written: &Option<Spanned<Duration>>, standard: Span, name: &str, longest, why: &str| {
            let Some(written) = written else { return Ok(standard) };
            let length = written.get_ref().0;
            if (End::SHORTEST..=longest).contains(&length) {
                return Ok(length);
            }
            let text = format!("`{name}` is {} to {longest}: {why}", End::SHORTEST);
            Err(problem(written, text))
        };
        let warn = length(
            &self.warn,
            standard.warn,
            "warn",
            End::LONGEST_WARN,
            "sessions are looked at every minute, and what was read hours ago is forgotten",
        )?;
        let grace = length(
            &self.grace,
            standard.grace,
            "grace",
            End::LONGEST_GRACE,
            "sessions are looked at every minute; to leave them open for longer, write action = \"list\"",
        )?;
        Ok(End { action: self.action()?, warn, grace })
    }

    fn action(&self) -> Result<EndAction, Problem> {
        let Some(written) = &self.action else { return Ok(EndAction::default()) };
        EndAction::of_word(written.get_ref()).ok_or_else(|| {
            let text =
                format!("`{}` is no action; write \"list\", \"hangup\" or \"kill\"", written.get_ref());
            problem(written, text)
        })
    }
}
