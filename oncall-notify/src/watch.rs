//! Waiting until there is something to read: the kernel says so, where it can, and a look now and then finds the rest.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// How long nothing is looked at although nothing was said: for file systems of other machines.
const LONGEST: Duration = Duration::from_secs(30);

/// So much time lies between two looks, at least: what comes in between is read together.
const SHORTEST: Duration = Duration::from_millis(200);

/// The most directories that are watched; others are looked at now and then.
const MOST: usize = 4_096;

/// What the kernel watches.
pub struct Watch {
    inotify: Option<Inotify>,
    watched: BTreeSet<WatchDescriptor>,
    looked: Instant,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> Self {
        let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
        Self { inotify: Inotify::init(flags).ok(), watched: BTreeSet::new(), looked: Instant::now() }
    }

    /// Watches these directories from now on; was one of them not watched before? What was written in it until now, no
    /// event tells.
    pub fn set(&mut self, directories: &[PathBuf]) -> bool {
        let Some(inotify) = &self.inotify else { return false };
        let flags = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ONLYDIR;
        // One that was removed and made again has another descriptor.
        let watched = directories.iter().take(MOST).filter_map(|path| inotify.add_watch(path, flags).ok());
        let watched: BTreeSet<WatchDescriptor> = watched.collect();
        let is_new = !watched.is_subset(&self.watched);
        self.watched = watched;
        is_new
    }

    /// Waits until something changes, or until `end` from now, and some moments after the last look at least.
    pub fn wait(&mut self, end: Option<Duration>) {
        let longest = end.map_or(LONGEST, |end| end.min(LONGEST));
        if let Some(rest) = SHORTEST.checked_sub(self.looked.elapsed()) {
            host::child::pause(rest);
        }
        match &self.inotify {
            Some(inotify) => {
                let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
                let _ = poll(&mut [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)], timeout);
                // What it was does not matter: all files are looked at.
                while inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
            }
            None => host::child::pause(longest.min(Duration::from_secs(1))),
        }
        self.looked = Instant::now();
    }
}
