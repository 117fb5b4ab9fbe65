//! The PAM stacks: does a refusal of ours end each of them, can anybody who is admitted pass, is the module there.

mod doors;
mod flow;
mod module;
mod place;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

pub use doors::doors;
pub use module::{Module, is_installed, module};
use place::{Insertion, Left, session_line};
pub use place::{Plan, plan};
pub use stack::DIRECTORIES;
use stack::{Entry, MISSING, Reader, SUBSTACK, UNKNOWN};

use super::doors::asks_here;
use super::finding::{Finding, Place, Severity, edit, quoted};

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
    fn way_in(&self, service: &str) -> (Severity, String) {
        let (names, nobody) = match service {
            "sshd" | "sudo" | "sudo-i" | "doas" => return (Severity::Open, String::new()),
            "polkit-1" => (&self.administrators, "no administrator of polkit's has a password here"),
            _ => (&self.with_password, "no guarded account has a password to enter by"),
        };
        match names.as_slice() {
            [] => (Severity::Note, format!("; {nobody}")),
            names => (Severity::Open, format!("; with a password there: {}", listed(names))),
        }
    }
}

/// The stack of one service.
struct Stack<'a> {
    service: &'a str,
    /// The file it has, or `other`'s.
    file: String,
    is_own: bool,
    account: Vec<Entry>,
}

/// What our module answers to somebody whom it refuses, about whom it cannot tell, and whose name is none.
const REFUSALS: [&str; 3] = ["perm_denied", "authinfo_unavail", "user_unknown"];

/// What it answers to those whom it admits, and to those who are not its business.
const CONSENTS: [&str; 2] = ["success", "ignore"];

/// Modules that know whether an account is locked or expired.
const ACCOUNT_MODULES: [&str; 9] = [
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

const SESSION_WORD: &str = "shared=session";

const WHY_SOFT: &str =
    "a refusal has to end the stack: with this control whoever is off call passes if another line lets them";
const WHY_ORDER: &str = "the line can end the stack, or leave ours out, before ours is asked";
const WHY_MISSING: &str = "whoever enters by this service is not asked whether they are on call";
const WHY_WORD: &str =
    "a word that the module does not know is a fault: every guarded login by this service is refused";

/// Judges every stack in scope.
pub fn check(pam: &Pam<'_>) -> Vec<Finding> {
    let stacks: Vec<Stack<'_>> =
        pam.services.iter().filter_map(|service| Stack::read(service, pam)).collect();
    let missing: BTreeSet<&str> =
        stacks.iter().filter(|stack| stack.ours().is_none()).map(|stack| stack.file.as_str()).collect();
    let mut findings = carriage_returns(&stacks, pam);
    findings.extend(nologin(&stacks, pam));
    for stack in &stacks {
        findings.extend(stack.missing_includes());
        findings.extend(stack.unknown_lines(pam));
        findings.extend(absent(stack, pam));
        findings.extend(stack.jumps_too_far());
        match stack.ours() {
            None => findings.extend(stack.without_ours(pam, &missing)),
            Some(ours) => {
                findings.extend(refusals(stack, "account", &stack.account, &REFUSALS));
                findings.extend(stack.refuses_everybody());
                findings.extend(stack.without_account_module(ours));
                findings.extend(
                    stack.account.iter().filter(|entry| entry.is_ours()).flat_map(|entry| words(entry, pam)),
                );
            }
        }
        if stack.service == "sshd" && stack.ours().is_some() {
            findings.extend(session(stack, pam));
        }
        findings.extend(without_a_credential(stack, pam));
    }
    findings
}

/// Modules that are not there, and without which nobody passes. A `-` before the line keeps libpam from complaining of
/// it, and from nothing else. Ours is judged with its file.
fn absent(stack: &Stack<'_>, pam: &Pam<'_>) -> Option<Finding> {
    let is_absent = |entry: &Entry| {
        let is_module = ![MISSING, SUBSTACK, UNKNOWN].contains(&entry.module.as_str()) && !entry.is_ours();
        is_module && !entry.module.contains('$') && !(pam.has_module)(&entry.module)
    };
    let name = if stack.is_own { stack.service } else { stack::OTHER };
    ["auth", "account", "session"].into_iter().find_map(|kind| {
        let entries = stack::expand(name, kind, pam.read)?;
        let first = entries.iter().find(|entry| is_absent(entry))?;
        let passes = |answers: flow::Answers<'_>| flow::ends(&entries, answers).iter().any(|end| end.passes);
        // Whose password has to be changed may pass by a line before it; that is no way in for the others.
        let usual = |entry: &Entry| {
            anything(entry, &[]).into_iter().filter(|answer| answer != "new_authtok_reqd").collect::<Vec<_>>()
        };
        let unknown = || vec!["module_unknown".to_string()];
        let as_they_are = |entry: &Entry| if is_absent(entry) { unknown() } else { usual(entry) };
        if passes(&as_they_are) || !passes(&usual) {
            return None;
        }
        let what = format!("{}: {} is not there, and nobody passes without it", stack.service, first.module);
        let found = Finding::lock_out("pam-absent", what).at(place(first));
        let why = "libpam counts a module that it cannot load as a refusal, with a `-` before the line too: exempt accounts are refused as well";
        let advice = format!("install the package that has {}, or take the line out", first.module);
        Some(found.why(why).advise(advice))
    })
}

/// Files in which lines end as those of another system do. The stacks are judged as they are meant.
fn carriage_returns(stacks: &[Stack<'_>], pam: &Pam<'_>) -> Vec<Finding> {
    let mut files: BTreeMap<(String, usize), Vec<&str>> = BTreeMap::new();
    for stack in stacks {
        let name = if stack.is_own { stack.service } else { "other" };
        for file in stack::carriage_returns(name, pam.read) {
            files.entry(file).or_default().push(stack.service);
        }
    }
    let told = |((file, line), services): ((String, usize), Vec<&str>)| {
        let what = format!("{}: a line ends in a carriage return", listed(&services));
        let why = "libpam takes it for a part of the last word: a module, file or option of that name there is none, and everybody is refused";
        let mend = edit_stack(&file, &["s/\\r$//".to_string()]);
        Finding::lock_out("pam-cr", what).at(Place::line(&file, line)).why(why).run(mend)
    };
    files.into_iter().map(told).collect()
}

/// What keeps all but root out while a host is being worked on.
const NOLOGIN: &str = "/etc/nologin";

fn nologin(stacks: &[Stack<'_>], pam: &Pam<'_>) -> Option<Finding> {
    let asks = |stack: &&Stack<'_>| stack.account.iter().any(|entry| entry.name() == "pam_nologin.so");
    let services: Vec<&str> = stacks.iter().filter(asks).map(|stack| stack.service).collect();
    let found = Finding::lock_out("nologin", format_args!("{}: {NOLOGIN} is there", listed(&services)));
    let why = "pam_nologin.so refuses everybody but root by it: those on call, and exempt accounts";
    let found = found.at(Place::file(NOLOGIN)).why(why).run(format_args!("rm {NOLOGIN}"));
    (!services.is_empty() && (pam.has)(NOLOGIN)).then_some(found)
}

impl<'a> Stack<'a> {
    /// The stack of `service`; `other`'s, if it has none and its program is here.
    fn read(service: &'a str, pam: &Pam<'_>) -> Option<Self> {
        let own = stack::find(service, pam.read).map(|(file, _)| (service, file));
        if own.as_ref().is_some_and(|(_, file)| (pam.is_left_over)(file)) {
            return None;
        }
        let is_own = own.is_some();
        let of_other = || {
            let file = stack::find("other", pam.read)?.0;
            asks_here(service, pam.has).then_some(("other", file))
        };
        let (name, file) = own.or_else(of_other)?;
        let account = stack::expand(name, "account", pam.read)?;
        Some(Self { service, file, is_own, account })
    }

    fn ours(&self) -> Option<&Entry> {
        self.account.iter().find(|entry| entry.is_ours())
    }

    fn missing_includes(&self) -> Option<Finding> {
        let entry = self.account.iter().find(|entry| entry.module == MISSING)?;
        let name = entry.arguments.first().map(String::as_str).unwrap_or_default();
        let found = Finding::lock_out(
            "pam-include",
            format_args!("{}: {name} is included and is not there", self.service),
        );
        let why = "libpam refuses everybody where a file is missing, exempt accounts included";
        Some(found.at(place(entry)).why(why).advise(format_args!("put {name} back, or take the line out")))
    }

    /// Lines that begin with no type of libpam's: `@includes common-account`. What they were meant to do nobody does.
    fn unknown_lines(&self, pam: &Pam<'_>) -> Option<Finding> {
        let name = if self.is_own { self.service } else { stack::OTHER };
        let auth = stack::expand(name, "auth", pam.read).unwrap_or_default();
        let entry = self.account.iter().chain(&auth).find(|entry| entry.module == UNKNOWN)?;
        let word = entry.arguments.first().map(String::as_str).unwrap_or_default();
        let what = format!("{}: `{word}` is no type of line that libpam knows", self.service);
        let why = "libpam refuses by such a line: whoever has to prove themselves by this stack, and everybody where a file is included for one type";
        let advice = "`auth`, `account`, `password`, `session` or `@include`, in the place of that word; or take the line out";
        Some(Finding::lock_out("pam-line", what).at(place(entry)).why(why).advise(advice))
    }

    fn jumps_too_far(&self) -> Option<Finding> {
        let entry = self.account.get(flow::overshoots(&self.account)?)?;
        let what = format!(
            "{}: `{} {}` leaves out more lines than there are",
            self.service, entry.word, entry.module
        );
        let why = "libpam refuses whoever comes to that jump";
        let advice = "count the lines it is meant to leave out, those of included files too";
        Some(Finding::lock_out("pam-jump", what).at(place(entry)).why(why).advise(advice))
    }

    /// Our line is not in it.
    fn without_ours(&self, pam: &Pam<'_>, missing: &BTreeSet<&str>) -> Option<Finding> {
        let passes = flow::ends(&self.account, &|entry| anything(entry, &[])).iter().any(|end| end.passes);
        // `account include su` in su-l: one line mends both.
        let told_elsewhere = |entry: &Entry| {
            entry.through.iter().any(|file| *file != self.file && missing.contains(file.as_str()))
        };
        if !passes || self.account.iter().any(told_elsewhere) {
            return None;
        }
        let (service, trusted) = (self.service, trusts_a_group(self, pam));
        let (severity, what) = match pam.way_in(service) {
            _ if trusted => (Severity::Open, ": pam_wheel.so lets a group in without a password".to_string()),
            told => told,
        };
        let what = format!("{service}: no line for pam_oncall.so{what}");
        let found = Finding::new(severity, "pam-missing", what).at(Place::file(&self.file)).why(WHY_MISSING);
        let insertion = match self.insertion(pam) {
            Ok(insertion) => insertion,
            Err(left) => {
                let advice = format!("its lines have to be put in by hand: {left}; see pam_oncall(8)");
                return Some(found.advise(advice));
            }
        };
        Some(if pam.is_ready {
            found.run(insertion)
        } else {
            // A stack that names a module which is not there refuses everybody.
            found.advise(format_args!(
                "install the suite and mend its configuration first; then, as root: {insertion}"
            ))
        })
    }

    /// The command that puts our lines in.
    fn insertion(&self, pam: &Pam<'_>) -> Result<String, Left> {
        if !self.is_own {
            let is_sshd = self.service == "sshd";
            let line = our_line("account", "pam_oncall.so", if is_sshd { &[SESSION_WORD] } else { &[] });
            let session = "session requisite pam_oncall.so";
            let lines = if is_sshd { format!("{line}\\n{session}\\n") } else { format!("{line}\\n") };
            let (other, service) = (quoted(&self.file), self.service);
            return Ok(format!("printf '{lines}' | cat - {other} >/etc/pam.d/{service}"));
        }
        match plan(self.service, pam.read) {
            Plan::Insert(insertions) => Ok(edit_stack(&self.file, &for_sed(&insertions))),
            Plan::Leave(left) => Err(left),
            Plan::Counts => Ok(String::new()),
        }
    }

    /// Whoever is admitted has to pass.
    fn refuses_everybody(&self) -> Option<Finding> {
        let can_pass = |answer: &&str| {
            flow::ends(&self.account, &|entry| anything(entry, &[*answer])).iter().any(|end| end.passes)
        };
        let is_told = |entry: &Entry| entry.module == MISSING || entry.module == UNKNOWN;
        if CONSENTS.iter().all(can_pass) || self.account.iter().any(is_told) {
            return None;
        }
        let ours = self.ours()?;
        let what = format!("{}: nobody passes this stack, on call or not", self.service);
        let found = Finding::lock_out("pam-refuses", what).at(place(ours));
        let found = found.why("pam_oncall.so never speaks for an ordinary login: a stack in which nobody does, or that denies, refuses");
        let is_alone = self.account.iter().all(Entry::is_ours);
        Some(if is_alone {
            found.run(self.with_pam_unix(ours))
        } else {
            found.advise("compare it with the stack of another host; see pam.conf(5)")
        })
    }

    /// Nobody asks whether the account is locked or expired.
    fn without_account_module(&self, ours: &Entry) -> Option<Finding> {
        let knows = |entry: &Entry| ACCOUNT_MODULES.contains(&entry.name());
        let is_told = self.account.iter().all(Entry::is_ours)
            || self.account.iter().any(|entry| entry.module == MISSING);
        if is_told || self.account.iter().any(knows) {
            return None;
        }
        let what =
            format!("{}: no pam_unix.so in the account stack, nor another that knows accounts", self.service);
        let found = Finding::open("pam-unix", what).at(place(ours));
        Some(found.why("accounts that are locked or expired are let in").run(self.with_pam_unix(ours)))
    }

    fn with_pam_unix(&self, ours: &Entry) -> String {
        edit_stack(&ours.file, &[format!("{}a account required pam_unix.so", ours.lines.1)])
    }
}

/// What becomes of our refusals in a stack of `kind`.
fn refusals(stack: &Stack<'_>, kind: &str, entries: &[Entry], answers: &[&str]) -> Vec<Finding> {
    let mut culprits = BTreeSet::new();
    for answer in answers {
        let ends = flow::ends(entries, &|entry| anything(entry, &[answer]));
        culprits.extend(ends.into_iter().filter(|end| end.passes).map(|end| end.culprit));
    }
    let Some(ours) = entries.iter().find(|entry| entry.is_ours()) else { return Vec::new() };
    let service = stack.service;
    let tell = |culprit: Option<usize>| match culprit.and_then(|at| entries.get(at)) {
        None => {
            let what = format!("{service}: our {kind} line is `{}`: a refusal does not count", ours.word);
            let line = our_line(kind, &ours.module, &ours.arguments);
            let (first, last) = ours.lines;
            let mend = edit_stack(&ours.file, &[format!("{first},{last}c {line}")]);
            Finding::open("pam-soft", what).at(place(ours)).why(WHY_SOFT).run(mend)
        }
        Some(other) => {
            let what = format!(
                "{service}: `{} {}` can let in before pam_oncall.so is asked",
                other.word, other.module
            );
            let found = Finding::open("pam-order", what).at(place(other)).why(WHY_ORDER);
            match moved(stack, kind, ours, other) {
                Some(mend) => found.run(mend),
                None => found.advise(format_args!("put our line ({}) above it", place(ours))),
            }
        }
    };
    // One line of ours is to be moved once.
    let first_other = culprits.iter().flatten().next().copied();
    let kept = culprits.iter().filter(|culprit| culprit.is_none() || **culprit == first_other);
    kept.map(|culprit| tell(*culprit)).collect()
}

/// The command that puts our line before `other`.
fn moved(stack: &Stack<'_>, kind: &str, ours: &Entry, other: &Entry) -> Option<String> {
    let before = match () {
        () if ours.file == stack.file => other.own_line,
        () if ours.file == other.file => other.lines.0,
        () => return None,
    };
    let (first, last) = ours.lines;
    let line = our_line(kind, &ours.module, &ours.arguments);
    Some(edit_stack(&ours.file, &[format!("{before}i {line}"), format!("{first},{last}d")]))
}

/// Shared accounts over sshd are decided by the session line, and the account line has to say that it is there.
fn session(stack: &Stack<'_>, pam: &Pam<'_>) -> Vec<Finding> {
    let entries = stack::expand(stack.service, "session", pam.read).unwrap_or_default();
    let Some(account) = stack.ours() else { return Vec::new() };
    let passes_on = account.arguments.iter().any(|word| word == SESSION_WORD);
    let stands = entries.iter().any(Entry::is_ours);
    let mut findings = refusals(stack, "session", &entries, &["perm_denied", "authinfo_unavail"]);
    let insertion = for_sed(&session_line(stack.service, pam.read));
    if passes_on && !stands {
        let what = format!("sshd: `{SESSION_WORD}` promises a session line, and there is none");
        let why = "whoever has a key or password of root or another shared account enters it, on call or not";
        let found = Finding::open("pam-session", what).at(place(account)).why(why);
        findings.push(found.run(edit_stack(&stack.file, &insertion)));
    }
    if !passes_on && (pam.has_shared || !pam.robots.is_empty()) {
        let (first, last) = account.lines;
        let words: Vec<&str> = account.arguments.iter().map(String::as_str).chain([SESSION_WORD]).collect();
        let word = format!("{first},{last}c {}", our_line("account", &account.module, &words));
        // The word is a promise: the line is there before it, also where the two are in different files.
        let mend = match stands {
            true => edit_stack(&account.file, &[word]),
            false if account.file == stack.file => edit_stack(&stack.file, &[vec![word], insertion].concat()),
            false => {
                format!("{} && {}", edit_stack(&stack.file, &insertion), edit_stack(&account.file, &[word]))
            }
        };
        let (whom, why) = match pam.robots.as_slice() {
            _ if pam.has_shared => (
                String::new(),
                "sshd tells the key when the session opens: without the word nobody enters root or another shared account",
            ),
            robots => (
                format!(", and [[policy.automation]] has keys for {}", listed(robots)),
                "sshd tells the key when the session opens: without the word a program counts as the account's owner, who is not on call",
            ),
        };
        let what = format!("sshd: the account line lacks `{SESSION_WORD}`{whom}");
        let found = Finding::lock_out("pam-shared", what);
        findings.push(found.at(place(account)).why(why).run(mend));
    }
    findings.extend(entries.iter().filter(|entry| entry.is_ours()).flat_map(|entry| words(entry, pam)));
    findings
}

/// Words of our line that are not known, or that name another configuration.
fn words(entry: &Entry, pam: &Pam<'_>) -> Option<Finding> {
    let strange = |word: &&String| word.as_str() != SESSION_WORD && !word.starts_with("config=");
    if let Some(word) = entry.arguments.iter().find(strange) {
        let kept: Vec<&String> = entry.arguments.iter().filter(|word| !strange(word)).collect();
        let found = Finding::lock_out("pam-word", format_args!("`{word}` is no word of pam_oncall.so"));
        return Some(found.at(place(entry)).why(WHY_WORD).run(rewritten(entry, &kept)));
    }
    let other = entry
        .arguments
        .iter()
        .find(|word| word.strip_prefix("config=").is_some_and(|path| path != pam.config))?;
    let kept: Vec<&String> = entry.arguments.iter().filter(|word| *word != other).collect();
    let why = "the doctor, authkeys and the syncs read another file: what they say is not what this line decides by";
    let what = format!("the line reads {}, not {}", other.trim_start_matches("config="), pam.config);
    Some(Finding::warning("pam-config", what).at(place(entry)).why(why).run(rewritten(entry, &kept)))
}

fn rewritten(entry: &Entry, arguments: &[impl AsRef<str>]) -> String {
    let (first, last) = entry.lines;
    let mut line = format!("{} {} {}", entry.kind, entry.word, entry.module);
    for argument in arguments {
        line.push(' ');
        line.push_str(argument.as_ref());
    }
    edit_stack(&entry.file, &[format!("{first},{last}c {line}")])
}

/// Modules that prove nothing about whoever comes.
const PROVE_NOTHING: [&str; 12] = [
    "pam_permit.so",
    "pam_env.so",
    "pam_faildelay.so",
    "pam_nologin.so",
    "pam_cap.so",
    "pam_group.so",
    "pam_keyinit.so",
    "pam_warn.so",
    "pam_echo.so",
    "pam_securetty.so",
    "pam_shells.so",
    "pam_umask.so",
];

/// An auth stack that passes although every module that asks for a proof has failed.
fn without_a_credential(stack: &Stack<'_>, pam: &Pam<'_>) -> Option<Finding> {
    let name = if stack.is_own { stack.service } else { "other" };
    let entries = stack::expand(name, "auth", pam.read)?;
    let answers = |entry: &Entry| match entry.name() {
        name if PROVE_NOTHING.contains(&name) => anything(entry, &[]),
        _ => vec!["auth_err".to_string()],
    };
    let passes = flow::ends(&entries, &answers).iter().any(|end| end.passes);
    let first = entries.iter().find(|entry| entry.name() == "pam_permit.so").filter(|_| passes)?;
    let found = Finding::open(
        "pam-auth",
        format_args!("{}: the auth stack asks for no proof of who comes", stack.service),
    );
    let why = "without a password or key anybody is taken for whom they say they are";
    Some(
        found
            .at(place(first))
            .why(why)
            .advise("put pam_unix.so, or what your users prove themselves by, in its place"),
    )
}

/// Does su let the members of a group in without asking for a password?
fn trusts_a_group(stack: &Stack<'_>, pam: &Pam<'_>) -> bool {
    let entries = stack::expand(stack.service, "auth", pam.read).unwrap_or_default();
    entries
        .iter()
        .any(|entry| entry.name() == "pam_wheel.so" && entry.arguments.iter().any(|word| word == "trust"))
}

/// Every answer that a module could give; ours gives `ours`.
fn anything(entry: &Entry, ours: &[&str]) -> Vec<String> {
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

/// Our line as it should stand.
fn our_line(kind: &str, module: &str, arguments: &[impl AsRef<str>]) -> String {
    let control = if kind == "session" { "requisite" } else { "required" };
    let words = arguments.iter().map(|word| format!(" {}", word.as_ref()));
    format!("{kind} {control} {module}{}", words.collect::<String>())
}

fn for_sed(insertions: &[Insertion]) -> Vec<String> {
    insertions.iter().map(Insertion::for_sed).collect()
}

/// Edits a stack; a distribution's own file is copied to /etc first.
fn edit_stack(file: &str, instructions: &[String]) -> String {
    match file.strip_prefix("/usr/lib/pam.d/") {
        None => edit(file, instructions),
        Some(name) => {
            let copy = format!("/etc/pam.d/{name}");
            format!("cp {} {} && {}", quoted(file), quoted(&copy), edit(&copy, instructions))
        }
    }
}

fn place(entry: &Entry) -> Place {
    Place::line(&entry.file, entry.lines.0)
}

/// The first few names.
pub fn listed(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 8;
    let mut text = names.iter().take(MOST).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

#[cfg(test)]
mod tests;
