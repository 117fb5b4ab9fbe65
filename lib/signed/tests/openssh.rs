//! Both directions with the real ssh-keygen: what it signs is verified here, and what is signed here it verifies.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use policy::Timestamp;
use signed::{
    LineProblem, Purpose, SignatureError, Signer, Signers, SigningKey, SigningKeyError, split, verify,
    verify_document,
};
use tempfile::TempDir;

const TEXT: &[u8] = b"form: 1\nfleet: example\n";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-20T09:00:00Z").unwrap()
}

fn ssh_keygen(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ssh-keygen, of openssh-client");
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    child.wait_with_output().unwrap()
}

/// A key `name` of this type and length; the file of its private half.
fn make(directory: &Path, name: &str, kind: &[&str], passphrase: &str) -> Vec<u8> {
    let made = ssh_keygen(
        directory,
        &[&["-q", "-N", passphrase, "-C", "a comment", "-f", name, "-t"], kind].concat(),
        b"",
    );
    assert!(made.status.success(), "{made:?}");
    fs::read(directory.join(name)).unwrap()
}

fn sign(directory: &Path, name: &str, more: &[&str]) -> Vec<u8> {
    let signed = ssh_keygen(directory, &[&["-Y", "sign", "-f", name], more].concat(), TEXT);
    assert!(signed.status.success(), "{signed:?}");
    signed.stdout
}

fn listed(directory: &Path, name: &str) -> (Signers, Vec<signed::DeadLine>) {
    let key = fs::read_to_string(directory.join(format!("{name}.pub"))).unwrap();
    Signers::parse(format!("alice namespaces=\"head@authkeys\" {key}").as_bytes())
}

const KINDS: [(&str, &[&str]); 4] = [
    ("ed25519", &["ed25519"]),
    ("p256", &["ecdsa", "-b", "256"]),
    ("p384", &["ecdsa", "-b", "384"]),
    ("p521", &["ecdsa", "-b", "521"]),
];

#[test]
fn what_ssh_keygen_signs_is_verified_here() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    for (name, kind) in KINDS {
        make(directory, name, kind, "");
        let (signers, dead) = listed(directory, name);
        assert_eq!(dead, [], "{name}");
        let judge = |more: &[&str]| {
            let document = [TEXT, &sign(directory, name, more)].concat();
            verify_document(&signers, Purpose::Head, &document, now(), 1)
                .map(|(text, names)| (text.to_vec(), names))
        };
        let good = Ok((TEXT.to_vec(), vec!["alice".to_string()]));
        assert_eq!(judge(&["-n", "head@authkeys"]), good, "{name}");
        assert_eq!(judge(&["-n", "head@authkeys", "-O", "hashalg=sha256"]), good, "{name}");
        assert_eq!(judge(&["-n", "grant@authkeys"]), Err(SignatureError::Namespace("grant@authkeys".into())));
    }
}

#[test]
fn what_is_signed_here_ssh_keygen_verifies() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let generated = SigningKey::generate(&[42; 32], "the fleet's").unwrap();
    fs::write(directory.join("generated"), &generated.1).unwrap();
    let public = ssh_keygen(directory, &["-y", "-P", "", "-f", "generated"], b"");
    let written = format!("{} the fleet's\n", generated.0.public().line());
    // It reads the private half from a file that nobody else can read alone.
    assert!(!public.status.success(), "ssh-keygen read a key that all can read");
    fs::set_permissions(directory.join("generated"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let public = ssh_keygen(directory, &["-y", "-P", "", "-f", "generated"], b"");
    assert_eq!(String::from_utf8_lossy(&public.stdout), written);

    let made = SigningKey::parse(&make(directory, "made", &["ed25519"], "")).unwrap();
    for key in [generated.0, made] {
        let armour = key.sign(Purpose::Head, TEXT).unwrap();
        fs::write(directory.join("signature"), &armour).unwrap();
        let checked = ["-Y", "check-novalidate", "-n", "head@authkeys", "-s", "signature"];
        let checked = ssh_keygen(directory, &checked, TEXT);
        assert!(checked.status.success(), "{checked:?}");
        // The signers file is one for both.
        let signer = Signer::new("alice", &[Purpose::Head, Purpose::Grant], key.public().clone()).unwrap();
        let ends = signer.to_string().replace("\" ", "\",valid-before=\"20991231Z\" ");
        for line in [signer.to_string(), ends] {
            fs::write(directory.join("signers"), format!("{line} a comment\n")).unwrap();
            let verified =
                ["-Y", "verify", "-f", "signers", "-I", "alice", "-n", "head@authkeys", "-s", "signature"];
            let verified = ssh_keygen(directory, &verified, TEXT);
            assert!(verified.status.success(), "{line}: {verified:?}");
            let (signers, dead) = Signers::parse(line.as_bytes());
            assert_eq!(dead, []);
            let name = verify(&signers, Purpose::Head, TEXT, armour.as_bytes(), now())
                .map(|signer| signer.name.clone());
            assert_eq!(name, Ok("alice".into()));
        }
    }
}

#[test]
fn rsa_and_certificates_sign_nothing_here() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    make(directory, "rsa", &["rsa", "-b", "2048"], "");
    let (signers, dead) = listed(directory, "rsa");
    assert_eq!(signers, Signers::default());
    assert_eq!(dead.first().map(|dead| &dead.problem), Some(&LineProblem::Rsa));

    make(directory, "alice", &["ed25519"], "");
    make(directory, "ca", &["ed25519"], "");
    let certified =
        ssh_keygen(directory, &["-q", "-s", "ca", "-I", "alice", "-n", "alice", "alice.pub"], b"");
    assert!(certified.status.success(), "{certified:?}");
    let armour = sign(directory, "alice-cert.pub", &["-n", "head@authkeys"]);
    for key in ["alice", "ca"] {
        let problem = verify(&listed(directory, key).0, Purpose::Head, TEXT, &armour, now()).unwrap_err();
        assert_eq!(problem, SignatureError::Certificate);
    }
    let certificate = fs::read_to_string(directory.join("alice-cert.pub")).unwrap();
    let ca = fs::read_to_string(directory.join("ca.pub")).unwrap();
    for line in [
        format!("alice namespaces=\"head@authkeys\" {certificate}"),
        format!("alice cert-authority,namespaces=\"head@authkeys\" {ca}"),
    ] {
        assert_eq!(Signers::parse(line.as_bytes()).0, Signers::default());
    }
}

#[test]
fn a_key_that_cannot_sign_alone_is_refused_by_name() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let problem = |pem: &[u8]| SigningKey::parse(pem).unwrap_err();
    assert_eq!(
        problem(&make(directory, "secret", &["ed25519"], "a passphrase")),
        SigningKeyError::Passphrase
    );
    assert_eq!(
        problem(&make(directory, "rsa", &["rsa", "-b", "2048"], "")),
        SigningKeyError::Kind("ssh-rsa".into())
    );
    assert_eq!(problem(&make(directory, "pem", &["ecdsa", "-m", "PEM"], "")), SigningKeyError::NotOpenSsh);
    assert_eq!(problem(b""), SigningKeyError::NotOpenSsh);
    assert_eq!(problem(&[b'x'; 16 * 1024 + 1]), SigningKeyError::TooLong);
    let ecdsa = problem(&make(directory, "ecdsa", &["ecdsa"], ""));
    assert!(matches!(ecdsa, SigningKeyError::Kind(_) | SigningKeyError::NotOpenSsh), "{ecdsa:?}");
    let whole = make(directory, "whole", &["ed25519"], "");
    assert!(SigningKey::parse(&whole).is_ok());
    assert!(!format!("{:?}", SigningKey::parse(&whole)).contains("comment"));
    for end in (0..whole.len()).step_by(17) {
        assert!(SigningKey::parse(&whole[..end]).is_err());
    }
}

#[test]
fn a_document_of_two_signers_is_what_two_colleagues_made() {
    let directory = TempDir::new().unwrap();
    let directory = directory.path();
    let armours = [KINDS[0], KINDS[2]].map(|(name, kind)| {
        make(directory, name, kind, "");
        sign(directory, name, &["-n", "grant@authkeys"])
    });
    let lines: String = [("alice", "ed25519"), ("bob", "p384")]
        .map(|(name, file)| {
            let key = fs::read_to_string(directory.join(format!("{file}.pub"))).unwrap();
            format!("{name} namespaces=\"grant@authkeys,review@authkeys\" {key}")
        })
        .concat();
    let document = [TEXT, &armours.concat()].concat();
    assert_eq!(split(&document).unwrap(), (TEXT, armours.iter().map(Vec::as_slice).collect()));
    let names =
        verify_document(&Signers::parse(lines.as_bytes()).0, Purpose::Grant, &document, now(), 2).unwrap().1;
    assert_eq!(names, ["alice", "bob"]);
}
