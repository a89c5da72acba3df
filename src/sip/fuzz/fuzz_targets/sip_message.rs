//! Any bytes as a datagram and as a stream: parse, validate, every accessor, answer, re-frame. The body is [`tandem_sip::message::exercise`],
//! which the unit tests run over a bounded set of mutations where no fuzzer is installed.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| tandem_sip::message::exercise(bytes));
