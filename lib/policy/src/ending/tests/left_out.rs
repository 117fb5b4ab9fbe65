//! Shifts that files of the site's leave out.

use super::*;

#[test]
fn a106_a_session_stays_while_its_shift_is_left_out_and_ends_with_the_shift() {
    let mut world = World::new();
    // From noon on a file of the site's leaves out what is left of it.
    let happened = world.minutes(31, 700, |world, minute| {
        if minute == 180 {
            world.roster().shifts = vec![shift(0, 0, 180)].into();
            world.left_out = vec![Window::new(at(180), at(END)).unwrap()];
        }
    });
    let listed = |outcome: &Outcome| *outcome == Outcome::Listed(WhyNot::LeftOut);
    assert_eq!(first(&happened, |outcome| listed(outcome)).map(|(minute, _)| minute), Some(180));
    let last = happened.iter().filter(|(_, outcome)| listed(outcome)).map(|(minute, _)| *minute).max();
    assert_eq!(last, Some(END - 1));
    let ends = |outcome: &Outcome| is_warning(outcome) || is_due(outcome);
    let ended = first(&happened, ends).map(|(minute, _)| minute);
    assert!(ended.is_some_and(|minute| minute >= END), "{ended:?}");
    // One whose end by a file was known when it opened is not warned of that end either.
    let mut world = World::new();
    world.roster().shifts = vec![shift(0, 0, 180)].into();
    world.left_out = vec![Window::new(at(180), at(END)).unwrap()];
    let happened = world.minutes(31, END, |_, _| {});
    assert_eq!(first(&happened, ends), None);
}
