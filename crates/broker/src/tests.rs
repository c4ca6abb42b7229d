//! Tests of the whole request side in one process: frames in, frames out.

mod connections;
mod every_api;
pub(crate) mod frames;
mod groups;
mod house;
mod leaders;
mod records;
mod stream;
mod topics;
