//! Two configurations taken apart, so that each setting of one lies beside the same one of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use host::Config;
use toml::{Table, Value};

use crate::changes::Detail;
use crate::keys::{ELEMENTS, Element};

/// Where a setting is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// `policy.rule`.
    pub section: String,
    /// Which of the section's tables, and of those within it; none where there is one.
    pub entry: Vec<String>,
}

impl Place {
    fn new(section: &str, entry: &[String]) -> Self {
        Self { section: section.to_string(), entry: entry.to_vec() }
    }

    /// A section of which there is one.
    pub fn of(section: &str) -> Self {
        Self::new(section, &[])
    }

    /// Is it `outer`, or inside of it?
    pub fn is_within(&self, outer: &Self) -> bool {
        let inner = self
            .section
            .strip_prefix(&outer.section)
            .is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        inner && self.entry.starts_with(&outer.entry)
    }

    /// What a change here is about.
    pub fn detail(&self, is_added: Option<bool>, items: Vec<String>) -> Detail {
        let (section, entry) = (self.section.clone(), self.entry.clone());
        Detail { section, entry, is_added, items, ..Detail::default() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry.as_slice() {
            [] => write!(f, "[{}]", self.section),
            [entry] if self.section == "directory.disabled" => write!(f, "[{}] {entry}", self.section),
            [source, id] if self.section == OWN => write!(f, "[[oncall.source]] `{source}` schedule `{id}`"),
            entry => write!(f, "[[{}]] `{}`", self.section, entry.join("` `")),
        }
    }
}

/// Rules, which groups name.
const RULE: &str = "policy.rule";

/// The limits of single schedules, in place of those of their source.
const OWN: &str = "oncall.source.schedule";

/// What a schedule may have of its own.
const LIMITS: [&str; 5] = ["allow_empty", "max_oncall", "max_change", "warn_age", "max_age"];

/// In the place of a list of schedules: every one that there is.
pub(crate) const EVERY: &str = "*";

/// A configuration taken apart.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Each value, by its place and key.
    pub leaves: BTreeMap<(Place, String), Value>,
    /// Each table of a list.
    pub elements: BTreeMap<Place, Table>,
}

/// How the tables of each list are called, in its order.
type Names = BTreeMap<&'static str, Vec<String>>;

/// Both, with every default filled in.
pub(crate) fn both(old: &Config, new: &Config) -> [Settings; 2] {
    let mut texts = [old.effective(), new.effective()];
    texts.iter_mut().for_each(name_every_schedule);
    let mut names = [Names::new(), Names::new()];
    for element in ELEMENTS {
        let sides = texts.each_ref().map(|text| tables(text, element.name));
        let [old, new] = paired(&sides, element);
        let [before, after] = &mut names;
        before.insert(element.name, old);
        after.insert(element.name, new);
    }
    let [old, new] = &texts;
    let [before, after] = &names;
    let mut sides = [Settings::of(old, before), Settings::of(new, after)];
    let [_, side] = &mut sides;
    side.call_as_before(&tables(new, RULE), after.get(RULE).map_or(&[], Vec::as_slice));
    fill_own_limits(&mut sides);
    sides
}

/// The tables of the list that is called `name`, a section with dots.
fn tables<'v>(text: &'v Value, name: &str) -> Vec<&'v Table> {
    let found = name.split('.').try_fold(text, |value, key| value.get(key));
    let items = found.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_table).collect()
}

/// Where a source lists no schedule, every one is read: but of PagerDuty, which says so itself.
fn name_every_schedule(text: &mut Value) {
    let sources = text.get_mut("oncall").and_then(|oncall| oncall.get_mut("source"));
    let tables = sources.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_table_mut);
    for source in tables {
        let is_own = source.get("provider").and_then(Value::as_str) == Some("pagerduty");
        let is_empty = source.get("schedules").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if is_empty && !is_own {
            source.insert("schedules".to_string(), Value::Array(vec![Value::String(EVERY.to_string())]));
        }
    }
}

/// What the tables of a list are called on both sides: by their id. Of those with one id, or without any, a table that is
/// on both sides has one name, wherever it stands; then the next one has the name of the next; then one that is called
/// another way and is the same otherwise, where that is all that its name is for.
fn paired([old, new]: &[Vec<&Table>; 2], element: &Element) -> [Vec<String>; 2] {
    let id = element.id;
    let id_of = |table: &Table| table.get(id).and_then(Value::as_str).unwrap_or_default().to_string();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut name = |table: &Table| {
        let (id, count) = (id_of(table), counts.entry(id_of(table)).or_default());
        *count += 1;
        match (id.is_empty(), *count) {
            (true, count) => count.to_string(),
            (false, 1) => id,
            (false, count) => format!("{id} ({count})"),
        }
    };
    let before: Vec<String> = old.iter().map(|table| name(table)).collect();
    let mut free: Vec<(&Table, &String)> = old.iter().copied().zip(&before).collect();
    let mut after: Vec<Option<String>> = vec![None; new.len()];
    let is_same = |one: &Table, other: &Table| one == other;
    let is_named_alike = |one: &Table, other: &Table| id_of(one) == id_of(other);
    let without_id = |table: &Table| {
        let mut rest = table.clone();
        rest.remove(id);
        rest
    };
    let is_renamed = |one: &Table, other: &Table| {
        [RULE, "policy.grant"].contains(&element.name) && without_id(one) == without_id(other)
    };
    for is_it in [&is_same as &dyn Fn(&Table, &Table) -> bool, &is_named_alike, &is_renamed] {
        for (table, own) in new.iter().zip(&mut after).filter(|(_, own)| own.is_none()) {
            if let Some(place) = free.iter().position(|(one, _)| is_it(one, table)) {
                *own = Some(free.remove(place).1.clone());
            }
        }
    }
    let after = new.iter().zip(after).map(|(table, own)| own.unwrap_or_else(|| name(table))).collect();
    [before, after]
}

impl Settings {
    fn of(effective: &Value, names: &Names) -> Self {
        let mut settings = Self::default();
        if let Some(table) = effective.as_table() {
            settings.walk("", &[], table, names);
        }
        settings
    }

    fn walk(&mut self, section: &str, entry: &[String], table: &Table, names: &Names) {
        for (key, value) in table {
            let inner = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            match value {
                Value::Array(items) => match ELEMENTS.iter().find(|element| element.name == inner) {
                    Some(element) => self.walk_elements(element, entry, items, names),
                    None => self.leaf(section, entry, key, value),
                },
                // Their keys are the site's own.
                Value::Table(_) if inner == "oncall.source.people" => self.leaf(section, entry, key, value),
                Value::Table(marks) if inner == "directory.disabled" => {
                    for (mark, values) in marks {
                        self.leaf(&inner, std::slice::from_ref(mark), "ATTRIBUTE", values);
                    }
                }
                Value::Table(own) if inner == OWN => {
                    for (id, limits) in own.iter().filter_map(|(id, limits)| Some((id, limits.as_table()?))) {
                        self.walk(&inner, &[entry, std::slice::from_ref(id)].concat(), limits, names);
                    }
                }
                Value::Table(within) => {
                    // One that a rule has or has not.
                    if ELEMENTS.iter().any(|element| element.name == inner) {
                        self.elements.insert(Place::new(&inner, entry), within.clone());
                    }
                    self.walk(&inner, entry, within, names);
                }
                _ => self.leaf(section, entry, key, value),
            }
        }
    }

    fn walk_elements(&mut self, element: &Element, entry: &[String], items: &[Value], names: &Names) {
        let own = names.get(element.name).into_iter().flatten();
        for (table, name) in items.iter().filter_map(Value::as_table).zip(own) {
            let entry = [entry, std::slice::from_ref(name)].concat();
            self.elements.insert(Place::new(element.name, &entry), table.clone());
            self.walk(element.name, &entry, table, names);
        }
    }

    fn leaf(&mut self, section: &str, entry: &[String], key: &str, value: &Value) {
        self.leaves.insert((Place::new(section, entry), key.to_string()), value.clone());
    }

    /// Groups name rules as they were called before: a rule that has another name alone is the same to them.
    fn call_as_before(&mut self, rules: &[&Table], names: &[String]) {
        let called = rules.iter().map(|rule| rule.get("name").and_then(Value::as_str).unwrap_or_default());
        let before: BTreeMap<&str, &String> = called.zip(names).collect();
        let groups =
            self.leaves.iter_mut().filter(|((place, key), _)| place.section == "nss.group" && key == "rules");
        for name in groups.filter_map(|(_, rules)| rules.as_array_mut()).flatten() {
            if let Some(old) = name.as_str().and_then(|name| before.get(name)) {
                *name = Value::String((*old).clone());
            }
        }
    }

    /// The setting that says what the section `section` is about, if it is there.
    pub fn own(&self, section: &str) -> Option<(&'static str, &Value)> {
        let keys: &[&'static str] =
            if section == "directory" { &["urls", "file", "fleet"] } else { &["id", "copy_age"] };
        let leaf = |key: &'static str| Some((key, self.leaves.get(&(Place::of(section), key.to_string()))?));
        keys.iter().copied().find_map(leaf)
    }

    fn of_source(&self, source: &str, key: &str) -> Option<&Value> {
        let place = Place::new("oncall.source", &[source.to_string()]);
        self.leaves.get(&(place, key.to_string()))
    }

    /// Is this entry of a program one for sshd?
    pub fn takes_keys(&self, entry: &Place) -> bool {
        let services = self.leaves.get(&(entry.clone(), "services".to_string()));
        services.and_then(Value::as_array).into_iter().flatten().any(|name| name.as_str() == Some("sshd"))
    }

    /// Is the schedule that is called `id` read by this source?
    fn reads(&self, source: &str, id: &str) -> bool {
        let lists = ["schedules", "escalation_policies", "teams"];
        let named = lists.into_iter().filter_map(|key| self.of_source(source, key)?.as_array()).flatten();
        named.filter_map(Value::as_str).any(|name| name == id || name == EVERY)
    }

    /// What this setting follows where nothing is written: that of `[oncall]`, or that of the source.
    pub fn above((place, key): &(Place, String)) -> Option<(Place, String)> {
        let above = match (place.section.as_str(), place.entry.as_slice()) {
            ("oncall.source", _) if ["warn_age", "max_age"].contains(&key.as_str()) => {
                Place::new("oncall", &[])
            }
            (OWN, [source, _]) => Place::new("oncall.source", std::slice::from_ref(source)),
            _ => return None,
        };
        Some((above, key.clone()))
    }
}

/// A schedule with limits of its own on one side alone has those of its source on the other. Of one that is not read on
/// both sides there is nothing to say.
fn fill_own_limits(sides: &mut [Settings; 2]) {
    let places = sides.iter().flat_map(|side| side.leaves.keys()).map(|(place, _)| place);
    let own: BTreeSet<Place> = places.filter(|place| place.section == OWN).cloned().collect();
    for place in own {
        let [source, id] = place.entry.as_slice() else { continue };
        if !sides.iter().all(|side| side.reads(source, id)) {
            sides.iter_mut().for_each(|side| side.leaves.retain(|(other, _), _| *other != place));
            continue;
        }
        for side in &mut *sides {
            for limit in LIMITS {
                let Some(value) = side.of_source(source, limit).cloned() else { continue };
                side.leaves.entry((place.clone(), limit.to_string())).or_insert(value);
            }
        }
    }
}
