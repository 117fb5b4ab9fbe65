//! One question to DNS: which servers has a service (RFC 1035, RFC 2782).
//!
//! libc's resolver gives no SRV records without unsafe code, and knows no deadline. What is here asks the name
//! servers of /etc/resolv.conf and nothing else. Whatever they answer is a hint: anybody on the way could have
//! written it. Which server is trusted is decided by `srv_hosts` and by TLS.

mod message;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use super::connect::{Deadline, read_array, read_exactly};
use super::{Fault, Step};
pub use message::Record;
use message::{Answer, query, read};

/// Where the name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The most of that file that is read, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// How many name servers are asked; as many as libc asks.
const MOST_SERVERS: usize = 3;

/// How often each of them is asked: datagrams get lost.
const ROUNDS: usize = 2;

/// The SRV records of `name`; empty if there are none.
pub fn servers_of(name: &str, deadline: Deadline) -> Result<Vec<Record>, Fault> {
    let ignorant = |why: String| Fault::Dns(name.to_string(), why);
    let id = tls::random().ok_or_else(|| ignorant("this host has no random numbers".to_string()))?;
    let query = query(id, name).ok_or_else(|| ignorant("this is no name of a domain".to_string()))?;
    let servers = name_servers(&read_resolv_conf());
    let mut why = String::new();
    let tries = servers.iter().cycle().take(servers.len() * ROUNDS);
    for (tried, server) in tries.enumerate() {
        let share = deadline.share(servers.len() * ROUNDS - tried);
        match exchange(*server, &query, share) {
            Ok(Answer::Records(records)) => return Ok(records),
            Ok(Answer::Refused(code)) => why = format!("{server} answers with code {code}"),
            Ok(Answer::Truncated) => why = format!("{server} sends half an answer"),
            Err(error) => why = format!("{server}: {error}"),
        }
    }
    Err(ignorant(why))
}

fn read_resolv_conf() -> String {
    let mut text = String::new();
    // Whatever is missing or wrong, the server of this host may answer; resolver(5) says the same.
    let _ = File::open(RESOLV_CONF).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text));
    text
}

fn name_servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let ip = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        ip.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 53))
    };
    let mut servers: Vec<_> = resolv_conf.lines().filter_map(address).take(MOST_SERVERS).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53));
    }
    servers
}

/// Asks one server, by datagram and, where the answer does not fit into one, by TCP.
fn exchange(server: SocketAddr, query: &[u8], deadline: Deadline) -> io::Result<Answer> {
    match by_datagram(server, query, deadline)? {
        Answer::Truncated => by_tcp(server, query, deadline),
        answer => Ok(answer),
    }
}

fn by_datagram(server: SocketAddr, query: &[u8], deadline: Deadline) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected: datagrams of others are dropped, and a port where nobody listens is reported at once.
    socket.connect(server)?;
    socket.send(query)?;
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.left(Step::Discover).map_err(|_| io::ErrorKind::TimedOut)?;
        socket.set_read_timeout(Some(left))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        // What is no answer to this question may be a forgery of one: the real one may still come.
        if let Some(answer) = buffer.get(..length).and_then(|message| read(message, query)) {
            return Ok(answer);
        }
    }
}

fn by_tcp(server: SocketAddr, query: &[u8], deadline: Deadline) -> io::Result<Answer> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = TcpStream::connect_timeout(&server, deadline.left(Step::Discover).map_err(late)?)?;
    stream.set_write_timeout(Some(deadline.left(Step::Discover).map_err(late)?))?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat())?;
    let broken = |fault: Fault| io::Error::other(fault.to_string());
    let length = u16::from_be_bytes(read_array(&mut stream, Step::Discover, deadline).map_err(broken)?);
    let mut message = vec![0; usize::from(length)];
    read_exactly(&mut stream, &mut message, Step::Discover, deadline).map_err(broken)?;
    read(&message, query).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_those_of_resolv_conf_or_this_host() {
        let servers = |text: &str| name_servers(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.1\nnameserver\tfd00::1 \nnameserver x\n\
                    nameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text), ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.3:53"]);
        assert_eq!(servers(""), ["127.0.0.1:53"]);
    }
}
