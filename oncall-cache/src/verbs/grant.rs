//! `grant`: ask for an hour as root, read what somebody asks for, and sign it; and on a host bring it, list what counts
//! there, and end it.
//!
//! The first three need no root, no configuration and no host of the fleet: an approver sits at a desk. Nothing here decides. What is
//! signed is signed by ssh-keygen, so that keys, agents and security keys are those that people have.

mod bring;
mod hold;
mod identity;
mod request;
mod review;
mod show;
mod sign;
mod words;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use grant::{GrantError, LARGEST_DOCUMENT, Refusal};
use policy::Timestamp;
use signed::SignatureError;
use signed::text::TextError;

pub use bring::claim;
// For whatever else is signed.
pub use identity::Identity;
pub use sign::{ask, ssh_keygen};
pub use words::row;

use crate::cli::grant::GrantVerb;
use crate::said::{CANNOT_TELL, Live, Said, USAGE};

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be.
    Wrong(String),
    /// Nobody can use it, or the signature would not count.
    Refused(String),
    /// It was not done.
    Failed(String),
    /// A file cannot be read.
    Unreadable(PathBuf, io::Error),
    /// What was read is no grant, and what may have happened to it on the way.
    NotOne(GrantError, Option<&'static str>),
}

impl Failure {
    /// 1 refused, 2 it could not be done, 64 wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Wrong(_) => USAGE,
            Self::Failed(_) | Self::Unreadable(..) | Self::NotOne(..) => CANNOT_TELL,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(problem) | Self::Refused(problem) | Self::Failed(problem) => f.write_str(problem),
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::NotOne(error @ GrantError::Form(_), _) => error.fmt(f),
            Self::NotOne(error, None) => write!(f, "not a grant: {error}; copy it again, as it was posted"),
            Self::NotOne(error, Some(stain)) => {
                write!(f, "not a grant: {error}: {stain}; copy it again, as it was posted")
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

/// Answers one of the verbs below `grant`.
pub fn run(config: &Path, verb: &GrantVerb, live: Live<'_>, now: Timestamp) -> Said {
    let said = match verb {
        GrantVerb::Request(arguments) => request::run(config, arguments, live, now),
        GrantVerb::Show(arguments) => show::run(arguments, live, now),
        GrantVerb::Sign(arguments) => sign::run(arguments, live, now),
        GrantVerb::Review(arguments) => review::run(arguments, live, now),
        GrantVerb::Use(arguments) => Ok(bring::run(arguments.by.as_deref(), live)),
        GrantVerb::List => Ok(hold::list(config, now)),
        GrantVerb::Revoke(arguments) => Ok(hold::revoke(config, &arguments.id, &arguments.reason, live, now)),
    };
    said.unwrap_or_else(|failure| Said::failure(failure.exit_code(), &failure))
}

/// A document as it lies in a file, or as it was pasted; more of it than a grant has is not read.
fn read(file: Option<&Path>, live: Live<'_>) -> Result<Vec<u8>, Failure> {
    let longest = u64::try_from(LARGEST_DOCUMENT).unwrap_or(u64::MAX);
    let bytes = match file {
        Some(path) => read_file(path, longest)?,
        None => {
            tell_how_to_paste(live);
            let read = take(io::stdin().lock(), longest);
            read.map_err(|error| Failure::Unreadable("standard input".into(), error))?
        }
    };
    if bytes.is_empty() {
        let what = "there is no text; give it on standard input, or name its file";
        return Err(Failure::Failed(what.into()));
    }
    Ok(bytes)
}

/// Whoever typed the command alone sees what it waits for.
fn tell_how_to_paste(live: Live<'_>) {
    if io::stdin().is_terminal() {
        (live.progress)(format_args!("paste the text of the grant, and then press Ctrl-D"));
    }
}

/// At most one byte more than `longest`, by which a reader sees that it is too long.
fn read_file(path: &Path, longest: u64) -> Result<Vec<u8>, Failure> {
    let read = File::open(path).and_then(|file| take(file, longest));
    read.map_err(|error| Failure::Unreadable(path.to_path_buf(), error))
}

fn take(source: impl Read, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The grant in `bytes` with the signatures below it.
fn document(bytes: &[u8]) -> Result<grant::Document<'_>, Failure> {
    grant::Document::read(bytes).map_err(|error| {
        // Of other errors the error says it.
        let is_bytes = matches!(
            error,
            GrantError::Text(TextError::Line(_))
                | GrantError::Signatures(SignatureError::Armour | SignatureError::AfterFooter)
        );
        let stain = is_bytes.then(|| stain(bytes)).flatten();
        Failure::NotOne(error, stain)
    })
}

/// What an editor, a chat or a mail did to a text, where it can be seen.
fn stain(bytes: &[u8]) -> Option<&'static str> {
    let any_line = |is: &dyn Fn(&[u8]) -> bool| bytes.split(|byte| *byte == b'\n').any(is);
    let is_plain = |byte: &u8| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n');
    if bytes.starts_with(b"\xef\xbb\xbf") {
        Some("there is a byte order mark before it, by an editor")
    } else if bytes.contains(&b'\r') {
        Some("lines end with carriage returns, as on Windows (tr -d '\\r' takes them out)")
    } else if !bytes.iter().all(is_plain) {
        Some("there are letters that are not ASCII, or cannot be seen")
    } else if any_line(&|line| line.ends_with(b" ")) {
        Some("a line ends with a blank")
    } else if bytes.starts_with(b"```") || any_line(&|line| line.starts_with(b">")) {
        Some("the marks of a quotation are copied with it")
    } else if !bytes.ends_with(b"\n") {
        Some("the last line has no end, or is not whole")
    } else if bytes.ends_with(b"\n\n") {
        Some("there is an empty line below it")
    } else {
        None
    }
}

/// Bytes that nobody can guess.
fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Failure> {
    let mut bytes = [0; LENGTH];
    getrandom::getrandom(&mut bytes)
        .map_err(|error| Failure::Failed(format!("no random numbers: {error}")))?;
    Ok(bytes)
}

/// A document as `Said` prints it, which ends the last line itself.
fn printed(document: &str) -> Said {
    Said::text(document.strip_suffix('\n').unwrap_or(document))
}
