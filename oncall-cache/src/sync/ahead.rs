//! People on call soon who will not be admitted: found while somebody can still do something about it.

use std::collections::BTreeMap;
use std::fmt;

use policy::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::identity::{Mapped, People, Unmapped};
use crate::providers::{ProviderSchedule, User};

/// How far ahead is looked.
const HORIZON: Span = Span::hours(72);

/// A shift that nobody will be admitted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Concern {
    start: Timestamp,
    who: String,
    schedule: String,
    problem: String,
}

impl Concern {
    /// The shifts of `schedule` that begin before long, or have begun, and whose people would be refused.
    pub fn of(
        schedule: &ProviderSchedule,
        mapped: &BTreeMap<String, Result<Mapped, Unmapped>>,
        people: &People<'_>,
        now: Timestamp,
    ) -> Vec<Self> {
        let soon = schedule
            .shifts
            .iter()
            .filter(|shift| shift.window.end() > now && shift.window.start() < now.plus(HORIZON));
        let concern = |shift: &crate::providers::ProviderShift| {
            Some(Self {
                start: shift.window.start(),
                who: shift.user.shown(),
                schedule: schedule.name.to_string(),
                problem: problem(&shift.user, mapped.get(&shift.user.id)?, people, Reader::Anybody)?,
            })
        };
        soon.filter_map(concern).collect()
    }
}

/// Who reads what is said of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// root alone: ids that are mail addresses may be told.
    Root,
    /// Whoever looks.
    Anybody,
}

impl Reader {
    /// How to say who `user` is: what can be typed as it stands, a person's name apart.
    fn naming(self, user: &User) -> String {
        match self {
            // However TOML has to write it: an id is not always a bare key.
            Self::Root => {
                let key = toml::Value::String(user.id.clone());
                format!("write {key} = \"NAME\" below [oncall.source.people]")
            }
            Self::Anybody if user.id.contains('@') => {
                "name them in [oncall.source.people]; how: oncall-cache map, as root".to_string()
            }
            Self::Anybody => format!("name {} in [oncall.source.people]", user.id),
        }
    }
}

/// Why the person behind `user` would be refused, if they would, and what to do.
pub fn problem(
    user: &User,
    mapped: &Result<Mapped, Unmapped>,
    people: &People<'_>,
    reader: Reader,
) -> Option<String> {
    let principal = match mapped {
        Ok(mapped) => &mapped.principal,
        Err(Unmapped::NoMail) => {
            return Some(format!("the source tells no mail address; {}", reader.naming(user)));
        }
        Err(Unmapped::NoSuchMail(_)) => {
            return Some(format!(
                "no directory entry has the mail address; add it there, or {}",
                reader.naming(user)
            ));
        }
        Err(Unmapped::NoSuchPerson(name)) => {
            return Some(format!("the directory has nobody called {name}; add them there"));
        }
        Err(told @ (Unmapped::Moved(..) | Unmapped::Disputed(_))) => return Some(told.to_string()),
        Err(Unmapped::Ambiguous(_)) => {
            return Some(
                "the mail address belongs to several people (ambiguous-person); give each their own"
                    .to_string(),
            );
        }
    };
    let Some(person) = people.find(principal) else {
        return Some(format!("the directory has nobody called {principal}, or they are not eligible"));
    };
    if let Some(why) = &person.disabled {
        return Some(format!("the account {principal} is disabled ({why}); enable it in the directory"));
    }
    if !person.eligible {
        return Some(format!("{principal} is not in the eligible group; add them in the directory"));
    }
    let usable = !person.keys.is_empty();
    (!usable).then(|| {
        format!("{principal} has no usable key in the directory; see authkeys --explain {principal}")
    })
}

/// What is said of one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// What the provider calls them.
    pub who: String,
    /// The schedule's name.
    pub schedule: String,
    /// When their first such shift starts, in seconds since the epoch.
    pub start: i64,
    /// Why they would be refused, and what to do.
    pub problem: String,
}

impl Ahead {
    /// One for each person, schedule and problem, by the first shift.
    pub fn from(mut concerns: Vec<Concern>) -> Vec<Self> {
        concerns.sort();
        let mut told: Vec<Self> = Vec::new();
        for Concern { start, who, schedule, problem } in concerns {
            let known = |one: &Self| one.who == who && one.schedule == schedule && one.problem == problem;
            if !told.iter().any(known) {
                told.push(Self { who, schedule, start: start.unix(), problem });
            }
        }
        told
    }

    /// The same, seen from `now`.
    pub fn line(&self, now: Timestamp) -> Line<'_> {
        Line(self, now)
    }
}

/// How [`Ahead::line`] prints.
pub struct Line<'a>(&'a Ahead, Timestamp);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Ahead { who, schedule, start, problem }, now) = self;
        let start = Timestamp::from_unix(*start);
        if start <= *now {
            write!(f, "{who} is on call for {schedule} and cannot log in: {problem}")
        } else {
            write!(f, "next on-caller cannot log in: {who}, {schedule} from {}: {problem}", start.near(*now))
        }
    }
}
