//! The pack: all objects of the people's tree in one, for hosts that have none of them. It lags: it is made anew once more
//! than a twentieth of the tree is not in it, and a host fetches the rest one by one.

use std::collections::BTreeSet;

use fleet::{Digest, LARGEST_OBJECT, ObjectRef, Part, packed_size, unpack};

use crate::local::{Memory, Packed};
use crate::objects::{Objects, ObjectsError};

/// Fewer objects than this are fetched one by one.
const FEWEST: usize = 16;

/// One object in so many may be missing in a pack.
const LAG: usize = 20;

/// The pack to be named beside the tree at `root`, if there is to be one. `last` is the tree and the pack that were named
/// before; a pack that the store has lost is made again, also of the same tree. That people take more than the `largest`
/// bytes of one is said in `notes`; it ends no publication.
///
/// # Errors
/// An object of the tree cannot be read, or the pack not be kept.
pub fn pack(
    largest: usize,
    objects: &mut Objects<'_>,
    root: &Part,
    last: (Option<&Part>, Option<ObjectRef>),
    memory: &mut Memory,
    notes: &mut Vec<String>,
) -> Result<Option<ObjectRef>, ObjectsError> {
    let is_lost = last.1.is_some_and(|pack| objects.is_lost(&pack));
    if last.0 == Some(root) && !is_lost {
        return Ok(last.1);
    }
    let tree = objects.tree(root)?;
    if tree.len() < FEWEST {
        return Ok(None);
    }
    if let Some(pack) = last.1.filter(|_| !is_lost)
        && lacks(&tree, holds(objects, &pack, memory)) * LAG <= tree.len()
    {
        return Ok(Some(pack));
    }
    let size = packed_size(tree.iter().map(|part| part.object.size));
    let packed = if size <= largest as u64 {
        let stored = tree.iter().map(|part| objects.stored(&part.object)).collect::<Result<Vec<_>, _>>()?;
        fleet::pack(stored)
    } else {
        None
    };
    let Some(packed) = packed else {
        let count = tree.len();
        notes.push(format!(
            "people take {size} bytes in {count} objects, and a pack has at most {largest}: none is published, and a host that \
             has no people yet fetches the objects one by one"
        ));
        return Ok(None);
    };
    let pack = objects.part(&packed)?.object;
    holds(objects, &pack, memory);
    Ok(Some(pack))
}

/// How many of these parts are not in it?
fn lacks(tree: &[Part], holds: &BTreeSet<Digest>) -> usize {
    tree.iter().filter(|part| !holds.contains(&part.object.digest)).count()
}

/// What is in `pack`, as remembered or by looking; nothing, if it cannot be read.
fn holds<'m>(objects: &Objects<'_>, pack: &ObjectRef, memory: &'m mut Memory) -> &'m BTreeSet<Digest> {
    let is_known = memory.packed.as_ref().is_some_and(|packed| packed.pack == pack.digest);
    if !is_known {
        let bytes = objects.read(pack, LARGEST_OBJECT).unwrap_or_default();
        let holds = unpack(&bytes).unwrap_or_default().into_iter().map(Digest::of).collect();
        memory.packed = Some(Packed { pack: pack.digest, holds });
    }
    &memory.packed.get_or_insert_with(|| Packed { pack: pack.digest, holds: BTreeSet::new() }).holds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::{Access, Directory, Store, object};
    use fleet::LARGEST_PACK;
    use fleet::people::FleetPerson;
    use policy::Principal;

    fn people(count: usize, changed: usize) -> Vec<FleetPerson> {
        let person = |number: usize| FleetPerson {
            principal: Principal::new(&format!("person{number}")).unwrap(),
            eligible: number < changed,
            disabled: None,
            begins: None,
            expires: None,
            keys: vec![format!("ssh-ed25519 {number}")],
        };
        (0..count).map(person).collect()
    }

    #[test]
    fn a_pack_has_the_whole_tree_and_may_lag_a_little() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [here, there] = [&here, &there].map(|at| Directory::open(at.path(), Access::Write).unwrap());
        let (lost, mut memory) = (BTreeSet::new(), Memory::default());
        let mut objects = Objects::new(&here, &there, &lost);
        let mut tree = |count, changed| objects.build(people(count, changed), &mut Vec::new()).unwrap();
        let [few, many, other, more] = [tree(200, 0), tree(4_000, 0), tree(4_000, 2), tree(4_000, 900)];
        let mut notes = Vec::new();
        let mut next = |root: &Part, last| {
            pack(LARGEST_PACK, &mut objects, root, last, &mut memory, &mut notes).unwrap()
        };
        assert_eq!(next(&few, (None, None)), None);
        let first = next(&many, (None, None)).unwrap();
        assert_eq!(next(&many, (Some(&many), Some(first))), Some(first));
        assert_eq!(next(&other, (Some(&many), Some(first))), Some(first));
        let second = next(&more, (Some(&other), Some(first))).unwrap();
        assert_ne!(second, first);
        // Another collector's, of which nothing is remembered.
        memory.packed = None;
        assert_eq!(
            pack(LARGEST_PACK, &mut objects, &more, (Some(&other), Some(second)), &mut memory, &mut notes)
                .unwrap(),
            Some(second)
        );
        assert_eq!(notes, [""; 0]);
        let bytes = objects.read(&second, LARGEST_OBJECT).unwrap();
        let packed: BTreeSet<Digest> = unpack(&bytes).unwrap().into_iter().map(Digest::of).collect();
        let tree: BTreeSet<Digest> =
            objects.tree(&more).unwrap().iter().map(|part| part.object.digest).collect();
        assert_eq!(packed, tree);
    }

    #[test]
    fn a_pack_that_is_lost_is_made_again_of_the_same_tree() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [here, there] = [&here, &there].map(|at| Directory::open(at.path(), Access::Write).unwrap());
        let (none, mut memory) = (BTreeSet::new(), Memory::default());
        let mut objects = Objects::new(&here, &there, &none);
        let tree = objects.build(people(4_000, 0), &mut Vec::new()).unwrap();
        let other = objects.build(people(4_000, 2), &mut Vec::new()).unwrap();
        let mut next = |objects: &mut Objects<'_>, root: &Part, last| {
            pack(LARGEST_PACK, objects, root, last, &mut memory, &mut Vec::new()).unwrap()
        };
        let first = next(&mut objects, &tree, (None, None)).unwrap();
        // No copy is here, and the store has none: neither the tree that it was made of nor one that it nearly holds keeps it.
        here.delete(&object(&first.digest)).unwrap();
        let lost = BTreeSet::from([first.digest]);
        for root in [&tree, &other] {
            let mut objects = Objects::new(&here, &there, &lost);
            let again = next(&mut objects, root, (Some(&tree), Some(first))).unwrap();
            assert!(objects.fresh().any(|fresh| fresh.digest == again.digest), "it is written");
            assert_eq!(again == first, root == &tree);
        }
    }

    #[test]
    fn with_more_people_than_a_pack_has_room_for_all_else_goes_on() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [here, there] = [&here, &there].map(|at| Directory::open(at.path(), Access::Write).unwrap());
        let (lost, mut memory) = (BTreeSet::new(), Memory::default());
        let mut objects = Objects::new(&here, &there, &lost);
        let mut tree = |changed| objects.build(people(4_000, changed), &mut Vec::new()).unwrap();
        let [first, second, third] = [tree(0), tree(2), tree(900)];
        let size = packed_size(objects.tree(&first).unwrap().iter().map(|part| part.object.size));
        let size = usize::try_from(size).unwrap();
        let mut next = |largest, root: &Part, last| {
            let mut notes = Vec::new();
            let pack = pack(largest, &mut objects, root, last, &mut memory, &mut notes).unwrap();
            (pack, notes)
        };
        let (none, told) = next(size - 1, &first, (None, None));
        assert_eq!(none, None);
        let expected = format!("people take {size} bytes in ");
        assert!(
            told.len() == 1 && told[0].starts_with(&expected) && told[0].contains("one by one"),
            "{told:?}"
        );
        assert_eq!(
            next(size - 1, &first, (Some(&first), None)),
            (None, Vec::new()),
            "told once, not at each heartbeat"
        );
        let (pack, told) = next(size, &first, (None, None));
        assert!(pack.is_some() && told.is_empty());
        // One that lags a little stays; one that lags more goes.
        assert_eq!(next(10, &second, (Some(&first), pack)), (pack, Vec::new()));
        let (gone, told) = next(10, &third, (Some(&second), pack));
        assert_eq!((gone, told.len()), (None, 1));
    }
}
