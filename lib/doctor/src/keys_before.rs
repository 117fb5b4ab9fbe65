//! The AuthorizedKeysCommand that was there before ours. sshd takes one alone: accounts whose keys come from another have
//! none any more, unless config.toml has it as a `[[keys.chain]]`.

use std::path::Path;

use host::config::Chained;

use super::finding::quoted;
use super::machine::Stat;

/// Where userdb(8) has records as files; their keys are in those that end in `.user-privileged`.
const USERDB: &str = "/etc/userdb";

/// What is known of commands.
pub struct Commands<'a> {
    /// Those that `authkeys` asks.
    pub chain: &'a [Chained],
    /// The configuration that they are in.
    pub config: &'a str,
    pub stat: &'a dyn Fn(&Path) -> Option<Stat>,
}

/// What becomes of a command when sshd asks ours in its place.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is chained, or not there: nobody loses anything.
    Already,
    /// This keeps it.
    By(String),
    /// Somebody has to write it anew, and this is why.
    ByHand(&'static str),
}

impl Commands<'_> {
    /// Is `command`, as sshd has it, asked all the same; and if not, what does that?
    pub fn kept(&self, command: &str) -> Kept {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        let Some(program) = words.first().copied().filter(|program| *program != "none") else {
            return Kept::Already;
        };
        let is_chained = self.chain.iter().any(|one| one.program == Path::new(program));
        if is_chained || (self.stat)(Path::new(program)).is_none() {
            return Kept::Already;
        }
        if command.chars().any(|c| matches!(c, '"' | '\'' | '\\') || c.is_control() && c != '\t') {
            return Kept::ByHand("its words are quoted");
        }
        if !words.iter().all(|word| has_known_tokens(word)) {
            return Kept::ByHand(
                "it takes %h, %U, %C or %D, which [[keys.chain]] does not have: a script of root's can look them up and call it",
            );
        }
        if words.len() == 1 {
            // sshd appends the name then (sshd_config(5)).
            words.push("%u");
        }
        let is_userdb = program.ends_with("/userdbctl");
        if is_userdb {
            // It shows keys only to root, and to users who can read the record's file.
            words.splice(1..1, ["--with-varlink=no", "--with-nss=no"]);
        }
        let mut fix = self.append(&words, program);
        if is_userdb && (self.stat)(Path::new(USERDB)).is_some() {
            fix += &format!(
                " && find {USERDB} -name '*.user-privileged' -exec chgrp authkeys {{}} + -exec chmod 640 {{}} +"
            );
        }
        Kept::By(fix)
    }

    /// The command that appends the lines to the configuration.
    fn append(&self, words: &[&str], program: &str) -> String {
        let command: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let lines = [
            "[[keys.chain]]".to_string(),
            format!("name = \"{}\"", self.name(program)),
            format!("command = [{}]", command.join(", ")),
            "accounts = [\"*\"]".to_string(),
            "timeout = \"5s\"".to_string(),
        ];
        let lines: Vec<String> = lines.iter().map(|line| quoted(line)).collect();
        format!("printf '%s\\n' '' {} >>{}", lines.join(" "), quoted(self.config))
    }

    /// A name that no other entry has, made of the program's.
    fn name(&self, program: &str) -> String {
        let file = program.rsplit('/').next().unwrap_or_default();
        let fits = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name: String = file.chars().filter(fits).take(28).collect();
        let name = if name.is_empty() { "other".to_string() } else { name };
        let is_free = |name: &String| self.chain.iter().all(|one| one.name != *name);
        let numbered = (2..).map(|number: usize| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }
}

/// Does each `%` of a word begin a token that `[[keys.chain]]` has as well?
fn has_known_tokens(word: &str) -> bool {
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' && !letters.next().is_some_and(|token| matches!(token, 'u' | 't' | 'k' | 'f' | '%'))
        {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use host::Config;

    use super::*;

    const CONFIG: &str = "[directory]\nfile = \"/p\"\n[keys]\nsource = \"live\"\n[[keys.chain]]\nname = \"sss\"\ncommand = [\"/opt/a/sss\", \"%u\"]\naccounts = [\"x\"]\n";

    fn kept(command: &str) -> Kept {
        let config = Config::parse(Path::new("/c"), CONFIG.as_bytes()).unwrap();
        let stat = |path: &Path| {
            (path != Path::new("/gone")).then_some(Stat { uid: 0, gid: 0, mode: 0o755, is_directory: false })
        };
        Commands { chain: &config.keys.chain, config: "/c", stat: &stat }.kept(command)
    }

    #[test]
    fn what_is_written_down_is_what_sshd_has() {
        for (command, wanted) in [
            ("/usr/bin/sss_ssh_authorizedkeys %u", "/usr/bin/sss_ssh_authorizedkeys|%u"),
            ("/opt/eic %u  %f", "/opt/eic|%u|%f"),
            ("/opt/bare", "/opt/bare|%u"),
            ("/opt/b/sss 100%% a=%t:%k", "/opt/b/sss|100%%|a=%t:%k"),
            (
                "/usr/bin/userdbctl ssh-authorized-keys %u",
                "/usr/bin/userdbctl|--with-varlink=no|--with-nss=no|ssh-authorized-keys|%u",
            ),
        ] {
            let Kept::By(fix) = kept(command) else { panic!("{command}") };
            let script = format!("{} | cat", fix.split(" >>/c").next().unwrap());
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let text = format!("{CONFIG}{}", String::from_utf8(output.stdout).unwrap());
            let config = Config::parse(Path::new("/c"), text.as_bytes()).expect(&text);
            let last = text
                .lines()
                .find(|line| line.starts_with("command = ") && !line.contains("/opt/a/"))
                .unwrap();
            assert_eq!(last, format!("command = [\"{}\"]", wanted.replace('|', "\", \"")));
            let chained = config.keys.chain.last().unwrap();
            assert_eq!(chained.program, PathBuf::from(command.split_whitespace().next().unwrap()));
            assert_eq!((config.keys.chain.len(), chained.accounts.join(",").as_str()), (2, "*"));
        }
    }

    #[test]
    fn the_page_has_the_lines_that_are_printed() {
        let page = include_str!("../../../docs/install.md");
        let example = include_str!("../../../packaging/examples/config.toml");
        for command in ["/usr/bin/sss_ssh_authorizedkeys %u", "/usr/bin/userdbctl ssh-authorized-keys %u"] {
            let Kept::By(fix) = kept(command) else { panic!("{command}") };
            let words = fix.strip_prefix("printf '%s\\n' '' ").unwrap().split(" >>/c").next().unwrap();
            let lines = words.trim_matches('\'').replace("' '", "\n    ");
            assert!(page.contains(&format!("\n    {lines}\n")), "{lines}");
            let entry = example.replace("# ", "").contains(&lines.replace("\n    ", "\n"));
            assert!(entry || command.contains("userdbctl"), "{lines}");
            let files = fix.split_once(" && ").map(|(_, rest)| rest);
            assert!(files.is_none_or(|rest| page.contains(&format!("\n    {rest}\n"))), "{files:?}");
        }
    }

    #[test]
    fn what_is_kept_or_cannot_be_written_down_is_said() {
        assert_eq!(["none", "", "/gone %u", "/opt/a/sss %u"].map(kept), [const { Kept::Already }; 4]);
        for odd in ["/opt/x %h", "/opt/x %u%", "/opt/x \"a b\" %u", "/opt/x a\\ b %u"] {
            assert!(matches!(kept(odd), Kept::ByHand(_)), "{odd}");
        }
    }
}
