//! Attributes that come in slices: `member;range=0-1499` ([MS-ADTS] 3.1.1.3.1.3.3).
//!
//! Active Directory cuts long attributes at 1,500 values unasked; Samba only where a slice is asked for, and names the
//! last one by where it begins alone (`1900-*`). Each further slice is asked for from the last value that is known: if that
//! does not come again, the group has changed in between, and somebody could be missing.

use ldap3::Scope;

use super::received::Received;
use super::{Fault, GroupFault, Partial, Search, Session};

/// Values in one slice, where the server does not send fewer: Active Directory gives at most 1,500 (MaxValRange).
const SLICE: usize = 500;

/// How often a group that changes meanwhile is read from the start.
const TRIES: usize = 3;

/// The first slice of `attribute`, as it is asked for.
pub(super) fn first(attribute: &str) -> String {
    format!("{attribute};range=0-{}", SLICE - 1)
}

/// Some of the values of an attribute.
#[derive(Debug, PartialEq, Eq)]
struct Slice {
    attribute: String,
    first: usize,
    /// `None`: to the end.
    last: Option<usize>,
    values: Vec<Vec<u8>>,
}

impl Slice {
    /// The slice that `name` says it is.
    fn new(name: &str, values: Vec<Vec<u8>>) -> Option<Self> {
        let (attribute, range) = name.split_once(';')?;
        let lower = range.to_ascii_lowercase();
        let (first, last) = lower.strip_prefix("range=")?.split_once('-')?;
        let last = if last == "*" { None } else { Some(last.parse().ok()?) };
        Some(Self { attribute: attribute.to_string(), first: first.parse().ok()?, last, values })
    }

    /// Has it as many values as its name says?
    fn is_whole(&self) -> bool {
        let count = self.last.map(|last| last.checked_sub(self.first).map(|rest| rest + 1));
        !self.values.is_empty() && count.is_none_or(|count| count == Some(self.values.len()))
    }
}

/// What a slice is, beside those that are known.
enum Joined {
    /// There are more, from this position on, where the last known value is.
    More(usize),
    /// These were all.
    All,
    /// It does not begin with the last known value.
    Changed,
}

/// Adds `next` to `known`.
fn join(known: &mut Vec<Vec<u8>>, next: Slice) -> Option<Joined> {
    if !next.is_whole() || next.first != known.len().saturating_sub(1) {
        return None;
    }
    let last = next.last;
    let mut values = next.values.into_iter();
    if !known.is_empty() && values.next().as_ref() != known.last() {
        return Some(Joined::Changed);
    }
    let before = known.len();
    known.extend(values);
    match last {
        None => Some(Joined::All),
        // A slice without news would be asked for for ever.
        Some(last) => (known.len() > before).then_some(Joined::More(last)),
    }
}

/// Takes the slices out of an entry.
fn take(found: &mut Received) -> Result<Vec<Slice>, GroupFault> {
    let sliced = found.take(|name| name.to_ascii_lowercase().contains(";range="));
    sliced.into_iter().map(|(name, values)| Slice::new(&name, values).ok_or(GroupFault::Range)).collect()
}

impl Session<'_> {
    /// The entry `dn` with all values of what came in slices of it.
    pub(super) async fn joined(&mut self, dn: &str, mut found: Received) -> Result<Received, Fault> {
        let fault = |fault| Fault::group(dn, fault);
        for slice in take(&mut found).map_err(fault)? {
            let attribute = slice.attribute.clone();
            let values = self.all(dn, slice).await?;
            // Beside the slice Active Directory sends the attribute without a value.
            found.take(|name| name.eq_ignore_ascii_case(&attribute));
            found.add(&attribute, values);
        }
        Ok(found)
    }

    /// All values of which `first` are the first.
    async fn all(&mut self, dn: &str, first: Slice) -> Result<Vec<Vec<u8>>, Fault> {
        let fault = |fault| Fault::group(dn, fault);
        let attribute = first.attribute.clone();
        let mut begun = Some(first);
        for _ in 0..TRIES {
            let mut known = Vec::new();
            let mut next = match begun.take() {
                Some(first) => first,
                None => self.slice(dn, &attribute, 0).await?,
            };
            loop {
                match join(&mut known, next).ok_or_else(|| fault(GroupFault::Range))? {
                    Joined::All => return Ok(known),
                    Joined::More(from) => next = self.slice(dn, &attribute, from).await?,
                    Joined::Changed => break,
                }
            }
        }
        Err(fault(GroupFault::Changing))
    }

    /// The slice of `attribute` that begins at `from`.
    async fn slice(&mut self, dn: &str, attribute: &str, from: usize) -> Result<Slice, Fault> {
        let wanted = format!("{attribute};range={from}-{}", from.saturating_add(SLICE - 1));
        let attributes = [wanted.as_str()];
        let itself =
            Search { base: dn, scope: Scope::Base, filter: "(objectClass=*)", attributes: &attributes };
        let mut found = Vec::new();
        let searched = self.search(&itself, |entry| found.push(entry)).await;
        let fault = |fault| Fault::group(dn, fault);
        match searched {
            Err(Fault::Partial(Partial::Search { reply, .. })) => {
                return Err(fault(GroupFault::Refused(reply)));
            }
            searched => searched?,
        }
        let slices = found.iter_mut().map(take).collect::<Result<Vec<_>, _>>().map_err(fault)?;
        let mut slices: Vec<Slice> = slices.into_iter().flatten().collect();
        match (slices.pop(), slices.is_empty()) {
            (Some(slice), true) if slice.attribute.eq_ignore_ascii_case(attribute) => Ok(slice),
            // Less is left than there was: values went away meanwhile.
            (None, _) => Err(fault(GroupFault::Changing)),
            _ => Err(fault(GroupFault::Range)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &str, values: &[&str]) -> Option<Slice> {
        Slice::new(name, values.iter().map(|value| value.as_bytes().to_vec()).collect())
    }

    #[test]
    fn a_slice_is_what_its_name_says() {
        let read = slice("member;Range=3-4", &["d", "e"]).unwrap();
        assert_eq!((read.attribute.as_str(), read.first, read.last), ("member", 3, Some(4)));
        assert_eq!(slice("member;range=0-*", &["a"]).unwrap().last, None);
        for strange in
            ["member", "member;range=", "member;range=a-b", "member;range=1", "member;lang-en;range=0-1"]
        {
            assert_eq!(slice(strange, &[]), None, "{strange}");
        }
    }

    #[test]
    fn slices_are_joined_where_they_overlap_by_one() {
        let mut known = Vec::new();
        let mut add = |name: &str, values: &[&str]| {
            join(&mut known, slice(name, values).unwrap()).map(|joined| match joined {
                Joined::More(from) => format!("more from {from}"),
                Joined::All => "all".to_string(),
                Joined::Changed => "changed".to_string(),
            })
        };
        assert_eq!(add("member;range=1-2", &["a", "b"]), None, "it begins too late");
        assert_eq!(add("member;range=0-1", &["a"]), None, "it has too few");
        assert_eq!(add("member;range=0-1", &["a", "b"]).as_deref(), Some("more from 1"));
        assert_eq!(add("member;range=1-2", &["c", "d"]).as_deref(), Some("changed"));
        assert_eq!(add("member;range=1-1", &["b"]), None, "no news");
        assert_eq!(add("member;range=2-3", &["c", "d"]), None, "a gap");
        assert_eq!(add("member;range=1-2", &["b", "c"]).as_deref(), Some("more from 2"));
        assert_eq!(add("member;range=2-*", &["c", "d"]).as_deref(), Some("all"));
        assert_eq!(known, [b"a", b"b", b"c", b"d"]);
    }

    #[test]
    fn the_last_slice_may_hold_the_last_known_value_alone() {
        let mut known = Vec::new();
        assert!(matches!(join(&mut known, slice("m;range=0-0", &["a"]).unwrap()), Some(Joined::More(0))));
        assert!(matches!(join(&mut known, slice("m;range=0-*", &["a"]).unwrap()), Some(Joined::All)));
        assert_eq!(known, [b"a"]);
    }
}
