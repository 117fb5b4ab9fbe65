//! Searches, page by page (RFC 2696).
//!
//! ldap3's own paging looks at the result of the last page alone, so the pages are asked for here.

use ldap3::controls::{Control, ControlType, PagedResults, RawControl};
use ldap3::{DerefAliases, ResultEntry, Scope, SearchOptions};

use super::dn::Dn;
use super::fault::one_line;
use super::received::Received;
use super::{Fault, MOST_BYTES, MOST_ENTRIES, Partial, Session};

/// Entries in one page; servers commonly refuse more than 500 or 1,000.
const PAGE: i32 = 500;

/// One search.
pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: &'a str,
    pub(super) attributes: &'a [&'a str],
}

/// What has come from the server so far.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) entries: usize,
    pub(super) references: usize,
    pub(super) bytes: usize,
    /// Where the server says that more is, unless everybody knows that no people are there.
    pub(super) elsewhere: Option<String>,
    /// The first place of all searches where that was so.
    pub(super) referred: Option<String>,
}

impl Tally {
    /// Counts one entry, or says that there are too many.
    pub(super) fn add(&mut self, found: &Received) -> Result<(), Fault> {
        self.entries += 1;
        self.add_bytes(found.size())
    }

    /// The same for another search: bytes go on counting, they are limited over all searches together.
    pub(super) fn begin(&mut self) {
        *self = Self { bytes: self.bytes, referred: self.referred.take(), ..Self::default() };
    }

    /// Counts one reference to other servers (RFC 4511, 4.5.3), each of which has the same.
    pub(super) fn refer(&mut self, item: ResultEntry) -> Result<(), Fault> {
        let urls = item.0.expect_constructed().unwrap_or_default().into_iter();
        let mut urls = urls.filter_map(|url| String::from_utf8(url.expect_primitive()?).ok()).peekable();
        let first = urls.peek().map(|url| one_line(url)).unwrap_or_default();
        if self.elsewhere.is_none() && !urls.any(|url| is_without_people(&url)) {
            self.referred.get_or_insert_with(|| first.clone());
            self.elsewhere = Some(first);
        }
        self.add_reference()
    }

    /// Counts one message that is no entry.
    pub(super) fn add_reference(&mut self) -> Result<(), Fault> {
        self.references += 1;
        self.check()
    }

    /// Counts what a message that is no entry carries.
    pub(super) fn add_bytes(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.check()
    }

    fn check(&self) -> Result<(), Fault> {
        let few = self.entries.saturating_add(self.references) <= MOST_ENTRIES;
        if few && self.bytes <= MOST_BYTES { Ok(()) } else { Err(Partial::TooLarge.into()) }
    }
}

/// Parts of Active Directory that a search at the root of a domain refers to, and that hold DNS and settings.
const WITHOUT_PEOPLE: [&str; 3] = ["dc=forestdnszones,dc=", "dc=domaindnszones,dc=", "cn=configuration,dc="];

/// Does this reference lead to one of them?
fn is_without_people(url: &str) -> bool {
    let dn = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, dn)| dn);
    let dn = dn.and_then(|dn| Dn::read(dn.split('?').next().unwrap_or_default()));
    dn.is_some_and(|dn| WITHOUT_PEOPLE.iter().any(|part| dn.as_str().starts_with(part)))
}

/// The entries of one page, and the cookie for the next one; empty if there is none.
struct Page {
    entries: Vec<Received>,
    next: Vec<u8>,
}

impl Session<'_> {
    /// Gives every entry that `search` finds to `take`.
    pub(super) async fn search(
        &mut self,
        search: &Search<'_>,
        mut take: impl FnMut(Received),
    ) -> Result<(), Fault> {
        self.tally.begin();
        let (mut size, mut cookie) = (PAGE, Vec::new());
        loop {
            let is_first = cookie.is_empty();
            match self.page(search, size, cookie).await {
                Ok(page) => {
                    page.entries.into_iter().for_each(&mut take);
                    cookie = page.next;
                    if cookie.is_empty() {
                        return Ok(());
                    }
                }
                Err(Fault::Partial(Partial::Search { reply, entries, .. }))
                    if is_first && reply.is_limit() && below(size, entries).is_some() =>
                {
                    // Some servers (389 Directory Server) count their limit page by page: begin again with smaller ones.
                    size = below(size, entries).unwrap_or(size);
                    cookie = Vec::new();
                    self.tally.begin();
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn page(&mut self, search: &Search<'_>, size: i32, cookie: Vec<u8>) -> Result<Page, Fault> {
        let Search { base, scope, filter, attributes } = *search;
        let begun = self
            .ldap
            .with_search_options(SearchOptions::new().deref(DerefAliases::Never))
            .with_controls(RawControl::from(PagedResults { size, cookie }))
            .streaming_search(base, scope, filter, attributes)
            .await;
        let mut stream = match begun {
            Ok(stream) => stream,
            Err(error) => return Err(self.fault(error).await),
        };
        let mut entries = Vec::new();
        loop {
            match stream.next().await {
                Ok(Some(item)) if item.is_ref() => self.tally.refer(item)?,
                Ok(Some(item)) if item.is_intermediate() => self.tally.add_reference()?,
                Ok(Some(item)) => entries.push(self.receive(item)?),
                Ok(None) => break,
                Err(error) => return Err(self.fault(error).await),
            }
        }
        let result = stream.finish().await;
        self.answered = true;
        if result.rc == 0 {
            return Ok(Page { entries, next: next_page(&result.ctrls) });
        }
        let Tally { entries, references, .. } = self.tally;
        Err(Partial::Search { base: base.to_string(), entries, references, reply: self.reply(result) }.into())
    }

    /// Reads and counts one entry.
    pub(super) fn receive(&mut self, item: ResultEntry) -> Result<Received, Fault> {
        let received = Received::read(item).ok_or(Fault::Malformed(self.step.get()))?;
        self.tally.add(&received)?;
        Ok(received)
    }
}

/// Pages that stay well below the limit at which one of `size` ended after `entries`.
fn below(size: i32, entries: usize) -> Option<i32> {
    i32::try_from(entries / 2).ok().filter(|fewer| (1..size).contains(fewer))
}

/// The cookie with which the next page is asked for; empty after the last one.
fn next_page(controls: &[Control]) -> Vec<u8> {
    let paged = controls.iter().find(|control| matches!(control.0, Some(ControlType::PagedResults)));
    paged.map(|control| control.1.parse::<PagedResults>().cookie).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::found;

    #[test]
    fn a_tally_ends_at_its_limits() {
        let mut tally = Tally { entries: MOST_ENTRIES - 1, ..Tally::default() };
        assert!(tally.add_reference().is_ok());
        assert!(matches!(tally.add(&found("", &[], &[])), Err(Fault::Partial(Partial::TooLarge))));
        let mut tally = Tally { bytes: MOST_BYTES - 3, ..Tally::default() };
        assert!(tally.add(&found("d", &[("a", &["b"])], &[("c", &[b"d"])])).is_ok());
        assert!(matches!(tally.add(&found("d", &[], &[])), Err(Fault::Partial(Partial::TooLarge))));
    }

    #[test]
    fn what_active_directory_refers_to_at_its_root_holds_no_people() {
        for url in [
            "ldap://ForestDnsZones.example.com/DC=ForestDnsZones,DC=example,DC=com",
            "ldap://example.com/CN=Configuration,DC=example,DC=com??sub",
            "ldaps://x/DC=DomainDnsZones, DC=com",
        ] {
            assert!(is_without_people(url), "{url}");
        }
        for url in [
            "ldap://child.example.com/DC=child,DC=example,DC=com",
            "ldap://x/",
            "ldap://x",
            "",
            "ldap://x/OU=DC\\=ForestDnsZones,DC=com",
        ] {
            assert!(!is_without_people(url), "{url}");
        }
    }

    #[test]
    fn a_page_that_ends_at_a_limit_becomes_smaller_until_there_is_nothing_to_gain() {
        assert_eq!([below(500, 100), below(500, 500), below(50, 3)], [Some(50), Some(250), Some(1)]);
        assert_eq!([below(500, 1), below(500, 0), below(1, 2), below(50, 200)], [None; 4]);
    }
}
