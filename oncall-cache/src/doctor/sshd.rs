//! sshd as it would start now: which command gives it keys, who is asked by PAM, how root may come in.
//!
//! `sshd -T` says what holds, the files say which line made it so. A Match block that depends on an address is
//! judged by its lines, since no question asks for all addresses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::config::Chained;
use policy::matches_glob;

use super::accounts::Accounts;
use super::entry::Obstacle;
use super::finding::{Finding, Mend, Place, edit};
use super::keys_before::{Commands, Kept};
use super::machine::{Said, Stat};
use super::pam::listed;

/// Where sshd's own file is.
pub const CONFIG: &str = "/etc/ssh/sshd_config";

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

    fn get(&self, keyword: &str) -> &str {
        self.all(keyword).first().map_or("", String::as_str)
    }

    fn all(&self, keyword: &str) -> &[String] {
        self.0.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Is it set to something?
    fn has(&self, keyword: &str) -> bool {
        !matches!(self.get(keyword).to_ascii_lowercase().as_str(), "" | "none")
    }

    fn is_yes(&self, keyword: &str) -> bool {
        self.get(keyword).eq_ignore_ascii_case("yes")
    }

    /// Does sshd let root in with a key?
    pub fn lets_root_in(&self) -> bool {
        !matches!(self.get("permitrootlogin").to_ascii_lowercase().as_str(), "no" | "forced-commands-only")
    }

    /// Does it run a command of its own whatever is asked for?
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

/// A line of sshd's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub file: String,
    pub number: usize,
    pub keyword: String,
    pub value: String,
    /// What the Match block that it is in asks for.
    pub criteria: Option<String>,
}

impl Line {
    fn place(&self) -> Place {
        Place::line(&self.file, self.number)
    }
}

/// How files are read: the text of one, and the names in a directory.
pub struct Reader<'a> {
    pub text: &'a dyn Fn(&str) -> Option<String>,
    pub names: &'a dyn Fn(&str) -> Vec<String>,
}

/// Every line, in the order in which sshd reads them; the first of a keyword counts.
pub fn lines(reader: &Reader<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    include(CONFIG, None, 0, reader, &mut lines);
    lines
}

fn include(
    file: &str,
    mut criteria: Option<String>,
    depth: usize,
    reader: &Reader<'_>,
    lines: &mut Vec<Line>,
) {
    const DEEPEST: usize = 16;
    let text = (reader.text)(file).filter(|_| depth < DEEPEST).unwrap_or_default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (keyword, value) = line.split_once(|c: char| c.is_whitespace() || c == '=').unwrap_or((line, ""));
        let value =
            value.trim_start_matches(|c: char| c.is_whitespace() || c == '=').trim_matches('"').to_string();
        match keyword.to_ascii_lowercase().as_str() {
            "match" => criteria = Some(value).filter(|value| !value.eq_ignore_ascii_case("all")),
            "include" => {
                for pattern in value.split_whitespace() {
                    for path in expand(pattern.trim_matches('"'), reader) {
                        include(&path, criteria.clone(), depth + 1, reader, lines);
                    }
                }
            }
            keyword => lines.push(Line {
                file: file.to_string(),
                number: index + 1,
                keyword: keyword.to_string(),
                value,
                criteria: criteria.clone(),
            }),
        }
    }
}

/// The files of a pattern whose last part may have `*` and `?` in it.
fn expand(pattern: &str, reader: &Reader<'_>) -> Vec<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_string() } else { format!("/etc/ssh/{pattern}") };
    let Some((directory, last)) = pattern.rsplit_once('/') else { return Vec::new() };
    let fits = |name: &String| {
        matches_glob(last.as_bytes(), name.as_bytes()) && (!name.starts_with('.') || last.starts_with('.'))
    };
    let names = (reader.names)(directory).into_iter().filter(fits);
    names.map(|name| format!("{directory}/{name}")).collect()
}

/// What is known of sshd.
pub struct Sshd<'a> {
    /// What holds for each account that was asked about; root first.
    pub settings: &'a [(String, Settings)],
    pub lines: &'a [Line],
    pub accounts: &'a Accounts,
    pub stat: &'a dyn Fn(&Path) -> Option<Stat>,
    /// A path without links.
    pub real: &'a dyn Fn(&Path) -> PathBuf,
    /// The configuration that everything else reads.
    pub config: &'a str,
    /// Accounts that several people enter with their own keys, root if it is one.
    pub shared: Vec<&'a str>,
    /// Those of them where people who are off call have keys that lead to an explanation.
    pub explained: Vec<&'a str>,
    /// The copy of the directory, which the command has to read.
    pub keys: Option<Stat>,
    /// The other commands that ours asks.
    pub chain: &'a [Chained],
}

/// Everything that a Match can ask of a connection, but for the user: one over the loopback, to sshd's usual port, in no
/// routing domain. sshd 9.2 gives no answer where a LocalPort is asked for and not told.
const CONNECTION: &str = "host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22";

/// What holds for `account` over that connection, by `ask`ing sshd; `None`: it cannot be run.
pub fn settings(account: &str, ask: &dyn Fn(&[&str]) -> Option<Said>) -> Option<Result<Settings, Finding>> {
    let said = ask(&["-T", "-C", &format!("user={account},{CONNECTION}")])?;
    if said.succeeded {
        return Some(Ok(Settings::parse(&said.out)));
    }
    let starts = ask(&["-t"])?.succeeded;
    Some(Err(if starts { not_told(&said) } else { unreadable(&said) }))
}

/// sshd starts with its configuration, and does not say what holds for a connection: of a criterion that it wants to
/// know more about, say.
fn not_told(said: &Said) -> Finding {
    let what = format!("sshd -T does not say what holds for a connection: {}", said.complaint);
    let found = Finding::warning("sshd-match", what).at(Place::file(CONFIG));
    let why = "nothing about sshd could be looked at, though it starts and lets people in";
    found.why(why).advise("the Match that is meant decides by something that the doctor does not know; look at its lines yourself")
}

/// sshd's answer to `-T`, where it is no answer.
fn unreadable(said: &Said) -> Finding {
    let complaint = &said.complaint;
    if complaint.contains("privilege separation directory") {
        let found =
            Finding::warning("sshd-config", "sshd -T does not say what holds: /run/sshd is not there");
        return found.why("nothing about sshd could be looked at").run("mkdir -p -m 755 /run/sshd");
    }
    let found =
        Finding::lock_out("sshd-config", format_args!("sshd does not read its configuration: {complaint}"));
    let place = complaint.split_once(" line ").and_then(|(file, rest)| {
        let number = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
        Some(Place::line(file, number))
    });
    let found = Finding { place: Some(place.unwrap_or_else(|| Place::file(CONFIG))), ..found };
    found
        .why("at its next start nobody enters by ssh at all")
        .advise("mend the line; `sshd -t` says whether it is right")
}

/// Judges what holds.
pub fn check(sshd: &Sshd<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some((_, settings)) = sshd.settings.first() else { return findings };
    findings.extend(sshd.pam(settings));
    for (account, settings) in sshd.settings {
        findings.extend(sshd.command(settings));
        findings.extend(sshd.commands_before(settings));
        findings.extend(sshd.shut_out(account, settings));
        findings.extend(sshd.key_files(account, settings));
        findings.extend(sshd.tunnels(account, settings));
        findings.extend(sshd.forced_command(account, settings));
    }
    findings.extend(sshd.root(settings));
    findings.extend(sshd.certificates(settings));
    findings.extend(sshd.sessions(settings));
    findings.extend(sshd.penalties(settings));
    findings.extend(sshd.matches());
    findings
}

const WHY_NO_COMMAND: &str = "sshd takes the first AuthorizedKeysCommand alone: no key of the directory opens anything, and nobody on call enters root";
const WHY_COMMAND_REFUSED: &str =
    "sshd does not run a command that others could have changed: no key of the directory opens anything";
const COMMAND: &str = "/usr/bin/authkeys %u %t %k";
const RELOAD: &str = "  # then reload sshd";

impl Sshd<'_> {
    /// The line that makes `keyword` what it is for `account`.
    fn line(&self, keyword: &str, value: &str) -> Option<&Line> {
        let of_keyword = || self.lines.iter().filter(|line| line.keyword == keyword);
        let same = |line: &&Line| same_value(&line.value, value);
        let everywhere = of_keyword().find(|line| line.criteria.is_none()).filter(same);
        everywhere.or_else(|| of_keyword().find(same))
    }

    /// Places a finding at the line that makes `keyword` so, and says how to make it `wanted`.
    fn mended(&self, found: Finding, keyword: &str, value: &str, written: &str) -> Finding {
        match self.line(&keyword.to_ascii_lowercase(), value) {
            Some(line) => {
                let mend = edit(&line.file, &[format!("{}c {keyword} {written}", line.number)]);
                found.at(line.place()).run(mend + RELOAD)
            }
            // Before every other line, and before every Match.
            None => {
                let mend = edit(CONFIG, &[format!("1i {keyword} {written}")]);
                found.at(Place::file(CONFIG)).run(mend + RELOAD)
            }
        }
    }

    fn pam(&self, settings: &Settings) -> Option<Finding> {
        if settings.is_yes("usepam") {
            return None;
        }
        let found = Finding::open("sshd-pam", "UsePAM is no");
        let found =
            found.why("sshd asks PAM nothing: any key that it accepts opens its account, on call or not");
        Some(self.mended(found, "UsePAM", "no", "yes"))
    }

    fn command(&self, settings: &Settings) -> Option<Finding> {
        let command = settings.get("authorizedkeyscommand");
        let program = command.split_whitespace().next().unwrap_or_default();
        let mend = |found: Finding| self.mended(found, "AuthorizedKeysCommand", command, COMMAND);
        if !settings.has("authorizedkeyscommand") {
            let found =
                Finding::lock_out("sshd-command", "sshd asks no command for keys").why(WHY_NO_COMMAND);
            return Some(if settings.has("authorizedkeyscommanduser") {
                mend(found)
            } else {
                // sshd does not start with one of the two alone.
                let lines = [("User", "authkeys"), ("", COMMAND)];
                let lines = lines.map(|(end, value)| format!("1i AuthorizedKeysCommand{end} {value}"));
                found.at(Place::file(CONFIG)).run(edit(CONFIG, &lines) + RELOAD)
            });
        }
        if program.rsplit('/').next() != Some("authkeys") {
            let found = Finding::lock_out("sshd-command", format_args!("another command wins: {command}"));
            return Some(self.kept(command, mend(found.why(WHY_NO_COMMAND))));
        }
        self.arguments(command).or_else(|| self.program(program)).or_else(|| self.user(settings))
    }

    /// `found`, whose mend puts another in the place of `command`: with what keeps that for the accounts whose keys it has.
    fn kept(&self, command: &str, found: Finding) -> Finding {
        let commands = Commands { chain: self.chain, config: self.config, stat: self.stat };
        match (commands.kept(command), &found.mend) {
            (Kept::By(lines), Mend::Command(mend)) => {
                let both = format!("{lines} && {mend}");
                found.run(both)
            }
            (Kept::ByHand(why), Mend::Command(mend)) => {
                let advice = format!(
                    "write `{command}` into config.toml as a [[keys.chain]], by hand, because {why}; then {mend}"
                );
                found.advise(advice)
            }
            _ => found,
        }
    }

    /// Commands that sshd would ask if it did not ask ours. Our own file sorts before the distribution's.
    fn commands_before(&self, settings: &Settings) -> Vec<Finding> {
        let is_ours = |command: &str| {
            command.split_whitespace().next().is_some_and(|program| program.ends_with("/authkeys"))
        };
        if !is_ours(settings.get("authorizedkeyscommand")) {
            return Vec::new();
        }
        let commands = Commands { chain: self.chain, config: self.config, stat: self.stat };
        let told = |line: &Line| {
            let what =
                format!("{} is not asked any more: sshd takes one command, and ours comes first", line.value);
            let found = Finding::warning("sshd-command", what).at(line.place());
            let found = found.why("accounts whose keys come from it cannot log in with them");
            match commands.kept(&line.value) {
                Kept::Already => None,
                Kept::By(lines) => Some(found.run(format!("{lines}  # or, if nobody needs it, take the line out"))),
                Kept::ByHand(why) => Some(found.advise(format_args!(
                    "write it into config.toml as a [[keys.chain]], by hand, because {why}; or take the line out"
                ))),
            }
        };
        let lines = self.lines.iter().filter(|line| line.keyword == "authorizedkeyscommand");
        lines.filter(|line| line.criteria.is_none() && !is_ours(&line.value)).filter_map(told).collect()
    }

    /// What the command is given.
    fn arguments(&self, command: &str) -> Option<Finding> {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let config = words.iter().position(|word| *word == "--config").and_then(|at| words.get(at + 1));
        let problem = if config.is_some_and(|config| *config != self.config) {
            Some((
                "it reads another configuration than everything else",
                "what the doctor says is not what it does",
            ))
        } else if !words.is_empty() && !words.contains(&"%u") {
            Some(("it is not told the account (%u)", WHY_NO_COMMAND))
        } else if !words.contains(&"%t") || !words.contains(&"%k") {
            let why = "without %t %k a program's key that config.toml gives, and accounts of very many keys, do not get through an outage";
            Some(("it is not told which key is offered (%t %k)", why))
        } else {
            None
        };
        let (problem, why) = problem?;
        let found = match why {
            WHY_NO_COMMAND => Finding::lock_out("sshd-command", format_args!("{command}: {problem}")),
            _ => Finding::warning("sshd-command", format_args!("{command}: {problem}")),
        };
        Some(self.mended(found.why(why), "AuthorizedKeysCommand", command, COMMAND))
    }

    /// sshd's own rule: the program and all directories above it are root's, and nobody else can write them. It
    /// follows links first (misc.c, safe_path); whoever can exchange one of these decides as well.
    fn program(&self, program: &str) -> Option<Finding> {
        let found = |what: String| Finding::lock_out("sshd-command-path", what).why(WHY_COMMAND_REFUSED);
        let path = Path::new(program);
        let Some(stat) = (self.stat)(path) else {
            let advice = "install the suite again (packaging/install.sh, or its package)";
            return Some(found(format!("{program} is not there")).at(Place::file(program)).advise(advice));
        };
        let real = (self.real)(path);
        for above in path.ancestors().chain(real.ancestors()) {
            let Some(stat) = (self.stat)(above) else { continue };
            if stat.uid != 0 || stat.mode & 0o022 != 0 {
                let above = above.display().to_string();
                let owner = self.accounts.user_name(stat.uid);
                let what = format!("{above} is {owner}'s, mode {:04o}; sshd wants root's alone", stat.mode);
                return Some(
                    found(what)
                        .at(Place::file(&above))
                        .run(format_args!("chown root {above} && chmod go-w {above}")),
                );
            }
        }
        let is_for_all = stat.mode & 0o005 == 0o005;
        (!is_for_all).then(|| {
            let what = format!("{program} has mode {:04o}: its user cannot run it", stat.mode);
            found(what).at(Place::file(program)).run(format_args!("chmod 755 {program}"))
        })
    }

    /// Whom sshd runs it as.
    fn user(&self, settings: &Settings) -> Option<Finding> {
        let name = settings.get("authorizedkeyscommanduser");
        let mend = |found: Finding| self.mended(found, "AuthorizedKeysCommandUser", name, "authkeys");
        if !settings.has("authorizedkeyscommanduser") {
            let found = Finding::lock_out(
                "sshd-command-user",
                "no AuthorizedKeysCommandUser: sshd does not run the command",
            );
            return Some(mend(found.why(WHY_NO_COMMAND)));
        }
        let Some(user) = self.accounts.user(name) else {
            let found = Finding::lock_out(
                "sshd-command-user",
                format_args!("AuthorizedKeysCommandUser {name} is no user here"),
            );
            return Some(mend(found.why(WHY_NO_COMMAND)));
        };
        if user.uid == 0 {
            let found = Finding::warning("sshd-command-user", "the command runs as root");
            let why = "what reads answers from the network would have every right on this host; sshd warns of it too";
            return Some(mend(found.why(why)));
        }
        let can_read = self.keys.is_none_or(|keys| self.accounts.can_read(user, keys));
        (!can_read).then(|| {
            let found = Finding::lock_out(
                "sshd-command-user",
                format_args!("{name}, whom the command runs as, cannot read the copy of the directory"),
            );
            mend(found.why("authkeys prints nothing, and exits with 2, for every account"))
        })
    }

    /// Is a guarded account kept out by sshd itself?
    fn shut_out(&self, account: &str, settings: &Settings) -> Option<Finding> {
        if !self.shared.contains(&account) {
            return None;
        }
        let why = "people on call have a right to the account that sshd does not let them use";
        if !settings.is_yes("pubkeyauthentication") {
            let found = Finding::lock_out("sshd-root", "PubkeyAuthentication is no").why(why);
            return Some(self.mended(found, "PubkeyAuthentication", "no", "yes"));
        }
        let obstacle = listed_out(account, &self.accounts.groups_of(account), settings, self.lines)?;
        let found = Finding::lock_out("sshd-root", format_args!("{account} {}", obstacle.what));
        Some(Finding { mend: obstacle.mend, ..found.at(obstacle.place).why(why) })
    }

    /// Files in which a shared account could have keys of its own.
    fn key_files(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let files = settings.get("authorizedkeysfile");
        if !self.shared.contains(&account) || !settings.has("authorizedkeysfile") {
            return None;
        }
        let what = format!("sshd reads {files} for {account}, before it asks authkeys");
        let place = self.line("authorizedkeysfile", files).map_or_else(|| Place::file(CONFIG), Line::place);
        let why =
            "whoever is root for an hour can leave a key there; PAM's session line is what stops it then";
        let advice = format!(
            "to shut the door: `Match User {account}` and `AuthorizedKeysFile none` at the end of sshd_config"
        );
        Some(Finding::note("sshd-key-files", what).at(place).why(why).advise(advice))
    }

    /// How root may come in.
    fn root(&self, settings: &Settings) -> Option<Finding> {
        let value = settings.get("permitrootlogin");
        let wanted = "prohibit-password";
        if !settings.lets_root_in() {
            if !self.shared.contains(&"root") {
                return None;
            }
            if let Some((line, criteria)) = self.lets_some_root_in() {
                let what =
                    format!("PermitRootLogin is {value}, but {} where `{criteria}` matches", line.value);
                let found = Finding::note("sshd-root", what).at(line.place());
                let why = "people on call enter root over these connections alone";
                return Some(
                    found.why(why).advise(format_args!("nothing, if `{criteria}` is where they come from")),
                );
            }
            let found = Finding::lock_out(
                "sshd-root",
                format_args!("PermitRootLogin is {value}, and root is in [[policy.shared]]"),
            );
            let found = found.why("people on call have a right to root that sshd does not let them use");
            return Some(self.mended(found, "PermitRootLogin", value, wanted));
        }
        let by_password =
            settings.is_yes("passwordauthentication") || settings.is_yes("kbdinteractiveauthentication");
        if value != "yes" || !by_password {
            return None;
        }
        let found = Finding::warning("sshd-root-password", "sshd asks for root's password");
        let found = found.why("PAM refuses a password for root, since it does not tell who gave it; until then it can be guessed");
        Some(self.mended(found, "PermitRootLogin", value, wanted))
    }

    /// The line by which root enters over some connections, and what its Match block asks of them.
    fn lets_some_root_in(&self) -> Option<(&Line, &str)> {
        let lets = |line: &&Line| {
            line.keyword == "permitrootlogin"
                && !["no", "forced-commands-only"].contains(&line.value.to_ascii_lowercase().as_str())
        };
        let mut told =
            self.lines.iter().filter(lets).filter_map(|line| Some((line, line.criteria.as_deref()?)));
        told.find(|(_, criteria)| may_match(criteria, "root"))
    }

    fn certificates(&self, settings: &Settings) -> Option<Finding> {
        let file = settings.get("trustedusercakeys");
        let found = Finding::warning("sshd-certificates", format_args!("sshd takes certificates of {file}"));
        let line = self.line("trustedusercakeys", file);
        let found = found.at(line.map_or_else(|| Place::file(CONFIG), Line::place));
        let why = "a certificate for somebody's own account is no key of theirs in the directory: it outlives their entry. PAM refuses it for root";
        let mend = line.map(|line| edit(&line.file, &[format!("{}d", line.number)]) + RELOAD);
        settings.has("trustedusercakeys").then(|| found.why(why).run(mend.unwrap_or_default()))
    }

    /// Sessions over a connection that is open already.
    fn sessions(&self, settings: &Settings) -> Option<Finding> {
        let most: usize = settings.get("maxsessions").parse().ok()?;
        let found = Finding::note(
            "sshd-sessions",
            format_args!("a connection that root opened carries up to {most} sessions, after the shift too"),
        );
        let why =
            "sshd asks PAM once for a connection: ssh's ControlMaster starts new sessions over an old one";
        let place =
            self.line("maxsessions", &most.to_string()).map_or_else(|| Place::file(CONFIG), Line::place);
        let advice = "where that matters: `Match User root` and `MaxSessions 1` at the end of sshd_config";
        (most > 1).then(|| found.at(place).why(why).advise(advice))
    }

    /// Who fails to log in, and everybody behind the same address: sshd_config(5), since 9.8.
    fn penalties(&self, settings: &Settings) -> Option<Finding> {
        let told = settings.get("persourcepenalties");
        let word = told.split_whitespace().find(|word| word.starts_with("authfail:"))?;
        let counts =
            !["authfail:0", "authfail:0s"].contains(&word) && !settings.has("persourcepenaltyexemptlist");
        let what =
            format!("sshd shuts an address out after a few logins that failed (PerSourcePenalties {word})");
        let place = self.line("persourcepenalties", told).map_or_else(|| Place::file(CONFIG), Line::place);
        let why = "people on call behind the same bastion, runner or NAT are shut out too; what pam_oncall.so refuses when a session opens costs nothing, a key that authkeys does not print does";
        let advice = "name those addresses in `PerSourcePenaltyExemptList`, or write `PerSourcePenalties authfail:0`; then reload sshd";
        counts.then(|| Finding::note("sshd-penalties", what).at(place).why(why).advise(advice))
    }

    /// Devices for tunnels, of an account whose sessions PAM may refuse.
    fn tunnels(&self, account: &str, settings: &Settings) -> Option<Finding> {
        let value = settings.get("permittunnel");
        if !self.shared.contains(&account) || matches!(value, "" | "no") {
            return None;
        }
        let found = Finding::warning("sshd-tunnel", format_args!("PermitTunnel is {value} for {account}"));
        let why = "sshd before 10.5 does not count tunnels among what is taken from whom PAM's session refuses, or whose key is for one command";
        Some(self.mended(found.why(why), "PermitTunnel", value, "no"))
    }

    /// A command of sshd's own comes before that of a key (sshd_config(5)): people off call, whose keys lead to an
    /// explanation and no further, reach it wherever PAM refuses nobody.
    fn forced_command(&self, account: &str, settings: &Settings) -> Option<Finding> {
        if !self.explained.contains(&account) {
            return None;
        }
        let of_some = |line: &&Line| {
            let criteria = line.criteria.as_deref();
            line.keyword == "forcecommand" && criteria.is_some_and(|criteria| may_match(criteria, account))
        };
        let command = settings.get("forcecommand");
        let line = match settings.forces_command() {
            true => self.line("forcecommand", command),
            false => Some(self.lines.iter().find(of_some)?),
        };
        let command = line.map_or(command, |line| line.value.as_str());
        let what = format!("ForceCommand {command} comes before the command of a key of {account}");
        let why = "while the host observes or is suspended, people off call whose keys are printed to explain the refusal run it";
        let advice =
            format!("in config.toml, under [[policy.shared]] account = \"{account}\": explain = false");
        let place = line.map_or_else(|| Place::file(CONFIG), Line::place);
        Some(Finding::warning("sshd-forcecommand", what).at(place).why(why).advise(advice))
    }

    /// Lines that hold for some connections alone, and make them what nobody asked about.
    fn matches(&self) -> Vec<Finding> {
        let bad = |line: &&Line| {
            let value = line.value.to_ascii_lowercase();
            match line.keyword.as_str() {
                "authorizedkeyscommand" => {
                    !value.split_whitespace().next().is_some_and(|program| program.ends_with("/authkeys"))
                }
                "authorizedkeyscommanduser" => self.accounts.user(&value).is_none_or(|user| user.uid == 0),
                "permitrootlogin" => value == "yes",
                "pubkeyauthentication" => value == "no",
                "trustedusercakeys" => value != "none",
                _ => false,
            }
        };
        let told = |line: &Line| {
            let criteria = line.criteria.as_deref().unwrap_or_default();
            let what = format!("`{} {}` for connections that match `{criteria}`", line.keyword, line.value);
            let found = Finding::warning("sshd-match", what).at(line.place());
            let why = "for these connections sshd does not do what it does for all others";
            let found = found.why(why).run(edit(&line.file, &[format!("{}d", line.number)]) + RELOAD);
            if line.keyword == "authorizedkeyscommand" { self.kept(&line.value, found) } else { found }
        };
        self.lines.iter().filter(|line| line.criteria.is_some()).filter(bad).map(told).collect()
    }
}

/// Are two ways of writing a value the same?
fn same_value(written: &str, told: &str) -> bool {
    let normal = |value: &str| {
        let words: Vec<&str> = value.split_whitespace().collect();
        words.join(" ").to_ascii_lowercase().replace("prohibit-password", "without-password")
    };
    normal(written) == normal(told)
}

/// May a Match block be for `user` from some place? What goes by the user alone `sshd -T` has told.
fn may_match(criteria: &str, user: &str) -> bool {
    let words: Vec<String> =
        criteria.split(|c: char| c.is_whitespace() || c == '=').map(str::to_ascii_lowercase).collect();
    let places = ["address", "host", "localaddress", "localport", "rdomain"];
    let goes_by_place = words.iter().any(|word| places.contains(&word.as_str()));
    let at = words.iter().position(|word| word == "user");
    let Some(patterns) = at.and_then(|at| words.get(at + 1)) else { return goes_by_place };
    let covers = |pattern: &str| matches_glob(pattern.as_bytes(), user.as_bytes());
    let excludes = |pattern: &str| pattern.strip_prefix('!').is_some_and(covers);
    goes_by_place && patterns.split(',').any(covers) && !patterns.split(',').any(excludes)
}

/// Which of sshd's lists of accounts and groups keeps `account`, in `groups`, out?
pub fn listed_out(account: &str, groups: &[&str], settings: &Settings, lines: &[Line]) -> Option<Obstacle> {
    let user = &[account][..];
    let named = |keyword: &str, names: &[&str]| {
        settings.all(keyword).iter().any(|pattern| names.iter().any(|name| fits(pattern, name)))
    };
    let lists = [
        ("DenyUsers", user, false),
        ("AllowUsers", user, true),
        ("DenyGroups", groups, false),
        ("AllowGroups", groups, true),
    ];
    let keeps_out = |(keyword, names, wanted): &(&str, &[&str], bool)| {
        let keyword = keyword.to_ascii_lowercase();
        !settings.all(&keyword).is_empty() && named(&keyword, names) != *wanted
    };
    let (keyword, ..) = lists.into_iter().find(keeps_out)?;
    let line = lines.iter().find(|line| line.keyword == keyword.to_ascii_lowercase());
    let advice =
        format!("add {account}, or a group of it, to that line, or take it from there; then reload sshd");
    Some(Obstacle {
        what: format!("is kept out by sshd's {keyword}"),
        place: line.map_or_else(|| Place::file(CONFIG), Line::place),
        mend: Mend::Advice(advice),
    })
}

/// Does a pattern of AllowUsers cover `name`, from some address?
pub fn fits(pattern: &str, name: &str) -> bool {
    let user = pattern.split('@').next().unwrap_or(pattern);
    matches_glob(user.as_bytes(), name.as_bytes())
}

/// Keys in files that sshd reads for shared accounts.
pub fn local_keys(
    settings: &[(String, Settings)],
    shared: &[&str],
    accounts: &Accounts,
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (account, settings) in settings.iter().filter(|(account, _)| shared.contains(&account.as_str())) {
        let Some(user) = accounts.user(account) else { continue };
        for file in settings.key_files(account, &user.home) {
            let text = read(&file).unwrap_or_default();
            let is_key = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
            let lines: Vec<usize> =
                text.lines().enumerate().filter(|(_, line)| is_key(line)).map(|(at, _)| at + 1).collect();
            let Some(first) = lines.first() else { continue };
            let what = format!(
                "{} of {account} beside those of the directory",
                if lines.len() == 1 { "1 key".to_string() } else { format!("{} keys", lines.len()) }
            );
            let found = Finding::warning("local-keys", what).at(Place::line(&file, *first));
            let why = "sshd takes them before it asks authkeys; PAM's session line alone stops whoever has one and is not on call";
            let advice = format!(
                "`mv {file} {file}.off`, once an exempt account has a key of its own; to shut the door: `AuthorizedKeysFile none` in `Match User {}`",
                listed(&[account])
            );
            findings.push(found.why(why).advise(advice));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(path: &str) -> Option<String> {
        let text = match path {
            "/etc/ssh/sshd_config" => {
                "# x\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM no\nMatch Address 10.0.0.0/8\n  PermitRootLogin yes\nMatch all\nMaxSessions=4\n"
            }
            "/etc/ssh/sshd_config.d/05-other.conf" => {
                "AuthorizedKeysCommand \"/usr/bin/userdbctl ssh-authorized-keys %u\"\n"
            }
            "/etc/ssh/sshd_config.d/10-authkeys.conf" => {
                "AuthorizedKeysCommand /usr/bin/authkeys %u %t %k\nPermitRootLogin prohibit-password\n"
            }
            _ => return None,
        };
        Some(text.to_string())
    }

    fn read_lines() -> Vec<Line> {
        let names = |_: &str| ["05-other.conf", "10-authkeys.conf", "readme"].map(String::from).to_vec();
        lines(&Reader { text: &reader, names: &names })
    }

    #[test]
    fn lines_are_read_in_sshds_order() {
        let told = |line: &Line| {
            format!(
                "{}:{} {} {} {:?}",
                line.file.replace("/etc/ssh/", ""),
                line.number,
                line.keyword,
                line.value,
                line.criteria
            )
        };
        assert_eq!(
            read_lines().iter().map(told).collect::<Vec<_>>(),
            [
                "sshd_config.d/05-other.conf:1 authorizedkeyscommand /usr/bin/userdbctl ssh-authorized-keys %u None",
                "sshd_config.d/10-authkeys.conf:1 authorizedkeyscommand /usr/bin/authkeys %u %t %k None",
                "sshd_config.d/10-authkeys.conf:2 permitrootlogin prohibit-password None",
                "sshd_config:3 usepam no None",
                "sshd_config:5 permitrootlogin yes Some(\"Address 10.0.0.0/8\")",
                "sshd_config:7 maxsessions 4 None",
            ]
        );
    }

    /// Without the command that stands in 05-other.conf, unless it `has_other`.
    fn found_where(has_other: bool, told: &str) -> Vec<Finding> {
        let accounts = Accounts::parse(
            "root:x:0:0::/root:/bin/sh\nauthkeys:x:990:990::/:/bin/false\n".to_string(),
            "root:x:0:\nauthkeys:x:990:\n".to_string(),
            "",
        );
        let stat = |path: &Path| {
            let is_there = has_other || !path.ends_with("userdbctl");
            is_there.then_some(Stat { uid: 0, gid: 0, mode: 0o755, is_directory: false })
        };
        let lines = read_lines();
        let settings = [("root".to_string(), Settings::parse(told))];
        let sshd = Sshd {
            settings: &settings,
            lines: &lines,
            accounts: &accounts,
            stat: &stat,
            real: &|path| path.to_path_buf(),
            config: "/c",
            shared: vec!["root"],
            explained: vec![],
            keys: None,
            chain: &[],
        };
        check(&sshd)
    }

    fn found(told: &str) -> Vec<String> {
        let tell = |finding: Finding| {
            format!(
                "{} {} {}",
                finding.severity,
                finding.id,
                finding.place.map(|place| place.to_string()).unwrap_or_default().replace("/etc/ssh/", "")
            )
        };
        found_where(false, told).into_iter().map(tell).collect()
    }

    const GOOD: &str = "usepam yes\nauthorizedkeyscommand /usr/bin/authkeys %u %t %k\nauthorizedkeyscommanduser authkeys\npermitrootlogin without-password\npubkeyauthentication yes\nmaxsessions 1\n";
    const MATCH: &str = "warning sshd-match sshd_config:5";

    #[test]
    fn a53_what_holds_is_judged_and_the_line_named() {
        assert_eq!(found(GOOD), [MATCH]);
        for (right, wrong, expected) in [
            ("usepam yes", "usepam no", "open sshd-pam sshd_config:3"),
            (
                "/usr/bin/authkeys %u %t %k",
                "/usr/bin/userdbctl ssh-authorized-keys %u",
                "lock-out sshd-command sshd_config.d/05-other.conf:1",
            ),
            ("/usr/bin/authkeys %u %t %k", "none", "lock-out sshd-command sshd_config"),
            ("/usr/bin/authkeys %u %t %k", "/usr/bin/authkeys %u", "warning sshd-command sshd_config"),
            ("commanduser authkeys", "commanduser nobody", "lock-out sshd-command-user sshd_config"),
            ("commanduser authkeys", "commanduser root", "warning sshd-command-user sshd_config"),
            ("without-password", "no", "note sshd-root sshd_config:5"),
            (
                "without-password",
                "yes\npasswordauthentication yes",
                "warning sshd-root-password sshd_config:5",
            ),
            ("pubkeyauthentication yes", "pubkeyauthentication no", "lock-out sshd-root sshd_config"),
            ("usepam yes", "usepam yes\nallowusers ali*@10.0.0.1", "lock-out sshd-root sshd_config"),
            ("usepam yes", "usepam yes\ndenygroups r?ot", "lock-out sshd-root sshd_config"),
            ("usepam yes", "usepam yes\ntrustedusercakeys /ca", "warning sshd-certificates sshd_config"),
            ("maxsessions 1", "maxsessions 4", "note sshd-sessions sshd_config:7"),
            (
                "usepam yes",
                "usepam yes\npersourcepenalties crash:90 authfail:5 noauth:1",
                "note sshd-penalties sshd_config",
            ),
            ("usepam yes", "usepam yes\npermittunnel yes", "warning sshd-tunnel sshd_config"),
        ] {
            let all = found(&GOOD.replace(right, wrong));
            assert!(all.contains(&expected.to_string()) && all.len() == 2, "{wrong}: {all:?}");
        }
    }

    #[test]
    fn no_mend_takes_the_keys_of_another_command_away() {
        let other = GOOD.replace("/usr/bin/authkeys %u %t %k", "/usr/bin/userdbctl ssh-authorized-keys %u");
        for (told, severity) in [(GOOD.to_string(), "warning"), (other, "lock-out")] {
            let findings = found_where(true, &told);
            let found = findings.iter().find(|finding| finding.id == "sshd-command").expect("it is told");
            let Mend::Command(mend) = &found.mend else { panic!("{:?}", found.mend) };
            assert_eq!(found.severity.to_string(), severity);
            assert!(mend.starts_with("printf '%s\\n' '' '[[keys.chain]]' "), "{mend}");
        }
    }

    #[test]
    fn penalties_that_cost_nobody_behind_a_bastion_are_not_told() {
        for quiet in ["no", "crash:90 authfail:0", "authfail:5\npersourcepenaltyexemptlist 192.0.2.1"] {
            assert_eq!(found(&format!("{GOOD}persourcepenalties {quiet}\n")), [MATCH], "{quiet}");
        }
    }

    #[test]
    fn a_match_block_by_place_may_be_for_root_unless_it_names_others() {
        let told = |criteria| may_match(criteria, "root");
        assert!(["Address 10.0.0.0/8", "user=r* Host *.example.com", "LocalPort 22"].into_iter().all(told));
        assert!(!["User root,!r* Address *", "User alice Address *", "Group sudo"].into_iter().any(told));
    }

    #[test]
    fn a_key_is_accepted_by_the_algorithms_of_its_type() {
        let settings =
            Settings::parse("pubkeyacceptedalgorithms ssh-rsa-cert-v01@openssh.com,rsa-sha2-512\n");
        let told = |line| settings.accepts(line);
        assert_eq!(["from=\"a b\" ssh-rsa AAAA", "ssh-new AAAA"].map(told), [true, true]);
        assert_eq!(["ssh-ed25519 AAAA x", "ecdsa-sha2-nistp256 AAAA"].map(told), [false, false]);
        assert!(Settings::default().accepts("ssh-ed25519 AAAA"));
    }

    #[test]
    fn files_of_keys_are_found_by_their_pattern() {
        let settings = Settings::parse("authorizedkeysfile .ssh/a /k/%u %h/b none");
        assert_eq!(settings.key_files("root", "/root"), ["/root/.ssh/a", "/k/root", "/root/b"]);
    }
}
