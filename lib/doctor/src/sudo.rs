//! sudoers: who may become root by sudo, and whom PAM would stop there or not be asked about.
//!
//! Read as sudo reads it, as far as names, root and Defaults go; whether it is right is visudo's business.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::doors::{Has, SUDO_RS};
use super::finding::{Finding, Place, Severity, edit, listed, quoted};
use super::machine::Stat;
use host::program::Output;

/// Where it begins.
pub const FILE: &str = "/etc/sudoers";

/// What sudo-rs reads in its place, if it is there.
const FILE_OF_SUDO_RS: &str = "/etc/sudoers-rs";

/// What is run.
pub const PROGRAM: &str = "/usr/bin/sudo";

/// A line that lets somebody do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub place: (String, usize),
    /// `alice`, `%sudo`, `#1000`, `ALL`; aliases are resolved.
    pub who: Vec<String>,
    /// Any command, as root?
    pub gives_root: bool,
    /// Without a password?
    pub asks_nothing: bool,
}

/// One setting of a Defaults line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    place: (String, usize),
    /// Whom it is for: `:bob`; empty, everybody.
    scope: String,
    /// `!pam_acct_mgmt`.
    text: String,
}

impl Setting {
    fn name(&self) -> &str {
        self.text.trim_start_matches('!').split(['=', ' ', '+', '-']).next().unwrap_or_default()
    }
}

/// What sudoers say.
#[derive(Debug, Default)]
pub struct Sudoers {
    pub rules: Vec<Rule>,
    pub settings: Vec<Setting>,
    /// Files of an included directory that sudo skips, because of their names.
    pub skipped: Vec<String>,
    aliases: BTreeMap<String, Vec<String>>,
}

/// How files are read: the text of one, and the names in a directory.
pub struct Reader<'a> {
    pub text: &'a dyn Fn(&str) -> Option<String>,
    pub names: &'a dyn Fn(&str) -> Vec<String>,
}

impl Sudoers {
    /// Reads what the programs of this host read, with what it includes.
    pub fn read(reader: &Reader<'_>, has: Has<'_>) -> Self {
        let has_sudo_rs = SUDO_RS.iter().any(|path| has(path));
        let has_sudo = has(PROGRAM) || !has_sudo_rs;
        let of_sudo_rs = has_sudo_rs && has(FILE_OF_SUDO_RS);
        let mut sudoers = Self::default();
        if has_sudo || !of_sudo_rs {
            sudoers.file(FILE, reader, 0);
        }
        // sudo-rs passes over the settings that matter here, and says so.
        let settings = if has_sudo { sudoers.settings.len() } else { 0 };
        if of_sudo_rs {
            sudoers.file(FILE_OF_SUDO_RS, reader, 0);
        }
        sudoers.settings.truncate(settings);
        let aliases = std::mem::take(&mut sudoers.aliases);
        for rule in &mut sudoers.rules {
            rule.who = rule.who.iter().flat_map(|name| resolve(name, &aliases, 0)).collect();
        }
        sudoers
    }

    fn file(&mut self, file: &str, reader: &Reader<'_>, depth: usize) {
        const DEEPEST: usize = 128;
        let text = (reader.text)(file).filter(|_| depth < DEEPEST).unwrap_or_default();
        for (number, line) in logical_lines(&text) {
            let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            let rest = rest.trim().trim_matches('"');
            let rule_text = line.split(" #").next().unwrap_or_default();
            match first {
                "#include" | "@include" => self.file(&beside(file, rest), reader, depth + 1),
                "#includedir" | "@includedir" => self.directory(&beside(file, rest), reader, depth + 1),
                _ if line.starts_with('#') && !is_uid(&line) => {}
                "User_Alias" => self.alias(rest),
                "Runas_Alias" | "Host_Alias" | "Cmnd_Alias" | "Cmd_Alias" => self.alias(rest),
                _ if first.starts_with("Defaults") => self.settings(file, number, &line),
                _ => self.rules.extend(rule(rule_text, (file.to_string(), number), &self.aliases)),
            }
        }
    }

    fn directory(&mut self, directory: &str, reader: &Reader<'_>, depth: usize) {
        for name in (reader.names)(directory) {
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            if name.contains('.') || name.ends_with('~') {
                self.skipped.push(path);
            } else {
                self.file(&path, reader, depth);
            }
        }
    }

    fn alias(&mut self, text: &str) {
        for one in text.split(" : ") {
            if let Some((name, members)) = one.split_once('=') {
                let members = members.split(',').map(|member| member.trim().to_string()).collect();
                self.aliases.insert(name.trim().to_string(), members);
            }
        }
    }

    fn settings(&mut self, file: &str, line: usize, text: &str) {
        let (scope, rest) = scope(text.trim_start_matches("Defaults"));
        let setting = |text: &str| Setting {
            place: (file.to_string(), line),
            scope: scope.clone(),
            text: one_bang(text.trim()),
        };
        self.settings.extend(rest.split(',').map(setting));
    }

    /// Does a rule give root to `name`, a member of `groups`? And without a password?
    pub fn gives_root(&self, name: &str, groups: &[&str]) -> Option<&Rule> {
        let covers = |who: &String| {
            who == "ALL" || who == name || who.strip_prefix('%').is_some_and(|group| groups.contains(&group))
        };
        let matching = self.rules.iter().filter(|rule| rule.gives_root && rule.who.iter().any(covers));
        matching.max_by_key(|rule| rule.asks_nothing)
    }
}

/// For whom a Defaults line is, `:bob,carol`, and what it sets. There may be blanks after the sign and around commas.
fn scope(text: &str) -> (String, &str) {
    let Some(sign) = text.chars().next().filter(|sign| ":@>!".contains(*sign)) else {
        return (String::new(), text);
    };
    let (mut scope, mut rest) = (sign.to_string(), text.get(1..).unwrap_or_default());
    loop {
        rest = rest.trim_start();
        let end = match rest.strip_prefix('"') {
            Some(quoted) => quoted.find('"').map(|end| end + 2),
            None => rest.find(|c: char| c == ',' || c.is_whitespace()),
        };
        let (member, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        scope.push_str(member);
        match after.trim_start().strip_prefix(',') {
            Some(more) => {
                scope.push(',');
                rest = more;
            }
            None => return (scope, after),
        }
    }
}

/// A setting with the `!` of one that is off, in however many signs and blanks it was written.
fn one_bang(text: &str) -> String {
    let name = text.trim_start_matches(|c: char| c == '!' || c.is_whitespace());
    let bangs = text.chars().take_while(|c| *c == '!' || c.is_whitespace()).filter(|c| *c == '!').count();
    if bangs % 2 == 1 { format!("!{name}") } else { name.to_string() }
}

/// `#1000 ALL=…` is a rule, `# text` a comment.
fn is_uid(line: &str) -> bool {
    line.chars().nth(1).is_some_and(|c| c.is_ascii_digit())
}

fn beside(file: &str, path: &str) -> String {
    let directory = file.rsplit_once('/').map_or("", |(directory, _)| directory);
    if path.starts_with('/') { path.to_string() } else { format!("{directory}/{path}") }
}

/// Lines with the number that each begins at; those that end in a backslash are joined. Comments stay, for
/// `#include` looks like one.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let content = line.strip_suffix('\\').unwrap_or(line);
        match lines.last_mut().filter(|_| continues) {
            Some((_, joined)) => joined.push_str(content),
            None => lines.push((index + 1, content.to_string())),
        }
        continues = line.ends_with('\\');
    }
    let trimmed = lines.into_iter().map(|(number, line)| (number, line.trim().to_string()));
    trimmed.filter(|(_, line)| !line.is_empty()).collect()
}

/// `who hosts = (runas) TAG: commands`.
fn rule(line: &str, place: (String, usize), aliases: &BTreeMap<String, Vec<String>>) -> Option<Rule> {
    let (left, right) = line.split_once('=')?;
    let left: Vec<&str> = left.split_whitespace().collect();
    // The last word is the hosts; a list of users may have blanks round its commas.
    let (_, users) = left.split_last()?;
    let users = users.join(" ");
    let who = users
        .split(',')
        .map(|name| name.trim().trim_matches('"').to_string())
        .filter(|name| !name.is_empty());
    let who: Vec<String> = who.collect();
    let (runas, commands) = match right.trim().strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        Some((runas, commands)) => (runas, commands),
        None => ("root", right),
    };
    let as_users = runas.split(':').next().unwrap_or_default();
    let names = |list: &str| -> Vec<String> {
        list.split(',').flat_map(|name| resolve(name.trim(), aliases, 0)).collect()
    };
    let as_root = names(as_users).iter().any(|name| matches!(name.as_str(), "ALL" | "root" | "#0"));
    let commands: Vec<String> = commands
        .split(',')
        .map(|command| {
            command
                .rsplit(": ")
                .next()
                .unwrap_or(command)
                .rsplit("NOPASSWD:")
                .next()
                .unwrap_or_default()
                .trim()
                .to_string()
        })
        .collect();
    let any_command = commands.iter().flat_map(|name| resolve(name, aliases, 0)).any(|name| name == "ALL");
    (!who.is_empty()).then(|| Rule {
        place,
        who,
        gives_root: as_root && any_command,
        asks_nothing: right.contains("NOPASSWD:"),
    })
}

fn resolve(name: &str, aliases: &BTreeMap<String, Vec<String>>, depth: usize) -> Vec<String> {
    const DEEPEST: usize = 16;
    match aliases.get(name).filter(|_| depth < DEEPEST) {
        Some(members) => members.iter().flat_map(|member| resolve(member, aliases, depth + 1)).collect(),
        None => vec![name.to_string()],
    }
}

/// What the policy says of those whom sudoers name.
pub struct Policy<'a> {
    pub pam_services: &'a [String],
    pub privileged_groups: &'a [String],
    /// Is a group one of `[[nss.group]]`, whose members are let in anyway?
    pub is_served: &'a dyn Fn(&str) -> bool,
    /// May the directory's copy say that they become root, are they exempt, or a program that sudo is open to?
    pub is_foreseen: &'a dyn Fn(&str) -> bool,
    /// Everybody in a group.
    pub members: &'a dyn Fn(&str) -> BTreeSet<String>,
    /// The name of a uid.
    pub name_of: &'a dyn Fn(u32) -> String,
    /// A day to propose as the end of what is listed.
    pub in_a_year: &'a str,
}

/// Judges what sudoers say.
pub fn check(sudoers: &Sudoers, policy: &Policy<'_>) -> Vec<Finding> {
    let mut findings = defaults(sudoers, policy);
    findings.extend(sudoers.skipped.iter().filter(|path| !path.ends_with("/README")).map(|path| {
        let found = Finding::warning("sudoers-skipped", format_args!("sudo does not read {path}"))
            .at(Place::file(path));
        let name = path
            .replace('~', "")
            .rsplit_once('/')
            .map(|(directory, name)| format!("{directory}/{}", name.replace('.', "-")));
        let why = "sudo ignores a file in a sudoers directory if its name contains a dot or ends in ~";
        found.why(why).advise(format_args!(
            "`mv {} {}` if it is meant to count; delete it if not",
            quoted(path),
            quoted(&name.unwrap_or_default())
        ))
    }));
    for rule in &sudoers.rules {
        findings.extend(rule.who.iter().filter_map(|who| judge(rule, who, policy)));
    }
    findings
}

/// Settings that make sudo ask PAM nothing, or by another name. The last one of a name counts.
fn defaults(sudoers: &Sudoers, policy: &Policy<'_>) -> Vec<Finding> {
    let last: BTreeMap<(&str, &str), &Setting> =
        sudoers.settings.iter().map(|setting| ((setting.scope.as_str(), setting.name()), setting)).collect();
    last.values().filter_map(|setting| bypass(setting, policy)).collect()
}

fn bypass(setting: &Setting, policy: &Policy<'_>) -> Option<Finding> {
    let Setting { place: (file, line), scope, text } = setting;
    let name = setting.name();
    let switch_on = || edit(file, &[format!("{line}s/![![:space:]]*{name}/{name}/")]);
    let found = match name {
        "pam_acct_mgmt" if text.starts_with('!') => {
            let what = format!("Defaults{scope} {text}: sudo does not ask PAM whether somebody may");
            Finding::open("sudo-pam", what).why("sudo gives root although PAM says no").run(switch_on())
        }
        "pam_ruser" if text.starts_with('!') => {
            let what = format!("Defaults{scope} {text}: sudo does not tell PAM who calls");
            let why = "the module cannot know who it is and refuses everybody, on call or not";
            Finding::lock_out("sudo-pam", what).why(why).run(switch_on())
        }
        "pam_service" | "pam_login_service" | "pam_askpass_service" => {
            let service = text.split_once('=').map(|(_, value)| value.trim().trim_matches('"'))?;
            if service == "sudo" || policy.pam_services.iter().any(|known| known == service) {
                return None;
            }
            let what =
                format!("Defaults{scope} {text}: sudo asks PAM as {service}, for which no decision is taken");
            let own = format!("{line}s/{name}[[:space:]]*=[[:space:]]*[^,[:space:]]*/{name}=sudo/");
            Finding::open("sudo-pam", what).why("sudo gives root to people off call").run(edit(file, &[own]))
        }
        _ => return None,
    };
    Some(found.at(Place::line(file, *line)))
}

/// One of those whom a rule names.
fn judge(rule: &Rule, who: &str, policy: &Policy<'_>) -> Option<Finding> {
    let place = Place::line(&rule.place.0, rule.place.1);
    if let Some(group) = who.strip_prefix('%') {
        let is_known = policy.privileged_groups.is_empty()
            || (policy.is_served)(group)
            || policy.privileged_groups.iter().any(|known| known == group);
        if !rule.gives_root || is_known {
            return None;
        }
        let members: Vec<String> = (policy.members)(group).into_iter().collect();
        let whom = if members.is_empty() { "nobody now".to_string() } else { listed(&members) };
        let found = Finding::warning(
            "sudo-group",
            format_args!("group {group} gives root by sudo, but is not in policy.privileged_groups ({whom})"),
        );
        let why = "no decision is taken about its members' logins by sshd, login and su; sudo is guarded";
        let mut groups = policy.privileged_groups.to_vec();
        groups.push(group.to_string());
        return Some(
            found
                .at(place)
                .why(why)
                .advise(format_args!("in config.toml, [policy]: privileged_groups = {groups:?}")),
        );
    }
    let name = match who.strip_prefix('#').and_then(|uid| uid.parse().ok()) {
        Some(uid) => (policy.name_of)(uid),
        None => who.to_string(),
    };
    match name.as_str() {
        "root" => None,
        "ALL" if rule.gives_root => {
            let found = Finding::warning("sudo-everybody", "everybody may become root by sudo").at(place);
            let why = "only sudo checks who is on call: every account leads to root, and none is guarded";
            Some(
                found.why(why).advise("name a group instead, and add that group to policy.privileged_groups"),
            )
        }
        name if name == "ALL" || name.starts_with(['+', '!', '%']) || (policy.is_foreseen)(name) => None,
        name => {
            let found = Finding::warning(
                "sudo-refused",
                format_args!("{name} has a rule in sudoers, and will be refused"),
            );
            let why = "sudo is guarded: a caller is eligible and on call, or in policy.exempt_accounts, or a program listed for sudo";
            let advice = format!(
                "a program of this host: in config.toml `[[policy.automation]]`, and below it, a line each, `account = \"{name}\"`, `services = [\"sudo\"]`, `owner = \"who answers for it\"`, `reason = \"what it does\"`, `until = {}`; a person: the eligible group; no longer needed: remove the rule",
                policy.in_a_year
            );
            Some(found.at(place).why(why).advise(advice))
        }
    }
}

/// sudo itself, if it is here: it is of no use unless it is root's and setuid.
pub fn program(stat: Option<Stat>) -> Option<Finding> {
    let stat = stat.filter(|stat| stat.uid != 0 || stat.mode & 0o4022 != 0o4000)?;
    let what = format!(
        "sudo belongs to uid {}, mode {:04o}; it must belong to root, be writable only by root, and be setuid",
        stat.uid, stat.mode
    );
    let why =
        "sudo reports that and exits: nobody becomes root by it, not even people on call or exempt accounts";
    let fix = format!("chown root {PROGRAM} && chmod u+s,go-w {PROGRAM}");
    Some(Finding::lock_out("sudo-mode", what).at(Place::file(PROGRAM)).why(why).run(fix))
}

/// What `visudo -c` says, where it is not content.
pub fn broken(said: &Output, stat: &dyn Fn(&Path) -> Option<Stat>) -> Vec<Finding> {
    if said.succeeded {
        return Vec::new();
    }
    let names_file = |line: &&str| line.contains(FILE) && !line.ends_with("parsed OK");
    let mut complaints = said.out.lines().filter(names_file);
    let of_owners: Option<Vec<Finding>> = complaints.clone().map(|line| strict(line, stat)).collect();
    if let Some(findings) = of_owners.filter(|findings| !findings.is_empty()) {
        return findings;
    }
    let complaint = complaints.find(|line| strict(line, stat).is_none()).unwrap_or(&said.complaint);
    let complaint = complaint.trim_start_matches(">>> ");
    let mut parts = complaint.splitn(4, ':');
    let place = match (parts.next(), parts.next().and_then(|line| line.parse().ok())) {
        (Some(file), Some(line)) if file.starts_with('/') => Place::line(file, line),
        _ => Place::file(complaint.split([':', ' ']).find(|word| word.starts_with('/')).unwrap_or(FILE)),
    };
    let found = Finding::lock_out("sudoers", format_args!("visudo -c: {complaint}")).at(place);
    vec![
        found
            .why("sudo ignores what it does not understand, or refuses everybody")
            .advise("fix it with `visudo`; `visudo -c` says whether it is right"),
    ]
}

/// A complaint of owner or mode alone. visudo is stricter there than sudo, which skips a file if somebody else could
/// have written it.
fn strict(complaint: &str, stat: &dyn Fn(&Path) -> Option<Stat>) -> Option<Finding> {
    let (file, rest) = complaint.split_once(": ")?;
    if !rest.starts_with("bad permissions") && !rest.starts_with("wrong owner") {
        return None;
    }
    let Stat { uid, gid, mode, .. } = stat(Path::new(file))?;
    let is_skipped = uid != 0 || mode & 0o002 != 0 || (gid != 0 && mode & 0o020 != 0);
    let (severity, why) = match is_skipped {
        true => {
            (Severity::LockOut, "sudo reads no file that others could have written: its rules have no effect")
        }
        false => (
            Severity::Warning,
            "sudo reads it anyway, but `visudo -c` fails, and so does whatever runs that check",
        ),
    };
    let found = Finding::new(severity, "sudoers", format_args!("visudo -c: {complaint}"));
    let fix = format!("chown root:root {0} && chmod 440 {0}", quoted(file));
    Some(found.at(Place::file(file)).why(why).run(fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: &str = "Defaults env_reset, !pam_acct_mgmt\nDefaults:bob pam_acct_mgmt\n# note\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) \\\n  NOPASSWD: ALL\nUser_Alias OPS = zoe, %admins : WEB = www\nOPS ALL=(ALL) ALL\nWEB, yan ALL=(www-data) ALL\n#1000 ALL = ALL\nCmnd_Alias CHECK = /usr/lib/nagios/check\nnagios ALL=(root) NOPASSWD: CHECK\n@includedir sudoers.d\n";

    fn sudoers() -> Sudoers {
        let text = |path: &str| match path {
            "/etc/sudoers" => Some(MAIN.to_string()),
            "/etc/sudoers.d/team" => {
                Some("ALL ALL=(ALL) ALL\nDefaults pam_service=other\n%oncall ALL=(ALL) ALL\n".to_string())
            }
            _ => None,
        };
        let names = |_: &str| ["team", "x.conf", "y~"].map(String::from).to_vec();
        Sudoers::read(&Reader { text: &text, names: &names }, &|_| false)
    }

    #[test]
    fn each_sudo_reads_its_own_file() {
        let text = |path: &str| match path {
            "/etc/sudoers" => Some("Defaults !pam_acct_mgmt\nann ALL=(ALL) ALL\n".to_string()),
            "/etc/sudoers-rs" => Some("Defaults !pam_acct_mgmt\nbea ALL=(ALL) ALL\n".to_string()),
            _ => None,
        };
        let read = |files: &[&str]| {
            let reader = Reader { text: &text, names: &|_| vec![] };
            let sudoers = Sudoers::read(&reader, &|path| files.contains(&path));
            (
                sudoers.rules.iter().flat_map(|rule| rule.who.clone()).collect::<Vec<_>>().join(" "),
                sudoers.settings.len(),
            )
        };
        let (sudo, rs, file) = ("/usr/bin/sudo", "/usr/lib/cargo/bin/sudo", "/etc/sudoers-rs");
        assert_eq!(read(&[sudo]), ("ann".to_string(), 1));
        assert_eq!(read(&[sudo, file]), ("ann".to_string(), 1), "sudo does not read it");
        assert_eq!(read(&[rs]), ("ann".to_string(), 0));
        assert_eq!(read(&[rs, file]), ("bea".to_string(), 0));
        assert_eq!(read(&[sudo, rs, file]), ("ann bea".to_string(), 1));
    }

    #[test]
    fn rules_are_read_with_what_they_give() {
        let told = |rule: &Rule| {
            format!(
                "{}:{} {} {}{}",
                rule.place.0,
                rule.place.1,
                rule.who.join(","),
                if rule.gives_root { "root" } else { "less" },
                if rule.asks_nothing { " freely" } else { "" }
            )
        };
        assert_eq!(
            sudoers().rules.iter().map(told).collect::<Vec<_>>(),
            [
                "/etc/sudoers:4 root root",
                "/etc/sudoers:5 %sudo root freely",
                "/etc/sudoers:8 zoe,%admins root",
                "/etc/sudoers:9 www,yan less",
                "/etc/sudoers:10 #1000 root",
                "/etc/sudoers:12 nagios less freely",
                "/etc/sudoers.d/team:1 ALL root",
                "/etc/sudoers.d/team:3 %oncall root",
            ]
        );
        assert_eq!(sudoers().skipped, ["/etc/sudoers.d/x.conf", "/etc/sudoers.d/y~"]);
        let all = sudoers();
        assert!(all.gives_root("alice", &["sudo"]).is_some_and(|rule| rule.asks_nothing));
    }

    /// Each of them taken by visudo (1.9.13).
    #[test]
    fn a_setting_is_found_for_whomever_and_however_it_is_written() {
        for (line, whom, setting) in [
            ("Defaults\t!pam_acct_mgmt", "", "!pam_acct_mgmt"),
            ("Defaults:bob !pam_acct_mgmt", ":bob", "!pam_acct_mgmt"),
            ("Defaults: bob !pam_acct_mgmt", ":bob", "!pam_acct_mgmt"),
            ("Defaults:bob , %ops\t! pam_acct_mgmt", ":bob,%ops", "!pam_acct_mgmt"),
            ("Defaults:!bob !!!pam_acct_mgmt", ":!bob", "!pam_acct_mgmt"),
            ("Defaults:\"a b\",c !pam_acct_mgmt", ":\"a b\",c", "!pam_acct_mgmt"),
            (
                "Defaults!/usr/bin/id, /usr/bin/true !pam_acct_mgmt",
                "!/usr/bin/id,/usr/bin/true",
                "!pam_acct_mgmt",
            ),
            ("Defaults>root pam_service = other", ">root", "pam_service = other"),
            ("Defaults !!pam_acct_mgmt", "", "pam_acct_mgmt"),
        ] {
            let text = |path: &str| (path == FILE).then(|| line.to_string());
            let sudoers = Sudoers::read(&Reader { text: &text, names: &|_| vec![] }, &|_| false);
            let told: Vec<_> =
                sudoers.settings.iter().map(|one| (one.scope.as_str(), one.text.as_str())).collect();
            assert_eq!(told, [(whom, setting)], "{line}");
        }
    }

    #[test]
    fn those_whom_enforcing_would_refuse_and_groups_that_nothing_guards_are_told() {
        let groups = ["sudo".to_string()];
        let services = ["sudo", "sudo-i"].map(String::from);
        let policy = Policy {
            pam_services: &services,
            privileged_groups: &groups,
            is_served: &|group| group == "oncall",
            is_foreseen: &|name| name == "zoe" || name == "alice",
            members: &|_| BTreeSet::from(["adam".to_string()]),
            name_of: &|_| "alice".to_string(),
            in_a_year: "2027-11-20",
        };
        let tell =
            |finding: Finding| format!("{} {} {}", finding.severity, finding.id, finding.place.unwrap());
        assert_eq!(
            check(&sudoers(), &policy).into_iter().map(tell).collect::<Vec<_>>(),
            [
                "open sudo-pam /etc/sudoers:1",
                "open sudo-pam /etc/sudoers.d/team:2",
                "warning sudoers-skipped /etc/sudoers.d/x.conf",
                "warning sudoers-skipped /etc/sudoers.d/y~",
                "warning sudo-group /etc/sudoers:8",
                "warning sudo-refused /etc/sudoers:9",
                "warning sudo-refused /etc/sudoers:9",
                "warning sudo-refused /etc/sudoers:12",
                "warning sudo-everybody /etc/sudoers.d/team:1",
            ]
        );
    }
}
