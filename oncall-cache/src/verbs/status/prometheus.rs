//! The status as text for node_exporter's textfile collector.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use approval::Standing;
use policy::{IncidentFeed, Mode, Timestamp};
use status::{Known, Row, ScheduleState, Status};

/// What one metric takes from what is known of a schedule.
type Reading = fn(&Known<'_>) -> i64;

/// Metrics in the making. The samples of a metric are together, below its help text.
#[derive(Debug, Default)]
struct Text(String);

impl Text {
    fn metric(&mut self, name: &str, help: &str) {
        let _ = write!(self.0, "# HELP oncall_cache_{name} {help}\n# TYPE oncall_cache_{name} gauge\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: i64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, text)| format!("{label}=\"{}\"", escaped(text))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "oncall_cache_{name}{labels} {value}");
    }

    fn only(&mut self, name: &str, help: &str, value: i64) {
        self.metric(name, help);
        self.sample(name, &[], value);
    }

    fn of_schedules<'r, 'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: &'r BTreeMap<&str, &'r Row<'a>>,
        value: impl Fn(&'r Row<'a>) -> Option<i64>,
    ) {
        self.metric(name, help);
        for (schedule, row) in rows {
            if let Some(value) = value(row) {
                self.sample(name, &[("schedule", schedule), ("name", &row.name)], value);
            }
        }
    }
}

/// A label's value: whatever others typed, on one line and inside its quotes.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const STATUS: (&str, &str) =
    ("status", "0 well, 1 something fails and the copies are still valid, 2 a copy is not valid.");

/// What is said where even the configuration cannot be read.
pub fn unknown() -> String {
    let mut text = Text::default();
    text.only(STATUS.0, STATUS.1, 2);
    text.0.trim_end().to_string()
}

/// Everything that is worth an alert.
pub fn prometheus(status: &Status<'_>, standing: &Standing) -> String {
    let mut text = Text::default();
    text.only(STATUS.0, STATUS.1, status.health().code().into());
    let enforcing = i64::from(status.mode.0 == Mode::Enforce);
    text.only("enforcing", "Whether who is not admitted is refused.", enforcing);
    let until = status.paused_until().map_or(0, Timestamp::unix);
    text.only("paused_until_timestamp_seconds", "When enforcing begins again; 0, it is not paused.", until);
    let until = status.trial_until().map_or(0, Timestamp::unix);
    let help = "When enforcing on trial ends unless it is confirmed; 0, it is not on trial.";
    text.only("trial_until_timestamp_seconds", help, until);
    write_roster(status, &mut text);
    write_schedules(status, &mut text);
    write_report(status, &mut text);
    write_incidents(status, &mut text);
    write_fleet(status, &mut text);
    write_grants(status, &mut text);
    write_automation(status, &mut text);
    write_policy(standing, &mut text);
    text.0.trim_end().to_string()
}

fn write_roster(status: &Status<'_>, text: &mut Text) {
    let readable = i64::from(status.revoked.is_none() && !status.revoked_is_stale);
    text.only("revocations_readable", "Whether it can be told who is revoked.", readable);
    let believed = i64::from(status.clock_holds());
    text.only("roster_believed", "Whether the roster can be read, and the clock is not behind it.", believed);
    if let Ok(roster) = status.roster {
        let help = "When the roster was written.";
        text.only("roster_published_timestamp_seconds", help, roster.published.unix());
    }
}

fn write_schedules(status: &Status<'_>, text: &mut Text) {
    let rows: BTreeMap<&str, &Row<'_>> = status.rows.iter().map(|row| (row.schedule.as_str(), row)).collect();
    let help = "Whether a schedule is valid now.";
    text.of_schedules("schedule_believed", help, &rows, |row| Some(row.believed().into()));
    let help = "Whether a rule that covers this host names a schedule.";
    text.of_schedules("schedule_counts_here", help, &rows, |row| Some(row.counts.into()));
    let help = "Whether the last sync read a schedule; 0 also where it kept what it had.";
    text.of_schedules("schedule_read", help, &rows, |row| Some((row.state == ScheduleState::Read).into()));
    text.metric("schedule_problem", "Why a schedule was not read, if it was not.");
    for row in rows.values() {
        let labels = |reason| [("schedule", row.schedule.as_str()), ("name", &row.name), ("reason", reason)];
        if let Some(reason) = &row.reason {
            text.sample("schedule_problem", &labels(reason), 1);
        }
    }
    let known: [(&str, &str, Reading); 5] = [
        ("schedule_synced_timestamp_seconds", "When a schedule was last read whole.", |known| {
            known.schedule.synced.unix()
        }),
        ("schedule_warn_age_seconds", "The age that is worth a warning.", |known| {
            known.limits.warn_age.as_seconds()
        }),
        ("schedule_max_age_seconds", "The age from which a schedule is no longer valid.", |known| {
            known.limits.max_age.as_seconds()
        }),
        ("schedule_believed_until_timestamp_seconds", "When a schedule stops being valid.", |known| {
            known.believed_until().unix()
        }),
        ("schedule_horizon_timestamp_seconds", "The end of what is known of a schedule.", |known| {
            known.schedule.horizon.unix()
        }),
    ];
    for (name, help, value) in known {
        text.of_schedules(name, help, &rows, |row| row.known.as_ref().map(value));
    }
    let help = "How many people are on call now whom the directory lets become root and this host has not revoked; none where that is not known.";
    text.of_schedules("schedule_on_call_people", help, &rows, |row| {
        let known = row.known.as_ref().filter(|known| known.believed)?;
        let admitted = known.on_call.iter().filter(|one| one.may());
        let people: BTreeSet<&str> = admitted.map(|one| one.person).collect();
        i64::try_from(people.len()).ok()
    });
}

/// What is known of the fleet; on a host of no fleet, nothing.
fn write_fleet(status: &Status<'_>, text: &mut Text) {
    let Some(fleet) = &status.fleet else { return };
    text.only(
        "fleet_ok",
        "Whether what was pulled of the fleet is young and nothing was refused.",
        status.fleet_trouble().is_none().into(),
    );
    let Ok(fleet) = fleet else { return };
    if let Some(checked) = fleet.checked {
        text.only(
            "fleet_checked_timestamp_seconds",
            "When the store last showed a head that is trusted, new or not.",
            checked,
        );
    }
    if let Some(head) = &fleet.head {
        let sequence = i64::try_from(head.sequence).unwrap_or(i64::MAX);
        text.only("fleet_sequence", "The sequence of the head that this host holds.", sequence);
        text.only("fleet_issued_timestamp_seconds", "When that head was published.", head.issued);
        text.only(
            "fleet_valid_until_timestamp_seconds",
            "When no host takes that head over any more.",
            head.valid,
        );
        text.only(
            "fleet_revoked_read_timestamp_seconds",
            "When the collector had read who is revoked.",
            head.revoked_read,
        );
    }
    text.metric(
        "fleet_refused_since_timestamp_seconds",
        "Since when what the store shows is refused, and by which rule; no sample where nothing is.",
    );
    if let Some(refused) = &fleet.refused {
        text.sample("fleet_refused_since_timestamp_seconds", &[("reason", &refused.reason)], refused.since);
    }
}

fn write_grants(status: &Status<'_>, text: &mut Text) {
    if let Some(Ok(grants)) = &status.grants {
        let help = "How many grants let somebody in now.";
        text.only("grants_in_force", help, i64::try_from(grants.len()).unwrap_or(i64::MAX));
    }
}

fn write_automation(status: &Status<'_>, text: &mut Text) {
    let name = "automation_until_timestamp_seconds";
    text.metric(name, "When an exception for programs ends, by its place in the configuration.");
    for entry in status.automation {
        let number = entry.number.to_string();
        let labels =
            [("number", number.as_str()), ("account", entry.account.as_str()), ("owner", &entry.owner)];
        text.sample(name, &labels, entry.until.unix());
    }
}

/// Which policy runs; and where somebody asks for a signature, whether that was signed.
fn write_policy(standing: &Standing, text: &mut Text) {
    text.metric("policy_info", "The digest of the policy that runs, as it is signed.");
    text.sample("policy_info", &[("digest", &standing.digest)], 1);
    let Some(is_as_signed) = standing.is_as_signed() else { return };
    let help = "Whether the policy that runs is the one that was signed; no sample where nobody asks.";
    text.only("policy_as_signed", help, is_as_signed.into());
    let number = standing.number().and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
    text.only("policy_number", "The number of the signed policy that runs; 0, it is not as signed.", number);
}

fn write_report(status: &Status<'_>, text: &mut Text) {
    let Ok(report) = &status.report else { return };
    text.only("last_sync_timestamp_seconds", "When the last sync began.", report.attempted);
    let help = "Whether the last sync published what it read.";
    text.only("last_sync_published", help, report.published.into());
    let help = "Whether the last sync wrote the groups of [[nss.group]].";
    text.only("last_sync_groups_written", help, report.groups_problem.is_none().into());
    let left = i64::try_from(report.left_out).unwrap_or(i64::MAX);
    text.only("left_out_shifts", "How many shifts files of [[policy.rego]] leave out or end earlier.", left);
    let help = "Whether files of [[policy.rego]] answered about every shift in the last sync.";
    let has_answered = report.rego_problem.is_none() && !report.rego_refused;
    text.only("last_sync_rego_answered", help, has_answered.into());
    if let Some(synced) = report.people_synced {
        let help = "When the copy of the directory was last true, as the last sync found it.";
        text.only("people_synced_timestamp_seconds", help, synced);
    }
    let unmapped = i64::try_from(report.unmapped).unwrap_or(i64::MAX);
    text.only("unmapped_people", "Users of the sources who match nobody in the directory.", unmapped);
    let name = "cannot_log_in_timestamp_seconds";
    text.metric(name, "When somebody's shift begins who will not be admitted; see oncall-cache status.");
    let mut first: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for ahead in &report.ahead {
        let start = first.entry((&ahead.who, &ahead.schedule)).or_insert(ahead.start);
        *start = ahead.start.min(*start);
    }
    for ((who, schedule), start) in first {
        text.sample(name, &[("who", who), ("name", schedule)], start);
    }
}

/// How well it is known which incidents are open; where no rule of this host waits for one, nothing.
fn write_incidents(status: &Status<'_>, text: &mut Text) {
    if status.incidents.is_empty() {
        return;
    }
    if status.report.is_ok() {
        let help = "Whether the last sync read which incidents are open.";
        text.only("last_sync_incidents_read", help, status.incidents_problem().is_none().into());
    }
    let mut instants = |name: &str, help: &str, instant: fn(&IncidentFeed<'_>) -> Option<Timestamp>| {
        text.metric(name, help);
        for feed in &status.incidents {
            text.sample(name, &[("source", feed.source)], instant(feed).map_or(0, Timestamp::unix));
        }
    };
    let help = "When it was last read which incidents are open; 0, never.";
    instants("incidents_read_timestamp_seconds", help, |feed| feed.read);
    let help = "Until when that counts; from then on rules do what on_unknown says. 0, it does not now.";
    instants("incidents_known_until_timestamp_seconds", help, |feed| feed.known_until);
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_stay_inside_their_quotes() {
        assert_eq!(super::escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
