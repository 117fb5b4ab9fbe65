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

    fn sign(&self, config: &str, number: u64) {
        self.sign_for(config, number, &[("db*", &["role=db"]), ("db1", &["role=db"])]);
    }

    fn sign_for(&self, config: &str, number: u64, hosts: &[(&str, &[&str])]) {
        let labels = |labels: &[&str]| labels.iter().map(ToString::to_string).collect();
        let hosts = hosts.iter().map(|(name, own)| (name.to_string(), labels(own))).collect();
        let lines = lines(config.as_bytes()).unwrap();
        let text = Approved { number, issued: now(), hosts, lines }.text();
        let armour = self.key.sign(Purpose::Policy, text.as_bytes()).unwrap();
        self.put(SIGNATURE, format!("{text}{armour}").as_bytes());
    }

    fn standing(&self, config: &str) -> Standing {
        let config = Config::parse(&self.path("config.toml"), config.as_bytes()).unwrap();
        standing_on("DB1.", &config, &self.path("seen"), now())
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
        ["this host observes, and what was signed enforces; all else is as signed"],
        "on the way to enforcing"
    );
    let other = format!("{observes}privileged_groups = ['wheel']\n");
    assert!(site.problems(&other)[0].starts_with("the policy is not the one that was signed: - policy.mode"));
    assert_eq!(site.standing(&observes).number(), None);
    assert_eq!(
        site.problems(&CONFIG.replace("role=db", "role=web")),
        ["db1 gives itself the labels role=web, and it was signed with the labels role=db"]
    );
    assert_eq!(
        site.problems(&CONFIG.replace("db1", "web1")),
        [
            "web1 is the name that config.toml gives this host, and the policy was signed for no host of that whole name"
        ]
    );
    // The other way round, an enforcing host of which observing was signed.
    site.sign(&observes, 8);
    assert!(site.problems(CONFIG)[0].starts_with("the policy is not the one that was signed: "));
}

/// Rules go by the name of a host, and the file that says it is the host's own.
#[test]
fn a109_a_name_that_the_file_gives_its_host_is_signed_whole() {
    let site = Site::new();
    let of = |kernel: &str, config: &str| {
        let config = Config::parse(&site.path("config.toml"), config.as_bytes()).unwrap();
        let standing = standing_on(kernel, &config, &site.path("seen"), now());
        standing.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    site.sign_for(CONFIG, 7, &[("db*", &["role=db"])]);
    assert_eq!(of("db1", CONFIG), [""; 0]);
    assert_eq!(of("db7", CONFIG).len(), 1, "one of the pattern, with the name of another one");
    site.sign_for(CONFIG, 8, &[("db*", &["role=db"]), ("db1", &["role=db"])]);
    assert_eq!(of("db7", CONFIG), [""; 0], "that name was signed");
    site.sign_for(CONFIG, 9, &[("db*", &["role=db"]), ("*1", &[])]);
    assert_eq!(of("db1", CONFIG), ["db1 is both *1 and db*, which were signed with other labels"]);
    let nameless = CONFIG.replace("name = 'db1'\n", "");
    site.sign_for(&nameless, 10, &[("*", &["role=db"])]);
    assert_eq!(of("db1", &nameless), [""; 0]);
    assert_eq!(of("db1", &CONFIG.replace("'db1'", "'web1'")).len(), 1);
}

#[test]
fn a109_the_end_of_the_last_signature_that_counts_is_known() {
    let site = Site::new();
    let line = site.key.public().line();
    let ends = |options: &str| {
        site.put(SIGNERS, format!("alice namespaces=\"policy@authkeys\"{options} {line}\n").as_bytes());
        site.standing(CONFIG).signed.unwrap().ends
    };
    site.sign(CONFIG, 7);
    assert_eq!(ends(",valid-before=\"20270101Z\""), Timestamp::parse("2027-01-01T00:00:00Z"));
    assert_eq!(ends(""), None);
}

#[test]
fn a109_a_mark_that_cannot_be_believed_is_told_and_stays() {
    let site = Site::new();
    site.sign(CONFIG, 7);
    let standing = site.standing(CONFIG);
    let signed = standing.signed.clone().unwrap();
    assert_eq!(standing.doubt(), None);
    for broken in ["", "9\n", "nine 00\n", "9 00\n"] {
        site.put("seen", broken.as_bytes());
        assert!(matches!(site.standing(CONFIG).seen, Mark::Broken(_)), "{broken}");
        assert!(site.standing(CONFIG).told().unwrap().contains("it cannot be told whether a newer one"));
        assert!(Mark::keep(&site.path("seen"), &signed).is_err());
        assert_eq!(
            fs::read(site.path("seen")).unwrap(),
            broken.as_bytes(),
            "it may have been a higher number"
        );
    }
    site.put("seen", format!("9 {}\n", "0".repeat(64)).as_bytes());
    fs::set_permissions(site.path("seen"), fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(site.standing(CONFIG).seen, Mark::Broken(_)));
    let hidden = Standing { seen: Mark::Hidden, ..standing };
    assert!(
        hidden
            .told()
            .unwrap()
            .ends_with("; as far as this user may know: ask as root whether a newer one was in force here")
    );
}

/// As on Ubuntu, where the group of rsyslog may write /var/log.
#[test]
fn a109_a_mark_is_believed_in_a_directory_of_roots_whoever_may_write_above_it() {
    let site = Site::new();
    fs::set_permissions(site.directory.path(), fs::Permissions::from_mode(0o775)).unwrap();
    let path = site.path("authkeys/seen");
    assert_eq!(Mark::read(&path), Mark::Nothing);
    fs::create_dir(site.path("authkeys")).unwrap();
    fs::set_permissions(site.path("authkeys"), fs::Permissions::from_mode(0o750)).unwrap();
    let signed = Signed {
        number: 7,
        issued: now(),
        by: Vec::new(),
        digest: String::new(),
        text_digest: "0".repeat(64),
        ends: None,
    };
    Mark::keep(&path, &signed).unwrap();
    assert_eq!(Mark::read(&path).number(), Some(7));
    fs::set_permissions(site.path("authkeys"), fs::Permissions::from_mode(0o770)).unwrap();
    assert!(matches!(Mark::read(&path), Mark::Broken(_)));
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(matches!(Mark::read(&path), Mark::Broken(_)));
}

/// At a desk the file is in somebody's checkout, whose directories are not root's.
#[test]
fn where_no_list_is_nobody_asks_whoever_owns_the_directory() {
    let site = Site::new();
    fs::remove_file(site.path(SIGNERS)).unwrap();
    fs::set_permissions(site.directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let standing = site.standing(CONFIG);
    assert_eq!((standing.is_as_signed(), standing.told()), (None, None));
    site.put(SIGNERS, b"");
    assert_eq!(site.standing(CONFIG).is_as_signed(), Some(false));
}

#[test]
fn a109_an_older_policy_that_comes_back_is_told() {
    let site = Site::new();
    let seen = site.path("seen");
    site.sign(CONFIG, 7);
    Mark::keep(&seen, site.standing(CONFIG).signed.as_ref().unwrap()).unwrap();
    assert_eq!(site.problems(CONFIG), [""; 0]);
    site.sign(CONFIG, 6);
    assert_eq!(site.problems(CONFIG), ["the policy is number 6, and number 7 was in force here before"]);
    Mark::keep(&seen, site.standing(CONFIG).signed.as_ref().unwrap()).unwrap();
    assert_eq!(Mark::read(&seen).number(), Some(7), "it never falls");
    let other = CONFIG.replace("enforce", "observe");
    site.sign(&other, 7);
    assert_eq!(site.problems(&other), ["another policy with the number 7 was in force here before"]);
    site.sign_for(CONFIG, 7, &[("db1", &["role=db"])]);
    assert_eq!(
        site.problems(CONFIG),
        ["another policy with the number 7 was in force here before"],
        "with another head"
    );
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
    let armour = site.key.sign(Purpose::Policy, b"text").unwrap();
    assert!(problem(armour.as_bytes()).contains("the signature alone, without the text"));
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
