//! `claim`: states why somebody on call enters as root, once a shift.

use grant::is_reason;

use super::grant::claim;
use crate::said::Said;

/// Hands it to whoever keeps reasons on this host.
pub fn run(reason: &str) -> Said {
    if !is_reason(reason.trim()) {
        return Said::usage(
            "--reason: 1 to 120 letters, digits, single blanks and . , : ; ? ! ( ) / + = # % _ -, such as INC-42",
        );
    }
    claim(reason)
}
