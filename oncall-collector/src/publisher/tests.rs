use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

use ::store::roster;
use policy::{Incident, Incidents, NOTICE, Principal, Roster, Schedule, ScheduleRef, Shift, Span, Window};
use signed::{Purpose, Signer, SigningKey};

use super::*;
use crate::handed::Handed;
use crate::stores::{Directory, Entry, Found, Version};

#[test]
fn a_sequence_grows_and_one_from_the_future_is_not_followed() {
    let at = Timestamp::from_unix(1_000);
    for (before, expected) in [
        (None, 1_000_000),
        (Some(5), 1_000_000),
        (Some(1_000_000), 1_000_001),
        (Some(1_119_998), 1_119_999),
        (Some(1_120_000), 1_000_000),
        (Some(u64::MAX), 1_000_000),
    ] {
        assert_eq!(sequence(before, at), expected, "{before:?}");
    }
}

/// A directory that writes what it is given, and of a head may say that it does not know whether it did.
struct Silent {
    store: Directory,
    is_silent: Rc<Cell<bool>>,
}

impl Store for Silent {
    fn get(&self, name: &str, largest: u64) -> Result<Option<Found>, StoreError> {
        self.store.get(name, largest)
    }

    fn version(&self, name: &str) -> Result<Option<Version>, StoreError> {
        self.store.version(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.put(name, bytes)
    }

    fn put_if(&self, name: &str, bytes: &[u8], expected: Option<&Version>) -> Result<bool, StoreError> {
        let done = self.store.put_if(name, bytes, expected)?;
        let lost = StoreError::Failed(name.to_string(), "timed out".to_string());
        if self.is_silent.get() { Err(lost) } else { Ok(done) }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, StoreError> {
        self.store.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.store.delete(name)
    }
}

/// Two collectors of one fleet, each with a disk of its own.
struct Fleet {
    directory: tempfile::TempDir,
    is_silent: Rc<Cell<bool>>,
}

impl Fleet {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("store")).unwrap();
        let mut signers = String::new();
        for name in ["one", "two"] {
            for part in ["", "state", "turn"] {
                fs::create_dir(at(name).join(part)).unwrap();
            }
            let seed = [name.len() as u8 + name.as_bytes()[0]; 32];
            let (key, pem) = SigningKey::generate(&seed, name).unwrap();
            fs::write(at(name).join("fleet-key"), &*pem).unwrap();
            fs::set_permissions(at(name).join("fleet-key"), fs::Permissions::from_mode(0o600)).unwrap();
            let signer = Signer::new(name, &[Purpose::Head], key.public().clone()).unwrap();
            signers += &format!("{signer}\n");
            let syncs = "[[oncall.source]]\nname = 'rota'\nprovider = 'rota'\nfile = 'rota.toml'\n\
                         [paths]\nroster = 'roster.db'\nkeys = 'keys.db'\n";
            fs::write(at(name).join("config.toml"), syncs).unwrap();
            let text = format!(
                "fleet = 'example'\nsigners = '{}'\nstate = 'state'\nturn = 'turn'\n[store]\ndirectory = '{}'\n",
                at("fleet-signers").display(),
                at("store").display()
            );
            fs::write(at(name).join("collector.toml"), text).unwrap();
        }
        fs::write(at("fleet-signers"), signers).unwrap();
        Self { directory, is_silent: Rc::default() }
    }

    fn of(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the collector `name` has read of who is on call, so many seconds ago.
    fn has_read(&self, name: &str, ago: i64, people: &[&str]) {
        let at = now().minus(Span::seconds(ago));
        let window = Window::new(at.minus(Span::hours(1)), at.plus(Span::hours(1))).unwrap();
        let shift = |person: &&str| Shift {
            schedule: 0,
            principal: Principal::new(person).unwrap(),
            level: 1,
            window,
        };
        let schedule = Schedule {
            reference: ScheduleRef { source: "rota".to_string(), id: "primary".to_string() },
            provider_id: "primary".to_string(),
            name: "primary".into(),
            synced: at,
            horizon: at.plus(Span::hours(24)),
        };
        let eligible = people.iter().map(|person| (Principal::new(person).unwrap(), true)).collect();
        let roster = Roster {
            published: at,
            floor: at,
            schedules: vec![schedule],
            shifts: people.iter().map(shift).collect(),
            late: Vec::new(),
            incidents: Default::default(),
            eligible,
        };
        roster::publish(&self.of(name).join("roster.db"), &roster, &BTreeSet::new()).unwrap();
    }

    /// What the collector `name` has read of incidents, so many seconds ago.
    fn has_read_incidents(&self, name: &str, ago: i64, ids: &[&str]) {
        let at = now().minus(Span::seconds(ago));
        let incident = |id: &&str| Incident {
            service: "PSVC1".to_string(),
            id: (*id).to_string(),
            opened: Timestamp::from_unix(1_700_000_000),
            closed: None,
            by: None,
        };
        let mut known = Incidents::default();
        known.tell(("pd", &["PSVC1".to_string()]), ids.iter().map(incident).collect(), at, at);
        roster::publish_incidents(&self.of(name).join("roster.db"), &known).unwrap();
    }

    fn publish(&self, name: &str, is_asked: bool) -> Result<Outcome, CollectorError> {
        let config = Config::load(&self.of(name).join("collector.toml"))?;
        let live = Live { note: &|_| (), progress: &|_| () };
        let local = Local::take(&config)?;
        let syncs = host::Config::load(&config.syncs())?;
        let signing = Signing::load(&config, now())?;
        let store = Directory::open(&self.of("store"), Access::Write)?;
        let store = Box::new(Silent { store, is_silent: Rc::clone(&self.is_silent) });
        Session { config: &config, local: &local, live, syncs, store, signing }.publish(is_asked)
    }

    /// The number of a publication that is made.
    fn publishes(&self, name: &str, is_asked: bool) -> u64 {
        match self.publish(name, is_asked).unwrap() {
            Outcome::Published(published) => {
                assert_eq!((published.problems, published.notes), (Vec::<String>::new(), Vec::new()));
                published.head.sequence
            }
            Outcome::StandsBy(..) => panic!("{name} stands by"),
        }
    }

    fn handed(&self, name: &str) -> Handed {
        handed::take(&self.of(name).join("turn"), Span::hours(1), now()).unwrap()
    }
}

#[test]
fn a_turn_that_began_without_an_answer_is_a_new_one() {
    let fleet = Fleet::new();
    fleet.has_read("one", 60, &["alice"]);
    fleet.has_read("two", 60, &["alice"]);
    let first = fleet.publishes("one", false);
    assert_eq!(fleet.handed("one").turn, Some(first));
    fleet.publishes("one", false);
    assert_eq!(fleet.handed("one").turn, Some(first), "as long as it is its turn");
    let second = fleet.publishes("two", true);
    assert_eq!(fleet.handed("two").turn, Some(second));
    assert!(matches!(fleet.publish("one", false).unwrap(), Outcome::StandsBy(..)));
    fleet.is_silent.set(true);
    assert!(matches!(fleet.publish("one", true), Err(CollectorError::Store(_))));
    fleet.is_silent.set(false);
    // Its own is the last one now, and the one before was not.
    let third = fleet.publishes("one", false);
    let turn = fleet.handed("one").turn.unwrap();
    assert!(second < turn && turn < third, "{first} {second} {turn} {third}");
    fleet.publishes("one", false);
    assert_eq!(fleet.handed("one").turn, Some(turn));
    // What was tried and not done is no turn either.
    fleet.publishes("two", true);
    let fourth = fleet.publishes("one", true);
    assert_eq!(fleet.handed("one").turn, Some(fourth));
}

#[test]
fn what_came_late_is_told_by_what_was_published_also_on_another_disk() {
    let fleet = Fleet::new();
    let late = |name: &str| {
        let handed = fleet.handed(name).roster.unwrap();
        let of = |shift: &policy::LateShift| (shift.principal.to_string(), shift.seen);
        handed.late.iter().map(of).collect::<Vec<_>>()
    };
    fleet.has_read("two", 60, &["alice"]);
    fleet.has_read("one", 50, &["alice"]);
    fleet.publishes("one", false);
    assert_eq!(late("one"), []);
    fleet.has_read("one", 40, &["alice", "bob"]);
    fleet.publishes("one", false);
    let seen = late("one");
    assert!(matches!(&seen[..], [(person, at)] if person == "bob" && now().since(*at) < NOTICE), "{seen:?}");
    fleet.publishes("one", false);
    assert_eq!(late("one"), seen);
    // The other one has not read that; and the second time it goes on from what it handed over itself.
    for _ in 0..2 {
        fleet.publishes("two", true);
        assert_eq!(late("two"), seen);
    }
    fleet.has_read("two", 30, &["alice", "bob", "carol"]);
    fleet.publishes("two", false);
    let both = late("two");
    assert_eq!((both.len(), both.contains(&seen[0])), (2, true), "{both:?}");
    // In between there was another turn; what this one handed over before is not the last.
    fleet.publishes("one", true);
    assert_eq!(late("one"), both);
}

#[test]
fn a107_of_two_collectors_the_later_reading_of_incidents_is_published() {
    let fleet = Fleet::new();
    let head = |name| match fleet.publish(name, true).unwrap() {
        Outcome::Published(published) => {
            assert_eq!(published.problems, Vec::<String>::new());
            published.head
        }
        other => panic!("{other:?}"),
    };
    fleet.has_read("one", 60, &["alice"]);
    fleet.has_read("two", 60, &["alice"]);
    let without = head("one");
    assert_eq!((without.incidents, without.incidents_read), (None, None), "nobody asked for any");
    fleet.has_read_incidents("one", 50, &["Q1"]);
    let first = head("one");
    assert!(first.incidents.is_some());
    // The other knows of none, and then what is older.
    let again = head("two");
    assert_eq!((again.incidents, again.incidents_read), (first.incidents, first.incidents_read));
    fleet.has_read_incidents("two", 55, &["Q0"]);
    let older = head("two");
    assert_eq!((older.incidents, older.incidents_read), (first.incidents, first.incidents_read));
    // The same read later is the same object, and what is new is another one.
    fleet.has_read_incidents("two", 10, &["Q1"]);
    let later = head("two");
    assert_eq!(later.incidents, first.incidents);
    assert!(later.incidents_read > first.incidents_read);
    fleet.has_read_incidents("one", 5, &["Q1", "Q2"]);
    assert_ne!(head("one").incidents, first.incidents);
}
