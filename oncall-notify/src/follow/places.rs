//! Which files are followed: files by name, names with `*` in them, and whole directories.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::MOST_FILES;

/// The most directories below each other.
const DEEPEST: usize = 8;

/// How files end that another program has compressed; what was in them was read before.
const COMPRESSED: [&str; 4] = [".gz", ".xz", ".zst", ".bz2"];

/// A file that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    pub inode: u64,
    /// Its length, in bytes.
    pub length: u64,
    /// When it was written last, in seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Who sent what is in it, if its directory says so.
    pub sender: Option<String>,
    /// Has it another name than those that are followed?
    pub is_renamed: bool,
}

/// The files that `sources` name, each once; what cannot be looked at is a problem, in words.
pub fn find(sources: &[PathBuf], problems: &mut Vec<String>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for source in sources {
        let mut paths = vec![PathBuf::from("/")];
        let mut is_pattern = false;
        for component in source.components() {
            let Component::Normal(name) = component else { continue };
            let name = name.to_string_lossy();
            if name.contains('*') {
                is_pattern = true;
                paths = paths.iter().flat_map(|path| matching(path, &name)).collect();
            } else {
                paths = paths.into_iter().map(|path| path.join(&*name)).collect();
            }
        }
        for path in paths {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => below(&path, None, DEEPEST, &mut found, problems),
                Ok(metadata) if metadata.is_file() => {
                    let sender = if is_pattern { directory_name(&path) } else { None };
                    found.push(file(path, &metadata, sender));
                }
                Ok(_) => {
                    problems.push(format!("{}: neither a file nor a directory, not followed", path.display()))
                }
                // It may not be there yet.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => problems.push(format!("{}: {error}", path.display())),
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found.dedup_by(|left, right| left.inode == right.inode && left.path == right.path);
    if found.len() > MOST_FILES {
        problems.push(format!("{} files are more than the {MOST_FILES} that are followed", found.len()));
        found.truncate(MOST_FILES);
    }
    found
}

/// The directories in which something new shows: of each source, and what its stars stand for.
pub fn directories(sources: &[PathBuf], found: &[Found]) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for file in found {
        all.extend(file.path.parent().map(Path::to_path_buf));
    }
    for source in sources {
        let before: PathBuf = source
            .components()
            .take_while(|part| !part.as_os_str().to_string_lossy().contains('*'))
            .collect();
        all.extend(before.ancestors().find(|path| path.is_dir()).map(Path::to_path_buf));
    }
    all.sort();
    all.dedup();
    all
}

/// The files of one directory.
pub fn files_of(directory: &Path) -> Vec<Found> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some(file(entry.path(), &metadata, None))
        })
        .collect()
}

fn file(path: PathBuf, metadata: &fs::Metadata, sender: Option<String>) -> Found {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    Found { path, inode: metadata.ino(), length: metadata.len(), modified, sender, is_renamed: false }
}

/// The files in groups that are each read in the order in which they were written: of one sender's directory all, of
/// others those whose names differ in what rotation adds. What was renamed comes first.
pub fn in_order(files: Vec<(usize, Found)>) -> Vec<Vec<(usize, Found)>> {
    let mut groups: BTreeMap<(PathBuf, String), Vec<(usize, Found)>> = BTreeMap::new();
    for (number, file) in files {
        let directory = file.path.parent().unwrap_or(Path::new("/")).to_path_buf();
        let name = match &file.sender {
            Some(_) => String::new(),
            None => before_rotation(&file.path.file_name().unwrap_or_default().to_string_lossy()),
        };
        groups.entry((directory, name)).or_default().push((number, file));
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by(|(_, left), (_, right)| {
            let key = |file: &Found| (!file.is_renamed, file.modified);
            key(left).cmp(&key(right)).then_with(|| left.path.cmp(&right.path))
        });
    }
    groups
}

/// A name without what rotation puts behind it: `log.1`, `log-20261130`.
fn before_rotation(name: &str) -> String {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let cut = stem.strip_suffix(['.', '-']).filter(|cut| stem.len() < name.len() && !cut.is_empty());
    cut.unwrap_or(name).to_string()
}

fn directory_name(path: &Path) -> Option<String> {
    Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
}

fn below(
    directory: &Path,
    sender: Option<&str>,
    depth: usize,
    found: &mut Vec<Found>,
    problems: &mut Vec<String>,
) {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return problems.push(format!("{}: {error}", directory.display())),
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && depth > 0 {
            below(&path, Some(&name), depth - 1, found, problems);
        } else if metadata.is_file()
            && found.len() <= MOST_FILES
            && !COMPRESSED.iter().any(|end| name.ends_with(end))
        {
            found.push(file(path, &metadata, sender.map(str::to_string)));
        }
    }
}

/// What in `directory` has a name that `pattern` stands for; names that begin with a point it does not.
fn matching(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let fits = |name: &str| !name.starts_with('.') && is_match(pattern, name);
    entries.filter(|entry| fits(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
}

/// `*` stands for any letters.
fn is_match(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.get(at..).is_some_and(|rest| is_match(after, rest)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name, fits) in [
            ("*", "db1", true),
            ("*.jsonl", "decisions.jsonl", true),
            ("*.jsonl", "decisions.jsonl.1", false),
            ("db*-*x", "db1-2x", true),
            ("db*", "web1", false),
        ] {
            assert_eq!(is_match(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn older_files_of_one_sender_come_first() {
        let file = |path: &str, second: i64, sender: Option<&str>, is_renamed: bool| {
            let sender = sender.map(str::to_string);
            (0, Found { path: path.into(), inode: 1, length: 1, modified: (second, 0), sender, is_renamed })
        };
        let groups = in_order(vec![
            file("/r/a/x.jsonl", 9, Some("a"), false),
            file("/r/a/w.jsonl", 8, Some("a"), false),
            file("/r/log", 9, None, false),
            file("/r/log-20261130", 9, None, true),
            file("/r/log.2", 7, None, false),
            file("/r/other.jsonl", 1, None, false),
        ]);
        let shown: Vec<Vec<String>> = groups
            .iter()
            .map(|group| group.iter().map(|(_, file)| file.path.display().to_string()).collect())
            .collect();
        let (log, other) = (vec!["/r/log-20261130", "/r/log.2", "/r/log"], vec!["/r/other.jsonl"]);
        assert_eq!(shown, [log, other, vec!["/r/a/w.jsonl", "/r/a/x.jsonl"]]);
    }

    #[test]
    fn directories_and_patterns_say_who_sent_it() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x\n").unwrap();
        };
        let names = ["10.0.0.7/decisions.jsonl", "10.0.0.8/decisions.jsonl", "10.0.0.8/old.gz", "own.jsonl"];
        names.iter().for_each(|name| put(name));
        let look = |source: &str| {
            let mut problems = Vec::new();
            let found = find(&[root.path().join(source)], &mut problems);
            assert_eq!(problems, [""; 0]);
            let shown = found.iter().map(|file| {
                let name = file.path.strip_prefix(root.path()).unwrap().display().to_string();
                format!("{name} {}", file.sender.as_deref().unwrap_or("-"))
            });
            shown.collect::<Vec<_>>()
        };
        let both = ["10.0.0.7/decisions.jsonl 10.0.0.7", "10.0.0.8/decisions.jsonl 10.0.0.8"];
        assert_eq!(look("*/decisions.jsonl"), both);
        assert_eq!(look(""), [both[0], both[1], "own.jsonl -"]);
        assert_eq!(look("own.jsonl"), ["own.jsonl -"]);
        assert_eq!(look("nothing/*"), [""; 0]);
    }
}
