//! The fleet's revocations: what a collector says to all hosts about who, and which key or grant, opens nothing.
//!
//! One text for the object in the store, the collector's own file and each host's copy, so that a person can read all
//! three:
//!
//! ```text
//! revocations 1 2026-11-20T09:00:30Z
//! person alice 1795165200 revoked 2026-11-20T09:00:00Z 2027-02-18T09:00:00Z eve laptop stolen
//! key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU 1 lifted 2026-11-20T09:00:00Z - eve
//! ```
//!
//! First the form and, on hosts alone, when the collector had read the list; then a line for each subject, in order of
//! kind and name: serial, what holds, since when, until when or `-`, who said so, and the rest of the line is why. What
//! is lifted stays in the list: an older copy, merged into it, must not bring it back.
//!
//! A text with anything that is not understood is none: half a list of who is shut out is no list. Nothing here is the
//! list that root of one host writes; that is [`crate::Revoked`]'s.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use core::fmt;

use crate::fingerprint::{self, Fingerprint};
use crate::{Digest, Principal, Timestamp, is_printable};

/// The first two words of the text: its form. A release that brings a new one reads it and writes the old one, and the
/// release after it writes the new one: see docs/architecture.md.
const FORM: &str = if cfg!(feature = "next-form-written") { NEXT } else { FIRST };

/// Another form that is read.
const ALSO: Option<&str> = match (cfg!(feature = "next-form"), cfg!(feature = "next-form-written")) {
    (true, true) => Some(FIRST),
    (true, false) => Some(NEXT),
    _ => None,
};

const FIRST: &str = "revocations 1";

/// As a later release may have it, for tests of neighbours.
const NEXT: &str = "revocations 2";

/// The most orders in a list. A fleet that shuts out more people at once has another problem.
pub const MOST: usize = 10_000;

/// The largest text, in bytes: room for as many of the longest lines.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// The longest reason, in bytes.
pub const LONGEST_REASON: usize = 200;

/// The longest name of who said so, and of a grant, in bytes.
pub const LONGEST_NAME: usize = 64;

/// What an order is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A person: they enter nothing.
    Person(Principal),
    /// A public key, by its SHA-256: it opens nothing, for nobody.
    Key(Digest),
    /// A grant, by its id: 1 to 64 letters, digits, `.`, `-`, `_`.
    Grant(String),
}

impl Subject {
    /// Reads one as [`Subject`] is printed: `person alice`, `key SHA256:…`, `grant 7f3a`.
    pub fn parse(kind: &str, id: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        match kind {
            "person" => Principal::new(id).ok().map(Self::Person),
            "key" => fingerprint::parse(id).map(Self::Key),
            "grant" => {
                let is_id = (1..=LONGEST_NAME).contains(&id.len()) && id.bytes().all(fits);
                is_id.then(|| Self::Grant(id.to_string()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(person) => write!(f, "person {person}"),
            Self::Key(digest) => write!(f, "key {}", Fingerprint(digest)),
            Self::Grant(id) => write!(f, "grant {id}"),
        }
    }
}

/// What was last said about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Of two orders about one subject the one with the higher serial holds.
    pub serial: u64,
    /// Is an earlier revocation taken back?
    pub lifted: bool,
    /// Since when. Only shown, never compared: a clock that is wrong must not let anybody back in.
    pub since: Timestamp,
    /// The first instant at which it holds no more; `None`: until it is lifted.
    pub until: Option<Timestamp>,
    /// Who said so: 1 to 64 visible ASCII letters.
    pub by: String,
    /// Why, in their words: one line of at most 200 bytes; may be empty.
    pub reason: String,
}

impl Order {
    /// Does it shut out at `now`?
    pub fn holds(&self, now: Timestamp) -> bool {
        !self.lifted && self.until.is_none_or(|until| now < until)
    }

    /// May it be in a list: will it be read as it is written?
    pub fn is_sound(&self) -> bool {
        let words = |text: &str, longest| text.len() <= longest && text.chars().all(is_printable);
        let instants = self.since.has_date() && self.until.is_none_or(Timestamp::has_date);
        let by = !self.by.is_empty() && self.by.bytes().all(|byte| byte.is_ascii_graphic());
        by && instants
            && words(&self.by, LONGEST_NAME)
            && words(&self.reason, LONGEST_REASON)
            && self.reason.trim() == self.reason
    }

    /// Of two orders about one subject the greater holds. Two collectors that were apart may have given one serial
    /// twice; then the one that shuts out, and for longer. The rest only makes the choice the same everywhere.
    fn rank(&self) -> (u64, bool, Timestamp, Timestamp, &str, &str) {
        let until = self.until.unwrap_or(Timestamp::MAX);
        (self.serial, !self.lifted, until, self.since, &self.by, &self.reason)
    }

    /// Reads what follows the subject on a line.
    fn parse(words: &str) -> Option<Self> {
        let (serial, rest) = words.split_once(' ')?;
        let (state, rest) = rest.split_once(' ')?;
        let (since, rest) = rest.split_once(' ')?;
        let (until, rest) = rest.split_once(' ')?;
        let (by, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let order = Self {
            serial: serial.parse().ok()?,
            lifted: match state {
                "revoked" => false,
                "lifted" => true,
                _ => return None,
            },
            since: Timestamp::parse(since)?,
            until: if until == "-" { None } else { Some(Timestamp::parse(until)?) },
            by: by.to_string(),
            reason: reason.to_string(),
        };
        order.is_sound().then_some(order)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.lifted { "lifted" } else { "revoked" };
        write!(f, "{} {state} {} ", self.serial, self.since)?;
        match self.until {
            Some(until) => write!(f, "{until}")?,
            None => f.write_str("-")?,
        }
        write!(f, " {}", self.by)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " {}", self.reason) }
    }
}

/// Why a list is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationsError {
    /// The first line names no form that this release reads.
    Form,
    /// A line is not understood, is longer than it may be, or is not in its place; its number, from 1.
    Line(usize),
    /// There are more orders than [`MOST`], or more bytes than [`LARGEST`].
    TooMany,
    /// An order to be taken in would not be read as it is written.
    Unsound,
}

impl fmt::Display for RevocationsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("not a list of revocations in a form that this release reads"),
            Self::Line(line) => write!(f, "line {line} is not a revocation"),
            Self::TooMany => write!(f, "more than {MOST} revocations, or more than {LARGEST} bytes"),
            Self::Unsound => write!(
                f,
                "who said so is a word of at most {LONGEST_NAME} letters, and why is one line of at most \
                 {LONGEST_REASON} bytes"
            ),
        }
    }
}

impl core::error::Error for RevocationsError {}

/// The last order about each subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    read: Option<Timestamp>,
    orders: BTreeMap<Subject, Order>,
}

impl Revocations {
    /// Nothing was ever said.
    pub const fn none() -> Self {
        Self { read: None, orders: BTreeMap::new() }
    }

    /// Reads the text.
    ///
    /// # Errors
    /// It is not exactly what [`Revocations`] prints, or too large.
    pub fn parse(text: &str) -> Result<Self, RevocationsError> {
        if text.len() > LARGEST {
            return Err(RevocationsError::TooMany);
        }
        let (first, lines) = text.split_once('\n').ok_or(RevocationsError::Form)?;
        let mut list = Self { read: read(first).ok_or(RevocationsError::Form)?, orders: BTreeMap::new() };
        for (number, line) in (2..).zip(lines.split_inclusive('\n')) {
            let wrong = RevocationsError::Line(number);
            let (subject, order) = line.strip_suffix('\n').and_then(entry).ok_or(wrong)?;
            if list.orders.len() == MOST {
                return Err(RevocationsError::TooMany);
            }
            // One list has one text, so that unchanged content keeps its digest.
            if list.orders.last_key_value().is_some_and(|(last, _)| *last >= subject) {
                return Err(wrong);
            }
            list.orders.insert(subject, order);
        }
        Ok(list)
    }

    /// When the collector had read the list that this is a host's copy of; `None` in a list that is nobody's copy.
    pub const fn read(&self) -> Option<Timestamp> {
        self.read
    }

    /// The same list, as read by the collector at `read`.
    #[must_use]
    pub fn read_at(self, read: Option<Timestamp>) -> Self {
        Self { read, ..self }
    }

    /// The last order about `subject`, whether it holds or not.
    pub fn get(&self, subject: &Subject) -> Option<&Order> {
        self.orders.get(subject)
    }

    /// All orders, in order of their subjects.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Order)> {
        self.orders.iter()
    }

    /// Those that shut out at `now`.
    pub fn in_force(&self, now: Timestamp) -> impl Iterator<Item = (&Subject, &Order)> {
        self.iter().filter(move |(_, order)| order.holds(now))
    }

    /// The serial for a new order about `subject` that is said at `now`: above all that were given, and above those of
    /// a counter that was lost with its host.
    pub fn next_serial(&self, subject: &Subject, now: Timestamp) -> u64 {
        let after = self.get(subject).map_or(0, |order| order.serial.saturating_add(1));
        after.max(u64::try_from(now.unix()).unwrap_or(0))
    }

    /// Takes one order in, unless the list has one that holds before it.
    ///
    /// # Errors
    /// The list is full, or the order is not [sound](Order::is_sound); nothing is changed then.
    pub fn insert(&mut self, subject: Subject, order: Order) -> Result<(), RevocationsError> {
        if !order.is_sound() {
            return Err(RevocationsError::Unsound);
        }
        if self.orders.len() >= MOST && !self.orders.contains_key(&subject) {
            return Err(RevocationsError::TooMany);
        }
        match self.orders.get_mut(&subject) {
            Some(known) if known.rank() >= order.rank() => {}
            Some(known) => *known = order,
            None => drop(self.orders.insert(subject, order)),
        }
        Ok(())
    }

    /// Both lists as one: about each subject the order with the highest serial. In whatever order lists are merged, and
    /// however often, the same comes of it. When the list was read stays as it is here.
    ///
    /// # Errors
    /// They are too many; nothing is changed then.
    pub fn merge(&mut self, other: &Self) -> Result<(), RevocationsError> {
        let added = other.orders.keys().filter(|subject| !self.orders.contains_key(subject)).count();
        if self.orders.len() + added > MOST {
            return Err(RevocationsError::TooMany);
        }
        for (subject, order) in &other.orders {
            self.insert(subject.clone(), order.clone())?;
        }
        Ok(())
    }

    /// Does it say something about a subject that `other` does not know yet, and that is not over at `now`?
    pub fn is_ahead_of(&self, other: &Self, now: Timestamp) -> bool {
        let lasts = |order: &Order| order.until.is_none_or(|until| now < until);
        let is_news = |(subject, order): (&Subject, &Order)| {
            other.get(subject).is_none_or(|theirs| theirs.rank() < order.rank())
        };
        self.iter().filter(|(_, order)| lasts(order)).any(is_news)
    }

    /// Leaves out what ended before `now`: it would hold on no host any more, whichever copy is older.
    pub fn drop_ended(&mut self, now: Timestamp) {
        self.orders.retain(|_, order| order.until.is_none_or(|until| now < until));
    }
}

/// Reads the first line.
fn read(line: &str) -> Option<Option<Timestamp>> {
    let rest = line.strip_prefix(FORM).or_else(|| line.strip_prefix(ALSO?))?;
    if rest.is_empty() {
        return Some(None);
    }
    rest.strip_prefix(' ').and_then(Timestamp::parse).map(Some)
}

/// Reads one of the others.
fn entry(line: &str) -> Option<(Subject, Order)> {
    let (kind, rest) = line.split_once(' ')?;
    let (id, rest) = rest.split_once(' ')?;
    let order = Order::parse(rest)?;
    // Printed again, a sign before a number, a zero or a blank too many is another text.
    (order.to_string() == rest).then_some((Subject::parse(kind, id)?, order))
}

impl fmt::Display for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.read {
            Some(read) => writeln!(f, "{FORM} {read}")?,
            None => writeln!(f, "{FORM}")?,
        }
        self.iter().try_for_each(|(subject, order)| writeln!(f, "{subject} {order}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const TEXT: &str = "revocations 1\n\
        person alice 7 revoked 2026-11-20T09:00:00Z 2026-11-21T09:00:00Z eve laptop stolen\n\
        person bob 1 lifted 2026-11-20T09:00:00Z - eve\n\
        key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU 1 revoked 2026-11-20T09:00:00Z - eve r\u{e9}sum\u{e9}\n\
        grant 7f3a 18446744073709551615 revoked 2026-11-20T09:00:00Z - eve\n";

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn person(name: &str) -> Subject {
        Subject::parse("person", name).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let list = Revocations::parse(TEXT).unwrap();
        assert_eq!(list.to_string(), TEXT);
        assert_eq!((list.read(), list.iter().count()), (None, 4));
        let read = at("2026-11-20T09:00:30Z");
        let copy = list.clone().read_at(Some(read));
        assert!(copy.to_string().starts_with("revocations 1 2026-11-20T09:00:30Z\nperson alice 7"));
        assert_eq!(Revocations::parse(&copy.to_string()), Ok(copy.clone()));
        assert_eq!((copy.read(), copy.read_at(None)), (Some(read), list));
        assert_eq!(Revocations::parse("revocations 1\n"), Ok(Revocations::none()));
    }

    #[test]
    fn until_is_judged_at_now_and_what_is_lifted_never_holds() {
        let list = Revocations::parse(TEXT).unwrap();
        let names = |now| {
            list.in_force(at(now)).map(|(subject, _)| format!("{subject}")).collect::<alloc::vec::Vec<_>>()
        };
        let key = "key SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
        assert_eq!(names("2026-11-21T08:59:59Z"), ["person alice", key, "grant 7f3a"]);
        assert_eq!(names("2026-11-21T09:00:00Z"), [key, "grant 7f3a"]);
        // A clock that is behind lets nobody back in.
        assert_eq!(names("2020-01-01T00:00:00Z").len(), 3);
    }

    #[test]
    fn a_line_that_is_not_understood_spoils_the_list_and_is_named() {
        let good = "person bob 1 revoked 2026-11-20T09:00:00Z - eve";
        assert!(Revocations::parse(&format!("revocations 1\n{good}\n")).is_ok());
        for wrong in [
            "",
            "# a comment",
            "person bob",
            "person Bob 1 revoked 2026-11-20T09:00:00Z - eve",
            "people bob 1 revoked 2026-11-20T09:00:00Z - eve",
            "person bob +1 revoked 2026-11-20T09:00:00Z - eve",
            "person bob 01 revoked 2026-11-20T09:00:00Z - eve",
            "person bob 18446744073709551616 revoked 2026-11-20T09:00:00Z - eve",
            "person bob 1 Revoked 2026-11-20T09:00:00Z - eve",
            "person bob 1 revoked 2026-11-20 - eve",
            "person bob 1 revoked 2026-11-20T09:00:00Z never eve",
            "person bob 1 revoked 2026-11-20T09:00:00Z - ",
            "person bob  1 revoked 2026-11-20T09:00:00Z - eve",
            "person bob 1 revoked 2026-11-20T09:00:00Z - eve ",
            "person bob 1 revoked 2026-11-20T09:00:00Z - eve  two blanks",
            "person bob 1 revoked 2026-11-20T09:00:00Z - eve tab\there",
            "person bob 1 revoked 2026-11-20T09:00:00Z - eve \u{202e}turned",
            "person bob 1 revoked 2026-11-20T09:00:00Z - eve\r",
            "key SHA256:47DEQpj8HBSa 1 revoked 2026-11-20T09:00:00Z - eve",
            "key MD5:00 1 revoked 2026-11-20T09:00:00Z - eve",
            "grant a/b 1 revoked 2026-11-20T09:00:00Z - eve",
            &format!("{good} {}", "x".repeat(LONGEST_REASON + 1)),
            &format!("person bob 1 revoked 2026-11-20T09:00:00Z - {}", "e".repeat(LONGEST_NAME + 1)),
        ] {
            let text = format!("revocations 1\nperson alice 1 lifted 2026-11-20T09:00:00Z - eve\n{wrong}\n");
            assert_eq!(Revocations::parse(&text), Err(RevocationsError::Line(3)), "{wrong:?}");
        }
        for (text, line) in [
            (format!("{good}\n{good}"), 3),
            (format!("{good}\nperson al{}", &good[10..]), 3),
            (good[..30].into(), 2),
        ] {
            assert_eq!(
                Revocations::parse(&format!("revocations 1\n{text}\n")),
                Err(RevocationsError::Line(line))
            );
        }
        assert_eq!(Revocations::parse(&format!("revocations 1\n{good}")), Err(RevocationsError::Line(2)));
        for first in ["", "revocations 1", "revocations 3\n", "revocations 1 \n", "revocations 1 now\n", "\n"]
        {
            assert_eq!(Revocations::parse(first), Err(RevocationsError::Form), "{first:?}");
        }
    }

    fn order(serial: u64, lifted: bool) -> Order {
        let by = "eve".to_string();
        Order { serial, lifted, since: at("2026-11-20T09:00:00Z"), until: None, by, reason: String::new() }
    }

    #[test]
    fn the_highest_serial_holds_and_of_equal_ones_that_which_shuts_out() {
        let mut list = Revocations::none();
        for (serial, lifted, held) in [
            (5, false, false),
            (4, true, false),
            (5, true, false),
            (6, true, true),
            (5, false, true),
            (6, false, false),
        ] {
            list.insert(person("alice"), order(serial, lifted)).unwrap();
            assert_eq!(list.get(&person("alice")).unwrap().lifted, held, "{serial} {lifted}");
        }
        let now = at("2026-11-20T09:00:00Z");
        assert_eq!(list.next_serial(&person("alice"), Timestamp::from_unix(3)), 7);
        assert_eq!(list.next_serial(&person("alice"), now), 1_795_165_200);
        assert_eq!(list.next_serial(&person("bob"), Timestamp::from_unix(-1)), 0);
    }

    #[test]
    fn a_list_has_an_end_and_what_does_not_fit_changes_nothing() {
        let longest = Order {
            by: "e".repeat(LONGEST_NAME),
            reason: "r".repeat(LONGEST_REASON),
            until: Some(at("9999-12-31T23:59:59Z")),
            ..order(u64::MAX, false)
        };
        let grant = |number: usize| Subject::Grant(format!("{number:064}"));
        let mut full = Revocations::none().read_at(Some(at("2026-11-20T09:00:00Z")));
        for number in 0..MOST {
            full.insert(grant(number), longest.clone()).unwrap();
        }
        let text = full.to_string();
        assert!(text.len() <= LARGEST, "{}", text.len());
        assert_eq!(Revocations::parse(&text).as_ref(), Ok(&full));
        let before = full.clone();
        assert_eq!(full.insert(grant(MOST), longest.clone()), Err(RevocationsError::TooMany));
        let mut other = Revocations::none();
        other.insert(grant(1), order(1, true)).unwrap();
        assert_eq!(full.merge(&other), Ok(()));
        other.insert(person("alice"), order(1, false)).unwrap();
        assert_eq!(full.merge(&other), Err(RevocationsError::TooMany));
        assert_eq!(full, before);
        let more = text + &format!("grant {:064} {longest}\n", MOST);
        assert_eq!(Revocations::parse(&more), Err(RevocationsError::TooMany));
        assert_eq!(Revocations::parse(&"x".repeat(LARGEST + 1)), Err(RevocationsError::TooMany));
        let bad = Order { reason: "two\nlines".to_string(), ..order(1, false) };
        assert_eq!(Revocations::none().insert(person("alice"), bad), Err(RevocationsError::Unsound));
    }

    #[test]
    fn what_ended_is_left_out_and_what_has_no_end_stays() {
        let mut list = Revocations::parse(TEXT).unwrap();
        list.drop_ended(at("2026-11-21T08:59:59Z"));
        assert_eq!(list.iter().count(), 4);
        list.drop_ended(at("2026-11-21T09:00:00Z"));
        assert_eq!((list.get(&person("alice")), list.iter().count()), (None, 3));
    }

    #[test]
    fn a_list_is_ahead_by_an_order_that_lasts_and_that_the_other_does_not_know() {
        let (now, end) = (at("2026-11-20T09:00:00Z"), at("2026-11-20T10:00:00Z"));
        let list = |serial, lifted, until| {
            let mut list = Revocations::none();
            list.insert(person("alice"), Order { until, ..order(serial, lifted) }).unwrap();
            list
        };
        let none = Revocations::none();
        let one = list(5, false, Some(end));
        assert!(one.is_ahead_of(&none, now) && !none.is_ahead_of(&one, now) && !one.is_ahead_of(&one, now));
        assert!(!one.is_ahead_of(&none, end), "over");
        for (other, is_ahead) in
            [(list(6, true, Some(end)), true), (list(4, false, None), false), (list(5, true, None), false)]
        {
            assert_eq!(other.is_ahead_of(&one, now), is_ahead, "{other}");
        }
    }
}
