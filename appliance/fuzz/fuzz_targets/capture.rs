#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapcopy_properties::capture::check(bytes));
