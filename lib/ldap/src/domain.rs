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
use super::usn::{LOOK_BACK, Mark, Numbered, Progress, attributes_of};
use super::{Fault, Partial, Question, Reader, Session, Since, Step};
use crate::news::News;

/// What is asked about an entry that has a number. Accounts and groups, and they alone, have a sAMAccountType ([MS-ADA3]
/// 2.222).
const NUMBERED: [&str; 4] = ["uSNChanged", "objectGUID", "whenChanged", "sAMAccountType"];

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
        let Some(last) = self.server.last_number() else { return Ok(None) };
        self.enter(Step::People);
        let Some(base) = Dn::read(&ldap.base) else { return Ok(None) };
        let Some(tree) = self.server.context_of(&ldap.base).map(str::to_string) else { return Ok(None) };
        let Some(database) = self.database().await? else { return Ok(None) };
        let old = cookie.and_then(Mark::read).filter(|old| old.is_of(&database, last));
        if old.is_none() && !self.is_counted(ldap).await? {
            return Ok(None);
        }
        let first = old.as_ref().map_or(last.saturating_sub(LOOK_BACK), |old| old.first);
        let Some(listed) = self.numbered(&tree, first).await? else { return Ok(None) };
        let progress = old.as_ref().map_or(Progress::Unknown, |old| old.progress(last, &listed, &base));
        let since = old.map_or(0, |old| old.last);
        // After a full read nothing is left of a past that was contradicted.
        let first =
            if progress == Progress::Unknown { first.max(last.saturating_sub(LOOK_BACK)) } else { first };
        Ok(Some(Standing { mark: Mark::new(database, last, first, &listed), progress, since }))
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
        let copied = &ldap.attributes;
        names.extend([copied.user.as_str(), &copied.keys, &copied.mail, "objectGUID"]);
        names.extend(ldap.disabled.iter().map(|mark| mark.attribute.as_str()));
        let any: String =
            names.iter().map(|name| format!("(lDAPDisplayName={})", ldap3::ldap_escape(*name))).collect();
        let filter = format!("(&(objectClass=attributeSchema)(|{any}))");
        let asked =
            Search { base: &schema, scope: Scope::OneLevel, filter: &filter, attributes: &OF_ATTRIBUTES };
        let (mut is_shown, mut is_counted) = (false, true);
        let searched = self
            .search(&asked, |found| {
                is_shown |= text(&found, "lDAPDisplayName").is_some_and(|name| name == "objectGUID");
                is_counted &= has_values_of_its_own(&found);
            })
            .await;
        match searched {
            // An attribute that the schema does not have has no values.
            Ok(()) => Ok(is_shown && is_counted),
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

    /// Everybody whom `search` finds, or what changed by `standing`.
    pub(super) async fn news(
        &mut self,
        search: &Search<'_>,
        standing: &Standing,
        reader: &Reader<'_>,
    ) -> Result<News, Fault> {
        let Progress::Some { changed, is_whole } = &standing.progress else {
            return self.everybody(search, reader).await;
        };
        // Before those who changed: who comes meanwhile is among these.
        let there = if *is_whole { None } else { Some(self.list(search).await?) };
        let filter = format!("(&{}(uSNChanged>={}))", search.filter, standing.since + 1);
        let since = Search { filter: &filter, ..*search };
        let set = self.everybody(&since, reader).await?.into_entries();
        match there {
            Some(Some(there)) => Ok(News::Listed { set, there }),
            Some(None) => self.everybody(search, reader).await,
            None => {
                let found: BTreeSet<&str> = set.iter().map(|entry| entry.id.as_str()).collect();
                let gone = changed.iter().filter(|id| !found.contains(id.as_str())).cloned().collect();
                Ok(News::Part { set, gone })
            }
        }
    }

    /// The id and the place of everybody whom `search` finds; `None` if somebody shows no id.
    async fn list(&mut self, search: &Search<'_>) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let asked = Search { attributes: &["objectGUID"], ..*search };
        let (mut there, mut is_whole) = (BTreeMap::new(), true);
        let take = |found: Received| match id(&found) {
            Some(id) => {
                there.insert(id, found.dn);
            }
            None => is_whole = false,
        };
        self.search(&asked, take).await?;
        Ok(is_whole.then_some(there))
    }
}

fn numbered(found: &Received) -> Option<Numbered> {
    Some(Numbered {
        number: text(found, "uSNChanged")?.parse().ok()?,
        id: id(found)?,
        changed: text(found, "whenChanged").filter(|when| !when.contains([' ', '=', '@']))?.to_string(),
        dn: found.dn.clone(),
        is_account: !found.values("sAMAccountType").is_empty(),
    })
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
        let whole: [(&str, &[&str]); 3] = [
            ("USNCHANGED", &["12"]),
            ("whenChanged", &["20261130142308.0Z"]),
            ("sAMAccountType", &["805306368"]),
        ];
        let read = entry(&whole).unwrap();
        assert_eq!((read.number, read.is_account, read.id.len()), (12, true, 36));
        assert!(!entry(&whole[..2]).unwrap().is_account);
        assert_eq!(entry(&whole[..1]), None);
        assert_eq!(entry(&whole[1..]), None);
        assert_eq!(numbered(&found("CN=a,DC=x", &whole, &[])), None);
    }
}
