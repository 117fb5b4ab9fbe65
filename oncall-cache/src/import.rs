//! Moving in: another tool's configuration, read and written down as ours.
//!
//! What has a counterpart becomes a setting, everything else a comment with its line and what to do
//! instead. The text is a proposal for a person to read, not a file to install unseen; but it is
//! always one that the programs accept. Passwords are never repeated, nor are values of settings
//! are unknown, as those may be passwords.

mod authkeys_json;
mod directory;
mod nslcd;
mod olak;
mod setting;
mod sssd;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use host::Config;
use host::config::DEFAULT_PATH;

use crate::cli::Format;
use setting::Problem;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Our configuration, made from another.
#[derive(Debug)]
pub struct Imported {
    /// The TOML.
    pub text: String,
    /// The settings without which `[directory]` had to be commented out.
    pub missing: Option<&'static str>,
}

/// Why nothing was imported.
#[derive(Debug)]
pub enum ImportError {
    /// The file could not be read.
    File(PathBuf, io::Error),
    /// The file is not what it should be.
    Content {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1; 0 is the whole file.
        line: usize,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Content { path, line: 0, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Content { path, line, problem } => write!(f, "{}:{line}: {problem}", path.display()),
        }
    }
}

impl std::error::Error for ImportError {}

/// Reads `path` and writes it down as ours; touches nothing.
pub fn import(path: &Path, format: Option<Format>) -> Result<Imported, ImportError> {
    let bytes = read(path).map_err(|error| ImportError::File(path.to_path_buf(), error))?;
    translate(&path.to_string_lossy(), &bytes, format).map_err(|problem| ImportError::Content {
        path: path.to_path_buf(),
        line: problem.line,
        problem: problem.text,
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("larger than {LARGEST} bytes; is it a configuration?")));
    }
    Ok(bytes)
}

/// Writes `bytes`, the content of `file`, down as ours.
pub fn translate(file: &str, bytes: &[u8], format: Option<Format>) -> Result<Imported, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.iter().take(error.valid_up_to()).filter(|&&byte| byte == b'\n').count();
        Problem::new(before + 1, "not UTF-8; convert it with iconv(1) and import again")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let format = format.map_or_else(|| detect(text), Ok)?;
    let draft = match format {
        Format::AuthkeysJson => authkeys_json::read(text),
        Format::Olak => olak::read(text),
        Format::Sssd => sssd::read(text),
        Format::Nslcd => nslcd::read(text),
    }?;
    let missing = draft.missing();
    let text = draft.render(file, name(format));
    match Config::parse(Path::new(DEFAULT_PATH), text.as_bytes()) {
        Ok(_) => Ok(Imported { text, missing }),
        Err(error) => Err(Problem::new(
            0,
            format!(
                "what it came to is not a configuration ({error}); that is a bug in oncall-cache, please report it"
            ),
        )),
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::AuthkeysJson => "authkeys-json",
        Format::Olak => "olak",
        Format::Sssd => "sssd",
        Format::Nslcd => "nslcd",
    }
}

/// The one format that `text` can be.
fn detect(text: &str) -> Result<Format, Problem> {
    let signs = [
        (Format::AuthkeysJson, authkeys_json::resembles(text)),
        (Format::Olak, olak::resembles(text)),
        (Format::Sssd, sssd::resembles(text)),
        (Format::Nslcd, nslcd::resembles(text)),
    ];
    let found: Vec<Format> = signs.into_iter().filter_map(|(format, is)| is.then_some(format)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Problem::new(
            0,
            "cannot tell whose configuration this is; say --format authkeys-json, olak, sssd or nslcd",
        )),
        several => {
            let names: Vec<_> = several.iter().map(|format| name(*format)).collect();
            Err(Problem::new(0, format!("could be {}; say which with --format", names.join(" or "))))
        }
    }
}

#[cfg(test)]
mod tests;
