//! What status.json says of a sync.

use status::{ScheduleState, ScheduleStatus, SyncStatus};

use super::error::SyncError;
use super::outcome::{Outcome, State};
use super::summary::Summary;

/// It went like this.
pub fn published(status: &mut SyncStatus, summary: &Summary) {
    status.published = true;
    status.schedules = summary.outcomes.iter().map(schedule).collect();
    status.ahead.clone_from(&summary.ahead);
    status.unmapped = summary.unmapped;
    status.incidents_problem.clone_from(&summary.incidents_problem);
    status.left_out = summary.left.len();
    status.rego_problem.clone_from(&summary.rego_problem);
}

/// It failed; `standing` is what was said of what stands: its policy, so that the next one that publishes sees the change,
/// and what is left out of it.
pub fn failed(status: &mut SyncStatus, error: &SyncError, standing: Option<&SyncStatus>) {
    status.policy = standing.map(|standing| standing.policy.clone()).unwrap_or_default();
    status.left_out = standing.map_or(0, |standing| standing.left_out);
    status.rego_refused = matches!(error, SyncError::Rego(_));
    match error {
        SyncError::NothingRead(outcomes, again) => {
            status.schedules = outcomes.iter().map(schedule).collect();
            status.problem = Some("no schedule was read".to_string());
            status.left_out = again.left_out;
            status.rego_problem.clone_from(&again.rego_problem);
        }
        other => status.problem = Some(other.public()),
    }
}

fn schedule(outcome: &Outcome) -> ScheduleStatus {
    let (state, trouble) = match &outcome.state {
        State::Read => (ScheduleState::Read, None),
        State::Kept(_, trouble) => (ScheduleState::Kept, Some(trouble)),
        State::Absent(trouble) => (ScheduleState::Absent, Some(trouble)),
    };
    ScheduleStatus {
        schedule: outcome.schedule.to_string(),
        name: outcome.name.to_string(),
        state,
        reason: trouble.map(|trouble| trouble.kind.token().to_string()),
        problem: trouble.map(|_| outcome.public()),
    }
}
