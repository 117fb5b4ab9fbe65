//! The entity tag under which each url of the store had the head that this host has: what `If-None-Match` sends.
//!
//! A tag is of use only for that head. One of a head that was refused would hide the next good answer, so none is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use fleet::Digest;
use publish::PublishError;

use super::read_own;

/// How the first line begins that is written.
const FORM: &str = "etags 1";

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// Tags by url, all of one head document; and those that urls show meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    document: Digest,
    by_url: BTreeMap<String, String>,
    seen: Vec<(String, Digest, Option<String>)>,
}

impl Tags {
    /// None, of the head with this document.
    fn none(document: Digest) -> Self {
        Self { document, by_url: BTreeMap::new(), seen: Vec::new() }
    }

    /// Those at `path`, if they are of `document`.
    pub fn read(path: &Path, document: Digest) -> Self {
        let tags = read_own(path, LARGEST).and_then(|text| Self::parse(&text));
        tags.filter(|tags| tags.document == document).unwrap_or_else(|| Self::none(document))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let document = lines.next()?.strip_prefix(FORM)?.strip_prefix(' ')?.parse().ok()?;
        // A url has no blank in it; a tag may.
        let line = |line: &str| line.split_once(' ').map(|(url, tag)| (url.to_string(), tag.to_string()));
        Some(Self { by_url: lines.map(line).collect::<Option<_>>()?, ..Self::none(document) })
    }

    /// The tag of `url`.
    pub fn get(&self, url: &str) -> Option<&str> {
        self.by_url.get(url).map(String::as_str)
    }

    /// `url` has sent this document, under this tag.
    pub fn see(&mut self, url: &str, document: Digest, tag: Option<String>) {
        self.seen.push((url.to_string(), document, tag));
    }

    /// The tags of `document`, which is taken; `None`: they are as they were.
    pub fn of(&self, document: Digest) -> Option<Self> {
        let mut now = Self::none(document);
        if document == self.document {
            now.by_url.clone_from(&self.by_url);
        }
        for (url, _, tag) in self.seen.iter().filter(|(_, seen, _)| *seen == document) {
            match tag {
                Some(tag) => now.by_url.insert(url.clone(), tag.clone()),
                None => now.by_url.remove(url),
            };
        }
        (now.document != self.document || now.by_url != self.by_url).then_some(now)
    }

    /// Writes them at `path`.
    ///
    /// # Errors
    /// They could not be written.
    pub fn write(&self, path: &Path) -> Result<(), PublishError> {
        publish::replace(path, 0o640, |temporary| fs::write(temporary, self.to_string()))
    }
}

impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM} {}", self.document)?;
        self.by_url.iter().try_for_each(|(url, tag)| writeln!(f, "{url} {tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_byte_for_byte_and_of_one_head_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, head, next) = (directory.path().join("etags"), Digest::of(b"head"), Digest::of(b"next"));
        let mut tags = Tags::read(&path, head);
        assert_eq!((tags.get("https://a/x"), tags.of(head)), (None, None));
        let odd = "W/\"5f-1a b\"";
        tags.see("https://a/x", head, Some(odd.to_string()));
        tags.see("https://b/x", next, Some("\"1\"".to_string()));
        let of_head = tags.of(head).unwrap();
        assert_eq!((of_head.get("https://a/x"), of_head.get("https://b/x")), (Some(odd), None));
        assert_eq!(tags.of(next).unwrap().get("https://b/x"), Some("\"1\""));
        of_head.write(&path).unwrap();
        let mut again = Tags::read(&path, head);
        assert_eq!((again.get("https://a/x"), again.of(head)), (Some(odd), None));
        again.see("https://a/x", head, None);
        assert_eq!(again.of(head).unwrap().get("https://a/x"), None);
        assert_eq!(Tags::read(&path, next).get("https://a/x"), None);
        for wrong in ["", "etags 2 x\n", "etags 1 x\n", &format!("{of_head}x\n")] {
            fs::write(&path, wrong).unwrap();
            assert_eq!(Tags::read(&path, head), Tags::none(head), "{wrong:?}");
        }
    }
}
