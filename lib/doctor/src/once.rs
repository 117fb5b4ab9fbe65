//! What was read in an examination is not read again: all checks judge the same, and it costs less.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What was read, by its name.
#[derive(Debug)]
pub struct Once<V>(RefCell<BTreeMap<String, V>>);

impl<V> Default for Once<V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<V: Clone> Once<V> {
    /// What `read` made of `name` when it was first asked for.
    pub fn get(&self, name: &str, read: impl FnOnce(&str) -> V) -> V {
        if let Some(value) = self.0.borrow().get(name) {
            return value.clone();
        }
        let value = read(name);
        self.0.borrow_mut().insert(name.to_string(), value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_name_is_read_once() {
        let (once, reads) = (Once::default(), Cell::new(0));
        let read = |name: &str| {
            reads.set(reads.get() + 1);
            format!("{name} {}", reads.get())
        };
        assert_eq!([once.get("a", read), once.get("b", read), once.get("a", read)], ["a 1", "b 2", "a 1"]);
    }
}
