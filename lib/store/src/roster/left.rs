//! What of the rota does not count, because a file of `[[policy.rego]]` says so: kept beside the roster.
//!
//! ```text
//! left 1
//! roster 2026-11-30T03:00:00Z
//! by 1 /etc/authkeys/db.rego
//! alice 1 2026-11-30T03:00:00Z 2026-11-30T15:00:00Z 2026-11-30T11:00:00Z ttl 1 pd PDB0001
//! ```
//!
//! Of which roster it is said; the files, numbered; and a line for each shift: whose, level, from when to when it is by the
//! rota, from when on it does not count, why, by which file, source, and the schedule, whose name may have blanks. It is
//! said of the roster that was published at that instant and of no other; while a roster is replaced, of both. No decision
//! reads it. A reader of an earlier release does not know it: there is nothing to be named, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policy::{LeftBy, LeftOut, Principal, ScheduleRef, Timestamp, Window};
use publish::PublishError;
use trust::{Directory, Owner};

/// The line that is written first.
const FORM: &str = "left 1\n";

/// The longest file, in bytes: two rosters of some 40,000 shifts each.
const LONGEST: u64 = 16 * 1024 * 1024;

/// How the line begins that says of which roster.
const ROSTER: &str = "roster ";

fn beside(path: &Path) -> PathBuf {
    path.with_extension("left")
}

/// What is left out of the roster at `path` that was published at `published`. What others could have written or is not
/// understood is as none.
pub(super) fn read(directory: &Directory, path: &Path, published: Timestamp) -> Vec<LeftOut> {
    let text = section(directory, path, published);
    text.and_then(|text| text.lines().collect::<Vec<_>>().split_first().map(|(_, lines)| parse(lines)))
        .flatten()
        .unwrap_or_default()
}

/// What the file says of that roster, as it is.
fn section(directory: &Directory, path: &Path, published: Timestamp) -> Option<String> {
    let text = directory.read(&beside(path), Owner::Service, LONGEST).ok()?;
    let text = std::str::from_utf8(&text).ok()?.strip_prefix(FORM)?;
    let head = format!("{ROSTER}{published}\n");
    let begins = if text.starts_with(&head) { 0 } else { text.find(&format!("\n{head}"))? + 1 };
    let rest = text.get(begins..)?;
    let ends = rest.find(&format!("\n{ROSTER}")).map_or(rest.len(), |end| end + 1);
    rest.get(..ends).map(str::to_string)
}

/// Keeps beside the roster at `path` what is left out of the one of `published` that takes its place, and what is said of
/// the one that stands, published at `standing`.
///
/// # Errors
/// It could not be written.
pub(super) fn add(
    path: &Path,
    (standing, published): (impl FnOnce() -> Option<Timestamp>, Timestamp),
    left: &[LeftOut],
) -> Result<(), PublishError> {
    let standing = if beside(path).exists() { standing() } else { None };
    let before = standing.filter(|standing| *standing != published).and_then(|standing| {
        let directory = Directory::of(path).ok()?;
        section(&directory, path, standing)
    });
    match (before, left) {
        (None, []) => Ok(()),
        (before, left) => put(path, &format!("{}{}", before.unwrap_or_default(), text(published, left))),
    }
}

/// Keeps what is left out of the roster at `path`, published at `published`, and nothing else.
///
/// # Errors
/// It could not be written, or removed.
pub(super) fn write(path: &Path, published: Timestamp, left: &[LeftOut]) -> Result<(), PublishError> {
    if !left.is_empty() {
        return put(path, &text(published, left));
    }
    let file = beside(path);
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::write(&file, error)),
        _ => Ok(()),
    }
}

fn put(path: &Path, text: &str) -> Result<(), PublishError> {
    let file = beside(path);
    if (FORM.len() + text.len()) as u64 > LONGEST {
        return Err(PublishError::write(&file, "too many shifts are left out"));
    }
    publish::replace(&file, 0o644, |temporary| fs::write(temporary, format!("{FORM}{text}")))
}

fn text(published: Timestamp, left: &[LeftOut]) -> String {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = format!("{ROSTER}{published}\n");
    for one in left {
        let next = numbers.len() + 1;
        if !one.by.contains('\n') && !numbers.contains_key(one.by.as_str()) {
            numbers.insert(&one.by, next);
            text.push_str(&format!("by {next} {}\n", one.by));
        }
    }
    for one in left {
        let LeftOut { schedule: ScheduleRef { source, id }, principal, level, shift, from, by, why } = one;
        // A name that would end the line is of no rota that is read.
        let is_plain = !id.contains('\n') && !source.contains([' ', '\n']);
        if let Some(by) = numbers.get(by.as_str()).filter(|_| is_plain) {
            let (start, end, why) = (shift.start(), shift.end(), why.word());
            text.push_str(&format!("{principal} {level} {start} {end} {from} {why} {by} {source} {id}\n"));
        }
    }
    text
}

fn parse(lines: &[&str]) -> Option<Vec<LeftOut>> {
    let (mut files, mut left) = (Vec::new(), Vec::new());
    for line in lines {
        match line.strip_prefix("by ").and_then(|rest| rest.split_once(' ')) {
            Some((number, file)) if number.parse() == Ok(files.len() + 1) && left.is_empty() => {
                files.push(file.to_string());
            }
            _ => left.push(parse_line(line, &files)?),
        }
    }
    Some(left)
}

fn parse_line(line: &str, files: &[String]) -> Option<LeftOut> {
    let mut words = line.splitn(9, ' ');
    let principal = Principal::new(words.next()?).ok()?;
    let level = words.next()?.parse().ok()?;
    let mut instant = || match words.next()? {
        "always" => Some(Timestamp::MIN),
        "never" => Some(Timestamp::MAX),
        text => Timestamp::parse(text),
    };
    let (start, end, from) = (instant()?, instant()?, instant()?);
    let why = LeftBy::of_word(words.next()?)?;
    let by = files.get(words.next()?.parse::<usize>().ok()?.checked_sub(1)?)?.clone();
    let (source, id) = (words.next()?.to_string(), words.next()?.to_string());
    let shift = Window::new(start, end).filter(|shift| shift.start() <= from && from < shift.end())?;
    Some(LeftOut { schedule: ScheduleRef { source, id }, principal, level, shift, from, by, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn left(person: &str, start: Timestamp, from: Timestamp, by: &str) -> LeftOut {
        LeftOut {
            schedule: ScheduleRef { source: "pd".into(), id: "Database primary".into() },
            principal: Principal::new(person).unwrap(),
            level: 2,
            shift: Window::new(start, at(7_200)).unwrap(),
            from,
            by: by.to_string(),
            why: if start == from { LeftBy::Verdict } else { LeftBy::Length },
        }
    }

    fn two() -> [LeftOut; 2] {
        let by = "/etc/authkeys/a file.rego";
        [left("alice", at(0), at(0), "/etc/authkeys/db.rego"), left("bob", Timestamp::MIN, at(60), by)]
    }

    #[test]
    fn it_is_said_of_one_roster() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let read = |published| super::read(&Directory::of(&path).unwrap(), &path, published);
        assert_eq!(read(at(0)), []);
        let one = &two()[..1];
        add(&path, (|| None, at(0)), one).unwrap();
        assert_eq!((read(at(0)).as_slice(), read(at(1))), (one, vec![]));
        // Until the roster has taken the place of the one before, it is said of both.
        add(&path, (|| Some(at(0)), at(1)), &two()).unwrap();
        assert_eq!((read(at(0)).as_slice(), read(at(1))), (one, two().to_vec()));
        write(&path, at(1), &two()).unwrap();
        assert_eq!((read(at(0)), read(at(1))), (vec![], two().to_vec()));
        add(&path, (|| Some(at(1)), at(2)), &[]).unwrap();
        assert_eq!((read(at(1)), read(at(2))), (two().to_vec(), vec![]));
        write(&path, at(2), &[]).unwrap();
        assert!(!beside(&path).exists());
        add(&path, (|| Some(at(2)), at(3)), &[]).unwrap();
        write(&path, at(3), &[]).unwrap();
        assert!(!beside(&path).exists());
    }

    #[test]
    fn what_is_not_as_it_is_written_says_nothing() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let read = || super::read(&Directory::of(&path).unwrap(), &path, at(1));
        write(&path, at(1), &two()).unwrap();
        assert_eq!(read(), two());
        let text = fs::read_to_string(beside(&path)).unwrap();
        for (old, new) in [
            ("left 1", "left 2"),
            ("by 1", "by 3"),
            (" verdict ", " other "),
            (" pd Database primary", ""),
            ("alice 2 ", "alice x "),
            ("by 1 /etc/authkeys/db.rego\n", ""),
        ] {
            assert!(text.contains(old), "{old}");
            fs::write(beside(&path), text.replace(old, new)).unwrap();
            assert_eq!(read(), [], "{old}");
        }
    }

    #[test]
    fn a_name_that_would_end_the_line_is_left_out_of_it() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        let mut forged = two();
        forged[0].schedule.id = "x\nroster 2026-01-01T00:00:00Z".into();
        write(&path, at(1), &forged).unwrap();
        assert_eq!(super::read(&Directory::of(&path).unwrap(), &path, at(1)), forged[1..]);
    }
}
