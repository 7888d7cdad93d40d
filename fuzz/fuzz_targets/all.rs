//! Gives the target named by `LARDER_FUZZ_TARGET` bytes that libFuzzer chooses.

#![no_main]

use std::sync::LazyLock;

use larder_fuzz::Target;

/// Target of this process.
static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "libFuzzer has the arguments, and this is no setting of the product")]
    let name = std::env::var("LARDER_FUZZ_TARGET").expect("LARDER_FUZZ_TARGET names a target");
    larder_fuzz::target(&name).expect("LARDER_FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |bytes: &[u8]| (TARGET.check)(bytes));
