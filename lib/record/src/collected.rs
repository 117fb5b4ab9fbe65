//! What a log server has collected: a line of a file of its own, with a record in it that a host has sent.

/// The longest name of a sender, in bytes: one in DNS is no longer (RFC 1035, 2.3.4), and no address is.
const LONGEST_SENDER: usize = 255;

/// The record in `line` with what is behind it, and who sent it as the server says in front of it. `None`: there is no record.
///
/// The server writes `SENDER {…}` or `TIME SENDER {…}`. What a host sends begins behind that, and it may send a name of its
/// own choice in front of a record. So any more words are nobody's name: then it is not known who sent it.
pub fn collected(line: &str) -> Option<(Option<&str>, &str)> {
    let (before, record) = line.split_at_checked(line.find('{')?)?;
    let mut words = before.split_whitespace();
    let sender = match (words.next(), words.next(), words.next()) {
        (Some(sender), None, _) if !is_time(sender) => Some(sender),
        (Some(time), Some(sender), None) if is_time(time) && !is_time(sender) => Some(sender),
        _ => None,
    };
    Some((sender.filter(|sender| sender.len() <= LONGEST_SENDER), record))
}

/// Is it an instant as RFC 3339 writes it, and no name of a host? The time of arrival, not read any further.
fn is_time(word: &str) -> bool {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, shape): (u8, &u8)| if *shape == b'd' { byte.is_ascii_digit() } else { byte == *shape };
    word.len() >= shape.len() && word.bytes().zip(shape).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_the_one_word_that_the_server_writes() {
        let time = "2026-11-20T09:00:00.123456+01:00";
        for (before, sender) in [
            ("", None),
            (" ", None),
            ("db1 ", Some("db1")),
            (" 10.0.0.7 ", Some("10.0.0.7")),
            (time, None),
            (&format!("{time} db1 "), Some("db1")),
            (&format!("{time}\tfe80::1\t"), Some("fe80::1")),
            // What db1 has put in front of a record is not what the server says.
            ("db1 db2 ", None),
            (&format!("{time} db1 db2 "), None),
            (&format!("db1 {time} db2 "), None),
            (&format!("{time} {time} "), None),
            ("Nov 20 09:00:00 db1 authkeys: ", None),
            (&"x".repeat(256), None),
            (&"x".repeat(255), Some(&"x".repeat(255))),
        ] {
            assert_eq!(collected(&format!("{before}{{1}} {{2}}")), Some((sender, "{1} {2}")), "{before}");
        }
        assert_eq!(collected("db1 no record"), None);
        assert_eq!(collected(""), None);
    }
}
