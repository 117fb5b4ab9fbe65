//! A second ssh server, which asks nothing of what sshd asks.

use super::finding::{Finding, Place};

/// What is known of it.
pub struct Dropbear<'a> {
    /// Its program.
    pub program: &'a str,
    /// The processes that run it on this host.
    pub running: Vec<u32>,
    /// Will systemd start it, or has it?
    pub by_systemd: bool,
}

/// What follows from it.
pub fn check(dropbear: &Dropbear<'_>) -> Finding {
    let why = "it reads authorized_keys and passwords by itself and asks neither authkeys nor PAM: anybody with a key or password for root gets in, on call or not";
    match (dropbear.by_systemd, dropbear.running.first()) {
        (true, _) => {
            let what = "dropbear is an ssh server beside sshd, and systemd starts it";
            let fix = "systemctl disable --now dropbear";
            Finding::open("second-sshd", what).at(Place::file(dropbear.program)).why(why).run(fix)
        }
        (false, Some(process)) => {
            let what = format!(
                "dropbear is an ssh server beside sshd (process {process}), and systemd did not start it"
            );
            let advice = format!("`kill {process}`, and remove what starts it");
            Finding::open("second-sshd", what).at(Place::file(dropbear.program)).why(why).advise(advice)
        }
        (false, None) => {
            let found = Finding::note("second-sshd", "dropbear is installed, but does not run")
                .at(Place::file(dropbear.program));
            found
                .why("an ssh server that asks neither authkeys nor PAM")
                .advise("nothing, if it is for the initial ramdisk; else remove it")
        }
    }
}
