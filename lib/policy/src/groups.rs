//! Groups whose members are on call, or have a grant: what they are made from, and the text in which they are published.
//!
//! The text is for `libnss_oncall.so.2`, which every process loads: it has windows in place of members, so
//! that membership begins and ends at its second without anybody writing, and it is read where it lies,
//! without allocating. One group a line, like group(5):
//!
//! ```text
//! oncall-groups 1 1795165200 1
//! oncall:9100:1795251600:alice@1795165200..1795197600,bob@1795197600..1795251600
//! ```
//!
//! First the form, the instant of publication and the number of groups; then name, gid, the instant from which
//! an empty group is not known to be empty, and who is a member when. Instants are seconds since the epoch.
//!
//! There are two such files, of two writers. The sync's has all groups. Of those with a grant it does not know who is in
//! them; that is in the acceptor's, for such groups alone.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::principal::is_name;
use crate::roster_view::RosterView;
use crate::{
    Actor, Claims, Evidence, Facts, Fault, Granted, GroupName, Judge, Login, Names, Principal, Revoked,
    Roster, Rule, Rules, Timestamp, Window,
};

/// The first two words of the text: its form. A release that brings a new one reads it and writes the old one, and the
/// release after it writes the new one: see docs/architecture.md.
const FORM: &str = if cfg!(feature = "next-form-written") { NEXT } else { FIRST };

/// Another form that is read.
const ALSO: Option<&str> = match (cfg!(feature = "next-form"), cfg!(feature = "next-form-written")) {
    (true, true) => Some(FIRST),
    (true, false) => Some(NEXT),
    _ => None,
};

const FIRST: &str = "oncall-groups 1";

/// As a later release may have it, for tests of neighbours.
const NEXT: &str = "oncall-groups 2";

/// The number of a group that may be served: not root's, not the system's, not one that systemd or the kernel
/// gives a meaning to (P27).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gid(u32);

impl Gid {
    /// Accepts `gid` if a group of ours may have it. <https://systemd.io/UIDS-GIDS/> has the ranges.
    pub const fn new(gid: u32) -> Option<Self> {
        match gid {
            0..=999 | 61_184..=65_519 | 65_534 | 65_535 | u32::MAX => None,
            _ => Some(Self(gid)),
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// `[[nss.group]]`: a group, and who is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// Its name.
    pub name: GroupName,
    /// Its number.
    pub gid: Gid,
    /// Its people.
    pub people: GroupPeople,
}

/// Who is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupPeople {
    /// Those on call by `[[policy.rule]]`s of these names; `*` is all of them.
    OnCall(Vec<String>),
    /// Those with a grant in force by which sudo makes them root.
    Granted,
}

impl GroupRule {
    /// The rules whose people are in it; `None`, where it is of those with a grant.
    pub fn rules(&self) -> Option<&[String]> {
        match &self.people {
            GroupPeople::OnCall(rules) => Some(rules),
            GroupPeople::Granted => None,
        }
    }
}

/// All groups, as they are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// When: a clock that is behind it is not trusted.
    published: Timestamp,
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: GroupName,
    gid: Gid,
    known_until: Timestamp,
    /// By every name that an account of theirs has.
    members: Vec<(String, Window)>,
}

impl Groups {
    /// The largest text that is published and read, in bytes.
    pub const LARGEST: usize = 1024 * 1024;

    /// What `wanted` makes of a roster and of who is revoked. A group of those on call has exactly those members at an instant
    /// whom [`decide`](crate::decide) admits then, to anything that is guarded, by the rules that the group names. Neither
    /// mode nor exemptions have a say in it: a group tells who is on call. Who has a grant is not known here.
    pub fn new(
        wanted: &[GroupRule],
        rules: &Rules,
        roster: &Roster,
        revoked: Result<&Revoked, Fault>,
    ) -> Self {
        let group = |one: &GroupRule| match one.rules() {
            Some(names) => group(one, names, rules, roster, revoked),
            None => Group::unknown(one),
        };
        Self { published: roster.published, groups: wanted.iter().map(group).collect() }
    }

    /// `wanted` at `now`, where nothing is known of who is in them.
    pub fn unknown(wanted: &[GroupRule], now: Timestamp) -> Self {
        Self { published: now, groups: wanted.iter().map(Group::unknown).collect() }
    }

    /// Those of `wanted` that are of grants, at `now`: in each is who has one of these for root. Where it cannot be told which
    /// of them stand, it is not known who is in the group.
    pub fn of_grants(
        wanted: &[GroupRule],
        names: &Names,
        granted: Result<&[Granted], Fault>,
        now: Timestamp,
    ) -> Self {
        let into_root = granted.unwrap_or_default().iter().filter(|one| one.opens("sudo", ""));
        let mut members: Vec<_> = into_root.map(|one| (one.person.clone(), one.window)).collect();
        members.sort();
        let members = accounts(names, joined(members));
        let known_until = granted.map_or(Timestamp::MIN, |_| Timestamp::MAX);
        let group = |one: &GroupRule| Group { known_until, members: members.clone(), ..Group::unknown(one) };
        let groups = wanted.iter().filter(|one| one.rules().is_none()).map(group).collect();
        Self { published: now, groups }
    }
}

impl Group {
    /// Without anybody of whom it is known.
    fn unknown(wanted: &GroupRule) -> Self {
        let (name, gid) = (wanted.name.clone(), wanted.gid);
        Self { name, gid, known_until: Timestamp::MIN, members: Vec::new() }
    }
}

fn group(
    wanted: &GroupRule,
    counted: &[String],
    rules: &Rules,
    roster: &Roster,
    revoked: Result<&Revoked, Fault>,
) -> Group {
    let counts = |rule: &Rule| counted.iter().any(|name| name == "*" || *name == rule.name);
    // How old the fleet's list will be at an instant that has not come, nobody knows.
    let revoked = revoked.map(|revoked| revoked.clone().of_any_age());
    let revoked = revoked.as_ref().map_err(|fault| *fault);
    let evidence = Evidence { roster: Ok(roster), revoked, grants: &[], claims: Claims::NotAsked };
    let names = &rules.names;
    let rules = Rules {
        host: rules.host.clone(),
        rules: rules.rules.iter().filter(|rule| counts(rule)).cloned().collect(),
        ages: rules.ages.clone(),
        ..Rules::compiled()
    };
    let (view, judge) = (RosterView::new(&rules, roster), Judge::new(&evidence, &rules));
    let admits = |person: &Principal, window: Window| {
        // No earlier instant is trusted. Inside the window time changes the answer no more.
        let at = window.start().max(roster.floor.minus(Rules::SKEW));
        let facts = Facts::default();
        let (account, person) = (person.as_str(), Actor::Known(person));
        let login = Login { service: "sudo", account, facts: &facts, person, tty: "", place: "" };
        window.contains(at) && judge.decide(&login, at).allows()
    };
    let mut members: Vec<(Principal, Window)> = roster
        .shifts
        .iter()
        .flat_map(|shift| view.by_incidents(shift).into_iter().map(move |part| (&shift.principal, part)))
        .filter_map(|(person, part)| part.is_open().then_some((person, part.window())))
        .filter(|&(person, window)| admits(person, window))
        .map(|(person, window)| (person.clone(), window))
        .collect();
    members.sort();
    Group {
        name: wanted.name.clone(),
        gid: wanted.gid,
        known_until: revoked.map_or(Timestamp::MIN, |_| view.known_until()),
        members: accounts(names, joined(members)),
    }
}

/// By every name that an account of theirs has.
fn accounts(names: &Names, people: Vec<(Principal, Window)>) -> Vec<(String, Window)> {
    let accounts =
        |(person, window)| names.accounts(&person).into_iter().map(move |account| (account, window));
    people.into_iter().flat_map(accounts).collect()
}

/// Each person's touching and overlapping windows as one, so that nobody is in a group twice at an instant.
fn joined(sorted: Vec<(Principal, Window)>) -> Vec<(Principal, Window)> {
    let mut joined: Vec<(Principal, Window)> = Vec::with_capacity(sorted.len());
    for (person, window) in sorted {
        let last = joined.last_mut().filter(|(other, _)| *other == person);
        match last.and_then(|last| Some((last.1.join(window)?, last))) {
            Some((whole, last)) => last.1 = whole,
            None => joined.push((person, window)),
        }
    }
    joined
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORM} {} {}", self.published.unix(), self.groups.len())?;
        for Group { name, gid, known_until, members } in &self.groups {
            write!(f, "{name}:{}:{}:", gid.get(), known_until.unix())?;
            for (at, (person, window)) in members.iter().enumerate() {
                let comma = if at > 0 { "," } else { "" };
                write!(f, "{comma}{person}@{}..{}", window.start().unix(), window.end().unix())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The text of [`Groups`], read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct PublishedGroups<'a> {
    published: Timestamp,
    lines: &'a str,
}

impl<'a> PublishedGroups<'a> {
    /// Reads the text; nothing, if any of it is not as it is written.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (published, count, lines) = head(text)?;
        let whole = lines.is_empty() || lines.ends_with('\n');
        let read = Self { published, lines };
        let sound = |line| PublishedGroup::parse(line).is_some_and(|group| group.is_sound());
        (whole && lines.lines().count() == count && lines.lines().all(sound)).then_some(read)
    }

    /// When it was published: as the roster that it follows from.
    pub const fn published(&self) -> Timestamp {
        self.published
    }

    /// The same of a text, without a look at all of it.
    pub fn published_by(text: &str) -> Option<Timestamp> {
        head(text).map(|(published, ..)| published)
    }

    /// The groups, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = PublishedGroup<'a>> + use<'a> {
        self.lines.lines().filter_map(PublishedGroup::parse)
    }
}

/// When the text was published, how many groups it should have, and their lines.
fn head(text: &str) -> Option<(Timestamp, usize, &str)> {
    let (head, lines) = text.split_once('\n')?;
    let words = head.strip_prefix(FORM).or_else(|| head.strip_prefix(ALSO?))?;
    let (published, count) = words.strip_prefix(' ')?.split_once(' ')?;
    Some((instant(published)?, count.parse().ok()?, lines))
}

/// One group of the text.
#[derive(Debug, Clone, Copy)]
pub struct PublishedGroup<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub gid: Gid,
    known_until: Timestamp,
    members: &'a str,
}

impl<'a> PublishedGroup<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.splitn(4, ':');
        Some(Self {
            name: fields.next()?,
            gid: Gid::new(fields.next()?.parse().ok()?)?,
            known_until: instant(fields.next()?)?,
            members: fields.next()?,
        })
    }

    fn is_sound(&self) -> bool {
        let sound = |text| member(text).is_some_and(|(account, _)| is_account(account));
        is_name(self.name) && (self.members.is_empty() || self.members.split(',').all(sound))
    }

    /// Who is in it at `now`; `None`: that is not known.
    pub fn members_at(&self, now: Timestamp) -> Option<impl Iterator<Item = &'a str> + Clone + use<'a>> {
        let current = self.members.split(',').filter_map(member);
        let current = current.filter(move |(_, window)| window.contains(now)).map(|(person, _)| person);
        (now < self.known_until || current.clone().next().is_some()).then_some(current)
    }
}

/// Can an account be called so? Names of a joined domain have more letters than ours: `EXAMPLE\\alice`.
pub fn is_account(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b':' | b',' | b'/');
    !name.is_empty() && name.len() <= LONGEST_ACCOUNT && name.bytes().all(fits)
}

/// The longest name of an account, in bytes: a person's, and a domain's.
const LONGEST_ACCOUNT: usize = 320;

fn member(text: &str) -> Option<(&str, Window)> {
    let (person, window) = text.rsplit_once('@')?;
    let (start, end) = window.split_once("..")?;
    Some((person, Window::new(instant(start)?, instant(end)?)?))
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_unix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;

    fn text() -> String {
        let at = Timestamp::from_unix;
        let member = |name: &str, start, end| (name.to_string(), Window::new(at(start), at(end)).unwrap());
        let group = |name: &str, gid, members| Group {
            name: GroupName::new(name).unwrap(),
            gid: Gid::new(gid).unwrap(),
            known_until: at(2000),
            members,
        };
        let members = vec![
            member("alice", 100, 200),
            member("alice", 250, 300),
            member("bob", i64::MIN, 100),
            member("carol", -5, i64::MAX),
        ];
        let groups = vec![group("oncall", 9100, members), group("nobody-yet", 9101, vec![])];
        Groups { published: at(50), groups }.to_string()
    }

    fn members(text: &str, group: usize, second: i64) -> Option<Vec<&str>> {
        let groups = PublishedGroups::parse(text).unwrap();
        let members = groups.iter().nth(group).unwrap().members_at(Timestamp::from_unix(second));
        members.map(Iterator::collect)
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = text();
        assert!(
            text.starts_with("oncall-groups 1 50 2\noncall:9100:2000:alice@100..200,alice@250..300,bob@-9")
        );
        let groups = PublishedGroups::parse(&text).unwrap();
        let named: Vec<(&str, u32)> = groups.iter().map(|group| (group.name, group.gid.get())).collect();
        assert_eq!(named, [("oncall", 9100), ("nobody-yet", 9101)]);
        assert_eq!(groups.published(), Timestamp::from_unix(50));
    }

    #[test]
    fn members_come_and_go_at_their_second() {
        let text = text();
        assert_eq!(members(&text, 0, 99), Some(vec!["bob", "carol"]));
        assert_eq!(members(&text, 0, 100), Some(vec!["alice", "carol"]));
        assert_eq!(members(&text, 0, 300), Some(vec!["carol"]));
        assert_eq!(members(&text, 1, 1999), Some(vec![]));
    }

    #[test]
    fn a_group_that_may_have_members_nobody_knows_is_not_empty() {
        let text = text();
        assert_eq!(members(&text, 1, 2000), None);
        assert_eq!(members(&text, 0, 2000), Some(vec!["carol"]), "who is admitted is known");
    }

    fn granted(person: &str, account: &str, start: i64, end: i64) -> Granted {
        let at = Timestamp::from_unix;
        Granted {
            id: "0".repeat(32),
            rule: "night".to_string(),
            person: Principal::new(person).unwrap(),
            account: crate::Account::new(account).unwrap(),
            key: None,
            window: Window::new(at(start), at(end)).unwrap(),
            approvers: vec![],
            reason: "INC-42".to_string(),
            is_break_glass: false,
        }
    }

    /// Two groups as they are configured, of those on call and of those with a grant.
    fn wanted() -> Vec<GroupRule> {
        let group = |name: &str, gid, people| GroupRule {
            name: GroupName::new(name).unwrap(),
            gid: Gid::new(gid).unwrap(),
            people,
        };
        let on_call = GroupPeople::OnCall(vec!["*".to_string()]);
        vec![group("oncall", 9100, on_call), group("granted", 9101, GroupPeople::Granted)]
    }

    #[test]
    fn a80_whoever_has_a_grant_for_root_is_in_the_group_of_grants_until_it_ends() {
        let names = Names { strip: vec![crate::Affix::parse("@example.com").unwrap()], fold_case: false };
        let all = [
            granted("carol", "root", 120, 180),
            granted("bob", "root", 100, 200),
            granted("bob", "root", 150, 300),
            granted("dave", "daemon", 100, 200),
        ];
        let text = Groups::of_grants(&wanted(), &names, Ok(&all), Timestamp::from_unix(100)).to_string();
        let bobs = "bob@100..300,bob@example.com@100..300";
        let carols = "carol@120..180,carol@example.com@120..180";
        let end = i64::MAX;
        assert_eq!(text, format!("{FORM} 100 1\ngranted:9101:{end}:{bobs},{carols}\n"));
        assert_eq!(members(&text, 0, 299), Some(vec!["bob", "bob@example.com"]));
        assert_eq!(members(&text, 0, 300), Some(vec![]), "nobody had to write");
    }

    #[test]
    fn of_a_group_of_grants_it_is_known_who_is_in_it_unless_nobody_can_tell_which_stand() {
        let at =
            |granted| Groups::of_grants(&wanted(), &Names::default(), granted, Timestamp::from_unix(100));
        assert_eq!(members(&at(Ok(&[])).to_string(), 0, i64::MAX - 1), Some(vec![]));
        assert_eq!(members(&at(Err(Fault::Corrupt)).to_string(), 0, 100), None);
        // The sync's file has all groups, and does not know who has a grant; the acceptor's has no other.
        let published = Timestamp::from_unix(50);
        let roster = Roster {
            late: Vec::new(),
            incidents: Default::default(),
            published,
            floor: published,
            schedules: vec![],
            shifts: crate::Shifts::default(),
            eligible: alloc::collections::BTreeMap::new(),
        };
        let of_sync =
            Groups::new(&wanted(), &Rules::compiled(), &roster, Ok(&Revoked::default())).to_string();
        let min = i64::MIN;
        assert!(of_sync.ends_with(&format!("\ngranted:9101:{min}:\n")), "{of_sync}");
        let text = Groups::unknown(&wanted(), Timestamp::from_unix(100)).to_string();
        assert_eq!(text, format!("{FORM} 100 2\noncall:9100:{min}:\ngranted:9101:{min}:\n"));
        let text = at(Ok(&[])).to_string();
        assert_eq!(
            PublishedGroups::parse(&text).unwrap().iter().map(|group| group.name).collect::<Vec<_>>(),
            ["granted"]
        );
    }

    #[test]
    fn nobody_is_in_a_group_twice() {
        let alice = |start, end| {
            let window = Window::new(Timestamp::from_unix(start), Timestamp::from_unix(end)).unwrap();
            (Principal::new("alice").unwrap(), window)
        };
        let windows = vec![alice(0, 10), alice(2, 4), alice(10, 20), alice(21, 22)];
        assert_eq!(joined(windows), [alice(0, 20), alice(21, 22)]);
    }

    #[test]
    fn a_text_that_is_not_whole_is_none() {
        let good = text();
        for cut in 0..good.len() {
            assert!(PublishedGroups::parse(&good[..cut]).is_none(), "{cut}");
        }
        assert!(PublishedGroups::parse("oncall-groups 1 50 0\n").is_some());
        for bad in [
            "",
            "oncall-groups 2 50 0\n",
            "oncall-groups 1 50\n",
            "oncall-groups 1 50 0 x\n",
            "oncall-groups 1 50 0\nx:9100:9:\n",
            "oncall-groups 1 50 1\nsudo:27:9:\n",
            "oncall-groups 1 50 1\nx:65534:9:\n",
            "oncall-groups 1 50 1\nx:4294967395:9:\n",
            "oncall-groups 1 50 1\nX:9100:9:\n",
            "oncall-groups 1 50 1\nx:9100:9\n",
            "oncall-groups 1 50 1\nx:9100:9::\n",
            "oncall-groups 1 50 1\nx:9100:9:,\n",
            "oncall-groups 1 50 1\nx:9100:9:alice\n",
            "oncall-groups 1 50 1\nx:9100:9:alice@5..5\n",
            "oncall-groups 1 50 1\nx:9100:9:a,b@1..2\n",
            "oncall-groups 1 50 1\nx:9100:9:A/@1..2\n",
            "oncall-groups 1 50 1\n\n",
        ] {
            assert!(PublishedGroups::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a55_gids_that_mean_something_already_are_refused() {
        for gid in [0, 27, 999, 61_184, 65_519, 65_534, 65_535, u32::MAX] {
            assert_eq!(Gid::new(gid), None, "{gid}");
        }
        for gid in [1000, 9100, 61_183, 65_520, 65_536, u32::MAX - 1] {
            assert_eq!(Gid::new(gid).map(Gid::get), Some(gid));
        }
    }
}
