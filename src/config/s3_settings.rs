//! Settings of an object store. Keys and region may also come from the sources of AWS's own tools.

use std::{ops::RangeInclusive, time::Duration};

use crate::storage::s3::{AddressStyle, Encryption};

use super::setting::{Setting, show_size, show_time, show_yes_no, size, time, yes_or_no};

/// Bounds of timeouts.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(1);

/// Bounds of the size of a part. (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>)
const PART_SIZE_RANGE: RangeInclusive<u64> = 5 << 20..=5 << 30;

/// Bounds of the length of a bucket's name.
const BUCKET_NAME_LENGTH_RANGE: RangeInclusive<usize> = 3..=63;

/// Maximum length of the prefix: every vendor's longest key must have room for ours after it.
const MAX_PREFIX_CHARS: usize = 100;

/// Settings of an object store, in display order.
pub(super) static SETTINGS: &[Setting] = &[
    Setting {
        name: "s3_bucket",
        value: "NAME",
        help: "S3 bucket that stores everything instead of the data folder; created if it does not exist",
        is_secret: false,
        apply: |config, text| {
            let name = text.trim();
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
            if !BUCKET_NAME_LENGTH_RANGE.contains(&name.len()) || !name.bytes().all(allowed) {
                return Err(
                    "is not a bucket name; use 3 to 63 lower-case letters, digits, dots, hyphens and underscores"
                        .to_owned(),
                );
            }
            name.clone_into(&mut config.s3.bucket);
            Ok(())
        },
        show: |config| Some(config.s3.bucket.clone()).filter(|bucket| !bucket.is_empty()),
    },
    Setting {
        name: "s3_endpoint",
        value: "URL",
        help: "Origin of the object store, such as http://minio:9000; if not set, AWS_ENDPOINT_URL_S3, \
               AWS_ENDPOINT_URL or endpoint_url of the AWS profile, else AWS",
        is_secret: false,
        apply: |config, text| {
            config.s3.endpoint = Some(text.trim().parse().map_err(|error| format!("{error}"))?);
            Ok(())
        },
        show: |config| config.s3.endpoint.as_ref().map(ToString::to_string),
    },
    Setting {
        name: "s3_prefix",
        value: "PATH",
        help: "Prefix of all keys in the bucket, so that several installations can share it",
        is_secret: false,
        apply: |config, text| {
            let path = text.trim().trim_matches('/');
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(allowed);
            if path.len() > MAX_PREFIX_CHARS || !path.split('/').all(is_segment) {
                return Err(format!(
                    "is not a prefix; use up to {MAX_PREFIX_CHARS} letters, digits, dots, hyphens and underscores, with slashes between them"
                ));
            }
            config.s3.prefix = format!("{path}/");
            Ok(())
        },
        show: |config| Some(config.s3.prefix.clone()).filter(|prefix| !prefix.is_empty()),
    },
    Setting {
        name: "s3_region",
        value: "REGION",
        help: "Region of the bucket; if not set, AWS_REGION or the region of the AWS profile, else us-east-1",
        is_secret: false,
        apply: |config, text| {
            config.s3.region = Some(text.trim().to_owned());
            Ok(())
        },
        show: |config| config.s3.region.clone(),
    },
    Setting {
        name: "s3_addressing",
        value: "STYLE",
        help: "Addressing style: path, or host (virtual-hosted, with the bucket in the host name); if not set, host on \
               AWS and path elsewhere",
        is_secret: false,
        apply: |config, text| {
            config.s3.style = Some(match text.trim() {
                "path" => AddressStyle::Path,
                "host" => AddressStyle::VirtualHost,
                _ => return Err("is not an addressing style; write path or host".to_owned()),
            });
            Ok(())
        },
        show: |config| {
            config.s3.style.map(|style| match style {
                AddressStyle::Path => "path".to_owned(),
                AddressStyle::VirtualHost => "host".to_owned(),
            })
        },
    },
    Setting {
        name: "s3_ca_file",
        value: "FILE",
        help: "PEM file with certificate authorities to trust in addition to those of the system",
        is_secret: false,
        apply: |config, text| {
            config.s3.ca_file = Some(text.into());
            Ok(())
        },
        show: |config| config.s3.ca_file.as_ref().map(|path| path.display().to_string()),
    },
    Setting {
        name: "s3_sign_payload",
        value: "yes|no",
        help: "Hash and sign request bodies; each body is then buffered in memory before it is sent",
        is_secret: false,
        apply: |config, text| {
            config.s3.signs_payload = yes_or_no(text)?;
            Ok(())
        },
        show: |config| Some(show_yes_no(config.s3.signs_payload)),
    },
    Setting {
        name: "s3_content_md5",
        value: "yes|no",
        help: "Send Content-MD5 with request bodies; each body is then buffered in memory before it is sent",
        is_secret: false,
        apply: |config, text| {
            config.s3.sends_md5 = yes_or_no(text)?;
            Ok(())
        },
        show: |config| Some(show_yes_no(config.s3.sends_md5)),
    },
    Setting {
        name: "s3_encryption",
        value: "KIND",
        help: "Server-side encryption of objects: AES256, aws:kms, or aws:kms:KEY with the name of a key",
        is_secret: false,
        apply: |config, text| {
            config.s3.encryption = Some(match text.trim() {
                "AES256" => Encryption::Aes256,
                "aws:kms" => Encryption::Kms(None),
                other => match other.strip_prefix("aws:kms:").filter(|key| !key.is_empty()) {
                    Some(key) => Encryption::Kms(Some(key.to_owned())),
                    None => return Err("is not a kind of encryption; write AES256, aws:kms or aws:kms:KEY".to_owned()),
                },
            });
            Ok(())
        },
        show: |config| {
            config.s3.encryption.as_ref().map(|encryption| match encryption {
                Encryption::Aes256 => "AES256".to_owned(),
                Encryption::Kms(None) => "aws:kms".to_owned(),
                Encryption::Kms(Some(key)) => format!("aws:kms:{key}"),
            })
        },
    },
    Setting {
        name: "s3_storage_class",
        value: "CLASS",
        help: "Storage class of all objects, as the vendor names it, such as STANDARD_IA",
        is_secret: false,
        apply: |config, text| {
            config.s3.storage_class = Some(text.trim().to_owned());
            Ok(())
        },
        show: |config| config.s3.storage_class.clone(),
    },
    Setting {
        name: "s3_part_size",
        value: "SIZE",
        help: "Part size of multipart uploads, which store all records longer than one part",
        is_secret: false,
        apply: |config, text| {
            config.s3.part_bytes = size(text, PART_SIZE_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_size(config.s3.part_bytes)),
    },
    Setting {
        name: "s3_connect_timeout",
        value: "TIME",
        help: "Timeout for connecting to the object store",
        is_secret: false,
        apply: |config, text| {
            config.s3.timeouts.connect = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.s3.timeouts.connect)),
    },
    Setting {
        name: "s3_response_timeout",
        value: "TIME",
        help: "Timeout for the start of a response from the object store",
        is_secret: false,
        apply: |config, text| {
            config.s3.timeouts.response = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.s3.timeouts.response)),
    },
    Setting {
        name: "s3_stall_timeout",
        value: "TIME",
        help: "Timeout for a body to or from the object store that makes no progress",
        is_secret: false,
        apply: |config, text| {
            config.s3.timeouts.stall = time(text, TIMEOUT_RANGE)?;
            Ok(())
        },
        show: |config| Some(show_time(config.s3.timeouts.stall)),
    },
    Setting {
        name: "s3_conditional_writes",
        value: "yes|no",
        help: "Whether the object store has conditional writes that hold under contention; overrides the probe",
        is_secret: false,
        apply: |config, text| {
            config.s3.conditional_writes = Some(yes_or_no(text)?);
            Ok(())
        },
        show: |config| config.s3.conditional_writes.map(show_yes_no),
    },
    Setting {
        name: "s3_conditional_deletes",
        value: "yes|no",
        help: "Whether the object store has conditional deletes; overrides the probe",
        is_secret: false,
        apply: |config, text| {
            config.s3.conditional_deletes = Some(yes_or_no(text)?);
            Ok(())
        },
        show: |config| config.s3.conditional_deletes.map(show_yes_no),
    },
    Setting {
        name: "s3_quoted_etags",
        value: "yes|no",
        help: "Whether ETags are quoted in preconditions, as the standard requires; overrides the probe",
        is_secret: false,
        apply: |config, text| {
            config.s3.quoted_etags = Some(yes_or_no(text)?);
            Ok(())
        },
        show: |config| config.s3.quoted_etags.map(show_yes_no),
    },
];
