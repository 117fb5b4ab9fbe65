//! What a verb of our commands has to say. main.rs prints it, and does no more.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use policy::plain;

use crate::output;

/// The exit status where the answer is not known, or nothing was done.
pub const CANNOT_TELL: u8 = 2;
/// sysexits.h's EX_USAGE; clap's own 2 would read as "cannot tell".
pub const USAGE: u8 = 64;

/// One thing that is said, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// On standard output: text, which may have several lines.
    Answer(String),
    /// On standard error: one line.
    Note(String),
}

/// All that a verb says, in this order, and the exit status.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The exit status; its meaning is in the verb's help.
    pub code: u8,
    /// What is printed.
    pub parts: Vec<Part>,
}

impl Said {
    /// An answer, with exit status 0.
    pub fn text(text: impl Into<String>) -> Self {
        Self::default().then(text)
    }

    /// An answer for programs, a JSON value, with exit status 0.
    pub fn json(value: &impl Display) -> Self {
        Self::text(format!("{value:#}"))
    }

    /// That there is no answer, and why.
    pub fn failure(code: u8, problem: impl Display) -> Self {
        Self { code, ..Self::default() }.note(problem)
    }

    /// The same as JSON or text, as it was asked for: programs get `json` beside it.
    pub fn failure_as(json: Option<impl Display>, problem: impl Display) -> Self {
        let said = json.map_or_else(Self::default, |json| Self::json(&json));
        said.note(problem).exit(CANNOT_TELL)
    }

    /// That the command was not typed as it should be.
    pub fn usage(problem: impl Display) -> Self {
        Self::failure(USAGE, problem)
    }

    /// More of the answer.
    pub fn then(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Answer(text.into()));
        self
    }

    /// A line on standard error.
    pub fn note(mut self, text: impl Display) -> Self {
        self.parts.push(Part::Note(text.to_string()));
        self
    }

    /// A line on standard error for each of `lines`.
    pub fn notes(mut self, lines: impl IntoIterator<Item: Display>) -> Self {
        self.parts.extend(lines.into_iter().map(|line| Part::Note(line.to_string())));
        self
    }

    /// The same with another exit status.
    #[must_use]
    pub fn exit(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// Prints it as `program`. A reader that went away is no failure.
    pub fn print(&self, program: &str) {
        for part in &self.parts {
            match part {
                Part::Answer(text) => _ = writeln!(io::stdout(), "{}", plain(text)),
                Part::Note(line) => output::complain(program, line),
            }
        }
    }
}

/// Prints what `program` says to its arguments, or what is wrong with them: the page of help, or of the usage, that the
/// parser has for that; `is_wrong` tells which.
pub fn program<A, E: Display>(
    program: &str,
    arguments: Result<A, E>,
    is_wrong: impl FnOnce(&E) -> bool,
    answer: impl FnOnce(&A) -> Said,
) -> ExitCode {
    let said = match &arguments {
        Ok(arguments) => answer(arguments),
        Err(error) => {
            let is_wrong = is_wrong(error);
            output::page(error, is_wrong);
            Said::default().exit(if is_wrong { USAGE } else { 0 })
        }
    };
    said.print(program);
    ExitCode::from(said.code)
}

/// Where a verb says what cannot wait until it is done. Each call is a line on standard error.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    /// For the log as well as for people.
    pub note: &'a dyn Fn(fmt::Arguments<'_>),
    /// What is being waited for, to somebody who is looking on.
    pub progress: &'a dyn Fn(fmt::Arguments<'_>),
}
