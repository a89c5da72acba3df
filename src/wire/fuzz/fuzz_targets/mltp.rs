//! Any bytes as a stream of MLTP messages. The body is in the crate, where a bounded unit test runs it too.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tandem_wire::mltp::exercise::exercise(data));
