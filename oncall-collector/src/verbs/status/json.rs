//! The status for programs.

use policy::Timestamp;
use serde_json::{Value, json};

use super::Status;

/// The status. Ages are in seconds.
pub fn json(status: &Status) -> Value {
    let age = |at: Timestamp| status.at.since(at).as_seconds();
    let part =
        |read: Option<Timestamp>| read.map(|read| json!({ "read": read.to_string(), "age": age(read) }));
    let schedules = status.schedules.iter().map(|one| {
        json!({
            "schedule": format!("{}/{}", one.source, one.id),
            "name": one.name.as_str(),
            "read": one.read.to_string(),
            "age": age(one.read),
            "horizon": one.horizon.to_string(),
        })
    });
    let head = status.head.as_ref().ok().map(|signed| {
        let head = &signed.head;
        json!({
            "sequence": head.sequence,
            "issued": head.issued.to_string(),
            "age": age(head.issued),
            "valid": head.valid.to_string(),
            "signers": signed.names,
            "rota": part(head.rota_read),
            "people": part(head.people_read),
            "incidents": part(head.incidents_read),
            "revoked": part(Some(head.revoked_read)),
            "schedules": schedules.collect::<Vec<_>>(),
        })
    });
    json!({
        "version": 1,
        "at": status.at.to_string(),
        "health": match status.health() { 0 => "well", 1 => "degraded", _ => "nothing-new" },
        "fleet": status.fleet,
        "store": status.place,
        "head": head,
        "message": status.valid().err(),
        "objects": status.objects.map(|(count, bytes)| json!({ "count": count, "bytes": bytes })),
        "publishes": status.publishes.is_ok(),
        "why_not": status.publishes.as_ref().err(),
        "key_ends": status.key_ends.map(|ends| ends.to_string()),
        "dead_signer_lines": status.dead.iter().map(|dead| dead.line).collect::<Vec<_>>(),
        "policy": status.policy.as_ref().map(|policy| json!({
            "digest": policy.digest,
            "as_signed": policy.is_as_signed(),
            "number": policy.number(),
        })),
        "problems": status.problems,
    })
}
