//! Real PAM transactions through this host's own stacks, about logins that nobody makes; by a helper that speaks to libpam.
//!
//! And the ways in that need no network, tried by them: root on the console, and exempt accounts.

use std::path::Path;
use std::time::{Duration, Instant};

use policy::Rules;
use trust::Owner;

use crate::accounts;
use crate::child::{Child, Ending, Trouble};
use crate::switch::PROBE;

/// The longest that one transaction takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// libpam's PAM_SUCCESS.
pub const SUCCESS: i32 = 0;

/// The service by which people come in.
const SSHD: &str = "sshd";

/// The service by which those who are in become root.
pub const SUDO: &str = "sudo";

/// Where libpam looks for stacks (pam.conf(5)).
const STACKS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// What libpam says about account management: its code, and in words.
///
/// # Errors
/// The helper is missing or could be written by others, or did not answer in ten seconds; in words.
pub fn ask(service: &str, user: &str, item: &str) -> Result<(i32, String), String> {
    ask_by(service, user, &[item])
}

/// The same with several words for the helper, such as where the stack is.
///
/// # Errors
/// As [`ask`].
pub fn ask_by(service: &str, user: &str, items: &[&str]) -> Result<(i32, String), String> {
    let failed = |what: &str| format!("{PROBE} {service} {user}: {what}");
    trust::open(Path::new(PROBE), Owner::Root).map_err(|refusal| refusal.to_string())?;
    let start = Instant::now();
    let end = start.checked_add(PATIENCE).unwrap_or(start);
    let words = [&[service, user], items].concat();
    let mut child =
        Child::start(Path::new(PROBE), &words, &[]).map_err(|error| failed(&error.to_string()))?;
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

/// A way in that needs no network, and what came of trying it.
#[derive(Debug)]
pub struct Tried {
    /// Whose stack was asked.
    pub service: &'static str,
    /// What is shown if it lets somebody in, as a sentence: of each way another one, and always the same.
    pub way: String,
    /// Why it is none, if it is none.
    pub outcome: Result<(), String>,
}

/// What shows that root gets in on this console.
fn console_opens(tty: &str) -> String {
    format!("login: root gets in on {tty}")
}

/// What shows that this exempt account gets in.
fn exempt_enters(name: &str) -> String {
    format!("{name}, exempt, gets in")
}

/// What each way in that `rules` have shows when it lets somebody in.
pub fn ways(rules: &Rules) -> Vec<String> {
    let accounts = rules.exempt_accounts.iter().map(|account| exempt_enters(account.as_str()));
    rules.exempt_ttys.first().map(|tty| console_opens(tty)).into_iter().chain(accounts).collect()
}

/// Tries root on the first exempt console, if this host has `login` and such a console.
pub fn console(rules: &Rules) -> Option<Tried> {
    let tty = rules.exempt_ttys.first().filter(|_| has_stack("login"))?;
    let outcome = ask("login", "root", &format!("tty=/dev/{tty}")).and_then(|told| match told {
        (SUCCESS, _) => Ok(()),
        (code, words) => Err(format!("login refuses root on {tty}: {words} ({code})")),
    });
    Some(Tried { service: "login", way: console_opens(tty), outcome })
}

/// Tries the account `name`, which is exempt: over sshd where this host has it, and from there by sudo. Nothing where there
/// is no such account.
pub fn exempt(name: &str) -> Option<Tried> {
    let uid = accounts::facts(name, &[]).uid?;
    let services =
        [SSHD, SUDO].into_iter().filter(|service| has_stack(service) && (uid != 0 || *service != SUDO));
    let mut tried = Tried { service: SSHD, way: exempt_enters(name), outcome: Ok(()) };
    for service in services {
        let refused = match ask(service, name, &format!("ruser={name}")) {
            Ok((SUCCESS, _)) => continue,
            Ok((code, words)) => format!("{service} refuses {name}, which is exempt: {words} ({code})"),
            Err(problem) => problem,
        };
        tried = Tried { service, outcome: Err(refused), ..tried };
        break;
    }
    Some(tried)
}

/// Has this host a stack of its own for the service?
pub fn has_stack(service: &str) -> bool {
    STACKS.iter().any(|directory| Path::new(directory).join(service).exists())
}
