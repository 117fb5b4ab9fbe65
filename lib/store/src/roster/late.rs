//! What of a roster was not known in time: kept beside it, a line for each part of a shift.
//!
//! ```text
//! late 1
//! alice 1 2026-11-30T03:00:00Z 2026-11-30T09:00:00Z 2026-11-30T02:58:10Z pd PDB0001
//! ```
//!
//! Whose, level, from when to when, when it was found, source, and the schedule, whose name may have blanks. A reader of an
//! earlier release does not know the file. No login is refused for want of it, and where there is nothing late there is none.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policy::{LateShift, Principal, ScheduleRef, Timestamp, Window};
use publish::PublishError;
use trust::{Directory, Owner};

/// The line that is written first.
const FORM: &str = "late 1";

/// The longest file, in bytes: some ten thousand people who were put on call at one instant.
const LONGEST: usize = 1024 * 1024;

/// Where it is kept of the roster at `path`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("late")
}

/// What is late of the roster at `path`. What others could have written or is not understood is as none.
pub(super) fn read(directory: &Directory, path: &Path) -> Vec<LateShift> {
    let text = directory.read(&beside(path), Owner::Service, LONGEST as u64);
    text.ok().and_then(|text| parse(std::str::from_utf8(&text).ok()?)).unwrap_or_default()
}

/// Keeps it beside the roster at `path`; who may read that may read this. The last found are kept of more than fit.
///
/// # Errors
/// It could not be written, or removed.
pub(super) fn write(path: &Path, late: &[LateShift]) -> Result<(), PublishError> {
    let file = beside(path);
    if late.is_empty() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::write(&file, error)),
            _ => Ok(()),
        };
    }
    let mut newest: Vec<&LateShift> = late.iter().collect();
    newest.sort_by_key(|part| std::cmp::Reverse(part.seen));
    let mut text = format!("{FORM}\n");
    for line in newest.into_iter().filter_map(line) {
        if text.len() + line.len() > LONGEST {
            break;
        }
        text.push_str(&line);
    }
    publish::replace(&file, 0o644, |temporary| fs::write(temporary, &text))
}

/// Keeps it beside the roster at `path`, and what was kept before.
///
/// # Errors
/// It could not be written.
pub(super) fn add(path: &Path, late: &[LateShift]) -> Result<(), PublishError> {
    let kept = Directory::of(path).map(|directory| read(&directory, path));
    let mut both = kept.unwrap_or_default();
    let kept: BTreeSet<String> = both.iter().filter_map(line).collect();
    let is_new = |part: &&LateShift| line(part).is_some_and(|line| !kept.contains(&line));
    let before = both.len();
    both.extend(late.iter().filter(is_new).cloned());
    if both.len() == before { Ok(()) } else { write(path, &both) }
}

/// Nothing, where a name would end the line.
fn line(part: &LateShift) -> Option<String> {
    let LateShift { schedule: ScheduleRef { source, id }, principal, level, window, seen } = part;
    let (start, end) = (window.start(), window.end());
    let is_plain = !id.contains('\n') && !source.contains([' ', '\n']);
    is_plain.then(|| format!("{principal} {level} {start} {end} {seen} {source} {id}\n"))
}

fn parse(text: &str) -> Option<Vec<LateShift>> {
    let lines = text.strip_prefix(FORM)?.strip_prefix('\n')?;
    lines.strip_suffix('\n').unwrap_or(lines).lines().map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<LateShift> {
    let mut words = line.splitn(7, ' ');
    let principal = Principal::new(words.next()?).ok()?;
    let level = words.next()?.parse().ok()?;
    let mut instant = || match words.next()? {
        "always" => Some(Timestamp::MIN),
        "never" => Some(Timestamp::MAX),
        text => Timestamp::parse(text),
    };
    let (start, end, seen) = (instant()?, instant()?, instant()?);
    let (source, id) = (words.next()?.to_string(), words.next()?.to_string());
    let window = Window::new(start, end)?;
    Some(LateShift { schedule: ScheduleRef { source, id }, principal, level, window, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_at(path: &Path) -> Vec<LateShift> {
        read(&Directory::of(path).unwrap(), path)
    }

    fn part(person: &str, start: Timestamp, end: Timestamp, seen: i64) -> LateShift {
        LateShift {
            schedule: ScheduleRef { source: "pd".into(), id: "Database primary".into() },
            principal: Principal::new(person).unwrap(),
            level: 2,
            window: Window::new(start, end).unwrap(),
            seen: Timestamp::from_unix(seen),
        }
    }

    fn shift(person: &str, seen: i64) -> LateShift {
        part(person, Timestamp::from_unix(seen - 60), Timestamp::from_unix(seen + 3_600), seen)
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        assert_eq!(read_at(&path), []);
        let late = [shift("bob", 2_000), part("alice", Timestamp::MIN, Timestamp::MAX, 1_000)];
        write(&path, &late).unwrap();
        assert_eq!(read_at(&path), late);
        write(&path, &[]).unwrap();
        assert!(!beside(&path).exists());
        write(&path, &[]).unwrap();
        let mut forged = shift("bob", 1);
        forged.schedule.id = "P1\nroot 1 always never 1970-01-01T00:00:00Z pd P2".into();
        write(&path, &[forged, shift("carol", 2)]).unwrap();
        assert_eq!(read_at(&path), [shift("carol", 2)]);
    }

    #[test]
    fn what_is_not_as_it_is_written_says_nothing() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        write(&path, &[shift("bob", 2_000)]).unwrap();
        let text = fs::read_to_string(beside(&path)).unwrap();
        for wrong in [
            "",
            "late 1",
            &text.replace("late 1", "late 2"),
            &text.replace(" pd Database primary", ""),
            "late 1\n\n",
        ] {
            fs::write(beside(&path), wrong).unwrap();
            assert_eq!(read_at(&path), [], "{wrong:?}");
        }
        fs::write(beside(&path), "late 1\n").unwrap();
        assert_eq!(read_at(&path), []);
    }

    #[test]
    fn of_more_than_fit_the_last_found_are_kept() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let late: Vec<LateShift> = (0..20_000).map(|seen| shift("bob", 1_000_000_000 + seen)).collect();
        write(&path, &late).unwrap();
        let kept = read_at(&path);
        assert!(kept.len() > 5_000 && kept.len() < late.len(), "{}", kept.len());
        assert_eq!(kept.first(), late.last());
    }
}
