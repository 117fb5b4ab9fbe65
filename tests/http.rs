//! How a store is asked for bytes: by `lib/http` directly, on a hostile store. What a host makes of it is in
//! `fleet_pull/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use harness::Host;
use harness::store::{HostileStore, Lie};
use http::{Client, HttpError, IF_MATCH, IF_NONE_MATCH, Method, ObjectReply, ObjectRequest, Route};

const PORT: u16 = 9443;

/// A store, and the file that says who vouches for it.
struct Site {
    host: Host,
    store: HostileStore,
    ca_file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let host = Host::start();
        let store = HostileStore::start(&host, PORT);
        store.set(BTreeMap::from([("/o/a".to_string(), b"bytes of a".to_vec())]));
        let directory = tempfile::tempdir_in("/run").expect("root may");
        let ca_file = directory.path().join("ca.pem");
        std::fs::write(&ca_file, store.ca_pem()).expect("root may");
        Self { host, store, ca_file, _directory: directory }
    }

    /// Does `ask` within the machine's network, with a client that has so many seconds.
    fn ask<T: Send>(&self, seconds: u64, ask: impl FnOnce(&Client) -> T + Send) -> T {
        let work = || {
            self.host.enter_network();
            let deadline = Instant::now() + Duration::from_secs(seconds);
            let route = Route { agent: "test", ca_file: &self.ca_file, proxy: None, deadline };
            let base = format!("https://127.0.0.1:{PORT}/fleet");
            ask(&Client::new(&base, route, &[]).expect("a client"))
        };
        thread::scope(|scope| scope.spawn(work).join().expect("it ends"))
    }

    fn get(&self, limit: u64) -> Result<ObjectReply, HttpError> {
        self.ask(300, |client| client.object(ObjectRequest::get("/o/a", limit)))
    }
}

#[test]
fn bytes_come_with_their_tag_and_a_tag_is_sent_back_as_it_came() {
    let site = Site::start();
    let (first, again, missing, head) = site.ask(300, |client| {
        let first = client.object(ObjectRequest::get("/o/a", 10)).expect("an answer");
        let tag = first.etag.clone().expect("a tag");
        let condition = [(IF_NONE_MATCH, tag.as_str())];
        let again = client.object(ObjectRequest { headers: &condition, ..ObjectRequest::get("/o/a", 10) });
        let missing = client.object(ObjectRequest::get("/o/b", 10));
        let head = ObjectRequest { method: Method::Head, ..ObjectRequest::get("/o/a", 10) };
        (first, again.expect("an answer"), missing.expect("an answer"), client.object(head))
    });
    assert_eq!(
        (first.status, first.body.as_slice(), first.length),
        (200, b"bytes of a".as_slice(), Some(10))
    );
    assert!(first.date.is_some());
    assert_eq!((again.status, again.body.len(), &again.etag), (304, 0, &first.etag));
    assert_eq!((missing.status, missing.body.len()), (404, 0));
    assert_eq!(head.map(|reply| reply.status).ok(), Some(200));
    let requests = site.store.requests();
    let methods: Vec<&str> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "GET", "GET", "HEAD"]);
    for request in &requests {
        let named =
            |name: &str| request.headers.iter().find(|line| line.to_ascii_lowercase().starts_with(name));
        assert_eq!(named("accept-encoding"), None, "{request:?}");
        assert_eq!(named("if-modified-since"), None, "{request:?}");
    }
    // A weak one too, and byte for byte.
    let weak = "W/\"5f-1a!\"";
    let headers = [(IF_NONE_MATCH, weak), (IF_MATCH, "\"x\"")];
    let _ = site.ask(300, |client| {
        client.object(ObjectRequest { headers: &headers, ..ObjectRequest::get("/o/a", 10) })
    });
    let sent = site.store.requests().remove(0).headers;
    assert!(
        sent.contains(&format!("if-none-match: {weak}")) && sent.contains(&"if-match: \"x\"".to_string()),
        "{sent:?}"
    );
}

#[test]
fn what_is_written_arrives_whole_with_its_headers() {
    let site = Site::start();
    let body = vec![7_u8; 100_000];
    site.store.lie("/head", Some(Lie::Answer(412, Vec::new(), b"<Error/>".to_vec())));
    let headers = [(IF_MATCH, "\"old\"")];
    let put = ObjectRequest {
        method: Method::Put,
        query: Some("X-Sig=a%2Fb"),
        headers: &headers,
        body: &body,
        ..ObjectRequest::get("/head", 1000)
    };
    let reply = site.ask(300, |client| client.object(put)).expect("an answer");
    assert_eq!((reply.status, reply.body.len()), (412, 0), "the status says enough");
    let request = site.store.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/fleet/head?X-Sig=a%2Fb"));
    for line in ["content-length: 100000", "if-match: \"old\""] {
        assert!(request.headers.iter().any(|sent| sent == line), "{request:?}");
    }
    assert_eq!(request.body, body);
}

#[test]
fn an_answer_that_is_not_the_whole_object_as_it_is_is_refused_or_says_so() {
    let site = Site::start();
    for (status, headers) in [
        (206, vec![("Content-Range", "bytes 0-9/100".to_string())]),
        (301, vec![("Location", "https://elsewhere.example/".to_string())]),
        (302, vec![("Location", "http://127.0.0.1:1/".to_string())]),
        (500, Vec::new()),
    ] {
        site.store.lie("/o/a", Some(Lie::Answer(status, headers, b"0123456789".to_vec())));
        let reply = site.get(1000).expect("an answer");
        assert_eq!((reply.status, reply.body.len()), (status, 0));
        assert_eq!(site.store.requests().len(), 1, "{status}: nothing else is asked");
    }
    for coding in ["gzip", "br", "identity, gzip", "\u{e4}"] {
        let headers = vec![("Content-Encoding", coding.to_string())];
        site.store.lie("/o/a", Some(Lie::Answer(200, headers, b"0123456789".to_vec())));
        assert!(matches!(site.get(1000), Err(HttpError::Encoded(_))), "{coding}");
    }
    let long = format!("\"{}\"", "t".repeat(300));
    site.store.lie("/o/a", Some(Lie::Answer(200, vec![("ETag", long)], b"x".to_vec())));
    assert_eq!(site.get(1000).expect("an answer").etag, None);
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n0123456789".to_vec();
    site.store.lie("/o/a", Some(Lie::Raw(cut)));
    assert!(matches!(site.get(1000), Err(HttpError::Exchange { .. })));
    site.store.lie("/o/a", Some(Lie::Raw(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())));
    assert!(matches!(site.get(1000), Err(HttpError::Exchange { .. })));
}

#[test]
fn what_does_not_end_is_ended_by_the_limit_or_the_deadline() {
    let site = Site::start();
    let is_large = |reply| matches!(reply, Err(HttpError::TooLarge { limit: 10, .. }));
    site.store.lie("/o/a", Some(Lie::bytes(vec![b'x'; 11])));
    assert!(is_large(site.get(10)));
    site.store.lie("/o/a", Some(Lie::bytes(vec![b'x'; 10])));
    assert_eq!(site.get(10).expect("an answer").body.len(), 10);
    site.store.lie("/o/a", Some(Lie::Flood));
    assert!(is_large(site.get(10)));
    for head in ["HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"] {
        site.store.lie("/o/a", Some(Lie::Drip(head.as_bytes().to_vec())));
        let reply = site.ask(2, |client| client.object(ObjectRequest::get("/o/a", 10_000)));
        assert!(matches!(reply, Err(HttpError::Deadline(_))), "{reply:?}");
    }
}
