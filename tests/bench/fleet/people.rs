//! One key changed among many people: what a host fetches, and how long it takes to know what that changes in its copy.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use fleet::people::{FleetPerson, Node, Tree, build, difference};
use fleet::{Digest, ObjectRef, pack};
use mirror::{Mirror, fresh};
use policy::{Principal, Timestamp};
use store::keys::{self, Base};

use crate::machine::name;
use crate::samples::{median, quantile};
use crate::table::{Table, at_most, figure};

#[allow(dead_code, reason = "of a program's files this needs one function")]
#[path = "../../../authkeys/sync/src"]
mod authkeys_sync {
    pub mod entry;
    pub mod replica;
    pub mod tree;
}
use authkeys_sync::tree;

const PEOPLE: usize = 100_000;

/// Whose key changes.
const CHANGED: usize = 50_000;

const NOW: Timestamp = Timestamp::from_unix(1_795_165_200);

pub fn measure(rounds: usize) {
    let directory = tempfile::tempdir_in("/run").expect("a copy is nobody's but root's");
    let mirror = Mirror::at(&directory.path().join("fleet"));
    mirror.create().expect("the directory is new");
    let mut known = BTreeMap::new();
    let old = publish(PEOPLE + CHANGED, &mut known, &mirror);
    // The key of one who is not there.
    let new = publish(2 * PEOPLE, &mut known, &mirror);
    let read = |node: &Node| mirror.object(&node.part.object, node.kind.largest()).map(Some);
    let all = difference(&old.root, None, read).expect("it was published");
    let changed = difference(&new.root, Some(&old.root), read).expect("it was published");
    let bytes =
        |nodes: [&[Node]; 2]| nodes.concat().iter().map(|node| f64::from(node.part.object.size)).sum::<f64>();

    let mut table = Table::new(
        &format!("people of a fleet: {PEOPLE}, two Ed25519 keys each"),
        &["", "objects", "KiB", "to reach"],
    );
    let mut row = |what: &str, nodes: [&[Node]; 2], reach: String| {
        let kib = bytes(nodes) / 1024.0;
        table.row(vec![what.to_string(), nodes.concat().len().to_string(), figure(kib), reach]);
    };
    let one = bytes([&changed.pages, &changed.buckets]) / 1024.0;
    row("a first copy", [&all.pages, &all.buckets], String::new());
    row("one key changed", [&changed.pages, &changed.buckets], at_most(one, 24.0, "KiB"));
    row("  of it pages", [&changed.pages, &[]], String::new());
    table.row(vec![
        "all in a pack".to_string(),
        "1".to_string(),
        figure(packed(&all.pages, &all.buckets, directory.path())),
        String::new(),
    ]);
    table.print();

    let copy = directory.path().join("keys.db");
    let everybody = tree::pending(None, None, &old.root, &mirror).expect("it was published");
    keys::publish(&copy, "bench", None, &everybody.change, None, NOW).expect("the disk has room");
    drop(everybody);
    decide(&copy, &old, &new, &mirror, rounds);
}

/// A key that compresses as little as a real one.
fn key(number: usize) -> String {
    made_keys::scattered(u32::try_from(number).expect("not that many keys"))
}

fn publish(key_of_one: usize, known: &mut BTreeMap<Digest, ObjectRef>, mirror: &Mirror) -> Tree {
    let person = |number: usize| {
        let second = if number == CHANGED { key_of_one } else { PEOPLE + number };
        FleetPerson {
            principal: Principal::new(&name(number)).expect("a name"),
            eligible: number.is_multiple_of(50),
            disabled: None,
            begins: None,
            expires: None,
            keys: [number, second].map(key).to_vec(),
        }
    };
    let put = |bytes: &[u8]| {
        let (part, stored) = fresh(bytes, None)?;
        mirror.put_object(&part.object, &stored.unwrap_or_default()).expect("the disk has room");
        Ok::<_, mirror::ObjectProblem>(part.object)
    };
    let tree = build((0..PEOPLE).map(person).collect(), known, put).expect("they are different people");
    known.extend(tree.parts.iter().map(|part| (part.content, part.object)));
    tree
}

/// The size of a pack of these, in KiB.
fn packed(pages: &[Node], buckets: &[Node], directory: &Path) -> f64 {
    let stored = |node: &Node| {
        std::fs::read(directory.join("fleet/o").join(node.part.object.digest.to_string()))
            .expect("it is there")
    };
    let packed = pack(pages.iter().chain(buckets).map(stored)).expect("a pack");
    let (part, _) = fresh(&packed, None).expect("it is no larger than an object");
    f64::from(part.object.size) / 1024.0
}

fn decide(copy: &Path, old: &Tree, new: &Tree, mirror: &Mirror, rounds: usize) {
    let mut table = Table::new(
        &format!("authkeys-sync with a fleet of {PEOPLE}, one key changed, {rounds} rounds"),
        &["ms", "median", "min", "p90", "to reach"],
    );
    let mut row = |what: &str, limit: Option<f64>, run: &dyn Fn(&Base)| {
        let times: Vec<f64> = (0..rounds)
            .map(|_| {
                let base = Base::open(copy, "bench").expect("it was published").at(NOW);
                let start = Instant::now();
                run(&base);
                start.elapsed().as_secs_f64() * 1000.0
            })
            .collect();
        let (middle, least, most) =
            (median(times.clone()), quantile(times.clone(), 0.0), quantile(times, 0.9));
        let reach = limit.map(|limit| at_most(middle, limit, "ms")).unwrap_or_default();
        table.row(vec![what.to_string(), figure(middle), figure(least), figure(most), reach]);
    };
    row("verified head to what changes in keys.db", Some(15.0), &|base| {
        let pending =
            tree::pending(Some(base), Some(&old.root), &new.root, mirror).expect("it was published");
        assert_eq!(pending.change.effect().changed, 1);
    });
    row("nothing new in it", None, &|base| {
        let pending =
            tree::pending(Some(base), Some(&old.root), &old.root, mirror).expect("it was published");
        assert_eq!(pending.change.effect().changed, 0);
    });
    row("before: the copy is checked, each row", None, &|base| base.check().expect("it is whole"));
    table.print();
}
