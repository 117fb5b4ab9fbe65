//! `suspend` and `enforce`: root switches the mode of this host, for a while or until it is taken back.
//!
//! The permanent word is the configuration's, which is often somebody else's file. What is said here stands in a file
//! beside it, with its end, and every login judges that end itself: a suspension is over and a trial is taken back without a
//! timer, a daemon or a second write. It is replaced whole, and read again as a login would read it.

mod trial;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::accounts;
use host::audit::Line;
use host::config::DEFAULT_PATH;
use host::revoked::{LONGEST_REASON, is_reason};
use host::switch;
use policy::{Mode, ModeSource, Order, Span, Switch, Timestamp, mode_in_force};
use store::{StoreError, SyncLock};

use crate::check::World;
use crate::cli::{EnforceArguments, SuspendArguments};
use crate::when::When;

/// The shortest trial: time for one login.
const SHORTEST_TRIAL: Span = Span::minutes(1);

/// How long enforcing lasts by itself while it is being tested, and what is then said for it; nobody says why they
/// enforce.
const TEST: Span = Span::minutes(1);
const TESTED: &str = "being tested";

/// Why nothing was switched.
#[derive(Debug)]
pub enum Failure {
    /// A length or a reason that cannot be.
    Wrong(String),
    /// Only root may.
    NotRoot,
    /// The file as it stands is not understood, or is not root's alone.
    Unreadable(String),
    /// It could not be written.
    Write(StoreError),
    /// There is nothing to end, or to confirm.
    Nothing(&'static str),
    /// The confirmation does not come from a new login.
    OldLogin(String),
    /// Enforcing is suspended.
    Suspended(Timestamp),
    /// What was tried shows that enforcing shuts out or lets in the wrong people: the mode that goes on, and a line each.
    Test(Mode, Vec<String>),
}

impl Failure {
    /// 1 there is nothing to end or confirm, 2 it could not be done, 64 wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Nothing(_) => 1,
            Self::Wrong(_) => crate::USAGE,
            _ => crate::CANNOT_TELL,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(problem) | Self::Unreadable(problem) => f.write_str(problem),
            Self::NotRoot => f.write_str("only root may switch the mode; run it with sudo"),
            Self::Write(StoreError::Busy(lock)) => {
                write!(
                    f,
                    "nothing changed: another suspend or enforce holds {}; lslocks names its process",
                    lock.display()
                )
            }
            Self::Write(error) => error.fmt(f),
            Self::Nothing(what) => f.write_str(what),
            Self::OldLogin(why) => {
                write!(f, "not confirmed: {why}; log in anew, which shows that one can, and run it there")
            }
            Self::Suspended(until) => {
                write!(f, "enforcing is suspended until {until}; end that first: oncall-cache suspend --end")
            }
            Self::Test(Mode::Observe, problems) => {
                write!(f, "not enforced, this host observes as before: {}", problems.join("; "))
            }
            Self::Test(Mode::Enforce, problems) => {
                write!(f, "this host enforces as before, and that goes wrong: {}", problems.join("; "))
            }
        }
    }
}

/// What stands beside the configuration at `config`.
pub fn read(config: &Path) -> Result<Switch, String> {
    switch::read(&switch::beside(config)).map_err(|unreadable| unreadable.to_string())
}

/// Where the mode comes from, for people; `None`: from the configuration.
pub fn told(source: ModeSource<'_>, problem: Option<&String>, at: Timestamp) -> Option<String> {
    let because = |order: &Order| match order.reason.as_str() {
        "" => format!("by {}", order.by),
        reason => format!("by {}: {reason}", order.by),
    };
    let until = |order: &Order| order.until.map(|until| When(until, at).to_string()).unwrap_or_default();
    match source {
        ModeSource::Config => None,
        ModeSource::Suspended(order) => Some(format!(
            "enforcing is SUSPENDED until {}, nobody is refused ({}); end it: oncall-cache suspend --end",
            until(order),
            because(order)
        )),
        ModeSource::Trial(order) if order.reason == TESTED => {
            Some(format!("enforced until {} while it is tested", until(order)))
        }
        ModeSource::Trial(order) => Some(format!(
            "enforced on trial until {} ({}); keep it: oncall-cache enforce --confirm, from a new login",
            until(order),
            because(order)
        )),
        ModeSource::Confirmed(order) => Some(format!(
            "enforced since {} ({}), while config.toml observes; go back: oncall-cache enforce --end",
            When(order.from, at),
            because(order)
        )),
        ModeSource::Unreadable => Some(format!(
            "enforced, because the switch cannot be read: {}",
            problem.map_or("", String::as_str)
        )),
    }
}

/// The same for programs: a word, or `None`.
pub fn source(source: ModeSource<'_>) -> Option<&'static str> {
    match source {
        ModeSource::Config => None,
        ModeSource::Suspended(_) => Some("suspended"),
        ModeSource::Trial(_) => Some("trial"),
        ModeSource::Confirmed(_) => Some("confirmed"),
        ModeSource::Unreadable => Some("unreadable"),
    }
}

/// Suspends enforcing, or ends that.
pub fn suspend(config: &Path, wish: &SuspendArguments, now: Timestamp) -> Result<Vec<String>, Failure> {
    let Some(length) = wish.length.filter(|_| !wish.end) else {
        let held = Held::take(config, now)?;
        if held.switch.suspension.is_none() {
            return Err(Failure::Nothing("enforcing is not suspended on this host"));
        }
        held.put("suspend", None)?;
        record("resume", None);
        return Ok(vec!["no longer suspended".to_string(), held.outcome(now)]);
    };
    let reason = wish.reason.as_deref().unwrap_or_default().trim();
    if length > Order::LONGEST {
        return Err(Failure::Wrong(format!(
            "{length} is longer than {}; suspend it again tomorrow",
            Order::LONGEST
        )));
    }
    if reason.is_empty() || !is_reason(reason) {
        return Err(Failure::Wrong(format!("a reason is one line of 1 to {LONGEST_REASON} bytes")));
    }
    let held = Held::take(config, now)?;
    let order = order(now, Some(length), reason);
    record("suspend", Some(&order));
    held.put("suspend", Some(&order))?;
    Ok(vec![held.outcome(now)])
}

/// Enforces, for a while or for good, confirms that, or ends it.
pub fn enforce(config: &Path, wish: &EnforceArguments, now: Timestamp) -> Result<Vec<String>, Failure> {
    if wish.confirm_within.is_some_and(|length| length < SHORTEST_TRIAL || length > Order::LONGEST) {
        return Err(Failure::Wrong(format!("a trial lasts {SHORTEST_TRIAL} to {}", Order::LONGEST)));
    }
    if wish.confirm {
        return confirm(config, now);
    }
    let held = Held::take(config, now)?;
    if wish.end {
        if held.switch.enforcement.is_none() {
            return Err(Failure::Nothing("nothing to end: the mode is what config.toml says"));
        }
        held.put("enforce", None)?;
        record("enforce-end", None);
        return Ok(vec![held.outcome(now)]);
    }
    if let Some(problem) = &held.world.config_problem {
        return Err(Failure::Unreadable(problem.clone()));
    }
    let (mode, source) = mode_in_force(held.world.rules.mode, Some(&held.switch), now);
    let test = || trial::run(&held.world, now).map_err(|problems| Failure::Test(mode, problems));
    let already = match source {
        ModeSource::Suspended(Order { until: Some(until), .. }) => return Err(Failure::Suspended(*until)),
        ModeSource::Confirmed(_) => Some("enforced already"),
        _ if held.world.rules.mode == Mode::Enforce => Some("config.toml enforces already"),
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
            held.write(&held.text)?;
            return Err(failure);
        }
    };
    let order = order(now, wish.confirm_within, "");
    record("enforce", Some(&order));
    held.put("enforce", Some(&order))?;
    Ok([shown, vec![held.outcome(now)]].concat())
}

/// Makes a trial last. Whoever says so has logged in since it began.
fn confirm(config: &Path, now: Timestamp) -> Result<Vec<String>, Failure> {
    // Before it is read how long ago the trial began: that the login began after it must show by any pace.
    let age = trial::age_of_login();
    let held = Held::take(config, now)?;
    let trial = held.switch.enforcement.as_ref().filter(|order| order.until.is_some() && order.holds(now));
    let Some(trial) = trial else {
        return Err(Failure::Nothing("there is no trial to confirm, or it is over"));
    };
    if trial.reason == TESTED {
        return Err(Failure::Nothing(
            "the test of `enforce` did not come to its end; run oncall-cache enforce again",
        ));
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

fn order(now: Timestamp, length: Option<Span>, reason: &str) -> Order {
    let until = length.map(|length| now.plus(length));
    Order {
        from: now,
        until,
        by: accounts::operator(),
        reason: reason.to_string(),
        elapsed: Some(Duration::ZERO),
    }
}

/// One line in the log: what was switched, and by whom.
fn record(verb: &str, order: Option<&Order>) {
    let until = order.and_then(|order| order.until).map(|until| until.to_string()).unwrap_or_default();
    Line::new("-", verb, "switch")
        .field("by", &accounts::operator())
        .field("until", &until)
        .field("why", order.map_or("", |order| &order.reason))
        .send("oncall-cache");
}

/// The switch as it stands, held so that nobody else changes it.
struct Held {
    path: PathBuf,
    text: Vec<u8>,
    world: World,
    switch: Switch,
    _lock: SyncLock,
}

impl Held {
    fn take(config: &Path, now: Timestamp) -> Result<Self, Failure> {
        if !accounts::is_root() {
            return Err(Failure::NotRoot);
        }
        let path = switch::beside(config);
        // A test of all three takes half a minute at most.
        let lock = SyncLock::wait(&path, || {
            crate::complain("another suspend or enforce is at work; waiting for its end");
        });
        let lock = lock.map_err(Failure::Write)?;
        let world = World::load(config, now);
        let switch = world.switch.clone().map_err(Failure::Unreadable)?;
        let text = switch::text(&path).map_err(|unreadable| Failure::Unreadable(unreadable.to_string()))?;
        Ok(Self { path, text, world, switch, _lock: lock })
    }

    /// Puts `order` in the place of what stands there of `verb`.
    fn put(&self, verb: &str, order: Option<&Order>) -> Result<(), Failure> {
        self.write(&switch::with(&self.text, verb, order, &host::clock::uptime()))
    }

    fn write(&self, text: &[u8]) -> Result<(), Failure> {
        if text.is_empty() {
            return fs::remove_file(&self.path)
                .map_err(|error| Failure::Unreadable(format!("{}: {error}", self.path.display())));
        }
        let write = |temporary: &Path| fs::write(temporary, text).map_err(|error| error.to_string());
        store::replace(&self.path, 0o644, write).map_err(Failure::Write)?;
        switch::read(&self.path).map(drop).map_err(|unreadable| Failure::Unreadable(unreadable.to_string()))
    }

    /// What holds now, as a login would read it.
    fn outcome(&self, now: Timestamp) -> String {
        let switch = switch::read(&self.path);
        let (mode, source) = mode_in_force(self.world.rules.mode, switch.as_ref().ok(), now);
        let problem = switch.as_ref().err().map(ToString::to_string);
        let told =
            told(source, problem.as_ref(), now).unwrap_or_else(|| match (mode, &self.world.config_problem) {
                (_, Some(problem)) => {
                    format!("this host enforces, because its configuration cannot be read: {problem}")
                }
                (Mode::Enforce, _) => "this host enforces, as config.toml says".to_string(),
                (Mode::Observe, _) => {
                    "this host observes, as config.toml says: nobody is refused".to_string()
                }
            });
        if self.path == switch::beside(Path::new(DEFAULT_PATH)) {
            return told;
        }
        format!(
            "{told}\n{} counts for PAM lines with config= and a file beside it, and for no other",
            self.path.display()
        )
    }
}
