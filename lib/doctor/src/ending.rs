//! `[policy.end]`: was it seen for a while what would be ended, before anything is killed?

use host::Config;
use policy::ending::Memory;
use policy::{EndAction, Span, Timestamp};
use trust::Owner;

use super::finding::{Finding, Place};

/// How long it should be recorded what would be ended.
const ENOUGH: Span = Span::hours(14 * 24);

/// Where sessions are killed that nobody has seen be listed.
pub fn check(config: &Config, now: Timestamp) -> Option<Finding> {
    if config.end.action != EndAction::Kill {
        return None;
    }
    let text = trust::read(&config.ending(), Owner::Root, Memory::LONGEST).ok();
    let memory = text.and_then(|text| Memory::parse(std::str::from_utf8(&text).ok()?)).unwrap_or_default();
    untried(memory.watched(now)).map(|found| found.at(Place::file(config.path.display())))
}

fn untried(watched: Span) -> Option<Finding> {
    if watched >= ENOUGH {
        return None;
    }
    let days = watched.as_seconds() / 86_400;
    let what = format!(
        "policy.end kills what runs in sessions, and only for {days} of 14 days was it recorded before what that would be"
    );
    let why = "what somebody left running on purpose ends with the shift, and nobody knew of it";
    let found = Finding::warning("end-untried", what).why(why);
    Some(found.advise(
        "action = \"list\" for two weeks; then read the records with phase would-end, and write \"kill\" again",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_weeks_of_records_are_enough() {
        assert!(untried(Span::hours(14 * 24)).is_none());
        assert!(untried(Span::hours(14 * 24 - 1)).is_some_and(|found| found.what.contains("13 of 14 days")));
    }
}
