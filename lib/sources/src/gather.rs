//! What every source's answer is made of. No provider makes an [`Answer`] but by a [`Gather`], so what is judged here
//! holds for all of them:
//!
//! * a user whom one answer describes in two ways is nobody: whose shifts they are cannot be told;
//! * an end that was not told is unknown, and not "for ever": its schedule is not read;
//! * a shift of no length is nobody's right, and no reason to refuse the others: it is left out and told;
//! * what is printed of an answer is on one line.

use std::collections::{BTreeMap, BTreeSet};

use policy::{OneLine, Timestamp, Window, is_printable};

use super::pages::Whole;
use super::{LONGEST_NAME, ProviderError, ProviderIncident, ProviderSchedule, ProviderShift, Reading, User};

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    schedules: Vec<ProviderSchedule>,
    failed: Vec<(String, ProviderError)>,
    notes: Vec<OneLine>,
    /// The provider's clock when it answered, where it told.
    pub clock: Option<Timestamp>,
    /// When it was true, where that is not now: a file is read some time after it was written.
    pub as_of: Option<Timestamp>,
    /// Incidents that are open, or were, or why these are not known; `None`: it tells of none.
    pub incidents: Option<Result<Vec<ProviderIncident>, ProviderError>>,
    /// When those of each service were read, where somebody else read them: of others nothing is told. `None`: of all
    /// that were asked for, now or at `as_of`.
    pub incidents_read: Option<BTreeMap<String, Timestamp>>,
}

impl Answer {
    /// Each configured schedule that was read whole, once.
    pub fn schedules(&self) -> &[ProviderSchedule] {
        &self.schedules
    }

    /// The others: the text that names one in the configuration, and why it was not.
    pub fn failed(&self) -> &[(String, ProviderError)] {
        &self.failed
    }

    /// What was left out of the schedules that were read.
    pub fn notes(&self) -> &[OneLine] {
        &self.notes
    }
}

/// A schedule that a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The text that names it in the configuration; its id, where none does.
    pub wanted: String,
    /// The source's id.
    pub id: String,
    /// Its name for people, as it is there.
    pub name: String,
}

/// One end of a shift, as a source tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// This instant.
    At(Timestamp),
    /// It was said that there is none: since ever, or for ever.
    Never,
    /// Nothing was said, where something should have been.
    Untold,
    /// It goes on at the edge of what was asked for; what comes behind was not told.
    Edge,
}

impl Bound {
    /// The end `at` of a shift, where a service that was asked for no more than until `edge` cuts off what goes on.
    pub fn cut(at: Timestamp, edge: Timestamp) -> Self {
        if at >= edge { Self::Edge } else { Self::At(at) }
    }
}

/// A person as one row of an answer shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Who it is.
    pub user: User,
    /// Is that all there is to tell, or a mere reference?
    pub whole: bool,
}

/// One shift, as a source tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose it is.
    pub person: Description,
    /// Escalation level; 1 is paged first.
    pub level: u64,
    /// From when.
    pub start: Bound,
    /// Until when.
    pub end: Bound,
}

/// A schedule that was read: its shifts with their levels and user ids, in order, each once.
type Read = (Named, BTreeSet<(Window, u8, String)>);

/// An answer in the making.
#[derive(Debug)]
pub struct Gather {
    window: Window,
    max_escalation_level: u8,
    schedules: Vec<Read>,
    failed: Vec<(String, ProviderError)>,
    people: BTreeMap<String, Known>,
    notes: BTreeSet<OneLine>,
    /// By the text that names a schedule in the configuration.
    readings: BTreeMap<String, Reading>,
}

/// What is known of a user so far.
#[derive(Debug)]
struct Known {
    description: Description,
    /// What two rows say differently.
    dispute: Option<&'static str>,
}

impl Gather {
    /// Shifts that touch `window`, no deeper than `max_escalation_level`, will count.
    pub fn new(window: Window, max_escalation_level: u8) -> Self {
        let (schedules, failed) = (Vec::new(), Vec::new());
        Self {
            window,
            max_escalation_level,
            schedules,
            failed,
            people: BTreeMap::new(),
            notes: BTreeSet::new(),
            readings: BTreeMap::new(),
        }
    }

    /// Takes all rows of one schedule, or the reason why it is not read.
    pub fn take(&mut self, schedule: Named, rows: Whole<Row>) {
        let wanted = schedule.wanted.clone();
        match self.read(schedule, rows) {
            Ok(read) => self.schedules.push(read),
            Err(error) => self.fail(wanted, error),
        }
    }

    /// What is taken of the schedule that the configuration calls `wanted` was known by this reading.
    pub fn date(&mut self, wanted: String, reading: Reading) {
        self.readings.insert(wanted, reading);
    }

    /// What people should know of what is taken.
    pub fn note(&mut self, text: String) {
        self.notes.insert(text.into());
    }

    /// The schedule that the configuration calls `wanted` was not read.
    pub fn fail(&mut self, wanted: String, error: ProviderError) {
        self.failed.push((wanted, error));
    }

    /// Is there a schedule that was not read?
    pub fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// What is told of the user `id` cannot be understood: whatever schedule they are on is not known.
    pub fn fail_those_with(&mut self, id: &str, error: &ProviderError) {
        let schedules = std::mem::take(&mut self.schedules);
        for (schedule, shifts) in schedules {
            if shifts.iter().any(|(_, _, user)| user == id) {
                self.fail(schedule.wanted, error.clone());
            } else {
                self.schedules.push((schedule, shifts));
            }
        }
    }

    fn read(&mut self, schedule: Named, rows: Whole<Row>) -> Result<Read, ProviderError> {
        printable(&schedule.id, "a schedule")?;
        let mut shifts = BTreeSet::new();
        for row in rows {
            printable(&row.person.user.id, "a user")?;
            self.describe(row.person.clone());
            let Ok(level @ 1..) = u8::try_from(row.level) else {
                if row.level == 0 {
                    let id = &row.person.user.id;
                    let text = format!("a shift of user `{id}` is on level 0; levels start at 1");
                    return Err(ProviderError::source(&text));
                }
                continue;
            };
            if level > self.max_escalation_level {
                continue;
            }
            match extent(&row, self.window)? {
                Extent::Shift(window) => _ = shifts.insert((window, level, row.person.user.id)),
                Extent::Elsewhere => {}
                Extent::Nothing(at) => {
                    let (id, wanted) = (&row.person.user.id, &schedule.wanted);
                    let text =
                        format!("a shift of user {id} on {wanted} starts and ends at {at}; it is ignored");
                    self.notes.insert(text.into());
                }
            }
        }
        Ok((schedule, shifts))
    }

    /// Takes what is told of a user beside the shifts that count.
    pub fn describe(&mut self, mut description: Description) {
        let label = description.user.label.take();
        description.user.label = label.map(|label| OneLine::cut(&label, LONGEST_NAME));
        match self.people.get_mut(&description.user.id) {
            Some(known) => known.hear(description),
            None => {
                let id = description.user.id.clone();
                self.people.insert(id, Known { description, dispute: None });
            }
        }
    }

    /// Nobody is on call by the shifts of a user, although they are told: `why`.
    pub fn leave_out(&mut self, id: &str, why: &str) {
        for (schedule, shifts) in &mut self.schedules {
            let before = shifts.len();
            shifts.retain(|(_, _, user)| user != id);
            if shifts.len() < before {
                let text = format!("user {id} on {} {why}; their shifts count for nobody", schedule.wanted);
                self.notes.insert(text.into());
            }
        }
    }

    /// The users on the schedules that were read of whom there are mere references.
    pub fn references(&self) -> BTreeSet<String> {
        let on_call = self.schedules.iter().flat_map(|(_, shifts)| shifts).map(|(_, _, id)| id);
        let open = |id: &&String| self.people.get(*id).is_some_and(|known| !known.description.whole);
        on_call.filter(open).cloned().collect()
    }

    /// The answer.
    pub fn finish(self) -> Answer {
        let people: BTreeMap<String, User> =
            self.people.into_iter().map(|(id, known)| (id, known.user())).collect();
        let readings = self.readings;
        let shift = |(window, level, id): (Window, u8, String)| {
            Some(ProviderShift { user: people.get(&id)?.clone(), level, window })
        };
        let schedule = |(Named { wanted, id, name }, shifts): (Named, BTreeSet<_>)| {
            let shifts = shifts.into_iter().filter_map(shift).collect();
            let reading = readings.get(&wanted).copied();
            ProviderSchedule { wanted, id, name: OneLine::cut(&name, LONGEST_NAME), shifts, reading }
        };
        Answer {
            schedules: self.schedules.into_iter().map(schedule).collect(),
            failed: self.failed,
            notes: self.notes.into_iter().collect(),
            clock: None,
            as_of: None,
            incidents: None,
            incidents_read: None,
        }
    }
}

impl Known {
    /// Takes another description of the same user.
    fn hear(&mut self, other: Description) {
        let known = &mut self.description;
        let names = known.user.label.as_ref().zip(other.user.label.as_ref());
        let mut dispute = names.filter(|(one, other)| one != other).map(|_| "names");
        if known.whole && other.whole {
            // As they are compared with the directory's.
            let mail = |user: &User| user.mail.as_ref().map(|mail| mail.to_ascii_lowercase());
            if mail(&known.user) != mail(&other.user) {
                dispute = Some("mail addresses");
            } else if known.user.principal != other.user.principal {
                dispute = Some("usernames");
            }
        }
        self.dispute = self.dispute.or(dispute);
        let label = known.user.label.take().or_else(|| other.user.label.clone());
        if other.whole && !known.whole {
            *known = other;
        }
        self.description.user.label = label;
    }

    fn user(self) -> User {
        let user = self.description.user;
        match self.dispute {
            None => user,
            Some(what) => User { mail: None, principal: None, disputed: Some(what), ..user },
        }
    }
}

/// Where a shift lies.
enum Extent {
    /// There, in the window that was asked for.
    Shift(Window),
    /// Not in it.
    Elsewhere,
    /// It starts and ends at this instant.
    Nothing(Timestamp),
}

fn extent(row: &Row, asked: Window) -> Result<Extent, ProviderError> {
    let id = &row.person.user.id;
    let at = |bound, open, edge| match bound {
        Bound::At(at) => at,
        Bound::Edge => edge,
        Bound::Never | Bound::Untold => open,
    };
    let start = at(row.start, Timestamp::MIN, asked.start());
    let end = at(row.end, Timestamp::MAX, asked.end());
    // What begins behind the edge, or has ended before it, is cut off by it whole.
    let is_cut = matches!(row.start, Bound::Edge) || matches!(row.end, Bound::Edge);
    if is_cut && start >= end {
        return Ok(Extent::Elsewhere);
    }
    if start == end {
        return Ok(Extent::Nothing(start));
    }
    let Some(window) = Window::new(start, end) else {
        let text = format!("a shift of user `{id}` starts at {start} and ends at {end}");
        return Err(ProviderError::source(&text));
    };
    if window.intersect(asked).is_none() {
        return Ok(Extent::Elsewhere);
    }
    let untold = match (row.start, row.end) {
        (Bound::At(start), Bound::Untold) => {
            format!("a shift of user `{id}` that starts at {start} has no end")
        }
        (_, Bound::Untold) => format!("a shift of user `{id}` has no end"),
        (Bound::Untold, _) => format!("a shift of user `{id}` that ends at {end} has no start"),
        _ => return Ok(Extent::Shift(window)),
    };
    Err(ProviderError::incomplete(&format!("{untold}, so it is not known who is on call")))
}

/// Ids are printed, stand in logs, and are typed into the configuration.
fn printable(id: &str, whose: &str) -> Result<(), ProviderError> {
    if !id.is_empty() && id.len() <= LONGEST_NAME && id.chars().all(is_printable) {
        return Ok(());
    }
    Err(ProviderError::source(&format!("the id of {whose} is {id:?}, which is not an id")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix: i64) -> Bound {
        Bound::At(Timestamp::from_unix(unix))
    }

    fn person(id: &str, mail: Option<&str>, label: Option<&str>, whole: bool) -> Description {
        let mail = mail.map(str::to_string);
        let user = User {
            id: id.to_string(),
            mail,
            principal: None,
            label: label.map(OneLine::from),
            disputed: None,
        };
        Description { user, whole }
    }

    fn row(id: &str, start: Bound, end: Bound) -> Row {
        Row { person: person(id, Some("a@x.y"), Some("A"), true), level: 1, start, end }
    }

    /// The answer about one schedule with these rows, asked for from 100 to 200.
    fn answer(rows: Vec<Row>) -> Answer {
        let asked = Window::new(Timestamp::from_unix(100), Timestamp::from_unix(200)).unwrap();
        let mut gather = Gather::new(asked, 2);
        let named = Named { wanted: "p".into(), id: "p".into(), name: "P".into() };
        gather.take(named, Whole::at_once(rows));
        gather.finish()
    }

    fn counted(rows: Vec<Row>) -> Result<Vec<(i64, i64)>, String> {
        let answer = answer(rows);
        match (answer.schedules(), answer.failed()) {
            ([one], []) => Ok(one
                .shifts
                .iter()
                .map(|shift| (shift.window.start().unix(), shift.window.end().unix()))
                .collect()),
            ([], [(_, error)]) => Err(error.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_cut_off_whole_by_the_edge_is_no_shift_and_no_error() {
        // A service that is asked for more than is wanted tells of shifts behind the edge, and of those cut by its own.
        let rows = vec![
            row("a", at(150), Bound::Edge),
            row("a", at(200), Bound::Edge),
            row("a", at(250), Bound::Edge),
            row("a", Bound::Edge, at(100)),
            row("a", Bound::Edge, at(50)),
        ];
        assert_eq!(counted(rows), Ok(vec![(150, 200)]));
    }

    #[test]
    fn an_end_that_was_not_told_is_not_for_ever() {
        let bounds = [at(50), at(100), at(150), at(200), at(250), Bound::Never, Bound::Untold];
        for (start, end) in bounds.iter().flat_map(|&start| bounds.iter().map(move |&end| (start, end))) {
            let told = counted(vec![row("u", start, end)]);
            let (from, to) = match (start, end) {
                (Bound::At(from), Bound::At(to)) if from > to => {
                    assert!(told.unwrap_err().starts_with("source-error: a shift of user `u` starts at"));
                    continue;
                }
                (Bound::At(from), Bound::At(to)) => (from.unix(), to.unix()),
                (from, to) => {
                    let unix = |bound, open| if let Bound::At(at) = bound { at } else { open };
                    (unix(from, Timestamp::MIN).unix(), unix(to, Timestamp::MAX).unix())
                }
            };
            let touches = from < 200 && to > 100 && from != to;
            match (touches, matches!((start, end), (Bound::Untold, _) | (_, Bound::Untold))) {
                (true, true) => {
                    assert!(told.unwrap_err().starts_with("source-incomplete: "), "{start:?} {end:?}")
                }
                (true, false) => assert_eq!(told, Ok(vec![(from, to)])),
                (false, _) => assert_eq!(told, Ok(vec![]), "{start:?} {end:?}"),
            }
        }
    }

    #[test]
    fn a_shift_of_no_length_is_left_out_and_told() {
        let rows = vec![row("u", at(120), at(120)), row("u", at(130), at(140)), row("u", at(120), at(120))];
        let answer = answer(rows);
        assert_eq!(answer.schedules()[0].shifts.len(), 1);
        let notes: Vec<&str> = answer.notes().iter().map(|note| note.as_str()).collect();
        assert_eq!(notes, ["a shift of user u on p starts and ends at 1970-01-01T00:02:00Z; it is ignored"]);
    }

    #[test]
    fn levels_that_are_too_deep_do_not_count_and_there_is_no_level_0() {
        let deep = |level| counted(vec![Row { level, ..row("u", at(120), at(130)) }]);
        assert_eq!(deep(2), Ok(vec![(120, 130)]));
        for level in [3, 255, 256, 257, u64::MAX] {
            assert_eq!(deep(level), Ok(vec![]));
        }
        assert!(deep(0).unwrap_err().contains("on level 0"));
    }

    #[test]
    fn a_user_described_in_two_ways_is_nobody() {
        let whole = |mail, label| person("u", mail, label, true);
        let reference = |label| person("u", None, label, false);
        let cases = [
            (whole(Some("a@x.y"), None), whole(Some("A@X.Y"), Some("A")), None),
            (whole(Some("a@x.y"), Some("A")), reference(None), None),
            (reference(Some("A")), whole(Some("a@x.y"), Some("A")), None),
            (reference(None), reference(None), None),
            (whole(Some("a@x.y"), None), whole(Some("b@x.y"), None), Some("mail addresses")),
            (whole(Some("a@x.y"), None), whole(None, None), Some("mail addresses")),
            (whole(Some("a@x.y"), Some("A")), whole(Some("a@x.y"), Some("B")), Some("names")),
            (whole(Some("a@x.y"), Some("A")), reference(Some("B")), Some("names")),
            (reference(Some("A")), reference(Some("B")), Some("names")),
        ];
        for (one, other, expected) in cases {
            for (first, second) in [(&one, &other), (&other, &one)] {
                // Also where the other row does not count: too deep, or long over.
                for (level, end) in [(1, 140), (9, 140), (1, 30)] {
                    let rows = vec![
                        Row { person: first.clone(), ..row("u", at(120), at(140)) },
                        Row { person: second.clone(), level, start: at(20), end: at(end) },
                    ];
                    let answer = answer(rows);
                    let user = &answer.schedules()[0].shifts[0].user;
                    assert_eq!(user.disputed, expected, "{first:?} {second:?}");
                    let mail = [first, second].into_iter().find_map(|one| one.user.mail.clone());
                    assert_eq!(user.mail.is_some(), expected.is_none() && mail.is_some());
                }
            }
        }
    }

    #[test]
    fn an_id_that_cannot_be_printed_is_none() {
        for id in ["", &"x".repeat(321), "a\nb", "a\u{2028}b", "a\u{202e}b", "\u{7f}"] {
            let error = counted(vec![row(id, at(120), at(130))]).unwrap_err();
            assert!(error.starts_with("source-error: the id of a user is \""), "{error}");
            assert!(error.chars().all(is_printable), "{error}");
        }
    }
}
