//! The machine that is measured: the suite on it, its people, and the runner.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use harness::Suite;
use harness::suite::TEAM;

use crate::samples::{Sample, Series};
use crate::tools;

pub struct Machine {
    pub suite: Suite,
}

impl Machine {
    /// Starts a machine with `people` in its directory and alice on call.
    pub fn start(people: usize) -> Self {
        let suite = Suite::start();
        tools::install(&suite.host);
        let machine = Self { suite };
        machine.write_people("/etc/authkeys/people.toml", people);
        machine.suite.write_rota(&[("alice", -3_600, 8 * 3_600), ("bob", 8 * 3_600, 16 * 3_600)]);
        machine.suite.sync();
        machine
    }

    /// Writes a directory of `people`, the team among them.
    pub fn write_people(&self, path: &str, people: usize) {
        let mut text = String::new();
        for member in TEAM {
            let (name, key) = (member.name, self.suite.public_key(member.name));
            let _ = writeln!(
                text,
                "[[person]]\nusername='{name}'\nmail=['{name}@example.com']\nkeys=['{key}']\neligible={}",
                member.eligible
            );
        }
        for number in TEAM.len()..people {
            let (name, key) = (name(number), key(number));
            let _ =
                writeln!(text, "[[person]]\nusername='{name}'\nmail=['{name}@example.com']\nkeys=['{key}']");
            // One in fifty may become root.
            text.push_str(if number % 50 == 0 { "eligible=true\n" } else { "" });
        }
        self.suite.host.write(path, text, 0o644);
    }

    /// Runs `commands` as `user` in `rounds` rounds, each in another order; a series for each command.
    pub fn run(&self, user: &str, rounds: usize, commands: &[Vec<String>]) -> Vec<Series> {
        let plan: Vec<String> = commands.iter().map(|words| words.join("\t")).collect();
        let mut runner = self
            .suite
            .host
            .command("/usr/sbin/runuser")
            .args(["-u", user, "--", &format!("{}/run", tools::INSIDE), &rounds.to_string(), "20261120"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        let mut stdin = runner.stdin.take().expect("stdin is a pipe");
        stdin.write_all(plan.join("\n").as_bytes()).expect("the runner reads");
        drop(stdin);
        let output = runner.wait_with_output().expect("the runner ends");
        assert!(output.status.success(), "run {plan:?}: {}", output.status);
        let mut series = vec![Series::default(); commands.len()];
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let figures: Vec<f64> = line.split(' ').map(|word| word.parse().expect("a figure")).collect();
            let [command, wall, cpu, rss, status] = figures[..] else { panic!("{line}") };
            series[command as usize].0.push(Sample {
                wall_ms: wall / 1e6,
                cpu_ms: cpu / 1e3,
                rss_mib: rss / 1024.0,
                status: status as i32,
            });
        }
        series
    }

    /// As [`Machine::run`], of commands that end with one of `statuses`. Another status means nothing was measured: the
    /// command is run once more, to say why.
    pub fn run_well(
        &self,
        user: &str,
        rounds: usize,
        commands: &[Vec<String>],
        statuses: &[i32],
    ) -> Vec<Series> {
        let series = self.run(user, rounds, commands);
        for (words, series) in commands.iter().zip(&series) {
            if let Some(sample) = series.0.iter().find(|sample| !statuses.contains(&sample.status)) {
                let again = self.suite.run_as(user, &format!("{} 2>&1", words.join(" ")));
                panic!(
                    "{words:?} as {user}: exit status {}; once more, {}: {}",
                    sample.status,
                    again.status,
                    String::from_utf8_lossy(&again.stdout)
                );
            }
        }
        series
    }

    /// Is there such a program on this machine?
    pub fn has(&self, program: &str) -> bool {
        self.suite.host.path(program).exists()
    }
}

/// The name of a person who is a number.
pub fn name(number: usize) -> String {
    format!("p{number:05}")
}

/// The key of a person who is a number.
pub fn key(number: usize) -> String {
    made_keys::numbered(u32::try_from(number).expect("not that many people"))
}

/// A command line of words without blanks.
pub fn words(line: &str) -> Vec<String> {
    line.split_ascii_whitespace().map(str::to_string).collect()
}
