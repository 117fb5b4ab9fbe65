//! The switch of this host, held while `pause` or `enforce` changes it.
//!
//! The permanent word is the configuration's, which is often somebody else's file. What is said here is in a file
//! beside it, with its end, and every login judges that end itself: a pause is over and a trial is taken back without a
//! timer, a daemon or a second write. It is replaced whole, and read again as a login would read it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use host::accounts;
use host::config::DEFAULT_PATH;
use host::switch;
use policy::{Mode, Order, Span, Switch, Timestamp, mode_in_force};
use record::Line;
use state::{Asked, HostState};
use status::mode::told;

use crate::held::{HeldError, HeldOrders, Matter};
use crate::said::{CANNOT_TELL, Live, Said, USAGE};

/// Why nothing was switched.
#[derive(Debug)]
pub enum Failure {
    /// A length or a reason that cannot be.
    Wrong(String),
    /// The file cannot be changed.
    Held(HeldError),
    /// The configuration cannot be read.
    NoConfig(String),
    /// There is nothing to end, or to confirm.
    Nothing(&'static str),
    /// The confirmation does not come from a new login.
    OldLogin(String),
    /// Enforcing is paused.
    Paused(Timestamp),
    /// What was tried shows that enforcing shuts out or lets in the wrong people: the mode that goes on, and a line each.
    Test(Mode, Vec<String>),
}

impl Failure {
    /// 1 there is nothing to end or confirm, 2 it could not be done, 64 wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Nothing(_) => 1,
            Self::Wrong(_) => USAGE,
            _ => CANNOT_TELL,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(problem) | Self::NoConfig(problem) => f.write_str(problem),
            Self::Held(error) => error.fmt(f),
            Self::Nothing(what) => f.write_str(what),
            Self::OldLogin(why) => {
                write!(f, "not confirmed: {why}; log in again, to prove that logins work, and run it there")
            }
            Self::Paused(until) => {
                write!(f, "enforcing is paused until {until}; end that first: oncall-cache pause --end")
            }
            Self::Test(Mode::Observe, problems) => {
                write!(f, "not enforced, this host observes as before: {}", problems.join("; "))
            }
            Self::Test(Mode::Enforce, problems) => {
                write!(f, "this host enforces as before, and its test failed: {}", problems.join("; "))
            }
        }
    }
}

/// An order that begins `now`, given by the user who runs this.
pub fn order(now: Timestamp, length: Option<Span>, reason: &str) -> Order {
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
pub fn record(verb: &str, order: Option<&Order>) {
    let until = order.and_then(|order| order.until).map(|until| until.to_string()).unwrap_or_default();
    Line::new("-", verb, "switch")
        .field("by", &accounts::operator())
        .field("until", &until)
        .field("why", order.map_or("", |order| &order.reason))
        .send("oncall-cache");
}

const MATTER: Matter = Matter { what: "switch the mode", verbs: "pause or enforce" };

/// The switch, held so that nobody else changes it.
pub struct Held {
    /// The file.
    pub orders: HeldOrders,
    /// What this host knows.
    pub state: HostState,
    /// What the file says.
    pub switch: Switch,
}

impl Held {
    /// Takes the switch beside the configuration at `config`.
    pub fn take(config: &Path, live: Live<'_>, now: Timestamp) -> Result<Self, Failure> {
        let orders = HeldOrders::take(&switch::FILE, config, MATTER, live).map_err(Failure::Held)?;
        let switch = switch::parse(&orders.path, &orders.text, &host::clock::uptime());
        let switch = switch.map_err(|error| Failure::Held(HeldError::Unreadable(error)))?;
        let mut state = HostState::load(config);
        state.read_roster(Asked::Everything, now, now);
        Ok(Self { orders, state, switch })
    }

    /// Replaces what the file has of `verb` by `order`.
    pub fn put(&self, verb: &str, order: Option<&Order>) -> Result<(), Failure> {
        self.write(&switch::with(&self.orders.text, verb, order, &host::clock::uptime()))
    }

    /// Replaces the file.
    pub fn write(&self, text: &[u8]) -> Result<(), Failure> {
        self.orders.put(text, switch::read).map(drop).map_err(Failure::Held)
    }

    /// What holds now, as a login would read it.
    pub fn outcome(&self, now: Timestamp) -> String {
        let switch = switch::read(&self.orders.path);
        let (mode, source) = mode_in_force(self.state.rules().mode, switch.as_ref().ok(), now);
        let problem = switch.as_ref().err().map(ToString::to_string);
        let told =
            told(source, problem.as_deref(), now).unwrap_or_else(|| match (mode, self.state.config()) {
                (_, Err(problem)) => {
                    format!("this host enforces, because its configuration cannot be read: {problem}")
                }
                (Mode::Enforce, _) => "this host enforces, as config.toml says".to_string(),
                (Mode::Observe, _) => {
                    "this host observes, as config.toml says: nobody is refused".to_string()
                }
            });
        if self.orders.path == switch::FILE.beside(Path::new(DEFAULT_PATH)) {
            return told;
        }
        format!(
            "{told}\n{} counts for PAM lines with config= and a file beside it, and for no other",
            self.orders.path.display()
        )
    }
}

/// What `pause` and `enforce` say: what holds now, or why nothing was switched.
pub fn said(outcome: Result<Vec<String>, Failure>) -> Said {
    match outcome {
        Ok(lines) => lines.into_iter().fold(Said::default(), Said::then),
        Err(failure) => Said::failure(failure.exit_code(), &failure),
    }
}
