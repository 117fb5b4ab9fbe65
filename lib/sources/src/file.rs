//! `file`: our JSON in a file that something else on this host writes.

use std::path::Path;

use policy::{Timestamp, Window};
use trust::Owner;

use super::document::{self, Wanted};
use super::{Answer, Provider, ProviderError};

/// A file.
#[derive(Debug)]
pub struct File<'a> {
    path: &'a Path,
    schedules: &'a [String],
    max_escalation_level: u8,
    now: Timestamp,
}

impl<'a> File<'a> {
    /// The schedules `wanted` of the file at `path`, or all if none is named, down to `max_escalation_level`.
    pub fn new(path: &'a Path, wanted: &'a [String], max_escalation_level: u8, now: Timestamp) -> Self {
        Self { path, schedules: wanted, max_escalation_level, now }
    }

    fn parse(&self, text: &[u8], window: Window) -> Result<Answer, ProviderError> {
        let whose = self.path.display().to_string();
        let wanted =
            Wanted { schedules: self.schedules, max_escalation_level: self.max_escalation_level, window };
        let mut answer = document::parse(text, &whose, wanted)?;
        // That it is read some time after it was written is no difference of clocks, but its age.
        answer.as_of = answer.clock.filter(|written| *written <= self.now);
        answer.clock = answer.clock.filter(|written| *written > self.now);
        Ok(answer)
    }
}

impl Provider for File<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let text = trust::read(self.path, Owner::Service, document::LARGEST)
            .map_err(|refusal| ProviderError::source(&refusal.to_string()))?;
        self.parse(&text, window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::Span;

    #[test]
    fn a_file_is_as_old_as_it_says() {
        let text = include_bytes!("fixtures/document/story.json");
        let written = Timestamp::from_unix(1_795_176_000);
        let window = Window::new(written, written.plus(Span::hours(72))).unwrap();
        let read = |after: Span| {
            let file = File::new(Path::new("/var/lib/rota/rota.json"), &[], 1, written.plus(after));
            file.parse(text, window).map(|answer| (answer.clock, answer.as_of))
        };
        assert_eq!(read(Span::seconds(-600)), Ok((Some(written), None)), "its clock is ahead of ours");
        for after in [Span::seconds(0), Span::hours(1), Span::hours(1000)] {
            assert_eq!(read(after), Ok((None, Some(written))));
        }
    }
}
