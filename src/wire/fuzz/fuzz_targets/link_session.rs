//! Any bytes from the other end of a link. The body is in the crate, where a bounded unit test runs it too.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_wire::link::exercise::exercise(data, std::time::Instant::now()));
