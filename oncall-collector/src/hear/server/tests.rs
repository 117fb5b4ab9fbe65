//! The server over real connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as Stream};
use std::sync::atomic::{AtomicUsize, Ordering};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::*;

const SECRET: &str = "GSyNUx5s9z2b7Ml2";

/// Longer than any test lasts.
const LONG: Duration = Duration::from_secs(3600);

struct Server {
    address: SocketAddr,
    signed: Arc<AtomicUsize>,
}

impl Server {
    fn start() -> Self {
        Self::with(PLACES)
    }

    fn with(places: Places) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let signed = Arc::new(AtomicUsize::new(0));
        let count = signed.clone();
        let secrets = Secrets::new([SECRET].into_iter());
        std::thread::spawn(move || {
            serve(listener, places, secrets, move || _ = count.fetch_add(1, Ordering::SeqCst))
        });
        Self { address, signed }
    }

    fn connect(&self) -> Stream {
        let stream = Stream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        stream
    }

    /// The status of the answer to this.
    fn status(&self, request: &[u8]) -> u16 {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        status(&mut stream)
    }

    fn signed(&self) -> usize {
        self.signed.load(Ordering::SeqCst)
    }
}

fn status(stream: &mut Stream) -> u16 {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split(' ').nth(1).unwrap_or_else(|| panic!("{text:?}")).parse().unwrap()
}

fn post(signature: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /webhook HTTP/1.1\r\nHost: a\r\n{signature}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("X-PagerDuty-Signature: v1={hex}\r\n")
}

#[test]
fn only_what_the_secret_signed_is_taken() {
    let server = Server::start();
    let body = br#"{"event":{"event_type":"pagey.ping"}}"#;
    let right = signature(SECRET, body);
    assert_eq!(server.status(&post("", body)), 401);
    assert_eq!(server.status(&post(&signature("another", body), body)), 401);
    assert_eq!(server.status(&post(&right, b"{}")), 401);
    assert_eq!(server.status(&post(&right, body).replace_first(b"POST", b"PUT")), 405);
    assert_eq!(server.status(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    assert_eq!(server.status(b"nonsense\r\n\r\n"), 400);
    assert_eq!(server.signed(), 0);
    assert_eq!(server.status(&post(&right, body)), 202);
    assert_eq!(server.status(&post(&right, body)), 202, "a repetition is one more sync");
    assert_eq!(server.signed(), 2);
}

trait ReplaceFirst {
    fn replace_first(self, what: &[u8], by: &[u8]) -> Self;
}

impl ReplaceFirst for Vec<u8> {
    fn replace_first(self, what: &[u8], by: &[u8]) -> Self {
        [by, self.strip_prefix(what).unwrap()].concat()
    }
}

#[test]
fn a_large_body_is_answered_and_not_kept() {
    let server = Server::start();
    let large = vec![b'x'; 10 * 1024 * 1024];
    assert_eq!(server.status(&post(&signature(SECRET, &large), &large)), 413);
    let most = vec![b'x'; LARGEST];
    assert_eq!(server.status(&post(&signature(SECRET, &most), &most)), 202);
    // Without a length.
    let mut stream = server.connect();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    for _ in 0..17 {
        stream.write_all(b"10000\r\n").unwrap();
        stream.write_all(&[b'x'; 0x10000]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(status(&mut stream), 413);
    let header = format!("X-A: {}\r\n", "x".repeat(LARGEST_HEADER));
    assert_eq!(server.status(&post(&header, b"")), 431);
    assert_eq!(server.signed(), 1);
}

#[test]
fn who_says_nothing_holds_nobody_up() {
    // None of these connections ends by its time while the test lasts; each makes room at once.
    let places = Places { most: 4, grace: Duration::ZERO, longest: LONG };
    let server = Server::with(places);
    let mut silent: Vec<Stream> = (0..places.most).map(|_| server.connect()).collect();
    let mut dripping = server.connect();
    dripping.write_all(b"POST / HTTP/1.1\r\nHost:").unwrap();
    let right = post(&signature(SECRET, b"{}"), b"{}");
    assert_eq!(server.status(&right), 202);
    // Room was made by the oldest alone, which reads that its connection has ended.
    for oldest in silent.drain(..2) {
        let mut oldest = oldest;
        assert!(matches!(oldest.read(&mut [0]), Ok(0) | Err(_)));
    }
    for (number, mut later) in silent.into_iter().enumerate() {
        later.write_all(&right).unwrap();
        assert_eq!(status(&mut later), 202, "{number}");
    }
    dripping.write_all(b" a\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(status(&mut dripping), 401);
    // One that has come to its end takes no room.
    let kept = server.connect();
    for _ in 0..2 * places.most {
        assert_eq!(server.status(&right), 202);
    }
    let mut kept = kept;
    kept.write_all(&right).unwrap();
    assert_eq!(status(&mut kept), 202);
}

/// Webhooks that come at the same moment are more than there are places; the proxy has connected before it sends.
#[test]
fn more_webhooks_at_once_than_there_are_places_are_all_answered() {
    let server = Server::with(Places { most: 4, grace: LONG, longest: LONG });
    let right = post(&signature(SECRET, b"{}"), b"{}");
    let mut connected: Vec<Stream> = (0..40).map(|_| server.connect()).collect();
    for stream in connected.iter_mut().rev() {
        stream.write_all(&right).unwrap();
    }
    for (number, stream) in connected.iter_mut().enumerate() {
        assert_eq!(status(stream), 202, "{number}");
    }
    assert_eq!(server.signed(), 40);
}

#[test]
fn a_connection_ends_after_its_time() {
    let server = Server::with(Places { most: 4, grace: LONG, longest: Duration::from_millis(50) });
    let mut silent = server.connect();
    assert!(matches!(silent.read(&mut [0]), Ok(0)));
}
