//! `watch`, for authkeys-doctor.timer: examines the host as `doctor` does, and tells what two runs agree on.
//!
//! One look may fall into the middle of somebody's edit, or of an upgrade. So what is new, or gone, is looked at again a
//! minute later, and only then counts: in the log, and as metrics for whoever is called. While dpkg or rpm works, that
//! waits for half an hour at most.

mod agreed;
mod files;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use approval::standing;
use doctor::{Severity, packages};
use host::Config;
use policy::Timestamp;
use record::Line;

use crate::said::{CANNOT_TELL, Live, Said};
use agreed::{Change, Seen};

/// How long one run goes on with what is not decided; the next one takes it from there.
const LONGEST: Duration = Duration::from_secs(40 * 60);

/// What is about the rota. Of a fleet's the collector says it, once for all hosts.
const OF_THE_ROTA: [&str; 2] = ["nobody-on-call", "ahead"];

/// Examines it until two runs, `again_after` apart, agree. `now` shows the time.
#[allow(clippy::disallowed_methods, reason = "two looks a while apart are what is meant")]
pub fn run(config: &Path, again_after: Duration, live: Live<'_>, now: impl Fn() -> Timestamp) -> Said {
    let begun = Instant::now();
    let mut watched = files::read();
    if let Err(problem) = keep_seen(config, now()) {
        (live.note)(format_args!("an older policy that comes back will not be told: {problem}"));
    }
    loop {
        let at = now();
        let seen = match look(config, live, at) {
            Ok(seen) => seen,
            Err(problem) => return Said::failure(CANNOT_TELL, problem),
        };
        for change in watched.see(&seen, at, packages::at_work().is_some()) {
            line(&change).send("oncall-cache");
        }
        if let Err(problem) = files::write(&watched, at) {
            return Said::failure(CANNOT_TELL, format!("nobody will be told of what was found: {problem}"));
        }
        if watched.is_decided() || begun.elapsed() >= LONGEST {
            return Said::default();
        }
        thread::sleep(again_after);
    }
}

/// Remembers the number of the signed policy that is in force: an older one is a replay from then on.
fn keep_seen(path: &Path, at: Timestamp) -> Result<(), String> {
    let Ok(config) = Config::load(path) else { return Ok(()) };
    let standing = standing(&config, &approval::Mark::path(), at);
    let in_force = standing.signed.as_ref().filter(|_| standing.is_as_signed() == Some(true));
    in_force.map_or(Ok(()), |signed| approval::Mark::keep(&approval::Mark::path(), signed))
}

/// What doctor finds that somebody should know of.
fn look(path: &Path, live: Live<'_>, at: Timestamp) -> Result<Vec<Seen>, String> {
    let (_, findings) = super::doctor::examine(path, live, at).map_err(|problem| problem.to_string())?;
    let of_fleet = Config::load(path).is_ok_and(|config| config.fleet.is_some());
    let counts = |id: &str| !(of_fleet && OF_THE_ROTA.contains(&id));
    let findings = findings.all().iter().filter(|finding| finding.severity != Severity::Note);
    let seen = findings.filter(|finding| counts(finding.id)).map(|finding| Seen {
        id: finding.id.to_string(),
        severity: finding.severity.to_string(),
        place: finding.place.as_ref().map(|place| place.file.clone()).unwrap_or_default(),
        what: finding.what.clone(),
    });
    Ok(seen.collect())
}

/// The log's line of what began to count, or ended.
fn line(change: &Change) -> Line {
    let (Change::Found(seen) | Change::Mended(seen)) = change;
    let is_found = matches!(change, Change::Found(_));
    let is_serious = matches!(seen.severity.as_str(), "open" | "lock-out");
    Line::finding(if is_found { "found" } else { "mended" })
        .alert(is_found && is_serious)
        .field("id", &seen.id)
        .field("severity", &seen.severity)
        .field("place", &seen.place)
        .field("what", &seen.what)
}
