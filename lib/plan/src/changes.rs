//! What a change of the configuration is, key by key, and which way it goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use host::Config;
use policy::{Span, Timestamp};
use toml::{Table, Value};

use crate::keys::{self, ELEMENTS, Element, Key, Way};

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// It lets more people in, or for longer, or on weaker evidence.
    Loosens,
    /// It may: the configuration alone does not tell.
    MayLoosen,
    /// It lets in fewer.
    Tightens,
    /// Who gets in stays the same.
    Neutral,
}

impl Effect {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loosens => "loosens",
            Self::MayLoosen => "may loosen",
            Self::Tightens => "tightens",
            Self::Neutral => "neutral",
        }
    }
}

/// One change of one setting.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Which way it goes.
    pub effect: Effect,
    /// Where it is: `[policy]`, or ``[[policy.rule]] `db` ``.
    pub place: String,
    /// The key; none where it is a whole table.
    pub key: String,
    /// What is other now: `1 → 2`.
    pub what: String,
    /// What that means; empty where there is nothing to say.
    pub means: String,
    /// What it is about.
    pub(crate) detail: Detail,
}

/// What a change is about, for whoever knows more of that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Detail {
    /// `policy.rule`.
    pub section: String,
    /// Which of the section's tables; empty where there is one.
    pub entry: Vec<String>,
    /// Of a table or a list: is it more of it, or less?
    pub is_added: Option<bool>,
    /// Of a list: the entries; of people: the user.
    pub items: Vec<String>,
}

impl Change {
    /// Which of the section's tables it is.
    pub(crate) fn name(&self) -> &str {
        self.detail.entry.last().map_or("", String::as_str)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, place, key, what, means, detail: _ } = self;
        write!(f, "{} {place}", effect.word())?;
        if key.is_empty() {
            write!(f, " {what}")?;
        } else {
            write!(f, " {key}: {what}")?;
        }
        if means.is_empty() { Ok(()) } else { write!(f, ": {means}") }
    }
}

/// Every change from `old` to `new`, those that let people in first. Defaults are filled in before: to write one down
/// is no change.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let (old, new) = (Settings::of(&old.effective()), Settings::of(&new.effective()));
    let mut changes = Vec::new();
    let mut one_sided = BTreeSet::new();
    for place in old.elements.keys().chain(new.elements.keys()).collect::<BTreeSet<_>>() {
        let change = match (old.elements.get(place), new.elements.get(place)) {
            (None, Some(table)) => table_change(place, Some(table)),
            (Some(_), None) => table_change(place, None),
            _ => continue,
        };
        one_sided.insert(place);
        changes.push(change);
    }
    let is_told = |place: &Place| one_sided.iter().any(|told| place.is_within(told));
    let leaves: BTreeSet<&(Place, String)> = old.leaves.keys().chain(new.leaves.keys()).collect();
    for leaf in leaves.into_iter().filter(|(place, _)| !is_told(place)) {
        let (before, after) = (old.leaves.get(leaf), new.leaves.get(leaf));
        if before != after {
            changes.extend(if is_people(leaf) {
                people_changes(leaf, before, after)
            } else {
                leaf_changes(leaf, before, after)
            });
        }
    }
    changes.sort();
    changes
}

/// Where a setting is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// `policy.rule`.
    section: String,
    /// Which of the section's tables, and of those within it; none where there is one.
    entry: Vec<String>,
}

impl Place {
    fn is_within(&self, outer: &Self) -> bool {
        let inner = self
            .section
            .strip_prefix(&outer.section)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        inner && self.entry.starts_with(&outer.entry)
    }
}

impl Place {
    fn detail(&self, is_added: Option<bool>, items: Vec<String>) -> Detail {
        Detail { section: self.section.clone(), entry: self.entry.clone(), is_added, items }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry.as_slice() {
            [] => write!(f, "[{}]", self.section),
            [entry] if self.section == "directory.disabled" => write!(f, "[{}] {entry}", self.section),
            entry => write!(f, "[[{}]] `{}`", self.section, entry.join("` `")),
        }
    }
}

/// A configuration taken apart.
#[derive(Debug, Default)]
struct Settings {
    leaves: BTreeMap<(Place, String), Value>,
    elements: BTreeMap<Place, Table>,
}

impl Settings {
    fn of(effective: &Value) -> Self {
        let mut settings = Self::default();
        if let Some(table) = effective.as_table() {
            settings.walk("", &[], table);
        }
        settings
    }

    fn walk(&mut self, section: &str, entry: &[String], table: &Table) {
        for (key, value) in table {
            let inner = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            match value {
                Value::Array(items) => match ELEMENTS.iter().find(|element| element.name == inner) {
                    Some(element) => self.walk_elements(element, entry, items),
                    None => self.leaf(section, entry, key, value),
                },
                // Their keys are the site's own.
                Value::Table(_) if inner == "oncall.source.people" => self.leaf(section, entry, key, value),
                Value::Table(marks) if inner == "directory.disabled" => {
                    for (mark, values) in marks {
                        self.leaf(&inner, std::slice::from_ref(mark), "ATTRIBUTE", values);
                    }
                }
                Value::Table(own) if inner == "oncall.source.schedule" => {
                    for (id, limits) in own.iter().filter_map(|(id, limits)| Some((id, limits.as_table()?))) {
                        self.walk(&inner, &[entry, std::slice::from_ref(id)].concat(), limits);
                    }
                }
                Value::Table(within) => self.walk(&inner, entry, within),
                _ => self.leaf(section, entry, key, value),
            }
        }
    }

    fn walk_elements(&mut self, element: &Element, entry: &[String], items: &[Value]) {
        let mut met: BTreeMap<String, usize> = BTreeMap::new();
        for table in items.iter().filter_map(Value::as_table) {
            let id = table.get(element.id).and_then(Value::as_str).unwrap_or_default().to_string();
            let count = met.entry(id.clone()).or_default();
            *count += 1;
            let id = match (id.is_empty(), *count) {
                (true, count) => count.to_string(),
                (false, 1) => id,
                (false, count) => format!("{id} ({count})"),
            };
            let entry = [entry, &[id]].concat();
            let place = Place { section: element.name.to_string(), entry: entry.clone() };
            self.elements.insert(place, table.clone());
            self.walk(element.name, &entry, table);
        }
    }

    fn leaf(&mut self, section: &str, entry: &[String], key: &str, value: &Value) {
        let place = Place { section: section.to_string(), entry: entry.to_vec() };
        self.leaves.insert((place, key.to_string()), value.clone());
    }
}

/// A table that is there on one side alone: `added` is the new one.
fn table_change(place: &Place, added: Option<&Table>) -> Change {
    let element = ELEMENTS.iter().find(|element| element.name == place.section);
    let (more, less) = element.map_or(("", ""), |element| (element.added, element.removed));
    let id = element.map_or("", |element| element.id);
    let (what, means) = match added {
        Some(table) => (format!("is new ({})", shown_table(place, id, table)), more),
        None => ("is gone".to_string(), less),
    };
    let effect = if means.is_empty() { Effect::Tightens } else { Effect::Loosens };
    let turn = if added.is_some() { "new" } else { "gone" };
    let means = if means.is_empty() { keys::tightened(&format!("{} {turn}", place.section)) } else { means };
    let detail = place.detail(Some(added.is_some()), Vec::new());
    Change { effect, place: place.to_string(), key: String::new(), what, means: means.to_string(), detail }
}

/// What a new table says, but for what says nothing about who gets in.
fn shown_table(place: &Place, id: &str, table: &Table) -> String {
    let says =
        |key: &&String| *key != id && keys::find(&format!("{} {key}", place.section)).way != Way::Neutral;
    let is_said = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Table(table) => !table.is_empty(),
        Value::Boolean(flag) => *flag,
        _ => true,
    };
    let told = table.iter().filter(|(key, value)| says(key) && is_said(value));
    told.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
}

/// The changes of one setting: of a list one for what is new and one for what is gone.
fn leaf_changes(
    (place, name): &(Place, String),
    before: Option<&Value>,
    after: Option<&Value>,
) -> Vec<Change> {
    let key = keys::find(&format!("{} {name}", place.section));
    let shown = if place.section == "directory.disabled" { "values" } else { name };
    let change = |effect, what, is_added, items| {
        let means = match effect {
            Effect::Loosens | Effect::MayLoosen => key.means,
            Effect::Tightens => keys::tightened(key.name),
            Effect::Neutral => "",
        };
        let (means, detail) = (means.to_string(), place.detail(is_added, items));
        Change { effect, place: place.to_string(), key: shown.to_string(), what, means, detail }
    };
    let list = |value: Option<&Value>| match value {
        Some(Value::Array(items)) => Some(items.iter().map(shown_value).collect::<BTreeSet<_>>()),
        Some(Value::Table(table)) => {
            Some(table.iter().map(|(key, value)| format!("{key} = {value}")).collect::<BTreeSet<_>>())
        }
        // Of a limit, nothing written is everything.
        None if key.way != Way::Limit => Some(BTreeSet::new()),
        _ => None,
    };
    let is_list = [before, after].into_iter().flatten().all(|value| value.is_array() || value.is_table());
    if let (true, Some(old), Some(new)) = (is_list, list(before), list(after)) {
        let (added, gone): (Vec<String>, Vec<String>) =
            (new.difference(&old).cloned().collect(), old.difference(&new).cloned().collect());
        let mut changes = Vec::new();
        if !added.is_empty() {
            changes.push(change(effect(&key, true), format!("added {}", quoted(&added)), Some(true), added));
        }
        // What else guards an account is another thing for each.
        let apart = if key.name == "policy guarded_accounts" { 1 } else { gone.len().max(1) };
        for gone in gone.chunks(apart) {
            let what = format!("removed {}", quoted(gone));
            changes.push(change(effect(&key, false), what, Some(false), gone.to_vec()));
        }
        if changes.is_empty() && key.way == Way::Other {
            let what = "the order is another one".to_string();
            changes.push(change(Effect::MayLoosen, what, None, Vec::new()));
        }
        return changes;
    }
    let more = ranked(&key, before, after);
    let effect = more.map_or(Effect::MayLoosen, |more| effect(&key, more));
    let effect = if key.way == Way::Neutral { Effect::Neutral } else { effect };
    let told = |value: Option<&Value>| value.map_or_else(|| "not set".to_string(), shown_value);
    vec![change(effect, format!("{} → {}", told(before), told(after)), None, Vec::new())]
}

fn is_people((place, name): &(Place, String)) -> bool {
    place.section == "oncall.source" && name == "people"
}

/// The changes of a table of people: one for each user.
fn people_changes(
    (place, name): &(Place, String),
    before: Option<&Value>,
    after: Option<&Value>,
) -> Vec<Change> {
    let key = keys::find(&format!("{} {name}", place.section));
    let table = |value: Option<&Value>| value.and_then(Value::as_table).cloned().unwrap_or_default();
    let (old, new) = (table(before), table(after));
    let users: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let told = |value: Option<&Value>| value.map_or_else(|| "not set".to_string(), shown_value);
    let changed = users.into_iter().filter(|user| old.get(*user) != new.get(*user));
    changed
        .map(|user| Change {
            effect: Effect::MayLoosen,
            place: place.to_string(),
            key: name.clone(),
            what: format!("`{user}`: {} → {}", told(old.get(user)), told(new.get(user))),
            means: key.means.to_string(),
            detail: place.detail(None, vec![user.clone()]),
        })
        .collect()
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn shown_value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// Which way more of `key`, or less, goes.
fn effect(key: &Key, more: bool) -> Effect {
    match key.way {
        Way::Neutral => Effect::Neutral,
        Way::Other => Effect::MayLoosen,
        Way::Less if more => Effect::Tightens,
        Way::Less => Effect::Loosens,
        Way::More | Way::Limit | Way::Words(_) if more => Effect::Loosens,
        Way::More | Way::Limit | Way::Words(_) => Effect::Tightens,
    }
}

/// Is `after` more than `before`? Nothing where they cannot be compared.
fn ranked(key: &Key, before: Option<&Value>, after: Option<&Value>) -> Option<bool> {
    let absent = if key.way == Way::Limit { i64::MAX } else { i64::MIN };
    let rank = |value: Option<&Value>| value.map_or(Some(absent), |value| rank(key.way, value));
    Some(rank(after)? > rank(before)?)
}

/// The place of a value among others of its key.
fn rank(way: Way, value: &Value) -> Option<i64> {
    match (way, value) {
        (Way::Words(words), Value::String(text)) => {
            words.iter().position(|word| word == text).and_then(|place| i64::try_from(place).ok())
        }
        // `people = "on-call"`: everybody.
        (Way::Limit, Value::String(text)) if text == "on-call" => Some(i64::MAX),
        (Way::Limit, Value::Array(_)) => Some(0),
        (_, Value::Boolean(flag)) => Some(i64::from(*flag)),
        (_, Value::Integer(number)) => Some(*number),
        (_, Value::Datetime(at)) => Timestamp::read(&at.to_string()).map(Timestamp::unix),
        (_, Value::String(text)) => match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok(),
            None => Span::parse(text, "smhd", 18).map(Span::as_seconds),
        },
        _ => None,
    }
}
