//! The reasons that people on call state: kept beside the grants, one for each person, and judged by nobody here. Whether
//! somebody is on call, and whether a reason is of this shift, is for whoever decides about a login.

use std::fmt;
use std::path::Path;

use grant::{claim_name, is_reason, write_claim};
use host::Config;
use policy::{Principal, Uptime};

use crate::hold::Hold;

/// Why a reason is not kept.
#[derive(Debug)]
pub enum Problem {
    /// It is not one line of plain text.
    Reason,
    /// Who states it is no person: root, or a program.
    Nobody,
    /// No rule here asks for one.
    NotAsked(String),
    /// This host cannot keep it; why.
    CannotKeep(String),
}

impl Problem {
    /// The word for the log.
    pub fn token(&self) -> &'static str {
        match self {
            Self::Reason => "form",
            Self::Nobody => "person",
            Self::NotAsked(_) => "no-rule",
            Self::CannotKeep(_) => "cannot-tell",
        }
    }

    /// 1 it is not kept, 2 that cannot be done now.
    pub fn exit_code(&self) -> u8 {
        if matches!(self, Self::CannotKeep(_)) { 2 } else { 1 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reason => f.write_str(
                "refused: a reason is 1 to 120 letters, digits, single blanks and . , : ; ? ! ( ) / + = # % _ -",
            ),
            Self::Nobody => f.write_str("refused: state it as yourself: this account is no person's"),
            Self::NotAsked(host) => write!(f, "refused: no [[policy.rule]] asks for a reason on this host ({host})"),
            Self::CannotKeep(why) => {
                write!(f, "not kept: {why}; as long as that is so, nobody is refused for want of a reason")
            }
        }
    }
}

/// Keeps what `person` states.
///
/// # Errors
/// It is not kept; why.
pub fn keep(
    path: &Path,
    hold: &Hold,
    person: impl FnOnce(&Config) -> Option<Principal>,
    text: &[u8],
    uptime: &Uptime,
) -> Result<(Principal, String), Problem> {
    let cannot = |why: &dyn fmt::Display| Problem::CannotKeep(why.to_string());
    let config = Config::load(path).map_err(|error| cannot(&error))?;
    if !config.rules.asks_claims() {
        return Err(Problem::NotAsked(config.rules.host.name));
    }
    let reason = std::str::from_utf8(text).map_err(|_| Problem::Reason)?;
    let reason = reason.strip_suffix('\n').unwrap_or(reason);
    if !is_reason(reason) {
        return Err(Problem::Reason);
    }
    let person = person(&config).ok_or(Problem::Nobody)?;
    let content = write_claim(uptime, reason);
    hold.keep_claim(&claim_name(&person), content.as_bytes()).map_err(|error| cannot(&error))?;
    Ok((person, reason.to_string()))
}
