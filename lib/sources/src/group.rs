//! `ldap-group`: a group in the directory, whose members are on call as long as they are in it: what Deputize and others write.
//!
//! Nothing tells since when somebody is a member, or until when. So each sync makes of it that its members are on call, since
//! ever and for ever as far as this host knows, until the next one says otherwise; and how old that may be, ages limit.

use host::config::LdapGroup;
use ldap::{Deadline, GroupMembers};
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
        check_whole(&members, dn)?;
        let id = self.schedules.first().map_or(SCHEDULE, String::as_str).to_string();
        let mut gather = Gather::new(window, 1);
        for name in &members.twice {
            gather.note(format!("{name} in {dn} is a name that several entries have, and nobody's"));
        }
        if let Some(first) = members.unfollowed.first() {
            let text = host::config::unfollowed_groups(dn, members.unfollowed.len(), first);
            gather.note(text.replace("are not eligible", "are not on call"));
        }
        if let Some(first) = members.unseen.first() {
            let count = members.unseen.len();
            gather.note(format!(
                "{count} members of {dn} are no people that are shown, and count for nobody; the first is {first}"
            ));
        }
        let rows = members.people.into_keys().map(row).collect();
        gather.take(Named { wanted: id.clone(), id, name: dn.to_string() }, Whole::at_once(rows));
        Ok(gather.finish())
    }
}

/// Is it known of all groups in the group `dn` who is in them? Whoever is missing would go off call.
fn check_whole(members: &GroupMembers, dn: &str) -> Result<(), ProviderError> {
    if let Some(first) = members.empty.first() {
        let count = members.empty.len();
        return Err(ProviderError::incomplete(&format!(
            "{count} groups in {dn} show no member, so they have none or hide them; let the bind DN read `member`, or take them out of it; the first is {first}"
        )));
    }
    if members.unasked > 0 {
        let count = members.unasked;
        return Err(ProviderError::incomplete(&format!(
            "{count} members of {dn} and its inner groups were not looked up, after 50 in a row that do not exist or are hidden, and may be groups; take those out that are gone, or let the bind DN read `objectClass`"
        )));
    }
    Ok(())
}

fn row(person: Principal) -> Row {
    let id = person.as_str().to_string();
    let user = User { id: id.clone(), mail: None, principal: Some(id), label: None, disputed: None };
    Row { person: Description { user, whole: true }, level: 1, start: Bound::Never, end: Bound::Never }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_have_more_members_is_not_known() {
        let dn = "cn=oncall,dc=x";
        let said = |members: &GroupMembers| check_whole(members, dn).map_err(|error| error.to_string());
        assert_eq!(said(&GroupMembers::default()), Ok(()));
        let hidden = GroupMembers { empty: vec!["cn=db,dc=x".to_string()], ..GroupMembers::default() };
        let error = said(&hidden).unwrap_err();
        assert!(error.starts_with("source-incomplete: 1 groups in cn=oncall,dc=x show no member"), "{error}");
        assert!(error.contains("the first is cn=db,dc=x"), "{error}");
        let error = said(&GroupMembers { unasked: 7, ..GroupMembers::default() }).unwrap_err();
        assert!(error.starts_with("source-incomplete: 7 members of cn=oncall,dc=x"), "{error}");
    }
}
