//! When the host booted anew, as far as records tell: whatever was open before is over then.

use policy::Timestamp;

/// The most boots that are told apart; sessions of later ones are just open.
const MOST: usize = 1_000;

/// The boots of which there are records of logins.
///
/// Heartbeats and other units' records are left out: in a container a unit may see another boot than logins do.
#[derive(Debug, Default)]
pub struct Boots {
    all: Vec<Boot>,
    /// That of the last record.
    current: Option<usize>,
}

#[derive(Debug)]
struct Boot {
    id: String,
    /// When the first record of another one was written, behind the last of this.
    over: Option<Timestamp>,
}

impl Boots {
    /// The boot of the next record, by a number; `None`: the record does not say.
    pub fn take(&mut self, id: &str, at: Timestamp) -> Option<usize> {
        if id.is_empty() {
            return None;
        }
        let number = self.all.iter().rposition(|boot| boot.id == id).unwrap_or(self.all.len());
        if number == MOST {
            return None;
        }
        if number == self.all.len() {
            self.all.push(Boot { id: id.to_string(), over: None });
        }
        if let Some(before) = self.current.filter(|current| *current != number) {
            if let Some(before) = self.all.get_mut(before) {
                before.over = Some(at);
            }
            if let Some(boot) = self.all.get_mut(number) {
                // Its records go on: two that write at once, or a host that sees two.
                boot.over = None;
            }
        }
        self.current = Some(number);
        Some(number)
    }

    /// When that boot was over, at the latest; `None`: as far as is known it goes on.
    pub fn over(&self, number: Option<usize>) -> Option<Timestamp> {
        self.all.get(number?)?.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_is_over_when_another_one_writes_and_it_never_does_again() {
        let at = Timestamp::from_unix;
        let mut boots = Boots::default();
        let first = boots.take("a", at(1));
        assert_eq!((first, boots.take("a", at(2)), boots.over(first)), (Some(0), Some(0), None));
        assert_eq!(boots.take("", at(3)), None, "an earlier release does not say");
        let second = boots.take("b", at(4));
        boots.take("b", at(5));
        assert_eq!((boots.over(first), boots.over(second)), (Some(at(4)), None));
        boots.take("a", at(6));
        assert_eq!((boots.over(first), boots.over(second)), (None, Some(at(6))));
        boots.take("b", at(7));
        assert_eq!((boots.over(first), boots.over(second), boots.over(None)), (Some(at(7)), None, None));
        for number in 0..2 * MOST {
            boots.take(&number.to_string(), at(8));
        }
        assert_eq!(boots.all.len(), MOST);
    }
}
