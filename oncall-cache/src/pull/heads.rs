//! Which head of the store is taken: of all urls in their order the first that is fresh, else the newest that counts. One
//! that is slow is asked again after all others, if none of these has any.

use std::collections::VecDeque;
use std::time::Instant;

use fleet::{Digest, Head, LARGEST_HEAD, Mark, Origin};
use mirror::{Opened, Trusted, open};
use policy::{Rules, Span, Timestamp};

use super::error::{HeadTrouble, PullError};
use super::session::{Patience, Session};
use super::tags::Tags;

/// Where a head is in a store.
const PATH: &str = "/head";

/// What a head is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// Whom this host trusts.
    pub trusted: Trusted<'a>,
    /// The head of this host's mirror, with its signatures.
    pub document: Option<&'a [u8]>,
    /// The highest publication that was taken over.
    pub mark: Option<&'a Mark>,
    /// A head that was published within this time is good enough: no other url is asked.
    pub freshness: Span,
    /// This pull's clock, when it began.
    pub now: Timestamp,
    /// The same by the clock that counts.
    pub began: Instant,
}

/// A head that counts.
#[derive(Debug)]
pub struct Found {
    /// What it says.
    pub opened: Opened,
    /// It, with its signatures.
    pub document: Vec<u8>,
    /// Which url has it.
    pub place: usize,
    /// What was wrong at other urls, if that is to be shown.
    pub notes: Vec<String>,
}

impl Judge<'_> {
    /// The head of this host's mirror, if it counts still.
    pub fn copied(&self) -> Option<Head> {
        open(&self.trusted, self.document?, None, Origin::Copy, self.now).map(|opened| opened.head).ok()
    }

    /// Asks for a head.
    ///
    /// # Errors
    /// No url has one that counts; or this host has none yet, and the clock of no url that has one is this host's.
    pub fn newest(&self, session: &mut Session<'_>, tags: &mut Tags) -> Result<Found, PullError> {
        let mut best: Option<Found> = None;
        let (mut refused, mut wrong_clock) = (Vec::new(), None);
        let mut places: VecDeque<_> = session.places(0).map(|place| (place, Patience::Short)).collect();
        while let Some((place, patience)) = places.pop_front() {
            if patience == Patience::Whole && best.is_some() {
                break;
            }
            let patience = if places.is_empty() { Patience::Whole } else { patience };
            let Some(url) = session.url(place).map(ToString::to_string) else { continue };
            match self.at(place, &url, session, tags, patience) {
                Ok(found) => {
                    let is_fresh = self.now.since(found.opened.head.issued) <= self.freshness;
                    let sequence = |found: &Found| found.opened.head.sequence;
                    if best.as_ref().is_none_or(|best| sequence(best) < sequence(&found)) {
                        best = Some(found);
                    }
                    if is_fresh {
                        break;
                    }
                }
                Err(Refusal::Trouble(trouble)) if patience == Patience::Short && trouble.is_late() => {
                    places.push_back((place, Patience::Whole));
                }
                Err(Refusal::Trouble(trouble)) => refused.push((url, trouble)),
                Err(Refusal::Clock(error)) => _ = wrong_clock.get_or_insert(error),
            }
        }
        let Some(mut found) = best else { return Err(wrong_clock.unwrap_or(PullError::Heads(refused))) };
        let alarming = refused.iter().filter(|(_, trouble)| trouble.is_alarming());
        found.notes = alarming.map(|(url, trouble)| format!("{url}: {trouble}")).collect();
        Ok(found)
    }

    fn at(
        &self,
        place: usize,
        url: &str,
        session: &mut Session<'_>,
        tags: &mut Tags,
        patience: Patience,
    ) -> Result<Found, Refusal> {
        let known = tags.get(url).filter(|_| self.document.is_some());
        let answer = session.get(place, PATH, (known, LARGEST_HEAD as u64), patience);
        let answer = answer.map_err(HeadTrouble::Store)?;
        if self.document.is_none() {
            self.clocks_agree(url, answer.date)?;
        }
        let is_sent = answer.bytes.is_some();
        // Not sent, it has still the one that is here. That proves nothing, so it is judged as if it had come.
        let document = answer.bytes.unwrap_or_else(|| self.document.unwrap_or_default().to_vec());
        let opened = open(&self.trusted, &document, self.mark, Origin::Store, self.now)
            .map_err(HeadTrouble::Refused)?;
        if is_sent {
            tags.see(url, Digest::of(&document), answer.etag);
        }
        Ok(Found { opened, document, place, notes: Vec::new() })
    }

    /// Before the first head nothing says what the time is but the store.
    fn clocks_agree(&self, url: &str, date: Option<Timestamp>) -> Result<(), Refusal> {
        let Some(date) = date else { return Ok(()) };
        let elapsed = i64::try_from(self.began.elapsed().as_secs()).unwrap_or(i64::MAX);
        let now = self.now.plus(Span::seconds(elapsed));
        let apart = if date < now { now.since(date) } else { date.since(now) };
        if apart <= Rules::SKEW {
            Ok(())
        } else {
            Err(Refusal::Clock(PullError::Skew(url.to_string(), apart)))
        }
    }
}

enum Refusal {
    /// The next url may have a better one.
    Trouble(HeadTrouble),
    /// Its clock and this host's are apart; by another url's it may show that this host's is right.
    Clock(PullError),
}

impl From<HeadTrouble> for Refusal {
    fn from(trouble: HeadTrouble) -> Self {
        Self::Trouble(trouble)
    }
}
