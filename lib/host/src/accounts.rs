//! What an account can do on this host: its uid and its root-conferring groups.
//!
//! Membership is read from /etc/group, so that a login never waits for a directory: sudoers rules
//! name local groups, and sudo is guarded for every caller.

use std::ffi::{CString, NulError};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Uid, User, geteuid, getuid, initgroups, setgid, setuid};
use policy::{Facts, Timestamp};

/// The effect of `account`, of which `groups` are the names that confer root.
///
/// Where the user database or /etc/group cannot be read, membership cannot be told, and every group is
/// assumed: a fault must not make a guarded account an ordinary one.
pub fn facts(account: &str, groups: &[String]) -> Facts {
    look_up(account, groups).1
}

/// The same, with what this host calls the account: `account` where it does not know it.
///
/// The two differ where name services find accounts by other spellings too (sssd-ad(5): without regard to case). sshd
/// and su tell PAM the name as it was typed, and give the session the uid, groups and keys of the one that was found.
pub fn look_up(account: &str, groups: &[String]) -> (String, Facts) {
    let (Ok(user), Ok(table)) = (User::from_name(account), std::fs::read("/etc/group")) else {
        return (account.to_string(), Facts { uid: None, root_groups: groups.to_vec() });
    };
    let (uid, gid) = user.as_ref().map(|user| (user.uid.as_raw(), user.gid.as_raw())).unzip();
    let name = user.map_or_else(|| account.to_string(), |user| user.name);
    let root_groups = memberships(&table, &name, gid, groups);
    (name, Facts { uid, root_groups })
}

/// The same by the text of /etc/passwd and /etc/group alone, for programs that cannot load the host's name
/// services. `None`: that text does not tell, because the account is not in it, or not just once, or its line
/// is damaged.
pub fn facts_in(passwd: &[u8], group: &[u8], account: &str, groups: &[String]) -> Option<Facts> {
    let mut own = passwd
        .split(|&byte| byte == b'\n')
        .filter(|line| line.strip_prefix(account.as_bytes()).is_some_and(|rest| rest.starts_with(b":")));
    let (line, None) = (own.next()?, own.next()) else { return None };
    let (uid, gid) = parse_numbers(line)?;
    Some(Facts { uid: Some(uid), root_groups: memberships(group, account, Some(gid), groups) })
}

/// Does this text of passwd(5) have a line of `account`, whatever else is in it?
pub fn lists(passwd: &[u8], account: &str) -> bool {
    passwd
        .split(|&byte| byte == b'\n')
        .any(|line| line.strip_prefix(account.as_bytes()).is_some_and(|rest| rest.starts_with(b":")))
}

/// uid and gid of one line of passwd(5).
fn parse_numbers(line: &[u8]) -> Option<(u32, u32)> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
    let [_, _, uid, gid, _, _, _] = fields.as_slice() else { return None };
    let number = |field: &[u8]| {
        let digits = std::str::from_utf8(field).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        digits?.parse().ok()
    };
    Some((number(uid)?, number(gid)?))
}

/// Does this host know that the password of `account` need not be changed before anything else? Only of accounts in
/// /etc/shadow.
///
/// sshd runs passwd(1) for an account whose password is over, on a terminal and before it looks at what PAM's session
/// said (session.c, do_child; pam_acct_mgmt's PAM_NEW_AUTHTOK_REQD).
pub fn password_is_current(account: &str, now: Timestamp) -> bool {
    std::fs::read("/etc/shadow").is_ok_and(|shadow| is_current(&shadow, account, now))
}

/// The same by the text of shadow(5), as pam_unix judges it.
fn is_current(shadow: &[u8], account: &str, now: Timestamp) -> bool {
    let mut own = shadow
        .split(|&byte| byte == b'\n')
        .filter(|line| line.strip_prefix(account.as_bytes()).is_some_and(|rest| rest.starts_with(b":")));
    let (Some(line), None) = (own.next(), own.next()) else { return false };
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut fields = line.split(':').skip(2);
    let (changed, most) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
    let today = now.unix().div_euclid(86_400);
    match (changed.parse::<i64>(), most.parse::<i64>()) {
        (Ok(changed), Ok(most)) => changed > 0 && today - changed <= most,
        (Ok(changed), Err(_)) => changed > 0 && most.is_empty(),
        // Without a day of its last change it never ages.
        (Err(_), _) => changed.is_empty(),
    }
}

/// The uid of a user; `None`: this host knows none of that name.
///
/// # Errors
/// Name services do not answer.
pub fn uid_of(name: &str) -> Result<Option<u32>, Errno> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// The name that belongs to a uid.
pub fn name_of(uid: Uid) -> Option<String> {
    User::from_uid(uid).ok().flatten().map(|user| user.name)
}

/// May this process write what is root's?
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Who is at the keyboard, for the record: the user who logged in, as the kernel remembers it through sudo and su;
/// where it does not, the real user. Never what the environment says.
pub fn operator() -> String {
    let logged_in = std::fs::read_to_string("/proc/self/loginuid").ok();
    let unset = u32::MAX;
    let uid = logged_in.and_then(|text| text.trim().parse().ok()).filter(|&uid: &u32| uid != unset);
    let uid = uid.map_or_else(getuid, Uid::from_raw);
    let name = name_of(uid).filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()));
    name.unwrap_or_else(|| format!("uid={uid}"))
}

/// Why this process could not become the owner of a directory.
#[derive(Debug)]
pub struct OwnerError {
    directory: PathBuf,
    why: NotOwner,
}

#[derive(Debug)]
enum NotOwner {
    /// The directory cannot be looked at.
    Unseen(io::Error),
    /// No user has this number.
    NoUser(u32),
    /// The user's name cannot be passed on.
    Name(NulError),
    /// The system refused.
    Change(Errno),
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.directory.display())?;
        match &self.why {
            NotOwner::Unseen(error) => write!(f, "cannot be looked at: {error}"),
            NotOwner::NoUser(uid) => write!(f, "no user has the uid {uid} that owns it"),
            NotOwner::Name(error) => write!(f, "the name of its owner cannot be used: {error}"),
            NotOwner::Change(error) => write!(f, "cannot become its owner: {error}"),
        }
    }
}

impl std::error::Error for OwnerError {}

/// Gives up root for the user that `directory` belongs to, so that a sync which root runs by hand works as
/// the timer's does: the owner of a directory can exchange what root is about to write in it.
///
/// # Errors
/// The owner is not known, or the system refuses.
pub fn become_owner_of(directory: &Path) -> Result<(), OwnerError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let failed = |why| OwnerError { directory: directory.to_path_buf(), why };
    let metadata = std::fs::symlink_metadata(directory).map_err(|error| failed(NotOwner::Unseen(error)))?;
    let owner = metadata.uid();
    if owner == 0 {
        return Ok(());
    }
    let user = User::from_uid(Uid::from_raw(owner)).ok().flatten();
    let user = user.ok_or_else(|| failed(NotOwner::NoUser(owner)))?;
    let name = CString::new(user.name.as_str()).map_err(|error| failed(NotOwner::Name(error)))?;
    initgroups(&name, user.gid)
        .and_then(|()| setgid(user.gid))
        .and_then(|()| setuid(user.uid))
        .map_err(|error| failed(NotOwner::Change(error)))
}

/// One line of group(5), as bytes: other people's group names may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its number.
    pub gid: u32,
    members: &'a [u8],
}

impl<'a> Group<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b':');
        let (name, _, gid, members) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Self { name, gid: std::str::from_utf8(gid).ok()?.trim().parse().ok()?, members })
    }

    /// Whom it lists.
    pub fn members(&self) -> impl Iterator<Item = &'a [u8]> {
        let members = self.members.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        members.filter(|member| !member.is_empty())
    }
}

/// The lines of this text of group(5) that are understood: the one reader of that file, but for libnss_oncall's, which
/// is in every process.
pub fn groups(table: &[u8]) -> impl Iterator<Item = Group<'_>> {
    table.split(|&byte| byte == b'\n').filter_map(Group::parse)
}

/// Which of `wanted` have `account` as a member: by the list of any group with the same number, as the
/// kernel sees it, or by the account's primary `gid`.
fn memberships(table: &[u8], account: &str, gid: Option<u32>, wanted: &[String]) -> Vec<String> {
    let groups: Vec<Group<'_>> = groups(table).collect();
    let lists = |group: &Group<'_>| group.members().any(|member| member == account.as_bytes());
    let effective =
        |number: u32| gid == Some(number) || groups.iter().any(|group| group.gid == number && lists(group));
    let confers =
        |name: &&String| groups.iter().any(|group| group.name == name.as_bytes() && effective(group.gid));
    wanted.iter().filter(confers).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_as_primary_or_by_its_list_of_members() {
        let table = b"root:x:0:\nsudo:x:27:eve, adam\nwheel:x:10:\nusers:x:100:adam\nbroken\ncaf\xe9:x:5001:\nadmins:x:27:zoe\n";
        let wanted = ["sudo".to_string(), "wheel".to_string()];
        assert_eq!(memberships(table, "adam", Some(1000), &wanted), ["sudo"]);
        assert_eq!(memberships(table, "dave", Some(10), &wanted), ["wheel"]);
        assert_eq!(memberships(table, "ada", Some(100), &wanted), [""; 0]);
        assert_eq!(memberships(table, "dave", None, &wanted), [""; 0]);
        // Another name for the same number confers the same.
        assert_eq!(memberships(table, "zoe", Some(100), &wanted), ["sudo"]);
    }

    #[test]
    fn a_password_is_current_where_shadow_says_so_and_nowhere_else() {
        let shadow = b"fine:!:20000:0:99999:7:::\nnew:!:0:0:99999:7:::\nold:!:20000:0:90:7:::\nnever:!::::::\nodd:!:x:0:9:7:::\n\
            bare:!:20000::::::\nminus:!:20000:0:-1:7:::\ntwin:!:20000:0:9:7:::\ntwin:!:0:0:9:7:::\ncut:!";
        let now = Timestamp::from_unix(20_091 * 86_400);
        for (account, expected) in [
            ("fine", true),
            ("never", true),
            ("bare", true),
            ("new", false),
            ("old", false),
            ("odd", false),
            ("minus", false),
            ("twin", false),
            ("nobody", false),
        ] {
            assert_eq!(is_current(shadow, account, now), expected, "{account}");
        }
        assert!(is_current(shadow, "old", Timestamp::from_unix(20_090 * 86_400)));
    }

    #[test]
    fn the_text_of_passwd_tells_or_it_does_not() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\nadam:x:1000:100:\xe9:/home:/bin/sh\ndave:x:1001:27::/:/bin/sh\ntwin:x:1002:100::/:/bin/sh\ntwin:x:0:0::/:/bin/sh\nminus:x:-1:100::/:/bin/sh\nplus:x:+0:100::/:/bin/sh\nhuge:x:4294967296:100::/:/bin/sh\nshort:x:1003:100\nempty:x::100::/:/bin/sh\n+::::::\neve:x:1004:100::/:/bin/sh";
        let group = b"sudo:x:27:adam\nusers:x:100:\n";
        let wanted = ["sudo".to_string(), "wheel".to_string()];
        let facts = |account: &str| facts_in(passwd, group, account, &wanted);
        let told = |account: &str| facts(account).map(|facts| (facts.uid, facts.root_groups.join(",")));
        assert_eq!(told("root"), Some((Some(0), String::new())));
        assert_eq!(told("toor"), Some((Some(0), String::new())));
        assert_eq!(told("adam"), Some((Some(1000), "sudo".to_string())));
        assert_eq!(told("dave"), Some((Some(1001), "sudo".to_string())), "by its primary group");
        assert_eq!(told("eve"), Some((Some(1004), String::new())), "without a line break at the end");
        for unknown in ["ada", "twin", "minus", "plus", "huge", "short", "empty", "x", "+", ""] {
            assert_eq!(facts(unknown), None, "{unknown}");
        }
        assert!(["root", "twin", "short", "eve", "+"].iter().all(|account| lists(passwd, account)));
        assert!(!["roo", "ada", "x", "roo:", ""].iter().any(|account| lists(passwd, account)));
        assert_eq!(facts_in(b"", b"", "root", &wanted), None);
    }

    #[test]
    fn root_is_uid_zero() {
        assert_eq!(facts("root", &[]).uid, Some(0));
        assert_eq!(facts("no such account", &[]), Facts::default());
    }
}
