//! What dpkg says of files: which are left of packages that are gone.

use std::collections::BTreeSet;

/// Asks dpkg, as for its own file: a stanza for each package.
pub const QUERY: [&str; 3] = ["-W", "-f", "\\nStatus: ${Status}\\nConffiles:\\n${Conffiles}\\n"];

/// The configuration files of packages that were removed and not purged ("config-files"): no program reads them any more.
pub fn left_over(status: &str) -> BTreeSet<String> {
    let is_removed = |stanza: &&str| {
        stanza.lines().any(|line| line.starts_with("Status: ") && line.ends_with(" config-files"))
    };
    let files = |stanza: &str| -> Vec<String> {
        let after = stanza.lines().skip_while(|line| !line.starts_with("Conffiles:")).skip(1);
        let lines = after.take_while(|line| line.starts_with(' '));
        lines.filter_map(|line| line.split_whitespace().next()).map(String::from).collect()
    };
    let kept = |stanza: &&str| !is_removed(stanza);
    let stanzas = || status.split("\n\n");
    // What moved to another package is that one's.
    let others: BTreeSet<String> = stanzas().filter(kept).flat_map(files).collect();
    stanzas().filter(is_removed).flat_map(files).filter(|file| !others.contains(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_removed_package_left_is_nobodys() {
        let stanza = |state: &str, file: &str| {
            format!(
                "Package: p\nStatus: {state}\nConffiles:\n {file} 0a\n /etc/x 0b\nDescription: d\n /etc/not\n\n"
            )
        };
        let status = stanza("install ok installed", "/etc/pam.d/a")
            + &stanza("deinstall ok config-files", "/etc/pam.d/b");
        assert_eq!(left_over(&status).into_iter().collect::<Vec<_>>(), ["/etc/pam.d/b"]);
    }
}
