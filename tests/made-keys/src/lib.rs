//! Public keys made by arithmetic: good ones that nobody has the other half of, and such as are none, because anybody
//! can sign for them, or nobody ever can.
//!
//! The weak ones are made from the constants of the curves' own libraries and none is written down. They are for tests
//! of what refuses them; no test logs in with one.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use mutate::{base64, from_base64};

/// A value that has a key's form and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weak {
    /// `TYPE BASE64`.
    pub line: String,
    /// The reasons, one of which it is refused for.
    pub tokens: Vec<&'static str>,
}

/// Weak keys of every kind and type.
pub fn weak() -> Vec<Weak> {
    let mut all = [ed25519(), ecdsa(), rsa()].concat();
    // One number may have two small primes in it.
    all.sort_by(|left, right| left.line.cmp(&right.line));
    all.dedup_by(|left, right| left.line == right.line);
    all
}

/// Good keys of every type, made in the same way.
pub fn good() -> Vec<String> {
    let points = [1, 2, 3].map(point_of);
    let curves = curves();
    let uncompressed = curves.iter().flat_map(|curve| curve.lines(&curve.point));
    let (exponent, modulus) = sample_rsa();
    points
        .iter()
        .flat_map(ed25519_lines)
        .chain(uncompressed)
        .chain([
            rsa_line(&exponent, &modulus),
            rsa_line(&[3], &modulus),
            rsa_line(&[1, 255, 255, 255, 255], &modulus),
        ])
        .collect()
}

/// An Ed25519 key that nobody has the other half of.
pub fn numbered(number: u32) -> String {
    line("ssh-ed25519", &[&point_of(number)])
}

/// As [`numbered`], of bytes that look random: it compresses as little as a real key.
pub fn scattered(number: u32) -> String {
    // SplitMix64, by Steele, Lea and Flood (2014).
    let mut state = u64::from(number) << 32;
    let mut next = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).to_be_bytes()
    };
    loop {
        let mut bytes = [0; 32];
        bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&next()));
        if CompressedEdwardsY(bytes).decompress().is_some() {
            return line("ssh-ed25519", &[&bytes]);
        }
    }
}

/// As [`numbered`], as a security key might have it.
pub fn numbered_sk(number: u32) -> String {
    line("sk-ssh-ed25519@openssh.com", &[&point_of(number), b"ssh:"])
}

/// The first point that can be read from the number: nobody knows its logarithm.
fn point_of(number: u32) -> [u8; 32] {
    let mut bytes = [0x42; 32];
    bytes[24..28].copy_from_slice(&number.to_be_bytes());
    while CompressedEdwardsY(bytes).decompress().is_none() {
        bytes[0] = bytes[0].wrapping_add(1);
    }
    bytes
}

/// The Ed25519 points of small order: those that need no private key whatever is signed.
pub fn small_order() -> Vec<Weak> {
    let points = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
    points.flat_map(|point| each(ed25519_lines(&point), &["small-order"])).collect()
}

/// The same, and every encoding that is not the one of its point, and such that are no point's.
fn ed25519() -> Vec<Weak> {
    let mut all = small_order();
    // 2^255 - 19 and everything above it, which is a smaller number once it is reduced; with either sign.
    for above in 0..19u8 {
        for sign in [0x00, 0x80] {
            let mut bytes = [0xff; 32];
            bytes[0] -= 18 - above;
            bytes[31] = 0x7f | sign;
            all.extend(each(ed25519_lines(&bytes), &["small-order", "not-canonical", "not-on-curve"]));
        }
    }
    // The sign of x = 0, which has none.
    for point in EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()) {
        let mut bytes = point;
        bytes[31] ^= 0x80;
        let is_other_point = EIGHT_TORSION.iter().any(|point| point.compress().to_bytes() == bytes);
        if !is_other_point {
            all.extend(each(ed25519_lines(&bytes), &["small-order", "not-canonical"]));
        }
    }
    let numbers = (0..64u8).map(|number| std::array::from_fn(|at| if at == 0 { number } else { 0 }));
    let none = numbers.filter(|bytes| CompressedEdwardsY(*bytes).decompress().is_none());
    all.extend(none.flat_map(|bytes| each(ed25519_lines(&bytes), &["not-on-curve"])));
    all
}

/// A point of each curve, altered until it is on the curve no more, and written in other ways.
fn ecdsa() -> Vec<Weak> {
    let mut all = Vec::new();
    for curve in curves() {
        let point = &curve.point;
        let size = point.len() / 2;
        let mut others = Vec::new();
        // One bit of a coordinate: the only other point with that x has the y of opposite sign.
        for bit in (0..8 * size).step_by(37) {
            let mut other = point.clone();
            other[1 + size + bit / 8] ^= 1 << (bit % 8);
            others.push(other);
        }
        let (x, y) = point[1..].split_at(size);
        others.push([&[4], y, x].concat());
        others.push([&[4], vec![0; 2 * size].as_slice()].concat());
        others.push([&[4], vec![0xff; 2 * size].as_slice()].concat());
        let refused = ["not-on-curve", "malformed"];
        all.extend(others.iter().flat_map(|other| each(curve.lines(other), &refused)));
        // Compressed, hybrid, and the point at infinity.
        for tag in [2, 3] {
            all.extend(each(curve.lines(&[&[tag], x].concat()), &["not-canonical"]));
        }
        for tag in [6, 7] {
            all.extend(each(curve.lines(&[&[tag], x, y].concat()), &["malformed"]));
        }
        all.extend(each(curve.lines(&[0]), &refused));
    }
    all
}

/// A good key with a modulus that has each small prime in it, or is even; and exponents that are none.
fn rsa() -> Vec<Weak> {
    let (exponent, modulus) = sample_rsa();
    let mut all = Vec::new();
    let is_prime = |number: &u32| (2..*number).all(|other| !number.is_multiple_of(other));
    for prime in RangeInclusive::new(2, 751).filter(is_prime) {
        let mut other = modulus.clone();
        subtract(&mut other, remainder(&modulus, prime));
        if other.last().is_some_and(|last| last % 2 == 0) && prime != 2 {
            subtract(&mut other, prime);
        }
        all.push(Weak { line: rsa_line(&exponent, &other), tokens: vec!["rsa-modulus"] });
    }
    for exponent in [&[1][..], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[1, 0, 0, 0, 0, 0, 0, 0, 1]] {
        all.push(Weak { line: rsa_line(exponent, &modulus), tokens: vec!["rsa-exponent"] });
    }
    let short = &modulus[modulus.len() / 2..];
    all.push(Weak { line: rsa_line(&exponent, short), tokens: vec!["weak-rsa"] });
    all
}

fn each(lines: Vec<String>, tokens: &[&'static str]) -> Vec<Weak> {
    lines.into_iter().map(|line| Weak { line, tokens: tokens.to_vec() }).collect()
}

struct Curve {
    name: &'static str,
    /// Its generator, as SEC 1 writes it without compression.
    point: Vec<u8>,
}

impl Curve {
    fn lines(&self, point: &[u8]) -> Vec<String> {
        let name = self.name.as_bytes();
        let plain = format!("ecdsa-sha2-{}", self.name);
        let sk = format!("sk-ecdsa-sha2-{}@openssh.com", self.name);
        let mut lines = vec![line(&plain, &[name, point])];
        if self.name == "nistp256" {
            lines.push(line(&sk, &[name, point, b"ssh:"]));
        }
        lines
    }
}

fn curves() -> [Curve; 3] {
    use p256::elliptic_curve::sec1::ToEncodedPoint;
    [
        Curve {
            name: "nistp256",
            point: p256::AffinePoint::GENERATOR.to_encoded_point(false).as_bytes().to_vec(),
        },
        Curve {
            name: "nistp384",
            point: p384::AffinePoint::GENERATOR.to_encoded_point(false).as_bytes().to_vec(),
        },
        Curve {
            name: "nistp521",
            point: p521::AffinePoint::GENERATOR.to_encoded_point(false).as_bytes().to_vec(),
        },
    ]
}

fn ed25519_lines(point: &[u8; 32]) -> Vec<String> {
    vec![line("ssh-ed25519", &[point]), line("sk-ssh-ed25519@openssh.com", &[point, b"ssh:"])]
}

/// Exponent and modulus of the key among the samples.
fn sample_rsa() -> (Vec<u8>, Vec<u8>) {
    let key = mutate::keys().into_iter().find(|key| key.starts_with("ssh-rsa ")).expect("a sample");
    let blob = from_base64(key.split(' ').nth(1).expect("a blob"));
    let mut rest = blob.as_slice();
    let mut field = || {
        let (length, after) = rest.split_at(4);
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        let (field, after) = after.split_at(length);
        rest = after;
        field.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>()
    };
    field();
    (field(), field())
}

fn rsa_line(exponent: &[u8], modulus: &[u8]) -> String {
    // RFC 4251, section 5: a positive number whose highest bit is set has a zero before it.
    let number = |bytes: &[u8]| {
        let sign = bytes.first().filter(|first| **first >= 0x80).map(|_| 0);
        sign.into_iter().chain(bytes.iter().copied()).collect::<Vec<u8>>()
    };
    line("ssh-rsa", &[&number(exponent), &number(modulus)])
}

fn line(kind: &str, fields: &[&[u8]]) -> String {
    let blob: Vec<u8> = [kind.as_bytes()].iter().chain(fields).flat_map(|field| string(field)).collect();
    format!("{kind} {}", base64(&blob))
}

/// RFC 4251, section 5: bytes behind how many they are.
fn string(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short field").to_be_bytes();
    [length.as_slice(), bytes].concat()
}

fn remainder(number: &[u8], divisor: u32) -> u32 {
    number.iter().fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % divisor)
}

fn subtract(number: &mut [u8], amount: u32) {
    let mut borrow = amount;
    for byte in number.iter_mut().rev() {
        let (less, under) = byte.overflowing_sub((borrow & 0xff) as u8);
        *byte = less;
        borrow = (borrow >> 8) + u32::from(under);
    }
}

/// A certificate that nobody has signed, for readers who verify no signature.
#[derive(Debug, Clone)]
pub struct Certificate<'a> {
    /// `TYPE BASE64` of the key that it certifies.
    pub key: &'a str,
    /// `TYPE BASE64` of the key that would have signed it.
    pub authority: &'a str,
    /// 1: a user's; 2: a host's.
    pub kind: u32,
    /// Its number.
    pub serial: u64,
    /// What its authority calls it.
    pub id: &'a [u8],
    /// Whom it is for.
    pub principals: &'a [&'a str],
    /// The first second in which it is valid, and the first in which it is not any more.
    pub period: (u64, u64),
    /// Critical options and their values.
    pub options: &'a [(&'a str, &'a str)],
}

impl Certificate<'_> {
    /// Its type and its base64, as sshd's `%t` and `%k` have them.
    pub fn words(&self) -> (String, String) {
        let (plain, blob) = self.key.split_once(' ').expect("TYPE BASE64");
        let kind = format!("{}-cert-v01@openssh.com", plain.trim_end_matches("@openssh.com"));
        // Behind the type of a key are its fields.
        let fields = from_base64(blob).split_off(4 + plain.len());
        let (_, authority) = self.authority.split_once(' ').expect("TYPE BASE64");
        let principals: Vec<u8> = self.principals.iter().flat_map(|name| string(name.as_bytes())).collect();
        let option = |(name, value): &(&str, &str)| {
            [string(name.as_bytes()), string(&string(value.as_bytes()))].concat()
        };
        let options: Vec<u8> = self.options.iter().flat_map(option).collect();
        let extensions = [string(b"permit-pty"), string(b"")].concat();
        let bytes = [
            string(kind.as_bytes()),
            string(&[7; 32]),
            fields,
            self.serial.to_be_bytes().to_vec(),
            self.kind.to_be_bytes().to_vec(),
            string(self.id),
            string(&principals),
            self.period.0.to_be_bytes().to_vec(),
            self.period.1.to_be_bytes().to_vec(),
            string(&options),
            string(&extensions),
            string(b""),
            string(&from_base64(authority)),
            string(&[string(b"ssh-ed25519"), string(&[1; 64])].concat()),
        ];
        (kind, base64(&bytes.concat()))
    }
}
