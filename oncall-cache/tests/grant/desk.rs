//! A person's desk: keys made by ssh-keygen, perhaps an agent, and no host of any fleet.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Seconds: more than anything takes. It ends what would wait for ever.
const PATIENCE: &str = "300";

/// What answers at a terminal.
const ANSWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/answer.py");

pub struct Desk {
    directory: TempDir,
    /// An agent, ended with the desk.
    agent: Option<Child>,
    /// What else is in the environment.
    pub environment: Vec<(&'static str, String)>,
}

/// What was on a terminal, and how the command ended.
#[derive(Debug)]
pub struct Terminal {
    pub said: String,
    pub status: i32,
}

impl Desk {
    /// With a key each for alice, bob and carol, and one of bob's grants in `text`.
    pub fn new() -> Self {
        let desk =
            Self { directory: TempDir::new().expect("a directory"), agent: None, environment: Vec::new() };
        for name in ["alice", "bob", "carol"] {
            desk.make_key(name, &["ed25519"], "");
        }
        let text = desk.request(&[]);
        desk.write("text", &text);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn make_key(&self, name: &str, kind: &[&str], passphrase: &str) {
        let arguments = [&["-q", "-N", passphrase, "-C", "a comment", "-f", name, "-t"], kind].concat();
        let made = self.run("ssh-keygen", &arguments, b"");
        assert!(made.status.success(), "{made:?}");
    }

    /// The fingerprint of a key, as ssh-keygen prints it.
    pub fn fingerprint(&self, name: &str) -> String {
        let said = stdout(&self.run("ssh-keygen", &["-lf", &format!("{name}.pub")], b""));
        said.split(' ').nth(1).expect("the second word").to_string()
    }

    fn command(&self, program: &str) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_oncall-cache")).parent().expect("a directory");
        // Without a terminal, whatever the test has.
        let mut command = Command::new("timeout");
        command
            .args([PATIENCE, "setsid", "-w", program])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin", programs.display()))
            .env("HOME", self.directory.path())
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a program there, with this on standard input.
    pub fn run(&self, program: &str, arguments: &[&str], stdin: &[u8]) -> Output {
        let mut child =
            self.command(program).args(arguments).stdin(Stdio::piped()).spawn().expect("it starts");
        let mut input = child.stdin.take().expect("a pipe");
        let stdin = stdin.to_vec();
        // Whoever reads no more than it needs leaves the rest.
        let writer = thread::spawn(move || _ = input.write_all(&stdin));
        let output = child.wait_with_output().expect("it ends");
        writer.join().expect("it has written");
        output
    }

    /// `oncall-cache grant`, with no configuration.
    pub fn grant(&self, arguments: &[&str], stdin: &[u8]) -> Output {
        let own = ["--config", "/nonexistent/config.toml", "grant"];
        self.run(env!("CARGO_BIN_EXE_oncall-cache"), &[&own, arguments].concat(), stdin)
    }

    /// The text of a request by bob, an hour as root on db7, with more or other arguments.
    pub fn request(&self, more: &[&str]) -> String {
        let said = self.grant(&[&Self::REQUEST, more].concat(), b"");
        assert!(said.status.success(), "{said:?}");
        stdout(&said)
    }

    pub const REQUEST: [&str; 13] = [
        "request",
        "--host",
        "db7",
        "--person",
        "bob",
        "--key",
        "bob.pub",
        "--for",
        "1h",
        "--reason",
        "INC-42 disk full",
        "--site",
        "example",
    ];

    /// A shell command at a terminal of its own, where `how` is answered ([`ANSWER`]). `grant` is the verb.
    pub fn at_terminal(&self, how: &str, passphrase: &str, script: &str) -> Terminal {
        let script =
            format!("grant() {{ exec {} grant \"$@\"; }}; {script}", env!("CARGO_BIN_EXE_oncall-cache"));
        let output = self.run("python3", &[ANSWER, how, passphrase, "sh", "-c", &script], b"");
        assert!(output.status.success(), "{output:?}");
        let text = stdout(&output);
        let (said, status) = text.trim_end().rsplit_once("\nstatus ").expect("a status");
        Terminal { said: said.to_string(), status: status.parse().expect("a number") }
    }

    /// Starts an agent with these keys, in place of another.
    pub fn start_agent(&mut self, keys: &[&str]) {
        self.stop_agent();
        let socket = self.path("agent");
        let path = socket.to_str().expect("UTF-8").to_string();
        self.agent = Some(
            Command::new("ssh-agent")
                .env_clear()
                .args(["-D", "-a", &path])
                .stdout(Stdio::null())
                .spawn()
                .expect("an agent"),
        );
        self.environment.push(("SSH_AUTH_SOCK", path));
        wait_until(|| self.run("ssh-add", &["-l"], b"").status.code() != Some(2));
        for key in keys {
            let added = self.run("ssh-add", &["-q", key], b"");
            assert!(added.status.success(), "{added:?}");
        }
    }

    fn stop_agent(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
            let _ = fs::remove_file(self.path("agent"));
        }
        self.environment.retain(|(name, _)| *name != "SSH_AUTH_SOCK");
    }

    /// A file of allowed signers: each of these keys signs grants, under its own name.
    pub fn signers(&self, names: &[&str]) -> PathBuf {
        let line = |name: &&str| {
            format!("{name} namespaces=\"grant@authkeys\" {}", self.read(&format!("{name}.pub")))
        };
        self.write("signers", names.iter().map(line).collect::<String>());
        self.path("signers")
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop_agent();
    }
}

#[allow(clippy::disallowed_methods, reason = "an agent says nothing when it listens")]
fn wait_until(mut condition: impl FnMut() -> bool) {
    for _ in 0..30_000 {
        if condition() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not happen");
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Was it refused with this exit status, in one line that has `words`, and with nothing printed? The line.
#[track_caller]
pub fn refused(output: &Output, status: i32, words: &str) -> String {
    let said = stderr(output);
    assert!(output.status.code() == Some(status) && output.stdout.is_empty(), "{words}: {output:?}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 1 && said.contains(words), "{words}: {said}");
    let is_plain = said.bytes().all(|byte| byte == b'\n' || byte.is_ascii_graphic() || byte == b' ');
    assert!(is_plain, "{words}: {said:?}");
    said
}

/// Makes the security key in software; the file that ssh-keygen loads.
pub fn security_key(directory: &Path) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/security_key.c");
    let library = directory.join("security_key.so");
    let status = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
        .args([library.as_os_str(), source.as_ref(), "-lcrypto".as_ref()])
        .status()
        .expect("cc runs");
    assert!(status.success(), "security_key.c is built; it takes libssl-dev");
    library
}
