//! The socket by which the running program is told of events. Everybody may connect; who is heard, the kernel says.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use host::clock::now;
use host::output::complain;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, getsockopt, listen, socket,
    sockopt::PeerCredentials,
};
use policy::OneLine;

use super::journal::Journal;
use super::{Event, LONGEST};
use crate::PROGRAM;
use crate::config::Events;

/// How long one connection may take: whoever is heard sends at once.
const PATIENCE: Duration = Duration::from_millis(500);

/// So many connections wait; one more is told that the program is busy.
const WAITING: i32 = 64;

/// How often it is asked who is in `users`, where somebody there is not known.
const AGAIN: Duration = Duration::from_secs(5);

const MINUTE: Duration = Duration::from_secs(60);

/// The most users who are not heard and about whom a line was written.
const MOST_STRANGERS: usize = 100;

/// What answers.
pub struct Listener {
    socket: UnixListener,
    journal: Journal,
    host: String,
    events: Events,
    /// Who is heard, by uid, and what they are called.
    users: BTreeMap<u32, String>,
    /// When somebody in `users` was last not known to this host.
    unknown: Option<Instant>,
    minutes: BTreeMap<u32, Minute>,
    strangers: Vec<u32>,
}

/// What one user told in a minute.
struct Minute {
    began: Instant,
    taken: u32,
    refused: u32,
}

impl Listener {
    /// Listens at `path`, and keeps events in the file `journal`.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn open(events: &Events, path: &Path, journal: &Path) -> Result<Self, String> {
        // At a boot the directory may come later than this program.
        let (users, problems) = events.uids();
        for problem in &problems {
            complain(
                PROGRAM,
                format_args!(
                    "{problem}, so it is not heard yet; asked again when somebody tells of an event"
                ),
            );
        }
        let unknown = (!problems.is_empty()).then(Instant::now);
        let kept = Journal::open(journal).map_err(|error| format!("{}: {error}", journal.display()))?;
        if UnixStream::connect(path).is_ok() {
            return Err(format!("{}: another program listens there", path.display()));
        }
        let socket = bound(path).map_err(|error| {
            format!("{}: {error}; the unit's RuntimeDirectory makes the directory", path.display())
        })?;
        let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let host = host.unwrap_or_default();
        let (events, minutes) = (events.clone(), BTreeMap::new());
        Ok(Self { socket, journal: kept, host, events, users, unknown, minutes, strangers: vec![] })
    }

    /// Answers in a thread of its own, for ever.
    ///
    /// # Errors
    /// This host has no thread for it.
    pub fn start(mut self) -> io::Result<()> {
        let run = move || {
            loop {
                match self.socket.accept() {
                    Ok((stream, _)) => {
                        let said = self.take(&stream, Instant::now());
                        answer(
                            &stream,
                            &said.map_or_else(|problem| format!("refused: {problem}"), |()| "taken".into()),
                        );
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    // No more descriptors: what is being delivered has them.
                    Err(_) => host::child::pause(Duration::from_millis(20)),
                }
            }
        };
        thread::Builder::new().name("event".into()).stack_size(512 * 1024).spawn(run).map(drop)
    }

    /// One event.
    fn take(&mut self, stream: &UnixStream, at: Instant) -> Result<(), String> {
        let peer = getsockopt(stream, PeerCredentials).map_err(|error| error.to_string())?;
        self.ask_again(peer.uid(), at);
        let teller = self.teller(peer.uid())?;
        let event = Event::parse(&receive(stream, at + PATIENCE)?)?;
        self.judge(peer.uid(), at)?;
        let line = event.line(&self.host, &teller, now());
        self.journal.add(&line).map_err(|error| {
            complain(PROGRAM, format_args!("an event cannot be kept and is not told: {error}"));
            format!("it cannot be kept: {error}")
        })
    }

    /// Asks once more who is in `users`, if this uid may be of somebody who was not known.
    fn ask_again(&mut self, uid: u32, at: Instant) {
        let is_due = |asked: Instant| at.saturating_duration_since(asked) >= AGAIN;
        if self.users.contains_key(&uid) || !self.unknown.is_some_and(is_due) {
            return;
        }
        let (users, problems) = self.events.uids();
        for user in users.values().filter(|user| !self.users.values().any(|known| known == *user)) {
            complain(PROGRAM, format_args!("[event] users: {user} is known by now, and is heard"));
        }
        (self.users, self.unknown) = (users, (!problems.is_empty()).then_some(at));
    }

    /// Who this is, if they are heard.
    fn teller(&mut self, uid: u32) -> Result<String, String> {
        if let Some(name) = self.users.get(&uid) {
            return Ok(format!("{name} (uid {uid})"));
        }
        if self.strangers.len() < MOST_STRANGERS && !self.strangers.contains(&uid) {
            self.strangers.push(uid);
            let told =
                format_args!("uid {uid} told of an event and is not in `users` of [event]; it is not heard");
            complain(PROGRAM, told);
        }
        Err(format!("uid {uid} is not in `users` of [event] in notify.toml"))
    }

    /// May this user tell one more in this minute?
    fn judge(&mut self, uid: u32, at: Instant) -> Result<(), String> {
        let fresh = Minute { began: at, taken: 0, refused: 0 };
        let minute = self.minutes.entry(uid).or_insert(fresh);
        if at.saturating_duration_since(minute.began) >= MINUTE {
            if minute.refused > 0 {
                let refused = host::output::counted(minute.refused as usize, "event");
                complain(
                    PROGRAM,
                    format_args!("{refused} of uid {uid} came above `most_a_minute` and are not told"),
                );
            }
            *minute = Minute { began: at, taken: 0, refused: 0 };
        }
        if minute.taken < self.events.most_a_minute {
            minute.taken += 1;
            return Ok(());
        }
        if minute.refused == 0 {
            complain(
                PROGRAM,
                format_args!(
                    "uid {uid} tells more than `most_a_minute` events ({})",
                    self.events.most_a_minute
                ),
            );
        }
        minute.refused += 1;
        Err(format!(
            "more than {} events in a minute (`most_a_minute` of [event])",
            self.events.most_a_minute
        ))
    }
}

/// The socket, in the place of one that a run before left.
fn bound(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&made), &UnixAddr::new(path)?)?;
    listen(&made, Backlog::new(WAITING)?)?;
    // Who is not heard is told so.
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(UnixListener::from(made))
}

/// All that is sent, until its end.
fn receive(mut stream: &UnixStream, end: Instant) -> Result<Vec<u8>, String> {
    let (mut sent, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err("nothing whole came".into());
        }
        match stream.read(&mut part) {
            Ok(0) => return Ok(sent),
            Ok(length) => sent.extend(part.iter().take(length)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err("nothing whole came".into()),
        }
        if sent.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
    }
}

fn answer(mut stream: &UnixStream, text: &str) {
    let line = format!("{}\n", OneLine::from(text));
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write(line.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Span;

    fn listener(directory: &Path, users: &str, most: u32) -> Listener {
        let events = Events {
            users: vec![users.into()],
            window: Some(Span::minutes(10)),
            most_a_minute: most,
            person: crate::config::PERSON.into(),
        };
        Listener::open(&events, &directory.join("event.sock"), &directory.join("events/events.jsonl"))
            .unwrap()
    }

    /// What is answered to somebody who connects, says this, and shuts their end or not.
    fn told(listener: &mut Listener, directory: &Path, sent: &[u8], ends: bool) -> Result<(), String> {
        let mut client = UnixStream::connect(directory.join("event.sock")).unwrap();
        let (stream, _) = listener.socket.accept().unwrap();
        // More than a socket holds is written while it is read.
        let sent = sent.to_vec();
        let writes = thread::spawn(move || {
            let _ = client.write_all(&sent);
            if ends {
                let _ = client.shutdown(std::net::Shutdown::Write);
            }
            client
        });
        let outcome = listener.take(&stream, Instant::now());
        drop(stream);
        writes.join().unwrap();
        outcome
    }

    const ALICE: &[u8] = b"{\"version\":1,\"values\":{\"common_name\":\"alice\"}}";

    #[test]
    fn a94_who_is_not_listed_is_not_heard_and_what_is_no_event_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let own = nix::unistd::getuid().to_string();
        let mut other = listener(directory.path(), "4294967294", 600);
        for _ in 0..3 {
            let refused = told(&mut other, directory.path(), ALICE, true).unwrap_err();
            assert_eq!(refused, format!("uid {own} is not in `users` of [event] in notify.toml"));
        }
        assert_eq!(other.strangers.len(), 1, "one line in the log");
        drop(other);
        let mut heard = listener(directory.path(), &own, 600);
        assert!(
            told(&mut heard, directory.path(), &vec![b' '; 2 * LONGEST], true)
                .unwrap_err()
                .contains("longer")
        );
        assert!(told(&mut heard, directory.path(), b"", true).unwrap_err().contains("no event"));
        assert_eq!(told(&mut heard, directory.path(), ALICE, false), Err("nothing whole came".into()));
        assert_eq!(told(&mut heard, directory.path(), ALICE, true), Ok(()));
        let kept = fs::read_to_string(directory.path().join("events/events.jsonl")).unwrap();
        assert_eq!(kept.lines().count(), 1);
        assert!(kept.contains(&format!("\"teller\":\"{own} (uid {own})\"")), "{kept}");
    }

    #[test]
    fn one_user_tells_so_much_in_a_minute_and_takes_nothing_from_another() {
        let directory = tempfile::tempdir().unwrap();
        let mut listener = listener(directory.path(), "990", 5);
        let begin = Instant::now();
        let taken = |listener: &mut Listener, uid: u32, at| {
            (0..8).filter(|_| listener.judge(uid, at).is_ok()).count()
        };
        assert_eq!((taken(&mut listener, 990, begin), taken(&mut listener, 990, begin)), (5, 0));
        assert_eq!(listener.minutes[&990].refused, 11);
        assert_eq!(taken(&mut listener, 991, begin), 5);
        assert_eq!(taken(&mut listener, 990, begin + MINUTE), 5);
    }

    #[test]
    fn two_programs_do_not_listen_in_one_place() {
        let directory = tempfile::tempdir().unwrap();
        let first = listener(directory.path(), "990", 5);
        let events =
            Events { users: vec!["990".into()], window: None, most_a_minute: 5, person: "person".into() };
        let (socket, journal) = (directory.path().join("event.sock"), directory.path().join("other/e.jsonl"));
        let refused = Listener::open(&events, &socket, &journal).map(drop).unwrap_err();
        assert!(refused.contains("another program listens there"), "{refused}");
        drop(first);
        assert!(
            Listener::open(&events, &socket, &journal).is_ok(),
            "what a run before left is in nobody's way"
        );
    }
}
