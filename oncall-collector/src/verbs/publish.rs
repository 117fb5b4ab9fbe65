//! `publish`: what this host knows goes to the fleet.

use std::path::Path;

use host::output::counted;
use host::said::{CANNOT_TELL, Live, Said};
use policy::{Span, Timestamp};

use crate::cli::PublishArguments;
use crate::config::Config;
use crate::publisher::{CollectorError, Outcome, Published, Publisher};
use crate::turn::Why;

/// Publishes once, or says who does.
pub fn run(config: &Path, arguments: &PublishArguments, live: Live<'_>) -> Said {
    match publish(config, arguments.now, live) {
        Ok(Outcome::Published(published)) => {
            let is_quiet = arguments.quiet && !published.is_new && published.why == Why::Own;
            let said = Said::default()
                .notes(&published.notes)
                .notes(&published.problems)
                .exit(u8::from(!published.problems.is_empty()));
            if is_quiet { said } else { said.then(summary(&published)) }
        }
        Ok(Outcome::StandsBy(..)) if arguments.quiet => Said::default(),
        Ok(Outcome::StandsBy(who, age)) => Said::text(standby(&who, age)),
        Err(problem) => Said::failure(CANNOT_TELL, format_args!("not published: {problem}")),
    }
}

fn publish(config: &Path, is_asked: bool, live: Live<'_>) -> Result<Outcome, CollectorError> {
    let config = Config::load(config)?;
    Publisher::begin(&config, live)?.publish(is_asked)
}

/// Who publishes in this collector's place.
pub fn standby(who: &[String], age: Span) -> String {
    format!("standing by: {} published {age} ago", who.join(" and "))
}

/// What was published, in one line.
pub fn summary(published: &Published) -> String {
    let Published { head, why, schedules, revoked, written, is_new, .. } = published;
    let age = |read: Timestamp| head.issued.since(read);
    let mut parts = Vec::new();
    if let Some(read) = head.rota_read {
        parts.push(format!("{} read {} ago", counted(*schedules, "schedule"), age(read)));
    }
    if let Some(read) = head.people_read {
        parts.push(format!("people read {} ago", age(read)));
    }
    parts.push(counted(revoked.in_force(head.issued).count(), "revocation"));
    let after = match (why, is_new) {
        (Why::TakesOver, _) => "; took over from a collector that is late",
        (_, true) => "",
        (_, false) => "; nothing new",
    };
    let written = counted(*written, "object");
    format!("published {}: {}; {written} written{after}", head.sequence, parts.join(", "))
}
