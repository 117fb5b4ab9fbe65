//! What somebody reads on their terminal whose right ends.

use policy::ending::{Cause, Ends, Means};
use policy::{Decision, Timestamp};
use record::Record;

use crate::when::When;

/// One line: what ends, when and why, what is done then, and how to stay.
pub fn warning(record: &Record, decision: Option<&Decision>, ends: &Ends, now: Timestamp) -> String {
    let Ends { right, due, means, cause } = ends;
    let what = match cause {
        Cause::Shift => "your shift",
        Cause::Grant => "your grant",
        Cause::Revoked => "your access",
    };
    let end = match decision {
        Some(decision) if *right <= now => format!("{what} is over ({})", decision.reason),
        _ => format!("{what} ends at {}", When(*right, now)),
    };
    let done = match means {
        Means::HangUp => "this connection is closed",
        Means::Kill => "what runs here is ended",
    };
    let due = When(*due, now);
    let account = &record.account;
    format!(
        "oncall-cache: {end}; from {due} on {done} ({account}). To stay: a shift in the rota, or a grant (oncall-cache grant request)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Ground, Reason, Span, Verdict};

    #[test]
    fn a_warning_says_when_why_and_what_to_do() {
        let now = Timestamp::parse("2026-11-20T17:45:00Z").unwrap();
        let record = Record { account: "root".to_string(), ..Record::at(now) };
        let end = now.plus(Span::minutes(15));
        let due = end.plus(Span::minutes(5));
        let ends = Ends { right: end, due, means: Means::Kill, cause: Cause::Shift };
        assert_eq!(
            warning(&record, None, &ends, now),
            "oncall-cache: your shift ends at 18:00 UTC; from 18:05 UTC on what runs here is ended (root). To stay: a shift in \
             the rota, or a grant (oncall-cache grant request)"
        );
        let (verdict, reason) = (Verdict::Refuse, Reason::NotOnCall);
        let decision = Decision { verdict, reason, guard: None, ground: Ground::None, until: None };
        let ends = Ends { means: Means::HangUp, cause: Cause::Grant, ..ends };
        let told = warning(&record, Some(&decision), &ends, end);
        assert!(
            told.starts_with(
                "oncall-cache: your grant is over (not-oncall); from 18:05 UTC on this connection is closed"
            ),
            "{told}"
        );
    }
}
