//! When a session that is open has lost its right: whether it stays, and why, or is ended.
//!
//! Ending is for the forgetful: whoever was root could have left a door. So where anything is in doubt the session stays,
//! and is listed with why. [`judge`] says what follows for one session from what [`decide`](crate::decide) says of it now,
//! from both clocks, and from what earlier runs remember. It ends nothing.

mod answer;
mod memory;
mod settings;

use core::time::Duration;

use crate::{Decision, Ground, Mode, ModeSource, Reason, Rules, Span, Timestamp, Uptime, Verdict, Window};

pub use answer::{Cause, Ends, Means, Outcome, Stay, WhyNot};
pub use memory::{Memory, Remembered};
pub use settings::{End, EndAction};

/// The least time between two runs that agree, by the clock that nobody can set.
const BETWEEN: Duration = Duration::from_secs(60);

/// How long is waited for what must not be broken off, as a package that is being installed.
const LONGEST_HELD: Duration = Duration::from_secs(30 * 60);

/// How far apart the two clocks may go, in seconds.
const SKEW: i64 = Rules::SKEW.as_seconds();

/// An instant by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By the one that can be set.
    pub at: Timestamp,
    /// By the one that nobody can set.
    pub uptime: Uptime,
}

impl Moment {
    /// Have both clocks advanced alike from `earlier` to this, within one boot?
    fn is_alike(&self, earlier: &Self) -> bool {
        let counted = self.uptime.after(&earlier.uptime).map(seconds);
        counted.is_some_and(|counted| (self.at.since(earlier.at).as_seconds() - counted).abs() <= SKEW)
    }
}

/// By what right a session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A shift.
    ByShift,
    /// A grant, and what is known of that one now.
    ByGrant(GrantNow),
    /// None that ends with either.
    Otherwise,
}

/// What is known now of the grant that opened a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantNow {
    /// It stands, or is not here and nobody has revoked it.
    Unknown,
    /// Its time is over.
    Over,
    /// It is revoked, or everybody who signed it.
    Revoked,
}

/// What the record of a session's opening says, and what is certain of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// When it opened.
    pub at: Timestamp,
    /// How long after the boot the process began that holds it; `None`: it is not certain that this is the same process.
    pub began: Option<Duration>,
    /// By what right.
    pub right: Opened,
    /// Until when that was to last.
    pub promised: Option<Timestamp>,
    /// Did the host enforce then?
    pub was_enforced: bool,
    /// Is it a connection to a shared account, which is hung up as a whole?
    pub is_shared_connection: bool,
    /// Is somebody in it as themselves?
    pub is_own_login: bool,
    /// Is the person of the record the first behind it? What somebody opens in another's session is that other's too.
    pub is_first: bool,
}

/// What holds now.
#[derive(Debug, Clone, Copy)]
pub struct Now<'a> {
    /// When that is.
    pub moment: Moment,
    /// What is decided now about the person, account and door of the opening; `None`: nobody is known to be behind it.
    pub decision: Option<&'a Decision>,
    /// What is decided at the end of that, where it allows and has one.
    pub then: Option<&'a Decision>,
    /// Is all that this host's rules go by read, and younger than `warn_age`?
    pub is_fresh: bool,
    /// What of the shifts that the session was opened by does not count because a file of the site's says so: whoever is
    /// on call by the rota is not thrown out for a rule that was written meanwhile.
    pub left_out: &'a [Window],
    /// Is it known which grants stand?
    pub knows_grants: bool,
    /// The mode that is in force, and where it comes from.
    pub mode: (Mode, ModeSource<'a>),
    /// `[policy.end]`.
    pub end: End,
    /// Since when its action is in force.
    pub since: Timestamp,
}

impl Now<'_> {
    /// Is it only recorded what would be ended?
    fn only_watches(&self) -> bool {
        self.mode.0 == Mode::Observe || self.end.action == EndAction::List
    }

    /// When the right ends that is there now, if it ends by something that sessions are ended for.
    fn ends(&self, opening: &Opening) -> Option<Timestamp> {
        let then = self.then.filter(|then| then.verdict == Verdict::Refuse)?;
        let until = self.decision?.until?;
        let is_end = is_an_end(then.reason, opening.right) && !self.is_left_out(then.reason, until);
        (is_end && self.moment.at < until).then_some(until)
    }

    /// Is somebody off call at `at` only because a part of their shift is left out?
    fn is_left_out(&self, reason: Reason, at: Timestamp) -> bool {
        reason == Reason::NotOnCall && self.left_out.iter().any(|part| part.contains(at))
    }
}

/// Is this a reason for which a session is ended that was opened by such a right?
fn is_an_end(reason: Reason, right: Opened) -> bool {
    match reason {
        Reason::NotOnCall | Reason::NotEligible => right != Opened::Otherwise,
        // A host where nobody is on call, and some are let in.
        Reason::NoRule => matches!(right, Opened::ByGrant(_)),
        _ => false,
    }
}

/// What follows for one session, and what is to be remembered of it. `before` is what was remembered.
pub fn judge(opening: &Opening, now: &Now<'_>, before: &Remembered) -> (Outcome, Remembered) {
    let unseen = Remembered { refused: None, ..*before };
    let Some(decision) = now.decision else { return (Outcome::Stays(Stay::NoRight), unseen) };
    let is_bound = decision.reason == Reason::Revoked || opening.right != Opened::Otherwise;
    match decision.verdict {
        _ if !is_bound => (Outcome::Stays(Stay::NoRight), unseen),
        Verdict::Allow | Verdict::NotOurs => holds(opening, now, decision, &unseen),
        Verdict::CannotTell | Verdict::BadName => {
            (Outcome::Listed(WhyNot::CannotTell(decision.reason)), unseen)
        }
        Verdict::Refuse => match cause(opening, now, decision.reason) {
            Ok(cause) => ended(opening, now, (cause, decision.reason), before),
            Err(why) => (Outcome::Listed(why), unseen),
        },
    }
}

/// Whoever is admitted now, and is warned if that ends soon.
fn holds(
    opening: &Opening,
    now: &Now<'_>,
    decision: &Decision,
    unseen: &Remembered,
) -> (Outcome, Remembered) {
    let end = now.ends(opening);
    let ground = match &decision.ground {
        Ground::OnCall(ground) => Some(ground.stretch.end()),
        Ground::Grant(grant) => Some(grant.window.end()),
        _ => None,
    };
    let promised = [unseen.promised, ground, end].into_iter().flatten().max();
    let promised = promised.filter(|promised| opening.promised.is_none_or(|first| first < *promised));
    // An end that moved, or came and was none, was not the one that people have to be told of.
    let is_of_this = |warned: &Moment| end.is_none_or(|end| end == warned.at) && now.moment.at < warned.at;
    let warned = unseen.warned.filter(is_of_this);
    let kept = Remembered { promised, warned, held: None, ..*unseen };
    let stays = Outcome::Stays(Stay::Holds(decision.until));
    let Some(end) = end.filter(|end| end.since(now.moment.at) <= now.end.warn && warned.is_none()) else {
        return (stays, kept);
    };
    let Some(means) = means(opening, now, false).ok().filter(|_| !now.only_watches()) else {
        return (stays, kept);
    };
    if obstacle(opening, now, None, unseen).is_some() {
        return (stays, kept);
    }
    let due = end.plus(now.end.grace);
    let warned = Some(Moment { at: end, uptime: now.moment.uptime });
    (Outcome::Warn(Ends { right: end, due, means, cause: of(opening) }), Remembered { warned, ..kept })
}

/// Why a session has lost its right.
fn cause(opening: &Opening, now: &Now<'_>, reason: Reason) -> Result<Cause, WhyNot> {
    if reason == Reason::Revoked {
        return Ok(Cause::Revoked);
    }
    if !is_an_end(reason, opening.right) {
        return Err(WhyNot::Refused(reason));
    }
    match opening.right {
        _ if now.is_left_out(reason, now.moment.at) => Err(WhyNot::LeftOut),
        _ if !now.knows_grants => Err(WhyNot::GrantUnknown),
        Opened::ByGrant(GrantNow::Unknown) => Err(WhyNot::GrantUnknown),
        _ => Ok(of(opening)),
    }
}

fn of(opening: &Opening) -> Cause {
    match opening.right {
        Opened::ByGrant(_) => Cause::Grant,
        Opened::ByShift | Opened::Otherwise => Cause::Shift,
    }
}

/// How it may be ended: one whose shift was shortened is hung up at most.
fn means(opening: &Opening, now: &Now<'_>, is_shortened: bool) -> Result<Means, WhyNot> {
    match now.end.action {
        _ if opening.is_own_login => Err(WhyNot::OwnLogin),
        EndAction::List | EndAction::Kill if !is_shortened => Ok(Means::Kill),
        _ if opening.is_shared_connection => Ok(Means::HangUp),
        EndAction::HangUp => Err(WhyNot::NoConnection),
        EndAction::List | EndAction::Kill => Err(WhyNot::Shortened),
    }
}

/// What keeps it from being ended, whatever was decided; `cause`: `None` before the right has ended.
fn obstacle(opening: &Opening, now: &Now<'_>, cause: Option<Cause>, before: &Remembered) -> Option<WhyNot> {
    let Some(began) = opening.began else { return Some(WhyNot::Unsure) };
    // Nothing goes ahead of a clock that nobody can set, but for the time between the start of the process and the opening.
    let passed = now.moment.at.since(opening.at).as_seconds();
    let counted = seconds(now.moment.uptime.since_boot().saturating_sub(began));
    let has_jumped = passed > counted + SKEW || passed < -SKEW;
    let was_alike = before.refused.is_none_or(|refused| now.moment.is_alike(&refused));
    match now.mode.1 {
        ModeSource::Paused(_) => return Some(WhyNot::Paused),
        ModeSource::Trial(_) => return Some(WhyNot::Trial),
        ModeSource::Unreadable => return Some(WhyNot::SwitchUnreadable),
        ModeSource::Config | ModeSource::Confirmed(_) => {}
    }
    match () {
        () if has_jumped || !was_alike => Some(WhyNot::ClockJumped),
        () if !now.is_fresh && cause != Some(Cause::Revoked) => Some(WhyNot::OldRoster),
        () if !opening.is_first => Some(WhyNot::Another),
        () if now.only_watches() => None,
        () if !opening.was_enforced => Some(WhyNot::Observed),
        () if opening.at <= now.since => Some(WhyNot::Before),
        () => None,
    }
}

/// One whose right has ended: now, or some runs ago.
fn ended(
    opening: &Opening,
    now: &Now<'_>,
    (cause, reason): (Cause, Reason),
    before: &Remembered,
) -> (Outcome, Remembered) {
    let unseen = Remembered { refused: None, ..*before };
    if let Some(why) = obstacle(opening, now, Some(cause), before) {
        return (Outcome::Listed(why), unseen);
    }
    let promised = before.promised.max(opening.promised);
    // Who is not eligible any more was not edited out of a shift.
    let is_shortened = cause == Cause::Shift
        && reason == Reason::NotOnCall
        && promised.is_some_and(|promised| now.moment.at < promised);
    let means = match means(opening, now, is_shortened) {
        Ok(means) => means,
        Err(why) => return (Outcome::Listed(why), unseen),
    };
    let kept = Remembered { refused: before.refused.or(Some(now.moment)), ..*before };
    let grace = if is_shortened { now.end.grace.max(End::SHORTENED_GRACE) } else { now.end.grace };
    let lasts = length(grace).max(BETWEEN);
    let left = |since: Option<Moment>| {
        let elapsed = since.and_then(|since| now.moment.uptime.after(&since.uptime));
        // Of another boot nothing is counted on.
        elapsed.map_or(lasts, |elapsed| lasts.saturating_sub(elapsed))
    };
    let waits = |left: Duration| {
        let due = now.moment.at.plus(Span::seconds(seconds(left)));
        Outcome::Stays(Stay::Waits(Ends { right: now.moment.at, due, means, cause }))
    };
    // An end that was told of and is not there yet was told wrongly.
    let warned = before.warned.filter(|warned| warned.at <= now.moment.at);
    match left(kept.refused) {
        _ if cause == Cause::Revoked && now.only_watches() => would_end(kept, means, cause),
        _ if cause == Cause::Revoked => due(now, kept, means, cause),
        left if now.only_watches() && left.is_zero() => would_end(kept, means, cause),
        left if now.only_watches() => (waits(left), kept),
        _ if warned.is_none() => {
            let due = now.moment.at.plus(Span::seconds(seconds(lasts)));
            let ends = Ends { right: now.moment.at, due, means, cause };
            (Outcome::Warn(ends), Remembered { warned: Some(now.moment), ..kept })
        }
        seen => match seen.max(left(warned)) {
            left if left.is_zero() => due(now, kept, means, cause),
            left => (waits(left), kept),
        },
    }
}

/// Now, but for what has kept it for too long.
fn due(now: &Now<'_>, kept: Remembered, means: Means, cause: Cause) -> (Outcome, Remembered) {
    let held = kept.held.and_then(|held| now.moment.uptime.after(&held.uptime));
    let is_busy = held.is_some_and(|held| held >= LONGEST_HELD);
    (if is_busy { Outcome::Listed(WhyNot::Busy) } else { Outcome::Due(means, cause) }, kept)
}

/// Once for each session.
fn would_end(before: Remembered, means: Means, cause: Cause) -> (Outcome, Remembered) {
    let outcome = if before.is_told { Outcome::Stays(Stay::Told) } else { Outcome::WouldEnd(means, cause) };
    (outcome, Remembered { is_told: true, ..before })
}

fn seconds(length: Duration) -> i64 {
    i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
}

fn length(span: Span) -> Duration {
    Duration::from_secs(u64::try_from(span.as_seconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests;
