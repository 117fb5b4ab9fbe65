//! Writing who is in a group: one Modify with the smallest difference, from values just read.
//!
//! The only part of this crate that changes anything. A Modify is applied whole or not at all (RFC 4511, 4.6), so
//! whatever ends this program or the connection, the group has its old members or its new ones. What others change between
//! the reading and the Modify shows by its result; then the group is read again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use host::config::Ldap;
use ldap3::controls::{Assertion, MakeCritical};
use ldap3::{Mod, ldap_escape};

use super::dn::Dn;
use super::{Deadline, DirectoryError, Fault, Session, Step, WriteFault, ask_servers};

/// How often it begins again because somebody else changed the group meanwhile.
const ROUNDS: usize = 3;

/// The most values that an assertion names: it is sent with the change, and servers limit what they read of one request.
const MOST_ASSERTED: usize = 200;

/// The attribute that says who is in a group, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberAttribute {
    /// DNs: groupOfNames (RFC 4519), and Active Directory's groups.
    Member,
    /// DNs: groupOfUniqueNames.
    UniqueMember,
    /// User names: posixGroup (RFC 2307).
    MemberUid,
}

impl MemberAttribute {
    /// As directories call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::UniqueMember => "uniqueMember",
            Self::MemberUid => "memberUid",
        }
    }

    /// What two spellings of one member have in common; none, if this is nobody whom we could have written.
    pub fn key(self, value: &str) -> Option<String> {
        match self {
            Self::Member | Self::UniqueMember => Dn::read(value).map(|dn| dn.as_str().to_string()),
            Self::MemberUid => Some(value.to_string()),
        }
    }

    /// Are these two spellings of one member?
    pub fn is_same(self, one: &str, other: &str) -> bool {
        one == other || self.key(one).is_some_and(|key| self.key(other) == Some(key))
    }
}

/// A group that is written.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Where it is.
    pub dn: &'a str,
    /// How it names its members.
    pub attribute: MemberAttribute,
    /// Who is put into it where it would be empty. Nobody takes them out again.
    pub placeholder: Option<&'a str>,
}

/// Who should be in it; all in the form that the attribute has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who is put in and taken out. Everybody else is left as they are.
    pub managed: Vec<String>,
    /// Who of them is in it.
    pub members: Vec<String>,
}

/// What is done to a group, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Who is put in, the placeholder among them.
    pub added: Vec<String>,
    /// Who is taken out, as the group spells them.
    pub removed: Vec<String>,
    /// Who of those wanted was in it before, as the group spells them.
    pub kept: Vec<String>,
}

impl Change {
    /// Is there nothing to do?
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// Is the group written, or only looked at?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// It is written.
    Write,
    /// What would be written is told.
    Look,
}

/// Makes `group` what `wanted` says, before `deadline`; what was done.
///
/// # Errors
/// The group is as it was; but where the connection was lost after the request, it may be as it should be.
pub fn set_members(
    ldap: &Ldap,
    group: &Group<'_>,
    wanted: &Membership,
    apply: Apply,
    deadline: Deadline,
) -> Result<Change, DirectoryError> {
    let ask = async |session: &mut Session<'_>| session.set_members(group, wanted, apply).await;
    ask_servers(ldap, &[], deadline, ask).map(|(change, _)| change)
}

impl Session<'_> {
    async fn set_members(
        &mut self,
        group: &Group<'_>,
        wanted: &Membership,
        apply: Apply,
    ) -> Result<Change, Fault> {
        self.identify().await?;
        for _ in 0..ROUNDS {
            self.enter(Step::Members);
            let current = self.current(group).await?;
            self.has_no_stray().await?;
            let change = difference(group, &current, wanted);
            if change.is_empty() || apply == Apply::Look || self.modify(group, &change).await? {
                return Ok(change);
            }
        }
        Err(WriteFault::Contended(group.dn.to_string()).into())
    }

    /// Everybody who is in the group.
    async fn current(&mut self, group: &Group<'_>) -> Result<Vec<Vec<u8>>, Fault> {
        let attribute = group.attribute.name();
        let found = self.entry(group.dn, "(objectClass=*)", &[attribute]).await?;
        let found = found.ok_or_else(|| WriteFault::Missing(group.dn.to_string()))?;
        Ok(self.joined(group.dn, found).await?.values(attribute).to_vec())
    }

    /// Changes the group; not, if it is not any more what was read.
    async fn modify(&mut self, group: &Group<'_>, change: &Change) -> Result<bool, Fault> {
        self.enter(Step::Change);
        let attribute = group.attribute.name();
        let values = |values: &[String]| values.iter().cloned().collect::<HashSet<_>>();
        // One attribute in one request: who is put in comes first, so that no server sees an empty group in between.
        let mut changes = Vec::new();
        if !change.added.is_empty() {
            changes.push(Mod::Add(attribute.to_string(), values(&change.added)));
        }
        if !change.removed.is_empty() {
            changes.push(Mod::Delete(attribute.to_string(), values(&change.removed)));
        }
        if self.server.asserts() {
            self.ldap.with_controls(Assertion { filter: assertion(attribute, change) }.critical());
        }
        match self.ldap.modify(group.dn, changes).await {
            Ok(result) => match result.rc {
                0 => Ok(true),
                // noSuchAttribute, attributeOrValueExists, assertionFailed; and what Active Directory says in place of the
                // second (entryAlreadyExists).
                16 | 20 | 122 | 68 => Ok(false),
                _ => Err(WriteFault::Refused(group.dn.to_string(), self.reply(result)).into()),
            },
            Err(error) => Err(self.fault(error).await),
        }
    }
}

/// The smallest change after which `current` is what is `wanted`.
fn difference(group: &Group<'_>, current: &[Vec<u8>], wanted: &Membership) -> Change {
    let key = |value: &str| group.attribute.key(value);
    let wanted_by_key: BTreeMap<String, &String> =
        wanted.members.iter().filter_map(|value| Some((key(value)?, value))).collect();
    let placeholder = group.placeholder.and_then(key);
    let mut managed: BTreeSet<String> = wanted.managed.iter().filter_map(|value| key(value)).collect();
    if let Some(placeholder) = &placeholder {
        managed.remove(placeholder);
    }
    let (mut change, mut present, mut others) = (Change::default(), BTreeSet::new(), false);
    for value in current {
        let text = std::str::from_utf8(value).ok();
        match text.and_then(|text| Some((text, key(text)?))) {
            Some((text, key)) if wanted_by_key.contains_key(&key) => {
                present.insert(key);
                change.kept.push(text.to_string());
            }
            Some((text, key)) if managed.contains(&key) => change.removed.push(text.to_string()),
            _ => others = true,
        }
    }
    let missing = wanted_by_key.into_iter().filter(|(key, _)| !present.contains(key));
    change.added = missing.map(|(_, value)| value.clone()).collect();
    if present.is_empty() && change.added.is_empty() && !others {
        change.added.extend(group.placeholder.map(str::to_string));
    }
    change
}

/// A filter (RFC 4515) that fits the group as long as what `change` rests upon is as it was read.
fn assertion(attribute: &str, change: &Change) -> String {
    let is = |value: &String| format!("({attribute}={})", ldap_escape(value.as_str()));
    let there = change.kept.iter().chain(&change.removed).map(is);
    let not_there = change.added.iter().map(|value| format!("(!{})", is(value)));
    let all: String = there.chain(not_there).take(MOST_ASSERTED).collect();
    format!("(&{all})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Group<'static> =
        Group { dn: "cn=oncall,dc=x", attribute: MemberAttribute::Member, placeholder: None };

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_string()).collect()
    }

    fn change(group: &Group<'_>, current: &[&str], wanted: &[&str]) -> (Vec<String>, Vec<String>) {
        let current: Vec<Vec<u8>> = current.iter().map(|value| value.as_bytes().to_vec()).collect();
        let managed = strings(&["uid=alice,dc=x", "uid=bob,dc=x", "uid=carol,dc=x", "cn=nobody"]);
        let change = difference(group, &current, &Membership { managed, members: strings(wanted) });
        (change.added, change.removed)
    }

    #[test]
    fn the_difference_is_the_smallest_and_leaves_everybody_who_is_not_managed() {
        for (current, wanted, added, removed) in [
            (&["uid=alice,dc=x"][..], &["uid=bob,dc=x"][..], &["uid=bob,dc=x"][..], &["uid=alice,dc=x"][..]),
            // As the server spells them.
            (&["UID=Alice, DC=X"], &["uid=alice,dc=x"], &[], &[]),
            (&["UID=Alice, DC=X"], &["uid=bob,dc=x"], &["uid=bob,dc=x"], &["UID=Alice, DC=X"]),
            (&["uid=robot,dc=x", "not a dn"], &[], &[], &[]),
            (&["uid=robot,dc=x", "uid=carol,dc=x"], &[], &[], &["uid=carol,dc=x"]),
            (&[], &[], &[], &[]),
            // Twice in one request would be refused.
            (&[], &["uid=alice,dc=x", "UID=alice,dc=x"], &["UID=alice,dc=x"], &[]),
        ] {
            assert_eq!(
                change(&GROUP, current, wanted),
                (strings(added), strings(removed)),
                "{current:?} {wanted:?}"
            );
        }
    }

    #[test]
    fn a_placeholder_comes_where_nobody_is_left_and_stays() {
        let group = Group { placeholder: Some("cn=nobody"), ..GROUP };
        let alone = strings(&["cn=nobody"]);
        assert_eq!(change(&group, &["uid=alice,dc=x"], &[]), (alone.clone(), strings(&["uid=alice,dc=x"])));
        assert_eq!(change(&group, &[], &[]), (alone, vec![]));
        for current in [&["cn=nobody"][..], &["CN=Nobody", "uid=bob,dc=x"]] {
            assert_eq!(change(&group, current, &["uid=bob,dc=x"]).1, strings(&[]), "{current:?}");
        }
        assert_eq!(change(&group, &["uid=robot,dc=x", "uid=bob,dc=x"], &[]).0, strings(&[]));
    }

    #[test]
    fn an_assertion_names_what_was_read_whatever_stands_in_it() {
        let change = Change {
            added: strings(&["cn=a*b,dc=x"]),
            removed: strings(&["cn=\\,(\\5c),dc=x"]),
            kept: strings(&["uid=alice,dc=x"]),
        };
        let filter = assertion("member", &change);
        let wanted =
            "(&(member=uid=alice,dc=x)(member=cn=\\5c,\\28\\5c5c\\29,dc=x)(!(member=cn=a\\2ab,dc=x)))";
        assert_eq!(filter, wanted);
    }

    #[test]
    fn one_member_in_two_spellings_is_one_and_two_members_are_two() {
        for (attribute, one, other, is_same) in [
            (MemberAttribute::Member, "uid=alice,ou=people,dc=x", "UID=Alice, OU=People,dc=x", true),
            (MemberAttribute::UniqueMember, "cn=a,dc=x", "commonName=A,dc=x", true),
            (MemberAttribute::Member, "uid=alice,dc=x", "uid=alicia,dc=x", false),
            (MemberAttribute::Member, "no dn", "other", false),
            (MemberAttribute::Member, "no dn", "no dn", true),
            // Two users of a host.
            (MemberAttribute::MemberUid, "alice", "Alice", false),
        ] {
            assert_eq!(attribute.is_same(one, other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn a_user_name_is_compared_as_it_is_written() {
        let group = Group { attribute: MemberAttribute::MemberUid, ..GROUP };
        let wanted = Membership { managed: strings(&["alice", "bob"]), members: strings(&["alice"]) };
        let found = difference(&group, &[b"bob".to_vec(), b"Alice".to_vec(), b"\xff".to_vec()], &wanted);
        assert_eq!((found.added, found.removed), (strings(&["alice"]), strings(&["bob"])));
    }
}
