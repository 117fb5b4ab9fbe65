//! Questions and answers of DNS as bytes (RFC 1035, section 4).

/// The type SRV and the class IN.
const SRV_IN: [u8; 4] = [0, 33, 0, 1];

/// The bytes before the question.
const HEADER: usize = 12;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;

/// One server of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Lower ones are asked first.
    pub priority: u16,
    /// The share of clients that it wants, among those of its priority.
    pub weight: u16,
    /// Its port.
    pub port: u16,
    /// Its name, without a dot at the end; empty if the service is not offered.
    pub target: String,
}

/// What a name server said.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// These records; none if there is no such name.
    Records(Vec<Record>),
    /// More than fits into a datagram.
    Truncated,
    /// That it cannot tell; its code.
    Refused(u8),
}

/// The question about the SRV records of `name`; `None` if that cannot be a name.
pub fn query(id: [u8; 2], name: &str) -> Option<Vec<u8>> {
    // A question, recursion desired; one question and nothing else.
    let mut query = [&id[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        query.push(length);
        query.extend(label.as_bytes());
    }
    query.push(0);
    query.extend(SRV_IN);
    (name.len() < LONGEST_NAME - 1).then_some(query)
}

/// What `message` answers to `query`; `None` if it is something else.
pub fn read(message: &[u8], query: &[u8]) -> Option<Answer> {
    let &[id1, id0, flags, code, 0, 1, count1, count0, ..] = message.first_chunk::<HEADER>()? else {
        return None;
    };
    let asked = query.get(HEADER..)?;
    let mut at = HEADER + asked.len();
    let question = message.get(HEADER..at)?;
    let response = flags & 0xf8 == 0x80;
    if !query.starts_with(&[id1, id0]) || !response || !question.eq_ignore_ascii_case(asked) {
        return None;
    }
    match code & 0x0f {
        _ if flags & 2 != 0 => return Some(Answer::Truncated),
        0 => {}
        // There is no such name.
        3 => return Some(Answer::Records(Vec::new())),
        refused => return Some(Answer::Refused(refused)),
    }
    let mut records = Vec::new();
    for _ in 0..u16::from_be_bytes([count1, count0]) {
        let (record, after) = resource(message, at)?;
        records.extend(record);
        at = after;
    }
    Some(Answer::Records(records))
}

/// The resource record at `at`, if it is an SRV, and where the next one begins.
fn resource(message: &[u8], at: usize) -> Option<(Option<Record>, usize)> {
    let (_owner, at) = name(message, at)?;
    let &[type1, type0, class1, class0, _, _, _, _, length1, length0] =
        message.get(at..)?.first_chunk::<10>()?;
    let begin = at + 10;
    let end = begin + usize::from(u16::from_be_bytes([length1, length0]));
    let data = message.get(begin..end)?;
    if [type1, type0, class1, class0] != SRV_IN {
        // The alias that leads to the records, for example.
        return Some((None, end));
    }
    let &[priority1, priority0, weight1, weight0, port1, port0] = data.first_chunk()?;
    let (target, _) = name(message, begin + 6)?;
    let record = Record {
        priority: u16::from_be_bytes([priority1, priority0]),
        weight: u16::from_be_bytes([weight1, weight0]),
        port: u16::from_be_bytes([port1, port0]),
        target,
    };
    Some((Some(record), end))
}

/// The name at `at`, in small letters, and where it ends.
fn name(message: &[u8], mut at: usize) -> Option<(String, usize)> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    let (mut part, mut end) = (at, None);
    loop {
        let length = *message.get(at)?;
        at += 1;
        match length {
            0 => return Some((name, end.unwrap_or(at))),
            1..64 => {
                let label = message.get(at..at + usize::from(length))?;
                if !label.iter().all(fits) || name.len() + label.len() >= LONGEST_NAME {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                at += label.len();
            }
            // It goes on elsewhere; only ever further to the front, so that it comes to an end.
            0xc0.. => {
                let elsewhere = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at)?);
                if elsewhere >= part {
                    return None;
                }
                end = end.or(Some(at + 1));
                (part, at) = (elsewhere, elsewhere);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x06_ldaps\x04_tcp\x07example\x03com\0\0\x21\0\x01";

    /// An answer with this code and these records.
    fn answer(code: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut message = QUESTION.to_vec();
        message[2..4].copy_from_slice(&[0x81, 0x80 | code]);
        message[7] = records.len() as u8;
        message.extend(records.concat());
        message
    }

    /// For the name that was asked about: priority 1, weight 2, port 636, and `ldap1` before `example.com`.
    const RECORD: &[u8] = b"\xc0\x0c\0\x21\0\x01\0\0\0\x3c\0\x0e\0\x01\0\x02\x02\x7c\x05Ldap1\xc0\x18";

    #[test]
    fn a_question_is_written_as_the_protocol_says() {
        assert_eq!(query([0x12, 0x34], "_ldaps._tcp.example.com").as_deref(), Some(QUESTION));
        for bad in ["", "a..b", "a.", &"x".repeat(64), &["x"; 128].join(".")] {
            assert_eq!(query([0, 0], bad), None, "{bad}");
        }
    }

    #[test]
    fn records_are_read_with_their_names_put_together() {
        let expected = Record { priority: 1, weight: 2, port: 636, target: "ldap1.example.com".to_string() };
        let alias: &[u8] = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x02\xc0\x18";
        let read = |message: &[u8]| read(message, QUESTION);
        let records = vec![expected.clone(), expected];
        assert_eq!(read(&answer(0, &[RECORD, alias, RECORD])), Some(Answer::Records(records)));
        assert_eq!(read(&answer(0, &[])), Some(Answer::Records(Vec::new())));
        assert_eq!(read(&answer(3, &[])), Some(Answer::Records(Vec::new())));
        assert_eq!(read(&answer(2, &[])), Some(Answer::Refused(2)));
        let mut truncated = answer(0, &[]);
        truncated[2] |= 2;
        assert_eq!(read(&truncated), Some(Answer::Truncated));
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let good = answer(0, &[RECORD]);
        for end in 0..good.len() {
            assert_eq!(read(&good[..end], QUESTION), None, "{end} bytes");
        }
        // Number, direction, kind of question, question; a name that leads to itself, to what follows, or has a
        // label of no known kind or an odd letter.
        for (at, byte) in [(0, 0), (2, 1), (2, 0x89), (14, b'x'), (42, 41), (66, 72), (59, 0x80), (60, b' ')]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(read(&bad, QUESTION), None, "{at}");
        }
    }

    #[test]
    fn no_bytes_make_it_stop_or_run_for_ever() {
        let good = answer(0, &[RECORD, RECORD]);
        for at in HEADER..good.len() {
            for byte in 0..=255 {
                let mut odd = good.clone();
                odd[at] = byte;
                let _ = read(&odd, QUESTION);
            }
        }
    }
}
