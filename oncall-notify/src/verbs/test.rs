//! `test CHANNEL`: one notice that says it is a test, by this channel, now.

use std::path::Path;

use host::said::Said;
use policy::{Timestamp, Verdict};
use record::{Effect, Phase, Record, Token};

use super::load;
use crate::channels::Attempts;
use crate::notice::{Notice, One};
use crate::spool::Entry;

/// Sends it, and says what came of that.
pub fn run(path: &Path, name: &str, person: Option<&str>, now: Timestamp) -> Said {
    let config = match load(path) {
        Ok(config) => config,
        Err(said) => return said,
    };
    let Some(channel) = config.channel(name) else {
        let names: Vec<&str> = config.channels.iter().map(|channel| channel.name.as_str()).collect();
        return Said::usage(format_args!("no channel is called `{name}`; there are: {}", names.join(", ")));
    };
    if channel.kind.tells_people() && person.is_none() {
        return Said::usage("this channel tells people: write whom, --person NAME");
    }
    let notice = Notice::One(sample(person.unwrap_or("nobody"), now));
    let recipient = crate::channels::recipient(channel, &notice);
    let entry = Entry { covers: vec![], recipient, notice };
    let id = entry.notice.id().to_string();
    let outcome = Attempts::default().deliver(channel, &config.people, &[entry]).pop();
    match outcome.unwrap_or(Ok(())) {
        Ok(()) => Said::text(format!("channel {name}: delivered notice {id}")),
        Err(failure) => Said::failure(1, format_args!("channel {name}: not delivered: {}", failure.why())),
    }
}

/// A record that says that nobody logged in.
fn sample(person: &str, now: Timestamp) -> One {
    let record = Record {
        id: format!("{:016x}", now.unix()),
        host: "test".into(),
        phase: Some(Token::Known(Phase::Session)),
        person: person.into(),
        account: "nobody".into(),
        service: "oncall-notify".into(),
        verdict: Some(Token::Known(Verdict::Allow)),
        effect: Some(Token::Known(Effect::Pass)),
        why: "this is a test, nobody logged in".into(),
        ..Record::at(now)
    };
    let id = format!("{:016x}", now.unix());
    One::of(&record, "", id)
}
