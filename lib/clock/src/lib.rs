//! The one place that reads clocks, for the shells of programs and hooks: everything else takes time as an argument.
//! And what the last sync left about them beside its copy, `roster.clock` beside `roster.db`.
//!
//! That file only ever takes something from what is trusted. So one that is not there, as an earlier release leaves
//! it, that others could have written or that is not understood is as none: who can spoil it can write the copy too.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use policy::{Proven, Rules, Timestamp, Uptime};
use trust::{Directory, Owner};

/// The kernel's name for this boot. A container may see another one, or none: then restarts are all that it sees.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The time namespace of this process.
const TIME_NAMESPACE: &str = "/proc/self/ns/time";

/// The host's own: PROC_TIME_INIT_INO in the kernel's include/linux/proc_ns.h, the same on every host.
const INITIAL_TIME_NAMESPACE: u128 = 0xEFFF_FFFA;

/// The instant it is. A clock before 1970 reads as 1970, which is before every publication: nothing is
/// trusted then.
#[allow(clippy::disallowed_methods, reason = "this is the place")]
pub fn now() -> Timestamp {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Timestamp::from_unix(i64::try_from(seconds).unwrap_or(0))
}

/// The same by the clock that nobody can set. A kernel that does not tell counts as one that was started just now.
pub fn uptime() -> Uptime {
    Uptime::new(boot(), since_boot())
}

/// How long the processor has worked on this thread. It stands still while others have the processor, or the machine does.
pub fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

fn boot() -> Option<u128> {
    let mut name = [0; 64];
    let length = File::open(BOOT).ok()?.read(&mut name).ok()?;
    let boot = Uptime::boot(std::str::from_utf8(name.get(..length)?).ok()?.trim())?;
    Some(boot ^ time_namespace().unwrap_or(0))
}

/// The number of the time namespace that this process is in, if it is not the host's own: the clock since the boot is
/// shifted there (time_namespaces(7)), so that it is compared with nothing from outside. A kernel without them has one.
fn time_namespace() -> Option<u128> {
    let link = std::fs::read_link(TIME_NAMESPACE).ok()?;
    let number = link.to_str()?.strip_prefix("time:[")?.strip_suffix(']')?.parse().ok()?;
    (number != INITIAL_TIME_NAMESPACE).then_some(number)
}

/// Where a sync writes what it knows of the time, for the copy at `path`.
pub fn beside(path: &Path) -> PathBuf {
    path.with_extension("clock")
}

/// What the last sync of the copy at `path` knew.
pub fn proven(path: &Path) -> Option<Proven> {
    proven_in(&Directory::of(path).ok()?, path)
}

/// The same, where the directory that the copy is in was judged.
pub fn proven_in(directory: &Directory, path: &Path) -> Option<Proven> {
    let text = directory.read(&beside(path), Owner::Service, Proven::LONGEST as u64).ok()?;
    Proven::parse(std::str::from_utf8(&text).ok()?)
}

/// The instant that ends in the configuration are judged by at a clock that shows `now`: that, or what the last syncs of these
/// `copies` show that it should be at least.
pub fn reached(copies: [&Path; 2], now: Timestamp) -> Timestamp {
    let seen = copies.into_iter().filter_map(proven);
    let floors = seen.map(|proven| floor(proven.instant(), Some(&proven), now).minus(Rules::SKEW));
    floors.fold(now, Timestamp::max)
}

/// The time, at a clock that shows `now`: that, or where the last syncs of these `copies` prove that it is behind, what they
/// prove. What counts for some hours counts for them also while a clock is wrong.
pub fn known(copies: [&Path; 2], now: Timestamp) -> Timestamp {
    let reached = reached(copies, now);
    if reached > now { reached.plus(Rules::SKEW) } else { now }
}

/// When something of a copy was read that has the date `synced`; see [`Proven::read_at`].
pub fn read_at(proven: &Proven, synced: Timestamp, now: Timestamp) -> Timestamp {
    proven.read_at(synced, now, uptime)
}

/// The instant before which the copy with the date `dated` is not trusted, by what the last sync knew; see
/// [`policy::floor`].
pub fn floor(dated: Timestamp, proven: Option<&Proven>, now: Timestamp) -> Timestamp {
    policy::floor(dated, proven, now, since_boot(), boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn this_boot_has_a_name_and_goes_on() {
        let first = uptime();
        let text = first.to_string();
        assert!(text.starts_with(fs::read_to_string(BOOT).unwrap().trim()), "{text}");
        assert!(uptime().after(&first).is_some());
        assert!(first.after(&Uptime::parse(&text).unwrap()).is_some());
    }

    #[test]
    fn what_others_could_have_written_or_nobody_wrote_is_as_none() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let copy = directory.path().join("roster.db");
        let path = beside(&copy);
        assert_eq!((path.file_name().unwrap(), proven(&copy)), ("roster.clock".as_ref(), None));
        let good = Proven::seen(now(), None, uptime(), now());
        fs::write(&path, good.to_string()).unwrap();
        assert_eq!(proven(&copy).unwrap().to_string(), good.to_string());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(proven(&copy), None);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        for text in ["", "\n", "proven 2 x\n", &"x".repeat(1000), &good.to_string().repeat(2)] {
            fs::write(&path, text).unwrap();
            assert_eq!(proven(&copy), None, "{text:?}");
        }
    }
}
