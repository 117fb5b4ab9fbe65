//! Certificates of users, by a real sshd and an authority of ssh-keygen's: they let in whom a key lets in, and nobody else.

use std::process::{Output, Stdio};

use harness::suite::{CONFIG, DAY, HOUR, Suite};
use harness::text;

/// What sshd is told: to trust the authorities in one file, and to ask `authkeys` for principals. Before it is told about
/// AuthorizedKeysCommand: once 9.2 has that, it passes over AuthorizedPrincipalsCommand, and says nothing.
const SSHD: &str = "TrustedUserCAKeys /etc/ssh/user-ca.pub\n\
    AuthorizedPrincipalsCommand /usr/bin/authkeys --principals %u %t %k\n\
    AuthorizedPrincipalsCommandUser authkeys\n";

/// alice is on call for the next hour, bob after her. `ca` is an authority that sshd and config.toml name, `other` one that
/// sshd alone does, `foreign` one that nobody does.
struct Site(Suite);

impl Site {
    fn start() -> Self {
        let suite = Suite::start();
        suite.write_rota(&[("alice", -HOUR, HOUR), ("bob", HOUR, DAY)]);
        suite.sync();
        let site = Self(suite);
        for name in ["ca", "other", "foreign", "laptop"] {
            site.0.host.must(&format!("ssh-keygen -qt ed25519 -N '' -C '' -f /root/keys/{name}"));
        }
        site.0.host.must("cat /root/keys/ca.pub /root/keys/other.pub >/etc/ssh/user-ca.pub");
        site.0.host.write("/etc/ssh/sshd_config.d/05-certificates.conf", SSHD, 0o644);
        site.0.host.reload_sshd();
        site.configure("");
        site
    }

    /// The configuration of the suite, with `ca` as an authority, and `more`.
    fn configure(&self, more: &str) {
        let ca = self.0.public_key("ca");
        let config =
            CONFIG.replace("[policy]\n", &format!("[policy]\ncertificate_authorities = [\"{ca}\"]\n"));
        self.0.host.write("/etc/authkeys/config.toml", format!("{config}{more}"), 0o644);
        self.0.host.must("oncall-cache config check /etc/authkeys/config.toml");
    }

    /// A certificate of `authority` for the key of the laptop, which is nobody's in the directory.
    fn certify(&self, authority: &str, options: &str) {
        self.0.host.must(&format!(
            "ssh-keygen -qs /root/keys/{authority} -I 'INC-42 \"laptop\"' -z 7 {options} /root/keys/laptop.pub"
        ));
    }

    /// `ssh ACCOUNT@host id -u` with that certificate.
    fn enters(&self, account: &str) -> Output {
        self.0.ssh("laptop", account, "id -u")
    }

    /// `authkeys --principals` as sshd calls it: what it prints, and the line that it logs.
    fn asked(&self, account: &str) -> (String, String) {
        let _ = self.0.lines_of("authkeys");
        let certificate = self.0.host.must("cut -d' ' -f1-2 /root/keys/laptop-cert.pub");
        let output =
            self.0.run_as("authkeys", &format!("authkeys --principals {account} {}", certificate.trim()));
        assert!(output.status.success(), "{}", text(&output));
        let lines = self.0.lines_of("authkeys");
        assert_eq!(lines.len(), 1, "{lines:?}");
        (String::from_utf8_lossy(&output.stdout).into_owned(), lines.concat())
    }

    /// Neither opens the account, nor does `authkeys` say anything that would; what PAM decided meanwhile.
    fn refuses(&self, account: &str, words: &str, reason: &str) -> Vec<String> {
        let _ = self.0.log_lines();
        let output = self.enters(account);
        assert!(!output.status.success(), "{account} was let in: {}", text(&output));
        assert!(text(&output).contains(words), "expected {words:?} in {}", text(&output));
        let decisions = self.0.decisions();
        let (said, line) = self.asked(account);
        assert!(said.is_empty() || said.starts_with("restrict,command="), "{said}");
        assert!(line.contains(&format!(" reason={reason}")), "expected {reason} in {line}");
        decisions
    }
}

fn admitted(output: &Output, uid: &str) {
    assert!(output.status.success(), "was refused: {}", text(output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), uid, "{}", text(output));
}

const DENIED: &str = "Permission denied";

#[test]
fn a108_a_certificate_of_an_hour_lets_in_during_the_shift_and_not_after_it() {
    let site = Site::start();
    site.certify("ca", "-n alice,laptops,alice@example.com -V +1h");
    let (said, line) = site.asked("root");
    assert_eq!(said, "alice\n");
    let authority = site.0.host.must("ssh-keygen -lf /root/keys/ca.pub | cut -d' ' -f2");
    for field in [
        "person=root decision=known reason=principal principal=alice ",
        &format!(" authority={} serial=7 key_id=INC-42\\x20\\x22laptop\\x22", authority.trim()),
    ] {
        assert!(line.contains(field), "{line}");
    }
    let _ = site.0.decisions();
    admitted(&site.enters("root"), "0");
    let decisions = site.0.decisions();
    let [decision] = decisions.as_slice() else { panic!("{decisions:#?}") };
    for field in [
        "person=alice decision=allow reason=oncall rule=everywhere ",
        " service=sshd account=root ",
        &format!(" authority={} serial=7 key_id=INC-42\\x20\\x22laptop\\x22", authority.trim()),
    ] {
        assert!(decision.contains(field), "{decision}");
    }
    let record =
        site.0.host.must("grep '\"phase\":\"session\"' /var/log/authkeys/decisions.jsonl | tail -n 1");
    let record: serde_json::Value = serde_json::from_str(&record).expect("a record");
    assert_eq!(
        (&record["person"], &record["authority"], &record["serial"], &record["key_id"]),
        (&"alice".into(), &authority.trim().into(), &7.into(), &"INC-42 \"laptop\"".into())
    );

    // Handed over: the same certificate, which is still valid.
    site.0.write_rota(&[("alice", -HOUR, -60), ("bob", -60, HOUR)]);
    site.0.sync();
    let decisions = site.refuses("root", "alice is not (bob is, until ", "not-oncall");
    assert!(
        decisions.iter().any(|line| line.contains("person=alice decision=refuse reason=not-oncall ")),
        "{decisions:?}"
    );
    // Without an explanation sshd itself refuses.
    site.configure("explain_refusals = false\n");
    site.refuses("root", DENIED, "not-oncall");
    // It is alice's, and opens nobody else's account; hers, which is guarded, is refused by PAM.
    site.refuses("dave", DENIED, "no-principal");
    site.refuses("bob", DENIED, "no-principal");
    let own = site.enters("alice");
    assert!(!own.status.success() && text(&own).contains("alice is not (bob is, until "), "{}", text(&own));
}

#[test]
fn a108_who_came_by_a_certificate_asks_sudo_as_everybody_does() {
    let site = Site::start();
    site.certify("ca", "-n alice -V +1h");
    admitted(&site.enters("alice"), site.0.host.must("id -u alice").trim());
    admitted(&site.0.ssh("laptop", "alice", "sudo -n id -u"), "0");
    // The shift ends while the session goes on: sudo says so.
    let shift_ends = "touch /tmp/in; until [ -e /tmp/over ]; do sleep 0.05; done; sudo -n id -u";
    let mut ssh = site.0.ssh_command("laptop", &[], "alice", shift_ends);
    let session = ssh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ssh starts");
    harness::wait_until("the session is there", || site.0.host.sh("test -e /tmp/in").status.success());
    site.0.write_rota(&[("bob", -60, HOUR)]);
    site.0.sync();
    site.0.host.must("touch /tmp/over");
    let output = session.wait_with_output().expect("ssh ends");
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("alice is not (bob is, until "), "{}", text(&output));
    // An ordinary user's account opens by one as well, and PAM has nothing to say.
    site.certify("ca", "-n dave");
    admitted(&site.enters("dave"), site.0.host.must("id -u dave").trim());
    site.refuses("root", DENIED, "not-eligible");
}

#[test]
fn a108_a_certificate_that_names_nobody_two_people_or_an_account_is_nobodys() {
    let site = Site::start();
    for (principals, reason) in [
        ("", "no-principal"),
        ("-n root", "no-principal"),
        ("-n root,nobody,Alice,alice@example.com", "no-principal"),
        ("-n alice,bob", "ambiguous-person"),
        ("-n bob,x,alice", "ambiguous-person"),
    ] {
        site.certify("ca", &format!("{principals} -V +1h"));
        let decisions = site.refuses("root", DENIED, reason);
        assert_eq!(decisions, [""; 0], "sshd does not get as far as PAM: {principals}");
    }
    // In her own account neither: whose it is has to be plain.
    site.refuses("alice", DENIED, "ambiguous-person");
    // Of two people only one may become root.
    site.certify("ca", "-n alice,dave -V +1h");
    admitted(&site.enters("root"), "0");
    let _ = site.0.decisions();
    // Where sshd takes them all the same, by a file of its own, PAM sees what they are.
    site.0.host.must(
        "mkdir -pm 700 /root/.ssh && { printf 'cert-authority '; cat /root/keys/ca.pub; } >/root/.ssh/authorized_keys",
    );
    for (principals, reason) in
        [("", "unknown-person"), ("-n root", "unknown-person"), ("-n root,alice,bob", "ambiguous-person")]
    {
        site.certify("ca", &format!("{principals} -V +1h"));
        let output = site.enters("root");
        assert!(
            !output.status.success() && text(&output).contains("what opened this session "),
            "{principals}: {}",
            text(&output)
        );
        let decisions = site.0.decisions();
        assert!(
            decisions.len() == 1 && decisions[0].contains(&format!(" reason={reason} ")),
            "{decisions:?}"
        );
    }
}

#[test]
fn a108_an_authority_counts_where_config_toml_names_it() {
    let site = Site::start();
    site.certify("foreign", "-n alice -V +1h");
    site.refuses("root", DENIED, "certificate-authority");
    // sshd trusts this one, and authkeys prints nothing for it.
    site.certify("other", "-n alice -V +1h");
    site.refuses("root", DENIED, "certificate-authority");
    site.refuses("dave", DENIED, "certificate-authority");
    // Where sshd asks nobody, PAM refuses.
    site.0.host.must("mkdir -pm 700 /root/.ssh && { printf 'cert-authority,principals=\"alice\" '; cat /root/keys/other.pub; } >/root/.ssh/authorized_keys");
    let _ = site.0.decisions();
    let output = site.enters("root");
    assert!(!output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains(
            "root on testhost is for people on call: the certificate's authority does not count on this host"
        ),
        "{}",
        text(&output)
    );
    let decisions = site.0.decisions();
    assert!(
        decisions.iter().any(|line| line.contains("person=- decision=refuse reason=certificate-authority ")),
        "{decisions:?}"
    );
    // The same authority counts once it is named, and no more once it is taken out.
    let config = site.0.host.read("/etc/authkeys/config.toml");
    let (ca, other) = (site.0.public_key("ca"), site.0.public_key("other"));
    let both = config.replace(&format!("[\"{ca}\"]"), &format!("[\"{ca}\", \"{other}\"]"));
    site.0.host.write("/etc/authkeys/config.toml", both, 0o644);
    admitted(&site.enters("root"), "0");
    site.0.host.write("/etc/authkeys/config.toml", config, 0o644);
    assert!(!site.enters("root").status.success());
}

#[test]
fn a108_what_is_over_a_hosts_or_not_understood_is_refused() {
    let site = Site::start();
    for (options, reason) in [
        ("-n alice -V 20200101000000Z:20200102000000Z", "certificate-period"),
        ("-n alice -V 20900101000000Z:20910101000000Z", "certificate-period"),
        ("-n alice -h", "certificate-unusable"),
        ("-n alice -V +1h -O critical:example@example.com=x", "certificate-unusable"),
    ] {
        site.certify("ca", options);
        site.refuses("root", DENIED, reason);
    }
    // Options that sshd knows are its own: it looks at the address, and runs the one command.
    site.certify("ca", "-n alice -V +1h -O source-address=192.0.2.0/24");
    assert_eq!(site.asked("root").0, "alice\n");
    assert!(!site.enters("root").status.success());
    site.certify("ca", "-n alice -V +1h -O source-address=127.0.0.0/8 -O force-command='echo forced'");
    admitted(&site.enters("root"), "forced");
    // Rules for keys hold for the certified one.
    site.configure("[[keys.rule]]\naccounts = ['root']\nshared = true\nsk_only = true\n");
    let (said, line) = site.asked("root");
    assert!(said.is_empty() && line.contains("no-principal") && line.contains("dropped="), "{said} {line}");
    assert!(!site.enters("root").status.success());
    site.configure(
        "[[keys.rule]]\naccounts = ['root']\nrestrict = true\nfrom = ['127.0.0.1']\nexpiry = '2h'\n",
    );
    site.certify("ca", "-n alice -V +1h");
    let (said, _) = site.asked("root");
    assert!(
        said.starts_with("restrict,from=\"127.0.0.1\",expiry-time=\"") && said.ends_with("Z\" alice\n"),
        "{said}"
    );
    admitted(&site.enters("root"), "0");
}

#[test]
fn a108_whatever_is_revoked_opens_nothing() {
    let site = Site::start();
    site.configure("[fleet]\nid = 'example'\nurls = ['file:///srv/fleet']\nsigners = 'fleet-signers'\n");
    site.certify("ca", "-n alice -V +1h");
    let revoke = |subject: &str| {
        let list = format!(
            "revocations 1 2026-11-20T08:50:00Z\n{subject} 1 revoked 2026-11-20T08:00:00Z - eve laptop stolen\n"
        );
        site.0.host.write("/var/lib/oncall-cache/revoked", list, 0o644);
        site.0.host.must("chown oncall-cache /var/lib/oncall-cache/revoked");
    };
    let fingerprint =
        |name: &str| site.0.host.must(&format!("ssh-keygen -lf /root/keys/{name}.pub | cut -d' ' -f2"));
    revoke("person dave");
    admitted(&site.enters("root"), "0");
    for name in ["laptop", "ca"] {
        revoke(&format!("key {}", fingerprint(name).trim()));
        site.refuses("root", DENIED, "revoked");
        site.refuses("alice", DENIED, "revoked");
    }
    // Where sshd takes it by a file of its own, PAM refuses it, in an account that nothing guards as well.
    for home in ["/root", "/home/dave"] {
        site.0.host.must(&format!(
            "mkdir -m 700 -p {home}/.ssh && {{ printf 'cert-authority,principals=\"alice\" '; cat /root/keys/ca.pub; }} >{home}/.ssh/authorized_keys && \
             chown -R $(stat -c %U {home}) {home}/.ssh"
        ));
    }
    for account in ["root", "dave"] {
        let output = site.enters(account);
        assert!(
            text(&output).contains("the key that opened this session is revoked in the whole fleet since "),
            "{}",
            text(&output)
        );
    }
    site.0.host.must("rm /root/.ssh/authorized_keys");
    revoke("person alice");
    site.refuses("root", DENIED, "revoked");
    site.0.host.must("rm /var/lib/oncall-cache/revoked");
    admitted(&site.enters("root"), "0");
    site.0.host.must("oncall-cache revoke alice");
    site.refuses("root", DENIED, "revoked");
    site.refuses("alice", DENIED, "revoked");
    // Who is revoked cannot be told: nothing is printed, and that is an error.
    site.0.host.write("/etc/authkeys/revoked", "nonsense\n", 0o644);
    assert!(!site.enters("root").status.success());
}

#[test]
fn a108_a_programs_key_and_a_break_glass_account_are_opened_by_no_certificate() {
    let site = Site::start();
    site.certify("ca", "-n alice -V +1h");
    let laptop = site.0.public_key("laptop");
    site.configure(&format!(
        "[[policy.automation]]\naccount = 'dave'\nkeys = ['{}']\nfrom = ['127.0.0.1']\nowner = 'ops'\nreason = 'copies'\nuntil = 2090-01-01\n",
        laptop.trim()
    ));
    site.refuses("root", DENIED, "no-principal");
    site.refuses("alice", DENIED, "no-principal");
    site.configure("");
    site.0.host.must("useradd -m -s /bin/sh -G sudo breakglass");
    site.certify("ca", "-n breakglass -V +1h");
    site.refuses("breakglass", DENIED, "exempt");
    site.certify("ca", "-n oncall-grant -V +1h");
    site.refuses("oncall-grant", DENIED, "no-principal");
}

#[test]
fn a108_garbage_in_place_of_a_certificate_opens_nothing() {
    let site = Site::start();
    site.certify("ca", "-n alice -V +1h");
    let certificate = site.0.host.read("/root/keys/laptop-cert.pub");
    let (kind, blob) = certificate.split_once(' ').expect("TYPE BASE64");
    let blob = blob.split(' ').next().unwrap_or_default();
    let cut = &blob[..blob.len() - 8];
    for (kind, blob, status) in [
        (kind, cut, 0),
        (kind, "AAAA", 0),
        (kind, "....", 0),
        ("ssh-rsa-cert-v01@openssh.com", blob, 0),
        ("ssh-new-cert-v01@openssh.com", blob, 0),
        ("ssh-ed25519", blob, 64),
        ("", "", 64),
    ] {
        let output = site.0.run_as("authkeys", &format!("authkeys --principals root '{kind}' '{blob}'"));
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(status), 0),
            "{kind} {blob:.9}: {}",
            text(&output)
        );
    }
    // As PAM would meet it, if sshd said so.
    let _ = site.0.decisions();
    for words in
        [format!("{kind} {cut}"), format!("{kind} AAAA"), format!("ssh-dss-cert-v01@openssh.com {blob}")]
    {
        site.0.host.sh(&format!("pamtester -E 'SSH_AUTH_INFO_0=publickey {words}\n' sshd root open_session"));
        let decisions = site.0.decisions();
        assert!(
            decisions.len() == 1
                && decisions[0].contains("person=- decision=refuse reason=certificate-unusable "),
            "{decisions:?}"
        );
    }
}
