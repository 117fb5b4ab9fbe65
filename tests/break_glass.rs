//! Getting in when nothing works, by the commands that docs/operations.md gives.

use harness::grants::{GLASS, GONE, Grants, RULE};
use harness::page::systemctl;
use harness::suite::{CONFIG, DAY, HOUR, Suite};
use harness::{text, wait_until};

const OPERATIONS: &str = include_str!("../docs/operations.md");

/// The commands of the section.
fn commands() -> impl Iterator<Item = &'static str> {
    let section = OPERATIONS.split_once("\n## Getting in when nothing works\n").expect("the section").1;
    let section = section.split_once("\n## ").expect("another section").0;
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| line.split_once("  #").map_or(line, |(command, _)| command).trim_end())
}

/// A command of the section, as it is there.
fn documented(command: &str) -> &str {
    assert!(commands().any(|one| one == command), "docs/operations.md has no `{command}`");
    command
}

/// No other is there.
#[test]
fn each_command_of_the_section_is_typed_here() {
    let typed = include_str!("break_glass.rs").replace("\\\"", "\"").replace("\\\\", "\\");
    let others: Vec<&str> = commands().filter(|command| !typed.contains(command)).collect();
    assert_eq!(others, [""; 0]);
    assert!(commands().count() > 15);
}

/// The page begins with those that most sites need, and each is a command that this release has.
#[test]
fn each_of_the_first_ten_lines_is_understood() {
    let suite = harness::records::suite();
    let (_, rest) = OPERATIONS.split_once("\nMost sites need these ten lines,").expect("the lines");
    let lines: Vec<&str> = rest.lines().skip(2).map_while(|line| line.strip_prefix("    ")).collect();
    assert_eq!(lines.len(), 10);
    let ours = lines.iter().map(|line| line.split_once("  #").expect("what it is for").0.trim_end());
    for command in ours.filter(|command| command.contains("oncall-cache")) {
        let output = suite.run_as("alice", &command.replace("sudo ", "sudo -n "));
        // 2 is that it cannot tell: there is no socket for `refresh`, and no systemd for `doctor`.
        assert!(matches!(output.status.code(), Some(0..=2)), "{command}: {}", text(&output));
        assert!(!output.stdout.is_empty() || !output.stderr.is_empty(), "{command} says nothing");
    }
}

/// A colleague signs for bob, or he does himself where nothing else answers; no shell on the host is open to him.
#[test]
fn a_text_that_is_signed_lets_somebody_in_who_is_not_on_call() {
    let host = Grants::start_with(GLASS);
    let suite = &host.suite;
    host.give_out_keys();
    let rule = RULE.replace("quorum = 2", "quorum = 1");
    suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}{GLASS}"), 0o644);
    let ask = documented(
        r#"oncall-cache grant request --host db7 --key ~/.ssh/id_ed25519.pub --for 1h --reason "INC-42 disk full" --site example >text"#,
    );
    let by_a_colleague = documented("oncall-cache grant sign -i ~/.ssh/id_ed25519 <text >grant");
    let by_oneself = documented("oncall-cache grant sign --break-glass -i ~/.ssh/id_ed25519 <text >grant");
    let [bring, enter] = ["ssh oncall-grant@db7 <grant", "ssh root@db7"].map(documented);
    let enters = || host.type_in("bob", &format!("{enter} id -u || true")) == "0\n";
    for (who, sign, accepted) in
        [("alice", by_a_colleague, "(signed by alice; "), ("bob", by_oneself, "accepted: break-glass: bob ")]
    {
        assert!(!enters(), "{sign}");
        host.type_in("bob", &format!("rm -f text grant; {ask}"));
        host.type_in(who, sign);
        let told = host.type_in("bob", bring);
        assert!(told.contains(accepted), "{told}");
        assert!(enters(), "{sign}");
        // The first is over, and the night begins in which nobody else can sign.
        let id = suite.host.must("sed -n 's/^grant: //p' /tmp/chat/text");
        suite.host.must(&format!("oncall-cache grant revoke {id}"));
        suite.host.write("/etc/authkeys/config.toml", format!("{CONFIG}{rule}{GLASS}{GONE}"), 0o644);
        wait_until("nobody is believed to be on call", || !sudo(suite, "alice"));
    }
}

/// The shipped set-up with an account for emergencies, and a password for root.
fn suite() -> Suite {
    let suite = Suite::start();
    suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
    suite.host.write("/etc/sudoers.d/breakglass", "breakglass ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440);
    suite.host.must(
        "useradd -m -s /bin/sh breakglass && mkdir -m 700 ~breakglass/.ssh && \
         cp /root/keys/carol.pub ~breakglass/.ssh/authorized_keys && chown -R breakglass ~breakglass/.ssh && \
         printf 'root:secret\\nbreakglass:secret\\n' | chpasswd",
    );
    suite.sync();
    suite
}

/// What a day without anything leaves: no people, no rota, no databases, and whatever a restart takes away.
fn lose_everything(suite: &Suite) {
    suite.host.must(
        "mv /etc/authkeys/people.toml /etc/authkeys/rota.toml /root/ && \
         rm -rf /var/lib/authkeys /var/lib/oncall-cache /var/cache/authkeys /var/log/authkeys /run/authkeys",
    );
}

fn sudo(suite: &Suite, person: &str) -> bool {
    suite.run_as(person, "sudo -n true").status.success()
}

/// Would `login` let this account in on that terminal, with its password?
fn console(suite: &Suite, account: &str, tty: &str) -> bool {
    let ask =
        format!("printf 'secret\\n' | pamtester -I tty=/dev/{tty} login {account} authenticate acct_mgmt");
    suite.host.sh(&ask).status.success()
}

#[test]
fn an_exempt_account_needs_a_readable_configuration_and_the_console_needs_nothing() {
    let suite = suite();
    lose_everything(&suite);
    let become_root = || suite.ssh("carol", "breakglass", "sudo -n id -u");
    let output = become_root();
    assert!(output.status.success() && output.stdout == b"0\n", "{}", text(&output));
    assert!(!sudo(&suite, "alice"), "nobody knows that she is on call");
    suite.host.write("/etc/authkeys/config.toml", "nonsense\n", 0o644);
    assert!(!become_root().status.success(), "nobody is exempt");
    for (account, tty, opens) in [
        ("root", "tty1", true),
        ("root", "ttyS0", true),
        ("breakglass", "tty1", true),
        ("root", "tty3", false),
    ] {
        assert_eq!(console(&suite, account, tty), opens, "{account} on {tty}");
    }
    assert!(!sudo(&suite, "breakglass"), "it is in, and not root");
}

#[test]
fn from_a_cold_start_the_documented_commands_lead_back_to_a_host_that_enforces() {
    let suite = suite();
    suite.host.write("/usr/local/sbin/systemctl", systemctl(), 0o755);
    lose_everything(&suite);
    suite.host.write("/etc/authkeys/config.toml", "[polcy]\n", 0o644);
    assert!(!sudo(&suite, "bob") && console(&suite, "root", "tty1"));
    suite.host.must(documented("oncall-cache pause --for 4h --reason \"cold start\""));
    assert!(sudo(&suite, "bob"), "{:?}", suite.decisions());
    let output = suite.host.sh(documented("oncall-cache config check /etc/authkeys/config.toml"));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("config.toml:1: unknown key `polcy`; did you mean `policy`?"),
        "{}",
        text(&output)
    );
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    let output = suite.host.sh(documented("oncall-cache status"));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(
        text(&output).contains("no /var/lib/oncall-cache/roster.db; run `oncall-cache sync`"),
        "{}",
        text(&output)
    );
    // Keys come from files alone until the directory answers.
    assert!(!suite.ssh("alice", "root", "true").status.success());
    let key = documented("mkdir -p -m 700 /root/.ssh && cat alice.pub >>/root/.ssh/authorized_keys");
    suite.host.must(&format!("rm -rf /root/.ssh && cd /root/keys && {key}"));
    assert!(suite.ssh("alice", "root", "true").status.success(), "{:?}", suite.decisions());
    suite.host.must("rm -r /root/.ssh && mv /root/people.toml /root/rota.toml /etc/authkeys/");
    suite.host.must(documented("systemd-tmpfiles --create authkeys.conf"));
    suite.host.must(documented("systemctl start oncall-cache-sync"));
    let output = suite.host.sh(documented("oncall-cache doctor"));
    assert!(text(&output).contains("switch  /etc/authkeys/switch:1"), "{}", text(&output));
    suite.host.must(documented("oncall-cache pause --end"));
    assert!(sudo(&suite, "alice") && !sudo(&suite, "bob"));
    assert!(suite.ssh("alice", "root", "true").status.success());
    assert_eq!(suite.host.sh("oncall-cache status").status.code(), Some(0));
}

#[test]
fn without_any_program_of_ours_the_module_is_taken_out_by_each_of_the_documented_ways() {
    let suite = suite();
    lose_everything(&suite);
    suite.host.write("/etc/authkeys/config.toml", "nonsense\n", 0o644);
    suite.host.must(
        "chmod a-x /usr/bin/oncall-cache /usr/bin/authkeys /usr/bin/authkeys-sync && mount --rbind / /mnt",
    );
    suite.host.must("cp -a /etc/pam.d /root/pam.d");
    for way in ["pam-oncall-enable --undo", BY_HAND, FROM_A_RESCUE_SYSTEM] {
        assert!(!sudo(&suite, "bob"), "{way}");
        suite.host.must(documented(way));
        assert!(sudo(&suite, "bob") && suite.ssh("carol", "breakglass", "true").status.success(), "{way}");
        assert!(!suite.host.sh("grep -r '^[^#].*pam_oncall' /etc/pam.d").status.success(), "{way}");
        suite.host.must("rm -rf /etc/pam.d && cp -a /root/pam.d /etc/pam.d");
    }
    suite.host.must(documented(BY_HAND));
    suite.host.write("/etc/authkeys/config.toml", CONFIG, 0o644);
    suite.host.must("chmod a+x /usr/bin/oncall-cache");
    let back = "sed -i --follow-symlinks '/optional pam_warn\\.so$/d' /etc/pam.d/* && pam-oncall-enable";
    suite.host.must(documented(back));
    suite.host.must("for stack in /etc/pam.d/*; do diff $stack /root/pam.d/${stack##*/}; done");
}

/// What operations.md has for where pam-oncall-enable does not run.
const BY_HAND: &str = r"sed -i -E --follow-symlinks 's/^([[:space:]]*-?[a-z]+)[[:space:]].*pam_oncall\.so.*/\1 optional pam_warn.so/' /etc/pam.d/*";
const FROM_A_RESCUE_SYSTEM: &str = r#"chroot /mnt sh -c "sed -i -E --follow-symlinks 's/^([[:space:]]*-?[a-z]+)[[:space:]].*pam_oncall\.so.*/\1 optional pam_warn.so/' /etc/pam.d/*""#;

#[test]
fn a_jump_that_counts_our_line_leads_where_it_led_when_the_line_goes() {
    let suite = suite();
    lose_everything(&suite);
    suite.host.must("mount --rbind / /mnt");
    // Users in /etc/passwd skip two lines: ours, and one that refuses everybody else.
    let jump = "account [success=2 default=ignore] pam_localuser.so\naccount required pam_oncall.so\naccount requisite pam_deny.so\n";
    let stack = suite.host.read("/etc/pam.d/sudo").replace("account required pam_oncall.so\n", jump);
    assert!(stack.contains("pam_deny"), "{stack}");
    suite.host.write("/etc/pam.d/sudo", &stack, 0o644);
    assert!(sudo(&suite, "bob"), "the jump leads past our line");
    suite.host.must("sed '/pam_oncall/d' /etc/pam.d/sudo >/tmp/sudo && cat /tmp/sudo >/etc/pam.d/sudo");
    assert!(!sudo(&suite, "bob"), "a line less, and it leads to a refusal");
    for way in [BY_HAND, FROM_A_RESCUE_SYSTEM] {
        suite.host.write("/etc/pam.d/sudo", &stack, 0o644);
        suite.host.must(documented(way));
        assert!(sudo(&suite, "bob") && !suite.host.read("/etc/pam.d/sudo").contains("pam_oncall"), "{way}");
    }
    suite.host.write("/etc/pam.d/sudo", &stack, 0o644);
    let output = suite.host.sh(documented("pam-oncall-enable --undo"));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("/etc/pam.d/sudo") && sudo(&suite, "bob"), "{}", text(&output));
}
