//! People on call soon who will not be admitted: found while somebody can still do something about it.

use std::collections::BTreeMap;

use policy::{Span, Timestamp};
use sources::identity::{Mapped, People, Unmapped};
use sources::{ProviderSchedule, User};
use status::UpcomingRefusal;

/// How far ahead is looked.
const HORIZON: Span = Span::hours(72);

/// A shift that nobody will be admitted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DatedRefusal {
    start: Timestamp,
    who: String,
    schedule: String,
    problem: String,
}

impl DatedRefusal {
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
        let concern = |shift: &sources::ProviderShift| {
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
                "name them in [oncall.source.people]; how: oncall-cache identities, as root".to_string()
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
            return Some(format!("the source gives no mail address; {}", reader.naming(user)));
        }
        Err(Unmapped::NoSuchMail(_)) => {
            return Some(format!(
                "no directory entry has the mail address; add it there, or {}",
                reader.naming(user)
            ));
        }
        Err(Unmapped::NoSuchPerson(name)) => {
            return Some(format!("the directory has no user {name}; add them there"));
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
        return Some(format!("the directory has no user {principal}, or they are not eligible"));
    };
    if let Some(why) = &person.disabled {
        return Some(format!("the account {principal} is disabled ({why}); enable it in the directory"));
    }
    if !person.eligible {
        return Some(format!("{principal} is not in the eligible group; add them in the directory"));
    }
    (people.usable_keys(person) == 0).then(|| {
        format!("{principal} has no usable key in the directory; see authkeys --explain {principal}")
    })
}

/// One for each person, schedule and problem, by the first shift.
pub fn merged(mut all: Vec<DatedRefusal>) -> Vec<UpcomingRefusal> {
    all.sort();
    let mut merged: Vec<UpcomingRefusal> = Vec::new();
    for DatedRefusal { start, who, schedule, problem } in all {
        let known =
            |one: &UpcomingRefusal| one.who == who && one.schedule == schedule && one.problem == problem;
        if !merged.iter().any(known) {
            merged.push(UpcomingRefusal { who, schedule, start: start.unix(), problem });
        }
    }
    merged
}
