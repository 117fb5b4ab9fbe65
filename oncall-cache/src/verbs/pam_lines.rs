//! `pam-lines`: at which line pam_oncall.so counts in the stack of each service, for pam-oncall-enable.

use crate::said::Said;

/// A line for each of `services`, which are names in /etc/pam.d.
pub fn run(services: &[String]) -> Said {
    Said::text(doctor::pam_lines(services))
}
