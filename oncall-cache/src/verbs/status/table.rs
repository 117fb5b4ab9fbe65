//! The status for people.

use host::clock;
use host::output::counted;
use policy::{IncidentFeed, OneLine, Timestamp};
use status::{Known, OnCall, Status};

use crate::granted;
use crate::table::aligned;
use crate::when::When;

/// Everything for people.
pub fn table(status: &Status<'_>) -> String {
    let mut table = vec![
        ["SCHEDULE", "STATE", "LAST READ", "VALID UNTIL", "KNOWN UNTIL", "ON CALL NOW"].map(String::from),
    ];
    for row in &status.rows {
        let show =
            |cell: &dyn Fn(&Known<'_>) -> String| row.known.as_ref().map_or_else(|| "-".to_string(), cell);
        table.push([
            row.name.clone(),
            row.state.to_string(),
            show(&|known| format!("{} ago", known.age)),
            show(&|known| When(known.believed_until(), status.at).to_string()),
            show(&|known| When(known.schedule.horizon, status.at).to_string()),
            show(&|known| names(known)),
        ]);
    }
    let facts: String = facts(status)
        .into_iter()
        .map(|(name, value)| format!("\n  {name:<12}{}", OneLine::new(&value)))
        .collect();
    format!("{}\n\n{}{facts}", OneLine::from(status.headline()), aligned(&table))
}

fn facts(status: &Status<'_>) -> Vec<(&'static str, String)> {
    let mut facts: Vec<_> = status.mode_text().map(|told| ("mode", told)).into_iter().collect();
    match &status.report {
        Ok(report) => {
            let ago = since(status, Timestamp::from_unix(report.attempted));
            let outcome = match &report.problem {
                None => "published",
                Some(problem) => problem,
            };
            facts.push(("last sync", format!("{ago}: {outcome}")));
            if let Some(synced) = report.people_synced.map(Timestamp::from_unix) {
                facts.push(("people", format!("as in the directory {}", since(status, synced))));
            }
        }
        Err(problem) => facts.push(("last sync", format!("its result is not known: {problem}"))),
    }
    facts.extend(fleet(status).map(|told| ("fleet", told)));
    let known = status.incidents.iter().filter(|feed| feed.is_known(status.at));
    facts.extend(known.filter_map(|feed| incidents(status, feed)).map(|told| ("incidents", told)));
    match &status.grants {
        None => {}
        Some(Ok(grants)) => {
            facts.extend(grants.iter().map(|grant| ("grant", granted::line(grant, status.at))));
        }
        Some(Err(problem)) => facts.push(("grants", problem.clone())),
    }
    facts.push(("ways in", status.proofs.line(status.at, &clock::uptime())));
    facts.extend(status.outage_wait.map(|wait| {
        let text = format!(
            "while the directory does not answer, a login waits up to {} seconds: twice `timeout` in [keys]",
            wait.as_seconds()
        );
        ("outage", text)
    }));
    facts.extend(status.troubles().map(|trouble| ("trouble", trouble)));
    if let Ok(report) = &status.report {
        facts.extend(report.ahead.iter().map(|ahead| ("ahead", ahead.line(status.at).to_string())));
        facts.extend(report.inner_groups.iter().map(|told| ("eligible", told.clone())));
        if report.left_out > 0 {
            let (count, files) = (counted(report.left_out, "shift"), "files of [[policy.rego]]");
            facts.push((
                "left out",
                format!("{count}, whole or in part, by {files}; oncall-cache why PERSON says which"),
            ));
        }
        if report.unmapped > 0 {
            let text = format!(
                "{} of the providers' users match nobody in the directory; to list them: sudo oncall-cache identities --problems",
                report.unmapped
            );
            facts.push(("unmapped", text));
        }
    }
    facts.extend(status.remarks.iter().map(|remark| ("note", remark.clone())));
    facts
}

/// Which head of the fleet is held, and how old it is; what is wrong with it is among the troubles.
fn fleet(status: &Status<'_>) -> Option<String> {
    let fleet = status.fleet.as_ref()?.as_ref().ok()?;
    let head = fleet.head.as_ref()?;
    let issued = since(status, Timestamp::from_unix(head.issued));
    let seen = fleet.age(status.at).map(|age| format!("; last seen {age} ago")).unwrap_or_default();
    let place = fleet.url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
    let revoked = since(status, Timestamp::from_unix(head.revoked_read));
    Some(format!(
        "{}: head {} published {issued}{seen}{place}; revocations as of {revoked}",
        fleet.id, head.sequence
    ))
}

/// When it was read which incidents are open; what is not known is among the troubles.
fn incidents(status: &Status<'_>, feed: &IncidentFeed<'_>) -> Option<String> {
    let until = When(feed.known_until?, status.at);
    Some(format!("of {} as of {}; known until {until}", feed.source, since(status, feed.read?)))
}

fn since(status: &Status<'_>, instant: Timestamp) -> String {
    format!("{} ago ({})", status.at.since(instant), When(instant, status.at))
}

/// Who is on call now, for people.
fn names(known: &Known<'_>) -> String {
    if !known.believed {
        return "cannot tell".to_string();
    }
    let name = |OnCall { level, person, eligible, revoked }: &OnCall<'_>| {
        let level = if *level > 1 { format!(" (level {level})") } else { String::new() };
        let note = match (revoked, eligible) {
            (Some(true), _) => " (revoked)",
            (_, false) => " (not eligible)",
            (_, true) => "",
        };
        format!("{person}{level}{note}")
    };
    let names: Vec<String> = known.on_call.iter().map(name).collect();
    if names.is_empty() { "nobody".to_string() } else { names.join(", ") }
}
