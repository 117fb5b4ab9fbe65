//! Samples with mistakes in them: the same ones at each run, and as many as fit into a few seconds.
//!
//! What parses foreign bytes has a unit test that calls [`each`]: whatever comes, the parser neither panics nor
//! takes long, and what it lets through has the form that it promises. With more time, `fuzz/` looks for the same.

#![forbid(unsafe_code)]

use std::fs;
use std::thread::panicking;
use std::time::{Duration, Instant};

/// The longest time that one call of [`each`] takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// The longest time on a processor for one input.
const LONGEST: Duration = Duration::from_secs(5);

/// Public keys of every type that ssh-keygen makes, `TYPE BASE64`, accepted or not.
pub fn keys() -> Vec<&'static str> {
    include_str!("../keys.txt").lines().collect()
}

/// Calls `check` with every sample and then with `count` mistaken ones, `words` strewn in among other mistakes.
/// An input that makes it panic is shown.
pub fn each(samples: &[&[u8]], words: &[&str], count: usize, check: impl Fn(&[u8])) {
    let (start, mut dice) = (Instant::now(), Dice(0x5eed));
    for sample in samples {
        one(sample, &check);
    }
    for done in 0..count {
        if start.elapsed() > PATIENCE {
            println!("{done} of {count} inputs before the time was up");
            return;
        }
        one(&dice.mistaken(samples, words), &check);
    }
}

fn one(input: &[u8], check: &impl Fn(&[u8])) {
    let shown = Shown(input);
    let start = worked();
    check(input);
    let took = worked().saturating_sub(start);
    assert!(took < LONGEST, "it took {took:?}");
    drop(shown);
}

/// How long this thread has run so far, however long it waited for a processor: proc(5).
fn worked() -> Duration {
    let said = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    Duration::from_nanos(said.split(' ').next().and_then(|first| first.parse().ok()).expect("nanoseconds"))
}

/// Shows the input if the check panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if panicking() {
            println!("the input, {} bytes: {}", self.0.len(), self.0.escape_ascii());
        }
    }
}

/// Numbers without end, by splitmix64.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }

    /// One of `samples` with one mistake in it or several.
    pub fn mistaken(&mut self, samples: &[&[u8]], words: &[&str]) -> Vec<u8> {
        let mut input = self.pick(samples).unwrap_or_default().to_vec();
        for _ in 0..=self.below(4) {
            self.mistake(&mut input, samples, words);
        }
        input
    }

    fn mistake(&mut self, input: &mut Vec<u8>, samples: &[&[u8]], words: &[&str]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() + 1 - at).min(40);
        match self.below(9) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            3 => {
                let odd = self.pick(b"\0\n\r\t \"\\'=,:;#[]{}()!*?-/%$\x1b\x7f\x80\xc3\xff").unwrap_or(0);
                input.insert(at, odd);
            }
            4 => {
                let other = self.pick(samples).unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => {
                let byte = input.get(at).copied().unwrap_or(b'x');
                let times = [2, 40, 300, 20_000][self.below(4)];
                input.splice(at..at, std::iter::repeat_n(byte, times));
            }
            6 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            _ => {
                let word = self.pick(words).unwrap_or("\u{202e}");
                input.splice(at..at, word.bytes());
            }
        }
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// As SSH writes bytes.
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = group[0] << 16 | group[1] << 8 | group[2];
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// The bytes of a text that [`base64`] wrote.
pub fn from_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| DIGITS.iter().position(|known| *known == byte);
    let digits: Vec<usize> = text.bytes().filter_map(digit).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let bits = (0..4).fold(0, |bits, at| bits << 6 | group.get(at).copied().unwrap_or(0));
        bytes.extend([16, 8, 0].iter().take(group.len() - 1).map(|shift| (bits >> shift) as u8));
    }
    bytes
}
