//! A clock that was set back: what a host has seen of the time, and the floor below which it is not trusted.
//!
//! Each sync leaves, beside its copy, the last instant that is proven and the reading of the clock that nobody can
//! set. A reader adds what that one has counted since. So a clock set back shows, whatever the copy says, and one
//! that was ahead for a while leaves nothing: what a bare clock said once is no proof.

use core::fmt;
use core::time::Duration;

use crate::{Rules, Span, Timestamp};

/// A moment by the clock that nobody can set: which boot, and how long ago that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptime {
    boot: Option<u128>,
    since: Duration,
}

impl Uptime {
    /// So long after the start of the boot with this number; `None`: it is not known which.
    pub const fn new(boot: Option<u128>, since: Duration) -> Self {
        Self { boot, since }
    }

    /// The number in the kernel's name for a boot: hexadecimal digits, and `-` between some.
    pub fn boot(name: &str) -> Option<u128> {
        let fits = !name.is_empty() && name.len() <= LONGEST_NAME;
        fits.then(|| name.bytes().filter(|&byte| byte != b'-').try_fold((0, 0), digit))?
            .filter(|(_, count)| (1..=32).contains(count))
            .map(|(number, _)| number)
    }

    /// Time since the boot.
    pub const fn since_boot(&self) -> Duration {
        self.since
    }

    /// Reads what is printed. A name that is no number is that of no boot.
    pub fn parse(text: &str) -> Option<Self> {
        let (boot, since) = text.split_once(':')?;
        let fits = !boot.is_empty() && boot.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits.then(|| Some(Self { boot: Self::boot(boot), since: seconds(since)? }))?
    }

    /// The time from `earlier` to this, if it was in this boot.
    pub fn after(&self, earlier: &Self) -> Option<Duration> {
        let elapsed = self.since.checked_sub(earlier.since)?;
        (self.boot.is_some() && self.boot == earlier.boot).then_some(elapsed)
    }
}

/// In place of the name of a boot that has none.
const UNKNOWN: &str = "unknown";

/// The longest name of a boot: a UUID as the kernel writes it.
const LONGEST_NAME: usize = 36;

fn digit((number, count): (u128, u32), byte: u8) -> Option<(u128, u32)> {
    let value = char::from(byte).to_digit(16)?;
    Some(((number << 4) | u128::from(value), count + 1))
}

impl fmt::Display for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.boot {
            Some(boot) => {
                let part = |shift: u32, digits: u32| (boot >> shift) & ((1 << (4 * digits)) - 1);
                let (a, b, c, d, e) = (part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12));
                write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")?;
            }
            None => f.write_str(UNKNOWN)?,
        }
        write!(f, ":{}.{:02}", self.since.as_secs(), self.since.subsec_millis() / 10)
    }
}

/// Seconds with two places after the point, or with none of them.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, hundredths) = text.split_once('.').unwrap_or((text, "00"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(hundredths) || hundredths.len() != 2 {
        return None;
    }
    Duration::from_secs(whole.parse().ok()?)
        .checked_add(Duration::from_millis(10 * hundredths.parse::<u64>().ok()?))
}

/// How the line begins that is written; a line that begins otherwise proves nothing here.
const FORM: &str = "proven 1";

/// The last instant that is proven to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    instant: Timestamp,
    uptime: Uptime,
    copy: Timestamp,
}

impl Proven {
    /// The longest text of one, in bytes.
    pub const LONGEST: usize = 256;

    /// What a sync knows at `now` by its own clock, of the copy that it publishes with the date `copy`. A clock that
    /// is ahead proves no more than `told`, the clock of the service that was asked, where there is one.
    pub fn seen(now: Timestamp, told: Option<Timestamp>, uptime: Uptime, copy: Timestamp) -> Self {
        Self { instant: told.map_or(now, |told| told.min(now)), uptime, copy }
    }

    /// The same where nobody tells the time, and the next sync may not come through: a clock that has gone further
    /// ahead since the sync before than this boot has lasted was set, and proves nothing more.
    pub fn borne_out(self, before: Option<&Self>) -> Self {
        let jumped = before.and_then(|before| {
            let elapsed = self.uptime.after(&before.uptime)?;
            let whole = Duration::from_secs(elapsed.as_secs());
            let reached = before.instant.plus(span(whole));
            let uptime = Uptime { since: before.uptime.since.saturating_add(whole), ..before.uptime };
            (reached.plus(Rules::SKEW) < self.instant).then_some((reached, uptime))
        });
        jumped.map_or(self, |(instant, uptime)| Self { instant, uptime, ..self })
    }

    /// The same, or what the sync before knew, of this copy: whichever shows that it is later by now. What is only known to
    /// be over must not replace what a clock counts on from.
    pub fn or_later(self, before: Option<Self>) -> Self {
        let later = before.filter(|before| before.floor(&self.uptime) > self.instant);
        later.map_or(self, |before| before.counting_in(self.uptime).of(self.copy))
    }

    /// The same by a head that is later than all that were taken over before, `issued` then by a collector's clock; nothing
    /// while what is proven is over by a clock that shows `now` too. Two that agree on an earlier time show that the clock
    /// of this boot ran fast, and the head alone is left.
    pub fn corrected(&self, issued: Timestamp, now: Timestamp, uptime: Uptime) -> Option<Self> {
        (now < self.floor(&uptime)).then(|| Self::seen(now, Some(issued), uptime, self.copy))
    }

    /// The same in the boot of `uptime`: where that is another one, from now on its clock counts.
    fn counting_in(self, uptime: Uptime) -> Self {
        if self.reached(&uptime).is_some() { self } else { Self { uptime, ..self } }
    }

    /// The same of the copy with the date `copy`, which proves nothing new.
    pub const fn of(self, copy: Timestamp) -> Self {
        Self { copy, ..self }
    }

    /// The instant.
    pub const fn instant(&self) -> Timestamp {
        self.instant
    }

    /// Was it left with the copy that has this date? Then it, and no date in the copy, says what the time was.
    pub fn vouches_for(&self, copy: Timestamp) -> bool {
        self.copy == copy
    }

    /// What a clock shows at least at `uptime`. After a restart, or where no boot has a name, only what it showed then.
    pub fn floor(&self, uptime: &Uptime) -> Timestamp {
        self.reached(uptime).unwrap_or(self.instant)
    }

    /// What a clock shows at `uptime`, if it was right then and goes right; `None`: this is not known to be the same boot.
    pub fn reached(&self, uptime: &Uptime) -> Option<Timestamp> {
        uptime.after(&self.uptime).map(|elapsed| self.instant.plus(span(elapsed)))
    }

    /// When something was read that has the date `synced` by the clock of a sync, at a clock that shows `now`: where the
    /// sync's was ahead, no later than what is proven. Once a clock has come to such a date, at least the time has passed
    /// that this boot has counted. `uptime` is asked where a date is ahead of what is proven.
    pub fn read_at(&self, synced: Timestamp, now: Timestamp, uptime: impl FnOnce() -> Uptime) -> Timestamp {
        if synced <= self.instant.plus(Rules::SKEW) {
            return synced;
        }
        if now.plus(Rules::SKEW) < synced {
            return self.instant;
        }
        let elapsed = uptime().after(&self.uptime).map_or(Span::seconds(0), span);
        synced.min(now.minus(elapsed))
    }

    /// The latest that [`Proven::floor`] can be, whichever boot this is.
    fn latest(&self, since_boot: Duration) -> Timestamp {
        self.instant.plus(span(since_boot.saturating_sub(self.uptime.since)))
    }

    /// Reads the text; nothing, if it is not as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.strip_prefix(FORM)?.strip_prefix(' ')?.split(' ');
        let instant = Timestamp::parse(words.next()?)?;
        let uptime = Uptime::parse(words.next()?)?;
        let copy = Timestamp::parse(words.next()?)?;
        words.next().is_none().then_some(Self { instant, uptime, copy })
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM} {} {} {}", self.instant, self.uptime, self.copy)
    }
}

/// The instant before which a copy with the date `dated` is not trusted, but for [`Rules::SKEW`]: what is proven,
/// and the copy's own date where nothing vouches for it, as an earlier release leaves it.
///
/// `now` only spares a question: `boot` is asked, which costs three system calls, where the answer depends on it.
pub fn floor(
    dated: Timestamp,
    proven: Option<&Proven>,
    now: Timestamp,
    since_boot: Duration,
    boot: impl FnOnce() -> Option<u128>,
) -> Timestamp {
    let Some(proven) = proven else { return dated };
    let reached = if now.plus(Rules::SKEW) < proven.latest(since_boot) {
        proven.floor(&Uptime::new(boot(), since_boot))
    } else {
        proven.instant
    };
    if proven.vouches_for(dated) { reached } else { reached.max(dated) }
}

fn span(length: Duration) -> Span {
    Span::seconds(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use alloc::string::ToString;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_795_165_200 + seconds)
    }

    fn up(boot: u128, seconds: i64) -> Uptime {
        Uptime::new(Some(boot), Duration::from_secs(u64::try_from(seconds).unwrap()))
    }

    /// Is a copy dated `dated` trusted by a clock that shows `now`, `uptime` after the boot?
    fn holds(dated: Timestamp, proven: Option<&Proven>, now: Timestamp, uptime: &Uptime) -> bool {
        floor(dated, proven, now, uptime.since, || uptime.boot) <= now.plus(Rules::SKEW)
    }

    #[test]
    fn an_instant_that_is_over_takes_nothing_from_what_is_proven() {
        let before = Proven::seen(at(0), Some(at(0)), up(1, 600), at(0));
        let seen = |issued, boot, uptime| {
            Proven::seen(at(DAY), Some(at(issued)), up(boot, uptime), at(500)).or_later(Some(before))
        };
        // An hour later by the clock that counts, a head of then is news, and an old one is not.
        assert_eq!(seen(3_590, 1, 600 + 3_600), before.of(at(500)));
        assert_eq!(seen(3_601, 1, 600 + 3_600).instant(), at(3_601));
        // After a restart what was proven is all that is known, and the new boot counts on from there.
        assert_eq!(seen(-1, 2, 60), Proven::seen(at(0), None, up(2, 60), at(500)));
        assert_eq!(seen(1, 2, 60).instant(), at(1));
        let first = Proven::seen(at(9), Some(at(5)), up(1, 1), at(9));
        assert_eq!(first.or_later(None), first);
    }

    #[test]
    fn a_later_head_puts_right_what_a_boots_clock_has_counted_too_much() {
        let before = Proven::seen(at(0), None, up(1, 600), at(500));
        // An hour has passed, and this boot has counted ten minutes more.
        let corrected = |issued, now, uptime| before.corrected(at(issued), at(now), uptime);
        let head = Proven::seen(at(3_590), None, up(1, 4_800), at(500));
        assert_eq!(corrected(3_590, 3_600, up(1, 4_800)), Some(head));
        assert_eq!(corrected(3_610, 3_600, up(1, 4_800)).unwrap().instant(), at(3_600), "the smaller of two");
        assert_eq!(corrected(3_590, 4_200, up(1, 4_800)), None, "what is proven is over by this clock too");
        assert_eq!(corrected(3_590, 3_600, up(2, 60)), None, "of a boot that is over");
        assert_eq!(corrected(-60, -30, up(2, 60)).unwrap().instant(), at(-60));
    }

    #[test]
    fn what_was_read_by_a_clock_that_was_ahead_gets_no_younger_when_time_comes_to_its_date() {
        // Read at 0 by a clock that was three days ahead, ten minutes after the boot.
        let (synced, proven) = (at(3 * DAY), Proven::seen(at(3 * DAY), Some(at(0)), up(1, 600), at(3 * DAY)));
        let read_at = |now: i64, uptime| proven.read_at(synced, at(now), || uptime);
        for now in [60, DAY, 3 * DAY - 121] {
            assert_eq!(read_at(now, up(1, 600 + now)), at(0));
        }
        for now in [3 * DAY - 120, 3 * DAY, 5 * DAY] {
            assert_eq!(read_at(now, up(1, 600 + now)), at(0), "{now}");
        }
        // A clock that was behind before, and set right by the same step: nothing is older than this boot can tell.
        assert_eq!(read_at(3 * DAY + 60, up(1, 660)), at(3 * DAY));
        assert_eq!(read_at(3 * DAY + 60, up(2, 50)), at(3 * DAY), "another boot");
        // A date that is proven is as it is.
        let right = Proven::seen(at(0), None, up(1, 600), at(0));
        assert_eq!(right.read_at(at(60), at(DAY), || panic!("not asked")), at(60));
    }

    #[test]
    fn a_clock_set_back_shows_and_one_that_was_ahead_leaves_nothing() {
        let (mut refused, mut healed) = (0, 0);
        for seed in 1..=20_000 {
            let mut dice = Dice(u64::wrapping_mul(seed, 0x9e37_79b9_7f4a_7c15));
            // The true time, and when this boot began.
            let (mut time, mut booted, mut boot) = (0, -dice.roll(9 * DAY), 1);
            let (mut proven, mut dated, mut seen) = (None, at(0), 0);
            for _ in 0..1 + dice.roll(6) {
                time += dice.roll(2 * DAY);
                if dice.roll(4) == 0 {
                    (booted, boot) = (time, boot + 1);
                }
                // A sync, by a clock that is right, or ahead of a service that tells the time.
                let ahead = if dice.roll(2) == 0 { dice.roll(9 * DAY) } else { 0 };
                (dated, seen) = (at(time + ahead), time);
                proven = Some(Proven::seen(dated, Some(at(time)), up(boot, time - booted), dated));
            }
            time += dice.roll(2 * DAY);
            if dice.roll(4) == 0 {
                (booted, boot) = (time, boot + 1);
            }
            let (proven, uptime) = (proven.unwrap(), up(boot, time - booted));
            let read = |now| holds(dated, Some(&proven), at(now), &uptime);
            assert!(read(time) && read(time + dice.roll(DAY)), "world {seed}: the right time is trusted");
            healed += usize::from(at(time).plus(Rules::SKEW) < dated);
            // Within the boot of the last sync what has passed since counts, after it what the sync saw.
            let least = if booted <= seen { time } else { seen };
            assert!(read(least - 120) && !read(least - 121), "world {seed}");
            assert!(!read(least - 121 - dice.roll(9 * DAY)), "world {seed}");
            refused += usize::from(least < time);
            // Whether the boot is asked for makes no difference.
            for now in [time, least - 121, least - 120, dated.since(at(0)).as_seconds()] {
                assert_eq!(read(now), proven.floor(&uptime) <= at(now).plus(Rules::SKEW), "world {seed}");
            }
        }
        assert!(refused > 1000 && healed > 1000, "{refused} {healed}");
    }

    #[test]
    fn a_copy_that_nothing_vouches_for_is_judged_by_its_date_as_well() {
        let (uptime, later) = (up(1, 500), up(1, 1000));
        let proven = Proven::seen(at(0), None, uptime, at(0));
        assert!(holds(at(0), None, at(-120), &later) && !holds(at(0), None, at(-121), &later));
        let held = |dated, now| holds(at(dated), Some(&proven), at(now), &later);
        assert!(held(0, 380) && !held(0, 379));
        assert!(held(700, 580) && !held(700, 579), "an earlier release has written the copy since");
        assert!(held(-700, 380) && !held(-700, 379), "a copy that came back");
        let (after, unknown) = (up(2, 1000), Uptime::new(None, Duration::from_secs(1000)));
        for other in [after, unknown] {
            assert!(holds(at(0), Some(&proven), at(-120), &other), "what was proven alone is left");
            assert!(!holds(at(0), Some(&proven), at(-121), &other));
        }
        let nameless = Proven::seen(at(0), None, unknown, at(0));
        assert!(holds(at(0), Some(&nameless), at(-120), &unknown));
    }

    #[test]
    fn a_boot_is_asked_for_only_where_it_matters() {
        let proven = Proven::seen(at(0), None, up(1, 500), at(0));
        let asked = |now, since| {
            let mut asked = false;
            let boot = || {
                asked = true;
                Some(1)
            };
            let _ = floor(at(0), Some(&proven), at(now), Duration::from_secs(since), boot);
            asked
        };
        assert_eq!([asked(500, 1000), asked(380, 1000), asked(379, 1000)], [false, false, true]);
    }

    #[test]
    fn where_nobody_tells_the_time_a_jump_proves_no_more_than_has_passed() {
        let seen = |now, uptime| Proven::seen(at(now), None, uptime, at(now));
        let first = seen(0, up(1, 500));
        let next =
            |now, uptime| seen(now, uptime).borne_out(Some(&first)).instant().since(at(0)).as_seconds();
        assert_eq!(next(300, up(1, 800)), 300);
        assert_eq!(next(420, up(1, 800)), 420, "as far apart as clocks may be");
        assert_eq!(next(7500, up(1, 800)), 300);
        assert_eq!(next(-7500, up(1, 800)), -7500, "everything was read anew");
        assert_eq!(next(7500, up(2, 800)), 7500, "another boot");
        // As long as it is ahead, and without losing parts of seconds at each sync.
        let mut proven = first;
        for sync in 1..=1000 {
            let since = Duration::from_millis(500_000 + sync * 2_500);
            let now = at(9000).plus(span(since));
            proven = Proven::seen(now, None, Uptime::new(Some(1), since), now).borne_out(Some(&proven));
        }
        assert_eq!(proven.instant(), at(2500));
        // The smaller one of two clocks, and never more than the sync's own.
        let told = |told| Proven::seen(at(0), Some(at(told)), up(1, 1), at(0)).instant();
        assert_eq!((told(-90), told(90)), (at(-90), at(0)));
    }

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is() {
        let text = "proven 1 2026-11-20T09:00:00Z 0b0e1c2d-0304-0506-0708-090a0b0c0d0e:51000.25 2026-11-20T09:00:07Z\n";
        let proven = Proven::parse(text).unwrap();
        assert_eq!(proven.to_string(), text);
        assert!(text.len() < Proven::LONGEST);
        let nameless = text.replace("0b0e1c2d-0304-0506-0708-090a0b0c0d0e", "unknown");
        for name in ["unknown", "0x0e", "0b0e1c2d-0304-0506-0708-090a0b0c0d0e0", "another-boot"] {
            let proven = Proven::parse(&nameless.replace("unknown", name)).unwrap();
            assert_eq!(proven.to_string(), nameless, "{name} is no boot's");
        }
        for (from, to) in [
            ("\n", ""),
            ("\n", "\n\n"),
            ("\n", " x\n"),
            ("proven 1 ", "proven 2 "),
            ("proven", "Proven"),
            ("2026-11-20T09:00:00Z", "2026-11-20"),
            ("2026-11-20T09:00:07Z", ""),
            (":51000.25", ""),
            (".25", ".2"),
            ("0b0e", "0b0e/"),
            ("0b0e1c2d-0304-0506-0708-090a0b0c0d0e", ""),
            (" ", "  "),
        ] {
            assert_eq!(Proven::parse(&text.replacen(from, to, 1)), None, "{from:?} {to:?}");
        }
    }
}
