//! What is remembered of open sessions from one run to the next. A text that is lost or not understood is as none: each
//! session starts over, and nothing is ended for that.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;

use super::{EndAction, Moment};
use crate::{Span, Timestamp, Uptime};

/// How the text begins that is written; one that begins otherwise is none.
const FORM: &str = "ending 1";

/// What is remembered of one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Since when each run has found that its right has ended.
    pub refused: Option<Moment>,
    /// When whoever sits there was warned, by the clock that nobody can set, and of which end.
    pub warned: Option<Moment>,
    /// The latest end that its right was seen to have, where that is later than was said when it opened.
    pub promised: Option<Timestamp>,
    /// Was it recorded that it would be ended?
    pub is_told: bool,
    /// Since when it was to be ended, and something was at work in it that must not be broken off.
    pub held: Option<Moment>,
}

impl Remembered {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn read<'t>(words: impl Iterator<Item = &'t str>) -> Option<Self> {
        let mut read = Self::default();
        for word in words {
            match word.split_once('=') {
                Some(("refused", moment)) => read.refused = Some(Moment::parse(moment)?),
                Some(("warned", moment)) => read.warned = Some(Moment::parse(moment)?),
                Some(("held", moment)) => read.held = Some(Moment::parse(moment)?),
                Some(("promised", at)) => read.promised = Some(instant(at)?),
                None if word == "told" => read.is_told = true,
                _ => return None,
            }
        }
        Some(read)
    }
}

/// What is remembered of all that are open, and of the action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Since when this host has recorded what would be ended.
    pub watching: Option<Timestamp>,
    /// What is done, and since when.
    pub action: Option<(EndAction, Timestamp)>,
    /// What is remembered of sessions, by their ids.
    pub sessions: BTreeMap<String, Remembered>,
}

impl Memory {
    /// The longest text, in bytes: that of some ten thousand sessions.
    pub const LONGEST: u64 = 4 * 1024 * 1024;

    /// Reads the text; nothing, if it is not as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        lines.next().filter(|first| *first == FORM)?;
        let mut memory = Self::default();
        for line in lines {
            let mut words = line.split(' ');
            match (words.next()?, words.next()?) {
                ("watching", at) => memory.watching = Some(instant(at)?),
                ("action", word) => {
                    memory.action = Some((EndAction::of_word(word)?, instant(words.next()?)?));
                }
                ("session", id) => {
                    _ = memory.sessions.insert(id.to_string(), Remembered::read(words.by_ref())?);
                }
                _ => return None,
            }
            if words.next().is_some() {
                return None;
            }
        }
        Some(memory)
    }

    /// Since when `action` is in force, where it may have been written at `changed`; from now on that is remembered.
    pub fn since(&mut self, action: EndAction, changed: Timestamp) -> Timestamp {
        match self.action {
            Some((before, since)) if before == action => since,
            _ => {
                self.action = Some((action, changed));
                changed
            }
        }
    }

    /// For how long it was recorded at `now` what would be ended, before anything was killed.
    pub fn watched(&self, now: Timestamp) -> Span {
        let until = match self.action {
            Some((EndAction::Kill, since)) => since,
            _ => now,
        };
        self.watching.map_or(Span::seconds(0), |from| until.since(from).max(Span::seconds(0)))
    }

    /// What is remembered of a session.
    pub fn of(&self, id: &str) -> Remembered {
        self.sessions.get(id).copied().unwrap_or_default()
    }

    /// Remembers this of a session.
    pub fn keep(&mut self, id: &str, remembered: Remembered) {
        match remembered.is_nothing() {
            true => _ = self.sessions.remove(id),
            false => _ = self.sessions.insert(id.to_string(), remembered),
        }
    }
}

impl Moment {
    fn parse(text: &str) -> Option<Self> {
        let (at, uptime) = text.split_once('@')?;
        Some(Self { at: instant(at)?, uptime: Uptime::parse(uptime)? })
    }
}

fn instant(text: &str) -> Option<Timestamp> {
    match text {
        "always" => Some(Timestamp::MIN),
        "never" => Some(Timestamp::MAX),
        text => Timestamp::parse(text),
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.at, self.uptime)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM}")?;
        if let Some(at) = self.watching {
            writeln!(f, "watching {at}")?;
        }
        if let Some((action, since)) = self.action {
            writeln!(f, "action {} {since}", action.word())?;
        }
        for (id, one) in &self.sessions {
            write!(f, "session {id}")?;
            for (name, moment) in [("refused", one.refused), ("warned", one.warned), ("held", one.held)] {
                if let Some(moment) = moment {
                    write!(f, " {name}={moment}")?;
                }
            }
            if let Some(at) = one.promised {
                write!(f, " promised={at}")?;
            }
            if one.is_told {
                f.write_str(" told")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn what_is_written_is_read_back_and_what_is_not_understood_is_as_none() {
        let at = Timestamp::from_unix(1_795_165_200);
        let moment = Some(Moment { at, uptime: Uptime::new(Some(7), Duration::from_millis(61_250)) });
        let mut memory = Memory { watching: Some(at), ..Memory::default() };
        assert_eq!(memory.since(EndAction::Kill, at), at);
        memory
            .keep("00000000000000aa", Remembered { refused: moment, held: moment, ..Remembered::default() });
        let all = Remembered {
            warned: moment,
            promised: Some(Timestamp::MAX),
            is_told: true,
            ..memory.of("00000000000000aa")
        };
        memory.keep("00000000000000ab", all);
        let text = memory.to_string();
        assert_eq!(Memory::parse(&text).unwrap(), memory);
        assert_eq!(Memory::parse("ending 1\n").unwrap(), Memory::default());
        for (from, to) in [
            ("ending 1", "ending 2"),
            ("kill", "slay"),
            ("refused", "refuse"),
            ("@", "-"),
            (" told", " told x"),
            ("watching", "watched"),
            ("promised=never", "promised=later"),
        ] {
            assert_eq!(Memory::parse(&text.replace(from, to)), None, "{from}");
        }
        assert!(Memory::parse(&text[..text.len() - 1]).is_none() && Memory::parse("").is_none());
        // Of whom nothing is to be remembered there is no line.
        memory.keep("00000000000000aa", Remembered::default());
        memory.keep("00000000000000ab", Remembered::default());
        assert!(memory.sessions.is_empty());
    }

    #[test]
    fn an_action_is_in_force_since_it_was_written_and_another_one_starts_anew() {
        let at = |seconds: i64| Timestamp::from_unix(1_795_165_200 + seconds);
        let mut memory = Memory::default();
        assert_eq!(memory.since(EndAction::Kill, at(0)), at(0));
        assert_eq!(memory.since(EndAction::Kill, at(600)), at(0), "another setting was changed");
        assert_eq!(memory.since(EndAction::HangUp, at(900)), at(900));
        assert_eq!(memory.since(EndAction::Kill, at(1_000)), at(1_000));
        // What was recorded before counts.
        assert_eq!(memory.watched(at(9_000)), Span::seconds(0));
        memory.watching = Some(at(100));
        assert_eq!(memory.watched(at(9_000)), Span::seconds(900));
        memory.since(EndAction::List, at(2_000));
        assert_eq!(memory.watched(at(9_000)), Span::seconds(8_900));
    }
}
