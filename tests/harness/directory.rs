//! A directory server on a private machine, by what its administrator does in it.
//!
//! tests/directories.rs makes the same changes in each kind of server, each in that server's own terms, and asks after
//! each whether the copy is what a full read would be.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::Suite;
use crate::slapd::base64;

/// How an account ends without its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// An administrator switched it off.
    Disabled,
    /// It is locked: after wrong passwords, or by whatever else the server calls so.
    Locked,
    /// Its time is over.
    Expired,
}

/// A member of a group.
#[derive(Debug, Clone, Copy)]
pub enum Member<'a> {
    /// A person, by name.
    Person(&'a str),
    /// Another group, by name.
    Group(&'a str),
}

/// A real server. People and groups go by their names; it knows where it put them.
pub trait Directory {
    /// Writes the files that [`Directory::section`] names to /etc/authkeys of the suite's machine.
    fn hand_out(&self, suite: &Suite);

    /// `[directory]` and the tables below it, as config.toml has them for this server: with [`ELIGIBLE`] as the
    /// eligible group, and a filter that [`Directory::leave_filter`] can lead out of. No [keys].
    fn section(&self) -> String;

    /// Adds a person. Nobody is in any group at first.
    fn add(&self, name: &str, keys: &[&str]);

    /// Makes exactly these the keys of a person.
    fn set_keys(&self, name: &str, keys: &[&str]);

    /// Gives a person another name, in the DN too.
    fn rename(&self, from: &str, to: &str);

    /// Moves a person to another unit below the base.
    fn relocate(&self, name: &str);

    /// Do groups follow members who are renamed or moved, and lose those who are deleted?
    fn groups_follow(&self) -> bool;

    /// Closes an account in this way; says whether that means that its keys open nothing any more (a lock after wrong
    /// passwords does not).
    fn close(&self, name: &str, how: Closing) -> bool;

    /// Removes a person.
    fn delete(&self, name: &str);

    /// Makes a group with these members; [`ELIGIBLE`] is there from the start.
    fn add_group(&self, group: &str, members: &[Member<'_>]);

    /// Adds a member to a group.
    fn give(&self, group: &str, member: Member<'_>);

    /// Takes a member out of a group.
    fn take(&self, group: &str, member: Member<'_>);

    /// Removes a group that is a member of no other group, or of [`ELIGIBLE`], which may go on naming it.
    fn delete_group(&self, group: &str);

    /// Changes a person so that the filter does not find them any more.
    fn leave_filter(&self, name: &str);

    /// Ends the server as an outage does, and starts it again with all that was in it.
    fn restart(&self);

    /// Keeps what it holds, for [`Directory::restore`]. It runs before and after.
    fn back_up(&self);

    /// Puts the last backup in place of what it holds. It runs before and after.
    fn restore(&self);

    /// Lets a search that is not paged find at most so many entries.
    fn limit(&self, entries: u32);

    /// Puts another server in its place: the same address and people, who have other ids there.
    fn exchange(&self);
}

/// The group of those who may ever become root.
pub const ELIGIBLE: &str = "root-eligible";

/// Where people and groups are in a tree of RFC 4519, and the LDIF that changes them.
pub struct Tree {
    /// The whole tree.
    suffix: &'static str,
    /// The class of people that may have keys, and what the attribute is called.
    class: &'static str,
    keys: &'static str,
    /// Who is in a group that would have nobody in it.
    nobody: String,
    /// People by name.
    places: RefCell<BTreeMap<String, String>>,
}

impl Tree {
    /// Below `suffix`, with keys in `keys` of `class`; `nobody` is the DN that keeps groups from being empty.
    pub fn new(suffix: &'static str, class: &'static str, keys: &'static str, nobody: &str) -> Self {
        Self { suffix, class, keys, nobody: nobody.to_string(), places: RefCell::default() }
    }

    /// Units for those who are moved, and the group of eligible people.
    pub fn beginning(&self) -> String {
        let suffix = self.suffix;
        format!(
            "dn: ou=moved,ou=people,{suffix}\nchangetype: add\nobjectClass: organizationalUnit\nou: moved\n\n{}",
            self.add_group(ELIGIBLE, &[])
        )
    }

    /// The DN of a person.
    pub fn dn(&self, name: &str) -> String {
        self.places.borrow().get(name).cloned().unwrap_or_else(|| panic!("{name} is not there"))
    }

    pub fn group_dn(&self, group: &str) -> String {
        format!("cn={group},ou=groups,{}", self.suffix)
    }

    fn member_dn(&self, member: Member<'_>) -> String {
        match member {
            Member::Person(name) => self.dn(name),
            Member::Group(group) => self.group_dn(group),
        }
    }

    pub fn add(&self, name: &str, keys: &[&str]) -> String {
        let dn = format!("uid={name},ou=people,{}", self.suffix);
        let mut ldif = format!(
            "dn: {dn}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: {}\nuid: {name}\ncn: {name}\nsn: {name}\nmail: {name}@example.com\n",
            self.class
        );
        ldif += &self.values(keys);
        self.places.borrow_mut().insert(name.to_string(), dn);
        ldif + "\n"
    }

    fn values(&self, keys: &[&str]) -> String {
        keys.iter().fold(String::new(), |mut text, key| {
            let _ = writeln!(text, "{}:: {}", self.keys, base64(key.as_bytes()));
            text
        })
    }

    pub fn modify(&self, name: &str, change: &str) -> String {
        format!("dn: {}\nchangetype: modify\n{change}\n\n", self.dn(name))
    }

    pub fn set_keys(&self, name: &str, keys: &[&str]) -> String {
        self.modify(name, format!("replace: {}\n{}", self.keys, self.values(keys)).trim_end())
    }

    pub fn rename(&self, from: &str, to: &str) -> String {
        let old = self.dn(from);
        let new = old.replacen(&format!("uid={from},"), &format!("uid={to},"), 1);
        let mut places = self.places.borrow_mut();
        places.remove(from);
        places.insert(to.to_string(), new);
        format!("dn: {old}\nchangetype: modrdn\nnewrdn: uid={to}\ndeleteoldrdn: 1\n\n")
    }

    pub fn relocate(&self, name: &str) -> String {
        let (old, unit) = (self.dn(name), format!("ou=moved,ou=people,{}", self.suffix));
        self.places.borrow_mut().insert(name.to_string(), format!("uid={name},{unit}"));
        format!("dn: {old}\nchangetype: modrdn\nnewrdn: uid={name}\ndeleteoldrdn: 1\nnewsuperior: {unit}\n\n")
    }

    pub fn delete(&self, name: &str) -> String {
        let dn = self.dn(name);
        self.places.borrow_mut().remove(name);
        format!("dn: {dn}\nchangetype: delete\n\n")
    }

    pub fn add_group(&self, group: &str, members: &[Member<'_>]) -> String {
        let mut ldif = format!(
            "dn: {}\nchangetype: add\nobjectClass: groupOfNames\ncn: {group}\nmember: {}\n",
            self.group_dn(group),
            self.nobody
        );
        for member in members {
            let _ = writeln!(ldif, "member: {}", self.member_dn(*member));
        }
        ldif + "\n"
    }

    pub fn change_group(&self, group: &str, change: &str, member: Member<'_>) -> String {
        let (dn, member) = (self.group_dn(group), self.member_dn(member));
        format!("dn: {dn}\nchangetype: modify\n{change}: member\nmember: {member}\n\n")
    }

    pub fn delete_group(&self, group: &str) -> String {
        format!("dn: {}\nchangetype: delete\n\n", self.group_dn(group))
    }

    /// Out of the class that people have.
    pub fn leave_filter(&self, name: &str) -> String {
        let (keys, class) = (self.keys, self.class);
        self.modify(name, &format!("delete: {keys}\n-\ndelete: objectClass\nobjectClass: {class}"))
    }
}
