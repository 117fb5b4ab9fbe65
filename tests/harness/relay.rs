//! A long way to a server on the same private machine: what is said arrives later, as over a wide network.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Host;

/// The way to one port. It ends with the test.
#[derive(Debug, Default, Clone)]
pub struct Relay(Arc<Mutex<Turns>>);

#[derive(Debug, Default)]
struct Turns {
    /// The client has spoken, and was not answered yet.
    is_asked: bool,
    round_trips: usize,
    bytes: usize,
}

impl Relay {
    /// Lets `port` of `host` lead to its port `server`, with `delay` each way.
    pub fn start(host: &Host, port: u16, server: u16, delay: Duration) -> Self {
        let relay = Self::default();
        let served = relay.clone();
        lead(host, port, server, move |client, server| served.join(client, server, delay));
        relay
    }

    /// How often, since the last look, a client could not go on before something came back over this way: what it asked
    /// was answered, or its connection accepted. A busy machine is slower, and has as many.
    pub fn round_trips(&self) -> usize {
        std::mem::take(&mut self.turns().round_trips)
    }

    /// How many bytes, since the last look, came to be passed on, in both directions together.
    pub fn bytes(&self) -> usize {
        std::mem::take(&mut self.turns().bytes)
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, client: TcpStream, server: TcpStream, delay: Duration) {
        self.turns().round_trips += 1;
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
        }
        let (to, from) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        let (asks, answers) = (self.clone(), self.clone());
        // The kernel has accepted the client at once: its first words wait for that round trip as well.
        pump(client, server, delay, 2 * delay, move |count| {
            let mut turns = asks.turns();
            turns.is_asked = true;
            turns.bytes += count;
        });
        pump(from, to, delay, Duration::ZERO, move |count| {
            let mut turns = answers.turns();
            turns.bytes += count;
            turns.round_trips += usize::from(turns.is_asked);
            turns.is_asked = false;
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "to be slow is the point")]
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Duration,
    at_first: Duration,
    mut on_word: impl FnMut(usize) + Send + 'static,
) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let begun = Instant::now() + at_first;
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            on_word(count);
            let arrives = Instant::now().max(begun) + delay;
            if sender.send((arrives, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (arrives, bytes) in receiver {
            thread::sleep(arrives.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// What happens on the way at a client's word.
pub enum Trip {
    /// The word is passed on, and then the connection of the client ends.
    Cut,
    /// This is done before the word is passed on.
    Do(Box<dyn FnMut() + Send>),
}

/// Lets `port` of `host` lead to its port `server`; each client is `joined` with a connection to that.
fn lead(host: &Host, port: u16, server: u16, joined: impl Fn(TcpStream, TcpStream) + Send + 'static) {
    let in_network = || {
        host.enter_network();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                joined(client, server);
            }
        });
    };
    thread::scope(|scope| scope.spawn(in_network).join().expect("the way is there"));
}

/// A way to one port on which something happens at one word of each client, counted from 1. It ends with the test.
#[derive(Clone, Default)]
pub struct Tripwire(Arc<Mutex<Option<(usize, Trip)>>>);

impl Tripwire {
    /// Lets `port` of `host` lead to its port `server`.
    pub fn start(host: &Host, port: u16, server: u16) -> Self {
        let wire = Self::default();
        let served = wire.clone();
        lead(host, port, server, move |client, server| {
            let wire = served.clone();
            thread::spawn(move || wire.pass(client, server));
        });
        wire
    }

    /// Sets what happens at the word `at` of the next client.
    pub fn set(&self, at: usize, trip: Trip) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, trip));
    }

    /// Has it not happened yet?
    pub fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self, word: usize) -> Option<Trip> {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_now = set.as_ref().is_some_and(|(at, _)| *at == word);
        if is_now { set.take().map(|(_, trip)| trip) } else { None }
    }

    fn pass(&self, mut client: TcpStream, mut server: TcpStream) {
        let (mut back, mut answers) =
            (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
        thread::spawn(move || {
            let _ = std::io::copy(&mut answers, &mut back);
            let _ = back.shutdown(Shutdown::Write);
        });
        let mut buffer = [0; 65_536];
        for word in 1.. {
            let Ok(count @ 1..) = client.read(&mut buffer) else { break };
            let trip = self.take(word);
            let is_cut = matches!(trip, Some(Trip::Cut));
            if let Some(Trip::Do(mut then)) = trip {
                then();
            }
            if server.write_all(buffer.get(..count).unwrap_or_default()).is_err() || is_cut {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Write);
    }
}
