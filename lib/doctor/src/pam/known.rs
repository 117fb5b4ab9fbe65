//! What is known of the stacks, and what every judgement of them goes by.

use super::stack::{Entry, MISSING, Reader, SUBSTACK, UNKNOWN};
use crate::finding::{Severity, edit, listed, quoted};

/// What is known of the stacks and of what they lead to.
pub struct Pam<'a> {
    /// The files.
    pub read: Reader<'a>,
    /// Is there a program of this path?
    pub has: &'a dyn Fn(&str) -> bool,
    /// Is this file left of a package that was removed?
    pub is_left_over: &'a dyn Fn(&str) -> bool,
    /// Would libpam find this module, by its name or its path?
    pub has_module: &'a dyn Fn(&str) -> bool,
    /// The services that are decided for.
    pub services: &'a [String],
    /// The configuration that everything else reads.
    pub config: &'a str,
    /// Is there an account that several people enter with their own keys?
    pub has_shared: bool,
    /// Guarded accounts that programs enter over sshd with keys of theirs.
    pub robots: Vec<&'a str>,
    /// Can our lines be put in: is there a module, and a configuration that can be read?
    pub is_ready: bool,
    /// Guarded accounts, without those that are exempt.
    pub guarded: Vec<&'a str>,
    /// Guarded accounts that can be entered by a password.
    pub with_password: Vec<&'a str>,
    /// Whom polkit takes for administrators, where a password could prove it.
    pub administrators: Vec<&'a str>,
}

impl Pam<'_> {
    /// How bad it is that nobody is asked by `service` whether they are on call, and who could come in there.
    pub fn way_in(&self, service: &str) -> (Severity, String) {
        let (names, nobody) = match service {
            "sshd" | "sudo" | "sudo-i" | "doas" => return (Severity::Open, String::new()),
            "polkit-1" => (&self.administrators, "none of polkit's administrators has a password here"),
            _ => (&self.with_password, "no guarded account has a password"),
        };
        match names.as_slice() {
            [] => (Severity::Note, format!("; {nobody}")),
            names => (Severity::Open, format!("; with a password there: {}", listed(names))),
        }
    }
}

/// What our module answers to somebody whom it refuses, about whom it cannot tell, and whose name is none.
pub const REFUSALS: [&str; 3] = ["perm_denied", "authinfo_unavail", "user_unknown"];

/// What it answers to those whom it admits, and to those who are not its business.
pub const CONSENTS: [&str; 2] = ["success", "ignore"];

/// Modules that know whether an account is locked or expired.
pub const ACCOUNT_MODULES: [&str; 9] = [
    "pam_unix.so",
    "pam_sss.so",
    "pam_ldap.so",
    "pam_ldapd.so",
    "pam_krb5.so",
    "pam_winbind.so",
    "pam_systemd_home.so",
    "pam_kanidm.so",
    "pam_himmelblau.so",
];

/// The word of our session line in sshd's stack.
pub const SESSION_WORD: &str = "shared=session";

/// Every answer that a module could give; ours gives `ours`.
pub fn anything(entry: &Entry, ours: &[&str]) -> Vec<String> {
    let fixed = |answers: &[&str]| answers.iter().map(|answer| answer.to_string()).collect();
    match entry.name() {
        _ if entry.is_ours() && !ours.is_empty() => fixed(ours),
        "pam_deny.so" | MISSING => fixed(&["acct_expired"]),
        UNKNOWN => fixed(&["perm_denied"]),
        "pam_permit.so" => fixed(&["success"]),
        SUBSTACK => fixed(&["ignore"]),
        // It always says something about an account.
        "pam_unix.so" => ["success", "new_authtok_reqd", "acct_expired"]
            .into_iter()
            .chain(entry.control.named().filter(|answer| *answer != "ignore"))
            .map(String::from)
            .collect(),
        _ => {
            let usual = ["success", "new_authtok_reqd", "ignore", "acct_expired"];
            usual.into_iter().chain(entry.control.named()).map(String::from).collect()
        }
    }
}

/// Our line as it should be.
pub fn our_line(kind: &str, module: &str, arguments: &[impl AsRef<str>]) -> String {
    let control = if kind == "session" { "requisite" } else { "required" };
    let words = arguments.iter().map(|word| format!(" {}", word.as_ref()));
    format!("{kind} {control} {module}{}", words.collect::<String>())
}

/// Edits a stack; a distribution's own file is copied to /etc first.
pub fn edit_stack(file: &str, instructions: &[String]) -> String {
    match file.strip_prefix("/usr/lib/pam.d/") {
        None => edit(file, instructions),
        Some(name) => {
            let copy = format!("/etc/pam.d/{name}");
            format!("cp {} {} && {}", quoted(file), quoted(&copy), edit(&copy, instructions))
        }
    }
}
