//! The program as a user meets it: the built binary, its output and its exit codes.

#![deny(unsafe_code)]

mod entries;
mod errors;
mod file_sizes;
mod invoke;
mod names;
mod run;
mod scarce;
mod signals;
mod support;
mod threads;
mod time_limits;
mod traps;
mod wast;
