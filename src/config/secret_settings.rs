//! Settings of the master secret.

use crate::auth::MasterSecret;

use super::setting::Setting;

/// The master secret, and its replacement.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "secret",
        value: "SECRET",
        help: "The master secret that signs links; without it, one is made at first start and kept with the data",
        is_secret: true,
        apply: |config, text| {
            config.secret = Some(MasterSecret::new(text));
            Ok(())
        },
        show: |config| config.secret.as_ref().map(|_| String::new()),
    },
    Setting {
        name: "old_secret_fingerprint",
        value: "FINGERPRINT",
        help: "The fingerprint of the master secret that another one replaces, as the refused start shows it",
        is_secret: false,
        apply: |config, text| {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err("is no fingerprint; write the hexadecimal digits that the refused start shows".to_owned());
            }
            config.old_secret_fingerprint = Some(text.to_ascii_lowercase());
            Ok(())
        },
        show: |config| config.old_secret_fingerprint.clone(),
    },
];
