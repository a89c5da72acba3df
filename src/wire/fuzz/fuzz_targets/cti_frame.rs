//! Any bytes as a CTI frame. The body is in the crate, where a bounded unit test runs it too.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_wire::exercise::exercise(data));
