//! One file: loaded, and asked.

use std::fmt;
use std::num::NonZeroUsize;

use regorus::utils::limits::PolicyLengthConfig;
use regorus::{Engine, Value};

use crate::check::{self, Checked};
use crate::rota::{OF_HOST, Question};
use crate::{PACKAGE, bounds};

/// The longest file, in bytes.
pub const LONGEST: usize = 64 * 1024;

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its name.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong, and what to write.
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.text),
            None => write!(f, "{}: {}", self.file, self.text),
        }
    }
}

impl std::error::Error for Refused {}

/// What a file says of a shift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It lasts so many seconds at most.
    For(u32),
    /// It is left out.
    LeaveOut,
}

/// A file that was understood.
pub struct RegoFile {
    engine: Engine,
    query: String,
}

impl fmt::Debug for RegoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegoFile").field("query", &self.query).finish_non_exhaustive()
    }
}

impl RegoFile {
    /// Understands `text`, of the file that people call `name`, whose rule `query` is asked.
    ///
    /// # Errors
    /// It is too long, no Rego, or names what a verdict must not hang on.
    pub fn load(name: &str, text: &str, query: &str) -> Result<Self, Refused> {
        let checked = checked(name, text, query)?.text;
        let mut engine = Engine::new();
        let bytes = NonZeroUsize::new(2 * LONGEST).unwrap_or(NonZeroUsize::MAX);
        engine.set_policy_length_config(PolicyLengthConfig { max_file_bytes: bytes, ..Default::default() });
        engine.set_execution_timer_config(bounds::timer());
        let told = |error: String| {
            let (line, text) = told(name, &error);
            Refused { file: name.to_string(), line, text }
        };
        engine.add_policy(name.to_string(), checked).map_err(|error| told(error.to_string()))?;
        engine.set_input(Value::new_object());
        let mut file = Self { engine, query: query.to_string() };
        // Analysed by the first question: what no question could ever be answered for is told now.
        if let Err(error) = file.engine.eval_rule(file.query.clone()) {
            let error = error.to_string();
            if UNSAFE.iter().any(|sign| error.contains(sign)) {
                return Err(told(error));
            }
        }
        Ok(file)
    }

    /// What it says of the shift that `question` is about.
    ///
    /// # Errors
    /// It failed, took too long, or said what is no verdict.
    pub fn ask(&mut self, question: &Question) -> Result<Verdict, String> {
        self.engine.set_input(question.input.clone());
        let said = self.engine.eval_rule(self.query.clone());
        verdict(&said.map_err(|error| failure(&error.to_string()))?)
    }

    /// Evaluates every rule, also those that the answer does not need: one that fails would do so in the worst night.
    ///
    /// # Errors
    /// One fails.
    pub fn every_rule(&mut self, question: &Question) -> Result<(), String> {
        self.engine.set_input(question.input.clone());
        self.engine.eval_modules(false).map(drop).map_err(|error| failure(&error.to_string()))
    }
}

/// Can what `text` says of a shift be another thing on another host, with the same rota? It names this host or its labels
/// then, as `input.host` or `input.labels`, somewhere in its rules or imports; a comment or a string does not. Nothing is
/// evaluated. `name` and `query` are those of [`RegoFile::load`].
///
/// # Errors
/// As for [`RegoFile::load`], as far as that shows without a question.
pub fn looks_at_host(name: &str, text: &str, query: &str) -> Result<bool, Refused> {
    let fields = checked(name, text, query)?.fields;
    Ok(OF_HOST.iter().any(|field| fields.contains(*field)))
}

/// `text` checked, whose rule `query` is asked.
fn checked(name: &str, text: &str, query: &str) -> Result<Checked, Refused> {
    let refuse = |line, text: String| Refused { file: name.to_string(), line, text };
    if text.len() > LONGEST {
        return Err(refuse(None, format!("{} bytes; it may have {LONGEST}", text.len())));
    }
    let rule = rule_of(query).ok_or_else(|| {
        refuse(None, format!("query `{query}`: write data.{PACKAGE}.NAME, NAME being a rule of the file"))
    })?;
    check::check(name, text, rule).map_err(|(line, text)| refuse(line, text))
}

/// What regorus says of a text that it can never evaluate, and only once it is asked.
const UNSAFE: [&str; 3] = ["unsafe", "recursion", "could not find function"];

/// The rule that a query names.
fn rule_of(query: &str) -> Option<&str> {
    let rule = query.strip_prefix("data.")?.strip_prefix(PACKAGE)?.strip_prefix('.')?;
    let is_name = rule.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && rule.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(rule)
}

/// The one rule: `true` keeps, `false` and nothing leave out, an object does as its `allow`, for `ttl`.
fn verdict(said: &Value) -> Result<Verdict, String> {
    match said {
        Value::Bool(true) => Ok(Verdict::Keep),
        Value::Bool(false) | Value::Undefined => Ok(Verdict::LeaveOut),
        Value::Object(fields) => {
            let mut verdict = None;
            let mut ttl = None;
            for (key, value) in fields.iter() {
                match (key.as_string().map(|key| key.to_string()).as_deref(), value) {
                    (Ok("allow"), Value::Bool(allow)) => verdict = Some(*allow),
                    (Ok("ttl"), Value::String(text)) => ttl = Some(seconds(text)?),
                    _ => return Err(format!("its answer has {}", shown(key, value))),
                }
            }
            match (verdict, ttl) {
                (None, _) => Err("its answer is an object without `allow`".to_string()),
                (Some(false), _) => Ok(Verdict::LeaveOut),
                (Some(true), None) => Ok(Verdict::Keep),
                (Some(true), Some(ttl)) => Ok(Verdict::For(ttl)),
            }
        }
        _ => Err("its answer is neither true nor false, nor an object with `allow`".to_string()),
    }
}

fn shown(key: &Value, value: &Value) -> String {
    let entry = format!("{key}: {value}").chars().take(80).collect::<String>();
    format!("`{entry}`; it takes `allow`, true or false, and `ttl`, such as \"8h\"")
}

/// `90s`, `30m`, `8h`, `1d`: in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("its `ttl` is {text:?}; write \"90s\", \"30m\", \"8h\" or \"1d\"");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let count = text.get(..text.len() - 1).filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
    let count = count.and_then(|count| count.parse::<u32>().ok()).filter(|count| *count > 0);
    count.and_then(|count| count.checked_mul(unit)).ok_or_else(wrong)
}

/// What regorus says of a failure, on one line.
fn failure(error: &str) -> String {
    match told("", error) {
        (Some(line), text) => format!("line {line}: {text}"),
        (None, text) => text,
    }
}

/// The line, and what is wrong: regorus draws the place over several lines, `--> FILE:LINE:COLUMN` first and `error: …` last.
pub(crate) fn told(_name: &str, error: &str) -> (Option<u32>, String) {
    let place = error.lines().find_map(|line| line.trim_start().strip_prefix("--> "));
    let line = place.and_then(|place| place.rsplit(':').nth(1)).and_then(|line| line.trim().parse().ok());
    let words = error.lines().rev().find_map(|line| line.trim_start().strip_prefix("error: "));
    let words =
        words.unwrap_or_else(|| error.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(""));
    (line, words.to_string())
}
