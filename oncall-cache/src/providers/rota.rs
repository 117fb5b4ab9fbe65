//! `rota.toml`: explicit shifts in a file, for small teams, tests and the demo.

use std::path::Path;

use host::toml_file;
use jiff::Timestamp as Instant;
use policy::{Timestamp, Window};
use serde::Deserialize;

use super::{Answer, Provider, ProviderError, ProviderSchedule, ProviderShift, User};

/// A rota in a file.
#[derive(Debug)]
pub struct Rota<'a> {
    path: &'a Path,
    wanted: &'a [String],
    max_level: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    schedule: Vec<Schedule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schedule {
    id: String,
    name: Option<String>,
    #[serde(default)]
    shift: Vec<Shift>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shift {
    person: String,
    #[serde(default = "first_level")]
    level: u8,
    start: toml::value::Datetime,
    end: toml::value::Datetime,
}

fn first_level() -> u8 {
    1
}

impl<'a> Rota<'a> {
    /// The rota at `path`; of it the schedules `wanted`, or all if none is named, down to `max_level`.
    pub fn new(path: &'a Path, wanted: &'a [String], max_level: u8) -> Self {
        Self { path, wanted, max_level }
    }

    fn parse(&self, text: &[u8], window: Window) -> Result<Answer, ProviderError> {
        let error = |what: String| ProviderError::Source(what);
        let file: File = toml_file::parse(self.path, text).map_err(|problem| error(problem.to_string()))?;
        for (at, schedule) in file.schedule.iter().enumerate() {
            if file.schedule.iter().skip(at + 1).any(|other| other.id == schedule.id) {
                return Err(error(format!(
                    "{}: two schedules have the id `{}`",
                    self.path.display(),
                    schedule.id
                )));
            }
        }
        let known = |wanted: &String| file.schedule.iter().any(|schedule| schedule.id == *wanted);
        let path = self.path.display();
        let missing = |wanted: &String| {
            let text = format!("{path} has no schedule `{wanted}`; see [[oncall.source]]");
            (wanted.clone(), ProviderError::Incomplete(text))
        };
        let failed = self.wanted.iter().filter(|wanted| !known(wanted)).map(missing).collect();
        let schedules = file
            .schedule
            .into_iter()
            .filter(|schedule| self.wanted.is_empty() || self.wanted.contains(&schedule.id))
            .map(|schedule| self.schedule(schedule, window))
            .collect::<Result<_, _>>()?;
        Ok(Answer { schedules, failed, clock: None })
    }

    fn schedule(&self, schedule: Schedule, window: Window) -> Result<ProviderSchedule, ProviderError> {
        let mut shifts = Vec::new();
        for shift in schedule.shift {
            let shift = shift.read().map_err(|what| {
                ProviderError::Source(format!("{}: schedule `{}`: {what}", self.path.display(), schedule.id))
            })?;
            if shift.level <= self.max_level && shift.window.intersect(window).is_some() {
                shifts.push(shift);
            }
        }
        Ok(ProviderSchedule {
            name: schedule.name.unwrap_or_else(|| schedule.id.clone()),
            id: schedule.id,
            shifts,
        })
    }
}

impl Provider for Rota<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let text =
            toml_file::read(self.path).map_err(|problem| ProviderError::Source(problem.to_string()))?;
        self.parse(&text, window)
    }
}

impl Shift {
    fn read(self) -> Result<ProviderShift, String> {
        let (start, end) = (instant(&self.start)?, instant(&self.end)?);
        let window = Window::new(start, end)
            .ok_or_else(|| format!("{}'s shift of {} ends before it starts", self.person, self.start))?;
        if self.level == 0 {
            return Err(format!("{}'s shift of {}: levels start at 1", self.person, self.start));
        }
        let user = if self.person.contains('@') {
            User { id: self.person.clone(), mail: Some(self.person), principal: None, label: None }
        } else {
            User { id: self.person.clone(), mail: None, principal: Some(self.person), label: None }
        };
        Ok(ProviderShift { user, level: self.level, window })
    }
}

fn instant(written: &toml::value::Datetime) -> Result<Timestamp, String> {
    let text = written.to_string();
    let parsed: Instant = text
        .parse()
        .map_err(|_| format!("`{text}` is no instant; write date, time and zone: 2026-11-20T09:00:00Z"))?;
    Ok(Timestamp::from_unix(parsed.as_second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: &str = "[[schedule]]\nid = 'primary'\n";

    fn parse(text: &str, wanted: &[&str]) -> Result<Answer, String> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let rota = Rota::new(Path::new("/etc/authkeys/rota.toml"), &wanted, 1);
        let window = Window::new(Timestamp::from_unix(1_795_161_600), Timestamp::from_unix(1_795_420_800));
        rota.parse(text.as_bytes(), window.unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn shifts_keep_their_instants_whatever_zone_they_are_written_in() {
        let text = format!(
            "{DAY}[[schedule.shift]]\nperson = 'alice'\nstart = 2026-11-20T10:00:00+01:00\nend = 2026-11-20T18:00:00Z\n\
             [[schedule.shift]]\nperson = 'b@example.com'\nstart = 2026-11-20T18:00:00Z\nend = 2026-11-20T19:00:00Z\n\
             [[schedule.shift]]\nperson = 'deep'\nlevel = 2\nstart = 2026-11-20T09:00:00Z\nend = 2026-11-20T19:00:00Z\n\
             [[schedule.shift]]\nperson = 'past'\nstart = 2026-11-10T09:00:00Z\nend = 2026-11-10T19:00:00Z\n"
        );
        let answer = parse(&text, &["primary"]).unwrap();
        let shifts = &answer.schedules[0].shifts;
        assert_eq!(shifts.len(), 2, "{shifts:?}");
        assert_eq!(shifts[0].window.start(), Timestamp::from_unix(1_795_165_200));
        assert_eq!(shifts[0].user.principal.as_deref(), Some("alice"));
        assert_eq!(shifts[1].user.mail.as_deref(), Some("b@example.com"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, wanted, expected) in [
            (
                "[[schedule]]\nid = 'a'\nshft = 1".to_string(),
                "a",
                "/etc/authkeys/rota.toml:3: unknown key `shft`; did you mean `shift`?",
            ),
            (DAY.to_string(), "other", "has no schedule `other`"),
            (format!("{DAY}{DAY}"), "primary", "two schedules have the id `primary`"),
            (
                format!(
                    "{DAY}[[schedule.shift]]\nperson = 'a'\nstart = 2026-11-20T10:00:00\nend = 2026-11-20T11:00:00Z"
                ),
                "primary",
                "`2026-11-20T10:00:00` is no instant",
            ),
            (
                format!(
                    "{DAY}[[schedule.shift]]\nperson = 'a'\nstart = 2026-11-20T10:00:00Z\nend = 2026-11-20T10:00:00Z"
                ),
                "primary",
                "ends before it starts",
            ),
        ] {
            let error = match parse(&text, &[wanted]) {
                Ok(answer) => answer.failed.into_iter().map(|(_, error)| error.to_string()).collect(),
                Err(error) => error,
            };
            assert!(error.contains(expected), "{error}");
        }
    }
}
