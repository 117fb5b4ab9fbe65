//! The packages of this build, and what of a machine is compared before and after them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::host::build_directory;
use crate::releases::{AFTER, NEXT, Release, THIS};
use crate::{Machine, text};

/// The version of this build, and the next.
pub const VERSIONS: [&str; 2] = ["0.1.0", "0.1.1"];

/// Where the .deb of each release are, below the build.
const DEBS: &str = "packages/releases";

/// Directories in which a package may leave something, without what else keeps changing and what logins and Ansible leave.
pub const LISTED: &str = "find /etc /usr /var/lib /var/cache /var/log /run -xdev \
    -path /run/suite -prune -o -path /var/lib/dpkg -prune -o -path /var/lib/apt -prune -o -path /var/cache/apt -prune -o \
    -path /var/log/apt -prune -o -path /var/cache/debconf -prune -o -path /var/cache/man -prune -o -path /usr/src -prune -o -path /usr/local -prune -o \
    -path /var/log/journal -prune -o -path /run/user -prune -o -path /run/sudo -prune -o -name motd.dynamic -o -name agetty.reload -o \
    -name dpkg.log -o -name user.log -o -name cron.log -o -name alternatives.log -o -name '*.cache' -o -path /var/cache/ldconfig/aux-cache -o \
    -name '*-' -o \
    -path '/var/lib/systemd/deb-systemd-*' -o -name .pwd.lock -o -path /run/systemd -prune -o -print | sort";

/// Files that say who gets in.
pub const LOGINS: &str = "cd /etc && sha256sum nsswitch.conf pam.d/* ssh/sshd_config; ls -la /etc/pam.d | sed 1d | awk '{ print $1, $3, $4, $NF }'; \
    grep -hvE '^(authkeys|authkeys-sync|oncall-cache|oncall-collector|oncall-hear|oncall-sink|oncall-notify|oncall-grant|oncall-grant-accept):' /etc/passwd /etc/group /etc/shadow /etc/gshadow; ls /etc/ssh/sshd_config.d";

/// Where the packages of `version` are. Both versions are made once, in both formats.
pub fn of(version: &str) -> PathBuf {
    static MADE: OnceLock<()> = OnceLock::new();
    let directory = build_directory().join("packages");
    MADE.get_or_init(|| {
        for version in VERSIONS {
            make(&build_directory(), version, &directory.join(version), &["deb", "rpm"]);
        }
    });
    directory.join(version)
}

/// Where the .deb of `release` are, made once, when they are first asked for.
pub fn debs(release: &Release) -> PathBuf {
    static MADE: [OnceLock<PathBuf>; 3] = [const { OnceLock::new() }; 3];
    let known = [&THIS, &NEXT, &AFTER].iter().position(|one| *one == release).expect("a release of ours");
    let make_all = || {
        let directory = build_directory().join(DEBS).join(release.version);
        let _ = std::fs::remove_dir_all(&directory);
        make(&release.build(), release.version, &directory, &["deb"]);
        directory
    };
    MADE[known].get_or_init(make_all).clone()
}

/// The same as a private machine sees it.
pub fn debs_inside(release: &Release) -> String {
    debs(release);
    format!("/run/suite/build/{DEBS}/{}", release.version)
}

/// Brings the .deb of `release` to a directory of `host`.
pub fn bring_debs(host: &Machine, release: &Release, directory: &str) {
    for entry in std::fs::read_dir(debs(release)).expect("packages are made").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        host.install(&entry.path(), &format!("{directory}/{name}"), 0o644);
    }
}

fn make(build: &Path, version: &str, directory: &Path, formats: &[&str]) {
    let share = build_directory().join("share");
    assert!(share.exists(), "no man pages in {}: run `make pages BUILD=target/debug`", share.display());
    if build != build_directory() {
        // Pages and completions of other releases are those of this one.
        let _ = std::fs::remove_file(build.join("share"));
        std::os::unix::fs::symlink(&share, build.join("share")).expect("a link can be made");
    }
    let output = Command::new("sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/package.sh"))
        .arg(build)
        .arg(directory)
        .args(formats)
        .env("VERSION", version)
        // Nobody downloads these.
        .env("DPKG_DEB_COMPRESSOR_TYPE", "gzip")
        .env("DPKG_DEB_COMPRESSOR_LEVEL", "1")
        .env("RPM_PAYLOAD", "w1.gzdio")
        .output()
        .expect("sh runs");
    assert!(output.status.success(), "{}", text(&output));
}

/// The lines of `after` that are not in `before`.
pub fn added<'a>(before: &str, after: &'a str) -> Vec<&'a str> {
    let before: BTreeSet<&str> = before.lines().collect();
    after.lines().filter(|line| !before.contains(line)).collect()
}
