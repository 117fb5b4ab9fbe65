//! A pull that finds nothing new, or only that the same was read again, must cost next to nothing: the roster is neither
//! read nor written. What tells that is a stamp: by what the last sync of a pull made the roster, and what else it read.
//!
//! The stamp only ever spares work. One that is missing, old or of anything else means that all is looked at again; and
//! so it is every five minutes, as the timer of `sync` does.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fleet::{Digest, Head};
use host::config::Provider;
use host::{Config, clock};
use mirror::Mirror;
use policy::{Proven, Span, Timestamp};
use publish::PublishError;
use store::roster::Reread;

use super::read_own;
use crate::sync::Summary;

/// How the line begins that is written.
const FORM: &str = "synced 1";

/// The longest line that is read, in bytes.
const LONGEST: u64 = 1024;

/// How long a stamp spares work.
const YOUNG: Span = Span::minutes(5);

/// What a sync was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// When it was.
    at: Timestamp,
    /// The date of the roster that it published.
    published: Timestamp,
    /// When the collector had read the rota, as [`read`] has it.
    read: Timestamp,
    /// All that decides what comes of a sync, whatever instants a head has.
    inputs: Digest,
}

impl Stamp {
    /// Of the sync that came to `summary`; none where its outcome hangs on more than this host's files.
    pub fn of(config: &Config, head: &Head, summary: &Summary, now: Timestamp) -> Option<Self> {
        let published = summary.roster.published;
        let read = read(head, now).filter(|_| summary.is_whole())?;
        Some(Self { at: now, published, read, inputs: inputs(config, head)? })
    }

    /// Of a pull on a host that has people of the fleet and no rota: there is nothing to sync, and no roster.
    pub fn without_rota(config: &Config, head: &Head, now: Timestamp) -> Option<Self> {
        let inputs = inputs(config, head)?;
        Some(Self { at: now, published: head.issued, read: head.issued, inputs })
    }

    /// Where it is kept.
    fn path(mirror: &Mirror) -> PathBuf {
        mirror.directory().join("synced")
    }

    /// The one in `mirror`, if it is young and of what `head` says and what is here now.
    pub fn standing(mirror: &Mirror, config: &Config, head: &Head, now: Timestamp) -> Option<Self> {
        let stamp = Self::parse(&read_own(&Self::path(mirror), LONGEST)?)?;
        let is_young = stamp.at <= now && now.since(stamp.at) < YOUNG;
        let has_no_rota = config.oncall.sources.is_empty();
        let is_later = has_no_rota || read(head, now).is_some_and(|read| stamp.read <= read);
        (is_young && is_later && inputs(config, head) == Some(stamp.inputs)).then_some(stamp)
    }

    /// Keeps it, or that there is none.
    ///
    /// # Errors
    /// It could not be written or removed.
    pub fn keep(stamp: Option<&Self>, mirror: &Mirror) -> Result<(), PublishError> {
        let path = Self::path(mirror);
        match stamp {
            Some(stamp) => {
                publish::replace(&path, 0o640, |temporary| fs::write(temporary, stamp.to_string()))
            }
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(PublishError::write(&path, error))
                }
                _ => Ok(()),
            },
        }
    }

    /// The roster stays, and has the reading instants of `head`.
    ///
    /// # Errors
    /// They could not be written: the roster is as old as it was.
    pub fn read_again(&self, config: &Config, head: &Head, now: Timestamp) -> Result<(), PublishError> {
        if config.oncall.sources.is_empty() {
            return Ok(());
        }
        let roster = &config.paths.roster;
        let Some(again) = read(head, now).filter(|again| *again > self.read) else { return Ok(()) };
        let sources = config.oncall.sources.iter().filter(|source| is_of_fleet(&source.provider));
        let sources = sources.map(|source| source.name.clone()).collect();
        Reread { roster: self.published, read: self.read, again, sources }.write(roster)?;
        let seen = Proven::seen(now, Some(head.issued), clock::uptime(), self.published);
        publish::prove(roster, 0o644, &seen.or_later(clock::proven(roster)))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let mut instant = || words.next().and_then(Timestamp::parse);
        let (at, published, read) = (instant()?, instant()?, instant()?);
        let inputs = words.next()?.parse().ok()?;
        words.next().is_none().then_some(Self { at, published, read, inputs })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, published, read, inputs } = self;
        writeln!(f, "{FORM} {at} {published} {read} {inputs}")
    }
}

/// When the collector had read the rota, which by this host's clock was not later than `now`: so a sync takes it too, and
/// the instants of both are compared.
fn read(head: &Head, now: Timestamp) -> Option<Timestamp> {
    head.rota_read.map(|read| read.min(now))
}

fn is_of_fleet(provider: &Provider) -> bool {
    matches!(provider, Provider::Fleet(_))
}

/// The digest of all that a sync reads: the configuration, what the head names, and which files the copy of the
/// directory, the roster, root's revocations and those of `[[policy.rego]]` are. None where a source is not the fleet's.
fn inputs(config: &Config, head: &Head) -> Option<Digest> {
    if !config.oncall.sources.iter().all(|source| is_of_fleet(&source.provider)) {
        return None;
    }
    let mut text =
        format!("{} {:?} {:?} {}\n", env!("CARGO_PKG_VERSION"), head.rota, head.people, head.revoked);
    if config.oncall.asks_fleet_for_incidents(&config.rules) {
        text += &format!("{:?}\n", head.incidents);
    }
    let files = [&config.paths.keys, &config.paths.roster, &config.paths.revoked];
    for path in files.into_iter().chain(config.rego.iter().map(|rego| &rego.file)) {
        text += &identity(path);
    }
    Some(Digest::of(&[text.as_bytes(), &config.text].concat()))
}

/// Which file is at `path`: a file that is replaced is another one.
fn identity(path: &Path) -> String {
    fs::metadata(path).map_or_else(
        |_| "none\n".to_string(),
        |file| format!("{} {} {}.{}\n", file.ino(), file.len(), file.mtime(), file.mtime_nsec()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_is_written_spares_nothing() {
        let at = Timestamp::from_unix;
        let stamp = Stamp { at: at(3000), published: at(2000), read: at(1000), inputs: Digest::of(b"x") };
        let text = stamp.to_string();
        assert_eq!(Stamp::parse(&text), Some(stamp));
        for wrong in [
            "",
            "\n",
            text.trim_end(),
            &text.replace("d 1 ", "d 2 "),
            &format!("{text}{text}"),
            &text.replace('Z', ""),
        ] {
            assert_eq!(Stamp::parse(wrong), None, "{wrong:?}");
        }
    }
}
