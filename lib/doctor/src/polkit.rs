//! polkit: rules that answer YES, where nobody is asked; and whom its rules call administrators, who become root.

use std::collections::BTreeSet;

use super::finding::{Finding, Place, Severity, listed};

/// Where rules are: an administrator's, and those that packages bring.
pub const RULES: [&str; 3] =
    ["/etc/polkit-1/rules.d", "/usr/local/share/polkit-1/rules.d", "/run/polkit-1/rules.d"];
/// Where the older form is, which the older polkit reads.
pub const AUTHORITY: [&str; 2] = ["/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority"];

/// Where rules say who is an administrator: what packages bring counts here too, Debian's own group sudo first of all.
pub const ADMINISTRATORS: [&str; 5] = [
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
    "/etc/polkit-1/localauthority.conf.d",
];

/// Somebody whom a rule calls an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Group(String),
    User(String),
}

/// Whom a file of rules calls administrators, and on which line: all that such a rule may answer, since which one does
/// is decided by a program.
pub fn administrators(text: &str) -> Vec<(usize, Identity)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        inside |= line.contains("addAdminRule") || line.trim_start().starts_with("AdminIdentities");
        // The next rule of the other kind.
        inside &= !line.contains("addRule(");
        for word in line.split(['"', '\'', ';', ',', '=', '[', ']', ' ']).filter(|_| inside) {
            let identity = match word.split_once(':') {
                Some(("unix-group", name)) => Identity::Group(name.to_string()),
                Some(("unix-user", name)) => Identity::User(name.to_string()),
                _ => continue,
            };
            found.push((at + 1, identity));
        }
    }
    found
}

/// What the policy says of those whom polkit takes for administrators.
pub struct Policy<'a> {
    pub privileged_groups: &'a [String],
    /// Is a group one of `[[nss.group]]`, whose members are let in anyway?
    pub is_served: &'a dyn Fn(&str) -> bool,
    /// Everybody in a group.
    pub members: &'a dyn Fn(&str) -> BTreeSet<String>,
    /// Are this account's logins decided for?
    pub is_guarded: &'a dyn Fn(&str) -> bool,
}

/// Judges one file's administrators, as sudoers' are judged: polkit asks them whether they are on call, and their
/// other logins may not.
pub fn unguarded(file: &str, text: &str, policy: &Policy<'_>) -> Vec<Finding> {
    let why = "they become root by authenticating there if they are on call; no decision is taken about their logins by sshd, login and su";
    let tell = |(line, identity)| {
        let (what, advice) = match identity {
            Identity::Group(group) => {
                if policy.privileged_groups.is_empty()
                    || (policy.is_served)(&group)
                    || policy.privileged_groups.contains(&group)
                {
                    return None;
                }
                let members: Vec<String> = (policy.members)(&group).into_iter().collect();
                let whom = if members.is_empty() { "nobody now".to_string() } else { listed(&members) };
                let mut groups = policy.privileged_groups.to_vec();
                let what = format!(
                    "polkit treats group {group} as administrators, but it is not in policy.privileged_groups ({whom})"
                );
                groups.push(group);
                (what, format!("in config.toml, [policy]: privileged_groups = {groups:?}"))
            }
            Identity::User(name) if name == "root" || name == "0" || (policy.is_guarded)(&name) => {
                return None;
            }
            Identity::User(name) => {
                let advice = format!("in config.toml, [policy]: {name} in `guarded_accounts`");
                (
                    format!(
                        "polkit treats {name} as an administrator, by name, but the account is not guarded"
                    ),
                    advice,
                )
            }
        };
        Some(Finding::warning("polkit-group", what).at(Place::line(file, line)).why(why).advise(advice))
    };
    administrators(text).into_iter().filter_map(tell).collect()
}

/// Actions that are as good as root for anybody who may do them: to run a program as root (pkexec(1)); to start, change and
/// furnish units (org.freedesktop.systemd1(5)), which process 1 runs as root; a shell on the host
/// (org.freedesktop.machine1(5)); to install a package that nobody vouches for, whose scripts root runs; to make
/// anybody an administrator.
const WORTH_ROOT: [&str; 7] = [
    "org.freedesktop.policykit.exec",
    "org.freedesktop.systemd1.manage-units",
    "org.freedesktop.systemd1.manage-unit-files",
    "org.freedesktop.systemd1.set-environment",
    "org.freedesktop.machine1.host-shell",
    "org.freedesktop.packagekit.package-install-untrusted",
    "org.freedesktop.accounts.user-administration",
];

/// May a rule be about an action that is worth root? Of a rule's program no more is known than the words in it: one that
/// names no action is about every one, and a part of a name, or a pattern, is about all that begin so.
fn is_worth_root(rule: &str) -> bool {
    let words = rule.split(['"', '\'', '=', ';', '`', '\n']).map(str::trim);
    let names: Vec<&str> = words
        .filter(|word| word.matches('.').count() > 1 || *word == "*")
        .filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric() || ".-*_".contains(c)))
        // The program's own words.
        .filter(|word| !["polkit.", "action.", "subject."].iter().any(|own| word.starts_with(own)))
        .collect();
    let covers = |name: &&str| {
        let begin = name.split('*').next().unwrap_or_default();
        WORTH_ROOT.iter().any(|action| action.starts_with(begin))
    };
    names.is_empty() || names.iter().any(covers)
}

/// The rules of a file, each with the number of the line before it: the text from one `addRule(` or `[section]` to
/// the next.
fn rules(text: &str) -> Vec<(usize, Vec<String>)> {
    let mut rules: Vec<(usize, Vec<String>)> = vec![(0, Vec::new())];
    for (at, line) in text.lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default().trim();
        let line = if line.starts_with('#') { "" } else { line };
        if line.contains("addRule(")
            || line.contains("addAdminRule(")
            || (line.starts_with('[') && line.ends_with(']'))
        {
            rules.push((at, Vec::new()));
        }
        if let Some((_, lines)) = rules.last_mut() {
            lines.push(line.to_string());
        }
    }
    rules
}

/// Judges one file of rules or of local authority.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let says_yes = |line: &str| {
        let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let told = plain.to_ascii_lowercase();
        let authority =
            ["resultany=", "resultactive=", "resultinactive="].iter().any(|key| told.starts_with(key))
                && told.ends_with("=yes");
        plain.contains("polkit.Result.YES") || plain.contains("return\"yes\"") || authority
    };
    let mut findings = Vec::new();
    for (before, lines) in rules(text) {
        let is_worth_root = is_worth_root(&lines.join("\n"));
        let (severity, what) = match is_worth_root {
            // What a package brought is its distribution's decision.
            _ if file.contains("/10-vendor.d/") => {
                (Severity::Note, "a rule answers YES: nobody has to authenticate")
            }
            true => (
                Severity::Open,
                "a rule answers YES for an action that amounts to root: nobody has to authenticate",
            ),
            false => (Severity::Warning, "a rule answers YES: nobody has to authenticate"),
        };
        let why = "what it covers (mounts, units, packages, pkexec) gives root without PAM, on call or not";
        let advice = "answer AUTH_ADMIN, which asks by the service polkit-1; or delete the rule";
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| says_yes(line)) {
            let found = Finding::new(severity, "polkit-yes", what).at(Place::line(file, before + at + 1));
            findings.push(found.why(why).advise(advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_that_the_policy_does_not_know_are_told() {
        let text = "// unix-group:no\npolkit.addAdminRule(function(action, subject) {\n  return [\"unix-group:sudo\", \"unix-group:oncall\", 'unix-group:ops',\n    \"unix-user:zoe\"];\n});\npolkit.addRule(function() { return x(\"unix-group:not\"); });\n";
        let groups = ["sudo".to_string()];
        let policy = Policy {
            privileged_groups: &groups,
            is_served: &|group| group == "oncall",
            members: &|group| BTreeSet::from([format!("{group}-member")]),
            is_guarded: &|_| false,
        };
        let found = unguarded("/r", text, &policy)
            .into_iter()
            .map(|finding| (finding.place.map(|place| place.to_string()).unwrap_or_default(), finding.what));
        let expected = [
            (
                "/r:3",
                "polkit treats group ops as administrators, but it is not in policy.privileged_groups (ops-member)",
            ),
            ("/r:4", "polkit treats zoe as an administrator, by name, but the account is not guarded"),
        ];
        assert_eq!(
            found.collect::<Vec<_>>(),
            expected.map(|(place, what)| (place.to_string(), what.to_string()))
        );
        assert_eq!(administrators("[Configuration]\nAdminIdentities=unix-group:ops;unix-user:0\n").len(), 2);
    }

    #[test]
    fn rules_of_both_forms_are_read() {
        let lines = |text: &str| {
            check("/r", text)
                .into_iter()
                .map(|finding| finding.place.unwrap().line.unwrap())
                .collect::<Vec<_>>()
        };
        let rules = "// polkit.Result.YES\npolkit.addRule(function(action, subject) {\n  if (subject.isInGroup('ops')) return polkit.Result.YES;\n  return polkit.Result.AUTH_ADMIN;\n});\n";
        assert_eq!(lines(rules), [3]);
        assert_eq!(
            lines("[x]\nIdentity=unix-group:ops\nAction=*\nResultAny=auth_admin\nResultActive = yes\n"),
            [5]
        );
    }

    #[test]
    fn a_yes_for_what_is_worth_root_is_open() {
        let severity = |text: &str| {
            let found = check("/r", text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            found[0].severity
        };
        let rule = |condition: &str| {
            format!(
                "polkit.addRule(function(action, subject) {{\n  if ({condition}) {{\n    return polkit.Result.YES;\n  }}\n}});\n"
            )
        };
        for open in [
            "action.id == \"org.freedesktop.machine1.host-shell\"",
            "action.id == 'org.freedesktop.systemd1.manage-units' && subject.isInGroup('ops')",
            "action.id.indexOf('org.freedesktop.systemd1.') == 0",
            "action.id.indexOf('org.freedesktop.') === 0",
            "subject.isInGroup('ops')",
        ] {
            assert_eq!(severity(&rule(open)), Severity::Open, "{open}");
        }
        for other in [
            "action.id == \"org.freedesktop.login1.reboot\"",
            "action.id.indexOf('org.freedesktop.udisks2.') == 0",
        ] {
            assert_eq!(severity(&rule(other)), Severity::Warning, "{other}");
        }
        // Each rule by itself.
        let two = rule("action.id == 'org.freedesktop.login1.reboot'")
            + "polkit.addRule(function(a) { if (a.id == 'org.freedesktop.policykit.exec') return polkit.Result.AUTH_ADMIN; });\n";
        assert_eq!(severity(&two), Severity::Warning);
        let section =
            |action: &str| format!("[x]\nIdentity=unix-group:ops\nAction={action}\nResultActive=yes\n");
        assert_eq!(severity(&section("*")), Severity::Open);
        assert_eq!(
            severity(&section("org.freedesktop.NetworkManager.*;org.freedesktop.systemd1.*")),
            Severity::Open
        );
        assert_eq!(severity(&section("org.freedesktop.NetworkManager.*")), Severity::Warning);
    }
}
