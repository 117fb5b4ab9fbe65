//! `/etc/authkeys/switch`: what root has said about enforcing since the configuration was written.
//!
//! `oncall-cache suspend` and `oncall-cache enforce` write it: at most one line of each kind, `#` before a comment.
//!
//! ```text
//! suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z BOOT:51000.25 root the rota shows nobody
//! enforce 2026-11-20T09:00:00Z 2026-11-20T09:05:00Z BOOT:51000.25 root
//! enforce 2026-11-20T09:00:00Z - BOOT:51000.25 root
//! ```
//!
//! Verb, from when, until when (`-`: until root ends it), the kernel's name for this boot with the seconds since then (as in
//! /proc/uptime; hundredths tell a login that began after it from one before), who said so, and the rest of the line is why. It is beside the configuration and not in /run, so that whoever restarts a
//! host on a bad day is not locked out by it. No file says nothing. One that others could have written, or with
//! a line that is not understood, cannot be told from one that said `enforce`: then this host enforces.

use std::fmt;
use std::path::{Path, PathBuf};

use clock::uptime;
use nix::unistd::getuid;
use policy::{Order, Switch, Timestamp, Uptime};
use trust::Owner;

use crate::revoked::is_reason;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 64 * 1024;

/// What `oncall-cache enforce` asks PAM with, about logins that nobody makes.
pub const PROBE: &str = "/usr/libexec/authkeys/pam-probe";

/// Is this process that program? The kernel says so, not its caller.
pub fn is_probe() -> bool {
    getuid().is_root() && std::fs::read_link("/proc/self/exe").is_ok_and(|exe| exe == Path::new(PROBE))
}

/// Why the file tells nothing.
#[derive(Debug)]
pub enum Unreadable {
    /// It cannot be read, or others could have written it.
    File(trust::Refusal),
    /// A line is not understood; its number, from 1.
    Line(PathBuf, usize),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(refusal) => refusal.fmt(f),
            Self::Line(path, line) => {
                write!(f, "{}:{line}: not understood; take the line out, or remove the file", path.display())
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// Where the switch is that belongs to the configuration at `path`, readable or not.
pub fn beside(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).join("switch")
}

/// Reads the file at `path`.
///
/// # Errors
/// Why it cannot be told what it says.
pub fn read(path: &Path) -> Result<Switch, Unreadable> {
    let text = text(path)?;
    if text.is_empty() { Ok(Switch::untouched()) } else { parse(path, &text, &uptime()) }
}

/// What is in the file at `path`; nothing, if there is none.
///
/// # Errors
/// It cannot be read, or others could have written it.
pub fn text(path: &Path) -> Result<Vec<u8>, Unreadable> {
    match trust::read(path, Owner::Root, LARGEST) {
        Err(refusal) if refusal.is_missing() => Ok(Vec::new()),
        outcome => outcome.map_err(Unreadable::File),
    }
}

/// Reads `text` as the content of `path`, at the time `uptime`.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(path: &Path, text: &[u8], uptime: &Uptime) -> Result<Switch, Unreadable> {
    let mut switch = Switch::untouched();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let wrong = || Unreadable::Line(path.to_path_buf(), number);
        let text = std::str::from_utf8(line).map_err(|_| wrong())?;
        let (verb, rest) = text.split_once(' ').ok_or_else(wrong)?;
        let order = order(rest, uptime).ok_or_else(wrong)?;
        let place = match verb {
            "suspend" if is_short(&order) => &mut switch.suspension,
            "enforce" => &mut switch.enforcement,
            _ => return Err(wrong()),
        };
        if place.replace(order).is_some() {
            return Err(wrong());
        }
    }
    Ok(switch)
}

/// Does it end, and soon enough to suspend enforcing?
fn is_short(order: &Order) -> bool {
    order.until.is_some_and(|until| until.since(order.from) <= Order::LONGEST)
}

fn order(words: &str, uptime: &Uptime) -> Option<Order> {
    let (from, rest) = words.split_once(' ')?;
    let (until, rest) = rest.split_once(' ')?;
    let (said_at, rest) = rest.split_once(' ')?;
    let (by, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let from = Timestamp::parse(from)?;
    let until = if until == "-" { None } else { Some(Timestamp::parse(until)?) };
    let said_at = Uptime::parse(said_at)?;
    let fits = until.is_none_or(|until| from < until)
        && !by.is_empty()
        && by.bytes().all(|byte| byte.is_ascii_graphic())
        && is_reason(reason);
    let (by, reason) = (by.to_string(), reason.trim().to_string());
    fits.then(|| Order { from, until, by, reason, elapsed: uptime.after(&said_at) })
}

/// `text`, which is understood, with the line for `order` in the place of what stood there of `verb`: said at
/// `uptime`, or none. All else stays as it is.
pub fn with(text: &[u8], verb: &str, order: Option<&Order>, uptime: &Uptime) -> Vec<u8> {
    let is_other =
        |line: &&[u8]| line.trim_ascii().split(|&byte| byte == b' ').next() != Some(verb.as_bytes());
    let mut kept: Vec<u8> =
        text.split_inclusive(|&byte| byte == b'\n').filter(is_other).flatten().copied().collect();
    if kept.last().is_some_and(|&byte| byte != b'\n') {
        kept.push(b'\n');
    }
    kept.extend(order.map(|order| line(verb, order, uptime)).unwrap_or_default().into_bytes());
    kept
}

/// The line for `order`, said at `uptime`.
fn line(verb: &str, order: &Order, uptime: &Uptime) -> String {
    let until = order.until.map_or_else(|| "-".to_string(), |until| until.to_string());
    let Order { from, by, reason, .. } = order;
    format!("{verb} {from} {until} {uptime} {by} {reason}").trim_end().to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Mode, ModeSource, Span, mode_in_force};
    use std::time::Duration;

    fn uptime(text: &str) -> Uptime {
        Uptime::parse(text).unwrap()
    }

    /// What is printed, with the name of a boot as short as here.
    fn short(text: &str) -> String {
        text.replace("00000000-0000-0000-0000-000000000b01", "b0-1")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn read_at(text: &str, now: &str) -> Result<Switch, Unreadable> {
        parse(Path::new("/s"), text.as_bytes(), &uptime(now))
    }

    const SUSPENDED: &str =
        "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b0-1:5000.07 root no rota today";
    const TRIAL: &str = "enforce 2026-11-20T09:00:00Z 2026-11-20T09:05:00Z b0-1:5000.07 root";
    const CONFIRMED: &str = "enforce 2026-11-20T09:00:00Z - b0-1:5000.07 alice";

    #[test]
    fn what_is_written_is_read_back_with_the_time_since() {
        for (verb, text) in [("suspend", SUSPENDED), ("enforce", TRIAL), ("enforce", CONFIRMED)] {
            let switch = read_at(&format!("# by hand\n\n{text}\n"), "b0-1:5060.10").unwrap();
            let order = switch.suspension.or(switch.enforcement).unwrap();
            assert_eq!(order.elapsed, Some(Duration::from_millis(60_030)));
            assert_eq!(short(&line(verb, &order, &uptime("b0-1:5000.07"))), format!("{text}\n"));
        }
        let both = read_at(&format!("{SUSPENDED}\n{CONFIRMED}"), "b0-2:60").unwrap();
        assert_eq!(both.suspension.as_ref().unwrap().reason, "no rota today");
        assert_eq!(both.enforcement.as_ref().unwrap().by, "alice");
        assert_eq!(both.suspension.unwrap().elapsed, None, "another boot");
    }

    #[test]
    fn one_order_is_replaced_and_all_else_stays() {
        let text = format!("# by hand\n{SUSPENDED}\n{TRIAL}");
        let order = read_at(CONFIRMED, "b0-1:6000").unwrap().enforcement;
        let written = |verb, order| {
            let text = with(text.as_bytes(), verb, order, &uptime("b0-1:5000.07"));
            short(std::str::from_utf8(&text).unwrap())
        };
        assert_eq!(written("enforce", order.as_ref()), format!("# by hand\n{SUSPENDED}\n{CONFIRMED}\n"));
        assert_eq!(written("enforce", None), format!("# by hand\n{SUSPENDED}\n"));
        assert_eq!(written("suspend", None), format!("# by hand\n{TRIAL}\n"));
    }

    #[test]
    fn whatever_is_not_understood_tells_nothing() {
        for wrong in [
            "suspend",
            "observe 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1 root",
            "suspend 2026-11-20T09:00:00Z - b:1 root for ever",
            "suspend 2026-11-20T09:00:00Z 2026-11-21T09:00:01Z b:1 root a second too long",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T09:00:00Z b:1 root",
            "suspend 2026-11-20T13:00:00Z 2026-11-20T09:00:00Z b:1 root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:x root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1.5 root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1.-5 root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:.05 root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:+1.05 root",
            "suspend 2026-11-20 2026-11-20T13:00:00Z b:1 root",
            "suspend 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1 root a\tb",
            "enforce - - b:1 root",
            "\u{0}",
        ] {
            assert!(read_at(wrong, "b:9").is_err(), "{wrong:?}");
            assert!(read_at(&format!("{CONFIRMED}\n{wrong}"), "b:9").is_err(), "{wrong:?}");
        }
        assert!(read_at(&format!("{SUSPENDED}\n{SUSPENDED}"), "b:9").is_err());
        assert!(parse(Path::new("/s"), b"suspend \xff", &uptime("b:9")).is_err());
        let day = "suspend 2026-11-20T09:00:00Z 2026-11-21T09:00:00Z b:1 root";
        assert!(read_at(day, "b:9").is_ok());
    }

    #[test]
    fn the_clock_that_nobody_sets_ends_a_suspension_that_the_other_one_prolongs() {
        let suspended = |uptime: &str, now: &str| {
            let switch = read_at(SUSPENDED, uptime).unwrap();
            mode_in_force(Mode::Enforce, Some(&switch), at(now)).0 == Mode::Observe
        };
        assert!(suspended("b0-1:5000.07", "2026-11-20T09:00:00Z"));
        assert!(suspended("b0-1:19400.06", "2026-11-20T09:01:00Z"));
        assert!(!suspended("b0-1:19400.07", "2026-11-20T09:01:00Z"));
        assert!(suspended("b0-2:19400.07", "2026-11-20T12:59:59Z"), "after a restart the wall clock is left");
        assert!(!suspended("b0-2:10", "2026-11-20T13:00:00Z"));
    }

    #[test]
    fn no_file_says_nothing_and_one_that_others_could_have_written_enforces() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = beside(&directory.path().join("config.toml"));
        assert_eq!(read(&path).unwrap(), Switch::untouched());
        let (now, uptime) = (crate::clock::now(), crate::clock::uptime());
        let until = Some(now.plus(Span::hours(1)));
        let (by, reason) = ("root".to_string(), String::new());
        let order = Order { from: now, until, by, reason, elapsed: None };
        std::fs::write(&path, line("suspend", &order, &uptime)).unwrap();
        let switch = read(&path).unwrap();
        assert_eq!(mode_in_force(Mode::Enforce, Some(&switch), now).0, Mode::Observe);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o664);
        std::fs::set_permissions(&path, mode).unwrap();
        let switch = read(&path).ok();
        assert_eq!(
            mode_in_force(Mode::Observe, switch.as_ref(), now),
            (Mode::Enforce, ModeSource::Unreadable)
        );
    }
}
