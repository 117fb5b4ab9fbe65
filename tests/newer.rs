//! Directories of Debian 13 through the table of changes of tests/directories.rs. They run on the machine of the test out
//! of a root of their own; what asks them is the suite outside.

use harness::Suite;
use harness::table::every_change_leaves_what_a_full_read_would;
use harness::{samba, slapd};

#[test]
fn slapd_2_6() {
    let suite = Suite::start();
    let server = slapd::Played::start_newer(&suite.host);
    assert!(server.version().contains("slapd 2.6."), "{}", server.version());
    every_change_leaves_what_a_full_read_would(&suite, &server);
}

#[test]
fn samba_4_22() {
    let suite = Suite::start();
    let server = samba::Played::start_newer(&suite.host);
    assert!(server.version().contains("Version 4.22."), "{}", server.version());
    every_change_leaves_what_a_full_read_would(&suite, &server);
}
