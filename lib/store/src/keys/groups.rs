//! keys.groups beside keys.db: groups in the eligible group that are not followed, one DN a line.
//!
//! For `oncall-cache doctor`, which speaks no LDAP; nothing that decides reads it. There is no file where there are none.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use trust::Owner;

use crate::StoreError;
use crate::publish::replace;

/// The most bytes of it that are read.
const LARGEST: u64 = 64 * 1024;

fn groups_path(path: &Path) -> PathBuf {
    path.with_extension("groups")
}

/// Notes the `groups` that the sync of the copy at `path` has seen.
pub fn note_groups(path: &Path, groups: &[String]) -> Result<(), StoreError> {
    let file = groups_path(path);
    if groups.is_empty() {
        return match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::write(&file, error)),
            _ => Ok(()),
        };
    }
    let line = |dn: &String| dn.replace(|letter: char| letter.is_control(), "?") + "\n";
    let text: String = groups.iter().map(line).collect();
    if trust::read(&file, Owner::Service, LARGEST).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    replace(&file, 0o640, |temporary| fs::write(temporary, text).map_err(|error| error.to_string()))
}

/// The groups that the last sync of the copy at `path` has seen; none if that cannot be told.
pub fn noted_groups(path: &Path) -> Vec<String> {
    let text = trust::read(&groups_path(path), Owner::Service, LARGEST).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_until_there_is_none() {
        let directory = crate::scratch();
        let path = directory.path().join("keys.db");
        let seen = ["cn=a,dc=x".to_string(), "cn=b\nc".to_string()];
        note_groups(&path, &seen).unwrap();
        note_groups(&path, &seen).unwrap();
        assert_eq!(noted_groups(&path), ["cn=a,dc=x", "cn=b?c"]);
        note_groups(&path, &[]).unwrap();
        note_groups(&path, &[]).unwrap();
        assert!(noted_groups(&path).is_empty());
    }
}
