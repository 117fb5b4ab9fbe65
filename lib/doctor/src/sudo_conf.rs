//! sudo.conf: by which groups sudo goes. Somebody who is let in by colleagues has a session open, which began without the
//! group of those with a grant; a sudo that goes by the session's groups says that they are not in sudoers.

use policy::GroupRule;

use super::finding::{Finding, Place, quoted};
use super::machine::Stat;

/// Where sudo reads it. sudo-rs does not.
pub const FILE: &str = "/etc/sudo.conf";

/// What has to stand there.
const DYNAMIC: &str = "Set group_source dynamic";

/// Judges the file with this text, owner and mode, where it is there and one of `groups` is of those with a grant.
pub fn check(groups: &[GroupRule], file: Option<(&str, Stat)>) -> Option<Finding> {
    let group = groups.iter().find(|group| group.rules().is_none())?;
    let found = |what: String| Finding::warning("group-source", format!("{what}, as %{} needs", group.name));
    let why = "whoever is let in by a grant cannot use sudo in the session that they have open: it began without the group";
    let file_found = match file {
        // sudo says so at each use, and goes on without it (measured: 1.9.13).
        Some((_, stat)) if stat.uid != 0 || stat.mode & 0o022 != 0 => {
            let what = "others than root could have written it, so sudo does not take groups from the database by it";
            let fix = format!("chown root:root {0} && chmod 644 {0}", quoted(FILE));
            return Some(found(what.to_string()).at(Place::file(FILE)).why(why).run(fix));
        }
        Some((text, _)) => group_source(text),
        None => None,
    };
    let (place, what) = match file_found {
        Some((_, source)) if source == "dynamic" => return None,
        Some((line, source)) => (Place::line(FILE, line), format!("`group_source {source}`, not `dynamic`")),
        None => (Place::file(FILE), "it does not say `group_source dynamic`".to_string()),
    };
    // The last one counts. What was there may end without a line break.
    let fix = format!("printf '\\n{DYNAMIC}\\n' >>{}", quoted(FILE));
    Some(found(what).at(place).why(why).run(fix))
}

/// The line and the value of the last `Set group_source` that sudo understands (sudo.conf(5)).
fn group_source(text: &str) -> Option<(usize, String)> {
    let mut last = None;
    let (mut joined, mut first) = (String::new(), 1);
    for (number, line) in (1..).zip(text.lines()) {
        if joined.is_empty() {
            first = number;
        }
        let line = line.split('#').next().unwrap_or_default().trim();
        joined.push_str(line.strip_suffix('\\').unwrap_or(line));
        if !line.ends_with('\\') {
            last = value(&joined).map(|value| (first, value)).or(last);
            joined.clear();
        }
    }
    value(&joined).map(|value| (first, value)).or(last)
}

fn value(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let is_it = words.next()?.eq_ignore_ascii_case("set") && words.next()? == "group_source";
    let value = words.next()?.to_ascii_lowercase();
    let is_known = ["adaptive", "static", "dynamic"].contains(&value.as_str()) && words.next().is_none();
    (is_it && is_known).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Gid, GroupName, GroupPeople};

    fn group(people: GroupPeople) -> GroupRule {
        let (name, gid) = (GroupName::new("granted").unwrap(), Gid::new(9101).unwrap());
        GroupRule { name, gid, people }
    }

    const ROOTS: Stat = Stat { uid: 0, gid: 0, mode: 0o644, is_directory: false };

    #[test]
    fn a80_a_group_of_grants_wants_sudo_to_ask_for_groups_at_each_use() {
        let groups = [group(GroupPeople::OnCall(vec!["*".to_string()])), group(GroupPeople::Granted)];
        let told = |file| check(&groups, file).map(|finding| finding.place.unwrap().line);
        for (text, line) in [
            ("Set group_source dynamic\n", None),
            ("  SET\tgroup_source \\\n  Dynamic # at each use", None),
            ("Set group_source static\nSet group_source dynamic\n", None),
            ("Set group_source dynamic\nSet group_source sometimes\n", None),
            ("", Some(None)),
            ("#Set group_source dynamic\nSet disable_coredump false\n", Some(None)),
            ("Setgroup_source dynamic\n", Some(None)),
            ("Set group_source dynamic\n\nSet group_source adaptive\n", Some(Some(3))),
            ("# \\\nSet group_source static", Some(Some(2))),
        ] {
            assert_eq!(told(Some((text, ROOTS))), line, "{text:?}");
        }
        assert_eq!(told(None), Some(None));
        for others in [Stat { uid: 1000, ..ROOTS }, Stat { mode: 0o664, ..ROOTS }] {
            assert_eq!(told(Some(("Set group_source dynamic\n", others))), Some(None));
        }
        assert_eq!(check(&groups[..1], None), None, "those on call log in when their shift begins");
    }
}
