use super::*;
use alloc::string::ToString;

#[test]
fn instants_print_as_rfc_3339() {
    for (unix, text) in [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_400, "2000-02-29T00:00:00Z"),
        (1_795_168_799, "2026-11-20T09:59:59Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
        (i64::MAX, "never"),
        (i64::MIN, "always"),
    ] {
        assert_eq!(Timestamp::from_unix(unix).to_string(), text);
        let written = !matches!(unix, i64::MIN | i64::MAX);
        assert_eq!(Timestamp::parse(text), written.then_some(Timestamp::from_unix(unix)));
    }
}

#[test]
fn instants_are_read_as_they_are_printed_and_not_otherwise() {
    for wrong in [
        "",
        "2026-11-20",
        "2026-11-20 09:00:00Z",
        "2026-11-20T09:00:00",
        "2026-11-20T09:00:00+00:00",
        "2026-11-20T09:00:00.5Z",
        "2026-02-29T09:00:00Z",
        "2026-13-01T09:00:00Z",
        "2026-00-01T09:00:00Z",
        "2026-11-20T24:00:00Z",
        "+026-11-20T09:00:00Z",
        "2026-11-20T09:00:0\u{e9}",
        "9999999-11-20T09:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn instants_are_read_from_the_calendar() {
    for (date, time, unix) in [
        ((1970, 1, 1), (0, 0, 0), 0),
        ((2000, 2, 29), (0, 0, 0), 951_782_400),
        ((2026, 11, 20), (9, 59, 59), 1_795_168_799),
        ((2100, 3, 1), (0, 0, 0), 4_107_542_400),
    ] {
        assert_eq!(Timestamp::from_civil(date, time), Some(Timestamp::from_unix(unix)));
    }
    for date in [(2100, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (2026, 1, 0), (0, 1, 1)] {
        assert_eq!(Timestamp::from_civil(date, (0, 0, 0)), None, "{date:?}");
    }
    for time in [(24, 0, 0), (0, 60, 0), (23, 59, 60), (-1, 0, 0)] {
        assert_eq!(Timestamp::from_civil((2026, 11, 20), time), None, "{time:?}");
    }
    for day in (-700_000..700_000).step_by(97) {
        let (year, month, date) = civil(day);
        assert_eq!(days(year, month, date), day);
    }
}

#[test]
fn instants_are_read_as_services_write_them() {
    let nine = Timestamp::from_unix(1_795_165_200);
    for text in [
        "2026-11-20T09:00:00Z",
        "2026-11-20t09:00:00z",
        "2026-11-20 09:00:00+00:00",
        "2026-11-20T09:00:00-00:00",
        "2026-11-20T09:00Z",
        "2026-11-20T10:00:00+01",
        "2026-11-20T10:00:00+0100",
        "2026-11-20T09:00:00.9Z",
        "2026-11-20T09:00:00,999999999Z",
        "2026-11-20T09:00:00.99999999999999999999999999999999999999999999Z",
        "2026-11-21T08:59:00+23:59",
        "2026-11-19T09:01:00-23:59",
        "2026-11-20T14:45:00.000+05:45",
    ] {
        assert_eq!(Timestamp::read(text), Some(nine), "{text}");
    }
    assert_eq!(Timestamp::read("2016-12-31T23:59:60Z"), Timestamp::parse("2016-12-31T23:59:59Z"));
    for text in [
        "",
        "noon",
        "2026-11-20",
        "2026-11-20T09:00:00",
        "2026-11-20T09:00:00 Z",
        "2026-11-20T09:00:00.Z",
        "2026-11-20T09:00:00Z ",
        "2026-11-20T09:00:00ZZ",
        "2026-11-20T09:00:00+24:00",
        "2026-11-20T09:00:00-24:00",
        "2026-11-20T09:00:00+25:59",
        "2026-11-20T09:00:00+23:60",
        "2026-11-20T09:00:00+1",
        "2026-11-20T09:00:00+01:",
        "2026-11-20T09:00:00+01:00:00",
        "2026-11-20T09:00:00Z[Europe/Berlin]",
        "2026-11-20T24:00:00Z",
        "2026-11-20T09:60:00Z",
        "2026-11-20T09:00:61Z",
        "2026-02-29T09:00:00Z",
        "0000-01-01T00:00:00Z",
        "+2026-11-20T09:00:00Z",
        "10000-01-01T00:00:00Z",
        "2026-11-20T09:00:00\u{ff3a}",
        "\u{feff}2026-11-20T09:00:00Z",
    ] {
        assert_eq!(Timestamp::read(text), None, "{text:?}");
    }
}

#[test]
fn the_last_year_is_read_to_its_end_by_any_offset() {
    let last = Timestamp::parse("9999-12-31T23:59:59Z");
    assert!(last.is_some());
    for text in [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T12:00:00-23:59",
    ] {
        assert_eq!(Timestamp::read(text), last, "{text}");
    }
    assert_eq!(Timestamp::read("9999-12-31T23:59:59+01:00"), Timestamp::parse("9999-12-31T22:59:59Z"));
    assert_eq!(Timestamp::read("0001-01-01T00:00:00+12:00"), Timestamp::parse("0001-01-01T00:00:00Z"));
    // Every day there is, and whatever is read is printed so that it is read again.
    for day in (FIRST..LAST).step_by(usize::try_from(97 * DAY + 7).unwrap()) {
        let at = Timestamp::from_unix(day);
        assert_eq!(Timestamp::read(&at.to_string()), Some(at));
    }
}

#[test]
fn windows_that_touch_or_overlap_are_one_stretch() {
    let window = |(start, end)| Window::new(Timestamp::from_unix(start), Timestamp::from_unix(end)).unwrap();
    let joined = |windows: &[(i64, i64)]| stretches(windows.iter().copied().map(window));
    assert_eq!(joined(&[]), []);
    assert_eq!(joined(&[(5, 9), (0, 5), (7, 8), (10, 11)]), [(0, 9), (10, 11)].map(window));
    assert_eq!(joined(&[(0, 100), (1, 2), (99, 101)]), [(0, 101)].map(window));
}

#[test]
fn near_instants_leave_out_the_date() {
    let now = Timestamp::from_unix(1_795_168_800);
    assert_eq!(now.plus(Span::hours(8)).near(now).to_string(), "18:00 UTC");
    assert_eq!(now.plus(Span::seconds(5)).near(now).to_string(), "10:00:05 UTC");
    assert_eq!(now.plus(Span::hours(23)).near(now).to_string(), "21 Nov 09:00 UTC");
    assert_eq!(now.plus(Span::hours(25)).near(now).to_string(), "21 Nov 11:00 UTC");
    assert_eq!(now.plus(Span::hours(24 * 60)).near(now).to_string(), "19 Jan 2027 10:00 UTC");
    let new_year = Timestamp::parse("2027-01-01T00:00:00Z").unwrap();
    assert_eq!(new_year.near(new_year.minus(Span::seconds(1))).to_string(), "1 Jan 2027 00:00 UTC");
    assert_eq!(new_year.minus(Span::seconds(1)).near(new_year).to_string(), "31 Dec 2026 23:59:59 UTC");
    assert_eq!(Timestamp::MAX.near(now).to_string(), "never");
}

#[test]
fn a_length_of_time_is_a_whole_number_and_a_unit() {
    let read = |text| Span::parse(text, "smhdw", 4).map(Span::as_seconds);
    let read_all = ["0s", "90s", "5m", "6h", "3d", "2w", "9999w"].map(read);
    assert_eq!(read_all, [0, 90, 300, 21_600, 259_200, 1_209_600, 6_047_395_200].map(Some));
    for wrong in ["", "s", "5", "5y", "+5s", "-5s", "5 s", " 5s", "5s ", "1.5h", "5ms", "5é", "é", "10000s"]
    {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    assert_eq!((Span::parse("5s", "hd", 4), Span::parse("5h", "hd", 0)), (None, None));
    assert_eq!(Span::parse("99999999999999999w", "w", 20), None);
}

#[test]
fn spans_print_their_two_largest_units() {
    for (seconds, text) in
        [(0, "0s"), (59, "59s"), (90, "1m 30s"), (3600, "1h"), (3601, "1h"), (90_061, "1d 1h"), (-5, "-5s")]
    {
        assert_eq!(Span::seconds(seconds).to_string(), text);
    }
}

#[test]
fn a_window_holds_its_start_and_not_its_end() {
    let window = Window::new(Timestamp::from_unix(10), Timestamp::from_unix(20)).unwrap();
    let inside = |at| window.contains(Timestamp::from_unix(at));
    assert_eq!([9, 10, 19, 20].map(inside), [false, true, true, false]);
    assert_eq!(Window::new(Timestamp::from_unix(5), Timestamp::from_unix(5)), None);
}
