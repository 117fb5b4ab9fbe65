//! What runs leave to those after them, and to whoever collects metrics. It is below /run: it ends with the boot.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use policy::Timestamp;
use trust::Owner;

use super::agreed::Watched;

/// For the next run; what it says only root may read.
const FILE: &str = "/run/authkeys/doctor";

/// For write-metrics: tokens and numbers alone.
const METRICS: &str = "/run/authkeys/doctor.prom";

/// The largest that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What the runs before have left; nothing, where that is not root's or not understood.
pub fn read() -> Watched {
    let text = trust::read(Path::new(FILE), Owner::Root, LARGEST).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Keeps it, as it is after the run at `now`.
///
/// # Errors
/// What could not be written.
pub fn write(watched: &Watched, now: Timestamp) -> Result<(), String> {
    let text = serde_json::to_string(watched).map_err(|error| error.to_string())?;
    let write = |file: &str, mode, text: &str| {
        publish::replace(Path::new(file), mode, |new| fs::write(new, text)).map_err(|error| error.to_string())
    };
    fs::create_dir_all("/run/authkeys").map_err(|error| format!("/run/authkeys: {error}"))?;
    write(FILE, 0o600, &text)?;
    write(METRICS, 0o644, &metrics(watched, now))
}

/// In Prometheus's form.
fn metrics(watched: &Watched, now: Timestamp) -> String {
    let mut text = "\
# HELP oncall_cache_doctor_findings What two runs of authkeys-doctor.timer agree on.
# TYPE oncall_cache_doctor_findings gauge
"
    .to_string();
    for (id, severity, count) in watched.counting() {
        let _ = writeln!(
            text,
            "oncall_cache_doctor_findings{{finding=\"{id}\",severity=\"{severity}\"}} {count}"
        );
    }
    let _ = write!(
        text,
        "\
# HELP oncall_cache_doctor_timestamp_seconds When the last run ended.
# TYPE oncall_cache_doctor_timestamp_seconds gauge
oncall_cache_doctor_timestamp_seconds {}
",
        now.unix()
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::watch::agreed::Seen;

    #[test]
    fn metrics_have_what_counts_and_no_words() {
        let [id, severity] = ["pam-soft", "open"].map(String::from);
        let seen = [Seen { id, severity, place: "/etc/pam.d/sshd".into(), what: "\"}".into() }];
        let (mut watched, now) = (Watched::default(), Timestamp::from_unix(1_795_165_200));
        let _ = watched.see(&seen, now, false);
        assert!(!metrics(&watched, now).contains("pam-soft"));
        let _ = watched.see(&seen, now, false);
        let text = metrics(&watched, now);
        assert!(
            text.contains("\noncall_cache_doctor_findings{finding=\"pam-soft\",severity=\"open\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("\noncall_cache_doctor_timestamp_seconds 1795165200\n"), "{text}");
    }
}
