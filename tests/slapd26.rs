//! Debian 13's slapd, OpenLDAP 2.6, through the table of changes of tests/directories.rs. It runs on the machine of the test
//! out of a root of its own; what asks it is the suite outside.

use harness::Suite;
use harness::slapd::Played;
use harness::table::every_change_leaves_what_a_full_read_would;

#[test]
fn slapd26() {
    let suite = Suite::start();
    let server = Played::start_newer(&suite.host);
    assert!(server.version().contains("slapd 2.6."), "{}", server.version());
    every_change_leaves_what_a_full_read_would(&suite, &server);
}
