//! What is tried before a host enforces, by real PAM transactions through its own stacks.
//!
//! A way in that needs no network, somebody on call, and somebody off call: the first two must get in and the third must
//! not. And what tells a new login from an old one.

use std::fs;
use std::time::Duration;

use host::probe::{self, SUCCESS, SUDO, Tried, ask};
use host::proof::Proofs;
use host::{accounts, clock};
use policy::{Actor, Decision, Facts, Login, Principal, Reason, Timestamp, Verdict};
use state::HostState;

/// libpam's PAM_PERM_DENIED.
const PERM_DENIED: i32 = 6;

/// Somebody for whom there is an account on every host and who is nobody's on-caller.
const NOBODY: &str = "nobody";

/// Tries all three; what was shown, or what is wrong, a line each.
pub fn run(state: &HostState, now: Timestamp) -> Result<Vec<String>, Vec<String>> {
    let mut tried = without_network(state, now);
    tried.extend([on_call(state, now), off_call(state, now)]);
    let problems: Vec<String> = tried.iter().filter_map(|one| one.as_ref().err().cloned()).collect();
    if problems.is_empty() { Ok(tried.into_iter().flatten().collect()) } else { Err(problems) }
}

/// A way in for the day on which nothing answers. root must get in on the console of a host that has `login`; on another an
/// exempt account must. What comes of trying the others is told.
fn without_network(state: &HostState, now: Timestamp) -> Vec<Result<String, String>> {
    let rules = state.rules();
    let accounts = rules.exempt_accounts.iter().filter_map(|account| probe::exempt(account.as_str()));
    let (console, accounts) = (probe::console(rules), accounts.collect::<Vec<_>>());
    let before = Proofs::read(rules);
    Proofs::keep(rules, console.iter().chain(&accounts), now);
    let told = |tried: Tried| {
        let last = before.last(&tried.way, now);
        match tried.outcome {
            Ok(()) => Ok(format!("{} ({last})", tried.way)),
            Err(problem) => Err(format!("{problem}; {last}")),
        }
    };
    let accounts: Vec<Result<String, String>> = accounts.into_iter().map(told).collect();
    let console = match console {
        Some(tried) => told(tried),
        None if probe::has_stack("login") => {
            Err("policy.exempt_ttys is empty: root could not log in on the console".to_string())
        }
        None if accounts.iter().any(Result::is_ok) => Ok("login: this host has no such service".to_string()),
        None => Err("this host has no service login, and no account in policy.exempt_accounts gets in: nobody would while it cannot tell who is on call".to_string()),
    };
    let told = accounts.into_iter().map(|outcome| outcome.or_else(Ok));
    [console].into_iter().chain(told).collect()
}

/// Somebody on call, with an account on this host.
fn on_call(state: &HostState, now: Timestamp) -> Result<String, String> {
    let Some(person) = candidates(state, now, |decision| decision.reason == Reason::OnCall).next() else {
        return asked_why(state, now);
    };
    match ask(SUDO, &person, &format!("ruser={person}"))? {
        (SUCCESS, _) => Ok(format!("{SUDO}: {person}, on call, gets in")),
        (code, words) => Err(format!("{SUDO} refuses {person}, who is on call: {words} ({code})")),
    }
}

/// Somebody on call who has not said why yet, where a rule asks for that.
fn asked_why(state: &HostState, now: Timestamp) -> Result<String, String> {
    let Some(person) = candidates(state, now, |decision| decision.reason == Reason::ClaimNeeded).next()
    else {
        return Err(format!(
            "nobody whom {SUDO} would admit now has an account here; try again during a shift"
        ));
    };
    match ask(SUDO, &person, &format!("ruser={person}"))? {
        (PERM_DENIED, _) => Ok(format!("{SUDO}: {person}, on call, is asked why first")),
        (code, words) => Err(format!("{SUDO} does not ask {person}, who is on call, why: {words} ({code})")),
    }
}

/// Somebody off call.
fn off_call(state: &HostState, now: Timestamp) -> Result<String, String> {
    let is_off_call =
        |decision: &Decision| decision.verdict == Verdict::Refuse && decision.reason != Reason::ClaimNeeded;
    let person = candidates(state, now, is_off_call).next().unwrap_or_else(|| NOBODY.to_string());
    match ask(SUDO, &person, &format!("ruser={person}"))? {
        (PERM_DENIED, _) => Ok(format!("{SUDO}: {person}, off call, is refused")),
        (SUCCESS, _) => Err(format!(
            "{SUDO} lets in {person}, who is off call: our line is missing from its stack, or has no effect; run pam-oncall-enable"
        )),
        (code, words) => Err(format!("{SUDO} cannot tell about {person}, who is off call: {words} ({code})")),
    }
}

/// People about whom the policy decides like this, with an account here that is not root's.
fn candidates(
    state: &HostState,
    now: Timestamp,
    is_wanted: fn(&Decision) -> bool,
) -> impl Iterator<Item = String> {
    let people: Vec<&Principal> =
        state.roster().into_iter().flat_map(|roster| roster.eligible.keys()).collect();
    people.into_iter().filter_map(move |person| {
        let facts = accounts::facts(person.as_str(), &state.rules().privileged_groups);
        let decision = state.decide(&login(person, &facts), now, now);
        (is_wanted(&decision) && facts.uid.is_some_and(|uid| uid != 0)).then(|| person.to_string())
    })
}

fn login<'a>(person: &'a Principal, facts: &'a Facts) -> Login<'a> {
    let (account, person) = (person.as_str(), Actor::Known(person));
    Login { service: SUDO, account, facts, person, tty: "", place: "" }
}

/// Programs that are parents of a login for as long as it lasts.
const DOORS: [&str; 3] = ["sshd", "sshd-session", "login"];

/// The kernel's unit of time in /proc: USER_HZ, 100 a second on every machine that Linux is built for today.
const TICK: Duration = Duration::from_millis(10);

/// How long ago the login began that this process belongs to: the age of the nearest door above it. A connection that is
/// kept open and used again (ControlMaster) is as old as the connection.
pub fn age_of_login() -> Result<Duration, String> {
    let mut process = parse_stat("self")?;
    // No tree of processes is so deep; a loop would be.
    for _ in 0..64 {
        if DOORS.contains(&process.name.as_str()) {
            return Ok(clock::uptime().since_boot().saturating_sub(process.started));
        }
        if process.parent <= 1 {
            break;
        }
        process = parse_stat(&process.parent.to_string())?;
    }
    Err("this is not a login by sshd or login (inside tmux or screen that cannot be seen)".to_string())
}

struct Process {
    name: String,
    parent: i64,
    /// Time after the boot.
    started: Duration,
}

/// Reads /proc/PID/stat: proc(5). The name may have blanks and parentheses in it.
fn parse_stat(process: &str) -> Result<Process, String> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let parse = || {
        let (before, after) = text.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_string();
        let field = |number: usize| after.split_ascii_whitespace().nth(number);
        let started = TICK.checked_mul(field(19)?.parse().ok()?)?;
        Some(Process { name, parent: field(1)?.parse().ok()?, started })
    };
    parse().ok_or_else(|| format!("{path} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_younger_than_the_machine() {
        let own = parse_stat("self").unwrap();
        let since_boot = clock::uptime().since_boot();
        assert!(own.parent > 0 && (TICK..=since_boot).contains(&own.started));
        assert!(parse_stat("none").is_err());
    }
}
