//! The accounts of this host by /etc/passwd, /etc/group and /etc/shadow: who is in which group, who could give a
//! password. Users whom only a directory knows are not in it.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Facts, Rules, Timestamp};

use super::machine::{self, Stat};

/// The three tables.
#[derive(Debug, Default)]
pub struct Accounts {
    passwd: String,
    group: String,
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    shadow: BTreeMap<String, Shadow>,
}

/// A line of passwd(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
    pub shell: String,
}

/// A line of group(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// What of a line of shadow(5) matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shadow {
    has_password: bool,
    /// Days since 1970: of the last change of the password, where 0 asks for one; and from which it is expired.
    changed: Option<i64>,
    expires: Option<i64>,
    /// For how many days a password holds.
    lasts: Option<i64>,
}

impl Accounts {
    /// The tables of this machine.
    pub fn read() -> Self {
        let table = |path| machine::text(path).unwrap_or_default();
        Self::parse(table("/etc/passwd"), table("/etc/group"), &table("/etc/shadow"))
    }

    /// The same from their texts.
    pub fn parse(passwd: String, group: String, shadow: &str) -> Self {
        Self {
            users: passwd.lines().filter_map(parse_user).collect(),
            groups: host::accounts::groups(group.as_bytes()).map(Group::from).collect(),
            shadow: shadow.lines().filter_map(parse_shadow).collect(),
            passwd,
            group,
        }
    }

    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The number of a group.
    pub fn gid(&self, group: &str) -> Option<u32> {
        self.groups.iter().find(|one| one.name == group).map(|one| one.gid)
    }

    /// What a group is called, by its number; or the number.
    pub fn group_name(&self, gid: u32) -> String {
        let named = self.groups.iter().find(|group| group.gid == gid);
        named.map_or_else(|| gid.to_string(), |group| group.name.clone())
    }

    /// What a user is called, by the number; or the number.
    pub fn user_name(&self, uid: u32) -> String {
        let named = self.users.iter().find(|user| user.uid == uid);
        named.map_or_else(|| uid.to_string(), |user| user.name.clone())
    }

    /// Everybody in a group, by its list or as their primary group.
    pub fn members(&self, group: &str) -> BTreeSet<&str> {
        let Some(gid) = self.gid(group) else { return BTreeSet::new() };
        let listed = self.groups.iter().filter(|one| one.gid == gid).flat_map(|one| &one.members);
        let primary = self.users.iter().filter(|user| user.gid == gid).map(|user| &user.name);
        listed.chain(primary).map(String::as_str).collect()
    }

    /// The groups of a user, by their lists or as the primary one.
    pub fn groups_of(&self, name: &str) -> Vec<&str> {
        let names = self.groups.iter().map(|group| group.name.as_str());
        names.filter(|group| self.members(group).contains(name)).collect()
    }

    /// Would `user` be let read (for a directory: enter) what has this owner and mode?
    pub fn can_read(&self, user: &User, stat: Stat) -> bool {
        let wanted = if stat.is_directory { 0o5 } else { 0o4 };
        let in_group =
            user.gid == stat.gid || self.members(&self.group_name(stat.gid)).contains(user.name.as_str());
        let shift = if user.uid == 0 {
            return true;
        } else if user.uid == stat.uid {
            6
        } else if in_group {
            3
        } else {
            0
        };
        (stat.mode >> shift) & wanted == wanted
    }

    /// What the policy asks of an account.
    pub fn facts(&self, name: &str, rules: &Rules) -> Facts {
        let told = host::accounts::facts_in(
            self.passwd.as_bytes(),
            self.group.as_bytes(),
            name,
            &rules.privileged_groups,
        );
        told.unwrap_or_default()
    }

    /// Accounts whose logins are decided by who is on call: by their uid, their groups or their name. Those that name
    /// services have (sssd and the like) as far as /etc/group or the policy names them.
    pub fn guarded<'a>(&'a self, rules: &'a Rules) -> Vec<&'a str> {
        let is_guarded = |name: &&str| rules.guard("login", name, &self.facts(name, rules)).is_some();
        let here = self.users.iter().map(|user| user.name.as_str()).filter(is_guarded);
        let listed = rules.privileged_groups.iter().flat_map(|group| self.members(group));
        let named = rules.guarded_accounts.iter().chain(rules.shared.iter().map(|shared| &shared.account));
        let elsewhere: BTreeSet<&str> = listed
            .chain(named.map(|account| account.as_str()))
            .filter(|name| self.user(name).is_none())
            .collect();
        here.chain(elsewhere).filter(|name| !rules.exempts(name)).collect()
    }

    /// Is there a password by which the account can be entered?
    pub fn has_password(&self, name: &str) -> bool {
        self.shadow.get(name).is_some_and(|shadow| shadow.has_password)
    }

    /// Is the account's time over?
    pub fn is_expired(&self, name: &str, now: Timestamp) -> bool {
        self.shadow.get(name).and_then(|shadow| shadow.expires).is_some_and(|day| day <= today(now))
    }

    /// Is the password to be changed before anything else? pam_unix asks for that of those with a key too.
    pub fn has_to_change_password(&self, name: &str, now: Timestamp) -> bool {
        let Some(Shadow { changed: Some(changed), lasts, .. }) = self.shadow.get(name) else { return false };
        *changed == 0 || lasts.is_some_and(|days| today(now) - changed > days)
    }
}

impl User {
    /// Can it not get a shell?
    pub fn has_no_shell(&self) -> bool {
        self.shell.ends_with("/nologin") || self.shell.ends_with("/false")
    }
}

/// Days since 1970.
fn today(now: Timestamp) -> i64 {
    now.unix().div_euclid(86_400)
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(User { name: (*name).to_string(), uid, gid, home: (*home).to_string(), shell: (*shell).to_string() })
}

impl From<host::accounts::Group<'_>> for Group {
    fn from(line: host::accounts::Group<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { name: text(line.name), gid: line.gid, members: line.members().map(text).collect() }
    }
}

fn parse_shadow(line: &str) -> Option<(String, Shadow)> {
    let fields: Vec<&str> = line.split(':').collect();
    let [name, hash, ..] = fields.as_slice() else { return None };
    // An empty field and -1 ask for nothing.
    let days = |at: usize| fields.get(at).and_then(|day| day.parse().ok()).filter(|&day: &i64| day >= 0);
    // An empty field is no password at all: anybody may enter.
    let has_password = !hash.starts_with(['!', '*', 'x']);
    Some(((*name).to_string(), Shadow { has_password, changed: days(2), expires: days(7), lasts: days(4) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            "root:x:0:0::/root:/bin/sh\nalice:x:1000:100::/home/alice:/bin/sh\nbob:x:1001:27::/home/bob:/usr/sbin/nologin\nbroken\n".to_string(),
            "root:x:0:\nsudo:x:27:alice, zoe\nusers:x:100:\n".to_string(),
            "root:*:1::::::\nalice:$y$:1:::::20000:\nbob:!:1::::::\nzoe::1::::::\n",
        )
    }

    #[test]
    fn a_line_of_group_that_pam_understands_is_understood() {
        let group = "sudo:x: 27:alice:more\ncut:x:28\nnone:x:y:alice\n".to_string();
        let accounts = Accounts::parse(String::new(), group, "");
        assert_eq!(accounts.groups.len(), 1);
        assert!(accounts.members("sudo").contains("alice"));
    }

    #[test]
    fn members_are_those_listed_and_those_whose_primary_group_it_is() {
        let accounts = accounts();
        assert_eq!(accounts.members("sudo").into_iter().collect::<Vec<_>>(), ["alice", "bob", "zoe"]);
        assert_eq!(accounts.members("wheel").len(), 0);
        let rules = Rules::compiled();
        let guarded = accounts.guarded(&rules);
        assert_eq!(guarded, ["root", "alice", "bob", "zoe"], "zoe is a name service's");
    }

    #[test]
    fn passwords_and_ends_are_told() {
        let accounts = accounts();
        let told = ["root", "alice", "bob", "zoe", "nobody"].map(|name| accounts.has_password(name));
        assert_eq!(told, [false, true, false, true, false]);
        assert!(accounts.is_expired("alice", Timestamp::from_unix(20_000 * 86_400)));
        assert!(!accounts.is_expired("alice", Timestamp::from_unix(20_000 * 86_400 - 1)));
        assert!(!accounts.is_expired("bob", Timestamp::from_unix(20_000 * 86_400)));
    }

    #[test]
    fn a_password_that_is_to_be_changed_first_is_told() {
        let day = |day: i64| Timestamp::from_unix(day * 86_400);
        let accounts = Accounts::parse(
            String::new(),
            String::new(),
            "new:!:0:0:99999:7:::\nold:!:19000:0:90:7:::\nplain:!:19000:0:99999:7::-1:\nbare:!:::::::\n",
        );
        let told = |at| {
            ["new", "old", "plain", "bare", "nobody"].map(|name| accounts.has_to_change_password(name, at))
        };
        assert_eq!(told(day(19_090)), [true, false, false, false, false]);
        assert_eq!(told(day(19_091)), [true, true, false, false, false]);
        assert!(!accounts.is_expired("plain", day(19_091)), "-1 is no day");
    }

    #[test]
    fn the_first_class_that_a_user_is_in_says_what_they_may_read() {
        let accounts = accounts();
        let stat = |uid, gid, mode| Stat { uid, gid, mode, is_directory: false };
        let alice = accounts.user("alice").unwrap();
        assert!(accounts.can_read(alice, stat(0, 27, 0o640)), "by the list of sudo");
        assert!(!accounts.can_read(alice, stat(0, 0, 0o640)));
        assert!(!accounts.can_read(alice, stat(1000, 27, 0o044)), "an owner without the bit");
        assert!(!accounts.can_read(alice, Stat { is_directory: true, ..stat(0, 0, 0o754) }));
    }
}
