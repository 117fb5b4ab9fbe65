//! `[[nss.group]]`: does nsswitch.conf ask for those groups, is what the module reads there and young, is the name or the
//! number of one taken, and does a cache keep yesterday's members?

use std::path::Path;

use host::Config;
use host::config::GRANTED_GROUPS;
use policy::{GroupRule, Groups, PublishedGroups, Roster, Timestamp};
use trust::{Owner, Refusal};

use super::finding::{Finding, Fix, Place, edit, quoted};
use super::state;

/// Where it is said.
pub const FILE: &str = "/etc/nsswitch.conf";

/// Our own name service in it.
pub const SERVICE: &str = "oncall";

/// Where nscd is told what to keep.
pub const NSCD: &str = "/etc/nscd.conf";

/// What the module reads; no configuration tells it otherwise.
const PUBLISHED: &str = "/var/lib/oncall-cache/group";

const WHY_EMPTY: &str = "the groups of [[nss.group]] have no members on this host";
const WHY_OLD: &str = "members are those of an earlier sync, or unknown";

/// What is looked at.
pub struct Nss<'a> {
    pub config: &'a Config,
    pub roster: Option<&'a Roster>,
    /// The text of nsswitch.conf, of /etc/group, and of nscd's configuration where nscd runs.
    pub nsswitch: &'a str,
    pub group: &'a str,
    pub nscd: Option<&'a str>,
    pub has_library: bool,
    pub now: Timestamp,
}

/// Judges a host that serves groups, or has served some.
pub fn check(nss: &Nss<'_>) -> Vec<Finding> {
    let mut findings = published(nss);
    let groups = &nss.config.groups;
    if !groups.is_empty() {
        findings.extend(line(nss));
        findings.extend(groups.iter().filter_map(|group| taken(group, nss.group)));
        findings.extend(nss.nscd.and_then(|text| cached(groups, text)));
    }
    findings
}

/// The group line of nsswitch.conf, and the library that it names.
fn line(nss: &Nss<'_>) -> Option<Finding> {
    let lines = nss.nsswitch.lines().enumerate();
    let mut lines = lines.map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default()));
    let line = lines.find_map(|(number, line)| Some((number, line.trim().strip_prefix("group:")?)));
    let names = line.is_some_and(|(_, services)| services.split_whitespace().any(|word| word == "oncall"));
    if !names {
        let found = Finding::warning("nss-line", "the group line does not name `oncall`").why(WHY_EMPTY);
        return Some(match line {
            Some((number, _)) => found
                .at(Place::line(FILE, number))
                .run(edit(FILE, &[format!("{number}s/\\([[:space:]]*#.*\\)\\?$/ oncall\\1/")])),
            None => found.at(Place::file(FILE)).run(format!("printf 'group: files oncall\\n' >>{FILE}")),
        });
    }
    let found = Finding::warning("nss-line", "`oncall` is named, but libnss_oncall.so.2 does not exist");
    let advice = "install the suite's NSS module, or remove the word";
    (!nss.has_library).then(|| found.at(Place::file(FILE)).why(WHY_EMPTY).advise(advice))
}

/// A group that this host has already, by name or by number: the module serves no such group (P27).
fn taken(group: &GroupRule, table: &str) -> Option<Finding> {
    let (name, gid) = (group.name.as_str(), group.gid.get());
    let is_it = |line: &str| {
        let mut fields = line.trim_start().split(':');
        let own = fields.next() == Some(name);
        own || fields.nth(1).and_then(|field| field.trim().parse().ok()) == Some(gid)
    };
    let (at, line) = table.lines().enumerate().find(|(_, line)| is_it(line))?;
    let other = line.trim_start().split(':').next().unwrap_or_default();
    let what = if other == name {
        format!("this host already has a group {name}: the one in [[nss.group]] is not served")
    } else {
        format!("gid {gid} belongs to group {other}: {name} in [[nss.group]] is not served")
    };
    let advice = if other == name {
        format!(
            "another `name` in [[nss.group]], and in sudoers; or `groupdel {name}`, if nobody needs that one"
        )
    } else {
        format!("another `gid` for {name} in [[nss.group]], then `oncall-cache sync`")
    };
    let why = "nobody is in the group because of a shift; a sudoers rule for it applies to the members of the other group";
    Some(Finding::warning("nss-taken", what).at(Place::line("/etc/group", at + 1)).why(why).advise(advice))
}

/// nscd keeps groups unless it is told not to; the last line counts.
fn cached(groups: &[GroupRule], text: &str) -> Option<Finding> {
    let setting = |(at, line): (usize, &str)| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let is_it = words.next() == Some("enable-cache") && words.next() == Some("group");
        is_it.then(|| (at + 1, words.next().unwrap_or_default().to_string()))
    };
    let (number, word) = text.lines().enumerate().filter_map(setting).last()?;
    let first = groups.first()?.name.as_str();
    let found = Finding::warning("nscd", format_args!("nscd runs, and caches the members of {first}"));
    let why = "membership ends or begins late, by as long as nscd caches groups (an hour on Debian)";
    let fix = edit(NSCD, &[format!("{number}c enable-cache group no")]) + "  # then restart nscd";
    (word == "yes").then(|| found.at(Place::line(NSCD, number)).why(why).run(fix))
}

/// A file that the module reads.
struct File<'a> {
    path: &'static str,
    /// What has to be in it.
    groups: Vec<&'a GroupRule>,
    /// Is it the sync's, which knows those on call?
    is_of_rota: bool,
}

/// What the module reads.
fn published(nss: &Nss<'_>) -> Vec<Finding> {
    let groups = &nss.config.groups;
    let granted = groups.iter().filter(|group| group.rules().is_none()).collect();
    let mut files = vec![
        File { path: PUBLISHED, groups: groups.iter().collect(), is_of_rota: true },
        File { path: GRANTED_GROUPS, groups: granted, is_of_rota: false },
    ];
    // Where no rule takes grants nobody needs to run what writes the second one.
    files.retain(|file| file.is_of_rota || file.groups.is_empty() || nss.config.rules.takes_grants());
    files.iter().filter_map(|file| file.check(nss)).collect()
}

impl File<'_> {
    fn check(&self, nss: &Nss<'_>) -> Option<Finding> {
        let path = nss.config.paths.roster.with_file_name("group");
        if self.is_of_rota && !self.groups.is_empty() && path != Path::new(PUBLISHED) {
            let what =
                format!("the groups are written to {}, but the module reads {PUBLISHED}", path.display());
            let found = Finding::warning("nss-file", what).at(Place::file(nss.config.path.display()));
            let advice =
                "remove `roster` from [paths]: the module cannot be configured to read another directory";
            return Some(found.why(WHY_EMPTY).advise(advice));
        }
        match trust::read(Path::new(self.path), Owner::Service, Groups::LARGEST as u64) {
            Err(refusal) if refusal.is_missing() && self.groups.is_empty() => None,
            Err(refusal) => Some(self.unread(&refusal)),
            Ok(text) => self.judge(nss, &text),
        }
    }

    fn found(&self, what: impl std::fmt::Display, why: &'static str) -> Finding {
        Finding::warning("nss-file", what).at(Place::file(self.path)).why(why)
    }

    /// Mended by whoever writes it.
    fn written_anew(&self, found: Finding) -> Finding {
        let fix = match self.is_of_rota {
            true => Fix::Command("oncall-cache sync".to_string()),
            false => Fix::Advice(
                "`systemctl restart oncall-grant-accept.service` writes it; if not, its log says why"
                    .to_string(),
            ),
        };
        Finding { fix, ..found }
    }

    fn unread(&self, refusal: &Refusal) -> Finding {
        if refusal.is_missing() {
            return self.written_anew(self.found("the groups of [[nss.group]] are not published", WHY_EMPTY));
        }
        let writer =
            if self.is_of_rota { "`oncall-cache sync`" } else { "a restarted oncall-grant-accept.service" };
        let advice = format!("find out who changed it; then remove it, and {writer} rewrites it");
        state::shut(self.found(refusal, WHY_EMPTY), refusal).unwrap_or_else(|found| found.advise(advice))
    }

    fn judge(&self, nss: &Nss<'_>, text: &[u8]) -> Option<Finding> {
        let parsed = std::str::from_utf8(text).ok().and_then(PublishedGroups::parse);
        let wrong = |what: &str, why| Some(self.written_anew(self.found(what, why)));
        let Some(published) = parsed else { return wrong("it is damaged", WHY_EMPTY) };
        let served = published.iter().map(|group| (group.name, group.gid.get()));
        if self.groups.is_empty() {
            let names: Vec<&str> = served.map(|(name, _)| name).collect();
            let why = "people are in a group that config.toml no longer has";
            let what = format!("{} is still served, but there is no [[nss.group]]", names.join(", "));
            let found = self.found(what, why).run(format_args!("rm {}", quoted(self.path)));
            return (!names.is_empty()).then_some(found);
        }
        if !served.eq(self.groups.iter().map(|group| (group.name.as_str(), group.gid.get()))) {
            let why = match self.is_of_rota {
                true => "config.toml takes effect at the next sync",
                false => "config.toml takes effect at the next text that somebody brings",
            };
            return wrong("it has other groups than [[nss.group]]", why);
        }
        if self.is_of_rota && nss.roster.is_some_and(|roster| published.published() < roster.published) {
            return wrong("it is older than the roster: the last sync could not write it", WHY_OLD);
        }
        let is_foreign = |name: &str| {
            let mut groups = self.groups.iter().filter(|group| group.rules().is_none());
            self.is_of_rota && groups.any(|group| group.name.as_str() == name)
        };
        let mut own = published.iter().filter(|group| !is_foreign(group.name));
        let unknown = own.find(|group| group.members_at(nss.now).is_none())?;
        wrong(&format!("who is in {} is not known now", unknown.name), WHY_OLD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let all = format!(
            "[[oncall.source]]\nname = 'r'\nprovider = 'rota'\nfile = 'r'\n[[policy.rule]]\nname = 'db'\nschedules = ['r/p']\n{text}"
        );
        Config::parse(Path::new("/c/config.toml"), all.as_bytes()).unwrap()
    }

    const GROUP: &str = "[[nss.group]]\nname = 'oncall'\ngid = 9100\nrules = ['*']\n";

    #[test]
    fn the_group_line_has_to_name_the_module() {
        let config = config(GROUP);
        let told = |nsswitch: &str, has_library| {
            let (roster, now) = (None, Timestamp::from_unix(0));
            let nss = Nss { config: &config, roster, nsswitch, group: "", nscd: None, has_library, now };
            line(&nss).map(|finding| (finding.id, finding.place.unwrap().line))
        };
        assert_eq!(told("passwd: files\ngroup: files oncall [NOTFOUND=return]\n", true), None);
        assert_eq!(told("passwd: files\ngroup: files # oncall\n", true), Some(("nss-line", Some(2))));
        assert_eq!(told("group: files oncall\n", false), Some(("nss-line", None)));
    }

    #[test]
    fn p27_a_group_that_the_host_has_is_told_by_its_line() {
        let config = config(GROUP);
        let told = |table: &str| {
            let finding = taken(&config.groups[0], table)?;
            Some((finding.place.unwrap().line.unwrap(), finding.what.split(':').next().unwrap().to_string()))
        };
        assert_eq!(told("root:x:0:\nx:x:9101:\noncalls:x:9102:\n"), None);
        let by_name = (2, "this host already has a group oncall".to_string());
        assert_eq!(told("root:x:0:\n  oncall:x:5:\n"), Some(by_name));
        assert_eq!(told("web:x: 09100:zoe\n"), Some((1, "gid 9100 belongs to group web".to_string())));
    }

    #[test]
    fn nscd_matters_where_it_keeps_groups() {
        let config = config(GROUP);
        let told =
            |text: &str| cached(&config.groups, text).map(|finding| finding.place.unwrap().line.unwrap());
        assert_eq!(told("enable-cache group no\nenable-cache  group\tyes # x\n"), Some(2));
        for silent in
            ["", "enable-cache group no\n", "#enable-cache group yes\n", "enable-cache passwd yes\n"]
        {
            assert_eq!(told(silent), None, "{silent}");
        }
        assert_eq!(told("enable-cache group yes\nenable-cache group no\n"), None);
    }
}
