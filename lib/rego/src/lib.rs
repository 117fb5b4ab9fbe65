//! What a site says of shifts in Rego (`[[policy.rego]]`), asked by `oncall-cache sync` in a process of its own, never in a
//! login.
//!
//! A file can only take away: asked about one shift, it keeps it, ends it earlier (`ttl`) or leaves it out. What it is
//! asked depends on that shift alone: who is on call within it, not who is on call now. So a shift of tomorrow is judged
//! by the people of tomorrow, and a verdict stays as long as the rota does.
//!
//! No I/O, no clock but the one that stops what takes too long. This is the only crate that names regorus.

#![forbid(unsafe_code)]

mod bounds;
mod check;
mod file;
mod rota;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

pub use bounds::{EACH, TOTAL};
pub use file::{LONGEST, Refused, RegoFile, Verdict, looks_at_host};
pub use rota::{Rota, Shift};

/// The package that a file is of, and the only one that it may name.
pub const PACKAGE: &str = "authkeys";

/// All that is judged in one go: shifts by one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The name of this host.
    pub host: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// The file.
    pub file: Asked,
    /// The rota.
    pub shifts: Vec<Shift>,
    /// The number of the shift that is asked about first: those before it are known.
    pub first: usize,
    /// Is every rule of the file evaluated, not only those that the query needs?
    pub every_rule: bool,
}

/// A file, and what it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its name, for people.
    pub name: String,
    /// What is in it.
    pub text: String,
    /// `data.authkeys.NAME`.
    pub query: String,
}

/// The first line of what [`judge`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Opening {
    /// The file is understood; a line for each shift follows.
    Loaded,
    /// It is not, and nothing follows.
    Refused(String),
}

/// What the file says of one shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It stays.
    Keep,
    /// It ends so many seconds after it starts, if it does not end before.
    For(u32),
    /// It is left out.
    LeaveOut,
    /// It said nothing that is understood: why.
    Failed(String),
}

/// Judges all that `job` names, and writes to `out` an [`Opening`] and for each shift from the first on an [`Outcome`], a
/// line of JSON each, flushed as it goes: whoever reads knows what was said before an end that comes early, and about which
/// shift it was asked then.
///
/// # Errors
/// `out` cannot be written.
pub fn judge(job: &Job, out: &mut dyn Write) -> io::Result<()> {
    let Asked { name, text, query } = &job.file;
    let mut file = match RegoFile::load(name, text, query) {
        Ok(file) => file,
        Err(refused) => return say(out, &Opening::Refused(refused.to_string())),
    };
    say(out, &Opening::Loaded)?;
    let rota = Rota::new(&job.host, &job.labels, &job.shifts);
    let mut budget = bounds::Budget::new();
    for number in job.first..job.shifts.len() {
        let question = rota.question(number);
        let outcome = budget.spend(|| {
            let every = if job.every_rule { file.every_rule(&question) } else { Ok(()) };
            every.and_then(|()| file.ask(&question))
        });
        say(out, &outcome)?;
    }
    Ok(())
}

fn say(out: &mut dyn Write, what: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, what)?;
    out.write_all(b"\n")?;
    out.flush()
}
