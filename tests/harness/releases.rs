//! Releases beside each other: this one, the next, which knows a form more of each published file, and the one after it,
//! which writes that form. Each is built of this tree; see "Forms" in docs/architecture.md.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::host::build_directory;
use crate::text;

/// One release.
#[derive(Debug, PartialEq)]
pub struct Release {
    /// The version of its packages.
    pub version: &'static str,
    /// What cargo is told beside what it is told for this one.
    feature: Option<&'static str>,
    /// The form of the files that it publishes: 1 is this release's.
    pub writes: u32,
}

/// The forms that this release writes of roster.db, keys.db and group. [`Release::writes`] counts from them.
pub const FIRST_FORMS: [u32; 3] = [2, 1, 1];

pub const THIS: Release = Release { version: "0.1.0", feature: None, writes: 1 };
pub const NEXT: Release = Release { version: "0.2.0", feature: Some("next-form"), writes: 1 };
pub const AFTER: Release = Release { version: "0.3.0", feature: Some("next-form-written"), writes: 2 };

impl Release {
    /// Where its programs are; those of another than this are built once, when they are first asked for.
    pub fn build(&self) -> PathBuf {
        static BUILT: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
        if let Some(feature) = self.feature {
            let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
            if !built.contains(feature) {
                build(feature);
                built.insert(feature);
            }
        }
        build_directory().join(self.below())
    }

    /// The same as a private machine sees it.
    pub fn build_inside(&self) -> String {
        self.build();
        format!("/run/suite/build/{}", self.below())
    }

    fn below(&self) -> String {
        self.feature.map(|feature| format!("releases/{feature}/debug")).unwrap_or_default()
    }
}

/// Builds the workspace's own crates; everything else is there.
fn build(feature: &str) {
    let build = build_directory();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--workspace", "--locked", "--offline", "--features"]);
    cargo.arg(format!("store/{feature}")).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What cargo told this test about itself would be news to some build scripts.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo.env("CARGO_BUILD_BUILD_DIR", build.parent().expect("target/PROFILE"));
    cargo.env("CARGO_TARGET_DIR", build.join("releases").join(feature));
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "{}", text(&output));
}
