//! The shifts, as files are asked about them.

use std::collections::BTreeMap;

use policy::Timestamp;
use regorus::Value;
use serde::{Deserialize, Serialize};

/// A shift of the rota.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shift {
    /// When it starts, in seconds since the epoch.
    pub start: i64,
    /// When it ends; later than that.
    pub end: i64,
    /// Whose it is.
    pub person: String,
    /// Escalation level.
    pub level: u8,
    /// Name of the source.
    pub source: String,
    /// The schedule, as the configuration calls it.
    pub schedule: String,
    /// Its name for people.
    pub schedule_name: String,
}

/// All shifts, made ready for questions.
#[derive(Debug)]
pub struct Rota<'a> {
    shifts: &'a [Shift],
    host: Value,
    labels: Value,
    /// Numbers of the shifts, in the order of their start.
    order: Vec<usize>,
    /// For each place in that order the latest end up to there.
    ends: Vec<i64>,
    /// Each shift as `input.on_call` and as `data.oncalls` has it, in that order.
    entries: Vec<(Value, Value)>,
}

/// What a file is asked about one shift.
#[derive(Debug)]
pub struct Question {
    /// `input`.
    pub(crate) input: Value,
}

impl<'a> Rota<'a> {
    /// `shifts`, asked about on the host of this name, with these labels.
    pub fn new(host: &str, labels: &[String], shifts: &'a [Shift]) -> Self {
        let mut order: Vec<usize> = (0..shifts.len()).collect();
        order.sort_by_key(|number| shifts.get(*number));
        let ordered = || order.iter().filter_map(|number| shifts.get(*number));
        let mut latest = i64::MIN;
        let ends = ordered().map(|shift| {
            latest = latest.max(shift.end);
            latest
        });
        let ends = ends.collect();
        let entries = ordered().map(|shift| (object(plain(shift)), as_provider(shift))).collect();
        let labels = labels.iter().map(|label| Value::from(label.as_str())).collect::<Vec<_>>();
        Self { shifts, host: Value::from(host), labels: Value::from(labels), order, ends, entries }
    }

    /// What is asked about the shift of this number.
    pub fn question(&self, number: usize) -> Question {
        let Some(shift) = self.shifts.get(number) else { return Question { input: Value::Undefined } };
        let (on_call, oncalls) = self.on_call_within(shift).cloned().unzip::<_, _, Vec<_>, Vec<_>>();
        let mut fields = plain(shift);
        fields.insert("host", self.host.clone());
        fields.insert("labels", self.labels.clone());
        fields.insert("seconds", Value::from(shift.end.saturating_sub(shift.start)));
        fields.insert("on_call", Value::from(on_call));
        fields.insert(ONCALLS, Value::from(oncalls));
        Question { input: object(fields) }
    }

    /// Shifts that have an instant in common with `shift`, itself among them, in the order of their start.
    fn on_call_within(&self, shift: &Shift) -> impl Iterator<Item = &(Value, Value)> {
        let first = self.ends.partition_point(|end| *end <= shift.start);
        let (start, end) = (shift.start, shift.end);
        let at = |place: usize| self.order.get(place).and_then(|number| self.shifts.get(*number));
        let entries = self.entries.iter().enumerate().skip(first);
        let entries = entries.map_while(move |(place, entry)| {
            let other = at(place).filter(|other| other.start < end)?;
            Some((other.end > start, entry))
        });
        entries.filter_map(|(overlaps, entry)| overlaps.then_some(entry))
    }
}

/// Where `data.oncalls` is handed in: see [`check`](crate::check).
pub(crate) const ONCALLS: &str = "oncalls";

/// What `input` has.
pub(crate) const FIELDS: [&str; 10] =
    ["person", "source", "schedule", "level", "start", "end", "seconds", "host", "labels", "on_call"];

/// What of it is of the host that asks, and not of the rota.
pub(crate) const OF_HOST: [&str; 2] = ["host", "labels"];

fn plain(shift: &Shift) -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        ("person", Value::from(shift.person.as_str())),
        ("source", Value::from(shift.source.as_str())),
        ("schedule", Value::from(shift.schedule.as_str())),
        ("level", Value::from(u32::from(shift.level))),
        ("start", instant(shift.start)),
        ("end", instant(shift.end)),
    ])
}

/// As PagerDuty's `GET /oncalls` names things.
fn as_provider(shift: &Shift) -> Value {
    let user = BTreeMap::from([("name", Value::from(shift.person.as_str()))]);
    let schedule = BTreeMap::from([
        ("id", Value::from(shift.schedule.as_str())),
        ("summary", Value::from(shift.schedule_name.as_str())),
    ]);
    object(BTreeMap::from([
        ("escalation_level", Value::from(u32::from(shift.level))),
        ("user", object(user)),
        ("schedule", object(schedule)),
        ("start", instant(shift.start)),
        ("end", instant(shift.end)),
    ]))
}

fn object(fields: BTreeMap<&'static str, Value>) -> Value {
    Value::from(fields.into_iter().map(|(key, value)| (Value::from(key), value)).collect::<BTreeMap<_, _>>())
}

/// In UTC, so that the order of the texts is that of time; what has no start or no end stands before and after all.
fn instant(seconds: i64) -> Value {
    let text = match Timestamp::from_unix(seconds).to_string() {
        text if text == "always" => "0000-01-01T00:00:00Z".to_string(),
        text if text == "never" => "9999-12-31T23:59:59Z".to_string(),
        text => text,
    };
    Value::from(text)
}
