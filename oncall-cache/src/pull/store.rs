//! One url of a fleet's store: over https, or a directory of this machine. What it says is checked by whoever asked.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use host::config::{Fleet, FleetUrl};
use host::secret::Secret;
use http::{Client, HeaderName, HttpError, IF_NONE_MATCH, ObjectRequest, Route};
use nix::fcntl::OFlag;
use policy::Timestamp;

use super::error::StoreError;
use super::limits::Limits;

/// What the store wants to be shown: a header from a file, whose value is a secret.
pub struct Header {
    name: HeaderName,
    secret: Secret,
    /// Where the value begins in it.
    value: usize,
}

impl Header {
    /// Reads `Name: value` in `path`.
    ///
    /// # Errors
    /// The file is not trusted or has something else in it; nothing of it is in the error.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let secret = Secret::read(path).map_err(|error| StoreError::Header(error.to_string()))?;
        let wrong = || StoreError::Header(format!("{}: must hold one line `Name: value`", path.display()));
        let (name, rest) = secret.expose().split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = secret.expose().len() - rest.trim_start().len();
        Ok(Self { name, secret, value })
    }

    fn shown(&self) -> (HeaderName, &str) {
        (self.name.clone(), self.secret.expose().get(self.value..).unwrap_or_default())
    }
}

/// One url of the store.
pub enum Store {
    /// Over https. Connections are kept.
    Web(Client),
    /// A directory of this machine.
    Directory(PathBuf),
}

/// What a store says of a path.
#[derive(Debug)]
pub struct Answer {
    /// The bytes; `None`: they are those of the tag that was asked for.
    pub bytes: Option<Vec<u8>>,
    /// Its tag, if it has one.
    pub etag: Option<String>,
    /// The store's clock, if it has one.
    pub date: Option<Timestamp>,
}

impl Store {
    /// The store at `url`, which answers before `deadline`; `header` is what it wants to be shown.
    ///
    /// # Errors
    /// The url, the authorities or the header are of no use, or the name has no address.
    pub fn open(
        url: &FleetUrl,
        fleet: &Fleet,
        header: Option<&Header>,
        deadline: Instant,
    ) -> Result<Self, StoreError> {
        match url {
            FleetUrl::Directory(directory) => Ok(Self::Directory(directory.clone())),
            FleetUrl::Https(url) => {
                let agent = concat!("oncall-cache/", env!("CARGO_PKG_VERSION"));
                let route = Route { agent, ca_file: &fleet.ca_file, proxy: fleet.proxy.as_deref(), deadline };
                let headers: Vec<(HeaderName, &str)> = header.map(Header::shown).into_iter().collect();
                Client::new(url, route, &headers).map(Self::Web).map_err(StoreError::Http)
            }
        }
    }

    /// From now on, it answers before `deadline`. A directory of this machine is not waited for.
    pub fn until(&mut self, deadline: Instant) {
        if let Self::Web(client) = self {
            client.until(deadline);
        }
    }

    /// Asks for `path`, of `limit` bytes at most, unless it has still the tag `known`.
    ///
    /// # Errors
    /// There is no whole answer within the limits, or it is not the object.
    pub fn get(
        &self,
        path: &str,
        known: Option<&str>,
        limit: u64,
        limits: &mut Limits,
    ) -> Result<Answer, StoreError> {
        limits.take_request(limit)?;
        let answer = match self {
            Self::Web(client) => get_from(client, path, known, limit),
            Self::Directory(directory) => read(directory, path, limit),
        }?;
        limits.count(answer.bytes.as_ref().map_or(0, Vec::len));
        Ok(answer)
    }
}

fn get_from(client: &Client, path: &str, known: Option<&str>, limit: u64) -> Result<Answer, StoreError> {
    let condition = known.map(|tag| (IF_NONE_MATCH, tag));
    let headers = condition.as_slice();
    let reply = client
        .object(ObjectRequest { headers, ..ObjectRequest::get(path, limit) })
        .map_err(StoreError::Http)?;
    let (etag, date) = (reply.etag, reply.date);
    match reply.status {
        200 => Ok(Answer { bytes: Some(reply.body), etag, date }),
        304 if known.is_some() => Ok(Answer { bytes: None, etag, date }),
        404 | 410 => Err(StoreError::Missing),
        other => Err(StoreError::Status(other)),
    }
}

/// Reads `path` below `directory`: what a link points to as well, since whoever publishes there is trusted with no more
/// than bytes that are checked. A FIFO in its place is not waited for.
fn read(directory: &Path, path: &str, limit: u64) -> Result<Answer, StoreError> {
    let full = directory.join(path.trim_start_matches('/'));
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing,
        _ => StoreError::File(full.clone(), error),
    };
    let open = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&full);
    let file: File = open.map_err(wrong)?;
    if !file.metadata().map_err(wrong)?.is_file() {
        return Err(wrong(io::Error::other("not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > limit {
        return Err(StoreError::Http(HttpError::TooLarge { url: full.display().to_string(), limit }));
    }
    Ok(Answer { bytes: Some(bytes), etag: None, date: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_a_store_and_its_files_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("o")).unwrap();
        std::fs::write(directory.path().join("o/ab"), b"bytes").unwrap();
        let store = Store::Directory(directory.path().to_path_buf());
        let mut limits = Limits::new();
        let got = |limit, limits: &mut Limits| store.get("/o/ab", None, limit, limits);
        assert_eq!(got(5, &mut limits).unwrap().bytes.as_deref(), Some(b"bytes".as_slice()));
        assert!(matches!(got(4, &mut limits), Err(StoreError::Http(HttpError::TooLarge { limit: 4, .. }))));
        assert!(matches!(store.get("/o/cd", None, 5, &mut limits), Err(StoreError::Missing)));
        assert!(matches!(store.get("/o", None, 5, &mut limits), Err(StoreError::File(..))));
        nix::unistd::mkfifo(&directory.path().join("head"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(store.get("/head", None, 5, &mut limits), Err(StoreError::File(..))));
        assert_eq!((limits.requests(), limits.bytes()), (5, 5));
    }
}
