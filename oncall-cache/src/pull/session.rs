//! The urls of the store during one pull: each is opened when it is first asked, has its share of the time, and is left
//! alone after a few failures.

use std::time::{Duration, Instant};

use host::config::{Fleet, FleetUrl};

use super::error::StoreError;
use super::limits::{Limits, TIME};
use super::store::{Answer, Header, Store};

/// How often one url may fail in a pull before it is asked no more.
const MOST_FAILURES: u32 = 4;

/// All urls of a store.
pub struct Session<'a> {
    fleet: &'a Fleet,
    header: Option<Header>,
    ends: Instant,
    urls: Vec<Url>,
    limits: Limits,
}

#[derive(Default)]
struct Url {
    store: Option<Store>,
    failures: u32,
}

impl<'a> Session<'a> {
    /// None is asked yet.
    ///
    /// # Errors
    /// What the store wants to be shown is not to be had.
    pub fn new(fleet: &'a Fleet) -> Result<Self, StoreError> {
        let header = fleet.header_file.as_deref().map(Header::read).transpose()?;
        let urls = fleet.urls.iter().map(|_| Url::default()).collect();
        Ok(Self { fleet, header, ends: Instant::now() + TIME, urls, limits: Limits::new() })
    }

    /// Every url, in the order in which they are asked, from `first` on.
    pub fn places(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let count = self.urls.len();
        (0..count).map(move |after| (first + after) % count)
    }

    /// The url at `place`.
    pub fn url(&self, place: usize) -> Option<&'a FleetUrl> {
        self.fleet.urls.get(place)
    }

    /// What was asked for so far.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Asks the url at `place` for `path`; see [`Store::get`].
    ///
    /// # Errors
    /// It gave nothing, or failed too often before.
    pub fn get(
        &mut self,
        place: usize,
        path: &str,
        known: Option<&str>,
        limit: u64,
    ) -> Result<Answer, StoreError> {
        let left = self.share(place);
        let (Some(address), Some(url)) = (self.fleet.urls.get(place), self.urls.get_mut(place)) else {
            return Err(StoreError::Missing);
        };
        if url.failures >= MOST_FAILURES {
            return Err(StoreError::GivenUp);
        }
        let store = match &url.store {
            Some(store) => Ok(store),
            None => Store::open(address, self.fleet, self.header.as_ref(), Instant::now() + left)
                .map(|store| &*url.store.insert(store)),
        };
        let answer = store.and_then(|store| store.get(path, known, limit, &mut self.limits));
        // What is missing is often only not there yet, or not any more.
        if answer.as_ref().is_err_and(|error| !matches!(error, StoreError::Missing)) {
            url.failures += 1;
        }
        answer
    }

    /// The time that a url may take when it is opened: what is left, shared with those that were not asked yet.
    fn share(&self, place: usize) -> Duration {
        let others = self.urls.iter().enumerate().filter(|(at, url)| *at != place && url.store.is_none());
        let shares = u32::try_from(others.count() + 1).unwrap_or(u32::MAX);
        self.ends.saturating_duration_since(Instant::now()) / shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Config;
    use std::path::Path;

    #[test]
    fn a_url_that_fails_is_left_alone_and_the_next_one_is_asked() {
        let good = tempfile::tempdir().unwrap();
        std::fs::write(good.path().join("head"), b"x").unwrap();
        std::fs::create_dir(good.path().join("a")).unwrap();
        let text = format!(
            "[fleet]\nid = 'f'\nurls = ['file:///nonexistent', 'file://{}', 'file:///dev/null/x']\n",
            good.path().display()
        );
        let config = Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap();
        let mut session = Session::new(config.fleet.as_deref().unwrap()).unwrap();
        assert_eq!(session.places(1).collect::<Vec<_>>(), [1, 2, 0]);
        for _ in 0..20 {
            assert!(matches!(session.get(0, "/head", None, 9), Err(StoreError::Missing)));
            assert_eq!(session.get(1, "/head", None, 9).unwrap().bytes.as_deref(), Some(b"x".as_slice()));
        }
        for round in 0..6 {
            let failed = session.get(1, "/a", None, 9).unwrap_err();
            assert_eq!(matches!(failed, StoreError::GivenUp), round >= 4, "{failed}");
        }
    }
}
