//! Our JSON: what a command or a file of the site's own says about shifts. docs/providers.md describes it.
//!
//! It is somebody's script that writes it, so a mistake is an error and never a guess: keys that are not known,
//! ends that are not said. Nobody's root may hang on what was left out.

use host::toml_file::explain;
use policy::{OneLine, Timestamp, Window, is_printable};
use serde::{Deserialize, Deserializer};

use super::gather::{Bound, Description, Gather, Named, Row};
use super::pages::Whole;
use super::{Answer, ProviderError, ProviderIncident, User, choose, without_mark};

/// The largest document, in bytes.
pub const LARGEST: u64 = 4 * 1024 * 1024;

/// The form that is read.
const VERSION: u64 = 1;

/// The most shifts of one document.
const MOST_SHIFTS: usize = 50_000;

/// The longest id, name, address or complaint, in bytes.
const LONGEST_TEXT: usize = 320;

/// What is wanted of a document.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Ids or exact names of schedules; none: all.
    pub schedules: &'a [String],
    /// The deepest level.
    pub max_escalation_level: u8,
    /// Shifts that touch it.
    pub window: Window,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "version")]
    _version: u64,
    generated_at: Option<String>,
    schedules: Vec<ScheduleBody>,
    incidents: Option<Vec<IncidentBody>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentBody {
    service: String,
    id: String,
    opened: String,
    #[serde(deserialize_with = "present")]
    closed: Option<String>,
    opened_by: Option<UserBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleBody {
    id: String,
    name: Option<String>,
    shifts: Option<Vec<ShiftBody>>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftBody {
    user: UserBody,
    #[serde(default = "first_level")]
    level: u8,
    #[serde(deserialize_with = "present")]
    start: Option<String>,
    #[serde(deserialize_with = "present")]
    end: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserBody {
    id: String,
    email: Option<String>,
    username: Option<String>,
    name: Option<String>,
}

fn first_level() -> u8 {
    1
}

/// Reads a value or null. Without this, serde takes an absent key for null, and for ever.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads what `whose` said: a file or a command, as errors name it.
pub fn parse(text: &[u8], whose: &str, wanted: Wanted<'_>) -> Result<Answer, ProviderError> {
    read(without_mark(text), whose, wanted)
        .map_err(|problem| ProviderError::source(&format!("{whose}: {problem}")))
}

fn read(text: &[u8], whose: &str, wanted: Wanted<'_>) -> Result<Answer, String> {
    // The version first: another one may have other keys.
    let Versioned { version } = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    if version != VERSION {
        return Err(format!("`version` is {version}; this release reads {VERSION}"));
    }
    let document: Document = serde_json::from_slice(text).map_err(|error| unreadable(&error))?;
    let clock = document.generated_at.as_deref().map(instant).transpose()?;
    if document.schedules.iter().flat_map(|schedule| &schedule.shifts).flatten().count() > MOST_SHIFTS {
        return Err(format!("more than {MOST_SHIFTS} shifts"));
    }
    let incidents = document.incidents.map(|incidents| {
        let read: Result<Vec<_>, String> = incidents.into_iter().map(IncidentBody::read).collect();
        read.map_err(|problem| ProviderError::source(&format!("{whose}: {problem}")))
    });
    let (mut known, mut told): (Vec<Named>, Vec<Told>) = (Vec::new(), Vec::new());
    for body in document.schedules {
        let (named, rows) = body.read()?;
        if known.iter().any(|other| other.id == named.id) {
            return Err(format!("two schedules have the id `{}`", named.id));
        }
        known.push(named);
        told.push(rows);
    }
    let mut gather = Gather::new(wanted.window, wanted.max_escalation_level);
    // A user is described in one way in all of a document, or in none.
    for row in told.iter().flatten().flat_map(|rows| rows.iter()) {
        gather.describe(row.person.clone());
    }
    for (text, place) in choose(&known, wanted.schedules, &whose) {
        let found = place.map(|place| known.get(place).zip(told.get(place)));
        match found {
            Ok(Some((named, Ok(rows)))) => {
                gather.take(Named { wanted: text, ..named.clone() }, Whole::at_once(rows.clone()));
            }
            Ok(Some((named, Err(heard)))) => {
                let why = format!("{whose} could not tell of schedule `{}`", named.id);
                let (why, heard) = (why.into(), heard.clone());
                gather.fail(text, ProviderError::Foreign { text: why, heard });
            }
            Ok(None) => {}
            Err(error) => gather.fail(text, error),
        }
    }
    let mut answer = gather.finish();
    answer.clock = clock;
    answer.incidents = incidents;
    Ok(answer)
}

/// The rows of a schedule, or why the document could not tell of it: that is none without shifts.
type Told = Result<Vec<Row>, OneLine>;

impl ScheduleBody {
    fn read(self) -> Result<(Named, Told), String> {
        let id = identifier(self.id, "a schedule")?;
        let told = match (self.shifts, self.error) {
            (Some(shifts), None) => Ok(shifts),
            (None, Some(error)) => Err(cut(&error)),
            (Some(_), Some(_)) => {
                return Err(format!("schedule `{id}` has both `shifts` and `error`; write one of them"));
            }
            (None, None) => {
                return Err(format!("schedule `{id}` has neither `shifts` nor `error`; nobody is []"));
            }
        };
        let read = |shift: ShiftBody| shift.read().map_err(|problem| format!("schedule `{id}`: {problem}"));
        let told = match told {
            Ok(shifts) => Ok(shifts.into_iter().map(read).collect::<Result<_, String>>()?),
            Err(error) => Err(error),
        };
        let name = self.name.map_or_else(|| id.clone(), |name| name.chars().take(LONGEST_TEXT).collect());
        Ok((Named { wanted: id.clone(), id, name }, told))
    }
}

impl IncidentBody {
    fn read(self) -> Result<ProviderIncident, String> {
        let id = identifier(self.id, "an incident")?;
        let read = |text: &str| instant(text).map_err(|problem| format!("incident `{id}`: {problem}"));
        Ok(ProviderIncident {
            service: identifier(self.service, "a service")?,
            opened: read(&self.opened)?,
            closed: self.closed.as_deref().map(read).transpose()?,
            by: self.opened_by.map(UserBody::read).transpose()?,
            id,
        })
    }
}

impl ShiftBody {
    fn read(self) -> Result<Row, String> {
        let user = self.user.read()?;
        if self.level == 0 {
            return Err(format!("a shift of user `{}` is on level 0; levels start at 1", user.id));
        }
        // Null is written out, and docs/providers.md says what it means.
        let bound =
            |text: Option<String>| text.map_or(Ok(Bound::Never), |text| instant(&text).map(Bound::At));
        let (start, end) = (bound(self.start)?, bound(self.end)?);
        if let (Bound::At(start), Bound::At(end)) = (start, end)
            && end < start
        {
            return Err(format!("a shift of user `{}` starts at {start} and ends at {end}", user.id));
        }
        let person = Description { user, whole: true };
        Ok(Row { person, level: self.level.into(), start, end })
    }
}

impl UserBody {
    fn read(self) -> Result<User, String> {
        let id = identifier(self.id, "a user")?;
        let (mail, principal) = (filled(self.email), filled(self.username));
        for text in [&mail, &principal].into_iter().flatten() {
            if text.len() > LONGEST_TEXT || !text.chars().all(is_printable) {
                return Err(format!("`email` or `username` of user `{id}` is not valid"));
            }
        }
        Ok(User { id, mail, principal, label: self.name.map(|name| cut(&name)), disputed: None })
    }
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// Ids are printed, and stand in the configuration.
fn identifier(id: String, whose: &str) -> Result<String, String> {
    let fits = !id.is_empty() && id.len() <= LONGEST_TEXT && id.chars().all(is_printable);
    if fits { Ok(id) } else { Err(format!("the id of {whose} is empty, too long or cannot be printed")) }
}

/// What somebody typed, no longer than is worth reading.
fn cut(text: &str) -> OneLine {
    text.chars().take(LONGEST_TEXT).collect::<String>().into()
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::read(text)
        .ok_or_else(|| format!("`{}` is not a valid time; write RFC 3339: 2026-11-20T09:00:00Z", cut(text)))
}

/// With the line, as people and scripts write more than one.
fn unreadable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let problem = text.strip_suffix(place.as_str()).unwrap_or(&text);
    cut(&format!("line {}, column {}: {}", error.line(), error.column(), explain(problem))).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::ProviderShift;
    use super::*;

    const STORY: &[u8] = include_bytes!("fixtures/document/story.json");

    fn at(text: &str) -> Timestamp {
        instant(text).unwrap()
    }

    fn wanted(schedules: &[String], max_escalation_level: u8) -> Wanted<'_> {
        let window = Window::new(at("2026-11-20T11:00:00Z"), at("2026-11-23T12:00:00Z")).unwrap();
        Wanted { schedules, max_escalation_level, window }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    /// The schedules that were read, as `id: user level start end, ...`.
    fn told(answer: &Answer) -> Vec<String> {
        let short = |at: Timestamp| at.to_string().get(5..16).map_or(at.to_string(), String::from);
        let shift = |shift: &ProviderShift| {
            let (start, end) = (short(shift.window.start()), short(shift.window.end()));
            format!("{} {} {start} {end}", shift.user.id, shift.level)
        };
        answer
            .schedules()
            .iter()
            .map(|schedule| {
                let shifts: Vec<String> = schedule.shifts.iter().map(shift).collect();
                format!("{}: {}", schedule.id, shifts.join(", "))
            })
            .collect()
    }

    fn failed(answer: &Answer) -> Vec<String> {
        answer.failed().iter().map(|(text, error)| format!("{text}: {error}")).collect()
    }

    #[test]
    fn a107_incidents_are_read_beside_schedules_and_spoil_no_shift() {
        let read = |incidents: &str| {
            let text = format!(r#"{{"version":1,"schedules":[{{"id":"P1","shifts":[]}}]{incidents}}}"#);
            parse(text.as_bytes(), "x", wanted(&[], 1))
        };
        assert_eq!(read("").unwrap().incidents, None);
        let told = read(
            r#","incidents":[{"service":"web","id":"I1","opened":"2026-11-20T09:00:00+01:00","closed":null},
               {"service":"web","id":"I2","opened":"2026-11-20T08:00:00Z","closed":"2026-11-20T08:30:00Z",
                "opened_by":{"id":"U1","username":"alice"}}]"#,
        );
        let incidents = told.unwrap().incidents.unwrap().unwrap();
        let shown: Vec<_> =
            incidents.iter().map(|one| (&*one.id, one.opened, one.closed.is_some())).collect();
        assert_eq!(
            shown,
            [("I1", at("2026-11-20T08:00:00Z"), false), ("I2", at("2026-11-20T08:00:00Z"), true)]
        );
        assert_eq!(incidents[1].by.as_ref().unwrap().principal.as_deref(), Some("alice"));
        // That it is open is said, and not left out.
        assert!(
            read(r#","incidents":[{"service":"web","id":"I1","opened":"2026-11-20T09:00:00Z"}]"#).is_err()
        );
        assert!(read(r#","incidents":[{"urgent":true}]"#).is_err());
        let wrong =
            read(r#","incidents":[{"service":"web","id":"I1","opened":"nine","closed":null}]"#).unwrap();
        assert_eq!(wrong.schedules().len(), 1);
        let told = wrong.incidents.unwrap().unwrap_err().to_string();
        assert!(told.contains("incident `I1`: `nine` is not a valid time"), "{told}");
    }

    #[test]
    fn a_document_is_read_whole() {
        let answer = parse(STORY, "/x", wanted(&[], 1)).unwrap();
        assert_eq!(
            told(&answer),
            [
                "primary: u-alice 1 11-20T09:00 11-20T18:00, u-carol 1 11-20T18:00 11-20T20:00, \
                 u-alice 1 11-20T20:00 11-21T09:00, u-bob 1 11-21T09:00 11-22T09:00, u-alice 1 11-22T09:00 11-23T09:00",
                "secondary: u-carol 1 11-16T09:00 11-23T09:00",
            ]
        );
        assert_eq!(answer.clock, Some(at("2026-11-20T12:00:00Z")));
        let users: Vec<&User> = answer.schedules()[0].shifts.iter().map(|shift| &shift.user).collect();
        assert_eq!(users[0].mail.as_deref(), Some("alice@example.com"));
        assert_eq!(users[3].principal.as_deref(), Some("bob"));
        assert_eq!(users[1].label.as_deref(), Some("Carol C."));
        assert_eq!(
            failed(&answer),
            [
                "database: source-error: /x could not tell of schedule `database`; its output: \"503 from the rota\""
            ]
        );
        let deep = parse(STORY, "/x", wanted(&words(&["primary"]), 3)).unwrap();
        assert!(told(&deep)[0].starts_with("primary: u-dave 3 always never, u-alice 1"), "{:?}", told(&deep));
    }

    #[test]
    fn the_documented_example_is_a_document() {
        let page = std::fs::read_to_string("../../docs/providers.md").unwrap();
        let start = page.find("    {\"version\": 1,").unwrap();
        let example = page[start..].split("\n\n").next().unwrap();
        let answer = parse(example.as_bytes(), "/x", wanted(&[], 2)).unwrap();
        assert_eq!(told(&answer), ["primary: 17 1 11-20T09:00 11-20T18:00, 18 2 11-20T18:00 never"]);
        assert_eq!(
            failed(&answer),
            [
                "database: source-error: /x could not tell of schedule `database`; its output: \"503 from the rota\""
            ]
        );
    }

    #[test]
    fn wanted_schedules_are_there_or_are_named() {
        let names = words(&["Second line", "Database", "primary", "none"]);
        let answer = parse(STORY, "/x", wanted(&names, 1)).unwrap();
        let ids: Vec<&str> = answer.schedules().iter().map(|schedule| schedule.id.as_str()).collect();
        assert_eq!(ids, ["secondary", "primary"]);
        assert_eq!(
            failed(&answer),
            [
                "Database: source-error: /x could not tell of schedule `database`; its output: \"503 from the rota\"",
                "none: source-incomplete: /x has no schedule `none`; check `schedules`",
            ]
        );
    }

    #[test]
    fn mistakes_are_named() {
        let shift = |change: (&str, &str)| {
            let shift = r#"{"user":{"id":"1","email":"a@x.y"},"start":"2026-11-20T09:00:00Z","end":null}"#;
            format!(
                r#"{{"version":1,"schedules":[{{"id":"p","shifts":[{}]}}]}}"#,
                shift.replacen(change.0, change.1, 1)
            )
        };
        let schedules = |text: &str| format!(r#"{{"version":1,"schedules":[{text}]}}"#);
        assert!(parse(shift(("", "")).as_bytes(), "/x", wanted(&[], 1)).is_ok());
        for (text, expected) in [
            (String::new(), "line 1, column 0: EOF while parsing a value"),
            ("nobody".to_string(), "line 1, column 2: expected ident"),
            ("{}".to_string(), "missing field `version`"),
            (r#"{"version":2,"shedules":[]}"#.to_string(), "`version` is 2; this release reads 1"),
            (r#"{"version":1}"#.to_string(), "missing field `schedules`"),
            (
                "{\"version\":1,\n\"shedules\":[]}".to_string(),
                "/x: line 2, column 10: unknown key `shedules`; did you mean `schedules`?",
            ),
            (
                r#"{"version":1,"schedules":[],"generated_at":"noon"}"#.to_string(),
                "`noon` is not a valid time",
            ),
            (schedules("") + "x", "trailing characters"),
            (schedules(r#"{"id":"","shifts":[]}"#), "the id of a schedule is empty"),
            (schedules(r#"{"id":"a\u001b","shifts":[]}"#), "cannot be printed"),
            (schedules(r#"{"id":"a"}"#), "neither `shifts` nor `error`"),
            (schedules(r#"{"id":"a","shifts":[],"error":"x"}"#), "both `shifts` and `error`"),
            (schedules(r#"{"id":"a","shifts":[]},{"id":"a","shifts":[]}"#), "two schedules have the id `a`"),
            (schedules(r#"{"id":"a","id":"b","shifts":[]}"#), "duplicate field `id`"),
            (shift((r#""start""#, r#""strt""#)), "unknown key `strt`; did you mean `start`?"),
            (shift((r#","end":null"#, "")), "missing field `end`"),
            (
                shift((r#""start""#, r#""level":0,"start""#)),
                "schedule `p`: a shift of user `1` is on level 0",
            ),
            (shift((r#""start""#, r#""level":256,"start""#)), "invalid value: integer `256`, expected u8"),
            (
                shift((r#"null"#, r#""2026-11-20T08:59:59Z""#)),
                "starts at 2026-11-20T09:00:00Z and ends at 2026-11-20T08:59:59Z",
            ),
            (shift(("00Z", "00")), "`2026-11-20T09:00:00` is not a valid time"),
            (shift((r#""id":"1","#, "")), "missing field `id`"),
            (shift(("a@x.y", r"a@x.y\nb")), "`email` or `username` of user `1` is not valid"),
            (shift(("email", "mail")), "unknown key `mail`; did you mean `email`?"),
        ] {
            let error = parse(text.as_bytes(), "/x", wanted(&[], 1)).unwrap_err().to_string();
            assert!(error.starts_with("source-error: /x: ") && error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let marked = [&b"\xef\xbb\xbf"[..], STORY].concat();
        assert_eq!(parse(&marked, "/x", wanted(&[], 3)), parse(STORY, "/x", wanted(&[], 3)));
        let twice = [&b"\xef\xbb\xbf"[..], &marked].concat();
        assert!(parse(&twice, "/x", wanted(&[], 3)).is_err());
    }

    #[test]
    fn a_user_described_in_two_ways_is_nobody_on_every_schedule() {
        let text = r#"{"version":1,"schedules":[
            {"id":"p","shifts":[{"user":{"id":"1","email":"a@x.y"},"start":null,"end":null}]},
            {"id":"q","shifts":[{"user":{"id":"1","email":"b@x.y"},"start":null,"end":null},
                                {"user":{"id":"2","email":"c@x.y"},"start":null,"end":null}]}]}"#;
        for schedules in [&["p"][..], &["q"], &[]] {
            let answer = parse(text.as_bytes(), "/x", wanted(&words(schedules), 1)).unwrap();
            for shift in answer.schedules().iter().flat_map(|schedule| &schedule.shifts) {
                let expected = (shift.user.id == "1").then_some("mail addresses");
                assert_eq!(shift.user.disputed, expected, "{schedules:?}");
            }
        }
    }

    #[test]
    fn too_much_is_refused() {
        let shift = r#"{"user":{"id":"1"},"start":null,"end":null},"#.repeat(MOST_SHIFTS);
        let text =
            |more: &str| format!(r#"{{"version":1,"schedules":[{{"id":"p","shifts":[{shift}{more}]}}]}}"#);
        let more =
            |more| parse(text(more).as_bytes(), "/x", wanted(&[], 1)).map_err(|error| error.to_string());
        let one = r#"{"user":{"id":"1"},"start":null,"end":null}"#;
        assert!(more(one).unwrap_err().contains("more than 50000 shifts"));
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes(), "/x", wanted(&[], 1)).is_err());
        let long = format!(r#"{{"version":1,"schedules":[{{"id":"{}","shifts":[]}}]}}"#, "x".repeat(321));
        assert!(parse(long.as_bytes(), "/x", wanted(&[], 1)).is_err());
    }

    #[test]
    fn what_is_said_cannot_break_a_line() {
        let text = r#"{"version":1,"schedules":[{"id":"p","name":"a\nb","error":"no\n\u001b[2Jluck"}]}"#;
        let answer = parse(text.as_bytes(), "/x", wanted(&[], 1)).unwrap();
        assert_eq!(
            failed(&answer),
            ["p: source-error: /x could not tell of schedule `p`; its output: \"no\u{fffd}\u{fffd}[2Jluck\""]
        );
        let key = r#"{"version":1,"schedules":[],"a\nb":1}"#;
        assert!(!parse(key.as_bytes(), "/x", wanted(&[], 1)).unwrap_err().to_string().contains('\n'));
    }

    /// Every byte of the story changed, dropped or doubled, and every length of it: an answer or an error.
    #[test]
    fn no_mutation_does_worse_than_fail() {
        let mut mutants = 0;
        let story = STORY.trim_ascii_end();
        for at in 0..story.len() {
            let (before, rest) = story.split_at(at);
            let after = &rest[1..];
            let byte = rest[0];
            for middle in
                [&[][..], &[byte, byte], &[byte ^ 1], &[byte ^ 0x80], b"\"", b"{", b"9", b"\0", b"-"]
            {
                let mutant = [before, middle, after].concat();
                if let Ok(answer) = parse(&mutant, "/x", wanted(&[], 3)) {
                    assert!(answer.schedules().len() + answer.failed().len() == 3);
                    let shifts = answer.schedules().iter().flat_map(|schedule| &schedule.shifts);
                    assert!(shifts.into_iter().all(|shift| shift.window.start() < shift.window.end()));
                }
                mutants += 1;
            }
            assert!(parse(before, "/x", wanted(&[], 3)).is_err(), "cut at {at}");
        }
        assert!(mutants > 10_000);
    }
}
