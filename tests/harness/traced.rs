//! System calls that a command makes.

use std::process::Output;

use crate::Machine;

/// How a command ended, and its calls: for each of its threads the lines that strace wrote.
pub struct Traced {
    pub output: Output,
    pub threads: Vec<String>,
}

impl Traced {
    /// All calls of all threads.
    pub fn calls(&self) -> impl Iterator<Item = &str> {
        self.threads.iter().flat_map(|thread| thread.lines())
    }
}

impl Machine {
    /// Runs `command` as root (`setpriv` makes it somebody else's) and writes down the calls named in `calls`, in the form
    /// of strace's `-e trace`, with the paths of open files.
    ///
    /// strace gets a file for each thread, so that each call is one line: in one file for all, a call during which another
    /// thread makes one is cut in two, the second of which begins with `<... resumed>`.
    pub fn traced(&self, calls: &str, command: &str) -> Traced {
        self.must("rm -rf /run/trace && mkdir /run/trace");
        let output = self.sh(&format!("strace -ff -y -e trace={calls} -o /run/trace/of {command}"));
        let files = std::fs::read_dir(self.path("/run/trace")).expect("a directory");
        let read = |file: std::io::Result<std::fs::DirEntry>| {
            let file = file.expect("a file").path();
            String::from_utf8_lossy(&std::fs::read(file).expect("a trace")).into_owned()
        };
        Traced { output, threads: files.map(read).collect() }
    }
}
