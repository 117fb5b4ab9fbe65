//! `[[nss.group]]`: groups whose members are on call, or have a grant.

use policy::{Gid, GroupName, GroupPeople, GroupRule, Rules};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Problem, meant, named, problem, unique};

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NssSection {
    group: Vec<GroupSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupSection {
    name: Spanned<String>,
    gid: Spanned<i64>,
    rules: Option<Spanned<Vec<Spanned<String>>>>,
    grants: Option<Spanned<bool>>,
}

impl NssSection {
    /// The groups, each with rules that there are, or of grants that some rule takes.
    pub(super) fn check(self, known: &Rules) -> Result<Vec<GroupRule>, Problem> {
        unique(self.group.iter().map(|group| &group.name), "[[nss.group]]")?;
        let mut groups: Vec<GroupRule> = Vec::with_capacity(self.group.len());
        for section in self.group {
            let gid = gid(&section.gid)?;
            if let Some(other) = groups.iter().find(|other| other.gid == gid) {
                let text = format!("gid {} already belongs to group `{}`", gid.get(), other.name);
                return Err(problem(&section.gid, text));
            }
            let (name, people) = (named(&section.name, GroupName::new)?, section.people(known)?);
            groups.push(GroupRule { name, gid, people });
        }
        Ok(groups)
    }
}

impl GroupSection {
    fn people(&self, known: &Rules) -> Result<GroupPeople, Problem> {
        let grants = self.grants.as_ref().filter(|grants| *grants.get_ref());
        match (&self.rules, grants) {
            (Some(_), Some(grants)) => {
                let text = "`rules` and `grants = true` are two groups; name both of them in sudoers";
                Err(problem(grants, text))
            }
            (None, Some(grants)) if known.grants.is_empty() => {
                let text =
                    "`grants = true`, and there is no [[policy.grant]], so nobody is ever in the group";
                Err(problem(grants, text))
            }
            (None, Some(_)) => Ok(GroupPeople::Granted),
            (Some(rules), None) => Ok(GroupPeople::OnCall(rules_of(rules, known)?)),
            (None, None) => {
                Err(problem(&self.name, "missing field `rules`, or `grants = true`: who is in the group"))
            }
        }
    }
}

fn gid(written: &Spanned<i64>) -> Result<Gid, Problem> {
    let gid = u32::try_from(*written.get_ref()).ok().and_then(Gid::new);
    gid.ok_or_else(|| {
        let text = "cannot be the gid of such a group: below 1000, 61184 to 65519, 65534, 65535 and from 4294967295 on \
                    have other meanings; see https://systemd.io/UIDS-GIDS/";
        problem(written, format!("{} {text}", written.get_ref()))
    })
}

fn rules_of(written: &Spanned<Vec<Spanned<String>>>, known: &Rules) -> Result<Vec<String>, Problem> {
    let known = &known.rules;
    if written.get_ref().is_empty() {
        let text = "`rules` is empty, so nobody is ever in the group; write [\"*\"] for all rules";
        return Err(problem(written, text));
    }
    let rule = |name: &Spanned<String>| {
        let text = name.get_ref();
        match text == "*" || known.iter().any(|rule| rule.name == *text) {
            true => Ok(text.clone()),
            false => {
                let meant = meant(text, known.iter().map(|rule| rule.name.as_str()));
                Err(problem(name, format!("no [[policy.rule]] is named `{text}`{meant}")))
            }
        }
    };
    written.get_ref().iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Config;

    const RULES: &str = "[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'r'\n[[policy.rule]]\nname = 'db'\n\
                         schedules = ['r/p']\n";

    fn parse(text: &str) -> Result<Vec<GroupRule>, String> {
        let config = Config::parse(Path::new("/c"), format!("{RULES}{text}").as_bytes());
        config.map(|config| config.groups).map_err(|error| error.to_string())
    }

    #[test]
    fn a_group_names_rules_or_all_of_them() {
        assert_eq!(parse(""), Ok(vec![]));
        let two = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['db']\n\
                   [[nss.group]]\nname = 'all'\ngid = 9101\nrules = ['*']\n";
        let groups = parse(two).unwrap();
        assert_eq!((groups[0].name.as_str(), groups[0].gid.get()), ("oncall", 9100));
        let rules = |name: &str| GroupPeople::OnCall(vec![name.to_string()]);
        assert_eq!((&groups[0].people, &groups[1].people), (&rules("db"), &rules("*")));
    }

    #[test]
    fn a80_a_group_is_of_rules_or_of_grants() {
        let grant = "[grant]\nid = 'acme'\n[[policy.grant]]\nname = 'night'\naccounts = ['root']\napprovers = ['alice']\n\
                     quorum = 1\nmax = '1h'\n";
        let group = "[[nss.group]]\nname = 'granted'\ngid = 9101\n";
        let groups = parse(&format!("{grant}{group}grants = true\n")).unwrap();
        assert_eq!((groups.len(), &groups[0].people), (1, &GroupPeople::Granted));
        let groups = parse(&format!("{group}grants = false\nrules = ['*']\n")).unwrap();
        assert_eq!(groups[0].people, GroupPeople::OnCall(vec!["*".to_string()]));
        for (text, expected) in [
            (format!("{grant}{group}grants = true\nrules = ['*']\n"), "19: `rules` and `grants = true`"),
            (format!("{group}grants = true\n"), "11: `grants = true`, and there is no [[policy.grant]]"),
            (format!("{grant}{group}"), "17: missing field `rules`, or `grants = true`"),
            (format!("{grant}{group}grants = false\n"), "17: missing field `rules`, or `grants = true`"),
            (format!("{grant}{group}grants = 'all'\n"), "19: "),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(&format!("/c:{expected}")), "{text}: {error}");
        }
        // Names and numbers are one set, whoever writes the group.
        let other = |group: &str| {
            let on_call = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['*']\n";
            parse(&format!("{grant}{on_call}{group}")).unwrap_err()
        };
        let error = other("[[nss.group]]\nname = 'oncall'\ngid = 9101\ngrants = true\n");
        assert!(error.contains("a second [[nss.group]] for `oncall`"), "{error}");
        let error = other("[[nss.group]]\nname = 'granted'\ngid = 9100\ngrants = true\n");
        assert!(error.contains("gid 9100 already belongs to group `oncall`"), "{error}");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let group = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['db']\n";
        for (old, new, expected) in [
            ("9100", "27", "10: 27 cannot be the gid of such a group"),
            ("9100", "0", "10: 0 cannot be the gid"),
            ("9100", "-1", "10: -1 cannot be the gid"),
            ("9100", "61184", "10: 61184 cannot be the gid"),
            ("9100", "65519", "10: 65519 cannot be the gid"),
            ("9100", "65534", "10: 65534 cannot be the gid"),
            ("9100", "4294967295", "10: 4294967295 cannot be the gid"),
            ("9100", "4294976396", "10: 4294976396 cannot be the gid"),
            ("'oncall'", "'On call'", "9: `On call`: "),
            ("['db']", "['website']", "11: no [[policy.rule]] is named `website`"),
            ("['db']", "['bd']", "11: no [[policy.rule]] is named `bd`; did you mean `db`?"),
            ("['db']", "[]", "11: `rules` is empty"),
            ("rules = ['db']\n", "", "9: missing field `rules`"),
            ("rules", "member = 'x'\nrules", "11: unknown key `member`"),
        ] {
            let error = parse(&group.replace(old, new)).unwrap_err();
            assert!(error.starts_with(&format!("/c:{expected}")), "{new}: {error}");
        }
        let other = |from: &str, to: &str| parse(&format!("{group}{}", group.replace(from, to))).unwrap_err();
        let error = other("9100", "9101");
        assert!(error.starts_with("/c:13: a second [[nss.group]] for `oncall`"), "{error}");
        let error = other("'oncall'", "'other'");
        assert!(error.starts_with("/c:14: gid 9100 already belongs to group `oncall`"), "{error}");
    }
}
