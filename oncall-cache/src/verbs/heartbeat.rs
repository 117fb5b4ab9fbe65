//! `heartbeat`, for the timer of that name: a record that says how many records this host has written since its boot, and
//! how many it had written in the boots before.
//!
//! A record that is missing shows by the numbers of those that are there. What is missing at the end of a boot shows by the
//! heartbeats of the next one, and a host that says nothing at all by the heartbeats that do not come.

mod boots;

use std::path::Path;

use approval::{Mark, Standing, standing};
use host::accounts;
use host::config::DEFAULT_AUDIT;
use policy::Timestamp;
use record::{Counts, Line, Phase, Record, Spool, Token};
use state::HostState;

use crate::said::{CANNOT_TELL, Said};
use boots::{Boot, Boots};

/// Whose minute's worth of records it counts for: no person's, since these end with `+` or `-`.
const WHO: &str = "heartbeat";

/// Writes one.
pub fn run(path: &Path, now: Timestamp) -> Said {
    if !accounts::is_root() {
        return Said::failure(CANNOT_TELL, "only root may write to the record of decisions; use sudo");
    }
    match beat(path, now) {
        Ok(()) => Said::default(),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    }
}

/// # Errors
/// Text that says what was not written, and why.
fn beat(path: &Path, now: Timestamp) -> Result<(), String> {
    let state = HostState::load(path);
    let (file, policy, problem) = match state.config() {
        Ok(config) => (config.paths.audit.clone(), status::policy_digest(config), String::new()),
        // Where the PAM module writes then, and as which host.
        Err(error) => (DEFAULT_AUDIT.into(), String::new(), error.to_string()),
    };
    let standing = state.config().ok().map(|config| standing(config, &Mark::path(), now));
    let spool = Spool::new(&file);
    let Some(ticket) = spool.ticket(WHO, now) else {
        return Err(
            "there were as many heartbeats in this minute as are recorded; wait for the next".to_string()
        );
    };
    let record = Record {
        host: state.rules().host.name.clone(),
        phase: Some(Token::Known(Phase::Heartbeat)),
        pid: Some(std::process::id()),
        policy,
        problem,
        ..approved(standing.as_ref(), Record::at(now))
    };
    let record = record.numbered(ticket);
    let this = Boot { id: record.boot_id.clone(), last: record.seq.unwrap_or_default(), seen: now };
    let boots = Boots::read(&file, this);
    let previous = boots.previous.iter().map(|boot| (boot.id.clone(), boot.last));
    let record = Record { previous: Counts(previous.collect()), ..record };
    let written = spool.append(&record.line()).map_err(|error| format!("{}: {error}", file.display()));
    line(&record, written.as_ref().err()).send("oncall-cache");
    let remembered = boots.write(&file);
    written.and(remembered)
}

/// The record with what is known of the policy that runs, for the centre.
fn approved(standing: Option<&Standing>, record: Record) -> Record {
    let Some(standing) = standing else { return record };
    let word = |is_as_signed| if is_as_signed { "signed" } else { "unsigned" };
    Record {
        approval: standing.is_as_signed().map(word).unwrap_or_default().to_string(),
        policy_number: standing.number(),
        policy_digest: standing.digest.clone(),
        ..record
    }
}

/// The log's line of it.
fn line(record: &Record, unwritten: Option<&String>) -> Line {
    let last = record.seq.map(|number| number.to_string()).unwrap_or_default();
    Line::heartbeat(&record.host)
        .field("boot", &record.boot_id)
        .field("last", &last)
        .field("previous", &record.previous.to_string())
        .field("policy", &record.policy)
        .field("approval", &record.approval)
        .field("problem", &record.problem)
        .field("dropped", &record.dropped.to_string())
        .field("unwritten", unwritten.map_or("", String::as_str))
}
