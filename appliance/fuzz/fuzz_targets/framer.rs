#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tapcopy_properties::framer::check(bytes));
