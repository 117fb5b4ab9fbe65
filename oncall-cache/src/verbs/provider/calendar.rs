//! What is saved of a calendar: when its events are, line by line as it came, and nothing that says whose they are.

use std::collections::BTreeMap;

/// Properties whose values say when, and never who.
const KEPT: [&str; 29] = [
    "BEGIN",
    "CALSCALE",
    "CLASS",
    "CREATED",
    "DTEND",
    "DTSTAMP",
    "DTSTART",
    "DURATION",
    "END",
    "EXDATE",
    "EXRULE",
    "LAST-MODIFIED",
    "METHOD",
    "PRIORITY",
    "RDATE",
    "RECURRENCE-ID",
    "REFRESH-INTERVAL",
    "RRULE",
    "SEQUENCE",
    "STATUS",
    "TRANSP",
    "TRIGGER",
    "TZID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "VERSION",
    "X-LIC-LOCATION",
    "X-PUBLISHED-TTL",
    "X-WR-TIMEZONE",
];

/// Parameters of which the same is true.
const PARAMETERS: [&str; 6] = ["CUTYPE", "PARTSTAT", "RANGE", "ROLE", "TZID", "VALUE"];

/// The calendar `text` with every text replaced that may say whose it is, the same by the same. Each line stays the line that
/// it was, since errors name lines.
pub fn redacted(text: &str) -> String {
    let mut names = BTreeMap::new();
    let mut shown = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (mut whole, mut folds) = (line.to_string(), 0);
        while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            whole.push_str(more.get(1..).unwrap_or_default());
            folds += 1;
        }
        shown += &property(&whole, &mut names);
        shown += "\n";
        shown += &" \n".repeat(folds);
    }
    shown
}

/// One property, in one line.
fn property(line: &str, names: &mut BTreeMap<String, usize>) -> String {
    let (head, value) = split(line);
    let mut parts = head.split(';');
    let name = parts.next().unwrap_or_default();
    let fits = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !fits || head.len() == line.len() {
        return if line.trim().is_empty() { String::new() } else { "X-NO-PROPERTY".to_string() };
    }
    let is = |list: &[&str], text: &str| list.iter().any(|known| known.eq_ignore_ascii_case(text));
    let parameters: String = parts
        .filter(|part| part.split_once('=').is_some_and(|(key, _)| is(&PARAMETERS, key)))
        .map(|part| format!(";{part}"))
        .collect();
    let value = if is(&KEPT, name) || value.is_empty() { value.to_string() } else { stands(value, names) };
    format!("{name}{parameters}:{value}")
}

/// A property's head, and what follows the first colon that no quotes hold.
fn split(line: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let end = line.find(|character| {
        is_quoted ^= character == '"';
        character == ':' && !is_quoted
    });
    let (head, rest) = line.split_at(end.unwrap_or(line.len()));
    (head, rest.get(1..).unwrap_or_default())
}

/// What stands for `value`.
fn stands(value: &str, names: &mut BTreeMap<String, usize>) -> String {
    let (scheme, address) = match value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")) {
        Some(scheme) => (scheme, &value[scheme.len()..]),
        None => ("", value),
    };
    let next = names.len() + 1;
    let number = *names.entry(address.to_ascii_lowercase()).or_insert(next);
    match address.contains('@') {
        true => format!("{scheme}mail-{number}@example.com"),
        false => format!("{scheme}text-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_stays_and_nobody_is_named() {
        let text = "BEGIN:VCALENDAR\r\nX-WR-CALNAME:Acme rota\r\nBEGIN:VEVENT\r\nUID:7@acme.com\r\nDTSTART;TZID=\"Europe/Berlin\";X-WHO=alice:20261120T090000\r\n\
            RRULE:FREQ=WEEKLY;BYDAY\r\n =FR\r\nATTENDEE;CN=\"Alice: A\";PARTSTAT=ACCEPTED:mailto:al\r\n ice@acme.com\r\nSUMMARY:alice@acme.com\r\n\
            DESCRIPTION:\r\nalice\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        let shown = redacted(text);
        let expected = "BEGIN:VCALENDAR\nX-WR-CALNAME:text-1\nBEGIN:VEVENT\nUID:mail-2@example.com\nDTSTART;TZID=\"Europe/Berlin\":20261120T090000\n\
            RRULE:FREQ=WEEKLY;BYDAY=FR\n \nATTENDEE;PARTSTAT=ACCEPTED:mailto:mail-3@example.com\n \nSUMMARY:mail-3@example.com\n\
            DESCRIPTION:\nalice:\nEND:VEVENT\nEND:VCALENDAR\n";
        // A line that is no property is one with a name, which nobody knows: it goes, too.
        assert_eq!(shown, expected.replace("\nalice:\n", "\nX-NO-PROPERTY\n"));
        assert_eq!(shown.lines().count(), text.lines().count());
    }
}
