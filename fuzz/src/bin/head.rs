//! The head of a fleet's publication, and the mark that is kept of one.

#![no_main]

use fleet::{Head, HeadRefusal, Known, Mark, Origin, Standing};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Some(mark) = core::str::from_utf8(text).ok().and_then(Mark::parse) {
        assert_eq!(mark.to_string().as_bytes(), text);
    }
    let Ok(head) = Head::parse(text) else { return };
    assert_eq!(head.write().as_bytes(), text);
    // The next one has another length, by which a web server tells two of one second apart.
    let mut next = head.clone();
    next.pad_after(text.len());
    assert_ne!(next.write().len(), text.len());
    let mark = Mark::of(1, &head, text);
    let judged = |epoch, origin| {
        let known = Known { fleet: &head.fleet, epoch, mark: Some(&mark), origin };
        known.judge(&head, text, head.issued)
    };
    // What was taken over is the same again, or else from a time that has not come.
    for (epoch, standing) in [(1, Standing::Same), (2, Standing::Newer)] {
        for origin in [Origin::Store, Origin::Copy] {
            let judged = judged(epoch, origin);
            assert!(judged == Ok(standing) || matches!(judged, Err(HeadRefusal::Future(_))), "{judged:?}");
        }
    }
});
