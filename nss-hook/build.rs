//! Gives the library the name by which glibc looks for it.

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnss_oncall.so.2");
    println!("cargo:rerun-if-changed=build.rs");
}
