//! Sinks: others who are told who is on call. A group in a directory, a topic, members of a group at GitLab, a log.
//!
//! Who is on call comes from the head that this collector has published, as long as it is the one who publishes; without
//! a fleet from this host's roster. What cannot be told changes nothing. Nobody on call for a while changes nothing
//! either (`hold_max`): a hole in a rota is a mistake more often than a wish. Each sink is for itself: one that fails
//! stops no other, and one that does not answer lets no other wait.

mod config;
pub mod deputize;
mod gitlab;
mod group;
mod memory;
mod rota;
mod slack;
mod told;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use host::secret::Secret;
use http::{Client, HeaderName, Reply, RetryAfter, Route};
use policy::{Principal, Span, Timestamp};

pub use config::{Kind, Sink, SinksConfig};
pub use memory::Memory;
pub use rota::{OnCall, Rota, RotaError};

/// Within so long one sink has an end.
const LIMIT: Duration = Duration::from_secs(30);

/// A service that asks to be left alone for longer is asked again after this.
const LONGEST_REST: Span = Span::hours(1);

/// What this program calls itself.
const AGENT: &str = concat!("oncall-collector/", env!("CARGO_PKG_VERSION"));

/// Is something written, or told alone?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// It is written.
    Write,
    /// What would be written is told.
    Look,
}

/// Why a sink was not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong, and what to do.
    pub why: String,
    /// How long it asks to be left alone.
    pub after: Option<Span>,
}

impl Failure {
    fn new(why: impl fmt::Display) -> Self {
        Self { why: why.to_string(), after: None }
    }
}

impl From<http::HttpError> for Failure {
    fn from(error: http::HttpError) -> Self {
        Self::new(error)
    }
}

/// One sink at work.
struct Work<'a> {
    sink: &'a Sink,
    /// Who should be shown.
    wanted: &'a BTreeSet<Principal>,
    /// Who was shown before, as far as this is known.
    before: Option<BTreeSet<Principal>>,
    rota: &'a Rota,
    syncs: &'a host::Config,
    at: Timestamp,
    apply: Apply,
    state: &'a Path,
    /// How many changes were seen before this run.
    changes: u64,
}

/// What came of one sink.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What was done or would be, a line each.
    pub changes: Vec<String>,
    /// What is worth knowing and nobody's fault.
    pub notes: Vec<String>,
    /// What somebody has to mend.
    pub alerts: Vec<String>,
}

/// Brings `sinks` up to date at `at`, all at once; what came of each, in their order.
pub fn run(
    sinks: &[Sink],
    known: (&Rota, &host::Config),
    state: &Path,
    at: Timestamp,
    apply: Apply,
) -> Vec<Outcome> {
    thread::scope(|scope| {
        let begun: Vec<_> =
            sinks.iter().map(|sink| scope.spawn(move || update(sink, known, state, at, apply))).collect();
        let crashed = |_| Outcome {
            alerts: vec!["a bug in oncall-collector; please report it".to_string()],
            ..Outcome::default()
        };
        begun.into_iter().map(|running| running.join().unwrap_or_else(crashed)).collect()
    })
}

/// Brings `sink` up to date at `at`.
fn update(
    sink: &Sink,
    (rota, syncs): (&Rota, &host::Config),
    state: &Path,
    at: Timestamp,
    apply: Apply,
) -> Outcome {
    let mut outcome = Outcome::default();
    let nobody = BTreeSet::new();
    let work = Work { sink, wanted: &nobody, before: None, rota, syncs, at, apply, state, changes: 0 };
    let done = match Memory::read(state, &sink.name) {
        Ok(mut memory) => {
            let done = bring_up_to_date(&work, &mut memory, &mut outcome);
            if let Err(Failure { after: Some(after), .. }) = &done {
                memory.not_before = Some(at.plus((*after).min(LONGEST_REST)).unix());
            }
            done.and(work.keep(&memory))
        }
        Err(problem) => work.barred(problem, &mut Memory::default(), &mut outcome),
    };
    if let Err(failure) = done {
        outcome.alerts.push(failure.why);
    }
    outcome
}

/// `work` knows nobody who is wanted, and nobody of before.
fn bring_up_to_date(work: &Work<'_>, memory: &mut Memory, outcome: &mut Outcome) -> Result<(), Failure> {
    rest(memory, work.at)?;
    let on_call = match on_call(work) {
        Ok(on_call) => on_call,
        Err(problem) => return work.barred(problem, memory, outcome),
    };
    outcome.notes.extend(on_call.left_out);
    memory.forget_old(work.rota.turn, work.at);
    let (before, changes) = (memory.people(), memory.changes);
    let Some(wanted) = shown(work, on_call.people, memory, outcome) else {
        return work.bar(memory, outcome);
    };
    let work = Work { wanted: &wanted, before, changes, ..*work };
    if work.is_change() {
        // What cannot be noted down would be told again by every run.
        work.keep(memory)?;
    }
    match &work.sink.kind {
        Kind::Group(group) => group::write(group, &work, memory, outcome)?,
        Kind::Topic(topic) => slack::topic(topic, &work, memory, outcome)?,
        Kind::Message(message) => slack::message(message, &work, outcome)?,
        Kind::Gitlab(gitlab) => gitlab::write(gitlab, &work, memory, outcome)?,
        Kind::Gelf(gelf) => told::gelf(gelf, &work, outcome)?,
        Kind::Webhook(webhook) => told::webhook(webhook, &work, outcome)?,
    }
    memory.changes = changes.saturating_add(u64::from(work.is_change()));
    memory.last = Some(wanted.iter().map(|person| person.as_str().to_string()).collect());
    Ok(())
}

/// Is the service to be left alone still?
fn rest(memory: &mut Memory, at: Timestamp) -> Result<(), Failure> {
    if let Some(until) = memory.not_before.map(Timestamp::from_unix).filter(|until| at < *until) {
        // A clock that was set back does not silence it for longer than it was asked to.
        if until.since(at) <= LONGEST_REST {
            return Err(Failure::new(format_args!("it is left alone until {until}, as it asked")));
        }
    }
    memory.not_before = None;
    Ok(())
}

/// Who is on call, by sources that count here.
fn on_call(work: &Work<'_>) -> Result<OnCall, Failure> {
    let Work { sink, rota, syncs, at, .. } = *work;
    if let Some(why) = unseen(sink, rota, syncs) {
        return Err(Failure::new(format_args!("nobody is given a right by what it says: {why}")));
    }
    rota.on_call(sink, &syncs.oncall, at).map_err(Failure::new)
}

/// Who is to be shown, where these are on call: where nobody is, the last ones for a while; `None`: whoever is there.
fn shown(
    work: &Work<'_>,
    on_call: BTreeSet<Principal>,
    memory: &mut Memory,
    outcome: &mut Outcome,
) -> Option<BTreeSet<Principal>> {
    let Work { sink, at, .. } = *work;
    if !on_call.is_empty() {
        memory.empty_since = None;
        return Some(on_call);
    }
    let since = *memory.empty_since.get_or_insert(at.unix());
    let empty = at.since(Timestamp::from_unix(since));
    if empty >= sink.hold_max {
        outcome.alerts.push(format!("nobody is on call for {empty}; see `hold_max` and the rota"));
        return Some(BTreeSet::new());
    }
    let until = Timestamp::from_unix(since).plus(sink.hold_max);
    let Some(held) = memory.people() else {
        outcome.notes.push(format!("nobody is on call: nothing is changed until {until}"));
        return None;
    };
    outcome.notes.push(format!("nobody is on call: the last ones are held until {until}"));
    // Whoever has lost the right itself is held by nothing.
    Some(held.into_iter().filter(|person| work.rota.allows(sink, person)).collect())
}

/// Why a sink that gives rights does not go by a source of its schedules.
fn unseen(sink: &Sink, rota: &Rota, syncs: &host::Config) -> Option<String> {
    let mut named = rota
        .roster
        .schedules
        .iter()
        .filter(|one| sink.schedules.iter().any(|wanted| wanted.names(&one.reference)));
    let of = |name: &str| syncs.oncall.sources.iter().find(|source| source.name == name)?.unseen();
    sink.kind.gives_rights().then(|| named.find_map(|one| of(&one.reference.source))).flatten()
}

impl Work<'_> {
    /// Takes out who may not have the right any more, whoever is on call, and leaves all others.
    fn bar(&self, memory: &mut Memory, outcome: &mut Outcome) -> Result<(), Failure> {
        match &self.sink.kind {
            Kind::Group(group) => group::bar(group, self, memory, outcome),
            Kind::Gitlab(gitlab) => gitlab::bar(gitlab, self, memory, outcome),
            Kind::Topic(_) | Kind::Message(_) | Kind::Gelf(_) | Kind::Webhook(_) => Ok(()),
        }
    }

    /// The same where a problem keeps all else from being done.
    fn barred(&self, problem: Failure, memory: &mut Memory, outcome: &mut Outcome) -> Result<(), Failure> {
        let Err(failure) = self.bar(memory, outcome) else { return Err(problem) };
        outcome.alerts.push(failure.why);
        Err(Failure { after: problem.after.or(failure.after), ..problem })
    }

    /// Did somebody come or go since the last run? Not on the first one, which only sees what there is.
    fn is_change(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before != self.wanted)
    }

    /// Keeps what is in `memory`, for a run that is ended in between.
    fn keep(&self, memory: &Memory) -> Result<(), Failure> {
        if self.apply == Apply::Write { memory.keep(self.state, &self.sink.name) } else { Ok(()) }
    }

    fn would(&self, done: &str, would: &str) -> String {
        if self.apply == Apply::Write { done.to_string() } else { would.to_string() }
    }
}

/// Names, or that there are none.
fn named<'p>(people: impl IntoIterator<Item = &'p Principal>) -> String {
    let names: Vec<&str> = people.into_iter().map(Principal::as_str).collect();
    if names.is_empty() { "nobody".to_string() } else { names.join(", ") }
}

fn client(service: &config::Service, headers: &[(HeaderName, &str)]) -> Result<Client, Failure> {
    let deadline = Instant::now() + LIMIT;
    let proxy = service.proxy.as_deref();
    let route = Route { agent: AGENT, ca_file: &service.ca_file, proxy, deadline };
    Ok(Client::new(&service.base, route, headers)?)
}

fn secret(file: &Path, setting: &str) -> Result<Secret, Failure> {
    Secret::read(file).map_err(|error| Failure::new(format_args!("see `{setting}`: {error}")))
}

/// What an answer other than success means; `advice` is what to look at where the service does not accept us.
fn judge(reply: &Reply, service: &str, advice: &str) -> Result<(), Failure> {
    let why = match reply.status {
        200..=299 => return Ok(()),
        401 | 403 => format!("{service} does not accept the token (status {}); see {advice}", reply.status),
        404 => format!("{service} knows nothing of it (status 404); see {advice}"),
        429 => format!("{service} asks to be left alone; again {}", reply.retry()),
        status => format!("{service} answers status {status}; the next run tries again"),
    };
    let after = match reply.retry() {
        RetryAfter::In(span) if matches!(reply.status, 429 | 503) => Some(span),
        RetryAfter::Unknown | RetryAfter::At(_) if reply.status == 429 => Some(Span::minutes(1)),
        _ => None,
    };
    Err(Failure { why, after })
}
