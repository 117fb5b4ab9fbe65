//! The other end of `refresh`: started by systemd when somebody connects, gone when nobody asks for a while.
//!
//! Nothing is read from the other end, and nobody is waited for: the answer fits into a socket's buffer, and
//! what does not go at once does not go.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use host::{Config, FileError};
use listenfd::ListenFd;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::unistd::Uid;
use policy::{Span, Timestamp};
use publish::PublishError;
use status::SyncStatus;
use store::roster;

use super::answer::{AFTER_WEBHOOK, Answer, EVERY};
use crate::pull;
use crate::said::Live;
use crate::sync::{self, SyncError, SyncLockHeld, SyncOptions};

/// Nobody asked for so long: it ends.
const IDLE: Duration = Duration::from_secs(5);

/// The most that are answered at once; the next round is for the others.
const MOST: usize = 512;

/// The user that hears webhooks on a collector: the provider says when there is something to ask for.
const HEARS: &str = "oncall-hear";

/// When this process began a sync: by the clock that others set, and by one that nobody can.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    at: Timestamp,
    started: Instant,
}

/// Answers everybody who connects until nobody does.
///
/// # Errors
/// Text that says why it cannot.
pub fn serve(load: impl Fn() -> Result<Config, FileError>, live: Live<'_>) -> Result<(), String> {
    let passed = ListenFd::from_env().take_unix_listener(0);
    let listener = passed.map_err(|error| format!("what was passed is no socket to listen on: {error}"))?;
    let listener =
        listener.ok_or("no socket was passed; systemd runs this, people run `oncall-cache refresh`")?;
    listener.set_nonblocking(true).map_err(|error| format!("the socket: {error}"))?;
    let mut last = None;
    while is_asked(&listener, patience(last))? {
        // Who asks while a sync is at work may know what it has not seen: the next round is theirs.
        let waiting = accept(&listener)?;
        if waiting.is_empty() {
            continue;
        }
        let every = if waiting.iter().any(hears_webhooks) { AFTER_WEBHOOK } else { EVERY };
        let answer = answer(load(), &mut last, every, host::clock::now(), live);
        let text = serde_json::to_vec(&answer).map_err(|error| error.to_string())?;
        waiting.into_iter().for_each(|stream| send(stream, &text));
    }
    Ok(())
}

/// How long to stay when nobody asks. The time of a sync may be recorded nowhere else, if the disk is full, say: it is
/// remembered until the next one may be asked for.
fn patience(last: Option<Attempt>) -> Duration {
    let every = Duration::from_secs(EVERY.as_seconds().unsigned_abs());
    last.map_or(IDLE, |last| IDLE.max(every.saturating_sub(last.started.elapsed())))
}

fn is_asked(listener: &UnixListener, patience: Duration) -> Result<bool, String> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(true),
        Err(error) => Err(format!("the socket: {error}")),
    }
}

fn accept(listener: &UnixListener) -> Result<Vec<UnixStream>, String> {
    let mut waiting = Vec::new();
    while waiting.len() < MOST {
        match listener.accept() {
            Ok((stream, _)) => waiting.push(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // No more descriptors: those who have one are answered first.
            Err(_) if !waiting.is_empty() => break,
            Err(error) => return Err(format!("the socket: {error}")),
        }
    }
    Ok(waiting)
}

/// Is it the user that takes the provider's webhooks?
fn hears_webhooks(stream: &UnixStream) -> bool {
    let name = |peer: nix::sys::socket::UnixCredentials| host::accounts::name_of(Uid::from_raw(peer.uid()));
    getsockopt(stream, PeerCredentials).ok().and_then(name).is_some_and(|name| name == HEARS)
}

fn send(mut stream: UnixStream, text: &[u8]) {
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write(text));
}

fn answer(
    config: Result<Config, FileError>,
    last: &mut Option<Attempt>,
    every: Span,
    now: Timestamp,
    live: Live<'_>,
) -> Answer {
    let config = match config {
        Ok(config) => config,
        Err(problem) => return Answer::new(2, false, &problem.to_string(), None),
    };
    // Where a fleet's timer syncs every half minute, only what was asked for here counts.
    let reported = SyncStatus::read(&status::path(&config)).ok().filter(|_| config.fleet.is_none());
    let reported = reported.map(|report| Timestamp::from_unix(report.attempted));
    if let Some(attempted) = too_early(reported, *last, every, now) {
        let (ago, wait) = (now.since(attempted), attempted.plus(every).since(now));
        let text =
            format!("the last sync began {ago} ago, another may begin in {wait}; {}", standing(&config, now));
        return Answer::new(1, false, &text, Some(attempted));
    }
    *last = Some(Attempt { at: now, started: Instant::now() });
    let (exit, began, text) = run(&config, now, live);
    Answer::new(exit, began, &text, Some(now))
}

/// When the last sync began, if that is too short a while ago for another. One that is said to begin later than
/// now says nothing: a clock was wrong.
fn too_early(
    reported: Option<Timestamp>,
    last: Option<Attempt>,
    every: Span,
    now: Timestamp,
) -> Option<Timestamp> {
    let young = |at: &Timestamp| *at <= now && now.since(*at) < every;
    let ours = last.filter(|last| last.started.elapsed().as_secs() < every.as_seconds().unsigned_abs());
    reported.filter(young).max(ours.map(|ours| if young(&ours.at) { ours.at } else { now }))
}

/// Syncs; exit status, whether it began, and what there is to say. The log gets the same words as from a sync by timer, people who
/// ask none of the mail addresses in them.
fn run(config: &Config, now: Timestamp, live: Live<'_>) -> (u8, bool, String) {
    let lock = match SyncLockHeld::take(config) {
        Ok(lock) => lock,
        Err(SyncError::Lock(PublishError::Busy(_))) => {
            let text =
                format!("another sync is running, ask again when it is done; {}", standing(config, now));
            return (1, false, text);
        }
        Err(error) => return failed(config, &error, now, live),
    };
    // On a host of a fleet the news are in the store.
    if config.fleet.is_some()
        && let Err(error) = pull::pull(&lock, config, true, now, live)
    {
        (live.note)(format_args!("{error}"));
        return (2, true, format!("{error}\n{}", standing(config, now)));
    }
    match sync::sync(&lock, config, &SyncOptions::default(), now, live) {
        Ok(summary) => {
            summary.notes(now).iter().for_each(|note| (live.note)(format_args!("{note}")));
            let unread = summary.outcomes.iter().filter(|outcome| outcome.state != sync::State::Read);
            let mut lines: Vec<String> = unread.map(sync::Outcome::public).collect();
            lines.push(sync::summarise(&summary.roster, config, now));
            lines.extend(summary.rego_problem.clone());
            lines.extend(summary.groups_problem.clone());
            lines.extend(summary.incidents_problem.clone());
            lines.extend(summary.ahead.iter().map(|ahead| ahead.line(now).to_string()));
            if summary.unmapped > 0 {
                lines.push(format!(
                    "{} of the providers' users match nobody in the directory",
                    summary.unmapped
                ));
            }
            (u8::from(!summary.is_whole()), true, lines.join("\n"))
        }
        Err(error) => failed(config, &error, now, live),
    }
}

fn failed(config: &Config, error: &SyncError, now: Timestamp, live: Live<'_>) -> (u8, bool, String) {
    error.lines().iter().for_each(|line| (live.note)(format_args!("{line}")));
    (2, true, format!("{}\n{}", error.public(), standing(config, now)))
}

/// Who is on call by what is known, and how old that is.
fn standing(config: &Config, now: Timestamp) -> String {
    match roster::read(&config.paths.roster, now) {
        Err(error) => error.to_string(),
        Ok(roster) if !roster.clock_holds(now) => {
            format!("this host's clock is behind; it showed {} before", roster.floor)
        }
        Ok(roster) => {
            let oldest = roster.schedules.iter().map(|schedule| schedule.synced).min();
            let age = oldest.map_or(Span::seconds(0), |oldest| now.since(oldest));
            format!("known as of {age} ago: {}", sync::summarise(&roster, config, now))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_minute_lies_between_two_syncs_whatever_the_clock_does() {
        let now = Timestamp::from_unix(1000);
        let at = |seconds| Some(Timestamp::from_unix(seconds));
        let ours = |seconds| Some(Attempt { at: Timestamp::from_unix(seconds), started: Instant::now() });
        assert_eq!(too_early(None, None, EVERY, now), None);
        assert_eq!(too_early(at(970), None, EVERY, now), None);
        assert_eq!(too_early(at(971), None, EVERY, now), at(971));
        assert_eq!(too_early(at(1001), None, EVERY, now), None, "it has not come");
        assert_eq!(too_early(None, ours(990), EVERY, now), at(990));
        assert_eq!(too_early(at(970), ours(990), EVERY, now), at(990), "nothing could be written down");
        assert_eq!(too_early(None, ours(5000), EVERY, now), at(1000), "the clock was set back");
        assert_eq!(too_early(None, ours(1), EVERY, now), at(1000), "the clock was set forward");
        assert_eq!(too_early(at(998), None, AFTER_WEBHOOK, now), None, "the provider said so");
        assert_eq!(too_early(at(999), None, AFTER_WEBHOOK, now), at(999));
    }
}
