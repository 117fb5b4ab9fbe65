use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use signed::SigningKey;

const CONFIG: &str = "[host]\nname = 'db1'\nlabels = ['role=db']\n[policy]\nmode = 'enforce'\n";

/// A directory as /etc/authkeys is, with who may sign.
struct Site {
    directory: tempfile::TempDir,
    key: SigningKey,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (key, _) = SigningKey::generate(&[7; 32], "").unwrap();
        let site = Self { directory, key };
        let line = format!("alice namespaces=\"policy@authkeys\" {}\n", site.key.public().line());
        site.put(SIGNERS, line.as_bytes());
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn put(&self, name: &str, text: &[u8]) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    fn text(&self, config: &str, number: u64) -> String {
        let hosts = [("db*".to_string(), ["role=db".to_string()].into())].into();
        let lines = lines(config.as_bytes()).unwrap();
        Approved { number, issued: now(), hosts, lines }.text()
    }

    fn sign(&self, config: &str, number: u64) {
        let text = self.text(config, number);
        let armour = self.key.sign(Purpose::Policy, text.as_bytes()).unwrap();
        self.put(SIGNATURE, format!("{text}{armour}").as_bytes());
    }

    fn standing(&self, config: &str) -> Standing {
        let config = Config::parse(&self.path("config.toml"), config.as_bytes()).unwrap();
        standing(&config, &self.path("seen"), now())
    }

    fn problems(&self, config: &str) -> Vec<String> {
        self.standing(config).problems.iter().map(ToString::to_string).collect()
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix(1_796_040_000)
}

#[test]
fn a109_what_was_signed_runs_or_it_is_told_what_does_not() {
    let site = Site::new();
    assert!(site.problems(CONFIG)[0].starts_with("the policy is not signed: "));
    site.sign(CONFIG, 7);
    let standing = site.standing(CONFIG);
    assert_eq!((standing.is_as_signed(), standing.number()), (Some(true), Some(7)));
    assert_eq!(standing.told().unwrap(), format!("number 7 of {}, signed by alice", now()));

    let observes = CONFIG.replace("enforce", "observe");
    assert_eq!(
        site.problems(&observes),
        [
            "the policy is not the one that was signed: - policy.mode = \"enforce\"; + policy.mode = \"observe\""
        ]
    );
    assert_eq!(site.standing(&observes).number(), None);
    assert_eq!(
        site.problems(&CONFIG.replace("role=db", "role=web")),
        ["db1 gives itself the labels role=web, and it was signed with the labels role=db"]
    );
    assert_eq!(
        site.problems(&CONFIG.replace("db1", "web1")),
        ["web1 is none of the hosts for which the policy was signed"]
    );
}

#[test]
fn a109_an_older_policy_that_comes_back_is_told() {
    let site = Site::new();
    let seen = site.path("seen");
    site.sign(CONFIG, 7);
    Seen::keep(&seen, site.standing(CONFIG).signed.as_ref().unwrap()).unwrap();
    assert_eq!(site.problems(CONFIG), [""; 0]);
    site.sign(CONFIG, 6);
    assert_eq!(site.problems(CONFIG), ["the policy is number 6, and number 7 was in force here before"]);
    Seen::keep(&seen, site.standing(CONFIG).signed.as_ref().unwrap()).unwrap();
    assert_eq!(Seen::read(&seen).unwrap().number, 7, "it never falls");
    let other = CONFIG.replace("enforce", "observe");
    site.sign(&other, 7);
    assert_eq!(site.problems(&other), ["another policy with the number 7 was in force here before"]);
    site.sign(&other, 8);
    assert_eq!(site.problems(&other), [""; 0]);
}

#[test]
fn a109_nobody_listed_signs_nothing_and_nothing_of_it_is_read() {
    let site = Site::new();
    site.sign(CONFIG, 7);
    let by_bob = site.key.public().line();
    let told = |signers: &str| {
        site.put(SIGNERS, signers.as_bytes());
        let standing = site.standing(CONFIG);
        assert_eq!((standing.is_as_signed(), standing.number()), (Some(false), None));
        standing.told().unwrap()
    };
    assert!(told("# nobody\n").contains("which no line of the signers lists"));
    assert!(
        told(&format!("alice namespaces=\"grant@authkeys\" {by_bob}\n")).contains("alice may not sign this")
    );
    let ended = format!("alice namespaces=\"policy@authkeys\",valid-before=\"20260101Z\" {by_bob}\n");
    assert!(told(&ended).contains("signed until"));
    site.put(SIGNERS, format!("alice {by_bob}\n").as_bytes());
    assert_eq!(site.standing(CONFIG).dead.len(), 1);
    fs::remove_file(site.path(SIGNERS)).unwrap();
    let standing = site.standing(CONFIG);
    assert_eq!((standing.is_as_signed(), standing.told()), (None, None));
    assert_eq!(standing.digest.len(), 64);
}

#[test]
fn a109_bad_files_are_told_and_none_is_read_that_others_could_have_written() {
    let site = Site::new();
    let problem = |bytes: &[u8]| {
        site.put(SIGNATURE, bytes);
        let problems = site.problems(CONFIG);
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    };
    assert!(problem(b"").contains("no signature after the text"));
    assert!(
        problem(b"\xff\x00\n-----BEGIN SSH SIGNATURE-----\nAAAA\n").contains("not written as ssh-keygen")
    );
    assert!(problem(&vec![b'x'; LARGEST + 1]).contains("larger than"));
    let other = "form = 1\nnumber = 7\n";
    let armour = site.key.sign(Purpose::Policy, other.as_bytes()).unwrap();
    assert!(problem(format!("{other}{armour}").as_bytes()).contains("no empty line after its head"));
    let armour = site.key.sign(Purpose::Grant, other.as_bytes()).unwrap();
    assert!(problem(format!("{other}{armour}").as_bytes()).contains("a signature for grant@authkeys"));
    site.sign(CONFIG, 7);
    fs::set_permissions(site.path(SIGNATURE), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(site.problems(CONFIG)[0].contains("writable") || site.problems(CONFIG)[0].contains("write"));
    fs::set_permissions(site.path(SIGNERS), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(site.standing(CONFIG).is_as_signed(), Some(false));
    fs::remove_file(site.path(SIGNERS)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", site.path(SIGNERS)).unwrap();
    assert_eq!(site.standing(CONFIG).is_as_signed(), Some(false));
}

#[test]
fn whatever_lies_there_is_told() {
    let site = Site::new();
    site.sign(CONFIG, 7);
    let document = fs::read(site.path(SIGNATURE)).unwrap();
    mutate::each(&[&document], &["-----BEGIN SSH SIGNATURE-----\n", "\n\n", "form = 1\n"], 500, |other| {
        site.put(SIGNATURE, other);
        assert_eq!(site.standing(CONFIG).is_as_signed(), Some(other == document));
    });
}
