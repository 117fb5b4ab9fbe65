//! What people and units ask of this program: one file a verb, which says all that the verb has to say.

pub mod config;
pub mod hear;
pub mod key_new;
pub mod publish;
pub mod revoke;
pub mod sink;
pub mod status;
