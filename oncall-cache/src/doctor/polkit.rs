//! polkit rules that answer YES: no PAM, no password, nobody asked.

use super::finding::{Finding, Place, Severity};

/// Where rules are: an administrator's, and those that packages bring.
pub const RULES: [&str; 3] =
    ["/etc/polkit-1/rules.d", "/usr/local/share/polkit-1/rules.d", "/run/polkit-1/rules.d"];
/// Where the older form is, which the older polkit reads.
pub const AUTHORITY: [&str; 2] = ["/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority"];

/// Judges one file of rules or of local authority.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let numbered = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default().trim()));
    let says_yes = |line: &str| {
        let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let told = plain.to_ascii_lowercase();
        let authority =
            ["resultany=", "resultactive=", "resultinactive="].iter().any(|key| told.starts_with(key))
                && told.ends_with("=yes");
        plain.contains("polkit.Result.YES") || plain.contains("return\"yes\"") || authority
    };
    let tell = |(line, _): (usize, &str)| {
        // What a package brought is its distribution's decision.
        let severity = if file.contains("/10-vendor.d/") { Severity::Note } else { Severity::Warning };
        let found = Finding::new(severity, "polkit-yes", "a rule answers YES: nobody is asked who they are");
        let why = "what it covers (mounts, units, packages, pkexec) is root without PAM, on call or not";
        let advice = "answer AUTH_ADMIN, which asks by the service polkit-1; or delete the rule";
        found.at(Place::line(file, line)).why(why).advise(advice)
    };
    numbered.filter(|(_, line)| !line.starts_with('#') && says_yes(line)).map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
