//! What a collector publishes, made by hand: a test says what is in it, and what is wrong with it.

use std::collections::BTreeMap;

use fleet::people::{self, FleetPerson};
use fleet::{Digest, FleetShift, Head, ObjectRef, Part, ReadSchedule, RotaIndex, ScheduleShifts, pack};
use harness::suite::now;
use policy::revocations::{Order, Revocations, Subject};
use policy::{Principal, Span, Timestamp, Window};
use signed::{Purpose, SigningKey};

/// The name of the fleet in every test.
pub const FLEET: &str = "example";

/// What a store has: by path below its url, as `/head`.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// Person, start and end in seconds.
pub type Shifts = Vec<(String, i64, i64)>;

/// Somebody who signs heads.
pub struct Signer {
    name: &'static str,
    key: SigningKey,
}

impl Signer {
    /// Always the same key for the same number.
    pub fn new(name: &'static str, number: u8) -> Self {
        let (key, _) = SigningKey::generate(&[number; 32], name).expect("a key");
        Self { name, key }
    }

    /// The line for fleet-signers, with more options.
    pub fn line(&self, options: &str) -> String {
        format!("{} namespaces=\"head@authkeys\"{options} {}\n", self.name, self.key.public().line())
    }

    /// Signs `text` for `purpose`.
    pub fn sign(&self, purpose: Purpose, text: &str) -> String {
        self.key.sign(purpose, text.as_bytes()).expect("it signs")
    }
}

/// A publication in the making. Instants are seconds since the epoch.
#[derive(Clone)]
pub struct Publication {
    pub fleet: &'static str,
    /// Milliseconds.
    pub sequence: u64,
    pub issued: i64,
    pub valid: i64,
    /// When the rota was read.
    pub read: i64,
    /// From when shifts are counted.
    pub base: i64,
    /// Schedules of the source `pd`: id and shifts.
    pub schedules: Vec<(&'static str, Shifts)>,
    pub people: Vec<FleetPerson>,
    pub revoked: Vec<&'static str>,
    pub has_pack: bool,
}

impl Publication {
    /// One that is good now: alice on call on `P1` for an hour, bob behind her.
    pub fn new() -> Self {
        let now = now();
        let shifts = vec![("alice".to_string(), -3600, 3600), ("bob".to_string(), 3600, 7200)];
        Self {
            fleet: FLEET,
            sequence: u64::try_from(now).expect("after 1970") * 1000,
            issued: now,
            valid: now + 6 * 3600,
            read: now,
            base: now,
            schedules: vec![("P1", shifts), ("OTHERS", vec![("dave".to_string(), -3600, 3600)])],
            people: Vec::new(),
            revoked: Vec::new(),
            has_pack: false,
        }
    }

    /// The same, published so many seconds later, and read then.
    pub fn later(&self, seconds: i64) -> Self {
        let mut later = self.clone();
        later.sequence = self.sequence.saturating_add_signed(seconds * 1000);
        later.issued += seconds;
        later.valid += seconds;
        later.read += seconds;
        later.base += seconds;
        later
    }

    /// The same once more so many seconds later: read again, and nothing has changed.
    pub fn heartbeat(&self, seconds: i64) -> Self {
        Self { base: self.base, ..self.later(seconds) }
    }

    /// Who is on call on `P1`, and nobody else: in seconds from the reading.
    pub fn on_call(mut self, shifts: &[(&str, i64, i64)]) -> Self {
        let shifts = shifts.iter().map(|(who, start, end)| (who.to_string(), *start, *end)).collect();
        self.schedules = vec![("P1", shifts)];
        self
    }

    /// So many people with a key each, who may all become root.
    pub fn crowd(mut self, count: usize) -> Self {
        self.people = (0..count)
            .map(|number| FleetPerson {
                principal: Principal::new(&format!("p{number:06}")).expect("a name"),
                eligible: true,
                disabled: None,
                begins: None,
                expires: None,
                keys: vec![format!("ssh-ed25519 {number:068}")],
            })
            .collect();
        self
    }

    /// The head, and what a store has without it.
    pub fn objects(&self) -> (Head, Objects) {
        let mut objects = Objects::new();
        let rota = self.rota(&mut objects);
        let revoked = keep(&mut objects, self.revocations().to_string().as_bytes());
        let mut stored = Objects::new();
        let people = (!self.people.is_empty()).then(|| {
            let put = |bytes: &[u8]| Ok::<_, std::convert::Infallible>(keep(&mut stored, bytes).object);
            people::build(self.people.clone(), &BTreeMap::new(), put).expect("a tree").root
        });
        let pack = self.has_pack.then(|| keep(&mut objects, &pack(stored.values()).expect("a pack")).object);
        objects.extend(stored);
        let at = Timestamp::from_unix;
        let head = Head {
            fleet: self.fleet.to_string(),
            sequence: self.sequence,
            issued: at(self.issued),
            valid: at(self.valid),
            scope: Digest::of(b"scope"),
            rota_read: Some(at(self.read)),
            people_read: people.map(|_| at(self.read)),
            incidents_read: None,
            revoked_read: at(self.read),
            rota: Some(rota),
            people,
            incidents: None,
            revoked,
            pack,
            // nginx tells heads of one second apart by their lengths.
            pad: 1 + usize::try_from(self.sequence / 1000 % 200).expect("small"),
        };
        (head, objects)
    }

    fn rota(&self, objects: &mut Objects) -> Part {
        let at = |seconds: i64| Timestamp::from_unix(self.base + seconds);
        let read = Timestamp::from_unix(self.read);
        let schedule = |(id, shifts): &(&str, Shifts)| {
            let shift = |(person, start, end): &(String, i64, i64)| FleetShift {
                principal: Principal::new(person).expect("a name"),
                window: Window::new(at(*start), at(*end)).expect("a window"),
                level: 1,
            };
            let shifts = ScheduleShifts::new(shifts.iter().map(shift).collect()).expect("shifts");
            ReadSchedule {
                source: "pd".to_string(),
                id: id.to_string(),
                provider_id: id.to_string(),
                name: "db".into(),
                read,
                horizon: read.plus(Span::hours(72)),
                shifts: keep(objects, &shifts.to_bytes()),
            }
        };
        let (index, _) = RotaIndex::new(self.schedules.iter().map(schedule).collect()).expect("an index");
        keep(objects, &index.to_bytes())
    }

    fn revocations(&self) -> Revocations {
        let mut list = Revocations::none();
        for person in &self.revoked {
            let subject = Subject::Person(Principal::new(person).expect("a name"));
            let order = Order {
                serial: 1,
                lifted: false,
                since: Timestamp::from_unix(self.issued),
                until: None,
                by: "eve".to_string(),
                reason: String::new(),
            };
            list.insert(subject, order).expect("an order");
        }
        list
    }

    /// All that a store has, its head signed by these.
    pub fn signed(&self, signers: &[&Signer]) -> Objects {
        let (head, mut objects) = self.objects();
        let text = head.write();
        let armours: String = signers.iter().map(|signer| signer.sign(Purpose::Head, &text)).collect();
        objects.insert("/head".to_string(), (text + &armours).into_bytes());
        objects
    }
}

/// Compresses an object and keeps it by its name.
fn keep(objects: &mut Objects, content: &[u8]) -> Part {
    let (part, stored) = mirror::fresh(content, None).expect("an object");
    objects.insert(path_of(&part.object), stored.expect("it is new"));
    part
}

/// Where a store has an object.
pub fn path_of(object: &ObjectRef) -> String {
    format!("/o/{}", object.digest)
}
