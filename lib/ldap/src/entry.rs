//! One person as a directory describes them, before anything of it is checked.
//!
//! LDAP and `people.toml` both end here; what follows is the same for both.

use policy::Timestamp;

/// One entry, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What stays the same when the person is renamed: LDAP's entryUUID, or the name in a file.
    pub id: String,
    /// Where it is in the directory; empty in a file.
    pub dn: String,
    /// Why it is nobody whatever it says, if so; it has no names then.
    pub nobody: Option<&'static str>,
    /// Every value of the user name attribute.
    pub names: Vec<String>,
    /// Every mail address.
    pub mails: Vec<String>,
    /// Every value of the key attribute, as bytes: a value may be anything.
    pub keys: Vec<Vec<u8>>,
    /// Does the directory let this person ever become root?
    pub eligible: bool,
    /// Why the directory calls the account disabled, if it does.
    pub disabled: Option<String>,
    /// The instant before which the account may not be used.
    pub begins: Option<Timestamp>,
    /// The instant from which the account is expired.
    pub expires: Option<Timestamp>,
}

/// The most mail addresses and user names of one entry that are looked at. People have a handful; people who may write their
/// own entry must not make the copy larger than its readers take.
pub const MOST_VALUES: usize = 64;
