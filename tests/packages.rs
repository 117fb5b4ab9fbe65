//! Packages: installed, upgraded, removed and purged, with what logins make of it; and docs/install.md, typed in.

use harness::packages::{self, LISTED, LOGINS, added};
use harness::page::{self, may_sudo};
use harness::{Host, text};

/// Where the packages are for a machine: those of this build, and the same with the next version.
const OLD: &str = "/run/suite/build/packages/0.1.0";
const NEW: &str = "/run/suite/build/packages/0.1.1";

/// A machine with alice and bob, who may both sudo, as far as the distribution's own sudoers go: with their password.
fn machine() -> Host {
    // All of them, once for all tests here.
    packages::of("0.1.0");
    let host = Host::start();
    host.write("/etc/apt/apt.conf.d/90test", "APT::Get::Assume-Yes \"true\";\n", 0o644);
    // Its trigger reads every page of the machine at each installation.
    host.must("rm -f /var/lib/man-db/auto-update");
    page::add_administrators(&host, "sudo");
    host
}

/// Everything that `dpkg -i` would be given.
fn debs(directory: &str) -> String {
    format!("{directory}/authkeys_*.deb {directory}/libpam-oncall_*.deb {directory}/libnss-oncall_*.deb")
}

const PEOPLE: &str = "[[person]]\nusername = 'alice'\nmail = ['alice@example.com']\neligible = true\nkeys = \
    ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK/OeWvFcMsjGk2gjZ0vGchZrrb/gHMSUZZ3rHYb/3X6']\n";

fn configure(host: &Host) {
    host.must(
        "sed 's/^mode = \"observe\"/mode = \"enforce\"/' /usr/share/doc/authkeys/examples/config.toml >/etc/authkeys/config.toml",
    );
    host.write("/etc/authkeys/people.toml", PEOPLE, 0o644);
    let shift = "person = 'alice'\nstart = 2020-01-01T00:00:00Z\nend = 2100-01-01T00:00:00Z\n";
    host.write(
        "/etc/authkeys/rota.toml",
        format!("[[schedule]]\nid = 'primary'\n[[schedule.shift]]\n{shift}"),
        0o644,
    );
    host.must("runuser -u authkeys-sync -- authkeys-sync && runuser -u oncall-cache -- oncall-cache sync");
}

/// Metrics are written once, as the timer does; and what is left of them, with the directory.
const METRICS: &str = "mkdir -p /var/lib/node_exporter/textfile_collector && \
    /usr/libexec/authkeys/write-metrics /var/lib/node_exporter/textfile_collector && ls /var/lib/node_exporter/textfile_collector/*.prom";
const METRICS_LEFT: &str =
    "cd /var/lib/node_exporter && ls -A textfile_collector && rm -r /var/lib/node_exporter";

#[test]
fn debian_packages_come_and_go_and_logins_are_as_before() {
    let host = machine();
    let (files, logins) = (host.must(LISTED), host.must(LOGINS));
    let sudo_before = host.read("/etc/pam.d/sudo");

    host.must(&format!("apt-get install {}", debs(OLD)));
    assert_eq!(host.read("/etc/pam.d/sudo"), sudo_before);
    let modes = "stat -c '%U:%G %a' /var/lib/authkeys /var/cache/authkeys /var/lib/oncall-cache /var/log/authkeys /etc/authkeys";
    let wanted = "authkeys-sync:authkeys 755\nauthkeys:authkeys 700\noncall-cache:oncall-cache 755\nroot:root 750\nroot:root 755\n";
    assert_eq!(host.must(modes), wanted);
    assert_eq!(
        host.must("id -nG authkeys; id -nG authkeys-sync; id -nG oncall-cache"),
        "authkeys authkeys-sync\nauthkeys-sync authkeys\noncall-cache authkeys\n"
    );
    let enabled = "systemctl is-enabled authkeys-sync.timer oncall-cache-sync.timer oncall-cache-heartbeat.timer oncall-cache-end.timer authkeys-changed.path \
                   oncall-cache-refresh.socket authkeys-metrics.timer authkeys-doctor.timer authkeys-doctor.path oncall-cache-pull.timer authkeys-fleet.path oncall-cache-people.path oncall-grant-accept.socket oncall-grant-accept.service";
    assert_eq!(
        host.sh(enabled).stdout,
        b"enabled\nenabled\nenabled\nenabled\nenabled\nenabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\n"
    );
    assert!(host.must("grep ^group: /etc/nsswitch.conf").contains(" files oncall"));
    assert!(host.sh("getent group sudo").status.success());
    let units = host.sh("cd /usr/lib/systemd/system && echo 'exit' >/etc/authkeys/on-failure && chmod 755 /etc/authkeys/on-failure && \
                         systemd-analyze verify authkeys-*.timer authkeys-*.path authkeys-[dms]*.service oncall-cache-* authkeys-failed@x.service");
    assert!(units.status.success() && units.stderr.is_empty(), "{}", text(&units));
    host.must("logrotate --debug /etc/logrotate.d/authkeys");
    assert!(may_sudo(&host, "bob"), "installed, and nothing is decided");

    configure(&host);
    host.must("pam-oncall-enable");
    assert!(may_sudo(&host, "alice") && !may_sudo(&host, "bob"));

    // What the administrator changed stays through an upgrade, and who has the old module open keeps it.
    host.must("systemctl disable oncall-cache-refresh.socket && nss-oncall-enable --undo && echo '# ours' >>/etc/logrotate.d/authkeys");
    host.daemon(
        &[
            "env",
            "LD_PRELOAD=pam_oncall.so",
            "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/security",
            "sleep",
            "600",
        ],
        "/tmp/session.log",
    );
    let stack = host.read("/etc/pam.d/sshd");
    host.must(&format!("apt-get install {}", debs(NEW)));
    assert_eq!(
        host.must("dpkg-query -W -f '${Version} ' authkeys libpam-oncall libnss-oncall"),
        "0.1.1-1 0.1.1-1 0.1.1-1 "
    );
    assert_eq!(host.read("/etc/pam.d/sshd"), stack);
    assert_eq!(
        host.sh(enabled).stdout,
        b"enabled\nenabled\nenabled\nenabled\nenabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\n"
    );
    assert!(!host.must("grep ^group: /etc/nsswitch.conf").contains("oncall"));
    assert!(host.read("/etc/logrotate.d/authkeys").ends_with("# ours\n"));
    assert!(may_sudo(&host, "alice") && !may_sudo(&host, "bob"));
    let session = "grep -l 'pam_oncall.so (deleted)' /proc/[0-9]*/maps 2>/dev/null | wc -l";
    assert_eq!(host.must(session), "1\n", "the old file is still there for who has it open");
    host.must("pkill -x sleep");

    // Back again, and the same module by another name.
    host.must(&format!("apt-get install --allow-downgrades {}", debs(OLD)));
    assert!(may_sudo(&host, "alice") && !may_sudo(&host, "bob"));

    // A line that somebody put by hand goes too: su would refuse everybody.
    host.must("sed -i '1i account required pam_oncall.so' /etc/pam.d/su");
    host.must("apt-get remove libpam-oncall");
    assert_eq!(host.read("/etc/pam.d/sudo"), sudo_before);
    assert!(may_sudo(&host, "bob"));
    host.must(METRICS);
    host.must("apt-get remove authkeys libnss-oncall");
    assert_eq!(host.must(METRICS_LEFT), "");
    assert!(host.path("/etc/authkeys/config.toml").exists());
    // A link stays a link, and a directory of its own does not keep the package half there.
    host.must("mv /etc/nsswitch.conf /etc/nsswitch.site && ln -s nsswitch.site /etc/nsswitch.conf");
    host.must(&format!("apt-get install {}", debs(OLD)));
    assert_eq!(
        host.sh(enabled).stdout,
        b"enabled\nenabled\nenabled\nenabled\nenabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\ndisabled\n"
    );
    assert!(host.must("grep ^group: /etc/nsswitch.site").contains(" files oncall"));
    host.must("printf 'initgroups: oncall\\nnetgroup: oncall-local\\n' >>/etc/nsswitch.site");
    host.must("mount -t tmpfs none /var/log/authkeys && touch /var/log/authkeys/decisions.jsonl");
    host.must("apt-get purge authkeys libpam-oncall libnss-oncall");
    assert_eq!(host.must("ls -A /var/log/authkeys"), "");
    host.must("umount /var/log/authkeys && rm -r /var/log/authkeys /run/mount");
    host.must("sed -i '/^netgroup: oncall-local$/d' /etc/nsswitch.site");
    host.must(
        "test -L /etc/nsswitch.conf && rm /etc/nsswitch.conf && mv /etc/nsswitch.site /etc/nsswitch.conf",
    );
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert_eq!(added(&files, &host.must(LISTED)), [""; 0]);
    assert_eq!(
        host.must("grep -cE '^(authkeys|authkeys-sync|oncall-cache):' /etc/passwd"),
        "3\n",
        "as Debian's packages do"
    );
}

/// A program of a package that goes is not left at work.
#[test]
fn what_a_package_runs_ends_with_it() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let read = |path: &str| std::fs::read_to_string(format!("{source}/packaging/{path}")).expect(path);
    let (files, spec) = (read("files"), read("rpm/authkeys.spec"));
    let units = files.lines().filter_map(|line| {
        let (package, unit) = (line.split_whitespace().next()?, line.split("packaging/systemd/").nth(1)?);
        let unit = unit.split_whitespace().next()?;
        // What a failed unit starts has an end of its own.
        (unit.ends_with(".service") && !unit.contains('@')).then_some((package, unit))
    });
    let units: Vec<(&str, &str)> = units.collect();
    assert!(units.contains(&("oncall-collector", "oncall-collector-sink.service")), "{units:?}");
    for (package, unit) in units {
        let name = if package == "authkeys" { String::new() } else { format!(" -n {package}") };
        let rpm = spec.split(&format!("%preun{name}\n")).nth(1).expect(package);
        let rpm = rpm.split("\n%").next().unwrap_or_default();
        for script in [rpm, &read(&format!("deb/{package}.prerm"))] {
            let script = script.replace("\\\n", " ");
            let stops = |line: &&str| line.contains(" stop ") || line.contains("disable --now ");
            let is_stopped =
                script.lines().filter(stops).any(|line| line.split_whitespace().any(|word| word == unit));
            assert!(is_stopped, "{unit} of {package}: {script}");
        }
    }
}

/// On the host that publishes for a fleet alone. Which host that is, is for the administrator to say.
#[test]
fn the_package_of_a_collector_runs_nothing_by_itself_and_leaves_the_signing_key() {
    let host = machine();
    let both = |directory: &str| format!("{directory}/authkeys_*.deb {directory}/oncall-collector_*.deb");
    host.must(&format!("apt-get install {OLD}/authkeys_*.deb"));
    let (files, logins) = (host.must(LISTED), host.must(LOGINS));
    host.must(&format!("apt-get install {}", both(OLD)));
    assert_eq!(
        host.must(
            "id -nG oncall-collector; id -nG oncall-hear; id -nG oncall-sink; stat -c '%U:%G %a' /var/lib/oncall-collector /var/lib/oncall-sink"
        ),
        "oncall-collector authkeys\noncall-hear\noncall-sink\noncall-collector:oncall-collector 750\noncall-sink:oncall-sink 750\n"
    );
    let enabled = "systemctl is-enabled oncall-collector-publish.timer oncall-collector-publish.path oncall-collector-hear.service";
    assert_eq!(host.sh(enabled).stdout, b"disabled\ndisabled\ndisabled\n");
    let units = host.sh("cd /usr/lib/systemd/system && systemd-analyze verify oncall-collector-*");
    assert!(units.status.success() && units.stderr.is_empty(), "{}", text(&units));

    host.must("oncall-collector key new >/etc/authkeys/fleet-signers");
    assert_eq!(
        host.must("stat -c '%U:%G %a' /etc/authkeys/fleet-key"),
        "root:oncall-collector 640\n",
        "nobody else reads it"
    );
    host.must("cp /usr/share/doc/oncall-collector/examples/collector.toml /etc/authkeys/ && systemctl enable oncall-collector-publish.timer");
    host.must(&format!("apt-get install {}", both(NEW)));
    assert_eq!(host.sh(enabled).stdout, b"enabled\ndisabled\ndisabled\n", "as it was left");
    host.must("apt-get purge oncall-collector && rm /etc/authkeys/fleet-signers");
    assert_eq!(host.must("ls /etc/authkeys"), "fleet-key\n");
    host.must("rm /etc/authkeys/fleet-key");
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert_eq!(added(&files, &host.must(LISTED)), [""; 0]);
}

/// On the host where records arrive, also without the other packages.
#[test]
fn the_package_of_notices_runs_nothing_by_itself_and_leaves_nothing() {
    let host = machine();
    host.must("rm -rf /etc/authkeys");
    let (files, logins) = (host.must(LISTED), host.must(LOGINS));
    host.must(&format!("apt-get install {OLD}/oncall-notify_*.deb"));
    assert_eq!(
        host.must("id -nG oncall-notify; stat -c '%U:%G %a' /var/lib/oncall-notify /etc/authkeys"),
        "oncall-notify\noncall-notify:oncall-notify 700\nroot:root 755\n"
    );
    let enabled = "systemctl is-enabled oncall-notify.service";
    assert_eq!(host.sh(enabled).stdout, b"disabled\n");
    host.must("cp /usr/share/doc/oncall-notify/examples/notify.toml /etc/authkeys/ && systemctl enable oncall-notify");
    host.must("echo xoxb-1 >/etc/authkeys/slack-token && chgrp oncall-notify /etc/authkeys/slack-token && chmod 640 /etc/authkeys/slack-token");
    host.must("mkdir -p /srv/records && runuser -u oncall-notify -- oncall-notify config check");
    host.must(&format!("apt-get install {NEW}/oncall-notify_*.deb"));
    assert_eq!(host.sh(enabled).stdout, b"enabled\n", "as it was left");
    host.must("rm -r /etc/authkeys/slack-token /srv/records && apt-get purge oncall-notify");
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert_eq!(added(&files, &host.must(LISTED)), [""; 0]);
}

/// The loud line of a self-test that found something.
const LOUD: &str = "LOGINS DO NOT WORK AS THEY SHOULD ON THIS HOST";

/// Installs again what the machine has, as an upgrade of it would: the same files, by the package manager.
fn reinstall(host: &Host, packages: &str) -> String {
    host.must(&format!("cd /tmp && rm -f *.deb && DPKG_DEB_COMPRESSOR_TYPE=none dpkg-repack {packages} >/dev/null && apt-get install --reinstall --allow-downgrades ./*.deb 2>&1"))
}

#[test]
fn what_changes_sudo_or_pam_is_followed_by_a_self_test_and_installed_whatever_that_says() {
    let host = machine();
    let result = || {
        host.must("cat /run/authkeys/self-test 2>/dev/null; rm -f /run/authkeys/self-test")
            .split(' ')
            .nth(1)
            .map(str::to_string)
    };
    host.must(&format!("apt-get install {}", debs(OLD)));
    assert!(!reinstall(&host, "sudo").contains(LOUD));
    assert_eq!(result(), None, "nothing is configured, so nothing is tried");

    configure(&host);
    host.must(
        "sed -i 's/^exempt_accounts = \\[\\]/exempt_accounts = [\"breakglass\"]/' /etc/authkeys/config.toml",
    );
    host.must(
        "pam-oncall-enable && useradd -m -s /bin/sh breakglass && mkdir -m 700 ~breakglass/.ssh && \
         echo 'breakglass ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/breakglass",
    );
    host.must("sed -n \"s/^keys = \\['\\(.*\\)'\\]/\\1/p\" /etc/authkeys/people.toml >~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh");
    let said = reinstall(&host, "sudo libpam-modules openssh-server");
    assert_eq!((said.contains(LOUD), result().as_deref()), (false, Some("0\n")), "{said}");
    let said = reinstall(&host, "logrotate");
    assert_eq!(result(), None, "nothing that decides about logins: {said}");

    // A module of a library that this host does not have any more, say.
    let module = "/usr/lib/x86_64-linux-gnu/security/pam_oncall.so";
    host.must(&format!("mv {module} {module}.old && echo >{module}"));
    let said = reinstall(&host, "sudo");
    assert!(said.contains(LOUD) && said.contains("PAM, sudo: root is not admitted: 28"), "{said}");
    assert!(said.contains("Until it is fixed: pam-oncall-enable --undo"), "{said}");
    assert_eq!(result().as_deref(), Some("1\n"));
    host.must(&format!("mv {module}.old {module}"));

    // A module of somebody else's is gone: neither our lines nor what they decide are in the way.
    host.must("cp /etc/pam.d/sudo /run/stack && sed -i '1i -account required pam_absent.so' /etc/pam.d/sudo");
    let said = text(&host.sh("/usr/libexec/authkeys/self-test"));
    assert!(
        said.contains("root is not admitted: 28") && said.contains("pam_absent.so does not exist"),
        "{said}"
    );
    assert!(!said.contains("Until it is fixed"), "{said}");
    host.must("mv /run/stack /etc/pam.d/sudo");

    // Nobody is refused: what the doctor says is enough.
    host.must("chmod 777 /usr/bin/oncall-cache");
    let said = text(&host.sh("/usr/libexec/authkeys/self-test"));
    assert!(said.contains("open      file-mode") && !said.contains("Until it is fixed"), "{said}");
    host.must("chmod 755 /usr/bin/oncall-cache");

    // What is refused is refused by what is decided here.
    host.must("sed -i 's/pam_oncall.so$/pam_oncall.so debug/' /etc/pam.d/sudo");
    let said = text(&host.sh("/usr/libexec/authkeys/self-test"));
    assert!(said.contains("alice is on call and not admitted"), "{said}");
    assert!(said.contains("Until it is fixed: oncall-cache pause --for 4h --reason self-test\n"), "{said}");
    // What it says to type is typed.
    host.must("oncall-cache pause --for 4h --reason self-test && oncall-cache pause --end");
    host.must("sed -i 's/ debug$//' /etc/pam.d/sudo");
    assert_eq!(
        host.must("dpkg-query -W -f '${Status}' sudo libpam-oncall"),
        "install ok installed".repeat(2)
    );
}

#[test]
fn a_package_alone_of_its_version_is_not_installed() {
    let host = machine();
    let output = host.sh(&format!("dpkg -i {OLD}/authkeys_*.deb {NEW}/libpam-oncall_*.deb"));
    assert!(text(&output).contains("libpam-oncall depends on authkeys (= 0.1.1-1)"), "{}", text(&output));
    let output = host.must(&format!(
        "rpm -qp --requires {NEW}/pam_oncall*.rpm {NEW}/nss_oncall*.rpm {NEW}/oncall-collector*.rpm | grep -c '^authkeys = 0.1.1-1$'"
    ));
    assert_eq!(output, "3\n");
}

/// Not after the minutes that building takes; as root or not.
#[test]
fn each_target_says_at_once_what_the_machine_lacks_for_it() {
    let host = Host::start();
    host.must("useradd -m builder; mkdir /few; cp -a /run/suite/source/Makefile /run/suite/source/packaging /run/suite/source/Cargo.toml /few/");
    // A cargo that shows that it was asked to build.
    host.write("/usr/local/bin/cargo", "#!/bin/sh\necho \"built: $*\" >&2\nexit 3\n", 0o755);
    let lacks = |missing: &str, user: &str, target: &str| {
        let hide: String = missing
            .split(' ')
            .map(|name| format!("rm -f /usr/bin/{name} /bin/{name} /usr/local/bin/{name}; "))
            .collect();
        let make = format!("cd /few && PATH=/usr/local/bin:/usr/bin:/bin make {target}");
        let output = host.sh(&format!("unshare -m sh -c 'mount -t tmpfs none /mnt; mkdir -p /mnt/u /mnt/w; \
             mount -t overlay overlay -o lowerdir=/usr,upperdir=/mnt/u,workdir=/mnt/w /usr || exit 99; {hide} \
             exec runuser -u {user} -- sh -c \"{make}\"'"));
        let said = text(&output);
        assert!(!output.status.success() && !said.contains("built:"), "{target} without {missing}: {said}");
        said
    };
    for user in ["root", "builder"] {
        for (missing, target, words) in [
            ("rpmbuild", "package", "rpmbuild: apt-get install rpm"),
            ("rpmbuild", "package FORMATS=rpm", "rpmbuild: apt-get install rpm"),
            ("dpkg-shlibdeps", "package FORMATS=deb", "dpkg-shlibdeps: apt-get install dpkg-dev"),
            ("strip", "package FORMATS=deb", "strip: apt-get install binutils"),
            ("cc", "package", "cc: apt-get install gcc libc6-dev"),
            ("cc", "build", "cc: apt-get install gcc libc6-dev"),
            ("cargo", "build", "cargo: Rust 1."),
            ("cargo", "release", "cargo: Rust 1."),
            ("cargo", "pages", "cargo: Rust 1."),
            ("cargo", "demo", "cargo: Rust 1."),
            ("cargo", "check", "cargo: Rust 1."),
            ("cargo", "install", "cargo: Rust 1."),
            ("cargo", "test", "cargo: Rust 1."),
            ("cargo", "test-hosts", "cargo: Rust 1."),
            ("cargo", "bench", "cargo: Rust 1."),
        ] {
            let said = lacks(missing, user, target);
            assert!(said.contains(&format!("  {words}")), "{target} without {missing}: {said}");
        }
    }
    for target in ["install", "test", "test-hosts", "bench"] {
        assert!(lacks("nothing", "builder", target).contains("  root: sudo make "), "{target}");
    }
    // And where all is there, building begins.
    let output = host.sh("cd /few && PATH=/usr/local/bin:/usr/bin:/bin make package FORMATS=tar");
    assert!(text(&output).contains("built: build --workspace --release"), "{}", text(&output));
}

#[test]
fn sudo_takes_the_example() {
    let host = Host::start();
    host.must(
        "install -m 440 /run/suite/source/packaging/examples/sudoers /etc/sudoers.d/oncall && visudo -c",
    );
    host.must("useradd -m alice && groupadd oncall && usermod -a -G oncall alice");
    assert!(may_sudo(&host, "alice"));
}

#[test]
fn lintian_and_rpmlint_find_nothing() {
    let host = machine();
    for command in [
        format!("lintian --allow-root --tag-display-limit 0 --fail-on error,warning {OLD}/*.deb"),
        format!("rpmlint -c /run/suite/source/packaging/rpm/rpmlint.toml {OLD}/*.rpm"),
    ] {
        // Longer than the minute of `must`: lintian takes five seconds of a machine that has nothing else to do.
        let output = host.command("/bin/sh").args(["-c", &command]).output().expect("nsenter runs");
        assert!(output.status.success(), "{command}\n{}", text(&output));
    }
}

#[test]
fn man_pages_and_completions_are_read_by_those_who_show_them() {
    let host = Host::start();
    let share = "/run/suite/build/share";
    // Pages have no date: they are of a version.
    let complaints = host.sh(&format!("mandoc -Tlint -W warning {share}/*.[58] | grep -v 'missing date'"));
    let complaints = String::from_utf8_lossy(&complaints.stdout).into_owned();
    assert!(complaints.lines().all(|line| line.contains("skipping paragraph macro")), "{complaints}");
    host.must(&format!("for file in {share}/*.bash; do bash -n $file; done"));
    let page = host.must(&format!("mandoc -Tascii {share}/oncall-cache.8 | col -b"));
    let help = host.must(
        "/run/suite/build/oncall-cache --help | sed -n '/^Usage:/,/^Options:/s/^  \\([a-z-]*\\) .*/\\1/p'",
    );
    assert!(help.lines().count() > 8, "{help}");
    for verb in help.lines() {
        assert!(page.contains(&format!("oncall-cache {verb}")), "{verb} is not in its page");
    }
    for (page, words) in [
        ("authkeys.8", "--explain"),
        ("authkeys-sync.8", "--accept"),
        ("oncall-cache.8", "oncall-cache config import"),
        ("oncall-collector.8", "oncall-collector revoke"),
        ("oncall-notify.8", "oncall-notify run"),
        ("authkeys-config.5", "[[policy.rule]]"),
        ("authkeys-config.5", "max_removed (default: 20%)"),
        ("pam_oncall.8", "shared=session"),
        ("libnss_oncall.8", "nss-oncall-enable"),
    ] {
        let shown = host.must(&format!("mandoc -Tascii {share}/{page} | col -b"));
        assert!(shown.contains(words), "{page}: {shown}");
    }
}

/// Provides, from nothing, what the packages ask of Fedora or RHEL, and makes this machine's stacks look like theirs.
const FEDORA: &str = r#"
mkdir -p /tmp/rpm && cd /tmp/rpm
{ echo 'Name: base'; echo 'Version: 1'; echo 'Release: 1'; echo 'Summary: stand-in'; echo 'License: none'; echo 'BuildArch: noarch'
  rpm -qp --requires /run/suite/build/packages/0.1.0/*.rpm | grep -vE '^(rpmlib|authkeys|config)' | sort -u | sed 's/^/Provides: /'
  printf '%%description\n.\n%%files\n'; } >base.spec
rpmbuild -bb --quiet --define '_topdir /tmp/rpm' --define '_rpmdir /tmp/rpm' base.spec
rpm -i --nodeps noarch/*.rpm
groupadd wheel && for name in alice bob; do usermod -a -G wheel $name; done
# What the sudoers of RHEL 9 says, without its comments and env_keep.
cat >/etc/sudoers <<'END'
Defaults   !visiblepw
Defaults    always_set_home
Defaults    match_group_by_gid
Defaults    always_query_group_plugin
Defaults    env_reset
Defaults    secure_path = /sbin:/bin:/usr/sbin:/usr/bin
root	ALL=(ALL) 	ALL
%wheel	ALL=(ALL)	ALL
#includedir /etc/sudoers.d
END
echo 9 >/etc/dnf/vars/releasever
echo 'assumeyes=1' >>/etc/dnf/dnf.conf

mkdir -p /usr/lib64/security
module=$(ls /usr/lib/*/security/pam_unix.so)
ln -s "$module" /usr/lib64/security/pam_unix.so
# Debian's libpam looks in its own place.
ln -s /usr/lib64/security/pam_oncall.so "${module%/*}/pam_oncall.so"
cp /etc/pam.d/common-account /etc/pam.d/system-auth
cp /etc/pam.d/common-account /etc/pam.d/password-auth
for stack in sudo sudo-i sshd; do
    sed -i 's/^@include common-account/account    include      system-auth/' /etc/pam.d/$stack
done
sed -i 's/^account .* system-auth/account    include      password-auth/' /etc/pam.d/sshd
"#;

/// Makes and installs a package with a PAM module in it.
const OTHER_RPM: &str = r#"
mkdir -p /tmp/other && cd /tmp/other && touch pam_other.so
printf '%s\n' 'Name: other' 'Version: 1' 'Release: 1' 'Summary: other' 'License: none' 'BuildArch: noarch' '%description' . \
    '%install' 'install -D -m 644 /tmp/other/pam_other.so %{buildroot}/usr/lib64/security/pam_other.so' '%files' /usr/lib64/security/pam_other.so >other.spec
rpmbuild -bb --quiet --define '_topdir /tmp/other' --define '_rpmdir /tmp/other' other.spec
HOME=/root dnf install /tmp/other/noarch/other-1-1.noarch.rpm 2>&1
"#;

#[test]
fn rpms_come_and_go_and_logins_are_as_before() {
    let host = machine();
    host.must(FEDORA);
    let logins = host.must(LOGINS);
    let dnf = |words: &str| host.must(&format!("HOME=/root dnf {words}"));
    dnf(&format!(
        "install {OLD}/authkeys-*.rpm {OLD}/pam_oncall-*.rpm {OLD}/nss_oncall-*.rpm {OLD}/oncall-collector-*.rpm {OLD}/oncall-notify-*.rpm"
    ));
    assert_eq!(host.must("grep -c oncall /etc/nsswitch.conf; true"), "0\n", "that is for authselect to say");
    assert_eq!(
        host.must("stat -c '%U:%G %a' /var/lib/authkeys /usr/lib64/security/pam_oncall.so"),
        "authkeys-sync:authkeys 755\nroot:root 644\n"
    );
    configure(&host);
    host.must("pam-oncall-enable");
    let stack = host.read("/etc/pam.d/sshd");
    let ours = "account required pam_oncall.so shared=session\naccount    include      password-auth\n";
    let session = stack.lines().find(|line| line.starts_with("session"));
    assert!(stack.contains(ours) && session == Some("session requisite pam_oncall.so"), "{stack}");
    assert!(may_sudo(&host, "alice") && !may_sudo(&host, "bob"));
    host.must("sed -i 's/^group:.*/& oncall [SUCCESS=merge]/' /etc/nsswitch.conf && echo '# ours' >>/etc/logrotate.d/authkeys");
    dnf(&format!(
        "upgrade {NEW}/authkeys-*.rpm {NEW}/pam_oncall-*.rpm {NEW}/nss_oncall-*.rpm {NEW}/oncall-collector-*.rpm {NEW}/oncall-notify-*.rpm"
    ));
    assert_eq!(
        host.must("HOME=/root rpm -q authkeys pam_oncall nss_oncall oncall-collector oncall-notify | grep -c '0.1.1-1'"),
        "5\n"
    );
    assert_eq!(host.read("/etc/pam.d/sshd"), stack);
    assert!(host.read("/etc/logrotate.d/authkeys").ends_with("# ours\n"));
    assert!(may_sudo(&host, "alice") && !may_sudo(&host, "bob"));

    // Another package brings a PAM module: logins are tried, and what is wrong with them is no fault of that package.
    host.must("rm -f /run/authkeys/self-test");
    let said = host.must(OTHER_RPM);
    assert!(said.contains(LOUD) && said.contains("no-way-in"), "{said}");
    assert!(host.read("/run/authkeys/self-test").ends_with(" 1\n"));

    // A jump that counts our line: one package does not go, so the other, without which it refuses everybody, stays.
    let su = host.read("/etc/pam.d/su");
    host.must("sed -i '0,/pam_oncall/s/.*pam_oncall/account [success=1 default=ignore] pam_localuser.so\\n&/' /etc/pam.d/su");
    let refused = host.sh("rpm -e --nodeps authkeys pam_oncall");
    assert!(
        !refused.status.success() && text(&refused).contains("authkeys stays while"),
        "{}",
        text(&refused)
    );
    host.must(
        "rpm -q authkeys pam_oncall && systemctl is-enabled authkeys-sync.timer oncall-cache-sync.timer",
    );
    assert!(may_sudo(&host, "alice"));
    host.write("/etc/pam.d/su", su, 0o644);
    dnf("remove pam_oncall");
    assert!(may_sudo(&host, "bob"));
    host.must(METRICS);
    host.must("echo 'initgroups: oncall' >>/etc/nsswitch.conf");
    dnf("remove authkeys nss_oncall oncall-collector oncall-notify");
    assert_eq!(host.must(METRICS_LEFT), "");
    assert_eq!(added(&logins, &host.must(LOGINS)), [""; 0]);
    assert_eq!(host.must("ls -A /etc/authkeys /usr/lib64 /usr/lib64/security /usr/libexec/authkeys /usr/share/authkeys 2>/dev/null; true").matches("oncall").count(), 0);
}

/// Types the page in, with sshd started by hand.
fn follow(host: &Host, system: &str) {
    host.write("/usr/local/sbin/systemctl", page::systemctl(), 0o755);
    host.write("/usr/local/bin/journalctl", "#!/bin/sh\n", 0o755);
    host.must("mkdir -p /run/sshd && ssh-keygen -A && /usr/sbin/sshd");
    host.wait_for_port(22);
    page::follow(host, system, OLD);
}

#[test]
fn what_the_page_says_to_type_on_debian_does_what_it_says() {
    follow(&machine(), "debian");
}

#[test]
fn what_the_page_says_to_type_on_rhel_does_what_it_says() {
    let host = machine();
    host.must(FEDORA);
    follow(&host, "rhel");
}
