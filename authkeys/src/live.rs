//! The directory's answer about one person, from `authkeys-sync --user NAME` run as a child.
//!
//! The child speaks LDAP and may be made to crash, stall, flood or lie by its server. It gets no
//! environment, no input and one deadline, and nothing that it says is trusted unchecked: an answer that is
//! not whole, is about somebody else, or holds anything but plain keys is the same as a directory that is down.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use host::child::{Child, Ending, Trouble};
use host::unanswered::{Concerns, Unanswered};
use policy::{Principal, Span, Timestamp};
use store::lookups::{Known, Unusable};
use store::{KeyProblem, MOST_REJECTED, PublicKey, Rejected};

use crate::reason::LiveReason;

/// The most that is read from the child, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// The most servers that it may say gave no answer.
const MOST_SILENT: usize = 16;

/// How long a child that said nothing of use may take to end.
const FAREWELL: Duration = Duration::from_millis(50);

/// Where the child is if it cannot be told where this program is.
const COMPILED_DIRECTORY: &str = "/usr/bin";

/// What the directory says about a person.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer.
    pub known: Known,
    /// When that changes, because the account begins or expires.
    pub changes: Option<Timestamp>,
    /// The values of the key attribute that are no acceptable key; not all, if there are very many.
    pub rejected: Vec<Rejected>,
    /// The servers that were asked before and gave no answer.
    pub silent: Vec<String>,
}

impl Answer {
    fn of(known: Known, rejected: Vec<Rejected>) -> Self {
        Self { known, changes: None, rejected, silent: Vec::new() }
    }
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub struct LiveError {
    /// Why, for the log.
    pub reason: LiveReason,
    /// Whose questions will fail like this.
    pub concerns: Concerns,
    /// What happened: one line of printable ASCII.
    pub text: String,
}

impl LiveError {
    /// The directory did not answer a question about this person.
    pub fn unavailable(concerns: Concerns, text: impl Into<String>) -> Self {
        Self { reason: LiveReason::Said(Unanswered::Unavailable), concerns, text: text.into() }
    }

    /// Did the directory answer, and leave no doubt that there are no keys to be had? Then nothing that it
    /// said before counts.
    pub fn unusable(&self) -> Option<Unusable> {
        self.reason.unusable()
    }

    /// The same, where the directory's last word was `unusable`, so long ago.
    pub fn after(self, unusable: Unusable, age: Span) -> Self {
        let reason = LiveReason::from(unusable);
        Self { reason, text: format!("{}; its answer {age} ago was {reason}", self.text), ..self }
    }

    /// The question that failed with `reason` and `text`, so long ago, rests for so long.
    pub fn resting(reason: &str, text: &str, age: Span, rest: Span) -> Self {
        let reason = LiveReason::from_token(reason).unwrap_or(LiveReason::Said(Unanswered::Unavailable));
        let text = format!("found down {age} ago, not asked again for {rest}: {text}");
        Self { reason, concerns: Concerns::ThisHost, text }
    }

    fn late() -> Self {
        Self::unavailable(Concerns::ThisHost, "no time left to ask the directory")
    }

    fn nonsense(what: &str) -> Self {
        Self::unavailable(Concerns::Person, format!("authkeys-sync's answer is not accepted: {what}"))
    }
}

/// Asks about `person`, the servers `resting` last; takes until `end` at most. Dropping the child waits for its end,
/// which comes by itself while the answer is kept.
pub fn ask(
    config: &Path,
    person: &Principal,
    resting: &[String],
    end: Instant,
) -> Result<(Answer, Child), LiveError> {
    let left = childs_share(end.saturating_duration_since(Instant::now()));
    if left.is_zero() {
        return Err(LiveError::late());
    }
    let program = program();
    let deadline = format!("{:.3}", left.as_secs_f64().max(0.001));
    let mut arguments = vec![
        OsStr::new("--config"),
        config.as_os_str(),
        OsStr::new("--timeout"),
        OsStr::new(&deadline),
        OsStr::new("--user"),
        OsStr::new(person.as_str()),
    ];
    arguments.extend(resting.iter().flat_map(|server| [OsStr::new("--last"), OsStr::new(server)]));
    let mut child = Child::start(&program, &arguments, &[]).map_err(|error| {
        LiveError::unavailable(Concerns::ThisHost, format!("{}: {error}", program.display()))
    })?;
    let said = child.listen(end, LONGEST_ANSWER).map_err(LiveError::from)?;
    let answer = understand(&said, person, || ending(&child, end))?;
    Ok((answer, child))
}

/// The part of what is `left` that the child gets. It ends before our own deadline, so that the child can say
/// itself what was late: an outage that is told from one person's trouble is everybody's mark, and costs one
/// deadline in all. A host that is slow to start a program is given time for that.
fn childs_share(left: Duration) -> Duration {
    left.saturating_sub((left / 8).max(Duration::from_millis(50)))
}

/// The child's program: beside this one.
fn program() -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).unwrap_or(Path::new(COMPILED_DIRECTORY));
    beside.join("authkeys-sync")
}

impl From<Trouble> for LiveError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // The child had its own deadline and did not keep it.
            Trouble::Late => Self::unavailable(Concerns::Person, "authkeys-sync did not end in time"),
            Trouble::Endless => Self::nonsense("it does not end"),
            Trouble::Pipe(error) => Self::nonsense(&error.to_string()),
        }
    }
}

/// How a child ended that said nothing of use; it has a moment to end.
fn ending(child: &Child, end: Instant) -> String {
    match child.ending(end.min(Instant::now() + FAREWELL)) {
        Some(Ending::Signal(signal)) => format!("authkeys-sync was ended by signal {signal}"),
        Some(Ending::Exit(code)) => format!("authkeys-sync ended with {code}"),
        None => "authkeys-sync ended early".to_string(),
    }
}

/// The answer in what the child said about `person`.
pub fn understand(
    said: &[u8],
    person: &Principal,
    ending: impl FnOnce() -> String,
) -> Result<Answer, LiveError> {
    let text = std::str::from_utf8(said).map_err(|_| LiveError::nonsense("it is not text"))?;
    if let Some(words) = text.strip_prefix("error ") {
        return Err(error(words));
    }
    let Some(text) = text.strip_suffix("\nend\n") else {
        return Err(LiveError::unavailable(Concerns::Person, ending()));
    };
    let mut lines = text.split('\n');
    if lines.next() != Some("authkeys-answer 1") {
        return Err(LiveError::nonsense("another format; is authkeys-sync of the same release?"));
    }
    let mut silent = Vec::new();
    let (kind, name) = loop {
        match lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default() {
            ("silent", server) if silent.len() < MOST_SILENT => silent.push(server.to_string()),
            other => break other,
        }
    };
    if name != person.as_str() {
        return Err(LiveError::nonsense("it is about somebody else"));
    }
    let mut lines = lines.peekable();
    let changes = lines.next_if(|line| line.starts_with(UNTIL)).map(instant).transpose()?;
    let mut answer = match kind {
        "person" => keys(&mut lines)?,
        "disabled" => Answer::of(Known::Disabled, Vec::new()),
        "absent" => Answer::of(Known::Absent, Vec::new()),
        _ => return Err(LiveError::nonsense("an unknown word")),
    };
    if let Known::Keys(keys) = &mut answer.known {
        keys.sort_by_cached_key(PublicKey::digest);
        keys.dedup();
    }
    match lines.next() {
        None => Ok(Answer { silent, changes, ..answer }),
        Some(_) => Err(LiveError::nonsense("something follows its last line")),
    }
}

/// What begins the line that says when an answer changes.
const UNTIL: &str = "until ";

/// The instant of that line.
fn instant(line: &str) -> Result<Timestamp, LiveError> {
    let seconds = line.strip_prefix(UNTIL).and_then(|seconds| seconds.parse().ok());
    seconds.map(Timestamp::from_unix).ok_or_else(|| LiveError::nonsense("an impossible time"))
}

/// The lines after `person NAME`.
fn keys<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Answer, LiveError> {
    let mut keys = Vec::new();
    let mut rejected: Vec<Rejected> = Vec::new();
    for line in lines.by_ref() {
        match line.split_once(' ') {
            Some(("key", key)) if rejected.is_empty() => keys.push(
                PublicKey::parse(key.as_bytes())
                    .map_err(|problem| LiveError::nonsense(&problem.to_string()))?,
            ),
            Some(("rejected", words)) => {
                let previous = rejected.last().map_or(0, |last| last.number);
                let next = rejected_value(words).filter(|next| next.number > previous);
                rejected.extend(next.filter(|_| rejected.len() < MOST_REJECTED));
                if next.is_none() || rejected.last().copied() != next {
                    return Err(LiveError::nonsense("a dropped value that cannot be"));
                }
            }
            _ => return Err(LiveError::nonsense("an unknown word")),
        }
    }
    Ok(Answer::of(Known::Keys(keys), rejected))
}

/// `NUMBER TOKEN`.
fn rejected_value(words: &str) -> Option<Rejected> {
    let (number, token) = words.split_once(' ')?;
    let plain = number.len() <= 9 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| number.parse().ok()).flatten()?;
    Some(Rejected { number, problem: KeyProblem::from_token(token)? })
}

/// `REASON CONCERNS TEXT\n`.
fn error(words: &str) -> LiveError {
    let mut parts = words.trim_end().splitn(3, ' ');
    let (reason, concerns) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let text = parts.next().unwrap_or_default();
    let Some(reason) = LiveReason::from_token(reason) else {
        return LiveError::nonsense("an unknown reason");
    };
    let concerns = Concerns::from_token(concerns).unwrap_or(Concerns::Person);
    let plain = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    LiveError { reason, concerns, text: text.chars().take(600).map(plain).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6";

    fn heard(said: &str) -> Result<Answer, LiveError> {
        understand(said.as_bytes(), &Principal::new("alice").unwrap(), || "broke off".to_string())
    }

    #[test]
    fn the_child_has_time_to_say_what_was_late() {
        let share = |left| childs_share(Duration::from_millis(left)).as_millis();
        assert_eq!([10_000, 3_000, 1_000, 200, 50, 0].map(share), [8_750, 2_625, 875, 150, 0, 0]);
    }

    #[test]
    fn whole_answers_are_understood() {
        let known = |said: &str| {
            let answer = heard(said).unwrap();
            (answer.known, answer.rejected.iter().map(|value| value.number).collect::<Vec<_>>())
        };
        let key = PublicKey::parse(KEY.as_bytes()).unwrap();
        let person = format!(
            "authkeys-answer 1\nperson alice\nkey {KEY}\nkey {KEY}\nrejected 2 weak-rsa\nrejected 3 malformed\nend\n"
        );
        assert_eq!(known(&person), (Known::Keys(vec![key]), vec![2, 3]));
        assert_eq!(known("authkeys-answer 1\nperson alice\nend\n"), (Known::Keys(vec![]), vec![]));
        assert_eq!(known("authkeys-answer 1\nabsent alice\nend\n"), (Known::Absent, vec![]));
        let silent = heard("authkeys-answer 1\nsilent ldaps://a\nsilent ldaps://b\nabsent alice\nend\n");
        assert_eq!(silent.unwrap().silent, ["ldaps://a", "ldaps://b"]);
        assert_eq!(known("authkeys-answer 1\ndisabled alice\nend\n"), (Known::Disabled, vec![]));
        for (said, changes) in [
            ("person alice\nuntil 5\n", Some(5)),
            ("disabled alice\nuntil -5\n", Some(-5)),
            ("person alice\n", None),
        ] {
            let answer = heard(&format!("authkeys-answer 1\n{said}end\n")).unwrap();
            assert_eq!(answer.changes.map(Timestamp::unix), changes);
        }
        for said in ["person alice\nuntil x", "person alice\nkey K\nuntil 5", "until 5\nperson alice"] {
            assert!(heard(&format!("authkeys-answer 1\n{said}\nend\n")).is_err(), "{said}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_none() {
        let whole = format!("authkeys-answer 1\nperson alice\nkey {KEY}\nrejected 2 weak-rsa\nend\n");
        for end in 0..whole.len() {
            let error = heard(&whole[..end]).unwrap_err();
            assert_eq!(
                (error.reason, error.text.as_str()),
                (LiveReason::Said(Unanswered::Unavailable), "broke off"),
                "{end}"
            );
        }
    }

    #[test]
    fn lies_are_no_answer() {
        for said in [
            "authkeys-answer 2\nabsent alice\nend\n".to_string(),
            "authkeys-answer 1\nabsent bob\nend\n".to_string(),
            "authkeys-answer 1\nabsent \nend\n".to_string(),
            "authkeys-answer 1\nsilent alice\nend\n".to_string(),
            format!("authkeys-answer 1\n{}absent alice\nend\n", "silent x\n".repeat(17)),
            "authkeys-answer 1\nowner alice\nend\n".to_string(),
            "authkeys-answer 1\nabsent alice\nkey x\nend\n".to_string(),
            format!("authkeys-answer 1\nabsent alice\nkey {KEY}\nend\n"),
            format!("authkeys-answer 1\ndisabled alice\nkey {KEY}\nend\n"),
            format!("authkeys-answer 1\nperson alice\nkey command=\"id\" {KEY}\nend\n"),
            format!("authkeys-answer 1\nperson alice\nkey {KEY}\nend\nend\n"),
            format!("authkeys-answer 1\nperson alice\n{KEY}\nend\n"),
            "authkeys-answer 1\nperson alice\nrejected x\nend\n".to_string(),
            "authkeys-answer 1\nperson alice\nrejected 1\nend\n".to_string(),
            "authkeys-answer 1\nperson alice\nrejected 1 a reason\nend\n".to_string(),
            "authkeys-answer 1\nperson alice\nrejected 0 weak-rsa\nend\n".to_string(),
            "authkeys-answer 1\nperson alice\nrejected +1 weak-rsa\nend\n".to_string(),
            "authkeys-answer 1\nperson alice\nrejected 1 weak-rsa\nrejected 1 weak-rsa\nend\n".to_string(),
            format!("authkeys-answer 1\nperson alice\nrejected 1 weak-rsa\nkey {KEY}\nend\n"),
            format!(
                "authkeys-answer 1\nperson alice\n{}end\n",
                (1..=257).map(|n| format!("rejected {n} weak-rsa\n")).collect::<String>()
            ),
            "error no-such-reason person x\n".to_string(),
        ] {
            assert_eq!(heard(&said).unwrap_err().reason, LiveReason::Said(Unanswered::Unavailable), "{said}");
        }
    }

    #[test]
    fn whatever_the_child_says_is_an_answer_or_one_line_of_complaint() {
        let keys: String = mutate::keys().iter().map(|key| format!("key {key}\n")).collect();
        let accepted: String = keys
            .lines()
            .filter(|line| PublicKey::parse(&line.as_bytes()[4..]).is_ok())
            .map(|line| format!("{line}\n"))
            .collect();
        let samples = [
            format!(
                "authkeys-answer 1\nperson alice\n{accepted}rejected 2 weak-rsa\nrejected 3 malformed\nend\n"
            ),
            format!("authkeys-answer 1\nperson alice\n{keys}end\n"),
            "authkeys-answer 1\nabsent alice\nend\n".to_string(),
            "authkeys-answer 1\ndisabled alice\nend\n".to_string(),
            "error ldap-partial directory limit of 3\n".to_string(),
        ];
        let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_bytes()).collect();
        let words =
            ["key ", "rejected ", "\nend\n", "person bob", "4294967296", "disabled", "error ", " this-host "];
        let alice = Principal::new("alice").unwrap();
        mutate::each(&samples, &words, 4_000, |said| {
            match understand(said, &alice, || "broke off".to_string()) {
                Ok(Answer { known, rejected, .. }) => {
                    assert!(rejected.len() <= MOST_REJECTED && rejected.is_sorted());
                    let Known::Keys(keys) = known else { return };
                    // Each is in the answer, once.
                    let text = String::from_utf8_lossy(said);
                    assert!(keys.iter().all(|key| text.contains(key.line().split(' ').next_back().unwrap())));
                    assert!(keys.windows(2).all(|pair| pair[0].digest() < pair[1].digest()));
                }
                Err(LiveError { reason, text, .. }) => {
                    assert_eq!(LiveReason::from_token(reason.token()), Some(reason));
                    assert!(
                        text.len() <= 700 && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
                        "{text}"
                    );
                }
            }
        });
    }

    #[test]
    fn errors_carry_their_reason_and_one_line_of_text() {
        let error = heard("error ldap-partial person limit\x1b[2J of 3\nmore\n").unwrap_err();
        assert_eq!((error.reason, error.concerns), (LiveReason::Said(Unanswered::Partial), Concerns::Person));
        assert_eq!(error.text, "limit?[2J of 3?more");
        let error = heard("error ldap-unavailable directory down\n").unwrap_err();
        assert_eq!((error.concerns, error.text.as_str()), (Concerns::Everybody, "down"));
    }
}
