//! `key new`: a key to sign with, and the line by which hosts know it.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use host::accounts;
use host::said::{CANNOT_TELL, Said};
use nix::unistd::Group;
use signed::{Purpose, Signer, Signers, SigningKey, SigningKeyError};
use trust::Refusal;

use crate::config::{Config, signers_beside};

/// Why there is no new key.
#[derive(Debug)]
pub enum KeyError {
    /// There is a file of this name.
    Exists(PathBuf),
    /// It cannot be written; what failed.
    Write(PathBuf, io::Error),
    /// There is no such group.
    Group(String),
    /// This is no name of a signer.
    Name(String),
    /// Another key has this name, in this list. One signer has one name, and one collector too: two that share it would take
    /// each other's publications for their own.
    Taken(String, PathBuf),
    /// Which names are taken cannot be read.
    List(Refusal),
    /// The kernel gave no random bytes.
    Random(getrandom::Error),
    /// The key could not be made.
    Key(SigningKeyError),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => {
                write!(f, "{} is there already, and is not replaced; name another file", path.display())
            }
            Self::Write(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Group(group) => {
                write!(f, "no group `{group}` here; name the one that `publish` runs as: --group")
            }
            Self::Name(name) => write!(
                f,
                "`{name}` is no name of a signer; give one of letters, digits and . _ + @ -: --name"
            ),
            Self::Taken(name, list) => write!(
                f,
                "{} lists another key of `{name}`, and keys of one name count as one signer; give another: --name",
                list.display()
            ),
            Self::List(refusal) => write!(f, "which names are taken cannot be read: {refusal}"),
            Self::Random(error) => write!(f, "no random numbers: {error}"),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeyError {}

/// Writes a new key to `file`, for `group` to read, and says the line of `name`, or of this host. The list that the
/// configuration names says which names are taken.
pub fn run(config: &Path, file: &Path, name: Option<&str>, group: &str) -> Said {
    let list = Config::load(config).map_or_else(|_| signers_beside(config), |config| config.signers);
    match named(name, &list).and_then(|name| make(file, &name, group)) {
        Ok(line) => Said::text(line),
        Err(error) => Said::failure(CANNOT_TELL, &error),
    }
}

/// Who signs with the new key.
fn named(asked: Option<&str>, list: &Path) -> Result<String, KeyError> {
    let signers = match mirror::read_signers(list) {
        Ok((signers, _)) => signers,
        Err(refusal) if refusal.is_missing() => Signers::default(),
        Err(refusal) => return Err(KeyError::List(refusal)),
    };
    let is_taken = |name: &str| signers.iter().any(|signer| signer.name == name);
    match asked {
        Some(name) if is_taken(name) => Err(KeyError::Taken(name.to_string(), list.to_path_buf())),
        Some(name) => Ok(name.to_string()),
        None => {
            let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
            Ok(free(&host.unwrap_or_default(), is_taken))
        }
    }
}

/// `name`, or with the first number behind it that nobody has.
fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    names.find(|name| !is_taken(name)).unwrap_or_default()
}

fn make(file: &Path, name: &str, group: &str) -> Result<String, KeyError> {
    // Whoever makes a key elsewhere installs it with its owner and mode.
    let group = if accounts::is_root() { Some(gid(group)?) } else { None };
    let mut seed = [0; 32];
    getrandom::getrandom(&mut seed).map_err(KeyError::Random)?;
    let (key, pem) = SigningKey::generate(&seed, &format!("fleet key of {name}")).map_err(KeyError::Key)?;
    let signer = Signer::new(name, &[Purpose::Head], key.public().clone());
    let signer = signer.ok_or_else(|| KeyError::Name(name.to_string()))?;
    let write = |error| KeyError::Write(file.to_path_buf(), error);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let made = made.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(file.to_path_buf()),
        _ => write(error),
    })?;
    if let Err(error) = fill(&made, pem.as_bytes(), group) {
        // Half a key is none.
        let _ = std::fs::remove_file(file);
        return Err(write(error));
    }
    Ok(signer.to_string())
}

fn gid(group: &str) -> Result<u32, KeyError> {
    let found = Group::from_name(group).ok().flatten();
    found.map(|group| group.gid.as_raw()).ok_or_else(|| KeyError::Group(group.to_string()))
}

fn fill(mut file: &File, pem: &[u8], group: Option<u32>) -> io::Result<()> {
    file.write_all(pem)?;
    if let Some(group) = group {
        fchown(file, None, Some(group))?;
        file.set_permissions(Permissions::from_mode(0o640))?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use signed::{Signers, verify};
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_key_signs_heads_by_the_line_that_is_printed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fleet-key");
        let line = make(&file, "collector-1", "root").unwrap();
        assert!(line.starts_with("collector-1 namespaces=\"head@authkeys\" ssh-ed25519 "), "{line}");
        let pem = fs::read(&file).unwrap();
        let armour = SigningKey::parse(&pem).unwrap().sign(Purpose::Head, b"x\n").unwrap();
        let (signers, dead) = Signers::parse(line.as_bytes());
        assert_eq!(dead, []);
        let now = policy::Timestamp::from_unix(0);
        let signer = verify(&signers, Purpose::Head, b"x\n", armour.as_bytes(), now);
        assert_eq!(signer.unwrap().name, "collector-1");
        let mode = fs::metadata(&file).unwrap().mode() & 0o777;
        assert_eq!(mode, if accounts::is_root() { 0o640 } else { 0o600 });
    }

    #[test]
    fn what_is_there_is_not_replaced_and_a_wrong_name_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fleet-key");
        let wrong = make(&file, "two names", "root").unwrap_err();
        assert!(wrong.to_string().starts_with("`two names` is no name of a signer"), "{wrong}");
        assert!(!file.exists());
        make(&file, "one", "root").unwrap();
        let before = fs::read(&file).unwrap();
        assert!(matches!(make(&file, "one", "root"), Err(KeyError::Exists(_))));
        assert_eq!(fs::read(&file).unwrap(), before);
    }

    #[test]
    fn a_name_is_one_keys() {
        let taken = ["collector", "collector-2", "collector-4"];
        let free = |name: &str| free(name, |name| taken.contains(&name));
        assert_eq!([free("collector"), free("spare"), free("")], ["collector-3", "spare", ""]);
    }
}
