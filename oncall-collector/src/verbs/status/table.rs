//! The status for people.

use std::fmt::Write as _;

use policy::Timestamp;

use super::Status;
use host::output::counted;

/// How much of a digest people are shown.
const SHORT: usize = 12;

/// The table, a line for each thing.
pub fn table(status: &Status) -> String {
    let mut text = format!("fleet      {}, in {}\n", status.fleet, status.place);
    let mut line = |name: &str, value: &str| _ = writeln!(text, "{name:<10} {value}");
    let ago = |at: Timestamp| format!("{} ago", status.at.since(at));
    match &status.head {
        Ok(signed) => {
            let head = &signed.head;
            line(
                "head",
                &format!("{}, {}, signed by {}", head.sequence, ago(head.issued), signed.names.join(" and ")),
            );
            if let Some(read) = head.rota_read {
                line("rota", &format!("{}, read {}", counted(status.schedules.len(), "schedule"), ago(read)));
            }
            if let Some(read) = head.people_read {
                line("people", &format!("read {}", ago(read)));
            }
            if let Some(read) = head.incidents_read {
                line("incidents", &format!("read {}", ago(read)));
            }
            line("revoked", &format!("read {}", ago(head.revoked_read)));
        }
        Err(problem) => line("head", problem),
    }
    match status.valid() {
        Ok(signed) => line("valid", &format!("for another {}", signed.head.valid.since(status.at))),
        Err(_) if status.head.is_err() => {}
        Err(problem) => line("valid", &problem),
    }
    if let Some((count, bytes)) = status.objects {
        line("objects", &format!("{count}, {} kB", bytes.div_ceil(1000)));
    }
    if let Some(ends) = status.key_ends {
        line("key", &format!("signs until {ends}"));
    }
    if let Some(policy) = &status.policy {
        let short: String = policy.digest.chars().take(SHORT).collect();
        let told = match (policy.is_as_signed(), policy.told()) {
            (Some(true), Some(told)) => told,
            (Some(false), _) => "NOT AS SIGNED".to_string(),
            _ => "nobody signs it".to_string(),
        };
        line("policy", &format!("{short}, {told}"));
    }
    match &status.publishes {
        Ok(()) => line("this host", "publishes"),
        Err(why) => line("this host", &format!("does not publish: {why}")),
    }
    for problem in &status.problems {
        line("problem", problem);
    }
    text.trim_end().to_string()
}
