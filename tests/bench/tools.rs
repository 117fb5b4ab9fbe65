//! The floors and the runner: small C programs, compiled when they are first needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::Host;

/// Where they are inside the machine: sshd wants every directory above its command to be root's alone.
pub const INSIDE: &str = "/usr/lib/bench";

/// Fresh copies of what is measured as whole processes, on the build directory's disk. The same bytes cost
/// a tenth more or less by how they came into the page cache (in one piece, page by page from a linker, or
/// on tmpfs), so all of them come there in the same way.
pub const FRESH: &str = "/run/suite/build/bench/fresh";

/// Compiles the tools beside the suite's programs and installs them on `host`.
pub fn install(host: &Host) {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bench"));
    let own = std::env::current_exe().expect("a program has a path");
    let build = own.parent().expect("target/PROFILE/deps").with_file_name("bench");
    fs::create_dir_all(&build).expect("the build directory can be written");
    let text = |path: PathBuf| path.into_os_string().into_string().expect("paths are UTF-8");
    let compile = |name: &str, options: &[&str]| {
        let program = text(build.join(name));
        let source = text(source.join(format!("{name}.c")));
        gcc(&[&["-Wall", &source, "-o", &program], options].concat());
        host.install(Path::new(&program), &format!("{INSIDE}/{name}"), 0o755);
    };
    compile("print", &["-static"]);
    compile("run", &["-static"]);
    compile("decision", &["-l:libpam.so.0"]);
    compile("nss", &["-O2"]);

    let bundled = bundled_sqlite();
    let package = bundled.parent().and_then(Path::file_name).expect("a package's directory");
    let object = build.join(package).with_extension("o");
    let include = format!("-I{}", text(bundled.clone()));
    if !object.exists() {
        let partial = text(build.join("sqlite3.partial"));
        let amalgamation = text(bundled.join("sqlite3.c"));
        gcc(&["-c", "-DSQLITE_OMIT_LOAD_EXTENSION", &amalgamation, "-o", &partial]);
        fs::rename(partial, &object).expect("the build directory can be written");
    }
    compile("sqlite", &["-static", &include, &text(object), "-lm"]);

    let fresh = build.join("fresh");
    let suite = build.parent().expect("target/PROFILE");
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir(&fresh).expect("the build directory can be written");
    let programs = ["bench/print", "bench/sqlite", "authkeys", "authkeys-sync", "oncall-cache"];
    for program in programs.map(|name| suite.join(name)) {
        fs::copy(&program, fresh.join(program.file_name().expect("a name"))).expect("built by make release");
    }
}

fn gcc(arguments: &[&str]) {
    let status = Command::new("gcc").arg("-O2").args(arguments).status().expect("gcc runs; install gcc");
    assert!(status.success(), "gcc {arguments:?}: {status}");
}

/// The directory of the SQLite that the suite itself links.
fn bundled_sqlite() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "libsqlite3-sys").expect("bundled");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    manifest.with_file_name("sqlite3")
}
