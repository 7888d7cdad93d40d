//! Our signatures against those of the `aws-sigv4` crate.

use std::time::SystemTime;

use aws_credential_types::Credentials as Identity;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningParams, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use larder::{
    clock::{Random, SeededRandom, Timestamp},
    storage::s3::{Credentials, Signable, SigningTime, UNSIGNED_PAYLOAD, authorization},
};

/// Requests that are compared.
const REQUESTS: usize = 10_000;

/// Characters that percent-encoding leaves as they are.
const PLAIN: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

struct Draws(SeededRandom);

impl Draws {
    fn below(&self, limit: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        usize::try_from(u32::from_le_bytes(bytes)).unwrap() % limit
    }

    fn text(&self, alphabet: &[u8], longest: usize) -> String {
        (0..self.below(longest + 1)).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }

    /// Text in which anything may be percent-encoded.
    fn encoded(&self, longest: usize) -> String {
        (0..=self.below(longest))
            .map(|_| match self.below(4) {
                0 => format!("%{:02X}", b" !\"#$&'()*+,:;<=>?@[]^`{|}\x7f\xc3"[self.below(27)]),
                _ => char::from(PLAIN[self.below(PLAIN.len())]).to_string(),
            })
            .collect()
    }
}

#[test]
fn ten_thousand_requests_have_the_signatures_of_another_implementation() {
    let draws = Draws(SeededRandom::new(7));
    for turn in 0..REQUESTS {
        let method = ["GET", "PUT", "HEAD", "DELETE", "POST"][draws.below(5)];
        let path: Vec<_> = (0..=draws.below(4)).map(|_| draws.encoded(20)).collect();
        let path = format!("/{}", path.join("/"));
        let mut query: Vec<_> = (0..draws.below(4)).map(|_| (draws.encoded(8), draws.encoded(12))).collect();
        query.sort();
        query.dedup_by(|one, other| one.0 == other.0);
        let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = query.join("&");
        let seconds = 1_000_000_000 + i64::try_from(draws.below(2_000_000_000)).unwrap();
        let time = SigningTime::new(Timestamp::from_millis(seconds * 1000 + 999));
        let payload = if draws.below(2) == 0 { UNSIGNED_PAYLOAD.to_owned() } else { "ab".repeat(32) };
        let token = (draws.below(2) == 0).then(|| draws.text(PLAIN, 40) + "=");
        let host = format!("{}.example:{}", draws.text(b"abc-", 5) + "s3", 1 + draws.below(65_000));
        let mut headers = vec![
            ("host".to_owned(), host.clone()),
            ("x-amz-content-sha256".to_owned(), payload.clone()),
            ("x-amz-date".to_owned(), time.as_str().to_owned()),
        ];
        headers.extend(token.iter().map(|token| ("x-amz-security-token".to_owned(), token.clone())));
        for number in 0..draws.below(3) {
            headers.push((format!("x-amz-meta-{number}"), draws.text(PLAIN, 30)));
        }
        headers.sort();
        let (key, secret, region) = (draws.text(PLAIN, 20) + "K", draws.text(PLAIN, 40), draws.text(PLAIN, 10) + "r");

        let signed: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let signable = Signable { method, path: &path, query: &query, headers: &signed, payload: &payload };
        let credentials = Credentials::new(key.clone(), secret.clone(), token.clone(), None);
        let ours = authorization(&signable, time, &region, &credentials);

        let uri = format!("http://{host}{path}{}{query}", if query.is_empty() { "" } else { "?" });
        let moment = SystemTime::from(Timestamp::from_millis(seconds * 1000));
        let identity = Identity::new(key, secret, token, None, "test").into();
        let others = signed.iter().copied().filter(|(name, _)| !name.starts_with("x-amz-") || name.contains("meta"));
        let body = match payload.as_str() {
            UNSIGNED_PAYLOAD => SignableBody::UnsignedPayload,
            hash => SignableBody::Precomputed(hash.to_owned()),
        };
        let request = SignableRequest::new(method, &uri, others, body).unwrap();
        let params = v4::SigningParams::builder().identity(&identity).region(&region).name("s3").time(moment);
        let params: SigningParams<'_> = params.settings(settings()).build().unwrap().into();
        let (instructions, _) = sign(request, &params).unwrap().into_parts();
        let theirs = instructions.headers().find(|(name, _)| *name == "authorization").unwrap().1.to_owned();
        assert_eq!(ours, theirs, "request {turn}: {method} {uri}");
    }
}

/// As they are for S3: paths are encoded once and stay as they are.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings
}
