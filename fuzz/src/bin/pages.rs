//! A published database, read without SQLite: whatever the file holds, no walk through it panics or goes on for ever.

#![no_main]

use std::cmp::Ordering;
use std::fs::File;
use std::os::unix::fs::FileExt;

use libfuzzer_sys::fuzz_target;
use nix::sys::memfd::{MFdFlags, memfd_create};

#[path = "../../../lib/store/src"]
mod store_src {
    pub mod pages;
}
use store_src::pages::Tables;

/// As the seeds have them: a table of each kind, and an index.
const STATEMENTS: [&str; 3] = [
    "CREATE TABLE plain (number INTEGER PRIMARY KEY NOT NULL, size INTEGER NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE keyed (name TEXT PRIMARY KEY NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX by_size ON plain (size)",
];

thread_local! {
    static FILE: File = memfd_create(c"pages", MFdFlags::empty()).expect("a file in memory").into();
}

fuzz_target!(|content: &[u8]| {
    let file = FILE.with(|file| {
        file.set_len(0).and_then(|()| file.write_all_at(content, 0)).expect("room in memory");
        file.try_clone().expect("a descriptor")
    });
    let Ok(tables) = Tables::open(file, &STATEMENTS) else { return };
    // What is inside is not what a sync wrote; how much of it is read is what the file's length bounds.
    let most = content.len();
    let mut rows = 0;
    let _ = tables.rows("plain", 3, |row| {
        rows += 1;
        let _ = (row.integer(1), row.text(2));
        Ok(())
    });
    let _ = tables.rows("keyed", 2, |row| {
        rows += 1;
        let _ = (row.text(0), row.integer(1));
        Ok(())
    });
    let _ = tables.range(
        "keyed",
        2,
        |row| Ok(row.text(0)?.cmp("7")),
        |row| {
            rows += 1;
            assert_eq!(row.text(0)?.cmp("7"), Ordering::Equal);
            Ok(())
        },
    );
    // A walk comes to a page once, and a row takes bytes of its page.
    assert!(rows <= 3 * most, "{rows} rows in {most} bytes");
});
