//! `provider = "icalendar"`: a calendar, and how its events name people.

use std::path::PathBuf;

use policy::Span;
use toml::Spanned;

use super::values::{Problem, problem};

/// How a calendar is read.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// Where it is.
    pub place: CalendarPlace,
    /// The time zone, by its name in the tz database, of times that are written without one, and of whole days.
    pub zone: Option<String>,
    /// Whose shift an event is.
    pub person: CalendarPerson,
    /// PEM file with the certificate authorities that may vouch for its server.
    pub ca_file: PathBuf,
    /// Longest time that one sync of this source may take; at most [`super::Source::LONGEST_TIMEOUT`].
    pub timeout: Span,
    /// `http://host:port` of the proxy in between: that of `[oncall]`.
    pub proxy: Option<String>,
    /// Where what was read last is kept: beside the roster.
    pub kept_in: PathBuf,
}

/// Where a calendar is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalendarPlace {
    /// A file with its address: whoever knows that may read it.
    Address(PathBuf),
    /// A file of this host.
    File(PathBuf),
}

/// Whose shift an event is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CalendarPerson {
    /// The one who is invited: ATTENDEE.
    Attendee,
    /// Whoever SUMMARY names.
    Summary(SummaryPattern),
}

/// What stands before and after the person in a SUMMARY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryPattern {
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
}

/// What of a `[[oncall.source]]` is about a calendar.
pub(super) struct CalendarSection {
    pub url_file: Option<PathBuf>,
    pub file: Option<PathBuf>,
    pub time_zone: Option<String>,
    pub person: Option<Spanned<String>>,
    pub ca_file: PathBuf,
    pub timeout: Span,
}

impl CalendarSection {
    /// Of the source at `at`, which names so many `schedules`.
    pub fn check(self, at: usize, schedules: usize) -> Result<Calendar, Problem> {
        let wrong = |text: &str| Problem { at, text: text.to_string() };
        let place = match (self.url_file, self.file) {
            (Some(file), None) => CalendarPlace::Address(file),
            (None, Some(file)) => CalendarPlace::File(file),
            (None, None) => {
                return Err(wrong("a calendar needs `url_file`, a file with its address, or `file`"));
            }
            (Some(_), Some(_)) => return Err(wrong("both `url_file` and `file`; keep one of them")),
        };
        if schedules > 1 {
            return Err(wrong(
                "a calendar is one schedule, for which `schedules` has one name; write a source for each calendar",
            ));
        }
        let Self { time_zone: zone, ca_file, timeout, .. } = self;
        Ok(Calendar {
            place,
            zone,
            person: CalendarPerson::read(self.person.as_ref())?,
            ca_file,
            timeout,
            proxy: None,
            kept_in: PathBuf::new(),
        })
    }
}

impl CalendarPerson {
    /// Reads `person`: `attendee`, or a text with one `{}`.
    pub(super) fn read(written: Option<&Spanned<String>>) -> Result<Self, Problem> {
        let Some(written) = written else { return Ok(Self::Attendee) };
        if written.get_ref() == "attendee" {
            return Ok(Self::Attendee);
        }
        let pattern = written.get_ref().split_once("{}").filter(|(_, after)| !after.contains("{}"));
        let (before, after) = pattern.ok_or_else(|| {
            problem(
                written,
                "`person` is \"attendee\", or what SUMMARY looks like, with {} for the person: \"On call: {}\", \"{}\"",
            )
        })?;
        Ok(Self::Summary(SummaryPattern { before: before.to_string(), after: after.to_string() }))
    }

    /// As it is written.
    pub fn written(&self) -> String {
        match self {
            Self::Attendee => "attendee".to_string(),
            Self::Summary(SummaryPattern { before, after }) => format!("{before}{{}}{after}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Config, Provider};
    use super::*;

    fn parse(settings: &str) -> Result<Config, String> {
        let text = format!("[[oncall.source]]\nname = 'cal'\nprovider = 'icalendar'\n{settings}\n");
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_calendar_is_read_from_one_place_and_asks_who_is_late() {
        let config = parse("url_file = 'u'\nperson = 'On call: {} (db)'").unwrap();
        let Provider::Calendar(calendar) = &config.oncall.sources[0].provider else { panic!("{config:?}") };
        assert_eq!(calendar.place, CalendarPlace::Address("/etc/authkeys/u".into()));
        assert_eq!(calendar.person.written(), "On call: {} (db)");
        assert!(config.oncall.late_claims.contains("cal"));
        let config = parse("file = '/c.ics'\nlate = 'flag'").unwrap();
        let Provider::Calendar(calendar) = &config.oncall.sources[0].provider else { panic!("{config:?}") };
        assert_eq!(
            (&calendar.place, &calendar.person),
            (&CalendarPlace::File("/c.ics".into()), &CalendarPerson::Attendee)
        );
        assert!(config.oncall.late_claims.is_empty());
    }

    #[test]
    fn mistakes_are_named() {
        for (settings, words) in [
            ("", "a calendar needs `url_file`"),
            ("file = 'c'\nurl_file = 'u'", "both `url_file` and `file`"),
            ("file = 'c'\nschedules = ['a', 'b']", "a calendar is one schedule"),
            ("file = 'c'\nperson = 'summary'", "5: `person` is \"attendee\""),
            ("file = 'c'\nperson = '{} {}'", "`person` is \"attendee\""),
            ("file = 'c'\ntimeout = '61s'", "`timeout` of a source is at most"),
            ("file = 'c'\ntoken_file = 't'", "provider `icalendar` has no setting `token_file`"),
            (
                "file = 'c'\n[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'r'\nperson = '{}'",
                "has no setting `person`",
            ),
        ] {
            let error = parse(settings).expect_err(settings);
            assert!(error.contains(words), "{settings}: {error}");
        }
    }
}
