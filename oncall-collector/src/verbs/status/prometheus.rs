//! The status as text for node_exporter's textfile collector.

use std::fmt::Write as _;

use policy::Timestamp;

use super::Status;

/// The metrics, each below what says what it is.
pub fn prometheus(status: &Status) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, value: Option<i64>| {
        let Some(value) = value else { return };
        let name = format!("oncall_collector_{name}");
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    };
    let age = |at: Timestamp| status.at.since(at).as_seconds();
    let head = status.head.as_ref().ok().map(|signed| &signed.head);
    metric(
        "status",
        "0 well, 1 something fails, 2 hosts take over nothing new.",
        Some(status.health().into()),
    );
    metric(
        "publishes",
        "Whether this collector publishes; another one may.",
        Some(status.publishes.is_ok().into()),
    );
    metric(
        "head_sequence",
        "Sequence of the publication.",
        head.and_then(|head| i64::try_from(head.sequence).ok()),
    );
    metric("head_age_seconds", "Age of the publication.", head.map(|head| age(head.issued)));
    let left = status.last_moment().map(|end| end.since(status.at).as_seconds());
    metric("valid_seconds", "For how long hosts take it over, if nothing is published again.", left);
    metric(
        "rota_age_seconds",
        "Since who is on call was read.",
        head.and_then(|head| head.rota_read).map(age),
    );
    metric(
        "people_age_seconds",
        "Since the directory was read.",
        head.and_then(|head| head.people_read).map(age),
    );
    metric(
        "incidents_age_seconds",
        "Since incidents were read; no sample where none are published.",
        head.and_then(|head| head.incidents_read).map(age),
    );
    let count = |count: usize| i64::try_from(count).ok();
    metric("objects", "Objects in the store.", status.objects.and_then(|(objects, _)| count(objects)));
    let bytes = status.objects.and_then(|(_, bytes)| i64::try_from(bytes).ok());
    metric("objects_bytes", "Their size.", bytes);
    let ends = status.key_ends.map(|ends| ends.since(status.at).as_seconds());
    metric("key_seconds", "Until the signing key of this collector ends.", ends);
    metric("dead_signer_lines", "Lines of the signers that count for nothing.", count(status.dead.len()));
    let number =
        status.policy.as_ref().filter(|policy| policy.is_asked).map(|policy| policy.number().unwrap_or(0));
    metric(
        "policy_number",
        "The number of the signed policy of this machine; 0, it is not as signed.",
        number.and_then(|number| i64::try_from(number).ok()),
    );
    text.trim_end().to_string()
}
