//! `make demo` shows what it promises, and leaves the machine as it was.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use harness::text;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo.sh");

fn build_directory() -> PathBuf {
    let own = std::env::current_exe().expect("a test program has a path");
    own.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_path_buf()
}

/// Everything that a demo which escaped its private machine would have changed.
fn machine() -> String {
    let output = Command::new("sh")
        .args(["-c", "cat /etc/passwd /etc/group /etc/pam.d/* /proc/mounts; ls -la /etc /etc/ssh /usr/bin /var/lib /mnt"])
        .output()
        .expect("sh runs");
    text(&output)
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| line.trim_end().to_string()).collect()
}

#[test]
fn the_demo_shows_the_hand_over_and_leaves_nothing_behind() {
    let before = machine();
    let output = Command::new("timeout")
        .args(["3000", "sh", SCRIPT])
        .arg(build_directory())
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", text(&output));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("warning"), "{said}");
    let lines = lines(&output);
    let rows = |person: &str| -> Vec<&String> {
        lines.iter().filter(|line| line.starts_with(&format!("{person:<8}")) && line.len() > 30).collect()
    };
    let (in_, out) = (
        "in, as root        in, as themselves  in, as root",
        "refused            refused            refused",
    );
    for (person, before, after) in [
        ("alice", in_, out),
        ("bob", out, in_),
        ("carol", out, out),
        (
            "dave",
            "refused            in, as themselves  refused",
            "refused            in, as themselves  refused",
        ),
    ] {
        let expected = [format!("{person:<8}{before}"), format!("{person:<8}{after}")];
        assert_eq!(rows(person), [&expected[0], &expected[1]], "{}", text(&output));
    }
    let words = "sudo on demo is for people on call: bob is not (alice is, until ";
    assert!(lines.iter().any(|line| line.contains(words)), "{}", text(&output));
    let after = machine();
    let changed: Vec<&str> = after.lines().filter(|line| !before.lines().any(|old| old == *line)).collect();
    assert_eq!(changed, [""; 0]);
}

#[test]
fn without_root_the_demo_says_so_and_shows_the_decisions() {
    // The checkout may be where nobody else can read it.
    let copy = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .tempdir_in("/run")
        .expect("root may write to /run");
    let script = format!(
        "cd {copy} && mkdir -p project/tests project/packaging/examples build && cp {SCRIPT} project/tests \
         && cp {source}/packaging/examples/config.toml project/packaging/examples && cp {build}/authkeys-sync {build}/oncall-cache build \
         && runuser -u nobody -- timeout 3000 sh project/tests/demo.sh build",
        copy = copy.path().display(),
        source = concat!(env!("CARGO_MANIFEST_DIR"), "/.."),
        build = build_directory().display(),
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    assert!(output.status.success(), "{}", text(&output));
    let lines = lines(&output);
    assert!(lines[0].starts_with("Without root there are no logins to show"), "{lines:#?}");
    let said = |person: &str| -> Vec<&str> {
        let start = format!("{person:<7}");
        lines
            .iter()
            .filter_map(|line| line.strip_prefix(&start))
            .map(|rest| rest.split(':').next().unwrap_or(""))
            .collect()
    };
    assert_eq!([said("alice"), said("bob"), said("dave")], [["yes", "no"], ["no", "yes"], ["no", "no"]]);
}
