//! Rules: those that are followed come when RFC 5545, section 3.3.10, says, counted here day by day; those that rrule counts in another
//! way are refused.

use jiff::civil::{Date, Weekday};

use super::super::zones::weekday_of;
use super::*;

/// A rule by the standard: which days of a period it has.
struct Known<'a> {
    parts: Vec<(&'a str, &'a str)>,
    start: Date,
}

impl<'a> Known<'a> {
    fn new(rule: &'a str, start: Date) -> Self {
        Self { parts: rule.split(';').map(|part| part.split_once('=').unwrap()).collect(), start }
    }

    fn part(&self, name: &str) -> Option<&'a str> {
        self.parts.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn numbers(&self, name: &str) -> Option<Vec<i32>> {
        self.part(name).map(|text| text.split(',').map(|number| number.parse().unwrap()).collect())
    }

    /// The number of the period that a day is in, from the year 0 on.
    fn period(&self, day: Date) -> i64 {
        let week_start = self.part("WKST").map_or(Weekday::Monday, |text| weekday_of(text).unwrap());
        let days = day.duration_since(Date::constant(0, 1, 1)).as_hours() / 24;
        match self.part("FREQ").unwrap() {
            "DAILY" => days,
            "WEEKLY" => {
                let into = i64::from(day.weekday().since(week_start));
                (days - into).div_euclid(7)
            }
            "MONTHLY" => i64::from(day.year()) * 12 + i64::from(day.month()),
            // A week belongs to the year that it is a week of.
            _ if self.part("BYWEEKNO").is_some() => day.iso_week_date().year().into(),
            _ => day.year().into(),
        }
    }

    /// Is it one of the numbers, counted from the first of so many, or from the last?
    fn is_numbered(numbers: &[i32], at: i32, of: i32) -> bool {
        numbers.contains(&at) || numbers.contains(&(at - of - 1))
    }

    fn has_weekday(&self, day: Date, is_yearly: bool) -> bool {
        let Some(days) = self.part("BYDAY") else { return true };
        days.split(',').any(|text| {
            let (number, name) = text.split_at(text.len() - 2);
            let in_year = is_yearly && self.part("BYMONTH").is_none();
            let (at, of) = if in_year {
                (day.day_of_year().into(), day.days_in_year().into())
            } else {
                (i32::from(day.day()), i32::from(day.days_in_month()))
            };
            let (first, last) = ((at - 1) / 7 + 1, (of - at) / 7 + 1);
            let counted = number.is_empty() || number.parse() == Ok(first) || number.parse() == Ok(-last);
            counted && weekday_of(name) == Some(day.weekday())
        })
    }

    /// Is it one of the days that a period has, before BYSETPOS?
    fn has(&self, day: Date) -> bool {
        let is_yearly = self.part("FREQ") == Some("YEARLY");
        let (of_month, of_year) = (self.numbers("BYMONTHDAY"), self.numbers("BYYEARDAY"));
        let is_told =
            ["BYMONTHDAY", "BYYEARDAY", "BYDAY", "BYWEEKNO"].iter().any(|name| self.part(name).is_some());
        // What it does not say is DTSTART's.
        let by_start = is_told
            || match self.part("FREQ").unwrap() {
                "DAILY" => true,
                "WEEKLY" => day.weekday() == self.start.weekday(),
                "MONTHLY" => day.day() == self.start.day(),
                _ => {
                    day.day() == self.start.day()
                        && (self.part("BYMONTH").is_some() || day.month() == self.start.month())
                }
            };
        by_start
            && self.numbers("BYMONTH").is_none_or(|months| months.contains(&day.month().into()))
            && of_month
                .is_none_or(|days| Self::is_numbered(&days, day.day().into(), day.days_in_month().into()))
            && of_year.is_none_or(|days| {
                Self::is_numbered(&days, day.day_of_year().into(), day.days_in_year().into())
            })
            && self.numbers("BYWEEKNO").is_none_or(|weeks| weeks.contains(&day.iso_week_date().week().into()))
            && self.has_weekday(day, is_yearly)
    }

    /// The days up to `end`.
    fn days(&self, end: Date) -> Vec<Date> {
        let interval: i64 = self.part("INTERVAL").map_or(1, |text| text.parse().unwrap());
        let positions = self.numbers("BYSETPOS");
        let mut periods: std::collections::BTreeMap<i64, Vec<Date>> = std::collections::BTreeMap::new();
        // From before the period of DTSTART on: BYSETPOS counts all of it.
        let mut day = Date::new(self.start.year() - 1, 1, 1).unwrap();
        while day <= end.checked_add(jiff::ToSpan::days(366)).unwrap() {
            let number = self.period(day) - self.period(self.start);
            if number.rem_euclid(interval) == 0 && self.has(day) {
                periods.entry(number).or_default().push(day);
            }
            day = day.tomorrow().unwrap();
        }
        let mut all = Vec::new();
        for days in periods.values() {
            let of = i32::try_from(days.len()).unwrap();
            let picked = (1..).zip(days).filter(|(at, _)| {
                positions.as_ref().is_none_or(|positions| Self::is_numbered(positions, *at, of))
            });
            all.extend(picked.map(|(_, day)| *day).filter(|day| *day >= self.start && *day <= end));
        }
        let count = self.part("COUNT").map_or(usize::MAX, |text| text.parse().unwrap());
        all.truncate(count);
        all
    }
}

/// The days by the standard, and what is made of the rule.
type Compared = (Vec<Date>, Result<Vec<Date>, String>);

/// The days on which `rule` comes from `start` on, up to the end of 2032; begun on the first that the standard has.
fn both_ways(rule: &str, from: Date) -> Option<Compared> {
    let end = Date::constant(2032, 12, 30);
    // DTSTART has to be one of its times, and what a rule does not say is DTSTART's: so it is looked for.
    let mut start = from;
    let known = loop {
        let known = Known::new(rule, start).days(end);
        match known.first() {
            Some(first) if *first == start => break known,
            Some(first) => start = *first,
            None => return None,
        }
    };
    let text = calendar(&format!(
        "BEGIN:VEVENT\nUID:1\nSUMMARY:a\nDTSTART:{}T090000Z\nDURATION:PT1H\nRRULE:{rule}\nEND:VEVENT\n",
        start.strftime("%Y%m%d")
    ));
    let found = super::both(&text, None, "2020-01-01T00:00:00Z", "2032-12-31T00:00:00Z");
    let day = |shift: &String| shift.split(' ').nth(1).unwrap()[..10].parse::<Date>().unwrap();
    Some((known, found.map(|(shifts, _)| shifts.iter().map(day).collect())))
}

#[test]
fn what_is_followed_comes_when_the_standard_says() {
    let odd: Vec<String> = (1..=51).step_by(2).map(|week| week.to_string()).collect();
    let weeks: Vec<String> =
        (1..=51).map(|week| format!("FREQ=YEARLY;BYWEEKNO={week};BYDAY=MO,TH,SU")).collect();
    let odd = format!("FREQ=YEARLY;BYWEEKNO={};BYDAY=MO", odd.join(","));
    let rules = [
        "FREQ=DAILY;BYMONTH=1,12",
        "FREQ=DAILY;INTERVAL=3;BYMONTHDAY=1,15,-1",
        "FREQ=DAILY;BYDAY=SA,SU;COUNT=40",
        "FREQ=WEEKLY;BYMONTH=1,12;BYDAY=MO,SU",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO,WE",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO,WE;WKST=SU",
        "FREQ=WEEKLY;INTERVAL=3;BYDAY=FR,TU;COUNT=30;WKST=TH",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;INTERVAL=5",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYMONTHDAY=29,30,31,-31",
        "FREQ=MONTHLY;BYDAY=1MO,-1FR",
        "FREQ=MONTHLY;BYDAY=5SU",
        "FREQ=MONTHLY;BYDAY=-4TU;BYMONTH=2,3",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=SA,SU;BYSETPOS=-2;COUNT=17",
        "FREQ=YEARLY",
        "FREQ=YEARLY;INTERVAL=3;BYMONTH=2,9",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYMONTH=3,7;BYMONTHDAY=-1,15",
        "FREQ=YEARLY;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "FREQ=YEARLY;BYDAY=20MO,-1SU",
        "FREQ=YEARLY;BYMONTH=3,10;BYDAY=-1SU",
        "FREQ=YEARLY;BYYEARDAY=1,100,366,-1,-366",
        "FREQ=YEARLY;BYDAY=MO,WE;BYSETPOS=1,3,-1",
        "FREQ=YEARLY;BYMONTH=1,6;BYDAY=SU;BYSETPOS=-1,2",
        odd.as_str(),
    ];
    let from = [
        Date::constant(2020, 1, 1),
        Date::constant(2021, 12, 29),
        Date::constant(2023, 6, 15),
        Date::constant(2024, 2, 29),
    ];
    let mut judged = 0;
    for rule in rules.into_iter().chain(weeks.iter().map(String::as_str)) {
        for from in from {
            let Some((known, found)) = both_ways(rule, from) else { continue };
            assert_eq!(found.as_ref(), Ok(&known), "{rule} from {from}");
            judged += 1;
        }
    }
    assert!(judged > 280, "{judged}");
}

#[test]
fn what_rrule_counts_in_another_way_is_refused() {
    let refused =
        |rule: &str, start: &str| refused(&format!("DTSTART:{start}T090000Z\nDURATION:PT1H\nRRULE:{rule}"));
    for (rule, words) in [
        ("FREQ=MONTHLY;BYDAY=MO,1TU", "BYDAY has weekdays with and without a number"),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=-1SU,MO", "BYDAY has weekdays with and without a number"),
        ("FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=1", "BYSETPOS counts in months and years alone"),
        ("FREQ=DAILY;BYDAY=MO,WE;BYSETPOS=1", "BYSETPOS counts in months and years alone"),
        ("FREQ=DAILY;BYDAY=1MO", "BYDAY counts weekdays in months and years alone"),
        ("FREQ=YEARLY;BYMONTHDAY=23", "BYMONTHDAY by year without BYMONTH is every month for some"),
        (
            "FREQ=YEARLY;BYMONTHDAY=-8;BYSETPOS=1",
            "BYMONTHDAY by year without BYMONTH is every month for some",
        ),
        ("FREQ=YEARLY;BYDAY=MO;BYMONTHDAY=23", "BYMONTHDAY by year without BYMONTH is every month for some"),
        ("FREQ=YEARLY;BYWEEKNO=20", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=1,-1;BYDAY=MO", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;INTERVAL=2;BYWEEKNO=1;BYDAY=MO", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;WKST=SU", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;BYMONTH=5", "BYWEEKNO is followed for"),
        ("FREQ=YEARLY;BYWEEKNO=20,21;BYDAY=MO;BYSETPOS=1", "BYWEEKNO is followed for"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261125T090000Z", "both COUNT and UNTIL"),
    ] {
        let error = refused(rule, "20261123");
        assert!(error.starts_with(&format!("line 8: RRULE: {words}")), "{rule}: {error}");
    }
}
