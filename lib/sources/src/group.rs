//! `ldap-group`: a group in the directory, whose members are on call as long as they are in it: what Deputize and others write.
//!
//! Nothing tells since when somebody is a member, or until when. So each sync makes of it that its members are on call, since
//! ever and for ever as far as this host knows, until the next one says otherwise; and how old that may be, ages limit.

use host::config::LdapGroup;
use ldap::Deadline;
use policy::{Principal, Window};

use super::gather::{Bound, Description, Gather, Named, Row};
use super::pages::Whole;
use super::{Answer, Provider, ProviderError, User};

/// What rules name the one schedule of a group by, where `schedules` says nothing else.
pub const SCHEDULE: &str = "group";

/// A group.
pub struct Group<'a> {
    settings: &'a LdapGroup,
    schedules: &'a [String],
}

impl<'a> Group<'a> {
    /// The group in `settings`, as the one schedule that is `wanted`.
    pub fn new(settings: &'a LdapGroup, wanted: &'a [String]) -> Self {
        Self { settings, schedules: wanted }
    }
}

impl Provider for Group<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let ldap = &self.settings.ldap;
        // The settings that it names have the same names in a source.
        let failed = |error: ldap::DirectoryError| {
            ProviderError::source(&error.to_string().replace("[directory] ", ""))
        };
        let members = ldap::group_members(ldap, Deadline::new(ldap.timeout)).map_err(failed)?;
        let dn = self.settings.dn();
        let id = self.schedules.first().map_or(SCHEDULE, String::as_str).to_string();
        let mut gather = Gather::new(window, 1);
        for name in &members.twice {
            gather.note(format!("{name} in {dn} is a name that several entries have, and nobody's"));
        }
        if let Some(first) = members.unfollowed.first() {
            let text = host::config::unfollowed_groups(dn, members.unfollowed.len(), first);
            gather.note(text.replace("are not eligible", "are not on call"));
        }
        let rows = members.people.into_keys().map(row).collect();
        gather.take(Named { wanted: id.clone(), id, name: dn.to_string() }, Whole::at_once(rows));
        Ok(gather.finish())
    }
}

fn row(person: Principal) -> Row {
    let id = person.as_str().to_string();
    let user = User { id: id.clone(), mail: None, principal: Some(id), label: None, disputed: None };
    Row { person: Description { user, whole: true }, level: 1, start: Bound::Never, end: Bound::Never }
}
