//! What is tried before a host enforces: real PAM transactions through its own stacks, by a helper that speaks to libpam.
//!
//! root on the console, somebody on call, and somebody off call: the first two must get in and the third must not. And
//! what tells a new login from an old one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use host::accounts;
use host::child::{Child, Ending, Trouble};
use host::clock;
use host::switch::PROBE;
use policy::{Actor, Decision, Facts, Login, Principal, Reason, Timestamp, Verdict, decide};
use state::HostState;
use trust::Owner;

/// The longest that one transaction takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service by which people are tried.
const SERVICE: &str = "sudo";

/// libpam's codes.
const SUCCESS: i32 = 0;
const PERM_DENIED: i32 = 6;

/// Somebody for whom there is an account on every host and who is nobody's on-caller.
const NOBODY: &str = "nobody";

/// Tries all three; what was shown, or what is wrong, a line each.
pub fn run(state: &HostState, now: Timestamp) -> Result<Vec<String>, Vec<String>> {
    let tried = [console(state), on_call(state, now), off_call(state, now)];
    let problems: Vec<String> = tried.iter().filter_map(|one| one.as_ref().err().cloned()).collect();
    if problems.is_empty() { Ok(tried.into_iter().flatten().collect()) } else { Err(problems) }
}

/// root on the first exempt console. A host without `login` has no such door.
fn console(state: &HostState) -> Result<String, String> {
    let has_login =
        ["/etc/pam.d/login", "/usr/lib/pam.d/login"].iter().any(|stack| Path::new(stack).exists());
    if !has_login {
        return Ok("login: this host has no such service".to_string());
    }
    let Some(tty) = state.rules().exempt_ttys.first() else {
        return Err("policy.exempt_ttys is empty: root could not log in on the console".to_string());
    };
    match ask("login", "root", &format!("tty=/dev/{tty}"))? {
        (SUCCESS, _) => Ok(format!("login: root gets in on {tty}")),
        (code, words) => Err(format!("login refuses root on {tty}: {words} ({code})")),
    }
}

/// Somebody on call, with an account on this host.
fn on_call(state: &HostState, now: Timestamp) -> Result<String, String> {
    let Some(person) = candidates(state, now, |decision| decision.reason == Reason::OnCall).next() else {
        return Err(format!(
            "nobody whom {SERVICE} would admit now has an account here; try again during a shift"
        ));
    };
    match ask(SERVICE, &person, &format!("ruser={person}"))? {
        (SUCCESS, _) => Ok(format!("{SERVICE}: {person}, on call, gets in")),
        (code, words) => Err(format!("{SERVICE} refuses {person}, who is on call: {words} ({code})")),
    }
}

/// Somebody off call.
fn off_call(state: &HostState, now: Timestamp) -> Result<String, String> {
    let person = candidates(state, now, |decision| decision.verdict == Verdict::Refuse)
        .next()
        .unwrap_or_else(|| NOBODY.to_string());
    match ask(SERVICE, &person, &format!("ruser={person}"))? {
        (PERM_DENIED, _) => Ok(format!("{SERVICE}: {person}, off call, is refused")),
        (SUCCESS, _) => Err(format!(
            "{SERVICE} lets in {person}, who is off call: our line is missing from its stack, or has no effect; run pam-oncall-enable"
        )),
        (code, words) => {
            Err(format!("{SERVICE} cannot tell about {person}, who is off call: {words} ({code})"))
        }
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
        let decision = decide(&login(person, &facts), &state.evidence(), state.rules(), now);
        (is_wanted(&decision) && facts.uid.is_some_and(|uid| uid != 0)).then(|| person.to_string())
    })
}

fn login<'a>(person: &'a Principal, facts: &'a Facts) -> Login<'a> {
    let (account, person) = (person.as_str(), Actor::Known(person));
    Login { service: SERVICE, account, facts, person, tty: "", place: "" }
}

/// What libpam says about account management: its code, and in words.
fn ask(service: &str, user: &str, item: &str) -> Result<(i32, String), String> {
    let failed = |what: &str| format!("{PROBE} {service} {user}: {what}");
    trust::open(Path::new(PROBE), Owner::Root).map_err(|refusal| refusal.to_string())?;
    let start = Instant::now();
    let end = start.checked_add(PATIENCE).unwrap_or(start);
    let mut child = Child::start(Path::new(PROBE), &[service, user, item], &[])
        .map_err(|error| failed(&error.to_string()))?;
    let said = child.listen(end, 4096).map_err(|trouble| match trouble {
        Trouble::Late => failed(&format!("its stack did not answer within {} s", PATIENCE.as_secs())),
        Trouble::Endless => failed("said more than an answer"),
        Trouble::Pipe(error) => failed(&error.to_string()),
    })?;
    let ending = child.ending(end);
    let said = String::from_utf8_lossy(&said).trim().to_string();
    let told = said.split_once(' ').and_then(|(code, words)| Some((code.parse().ok()?, words.to_string())));
    match (ending, told) {
        (Some(Ending::Exit(0)), Some(told)) => Ok(told),
        (Some(Ending::Exit(code)), _) => Err(failed(&format!("ended with status {code} and no answer"))),
        (Some(Ending::Signal(signal)), _) => Err(failed(&format!("was ended by signal {signal}"))),
        (None, _) => Err(failed("answered, and did not end")),
    }
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
