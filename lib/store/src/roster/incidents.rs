//! What is known of incidents: kept beside the roster, a line for each service that was read, and for each incident.
//!
//! ```text
//! incidents 1
//! read pd PSVC1 2026-11-30T03:05:00Z
//! incident pd PSVC1 Q1ABC 2026-11-30T02:58:10Z - -
//! incident pd PSVC1 Q0XYZ 2026-11-30T01:10:00Z 2026-11-30T02:05:00Z alice
//! ```
//!
//! Source, service, and when it was read; source, service, id, when it was opened and closed, and who opened it by hand. It
//! is as old as it says, whatever the age of the roster. A reader of an earlier release does not know the file, nor any rule
//! that needs it. What cannot be read says that nothing is known.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use policy::{Incident, Incidents, Principal, Timestamp};
use publish::PublishError;
use trust::{Directory, Owner};

/// The line that is written first.
const FORM: &str = "incidents 1";

/// The longest file, in bytes: some five thousand incidents. Every decision by a rule that waits for one reads it.
const LONGEST: usize = 512 * 1024;

/// Where it is kept of the roster at `path`.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("incidents")
}

/// What is known beside the roster at `path`. What others could have written or is not understood is as nothing.
pub(super) fn read(directory: &Directory, path: &Path) -> Incidents {
    let text = directory.read(&beside(path), Owner::Service, LONGEST as u64);
    text.ok().and_then(|text| parse(std::str::from_utf8(&text).ok()?)).unwrap_or_default()
}

/// Keeps it beside the roster at `path`; who may read that may read this.
///
/// # Errors
/// It could not be written, or removed, or is longer than what is read.
pub(super) fn write(path: &Path, known: &Incidents) -> Result<(), PublishError> {
    let file = beside(path);
    if known.0.is_empty() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::write(&file, error)),
            _ => Ok(()),
        };
    }
    let text = text(known).ok_or_else(|| PublishError::write(&file, "a name has a blank in it"))?;
    if text.len() > LONGEST {
        return Err(PublishError::write(&file, "too many incidents; name fewer services"));
    }
    publish::replace(&file, 0o644, |temporary| fs::write(temporary, &text))
}

/// Nothing, where a name would end a word.
fn text(known: &Incidents) -> Option<String> {
    let mut text = format!("{FORM}\n");
    for (source, told) in &known.0 {
        for (service, read) in &told.read {
            let _ = writeln!(text, "read {} {} {read}", word(source)?, word(service)?);
        }
        for Incident { service, id, opened, closed, by } in &told.incidents {
            let closed = closed.map_or("-".to_string(), |closed| closed.to_string());
            let by = by.as_ref().map_or("-", Principal::as_str);
            let (source, service, id) = (word(source)?, word(service)?, word(id)?);
            let _ = writeln!(text, "incident {source} {service} {id} {opened} {closed} {by}");
        }
    }
    Some(text)
}

/// A name that is one word.
fn word(text: &str) -> Option<&str> {
    let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then_some(text)
}

fn parse(text: &str) -> Option<Incidents> {
    let lines = text.strip_prefix(FORM)?.strip_prefix('\n')?.strip_suffix('\n')?;
    let mut known = Incidents::default();
    for line in lines.split('\n') {
        parse_line(line, &mut known)?;
    }
    for told in known.0.values_mut() {
        told.incidents.sort();
        told.incidents.dedup();
    }
    Some(known)
}

fn parse_line(line: &str, known: &mut Incidents) -> Option<()> {
    let mut words = line.split(' ');
    let (kind, source, service) = (words.next()?, word(words.next()?)?, word(words.next()?)?);
    let told = known.0.entry(source.to_string()).or_default();
    match kind {
        "read" => _ = told.read.insert(service.to_string(), Timestamp::parse(words.next()?)?),
        "incident" => {
            let id = word(words.next()?)?.to_string();
            let opened = Timestamp::parse(words.next()?)?;
            let closed = match words.next()? {
                "-" => None,
                text => Some(Timestamp::parse(text)?),
            };
            let by = match words.next()? {
                // No person is called so.
                "-" => None,
                name => Some(Principal::new(name).ok()?),
            };
            told.incidents.push(Incident { service: service.to_string(), id, opened, closed, by });
        }
        _ => return None,
    }
    words.next().is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn incident(id: &str, opened: i64, by: Option<&str>) -> Incident {
        let by = by.map(|name| Principal::new(name).unwrap());
        Incident { service: "PSVC1".into(), id: id.into(), opened: at(opened), closed: None, by }
    }

    fn known() -> Incidents {
        let mut known = Incidents::default();
        let services = ["PSVC1".to_string(), "PSVC2".to_string()];
        let first = vec![incident("Q1", -60, None), incident("Q2", -30, Some("alice"))];
        known.tell(("pd", &services), first, at(0), at(0));
        known.tell(("pd", &services), vec![incident("Q1", -60, None)], at(300), at(300));
        known.tell(("other", &["web".to_string()]), Vec::new(), at(300), at(300));
        known
    }

    fn read_at(path: &Path) -> Incidents {
        read(&Directory::of(path).unwrap(), path)
    }

    #[test]
    fn a107_what_is_written_is_read() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        assert_eq!(read_at(&path), Incidents::default());
        write(&path, &known()).unwrap();
        assert_eq!(read_at(&path), known());
        let text = fs::read_to_string(beside(&path)).unwrap();
        assert!(
            text.contains("incident pd PSVC1 Q2 2026-11-20T08:59:30Z 2026-11-20T09:05:00Z alice\n"),
            "{text}"
        );
        write(&path, &Incidents::default()).unwrap();
        assert!(!beside(&path).exists());
    }

    #[test]
    fn a107_what_is_not_as_it_is_written_says_that_nothing_is_known() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        write(&path, &known()).unwrap();
        let good = fs::read_to_string(beside(&path)).unwrap();
        for wrong in [
            String::new(),
            "incidents 1\n".to_string(),
            good.replace("incidents 1", "incidents 2"),
            good.trim_end().to_string(),
            good.replace(" alice", ""),
            good.replace(" alice", " Alice!"),
            good.replace("read other", "heard other"),
            good.replace(" alice", " alice bob"),
            good.replace("2026-11-20T08:59:30Z", "yesterday"),
            format!("{good}\n"),
            "x".repeat(LONGEST + 1),
        ] {
            fs::write(beside(&path), &wrong).unwrap();
            assert_eq!(read_at(&path), Incidents::default(), "{wrong:?}");
        }
    }

    #[test]
    fn a107_what_would_not_be_read_is_not_written_and_what_was_kept_stays() {
        let directory = crate::scratch();
        let path = directory.path().join("roster.db");
        write(&path, &known()).unwrap();
        let kept = fs::read(beside(&path)).unwrap();
        let mut forged = known();
        let line = incident("Q9 2026-11-20T08:59:30Z - -\nread pd PSVC3", 0, None);
        forged.tell(("pd", &["PSVC1".to_string()]), vec![line], at(0), at(0));
        write(&path, &forged).unwrap_err();
        let mut many = known();
        let services: Vec<String> = (0..20_000).map(|number| format!("PSVC{number}")).collect();
        many.tell(("pd", &services), Vec::new(), at(0), at(0));
        write(&path, &many).unwrap_err();
        assert_eq!(fs::read(beside(&path)).unwrap(), kept);
    }
}
