//! By which key is signed: a file that `ssh-keygen -Y sign -f` reads.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use key::PublicKey;
use nix::sys::memfd::{MFdFlags, memfd_create};
use signed::{Purpose, Signer};

use super::Failure;

/// How the fingerprint of a key begins, where it stands for a file.
const FINGERPRINT: &str = "SHA256:";

/// A key to sign with.
pub struct Identity {
    /// What ssh-keygen is given.
    pub path: PathBuf,
    /// Where the file is only in memory, it is as long as this.
    _memory: Option<File>,
}

impl Identity {
    /// What was named: a file, or the fingerprint of a key in the agent. Otherwise the agent's only key.
    pub fn of(named: Option<&Path>) -> Result<Self, Failure> {
        let fingerprint = named.and_then(Path::to_str).filter(|name| name.starts_with(FINGERPRINT));
        match (named, fingerprint) {
            (Some(path), None) => Ok(Self { path: path.to_path_buf(), _memory: None }),
            (_, wanted) => Self::in_memory(&in_agent(wanted)?),
        }
    }

    /// ssh-keygen is told of a key in the agent by its public half in a file.
    fn in_memory(key: &PublicKey) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::Failed(format!("no memory for a public key: {error}"));
        let memory =
            memfd_create("public-key", MFdFlags::MFD_CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut memory = File::from(memory);
        writeln!(memory, "{}", key.line()).map_err(failed)?;
        let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd()).into();
        Ok(Self { path, _memory: Some(memory) })
    }
}

/// The key of this fingerprint in the agent, or its only one that signs here.
fn in_agent(wanted: Option<&str>) -> Result<PublicKey, Failure> {
    let listed = Command::new("ssh-add").arg("-L").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let listed =
        listed.map_err(|error| Failure::Failed(format!("ssh-add: {error}; name a key file: -i FILE")))?;
    let keys = listed.stdout.split(|byte| *byte == b'\n').filter_map(|line| PublicKey::parse(line).ok());
    let keys: Vec<PublicKey> = match wanted {
        Some(wanted) => keys.filter(|key| key.fingerprint() == wanted).collect(),
        // Whatever a signer is called, RSA keys are none.
        None => keys.filter(|key| Signer::new("-", &[Purpose::Grant], key.clone()).is_some()).collect(),
    };
    match (keys.as_slice(), wanted) {
        ([key], _) => Ok(key.clone()),
        ([], Some(_)) => Err(Failure::Failed("the agent has no such key (ssh-add -l)".into())),
        ([], None) => {
            Err(Failure::Failed("no agent with a key that signs here; name a key file: -i FILE".into()))
        }
        _ => Err(Failure::Failed("the agent has several keys (ssh-add -l); name one: -i SHA256:...".into())),
    }
}
