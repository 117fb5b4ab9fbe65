//! Every change that a directory can make, in every kind of directory: after each, the copy is what a full read would
//! be, and both are what the directory means; in both modes. The table of changes is in harness/table.rs.

use harness::Suite;
use harness::directory::{Closing, Directory, ELIGIBLE};
use harness::ds389::Ds389;
use harness::samba;
use harness::slapd::Played;
use harness::suite::now;
use harness::table::{Table, every_change_leaves_what_a_full_read_would};

#[test]
fn slapd() {
    let suite = Suite::start();
    every_change_leaves_what_a_full_read_would(&suite, &Played::start(&suite.host));
}

#[test]
fn ds389() {
    let suite = Suite::start();
    every_change_leaves_what_a_full_read_would(&suite, &Ds389::start(&suite.host));
}

/// What 389 Directory Server says is not what it looks like: see `directory/server.rs`.
#[test]
fn a_389_with_content_synchronization_takes_nobody_away_that_is_there() {
    let suite = Suite::start();
    let server = Ds389::start(&suite.host);
    let mut table = Table::new(&suite, &server);
    for number in 0..8 {
        table.add(&format!("p{number}"), &[number]);
    }
    table.give(ELIGIBLE, "p0");
    table.check("at first");
    // One change, after which seven were removed.
    table.set_keys("p0", &[0, 1]);
    table.check("a key added");
    table.close("p1", Closing::Disabled);
    table.check("the eighth locked");
    server.delete("p2");
    table.goes("p2");
    table.set_keys("p3", &[4]);
    table.check("one gone and another changed");
    let said = suite.must_as("authkeys-sync", "authkeys-sync --config /etc/authkeys/copy-kept.toml");
    assert!(said.starts_with("0 changed, 0 removed, 7 people"), "{said}");
    let stamp = suite.host.read("/run/copy-kept/keys.stamp");
    assert_eq!(stamp.trim().split(' ').count(), 2, "no cookie is kept: {stamp}");
}

/// A lock after wrong passwords has an attribute of its own there, and an end in it or none.
#[test]
fn a15_a_389_locks_after_wrong_passwords_where_any_lock_counts() {
    let suite = Suite::start();
    let server = Ds389::start(&suite.host);
    server.hand_out(&suite);
    let key = suite.public_key("alice");
    for name in ["open", "passing", "lasting"] {
        server.add(name, &[&key]);
    }
    // Nothing is old by then.
    let length = 250;
    let before = now();
    server.lock_out("passing", length);
    let (last, first) = (before + i64::from(length) - 1, now() + i64::from(length));
    server.lock_out("lasting", 0);
    let printed = |at: i64| {
        let script = "for name in open passing lasting; do authkeys $name | wc -l; done";
        let output = suite.run_at("authkeys", at, script);
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_string).collect::<Vec<_>>()
    };
    for (locks, lines) in [("permanent", ["1", "1", "1"]), ("any", ["1", "0", "0"])] {
        let section =
            server.section().replacen("[directory]", &format!("[directory]\ndisabling_locks = '{locks}'"), 1);
        suite.host.write("/etc/authkeys/config.toml", section, 0o644);
        suite.must_as("authkeys-sync", "authkeys-sync");
        assert_eq!(printed(last), lines, "{locks}");
    }
    // No sync is waited for.
    assert_eq!(printed(first), ["1", "1", "0"]);
}

#[test]
fn samba() {
    let suite = Suite::start();
    every_change_leaves_what_a_full_read_would(&suite, &samba::Played::start(&suite.host));
}
