//! Programs of Debian 13 on a private machine: unpacked once into a root of their own, and run there by chroot.

use std::path::Path;
use std::process::Command;

use crate::Host;
use crate::kept::kept;

/// Where that root is inside the machine. It shares /run and /srv with it.
pub const ROOT: &str = "/opt/trixie";

/// By what it is made.
pub(crate) const UNPACK: &str = include_str!("trixie.sh");

/// Puts these packages and what they need into a machine; they are kept under `name`.
pub fn put(host: &Host, name: &str, packages: &[&str]) {
    install(&kept(name, (UNPACK, packages), |new| unpack(new, packages)), host);
}

/// Unpacks these packages and what they need into a directory that is not there yet.
pub(crate) fn unpack(new: &Path, packages: &[&str]) {
    let output = Command::new("/bin/sh").args(["-c", UNPACK, "trixie.sh"]).arg(new).args(packages).output();
    let output = output.expect("sh starts");
    assert!(output.status.success(), "Debian 13's {packages:?}: {}", crate::text(&output));
}

/// Puts a root into a machine, with the machine's people.
pub(crate) fn install(root: &Path, host: &Host) {
    let copied = Command::new("cp").arg("-a").arg(root).arg(host.path(ROOT)).status().expect("cp starts");
    assert!(copied.success(), "{}: {copied}", root.display());
    host.must(&format!(
        "for shared in dev proc run srv; do mkdir -p {ROOT}/$shared && mount --rbind /$shared {ROOT}/$shared; done && \
         mkdir -p {ROOT}/etc && cp /etc/passwd /etc/group /etc/hosts {ROOT}/etc"
    ));
}
