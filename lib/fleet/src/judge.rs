//! Which head replaces which: newer means published later, never merely fetched later.
//!
//! A store that lies, or a mirror that lags, has only heads that were once true. The mark is the highest sequence that a
//! verifier has taken over whole; nothing below it is taken again. It resets with the epoch in root's configuration.

use core::fmt;

use policy::{Rules, Span, Timestamp};

use crate::{Digest, Head};

/// The highest publication that was taken over whole. Prints as one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// `[fleet] epoch` of then.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
    /// Of its text, without signatures.
    pub digest: Digest,
}

/// Where a head comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A store: it must still be valid.
    Store,
    /// This host's copy, which was valid when it was taken over: ages bind what it says, and no more `valid`.
    Copy,
}

/// What a verifier knows when it judges a head.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The name of the fleet that this host belongs to.
    pub fleet: &'a str,
    /// `[fleet] epoch`.
    pub epoch: u64,
    /// The verifier's own mark, if it has taken a publication over.
    pub mark: Option<&'a Mark>,
    /// Where the head is from.
    pub origin: Origin,
}

/// How a head relates to the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is to be taken over.
    Newer,
    /// It is the one that was taken over.
    Same,
}

/// Why a head is refused, though it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadRefusal {
    /// It is another fleet's.
    Fleet,
    /// It was published before what was taken over; by how many milliseconds of its sequence.
    Replay(u64),
    /// It has the sequence of the one that was taken over and says something else.
    Fork(u64),
    /// It ended at this instant.
    Expired(Timestamp),
    /// It is from this instant, which has not come.
    Future(Timestamp),
}

impl HeadRefusal {
    /// The word for it in status and records.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Fleet => "head-fleet",
            Self::Replay(_) => "head-replay",
            Self::Fork(_) => "head-fork",
            Self::Expired(_) => "head-expired",
            Self::Future(_) => "head-future",
        }
    }
}

impl fmt::Display for HeadRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str("the head is another fleet's; check `id` and `urls` in [fleet]"),
            Self::Replay(by) => {
                let age = Span::seconds(i64::try_from(by / 1000).unwrap_or(i64::MAX));
                write!(f, "the head was published {age} before the one that this host has")
            }
            Self::Fork(sequence) => {
                write!(
                    f,
                    "the store has two publications of sequence {sequence}; see that each collector publishes with its own lock or with conditional writes"
                )
            }
            Self::Expired(at) => {
                write!(f, "the head was valid until {at}; see `oncall-collector status` on the collector")
            }
            Self::Future(at) => {
                write!(
                    f,
                    "the head is from {at}, which has not come; compare the clocks of this host and of the collector"
                )
            }
        }
    }
}

impl core::error::Error for HeadRefusal {}

impl Known<'_> {
    /// Judges a head whose signatures count; `text` is what was signed.
    ///
    /// # Errors
    /// It must not replace what this verifier has.
    pub fn judge(&self, head: &Head, text: &[u8], now: Timestamp) -> Result<Standing, HeadRefusal> {
        if head.fleet != self.fleet {
            return Err(HeadRefusal::Fleet);
        }
        let latest = now.plus(Rules::SKEW);
        let read = [head.rota_read, head.people_read, head.incidents_read, Some(head.revoked_read)];
        let instants = [head.issued, sequence_instant(head.sequence)];
        if let Some(at) = instants.into_iter().chain(read.into_iter().flatten()).find(|at| *at > latest) {
            return Err(HeadRefusal::Future(at));
        }
        let standing = self.compare(head, text)?;
        if self.origin == Origin::Store && head.valid <= now {
            return Err(HeadRefusal::Expired(head.valid));
        }
        Ok(standing)
    }

    fn compare(&self, head: &Head, text: &[u8]) -> Result<Standing, HeadRefusal> {
        let Some(mark) = self.mark.filter(|mark| mark.epoch == self.epoch) else {
            return Ok(Standing::Newer);
        };
        if head.sequence < mark.sequence {
            return Err(HeadRefusal::Replay(mark.sequence - head.sequence));
        }
        if head.sequence > mark.sequence {
            return Ok(Standing::Newer);
        }
        if Digest::of(text) == mark.digest {
            Ok(Standing::Same)
        } else {
            Err(HeadRefusal::Fork(head.sequence))
        }
    }
}

/// About when a publication of this sequence was; the last second for one that no clock reaches.
fn sequence_instant(sequence: u64) -> Timestamp {
    Timestamp::from_unix(i64::try_from(sequence.div_ceil(1000)).unwrap_or(i64::MAX))
}

/// How the line begins that is written.
const FORM: &str = "mark 1";

impl Mark {
    /// The longest line, in bytes.
    pub const LONGEST: usize = 160;

    /// The mark of a head that was taken over, in an epoch.
    pub fn of(epoch: u64, head: &Head, text: &[u8]) -> Self {
        Self { epoch, sequence: head.sequence, digest: Digest::of(text) }
    }

    /// Reads the line; nothing, if it is not exactly as it is written.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_suffix('\n')?.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let mark = Self {
            epoch: words.next()?.parse().ok()?,
            sequence: words.next()?.parse().ok()?,
            digest: words.next()?.parse().ok()?,
        };
        (alloc::format!("{mark}") == line).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM} {} {} {}", self.epoch, self.sequence, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::tests::head;
    use alloc::string::ToString;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-29T11:00:30Z").unwrap()
    }

    fn judged(head: &Head, mark: Option<&Mark>, epoch: u64, now: Timestamp) -> Result<Standing, HeadRefusal> {
        let known = Known { fleet: "example", epoch, mark, origin: Origin::Store };
        known.judge(head, head.write().as_bytes(), now)
    }

    fn mark() -> Mark {
        Mark::of(0, &head(), head().write().as_bytes())
    }

    #[test]
    fn only_what_was_published_later_is_newer() {
        let with = |sequence| Head { sequence, ..head() };
        let sequence = head().sequence;
        assert_eq!(judged(&head(), None, 0, now()), Ok(Standing::Newer));
        assert_eq!(judged(&head(), Some(&mark()), 0, now()), Ok(Standing::Same));
        assert_eq!(judged(&with(sequence + 1), Some(&mark()), 0, now()), Ok(Standing::Newer));
        assert_eq!(judged(&with(sequence - 1), Some(&mark()), 0, now()), Err(HeadRefusal::Replay(1)));
        let other = Head { scope: Digest::of(b"other"), ..head() };
        assert_eq!(judged(&other, Some(&mark()), 0, now()), Err(HeadRefusal::Fork(sequence)));
    }

    #[test]
    fn an_epoch_forgets_the_mark_and_nothing_else() {
        let before = Head { sequence: head().sequence - 5000, ..head() };
        assert_eq!(judged(&before, Some(&mark()), 1, now()), Ok(Standing::Newer));
        let later = Timestamp::parse("2026-11-29T17:00:00Z").unwrap();
        assert_eq!(judged(&before, Some(&mark()), 1, later).unwrap_err().word(), "head-expired");
        let other = Head { fleet: "other".into(), ..before };
        assert_eq!(judged(&other, Some(&mark()), 1, now()), Err(HeadRefusal::Fleet));
    }

    #[test]
    fn what_is_from_the_future_is_refused_and_the_next_good_one_taken() {
        let ahead = now().plus(Span::seconds(121));
        let milliseconds = u64::try_from(ahead.unix()).unwrap() * 1000;
        let wrong = [
            Head { issued: ahead, valid: ahead.plus(Span::hours(6)), ..head() },
            Head { sequence: milliseconds - 999, ..head() },
            Head { sequence: u64::MAX, ..head() },
            Head { rota_read: Some(ahead), ..head() },
            Head { people_read: Some(ahead), ..head() },
            Head { incidents_read: Some(ahead), ..head() },
            Head { revoked_read: ahead, ..head() },
        ];
        for wrong in wrong {
            assert_eq!(
                judged(&wrong, Some(&mark()), 0, now()).unwrap_err().word(),
                "head-future",
                "{wrong:?}"
            );
        }
        let edge = Head { sequence: milliseconds - 1000, ..head() };
        assert_eq!(judged(&edge, Some(&mark()), 0, now()), Ok(Standing::Newer));
    }

    #[test]
    fn a_copy_goes_on_after_its_head_has_ended() {
        let later = Timestamp::parse("2026-11-30T11:00:00Z").unwrap();
        let (head, text) = (head(), head().write());
        let known = |origin| Known { fleet: "example", epoch: 0, mark: None, origin };
        let judged = |origin| known(origin).judge(&head, text.as_bytes(), later);
        assert_eq!(judged(Origin::Store).unwrap_err().word(), "head-expired");
        assert_eq!(judged(Origin::Copy), Ok(Standing::Newer));
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let line = mark().to_string();
        assert_eq!(Mark::parse(&line), Some(mark()));
        assert!(Mark { epoch: u64::MAX, sequence: u64::MAX, ..mark() }.to_string().len() <= Mark::LONGEST);
        for wrong in [
            &*line.replace("mark 1", "mark 2"),
            &line.replace("mark 1 0", "mark 1 00"),
            line.trim_end(),
            "",
            &line.repeat(2),
        ] {
            assert_eq!(Mark::parse(wrong), None, "{wrong}");
        }
    }
}
