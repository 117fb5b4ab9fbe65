//! The module's file: is it where libpam looks, of libpam's kind, whole, and root's alone?

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::finding::{Finding, Place};
use super::super::machine::{self, Stat};
use super::known::{Pam, anything};
use super::{flow, place, stack};

/// What libpam would find.
#[derive(Debug, Default)]
pub struct Module {
    /// Where it looks.
    pub path: String,
    /// Owner and mode, if it is there.
    pub stat: Option<Stat>,
    /// Is it of libpam's machine and word size?
    pub is_our_kind: bool,
    /// The functions it lacks.
    pub lacks: Vec<&'static str>,
}

/// What libpam looks up in a module; the suite's has all of them, for ever.
const FUNCTIONS: [&str; 6] = [
    "pam_sm_authenticate",
    "pam_sm_setcred",
    "pam_sm_acct_mgmt",
    "pam_sm_open_session",
    "pam_sm_close_session",
    "pam_sm_chauthtok",
];

impl Module {
    /// Looks at the file.
    pub fn read() -> Self {
        let own = kind(Path::new("/proc/self/exe"));
        // Beside the pam_unix.so of our own machine; another architecture's may be there too.
        let directory =
            directories().into_iter().find(|directory| kind(&directory.join("pam_unix.so")) == own);
        let path = directory.unwrap_or_else(|| PathBuf::from("/usr/lib/security")).join("pam_oncall.so");
        let content = machine::whole(&path).unwrap_or_default();
        let words: BTreeSet<&[u8]> =
            content.split(|&byte| byte == 0).filter(|word| word.starts_with(b"pam_sm_")).collect();
        Self {
            stat: machine::stat(&path),
            is_our_kind: kind(&path) == own,
            lacks: FUNCTIONS.into_iter().filter(|name| !words.contains(name.as_bytes())).collect(),
            path: path.display().to_string(),
        }
    }

    /// Can libpam load it?
    pub fn is_there(&self) -> bool {
        self.stat.is_some() && self.is_our_kind && self.lacks.is_empty()
    }
}

/// Where libpam may look for modules.
pub struct Places(Vec<PathBuf>);

impl Places {
    /// The directories that there are.
    pub fn read() -> Self {
        let is_directory = |path: &PathBuf| machine::stat(path).is_some_and(|stat| stat.is_directory);
        Self(directories().into_iter().filter(is_directory).collect())
    }

    /// Is there a module of this name or path?
    pub fn have(&self, name: &str) -> bool {
        let is_there = |path: &Path| machine::stat(path).is_some_and(|stat| !stat.is_directory);
        if name.starts_with('/') {
            return is_there(Path::new(name));
        }
        self.0.iter().any(|directory| is_there(&directory.join(name)))
    }
}

/// Machine and word size of an ELF file.
fn kind(path: &Path) -> Option<(u8, Vec<u8>)> {
    let head = machine::head(path, 20)?;
    head.starts_with(b"\x7fELF").then_some(())?;
    Some((*head.get(4)?, head.get(18..20)?.to_vec()))
}

fn directories() -> Vec<PathBuf> {
    let mut directories = Vec::new();
    for library in ["/usr/lib", "/lib"] {
        let below = machine::names(library).into_iter();
        directories.extend(below.map(|name| PathBuf::from(library).join(name).join("security")));
    }
    let plain = ["/usr/lib64/security", "/lib64/security", "/usr/lib/security", "/lib/security"];
    directories.extend(plain.map(PathBuf::from));
    directories
}

/// Judges the module that the stacks name.
pub fn module(pam: &Pam<'_>, module: &Module) -> Option<Finding> {
    let entries = pam.services.iter().filter_map(|service| stack::expand(service, "account", pam.read));
    let stacks: Vec<_> = entries.filter(|stack| stack.iter().any(|entry| entry.is_ours())).collect();
    let line = stacks.iter().flatten().find(|entry| entry.is_ours())?;
    let path = &module.path;
    let problem = match module.stat {
        None => format!("{path} does not exist, but stacks name it"),
        Some(_) if !module.is_our_kind => {
            format!("{path} is not for this machine's libpam, but stacks name it")
        }
        Some(_) if !module.lacks.is_empty() => format!("{path} lacks {}", module.lacks.join(", ")),
        Some(stat) if stat.uid != 0 || stat.mode & 0o022 != 0 => {
            let found =
                Finding::open("pam-module", format_args!("{path} can be written by users other than root"));
            let fix = format!("chown root:root {path} && chmod 644 {path}");
            return Some(
                found
                    .at(Place::file(path))
                    .why("anybody who can write it becomes root at the next login")
                    .run(fix),
            );
        }
        Some(_) => return None,
    };
    let unknown = |entry: &stack::Entry| anything(entry, &["module_unknown"]);
    let passes = stacks.iter().any(|stack| flow::ends(stack, &unknown).iter().any(|end| end.passes));
    let found =
        if passes { Finding::open("pam-module", problem) } else { Finding::lock_out("pam-module", problem) };
    let why =
        "a stack that names a module which cannot be loaded refuses everybody, exempt accounts included";
    let fix =
        "install the suite again (packaging/install.sh, or its package); or remove our lines from /etc/pam.d";
    Some(found.at(place(line)).why(why).advise(fix))
}
