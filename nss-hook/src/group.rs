//! The published files: which groups are served now, and who is in them.

use std::cell::OnceCell;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use policy::{Groups, Proven, PublishedGroup, PublishedGroups, Rules, Timestamp};
use trust::Owner;

/// Written by `oncall-cache sync`: which groups there are, and who of those on call is in them. Fixed: every process reads
/// it, and none of them has our configuration.
const PUBLISHED: &str = "/var/lib/oncall-cache/group";

/// Written by `oncall-grant-accept`: who is in those of them of which the sync cannot tell.
const GRANTED: &str = "/run/authkeys/granted/group";

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

/// The files, read at this second.
pub struct Published {
    text: Vec<u8>,
    /// Is the clock not behind it?
    is_timely: bool,
    /// The acceptor's, once it is needed; nothing, where it is not there, others could have written it, or the clock is
    /// behind it.
    granted: OnceCell<Option<Vec<u8>>>,
    now: Timestamp,
}

impl Published {
    /// Reads the sync's; nothing, where it is not there or others could have written it.
    pub fn read() -> Option<Self> {
        Self::new(read(PUBLISHED)?, clock::now(), clock::proven(Path::new(PUBLISHED)).as_ref())
    }

    fn new(text: Vec<u8>, now: Timestamp, proven: Option<&Proven>) -> Option<Self> {
        let is_timely = holds(clock::floor(dated(&text)?, proven, now), now);
        Some(Self { text, is_timely, granted: OnceCell::new(), now })
    }

    /// The groups that there are; nothing, where any of the sync's file is not as we write it.
    pub fn groups(&self) -> Option<PublishedGroups<'_>> {
        PublishedGroups::parse(std::str::from_utf8(&self.text).ok()?)
    }

    /// Who is in `group` at this second, if that is known: by the sync, or else by the acceptor, who can neither add a name or
    /// a number, nor a member where the sync knows them.
    fn current<'a>(
        &'a self,
        group: &PublishedGroup<'a>,
    ) -> Option<impl Iterator<Item = &'a str> + Clone + use<'a>> {
        let own = if self.is_timely { group.members_at(self.now) } else { None };
        own.or_else(|| {
            let granted = PublishedGroups::parse(std::str::from_utf8(self.granted()?).ok()?)?;
            let is_it = |other: &PublishedGroup<'_>| other.name == group.name && other.gid == group.gid;
            granted.iter().find(is_it)?.members_at(self.now)
        })
    }

    fn granted(&self) -> Option<&[u8]> {
        // On most hosts no group asks for it.
        self.granted.get_or_init(|| read(GRANTED).filter(|text| self.holds_by(text))).as_deref()
    }

    fn holds_by(&self, text: &[u8]) -> bool {
        dated(text).is_some_and(|published| holds(published, self.now))
    }

    /// Is it known who is in `group` at this second?
    pub fn knows<'a>(&'a self, group: &PublishedGroup<'a>) -> bool {
        self.current(group).is_some()
    }

    /// The members of `group` at this second.
    pub fn members<'a>(
        &'a self,
        group: &PublishedGroup<'a>,
    ) -> Result<impl Iterator<Item = &'a str> + Clone + use<'a>, Absent> {
        let members = self.current(group).ok_or(Absent::Unknown)?;
        match is_local(group) {
            Some(false) => Ok(members),
            Some(true) => Err(Absent::NotOurs),
            None => Err(Absent::Unknown),
        }
    }

    /// Is `user` a member of `group` at this second?
    pub fn has<'a>(&'a self, group: &PublishedGroup<'a>, user: &[u8]) -> Result<bool, Absent> {
        let mut members = self.current(group).ok_or(Absent::Unknown)?;
        // Most users are in none, and then nobody needs to know what the host has.
        Ok(members.any(|member| member.as_bytes() == user) && self.members(group).map(|_| true)?)
    }
}

/// The file, where only its writer could have written it.
fn read(path: &str) -> Option<Vec<u8>> {
    trust::read(Path::new(path), Owner::Service, Groups::LARGEST as u64).ok()
}

/// When it was published.
fn dated(text: &[u8]) -> Option<Timestamp> {
    PublishedGroups::published_by(std::str::from_utf8(text).ok()?)
}

/// Is a clock that shows `now` not behind this instant?
fn holds(floor: Timestamp, now: Timestamp) -> bool {
    floor <= now.plus(Rules::SKEW)
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
            for published in [published(text, None), published(DECLARED, Some(text))].iter().flatten() {
                for group in published.groups().iter().flat_map(|groups| groups.iter()) {
                    assert!(policy::GroupName::new(group.name).is_ok());
                    assert!(policy::Gid::new(group.gid.get()).is_some());
                    let members = published.current(&group);
                    assert!(members.into_iter().flatten().all(policy::is_account));
                }
            }
        });
    }

    /// alice is on call, and of `granted` the sync does not know who is in it.
    const DECLARED: &[u8] =
        b"oncall-groups 1 50 2\noncall:9100:2000:alice@100..200\ngranted:9101:-9223372036854775808:\n";

    /// At second 150.
    fn published(text: &[u8], granted: Option<&[u8]>) -> Option<Published> {
        let published = Published::new(text.to_vec(), Timestamp::from_unix(150), None)?;
        let granted = granted.map(<[u8]>::to_vec).filter(|text| published.holds_by(text));
        Some(Published { granted: OnceCell::from(granted), ..published })
    }

    /// Who is in each group.
    fn served(text: &[u8], granted: Option<&[u8]>) -> Vec<(String, u32, Option<String>)> {
        let published = published(text, granted).expect("it has a date");
        let groups = published.groups().expect("the sync's file is whole");
        let members =
            |group: &PublishedGroup<'_>| Some(published.current(group)?.collect::<Vec<_>>().join(","));
        groups.iter().map(|group| (group.name.to_string(), group.gid.get(), members(&group))).collect()
    }

    #[test]
    fn a80_the_acceptor_tells_who_has_a_grant_and_a_fault_of_its_file_takes_nothing_from_the_other() {
        let text =
            |members: &str| format!("oncall-groups 1 60 1\ngranted:9101:2000:{members}\n").into_bytes();
        for (granted, expected) in [
            (Some(text("bob@100..151")), Some("bob")),
            (Some(text("bob@100..150")), Some("")),
            (Some(text("")), Some("")),
            (None, None),
            (Some(b"?".to_vec()), None),
            (Some(b"oncall-groups 1 60 1\ngranted:9101:-5:\n".to_vec()), None),
            // The clock is behind it.
            (Some(b"oncall-groups 1 999 1\ngranted:9101:2000:bob@0..2000\n".to_vec()), None),
        ] {
            let on_call = ("oncall".to_string(), 9100, Some("alice".to_string()));
            let of_grants = ("granted".to_string(), 9101, expected.map(String::from));
            assert_eq!(served(DECLARED, granted.as_deref()), [on_call, of_grants]);
        }
        // The clock is behind the sync's: of those on call nothing is known then.
        let behind = String::from_utf8_lossy(DECLARED).replace(" 50 ", " 999 ");
        let known = served(behind.as_bytes(), Some(&text("bob@100..151")));
        assert_eq!((&known[0].2, known[1].2.as_deref()), (&None, Some("bob")));
    }

    #[test]
    fn p27_the_acceptor_adds_no_name_and_no_number_and_nobody_to_those_on_call() {
        let forged = b"oncall-groups 1 60 5\noncall:9100:2000:eve@0..999\ngranted:9200:2000:eve@0..999\n\
                       x:9101:2000:eve@0..999\nx:9100:2000:eve@0..999\ny:9300:2000:eve@0..999\n";
        let expected =
            [("oncall".to_string(), 9100, Some("alice".to_string())), ("granted".to_string(), 9101, None)];
        assert_eq!(served(DECLARED, Some(forged)), expected);
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
