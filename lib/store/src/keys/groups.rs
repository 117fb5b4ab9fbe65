//! keys.groups beside keys.db: groups in the eligible group of which the administrator should know, one a line.
//!
//! A line is a word, what is the matter, and a DN. For `oncall-cache doctor`, which speaks no LDAP; nothing that decides reads
//! it. There is no file where there are none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use publish::replace;
use trust::Owner;

use crate::StoreError;

/// The most bytes of it that are read.
const LARGEST: u64 = 64 * 1024;

/// Groups in the eligible group that do not give what they seem to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InnerGroups {
    /// They are not followed: people who are only in these are not eligible.
    pub unfollowed: Vec<String>,
    /// They are followed and show no member: they have none, or we may not see them.
    pub empty: Vec<String>,
}

impl InnerGroups {
    /// The word for groups that are not followed.
    const UNFOLLOWED: &'static str = "unfollowed ";
    /// The word for groups that show no member.
    const EMPTY: &'static str = "empty ";

    fn write(&self) -> String {
        let line = |word: &str, dn: &String| {
            format!("{word}{}\n", dn.replace(|letter: char| letter.is_control(), "?"))
        };
        let unfollowed = self.unfollowed.iter().map(|dn| line(Self::UNFOLLOWED, dn));
        unfollowed.chain(self.empty.iter().map(|dn| line(Self::EMPTY, dn))).collect()
    }

    fn read(text: &str) -> Self {
        let of = |word| text.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_string).collect();
        Self { unfollowed: of(Self::UNFOLLOWED), empty: of(Self::EMPTY) }
    }
}

fn groups_path(path: &Path) -> PathBuf {
    path.with_extension("groups")
}

/// Notes the `groups` that the sync of the copy at `path` has seen.
pub fn note_groups(path: &Path, groups: &InnerGroups) -> Result<(), StoreError> {
    let file = groups_path(path);
    let text = groups.write();
    if text.is_empty() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::write(&file, error)),
            _ => Ok(()),
        };
    }
    if trust::read(&file, Owner::Service, LARGEST).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    Ok(replace(&file, 0o640, |temporary| fs::write(temporary, text))?)
}

/// The groups that the last sync of the copy at `path` has seen; none if that cannot be told.
pub fn noted_groups(path: &Path) -> InnerGroups {
    let text = trust::read(&groups_path(path), Owner::Service, LARGEST).unwrap_or_default();
    InnerGroups::read(&String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_until_there_is_none() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let dns = |dns: &[&str]| dns.iter().map(ToString::to_string).collect::<Vec<_>>();
        let seen = InnerGroups { unfollowed: dns(&["cn=a,dc=x", "cn=b\nc"]), empty: dns(&["cn=d,dc=x"]) };
        note_groups(&path, &seen).unwrap();
        note_groups(&path, &seen).unwrap();
        let read = InnerGroups { unfollowed: dns(&["cn=a,dc=x", "cn=b?c"]), ..seen };
        assert_eq!(noted_groups(&path), read);
        note_groups(&path, &InnerGroups::default()).unwrap();
        note_groups(&path, &InnerGroups::default()).unwrap();
        assert_eq!(noted_groups(&path), InnerGroups::default());
    }
}
