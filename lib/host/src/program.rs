//! What other programs say: run with a plain environment, and not waited for without end.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::{Child, Ending};

/// The longest that another program is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of what it says, in bytes.
const LARGEST: u64 = 4 * 1024 * 1024;

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// What it printed; what is no UTF-8 in it is replaced.
    pub out: String,
    /// The last line of its complaints.
    pub complaint: String,
    /// Did it end with exit status 0?
    pub succeeded: bool,
}

/// As [`run`], with what it complains of among what it says: where that is more than a line.
pub fn run_heard(program: &str, arguments: &str) -> Option<Output> {
    Path::new(program)
        .exists()
        .then(|| run("/bin/sh", &["-c", &format!("exec {program} {arguments} 2>&1")]))
        .flatten()
}

/// Runs `program`, an absolute path, with a plain environment; `None` if there is no such program.
pub fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    if !Path::new(program).exists() {
        return None;
    }
    let environment = [("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")];
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    let failed = |complaint: String| Output { out: String::new(), complaint, succeeded: false };
    let end = Instant::now() + PATIENCE;
    let mut child = match Child::start_heard(Path::new(program), &arguments, &environment) {
        Ok(child) => child,
        Err(error) => return Some(failed(error.to_string())),
    };
    let Ok(out) = child.listen(end, LARGEST) else {
        return Some(failed(format!("{program} did not end within {} s", PATIENCE.as_secs())));
    };
    Some(Output {
        out: String::from_utf8_lossy(&out).into_owned(),
        succeeded: child.ending(end) == Some(Ending::Exit(0)),
        complaint: child.last_line().unwrap_or_default(),
    })
}
