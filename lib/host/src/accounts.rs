//! What an account can do on this host: its uid and its root-conferring groups.
//!
//! Membership is read from /etc/group, so that a login never waits for a directory: sudoers rules
//! name local groups, and sudo itself is guarded whoever calls it.

use nix::unistd::{Uid, User};
use policy::Facts;

/// The effect of `account`, of which `groups` are the names that confer root.
///
/// Where /etc/group cannot be read, membership cannot be told, and every group is assumed: a fault
/// must not make a guarded account an ordinary one.
pub fn facts(account: &str, groups: &[String]) -> Facts {
    let user = User::from_name(account).ok().flatten();
    let gid = user.as_ref().map(|user| user.gid.as_raw());
    let root_groups = match std::fs::read_to_string("/etc/group") {
        Ok(table) => memberships(&table, account, gid, groups),
        Err(_) => groups.to_vec(),
    };
    Facts { uid: user.map(|user| user.uid.as_raw()), root_groups }
}

/// The name that belongs to a uid.
pub fn name_of(uid: Uid) -> Option<String> {
    User::from_uid(uid).ok().flatten().map(|user| user.name)
}

/// Which of `wanted` list `account` as a member, or have its primary `gid`; group(5).
fn memberships(table: &str, account: &str, gid: Option<u32>, wanted: &[String]) -> Vec<String> {
    let belongs = |line: &str| -> Option<String> {
        let mut fields = line.split(':');
        let (name, _, number, members) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let group = wanted.iter().find(|group| *group == name)?;
        let primary = gid.is_some() && number.parse().ok() == gid;
        (primary || members.split(',').any(|member| member == account)).then(|| group.clone())
    };
    table.lines().filter_map(belongs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_as_primary_or_by_its_list_of_members() {
        let table = "root:x:0:\nsudo:x:27:eve,adam\nwheel:x:10:\nusers:x:100:adam\nbroken\n";
        let wanted = ["sudo".to_string(), "wheel".to_string()];
        assert_eq!(memberships(table, "adam", Some(1000), &wanted), ["sudo"]);
        assert_eq!(memberships(table, "dave", Some(10), &wanted), ["wheel"]);
        assert_eq!(memberships(table, "ada", Some(100), &wanted), [""; 0]);
        assert_eq!(memberships(table, "dave", None, &wanted), [""; 0]);
    }

    #[test]
    fn root_is_uid_zero() {
        assert_eq!(facts("root", &[]).uid, Some(0));
        assert_eq!(facts("no such account", &[]), Facts::default());
    }
}
