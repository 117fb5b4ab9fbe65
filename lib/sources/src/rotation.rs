//! Rotations: whose turn it is, by the wall clock of one time zone. Pure: it reads no file and no clock.
//!
//! Every hand-over keeps its local time through the year: a turn in which clocks change is longer or shorter by
//! as much. A local time that clocks skip in spring is as much later (02:30 is 03:30); of one that they show
//! twice in autumn the first counts. So each local time is one instant, and turns have no gap and no overlap.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use policy::{Span, Timestamp, Window};

/// The most shifts of one rotation that are told.
const MOST_SHIFTS: usize = 50_000;

/// No turn is longer, in hours: 366 days.
const LONGEST_TURN: i64 = 366 * 24;

/// People who take turns.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Where the wall clock hangs.
    pub zone: TimeZone,
    /// When the first turn begins, by that clock.
    pub start: DateTime,
    /// When the last one ends, if ever.
    pub until: Option<DateTime>,
    /// From one hand-over to the next.
    pub every: Every,
    /// The hours in which those whose turn it is are on call; otherwise all day.
    pub hours: Option<Hours>,
    /// The days on which such hours begin; none: all.
    pub days: Vec<Weekday>,
}

/// From one hand-over to the next, in hours of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(i64);

/// Hours of a day; those that end at or before their start end on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: Time,
    to: Time,
}

/// A shift of whoever has the turn of this number, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The number.
    pub number: u64,
    /// From when to when.
    pub window: Window,
}

/// Why shifts are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There are too many.
    TooMany,
    /// They are at no instant that can be written.
    OutOfTime,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => {
                write!(f, "more than {MOST_SHIFTS} shifts; shorten `lookahead`, or write a longer `every`")
            }
            Self::OutOfTime => f.write_str("none of its turns is before the year 10000"),
        }
    }
}

impl TryFrom<String> for Every {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let hours = Span::parse(&text, "hdw", 4).map_or(0, |length| length.as_seconds() / 3_600);
        (1..=LONGEST_TURN).contains(&hours).then_some(Self(hours)).ok_or_else(|| {
            format!(
                "`{text}` is not the length of a turn; write a whole number and h, d or w, at most 366d: \"1w\", \"12h\""
            )
        })
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            let (from, to) = text.split_once('-')?;
            let to = if to == "24:00" { "00:00" } else { to };
            Some(Self { from: time_of_day(from)?, to: time_of_day(to)? })
        };
        read().ok_or_else(|| format!("`{text}` is not a range of hours; write \"09:00-17:00\""))
    }
}

/// `09:00`.
fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse().ok()).flatten();
    Time::new(number(hour)?, number(minute)?, 0, 0).ok()
}

impl Rotation {
    /// Every shift that touches `window`, in order, with its own start and end.
    pub fn shifts(&self, window: Window) -> Result<Vec<Turn>, Fault> {
        let turns = self.turns(window)?;
        if self.hours.is_none() && self.days.is_empty() {
            return Ok(turns);
        }
        let mut shifts = Vec::new();
        for Turn { number, window: turn } in turns {
            let parts = self.parts(turn)?.into_iter().filter(|part| part.intersect(window).is_some());
            shifts.extend(parts.map(|window| Turn { number, window }));
            bounded(&shifts)?;
        }
        Ok(shifts)
    }

    fn turns(&self, window: Window) -> Result<Vec<Turn>, Fault> {
        let until = self.until.map_or(Ok(Timestamp::MAX), |until| self.instant(until))?;
        let mut turns = Vec::new();
        let mut number = self.number_before(window.start())?;
        let mut start = self.hand_over(number)?;
        while start < window.end().min(until) {
            // Never before the last one: where a zone skips a whole day, two are at one instant.
            let end = self.hand_over(number + 1)?.max(start);
            let turn = Window::new(start, end.min(until)).filter(|turn| turn.intersect(window).is_some());
            turns.extend(turn.map(|window| Turn { number, window }));
            bounded(&turns)?;
            (number, start) = (number + 1, end);
        }
        Ok(turns)
    }

    /// A turn that begins before `at`, unless the first one does not.
    fn number_before(&self, at: Timestamp) -> Result<u64, Fault> {
        let at = jiff::Timestamp::from_second(at.unix()).map_err(|_| Fault::OutOfTime)?;
        let passed = self.zone.to_datetime(at).duration_since(self.start).as_hours();
        // Two days are more than any zone's clock was ever moved by.
        Ok(u64::try_from((passed - 48).div_euclid(self.every.0)).unwrap_or(0))
    }

    /// When the turn of this number begins.
    fn hand_over(&self, number: u64) -> Result<Timestamp, Fault> {
        let hours = i64::try_from(number).ok().and_then(|number| number.checked_mul(self.every.0));
        let passed = hours.and_then(SignedDuration::try_from_hours).ok_or(Fault::OutOfTime)?;
        self.instant(self.start.checked_add(passed).map_err(|_| Fault::OutOfTime)?)
    }

    /// The parts of a turn that are on the days and in the hours which count.
    fn parts(&self, turn: Window) -> Result<Vec<Window>, Fault> {
        let mut parts: Vec<Window> = Vec::new();
        // Hours over midnight may have begun on the day before.
        let mut date = self.date_of(turn.start())?.yesterday().map_err(|_| Fault::OutOfTime)?;
        let last = self.date_of(turn.end())?;
        while date <= last {
            let next = date.tomorrow().map_err(|_| Fault::OutOfTime)?;
            let part = self.part(date, next)?.and_then(|part| part.intersect(turn));
            match (part, parts.last_mut()) {
                // One shift, not one a day.
                (Some(part), Some(before)) if before.end() >= part.start() => {
                    *before = Window::new(before.start(), part.end()).unwrap_or(*before);
                }
                (part, _) => parts.extend(part),
            }
            date = next;
        }
        Ok(parts)
    }

    /// What counts of the hours that begin on `date`.
    fn part(&self, date: Date, next: Date) -> Result<Option<Window>, Fault> {
        if !self.days.is_empty() && !self.days.contains(&date.weekday()) {
            return Ok(None);
        }
        let Hours { from, to } = self.hours.unwrap_or(Hours { from: Time::midnight(), to: Time::midnight() });
        let last = if from < to { date } else { next };
        Ok(Window::new(self.instant(date.to_datetime(from))?, self.instant(last.to_datetime(to))?))
    }

    fn date_of(&self, at: Timestamp) -> Result<Date, Fault> {
        let at = jiff::Timestamp::from_second(at.unix()).map_err(|_| Fault::OutOfTime)?;
        Ok(self.zone.to_datetime(at).date())
    }

    /// jiff's own way with local times that are none, or two: RFC 5545's.
    fn instant(&self, local: DateTime) -> Result<Timestamp, Fault> {
        let at = self.zone.to_timestamp(local).map_err(|_| Fault::OutOfTime)?;
        Ok(Timestamp::from_unix(at.as_second()))
    }
}

fn bounded(shifts: &[Turn]) -> Result<(), Fault> {
    if shifts.len() > MOST_SHIFTS { Err(Fault::TooMany) } else { Ok(()) }
}

/// What is left of `whole` before and after `out`.
pub fn without(whole: Window, out: Window) -> impl Iterator<Item = Window> {
    let before = Window::new(whole.start(), whole.end().min(out.start()));
    let after = Window::new(whole.start().max(out.end()), whole.end());
    before.into_iter().chain(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    fn rotation(zone: &str, start: &str, every: &str) -> Rotation {
        Rotation {
            zone: TimeZoneDatabase::bundled().get(zone).unwrap(),
            start: start.parse().unwrap(),
            until: None,
            every: every.to_string().try_into().unwrap(),
            hours: None,
            days: Vec::new(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_unix(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    fn window(start: &str, end: &str) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    /// The shifts of some days as `number start end`, without what all of them have.
    fn told(rotation: &Rotation, start: &str, end: &str) -> Vec<String> {
        let short = |at: Timestamp| at.to_string().replace(":00Z", "");
        let shifts = rotation.shifts(window(start, end)).unwrap();
        shifts
            .iter()
            .map(|turn| {
                format!("{} {} {}", turn.number, short(turn.window.start()), short(turn.window.end()))
            })
            .collect()
    }

    #[test]
    fn weekly_hand_overs_keep_their_local_time_across_every_change_of_clocks() {
        // Zone, local start of the first turn, and hand-overs before and after a change, in UTC.
        for (zone, start, hand_overs) in [
            ("Europe/Berlin", "2026-01-05T09:00:00", ["2026-03-23T08:00", "2026-03-30T07:00"]),
            ("Europe/Berlin", "2026-01-05T09:00:00", ["2026-10-19T07:00", "2026-10-26T08:00"]),
            ("Europe/Berlin", "2026-01-05T09:00:00", ["2027-03-22T08:00", "2027-03-29T07:00"]),
            ("Europe/Berlin", "2026-01-05T09:00:00", ["2027-10-25T07:00", "2027-11-01T08:00"]),
            ("America/New_York", "2026-01-05T09:00:00", ["2026-03-02T14:00", "2026-03-09T13:00"]),
            ("America/New_York", "2026-01-05T09:00:00", ["2026-10-26T13:00", "2026-11-02T14:00"]),
            ("America/New_York", "2026-01-05T09:00:00", ["2027-03-08T14:00", "2027-03-15T13:00"]),
            ("America/New_York", "2026-01-05T09:00:00", ["2027-11-01T13:00", "2027-11-08T14:00"]),
            // Summer is half an hour here, and in the south.
            ("Australia/Lord_Howe", "2026-01-05T09:00:00", ["2026-03-29T22:00", "2026-04-05T22:30"]),
            ("Australia/Lord_Howe", "2026-01-05T09:00:00", ["2026-09-27T22:30", "2026-10-04T22:00"]),
            ("Australia/Lord_Howe", "2026-01-05T09:00:00", ["2027-03-28T22:00", "2027-04-04T22:30"]),
            ("Australia/Lord_Howe", "2026-01-05T09:00:00", ["2027-09-26T22:30", "2027-10-03T22:00"]),
            ("UTC", "2026-01-05T09:00:00", ["2026-03-23T09:00", "2026-03-30T09:00"]),
            ("UTC", "2026-01-05T09:00:00", ["2027-10-25T09:00", "2027-11-01T09:00"]),
        ] {
            let [before, after] = hand_overs.map(|text| at(&format!("{text}:00Z")));
            let rotation = rotation(zone, start, "1w");
            let turns = rotation.shifts(Window::new(before, after).unwrap()).unwrap();
            let [turn] = turns[..] else { panic!("{zone} {hand_overs:?}: {turns:?}") };
            assert_eq!((turn.window.start(), turn.window.end()), (before, after), "{zone} {hand_overs:?}");
            let weeks = before.since(at("2026-01-05T00:00:00Z")).as_seconds() as f64 / 604_800.0;
            assert_eq!(turn.number, weeks.round() as u64, "{zone} {hand_overs:?}");
        }
    }

    #[test]
    fn a_local_time_that_is_skipped_is_later_and_of_two_the_first_counts() {
        for (zone, start, every, from, to, expected) in [
            // 02:30 is skipped on 29 March, and shown twice on 25 October.
            (
                "Europe/Berlin",
                "2026-03-27T02:30:00",
                "1d",
                "2026-03-28T12:00:00Z",
                "2026-03-30T12:00:00Z",
                vec![
                    "1 2026-03-28T01:30 2026-03-29T01:30",
                    "2 2026-03-29T01:30 2026-03-30T00:30",
                    "3 2026-03-30T00:30 2026-03-31T00:30",
                ],
            ),
            (
                "Europe/Berlin",
                "2026-10-23T02:30:00",
                "1d",
                "2026-10-24T12:00:00Z",
                "2026-10-26T12:00:00Z",
                vec![
                    "1 2026-10-24T00:30 2026-10-25T00:30",
                    "2 2026-10-25T00:30 2026-10-26T01:30",
                    "3 2026-10-26T01:30 2026-10-27T01:30",
                ],
            ),
            // 02:00 is skipped on 8 March; day and night stay at their times.
            (
                "America/New_York",
                "2027-03-13T02:00:00",
                "12h",
                "2027-03-13T20:00:00Z",
                "2027-03-15T07:00:00Z",
                vec![
                    "1 2027-03-13T19:00 2027-03-14T07:00",
                    "2 2027-03-14T07:00 2027-03-14T18:00",
                    "3 2027-03-14T18:00 2027-03-15T06:00",
                    "4 2027-03-15T06:00 2027-03-15T18:00",
                ],
            ),
            // 02:15 is skipped on 4 October by half an hour: 02:45 there, then 02:15 again.
            (
                "Australia/Lord_Howe",
                "2026-10-02T02:15:00",
                "1d",
                "2026-10-03T00:00:00Z",
                "2026-10-05T00:00:00Z",
                vec![
                    "1 2026-10-02T15:45 2026-10-03T15:45",
                    "2 2026-10-03T15:45 2026-10-04T15:15",
                    "3 2026-10-04T15:15 2026-10-05T15:15",
                ],
            ),
            // 01:45 comes twice on 5 April: first in summer's half hour.
            (
                "Australia/Lord_Howe",
                "2026-04-04T01:45:00",
                "1d",
                "2026-04-04T00:00:00Z",
                "2026-04-05T20:00:00Z",
                vec![
                    "0 2026-04-03T14:45 2026-04-04T14:45",
                    "1 2026-04-04T14:45 2026-04-05T15:15",
                    "2 2026-04-05T15:15 2026-04-06T15:15",
                ],
            ),
            // The hour that does not exist is nobody's turn: 02:00 is 03:00, where the next one begins.
            (
                "Europe/Berlin",
                "2026-03-29T01:00:00",
                "1h",
                "2026-03-28T12:00:00Z",
                "2026-03-29T02:30:00Z",
                vec![
                    "0 2026-03-29T00:00 2026-03-29T01:00",
                    "2 2026-03-29T01:00 2026-03-29T02:00",
                    "3 2026-03-29T02:00 2026-03-29T03:00",
                ],
            ),
            // A whole day was skipped here, and with it two turns of half a day.
            (
                "Pacific/Apia",
                "2011-12-29T00:00:00",
                "12h",
                "2011-12-29T10:00:00Z",
                "2011-12-31T10:00:00Z",
                vec![
                    "0 2011-12-29T10:00 2011-12-29T22:00",
                    "1 2011-12-29T22:00 2011-12-30T10:00",
                    "2 2011-12-30T10:00 2011-12-30T22:00",
                    "5 2011-12-30T22:00 2011-12-31T10:00",
                ],
            ),
        ] {
            assert_eq!(told(&rotation(zone, start, every), from, to), expected, "{zone} {start}");
        }
    }

    #[test]
    fn hours_and_days_restrict_a_turn() {
        // 30 March 2026 is a Monday, the day after clocks change.
        let mut rotation = rotation("Europe/Berlin", "2026-03-23T09:00:00", "1w");
        let told = |rotation: &Rotation| told(rotation, "2026-03-27T12:00:00Z", "2026-03-31T10:00:00Z");
        rotation.hours = Some(Hours::try_from("09:00-17:00".to_string()).unwrap());
        assert_eq!(
            told(&rotation),
            [
                "0 2026-03-27T08:00 2026-03-27T16:00",
                "0 2026-03-28T08:00 2026-03-28T16:00",
                "0 2026-03-29T07:00 2026-03-29T15:00",
                "1 2026-03-30T07:00 2026-03-30T15:00",
                "1 2026-03-31T07:00 2026-03-31T15:00",
            ]
        );
        rotation.days = vec![Weekday::Monday, Weekday::Tuesday, Weekday::Friday];
        assert_eq!(
            told(&rotation),
            [
                "0 2026-03-27T08:00 2026-03-27T16:00",
                "1 2026-03-30T07:00 2026-03-30T15:00",
                "1 2026-03-31T07:00 2026-03-31T15:00",
            ]
        );
        // Over midnight: the night that begins on Friday, and the one whose hand-over is at 09:00.
        rotation.hours = Some(Hours::try_from("17:00-10:00".to_string()).unwrap());
        assert_eq!(
            told(&rotation),
            ["0 2026-03-27T16:00 2026-03-28T09:00", "1 2026-03-30T15:00 2026-03-31T08:00",]
        );
        rotation.days.push(Weekday::Sunday);
        assert_eq!(
            told(&rotation),
            [
                "0 2026-03-27T16:00 2026-03-28T09:00",
                "0 2026-03-29T15:00 2026-03-30T07:00",
                "1 2026-03-30T07:00 2026-03-30T08:00",
                "1 2026-03-30T15:00 2026-03-31T08:00",
            ]
        );
        // Whole days that touch are one shift, cut where the turn ends.
        rotation.hours = None;
        rotation.days = vec![Weekday::Saturday, Weekday::Sunday, Weekday::Monday];
        let expected = ["0 2026-03-27T23:00 2026-03-30T07:00", "1 2026-03-30T07:00 2026-03-30T22:00"];
        assert_eq!(told(&rotation), expected);
        rotation.hours = Some(Hours::try_from("00:00-24:00".to_string()).unwrap());
        assert_eq!(told(&rotation), expected);
    }

    #[test]
    fn a_rotation_begins_at_its_start_and_ends_at_its_end() {
        let mut rotation = rotation("Europe/Berlin", "2026-03-23T09:00:00", "1d");
        rotation.until = Some("2026-03-24T12:00:00".parse().unwrap());
        let told = |start, end| told(&rotation, start, end);
        let all = ["0 2026-03-23T08:00 2026-03-24T08:00", "1 2026-03-24T08:00 2026-03-24T11:00"];
        assert_eq!(told("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"), all);
        assert_eq!(told("2026-03-24T10:00:00Z", "2026-04-01T00:00:00Z"), all[1..]);
        assert!(told("2026-03-24T11:00:00Z", "2026-04-01T00:00:00Z").is_empty());
        assert!(told("2026-03-01T00:00:00Z", "2026-03-23T08:00:00Z").is_empty());
    }

    #[test]
    fn lengths_and_hours_are_read_strictly() {
        for (text, hours) in [("1h", 1), ("12h", 12), ("1d", 24), ("2w", 336), ("366d", 8784)] {
            assert_eq!(Every::try_from(text.to_string()), Ok(Every(hours)));
        }
        for text in
            ["", "w", "0d", "-1d", "+1d", "1.5d", "1m", "1D", "367d", "53w", "99999h", "1 d", "1\u{e9}"]
        {
            assert!(Every::try_from(text.to_string()).is_err(), "{text}");
        }
        for text in
            ["", "09:00", "9:00-17:00", "09:00-25:00", "24:00-09:00", "09:60-10:00", "09:00-17:00-18:00"]
        {
            assert!(Hours::try_from(text.to_string()).is_err(), "{text}");
        }
    }

    #[test]
    fn far_away_and_endless_rotations_are_faults() {
        let far = rotation("UTC", "9999-12-01T00:00:00", "1w");
        assert_eq!(far.shifts(window("9999-12-01T00:00:00Z", "9999-12-30T00:00:00Z")), Err(Fault::OutOfTime));
        let many = rotation("UTC", "2026-01-01T00:00:00", "1h");
        assert_eq!(many.shifts(window("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")), Err(Fault::TooMany));
        let all = Window::new(Timestamp::MIN, Timestamp::MAX).unwrap();
        assert_eq!(many.shifts(all), Err(Fault::OutOfTime));
    }

    /// Numbers that look random and are the same in each run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }

        fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
            from[usize::try_from(self.roll(from.len() as u64)).unwrap()]
        }
    }

    #[test]
    fn at_every_instant_it_is_exactly_one_turn_however_it_is_asked() {
        let zones = [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "UTC",
            "Africa/Casablanca",
            "Asia/Kathmandu",
            "Pacific/Apia",
        ];
        let mut dice = Dice(1);
        for _ in 0..600 {
            let zone = dice.pick(&zones);
            let every = dice.pick(&["1h", "8h", "12h", "1d", "2d", "1w", "2w", "1000h"]);
            let day = dice.roll(28) + 1;
            let start = format!(
                "20{}-{:02}-{day:02}T{:02}:{:02}:00",
                10 + dice.roll(20),
                dice.roll(12) + 1,
                dice.roll(24),
                dice.roll(60)
            );
            let rotation = rotation(zone, &start, every);
            let first = rotation.hand_over(0).unwrap();
            let from = Timestamp::from_unix(first.unix() + dice.roll(3 * 365 * 86_400).cast_signed());
            let asked = Window::new(
                from,
                Timestamp::from_unix(from.unix() + 1 + dice.roll(60 * 86_400).cast_signed()),
            )
            .unwrap();
            let turns = rotation.shifts(asked).unwrap();
            let whole = (turns.first().unwrap().window, turns.last().unwrap().window);
            assert!(
                whole.0.start() <= asked.start() && asked.end() <= whole.1.end(),
                "{zone} {start} {every}"
            );
            for pair in turns.windows(2) {
                assert_eq!(pair[0].window.end(), pair[1].window.start(), "{zone} {start} {every}: {pair:?}");
                assert!(pair[0].number < pair[1].number);
            }
            // Whoever asks about one instant is told of the same turn.
            let instant = Timestamp::from_unix(
                from.unix() + dice.roll(asked.end().since(from).as_seconds().cast_unsigned()).cast_signed(),
            );
            let now = Window::new(instant, Timestamp::from_unix(instant.unix() + 1)).unwrap();
            let turn: Vec<&Turn> = turns.iter().filter(|turn| turn.window.contains(instant)).collect();
            assert_eq!(
                rotation.shifts(now).unwrap().iter().collect::<Vec<_>>(),
                turn,
                "{zone} {start} {every}"
            );
            assert_eq!(turn.len(), 1);
        }
    }

    #[test]
    fn a_cut_takes_exactly_its_window_out() {
        let mut dice = Dice(2);
        let mut window = || {
            let start = dice.roll(20).cast_signed();
            Window::new(
                Timestamp::from_unix(start),
                Timestamp::from_unix(start + 1 + dice.roll(10).cast_signed()),
            )
            .unwrap()
        };
        for _ in 0..5_000 {
            let (whole, out) = (window(), window());
            let left: Vec<Window> = without(whole, out).collect();
            for at in (-1..32).map(Timestamp::from_unix) {
                let held = left.iter().filter(|part| part.contains(at)).count();
                assert_eq!(
                    held,
                    usize::from(whole.contains(at) && !out.contains(at)),
                    "{whole:?} {out:?} {at}"
                );
            }
        }
    }
}
