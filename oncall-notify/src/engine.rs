//! From lines to what waits for channels: read, filter, window, spool, and then what is remembered, in this order. A
//! process that is killed in between reads the same lines again and writes the same notices over again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::Timestamp;

use crate::channels::recipient;
use crate::config::{Channel, Config, PERSON};
use crate::event;
use crate::follow::places::{Found, directories, in_order};
use crate::follow::{Follower, Line};
use crate::notice::{Notice, One};
use crate::spool::{Entry, Spool};
use crate::state::{Offer, State};
use crate::words;

/// A record that is older when it is read came late, and is told with others that did.
const LATE: i64 = 3_600;

/// So many bytes are read in one step, over all files: of a thousand hosts that were away a step must not hold all.
const MOST_READ: usize = 1024 * 1024;

/// How long reading waits for a channel that delivers and has much to do, after each step.
const PATIENCE: Duration = Duration::from_secs(2);

/// All that a run works with.
pub struct Engine {
    pub config: Config,
    pub follower: Follower,
    pub state: State,
    /// By the names of channels.
    pub spools: BTreeMap<String, Arc<Spool>>,
    /// Does this host run it for the first time? Then files that are there are read from their end.
    first: bool,
    /// With whose files the next step begins, so that none waits for others that are written without end.
    turn: usize,
}

/// What came of a step.
pub struct Step {
    /// Is there more to read?
    pub more: bool,
    /// The files that there are.
    pub found: Vec<Found>,
}

/// A notice on its way to a channel.
struct Outgoing {
    channel: usize,
    notice: Notice,
}

impl Engine {
    /// Takes up what was left in the state directory; `now`: the first run begins here.
    ///
    /// # Errors
    /// What cannot be read or made.
    pub fn open(mut config: Config, now: Timestamp) -> Result<Self, String> {
        let kept = State::load(&config.state)?;
        let first = kept.is_none();
        let mut state = kept.unwrap_or_default();
        state.keep_channels(|name| config.channel(name).is_some());
        let mut spools = BTreeMap::new();
        for channel in &config.channels {
            let directory = spool_of(&config.state, &channel.name);
            let spool = Spool::open(&directory, channel.most, state.next)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
            spools.insert(channel.name.clone(), Arc::new(spool));
        }
        if config.events.is_some() {
            config.files.push(event::journal(&config.state));
        }
        let follower = Follower::new(std::mem::take(&mut state.positions));
        let mut engine = Self { config, follower, state, spools, first, turn: 0 };
        if first {
            engine.follower.look(&engine.config.files, true, now.unix());
            engine.save()?;
            engine.first = false;
        }
        Ok(engine)
    }

    /// Reads on in each file once, and tells channels what came of it.
    ///
    /// # Errors
    /// Nothing was remembered: what was read will be read again.
    pub fn step(&mut self, now: Timestamp) -> Result<Step, String> {
        let before = (self.follower.positions.clone(), self.state.clone());
        let outcome = self.try_step(now);
        if outcome.is_err() {
            let next = self.state.next;
            (self.follower.positions, self.state) = before;
            // No number is given twice, whatever became of what was written.
            self.state.next = next;
        }
        outcome
    }

    fn try_step(&mut self, now: Timestamp) -> Result<Step, String> {
        let files = self.follower.look(&self.config.files, self.first, now.unix());
        let moved = self.follower.positions.clone();
        let mut groups = in_order(files);
        let (lines, more) = self.read(&mut groups);
        let mut outgoing = self.sort(lines, now);
        outgoing.extend(self.ended(more, now));
        let found = groups.into_iter().flatten().map(|(_, found)| found).collect();
        if !outgoing.is_empty() || moved != self.follower.positions || self.state.positions != moved {
            self.hand_over(outgoing)?;
        }
        Ok(Step { more, found })
    }

    /// Reads on, of each sender or of as many as a step has room for, the older files first; is there more?
    fn read(&mut self, groups: &mut [Vec<(usize, Found)>]) -> (Vec<Line>, bool) {
        let (mut lines, mut more, mut bytes) = (Vec::new(), false, 0);
        let begin = std::mem::take(&mut self.turn);
        if !groups.is_empty() {
            groups.rotate_left(begin % groups.len());
        }
        for (count, group) in groups.iter().enumerate() {
            if bytes >= MOST_READ {
                (self.turn, more) = (begin + count, true);
                break;
            }
            for (number, found) in group {
                match self.follower.read(*number, found) {
                    Ok(chunk) => {
                        bytes += chunk.bytes;
                        self.count_unreadable(chunk.unreadable, &found.path);
                        lines.extend(chunk.lines);
                        if chunk.more {
                            more = true;
                            break;
                        }
                    }
                    Err(error) => self.follower.tell_once(&format!("{}: {error}", found.path.display())),
                }
            }
        }
        (lines, more)
    }

    fn count_unreadable(&mut self, count: u64, path: &Path) {
        if count > 0 {
            self.state.unreadable = self.state.unreadable.saturating_add(count);
            let told = format!(
                "{}: has lines that are no records; they are counted and passed over",
                path.display()
            );
            self.follower.tell_once(&told);
        }
    }

    /// Which channels take which records.
    fn sort(&mut self, lines: Vec<Line>, now: Timestamp) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for line in lines {
            let Some(one) = understood(&self.config, &line) else {
                self.count_unreadable(1, &line.directory);
                continue;
            };
            // Nobody logged in.
            if one.get("event") == "test" || !self.is_news(&line, &one, now.unix()) {
                continue;
            }
            let sender = format!("{} {}", line.directory.display(), line.sender);
            let is_late = now.unix().saturating_sub(one.at) > LATE;
            for number in 0..self.config.channels.len() {
                let Some(channel) = self.config.channels.get(number) else { continue };
                if !takes(channel, &one, &mut self.follower) {
                    continue;
                }
                let told = match channel.window {
                    None => Some(one.clone()),
                    Some(length) => {
                        let (channel, tells_people) = (&channel.name, channel.kind.tells_people());
                        let (length, one, sender) = (length.as_seconds(), one.clone(), sender.as_str());
                        let offer = Offer { channel, length, tells_people, sender, one, is_late };
                        self.state.offer(offer, now.unix())
                    }
                };
                outgoing.extend(told.map(|one| Outgoing { channel: number, notice: Notice::One(one) }));
            }
        }
        outgoing
    }

    /// Did it not come before, and is it not of a client of the VPN that was there a moment ago?
    fn is_news(&mut self, line: &Line, one: &One, now: i64) -> bool {
        if one.get("event") != event::VPN {
            return self.state.is_new(line, one, now);
        }
        let window = self.config.events.as_ref().and_then(|events| events.window);
        window.is_none_or(|window| self.state.is_first(event::client(one), window.as_seconds(), now))
    }

    /// What is told of windows that have ended.
    fn ended(&mut self, more: bool, now: Timestamp) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for (number, channel) in self.config.channels.iter().enumerate() {
            let Some(length) = channel.window else { continue };
            let digests = self.state.ended(&channel.name, length.as_seconds(), more, now.unix());
            let digests = digests
                .into_iter()
                .map(|many| Outgoing { channel: number, notice: Notice::Many(many.into()) });
            outgoing.extend(digests);
        }
        outgoing
    }

    /// Writes what is to be delivered, then remembers it, then has it delivered.
    fn hand_over(&mut self, outgoing: Vec<Outgoing>) -> Result<(), String> {
        let mut written: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let outcome = self.write(outgoing, &mut written).and_then(|()| self.save());
        if let Err(problem) = outcome {
            self.take_back(&written);
            return Err(problem);
        }
        for (name, numbers) in written {
            let Some(spool) = self.spools.get(&name) else { continue };
            let dropped = spool.enqueue(&numbers);
            if dropped > 0 {
                let told =
                    format!("channel {name}: {dropped} records are not told, there is no room for more");
                host::output::complain(crate::PROGRAM, told);
            }
        }
        Ok(())
    }

    /// Writes it for each channel, and makes it last; `written`: the numbers, by channel.
    fn write(
        &mut self,
        outgoing: Vec<Outgoing>,
        written: &mut BTreeMap<String, Vec<u64>>,
    ) -> Result<(), String> {
        for one in outgoing {
            let Some(channel) = self.config.channels.get(one.channel) else { continue };
            let Some(spool) = self.spools.get(&channel.name) else { continue };
            let entry =
                Entry { covers: vec![], recipient: recipient(channel, &one.notice), notice: one.notice };
            let number = self.state.next;
            self.state.next += 1;
            written.entry(channel.name.clone()).or_default().push(number);
            spool.write(number, &entry).map_err(|error| error.to_string())?;
        }
        for name in written.keys() {
            if let Some(spool) = self.spools.get(name) {
                spool.sync().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    /// Removes what was written in a step that failed: it is read and written again.
    fn take_back(&self, written: &BTreeMap<String, Vec<u64>>) {
        for (name, numbers) in written {
            let Some(spool) = self.spools.get(name) else { continue };
            for number in numbers {
                if let Err(error) = spool.remove(*number) {
                    let told =
                        format!("channel {name}: what is not to be told yet cannot be removed: {error}");
                    host::output::complain(crate::PROGRAM, told);
                }
            }
        }
    }

    fn save(&mut self) -> Result<(), String> {
        self.state.positions.clone_from(&self.follower.positions);
        let saved = self.state.save(&self.config.state);
        // It may be in its place although not everything about it went well; then that is what the next run begins with.
        saved.or_else(|problem| match State::load(&self.config.state) {
            Ok(Some(kept)) if kept == self.state => Ok(()),
            _ => Err(problem),
        })
    }

    /// Waits for channels that deliver and have much to do.
    pub fn wait_for_room(&self) {
        self.spools.values().for_each(|spool| spool.wait_for_room(PATIENCE));
    }

    /// Where something new shows.
    pub fn directories(&self, found: &[Found]) -> Vec<PathBuf> {
        directories(&self.config.files, found)
    }
}

/// A record; in the one file that only this program writes an event.
pub fn understood(config: &Config, line: &Line) -> Option<One> {
    let journal = event::journal(&config.state);
    if Some(line.directory.as_path()) != journal.parent() {
        return One::read(&line.text, &line.sender);
    }
    let person = config.events.as_ref().map_or(PERSON, |events| events.person.as_str());
    event::read(&line.text, person)
}

/// The directory of what waits for a channel.
pub fn spool_of(state: &Path, channel: &str) -> PathBuf {
    state.join("spool").join(channel)
}

/// Does the channel take it? If its filter cannot tell, it does.
pub fn takes(channel: &Channel, one: &One, follower: &mut Follower) -> bool {
    words::takes(&channel.filter, &Notice::One(one.clone())).unwrap_or_else(|problem| {
        follower.tell_once(&format!(
            "channel {}: filter: {problem}; it takes what it cannot judge",
            channel.name
        ));
        true
    })
}

/// Makes the directory that belongs to this program.
///
/// # Errors
/// It cannot be made.
pub fn make(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests;
