//! `[[nss.group]]`: does nsswitch.conf ask for those groups, and does a cache keep yesterday's members?

use super::finding::{Finding, Place, edit};

/// Where it is said.
pub const FILE: &str = "/etc/nsswitch.conf";

/// The names of the groups that the configuration serves by NSS. Its text is read: a release that does not know
/// them refuses it elsewhere.
pub fn groups(config: &[u8]) -> Vec<String> {
    let table: Option<toml::Table> = std::str::from_utf8(config).ok().and_then(|text| text.parse().ok());
    let groups =
        table.and_then(|table| table.get("nss")?.get("group")?.as_array().cloned()).unwrap_or_default();
    groups.iter().filter_map(|group| Some(group.get("name")?.as_str()?.to_string())).collect()
}

/// Judges nsswitch.conf for a host that serves groups.
pub fn check(groups: &[String], nsswitch: &str, has_nscd: bool, has_library: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(first) = groups.first() else { return findings };
    let lines =
        nsswitch.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default()));
    let line =
        lines.into_iter().find_map(|(number, line)| Some((number, line.trim().strip_prefix("group:")?)));
    let names = line.is_some_and(|(_, services)| services.split_whitespace().any(|word| word == "oncall"));
    if !names {
        let found = Finding::warning("nss-line", "the group line does not name `oncall`");
        let why = "the groups of [[nss.group]] have no members on this host";
        let (place, mend) = match line {
            Some((number, _)) => (Place::line(FILE, number), edit(FILE, &[format!("{number}s/$/ oncall/")])),
            None => (Place::file(FILE), format!("printf 'group: files oncall\\n' >>{FILE}")),
        };
        findings.push(found.at(place).why(why).run(mend));
    } else if !has_library {
        let found = Finding::warning("nss-line", "`oncall` is named, and libnss_oncall.so.2 is not there")
            .at(Place::file(FILE));
        findings.push(
            found
                .why("the groups of [[nss.group]] have no members on this host")
                .advise("install the suite's NSS module, or take the word out"),
        );
    }
    if has_nscd {
        let found = Finding::warning(
            "nscd",
            format_args!("nscd is running: it keeps the members of {first} for up to an hour"),
        );
        let why =
            "somebody's membership outlives their shift, or begins late, by as long as nscd keeps groups";
        findings.push(
            found
                .at(Place::file("/etc/nscd.conf"))
                .why(why)
                .advise("`enable-cache group no` in /etc/nscd.conf, and restart nscd"),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_of_a_host_without_such_groups() {
        assert_eq!(groups(b"[policy]\nmode = 'enforce'\n"), [""; 0]);
        assert_eq!(check(&[], "group: files\n", true, false), []);
    }

    #[test]
    fn the_group_line_has_to_name_the_module() {
        let groups = groups(b"[[nss.group]]\nname = 'oncall'\ngid = 9100\n");
        assert_eq!(groups, ["oncall"]);
        assert_eq!(check(&groups, "passwd: files\ngroup: files oncall [NOTFOUND=return]\n", false, true), []);
        let ids = |text, nscd, library| {
            check(&groups, text, nscd, library)
                .into_iter()
                .map(|finding| (finding.id, finding.place.unwrap().line))
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("passwd: files\ngroup: files # oncall\n", false, true), [("nss-line", Some(2))]);
        assert_eq!(ids("group: files oncall\n", false, false), [("nss-line", None)]);
        assert_eq!(ids("group: files oncall\n", true, true), [("nscd", None)]);
    }
}
