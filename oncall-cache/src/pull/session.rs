//! The urls of the store during one pull: each is opened when it is first asked, has one share of the time from then on,
//! and is left alone after a few failures.

use std::time::{Duration, Instant};

use host::config::{Fleet, FleetUrl};

use super::error::StoreError;
use super::limits::{Limits, TIME};
use super::store::{Answer, Header, Store};

/// How often one url may fail in a pull before it is asked no more.
const MOST_FAILURES: u32 = 4;

/// How long a url is waited for while another one can be asked the same: a head has less than two kilobytes, and who is
/// refused by it should be so within half a minute.
const SHORT: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Another url can be asked the same.
    Short,
    /// As long as the url's share of the time lasts.
    Whole,
}

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
    /// When its share of the time is over; none before it is asked.
    ends: Option<Instant>,
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
        (known, limit): (Option<&str>, u64),
        patience: Patience,
    ) -> Result<Answer, StoreError> {
        let until = self.until(place, patience, Instant::now());
        let (Some(address), Some(url)) = (self.fleet.urls.get(place), self.urls.get_mut(place)) else {
            return Err(StoreError::Missing);
        };
        if url.failures >= MOST_FAILURES {
            return Err(StoreError::GivenUp);
        }
        let store = match &mut url.store {
            Some(store) => Ok(store),
            None => Store::open(address, self.fleet, self.header.as_ref(), until)
                .map(|store| url.store.insert(store)),
        };
        let answer = store.and_then(|store| {
            store.until(until);
            store.get(path, known, limit, &mut self.limits)
        });
        // What is missing is often only not there yet, or not any more.
        if answer.as_ref().is_err_and(|error| !matches!(error, StoreError::Missing)) {
            url.failures += 1;
        }
        answer
    }

    /// Until when the url at `place` may take to answer what it is asked at `now`. Its share begins when it is first asked,
    /// also if it cannot be opened then: what was left, shared with those that were not asked yet.
    fn until(&mut self, place: usize, patience: Patience, now: Instant) -> Instant {
        let others = self.urls.iter().enumerate().filter(|(at, url)| *at != place && url.ends.is_none());
        let shares = u32::try_from(others.count() + 1).unwrap_or(u32::MAX);
        let share = self.ends.saturating_duration_since(now) / shares;
        let Some(url) = self.urls.get_mut(place) else { return now };
        let ends = *url.ends.get_or_insert(now + share);
        match patience {
            Patience::Short => ends.min(now + SHORT),
            Patience::Whole => ends,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Config;
    use std::path::Path;

    fn get(session: &mut Session<'_>, place: usize, path: &str) -> Result<Answer, StoreError> {
        session.get(place, path, (None, 9), Patience::Whole)
    }

    fn config(urls: &str) -> Config {
        let text = format!("[fleet]\nid = 'f'\nurls = [{urls}]\n");
        Config::parse(Path::new("/etc/authkeys/config.toml"), text.as_bytes()).unwrap()
    }

    #[test]
    fn each_url_has_one_share_of_the_time_and_none_keeps_others_waiting_for_long() {
        let config = config("'https://a.invalid/f', 'https://b.invalid/f', 'https://c.invalid/f'");
        let mut session = Session::new(config.fleet.as_deref().unwrap()).unwrap();
        let began = session.ends - TIME;
        let mut until = |place, patience, after: u64| {
            let until = session.until(place, patience, began + Duration::from_secs(after));
            until.duration_since(began).as_secs()
        };
        assert_eq!(until(0, Patience::Short, 0), 5);
        assert_eq!(
            until(1, Patience::Short, 6),
            11,
            "the next one is asked before the first one's share is over"
        );
        assert_eq!(until(1, Patience::Whole, 11), 63, "half of what was left when it was first asked");
        assert_eq!(until(0, Patience::Whole, 20), 40, "no other share because it failed");
        assert_eq!(until(0, Patience::Short, 39), 40);
        assert_eq!(until(2, Patience::Whole, 63), 120, "all that is left");
    }

    #[test]
    fn a_url_that_fails_is_left_alone_and_the_next_one_is_asked() {
        let good = tempfile::tempdir().unwrap();
        std::fs::write(good.path().join("head"), b"x").unwrap();
        std::fs::create_dir(good.path().join("a")).unwrap();
        let good_url = good.path().display();
        let config = config(&format!("'file:///nonexistent', 'file://{good_url}', 'file:///dev/null/x'"));
        let mut session = Session::new(config.fleet.as_deref().unwrap()).unwrap();
        assert_eq!(session.places(1).collect::<Vec<_>>(), [1, 2, 0]);
        for _ in 0..20 {
            assert!(matches!(get(&mut session, 0, "/head"), Err(StoreError::Missing)));
            assert_eq!(get(&mut session, 1, "/head").unwrap().bytes.as_deref(), Some(b"x".as_slice()));
        }
        for round in 0..6 {
            let failed = get(&mut session, 1, "/a").unwrap_err();
            assert_eq!(matches!(failed, StoreError::GivenUp), round >= 4, "{failed}");
        }
    }
}
