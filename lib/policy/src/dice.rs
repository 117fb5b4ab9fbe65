//! Numbers for tests of many worlds.

/// The same numbers at each run (xorshift64).
pub struct Dice(pub u64);

impl Dice {
    /// From 0 to `sides`, which it never is.
    pub fn roll(&mut self, sides: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        i64::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}
