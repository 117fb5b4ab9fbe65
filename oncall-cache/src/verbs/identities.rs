//! `identities`: who each user of the sources is here, and why somebody is nobody.
//!
//! It asks every source as a sync does and publishes nothing. Mail addresses are in what it prints, so it is for
//! root, and works as the user that syncs.

use std::collections::BTreeMap;
use std::path::Path;

use host::config::Source;
use host::{Config, accounts};
use policy::{Principal, Timestamp};
use serde_json::{Value, json};

use crate::cli::IdentitiesArguments;
use crate::said::{CANNOT_TELL, Live, Said};
use crate::sync::{self, Reader, SyncError};
use crate::table::aligned;
use sources::identity::{Mapped, People};
use sources::{Answer, User, fetch};

/// The mapping, in the form that was asked for.
pub fn run(path: &Path, arguments: &IdentitiesArguments, live: Live<'_>, now: Timestamp) -> Said {
    let read = |config: Config| Map::read(&config, now, live).map_err(|error| error.to_string());
    let map = match Config::load(path).map_err(|error| error.to_string()).and_then(read) {
        Ok(map) if arguments.problems => map.only_problems(),
        Ok(map) => map,
        Err(problem) => {
            let json = || json!({ "version": 1, "error": problem });
            return Said::failure_as(arguments.json.then(json), format_args!("cannot tell: {problem}"));
        }
    };
    let text = if arguments.json { format!("{:#}", map.json()) } else { map.table() };
    let code = match map.unread.as_slice() {
        [] => u8::from(arguments.problems && map.has_problems()),
        _ => CANNOT_TELL,
    };
    Said::default().notes(map.unread).then(text).exit(code)
}

/// One user of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    source: String,
    id: String,
    name: Option<String>,
    mail: Option<String>,
    /// Who they are here, and by what that is known.
    mapped: Option<(Principal, String)>,
    eligible: bool,
    /// Keys that `authkeys` would print.
    keys: usize,
    /// Others in the directory who have the same mail address, and are ignored.
    others: Vec<String>,
    /// Why they would not be admitted, and what to do.
    problem: Option<String>,
}

/// Everybody whom the sources tell of.
#[derive(Debug, Default)]
pub struct Map {
    rows: Vec<Row>,
    /// Sources and schedules that could not be read: their people may be missing here.
    unread: Vec<String>,
}

impl Map {
    /// Asks every source.
    ///
    /// # Errors
    /// Why nobody can be mapped.
    fn read(config: &Config, now: Timestamp, live: Live<'_>) -> Result<Self, SyncError> {
        accounts::become_owner_of(config.paths.roster.parent().unwrap_or(Path::new("/")))
            .map_err(SyncError::Owner)?;
        let (copy, people) = sync::read_people(config, now)?;
        let keys = sync::keys_in(&copy);
        let index = People::new(&people, &keys);
        let window = sync::window(config, now)?;
        let mut map = Self::default();
        for fetched in fetch::all(&config.oncall.sources, window, now, live.progress) {
            match fetched.answer {
                Ok(answer) => map.take(fetched.source, &answer, &index),
                Err(error) => map.unread.push(format!("source `{}`: {error}", fetched.source.name)),
            }
        }
        Ok(map)
    }

    /// Takes what one source answered.
    pub fn take(&mut self, source: &Source, answer: &Answer, people: &People<'_>) {
        let shifts = answer.schedules().iter().flat_map(|schedule| &schedule.shifts);
        let users: BTreeMap<&str, &User> =
            shifts.map(|shift| (shift.user.id.as_str(), &shift.user)).collect();
        let mapped = people.map(&users.values().copied().collect(), &source.people);
        for user in users.into_values() {
            let Some(mapped) = mapped.get(&user.id) else { continue };
            let mapping = mapped.as_ref().ok();
            let person = mapping.and_then(|mapping| people.find(&mapping.principal));
            let others = mapping.map(|Mapped { principal, .. }| people.other_claimants(user, principal));
            self.rows.push(Row {
                source: source.name.clone(),
                id: user.id.clone(),
                name: user.label.as_ref().map(ToString::to_string),
                mail: user.mail.clone(),
                mapped: mapping.map(|mapping| (mapping.principal.clone(), mapping.ground.to_string())),
                eligible: person.is_some_and(|person| person.eligible),
                keys: person.map_or(0, |person| people.usable_keys(person)),
                others: others.into_iter().flatten().map(ToString::to_string).collect(),
                problem: sync::problem(user, mapped, people, Reader::Root),
            });
        }
        for (schedule, error) in answer.failed() {
            self.unread.push(format!("schedule {}/{schedule}: {error}", source.name));
        }
    }

    /// Only those with a problem.
    fn only_problems(mut self) -> Self {
        self.rows.retain(|row| row.problem.is_some());
        self
    }

    /// Is there anybody with a problem?
    pub fn has_problems(&self) -> bool {
        self.rows.iter().any(|row| row.problem.is_some())
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = vec![
            ["SOURCE", "USER", "NAME", "MAIL", "PERSON", "BY", "ELIGIBLE", "KEYS", "PROBLEM"]
                .map(String::from),
        ];
        let or_dash = |text: Option<&String>| text.map_or_else(|| "-".to_string(), Clone::clone);
        for row in &self.rows {
            let (principal, ground) =
                row.mapped.clone().map_or(("-".into(), "-".into()), |(who, by)| (who.to_string(), by));
            table.push([
                row.source.clone(),
                row.id.clone(),
                or_dash(row.name.as_ref()),
                or_dash(row.mail.as_ref()),
                principal,
                ground,
                if row.eligible { "yes" } else { "no" }.to_string(),
                row.keys.to_string(),
                row.remark(),
            ]);
        }
        match (self.rows.as_slice(), self.unread.as_slice()) {
            ([], []) => "nobody".to_string(),
            ([], _) => "cannot tell: not everything could be read, and the rest shows no problem".to_string(),
            _ => aligned(&table).trim_end().to_string(),
        }
    }

    /// The same for programs. `version` changes when a field changes its meaning or goes.
    fn json(&self) -> Value {
        json!({
            "version": 1,
            "users": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "unread": self.unread,
        })
    }
}

impl Row {
    fn remark(&self) -> String {
        match (&self.problem, self.others.as_slice()) {
            (Some(problem), _) => problem.clone(),
            (None, []) => "-".to_string(),
            (None, others) => {
                format!("none; {} has the same mail address, which is ignored there", others.join(", "))
            }
        }
    }

    fn json(&self) -> Value {
        let Self { source, id, name, mail, mapped, eligible, keys, others, problem } = self;
        json!({
            "source": source,
            "id": id,
            "name": name,
            "mail": mail,
            "person": mapped.as_ref().map(|(principal, _)| principal.as_str()),
            "by": mapped.as_ref().map(|(_, ground)| ground),
            "eligible": eligible,
            "keys": keys,
            "same_mail": others,
            "problem": problem,
        })
    }
}
