//! What a server says of itself: its root entry (RFC 4512, 5.1).
//!
//! Asked first, because a request that a server does not know is not always refused in a way that can be read: Active
//! Directory and Samba (measured: 4.17.12) answer a search with an unknown critical control by an ExtendedResponse under
//! the search's own message id, which no parser of searches expects.

use ldap3::Scope;

use super::person::{attributes, readable};
use super::{Fault, Search, Session};

/// What is asked of the root entry.
const ROOT: [&str; 2] = ["supportedControl", "supportedCapabilities"];

/// RFC 4533's request for changes.
const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";

/// LDAP_CAP_ACTIVE_DIRECTORY_OID ([MS-ADTS] 3.1.1.3.4.3), which Samba claims too.
const ACTIVE_DIRECTORY: &str = "1.2.840.113556.1.4.800";

/// A server, as its root entry describes it. One that shows nothing is taken to offer nothing: then everybody is
/// fetched page by page, which every server can do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Server {
    tells_changes: bool,
    is_active_directory: bool,
}

impl Server {
    /// Does it offer RFC 4533?
    pub(super) fn tells_changes(&self) -> bool {
        self.tells_changes
    }

    /// Is it Active Directory, or a server that works like it?
    pub(super) fn is_active_directory(&self) -> bool {
        self.is_active_directory
    }

    /// Notes one attribute of the root entry.
    fn note(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let mut values = readable(values);
        if name.eq_ignore_ascii_case("supportedControl") {
            self.tells_changes |= values.any(|control| control == SYNC_REQUEST);
        } else if name.eq_ignore_ascii_case("supportedCapabilities") {
            self.is_active_directory |= values.any(|capability| capability == ACTIVE_DIRECTORY);
        }
    }
}

impl Session<'_> {
    /// What the server says of itself.
    pub(super) async fn ask_server(&mut self) -> Result<Server, Fault> {
        let root = Search { base: "", scope: Scope::Base, filter: "(objectClass=*)", attributes: &ROOT };
        let mut server = Server::default();
        let take = |found| attributes(found).for_each(|(name, values)| server.note(&name, values));
        match self.search(&root, take).await {
            // It need not show that to us.
            Ok(()) | Err(Fault::Partial { .. }) => Ok(server),
            Err(fault) => Err(fault),
        }
    }
}
