//! A calendar's text as components and properties, each with its line.
//!
//! The crate icalendar reads single properties: parameters, quotes and escapes are its. Lines are unfolded and components
//! told apart here, since an error has to name the line as an editor counts it, which the crate's do not.

use std::borrow::Cow;

use icalendar::parser::Property as Parsed;

use super::Fault;

/// The longest property, in bytes, once it is unfolded: a description with a page of text has less.
const LONGEST_PROPERTY: usize = 64 * 1024;

/// The most events, and the most other components, of one calendar.
pub const MOST_COMPONENTS: usize = 20_000;

/// The most properties of one calendar that are read: ten to an event.
const MOST_PROPERTIES: usize = 200_000;

/// How deep components may stand in each other: an alarm in an event in a calendar is three.
const DEEPEST: usize = 8;

/// What is read of an event, of a calendar, and of a time zone and its halves.
const READ: [&str; 19] = [
    "ATTENDEE",
    "DTEND",
    "DTSTART",
    "DURATION",
    "EXDATE",
    "EXRULE",
    "METHOD",
    "RDATE",
    "RECURRENCE-ID",
    "REFRESH-INTERVAL",
    "RRULE",
    "STATUS",
    "SUMMARY",
    "TZID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "UID",
    "VERSION",
    "X-LIC-LOCATION",
];

/// The same that are extensions.
const READ_TOO: [&str; 3] = ["X-PUBLISHED-TTL", "X-WR-CALNAME", "X-WR-TIMEZONE"];

/// `BEGIN:NAME` to `END:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// In capitals.
    pub name: String,
    /// The line of its BEGIN, from 1.
    pub line: usize,
    /// Those of its properties that are read, in their order.
    pub properties: Vec<Property>,
    /// What stands within it.
    pub parts: Vec<Component>,
}

/// A property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// In capitals.
    pub name: &'static str,
    /// Its first line, from 1.
    pub line: usize,
    /// Without escapes, where it is text.
    pub value: String,
    /// Names in capitals, and values without quotes.
    parameters: Vec<(String, String)>,
}

impl Property {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Something is wrong with it.
    pub fn fault(&self, text: impl Into<String>) -> Fault {
        Fault { line: self.line, text: text.into() }
    }
}

impl Component {
    /// The properties of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties.iter().filter(move |property| property.name == name)
    }

    /// The only property of that name, if there is one.
    ///
    /// # Errors
    /// There are two.
    pub fn one(&self, name: &str) -> Result<Option<&Property>, Fault> {
        let mut all = self.properties.iter().filter(|property| property.name == name);
        match (all.next(), all.next()) {
            (_, Some(second)) => Err(second.fault(format!("a second {name} in one {}", self.name))),
            (first, None) => Ok(first),
        }
    }

    /// Something is wrong with it.
    pub fn fault(&self, text: impl Into<String>) -> Fault {
        Fault { line: self.line, text: text.into() }
    }
}

/// Reads the one calendar that `text` is.
///
/// # Errors
/// It is none, is cut short, or holds more than one.
pub fn calendar(text: &str) -> Result<Component, Fault> {
    let mut open: Vec<Component> = Vec::new();
    let (mut whole, mut count, mut last, mut properties) = (None, 0, 0, 0);
    for line in unfolded(text) {
        let line = line?;
        last = line.number;
        if line.text.trim().is_empty() {
            continue;
        }
        let fault = |text: String| Fault { line: line.number, text };
        if whole.is_some() {
            return Err(fault("there is more behind the calendar's end; serve one calendar".to_string()));
        }
        let (name, value) = head(&line.text).ok_or_else(|| match open.is_empty() {
            true => fault(format!("{NO_CALENDAR}: the first line is not BEGIN:VCALENDAR")),
            false => fault("not a property of a calendar".to_string()),
        })?;
        match (name.as_str(), open.last_mut()) {
            ("BEGIN", parent) => {
                let name = value.trim().to_ascii_uppercase();
                if parent.is_some() == (name == "VCALENDAR") {
                    return Err(fault(format!("{NO_CALENDAR}: BEGIN:{name} where it cannot be")));
                }
                count += 1;
                if count > MOST_COMPONENTS || open.len() == DEEPEST {
                    return Err(fault(format!("more than {MOST_COMPONENTS} components, or too deep")));
                }
                open.push(Component { name, line: line.number, properties: Vec::new(), parts: Vec::new() });
            }
            (_, None) => return Err(fault(format!("{NO_CALENDAR}: the first line is not BEGIN:VCALENDAR"))),
            ("END", Some(inner)) => {
                if !value.trim().eq_ignore_ascii_case(&inner.name) {
                    let text = format!("END:{} ends {} of line {}", value.trim(), inner.name, inner.line);
                    return Err(fault(text));
                }
                let inner = open.pop();
                match open.last_mut() {
                    Some(parent) => parent.parts.extend(inner),
                    None => whole = inner,
                }
            }
            (name, Some(inner)) => {
                let read = property(name, &line)?;
                properties += usize::from(read.is_some());
                if properties > MOST_PROPERTIES {
                    return Err(fault(format!("more than {MOST_PROPERTIES} properties")));
                }
                inner.properties.extend(read);
            }
        }
    }
    let ended = |open: &Component| {
        format!("the calendar ends within {} of line {}: it is cut short", open.name, open.line)
    };
    match (whole, open.last()) {
        (Some(whole), _) => Ok(whole),
        (None, Some(open)) => Err(Fault { line: last, text: ended(open) }),
        (None, None) => Err(Fault { line: 1, text: format!("{NO_CALENDAR}: it is empty") }),
    }
}

/// How every error begins that says that something else came.
const NO_CALENDAR: &str = "not an iCalendar";

/// A line, once those that continue it are a part of it.
struct Line<'a> {
    number: usize,
    text: Cow<'a, str>,
}

/// RFC 5545, section 3.1; a line may end in LF alone, as files on Unix do.
fn unfolded(text: &str) -> impl Iterator<Item = Result<Line<'_>, Fault>> {
    let lines = text.split('\n').map(|raw| raw.strip_suffix('\r').unwrap_or(raw));
    let mut lines = (1..).zip(lines).peekable();
    std::iter::from_fn(move || {
        let (number, first) = lines.next()?;
        let (mut text, mut last) = (Cow::Borrowed(first), number);
        while text.len() <= LONGEST_PROPERTY
            && let Some((number, more)) = lines.next_if(|(_, raw)| raw.starts_with([' ', '\t']))
        {
            text.to_mut().push_str(more.get(1..).unwrap_or_default());
            last = number;
        }
        if text.len() > LONGEST_PROPERTY {
            let text = format!("a property longer than {LONGEST_PROPERTY} bytes");
            return Some(Err(Fault { line: last, text }));
        }
        Some(Ok(Line { number, text }))
    })
}

/// The name of a property, in capitals, and what follows its colon or its first parameter's semicolon.
fn head(text: &str) -> Option<(String, &str)> {
    let end = text.find([':', ';'])?;
    let (name, rest) = text.split_at_checked(end)?;
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    fits.then(|| (name.to_ascii_uppercase(), rest.get(1..).unwrap_or_default()))
}

/// The property in `line`, if it is one that is read.
fn property(name: &str, line: &Line<'_>) -> Result<Option<Property>, Fault> {
    let Some(name) = READ.iter().chain(&READ_TOO).find(|read| **read == name) else { return Ok(None) };
    // The crate knows by a name in capitals alone what is text.
    let text = format!("{name}{}", line.text.get(name.len()..).unwrap_or_default());
    let parsed = Parsed::try_from(text.as_str())
        .map_err(|_| Fault { line: line.number, text: format!("{name} cannot be read") })?;
    let parameter = |one: &icalendar::parser::Parameter<'_>| {
        let value = one.val.as_ref().map(ToString::to_string).unwrap_or_default();
        (one.key.as_str().to_ascii_uppercase(), value)
    };
    let parameters = parsed.params.iter().map(parameter).collect();
    Ok(Some(Property { name, line: line.number, value: parsed.val.to_string(), parameters }))
}
