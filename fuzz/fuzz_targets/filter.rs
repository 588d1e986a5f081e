#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ripen_core::fuzz::filter(data));
