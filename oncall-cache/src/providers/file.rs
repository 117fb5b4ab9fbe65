//! `file`: our JSON in a file that something else on this host writes.

use std::path::Path;

use policy::{Span, Timestamp, Window};
use trust::Owner;

use super::document::{self, Wanted};
use super::{Answer, Provider, ProviderError};

/// What says that it is older has been forgotten by whatever wrote it.
const OLDEST: Span = Span::hours(24);

/// A file.
#[derive(Debug)]
pub struct File<'a> {
    path: &'a Path,
    schedules: &'a [String],
    max_level: u8,
    now: Timestamp,
}

impl<'a> File<'a> {
    /// The schedules `wanted` of the file at `path`, or all if none is named, down to `max_level`.
    pub fn new(path: &'a Path, wanted: &'a [String], max_level: u8, now: Timestamp) -> Self {
        Self { path, schedules: wanted, max_level, now }
    }

    fn parse(&self, text: &[u8], window: Window) -> Result<Answer, ProviderError> {
        let whose = self.path.display().to_string();
        let wanted = Wanted { schedules: self.schedules, max_level: self.max_level, window };
        let mut answer = document::parse(text, &whose, wanted)?;
        if let Some(written) = answer.clock {
            let age = self.now.since(written);
            if age > OLDEST {
                let why = format!("{whose}: its `generated_at` is {age} ago; does its writer still run?");
                return Err(ProviderError::Source(why));
            }
            // A file is read some time after it was written: that is no difference of clocks.
            answer.clock = answer.clock.filter(|clock| *clock > self.now);
        }
        Ok(answer)
    }
}

impl Provider for File<'_> {
    fn fetch(&self, window: Window) -> Result<Answer, ProviderError> {
        let text = trust::read(self.path, Owner::Service, document::LARGEST)
            .map_err(|refusal| ProviderError::Source(refusal.to_string()))?;
        self.parse(&text, window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_older_than_its_reading_but_not_forgotten() {
        let text = include_bytes!("fixtures/document/story.json");
        let written = Timestamp::from_unix(1_795_176_000);
        let window = Window::new(written, written.plus(Span::hours(72))).unwrap();
        let read = |after: Span| {
            let file = File::new(Path::new("/var/lib/rota/rota.json"), &[], 1, written.plus(after));
            file.parse(text, window).map(|answer| answer.clock).map_err(|error| error.to_string())
        };
        assert_eq!(read(Span::seconds(-600)), Ok(Some(written)), "its clock is ahead of ours");
        for after in [Span::seconds(0), Span::hours(1), OLDEST] {
            assert_eq!(read(after), Ok(None));
        }
        assert_eq!(
            read(Span::seconds(OLDEST.as_seconds() + 1)).unwrap_err(),
            "source-error: /var/lib/rota/rota.json: its `generated_at` is 1d ago; does its writer still run?"
        );
    }
}
