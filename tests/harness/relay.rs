//! A long way to a server on the same private machine: what is said arrives later, as over a wide network.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::Host;

/// Lets `port` of `host` lead to its port `server`, with `delay` each way. It ends with the test.
pub fn relay(host: &Host, port: u16, server: u16, delay: Duration) {
    let in_network = || {
        host.enter_network();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { continue };
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("a socket");
                }
                let (to, from) =
                    (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                // The kernel has accepted the client at once: its first words wait for that round trip as well.
                pump(client, server, delay, 2 * delay);
                pump(from, to, delay, Duration::ZERO);
            }
        });
    };
    thread::scope(|scope| scope.spawn(in_network).join().expect("the relay starts"));
}

#[allow(clippy::disallowed_methods, reason = "to be slow is the point")]
fn pump(mut from: TcpStream, mut to: TcpStream, delay: Duration, at_first: Duration) {
    let (sender, receiver) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let begun = Instant::now() + at_first;
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
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
