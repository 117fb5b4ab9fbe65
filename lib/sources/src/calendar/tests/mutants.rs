//! The hard cases with errors in them.

use super::*;

/// Every byte of the hard cases changed, dropped or doubled, and every length of it: shifts or a line.
#[test]
fn no_mutation_does_worse_than_fail() {
    let window = Window::new(at("2026-10-19T00:00:00Z"), at("2026-11-25T00:00:00Z")).unwrap();
    let settings = settings(Some("Europe/Warsaw"), by_summary("{}"));
    let story = HARD.trim_end().as_bytes();
    let mut read_well = 0;
    let mut judge = |text: &[u8]| match read(text, &settings, "p", window) {
        Ok(answer) => {
            let shifts = answer.schedules().iter().flat_map(|schedule| &schedule.shifts);
            assert!(shifts.into_iter().all(|shift| shift.window.start() < shift.window.end()));
            read_well += 1;
        }
        Err(fault) => assert!(fault.line >= 1),
    };
    for at in 0..story.len() {
        let (before, rest) = story.split_at(at);
        let (byte, after) = (rest[0], &rest[1..]);
        for middle in [&[][..], &[byte, byte], &[byte ^ 1]] {
            judge(&[before, middle, after].concat());
        }
        assert!(read(before, &settings, "p", window).is_err(), "cut at {at}");
    }
    assert!(read_well > 500, "{read_well}");
}
