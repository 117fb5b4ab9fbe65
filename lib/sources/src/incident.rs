//! Incidents as a provider tells them, and what of that is believed.

use policy::Timestamp;

use crate::fetch::SKEW;
use crate::{ProviderError, User};

/// The longest id of a service or an incident, in bytes.
const LONGEST_ID: usize = 64;

/// One incident as the provider tells it. Whatever this suite has triggered itself is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderIncident {
    /// The provider's id of the service.
    pub service: String,
    /// The provider's id of the incident.
    pub id: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed; `None`: it is open.
    pub closed: Option<Timestamp>,
    /// Who opened it by hand, where somebody did.
    pub by: Option<User>,
}

/// `told`, if all of it can be true at `now`. One incident that cannot be true spoils the others: whoever says so errs about
/// the time, and which of them are open is not known then.
///
/// # Errors
/// The first that cannot be.
pub fn believable(told: &[ProviderIncident], now: Timestamp) -> Result<(), ProviderError> {
    let wrong = |one: &ProviderIncident| {
        let ProviderIncident { service, id, opened, closed, by: _ } = one;
        let is_word =
            |text: &str| text.len() <= LONGEST_ID && text.bytes().all(|byte| byte.is_ascii_graphic());
        let last = now.plus(SKEW);
        match closed {
            _ if id.is_empty() || !is_word(id) || service.is_empty() || !is_word(service) => {
                Some(format!("{id:?} of {service:?} is not the id of an incident of a service"))
            }
            _ if *opened > last => Some(format!("incident {id} was opened at {opened}, which has not come")),
            _ if !opened.has_date() => Some(format!("incident {id} was opened outside the calendar")),
            Some(closed) if closed < opened => {
                Some(format!("incident {id} was closed at {closed}, before it was opened at {opened}"))
            }
            Some(closed) if *closed > last => {
                Some(format!("incident {id} was closed at {closed}, which has not come"))
            }
            _ => None,
        }
    };
    match told.iter().find_map(wrong) {
        Some(problem) => {
            Err(ProviderError::source(&format!("{problem}; which incidents are open is not taken over")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a107_a_feed_that_errs_about_the_time_is_not_believed() {
        let at = Timestamp::from_unix;
        let one = |id: &str, opened, closed: Option<i64>| ProviderIncident {
            service: "PSVC1".to_string(),
            id: id.to_string(),
            opened: at(opened),
            closed: closed.map(at),
            by: None,
        };
        let now = at(10_000);
        let judged = |incident| {
            believable(&[one("Q0", 9_000, None), incident], now).map_err(|error| error.to_string())
        };
        // A provider's clock may be two minutes ahead.
        for good in [
            one("Q1", 0, None),
            one("Q1", 10_120, None),
            one("Q1", 5_000, Some(5_000)),
            one("Q1", 1, Some(10_120)),
        ] {
            assert_eq!(judged(good), Ok(()));
        }
        for (bad, words) in [
            (one("Q1", 10_121, None), "was opened at 1970-01-01T02:48:41Z, which has not come"),
            (one("Q1", 5_000, Some(4_999)), "before it was opened"),
            (one("Q1", 5_000, Some(10_121)), "was closed at 1970-01-01T02:48:41Z, which has not come"),
            (one("", 5_000, None), "is not the id of an incident"),
            (one("Q 1", 5_000, None), "is not the id of an incident"),
            (ProviderIncident { opened: Timestamp::MIN, ..one("Q1", 0, None) }, "outside the calendar"),
            (
                ProviderIncident { service: "x".repeat(65), ..one("Q1", 0, None) },
                "is not the id of an incident",
            ),
        ] {
            let told = judged(bad).unwrap_err();
            assert!(told.starts_with("source-error: ") && told.contains(words), "{told}");
        }
    }
}
