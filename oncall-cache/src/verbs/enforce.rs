//! `enforce`: this host enforces where its configuration observes, after that was tried; on trial, or until it is taken
//! back.

mod trial;

use std::path::Path;

use host::config::Source;
use policy::{Mode, ModeSource, Order, Span, Timestamp, mode_in_force};
use status::mode::TESTED;

use crate::cli::EnforceArguments;
use crate::said::{Live, Said};
use crate::switching::{Failure, Held, order, record, said};

/// The shortest trial: time for one login.
const SHORTEST_TRIAL: Span = Span::minutes(1);

/// How long enforcing lasts by itself while it is being tested.
const TEST: Span = Span::minutes(1);

/// Enforces, for a while or for good, confirms that, or ends it.
pub fn run(config: &Path, arguments: &EnforceArguments, live: Live<'_>, now: Timestamp) -> Said {
    said(enforce(config, arguments, live, now))
}

fn enforce(
    config: &Path,
    arguments: &EnforceArguments,
    live: Live<'_>,
    now: Timestamp,
) -> Result<Vec<String>, Failure> {
    if arguments.confirm_within.is_some_and(|length| length < SHORTEST_TRIAL || length > Order::LONGEST) {
        return Err(Failure::Wrong(format!("a trial lasts {SHORTEST_TRIAL} to {}", Order::LONGEST)));
    }
    if arguments.confirm {
        return confirm(config, live, now);
    }
    let held = Held::take(config, live, now)?;
    if arguments.end {
        if held.switch.enforcement.is_none() {
            return Err(Failure::Nothing("nothing to end: the mode is what config.toml says"));
        }
        held.put("enforce", None)?;
        record("enforce-end", None);
        return Ok(vec![held.outcome(now)]);
    }
    let known = held.state.config().map_err(|problem| Failure::NoConfig(problem.to_string()))?;
    if let Some(problem) = known.oncall.sources.iter().find_map(Source::unseen) {
        return Err(Failure::Wrong(problem));
    }
    let (mode, source) = mode_in_force(held.state.rules().mode, Some(&held.switch), now);
    let test = || trial::run(&held.state, now).map_err(|problems| Failure::Test(mode, problems));
    let already = match source {
        ModeSource::Paused(Order { until: Some(until), .. }) => return Err(Failure::Paused(*until)),
        ModeSource::Confirmed(_) => Some("enforced already"),
        _ if held.state.rules().mode == Mode::Enforce => Some("config.toml enforces already"),
        _ => None,
    };
    if let Some(already) = already {
        // Nothing that has an end takes the place of what has none.
        return Ok([test()?, vec![format!("{already}; nothing was changed")]].concat());
    }
    // The test is of what will be, so it is: should this process die, the host goes back by itself.
    held.put("enforce", Some(&order(now, Some(TEST), TESTED)))?;
    let shown = match test() {
        Ok(shown) => shown,
        Err(failure) => {
            held.write(&held.orders.text)?;
            return Err(failure);
        }
    };
    let order = order(now, arguments.confirm_within, "");
    record("enforce", Some(&order));
    held.put("enforce", Some(&order))?;
    Ok([shown, vec![held.outcome(now)]].concat())
}

/// Makes a trial permanent. The caller has logged in since it began.
fn confirm(config: &Path, live: Live<'_>, now: Timestamp) -> Result<Vec<String>, Failure> {
    // Before it is read how long ago the trial began: that the login began after it must show by any pace.
    let age = trial::age_of_login();
    let held = Held::take(config, live, now)?;
    let trial = held.switch.enforcement.as_ref().filter(|order| order.until.is_some() && order.holds(now));
    let Some(trial) = trial else {
        return Err(Failure::Nothing("there is no trial to confirm, or it has ended"));
    };
    if trial.reason == TESTED {
        return Err(Failure::Nothing("the test of `enforce` did not finish; run oncall-cache enforce again"));
    }
    let age = age.map_err(Failure::OldLogin)?;
    if trial.elapsed.is_some_and(|elapsed| age >= elapsed) {
        let age = Span::seconds(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        return Err(Failure::OldLogin(format!("this login is {age} old, and the trial began after it")));
    }
    let order = order(now, None, "");
    record("enforce-confirm", Some(&order));
    held.put("enforce", Some(&order))?;
    Ok(vec![held.outcome(now)])
}
