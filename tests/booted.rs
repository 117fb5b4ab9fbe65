//! Hosts that systemd boots, with the packages on them. One program: packages are made once, and what waits for a timer
//! or a shift waits while others work.
//!
//! Tests start in the order of their names, those that take longest first: whence `collector`.

#[path = "publish.rs"]
mod collector;
mod doors;
mod ending;
mod fleet;
mod granted;
mod hosts;
mod newer;
mod penalties;
mod rollout;
mod survivors;
