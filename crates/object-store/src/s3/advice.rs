//! Advice on errors of object stores: the setting or the permission to check.

/// Returns advice on an error with this status and S3 code, which may be empty; `words` is its text or document.
pub fn advice(status: u16, code: &str, words: &str) -> Option<&'static str> {
    Some(match (status, code) {
        (_, "InvalidAccessKeyId") => "the object store does not know this key id: check AWS_ACCESS_KEY_ID",
        (_, "SignatureDoesNotMatch") => {
            "the secret does not belong to this key id, or a proxy changes the host or the path of requests: check \
             AWS_SECRET_ACCESS_KEY, then the proxy"
        }
        (_, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            "the session has ended, or the session token belongs to another key: renew AWS_SESSION_TOKEN"
        }
        (_, "RequestTimeTooSkewed") => "the clocks differ too much: set the clock of this machine by NTP",
        (_, "NoSuchBucket") => "check LARDER_S3_BUCKET, or make the bucket",
        (_, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" | "PermanentRedirect")
        | (301 | 307 | 308, _) => "the bucket is elsewhere: check LARDER_S3_REGION and LARDER_S3_ENDPOINT",
        (413, _) | (_, "EntityTooLarge" | "MaxMessageLengthExceeded") => {
            "raise the limit of the size of bodies, at the object store or at the proxy before it (nginx: client_max_body_size)"
        }
        (414, _) | (_, "KeyTooLongError") => {
            "raise the limit of the length of addresses, at the object store or at the proxy before it (nginx: \
             large_client_header_buffers)"
        }
        (431, _) | (_, "MetadataTooLarge") => {
            "raise the limit of the size of headers, at the object store or at the proxy before it (nginx: \
             large_client_header_buffers)"
        }
        (400, "") if speaks_of_tls(words) => "the port speaks https: let LARDER_S3_ENDPOINT begin with https://",
        (401 | 403 | 407, "") => "a proxy, or a server without an S3 API, refuses it: check LARDER_S3_ENDPOINT",
        (401 | 403, _) => {
            "let the key list the bucket, and read, write and delete objects in it (s3:ListBucket, s3:GetObject, s3:PutObject, \
             s3:DeleteObject)"
        }
        (404 | 405, "") => "this is no S3 API: check the host and the port of LARDER_S3_ENDPOINT",
        _ => return None,
    })
}

/// Returns whether a web server complains of plain HTTP on a TLS port, as nginx, Apache and Go do.
fn speaks_of_tls(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("https") || words.contains("ssl")
}
