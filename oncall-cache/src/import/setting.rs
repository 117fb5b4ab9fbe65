//! One setting of a foreign file, and what can be wrong with such a file.

/// The most settings in one file.
const MOST: usize = 10_000;

/// One setting as it is in a foreign file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// What it is set to.
    pub value: String,
    /// Line, counted from 1.
    pub line: usize,
}

impl Setting {
    /// The value, if there is one.
    pub fn text(&self) -> Option<&str> {
        Some(self.value.trim()).filter(|value| !value.is_empty())
    }

    /// What the four tools take for yes.
    pub fn is_on(&self) -> bool {
        ["true", "yes", "on", "1"].iter().any(|word| self.value.trim().eq_ignore_ascii_case(word))
    }
}

/// What is wrong with a foreign file; the line, or 0 for all of it.
#[derive(Debug)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub text: String,
}

impl Problem {
    /// One in `line`.
    pub fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// Refuses more settings than anybody writes.
pub fn few_enough(count: usize, line: usize) -> Result<(), Problem> {
    if count < MOST {
        return Ok(());
    }
    Err(Problem::new(line, format!("more than {MOST} settings; is it a configuration?")))
}

/// The advice on `name` in `table`, where a name that ends with * is the beginning of one.
pub fn advice(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    };
    table.iter().find(|(pattern, _)| fits(pattern)).map(|(_, advice)| *advice)
}
