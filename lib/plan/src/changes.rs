//! What a change of the configuration is, key by key, and which way it goes.

use std::collections::BTreeSet;
use std::fmt;

use host::Config;
use policy::{FromPattern, Span, Timestamp};
use toml::{Table, Value};

use crate::incidents;
use crate::keys::{self, ELEMENTS, Key, Way};
use crate::settings::{self, EVERY, Place, Settings};
use crate::words::one_line;

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
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Detail {
    /// `policy.rule`.
    pub section: String,
    /// Which of the section's tables; empty where there is one.
    pub entry: Vec<String>,
    /// Of a table or a list: is it more of it, or less?
    pub is_added: Option<bool>,
    /// Of a list: the entries; of people: the user; where every schedule is read on one side, those that are on the other.
    pub items: Vec<String>,
    /// Does it reach people whom no line names: members of a group, or whoever has a grant?
    pub reaches_others: bool,
    /// Does its line name everybody whom it is about?
    pub names_people: bool,
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
        let key = if key.is_empty() { String::new() } else { format!(" {key}:") };
        let means = if means.is_empty() { String::new() } else { format!(": {means}") };
        f.write_str(&one_line(&format!("{} {place}{key} {what}{means}", effect.word())))
    }
}

/// Every change from `old` to `new`, those that let people in first. Defaults are filled in before: to write one down
/// is no change.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let [old, new] = settings::both(old, new);
    let mut changes = Vec::new();
    let mut one_sided: BTreeSet<&Place> = BTreeSet::new();
    for place in old.elements.keys().chain(new.elements.keys()).collect::<BTreeSet<_>>() {
        if one_sided.iter().any(|told| place.is_within(told)) {
            continue;
        }
        let change = match (old.elements.get(place), new.elements.get(place)) {
            (None, Some(table)) => table_change(place, table, true),
            (Some(table), None) => table_change(place, table, false),
            _ => continue,
        };
        one_sided.insert(place);
        changes.push(change);
    }
    let (whole, sections) = whole_sections(&old, &new);
    changes.extend(whole);
    let is_told = |place: &Place| {
        one_sided.iter().any(|told| place.is_within(told))
            || sections.iter().any(|told| place.is_within(told))
    };
    let leaves: BTreeSet<&(Place, String)> = old.leaves.keys().chain(new.leaves.keys()).collect();
    for leaf in leaves.into_iter().filter(|(place, _)| !is_told(place)) {
        let (before, after) = (old.leaves.get(leaf), new.leaves.get(leaf));
        // What only follows another setting is told there.
        let is_told_above = Settings::above(leaf)
            .is_some_and(|above| old.leaves.get(&above) == before && new.leaves.get(&above) == after);
        if is_same(before, after) || is_told_above {
            continue;
        }
        changes.extend(match leaf_kind(leaf) {
            Kind::People => people_changes(leaf, before, after),
            Kind::Quorum => quorum_changes(leaf, before, after),
            Kind::Schedules => schedules_changes(leaf, before, after),
            Kind::Group => group_changes(leaf, before, after),
            Kind::From | Kind::Keys => {
                let takes_keys = [&old, &new].map(|side| side.takes_keys(&leaf.0));
                let told = if leaf.1 == "from" { from_changes } else { key_changes };
                told(leaf, (before, after), takes_keys)
            }
            Kind::Plain => leaf_changes(leaf, before, after),
        });
    }
    changes.sort();
    changes
}

/// Sections that are there on one side alone, or are about something else on either: a change each, for all that is in
/// them. What `[grant]` says is a part of the first rule that takes grants.
fn whole_sections(old: &Settings, new: &Settings) -> (Vec<Change>, Vec<Place>) {
    let (mut changes, mut sections) = (Vec::new(), Vec::new());
    let turn = |section: &str| (old.own(section), new.own(section));
    if let (None, Some(_)) | (Some(_), None) = turn("grant") {
        sections.push(Place::of("grant"));
    }
    let (before, after) = turn("directory");
    if before.map(|(key, _)| key) != after.map(|(key, _)| key) {
        let told = |own: Option<(&str, &Value)>| {
            own.map_or_else(|| "none".to_string(), |(key, value)| format!("{key} = {value}"))
        };
        let what = format!("is another one: {} → {}", told(before), told(after));
        changes.push(whole_change("directory", what));
        sections.push(Place::of("directory"));
    }
    match turn("fleet") {
        (None, Some((key, value))) => {
            changes.push(whole_change("fleet", format!("is new ({key} = {value})")));
            sections.push(Place::of("fleet"));
        }
        (Some(_), None) => {
            changes.push(whole_change("fleet", "is gone".to_string()));
            sections.push(Place::of("fleet"));
        }
        _ => {}
    }
    (changes, sections)
}

fn whole_change(section: &str, what: String) -> Change {
    let place = Place::of(section);
    // As its first key.
    let means = keys::find(&format!("{section} {}", if section == "fleet" { "id" } else { "urls" })).means;
    let detail = place.detail(None, Vec::new());
    let effect = Effect::MayLoosen;
    Change { effect, place: place.to_string(), key: String::new(), what, means: means.to_string(), detail }
}

/// What is not written and `false` are one thing.
fn is_same(before: Option<&Value>, after: Option<&Value>) -> bool {
    let written = |value| Option::filter(value, |value: &&Value| value.as_bool() != Some(false));
    written(before) == written(after)
}

/// How the change of a setting is told.
enum Kind {
    /// A user each.
    People,
    /// From or to nobody's signature but one's own, another thing.
    Quorum,
    /// A list, or all that there are.
    Schedules,
    /// A group, or nobody.
    Group,
    /// Where programs come from, which one service alone knows.
    From,
    /// Their keys, which the same service alone looks at.
    Keys,
    /// By its class.
    Plain,
}

fn leaf_kind((place, name): &(Place, String)) -> Kind {
    match (place.section.as_str(), name.as_str()) {
        ("oncall.source", "people") => Kind::People,
        ("oncall.source", "schedules") => Kind::Schedules,
        ("policy.grant", "quorum") => Kind::Quorum,
        ("directory", "eligible_group") => Kind::Group,
        ("policy.automation", "from") => Kind::From,
        ("policy.automation", "keys" | "fingerprints") => Kind::Keys,
        _ => Kind::Plain,
    }
}

/// A table that is there on one side alone: the new one, if it is added.
fn table_change(place: &Place, table: &Table, is_added: bool) -> Change {
    let element = ELEMENTS.iter().find(|element| element.name == place.section);
    let (more, less) = element.map_or(("", ""), |element| (element.added, element.removed));
    let id = element.map_or("", |element| element.id);
    let (what, means) = match (is_added, table.get("hosts")) {
        (true, _) => (format!("is new ({})", shown_table(&place.section, id, table)), more),
        // Where it was asked is nowhere else in the plan.
        (false, Some(hosts)) if place.section == "policy.rego" => {
            (format!("is gone (hosts = {hosts})"), less)
        }
        (false, _) if place.section == incidents::SECTION => {
            (format!("is gone (the rule `{}` stays)", place.entry.concat()), less)
        }
        (false, _) => ("is gone".to_string(), less),
    };
    let effect = if means.is_empty() { Effect::Tightens } else { Effect::Loosens };
    let turn = if is_added { "new" } else { "gone" };
    let means = if means.is_empty() { keys::tightened(&format!("{} {turn}", place.section)) } else { means };
    let detail = place.detail(Some(is_added), Vec::new());
    Change { effect, place: place.to_string(), key: String::new(), what, means: means.to_string(), detail }
}

/// What a new table of `section` says, but for what says nothing about who gets in.
fn shown_table(section: &str, id: &str, table: &Table) -> String {
    if section == incidents::SECTION {
        return incidents::in_words(table);
    }
    let says = |key: &&String| *key != id && keys::find(&format!("{section} {key}")).way != Way::Neutral;
    let is_said = |value: &Value| match value {
        Value::Array(items) => !items.is_empty(),
        Value::Table(table) => !table.is_empty(),
        Value::Boolean(flag) => *flag,
        _ => true,
    };
    let told = table.iter().filter(|(key, value)| says(key) && is_said(value));
    let one = |(key, value): (&String, &Value)| match (format!("{section}.{key}"), value) {
        (within, Value::Table(table)) if within == incidents::SECTION => {
            format!("{key}: {}", shown_table(&within, "", table))
        }
        _ => format!("{key} = {value}"),
    };
    told.map(one).collect::<Vec<_>>().join(", ")
}

/// The changes of one setting: of a list one for what is new and one for what is gone.
fn leaf_changes(leaf: &(Place, String), before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let key = keys::find(&format!("{} {}", leaf.0.section, leaf.1));
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
        return list_changes(leaf, &key, &old, &new);
    }
    let more = ranked(&key, before, after);
    let effect = more.map_or(Effect::MayLoosen, |more| effect(&key, more));
    let effect = if key.way == Way::Neutral { Effect::Neutral } else { effect };
    let what = format!("{} → {}", shown(before), shown(after));
    vec![change(leaf, &key, effect, what, None, Vec::new())]
}

/// The changes of a list. What another entry covers, before or after, is told apart: it changes nothing.
fn list_changes(
    leaf: &(Place, String),
    key: &Key,
    old: &BTreeSet<String>,
    new: &BTreeSet<String>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (is_added, these, those) in [(true, new, old), (false, old, new)] {
        let (covered, alone): (Vec<String>, Vec<String>) =
            these.difference(those).cloned().partition(|item| is_covered(key, item, those));
        let verb = if is_added { "added" } else { "removed" };
        if !covered.is_empty() {
            let what = format!("{verb} {}", quoted(&covered));
            let mut same = change(leaf, key, Effect::Neutral, what, Some(is_added), covered);
            let how = if is_added { "covered it before" } else { "covers it all the same" };
            same.means = format!("another entry {how}");
            changes.push(same);
        }
        // What else guards an account is another thing for each, and so is whose it is.
        let is_each = ["policy guarded_accounts", "policy exempt_accounts"].contains(&key.name);
        let apart = if is_each { 1 } else { alone.len().max(1) };
        for items in alone.chunks(apart) {
            let what = format!("{verb} {}", quoted(items));
            changes.push(change(leaf, key, effect(key, is_added), what, Some(is_added), items.to_vec()));
        }
    }
    if changes.is_empty() && key.way == Way::Other {
        let what = "the order is another one".to_string();
        changes.push(change(leaf, key, Effect::MayLoosen, what, None, Vec::new()));
    }
    changes
}

/// A change of the setting `key`, with the words that its class has for that.
fn change(
    (place, name): &(Place, String),
    key: &Key,
    effect: Effect,
    what: String,
    is_added: Option<bool>,
    items: Vec<String>,
) -> Change {
    let shown = if place.section == "directory.disabled" { "values" } else { name };
    let means = match effect {
        Effect::Loosens | Effect::MayLoosen => key.means,
        Effect::Tightens => keys::tightened(key.name),
        Effect::Neutral => "",
    };
    let (means, detail) = (means.to_string(), place.detail(is_added, items));
    Change { effect, place: place.to_string(), key: shown.to_string(), what, means, detail }
}

/// Does another entry cover `item`, so that it makes no difference? Hosts are judged with all that is known of them.
fn is_covered(key: &Key, item: &str, others: &BTreeSet<String>) -> bool {
    match key.name {
        "keys.chain accounts" | "keys.rule accounts" | "nss.group rules" => others.contains("*"),
        "keys.rule from" | "policy.automation from" => others.iter().any(|other| has_network(other, item)),
        _ => false,
    }
}

/// Is all of the address or network `inner` in the network `outer`?
fn has_network(outer: &str, inner: &str) -> bool {
    let length = |text: &str| text.split_once('/').and_then(|(_, length)| length.parse().ok());
    let first = inner.split_once('/').map_or(inner, |(first, _)| first);
    let (Some(wide), narrow) = (length(outer), length(inner).unwrap_or(u8::MAX)) else { return false };
    wide <= narrow && FromPattern::new(outer).is_ok_and(|outer| outer.covers(first))
}

/// How many have to sign. Where nobody does but the person, others are let in by it than where colleagues do.
fn quorum_changes(leaf: &(Place, String), before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let count = |value: Option<&Value>| value.and_then(Value::as_integer).unwrap_or(0);
    let (loosens, tightens) = match (count(before), count(after)) {
        (0, 1) => (
            "a single approver lets in anybody whom the directory has, also while it is known who is on call",
            "nobody lets themselves in by it any more",
        ),
        (0, _) => (
            "approvers together let in anybody whom the directory has, also while it is known who is on call",
            "nobody lets themselves in by it any more",
        ),
        (_, 0) => (
            "those in `people` let themselves in, without anybody else's signature",
            "approvers let nobody else in by it any more",
        ),
        _ => return leaf_changes(leaf, before, after),
    };
    let key = keys::find("policy.grant quorum");
    let what = format!("{} → {}", shown(before), shown(after));
    [(Effect::Loosens, loosens), (Effect::Tightens, tightens)]
        .map(|(effect, means)| Change {
            means: means.to_string(),
            ..change(leaf, &key, effect, what.clone(), None, Vec::new())
        })
        .into()
}

/// Which schedules of a source are read: a list of them, or every one.
fn schedules_changes(leaf: &(Place, String), before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let is_every = |value: Option<&Value>| {
        let mut names = value.and_then(Value::as_array).into_iter().flatten();
        names.any(|name| name.as_str() == Some(EVERY))
    };
    let listed = |value: Option<&Value>| match value.and_then(Value::as_array) {
        _ if is_every(value) => "every one that there is".to_string(),
        Some(names) if !names.is_empty() => quoted(&names.iter().map(shown_value).collect::<Vec<_>>()),
        _ => "none".to_string(),
    };
    let (effect, list, means) = match (is_every(before), is_every(after)) {
        (false, true) => (
            Effect::Loosens,
            before,
            "all schedules of the source are read; a rule counts those that it names",
        ),
        (true, false) => (Effect::Tightens, after, "no others are read any more"),
        _ => return leaf_changes(leaf, before, after),
    };
    let key = keys::find("oncall.source schedules");
    let what = format!("{} → {}", listed(before), listed(after));
    let items = list.and_then(Value::as_array).into_iter().flatten().map(shown_value).collect();
    vec![Change { means: means.to_string(), ..change(leaf, &key, effect, what, None, items) }]
}

/// Which group is eligible: without one nobody is.
fn group_changes(leaf: &(Place, String), before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let (effect, means) = match (before, after) {
        (Some(_), None) => (
            Effect::Tightens,
            "nobody is eligible from then on: people on call are refused on every host; accounts that are never refused, programs and grants remain",
        ),
        (None, Some(_)) => (
            Effect::MayLoosen,
            "its members may become root when they are on call; before, nobody was eligible",
        ),
        _ => return leaf_changes(leaf, before, after),
    };
    let key = keys::find("directory eligible_group");
    let what = format!("{} → {}", shown(before), shown(after));
    vec![Change { means: means.to_string(), ..change(leaf, &key, effect, what, None, Vec::new()) }]
}

/// From where a program comes: sshd alone knows it, and nobody else asks. Where the entry is for sshd on one side alone,
/// its `services` are other ones, which is told.
fn from_changes(
    leaf: &(Place, String),
    (before, after): (Option<&Value>, Option<&Value>),
    takes_keys: [bool; 2],
) -> Vec<Change> {
    let means = match takes_keys {
        // An entry for ssh has always places.
        [true, true] => return leaf_changes(leaf, before, after),
        [false, false] => "only ssh knows from where a program comes, and the entry is not for ssh",
        [false, true] => "it is for ssh, by which the entry let nothing in before",
        [true, false] => "it was for ssh, by which the entry lets nothing in any more",
    };
    let key = keys::find("policy.automation from");
    let what = format!("{} → {}", shown(before), shown(after));
    vec![Change { means: means.to_string(), ..change(leaf, &key, Effect::Neutral, what, None, Vec::new()) }]
}

/// The keys of a program: sshd alone looks at them. In an entry that is not for ssh they let no program in, and as any
/// listed key they are nobody's by the directory.
fn key_changes(
    leaf: &(Place, String),
    (before, after): (Option<&Value>, Option<&Value>),
    [took_keys, takes_keys]: [bool; 2],
) -> Vec<Change> {
    let mut changes = leaf_changes(leaf, before, after);
    for change in &mut changes {
        let (effect, means) = match change.detail.is_added {
            Some(true) if !takes_keys => (
                Effect::Tightens,
                "only ssh looks at keys, and the entry is not for ssh: the program enters nowhere by this key, and a person who has the same key in the directory does not enter by ssh with it any more",
            ),
            Some(false) if !took_keys => (
                Effect::MayLoosen,
                "only ssh looked at it, for which the entry was not: the program enters as before; a key that the directory has counts from then on as the key of whoever has it there",
            ),
            _ => continue,
        };
        (change.effect, change.means) = (effect, means.to_string());
    }
    changes
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
    let changed = users.into_iter().filter(|user| old.get(*user) != new.get(*user));
    changed
        .map(|user| Change {
            effect: Effect::MayLoosen,
            place: place.to_string(),
            key: name.clone(),
            what: format!("`{user}`: {} → {}", shown(old.get(user)), shown(new.get(user))),
            means: key.means.to_string(),
            detail: place.detail(None, vec![user.clone()]),
        })
        .collect()
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_string(), shown_value)
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
