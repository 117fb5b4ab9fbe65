//! The PAM stacks: does a refusal of ours end each of them, can anybody who is admitted pass, is the module there.

mod doors;
mod flow;
mod known;
mod module;
mod place;
mod stack;

use std::collections::{BTreeMap, BTreeSet};

pub use doors::doors;
pub use known::Pam;
use known::{ACCOUNT_MODULES, CONSENTS, REFUSALS, SESSION_WORD, anything, edit_stack, our_line};
pub use module::{Module, Places, module};
use place::{Insertion, Left, session_line};
pub use place::{Plan, plan};
pub use stack::DIRECTORIES;
use stack::{Entry, MISSING, SUBSTACK, UNKNOWN};

use super::doors::asks_here;
use super::finding::{Finding, Place, Severity, listed, quoted};

/// The stack of one service.
struct Stack<'a> {
    service: &'a str,
    /// The file it has, or `other`'s.
    file: String,
    is_own: bool,
    account: Vec<Entry>,
}

const WHY_SOFT: &str =
    "a refusal has to end the stack: with this control, people off call get in if another line admits them";
const WHY_ORDER: &str = "the line can end the stack, or skip ours, before ours is asked";
const WHY_MISSING: &str = "people who use this service are not checked for being on call";
const WHY_WORD: &str =
    "a word that the module does not know is an error: every guarded login by this service is refused";

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
        let what = format!("{}: {} does not exist, and nobody passes without it", stack.service, first.module);
        let found = Finding::lock_out("pam-absent", what).at(place(first));
        let why = "libpam counts a module that it cannot load as a refusal, with a `-` before the line too: exempt accounts are refused as well";
        let advice = format!("install the package that has {}, or remove the line", first.module);
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
        let why = "libpam takes it as part of the last word: no module, file or option has that name, so everybody is refused";
        let fix = edit_stack(&file, &["s/\\r$//".to_string()]);
        Finding::lock_out("pam-cr", what).at(Place::line(&file, line)).why(why).run(fix)
    };
    files.into_iter().map(told).collect()
}

/// What keeps all but root out while a host is being worked on.
const NOLOGIN: &str = "/etc/nologin";

fn nologin(stacks: &[Stack<'_>], pam: &Pam<'_>) -> Option<Finding> {
    let asks = |stack: &&Stack<'_>| stack.account.iter().any(|entry| entry.name() == "pam_nologin.so");
    let services: Vec<&str> = stacks.iter().filter(asks).map(|stack| stack.service).collect();
    let found = Finding::lock_out("nologin", format_args!("{}: {NOLOGIN} exists", listed(&services)));
    let why =
        "because of it pam_nologin.so refuses everybody but root, even people on call and exempt accounts";
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
            format_args!("{}: {name} is included, but does not exist", self.service),
        );
        let why = "libpam refuses everybody where a file is missing, exempt accounts included";
        Some(found.at(place(entry)).why(why).advise(format_args!("put {name} back, or remove the line")))
    }

    /// Lines that begin with no type of libpam's: `@includes common-account`. What they were meant to do nobody does.
    fn unknown_lines(&self, pam: &Pam<'_>) -> Option<Finding> {
        let name = if self.is_own { self.service } else { stack::OTHER };
        let auth = stack::expand(name, "auth", pam.read).unwrap_or_default();
        let entry = self.account.iter().chain(&auth).find(|entry| entry.module == UNKNOWN)?;
        let word = entry.arguments.first().map(String::as_str).unwrap_or_default();
        let what = format!("{}: `{word}` is not a type of line that libpam knows", self.service);
        let why = "libpam refuses because of such a line: everybody who authenticates through this stack or, if a file is included for one type, everybody";
        let advice = "`auth`, `account`, `password`, `session` or `@include`, instead of that word; or remove the line";
        Some(Finding::lock_out("pam-line", what).at(place(entry)).why(why).advise(advice))
    }

    fn jumps_too_far(&self) -> Option<Finding> {
        let entry = self.account.get(flow::overshoots(&self.account)?)?;
        let what =
            format!("{}: `{} {}` skips more lines than there are", self.service, entry.word, entry.module);
        let why = "libpam refuses everybody who reaches that jump";
        let advice = "count the lines it should skip, including those of included files";
        Some(Finding::lock_out("pam-jump", what).at(place(entry)).why(why).advise(advice))
    }

    /// Our line is not in it.
    fn without_ours(&self, pam: &Pam<'_>, missing: &BTreeSet<&str>) -> Option<Finding> {
        let passes = flow::ends(&self.account, &|entry| anything(entry, &[])).iter().any(|end| end.passes);
        // `account include su` in su-l: one line fixes both.
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
                let advice = format!("its lines have to be added by hand: {left}; see pam_oncall(8)");
                return Some(found.advise(advice));
            }
        };
        Some(if pam.is_ready {
            found.run(insertion)
        } else {
            // A stack that names a module which is not there refuses everybody.
            found.advise(format_args!(
                "install the suite and fix its configuration first; then, as root: {insertion}"
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

    /// A user who is admitted has to pass.
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
        let found = found.why("pam_oncall.so never admits an ordinary login by itself: a stack in which no module does, or that denies, refuses");
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
        let what = format!(
            "{}: the account stack has neither pam_unix.so nor another module that checks accounts",
            self.service
        );
        let found = Finding::open("pam-unix", what).at(place(ours));
        Some(found.why("locked and expired accounts are let in").run(self.with_pam_unix(ours)))
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
            let fix = edit_stack(&ours.file, &[format!("{first},{last}c {line}")]);
            Finding::open("pam-soft", what).at(place(ours)).why(WHY_SOFT).run(fix)
        }
        Some(other) => {
            let what = format!(
                "{service}: `{} {}` can let in before pam_oncall.so is asked",
                other.word, other.module
            );
            let found = Finding::open("pam-order", what).at(place(other)).why(WHY_ORDER);
            match moved(stack, kind, ours, other) {
                Some(fix) => found.run(fix),
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
        let what = format!("sshd: `{SESSION_WORD}` declares a session line, but there is none");
        let why = "anybody with a key or password for root or another shared account gets in, on call or not";
        let found = Finding::open("pam-session", what).at(place(account)).why(why);
        findings.push(found.run(edit_stack(&stack.file, &insertion)));
    }
    if !passes_on && (pam.has_shared || !pam.robots.is_empty()) {
        let (first, last) = account.lines;
        let words: Vec<&str> = account.arguments.iter().map(String::as_str).chain([SESSION_WORD]).collect();
        let word = format!("{first},{last}c {}", our_line("account", &account.module, &words));
        // The word is a promise: the line is there before it, also where the two are in different files.
        let fix = match stands {
            true => edit_stack(&account.file, &[word]),
            false if account.file == stack.file => edit_stack(&stack.file, &[vec![word], insertion].concat()),
            false => {
                format!("{} && {}", edit_stack(&stack.file, &insertion), edit_stack(&account.file, &[word]))
            }
        };
        let (whom, why) = match pam.robots.as_slice() {
            _ if pam.has_shared => (
                String::new(),
                "sshd passes on the key when the session opens: without the word, nobody can enter root or another shared account",
            ),
            robots => (
                format!(", and [[policy.automation]] has keys for {}", listed(robots)),
                "sshd passes on the key when the session opens: without the word, a program counts as the account's owner, who is not on call",
            ),
        };
        let what = format!("sshd: the account line lacks `{SESSION_WORD}`{whom}");
        let found = Finding::lock_out("pam-shared", what);
        findings.push(found.at(place(account)).why(why).run(fix));
    }
    findings.extend(entries.iter().filter(|entry| entry.is_ours()).flat_map(|entry| words(entry, pam)));
    findings
}

/// Words of our line that are not known, or that name another configuration.
fn words(entry: &Entry, pam: &Pam<'_>) -> Option<Finding> {
    let strange = |word: &&String| word.as_str() != SESSION_WORD && !word.starts_with("config=");
    if let Some(word) = entry.arguments.iter().find(strange) {
        let kept: Vec<&String> = entry.arguments.iter().filter(|word| !strange(word)).collect();
        let found =
            Finding::lock_out("pam-word", format_args!("pam_oncall.so does not know the word `{word}`"));
        return Some(found.at(place(entry)).why(WHY_WORD).run(rewritten(entry, &kept)));
    }
    let other = entry
        .arguments
        .iter()
        .find(|word| word.strip_prefix("config=").is_some_and(|path| path != pam.config))?;
    let kept: Vec<&String> = entry.arguments.iter().filter(|word| *word != other).collect();
    let why = "doctor, authkeys and the syncs read another file: what they report is not what this line uses";
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

/// Modules that prove nothing about the user.
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
    let found =
        Finding::open("pam-auth", format_args!("{}: the auth stack authenticates nobody", stack.service));
    let why = "without a password or key, anybody can claim to be anybody";
    Some(
        found
            .at(place(first))
            .why(why)
            .advise("replace it with pam_unix.so, or with what your users authenticate with"),
    )
}

/// Does su let the members of a group in without asking for a password?
fn trusts_a_group(stack: &Stack<'_>, pam: &Pam<'_>) -> bool {
    let entries = stack::expand(stack.service, "auth", pam.read).unwrap_or_default();
    entries
        .iter()
        .any(|entry| entry.name() == "pam_wheel.so" && entry.arguments.iter().any(|word| word == "trust"))
}

fn for_sed(insertions: &[Insertion]) -> Vec<String> {
    insertions.iter().map(Insertion::for_sed).collect()
}

fn place(entry: &Entry) -> Place {
    Place::line(&entry.file, entry.lines.0)
}

#[cfg(test)]
mod tests;
