//! Grants where the clock jumps, with every link cut. Programs have a clock of their own (libfaketime); that of the machine
//! is left alone.

use std::process::Output;

use harness::grants::{ACCEPTED, Grants, Text, said, sudo};
use harness::suite::{HOUR, Suite, now, seconds};
use harness::{text, wait_within};

fn admitted(output: &Output) {
    assert!(output.status.success(), "was refused: {}", text(output));
}

/// What each reader makes of bob's grant by a clock so many seconds ahead: PAM for sudo, PAM for a session by his key, the
/// keys of root, and `test-access`.
fn readers(suite: &Suite, ahead: i64) -> [bool; 4] {
    let _ = suite.decisions();
    let key = suite.public_key("bob").split(' ').take(2).collect::<Vec<_>>().join(" ");
    let session = format!("pamtester -E 'SSH_AUTH_INFO_0=publickey {key}\n' sshd root open_session");
    let decided = |command: &str| {
        suite.run_ahead("root", ahead, command);
        let lines = suite.decisions();
        assert_eq!(lines.len(), 1, "{command}: {lines:#?}");
        lines.concat().contains("person=bob decision=allow reason=grant")
    };
    let sudo = decided("pamtester -I ruser=bob sudo bob acct_mgmt");
    let session = decided(&session);
    // To tell him that he is refused it is printed as well.
    let printed = text(&suite.run_ahead("authkeys", ahead, &format!("authkeys root {key}")));
    let opens = printed.lines().any(|line| line.contains(&key) && !line.contains("oncall-cache explain"));
    let asked = text(&suite.run_ahead("root", ahead, "oncall-cache test-access bob --json"));
    [sudo, session, opens, asked.contains("\"reason\": \"grant\"")]
}

const IN: [bool; 4] = [true; 4];
const OUT: [bool; 4] = [false; 4];

#[test]
fn a88_a_clock_that_was_in_2036_ends_no_grant_and_keeps_none_out() {
    let host = Grants::start();
    let suite = &host.suite;
    host.give_clock();
    let earlier = Text::new(&suite.public_key("bob")).sign(suite, &["alice", "carol"]);
    said(&host.bring(&earlier), 0, "accepted: bob");
    assert_eq!(readers(suite, 0), IN);

    let ahead = seconds("2036-11-20T03:00:00Z") - now();
    host.set_clock(ahead);
    // Syncs copy what is on this host by that clock, or find nobody on call then.
    let keys = suite.run_ahead("authkeys-sync", ahead, "authkeys-sync");
    assert!(keys.status.success(), "{}", text(&keys));
    suite.run_ahead("oncall-cache", ahead, "oncall-cache sync");
    assert_eq!(readers(suite, ahead), OUT);
    said(&host.bring(&earlier), 1, "refused (grant-expired)");
    let later = Text { person: "dave", ..Text::new(&suite.public_key("dave")) };
    let later = later.sign(suite, &["alice", "carol"]);
    said(&host.bring(&later), 1, "refused (grant-expired)");

    host.set_clock(0);
    assert_eq!(readers(suite, 0), IN);
    admitted(&sudo(suite, "bob"));
    admitted(&suite.ssh("bob", "root", "id -u"));
    said(&host.bring(&earlier), 0, "in force until");
    assert!(!sudo(suite, "dave").status.success());
    said(&host.bring(&later), 0, "accepted: dave");
    admitted(&sudo(suite, "dave"));
    admitted(&suite.ssh("dave", "root", "id -u"));
}

#[test]
fn a88_a_clock_set_back_by_two_hours_makes_no_grant_longer_and_shuts_none_out() {
    let host = Grants::start();
    let suite = &host.suite;
    host.give_clock();
    let uptime = || {
        let seconds = suite.host.must("cut -d. -f1 /proc/uptime");
        seconds.trim().parse::<i64>().expect("seconds")
    };
    wait_within(1200, "the machine has been up long enough", || uptime() > 900);
    let length = (uptime() / 2).min(HOUR);
    let back = -2 * HOUR;
    // Begun before what the last sync proved of the time, which is what a clock that was set back is held against.
    let grant = || {
        let grant = Text { begin: now() - 120, end: now() + length, ..Text::new(&suite.public_key("bob")) };
        (grant.sign(suite, &["alice", "carol"]), grant.id)
    };
    // As it is once the length of the grant has passed: accepted in the first second of this boot.
    let passes =
        |id: &str| suite.host.must(&format!("sed -i '1s/:[0-9.]* *$/:1.00/' {ACCEPTED}/root@bob.{id}"));

    // Accepted by a clock that was right.
    let (signed, id) = grant();
    said(&host.bring(&signed), 0, "accepted: bob");
    assert_eq!(readers(suite, 0), IN);
    host.set_clock(back);
    assert_eq!(readers(suite, back), IN);
    said(&host.bring(&signed), 0, "in force until");
    passes(&id);
    assert_eq!((readers(suite, back), readers(suite, 0)), (OUT, OUT));
    said(&host.bring(&signed), 1, "refused (grant-expired)");

    // Accepted by the one that is set back: by what the last sync proved of the time, and the time since.
    let (signed, id) = grant();
    said(&host.bring(&signed), 0, "accepted: bob");
    assert_eq!(readers(suite, back), IN);
    host.set_clock(0);
    assert_eq!(readers(suite, 0), IN);
    admitted(&sudo(suite, "bob"));
    passes(&id);
    assert_eq!((readers(suite, back), readers(suite, 0)), (OUT, OUT));
}
