//! The status as one line for Nagios, Icinga and whatever else runs monitoring plugins: state, text, `|`, numbers.
//! See <https://www.monitoring-plugins.org/doc/guidelines.html>.

use std::collections::BTreeSet;

use policy::{Span, Timestamp};
use status::{FAILING, Health, Known, NOT_BELIEVED, Status};

/// The exit status where this process cannot tell.
pub const UNKNOWN: u8 = 3;

/// The longest text, in bytes: what is shown on a screen, or sent to a telephone.
const LONGEST: usize = 1024;

/// The line where this process may not read what would tell.
pub fn unknown(problem: &str) -> String {
    format!("UNKNOWN - {}", on_one_line(problem))
}

/// The line where there is no configuration to go by.
pub fn critical(problem: &str) -> String {
    format!("CRITICAL - guarded logins are refused: {}", on_one_line(problem))
}

/// Whatever others typed, as the text of a plugin: `|` begins the numbers, and a line break the next text.
fn on_one_line(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|letter| match letter {
            '|' => '/',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect();
    match (0..=LONGEST).rev().find(|&end| text.is_char_boundary(end)).and_then(|end| text.get(..end)) {
        Some(start) if start.len() < text.len() => format!("{start}…"),
        _ => text,
    }
}

/// The name of a number, in quotes: `=` would end it.
fn label(text: &str) -> String {
    format!("'{}'", on_one_line(text).replace('=', "_").replace('\'', "''"))
}

/// The line. The exit status is the health's code.
pub fn nagios(status: &Status<'_>) -> String {
    let state = match status.health() {
        Health::Well => "OK",
        Health::Failing => "WARNING",
        Health::NotBelieved => "CRITICAL",
    };
    format!("{state} - {} | {}", on_one_line(&told(status)), numbers(status).join(" "))
}

fn told(status: &Status<'_>) -> String {
    let headline = status.headline();
    if status.health() == Health::Well {
        return format!("{headline}; on call: {}", on_call(status));
    }
    let failed = status.report.as_ref().ok().and_then(|report| report.problem.clone());
    let failed = failed.map(|problem| format!("last sync: {problem}"));
    let details: Vec<String> = failed.into_iter().chain(status.troubles()).collect();
    match headline.as_str() {
        FAILING | NOT_BELIEVED if !details.is_empty() => details.join("; "),
        _ => [vec![headline], details].concat().join("; "),
    }
}

/// People who may become root by a schedule that counts here.
fn on_call(status: &Status<'_>) -> String {
    let counted = status.rows.iter().filter(|row| row.counts).filter_map(|row| row.known.as_ref());
    let admitted = counted.flat_map(|known| &known.on_call).filter(|one| one.may());
    let names: BTreeSet<&str> = admitted.map(|one| one.person).collect();
    if names.is_empty() { "nobody".to_string() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
}

/// `'label'=value;warn;crit;min`.
fn numbers(status: &Status<'_>) -> Vec<String> {
    let mut numbers: Vec<String> = Vec::new();
    let counted = status.rows.iter().filter(|row| row.counts);
    let ends =
        counted.map(|row| row.known.as_ref().filter(|known| known.believed).map(Known::believed_until));
    let left = ends.map(|end| end.map_or(0, |end| end.since(status.at).as_seconds())).min();
    numbers.extend(left.map(|left| format!("believed_for={left}s;;;0")));
    for row in &status.rows {
        let Some(known) = &row.known else { continue };
        let (warn, most) = (known.limits.warn_age.as_seconds(), known.limits.max_age.as_seconds());
        let age = known.age.as_seconds().max(0);
        numbers.push(format!("{}={age}s;{warn};{most};0", label(&format!("age {}", row.schedule))));
    }
    if let Some(Ok(fleet)) = &status.fleet {
        let age = |span: Option<Span>| span.map(|span| span.as_seconds().max(0));
        numbers.extend(age(fleet.lag(status.at)).map(|lag| format!("fleet_lag={lag}s;;;0")));
        numbers.extend(age(fleet.age(status.at)).map(|age| format!("fleet_seen={age}s;;;0")));
    }
    if let Ok(report) = &status.report {
        let ago = |unix| status.at.since(Timestamp::from_unix(unix)).as_seconds().max(0);
        numbers.push(format!("last_sync={}s;;;0", ago(report.attempted)));
        numbers.extend(report.people_synced.map(|synced| format!("people={}s;;;0", ago(synced))));
        numbers.push(format!("unmapped={};;;0", report.unmapped));
        let locked_out: BTreeSet<&str> = report.ahead.iter().map(|ahead| ahead.who.as_str()).collect();
        numbers.push(format!("cannot_log_in={};;;0", locked_out.len()));
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_typed_neither_ends_the_text_nor_a_name() {
        assert_eq!(on_one_line("a | b=1\nc"), "a / b=1 c");
        assert_eq!(label("it's a=b|c"), "'it''s a_b/c'");
        let cut = on_one_line(&"é".repeat(LONGEST));
        assert_eq!(cut.len(), LONGEST + "…".len());
    }
}
