//! Who is in the eligible group, and in the groups that are members of it.
//!
//! Read anew at each sync, inner groups too: no server tells by RFC 4533 that somebody became a member of a group in a group.
//! Active Directory follows groups itself (LDAP_MATCHING_RULE_IN_CHAIN, [MS-ADTS] 3.1.1.3.4.4.3); elsewhere members that are no
//! people are looked at, level by level, many by one search. An entry that is not shown to us is no group: that takes rights away and gives none.

use std::collections::{BTreeMap, BTreeSet};

use host::config::{Ldap, Membership, Referrals};
use ldap3::{Scope, ldap_escape};

use super::dn::Dn;
use super::person::{Eligible, Reader, Shows, is_group};
use super::received::Received;
use super::search::Search;
use super::{Fault, GroupFault, NOTHING, Partial, Session, Step, slices};
use crate::entry::MOST_VALUES;
use crate::news::News;

/// What is asked about a group: who is in a groupOfNames, groupOfUniqueNames, posixGroup, and which of these it is.
const GROUP: [&str; 4] = ["member", "uniqueMember", "memberUid", "objectClass"];

/// How many levels of groups below the eligible group are followed.
const DEEPEST: usize = 8;

/// Where groups in it are only reported, so many members that are no people are looked at.
const MOST_LOOKED_AT: usize = 50;

/// After so many entries in a row that are not shown, the others are not looked at one by one for groups.
const MOST_MISSED: usize = 50;

/// Alternatives in one filter.
const BATCH: usize = 50;

/// "Is a member, or of a group that is."
const IN_CHAIN: &str = "memberOf:1.2.840.113556.1.4.1941:";

/// Who is in the eligible group.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) eligible: Eligible,
    /// Where groups are not followed: members that the last sync did not take for people.
    pub(super) unsure: BTreeSet<Dn>,
    /// Where groups are followed: those that show no member.
    pub(super) empty: Vec<String>,
}

impl Session<'_> {
    /// Who is in the eligible group `dn`. A missing group is a fault; an empty one is an answer, where a group of its class
    /// can be empty. `known` are entries that are people by the last sync, and no groups.
    pub(super) async fn members(
        &mut self,
        ldap: &Ldap,
        dn: &str,
        known: &BTreeSet<Dn>,
    ) -> Result<Members, Fault> {
        if ldap.nested_groups {
            return if self.server.is_active_directory() {
                Ok(Members { eligible: self.in_chain(ldap, dn).await?, ..Members::default() })
            } else {
                self.followed(ldap, dn, known).await
            };
        }
        match ldap.membership {
            Membership::Group => {
                let eligible = members_of(dn, self.group(dn, &GROUP).await?)?;
                let unsure = eligible.dns().filter(|member| !known.contains(member)).cloned().collect();
                Ok(Members { eligible, unsure, ..Members::default() })
            }
            Membership::Person => {
                self.group(dn, &NOTHING).await?;
                let eligible = self.who_say_they_are_in(ldap, &[dn.to_string()]).await?;
                // What is not shown here is not missed: it is for a word to the administrator.
                let listed = self.entry(dn, "(objectClass=*)", &GROUP).await?;
                let listed = listed.and_then(|group| Eligible::from_group(group).ok()).unwrap_or_default();
                let is_new = |member: &&Dn| !known.contains(member) && !eligible.names(member);
                let unsure = listed.dns().filter(is_new).cloned().collect();
                Ok(Members { eligible, unsure, ..Members::default() })
            }
        }
    }

    /// The groups among the members `unsure` whom `news` does not show as people; for the administrator.
    pub(super) async fn unfollowed(
        &mut self,
        mut unsure: BTreeSet<Dn>,
        news: &News,
    ) -> Result<Vec<String>, Fault> {
        if unsure.is_empty() {
            return Ok(Vec::new());
        }
        self.enter(Step::Group);
        for dn in news.entries().iter().filter_map(|entry| Dn::read(&entry.dn)) {
            unsure.remove(&dn);
        }
        let some = unsure.into_iter().take(MOST_LOOKED_AT).collect();
        match self.groups_at(some, &["objectClass"]).await {
            Ok(groups) => Ok(groups.into_iter().map(|group| group.dn).collect()),
            Err(Fault::Partial(Partial::Search { .. })) => Ok(Vec::new()),
            Err(fault) => Err(fault),
        }
    }

    /// The members of the group `top`, of groups in it, and so on.
    async fn followed(&mut self, ldap: &Ldap, top: &str, known: &BTreeSet<Dn>) -> Result<Members, Fault> {
        let mut all = members_of(top, self.group(top, &GROUP).await?)?;
        let mut empty = Vec::new();
        let (mut groups, mut seen) = (vec![top.to_string()], known.clone());
        seen.extend(Dn::read(top));
        for level in 0.. {
            let new: Vec<Dn> = all.dns().filter(|member| !seen.contains(member)).cloned().collect();
            seen.extend(new.iter().cloned());
            let inner = self.groups_among(ldap, new).await?;
            if inner.is_empty() {
                break;
            }
            for group in inner {
                if level == DEEPEST {
                    return Err(Fault::group(top, GroupFault::TooDeep(group.dn)));
                }
                let dn = group.dn.clone();
                let group = self.joined(&dn, group).await?;
                let (members, shows) =
                    Eligible::from_inner_group(group).map_err(|fault| Fault::group(&dn, fault))?;
                all.extend(members);
                empty.extend((shows == Shows::Nobody).then(|| dn.clone()));
                groups.push(dn);
            }
        }
        if ldap.membership == Membership::Person {
            all = self.who_say_they_are_in(ldap, &groups).await?;
        }
        Ok(Members { eligible: all, empty, ..Members::default() })
    }

    /// The same by Active Directory's own rule, which has no limit of depth and survives circles. That somebody has such a
    /// group as their primary group is in their entry alone ([MS-ADTS] 3.1.1.3.1.3.2 has `member` without them).
    async fn in_chain(&mut self, ldap: &Ldap, top: &str) -> Result<Eligible, Fault> {
        let own = self.group(top, &["objectSid"]).await?;
        let chain = format!("({IN_CHAIN}={})", ldap_escape(top));
        let mut eligible = Eligible::default();
        let filter = format!("(&{}{chain})", ldap.filter);
        let people =
            Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes: &NOTHING };
        self.search(&people, |found| eligible.add(&found.dn)).await?;
        let mut sids: Vec<Sid> = Sid::of(own).into_iter().collect();
        let filter = format!("(&(objectClass=group){chain})");
        let base = self.server.context_of(top).unwrap_or(&ldap.base).to_string();
        let groups =
            Search { base: &base, scope: Scope::Subtree, filter: &filter, attributes: &["objectSid"] };
        self.search(&groups, |found| sids.extend(Sid::of(found))).await?;
        for some in sids.chunks(BATCH) {
            let any: String = some.iter().map(|sid| format!("(primaryGroupID={})", sid.last)).collect();
            let filter = format!("(&{}(|{any}))", ldap.filter);
            let attributes = ["objectSid", "primaryGroupID"];
            let people =
                Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes };
            self.search(&people, |found| {
                let (dn, group) = (found.dn.clone(), number(&found, "primaryGroupID"));
                let theirs = Sid::of(found).and_then(|sid| Some(Sid { domain: sid.domain, last: group? }));
                if theirs.is_some_and(|sid| some.contains(&sid)) {
                    eligible.add(&dn);
                }
            })
            .await?;
        }
        Ok(eligible)
    }

    /// People whose entries name one of these groups. Asked for as a search, and not read from each person: servers
    /// that compute memberOf do not tell by RFC 4533 that it changed.
    async fn who_say_they_are_in(&mut self, ldap: &Ldap, groups: &[String]) -> Result<Eligible, Fault> {
        let mut eligible = Eligible::default();
        for some in groups.chunks(BATCH) {
            let any: String = some.iter().map(|group| format!("(memberOf={})", ldap_escape(group))).collect();
            let filter = format!("(&{}(|{any}))", ldap.filter);
            let members =
                Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes: &NOTHING };
            self.search(&members, |found| eligible.add(&found.dn)).await?;
        }
        Ok(eligible)
    }

    /// The groups among the entries `dns`, with all their members.
    async fn groups_among(&mut self, ldap: &Ldap, dns: Vec<Dn>) -> Result<Vec<Received>, Fault> {
        let mut rest: BTreeSet<Dn> = dns.into_iter().collect();
        for person in self.people_at(ldap, &rest, &NOTHING).await? {
            Dn::read(&person.dn).map(|dn| rest.remove(&dn));
        }
        self.groups_at(rest, &GROUP).await
    }

    /// The groups among the entries `dns`, with these attributes.
    async fn groups_at(
        &mut self,
        mut dns: BTreeSet<Dn>,
        attributes: &[&str],
    ) -> Result<Vec<Received>, Fault> {
        let mut found = self.side_by_side(&dns, attributes).await?;
        for entry in &found {
            Dn::read(&entry.dn).map(|dn| dns.remove(&dn));
        }
        found.extend(self.one_by_one(&dns, attributes).await?);
        found.retain(is_group);
        Ok(found)
    }

    /// Those of the entries `dns` that a search for their first parts finds below the entry above them: one question for
    /// many. Not every server lets everybody search for what may be read.
    async fn side_by_side(
        &mut self,
        dns: &BTreeSet<Dn>,
        attributes: &[&str],
    ) -> Result<Vec<Received>, Fault> {
        let mut above: BTreeMap<&str, Vec<&Dn>> = BTreeMap::new();
        for dn in dns {
            above.entry(dn.above()).or_default().push(dn);
        }
        let mut entries = Vec::new();
        for (base, below) in above {
            // A single one is read by its own name.
            for some in below.chunks(BATCH).filter(|some| some.len() > 1) {
                let any: String = some.iter().map(|dn| dn.first_as_filter()).collect();
                let filter = format!("(|{any})");
                let asked = Search { base, scope: Scope::OneLevel, filter: &filter, attributes };
                let take = |found: Received| {
                    entries.extend(
                        Some(found).filter(|found| Dn::read(&found.dn).is_some_and(|dn| dns.contains(&dn))),
                    );
                };
                match self.search(&asked, take).await {
                    Err(Fault::Partial(Partial::Search { .. })) => {}
                    searched => searched?,
                }
            }
        }
        Ok(entries)
    }

    /// Those of the entries `dns` that are shown, each read by its name. Where none of many is shown, the others are most
    /// likely gone too, and each would cost a question: how many are not asked for is kept in `unasked`. Good for groups
    /// alone, which give rights: a person who is not asked for would lose theirs.
    async fn one_by_one(&mut self, dns: &BTreeSet<Dn>, attributes: &[&str]) -> Result<Vec<Received>, Fault> {
        let (mut found, mut missed) = (Vec::new(), 0);
        for (asked, dn) in (1..).zip(dns) {
            match self.entry(dn.as_str(), "(objectClass=*)", attributes).await? {
                Some(entry) => {
                    missed = 0;
                    found.push(entry);
                }
                None => missed += 1,
            }
            if missed == MOST_MISSED {
                self.unasked += dns.len() - asked;
                break;
            }
        }
        Ok(found)
    }

    /// The people at `dns`, as far as a search for the first parts of these finds them: one question for many.
    pub(super) async fn people_at(
        &mut self,
        ldap: &Ldap,
        dns: &BTreeSet<Dn>,
        attributes: &[&str],
    ) -> Result<Vec<Received>, Fault> {
        let base = Dn::read(&ldap.base);
        let is_below = |dn: &&Dn| base.as_ref().is_some_and(|base| dn.is_within(base));
        let firsts: Vec<String> = dns.iter().filter(is_below).map(Dn::first_as_filter).collect();
        let mut people = Vec::new();
        for some in firsts.chunks(BATCH) {
            let filter = format!("(&{}(|{}))", ldap.filter, some.concat());
            let asked = Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes };
            self.search(&asked, |found| {
                if Dn::read(&found.dn).is_some_and(|dn| dns.contains(&dn)) {
                    people.push(found);
                }
            })
            .await?;
        }
        Ok(people)
    }

    /// The entry `dn`, if it is there, is shown to us and `filter` fits it.
    pub(super) async fn entry(
        &mut self,
        dn: &str,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Option<Received>, Fault> {
        let itself = Search { base: dn, scope: Scope::Base, filter, attributes };
        let mut found = Vec::new();
        match self.search(&itself, |entry| found.push(entry)).await {
            Err(Fault::Partial(Partial::Search { reply, .. })) if reply.is_about_the_entry() => {
                if reply.withholds() {
                    self.withheld.get_or_insert_with(|| (dn.to_string(), reply));
                }
                Ok(None)
            }
            searched => searched.map(|()| found.pop()),
        }
    }

    /// Was nothing held back of the members of a group and who they are, as far as the server says so?
    pub(super) fn check_withheld(&mut self, ldap: &Ldap) -> Result<(), Fault> {
        let refers = ldap.referrals == Referrals::Refuse;
        if let Some(url) = self.tally.referred.take().filter(|_| refers) {
            return Err(Partial::Elsewhere(url).into());
        }
        match self.withheld.take() {
            Some((base, reply)) if refers || !reply.is_referral() => {
                Err(Partial::Search { base, entries: 0, references: 0, reply }.into())
            }
            _ => Ok(()),
        }
    }

    /// Nobody was found in the group `dn`. That it lists entries where people are, of which not one is shown, is what a
    /// reader sees who may not read them.
    pub(super) async fn check_nobody(&mut self, ldap: &Ldap, dn: &str) -> Result<(), Fault> {
        let listed = members_of(dn, self.group(dn, &GROUP).await?).unwrap_or_default();
        let base = Dn::read(&ldap.base);
        let is_below = |dn: &&Dn| base.as_ref().is_some_and(|base| dn.is_within(base));
        let mut unseen = 0;
        for member in listed.dns().filter(is_below).take(MOST_LOOKED_AT) {
            if self.entry(member.as_str(), "(objectClass=*)", &NOTHING).await?.is_some() {
                return Ok(());
            }
            unseen += 1;
        }
        if unseen == 0 { Ok(()) } else { Err(Fault::group(dn, GroupFault::Unseen(unseen))) }
    }

    /// Eligible people, and others who claim a name of theirs: as if everybody had been read, as far as these go.
    pub(super) async fn eligible_people(
        &mut self,
        ldap: &Ldap,
        eligible: &Eligible,
        reader: &Reader<'_>,
    ) -> Result<News, Fault> {
        let attributes = reader.attributes();
        let base = Dn::read(&ldap.base);
        let is_below = |dn: &&Dn| base.as_ref().is_some_and(|base| dn.is_within(base));
        let mut rest: BTreeSet<Dn> = eligible.dns().filter(is_below).cloned().collect();
        let (mut elsewhere, mut people) = (None, BTreeMap::new());
        let mut found = self.people_at(ldap, &rest, &attributes).await?;
        for person in &found {
            Dn::read(&person.dn).map(|dn| rest.remove(&dn));
        }
        // Groups and others whom `filter` does not fit.
        for other in self.side_by_side(&rest, &NOTHING).await? {
            Dn::read(&other.dn).map(|dn| rest.remove(&dn));
        }
        // Not every server lets everybody search for what may be read. Each is asked for, however many are gone: whom
        // nobody asks for would be missing from the copy.
        for dn in &rest {
            let shown = self.entry(dn.as_str(), &ldap.filter, &attributes).await?;
            self.unseen.extend(shown.is_none().then(|| dn.as_str().to_string()));
            found.extend(shown);
        }
        let mut names: BTreeSet<String> = eligible.uids().cloned().collect();
        for person in found {
            let entry = reader.person(person)?;
            names.extend(entry.names.iter().take(MOST_VALUES).cloned());
            people.insert(entry.id.clone(), entry);
        }
        let names: Vec<String> = names.into_iter().collect();
        for some in names.chunks(BATCH) {
            let user = &ldap.attributes.user;
            let any: String =
                some.iter().map(|name| format!("({user}={})", ldap_escape(name.as_str()))).collect();
            let filter = format!("(&{}(|{any}))", ldap.filter);
            let asked =
                Search { base: &ldap.base, scope: Scope::Subtree, filter: &filter, attributes: &attributes };
            let mut found = Vec::new();
            self.search(&asked, |person| found.push(person)).await?;
            elsewhere = elsewhere.or(self.tally.elsewhere.take());
            for person in found {
                let entry = reader.person(person)?;
                people.insert(entry.id.clone(), entry);
            }
        }
        self.tally.elsewhere = elsewhere;
        Ok(News::Everything(people.into_values().collect()))
    }

    /// Exactly the group `dn`, with all its members if these are asked for.
    async fn group(&mut self, dn: &str, attributes: &[&str]) -> Result<Received, Fault> {
        let (slice, is_cut) = (slices::first("member"), self.server.is_active_directory());
        let name =
            |name: &&str| if is_cut && *name == "member" { slice.clone() } else { (*name).to_string() };
        let wanted: Vec<String> = attributes.iter().map(name).collect();
        let attributes: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let itself =
            Search { base: dn, scope: Scope::Base, filter: "(objectClass=*)", attributes: &attributes };
        let fault = |fault| Err(Fault::group(dn, fault));
        let mut groups = Vec::new();
        match self.search(&itself, |found| groups.push(found)).await {
            Err(Fault::Partial(Partial::Search { reply, .. })) => return fault(GroupFault::Refused(reply)),
            searched => searched?,
        }
        match (groups.pop(), groups.is_empty()) {
            (None, _) => fault(GroupFault::Missing),
            (Some(_), false) => fault(GroupFault::Several),
            (Some(group), true) => self.joined(dn, group).await,
        }
    }
}

fn members_of(dn: &str, group: Received) -> Result<Eligible, Fault> {
    Eligible::from_group(group).map_err(|fault| Fault::group(dn, fault))
}

/// A security identifier ([MS-DTYP] 2.4.2.2) of a domain: the domain's, and the number in it.
#[derive(Debug, PartialEq, Eq)]
struct Sid {
    domain: Vec<u8>,
    last: u32,
}

impl Sid {
    /// The one of an entry.
    fn of(found: Received) -> Option<Self> {
        Self::read(found.values("objectSid").first()?)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (domain, last) = bytes.split_last_chunk::<4>()?;
        // Revision, how many numbers, who gave them (six bytes), and the numbers.
        let count = usize::from(*domain.get(1)?);
        (bytes.len() == 8 + 4 * count)
            .then(|| Self { domain: domain.to_vec(), last: u32::from_le_bytes(*last) })
    }
}

fn number(found: &Received, name: &str) -> Option<u32> {
    std::str::from_utf8(found.values(name).first()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_a_domain_and_a_number_in_it() {
        let domain = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3];
        let bytes = [&domain[..], &1105_u32.to_le_bytes()].concat();
        assert_eq!(Sid::read(&bytes), Some(Sid { domain: domain.to_vec(), last: 1105 }));
        for wrong in [&bytes[..27], &bytes[..3], &[], &[&bytes[..], &[0; 4]].concat()] {
            assert_eq!(Sid::read(wrong), None);
        }
    }
}
