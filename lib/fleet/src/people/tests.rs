//! A full copy and any sequence of partial ones come to the same, whoever publishes and whatever was skipped.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::convert::Infallible;

use policy::{Principal, Timestamp};

use super::*;
use crate::{Digest, ObjectError, ObjectRef, Part};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

fn named(name: &str) -> FleetPerson {
    FleetPerson {
        principal: Principal::new(name).unwrap(),
        eligible: false,
        disabled: None,
        begins: None,
        expires: None,
        keys: vec![format!("ssh-ed25519 {name}")],
    }
}

type People = BTreeMap<Principal, FleetPerson>;

fn crowd(count: usize) -> People {
    let people = (0..count).map(|number| named(&format!("p{number}")));
    people.map(|person| (person.principal.clone(), person)).collect()
}

/// Where a publisher keeps objects; `compressor` stands for a release that compresses in its own way.
#[derive(Default)]
struct Store {
    objects: BTreeMap<Digest, Vec<u8>>,
    known: BTreeMap<Digest, ObjectRef>,
    compressor: u8,
}

impl Store {
    fn publish(&mut self, people: &People) -> Tree {
        let Self { objects, known, compressor } = self;
        let put = |bytes: &[u8]| -> Result<ObjectRef, Infallible> {
            let stored = [&[*compressor], bytes].concat();
            let (size, raw) = (stored.len() as u32, bytes.len() as u32);
            let object = ObjectRef::new(Digest::of(&stored), size, raw).unwrap();
            objects.insert(object.digest, stored);
            Ok(object)
        };
        let tree = build(people.values().cloned().collect(), known, put).unwrap();
        known.extend(tree.parts.iter().map(|part| (part.content, part.object)));
        tree
    }

    fn read(&self, node: &Node) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.objects.get(&node.part.object.digest).map(|stored| stored[1..].to_vec()))
    }

    fn difference(&self, root: &Part, known: Option<&Part>) -> Difference {
        difference(root, known, |node| self.read(node)).unwrap()
    }
}

/// What a host has: the objects it fetched, and the people it applied.
#[derive(Default)]
struct Host {
    mirror: Store,
    root: Option<Part>,
    people: People,
    fetched: usize,
}

impl Host {
    /// As `oncall-cache pull` does it: what is missing, until nothing is.
    fn fetch(&mut self, store: &Store, root: &Part) {
        loop {
            let Difference { missing, buckets, .. } = self.mirror.difference(root, self.root.as_ref());
            let absent = |node: &Node| !self.mirror.objects.contains_key(&node.part.object.digest);
            let wanted: Vec<Node> = missing.into_iter().chain(buckets.into_iter().filter(absent)).collect();
            if wanted.is_empty() {
                return;
            }
            for Node { part, .. } in wanted {
                let stored = &store.objects[&part.object.digest];
                self.fetched += stored.len();
                self.mirror.objects.insert(part.object.digest, stored.clone());
            }
        }
    }

    /// As `authkeys-sync` does it: who is in the buckets that changed, and nobody else in their places.
    fn apply(&mut self, root: &Part) {
        let found = self.mirror.difference(root, self.root.as_ref());
        assert_eq!(found.missing, []);
        let mut places = found.left;
        if self.root.is_none() {
            places.push(Place::ROOT);
        }
        places.extend(found.buckets.iter().map(|node| node.place));
        let is_touched = |name: &Principal| places.iter().any(|place| place.holds(Place::spot(name)));
        self.people.retain(|name, _| !is_touched(name));
        for node in found.buckets {
            let bucket = node.bucket(&self.mirror.read(&node).unwrap().unwrap()).unwrap();
            for person in bucket.into_people() {
                assert_eq!(self.people.insert(person.principal.clone(), person), None);
            }
        }
        self.root = Some(*root);
    }

    fn sweep(&mut self, root: &Part) {
        let kept = self.mirror.difference(root, None);
        let kept: BTreeSet<Digest> =
            kept.pages.iter().chain(&kept.buckets).map(|node| node.part.object.digest).collect();
        self.mirror.objects.retain(|digest, _| kept.contains(digest));
    }
}

fn change(people: &mut People, dice: &mut Dice) {
    for _ in 0..dice.below(40) {
        let name = format!("p{}", dice.below(3000));
        let principal = Principal::new(&name).unwrap();
        match dice.below(4) {
            0 => drop(people.remove(&principal)),
            1 => drop(people.insert(principal, named(&name))),
            _ => {
                let person = people.entry(principal).or_insert_with(|| named(&name));
                person.eligible = dice.below(2) == 0;
                person.keys = (0..dice.below(4)).map(|key| format!("t {name}{key}")).collect();
                person.expires =
                    (dice.below(3) == 0).then(|| Timestamp::from_unix(dice.below(1 << 30) as i64));
            }
        }
    }
    // Now and then very many come or go, so that places are split and joined.
    match dice.below(12) {
        0 => people.retain(|_, _| dice.below(5) == 0),
        1 => people.extend(crowd(dice.below(7000))),
        2 => people.retain(|name, _| !name.as_str().contains('3')),
        _ => {}
    }
}

#[test]
fn a_full_copy_and_any_sequence_of_partial_ones_end_in_the_same_state() {
    let mut shapes = BTreeSet::new();
    for seed in 0..2 {
        let (mut dice, mut people, mut store) = (Dice(seed), crowd(1000), Store::default());
        let mut hosts: Vec<Host> = (0..3).map(|_| Host::default()).collect();
        for step in 0..25 {
            change(&mut people, &mut dice);
            if dice.below(20) == 0 {
                // Another collector, or another release: it knows nothing of what was published before.
                store.known.clear();
                store.compressor += 1;
            }
            let tree = store.publish(&people);
            shapes.insert(tree.parts.len());
            let mut anew = Store::default();
            assert_eq!(anew.publish(&people).parts.len(), tree.parts.len(), "seed {seed}, step {step}");
            for host in &mut hosts {
                if dice.below(2) == 0 {
                    continue;
                }
                host.fetch(&store, &tree.root);
                // What this host applied last may be gone before it applies this.
                if dice.below(5) == 0 {
                    host.sweep(&tree.root);
                }
                host.apply(&tree.root);
                assert_eq!(host.people, people, "seed {seed}, step {step}");
                if dice.below(2) == 0 {
                    host.sweep(&tree.root);
                }
            }
            let mut fresh = Host::default();
            fresh.fetch(&store, &tree.root);
            fresh.apply(&tree.root);
            assert_eq!(fresh.people, people, "seed {seed}, step {step}");
        }
    }
    assert!(
        shapes.len() > 6 && shapes.last() > Some(&65),
        "several shapes, also with pages below pages: {shapes:?}"
    );
}

#[test]
fn the_shape_depends_on_who_there_is_and_on_nothing_else() {
    let people = crowd(5000);
    let (mut one, mut other) = (Store::default(), Store::default());
    let first = one.publish(&people);
    let without: People =
        people.clone().into_iter().filter(|(name, _)| name.as_str().ends_with('7')).collect();
    other.publish(&without);
    other.publish(&crowd(20));
    assert_eq!(other.publish(&people), first);
    let mut turned: Vec<FleetPerson> = people.values().cloned().collect();
    turned.reverse();
    let put = |_: &[u8]| -> Result<ObjectRef, ()> { Err(()) };
    assert_eq!(build(turned, &one.known, put).as_ref(), Ok(&first), "everything is known");
    let all = one.difference(&first.root, None);
    assert_eq!(all.pages.len() + all.buckets.len(), first.parts.len());
    assert_eq!(one.difference(&first.root, Some(&first.root)), Difference::default());
}

#[test]
fn unchanged_content_keeps_its_object_whatever_compressed_it() {
    let (mut store, mut people) = (Store::default(), crowd(3000));
    let old = store.publish(&people);
    store.compressor = 1;
    assert_eq!(store.publish(&people), old);
    people.get_mut(&Principal::new("p7").unwrap()).unwrap().eligible = true;
    let new = store.publish(&people);
    let found = store.difference(&new.root, Some(&old.root));
    assert_eq!((found.buckets.len(), found.left.len()), (1, 0));
    assert!(
        (1..=2).contains(&found.pages.len()),
        "the root, and a page below it if the bucket is listed there"
    );
    // Turned round: what the old tree alone used.
    let unused = store.difference(&old.root, Some(&new.root));
    assert_eq!((unused.buckets.len(), unused.pages.len()), (1, found.pages.len()));
}

#[test]
fn nobody_and_few_are_a_tree_too() {
    for count in [0, 1, MOST_IN_BUCKET, MOST_IN_BUCKET + 1] {
        let mut store = Store::default();
        let tree = store.publish(&crowd(count));
        let all = store.difference(&tree.root, None);
        assert_eq!((all.pages.len(), all.buckets.len()), (1, count.div_ceil(MOST_IN_BUCKET)), "{count}");
    }
}

#[test]
fn what_a_person_cannot_have_is_left_out_and_said() {
    let mut alice = named("alice");
    alice.keys = (0..100).rev().map(|number| format!("t {number:03}")).collect();
    alice.keys.push("t 000".to_string());
    let mut bob = named("bob");
    bob.keys = vec!["no-key".to_string(), "b b".to_string(), "a a".to_string(), "a a".to_string()];
    let mut zoe = named("zoe");
    (zoe.disabled, zoe.begins) = (Some("a\nb".to_string()), Some(Timestamp::MIN));
    let mut yan = named("yan");
    (yan.keys, yan.expires) = (
        vec![format!("t {}", "k".repeat(40_000)), format!("u {}", "k".repeat(40_000))],
        Some(Timestamp::MAX),
    );
    let people = [alice, bob, zoe, yan].map(|person| (person.principal.clone(), person));
    let mut store = Store::default();
    let tree = store.publish(&People::from(people));
    let mut cut: Vec<&str> = tree.cut.iter().map(Principal::as_str).collect();
    cut.sort_unstable();
    assert_eq!(cut, ["alice", "bob", "yan"]);
    let mut host = Host::default();
    host.fetch(&store, &tree.root);
    host.apply(&tree.root);
    let [alice, bob, yan, zoe]: [FleetPerson; 4] =
        host.people.into_values().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((alice.keys.len(), alice.keys[64].as_str()), (MOST_KEYS, "t 064"));
    assert_eq!(bob.keys, ["a a", "b b"]);
    assert_eq!((yan.keys.len(), yan.expires.unwrap().to_string().as_str()), (1, "9999-12-31T23:59:59Z"));
    assert_eq!((zoe.keys.len(), zoe.disabled.as_deref()), (0, Some("disabled")));
    assert_eq!(zoe.begins.unwrap().to_string(), "0001-01-01T00:00:00Z");
}

#[test]
fn somebody_twice_is_no_tree() {
    let put = |bytes: &[u8]| Err(bytes.len());
    let twice = build(vec![named("alice"), named("bob"), named("alice")], &BTreeMap::new(), put);
    assert_eq!(twice, Err(BuildError::Twice(Principal::new("alice").unwrap())));
    assert!(matches!(build(vec![named("alice")], &BTreeMap::new(), put), Err(BuildError::Put(_))));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_bucket_holds_its_own_people_once_and_in_order() {
    let mut store = Store::default();
    let tree = store.publish(&crowd(3));
    let [node] = store.difference(&tree.root, None).buckets.try_into().unwrap();
    let good = text(&store.read(&node).unwrap().unwrap());
    assert_eq!(
        good,
        r#"{"form":1,"bucket":"","people":[{"principal":"p0","keys":["ssh-ed25519 p0"]},{"principal":"p1","keys":["ssh-ed25519 p1"]},{"principal":"p2","keys":["ssh-ed25519 p2"]}]}"#
    );
    let parse = |text: &str, place: &str| Bucket::parse(text.as_bytes(), place.parse().unwrap());
    assert_eq!(parse(&good, "").unwrap().people().len(), 3);
    assert!(matches!(parse(&good.replace(r#""form":1"#, r#""form":2"#), ""), Err(ObjectError::Form(2))));
    for (from, to) in [
        (r#""form":1,"#, ""),
        (r#""bucket":"""#, r#""bucket":"0""#),
        ("p2\"", "p1\""),
        ("p2\"", "p00\""),
        ("p2\"", "P2\""),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""keys":["b b","a a"]"#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""keys":["a a","a a"]"#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""keys":["a a a"]"#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""keys":["a a"],"disabled":"x""#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""mail":"a@x""#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""disabled":"\n""#),
        (r#""keys":["ssh-ed25519 p1"]"#, r#""expires":"2026""#),
    ] {
        let bad = good.replacen(from, to, 1);
        assert!(bad != good && parse(&bad, "").is_err(), "{bad}");
    }
    // In another place are other people.
    let moved =
        |place: &str| parse(&good.replace(r#""bucket":"""#, &format!(r#""bucket":"{place}""#)), place);
    assert!(["0", "1"].iter().all(|place| moved(place).is_err()));
    let nobody = r#"{"form":1,"bucket":"","people":[]}"#;
    assert!(parse(nobody, "").is_err());
    let many: Vec<String> =
        (100..=100 + MOST_IN_BUCKET).map(|n| format!(r#"{{"principal":"p{n}"}}"#)).collect();
    assert!(parse(&format!(r#"{{"form":1,"bucket":"","people":[{}]}}"#, many.join(",")), "").is_err());
}

#[test]
fn a_page_lists_what_is_below_it_once_and_in_order() {
    let mut store = Store::default();
    let tree = store.publish(&crowd(200));
    let good = text(&store.read(&Node::root(tree.root)).unwrap().unwrap());
    let parse = |text: &str, place: &str| Page::parse(text.as_bytes(), place.parse().unwrap());
    let page = parse(&good, "").unwrap();
    let places: Vec<String> = page.entries().iter().map(|entry| entry.place.to_string()).collect();
    assert_eq!(places, ["00", "01", "10", "11"]);
    let (first, second) = (r#""place":"00","kind":"bucket""#, r#""place":"01","kind":"bucket""#);
    let raw = format!(r#""raw":{}"#, page.entries()[0].part.object.raw);
    for (from, to) in [
        (r#""page":"""#, r#""page":"0""#.to_string()),
        (first, second.to_string()),
        (first, first.replace("00", "1")),
        (second, second.replace("01", "0")),
        (first, first.replace("00", "0000000")),
        (first, first.replace("bucket", "page")),
        (first, first.replace("00", "00000000").replace("bucket", "page")),
        (first, first.replace("bucket", "book")),
        (raw.as_str(), format!(r#""raw":{}"#, LARGEST_BUCKET + 1)),
        (raw.as_str(), r#""raw":0"#.to_string()),
    ] {
        let bad = good.replacen(from, &to, 1);
        assert!(bad != good && parse(&bad, "").is_err(), "{bad}");
    }
    let page = good.replacen(first, &first.replace("00", "000000").replace("bucket", "page"), 1);
    assert!(parse(&page, "").is_ok());
    assert!(parse(&good, "0").is_err());
}

#[test]
fn an_object_that_is_not_the_one_named_is_not_read() {
    let mut store = Store::default();
    let tree = store.publish(&crowd(200));
    let other = store.publish(&crowd(201));
    let read = |node: &Node| -> Result<Option<Vec<u8>>, Infallible> {
        let part = if node.place == Place::ROOT { other.root } else { node.part };
        store.read(&Node { part, ..*node })
    };
    let refused = difference(&tree.root, None, read);
    assert!(
        matches!(refused, Err(WalkError::Object(Place::ROOT, ObjectError::Impossible(_)))),
        "{refused:?}"
    );
}

#[test]
fn whatever_bytes_come_are_read_or_refused() {
    let mut store = Store::default();
    let tree = store.publish(&crowd(120));
    let all = store.difference(&tree.root, None);
    let (root, bucket) = (store.read(&all.pages[0]).unwrap().unwrap(), all.buckets[0]);
    let people = store.read(&bucket).unwrap().unwrap();
    mutate::each(&[&root, &people], &["\"", "null", "0", "},{", "page", "bucket"], 2000, |bytes| {
        if let Ok(page) = Page::parse(bytes, Place::ROOT) {
            assert!(page.entries().len() <= 64 && Page::parse(&page.to_bytes(), Place::ROOT).is_ok());
        }
        if let Ok(read) = Bucket::parse(bytes, bucket.place) {
            let names: BTreeSet<_> = read.people().iter().map(|person| &person.principal).collect();
            assert_eq!(names.len(), read.people().len());
            assert!(names.iter().all(|name| bucket.place.holds(Place::spot(name))));
        }
    });
}
