//! Groups in the eligible group: what the directory's sync noted of them.

use host::Config;
use host::config::{Directory, empty_groups, unfollowed_groups};
use store::keys::noted_groups;

/// What there is to say of groups in the eligible group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InnerGroups {
    /// Some are not followed.
    Unfollowed(String),
    /// Some are followed and show no member.
    Empty(String),
}

impl InnerGroups {
    /// As far as the last sync has seen some, and we may know.
    pub fn noted(config: &Config) -> Option<Self> {
        let Some(Directory::Ldap(ldap)) = &config.directory else { return None };
        let eligible = ldap.eligible_group.as_ref()?;
        let groups = noted_groups(&config.paths.keys);
        if ldap.nested_groups {
            let first = groups.empty.first()?;
            return Some(Self::Empty(empty_groups(eligible, groups.empty.len(), first)));
        }
        let first = groups.unfollowed.first()?;
        Some(Self::Unfollowed(unfollowed_groups(eligible, groups.unfollowed.len(), first)))
    }

    /// The same in words.
    pub fn into_text(self) -> String {
        let (Self::Unfollowed(text) | Self::Empty(text)) = self;
        text
    }
}
