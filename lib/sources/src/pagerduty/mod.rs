//! PagerDuty: who is on call, from its REST API.
//!
//! Lists, each read to its end: `/schedules`, which proves that a schedule asked for exists, and
//! `/oncalls`, which holds the shifts with overrides applied. A schedule that no escalation policy uses
//! is not in `/oncalls` and is asked for by itself. Escalation policies and teams are schedules of their
//! own to us: everybody who is on call through them, people named in a policy directly, who are on call
//! for ever, included. For a schedule nobody asked for those, so they are not on this host's.

mod api;
#[cfg(test)]
mod fields;
mod incidents;
mod oauth;
mod session;

use std::collections::BTreeSet;

use policy::Window;

use super::gather::{self, Gather, Row};
use super::pages::{Asked, Bounds, Page, Whole};
use super::session::{Tap, Trouble};
use super::{Answer, Provider, ProviderError};
use api::{Entry, Named};
pub use session::Session;

/// "Pagination" in the API's documentation: no more than 100 entries to a page, and none that `offset` + `limit` put
/// behind the ten thousandth.
const BOUNDS: Bounds = Bounds {
    service: "PagerDuty",
    limit: 100,
    deepest: 10_000,
    pages: 200,
    shorter: "list fewer `schedules`, or shorten `lookahead`",
};

/// The most ids in one question: an address has a length.
const IDS: usize = 100;

/// The most users that are asked for one by one; the list of all is shorter then.
const SINGLE_USERS: usize = 25;

/// One account at PagerDuty, and what is wanted of it.
pub struct PagerDuty<'a> {
    settings: &'a host::config::PagerDuty,
    schedules: &'a [String],
    max_escalation_level: u8,
    tap: Option<Tap<'a>>,
}

impl<'a> PagerDuty<'a> {
    /// The shifts of `schedules`, which are ids or exact names, and of the policies and teams in `settings`, no
    /// deeper than `max_escalation_level`.
    pub fn new(
        settings: &'a host::config::PagerDuty,
        schedules: &'a [String],
        max_escalation_level: u8,
    ) -> Self {
        Self { settings, schedules, max_escalation_level, tap: None }
    }

    /// The same, with `tap` hearing each exchange.
    #[must_use]
    pub fn heard_by(self, tap: Option<Tap<'a>>) -> Self {
        Self { tap, ..self }
    }

    /// As [`Provider::fetch`], in a conversation that has begun.
    ///
    /// # Errors
    /// What was not answered, or not as it was asked: nothing of the account is known then.
    pub fn fetch_by(&self, session: Session<'_>, window: Window) -> Result<Answer, ProviderError> {
        let gather = Gather::new(window, self.max_escalation_level);
        let mut fetch = Fetch { session, window, gather };
        fetch.schedules(self.schedules, self.settings.every)?;
        fetch.policies_and_teams(&self.settings.escalation_policies, &self.settings.teams)?;
        fetch.finish(&self.settings.incident_services)
    }
}

impl Provider for PagerDuty<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        self.fetch_by(Session::open(self.settings, self.tap)?, window)
    }
}

/// What the configuration may name.
#[derive(Clone, Copy)]
enum Kind {
    Schedule,
    Policy,
    Team,
}

impl Kind {
    /// Its name for people, and its list in the configuration.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Schedule => ("schedule", "schedules"),
            Self::Policy => ("escalation policy", "escalation_policies"),
            Self::Team => ("team", "teams"),
        }
    }
}

/// One fetch under way.
struct Fetch<'a> {
    session: Session<'a>,
    window: Window,
    gather: Gather,
}

impl Fetch<'_> {
    fn schedules(&mut self, wanted: &[String], every: bool) -> Result<(), ProviderError> {
        if wanted.is_empty() && !every {
            return Ok(());
        }
        let layered = all_pages("schedules", |asked| self.session.schedules(asked))?;
        let layered = layered.entries();
        // A name is looked for only where all are known that may have it as their id.
        let (by_id, others): (Vec<String>, Vec<String>) =
            wanted.iter().cloned().partition(|text| layered.iter().any(|named| named.id == *text));
        let mut chosen = if every { of_all(layered) } else { self.choose(layered, &by_id, Kind::Schedule) };
        let mut shift_based = Vec::new();
        if every {
            let told = all_pages("v3/schedules", |asked| self.session.shift_based_schedules(asked))?;
            chosen.extend(of_all(told.entries()));
            shift_based = told.into_iter().collect();
        } else if !others.is_empty() {
            match all_pages("v3/schedules", |asked| self.session.shift_based_schedules(asked)) {
                Ok(told) => {
                    let known = [layered, told.entries()].concat();
                    chosen.extend(self.choose(&known, &others, Kind::Schedule));
                    shift_based = told.into_iter().collect();
                }
                Err(error) => others.into_iter().for_each(|text| self.gather.fail(text, error.clone())),
            }
        }
        let ids: BTreeSet<&str> = chosen.iter().map(|schedule| &*schedule.id).collect();
        let of = |entry: &Entry| entry.schedule.clone();
        let entries = self.oncalls("schedule_ids[]", &ids.into_iter().collect::<Vec<_>>(), of)?;
        for schedule in &chosen {
            let mut own = entries.of(|entry| entry.schedule.as_ref() == Some(&schedule.id));
            if own.entries().is_empty() {
                let shift_based = shift_based.iter().any(|other: &Named| other.id == schedule.id);
                own = match self.session.rendered(&schedule.id, shift_based, self.window) {
                    Ok(own) => own,
                    Err(Trouble::Source(error)) => return Err(error),
                    Err(Trouble::Schedule(error)) => {
                        self.gather.fail(schedule.wanted.clone(), error);
                        continue;
                    }
                };
            }
            self.gather.take(schedule.clone(), own.map(row));
        }
        Ok(())
    }

    fn policies_and_teams(&mut self, policies: &[String], teams: &[String]) -> Result<(), ProviderError> {
        if policies.is_empty() && teams.is_empty() {
            return Ok(());
        }
        let known = all_pages("escalation_policies", |asked| self.session.policies(asked))?;
        let known = known.entries();
        let names: Vec<Named> = known.iter().map(|policy| policy.named.clone()).collect();
        let mut groups: Vec<(gather::Named, BTreeSet<&str>)> = Vec::new();
        for policy in self.choose(&names, policies, Kind::Policy) {
            let ids = names.iter().map(|known| &*known.id).filter(|id| *id == policy.id).collect();
            groups.push((policy, ids));
        }
        if !teams.is_empty() {
            let existing = all_pages("teams", |asked| self.session.teams(asked))?;
            for team in self.choose(existing.entries(), teams, Kind::Team) {
                let own = known.iter().filter(|policy| policy.teams.contains(&team.id));
                let ids = own.map(|policy| &*policy.named.id).collect();
                groups.push((team, ids));
            }
        }
        let ids: BTreeSet<&str> = groups.iter().flat_map(|(_, ids)| ids).copied().collect();
        let of = |entry: &Entry| entry.policy.clone();
        let entries = self.oncalls("escalation_policy_ids[]", &ids.into_iter().collect::<Vec<_>>(), of)?;
        for (group, ids) in groups {
            let through = |entry: &Entry| entry.policy.as_ref().is_some_and(|id| ids.contains(&**id));
            self.gather.take(group, entries.of(through).map(row));
        }
        Ok(())
    }

    /// The entries of `/oncalls` that `parameter` with one of `ids` lets through, each `of` one of these: whoever is
    /// on call through something else is no part of the answer. Without ids the service would tell of everybody.
    fn oncalls(
        &mut self,
        parameter: &str,
        ids: &[&str],
        of: impl Fn(&Entry) -> Option<String>,
    ) -> Result<Whole<Entry>, ProviderError> {
        let mut entries = Whole::at_once(Vec::new());
        for ids in ids.chunks(IDS) {
            let page = |asked| self.session.oncalls(self.window, (parameter, ids), asked);
            let told = all_pages("oncalls", page)?;
            let stranger = told
                .entries()
                .iter()
                .map(&of)
                .find(|id| id.as_ref().is_none_or(|id| !ids.contains(&id.as_str())));
            if let Some(stranger) = stranger {
                let whose = stranger.unwrap_or_else(|| "none".to_string());
                return Err(ProviderError::incomplete(&format!(
                    "/oncalls: asked for some {parameter}, an entry is of {whose:?}; the next sync tries again"
                )));
            }
            entries = entries.and(told);
        }
        Ok(entries)
    }

    /// Finds each of `wanted` among `known`; what is not found has failed.
    fn choose(&mut self, known: &[Named], wanted: &[String], kind: Kind) -> Vec<gather::Named> {
        let mut chosen = Vec::new();
        for text in wanted {
            match find(known, text, kind) {
                Ok(Named { id, name }) => {
                    let (wanted, id, name) = (text.clone(), id.clone(), name.clone());
                    chosen.push(gather::Named { wanted, id, name });
                }
                Err(error) => self.gather.fail(text.clone(), error),
            }
        }
        chosen
    }

    fn finish(mut self, services: &[String]) -> Result<Answer, ProviderError> {
        self.complete()?;
        // What is wrong with incidents takes no shift away.
        let incidents = (!services.is_empty()).then(|| incidents::fetch(&mut self.session, services));
        let mut answer = self.gather.finish();
        answer.clock = self.session.clock();
        answer.incidents = incidents;
        Ok(answer)
    }

    /// Asks for those who were mere references. One who is no user any more stays without a mail address.
    fn complete(&mut self) -> Result<(), ProviderError> {
        let open = self.gather.references();
        if open.len() > SINGLE_USERS {
            let all = all_pages("users", |asked| self.session.users(asked))?;
            all.into_iter().for_each(|person| self.gather.describe(person));
            return Ok(());
        }
        for id in open {
            if let Some(person) = self.session.user(&id)? {
                self.gather.describe(person);
            }
        }
        Ok(())
    }
}

fn row(Entry { person, level, start, end, .. }: Entry) -> Row {
    Row { person, level, start, end }
}

/// Reads a list to its end by `page`.
fn all_pages<T>(
    list: &str,
    page: impl FnMut(Asked) -> Result<Page<T>, ProviderError>,
) -> Result<Whole<T>, ProviderError> {
    Whole::read(list, BOUNDS, page)
}

/// Each by its id. A list that moves while it is read may show the same one on two pages.
fn of_all(known: &[Named]) -> Vec<gather::Named> {
    let mut met = BTreeSet::new();
    let new = known.iter().filter(|one| met.insert(&one.id));
    new.map(|Named { id, name }| gather::Named { wanted: id.clone(), id: id.clone(), name: name.clone() })
        .collect()
}

/// By id, or else by the exact name.
fn find<'a>(known: &'a [Named], text: &str, kind: Kind) -> Result<&'a Named, ProviderError> {
    let (what, list) = kind.words();
    if let Some(named) = known.iter().find(|named| named.id == text) {
        return Ok(named);
    }
    let mut alike = known.iter().filter(|named| named.name == text);
    let Some(first) = alike.next() else {
        return Err(ProviderError::incomplete(&format!(
            "PagerDuty has no {what} `{text}`; check `{list}`, and that the key may see it"
        )));
    };
    // A list that moves while it is read may show the same one on two pages.
    match alike.find(|other| other.id != first.id) {
        None => Ok(first),
        Some(other) => Err(ProviderError::incomplete(&format!(
            "`{text}` is the name of {} and of {}; write the id of the {what} you mean in `{list}`",
            first.id, other.id
        ))),
    }
}

fn source(text: &str) -> ProviderError {
    ProviderError::source(text)
}

#[cfg(test)]
mod tests {
    use super::gather::Bound;
    use super::*;
    use crate::answer::instant;
    use api::{oncalls as parse_oncalls, schedules as parse_schedules};
    use policy::Timestamp;
    use serde_json::{Value, json};

    const PAGE_1: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-72h-page-1.json");
    const PAGE_2: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-72h-page-2.json");
    const PAGE_3: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-72h-page-3.json");
    const REFERENCES: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-72h-references.json");
    const TWICE: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-same-user-twice.json");
    const OFFSET: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-local-offset.json");
    const V3: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-v3-schedule.json");
    const EMPTY: &[u8] = include_bytes!("../fixtures/pagerduty/oncalls-empty.json");
    const SCHEDULES: &[u8] = include_bytes!("../fixtures/pagerduty/schedules.json");

    fn at(text: &str) -> Timestamp {
        instant(text).unwrap()
    }

    fn window(start: &str, end: &str) -> Window {
        Window::new(at(start), at(end)).unwrap()
    }

    /// The 72 hours of the fixtures.
    fn asked() -> Window {
        window("2026-11-20T11:00:00Z", "2026-11-23T12:00:00Z")
    }

    fn schedule(id: &str, name: &str) -> Named {
        Named { id: id.to_string(), name: name.to_string() }
    }

    /// The answer with the shifts of `entries` on the primary schedule.
    fn counted(entries: &[Entry], max_escalation_level: u8) -> Answer {
        let own = Whole::at_once(entries.to_vec()).of(|entry| entry.schedule.as_deref() == Some("PSPRIM1"));
        let [wanted, id, name] = ["PSPRIM1", "PSPRIM1", "SRE primary"].map(str::to_string);
        let mut gather = Gather::new(asked(), max_escalation_level);
        gather.take(gather::Named { wanted, id, name }, own.map(row));
        gather.finish()
    }

    fn primary(entries: &[Entry], max_escalation_level: u8) -> Vec<(String, u8, Window)> {
        let shifts = counted(entries, max_escalation_level).schedules()[0].shifts.clone();
        shifts.into_iter().map(|shift| (shift.user.id, shift.level, shift.window)).collect()
    }

    /// The first page with one key of its first entry changed by `change`.
    fn spoilt(change: impl FnOnce(&mut Value)) -> Result<Page<Entry>, ProviderError> {
        let mut page: Value = serde_json::from_slice(PAGE_1).unwrap();
        change(&mut page["oncalls"][0]);
        parse_oncalls(page.to_string().as_bytes())
    }

    #[test]
    fn three_pages_make_one_list() {
        let bounds = Bounds { limit: 3, ..BOUNDS };
        let mut pages = [(0, PAGE_1), (3, PAGE_2), (6, PAGE_3)].into_iter();
        let entries = Whole::read("oncalls", bounds, |asked| {
            let (expected, body) = pages.next().unwrap();
            assert_eq!(asked.offset, expected);
            parse_oncalls(body)
        });
        let shifts = primary(entries.unwrap().entries(), 1);
        let expected = [
            ("PUALICE", "2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z"),
            ("PUCAROL", "2026-11-20T18:00:00Z", "2026-11-20T20:00:00Z"),
            ("PUALICE", "2026-11-20T20:00:00Z", "2026-11-21T09:00:00Z"),
            ("PUBOB01", "2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z"),
            ("PUALICE", "2026-11-22T09:00:00Z", "2026-11-23T09:00:00Z"),
        ]
        .map(|(user, start, end)| (user.to_string(), 1, window(start, end)));
        assert_eq!(shifts, expected);
    }

    #[test]
    fn an_empty_list_is_an_answer() {
        let page = parse_oncalls(EMPTY).unwrap();
        assert_eq!((page.entries.len(), page.more, page.offset), (0, false, Some(0)));
    }

    #[test]
    fn a_person_in_no_schedule_is_read_and_on_nobodys_shifts() {
        let page = parse_oncalls(PAGE_3).unwrap();
        let [dave] = &page.entries[..] else { panic!("{page:?}") };
        assert_eq!(dave.schedule, None);
        assert_eq!((dave.start, dave.end), (Bound::Never, Bound::Never));
        assert_eq!(primary(&page.entries, 9), []);
    }

    #[test]
    fn the_mail_address_is_there_or_not() {
        let mails = |body| -> Vec<_> {
            parse_oncalls(body).unwrap().entries.into_iter().map(|entry| entry.person.user.mail).collect()
        };
        assert_eq!(mails(PAGE_3), [Some("dave@example.com".to_string())]);
        assert!(mails(REFERENCES).iter().all(Option::is_none));
        assert_eq!(
            spoilt(|entry| entry["user"]["email"] = json!("")).unwrap().entries[0].person.user.mail,
            None
        );
    }

    #[test]
    fn a_shift_that_two_policies_repeat_counts_once_per_level() {
        let mut entries = parse_oncalls(TWICE).unwrap().entries;
        entries.extend(entries.clone());
        let day = window("2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z");
        assert_eq!(primary(&entries, 1), [("PUALICE".to_string(), 1, day)]);
        assert_eq!(primary(&entries, 2), [("PUALICE".to_string(), 1, day), ("PUALICE".to_string(), 2, day)]);
    }

    #[test]
    fn a_local_offset_is_the_same_instant() {
        let local = parse_oncalls(OFFSET).unwrap().entries;
        let day = window("2026-11-20T09:00:00Z", "2026-11-20T18:00:00Z");
        assert_eq!((local[0].start, local[0].end), (Bound::At(day.start()), Bound::At(day.end())));
        let shift_based = &parse_oncalls(V3).unwrap().entries[0];
        assert_eq!((shift_based.start, shift_based.end), (local[0].start, local[0].end));
        assert_eq!(at("2026-11-20T09:00:00.999Z"), at("2026-11-20T09:00:00Z"));
    }

    #[test]
    fn shifts_outside_the_window_and_deep_levels_are_left_out() {
        let long_ago = spoilt(|entry| {
            entry["start"] = json!("2026-01-01T00:00:00Z");
            entry["end"] = json!("2026-11-20T11:00:00Z");
        });
        assert_eq!(primary(&long_ago.unwrap().entries, 1).len(), 2);
        let deep = spoilt(|entry| entry["escalation_level"] = json!(257)).unwrap();
        assert_eq!(primary(&deep.entries, u8::MAX).len(), 2);
    }

    #[test]
    fn one_bad_entry_spoils_the_answer() {
        type Change = fn(&mut Value);
        let bad: [(&str, Change); 12] = [
            ("expected u64", |entry| entry["escalation_level"] = json!(-1)),
            ("expected u64", |entry| entry["escalation_level"] = json!("1")),
            ("missing field `id`", |entry| entry["user"] = json!({"type": "user"})),
            ("id of a user", |entry| entry["user"]["id"] = json!("")),
            ("id of a user", |entry| entry["user"]["id"] = json!("A\nB")),
            ("expected a string", |entry| entry["user"]["id"] = json!(7)),
            ("not a user but \"team_reference\"", |entry| entry["user"]["type"] = json!("team_reference")),
            ("invalid type: null", |entry| entry["user"] = Value::Null),
            ("has the time", |entry| entry["start"] = json!("2026-11-20T09:00:00")),
            ("missing field `end`", |entry| drop(entry.as_object_mut().unwrap().remove("end"))),
            ("missing field `schedule`", |entry| drop(entry.as_object_mut().unwrap().remove("schedule"))),
            ("expected a string", |entry| entry["user"]["email"] = json!(["a@example.com"])),
        ];
        for (words, change) in bad {
            let error = spoilt(change).unwrap_err().to_string();
            assert!(error.starts_with("source-error: ") && error.contains(words), "{words}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(spoilt(|entry| entry["a key of next year"] = json!({})).is_ok());
    }

    #[test]
    fn an_entry_that_contradicts_itself_spoils_its_schedule() {
        type Change = fn(&mut Value);
        let bad: [(&str, Change); 5] = [
            ("source-error: a shift of user `PUALICE` starts at", |entry| {
                entry["end"] = json!("2026-11-20T08:59:59Z");
            }),
            ("source-error: a shift of user `PUALICE` is on level 0", |entry| {
                entry["escalation_level"] = json!(0)
            }),
            ("source-incomplete: a shift of user `PUALICE` that starts at", |entry| {
                entry["end"] = Value::Null
            }),
            ("source-incomplete: a shift of user `PUALICE` that ends at", |entry| {
                entry["start"] = Value::Null
            }),
            ("has no end, so it is not known who is on call", |entry| {
                entry["start"] = Value::Null;
                entry["end"] = Value::Null;
            }),
        ];
        for (words, change) in bad {
            let answer = counted(&spoilt(change).unwrap().entries, 1);
            assert_eq!(answer.schedules(), []);
            let error = answer.failed()[0].1.to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
        let nothing = spoilt(|entry| entry["end"] = entry["start"].clone()).unwrap();
        assert_eq!((primary(&nothing.entries, 1).len(), counted(&nothing.entries, 1).notes().len()), (2, 1));
    }

    #[test]
    fn the_list_and_its_end_must_be_there() {
        for body in [r#"{"oncalls":[]}"#, r#"{"more":false}"#, "[]", "", r#"{"oncalls":null,"more":false}"#] {
            assert!(matches!(parse_oncalls(body.as_bytes()), Err(ProviderError::Source(_))), "{body}");
        }
        assert!(parse_schedules(br#"{"schedules":[]}"#).is_err());
        let cut = PAGE_1.len() - 100;
        assert!(parse_oncalls(&PAGE_1[..cut]).is_err());
    }

    #[test]
    fn things_are_found_by_id_and_else_by_name() {
        assert_eq!(parse_schedules(SCHEDULES).unwrap().entries, [schedule("PSPRIM1", "SRE primary")]);
        let known = [schedule("P1", "db"), schedule("P2", "P1"), schedule("P1", "db"), schedule("P3", "web")];
        let id = |text: &str| find(&known, text, Kind::Schedule).map(|found| found.id.clone());
        for (text, expected) in [("P1", "P1"), ("web", "P3"), ("db", "P1"), ("P2", "P2")] {
            assert_eq!(id(text), Ok(expected.to_string()));
        }
        assert!(
            matches!(id("Web"), Err(ProviderError::Incomplete(text)) if text.contains("no schedule `Web`"))
        );
        let error = find(&known, "Web", Kind::Team).unwrap_err().to_string();
        assert!(error.contains("no team `Web`; check `teams`"), "{error}");
    }

    #[test]
    fn a_name_that_two_schedules_have_names_neither() {
        let known = [schedule("P1", "db"), schedule("P2", "db")];
        let error = find(&known, "db", Kind::Schedule).unwrap_err().to_string();
        assert!(error.contains("P1 and of P2"), "{error}");
        assert!(find(&known, "P2", Kind::Schedule).is_ok());
    }

    #[test]
    fn a_name_reaches_no_terminal_with_control_characters() {
        let named = spoilt(|entry| entry["user"]["name"] = json!("Alice\r\u{1b}[1m")).unwrap();
        assert_eq!(named.entries[0].person.user.label.as_deref(), Some("Alice\u{fffd}\u{fffd}[1m"));
    }

    #[test]
    fn a_schedule_by_itself_is_all_of_the_first_level() {
        let layered = api::layered("PSPRIM1", include_bytes!("../fixtures/pagerduty/schedule-final.json"));
        let shift_based =
            api::shift_based("PSPRIM1", include_bytes!("../fixtures/pagerduty/schedule-v3-final.json"));
        let (layered, shift_based) = (layered.unwrap(), shift_based.unwrap());
        let (layered, shift_based) = (layered.entries(), shift_based.entries());
        assert_eq!(primary(layered, 1).len(), 5);
        assert_eq!(primary(layered, 1), primary(shift_based, 1), "the gap of the second one is nobody's");
        assert!(layered.iter().chain(shift_based).all(|entry| !entry.person.whole && entry.level == 1));
        assert_eq!(layered[0].person.user.label.as_deref(), Some("Alice Example"));
        assert!(
            api::layered("PSPRIM2", include_bytes!("../fixtures/pagerduty/schedule-final.json")).is_err()
        );
    }

    #[test]
    fn a_member_of_a_kind_that_is_not_known_spoils_the_answer() {
        let body = |member: &str| {
            format!(
                r#"{{"schedule":{{"id":"P1","final_schedule":{{"computed_shift_assignments":[{{"start_time":"2026-11-20T09:00:00Z","end_time":null,"member":{member}}}]}}}}}}"#
            )
        };
        let read = |member: &str| api::shift_based("P1", body(member).as_bytes());
        assert_eq!(read(r#"{"type":"empty_member"}"#).unwrap().entries(), []);
        let one = read(r#"{"type":"user_member","user_id":"PU1"}"#).unwrap();
        assert_eq!(one.entries()[0].end, Bound::Untold, "a shift on a schedule has an end");
        for bad in [r#"{"type":"team_member","team_id":"PT"}"#, r#"{"type":"user_member"}"#, "{}", "null"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn policies_tell_whose_they_are() {
        let page = api::policies(include_bytes!("../fixtures/pagerduty/escalation-policies.json")).unwrap();
        let [policy] = &page.entries[..] else { panic!("{page:?}") };
        assert_eq!((&policy.named, policy.teams.len()), (&schedule("PEPSRE1", "SRE"), 0));
        let without = br#"{"escalation_policies":[{"id":"P1","name":"x"}],"more":false}"#;
        assert!(api::policies(without).is_err(), "a policy that tells of no teams is not one without");
    }

    #[test]
    fn a_reference_is_completed_and_who_is_deleted_has_no_address() {
        let references = parse_oncalls(REFERENCES).unwrap().entries;
        assert!(references.iter().all(|entry| !entry.person.whole));
        let mut both = references.clone();
        both.extend(parse_oncalls(PAGE_1).unwrap().entries);
        let shown = counted(&both, 1);
        let alice = shown.schedules()[0].shifts.iter().filter(|shift| shift.user.id == "PUALICE");
        assert!(alice.into_iter().all(|shift| shift.user.mail.as_deref() == Some("alice@example.com")));
        let users = api::users(include_bytes!("../fixtures/pagerduty/users.json")).unwrap().entries;
        assert!(users.iter().all(|person| person.whole && person.user.mail.is_some()));
        let gone = spoilt(|entry| entry["user"]["deleted_at"] = json!("2026-11-01T00:00:00Z")).unwrap();
        assert_eq!(gone.entries[0].person.user.mail, None);
        assert!(gone.entries[0].person.whole, "there is nothing more to ask");
    }
}
