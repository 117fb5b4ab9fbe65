//! The socket: everybody may connect, each connection is one grant and one answer, and nobody waits for another.
//!
//! What is sent is a line, `use 1` or `use 1 by PERSON`, then the grant, then the end; or `claim 1`, or `claim 1 by PERSON`,
//! and the reason that somebody on call states; or `claims 1`: could one be kept now? The answer is a digit, the status that
//! the caller ends with, a blank and a line of text. The person is believed of the door's account alone; of others the name
//! of the account counts.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use grant::{LARGEST_DOCUMENT, Review};
use host::{Config, accounts, clock};
use listenfd::ListenFd;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Uid;
use policy::{OneLine, Principal, Quorum};
use record::Line;

use crate::accept::{Moment, Outcome, Problem, accept};
use crate::broken::Uses;
use crate::claim;
use crate::groups;
use crate::hold::Hold;
use crate::limits::{Asker, Limits};

/// How long one connection may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is tried to write below /var what could not be written there.
const BETWEEN_SETTLING: Duration = Duration::from_secs(60);

/// The longest first line, in bytes.
const LONGEST_LINE: usize = 64;

/// What all connections share.
struct Shared {
    config: PathBuf,
    limits: Mutex<Limits>,
    /// One grant is judged and kept at a time.
    hold: Mutex<Hold>,
}

/// Answers everybody who connects, for ever.
///
/// # Errors
/// Text that says why it cannot.
pub fn serve(config: &Path) -> Result<(), String> {
    let passed = ListenFd::from_env().take_unix_listener(0);
    let listener = passed.map_err(|error| format!("what was passed is no socket to listen on: {error}"))?;
    let listener =
        listener.ok_or("no socket was passed; systemd runs this, people run `oncall-cache grant use`")?;
    listener.set_nonblocking(false).map_err(|error| format!("the socket: {error}"))?;
    let directory = Config::load(config)
        .map_or_else(|_| PathBuf::from(host::config::ACCEPTED_GRANTS), |config| config.paths.grants);
    let hold = Hold::open(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    groups::publish(config, &hold, &Moment::now());
    let shared = Arc::new(Shared {
        config: config.to_path_buf(),
        limits: Mutex::new(Limits::default()),
        hold: Mutex::new(hold),
    });
    let keeper = Arc::clone(&shared);
    std::thread::Builder::new()
        .spawn(move || settle(&keeper))
        .map_err(|error| format!("no thread for what is to outlive a boot: {error}"))?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => take(&shared, stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => breathe(),
        }
    }
}

/// Sees to it that a use of break-glass outlives a boot, also one of a night on which /var was full.
fn settle(shared: &Shared) -> ! {
    loop {
        if let Ok(config) = Config::load(&shared.config) {
            let _hold = lock(&shared.hold);
            Uses::of(&config).settle();
        }
        std::thread::park_timeout(BETWEEN_SETTLING);
    }
}

/// No more descriptors or memory: those who have some are answered first.
fn breathe() {
    #[allow(clippy::disallowed_methods, reason = "nothing tells when there are descriptors again")]
    std::thread::sleep(Duration::from_millis(20));
}

/// Starts on one connection, if its user may have one more.
fn take(shared: &Arc<Shared>, stream: UnixStream) {
    let Ok(uid) = getsockopt(&stream, PeerCredentials).map(|peer| peer.uid()) else { return };
    if !lock(&shared.limits).open(uid) {
        answer(&stream, 2, BUSY);
        return;
    }
    let own = Arc::clone(shared);
    let started = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        // What panics in here ends this connection alone.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(&own, &stream, uid)));
        lock(&own.limits).close(uid);
    });
    if started.is_err() {
        lock(&shared.limits).close(uid);
    }
}

/// What one reads who asks too often; the client asks again.
const BUSY: &str = "busy: too many grants at once; try again in a second";

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(mut stream: &UnixStream, status: u8, text: &str) {
    let line = format!("{status} {}\n", OneLine::from(text));
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write(line.as_bytes()));
}

/// One connection, to its end.
fn one(shared: &Shared, stream: &UnixStream, uid: u32) {
    let sent = match receive(stream) {
        Ok(sent) => sent,
        Err(problem) => return answer(stream, 2, problem),
    };
    let Some((request, text)) = first_line(&sent) else {
        return answer(
            stream,
            2,
            "not a request that this release understands; use `oncall-cache grant use`",
        );
    };
    if request == Request::MayClaim {
        return may_claim(shared, stream, uid);
    }
    let (Request::Use(said) | Request::Claim(said)) = &request else { return };
    let name = accounts::name_of(Uid::from_raw(uid));
    let is_door = name.as_deref() == Some(host::config::GRANT_DOOR);
    let by = said.clone().filter(|_| is_door);
    let asker: Asker = (uid, by.as_ref().map(ToString::to_string));
    if !lock(&shared.limits).judge(&asker, Instant::now()) {
        return answer(stream, 2, BUSY);
    }
    if let Request::Claim(_) = request {
        let name = name.filter(|_| uid != 0 && !is_door);
        return claimed(shared, stream, by, name.as_deref(), text);
    }
    let by = by.map(|by| by.to_string()).or(name).unwrap_or_else(|| format!("uid={uid}"));
    let outcome = {
        let hold = lock(&shared.hold);
        let moment = Moment::now();
        let outcome = accept(&shared.config, &hold, text, &moment);
        // Before the answer: whoever reads it may type sudo. What is no grant says nothing of who has one.
        if !matches!(outcome, Err(Problem::Form(_))) {
            groups::publish(&shared.config, &hold, &moment);
        }
        outcome
    };
    let dropped = lock(&shared.limits).dropped(uid);
    log(&outcome, &by, dropped);
    match outcome {
        Ok(outcome) => answer(stream, 0, &told(&outcome)),
        Err(problem) => answer(stream, problem.exit_code(), &problem.to_string()),
    }
}

/// Whether a reason could be kept now. Root's logins ask it as often as there are some; of others it is a question as any.
fn may_claim(shared: &Shared, stream: &UnixStream, uid: u32) {
    if uid != 0 && !lock(&shared.limits).judge(&(uid, None), Instant::now()) {
        return answer(stream, 2, BUSY);
    }
    match lock(&shared.hold).can_keep() {
        Ok(()) => answer(stream, 0, "yes"),
        Err(error) => answer(stream, 2, &format!("nothing can be kept: {error}")),
    }
}

/// Keeps the reason of whoever came through the door with their key, or of the person whose account `name` is.
fn claimed(shared: &Shared, stream: &UnixStream, by: Option<Principal>, name: Option<&str>, text: &[u8]) {
    let person = |config: &Config| by.or_else(|| config.rules.person_of(name?).ok());
    let outcome = claim::keep(&shared.config, &lock(&shared.hold), person, text, &clock::uptime());
    match outcome {
        Ok((person, reason)) => {
            Line::new(person.as_str(), "accepted", "claim").field("why", &reason).send("oncall-grant-accept");
            answer(stream, 0, &format!("kept for {person} until the shift ends: {reason}"));
        }
        Err(problem) => {
            let why = matches!(problem, claim::Problem::CannotKeep(_)).then(|| problem.to_string());
            Line::new("", "refused", problem.token())
                .field("problem", &why.unwrap_or_default())
                .send("oncall-grant-accept");
            answer(stream, problem.exit_code(), &problem.to_string());
        }
    }
}

/// All that is sent, until the end.
fn receive(mut stream: &UnixStream) -> Result<Vec<u8>, &'static str> {
    const TOO_LONG: &str = "refused: a grant with its signatures has at most 8192 bytes";
    const LATE: &str = "nothing whole came within two seconds; send the grant at once";
    let end = Instant::now() + PATIENCE;
    let (mut sent, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(LATE);
        }
        match stream.read(&mut part) {
            Ok(0) => return Ok(sent),
            Ok(length) => sent.extend(part.iter().take(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(LATE),
        }
        if sent.len() > LARGEST_DOCUMENT + LONGEST_LINE {
            return Err(TOO_LONG);
        }
    }
}

/// What is asked for, and who is said to bring it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Request {
    /// To take a grant.
    Use(Option<Principal>),
    /// To keep a reason.
    Claim(Option<Principal>),
    /// Whether one could be kept.
    MayClaim,
}

/// What is asked for, and what follows the first line.
fn first_line(sent: &[u8]) -> Option<(Request, &[u8])> {
    let end = sent.iter().position(|&byte| byte == b'\n').filter(|end| *end < LONGEST_LINE)?;
    let (line, rest) = sent.split_at_checked(end)?;
    let line = std::str::from_utf8(line).ok()?;
    let by = |said: &str| match said {
        "" => Some(None),
        said => Some(Some(Principal::new(said.strip_prefix(" by ")?).ok()?)),
    };
    let request = if let Some(said) = line.strip_prefix("use 1") {
        Request::Use(by(said)?)
    } else if let Some(said) = line.strip_prefix("claim 1") {
        Request::Claim(by(said)?)
    } else {
        (line == "claims 1").then_some(Request::MayClaim)?
    };
    Some((request, rest.get(1..)?))
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted(accepted, _) if accepted.quorum == Quorum::BreakGlass => {
            let grant = &accepted.grant;
            format!(
                "accepted: break-glass: {} may enter {} on this host until {}; it is recorded, and open until an approver \
                 reviews it (grant {})",
                grant.person,
                grant.account,
                accepted.until(),
                grant.id
            )
        }
        Outcome::Reviewed(review, approvals) => {
            let people = approvals.iter().map(|approval| &approval.person);
            let people: BTreeSet<_> = people.collect();
            format!(
                "reviewed: the break-glass of {} (grant {}) is closed, by {}",
                review.person,
                review.id,
                Principal::list(people, " and ")
            )
        }
        Outcome::Accepted(accepted, _) => {
            let grant = &accepted.grant;
            format!(
                "accepted: {} may enter {} on this host until {} (signed by {}; grant {})",
                grant.person,
                grant.account,
                accepted.until(),
                Principal::list(accepted.approvers(), " and "),
                grant.id
            )
        }
        Outcome::InForce(grant) => format!(
            "in force until {}: {} may enter {} on this host (grant {})",
            grant.window.end(),
            grant.person,
            grant.account,
            grant.id
        ),
    }
}

/// A line for each judgement; how many were turned away without one is in the next.
fn log(outcome: &Result<Outcome, Problem>, by: &str, dropped: u64) {
    let (line, grant) = match outcome {
        Ok(Outcome::Reviewed(review, approvals)) => {
            let people: BTreeSet<_> = approvals.iter().map(|approval| &approval.person).collect();
            let line = Line::new(review.person.as_str(), "reviewed", "break-glass");
            let line = line.field("approvers", &Principal::list(people, ","));
            (of_review(line, review), None)
        }
        Err(Problem::NotReviewed(review, refusal)) => {
            (of_review(Line::new("", "refused", refusal.reason()), review), None)
        }
        Ok(Outcome::Accepted(accepted, rule)) => {
            let is_broken = accepted.quorum == Quorum::BreakGlass;
            let reason = if is_broken { "break-glass" } else { "grant" };
            let line = Line::new(accepted.grant.person.as_str(), "accepted", reason).alert(is_broken);
            (
                line.field("rule", rule).field("approvers", &Principal::list(accepted.approvers(), ",")),
                Some(&accepted.grant),
            )
        }
        Ok(Outcome::InForce(grant)) => {
            (Line::new(grant.person.as_str(), "accepted", "in-force"), Some(grant))
        }
        Err(problem) => {
            let grant = if let Problem::Refused(grant, _) = problem { Some(grant.as_ref()) } else { None };
            // Whoever is named in it may know nothing of it. Of what is no grant nothing is logged.
            let line = Line::new("", "refused", problem.token());
            let told = matches!(problem, Problem::CannotTell(_)).then(|| problem.to_string());
            (line.field("problem", &told.unwrap_or_default()), grant)
        }
    };
    let line = match grant {
        None => line,
        Some(grant) => line
            .field("grant", &grant.id.to_string())
            .field("account", grant.account.as_str())
            .field("until", &grant.window.end().to_string())
            .field("why", &grant.reason),
    };
    let dropped = if dropped > 0 { dropped.to_string() } else { String::new() };
    line.field("by", by).field("dropped", &dropped).send("oncall-grant-accept");
}

/// What is said of a review.
fn of_review(line: Line, review: &Review) -> Line {
    line.field("grant", &review.id.to_string()).field("finding", &review.finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_who_and_nothing_else() {
        let read = |sent: &'static [u8]| first_line(sent).map(|(request, text)| (request, text.to_vec()));
        let alice = Some(Principal::new("alice").unwrap());
        assert_eq!(read(b"use 1\nform: 1\n"), Some((Request::Use(None), b"form: 1\n".to_vec())));
        assert_eq!(read(b"use 1 by alice\n"), Some((Request::Use(alice.clone()), Vec::new())));
        assert_eq!(read(b"claim 1\nINC-42\n"), Some((Request::Claim(None), b"INC-42\n".to_vec())));
        assert_eq!(read(b"claim 1 by alice\nx"), Some((Request::Claim(alice), b"x".to_vec())));
        assert_eq!(read(b"claims 1\n"), Some((Request::MayClaim, Vec::new())));
        for wrong in [
            &b""[..],
            b"use 1",
            b"use 2\nx",
            b"claims 1 by alice\n",
            b"claim 2\nx",
            b"claim 1 alice\nx",
            b"use 1 by \nx",
            b"use 1 by A b\nx",
            b"use 1  by alice\nx",
            b"use 1 by alice\r\nx",
            b"use 1 by \xff\nx",
            b"form: 1\n",
            b"use 1 by aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nx",
        ] {
            assert_eq!(first_line(wrong), None, "{wrong:?}");
        }
    }
}
