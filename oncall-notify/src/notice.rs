//! What is told: one record, or many as one.
//!
//! Whatever stands in a record came from outside once. Here it becomes printable ASCII of bounded length, before
//! anything else sees it: a channel then has its own markup to make inert, and nothing of line breaks, of letters that turn
//! others round, or of 64 KiB.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use policy::Timestamp;
use record::{Effect, Phase, Record, Token, Word};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest value, in letters.
const LONGEST: usize = 256;

/// The most names that a digest remembers of a kind: more than any channel shows.
const MOST_NAMES: usize = 20;

/// The most that it counts of a kind; it says "more than" beyond.
const MOST_COUNTED: usize = 1_000;

/// A notice, as it is kept until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notice {
    /// One record.
    One(One),
    /// Many, counted.
    Many(Box<Many>),
}

/// What one record says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct One {
    /// 16 hexadecimal digits, the same whenever this line is read again.
    pub id: String,
    /// When it was written, in Unix seconds.
    pub at: i64,
    /// Its values by their names, all inert; empty ones are left out.
    pub fields: BTreeMap<String, String>,
}

/// What many records have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Many {
    /// Made of the ids of those that it stands for.
    pub id: String,
    /// So many records.
    pub count: u64,
    /// Who, which accounts, where, and what happened.
    pub people: Names,
    pub accounts: Names,
    pub hosts: Names,
    pub events: Names,
    /// When the first and the last of them were written, in Unix seconds.
    pub first: i64,
    pub last: i64,
    /// Are they told as one because there was no room for each?
    #[serde(default)]
    pub crowded: bool,
}

/// Names, each once: the first of them as they are, and of others only which they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    names: BTreeSet<String>,
    /// The beginnings of the digests of others.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    others: BTreeSet<u64>,
    /// Were there more than are counted?
    more: bool,
}

impl Names {
    fn add(&mut self, name: &str) {
        if name.is_empty() || self.names.contains(name) {
            return;
        }
        let number = number_of(name);
        if self.others.contains(&number) {
        } else if self.names.len() < MOST_NAMES {
            self.names.insert(name.to_string());
        } else {
            self.count_other(number);
        }
    }

    fn count_other(&mut self, number: u64) {
        if self.others.contains(&number) {
        } else if self.names.len() + self.others.len() < MOST_COUNTED {
            self.others.insert(number);
        } else {
            self.more = true;
        }
    }

    fn add_all(&mut self, others: &Self) {
        others.names.iter().for_each(|name| self.add(name));
        let named: BTreeSet<u64> = self.names.iter().map(|name| number_of(name)).collect();
        others.others.difference(&named).for_each(|number| self.count_other(*number));
        self.more |= others.more;
    }

    /// How many there are, and whether there may be more.
    pub fn count(&self) -> (usize, bool) {
        (self.names.len() + self.others.len(), self.more)
    }

    /// The names themselves, as far as they are remembered.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// One by its name, few by theirs, many as so many of what one is called `kind`.
    pub fn shown(&self, kind: &str) -> String {
        match self.count() {
            (0, _) => String::new(),
            (1..=3, false) => self.names.iter().cloned().collect::<Vec<_>>().join(", "),
            (count, more) => {
                format!("{}{}", if more { "more than " } else { "" }, host::output::counted(count, kind))
            }
        }
    }
}

impl One {
    /// What `line`, a record and nothing before it, says, as `sender` sent it. `None`: it is none.
    pub fn read(line: &str, sender: &str) -> Option<Self> {
        let record = Record::read(line)?;
        Some(Self::of(&record, sender, id_of(line)))
    }

    /// Of a line that is no record: these values, written `at`.
    pub fn made<'v>(line: &str, at: i64, values: impl Iterator<Item = (&'v str, &'v str)>) -> Self {
        let id = id_of(line);
        let mut one = Self { id: id.clone(), at, fields: BTreeMap::new() };
        values.for_each(|(name, value)| one.put(name, value));
        one.put("notice", &id);
        one
    }

    /// Puts a value where it belongs, made inert; an empty one is left out.
    pub fn put(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.fields.remove(name);
        } else {
            self.fields.insert(name.to_string(), inert(value));
        }
    }

    /// The same of a record that is read already.
    pub fn of(record: &Record, sender: &str, id: String) -> Self {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: &str| {
            if !value.is_empty() {
                fields.insert(name.to_string(), inert(value));
            }
        };
        put("event", event(record));
        put("sender", sender);
        for (name, value) in [
            ("id", &record.id),
            ("host", &record.host),
            ("boot", &record.boot_id),
            ("person", &record.person),
            ("account", &record.account),
            ("service", &record.service),
            ("asker", &record.asker),
            ("rhost", &record.rhost),
            ("tty", &record.tty),
            ("fingerprint", &record.fingerprint),
            ("rule", &record.rule),
            ("schedule", &record.schedule_name),
            ("grant", &record.grant),
            ("approvers", &record.approvers),
            ("owner", &record.owner),
            ("owners", &record.owners),
            ("claim", &record.claim),
            ("why", &record.why),
            ("problem", &record.problem),
        ] {
            put(name, value);
        }
        put("phase", &word(record.phase.as_ref()));
        put("verdict", &word(record.verdict.as_ref()));
        put("reason", &word(record.reason.as_ref()));
        put("effect", &word(record.effect.as_ref()));
        put("mode", &word(record.mode.as_ref()));
        put("guard", &word(record.guard.as_ref()));
        put("time", &record.time.to_string());
        put("number", &record.seq.map(|number| number.to_string()).unwrap_or_default());
        put("late", &record.late.map(|seen| seen.to_string()).unwrap_or_default());
        put("right_ends", &record.end.map(|end| end.to_string()).unwrap_or_default());
        put("notice", &id);
        Self { id, at: record.time.unix(), fields }
    }

    /// A value; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// The names that templates and filters may use of one record.
pub const FIELDS: &[&str] = &[
    "event",
    "sender",
    "id",
    "host",
    "boot",
    "person",
    "account",
    "service",
    "asker",
    "rhost",
    "tty",
    "fingerprint",
    "rule",
    "schedule",
    "grant",
    "approvers",
    "owner",
    "owners",
    "claim",
    "why",
    "problem",
    "phase",
    "verdict",
    "reason",
    "effect",
    "mode",
    "guard",
    "time",
    "number",
    "right_ends",
    "late",
    "notice",
    "origin",
    "common_name",
    "username",
    "port",
    "address",
];

/// What happened, in one word.
fn event(record: &Record) -> &'static str {
    match (record.phase(), record.effect()) {
        (Some(Phase::Test), _) => "test",
        (Some(Phase::Close), _) => "closed",
        (Some(Phase::Heartbeat), _) => "heartbeat",
        (Some(Phase::WouldEnd), _) => "would-end",
        (_, Some(Effect::Refuse)) => "refused",
        (Some(Phase::Session), _) => "opened",
        (Some(Phase::Account), _) => "admitted",
        (None, _) => "other",
    }
}

fn word<T: Word>(token: Option<&Token<T>>) -> String {
    token.map(Token::to_string).unwrap_or_default()
}

/// The text as any channel may have it: printable ASCII and blanks, everything else as `\u{…}`, cut.
pub fn inert(text: &str) -> String {
    let (mut safe, mut letters) = (String::new(), 0);
    for letter in text.chars() {
        let before = safe.len();
        if letter == ' ' || letter.is_ascii_graphic() {
            safe.push(letter);
        } else {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(letter));
        }
        letters += safe.len() - before;
        if letters > LONGEST {
            safe.truncate(before);
            safe.push_str("...");
            break;
        }
    }
    safe
}

impl Many {
    /// These, and nothing else yet.
    pub fn of(one: &One) -> Self {
        let mut many = Self { first: one.at, last: one.at, ..Self::default() };
        many.add(one);
        many
    }

    /// One more.
    pub fn add(&mut self, one: &One) {
        self.id = chained(&self.id, &one.id);
        self.count += 1;
        self.people.add(one.get("person"));
        self.accounts.add(one.get("account"));
        self.hosts.add(one.get("host"));
        self.events.add(one.get("event"));
        (self.first, self.last) = (self.first.min(one.at), self.last.max(one.at));
    }

    /// What another notice says, besides.
    pub fn add_notice(&mut self, notice: &Notice) {
        let other = match notice {
            Notice::One(one) => return self.add(one),
            Notice::Many(other) => other,
        };
        self.id = chained(&self.id, &other.id);
        self.count += other.count;
        self.people.add_all(&other.people);
        self.accounts.add_all(&other.accounts);
        self.hosts.add_all(&other.hosts);
        self.events.add_all(&other.events);
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.crowded |= other.crowded;
    }
}

impl Notice {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::One(one) => &one.id,
            Self::Many(many) => &many.id,
        }
    }

    /// When the newest record in it was written, in Unix seconds.
    pub fn at(&self) -> i64 {
        match self {
            Self::One(one) => one.at,
            Self::Many(many) => many.last,
        }
    }

    /// The one person whom it is about, if it is about one.
    pub fn person(&self) -> &str {
        match self {
            Self::One(one) => one.get("person"),
            Self::Many(many) if many.people.count() == (1, false) => {
                many.people.iter().next().unwrap_or_default()
            }
            Self::Many(_) => "",
        }
    }

    /// How many records it stands for.
    pub fn count(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.count,
        }
    }

    /// The same as what many say.
    pub fn into_many(self) -> Many {
        match self {
            Self::One(one) => Many::of(&one),
            Self::Many(many) => *many,
        }
    }
}

/// An instant as people read it.
pub fn instant(unix: i64) -> String {
    Timestamp::from_unix(unix).to_string()
}

/// What names a line, whenever it is read.
fn id_of(line: &str) -> String {
    hex(&Sha256::digest(line.trim_end()))
}

/// What tells a name from others, for counting: eight bytes of its digest.
fn number_of(name: &str) -> u64 {
    Sha256::digest(name).iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn chained(before: &str, next: &str) -> String {
    if before.is_empty() {
        return next.to_string();
    }
    hex(&Sha256::new().chain_update(before).chain_update(next).finalize())
}

/// The first eight bytes.
fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a93_a_value_from_outside_is_printable_ascii_of_bounded_length() {
        assert_eq!(inert("a\r\nb\u{202e}c\u{1b}[2J"), "a\\u{d}\\u{a}b\\u{202e}c\\u{1b}[2J");
        assert_eq!(inert("<!channel> \"q\" \\"), "<!channel> \"q\" \\");
        for long in ["x".repeat(65_536), "\u{202e}".repeat(65_536)] {
            let safe = inert(&long);
            assert!(safe.len() <= LONGEST + 3 && safe.ends_with("..."), "{}", safe.len());
        }
    }

    #[test]
    fn every_field_that_a_record_can_give_is_known_by_its_name() {
        let record =
            Record { seq: Some(7), id: "0011223344556677".into(), ..Record::at(Timestamp::from_unix(0)) };
        let one = One::of(&record, "10.0.0.7", "n".into());
        assert!(one.fields.keys().all(|name| FIELDS.contains(&name.as_str())), "{one:?}");
        let mut sorted = FIELDS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), FIELDS.len());
    }

    #[test]
    fn many_count_what_they_stand_for_and_name_few() {
        let one = |host: &str, at: i64| {
            let fields = [("person", "alice"), ("account", "root"), ("host", host), ("event", "opened")];
            let fields = fields.map(|(name, value)| (name.to_string(), value.to_string()));
            One { id: host.to_string(), at, fields: fields.into() }
        };
        let mut many = Many::of(&one("db1", 50));
        many.add(&one("db2", 20));
        many.add_notice(&Notice::One(one("db1", 70)));
        assert_eq!((many.count, many.first, many.last), (3, 20, 70));
        assert_eq!(
            (many.hosts.shown("host"), many.people.shown("person")),
            ("db1, db2".into(), "alice".into())
        );
        let other = many.clone();
        many.add_notice(&Notice::Many(other.into()));
        assert_eq!((many.count, many.id.len()), (6, 16));
        let mut fewer = Many::of(&one("web0", 0));
        (0..500).for_each(|number| fewer.add(&one(&format!("web{number}"), 0)));
        let again = Notice::Many(fewer.clone().into());
        fewer.add_notice(&again);
        assert_eq!((fewer.hosts.count(), fewer.hosts.iter().count()), ((500, false), MOST_NAMES));
        for number in 0..1_200 {
            many.add(&one(&format!("web{number}{}", "x".repeat(250)), 0));
        }
        assert!(serde_json::to_string(&many).unwrap().len() < 30_000, "what is kept has an end");
        assert_eq!(many.hosts.shown("host"), "more than 1000 hosts");
        assert_eq!(Notice::Many(many.into()).person(), "alice");
    }
}
