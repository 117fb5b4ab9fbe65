//! Logins through a real sshd, libpam and sudo: who gets in as root, who does not, and what they read.

use harness::{Suite, suite, text};

const DAY: i64 = 86_400;

/// The last word that a refused ssh or sudo printed, on either stream.
fn refused(output: &std::process::Output, words: &str) {
    assert!(!output.status.success(), "was let in: {}", text(output));
    assert!(text(output).contains(words), "expected {words:?} in {}", text(output));
}

fn admitted(output: &std::process::Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{}", text(output));
}

#[test]
fn the_person_on_call_is_root_and_nobody_else() {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -3600, 3600), ("bob", 3600, DAY)]);
    println!("{}", suite.sync());
    admitted(&suite.ssh("alice", "root", "id -u"));
    let lines = suite.decisions();
    assert_eq!(lines.len(), 1, "one line per decision: {lines:#?}");
    println!("{lines:#?}");
    for other in ["bob", "carol", "dave"] {
        refused(&suite.ssh(other, "root", "id -u"), "Permission denied");
    }
    let _ = suite::now();
}
