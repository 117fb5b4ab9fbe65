//! A line of the record of decisions, which other programs may have written again. What is read is written as one line, and
//! that line reads as itself; a name has the value that any other reader of JSON finds there.

#![no_main]

use libfuzzer_sys::fuzz_target;
use record::Record;
use serde_json::Value;

fuzz_target!(|line: &str| {
    let Some(record) = Record::read(line) else { return };
    let written = record.line();
    let text = written.strip_suffix('\n').expect("an end");
    assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{written}");
    let again = Record::read(text).expect("what is written is read");
    assert_eq!(again.line(), written);
    assert!(serde_json::from_str::<Value>(text).is_ok_and(|value| value["version"] == 1), "{written}");

    // Where serde_json sees less, it is of numbers that no float holds, and of half a character.
    let Ok(value) = serde_json::from_str::<Value>(line) else { return };
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let names = ["person", "account", "service", "fingerprint", "cgroup", "boot_id"];
    let Record { person, account, service, fingerprint, cgroup, boot_id, .. } = &record;
    assert_eq!(names.map(text), [person, account, service, fingerprint, cgroup, boot_id].map(String::as_str));
    let number = |name: &str| value[name].as_u64();
    assert_eq!(["seq", "pid_start"].map(number), [record.seq, record.pid_start]);
});
