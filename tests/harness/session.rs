//! A session that stays open while a test does other things, over ssh: a groups list of before, and sudo at each word.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What such a session runs: an attempt at sudo for each line that it is sent.
pub const SUDO: &str = "while read -r word; do sudo -n id -u 2>/dev/null || echo refused; done";

/// Somebody's session.
pub struct Session {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Session {
    /// Starts `ssh`, which runs [`SUDO`].
    pub fn open(ssh: &mut Command) -> Self {
        let mut child = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { child, stdin, stdout }
    }

    /// What sudo makes of them now: their uid, or `refused`.
    pub fn sudo(&mut self) -> String {
        self.stdin.write_all(b"now\n").expect("the session is open");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the session answers");
        line.trim().to_string()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
