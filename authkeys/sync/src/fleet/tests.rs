use super::*;
use fleet::people::{FleetPerson, build};
use fleet::{Digest, Head, ObjectRef};
use host::Config;
use host::config::Directory;
use mirror::fresh;
use policy::{Principal, Proven, Span};
use signed::{Purpose, SigningKey};
use std::collections::BTreeMap;
use store::keys::{self, KeyCopy};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

type People = BTreeMap<String, FleetPerson>;

fn person(name: &str, keys: &[u32]) -> FleetPerson {
    FleetPerson {
        principal: Principal::new(name).unwrap(),
        eligible: name.ends_with('1'),
        disabled: None,
        begins: None,
        expires: None,
        keys: keys.iter().map(|number| made_keys::numbered(*number)).collect(),
    }
}

fn crowd(count: u32) -> People {
    (0..count).map(|number| (format!("p{number}"), person(&format!("p{number}"), &[number % 40]))).collect()
}

/// A host of a fleet, and what its collector publishes.
struct World {
    directory: TempDir,
    config: Config,
    key: SigningKey,
    known: BTreeMap<Digest, ObjectRef>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let text = "[fleet]\nid = 'example'\nurls = ['file:///srv/fleet']\n[directory]\nfleet = true\n[paths]\nkeys = 'keys/keys.db'\nroster = 'cache/roster.db'\n";
        let config = Config::parse(&directory.path().join("config.toml"), text.as_bytes()).unwrap();
        for name in ["keys", "cache"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        let (key, _) = SigningKey::generate(&[7; 32], "").unwrap();
        let signer = format!("c1 namespaces=\"head@authkeys\" {}\n", key.public().line());
        std::fs::write(directory.path().join("fleet-signers"), signer).unwrap();
        Self { directory, config, key, known: BTreeMap::new() }
    }

    fn fleet(&self) -> &Fleet {
        self.config.fleet.as_ref().unwrap()
    }

    fn mirror(&self) -> Mirror {
        let mirror = Mirror::at(&self.fleet().mirror);
        mirror.create().unwrap();
        mirror
    }

    fn keys(&self) -> &Path {
        &self.config.paths.keys
    }

    /// A head of `people` as they were read at `read`, published at `issued`.
    fn head(&mut self, people: &People, read: Timestamp, issued: Timestamp) -> Head {
        let mirror = self.mirror();
        let put = |bytes: &[u8]| {
            let (part, stored) = fresh(bytes, None)?;
            mirror.put_object(&part.object, &stored.unwrap()).unwrap();
            Ok::<_, mirror::ObjectProblem>(part.object)
        };
        let tree = build(people.values().cloned().collect(), &self.known, put).unwrap();
        self.known.extend(tree.parts.iter().map(|part| (part.content, part.object)));
        let (revoked, _) = fresh(b"revoked", None).unwrap();
        Head {
            fleet: "example".into(),
            sequence: u64::try_from(issued.unix()).unwrap() * 1000,
            issued,
            valid: issued.plus(Span::hours(6)),
            scope: Digest::of(b"scope"),
            rota_read: None,
            people_read: Some(read),
            incidents_read: None,
            revoked_read: issued,
            rota: None,
            people: Some(tree.root),
            incidents: None,
            revoked,
            pack: None,
            pad: 1,
        }
    }

    fn put(&self, head: &Head) {
        let text = head.write();
        let armour = self.key.sign(Purpose::Head, text.as_bytes()).unwrap();
        self.mirror().put_head((text + &armour).as_bytes()).unwrap();
    }

    fn publish(&mut self, people: &People, at: Timestamp) {
        let head = self.head(people, at, at);
        self.put(&head);
    }

    fn base(&self) -> Option<Base> {
        let directory = self.config.directory.as_ref().unwrap();
        Base::open(self.keys(), &self.config.copy_scope(directory)).ok()
    }

    fn sync(&self, at: Timestamp) -> Result<store::keys::Effect, String> {
        let Some(directory @ Directory::Fleet(_)) = &self.config.directory else { panic!() };
        let base = self.base().map(|base| base.at(at));
        crate::replicate(&self.config, directory, base.as_ref(), false, at).map_err(|error| error.to_string())
    }

    fn copy(&self, now: Timestamp) -> KeyCopy {
        KeyCopy::open(self.keys(), "fleet example", Span::hours(24 * 400), now).unwrap()
    }

    /// Everybody in the copy, as they were published.
    fn people(&self, now: Timestamp) -> People {
        let mut people = People::new();
        let each = |one: keys::StoredPerson| {
            let keys::StoredPerson { principal, eligible, disabled, begins, expires, mut keys } = one;
            keys.sort();
            let name = principal.to_string();
            people.insert(name, FleetPerson { principal, eligible, disabled, begins, expires, keys });
        };
        self.copy(now).everybody(each).unwrap();
        people
    }

    /// All files beside the copy, and what is in them.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let directory = std::fs::read_dir(self.directory.path().join("keys")).unwrap();
        let mut files: Vec<_> = directory.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
    }
}

fn fit(people: &People) -> People {
    let mut people = people.clone();
    people.values_mut().for_each(|person| person.keys.sort());
    people
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % limit
    }
}

#[test]
fn what_changed_is_applied_and_comes_to_the_same_as_everybody() {
    let (mut world, mut dice, mut people) = (World::new(), Dice(3), crowd(1500));
    let mut partly = 0;
    for step in 0..25_i64 {
        let at = NOW.plus(Span::seconds(60 * step));
        for _ in 0..dice.below(4) {
            let name = format!("p{}", dice.below(1600));
            if dice.below(3) == 0 {
                people.remove(&name);
            } else {
                let keys: Vec<u32> = (0..dice.below(3))
                    .map(|_| dice.below(40))
                    .collect::<std::collections::BTreeSet<_>>()
                    .into_iter()
                    .collect();
                let expires = (dice.below(2) == 0).then_some(at);
                people.insert(
                    name.clone(),
                    FleetPerson { eligible: dice.below(2) == 0, expires, ..person(&name, &keys) },
                );
            }
        }
        if step % 8 == 7 {
            people.retain(|_, _| dice.below(4) > 0);
        }
        world.publish(&people, at);
        // Some publications are skipped.
        if dice.below(3) == 0 {
            continue;
        }
        if dice.below(6) == 0 {
            // What the copy was made of is gone from the mirror.
            let document = world.mirror().head_document().unwrap();
            let opened = verified(world.keys(), world.fleet(), &document, at).unwrap();
            let all =
                crate::tree::walked(opened.head.people.as_ref().unwrap(), None, &world.mirror()).unwrap();
            let keep = all.pages.iter().chain(&all.buckets).map(|node| node.part.object.digest).collect();
            world.mirror().sweep(&keep).unwrap();
            world.known.retain(|_, object| keep.contains(&object.digest));
        }
        let changed = world.sync(at).unwrap().changed;
        partly += usize::from((1..20).contains(&changed));
        assert_eq!(world.people(at), fit(&people), "step {step}");
        assert_eq!(world.copy(at).synced(), at);
    }
    assert!(partly > 5, "{partly}");
}

#[test]
fn a_copy_ages_from_the_collectors_reading_and_an_earlier_one_never_replaces_it() {
    let mut world = World::new();
    let read = NOW.minus(Span::hours(2));
    let head = world.head(&crowd(10), read, NOW);
    world.put(&head);
    world.sync(NOW).unwrap();
    assert_eq!(world.copy(NOW).synced(), read);
    let stamp = world.base().unwrap().resume().unwrap().to_vec();
    // Nothing new at the collector: a later head, the same people, read at the same time.
    let later = NOW.plus(Span::minutes(5));
    let head = world.head(&crowd(10), read, later);
    world.put(&head);
    world.sync(later).unwrap();
    assert_eq!(world.copy(later).synced(), read);
    assert_eq!(world.base().unwrap().resume().unwrap(), stamp, "when everybody was read stays");
    // A collector whose last reading was before: its head counts, its people do not.
    let last = NOW.plus(Span::minutes(10));
    let head = world.head(&crowd(9), read.minus(Span::seconds(1)), last);
    world.put(&head);
    assert_eq!(world.sync(last).unwrap().people, 10);
    assert_eq!((world.people(last).len(), world.copy(last).synced()), (10, read));
    let replayed = world.head(&crowd(10), read, later);
    world.put(&replayed);
    assert!(world.sync(last).unwrap_err().contains("(head-replay)"));
}

#[test]
fn a_copy_from_when_all_clocks_were_ahead_keeps_nobody_in_once_root_has_raised_the_epoch() {
    let mut world = World::new();
    let ahead = NOW.plus(Span::hours(24));
    world.publish(&crowd(10), ahead);
    world.sync(ahead).unwrap();
    // The clocks are right again, and root lets the sequence start below the one that is here.
    world.publish(&crowd(9), NOW);
    assert!(world.sync(NOW).unwrap_err().contains("(head-replay)"));
    let text = String::from_utf8(world.config.text.clone()).unwrap().replace("urls =", "epoch = 1\nurls =");
    world.config = Config::parse(&world.directory.path().join("config.toml"), text.as_bytes()).unwrap();
    assert_eq!(world.sync(NOW).unwrap().people, 9);
    assert_eq!((world.people(NOW).len(), world.copy(NOW).synced()), (9, NOW));
}

#[test]
fn a_clock_that_was_set_back_shows_until_there_is_a_later_head() {
    let mut world = World::new();
    world.publish(&crowd(3), NOW);
    world.sync(NOW).unwrap();
    // The boot has counted three hours since, and the clock one.
    let (then, now) = (NOW.plus(Span::hours(3)), NOW.plus(Span::hours(1)));
    publish::prove(world.keys(), 0o640, &Proven::seen(then, None, clock::uptime(), NOW)).unwrap();
    let open = |world: &World, now| KeyCopy::open(world.keys(), "fleet example", Span::hours(24), now);
    assert!(open(&world, now).is_err());
    world.sync(now).unwrap();
    assert!(open(&world, now).is_err(), "the same head, cut off from the store");
    assert!(open(&world, then).is_ok());
    // Two that agree: a boot's clock that has gone ahead ends no logins until a restart.
    world.publish(&crowd(3), now);
    world.sync(now).unwrap();
    assert!(open(&world, now).is_ok());
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let mut world = World::new();
    world.publish(&crowd(300), NOW);
    assert!(world.sync(NOW.plus(Span::hours(7))).unwrap_err().contains("(head-expired)"));
    assert_eq!(world.files(), []);
    world.sync(NOW).unwrap();
    let before = world.files();
    let later = NOW.plus(Span::minutes(1));
    let good = world.head(&crowd(299), later, later);
    let object = good.people.unwrap().object;
    let refused = |world: &World, at: Timestamp, expected: &str| {
        let error = world.sync(at).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
        assert_eq!(world.files(), before, "{expected}");
    };
    for (head, at, word) in [
        (
            Head { sequence: good.sequence - 120_000, issued: NOW.minus(Span::minutes(1)), ..good.clone() },
            later,
            "(head-replay)",
        ),
        (Head { sequence: good.sequence - 60_000, ..good.clone() }, later, "(head-fork)"),
        (Head { fleet: "other".into(), ..good.clone() }, later, "(head-fleet)"),
        (good.clone(), later.minus(Span::minutes(30)), "(head-future)"),
        (Head { people: None, people_read: None, ..good.clone() }, later, "publishes no people"),
        (world.head(&People::new(), later, later), later, "(source-empty)"),
    ] {
        world.put(&head);
        refused(&world, at, word);
    }
    let (mut other, _) = SigningKey::generate(&[8; 32], "").unwrap();
    std::mem::swap(&mut world.key, &mut other);
    world.put(&good);
    refused(&world, later, "(head-signature)");
    std::mem::swap(&mut world.key, &mut other);
    world.put(&good);
    let path = world.fleet().mirror.join("o").join(object.digest.to_string());
    let stored = std::fs::read(&path).unwrap();
    for (bytes, word) in [
        (Some([&stored[..], b"x"].concat()), "(object-size)"),
        (Some([&stored[1..], b"x"].concat()), "(object-digest)"),
        (None, "(object-missing)"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        refused(&world, later, word);
    }
    std::fs::remove_file(world.fleet().mirror.join("head")).unwrap();
    refused(&world, later, "run `oncall-cache pull`");
    world.mirror().put_object(&object, &stored).unwrap();
    world.put(&good);
    world.sync(later).unwrap();
    assert_eq!(world.people(later).len(), 299);
}

#[test]
fn a_head_that_ended_between_the_pull_and_the_copy_is_taken_over_from_who_may_sign_now() {
    let mut world = World::new();
    world.publish(&crowd(20), NOW);
    world.sync(NOW).unwrap();
    let later = NOW.plus(Span::minutes(1));
    world.publish(&crowd(19), later);
    let ended = later.plus(Span::hours(6));
    let signers = world.directory.path().join("fleet-signers");
    let listed = std::fs::read_to_string(&signers).unwrap();
    // Its date is whatever its signer says: a key whose time is over signs nothing new.
    std::fs::write(&signers, listed.replace("c1 ", "c1 valid-before=\"20261120100000Z\",")).unwrap();
    assert!(world.sync(ended).unwrap_err().contains("(head-signature)"));
    std::fs::write(&signers, listed).unwrap();
    assert_eq!(world.sync(ended).unwrap().people, 19);
    assert_eq!((world.people(ended).len(), world.copy(ended).synced()), (19, later));
}

#[test]
fn a_copy_that_is_lost_is_made_again_from_a_mirror_that_is_out_of_date() {
    let mut world = World::new();
    world.publish(&crowd(20), NOW);
    world.sync(NOW).unwrap();
    let later = NOW.plus(Span::hours(20));
    std::fs::remove_file(world.keys()).unwrap();
    world.sync(later).unwrap();
    assert_eq!((world.people(later).len(), world.copy(later).synced()), (20, NOW));
}

#[test]
fn what_is_taken_away_at_the_collector_was_guarded_there() {
    let mut world = World::new();
    world.publish(&crowd(200), NOW);
    world.sync(NOW).unwrap();
    let later = NOW.plus(Span::minutes(1));
    world.publish(&crowd(50), later);
    let effect = world.sync(later).unwrap();
    assert_eq!((effect.removed, effect.people), (150, 50));
}

#[test]
fn hosts_judge_keys_themselves() {
    let mut world = World::new();
    let mut people = crowd(3);
    people.get_mut("p0").unwrap().keys.push("ssh-dss AAAA".to_string());
    people.insert("root".into(), person("root", &[1]));
    world.publish(&people, NOW);
    world.sync(NOW).unwrap();
    let copied = world.people(NOW);
    assert_eq!((copied["p0"].keys.len(), copied.len()), (1, 3));
    assert_eq!(world.copy(NOW).refused().unwrap().len(), 1);
}
