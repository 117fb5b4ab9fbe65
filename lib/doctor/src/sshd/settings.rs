//! What holds in sshd, as `sshd -T` prints it.

use std::collections::BTreeMap;

use host::program::Output;

use super::lines::CONFIG;
use crate::finding::{Finding, Place};

/// What holds, as `sshd -T` prints it.
#[derive(Debug, Default, Clone)]
pub struct Settings(BTreeMap<String, Vec<String>>);

impl Settings {
    pub fn parse(text: &str) -> Self {
        let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            settings.entry(keyword.to_ascii_lowercase()).or_default().push(value.trim().to_string());
        }
        Self(settings)
    }

    /// The first value of a keyword; empty where it has none.
    pub fn get(&self, keyword: &str) -> &str {
        self.all(keyword).first().map_or("", String::as_str)
    }

    /// All its values.
    pub fn all(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Is it set to something?
    pub fn has(&self, keyword: &str) -> bool {
        !matches!(self.get(keyword).to_ascii_lowercase().as_str(), "" | "none")
    }

    /// Is it `yes`?
    pub fn is_yes(&self, keyword: &str) -> bool {
        self.get(keyword).eq_ignore_ascii_case("yes")
    }

    /// Does sshd let root in with a key?
    pub fn lets_root_in(&self) -> bool {
        !matches!(self.get("permitrootlogin").to_ascii_lowercase().as_str(), "no" | "forced-commands-only")
    }

    /// Does it ask PAM nothing, or by another service than its own (PAMServiceName, since 9.8)? And the line that ends that.
    pub fn asks_another(&self) -> Option<(String, &'static str)> {
        match self.get("pamservicename") {
            _ if !self.is_yes("usepam") => Some(("asks PAM nothing".to_string(), "UsePAM yes")),
            "" | "sshd" => None,
            other => Some((format!("asks PAM as {other}"), "PAMServiceName sshd")),
        }
    }

    /// Does it run its own command whatever is asked for?
    pub fn forces_command(&self) -> bool {
        self.has("forcecommand")
    }

    /// Does sshd take the key on this line of authorized_keys? Of a type that is not known, yes.
    pub fn accepts(&self, line: &str) -> bool {
        let types = self.get("pubkeyacceptedalgorithms");
        let taken = |wanted: &[&str]| types.is_empty() || types.split(',').any(|one| wanted.contains(&one));
        line.split_whitespace()
            .find_map(|word| match word {
                // The type of the key, and not of what it signs by.
                "ssh-rsa" => Some(taken(&["ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"])),
                "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" | "sk-ecdsa-sha2-nistp256@openssh.com" => {
                    Some(taken(&[word]))
                }
                word => word.starts_with("ecdsa-sha2-").then(|| taken(&[word])),
            })
            .unwrap_or(true)
    }

    /// The groups that AllowGroups names.
    pub fn allowed_groups(&self) -> impl Iterator<Item = &str> {
        self.all("allowgroups").iter().map(String::as_str)
    }

    /// The files that a user's keys may be in, `home` being theirs.
    pub fn key_files(&self, user: &str, home: &str) -> Vec<String> {
        let files = self.get("authorizedkeysfile").split_whitespace().filter(|file| *file != "none");
        let full = |file: &str| {
            let file = file.replace("%u", user).replace("%h", home).replace("%%", "%");
            if file.starts_with('/') { file } else { format!("{home}/{file}") }
        };
        files.map(full).collect()
    }
}

/// Everything that a Match can ask of a connection, but for the user: one over the loopback, to sshd's usual port, in no
/// routing domain. sshd 9.2 gives no answer where a LocalPort is asked for and not told.
pub const CONNECTION: &str = "host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22";

/// What holds for `account` over that connection, by `ask`ing sshd; `None`: it cannot be run.
pub fn settings(account: &str, ask: &dyn Fn(&[&str]) -> Option<Output>) -> Option<Result<Settings, Finding>> {
    let said = ask(&["-T", "-C", &format!("user={account},{CONNECTION}")])?;
    if said.succeeded {
        return Some(Ok(Settings::parse(&said.out)));
    }
    let starts = ask(&["-t"])?.succeeded;
    Some(Err(if starts { not_told(&said) } else { unreadable(&said) }))
}

/// sshd starts with its configuration, and does not say what holds for a connection: of a criterion that it wants to
/// know more about, say.
fn not_told(said: &Output) -> Finding {
    let what = format!("sshd -T does not print the settings for a connection: {}", said.complaint);
    let found = Finding::warning("sshd-match", what).at(Place::file(CONFIG));
    let why = "sshd could not be checked, although it starts and lets people in";
    found
        .why(why)
        .advise("that Match block tests something that doctor does not know; check its lines yourself")
}

/// sshd's answer to `-T`, where it is no answer.
fn unreadable(said: &Output) -> Finding {
    let complaint = &said.complaint;
    if complaint.contains("privilege separation directory") {
        let found =
            Finding::warning("sshd-config", "sshd -T does not print its settings: /run/sshd does not exist");
        return found.why("sshd could not be checked").run("mkdir -p -m 755 /run/sshd");
    }
    let found =
        Finding::lock_out("sshd-config", format_args!("sshd does not read its configuration: {complaint}"));
    let place = complaint.split_once(" line ").and_then(|(file, rest)| {
        let number = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Place::line(file, number))
    });
    let found = Finding { place: Some(place.unwrap_or_else(|| Place::file(CONFIG))), ..found };
    found
        .why("after its next start nobody can log in over ssh")
        .advise("fix the line; `sshd -t` says whether it is right")
}
