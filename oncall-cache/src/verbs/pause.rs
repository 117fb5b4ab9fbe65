//! `pause`: for some hours this host refuses nobody; root's order for when nothing else works.

use std::path::Path;

use host::orders::{LONGEST_REASON, is_reason};
use policy::{Order, Timestamp};

use crate::cli::PauseArguments;
use crate::said::{Live, Said};
use crate::switching::{Failure, Held, order, record, said};

/// Pauses enforcing, or ends that.
pub fn run(config: &Path, arguments: &PauseArguments, live: Live<'_>, now: Timestamp) -> Said {
    said(pause(config, arguments, live, now))
}

fn pause(
    config: &Path,
    arguments: &PauseArguments,
    live: Live<'_>,
    now: Timestamp,
) -> Result<Vec<String>, Failure> {
    let Some(length) = arguments.length.filter(|_| !arguments.end) else {
        let held = Held::take(config, live, now)?;
        if held.switch.pause.is_none() {
            return Err(Failure::Nothing("enforcing is not paused on this host"));
        }
        held.put("pause", None)?;
        record("resume", None);
        return Ok(vec!["no longer paused".to_string(), held.outcome(now)]);
    };
    let reason = arguments.reason.as_deref().unwrap_or_default().trim();
    if length > Order::LONGEST {
        return Err(Failure::Wrong(format!(
            "{length} is longer than {}, the longest pause; when it ends, pause again",
            Order::LONGEST
        )));
    }
    if reason.is_empty() || !is_reason(reason) {
        return Err(Failure::Wrong(format!("a reason is one line of 1 to {LONGEST_REASON} bytes")));
    }
    let held = Held::take(config, live, now)?;
    let order = order(now, Some(length), reason);
    record("pause", Some(&order));
    held.put("pause", Some(&order))?;
    Ok(vec![held.outcome(now)])
}
