//! When the host booted anew, as far as records tell: whatever was open before is over then.

use policy::Timestamp;

/// The most boots that are told apart; sessions of later ones are just open.
const MOST: usize = 1_000;

/// The boots of which there are records of logins.
///
/// Two things have to agree: records name another boot, and their numbers have begun anew. In a container a unit may see
/// another boot than logins do, but it counts on; and numbers alone may come in another order.
#[derive(Debug, Default)]
pub struct Boots {
    all: Vec<Boot>,
    /// That of the last record.
    current: Option<usize>,
    /// The number of the last record, of whatever kind.
    number: Option<u64>,
    /// Have numbers begun anew since the last record that names a boot?
    has_begun_anew: bool,
}

#[derive(Debug)]
struct Boot {
    id: String,
    /// When the first record of another one was written, behind the last of this.
    over: Option<Timestamp>,
}

impl Boots {
    /// Takes the number of the next record, of whatever kind.
    pub fn count(&mut self, number: Option<u64>) {
        self.has_begun_anew |= number.zip(self.number).is_some_and(|(number, last)| number <= last);
        self.number = number.or(self.number);
    }

    /// The boot of the next record of a login, by its place among them; `None`: the record does not say.
    pub fn take(&mut self, id: &str, at: Timestamp) -> Option<usize> {
        if id.is_empty() {
            return None;
        }
        let has_begun_anew = std::mem::take(&mut self.has_begun_anew);
        if self.current.is_some() && !has_begun_anew {
            return self.current;
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
        let take = |boots: &mut Boots, number: u64, id: &str, second: i64| {
            boots.count(Some(number));
            boots.take(id, at(second))
        };
        let first = take(&mut boots, 8, "a", 1);
        assert_eq!((first, take(&mut boots, 9, "a", 2), boots.over(first)), (Some(0), Some(0), None));
        assert_eq!(take(&mut boots, 10, "", 3), None, "an earlier release does not say");
        // Whoever sees another boot and counts on is in the same.
        assert_eq!((take(&mut boots, 11, "other", 3), boots.over(first)), (first, None));
        // What came late is of the same boot, too.
        assert_eq!((take(&mut boots, 10, "a", 3), boots.over(first)), (first, None));
        // A heartbeat was the first to be counted.
        boots.count(Some(1));
        boots.count(None);
        let second = take(&mut boots, 2, "b", 4);
        take(&mut boots, 3, "b", 5);
        assert_eq!((boots.over(first), boots.over(second)), (Some(at(4)), None));
        take(&mut boots, 1, "a", 6);
        assert_eq!((boots.over(first), boots.over(second)), (None, Some(at(6))));
        take(&mut boots, 1, "b", 7);
        assert_eq!((boots.over(first), boots.over(second), boots.over(None)), (Some(at(7)), None, None));
        for number in 0..2 * MOST {
            take(&mut boots, 1, &number.to_string(), 8);
        }
        assert_eq!(boots.all.len(), MOST);
    }
}
