//! One question to DNS: which servers has a service (RFC 1035, RFC 2782).
//!
//! libc's resolver gives no SRV records without unsafe code, and knows no deadline. What is here asks the name
//! servers of /etc/resolv.conf and nothing else. Whatever they answer is a hint: anybody on the way could have
//! written it. Who is believed is decided by `srv_hosts` and by TLS.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};

use rustls::crypto::ring;

use super::connect::{Deadline, read_array, read_exactly};
use super::{Fault, Step};

/// Where the name servers are.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The most of that file that is read, in bytes.
const LONGEST_FILE: u64 = 64 * 1024;

/// How many name servers are asked; as many as libc asks.
const MOST_SERVERS: usize = 3;

/// How often each of them is asked: datagrams get lost.
const ROUNDS: usize = 2;

/// The type SRV and the class IN.
const SRV_IN: [u8; 4] = [0, 33, 0, 1];

/// The bytes before the question.
const HEADER: usize = 12;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// One server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Lower ones are asked first.
    pub priority: u16,
    /// The share of clients that it wants, among those of its priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its name, without a dot at the end; empty if the service is not offered.
    pub target: String,
}

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// These records; none if there is no such name.
    Records(Vec<Record>),
    /// More than fits into a datagram.
    Truncated,
    /// That it cannot tell; its code.
    Refused(u8),
}

/// The SRV records of `name`; empty if there are none.
pub fn servers_of(name: &str, deadline: Deadline) -> Result<Vec<Record>, Fault> {
    let mut id = [0; 2];
    let ignorant = |why: String| Fault::Dns(name.to_string(), why);
    let random = ring::default_provider().secure_random.fill(&mut id);
    random.map_err(|_| ignorant("this host has no random numbers".to_string()))?;
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
    // Connected: datagrams of others are dropped, and a port where nobody listens is told at once.
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

/// The question about the SRV records of `name`; `None` if that cannot be a name.
fn query(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    // A question, recursion desired; one question and nothing else.
    let mut query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        query.push(length);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(SRV_IN);
    (name.len() < LONGEST_NAME - 1).then_some(query)
}

/// What `message` answers to `query`; `None` if it is something else.
fn read(message: &[u8], query: &[u8]) -> Option<Answer> {
    let &[id1, id0, flags, code, 0, 1, count1, count0, ..] = message.first_chunk::<HEADER>()? else {
        return None;
    };
    let asked = query.get(HEADER..)?;
    let mut at = HEADER + asked.len();
    let question = message.get(HEADER..at)?;
    let response = flags & 0xf8 == 0x80;
    if !query.starts_with(&[id1, id0]) || !response || !question.eq_ignore_ascii_case(asked) {
        return None;
    }
    match code & 0x0f {
        _ if flags & 2 != 0 => return Some(Answer::Truncated),
        0 => {}
        // There is no such name.
        3 => return Some(Answer::Records(Vec::new())),
        refused => return Some(Answer::Refused(refused)),
    }
    let mut records = Vec::new();
    for _ in 0..u16::from_be_bytes([count1, count0]) {
        let (record, after) = resource(message, at)?;
        records.extend(record);
        at = after;
    }
    Some(Answer::Records(records))
}

/// The resource record at `at`, if it is an SRV, and where the next one begins.
fn resource(message: &[u8], at: usize) -> Option<(Option<Record>, usize)> {
    let (_owner, at) = name(message, at)?;
    let &[type1, type0, class1, class0, _, _, _, _, length1, length0] =
        message.get(at..)?.first_chunk::<10>()?;
    let begin = at + 10;
    let end = begin + usize::from(u16::from_be_bytes([length1, length0]));
    let data = message.get(begin..end)?;
    if [type1, type0, class1, class0] != SRV_IN {
        // The alias that leads to the records, for example.
        return Some((None, end));
    }
    let &[priority1, priority0, weight1, weight0, port1, port0] = data.first_chunk()?;
    let (target, _) = name(message, begin + 6)?;
    let record = Record {
        priority: u16::from_be_bytes([priority1, priority0]),
        weight: u16::from_be_bytes([weight1, weight0]),
        port: u16::from_be_bytes([port1, port0]),
        target,
    };
    Some((Some(record), end))
}

/// The name at `at`, in small letters, and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    let (mut part, mut end) = (at, None);
    loop {
        let length = *message.get(at)?;
        at += 1;
        match length {
            0 => return Some((name, end.unwrap_or(at))),
            1..64 => {
                let label = message.get(at..at + usize::from(length))?;
                if !label.iter().all(fits) || name.len() + label.len() >= LONGEST_NAME {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                at += label.len();
            }
            // It goes on elsewhere; only ever further to the front, so that it comes to an end.
            0xc0.. => {
                let elsewhere = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at)?);
                if elsewhere >= part {
                    return None;
                }
                end = end.or(Some(at + 1));
                (part, at) = (elsewhere, elsewhere);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06_ldaps\x04_tcp\x07example\x03com\0\0\x21\0\x01";

    /// An answer with this code and these records.
    fn answer(code: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut message = QUESTION.to_vec();
        message[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        message[7] = records.len() as u8;
        message.extend(records.concat());
        message
    }

    /// For the name that was asked about: priority 1, weight 2, port 636, and `ldap1` before `example.com`.
    const RECORD: &[u8] = b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0e\0\x01\0\x02\x02\x7c\x05Ldap1\xc0\x18";

    #[test]
    fn a_question_is_written_as_the_protocol_says() {
        assert_eq!(query([0x12, 0x34], "_ldaps._tcp.example.com").as_deref(), Some(QUESTION));
        for bad in ["", "a..b", "a.", &"x".repeat(64), &["x"; 128].join(".")] {
            assert_eq!(query([0, 0], bad), None, "{bad}");
        }
    }

    #[test]
    fn records_are_read_with_their_names_put_together() {
        let expected = Record { priority: 1, weight: 2, port: 636, target: "ldap1.example.com".to_string() };
        let alias: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x18";
        let read = |message: &[u8]| read(message, QUESTION);
        let records = vec![expected.clone(), expected];
        assert_eq!(read(&answer(0, &[RECORD, alias, RECORD])), Some(Answer::Records(records)));
        assert_eq!(read(&answer(0, &[])), Some(Answer::Records(Vec::new())));
        assert_eq!(read(&answer(3, &[])), Some(Answer::Records(Vec::new())));
        assert_eq!(read(&answer(2, &[])), Some(Answer::Refused(2)));
        let mut truncated = answer(0, &[]);
        truncated[2] |= 2;
        assert_eq!(read(&truncated), Some(Answer::Truncated));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let good = answer(0, &[RECORD]);
        for end in 0..good.len() {
            assert_eq!(read(&good[..end], QUESTION), None, "{end} bytes");
        }
        // Number, direction, kind of question, question; a name that leads to itself, to what follows, or has a
        // label of no known kind or an odd letter.
        for (at, byte) in [(0, 0), (2, 1), (2, 0x89), (14, b'x'), (42, 41), (66, 72), (59, 0x80), (60, b' ')]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(read(&bad, QUESTION), None, "{at}");
        }
    }

    #[test]
    fn no_bytes_make_it_stop_or_run_for_ever() {
        let good = answer(0, &[RECORD, RECORD]);
        for at in HEADER..good.len() {
            for byte in 0..=255 {
                let mut odd = good.clone();
                odd[at] = byte;
                let _ = read(&odd, QUESTION);
            }
        }
    }

    #[test]
    fn name_servers_are_those_of_resolv_conf_or_this_host() {
        let servers = |text: &str| name_servers(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        let text = "# nameserver 9.9.9.9\nsearch x\nnameserver 10.0.0.1\nnameserver\tfd00::1 \nnameserver x\n\
                    nameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        assert_eq!(servers(text), ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.3:53"]);
        assert_eq!(servers(""), ["127.0.0.1:53"]);
    }
}
