//! Is a session line of ours the first that sshd's stack has? Only then may account management leave a refusal to it.
//!
//! `shared=session` promises such a line. Somebody may have taken it out since, or let another end the stack before
//! it; so it is looked for at each refusal that is to wait. What is not plainly there is not there: then account
//! management refuses, as it always did.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use host::config;

/// Where libpam looks for the file of a service, in this order: pam.conf(5).
const DIRECTORIES: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// A file that is longer is not read.
const LONGEST: u64 = 64 * 1024;

/// How deep `@include` is followed.
const DEEPEST: usize = 8;

/// The word by which an account line promises that there is also a session line of ours.
const SESSION_DECIDES: &str = "shared=session";

/// The configuration file that a line with these words names.
pub fn config_path(arguments: &[String]) -> &Path {
    let named = arguments.iter().rev().find_map(|argument| argument.strip_prefix("config="));
    Path::new(named.unwrap_or(config::DEFAULT_PATH))
}

/// Do these words promise that there is also a session line of ours?
pub fn promises_session(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == SESSION_DECIDES)
}

/// Is this a word that a line of ours may have?
pub fn is_known_word(word: &str) -> bool {
    word.starts_with("config=") || word == SESSION_DECIDES
}

/// Does the stack of sshd begin its session with a line of ours that refuses, and that reads the configuration which
/// `arguments`, those of the account line, name?
pub fn session_line_is_first(arguments: &[String]) -> bool {
    matches!(first("sshd", &read, 0), Some(Session::Line(line)) if decides(&line, config_path(arguments)))
}

/// The first session line of a file.
#[derive(Debug, PartialEq, Eq)]
enum Session {
    None,
    /// Its words.
    Line(Vec<String>),
}

fn read(name: &str) -> Option<String> {
    let path =
        DIRECTORIES.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists())?;
    let mut text = String::new();
    File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    (text.len() as u64 != LONGEST).then_some(text)
}

/// The first session line in the file `name`, as libpam reads it; `None` where that is not plain: a file that cannot be
/// read, a line that goes on in the next or ends as those of another system do.
fn first(name: &str, read: &dyn Fn(&str) -> Option<String>, depth: usize) -> Option<Session> {
    let text = read(name).filter(|text| depth < DEEPEST && !text.contains(['\\', '\r']))?;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["@include", included, ..] => match first(included, read, depth + 1)? {
                Session::None => {}
                found => return Some(found),
            },
            [kind, ..] if kind.trim_start_matches('-').eq_ignore_ascii_case("session") => {
                return Some(Session::Line(words.into_iter().map(str::to_string).collect()));
            }
            _ => {}
        }
    }
    Some(Session::None)
}

/// Does this line end the stack for whom we refuse, by the configuration at `config`? Behind one that is `required` another
/// may take the refusal back (`reset`); one with a leading `-` is none if the module is gone.
fn decides(line: &[String], config: &Path) -> bool {
    let [kind, control, module, arguments @ ..] = line else { return false };
    let is_final = control.eq_ignore_ascii_case("requisite");
    let is_ours = kind.eq_ignore_ascii_case("session") && is_final && module == "pam_oncall.so";
    is_ours && arguments.iter().all(|word| is_known_word(word)) && config_path(arguments) == config
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "session requisite pam_oncall.so";

    fn is_first(sshd: &str, arguments: &[&str]) -> bool {
        let read = |name: &str| match name {
            "sshd" => Some(sshd.to_string()),
            "common-auth" => Some("auth required pam_unix.so\n".to_string()),
            "common-session" => Some("session required pam_unix.so\n".to_string()),
            "itself" => Some("@include itself\n".to_string()),
            _ => None,
        };
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        matches!(first("sshd", &read, 0), Some(Session::Line(line)) if decides(&line, config_path(&arguments)))
    }

    #[test]
    fn a_session_line_of_ours_counts_where_it_is_plainly_the_first() {
        for stack in [
            OURS,
            "# x\n@include common-auth\naccount required pam_oncall.so shared=session\n\n session requisite pam_oncall.so # ours\n@include common-session\n",
            "Session\tRequisite pam_oncall.so\nsession optional pam_x.so\n",
            "auth include other\nsession requisite pam_oncall.so shared=session",
        ] {
            assert!(is_first(stack, &[]), "{stack}");
        }
        for stack in [
            "",
            "#session requisite pam_oncall.so",
            "account required pam_oncall.so shared=session",
            "-session requisite pam_oncall.so",
            "session optional pam_oncall.so",
            "session required pam_oncall.so",
            "session sufficient pam_oncall.so",
            "session [default=ignore] pam_oncall.so",
            "session requisite pam_oncall.so.off",
            "session requisite pam_oncall.so shred=session",
            "session requisite pam_oncall.so config=/other",
            "session requisite pam_oncall.so\r\n",
            "session sufficient pam_permit.so\nsession requisite pam_oncall.so",
            "-session optional pam_systemd.so\nsession requisite pam_oncall.so",
            "session include common-session\nsession requisite pam_oncall.so",
            "@include common-session\nsession requisite pam_oncall.so",
            "@include absent\nsession requisite pam_oncall.so",
            "@include itself\nsession requisite pam_oncall.so",
            "auth required \\\nsession requisite pam_oncall.so",
        ] {
            assert!(!is_first(stack, &[]), "{stack}");
        }
        let other = "session requisite pam_oncall.so config=/other";
        assert!(is_first(other, &["shared=session", "config=/other"]) && !is_first(OURS, &["config=/other"]));
    }
}
