//! Publishing: what this host knows goes into the store, its head last.
//!
//! A head is swapped for the one that was read before anything was built upon it; whoever comes second starts again. All
//! that a head names and the one before did not is written first, also where it is there already: what was not named for
//! long is about to be swept (upload.rs).

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use clock::{now, uptime};
use fleet::{Digest, Head, LARGEST_HEAD, LARGEST_PACK, Mark, Origin};
use host::FileError;
use host::said::Live;
use mirror::{FleetError, Trusted};
use policy::Timestamp;
use policy::revocations::{Order, Revocations, RevocationsError, Subject};
use signed::SigningKeyError;

use crate::config::Config;
use crate::current::{Current, CurrentError, Signed};
use crate::draft::{Draft, Sources};
use crate::handed;
use crate::hear;
use crate::local::{Local, LocalError, Memory};
use crate::objects::{Objects, ObjectsError};
use crate::orders::{self, Orders};
use crate::own::{Own, Stamps};
use crate::pack::pack;
use crate::signing::{Signing, SigningError};
use crate::stores::{self, Access, HEAD, Store, StoreError, past};
use crate::sweep;
use crate::told::Telling;
use crate::turn::{ClockError, Last, Turn, Why, judge_clock, turn};
use crate::upload::{MANY, upload};

/// How often one run begins again because something changed meanwhile.
const ROUNDS: usize = 5;

/// After so long what was written for a head might be swept before the head is there. Sweeping leaves twice as much.
const SOON: Duration = Duration::from_secs(30 * 60);

/// A collector at work, alone on its host.
pub struct Publisher<'a> {
    config: &'a Config,
    local: Local,
    live: Live<'a>,
}

/// The same with all that it takes to publish.
struct Session<'a> {
    config: &'a Config,
    local: &'a Local,
    live: Live<'a>,
    syncs: host::Config,
    store: Box<dyn Store>,
    signing: Signing,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// It was published.
    Published(Box<Published>),
    /// Another collector does that: who, and how long ago it last did.
    StandsBy(Vec<String>, policy::Span),
}

/// A publication.
#[derive(Debug)]
pub struct Published {
    /// The head.
    pub head: Head,
    /// Why this collector published.
    pub why: Why,
    /// How many schedules are in it.
    pub schedules: usize,
    /// The revocations in it.
    pub revoked: Revocations,
    /// So many objects were written.
    pub written: usize,
    /// Does it say something that the one before did not?
    pub is_new: bool,
    /// What could not be used, a line each.
    pub problems: Vec<String>,
    /// What is left out by a rule of the form, a line each.
    pub notes: Vec<String>,
}

/// Why nothing was published.
#[derive(Debug)]
pub enum CollectorError {
    /// A configuration cannot be read.
    Config(FileError),
    /// This collector's own directory cannot be used.
    Local(LocalError),
    /// It cannot sign.
    Signing(SigningError),
    /// A key could not sign.
    Key(SigningKeyError),
    /// The store cannot be used.
    Store(StoreError),
    /// What is published cannot be built upon.
    Current(CurrentError),
    /// The clock is wrong.
    Clock(ClockError),
    /// An object cannot be read or made.
    Objects(ObjectsError),
    /// Hosts would not take the head over.
    Head(FleetError),
    /// With its signatures the head is too large; in bytes.
    TooLarge(usize),
    /// An order is impossible.
    Order(RevocationsError),
    /// No order about this can follow what is known of it.
    Last(Subject),
    /// The store's head says nothing here, why, and this collector has no list of revocations of its own.
    Unknown(FleetError),
    /// Others published each time.
    Outrun,
}

impl fmt::Display for CollectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Local(error) => error.fmt(f),
            Self::Signing(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Current(error) => error.fmt(f),
            Self::Clock(error) => error.fmt(f),
            Self::Objects(error) => error.fmt(f),
            Self::Head(error) => write!(f, "hosts would refuse what was to be published: {error}"),
            Self::TooLarge(size) => write!(
                f,
                "the head has {size} bytes with its signatures, and hosts read {LARGEST_HEAD}; use fewer `signing_keys`"
            ),
            Self::Order(error) => error.fmt(f),
            Self::Last(subject) => write!(
                f,
                "{subject}: what is known has the highest serial that there is, so nothing can follow it; stop publishing, and take its \
                 line out of `revocations` of each collector and of /var/lib/oncall-cache/revoked on each host"
            ),
            Self::Unknown(problem) => write!(
                f,
                "the store has a head that does not count here: {problem}; and this collector has no list of revocations, so \
                 publishing could lift some: add the lines of the other collectors to fleet-signers, bring the file \
                 `revocations` back from a backup, revoke everybody anew, or remove `head` from the store if nobody was"
            ),
            Self::Outrun => write!(
                f,
                "others published before this collector {ROUNDS} times; see `oncall-collector status` for who"
            ),
        }
    }
}

impl std::error::Error for CollectorError {}

macro_rules! from {
    ($($error:ty => $variant:ident),* $(,)?) => {$(
        impl From<$error> for CollectorError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    FileError => Config, LocalError => Local, SigningError => Signing, SigningKeyError => Key, StoreError => Store,
    CurrentError => Current, ClockError => Clock, ObjectsError => Objects, RevocationsError => Order,
}

impl<'a> Publisher<'a> {
    /// Takes this host's directory.
    ///
    /// # Errors
    /// It cannot be used, or another process has it.
    pub fn begin(config: &'a Config, live: Live<'a>) -> Result<Self, CollectorError> {
        Ok(Self { config, local: Local::take(config)?, live })
    }

    /// Publishes, if it is this collector's turn or it `is_asked` to; again, as long as the copies change meanwhile.
    ///
    /// # Errors
    /// Nothing was published; or it is not known whether it was.
    pub fn publish(&self, is_asked: bool) -> Result<Outcome, CollectorError> {
        let syncs = host::Config::load(&self.config.syncs())?;
        let signing = Signing::load(self.config, now())?;
        for (path, error) in &signing.idle {
            (self.live.note)(format_args!("{}: not used: {error}", path.display()));
        }
        let store = stores::open(self.config, Access::Write)?;
        Session { config: self.config, local: &self.local, live: self.live, syncs, store, signing }
            .publish(is_asked)
    }

    /// The instant it is by this host's clock or, where that is behind, by what its syncs have proven: what is revoked must
    /// not be over by the time that the clock is set.
    pub fn now(&self) -> Timestamp {
        let copies = host::Config::load(&self.config.syncs()).map(|syncs| syncs.paths);
        copies.map_or_else(|_| now(), |paths| clock::reached([&paths.roster, &paths.keys], now()))
    }

    /// Changes what the fleet's revocations say about `subject` at `at`: `make` gets what is known, here and in the store,
    /// and the serial of a new order. It is kept here; publishing is another matter, and may fail. Was there anything to
    /// change?
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn order(
        &self,
        subject: &Subject,
        at: Timestamp,
        make: impl FnOnce(Option<&Order>, u64) -> Option<Order>,
    ) -> Result<bool, CollectorError> {
        let mut list = self.local.revocations()?;
        if let Some(theirs) = self.published_revocations() {
            list.merge(&theirs)?;
        }
        let serial = list.next_serial(subject, at);
        let Some(order) = make(list.get(subject), serial) else { return Ok(false) };
        list.insert(subject.clone(), order.clone())?;
        if list.get(subject) != Some(&order) {
            return Err(CollectorError::Last(subject.clone()));
        }
        self.local.keep_revocations(&list)?;
        Ok(true)
    }

    /// Does this host's copy of the directory have nobody of this name?
    pub fn is_unknown(&self, subject: &Subject) -> bool {
        let Subject::Person(person) = subject else { return false };
        let people =
            host::Config::load(&self.config.syncs()).ok().and_then(|syncs| Own::read(&syncs, now()).people);
        people.is_some_and(|people| !people.knows(person))
    }

    /// Without the store an order is at least above all that this collector has seen.
    fn published_revocations(&self) -> Option<Revocations> {
        let (signers, _) = mirror::read_signers(&self.config.signers).ok()?;
        let store = stores::open(self.config, Access::Read).ok()?;
        let last = Current::read(&*store, &self.config.fleet, &signers, now()).ok()?.head?;
        orders::published(&Objects::new(&self.local.copies, &*store, &BTreeSet::new()), &last).ok()
    }
}

impl Session<'_> {
    fn publish(&self, is_asked: bool) -> Result<Outcome, CollectorError> {
        let mut last = None;
        let mut lost = BTreeSet::new();
        for _ in 0..ROUNDS {
            match self.round(is_asked, &lost)? {
                Round::Outrun => {}
                Round::StandsBy(who, age) => return Ok(Outcome::StandsBy(who, age)),
                Round::Published(published, stamps) => {
                    lost = self.sweep(&published.head);
                    let is_current = Stamps::now(&self.syncs) == stamps;
                    last = Some(published);
                    if is_current && lost.is_empty() {
                        break;
                    }
                }
            }
        }
        last.map(Outcome::Published).ok_or(CollectorError::Outrun)
    }

    fn round(&self, is_asked: bool, lost: &BTreeSet<Digest>) -> Result<Round, CollectorError> {
        let at = now();
        let own = Own::read(&self.syncs, at);
        let current = Current::read(&*self.store, &self.config.fleet, &self.signing.signers, at)?;
        judge_clock(at, &uptime(), &own.proven, current.date)?;
        let last = current.head.as_ref();
        let mut objects = self.objects(lost);
        let mut orders = Orders::gather(self.local.revocations()?, last, &objects, at)?;
        let is_newer = |last: &Signed| hear::came_since(last.head.issued, at);
        let is_asked = is_asked || orders.is_ahead || last.is_some_and(is_newer);
        let why = match turn(self.last(last).as_ref(), self.config.patience(), is_asked, at) {
            Turn::StandBy(who, age) => {
                handed::take_back(&self.config.turn);
                if orders.lost.is_none() {
                    self.local.keep_revocations(&orders.list)?;
                }
                return Ok(Round::StandsBy(who, age));
            }
            Turn::Publish(why) => why,
        };
        self.see_that_nothing_is_lifted(&current, &mut orders)?;
        let started = uptime();
        let mut memory = self.local.memory();
        let built = memory.built.filter(|_| lost.is_empty());
        let sources = Sources { own: &own, orders: &orders, last, built };
        let mut draft = sources.draft(&mut objects, &self.config.fleet, self.config.valid, at)?;
        draft.head.pack = match &draft.head.people {
            Some(root) => {
                let before = (last.and_then(|last| last.head.people.as_ref()), draft.head.pack);
                pack(LARGEST_PACK, &mut objects, root, before, &mut memory, &mut draft.notes)?
            }
            None => None,
        };
        self.local.keep_revocations(&draft.revoked)?;
        let written = upload(MANY, &objects, &*self.store, at)?;
        let (mark, document) = self.seal(&mut draft, last)?;
        // A host that was stopped in between, and goes on hours later.
        if uptime().after(&started).is_none_or(|elapsed| elapsed > SOON) {
            return Ok(Round::Outrun);
        }
        // Before it is done: it may be done without an answer, and is this collector's own to the next round. Where it is not
        // done the last one is another's still, and the next turn another one.
        memory.turn = memory.turn.filter(|_| why == Why::Own).or(Some(mark.sequence));
        self.local.remember(&Memory { turn: memory.turn, ..self.local.memory() })?;
        if !self.store.put_if(HEAD, document.as_bytes(), current.version.as_ref())? {
            return Ok(Round::Outrun);
        }
        self.local.keep_mark(&mark)?;
        memory.built = draft.built;
        self.local.remember(&memory)?;
        let is_new = last.is_none_or(|last| !says_the_same(&last.head, &draft.head));
        if is_new {
            self.store.put(&past(mark.sequence), document.as_bytes())?;
        }
        self.hand_over(&mut draft, memory.turn, (&own, last, &objects));
        let Draft { head, revoked, schedules, problems, notes, .. } = draft;
        let published = Published { head, why, schedules, revoked, written, is_new, problems, notes };
        Ok(Round::Published(Box::new(published), own.stamps))
    }

    /// Gives the sinks of this host what was published after `last`, in a turn since `turn`.
    fn hand_over(
        &self,
        draft: &mut Draft,
        turn: Option<u64>,
        (own, last, objects): (&Own, Option<&Signed>, &Objects<'_>),
    ) {
        let telling = Telling {
            store: &*self.store,
            objects,
            fleet: &self.config.fleet,
            signers: &self.signing.signers,
            directory: &self.config.turn,
            own,
        };
        let Draft { head, revoked, problems, notes, .. } = draft;
        let roster = || telling.roster(head, last, notes);
        if let Err(problem) = handed::give(&self.config.turn, (head, turn), revoked, roster) {
            problems.push(format!("sinks are not told: {problem}"));
        }
    }

    /// Whoever is revoked in a head that cannot be built upon must not be let in again by a list that never had them.
    fn see_that_nothing_is_lifted(
        &self,
        current: &Current,
        orders: &mut Orders,
    ) -> Result<(), CollectorError> {
        let has_list = self.local.has_revocations();
        // What this collector published, it has; unless its disk was lost meanwhile.
        let is_own = |last: &Signed| self.signing.is_own(&last.names);
        let has_orders = has_list && current.head.as_ref().is_some_and(is_own);
        if !has_orders && let Some(problem) = orders.lost.take() {
            return Err(ObjectsError::Orders(Box::new(problem)).into());
        }
        let Some(problem) = &current.problem else { return Ok(()) };
        if !has_list {
            return Err(CollectorError::Unknown(problem.clone()));
        }
        (self.live.note)(format_args!(
            "what the store has is replaced, for no host takes it over: {problem}"
        ));
        Ok(())
    }

    fn objects<'o>(&'o self, lost: &'o BTreeSet<Digest>) -> Objects<'o> {
        Objects::new(&self.local.copies, &*self.store, lost)
    }

    fn last<'c>(&self, last: Option<&'c Signed>) -> Option<Last<'c>> {
        last.map(|last| Last {
            names: &last.names,
            is_own: self.signing.is_own(&last.names),
            issued: last.head.issued,
        })
    }

    /// Numbers the head and signs it; and judges it as a host will.
    fn seal(&self, draft: &mut Draft, last: Option<&Signed>) -> Result<(Mark, String), CollectorError> {
        let at = draft.head.issued;
        let own = self.local.mark()?;
        let before = last.map(|last| last.mark.sequence).max(own.map(|mark| mark.sequence));
        draft.head.sequence = sequence(before, at);
        draft.head.pad_after(last.map_or(0, |last| last.length));
        let document = self.signing.sign(&draft.head.write())?;
        if document.len() > LARGEST_HEAD {
            return Err(CollectorError::TooLarge(document.len()));
        }
        let trusted =
            Trusted { fleet: &self.config.fleet, epoch: 0, signers: &self.signing.signers, signatures: 1 };
        let opened = mirror::open(&trusted, document.as_bytes(), None, Origin::Store, at);
        Ok((opened.map_err(CollectorError::Head)?.mark, document))
    }

    /// Tidies the store up, now and then; what the head names and the store has lost.
    fn sweep(&self, head: &Head) -> BTreeSet<Digest> {
        let mut memory = self.local.memory();
        let at = now();
        if !sweep::is_due(memory.swept.map(Timestamp::from_unix), at) {
            return BTreeSet::new();
        }
        let none = BTreeSet::new();
        let objects = self.objects(&none);
        match sweep::sweep(&*self.store, &self.local.copies, &objects, head, self.config.keep, at) {
            Ok(lost) => {
                memory.swept = Some(at.unix());
                if let Err(error) = self.local.remember(&memory) {
                    (self.live.note)(format_args!("{error}"));
                }
                lost
            }
            Err(error) => {
                let lost = error.lost();
                if lost.is_none() {
                    (self.live.note)(format_args!("old objects stay in the store: {error}"));
                }
                lost.into_iter().collect()
            }
        }
    }
}

/// How one attempt ended.
enum Round {
    Published(Box<Published>, Stamps),
    StandsBy(Vec<String>, policy::Span),
    Outrun,
}

/// The sequence of a publication at `at` after the one with `before`. One that lies in the future no host takes over, so
/// nothing has to be above it.
fn sequence(before: Option<u64>, at: Timestamp) -> u64 {
    let milliseconds = |at: Timestamp| u64::try_from(at.unix()).unwrap_or(0).saturating_mul(1000);
    let latest = milliseconds(at.plus(policy::Rules::SKEW));
    Head::next_sequence(before.filter(|before| *before < latest), milliseconds(at))
}

/// Do both name the same objects?
fn says_the_same(one: &Head, other: &Head) -> bool {
    let says = |head: &Head| (head.scope, head.rota, head.people, head.incidents, head.revoked, head.pack);
    says(one) == says(other)
}

#[cfg(test)]
mod tests;
