//! `/etc/authkeys/switch`: what root has said about enforcing since the configuration was written.
//!
//! `oncall-cache pause` and `oncall-cache enforce` write it: at most one line of each kind, `#` before a comment.
//!
//! ```text
//! pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z BOOT:51000.25 root the rota shows nobody
//! enforce 2026-11-20T09:00:00Z 2026-11-20T09:05:00Z BOOT:51000.25 root
//! enforce 2026-11-20T09:00:00Z - BOOT:51000.25 root
//! ```
//!
//! Verb, from when, until when (`-`: until root ends it), the kernel's name for this boot with the seconds since then (as in
//! /proc/uptime; hundredths tell a login that began after it from one before), who said so, and the rest of the line is why. It is beside the configuration and not in /run, so that restarting a
//! host on a bad day locks nobody out. No file says nothing. One that others could have written, or with
//! a line that is not understood, cannot be told from one that said `enforce`: then this host enforces.

use std::path::Path;

use clock::uptime;
use nix::unistd::getuid;
use policy::{Order, Switch, Timestamp, Uptime};

use crate::orders::{self, OrderFile, OrdersError};

/// The file.
pub const FILE: OrderFile = OrderFile {
    name: "switch",
    largest: 64 * 1024,
    advice: "not a line of `oncall-cache pause` or `enforce`, which have one blank between words and `#` only before a comment; delete the line or the file",
};

/// What `oncall-cache enforce` asks PAM with, about logins that nobody makes.
pub const PROBE: &str = "/usr/libexec/authkeys/pam-probe";

/// Is this process that program? The kernel says so, not its caller.
pub fn is_probe() -> bool {
    getuid().is_root() && std::fs::read_link("/proc/self/exe").is_ok_and(|exe| exe == Path::new(PROBE))
}

/// Reads the file at `path`.
///
/// # Errors
/// Why it cannot be told what it says.
pub fn read(path: &Path) -> Result<Switch, OrdersError> {
    let text = FILE.text(path)?;
    if text.is_empty() { Ok(Switch::untouched()) } else { parse(path, &text, &uptime()) }
}

/// Reads `text` as the content of `path`, at the time `uptime`.
///
/// # Errors
/// The first line that is not understood.
pub fn parse(path: &Path, text: &[u8], uptime: &Uptime) -> Result<Switch, OrdersError> {
    let mut switch = Switch::untouched();
    FILE.parse(path, text, |line| {
        let (verb, rest) = line.split_once(' ')?;
        let order = order(rest, uptime)?;
        let place = match verb {
            "pause" if is_short(&order) => &mut switch.pause,
            "enforce" => &mut switch.enforcement,
            _ => return None,
        };
        // Of each kind there is one at most.
        place.replace(order).is_none().then_some(())
    })?;
    Ok(switch)
}

/// Does it end, and soon enough to pause enforcing?
fn is_short(order: &Order) -> bool {
    order.until.is_some_and(|until| until.since(order.from) <= Order::LONGEST)
}

fn order(words: &str, uptime: &Uptime) -> Option<Order> {
    let (from, rest) = words.split_once(' ')?;
    let (until, rest) = rest.split_once(' ')?;
    let (said_at, rest) = rest.split_once(' ')?;
    let (by, reason) = orders::said(rest)?;
    let from = Timestamp::parse(from)?;
    let until = if until == "-" { None } else { Some(Timestamp::parse(until)?) };
    let elapsed = uptime.after(&Uptime::parse(said_at)?);
    let fits = until.is_none_or(|until| from < until);
    fits.then_some(Order { from, until, by, reason, elapsed })
}

/// `text`, which is understood, with the line for `order` instead of the one for `verb`: said at `uptime`, or
/// none.
pub fn with(text: &[u8], verb: &str, order: Option<&Order>, uptime: &Uptime) -> Vec<u8> {
    let line = order.map(|order| line(verb, order, uptime));
    orders::with(text, verb, line.as_deref())
}

/// The line for `order`, said at `uptime`.
fn line(verb: &str, order: &Order, uptime: &Uptime) -> String {
    let until = order.until.map_or_else(|| "-".to_string(), |until| until.to_string());
    let Order { from, by, reason, .. } = order;
    format!("{verb} {from} {until} {uptime} {by} {reason}").trim_end().to_string()
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

    fn read_at(text: &str, now: &str) -> Result<Switch, OrdersError> {
        parse(Path::new("/s"), text.as_bytes(), &uptime(now))
    }

    const PAUSED: &str = "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b0-1:5000.07 root no rota today";
    const TRIAL: &str = "enforce 2026-11-20T09:00:00Z 2026-11-20T09:05:00Z b0-1:5000.07 root";
    const CONFIRMED: &str = "enforce 2026-11-20T09:00:00Z - b0-1:5000.07 alice";

    #[test]
    fn what_is_written_is_read_back_with_the_time_since() {
        for (verb, text) in [("pause", PAUSED), ("enforce", TRIAL), ("enforce", CONFIRMED)] {
            let switch = read_at(&format!("# by hand\n\n{text}\n"), "b0-1:5060.10").unwrap();
            let order = switch.pause.or(switch.enforcement).unwrap();
            assert_eq!(order.elapsed, Some(Duration::from_millis(60_030)));
            assert_eq!(short(&line(verb, &order, &uptime("b0-1:5000.07"))), text);
        }
        let both = read_at(&format!("{PAUSED}\n{CONFIRMED}"), "b0-2:60").unwrap();
        assert_eq!(both.pause.as_ref().unwrap().reason, "no rota today");
        assert_eq!(both.enforcement.as_ref().unwrap().by, "alice");
        assert_eq!(both.pause.unwrap().elapsed, None, "another boot");
    }

    #[test]
    fn one_order_is_replaced_and_all_else_stays() {
        let text = format!("# by hand\n{PAUSED}\n{TRIAL}");
        let order = read_at(CONFIRMED, "b0-1:6000").unwrap().enforcement;
        let written = |verb, order| {
            let text = with(text.as_bytes(), verb, order, &uptime("b0-1:5000.07"));
            short(std::str::from_utf8(&text).unwrap())
        };
        assert_eq!(written("enforce", order.as_ref()), format!("# by hand\n{PAUSED}\n{CONFIRMED}\n"));
        assert_eq!(written("enforce", None), format!("# by hand\n{PAUSED}\n"));
        assert_eq!(written("pause", None), format!("# by hand\n{TRIAL}\n"));
    }

    #[test]
    fn whatever_is_not_understood_tells_nothing() {
        for wrong in [
            "pause",
            "observe 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1 root",
            "pause 2026-11-20T09:00:00Z - b:1 root for ever",
            "pause 2026-11-20T09:00:00Z 2026-11-21T09:00:01Z b:1 root a second too long",
            "pause 2026-11-20T09:00:00Z 2026-11-20T09:00:00Z b:1 root",
            "pause 2026-11-20T13:00:00Z 2026-11-20T09:00:00Z b:1 root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:x root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1.5 root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1.-5 root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:.05 root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:+1.05 root",
            "pause 2026-11-20 2026-11-20T13:00:00Z b:1 root",
            "pause 2026-11-20T09:00:00Z 2026-11-20T13:00:00Z b:1 root a\tb",
            "enforce - - b:1 root",
            "\u{0}",
        ] {
            assert!(read_at(wrong, "b:9").is_err(), "{wrong:?}");
            assert!(read_at(&format!("{CONFIRMED}\n{wrong}"), "b:9").is_err(), "{wrong:?}");
        }
        assert!(read_at(&format!("{PAUSED}\n{PAUSED}"), "b:9").is_err());
        assert!(parse(Path::new("/s"), b"pause \xff", &uptime("b:9")).is_err());
        let day = "pause 2026-11-20T09:00:00Z 2026-11-21T09:00:00Z b:1 root";
        assert!(read_at(day, "b:9").is_ok());
    }

    #[test]
    fn the_clock_that_nobody_sets_ends_a_pause_that_the_other_one_prolongs() {
        let paused = |uptime: &str, now: &str| {
            let switch = read_at(PAUSED, uptime).unwrap();
            mode_in_force(Mode::Enforce, Some(&switch), at(now)).0 == Mode::Observe
        };
        assert!(paused("b0-1:5000.07", "2026-11-20T09:00:00Z"));
        assert!(paused("b0-1:19400.06", "2026-11-20T09:01:00Z"));
        assert!(!paused("b0-1:19400.07", "2026-11-20T09:01:00Z"));
        assert!(paused("b0-2:19400.07", "2026-11-20T12:59:59Z"), "after a restart the wall clock is left");
        assert!(!paused("b0-2:10", "2026-11-20T13:00:00Z"));
    }

    #[test]
    fn no_file_says_nothing_and_one_that_others_could_have_written_enforces() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let path = FILE.beside(&directory.path().join("config.toml"));
        assert_eq!(read(&path).unwrap(), Switch::untouched());
        let (now, uptime) = (crate::clock::now(), crate::clock::uptime());
        let until = Some(now.plus(Span::hours(1)));
        let (by, reason) = ("root".to_string(), String::new());
        let order = Order { from: now, until, by, reason, elapsed: None };
        std::fs::write(&path, line("pause", &order, &uptime)).unwrap();
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
