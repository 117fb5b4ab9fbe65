//! An LDAP entry as a person, and who may ever become root.

use std::collections::BTreeSet;

use host::config::{Attributes, Ldap};
use sha2::{Digest, Sha256};

use super::dn::Dn;
use super::fault::one_line;
use super::received::Received;
use super::{Fault, GroupFault, Partial, marks};
use crate::entry::Entry;

/// Classes of groups that have a member, by RFC 4519.
const NEVER_EMPTY: [&str; 2] = ["groupOfNames", "groupOfUniqueNames"];

/// Classes of groups: RFC 4519, RFC 2307 and its successor (draft-howard-rfc2307bis), Active Directory, dynamic groups.
const GROUPS: [&str; 6] =
    ["groupOfNames", "groupOfUniqueNames", "posixGroup", "groupOfMembers", "group", "groupOfURLs"];

/// Is this the entry of a group, by its classes?
pub(super) fn is_group(found: &Received) -> bool {
    let is = |class: &Vec<u8>| GROUPS.iter().any(|known| class.eq_ignore_ascii_case(known.as_bytes()));
    found.values("objectClass").iter().any(is)
}

/// What a group shows of its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// All of them.
    Members,
    /// None, though one of its class should have some: they may be hidden from us.
    Nobody,
}

/// Who may ever become root by being on call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Eligible {
    /// Members of a group of names, normalised.
    dns: BTreeSet<Dn>,
    /// Members of a group of user names.
    uids: BTreeSet<String>,
}

impl Eligible {
    /// The members of `group`, if they are all of them. None at all is an answer from a class of groups that can
    /// be empty; from any other it is what a reader sees who may not read them.
    pub fn from_group(group: Received) -> Result<Self, GroupFault> {
        let mut eligible = Self::default();
        let mut can_be_empty = None;
        for (name, values) in group.into_attributes() {
            if name.to_ascii_lowercase().contains(";range=") {
                return Err(GroupFault::Range);
            } else if name.eq_ignore_ascii_case("objectClass") {
                can_be_empty = Some(
                    !readable(values)
                        .any(|class| NEVER_EMPTY.iter().any(|known| class.eq_ignore_ascii_case(known))),
                );
            } else if ["member", "uniqueMember"].iter().any(|wanted| name.eq_ignore_ascii_case(wanted)) {
                eligible.dns.extend(readable(values).filter_map(|dn| Dn::read(&dn)));
            } else if name.eq_ignore_ascii_case("memberUid") {
                eligible.uids.extend(readable(values));
            }
        }
        let is_empty = eligible.dns.is_empty() && eligible.uids.is_empty();
        if is_empty && can_be_empty != Some(true) { Err(GroupFault::Hidden) } else { Ok(eligible) }
    }

    /// The members of a group in the eligible group, and whether it shows any. 389 Directory Server and FreeIPA have
    /// groups of every class without members, so such a one is no reason to stop everybody's sync; the eligible group
    /// itself is.
    pub(super) fn from_inner_group(group: Received) -> Result<(Self, Shows), GroupFault> {
        match Self::from_group(group) {
            Err(GroupFault::Hidden) => Ok((Self::default(), Shows::Nobody)),
            members => members.map(|members| (members, Shows::Members)),
        }
    }

    /// Where members are, people or not.
    pub(super) fn dns(&self) -> impl Iterator<Item = &Dn> {
        self.dns.iter()
    }

    /// The user names of members.
    pub(super) fn uids(&self) -> impl Iterator<Item = &String> {
        self.uids.iter()
    }

    /// Is the entry at `dn` a member?
    pub(super) fn names(&self, dn: &Dn) -> bool {
        self.dns.contains(dn)
    }

    /// Adds all of `others`.
    pub(super) fn extend(&mut self, others: Self) {
        self.dns.extend(others.dns);
        self.uids.extend(others.uids);
    }

    /// Takes user names as `[names] fold_case` takes those of people.
    pub(super) fn fold_case(&mut self) {
        self.uids = self.uids.iter().map(|name| name.to_ascii_lowercase()).collect();
    }

    /// Adds the person whose entry is at `dn`.
    pub fn add(&mut self, dn: &str) {
        self.dns.extend(Dn::read(dn));
    }

    /// A digest of all of them: another one says that somebody came or went.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let dns = self.dns.iter().map(|dn| ("dn", dn.as_str()));
        for (kind, name) in dns.chain(self.uids.iter().map(|uid| ("uid", uid.as_str()))) {
            digest.update(format!("{kind} {} {name}", name.len()));
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Is the person of this entry among them?
    pub fn admits(&self, dn: &str, names: &[String]) -> bool {
        Dn::read(dn).is_some_and(|dn| self.dns.contains(&dn))
            || names.iter().any(|name| self.uids.contains(name))
    }
}

/// Reads people from entries, by the names that the configuration gives to their attributes.
pub struct Reader<'a> {
    ldap: &'a Ldap,
    eligible: &'a Eligible,
    /// Below which people are; `None` if that is no DN, and then nobody is.
    base: Option<Dn>,
}

impl<'a> Reader<'a> {
    /// Reads people of the directory `ldap`, where `eligible` says who may ever become root.
    pub fn new(ldap: &'a Ldap, eligible: &'a Eligible) -> Self {
        Self { ldap, eligible, base: Dn::read(&ldap.base) }
    }

    /// Is the entry `dn` one of those that were asked about?
    fn is_asked_about(&self, dn: &str) -> bool {
        matches!((&self.base, Dn::read(dn)), (Some(base), Some(dn)) if dn.is_within(base))
    }

    /// What is asked about a person.
    pub fn attributes(&self) -> Vec<&'a str> {
        let Attributes { user, keys, mail } = &self.ldap.attributes;
        // Only aliases have an aliasedObjectName.
        let mut wanted =
            vec![user.as_str(), keys, mail, "entryUUID", "nsUniqueId", "objectGUID", "aliasedObjectName"];
        for name in marks::names() {
            wanted.push(name);
        }
        for mark in self.ldap.disabled.iter().map(|mark| mark.attribute.as_str()) {
            if !wanted.iter().any(|name| name.eq_ignore_ascii_case(mark)) {
                wanted.push(mark);
            }
        }
        wanted
    }

    /// A person as the directory describes them, unless it sent a part of what decides about their keys. Values
    /// with options (`uid;lang-en`) are names and marks as others: servers find people by them too.
    pub fn person(&self, found: Received) -> Result<Entry, Fault> {
        let Attributes { user, keys, mail } = &self.ldap.attributes;
        let mut entry = Entry { dn: found.dn.clone(), ..Entry::default() };
        let (mut ids, mut is_alias) = (Vec::new(), false);
        for (name, values) in found.into_attributes() {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            let plain = name.split(';').next().unwrap_or_default();
            if name.to_ascii_lowercase().contains(";range=") && !plain.eq_ignore_ascii_case(mail) {
                return Err(Partial::Range(entry.dn, one_line(&name)).into());
            }
            marks::judge(self.ldap, plain, &values, &mut entry);
            is_alias |= is("aliasedObjectName");
            if plain.eq_ignore_ascii_case(user) {
                entry.names.extend(readable(values));
            } else if is(mail) {
                entry.mails.extend(readable(values).filter_map(|value| address(mail, value)));
            } else if is(keys) {
                entry.keys.extend(values);
            } else if is("entryUUID") || is("nsUniqueId") {
                // 389 Directory Server has the first only by a plug-in. Attributes come in the order of their names.
                ids.extend(readable(values));
            } else if is("objectGUID") {
                ids.extend(values.iter().filter_map(|value| guid(value)));
            }
        }
        if self.ldap.fold_case {
            entry.names.iter_mut().for_each(|name| name.make_ascii_lowercase());
            entry.names.dedup();
        }
        if is_alias {
            // It is another name of an entry, and nobody itself (P13).
            entry.nobody = Some("an alias, not a person");
        } else if !self.is_asked_about(&entry.dn) {
            entry.nobody = Some("its DN is not below `base`");
        }
        if entry.nobody.is_some() {
            entry.names.clear();
        }
        // There are a hundred thousand of them.
        entry.names.shrink_to_fit();
        entry.mails.shrink_to_fit();
        entry.keys.shrink_to_fit();
        entry.eligible = self.eligible.admits(&entry.dn, &entry.names);
        entry.id = ids.into_iter().find(|id| !id.is_empty()).unwrap_or_else(|| entry.dn.clone());
        Ok(entry)
    }
}

/// The mail address in a value of the attribute `name`. proxyAddresses has a kind before each address ([MS-ADA3]
/// 2.119): `SMTP:` the first one for mail, `smtp:` the others, and `X500:`, `SIP:` and the like are none.
fn address(name: &str, value: String) -> Option<String> {
    if !name.eq_ignore_ascii_case("proxyAddresses") {
        return Some(value);
    }
    let (kind, address) = value.split_once(':')?;
    kind.eq_ignore_ascii_case("smtp").then(|| address.to_string())
}

/// An objectGUID as Active Directory's own tools write it: the first three numbers are stored with their last byte
/// first ([MS-DTYP] 2.3.4.2).
pub(super) fn guid(value: &[u8]) -> Option<String> {
    let bytes: [u8; 16] = value.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (clock, node) = rest.split_at(2);
    Some([hex(&[d, c, b, a]), hex(&[f, e]), hex(&[h, g]), hex(clock), hex(node)].join("-"))
}

/// Those values that are text.
pub(super) fn readable(values: Vec<Vec<u8>>) -> impl Iterator<Item = String> {
    values.into_iter().filter_map(|value| String::from_utf8(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{example as ldap, found};
    use host::config::Mark;

    fn person(found: Received, eligible: &Eligible) -> Entry {
        Reader::new(&ldap(), eligible).person(found).unwrap()
    }

    #[test]
    fn members_are_eligible_by_dn_and_by_uid() {
        let group = found(
            "cn=g",
            &[
                ("MEMBER", &["uid=Alice, dc=x"]),
                ("uniqueMember", &["uid=bob,dc=x"]),
                ("memberUid", &["carol"]),
            ],
            &[],
        );
        let eligible = Eligible::from_group(group).unwrap();
        let names = |name: &str| [name.to_string()];
        assert!(eligible.admits("uid=alice,dc=x", &names("alice")));
        assert!(eligible.admits("uid=bob,dc=x", &[]));
        assert!(eligible.admits("uid=anything,dc=x", &names("carol")));
        assert!(!eligible.admits("uid=anything,dc=x", &names("Carol")));
        assert!(!eligible.admits("uid=alice,dc=y", &names("alice")));
        assert!(!Eligible::default().admits("", &names("")));
    }

    #[test]
    fn members_by_uid_are_folded_as_people_are() {
        let group = found("cn=g", &[("objectClass", &["posixGroup"]), ("memberUid", &["Alice"])], &[]);
        let mut eligible = Eligible::from_group(group).unwrap();
        assert!(!eligible.admits("", &["alice".to_string()]));
        eligible.fold_case();
        assert!(eligible.admits("", &["alice".to_string()]));
    }

    #[test]
    fn readable_members_count_beside_one_that_is_not_text() {
        let group = found("cn=g", &[], &[("member", &[b"\xff", b"uid=alice,dc=x"])]);
        assert!(Eligible::from_group(group).unwrap().admits("uid=alice,dc=x", &[]));
    }

    #[test]
    fn an_empty_group_is_an_answer_and_a_part_of_one_is_not() {
        for class in ["posixGroup", "group"] {
            let group = found("cn=g", &[("objectClass", &["top", class])], &[]);
            assert_eq!(Eligible::from_group(group).unwrap(), Eligible::default());
        }
        let part = found("cn=g", &[("member", &[]), ("member;Range=0-1499", &["uid=alice,dc=x"])], &[]);
        assert!(matches!(Eligible::from_group(part), Err(GroupFault::Range)));
    }

    #[test]
    fn a_group_whose_members_are_hidden_is_none() {
        let hidden: [&[(&str, &[&str])]; 4] = [
            &[],
            &[("objectclass", &["top", "GroupOfNames"])],
            &[("objectClass", &["groupOfUniqueNames"])],
            &[("objectClass", &["groupOfNames"]), ("member", &[])],
        ];
        for texts in hidden {
            let group = Eligible::from_group(found("cn=g", texts, &[]));
            assert!(matches!(group, Err(GroupFault::Hidden)), "{texts:?}");
        }
    }

    #[test]
    fn attribute_names_compare_without_case() {
        let entry = person(
            found(
                "uid=alice,dc=x",
                &[("UID", &["alice"]), ("Mail", &["a@x"]), ("sshpublickey", &["k"]), ("ENTRYUUID", &["u"])],
                &[],
            ),
            &Eligible::default(),
        );
        let expected = Entry {
            id: "u".to_string(),
            dn: "uid=alice,dc=x".to_string(),
            names: vec!["alice".to_string()],
            mails: vec!["a@x".to_string()],
            keys: vec![b"k".to_vec()],
            ..Entry::default()
        };
        assert_eq!(entry, expected);
    }

    #[test]
    fn keys_that_are_not_text_are_delivered_and_names_that_are_not_text_are_dropped() {
        let entry = person(
            found(
                "uid=alice,dc=x",
                &[],
                &[
                    ("sshPublicKey", &[b"\xff\x00", b"ssh-ed25519 A"]),
                    ("uid", &[b"\xfe", b"alice"]),
                    ("mail", &[b"\xfe"]),
                ],
            ),
            &Eligible::default(),
        );
        assert_eq!(entry.keys, [b"\xff\x00".to_vec(), b"ssh-ed25519 A".to_vec()]);
        assert_eq!(entry.names, ["alice"]);
        assert!(entry.mails.is_empty());
    }

    #[test]
    fn the_dn_is_the_id_where_there_is_no_entry_uuid() {
        let eligible = Eligible::default();
        assert_eq!(
            person(found("uid=alice,dc=x", &[("entryUUID", &[""])], &[]), &eligible).id,
            "uid=alice,dc=x"
        );
        assert_eq!(person(found("uid=alice,dc=x", &[], &[]), &eligible).id, "uid=alice,dc=x");
    }

    #[test]
    fn an_object_guid_is_the_id_whether_its_bytes_are_text_or_not() {
        let eligible = Eligible::default();
        let bytes: Vec<u8> = (0..16).map(|n| n * 17).collect();
        let entry = person(found("cn=alice,dc=x", &[], &[("objectGUID", &[&bytes])]), &eligible);
        assert_eq!(entry.id, "33221100-5544-7766-8899-aabbccddeeff");
        let entry = person(found("cn=alice,dc=x", &[("objectguid", &["abcdefghijklmnop"])], &[]), &eligible);
        assert_eq!(entry.id, "64636261-6665-6867-696a-6b6c6d6e6f70");
        assert_eq!(person(found("cn=a", &[("objectGUID", &["short"])], &[]), &eligible).id, "cn=a");
    }

    #[test]
    fn of_proxy_addresses_those_for_mail_count() {
        let mut ldap = ldap();
        let addresses = ["SMTP:alice@x", "smtp:a.lice@x", "X500:/o=x/cn=alice", "sip:alice@x", "alice@y"];
        let mails = |ldap: &Ldap, name: &str| {
            let entry = found("cn=alice,dc=x", &[(name, &addresses)], &[]);
            Reader::new(ldap, &Eligible::default()).person(entry).unwrap().mails
        };
        ldap.attributes.mail = "ProxyAddresses".to_string();
        assert_eq!(mails(&ldap, "proxyAddresses"), ["alice@x", "a.lice@x"]);
        ldap.attributes.mail = "mail".to_string();
        assert_eq!(mails(&ldap, "mail"), addresses);
    }

    #[test]
    fn another_member_is_another_digest() {
        let digest =
            |texts: &[(&str, &[&str])]| Eligible::from_group(found("cn=g", texts, &[])).unwrap().digest();
        let one = digest(&[("member", &["uid=a,dc=x", "uid=b,dc=x"])]);
        assert_eq!(digest(&[("member", &["uid=b,dc=x", "UID=a, dc=x"])]), one);
        assert_ne!(digest(&[("member", &["uid=a,dc=x"])]), one);
        assert_ne!(digest(&[("memberUid", &["a"])]), digest(&[("memberUid", &["b"])]));
    }

    #[test]
    fn a_part_of_what_decides_is_no_person_and_names_with_options_are_names() {
        let read = |name: &str, value: &str| {
            let texts: &[(&str, &[&str])] = &[("uid", &["alice"]), (name, &[value])];
            Reader::new(&ldap(), &Eligible::default()).person(found("uid=alice,dc=x", texts, &[]))
        };
        for name in ["sshPublicKey;range=0-1499", "UID;Range=0-9", "nsAccountLock;lang-en;range=0-*"] {
            assert!(
                matches!(read(name, "x"), Err(Fault::Partial(Partial::Range(_, which))) if which == name)
            );
        }
        assert!(read("mail;range=0-1", "a@x").is_ok());
        assert_eq!(read("uid;lang-en", "bob").unwrap().names.len(), 2);
        assert!(read("nsAccountLock;x-y", "TRUE").unwrap().disabled.is_some());
        assert!(read("sshPublicKey;lang-en", "k").unwrap().keys.is_empty());
    }

    #[test]
    fn an_alias_is_nobody() {
        let texts: &[(&str, &[&str])] = &[("uid", &["alice"]), ("aliasedObjectName", &["uid=bob,dc=x"])];
        assert!(person(found("uid=alice,dc=x", texts, &[]), &Eligible::default()).names.is_empty());
    }

    #[test]
    fn a_configured_name_is_asked_for_and_read() {
        let mut ldap = ldap();
        ldap.attributes.user = "sAMAccountName".to_string();
        ldap.attributes.keys = "altSecurityIdentities".to_string();
        ldap.disabled = vec![Mark { attribute: "title".to_string(), values: vec!["Gone".to_string()] }];
        let eligible = Eligible::default();
        let reader = Reader::new(&ldap, &eligible);
        for name in ["sAMAccountName", "altSecurityIdentities", "mail", "title"] {
            assert!(reader.attributes().contains(&name), "{name}");
        }
        let texts: &[(&str, &[&str])] = &[
            ("samaccountname", &["alice"]),
            ("uid", &["mallory"]),
            ("altSecurityIdentities", &["k"]),
            ("sshPublicKey", &["other"]),
            ("title", &["gone"]),
        ];
        let entry = reader.person(found("cn=alice,dc=x", texts, &[])).unwrap();
        assert_eq!((entry.names, entry.keys), (vec!["alice".to_string()], vec![b"k".to_vec()]));
        assert_eq!(entry.disabled.as_deref(), Some("title=Gone"));
    }
}
