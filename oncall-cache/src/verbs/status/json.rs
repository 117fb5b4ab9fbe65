//! The status for programs.

use policy::{IncidentFeed, Mode, Span, Timestamp};
use serde_json::{Value, json};
use status::{FleetStatus, HeadStatus, OnCall, RefusedHead, Row, Status, SyncStatusError, mode};

use crate::granted;

/// One object. `version` changes when a field changes its meaning or goes.
pub fn json(status: &Status<'_>) -> Value {
    let report = status.report.as_ref().ok();
    let instant = |unix: i64| Timestamp::from_unix(unix).to_string();
    let ways_in = ways_in(status);
    json!({
        "version": 1,
        "at": status.at.to_string(),
        "host": status.host,
        "health": status.health().to_string(),
        "message": status.headline(),
        "revoked_problem": status.revoked,
        "revoked_stale": status.revoked_is_stale,
        "fleet": status.fleet.as_ref().map(|fleet| fleet_json(fleet, status.at)),
        "fleet_problem": status.fleet_trouble(),
        "roster_problem": status.roster.err().map(ToString::to_string),
        "published": status.roster.ok().map(|roster| roster.published.to_string()),
        "clock_holds": status.clock_holds(),
        "last_sync": report.map(|report| json!({
            "attempted": instant(report.attempted),
            "published": report.published,
            "problem": report.problem,
            "people_synced": report.people_synced.map(instant),
            "inner_groups": report.inner_groups,
            "unmapped": report.unmapped,
            "groups_problem": report.groups_problem,
            "incidents_problem": report.incidents_problem,
            "left_out": report.left_out,
            "rego_problem": report.rego_problem,
            "rego_refused": report.rego_refused,
            "ahead": report.ahead.iter().map(|ahead| json!({
                "who": ahead.who,
                "schedule": ahead.schedule,
                "start": instant(ahead.start),
                "problem": ahead.problem,
            })).collect::<Vec<_>>(),
        })),
        "last_sync_problem": status.report.as_ref().err().map(ToString::to_string),
        "mode": if status.mode.0 == Mode::Observe { "observe" } else { "enforce" },
        "mode_by": status.mode_by(),
        "mode_source": mode::source(status.mode.1),
        "paused_until": status.paused_until().map(|until| until.to_string()),
        "grants": granted::json(status.grants.as_ref()),
        "grants_problem": granted::problem(status.grants.as_ref()),
        "way_in": ways_in.first(),
        "ways_in": ways_in,
        "outage_wait_seconds": status.outage_wait.map(Span::as_seconds),
        "remarks": status.remarks,
        "incidents": status.incidents.iter().map(|feed| feed_json(feed, status.at)).collect::<Vec<_>>(),
        "schedules": status.rows.iter().map(row_json).collect::<Vec<_>>(),
    })
}

/// The instants at which ways in that need no network were last proven, the latest first.
fn ways_in(status: &Status<'_>) -> Vec<Value> {
    let one = |(at, told): (Timestamp, String)| json!({ "at": at.to_string(), "told": told });
    status.proofs.by_instant().into_iter().map(one).collect()
}

/// What was pulled, every field null where it is not known.
fn fleet_json(fleet: &Result<FleetStatus, SyncStatusError>, at: Timestamp) -> Value {
    let Ok(fleet) = fleet else { return json!({}) };
    let FleetStatus { version: _, id, checked, url, head, refused } = fleet;
    let instant = |unix: i64| Timestamp::from_unix(unix).to_string();
    let refused = refused.as_ref().map(|RefusedHead { reason, since, text, url }| {
        json!({ "reason": reason, "since": instant(*since), "text": text, "url": url })
    });
    let head =
        head.as_ref().map(|HeadStatus { sequence, issued, valid, rota_read, people_read, revoked_read }| {
            json!({
                "sequence": sequence,
                "issued": instant(*issued),
                "valid": instant(*valid),
                "rota_read": rota_read.map(instant),
                "people_read": people_read.map(instant),
                "revoked_read": instant(*revoked_read),
            })
        });
    json!({
        "id": id,
        "checked": checked.map(instant),
        "age_seconds": fleet.age(at).map(Span::as_seconds),
        "url": url,
        "head": head,
        "lag_seconds": fleet.lag(at).map(Span::as_seconds),
        "refused": refused,
    })
}

/// How well it is known which incidents of a source are open.
fn feed_json(feed: &IncidentFeed<'_>, at: Timestamp) -> Value {
    json!({
        "source": feed.source,
        "known": feed.is_known(at),
        "read": feed.read.map(|read| read.to_string()),
        "age_seconds": feed.read.map(|read| at.since(read).as_seconds()),
        "known_until": feed.known_until.map(|until| until.to_string()),
        "on_unknown": feed.on_unknown.word(),
    })
}

fn row_json(row: &Row<'_>) -> Value {
    let mut value = json!({
        "schedule": row.schedule,
        "name": row.name,
        "state": row.state.to_string(),
        "reason": row.reason,
        "problem": row.problem,
        "counts_here": row.counts,
        "believed": row.believed(),
    });
    if let (Some(known), Some(fields)) = (&row.known, value.as_object_mut()) {
        let on_call = |OnCall { level, person, eligible, revoked }: &OnCall<'_>| json!({ "person": person, "level": level, "eligible": eligible, "revoked": revoked });
        fields.extend([
            ("synced".to_string(), json!(known.schedule.synced.to_string())),
            ("age_seconds".to_string(), json!(known.age.as_seconds())),
            ("warn_age_seconds".to_string(), json!(known.limits.warn_age.as_seconds())),
            ("max_age_seconds".to_string(), json!(known.limits.max_age.as_seconds())),
            ("old".to_string(), json!(known.is_old())),
            ("believed_until".to_string(), json!(known.believed_until().to_string())),
            ("horizon".to_string(), json!(known.schedule.horizon.to_string())),
            ("on_call".to_string(), known.on_call.iter().map(on_call).collect()),
        ]);
    }
    value
}
