//! Links libpam by the name of the library itself, which every host has; the plain name needs the
//! development package.

fn main() {
    println!("cargo:rustc-link-arg=-l:libpam.so.0");
    println!("cargo:rerun-if-changed=build.rs");
}
