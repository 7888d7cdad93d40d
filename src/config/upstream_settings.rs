//! Settings of the upstream.

use crate::{auth::Token, peer::PeerAddress};

use super::setting::Setting;

/// Address of the upstream for datasets and request queues, and Larder's token there.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "upstream_url",
        value: "URL",
        help: "An Apify-compatible server that calls for datasets and request queues are passed on to; needs \
               LARDER_UPSTREAM_TOKEN",
        is_secret: false,
        apply: |config, text| {
            let address = PeerAddress::parse_upstream(text.trim());
            config.upstream.address = Some(address.map_err(|error| error.to_string())?);
            Ok(())
        },
        show: |config| config.upstream.address.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "upstream_token",
        value: "TOKEN",
        help: "The token that such calls are made with; callers' own tokens are not passed on",
        is_secret: true,
        apply: |config, text| {
            let text = text.trim();
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("has characters that a header cannot carry; use letters, digits and ASCII signs".to_owned());
            }
            config.upstream.token = Some(Token::new(text));
            Ok(())
        },
        show: |config| config.upstream.token.as_ref().map(|_| String::new()),
    },
];
