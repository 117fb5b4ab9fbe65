//! What a server says of itself: its root entry (RFC 4512, 5.1).
//!
//! Asked first, because a request that a server does not know is not always refused in a way that can be read: Active
//! Directory and Samba (measured: 4.17.12) answer a search with an unknown critical control by an ExtendedResponse under
//! the search's own message id, which no parser of searches expects.

use ldap3::Scope;
use policy::Timestamp;

use super::dn::Dn;
use super::marks::generalized;
use super::person::readable;
use super::received::Received;
use super::{Fault, Partial, Search, Session};

/// What is asked of the root entry.
const ROOT: [&str; 9] = [
    "supportedControl",
    "supportedCapabilities",
    "vendorName",
    "vendorVersion",
    "namingContexts",
    "currentTime",
    "highestCommittedUSN",
    "dsServiceName",
    "schemaNamingContext",
];

/// RFC 4533's request for changes.
const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";

/// RFC 4528's control: a change is made only if a filter fits.
const ASSERTION: &str = "1.3.6.1.1.12";

/// LDAP_CAP_ACTIVE_DIRECTORY_OID ([MS-ADTS] 3.1.1.3.4.3), which Samba claims too.
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

/// A server, as its root entry describes it. One that shows nothing is taken to offer nothing: then everybody is
/// fetched page by page, which every server can do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    offers_changes: bool,
    asserts: bool,
    is_389: bool,
    is_active_directory: bool,
    /// The trees that it has.
    contexts: Vec<String>,
    /// Its clock ([MS-ADTS] 3.1.1.3.2.3, currentTime).
    time: Option<Timestamp>,
    /// The number of its last change ([MS-ADTS] 3.1.1.3.2.17, highestCommittedUSN).
    last_number: Option<u64>,
    /// The entry that describes it as a domain controller.
    service: Option<String>,
    /// Where attributes are described.
    schema: Option<String>,
}

impl Server {
    /// Does it tell by RFC 4533 what changed, so that a copy comes to the same as by reading everybody?
    ///
    /// 389 Directory Server (measured: 2.3.1) does not. After the first refresh it names nobody who is still there and
    /// says that everybody who is not named is gone, tells nobody who has left the filter, sends no operational attribute
    /// (`nsAccountLock` is one), and after a restore takes the cookie of what was undone.
    pub(super) fn tells_changes(&self) -> bool {
        self.offers_changes && !self.is_389
    }

    /// Does it make changes on the condition that a filter fits (RFC 4528)?
    pub(super) fn asserts(&self) -> bool {
        self.asserts
    }

    /// Is it Active Directory, or a server that works like it?
    pub(super) fn is_active_directory(&self) -> bool {
        self.is_active_directory
    }

    /// What time it is by its clock, if it shows that.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// The number of its last change, if it counts changes as Active Directory does.
    pub(super) fn last_number(&self) -> Option<u64> {
        self.last_number.filter(|_| self.is_active_directory)
    }

    /// The entry that describes it as a domain controller.
    pub(super) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The tree in which attributes are described.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// The tree that the entry `dn` is in.
    pub(super) fn context_of(&self, dn: &str) -> Option<&str> {
        let dn = Dn::read(dn)?;
        let holds = |context: &&String| Dn::read(context).is_some_and(|context| dn.is_within(&context));
        self.contexts.iter().filter(holds).max_by_key(|context| context.len()).map(String::as_str)
    }

    /// Notes one attribute of the root entry.
    fn note(&mut self, name: &str, values: Vec<Vec<u8>>) {
        if name.eq_ignore_ascii_case("currentTime") {
            self.time = values.first().and_then(|value| generalized(value));
        }
        let mut values = readable(values);
        if name.eq_ignore_ascii_case("supportedControl") {
            for control in values {
                self.offers_changes |= control == SYNC_REQUEST;
                self.asserts |= control == ASSERTION;
            }
        } else if name.eq_ignore_ascii_case("supportedCapabilities") {
            self.is_active_directory |= values.any(|capability| capability == ACTIVE_DIRECTORY);
        } else if name.eq_ignore_ascii_case("vendorName") || name.eq_ignore_ascii_case("vendorVersion") {
            self.is_389 |= values.any(|vendor| vendor.starts_with("389"));
        } else if name.eq_ignore_ascii_case("namingContexts") {
            self.contexts.extend(values);
        } else if name.eq_ignore_ascii_case("highestCommittedUSN") {
            self.last_number = values.next().and_then(|number| number.parse().ok());
        } else if name.eq_ignore_ascii_case("dsServiceName") {
            self.service = values.next();
        } else if name.eq_ignore_ascii_case("schemaNamingContext") {
            self.schema = values.next();
        }
    }
}

/// Was this cookie made by 389 Directory Server, whatever its root entry shows? `host:port#binddn:base:filter#number`.
pub(super) fn is_cookie_of_389(cookie: &[u8]) -> bool {
    let mut parts = cookie.split(|byte| *byte == b'#');
    let (Some(host), Some(number)) = (parts.next(), parts.next_back()) else { return false };
    let is_number = |digits: &[u8]| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // The filter in between may have a # as well.
    let port = host.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    parts.next().is_some_and(|what| what.contains(&b':')) && is_number(port) && is_number(number)
}

impl Session<'_> {
    /// What the server says of itself.
    pub(super) async fn ask_server(&mut self) -> Result<Server, Fault> {
        let root = Search { base: "", scope: Scope::Base, filter: "(objectClass=*)", attributes: &ROOT };
        let mut server = Server::default();
        let take =
            |found: Received| found.into_attributes().for_each(|(name, values)| server.note(&name, values));
        match self.search(&root, take).await {
            // It need not show that to us.
            Ok(()) | Err(Fault::Partial(Partial::Search { .. })) => Ok(server),
            Err(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_389_is_known_by_its_vendor_and_by_its_cookie() {
        let server = |name: &str, value: &str| {
            let mut server = Server { offers_changes: true, ..Server::default() };
            server.note(name, vec![value.as_bytes().to_vec()]);
            server.tells_changes()
        };
        assert!(!server("vendorname", "389 Project"));
        assert!(!server("vendorVersion", "389-Directory/2.3.1 B2025.016.1616"));
        assert!(server("vendorName", "OpenLDAP") && server("description", "389 Project"));
        let base = "ou=people,dc=example,dc=com";
        for filter in ["(uid=*)", "(cn=a#b)"] {
            let cookie = format!("ldap.example.com:636#cn=authkeys,{base}:{base}:{filter}#42");
            assert!(is_cookie_of_389(cookie.as_bytes()), "{cookie}");
        }
        let slapds = "rid=000,csn=20261128195454.105337Z#000000#000#000000";
        for cookie in [slapds, "", "#", "##", "a#b:c#1", "a:1#b#1", "a:1#b:c#", "a:1#1"] {
            assert!(!is_cookie_of_389(cookie.as_bytes()), "{cookie}");
        }
    }

    #[test]
    fn the_tree_of_an_entry_is_the_narrowest_that_holds_it() {
        let mut server = Server::default();
        let trees = ["DC=example,DC=com", "CN=Configuration,DC=example,DC=com", "DC=example,DC=org"];
        server.note("namingContexts", trees.map(|tree| tree.as_bytes().to_vec()).into());
        assert_eq!(server.context_of("cn=g, dc=EXAMPLE,dc=com"), Some("DC=example,DC=com"));
        assert_eq!(server.context_of("cn=g,cn=configuration,dc=example,dc=com"), Some(trees[1]));
        assert_eq!(server.context_of("cn=g,dc=example,dc=net"), None);
    }
}
