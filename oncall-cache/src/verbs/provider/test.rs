//! `provider test`: asks one source once, and shows what was understood.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use host::config::Source;
use host::{Config, accounts};
use policy::Timestamp;
use sources::fetch::{self, Fetched};
use sources::identity::People;
use sources::session::Exchange;
use sources::{Answer, ProviderSchedule};

use super::calendar;
use super::record::{self, Heard};
use crate::said::{CANNOT_TELL, Said};
use crate::sync;
use crate::verbs::identities::Map;

/// What came over the wire.
#[derive(Default)]
struct Wire {
    heard: Vec<Heard>,
    /// What the last reply that told says of how much may still be asked.
    headroom: Option<String>,
}

impl Wire {
    fn take(&mut self, exchange: &Exchange<'_>) {
        let body = serde_json::from_slice(&exchange.reply.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&exchange.reply.body);
        let is_calendar = text.trim_start_matches('\u{feff}').starts_with("BEGIN:VCALENDAR");
        let calendar = is_calendar.then(|| calendar::redacted(&text));
        let (request, status) = (exchange.request.clone(), exchange.reply.status);
        self.heard.push(Heard { request, status, body, calendar });
        self.headroom = exchange.reply.remaining.clone().or(self.headroom.take());
    }
}

/// Asks the source `name` of the configuration at `path`; saves the replies in `directory`, if one is given.
pub fn run(path: &Path, name: &str, directory: Option<&Path>, now: Timestamp) -> Said {
    let cannot = |problem: String| Said::failure(CANNOT_TELL, format_args!("cannot tell: {problem}"));
    let config = match Config::load(path) {
        Ok(config) => config.with_credentials(),
        Err(error) => return cannot(error.to_string()),
    };
    let Some(source) = config.oncall.sources.iter().find(|source| source.name == name) else {
        let known: Vec<&str> = config.oncall.sources.iter().map(|source| &*source.name).collect();
        return cannot(format!("no [[oncall.source]] is named `{name}`; there are: {}", known.join(", ")));
    };
    let window = match sync::window(&config, now) {
        Ok(window) => window,
        Err(error) => return cannot(error.to_string()),
    };
    if let Err(error) = accounts::become_owner_of(config.paths.roster.parent().unwrap_or(Path::new("/"))) {
        return cannot(error.to_string());
    }
    if let Some(directory) = directory
        && let Err(error) = fs::create_dir(directory)
    {
        let hint = "it must not exist, and be where the user oncall-cache may write, such as /tmp/replies";
        return cannot(format!("{}: {error}; {hint}", directory.display()));
    }
    let wire = RefCell::new(Wire::default());
    let fetched = fetch::heard(source, window, now, &|exchange| wire.borrow_mut().take(exchange));
    let wire = wire.into_inner();
    let saved = directory.map(|directory| save(directory, source, &wire.heard)).transpose();
    let mut said = show(&config, &fetched, &wire, now);
    match saved {
        Ok(Some(count)) => {
            said = said.note(format_args!("{count} replies saved; read them before you send them"))
        }
        Ok(None) => {}
        Err(error) => return said.note(format_args!("not saved: {error}")).exit(CANNOT_TELL),
    }
    said
}

fn save(directory: &Path, source: &Source, heard: &[Heard]) -> std::io::Result<usize> {
    let secrets = record::secrets(&source.provider.secrets());
    let shown = record::redacted(heard, &secrets);
    for (number, one) in shown.iter().enumerate() {
        fs::write(directory.join(format!("{:03}.json", number + 1)), format!("{one:#}\n"))?;
    }
    for (number, calendar) in
        heard.iter().enumerate().filter_map(|(n, one)| Some((n, one.calendar.as_ref()?)))
    {
        fs::write(directory.join(format!("{:03}.ics", number + 1)), calendar)?;
    }
    Ok(shown.len())
}

fn show(config: &Config, fetched: &Fetched<'_>, wire: &Wire, now: Timestamp) -> Said {
    let (source, kind) = (fetched.source, fetched.source.provider.kind());
    let mut text = format!("source {}: {}", source.name, kind.label);
    if !kind.verified {
        text += ", not verified: compare this with what the service itself shows";
    }
    text.push('\n');
    if kind.asked && !wire.heard.is_empty() {
        let headroom =
            wire.headroom.as_ref().map_or("not told".to_string(), |left| format!("{left} requests left"));
        let _ = writeln!(text, "requests: {}; headroom: {headroom}", wire.heard.len());
    }
    if let Some(apart) = fetched.skew {
        let _ = writeln!(text, "clock: {apart} from this host's (clock-skew)");
    }
    let answer = match &fetched.answer {
        Ok(answer) => answer,
        Err(error) => return Said::text(text.trim_end()).note(format_args!("{error}")).exit(CANNOT_TELL),
    };
    answer.schedules().iter().for_each(|schedule| text += &line(schedule, now));
    let mut notes: Vec<String> = answer.notes().iter().map(ToString::to_string).collect();
    notes.extend(answer.failed().iter().map(|(schedule, error)| format!("schedule {schedule}: {error}")));
    let unmapped = people(config, source, answer, now, &mut text, &mut notes);
    let amiss = unmapped || !answer.failed().is_empty();
    let code = match (answer.schedules().is_empty(), amiss) {
        (true, true) => CANNOT_TELL,
        (_, amiss) => u8::from(amiss),
    };
    Said::default().notes(notes).then(text.trim_end().to_string()).exit(code)
}

/// A schedule: who is on call on its first level, until when, and who then.
fn line(schedule: &ProviderSchedule, now: Timestamp) -> String {
    let at = |instant: Timestamp| -> BTreeSet<String> {
        let current = schedule.shifts.iter().filter(|shift| shift.window.contains(instant));
        current.map(|shift| format!("{} (level {})", shift.user.shown(), shift.level)).collect()
    };
    let names = |who: BTreeSet<String>| {
        if who.is_empty() { "nobody".to_string() } else { who.into_iter().collect::<Vec<_>>().join(", ") }
    };
    let bounds = schedule.shifts.iter().flat_map(|shift| [shift.window.start(), shift.window.end()]);
    let next = bounds.filter(|bound| *bound > now && at(*bound) != at(now)).min();
    let next = next.map_or("no hand-over is known".to_string(), |next| {
        format!("next hand-over {} to {}", next, names(at(next)))
    });
    format!(
        "schedule {} ({}): {} shifts; now {}; {next}\n",
        schedule.id,
        schedule.name,
        schedule.shifts.len(),
        names(at(now))
    )
}

/// Adds who its users are here; is somebody nobody?
fn people(
    config: &Config,
    source: &Source,
    answer: &Answer,
    now: Timestamp,
    text: &mut String,
    notes: &mut Vec<String>,
) -> bool {
    let (copy, people) = match sync::read_people(config, now) {
        Ok(read) => read,
        Err(error) => {
            notes.push(format!("who its users are here cannot be told: {error}"));
            return true;
        }
    };
    let keys = sync::keys_in(&copy);
    let mut map = Map::default();
    map.take(source, answer, &People::new(&people, &keys));
    let _ = writeln!(text, "\n{}", map.table());
    map.has_problems()
}
