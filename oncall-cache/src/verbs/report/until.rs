//! When something was over: the one place that knows what a record says of the end of a session, and what it does not.

use policy::Timestamp;

use super::login::Login;

/// When something was over or happened last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// That is not to be said.
    Unsaid,
    At(Timestamp),
    /// A session is open, or was cut off.
    NoEnd,
    /// It was over with a boot of the host, by then.
    Booted(Timestamp),
    /// It goes on after the time of the report.
    After,
}

impl Until {
    /// Of a login: when its session was over; of one without a session (no session line in that stack) nothing is to be said.
    pub fn of(login: &Login) -> Self {
        match (login.opened, login.closed, login.booted) {
            (_, Some(closed), _) => Self::At(closed),
            (Some(_), None, Some(booted)) => Self::Booted(booted),
            (Some(_), None, None) => Self::NoEnd,
            (None, None, _) => Self::Unsaid,
        }
    }

    /// Is it a session of which no end is recorded?
    pub fn is_unrecorded(self) -> bool {
        matches!(self, Self::NoEnd | Self::Booted(_))
    }

    /// The latest that it can have gone on, where nothing is known behind `end`; `None` where there is no session.
    pub fn latest(self, end: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Unsaid => None,
            Self::At(at) | Self::Booted(at) => Some(at),
            Self::NoEnd | Self::After => Some(end),
        }
    }

    /// For people, with an instant as `written`; nothing where nothing is to be said.
    pub fn told(self, written: impl Fn(Timestamp) -> String) -> String {
        match self {
            Self::Unsaid => String::new(),
            Self::At(at) => written(at),
            Self::NoEnd => "no end recorded".to_string(),
            Self::Booted(at) => format!("no end recorded; the host had booted by {}", written(at)),
            Self::After => "end of this report".to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Record;

    #[test]
    fn the_end_of_a_session_is_what_is_recorded_of_it() {
        let at = Timestamp::from_unix;
        let of = |opened: Option<i64>, closed: Option<i64>, booted: Option<i64>| {
            let login = Login::begun(Record::at(at(1)), 1);
            let (opened, closed, booted) = (opened.map(at), closed.map(at), booted.map(at));
            Until::of(&Login { opened, closed, booted, ..login })
        };
        let written = |at: Timestamp| at.unix().to_string();
        for (until, is, latest, told, is_unrecorded) in [
            (of(None, None, None), Until::Unsaid, None, "", false),
            // One that never began was not cut off by a boot.
            (of(None, None, Some(5)), Until::Unsaid, None, "", false),
            (of(Some(2), Some(4), None), Until::At(at(4)), Some(4), "4", false),
            // It was closed, whatever happened to the host later.
            (of(Some(2), Some(4), Some(5)), Until::At(at(4)), Some(4), "4", false),
            (of(None, Some(4), None), Until::At(at(4)), Some(4), "4", false),
            (of(Some(2), None, None), Until::NoEnd, Some(9), "no end recorded", true),
            (
                of(Some(2), None, Some(5)),
                Until::Booted(at(5)),
                Some(5),
                "no end recorded; the host had booted by 5",
                true,
            ),
            (Until::After, Until::After, Some(9), "end of this report", false),
        ] {
            assert_eq!(until, is);
            assert_eq!(until.latest(at(9)), latest.map(at), "{is:?}");
            assert_eq!((until.told(written).as_str(), until.is_unrecorded()), (told, is_unrecorded));
        }
    }
}
