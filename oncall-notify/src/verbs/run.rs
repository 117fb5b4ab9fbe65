//! `run`: follows the files and tells the channels, until it is ended; `run --dry-run`: what would be told now.

use std::path::Path;
use std::time::Duration;

use host::clock::now;
use host::output::complain;
use host::said::{CANNOT_TELL, Said};
use policy::Timestamp;
use publish::{PublishError, SyncLock};

use super::load;
use crate::PROGRAM;
use crate::channels::{message, recipient};
use crate::config::Config;
use crate::courier::Courier;
use crate::engine::{Engine, make, takes, understood};
use crate::event::listen::Listener;
use crate::event::{self, SOCKET};
use crate::follow::Follower;
use crate::notice::{Notice, One};
use crate::spool::Entry;
use crate::state::State;
use crate::watch::Watch;

/// How long nothing is tried after the state could not be written.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);

/// The most messages that a dry run prints.
const MOST_SHOWN: usize = 1_000;

/// Runs until it is ended; what it says instead.
pub fn run(path: &Path) -> Said {
    let config = match load(path) {
        Ok(config) => config,
        Err(said) => return said,
    };
    if let Err(error) = make(&config.state) {
        return Said::failure(CANNOT_TELL, format_args!("{}: {error}", config.state.display()));
    }
    // Two of them would tell everything twice.
    let lock = match SyncLock::take(&config.state.join("state.json")) {
        Ok(lock) => lock,
        Err(PublishError::Busy(lock)) => {
            let told =
                format_args!("another oncall-notify runs (it holds {}), nothing was done", lock.display());
            return Said::failure(CANNOT_TELL, told);
        }
        Err(error) => return Said::failure(CANNOT_TELL, error),
    };
    let said = match Engine::open(config, now()).and_then(|engine| hear(&engine).map(|()| engine)) {
        Ok(engine) => follow(engine),
        Err(problem) => Said::failure(CANNOT_TELL, problem),
    };
    drop(lock);
    said
}

/// Hears of events from now on, if somebody may tell of some.
fn hear(engine: &Engine) -> Result<(), String> {
    let Some(events) = &engine.config.events else { return Ok(()) };
    let listener = Listener::open(events, Path::new(SOCKET), &event::journal(&engine.config.state))?;
    listener.start().map_err(|error| format!("events have no thread: {error}"))
}

fn follow(mut engine: Engine) -> Said {
    for channel in engine.config.channels.clone() {
        let Some(spool) = engine.spools.get(&channel.name).cloned() else { continue };
        let courier = Courier { channel, people: engine.config.people.clone(), spool };
        if let Err(error) = courier.start() {
            return Said::failure(CANNOT_TELL, format_args!("a channel has no thread: {error}"));
        }
    }
    complain(PROGRAM, format_args!("following; {}", host::output::counted(engine.spools.len(), "channel")));
    let mut watch = Watch::new();
    loop {
        match engine.step(now()) {
            Ok(step) if step.more => engine.wait_for_room(),
            Ok(step) => {
                if !watch.set(&engine.directories(&step.found)) {
                    watch.wait(until(engine.state.next_end(), now()));
                }
            }
            Err(problem) => {
                engine.follower.tell_once(&format!("{problem}; what was read is read again"));
                host::child::pause(AFTER_TROUBLE);
            }
        }
    }
}

/// How long it is until then.
fn until(end: Option<i64>, now: Timestamp) -> Option<Duration> {
    end.map(|end| Duration::from_secs(u64::try_from(end.saturating_sub(now.unix())).unwrap_or(0)))
}

/// What each channel would be told of what was not read yet; changes nothing. Without windows, which need time.
pub fn dry(path: &Path) -> Said {
    let mut config = match load(path) {
        Ok(config) => config,
        Err(said) => return said,
    };
    if config.events.is_some() {
        config.files.push(event::journal(&config.state));
    }
    let positions = match State::load(&config.state) {
        Ok(state) => state.unwrap_or_default().positions,
        Err(problem) => return Said::failure(CANNOT_TELL, problem),
    };
    let mut follower = Follower::new(positions);
    let (mut shown, mut left_out) = (Vec::new(), 0_usize);
    loop {
        let files = follower.look(&config.files, false, now().unix());
        let mut more = false;
        for (number, found) in &files {
            let chunk = match follower.read(*number, found) {
                Ok(chunk) => chunk,
                Err(error) => {
                    return Said::failure(CANNOT_TELL, format_args!("{}: {error}", found.path.display()));
                }
            };
            more |= chunk.more;
            let records = chunk.lines.iter().filter_map(|line| understood(&config, line));
            for one in records.filter(|one| one.get("event") != "test").collect::<Vec<_>>() {
                let told = told(&config, &one, &mut follower);
                let room = MOST_SHOWN.saturating_sub(shown.len());
                left_out += told.len().saturating_sub(room);
                shown.extend(told.into_iter().take(room));
            }
        }
        if !more {
            break;
        }
    }
    let summary = match (shown.is_empty(), left_out) {
        (true, _) => "nothing would be told".to_string(),
        (_, 0) => {
            format!("{} would be told, nothing was sent", host::output::counted(shown.len(), "message"))
        }
        (_, more) => format!("and {more} more; nothing was sent"),
    };
    shown.push(summary);
    Said::text(shown.join("\n"))
}

/// What channels would say of one record, with whom they would tell.
fn told(config: &Config, one: &One, follower: &mut Follower) -> Vec<String> {
    let mut all = Vec::new();
    for channel in &config.channels {
        if !takes(channel, one, follower) {
            continue;
        }
        let notice = Notice::One(one.clone());
        let entry = Entry { covers: vec![], recipient: recipient(channel, &notice), notice };
        let text = match message(channel, &config.people, &entry) {
            Ok(message) => {
                let reader = message.reader.map(|reader| format!(" to {reader}")).unwrap_or_default();
                format!("{}{reader}: {}", channel.name, message.text.replace('\n', "\n    "))
            }
            Err(failure) => format!("{}: nobody is told: {}", channel.name, failure.why()),
        };
        all.push(text);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::event::journal::Journal;

    #[test]
    fn a_dry_run_shows_events_too() {
        let directory = tempfile::tempdir_in("/run").expect("these tests write to /run and need root");
        let (path, state) = (directory.path().join("notify.toml"), directory.path().join("state"));
        let text = format!(
            "files = ['{}/records']\nstate = '{}'\n[event]\nusers = ['root']\n\
             [[channel]]\nname = 'log'\nfilter = \"event == 'vpn'\"\ngelf = {{ server = '127.0.0.1:1', transport = 'tcp' }}\n",
            directory.path().display(),
            state.display()
        );
        std::fs::write(&path, text).unwrap();
        let event = Event::read(|name| (name == "common_name").then(|| "alice".to_string()));
        let line = event.line("vpn1", "root (uid 0)", now());
        Journal::open(&event::journal(&state)).unwrap().add(&line).unwrap();
        let said = format!("{:?}", dry(&path));
        assert!(said.contains("log: ") && said.contains("alice"), "{said}");
        assert!(said.contains("1 message would be told"), "{said}");
    }
}
