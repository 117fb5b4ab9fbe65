//! A name server on a private machine, which knows SRV records and can be as bad as real ones are.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::Host;

/// Priority, weight, port and name of a server.
pub type Srv<'a> = (u16, u16, u16, &'a str);

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As they should be.
    Good,
    /// Not at all.
    Silent,
    /// With SERVFAIL.
    Failing,
    /// By datagram with a word that there is more, by TCP in full.
    Truncating,
    /// After answers to other questions, and bytes that are none.
    Noisy,
}

/// A running name server. It ends when dropped.
pub struct Dns {
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

struct State {
    manner: Manner,
    /// A name as it is in a question, and the data of a record for it.
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Dns {
    /// Starts it on `host` at `address`, without a record.
    pub fn start(host: &Host, address: Ipv4Addr) -> Self {
        let state = Arc::new(Mutex::new(State { manner: Manner::Good, records: Vec::new() }));
        let stopping = Arc::new(AtomicBool::new(false));
        let (known, stop) = (state.clone(), stopping.clone());
        let in_network = || {
            host.enter_network();
            let address = SocketAddr::from((address, 53));
            let socket = UdpSocket::bind(address).expect("the port is free");
            let listener = TcpListener::bind(address).expect("the port is free");
            // So often it looks whether it shall end.
            socket.set_read_timeout(Some(Duration::from_millis(5))).expect("a socket");
            listener.set_nonblocking(true).expect("a socket");
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // A client that asks and goes away is answered for nothing.
                    let _ = by_datagram(&socket, &known);
                    if let Ok((client, _)) = listener.accept() {
                        let known = known.clone();
                        // Whoever is slow to ask keeps nobody else from an answer.
                        thread::spawn(move || drop(by_tcp(client, &known)));
                    }
                }
            });
        };
        thread::scope(|scope| scope.spawn(in_network).join().expect("the server starts"));
        Self { state, stopping }
    }

    /// From now on `name` has these servers, and no others have any.
    pub fn set(&self, name: &str, servers: &[Srv<'_>]) {
        let record = |(priority, weight, port, target): &Srv<'_>| {
            let numbers = [priority, weight, port].map(|number| number.to_be_bytes()).concat();
            (encoded(name), [numbers, encoded(target)].concat())
        };
        self.lock().records = servers.iter().map(record).collect();
    }

    /// Answers like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.lock().manner = manner;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

fn by_datagram(socket: &UdpSocket, state: &Mutex<State>) -> io::Result<()> {
    let mut buffer = [0; 512];
    let (length, client) = socket.recv_from(&mut buffer)?;
    let query = &buffer[..length];
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let good = answer(query, &state);
    let say = |message: &[u8]| socket.send_to(message, client).map(drop);
    match state.manner {
        Manner::Silent => Ok(()),
        Manner::Good => say(&good),
        Manner::Failing => say(&[&query[..2], &[0x81, 0x82], &query[4..]].concat()),
        Manner::Truncating => say(&[&query[..2], &[0x83, 0x80], &query[4..]].concat()),
        Manner::Noisy => {
            say(b"nonsense")?;
            say(&[&[!query[0], query[1]], &good[2..]].concat())?;
            say(&good[..good.len() - 1])?;
            say(&good)
        }
    }
}

fn by_tcp(mut client: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(Duration::from_secs(300)))?;
    let mut length = [0; 2];
    client.read_exact(&mut length)?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    client.read_exact(&mut query)?;
    let message = answer(&query, &state.lock().unwrap_or_else(PoisonError::into_inner));
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    client.write_all(&[&length.to_be_bytes()[..], &message].concat())
}

/// What is known about the name in `query`: its records, or that there is no such name.
fn answer(query: &[u8], state: &State) -> Vec<u8> {
    let asked = &query[12..query.len() - 4];
    let found: Vec<_> = state.records.iter().filter(|(name, _)| name == asked).collect();
    let code = if found.is_empty() { 3 } else { 0 };
    let mut message = [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, found.len() as u8, 0, 0, 0, 0]].concat();
    message.extend(&query[12..]);
    for (_, data) in found {
        // The name in the question, SRV, IN, a minute.
        message.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend(data);
    }
    message
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}
