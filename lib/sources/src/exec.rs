//! `exec`: a command of the site's own that prints our JSON.
//!
//! It runs as the user that syncs, and what it prints decides who may become root: so it is root's file, and
//! nobody else can write it. It may stall, crash or flood; it costs a bounded time and gives nothing then.

use std::path::Path;
use std::time::{Duration, Instant};

use host::child::{Child, Ending, Trouble};
use host::config;
use policy::Window;
use trust::Owner;

use super::document::{self, Wanted};
use super::{Answer, Provider, ProviderError};

/// All that it finds in its environment.
const ENVIRONMENT: [(&str, &str); 2] = [("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")];

/// How much of what it complains of is repeated, in characters.
const LONGEST_COMPLAINT: usize = 300;

/// A command.
#[derive(Debug)]
pub struct Exec<'a> {
    settings: &'a config::Exec,
    schedules: &'a [String],
    max_escalation_level: u8,
}

impl<'a> Exec<'a> {
    /// The schedules `wanted` of what the command prints, or all if none is named, down to `max_escalation_level`.
    pub fn new(settings: &'a config::Exec, wanted: &'a [String], max_escalation_level: u8) -> Self {
        Self { settings, schedules: wanted, max_escalation_level }
    }

    /// All that the command prints, if it ends well and in time.
    fn run(&self, program: &Path, arguments: &[String]) -> Result<Vec<u8>, ProviderError> {
        // Judged by its path, so run by its path: it may be a script.
        let refused = |refusal: trust::Refusal| ProviderError::source(&format!("command: {refusal}"));
        let program = &trust::follow_directories(program).map_err(refused)?;
        trust::open(program, Owner::Root).map_err(refused)?;
        let named = |problem: String| format!("command: {}: {problem}", program.display());
        let failed = |problem: String| ProviderError::source(&named(problem));
        let limit = Duration::from_secs(u64::try_from(self.settings.timeout.as_seconds()).unwrap_or(0));
        let end = Instant::now() + limit;
        let mut child = Child::start_heard(program, arguments, &ENVIRONMENT)
            .map_err(|error| failed(format!("cannot be started: {error}")))?;
        let late = || failed(format!("not done after {} and killed; see `timeout`", self.settings.timeout));
        let said = child.listen(end, document::LARGEST).map_err(|trouble| match trouble {
            Trouble::Late => late(),
            Trouble::Endless => {
                failed(format!("printed more than {} bytes and was killed", document::LARGEST))
            }
            Trouble::Pipe(error) => failed(format!("its output cannot be read: {error}")),
        })?;
        let ended = match child.ending(end).ok_or_else(late)? {
            Ending::Exit(0) => return Ok(said),
            Ending::Exit(code) => format!("ended with exit status {code}"),
            Ending::Signal(signal) => format!("was ended by signal {signal}"),
        };
        Err(match child.last_line() {
            Some(line) => ProviderError::Foreign {
                text: named(ended).into(),
                heard: line.chars().take(LONGEST_COMPLAINT).collect::<String>().into(),
            },
            None => failed(format!("{ended} and printed nothing on standard error")),
        })
    }
}

impl Provider for Exec<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let Some((program, arguments)) = self.settings.command.split_first() else {
            return Err(ProviderError::source("`command` is empty"));
        };
        let said = self.run(Path::new(program), arguments)?;
        let wanted =
            Wanted { schedules: self.schedules, max_escalation_level: self.max_escalation_level, window };
        document::parse(&said, &format!("the output of {program}"), wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::{Span, Timestamp};

    const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/fixtures/document/story.json");

    /// What a shell that runs `script` comes to.
    fn fetch(script: &str, timeout: i64) -> Result<Answer, String> {
        let shell = std::fs::canonicalize("/bin/sh").unwrap().to_string_lossy().into_owned();
        run(vec![shell, "-c".to_string(), script.to_string()], timeout)
    }

    fn run(command: Vec<String>, timeout: i64) -> Result<Answer, String> {
        let settings = config::Exec { command, timeout: Span::seconds(timeout) };
        // From 2026-11-20T11:00:00Z.
        let window = Window::new(Timestamp::from_unix(1_795_172_400), Timestamp::from_unix(1_795_435_200));
        Exec::new(&settings, &["primary".to_string()], 1)
            .fetch(window.unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_command_prints_is_read() {
        let answer = fetch(&format!("echo progress >&2; cat '{STORY}'"), 10).unwrap();
        assert_eq!(answer.schedules()[0].shifts.len(), 5);
        assert!(answer.clock.is_some());
    }

    #[test]
    fn it_finds_nothing_of_ours_in_its_environment() {
        // Standard input ends at once, nothing but the three pipes is open, and the group is its own.
        let script = "cat; [ \"$(pwd)\" = / ] && [ \"$$\" = \"$(cut -d' ' -f5 /proc/$$/stat)\" ] || exit 9
                      tr '\\0' '\\n' </proc/$$/environ | sort | tr '\\n' ' ' >&2; exit 1";
        let said = fetch(script, 10).unwrap_err();
        assert!(said.contains(r#"exit status 1; its output: "LC_ALL=C PATH=/usr/bin:/bin""#), "{said}");
    }

    #[test]
    fn a_command_that_fails_stalls_or_floods_gives_nothing() {
        for (script, timeout, expected) in [
            (
                "echo '{}'",
                300,
                "source-error: the output of /usr/bin/dash: line 1, column 2: missing field `version`",
            ),
            ("true", 300, "line 1, column 0: EOF"),
            (
                "echo one >&2; printf 'two \\033[2J\\n' >&2; exit 7",
                300,
                "exit status 7; its output: \"two \u{fffd}[2J\"",
            ),
            ("exit 7", 300, "exit status 7 and printed nothing on standard error"),
            ("kill -9 $$", 300, "was ended by signal 9"),
            ("sleep 60", 1, "not done after 1s and killed; see `timeout`"),
            ("exec >&- 2>&-; sleep 60", 1, "not done after 1s and killed; see `timeout`"),
            ("sleep 60 & exit 0", 1, "not done after 1s and killed; see `timeout`"),
            ("yes >&2", 1, "not done after 1s and killed"),
            ("yes", 300, "printed more than 4194304 bytes and was killed"),
        ] {
            let said = fetch(script, timeout).unwrap_err();
            let expected = expected
                .replace("/usr/bin/dash", &std::fs::canonicalize("/bin/sh").unwrap().to_string_lossy());
            assert!(said.contains(&expected), "{script}: {said}");
        }
    }
}
