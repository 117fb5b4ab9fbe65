//! Against a real server: moto, which keeps conditional writes, and each signature checked as Amazon's library makes it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::*;

const ID: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The server, in a directory that nobody else can write to, as a secret's must be.
struct Server {
    child: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        let base = Path::new(env!("CARGO_MANIFEST_DIR"));
        // The system's directory for temporary files is everybody's, which no secret's may be.
        let program = std::env::current_exe().unwrap();
        let directory = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", "key.pem", "-out", "certificate.pem"])
            .current_dir(directory.path())
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new("/opt/authkeys-tests/s3/bin/python3")
            .arg(base.join("../tests/harness/s3.py"))
            .args([&port.to_string(), "certificate.pem", "key.pem", "fleet-bucket", ID, SECRET])
            .current_dir(directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tests/prerequisites.sh installs moto");
        let mut said = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("ready\n") {
            let length = lines.read_line(&mut said).unwrap();
            assert!(length > 0, "no server: {said}");
        }
        // What it logs later is read, so that it never waits for that.
        std::thread::spawn(move || lines.lines().for_each(drop));
        let server = Self { child, directory, port };
        server.write_credentials(&format!("{ID}:{SECRET}\n"));
        server
    }

    fn write_credentials(&self, text: &str) {
        let path = self.directory.path().join("credentials");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn config(&self) -> S3Config {
        S3Config {
            endpoint: format!("https://localhost:{}", self.port),
            region: "eu-central-1".into(),
            bucket: "fleet-bucket".into(),
            prefix: "prod/".into(),
            credentials_file: self.directory.path().join("credentials"),
            ca_file: self.directory.path().join("certificate.pem"),
        }
    }

    fn open(&self, access: Access) -> Result<S3, StoreError> {
        S3::open(&self.config(), self.directory.path(), access)
    }

    /// Lets something go wrong.
    fn wrong(&self, what: &str) {
        let store = self.open(Access::Read).unwrap();
        let set = ObjectRequest { query: Some(what), ..ObjectRequest::get("/_test", 1000) };
        assert_eq!(store.client.object(set).unwrap().status, 200);
    }

    /// How many requests of this kind it has had.
    fn count(&self, method: &str) -> usize {
        let store = self.open(Access::Read).unwrap();
        let body = store.client.object(ObjectRequest::get("/_test", 1000)).unwrap().body;
        let text = String::from_utf8(body).unwrap();
        let count = text.split_once(&format!("'{method}': ")).map(|(_, rest)| rest.split([',', '}']).next());
        count.flatten().map_or(0, |count| count.parse().unwrap())
    }
}

#[test]
fn the_head_is_swapped_only_for_the_one_that_was_read() {
    let server = Server::start();
    let store = server.open(Access::Write).unwrap();
    assert!(store.is_conditional);
    assert_eq!(store.get("head", 10).unwrap(), None);
    assert!(store.put_if("head", b"one", None).unwrap());
    assert!(!store.put_if("head", b"two", None).unwrap());
    let one = store.get("head", 10).unwrap().unwrap();
    assert_eq!(one.bytes, b"one");
    assert!(one.date.is_some_and(|date| date.since(now()) < Span::seconds(60)));
    assert!(store.put_if("head", b"two", Some(&one.version)).unwrap());
    assert!(!store.put_if("head", b"three", Some(&one.version)).unwrap());
    assert!(!store.put_if("none", b"three", Some(&one.version)).unwrap());
    assert_eq!(store.get("head", 10).unwrap().unwrap().bytes, b"two");
    assert!(matches!(store.get("head", 2), Err(StoreError::TooLarge(_, 2))));
    // Whatever is there, it can be replaced.
    store.put("head", &vec![b'x'; 3 * 64 * 1024]).unwrap();
    let large = store.version("head").unwrap();
    assert!(large.is_some() && store.version("none").unwrap().is_none());
    assert!(store.put_if("head", b"two", large.as_ref()).unwrap());
    assert!(!store.put_if("head", b"three", large.as_ref()).unwrap());
    // Many publishers, one winner a round.
    let two = store.get("head", 10).unwrap().unwrap().version;
    let winners: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8u8)
            .map(|number| {
                let (server, two) = (&server, &two);
                scope.spawn(move || {
                    server.open(Access::Write).unwrap().put_if("head", &[number], Some(two)).unwrap()
                })
            })
            .collect();
        all.into_iter().map(|one| usize::from(one.join().unwrap())).sum()
    });
    assert_eq!(winners, 1);
}

#[test]
fn what_is_listed_can_be_taken_away() {
    let server = Server::start();
    let store = server.open(Access::Write).unwrap();
    assert_eq!(store.list("o/").unwrap(), []);
    for number in 0..12 {
        store.put(&format!("o/{number:02}"), &vec![b'x'; number]).unwrap();
    }
    store.put("h/1", b"a head").unwrap();
    let mut entries = store.list("o/").unwrap();
    entries.sort_by(|left, right| left.name.cmp(&right.name));
    let names: Vec<_> = entries.iter().map(|entry| (entry.name.clone(), entry.size)).collect();
    assert_eq!(names, (0..12).map(|number| (format!("o/{number:02}"), number)).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| now().since(entry.modified) < Span::seconds(60)));
    store.delete("o/03").unwrap();
    store.delete("o/03").unwrap();
    assert_eq!(store.list("o/").unwrap().len(), 11);
    assert_eq!(store.get("o/03", 10).unwrap(), None);
}

#[test]
fn a_list_goes_over_as_many_pages_as_it_has() {
    let server = Server::start();
    let store = server.open(Access::Write).unwrap();
    server.wrong("page=3");
    for number in 0..8 {
        store.put(&format!("o/{number}"), b"x").unwrap();
    }
    assert_eq!(store.list("o/").unwrap().len(), 8);
}

#[test]
fn a_list_without_an_end_is_given_up() {
    let failed = |what: String| StoreError::Failed("s3://x/".to_string(), what);
    let mut asked = 0;
    let mut list = |names: usize, next: &dyn Fn(usize) -> Option<String>| {
        asked = 0;
        let found = all_pages(failed, |_| {
            asked += 1;
            Ok((vec![(); names], next(asked)))
        });
        (found.map(|all| all.len()).map_err(|error| error.to_string()), asked)
    };
    let problem = |text: &str| Err(format!("s3://x/: {text}"));
    assert_eq!(list(3, &|page| (page < 5).then(|| page.to_string())), (Ok(15), 5));
    assert_eq!(list(0, &|_| Some("same".into())), (problem("answered a list that does not go on"), 2));
    let another = |page: usize| Some(page.to_string());
    assert_eq!(list(0, &another), (problem("answered a list of more than 4000 pages"), 4_000));
    assert_eq!(list(1_000, &another), (problem("more than 1000000 names"), 1_001));
}

#[test]
fn a_busy_server_is_asked_again_a_few_times() {
    let server = Server::start();
    let store = server.open(Access::Write).unwrap();
    server.wrong("busy=2");
    store.put("o/1", b"x").unwrap();
    server.wrong("busy=3");
    assert!(store.put_if("head", b"one", None).unwrap());
    server.wrong("busy=100");
    let before = server.count("PUT");
    let problem = store.put("o/2", b"x").unwrap_err().to_string();
    assert!(problem.ends_with("/fleet-bucket/prod/o/2: answered 503"), "{problem}");
    assert!(store.put_if("head", b"two", None).is_err());
    assert_eq!(server.count("PUT"), before + 8);
}

#[test]
fn a_write_whose_answer_was_lost_is_found_again() {
    let server = Server::start();
    let store = server.open(Access::Write).unwrap();
    server.wrong("lost=1");
    assert!(store.put_if("head", b"one", None).unwrap(), "it is there");
    let one = store.get("head", 10).unwrap().unwrap().version;
    server.wrong("lost=2");
    assert!(store.put_if("head", b"two", Some(&one)).unwrap());
    server.wrong("lost=1");
    assert!(!store.put_if("head", b"three", Some(&one)).unwrap(), "another one's is there");
    assert_eq!(store.get("head", 10).unwrap().unwrap().bytes, b"two");
}

#[test]
fn a_server_that_ignores_conditions_is_found_out_and_one_that_keeps_them_is_remembered() {
    let server = Server::start();
    server.wrong("deaf=1");
    let store = server.open(Access::Write).unwrap();
    assert!(!store.is_conditional);
    assert!(store.put_if("head", b"one", None).unwrap());
    assert!(!store.put_if("head", b"two", None).unwrap(), "it is looked at first");
    store.put("head", &vec![b'x'; 3 * 64 * 1024]).unwrap();
    let large = store.version("head").unwrap();
    assert!(store.put_if("head", b"two", large.as_ref()).unwrap());

    server.wrong("deaf=0");
    assert!(server.open(Access::Write).unwrap().is_conditional);
    let puts = server.count("PUT");
    assert!(server.open(Access::Write).unwrap().is_conditional);
    assert_eq!(server.count("PUT"), puts);
    assert_eq!(store.list("probe/").unwrap(), []);
}

#[test]
fn who_may_not_write_there_is_shown_what_to_check() {
    let server = Server::start();
    let problem = |server: &Server| match server.open(Access::Write) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    };
    server.write_credentials(&format!("{ID}:another\n"));
    let refused = problem(&server);
    assert!(refused.contains("answered 403; check credentials_file"), "{refused}");
    assert!(!refused.contains("another") && !refused.contains("X-Amz"), "{refused}");
    server.write_credentials(SECRET);
    assert!(problem(&server).ends_with("must hold ACCESS_KEY_ID:SECRET_ACCESS_KEY"));
    fs::set_permissions(server.directory.path().join("credentials"), PermissionsExt::from_mode(0o644))
        .unwrap();
    assert!(problem(&server).contains("credentials_file: "));
}
