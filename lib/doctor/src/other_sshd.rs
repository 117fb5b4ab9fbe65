//! OpenSSH's server, started with other options or another configuration: sshd is asked what that says, too.

use host::program::Output;

use super::finding::{Finding, Place, edit, quoted};
use super::keys_before::{Commands, Kept};
use super::sshd::{CONNECTION, Settings};

/// The options of sshd(8) that take a word.
const WITH_WORD: &str = "CEbcfghkopu";

/// One that is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// By what: a process or a unit.
    pub by: String,
    /// Those of its words that say what it asks, `-f FILE` and `-o OPTION`.
    words: Vec<String>,
}

impl Started {
    /// The sshd that a running process is, by its /proc/PID/cmdline. Since 8.2 a server replaces that by a title,
    /// `sshd: /usr/sbin/sshd -D -f FILE [listener] 0 of 10-100 startups`.
    pub fn by_process(process: u32, cmdline: &str) -> Option<Self> {
        let cmdline = cmdline.trim_end_matches('\0');
        let words = match cmdline.strip_prefix("sshd: ") {
            Some(title) => words_of_title(title.split_once(" [listener]")?.0),
            None => cmdline.split('\0').map(String::from).collect(),
        };
        Self::new(format!("process {process}"), &words)
    }

    /// Those that a unit starts.
    pub fn by_unit(file: &str, text: &str) -> Vec<Self> {
        let text = text.replace("\\\n", " ");
        let commands = text.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
        let of_sshd = |command: &str| {
            let words = words_of_unit(command.trim_start_matches(['-', '@', ':', '+', '!']));
            words.first()?.ends_with("/sshd").then(|| Self::new(file.to_string(), &words))?
        };
        commands.filter_map(of_sshd).collect()
    }

    /// `None` if it goes by the usual configuration.
    fn new(by: String, command: &[String]) -> Option<Self> {
        let words = decisive(command.get(1..)?);
        (!words.is_empty()).then_some(Self { by, words })
    }

    /// Is it the same server, a unit's process?
    pub fn is_started_as(&self, other: &Self) -> bool {
        self.words == other.words
    }

    /// The file that it reads, if that is named.
    fn file(&self) -> Option<&str> {
        let at = self.words.iter().position(|word| word == "-f")?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// Its decisive words, for a shell.
    fn told(&self) -> String {
        self.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }

    /// What follows from it, by `ask`ing sshd. What the `usual` configuration makes so is reported there.
    pub fn check(
        &self,
        usual: Option<&Settings>,
        commands: &Commands<'_>,
        ask: &dyn Fn(&[&str]) -> Option<Output>,
    ) -> Vec<Finding> {
        let connection = format!("user=root,{CONNECTION}");
        let own = self.words.iter().map(String::as_str);
        let asked: Vec<&str> = ["-T"].into_iter().chain(own).chain(["-C", connection.as_str()]).collect();
        let Some(said) = ask(&asked) else { return Vec::new() };
        if !said.succeeded {
            let what = format!(
                "sshd is started with {} ({}), and does not say what it does then: {}",
                self.told(),
                self.by,
                said.complaint
            );
            let found = Finding::warning("second-sshd", what).at(self.place()).why(WHY);
            let advice = "look at it yourself: it needs `UsePAM yes`, as the usual one does";
            return vec![found.advise(advice)];
        }
        let settings = Settings::parse(&said.out);
        self.pam(&settings, usual).into_iter().chain(self.command(&settings, commands)).collect()
    }

    fn place(&self) -> Place {
        Place::file(self.file().unwrap_or(&self.by))
    }

    /// Does it ask PAM, as sshd?
    fn pam(&self, settings: &Settings, usual: Option<&Settings>) -> Option<Finding> {
        let (asks, wanted) = settings.asks_another()?;
        let usually = usual.filter(|_| self.file().is_none()).and_then(Settings::asks_another);
        if usually.is_some_and(|(usually, _)| usually == asks) {
            return None;
        }
        let what = format!("sshd is started with {} ({}), and {asks}", self.told(), self.by);
        let found = Finding::open("second-sshd", what).at(self.place()).why(WHY);
        Some(match self.file().filter(|_| self.words.len() == 2) {
            Some(file) => found.run(edit(file, &[format!("1i {wanted}")]) + "  # then restart it"),
            None => found.advise(format_args!(
                "{wanted}, where it is started; or end it, and take out what starts it"
            )),
        })
    }

    /// Does an option of it name another command for keys? It comes before what every file says.
    fn command(&self, settings: &Settings, commands: &Commands<'_>) -> Option<Finding> {
        let names_one = |option: &String| {
            let keyword = option.split([' ', '\t', '=']).next().unwrap_or_default();
            keyword.eq_ignore_ascii_case("AuthorizedKeysCommand")
        };
        let command = settings.get("authorizedkeyscommand");
        let program = command.split_whitespace().next().unwrap_or_default();
        if !self.words.iter().any(names_one) || program.rsplit('/').next() == Some("authkeys") {
            return None;
        }
        let what = format!(
            "sshd is started with {} ({}): that command takes precedence over every file",
            self.told(),
            self.by
        );
        let found = Finding::lock_out("sshd-command", what).at(self.place()).why(WHY_COMMAND);
        let without = "take AuthorizedKeysCommand and AuthorizedKeysCommandUser out of the options that sshd is started with \
                       (`systemctl cat ssh sshd` shows a unit's; `systemctl edit` it: `ExecStart=`, then `ExecStart=` with the rest), and restart sshd";
        Some(match commands.kept(command) {
            Kept::Already => found.advise(without),
            Kept::By(lines) => found.advise(format_args!("`{lines}`, which keeps its keys; then {without}")),
            Kept::ByHand(why) => found.advise(format_args!(
                "write `{command}` into config.toml as a [[keys.chain]], by hand, because {why}; then {without}"
            )),
        })
    }
}

const WHY: &str = "an ssh server that asks PAM nothing, or by another stack than ours: any key that it accepts opens its account, on call or not";

const WHY_COMMAND: &str =
    "authkeys is never run: no key in the directory opens anything, and nobody on call can enter root";

/// The option in a word that takes a value, and what of the value is in the same word. Several may be behind one sign;
/// the first that takes a value takes what is left, or the next word.
fn with_value(word: &str) -> Option<(&str, &str)> {
    let options = word.strip_prefix('-')?;
    let at = options.find(|option| WITH_WORD.contains(option))?;
    Some((options.get(at..=at)?, options.get(at + 1..)?))
}

/// The options among sshd's `words` that say what it asks.
fn decisive(words: &[String]) -> Vec<String> {
    let (mut told, mut words) = (Vec::new(), words.iter());
    while let Some(word) = words.next() {
        let Some((option, rest)) = with_value(word) else { continue };
        let value = if rest.is_empty() { words.next().map_or("", String::as_str) } else { rest };
        if matches!(option, "f" | "o") {
            told.extend([format!("-{option}"), value.to_string()]);
        }
    }
    told
}

/// The words in a title, where blanks are between them and in them. sshd takes no word that is not an option or its
/// value, so that such a word goes on with the value before it.
fn words_of_title(title: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in title.split_whitespace() {
        let is_option = word.starts_with('-') && !word.starts_with("--");
        let awaits_value = |last: &str| with_value(last).is_some_and(|(_, rest)| rest.is_empty());
        match words.last_mut() {
            Some(last) if !is_option && !awaits_value(last) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_string()),
        }
    }
    words
}

/// The words of a unit's command: quotes, the usual escapes, `%%` and `$$` (systemd.syntax(7), systemd.service(5)).
fn words_of_unit(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote): (Vec<String>, Option<String>, _) = (Vec::new(), None, None);
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        let kept = match letter {
            ' ' | '\t' if quote.is_none() => {
                words.extend(word.take());
                continue;
            }
            '"' | '\'' if quote.is_none_or(|quote| quote == letter) => {
                quote = quote.xor(Some(letter));
                word.get_or_insert_default();
                continue;
            }
            '\\' => match letters.next() {
                Some('s') => ' ',
                Some('t') => '\t',
                Some('n') => '\n',
                Some(escaped) => escaped,
                None => letter,
            },
            '%' | '$' => {
                letters.next_if_eq(&letter);
                letter
            }
            _ => letter,
        };
        word.get_or_insert_default().push(kept);
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::super::finding::{Fix, Severity};
    use super::super::machine::Stat;
    use super::*;

    const EIC: &str = "AuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %u %f";

    fn words(text: &str) -> Option<Vec<String>> {
        Started::by_process(7, text).map(|one| one.words)
    }

    #[test]
    fn one_that_goes_by_another_configuration_is_found() {
        let title = |text: &str| words(text).map(|words| words.join(" "));
        assert_eq!(title("sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups"), None);
        assert_eq!(title("sshd: alice [priv]"), None);
        assert_eq!(
            title("sshd: /usr/sbin/sshd -Df /x -p 22 [listener] 1 of 10-100 startups").unwrap(),
            "-f /x"
        );
        assert_eq!(title("sshd: sshd -p 2222 -oUsePAM=no -f/x [listener] 0").unwrap(), "-o UsePAM=no -f /x");
        let unit = "[Service]\nExecStartPre=/usr/sbin/sshd -t -f /x\nExecStart=-/usr/sbin/sshd -i -f \"/x\" $OPTIONS\nExecStart=/bin/true -f /y\n";
        let told = Started::by_unit("/u", unit);
        assert_eq!(told, [Started { by: "/u".to_string(), words: vec!["-f".to_string(), "/x".to_string()] }]);
    }

    #[test]
    fn words_with_blanks_in_them_stay_one_word() {
        let wanted = ["-o", EIC, "-f", "/x y"].map(String::from);
        let unit = "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D $OPTIONS \\\n -o \"AuthorizedKeysCommand /usr/share/ec2-instance-connect/eic_run_authorized_keys %%u %%f\" -f '/x'\\sy\n";
        let told = Started::by_unit("/u", unit);
        assert_eq!(told.iter().map(|one| one.words.as_slice()).collect::<Vec<_>>(), [wanted.as_slice()]);
        assert_eq!(words(&format!("/usr/sbin/sshd\0-D\0-o{EIC}\0-f\0/x y\0")).unwrap(), wanted);
        let title = format!("sshd: /usr/sbin/sshd -D -o {EIC} -f /x y [listener] 0 of 10-100 startups\0\0");
        assert_eq!(words(&title).unwrap(), wanted);
        let ours = "AuthorizedKeysCommand=/usr/bin/authkeys --config /c %u %t %k";
        let title = format!("sshd: sshd -o {ours} -p 22 -oUsePAM no [listener] 0");
        assert_eq!(words(&title).unwrap(), ["-o", ours, "-o", "UsePAM no"]);
    }

    const COMMANDS: Commands<'_> = Commands { chain: &[], config: "/c", stat: &|_| None };

    #[test]
    fn an_option_that_names_another_command_for_keys_locks_out() {
        let ask = |asked: &[&str]| {
            let option = asked.iter().find_map(|word| word.strip_prefix("AuthorizedKeysCommand"));
            let out =
                format!("usepam yes\nauthorizedkeyscommand {}\n", option.unwrap_or("=none")[1..].trim());
            Some(Output { out, complaint: String::new(), succeeded: true })
        };
        let found = |options: &str, stat: &dyn Fn(&std::path::Path) -> Option<Stat>| {
            let started = Started::by_process(7, &format!("/usr/sbin/sshd\0-D\0{options}\0")).unwrap();
            started.check(None, &Commands { stat, ..COMMANDS }, &ask)
        };
        for options in [format!("-o\0{EIC}"), "-oauthorizedkeyscommand=none".to_string()] {
            let all = found(&options, &|_| None);
            let [one] = all.as_slice() else { panic!("{options}: {all:?}") };
            assert_eq!((one.severity, one.id), (Severity::LockOut, "sshd-command"));
            assert!(matches!(&one.fix, Fix::Advice(fix) if fix.starts_with("take Auth")), "{:?}", one.fix);
        }
        // What it prints keys for is kept.
        let there = |_: &std::path::Path| Some(Stat { uid: 0, gid: 0, mode: 0o755, is_directory: false });
        let all = found(&format!("-o{EIC}"), &there);
        let kept = |fix: &str| fix.contains("'[[keys.chain]]'") && fix.contains("; then take Auth");
        assert!(matches!(&all[0].fix, Fix::Advice(fix) if kept(fix)), "{all:?}");
        assert_eq!(found("-oAuthorizedKeysCommand=/usr/bin/authkeys %u", &there), []);
        assert_eq!(found("-oPort=23", &there), [], "that is the usual configuration's");
    }

    #[test]
    fn one_that_asks_pam_nothing_or_another_stack_is_open() {
        let judged = |command: &str, out: &'static str, succeeded: bool| {
            let ask = move |words: &[&str]| {
                assert_eq!((words.first(), words.len() > 3), (Some(&"-T"), true));
                Some(Output { out: out.to_string(), complaint: "no".to_string(), succeeded })
            };
            let usual = Settings::parse("usepam no\n");
            let started = Started::by_process(7, &command.replace(' ', "\0")).unwrap();
            started.check(Some(&usual), &COMMANDS, &ask).pop()
        };
        assert_eq!(judged("sshd -f /x", "usepam yes\n", true), None);
        assert_eq!(judged("sshd -f /x", "usepam yes\npamservicename sshd\n", true), None);
        for (out, wanted) in
            [("usepam no\n", "1i UsePAM yes"), ("usepam yes\npamservicename x\n", "1i PAMServiceName sshd")]
        {
            let found = judged("sshd -f /x", out, true).unwrap();
            assert_eq!((found.severity, found.place.unwrap().file.as_str()), (Severity::Open, "/x"));
            assert!(matches!(&found.fix, Fix::Command(fix) if fix.contains(wanted)), "{:?}", found.fix);
        }
        assert_eq!(judged("sshd -o Port=23", "usepam no\n", true), None, "so it usually is");
        let found = judged("sshd -f /x -o UsePAM=no", "usepam no\n", true).unwrap();
        assert!(matches!(found.fix, Fix::Advice(_)), "the file cannot fix it: {:?}", found.fix);
        assert_eq!(judged("sshd -f /x", "", false).unwrap().severity, Severity::Warning);
    }
}
