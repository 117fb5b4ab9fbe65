//! Active Directory and Samba: what changed since the last sync, by the domain controller's count of changes.
//!
//! Neither knows RFC 4533. DirSync ([MS-ADTS] 3.1.1.3.4.1.3) is not used: for an ordinary user, who may see no deleted
//! entries, it tells of no deletion (measured: Samba 4.17.12). What the numbers prove is in `usn`.

use std::collections::{BTreeMap, BTreeSet};

use host::config::Ldap;
use ldap3::Scope;

use super::dn::Dn;
use super::person::guid;
use super::received::Received;
use super::search::Search;
use super::usn::{Kind, LOOK_BACK, Mark, Numbered, Progress, are_enough, attributes_of, is_name};
use super::{Fault, Partial, Question, Reader, Session, Since, Step};
use crate::news::News;

/// The number of an entry's last change.
const NUMBER: &str = "uSNChanged";

/// What is asked about an entry that has a number.
const NUMBERED: [&str; 5] = [NUMBER, "objectGUID", "whenChanged", "sAMAccountType", "objectClass"];

/// What is asked about an attribute ([MS-ADTS] 3.1.1.2.3).
const OF_ATTRIBUTES: [&str; 4] = ["lDAPDisplayName", "systemFlags", "linkID", "attributeSyntax"];

/// Values are each server's own, or made when they are read ([MS-ADTS] 2.2.10): they change without a number.
const NOT_REPLICATED: i64 = 0x1;
const CONSTRUCTED: i64 = 0x4;

/// Values are names of other entries, which change with these.
const NAMES: &[u8] = b"2.5.5.1";

/// These do not change, whatever the schema says of their kind.
const LASTING: [&str; 2] = ["objectGUID", "objectCategory"];

/// Where a copy stands by a domain controller's count.
pub(super) struct Standing {
    /// How far one goes that is made now.
    mark: Mark,
    /// What happened since the last sync, and the number after which.
    pub(super) progress: Progress,
    since: u64,
}

impl Session<'_> {
    /// Where the copy stands that is asked for, and from where to go on the next time; `None` if the server's count proves
    /// nothing, or a part of the people is asked for.
    pub(super) async fn counted(
        &mut self,
        ldap: &Ldap,
        question: Question<'_>,
    ) -> Result<Option<(Standing, Since)>, Fault> {
        let Question::Everybody(since, _) = question else { return Ok(None) };
        let standing = self.standing(ldap, since.cookie.as_deref()).await?;
        Ok(standing.map(|standing| {
            let next = Since { cookie: Some(standing.mark.write()), witnesses: since.witnesses.clone() };
            (standing, next)
        }))
    }

    /// Where a copy stands that was made with `cookie`; `None` if this server's count proves nothing.
    async fn standing(&mut self, ldap: &Ldap, cookie: Option<&[u8]>) -> Result<Option<Standing>, Fault> {
        let Some((last, now)) = self.server.last_number().zip(self.server.time()) else { return Ok(None) };
        self.enter(Step::People);
        let Some(base) = Dn::read(&ldap.base) else { return Ok(None) };
        let Some(tree) = self.server.context_of(&ldap.base).map(str::to_string) else { return Ok(None) };
        let Some(database) = self.database().await? else { return Ok(None) };
        let old = cookie.and_then(Mark::read).filter(|old| old.is_of(&database, last));
        if old.is_none() && !self.is_counted(ldap).await? {
            return Ok(None);
        }
        let mut progress = Progress::Unknown;
        let (mut first, mut listed) = (0, Vec::new());
        if let Some(old) = &old {
            let Some(since) = self.numbered(&tree, old.first).await? else { return Ok(None) };
            progress = old.progress(last, &since, &base);
            (first, listed) = (old.first, since);
        }
        if progress == Progress::Unknown {
            // After a full read nothing is left of a past that was contradicted.
            let Some(recent) = self.recent(&tree, last).await? else { return Ok(None) };
            (first, listed) = recent;
        }
        let Some(mark) = Mark::new(database, last, first, &listed) else { return Ok(None) };
        let mark = mark.following(old.as_ref(), &progress, now);
        if !mark.is_settled(now) {
            progress = Progress::Above;
        }
        Ok(Some(Standing { mark, progress, since: old.map_or(0, |old| old.last) }))
    }

    /// The last entries that are shown with a number, and the number from which these are all; `None` if one does not
    /// show what is asked.
    async fn recent(&mut self, tree: &str, last: u64) -> Result<Option<(u64, Vec<Numbered>)>, Fault> {
        let mut recent = None;
        for back in LOOK_BACK {
            let first = last.saturating_sub(back);
            let Some(listed) = self.numbered(tree, first).await? else { return Ok(None) };
            let is_enough = are_enough(&listed, last);
            recent = Some((first, listed));
            if is_enough {
                break;
            }
        }
        Ok(recent)
    }

    /// Which database counts: the invocationId of the server ([MS-ADTS] 3.1.1.3.2.4, dsServiceName).
    async fn database(&mut self) -> Result<Option<String>, Fault> {
        let Some(service) = self.server.service().map(str::to_string) else { return Ok(None) };
        let elsewhere = self.tally.elsewhere.take();
        let found = self.entry(&service, "(objectClass=*)", &["invocationId"]).await;
        self.tally.elsewhere = elsewhere;
        match found {
            Ok(found) => Ok(found.and_then(|found| guid(found.values("invocationId").first()?))),
            Err(Fault::Partial(Partial::Search { .. })) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Does an entry get a number whenever `filter` comes to fit it or not, or what is copied of it changes?
    async fn is_counted(&mut self, ldap: &Ldap) -> Result<bool, Fault> {
        let Some(mut names) = attributes_of(&ldap.filter) else { return Ok(false) };
        let Some(schema) = self.server.schema().map(str::to_string) else { return Ok(false) };
        let mut unknown: BTreeSet<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let copied = &ldap.attributes;
        names.extend([copied.user.as_str(), &copied.keys, &copied.mail, "objectGUID"]);
        names.extend(ldap.disabled.iter().map(|mark| mark.attribute.as_str()));
        let names: BTreeSet<&str> =
            names.into_iter().map(|name| name.split(';').next().unwrap_or_default()).collect();
        if !names.iter().all(|name| is_name(name)) {
            return Ok(false);
        }
        let any: String =
            names.iter().map(|name| format!("(lDAPDisplayName={})", ldap3::ldap_escape(*name))).collect();
        let filter = format!("(&(objectClass=attributeSchema)(|{any}))");
        let asked =
            Search { base: &schema, scope: Scope::OneLevel, filter: &filter, attributes: &OF_ATTRIBUTES };
        let (mut is_shown, mut is_counted) = (false, true);
        let searched = self
            .search(&asked, |found| {
                let name = text(&found, "lDAPDisplayName").unwrap_or_default();
                is_shown |= name == "objectGUID";
                unknown.remove(&name.to_ascii_lowercase());
                is_counted &= has_values_of_its_own(&found);
            })
            .await;
        match searched {
            // One that is copied, and that the schema does not have, has no values; what the filter asks by such a name is
            // not for us to know.
            Ok(()) => Ok(is_shown && is_counted && unknown.is_empty()),
            Err(Fault::Partial(Partial::Search { .. })) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// All entries of `tree` that are shown with a number from `first` on; `None` if one does not show what is asked.
    async fn numbered(&mut self, tree: &str, first: u64) -> Result<Option<Vec<Numbered>>, Fault> {
        let filter = format!("(uSNChanged>={first})");
        let asked = Search { base: tree, scope: Scope::Subtree, filter: &filter, attributes: &NUMBERED };
        let (mut listed, mut is_whole) = (Vec::new(), true);
        let take = |found: Received| match numbered(&found) {
            Some(entry) => listed.push(entry),
            None => is_whole = false,
        };
        let searched = self.search(&asked, take).await;
        // Below the root of a domain are others, where people need not be.
        self.tally.elsewhere = None;
        match searched {
            Ok(()) => Ok(is_whole.then_some(listed)),
            Err(Fault::Partial(Partial::Search { .. })) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Everybody whom `search` finds, or what changed by `standing`; and may the next sync go on from there?
    pub(super) async fn news(
        &mut self,
        search: &Search<'_>,
        standing: &Standing,
        reader: &Reader<'_>,
    ) -> Result<(News, bool), Fault> {
        let (changed, is_whole) = match &standing.progress {
            Progress::Some { changed, is_whole } => (changed, *is_whole),
            Progress::None => {
                // Who is eligible was asked; what that search referred to is not about people.
                self.tally.elsewhere = None;
                return Ok((News::Part { set: Vec::new(), gone: BTreeSet::new() }, true));
            }
            Progress::Above | Progress::Unknown => return self.numbered_people(search, reader).await,
        };
        // Before those who changed: who comes meanwhile is among these.
        let there = if is_whole { None } else { Some(self.list(search).await?) };
        let filter = format!("(&{}({NUMBER}>={}))", search.filter, standing.since + 1);
        let since = Search { filter: &filter, ..*search };
        let set = self.everybody(&since, reader).await?.into_entries();
        let told: BTreeSet<&str> =
            changed.iter().chain(set.iter().map(|entry| &entry.id)).map(String::as_str).collect();
        match there {
            None => {
                let found: BTreeSet<&str> = set.iter().map(|entry| entry.id.as_str()).collect();
                let gone = changed.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
                Ok((News::Part { set, gone }, true))
            }
            Some(Some(there)) if there.is_explained(standing.since, &told) => {
                Ok((News::Listed { set, there: there.places }, true))
            }
            Some(_) => self.numbered_people(search, reader).await,
        }
    }

    /// Everybody whom `search` finds; and does each show the number of their last change? The changes of who does not would
    /// be found by no number.
    async fn numbered_people(
        &mut self,
        search: &Search<'_>,
        reader: &Reader<'_>,
    ) -> Result<(News, bool), Fault> {
        let attributes: Vec<&str> = search.attributes.iter().copied().chain([NUMBER]).collect();
        let asked = Search { attributes: &attributes, ..*search };
        let (mut people, mut fault, mut is_shown) = (Vec::new(), None, true);
        let take = |found: Received| {
            is_shown &= number(&found).is_some();
            match reader.person(found) {
                Ok(person) => people.push(person),
                Err(partial) => fault = Some(partial),
            }
        };
        self.search(&asked, take).await?;
        fault.map_or(Ok((News::Everything(people), is_shown)), Err)
    }

    /// Everybody whom `search` finds, by id; `None` if somebody shows no id, or no number.
    async fn list(&mut self, search: &Search<'_>) -> Result<Option<List>, Fault> {
        let asked = Search { attributes: &["objectGUID", NUMBER], ..*search };
        let (mut list, mut is_whole) = (List::default(), true);
        let take = |found: Received| match id(&found).zip(number(&found)) {
            Some((id, number)) => {
                list.numbers.push((number, id.clone()));
                list.places.insert(id, found.dn);
            }
            None => is_whole = false,
        };
        self.search(&asked, take).await?;
        Ok(is_whole.then_some(list))
    }
}

/// Who is there.
#[derive(Debug, Default)]
struct List {
    /// Where each is, by id.
    places: BTreeMap<String, String>,
    /// The numbers of their last changes, with the ids.
    numbers: Vec<(u64, String)>,
}

impl List {
    /// Is everybody who changed after `since` among those who were `told`?
    fn is_explained(&self, since: u64, told: &BTreeSet<&str>) -> bool {
        self.numbers.iter().all(|(number, id)| *number <= since || told.contains(id.as_str()))
    }
}

fn numbered(found: &Received) -> Option<Numbered> {
    Some(Numbered {
        number: number(found)?,
        id: id(found)?,
        changed: text(found, "whenChanged").filter(|when| !when.contains([' ', '=', '@']))?.to_string(),
        dn: found.dn.clone(),
        kind: Kind::of(!found.values("sAMAccountType").is_empty(), found.values("objectClass")),
    })
}

fn number(found: &Received) -> Option<u64> {
    text(found, NUMBER)?.parse().ok()
}

fn id(found: &Received) -> Option<String> {
    guid(found.values("objectGUID").first()?)
}

fn text<'f>(found: &'f Received, name: &str) -> Option<&'f str> {
    std::str::from_utf8(found.values(name).first()?).ok()
}

/// Does an entry have a number of its own for each change of this attribute, as the schema describes it?
fn has_values_of_its_own(found: &Received) -> bool {
    let Some(name) = text(found, "lDAPDisplayName") else { return false };
    let flags = match found.values("systemFlags") {
        [] => Some(0),
        [flags, ..] => std::str::from_utf8(flags).ok().and_then(|flags| flags.parse::<i64>().ok()),
    };
    let is_link = !found.values("linkID").is_empty();
    let is_name = found.values("attributeSyntax").iter().any(|syntax| syntax == NAMES);
    LASTING.iter().any(|lasting| lasting.eq_ignore_ascii_case(name))
        || flags.is_some_and(|flags| flags & (NOT_REPLICATED | CONSTRUCTED) == 0) && !is_link && !is_name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::found;

    #[test]
    fn values_that_change_without_the_entry_are_not_its_own() {
        let own = |name: &str, flags: &[&str], syntax: &str, link: &[&str]| {
            let texts: &[(&str, &[&str])] = &[
                ("lDAPDisplayName", &[name]),
                ("systemFlags", flags),
                ("attributeSyntax", &[syntax]),
                ("linkID", link),
            ];
            has_values_of_its_own(&found("cn=x", texts, &[]))
        };
        // As Samba 4.17's schema has them.
        assert!(own("altSecurityIdentities", &["18"], "2.5.5.12", &[]));
        assert!(own("employeeType", &[], "2.5.5.12", &[]) && own("mail", &["0"], "2.5.5.12", &[]));
        assert!(
            own("objectGUID", &["19"], "2.5.5.10", &[]) && own("objectCategory", &["18"], "2.5.5.1", &[])
        );
        assert!(!own("memberOf", &["17"], "2.5.5.1", &["3"]) && !own("manager", &["0"], "2.5.5.1", &["42"]));
        assert!(!own("msDS-User-Account-Control-Computed", &["20"], "2.5.5.9", &[]));
        assert!(!own("lastLogon", &["17"], "2.5.5.16", &[]) && !own("x", &["y"], "2.5.5.12", &[]));
        assert!(!own("seeAlso", &["0"], "2.5.5.1", &[]));
    }

    #[test]
    fn an_entry_that_does_not_show_its_number_proves_nothing() {
        let guid: &[u8] = &[7; 16];
        let entry =
            |texts: &[(&str, &[&str])]| numbered(&found("CN=a,DC=x", texts, &[("objectGUID", &[guid])]));
        let whole: [(&str, &[&str]); 4] = [
            ("USNCHANGED", &["12"]),
            ("whenChanged", &["20261130142308.0Z"]),
            ("objectClass", &["top", "person", "organizationalPerson", "user"]),
            ("sAMAccountType", &["805306368"]),
        ];
        let read = entry(&whole).unwrap();
        assert_eq!((read.number, read.kind, read.id.len()), (12, Kind::Account, 36));
        assert_eq!(entry(&whole[..3]).unwrap().kind, Kind::Unit);
        assert_eq!(entry(&whole[..2]).unwrap().kind, Kind::Unit);
        assert_eq!(entry(&whole[..1]), None);
        assert_eq!(entry(&whole[1..]), None);
        assert_eq!(numbered(&found("CN=a,DC=x", &whole, &[])), None);
    }

    #[test]
    fn a_number_that_no_change_explains_is_noticed() {
        let list = List { numbers: vec![(9, "a".to_string()), (10, "b".to_string())], ..List::default() };
        assert!(list.is_explained(10, &BTreeSet::new()));
        assert!(list.is_explained(9, &BTreeSet::from(["b"])));
        assert!(!list.is_explained(9, &BTreeSet::from(["a"])));
    }
}
