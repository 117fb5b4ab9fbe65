//! The published file: which groups are served now, and who is in them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use policy::{Groups, Proven, PublishedGroup, PublishedGroups, Rules, Timestamp};
use trust::Owner;

/// Written by `oncall-cache sync`. Fixed: every process reads it, and none of them has our configuration.
const PUBLISHED: &str = "/var/lib/oncall-cache/group";

/// The host's own groups, which come first: what is there is never served from here.
const LOCAL: &str = "/etc/group";

/// The largest /etc/group that is searched, in bytes.
const LARGEST_LOCAL: u64 = 64 * 1024 * 1024;

/// Why a group is not served.
#[derive(Debug, PartialEq, Eq)]
pub enum Absent {
    /// There is no such group of ours.
    NotOurs,
    /// It is not known who is in it.
    Unknown,
}

/// The file, read at this second.
pub struct Published {
    text: Vec<u8>,
    now: Timestamp,
    proven: Option<Proven>,
}

impl Published {
    /// Reads it; nothing, where it is not there or others could have written it.
    pub fn read() -> Option<Self> {
        let text = trust::read(Path::new(PUBLISHED), Owner::Service, Groups::LARGEST as u64).ok()?;
        Some(Self { text, now: clock::now(), proven: clock::proven(Path::new(PUBLISHED)) })
    }

    /// Its groups; nothing, where any of it is not as we write it, or the clock is behind it.
    pub fn groups(&self) -> Option<PublishedGroups<'_>> {
        let groups = PublishedGroups::parse(std::str::from_utf8(&self.text).ok()?)?;
        let floor = clock::floor(groups.published(), self.proven.as_ref(), self.now);
        (floor <= self.now.plus(Rules::SKEW)).then_some(groups)
    }

    /// Is it known who is in `group` at this second?
    pub fn knows(&self, group: &PublishedGroup<'_>) -> bool {
        group.members_at(self.now).is_some()
    }

    /// The members of `group` at this second.
    pub fn members<'a>(
        &self,
        group: &PublishedGroup<'a>,
    ) -> Result<impl Iterator<Item = &'a str> + Clone + use<'a>, Absent> {
        let members = group.members_at(self.now).ok_or(Absent::Unknown)?;
        match is_local(group) {
            Some(false) => Ok(members),
            Some(true) => Err(Absent::NotOurs),
            None => Err(Absent::Unknown),
        }
    }

    /// Is `user` a member of `group` at this second?
    pub fn has(&self, group: &PublishedGroup<'_>, user: &[u8]) -> Result<bool, Absent> {
        let mut members = group.members_at(self.now).ok_or(Absent::Unknown)?;
        // Most users are in none, and then nobody needs to know what the host has.
        Ok(members.any(|member| member.as_bytes() == user) && self.members(group).map(|_| true)?)
    }
}

/// Has this host a group of that name or number already (P27)? Nothing, where that cannot be told.
fn is_local(group: &PublishedGroup<'_>) -> Option<bool> {
    let mut table = Vec::new();
    // `read_to_end` asks for memory in a way that may fail.
    File::open(LOCAL).ok()?.take(LARGEST_LOCAL).read_to_end(&mut table).ok()?;
    let whole = (table.len() as u64) < LARGEST_LOCAL;
    whole.then(|| has(&table, group.name, group.gid.get()))
}

/// Has one line of group(5) this name, or this number?
fn has(table: &[u8], name: &str, gid: u32) -> bool {
    table.split(|&byte| byte == b'\n').any(|line| {
        let mut fields = line.trim_ascii_start().split(|&byte| byte == b':');
        let own = fields.next() == Some(name.as_bytes());
        let number = fields.nth(1).and_then(|field| std::str::from_utf8(field).ok()?.trim().parse().ok());
        own || number == Some(gid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_the_file_is_refused_or_names_groups_that_may_be_served() {
        let good = b"oncall-groups 1 50 2\noncall:9100:2000:alice@100..200,bob@-9..9223372036854775807\nweb:9101:9:\n";
        let words = [
            "oncall-groups 1 50 1\n",
            ":27:",
            ":4294967295:",
            "@",
            "..",
            ",",
            ":",
            "\n",
            "\0",
            "..9",
            "alice@1..2",
        ];
        mutate::each(&[good], &words, 20_000, |text| {
            let published = Published { text: text.to_vec(), now: Timestamp::from_unix(150), proven: None };
            for group in published.groups().iter().flat_map(|groups| groups.iter()) {
                assert!(
                    policy::GroupName::new(group.name).is_ok() && policy::Gid::new(group.gid.get()).is_some()
                );
                let members = group.members_at(published.now);
                assert!(members.into_iter().flatten().all(policy::is_account));
            }
        });
    }

    #[test]
    fn a55_what_the_host_has_is_recognised_by_name_and_by_number() {
        let table = b"root:x:0:\nsudo:x:27:eve\n\xff:x:9200:\n  oncall:x:9300:\nx:x: 09400:\nbroken\n";
        for (name, gid, local) in [
            ("sudo", 9100, true),
            ("y", 27, true),
            ("y", 9200, true),
            ("oncall", 9100, true),
            ("y", 9400, true),
            ("y", 9100, false),
            ("broken", 9100, true),
            ("sud", 9100, false),
        ] {
            assert_eq!(has(table, name, gid), local, "{name} {gid}");
        }
    }
}
