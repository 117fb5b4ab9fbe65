//! What a log server has collected: files below a directory, whatever their names, in whatever order.
//!
//! Who sent a line is what the server says of it: the directory that the file is in, or, for files that lie in the
//! directory itself, the one word before the record. Of what the host itself wrote nothing is believed here.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::lines::{Read, read_line};

/// The most directories below each other.
const DEEPEST: usize = 8;

/// How files begin that are compressed, and are read by gzip or not at all.
const GZIP: &[u8] = b"\x1f\x8b";
const OTHERS: [&[u8]; 3] = [b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh"];

/// One line, and who sent it, as far as the log server says.
pub struct Line<'a> {
    pub sender: Option<&'a str>,
    /// The record, with nothing before it; `None`: it is too long, or no text.
    pub text: Option<&'a str>,
}

/// Calls `take` with each line of each file below `directory`; what cannot be read is a gap.
///
/// # Errors
/// Text that says why the directory itself cannot be read.
pub fn each(directory: &Path, gaps: &mut Vec<String>, mut take: impl FnMut(Line<'_>)) -> Result<(), String> {
    walk(directory, None, DEEPEST, gaps, &mut take)
}

fn walk(
    directory: &Path,
    sender: Option<&str>,
    depth: usize,
    gaps: &mut Vec<String>,
    take: &mut impl FnMut(Line<'_>),
) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut entries =
        std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(problem)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(problem)?;
        let outcome = if kind.is_file() {
            read(&path, sender, take)
        } else if kind.is_dir() && depth > 0 {
            walk(&path, entry.file_name().to_str(), depth - 1, gaps, take)
        } else {
            Err(format!("{}: not read: neither a file nor a directory", path.display()))
        };
        gaps.extend(outcome.err());
    }
    Ok(())
}

fn read(path: &Path, sender: Option<&str>, take: &mut impl FnMut(Line<'_>)) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("{}: {error}", path.display());
    let mut plain = BufReader::new(File::open(path).map_err(problem)?);
    let begin = plain.fill_buf().map_err(problem)?;
    if OTHERS.iter().any(|other| begin.starts_with(other)) {
        return Err(format!("{}: not read: compressed, and not by gzip", path.display()));
    }
    if !begin.starts_with(GZIP) {
        return lines(plain, sender, take).map_err(problem);
    }
    let mut file = plain.into_inner();
    file.rewind().map_err(problem)?;
    let mut child = gunzip(file).map_err(|error| format!("{}: gzip: {error}", path.display()))?;
    let read = child.stdout.take().map_or(Ok(()), |output| lines(BufReader::new(output), sender, take));
    let status = child.wait().map_err(problem)?;
    read.map_err(problem)?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{}: gzip cannot read it to its end", path.display()))
}

/// Every system has it, and no program of ours needs a library of its own for it.
fn gunzip(file: File) -> std::io::Result<Child> {
    let mut command = Command::new("gzip");
    command.arg("-dc").stdin(file).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

fn lines(
    mut reader: impl BufRead,
    sender: Option<&str>,
    take: &mut impl FnMut(Line<'_>),
) -> std::io::Result<()> {
    let mut line = Vec::new();
    loop {
        match read_line(&mut reader, &mut line)? {
            Read::End => return Ok(()),
            Read::Line if line.is_empty() => {}
            Read::Line => take(split(std::str::from_utf8(&line).ok(), sender)),
            Read::TooLong => take(Line { sender, text: None }),
        }
    }
}

/// What the server put before the record, and the record.
fn split<'a>(line: Option<&'a str>, sender: Option<&'a str>) -> Line<'a> {
    let Some((named, text)) = line.and_then(record::collected) else {
        return Line { sender, text: None };
    };
    Line { sender: sender.or(named), text: Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read_all(directory: &Path) -> (Vec<String>, Vec<String>) {
        let (mut gaps, mut all) = (Vec::new(), Vec::new());
        each(directory, &mut gaps, |line| {
            all.push(format!("{} {}", line.sender.unwrap_or("-"), line.text.unwrap_or("-")));
        })
        .unwrap();
        (all, gaps)
    }

    #[test]
    fn the_sender_is_who_the_log_server_says() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("all", "{1}\n2026-11-20T09:00:00.5+01:00 db1 {2} {3}\n db2 {4}\ndb1 db2 {7}\nno record\n\n");
        put("2026/db1/x.log", "{5}\nweb1 {6}\n");
        let (all, gaps) = read_all(directory.path());
        assert_eq!(all, ["db1 {5}", "db1 {6}", "- {1}", "db1 {2} {3}", "db2 {4}", "- {7}", "- -"]);
        assert_eq!(gaps, [""; 0]);
        assert!(each(&directory.path().join("none"), &mut Vec::new(), |_| {}).is_err());
    }

    #[test]
    fn what_is_compressed_is_read_by_gzip_and_what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "{1}\n".repeat(10_000)).unwrap();
        assert!(Command::new("gzip").arg(path("a")).status().unwrap().success());
        let whole = fs::read(path("a.gz")).unwrap();
        assert_eq!(read_all(directory.path()), (vec!["- {1}".to_string(); 10_000], Vec::new()));
        fs::write(path("a.gz"), &whole[..whole.len() - 9]).unwrap();
        fs::write(path("b"), b"\xfd7zXZ\0").unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("c")).unwrap();
        let (_, gaps) = read_all(directory.path());
        let ends = [
            "a.gz: gzip cannot read it to its end",
            "b: not read: compressed, and not by gzip",
            "c: not read: neither a file nor a directory",
        ];
        assert!(gaps.len() == 3 && gaps.iter().zip(ends).all(|(gap, end)| gap.ends_with(end)), "{gaps:?}");
    }
}
