//! Deviations of MinIO from S3.

use super::rules::RuleWays;

/// MinIO's deviations that the mock shows. By default there are none: then it does as S3 documents.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Deviations {
    /// `If-Match` on an absent key: written with 200, where S3 responds 404. In releases until about September 2025.
    /// (<https://github.com/minio/minio/issues/21526>)
    pub(crate) writes_what_is_absent: bool,
    /// `If-None-Match: *` was compared with the validator as if it were one: it held for every object, and overwrote. In
    /// releases until the middle of 2024. (<https://github.com/minio/minio/pull/19681>)
    pub(crate) takes_star_for_a_validator: bool,
    /// The preconditions of a DELETE are ignored; S3 responds 412 where they do not hold.
    /// (<https://github.com/pgsty/silo/issues/10>)
    pub(crate) ignores_conditions_of_deletes: bool,
    /// Too few drives answer: reads are refused with 503 `SlowDownRead`, while conditional writes go through without a look
    /// at their conditions. The latter until about November 2025.
    /// (<https://github.com/minio/minio/issues/21603>, <https://github.com/minio/minio/pull/21653>)
    pub(crate) read_quorum_is_lost: bool,
    /// Too few drives take writes: 503 `SlowDownWrite`, while reads go on. (`errErasureWriteQuorum` in `cmd/api-errors.go`)
    pub(crate) write_quorum_is_lost: bool,
    /// The drives are full: 507 `XMinioStorageFull` for whatever would need room. (`cmd/api-errors.go`)
    pub(crate) is_full: bool,
    /// So many of the next requests come before the server is ready: 503 `XMinioServerNotInitialized`, and the wish that one
    /// come back in two minutes. (<https://github.com/minio/minio/pull/15891>, in the log of its tests)
    pub(crate) requests_before_ready: u32,
    /// 503 `SlowDown` for so many of the next requests, with the same two minutes.
    /// (`writeErrorResponse` in `cmd/api-response.go`; <https://github.com/minio/minio/issues/14547>)
    pub(crate) requests_before_calm: u32,
    /// Keys have to be paths of files: none with an empty segment, none whose segments are `.` or `..` or longer than 255
    /// bytes. (<https://min.io/docs/minio/linux/operations/concepts/thresholds.html>,
    /// <https://github.com/minio/minio/issues/15684>, <https://github.com/minio/minio/issues/12046>)
    pub(crate) keys_are_paths: bool,
    /// Behaviour for `a` and `a/b`.
    pub(crate) conflicts: Conflicts,
    /// A page that starts behind a key that does not exist says a continuation token that leaves one key out.
    /// (<https://github.com/minio/minio/issues/21463>)
    pub(crate) token_leaves_a_key_out: bool,
    /// Behaviour for lifecycle rules: not of MinIO, but of every vendor.
    pub(crate) rules: RuleWays,
    /// The id of the one key that is known; any other gets 403 `InvalidAccessKeyId`. Without one, every key is known.
    pub(crate) only_key: Option<&'static str>,
    /// The one region that requests may be signed for; others get 400 `AuthorizationHeaderMalformed`, with the right one.
    pub(crate) region: Option<&'static str>,
    /// Reported versioning of the bucket: `Enabled`, `Suspended`, or nothing.
    pub(crate) versioning: Option<&'static str>,
}

/// Behaviour for an object whose key is the beginning of the path of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Conflicts {
    /// Both are there, as with S3.
    #[default]
    None,
    /// The second one is refused: 400 `XMinioParentIsObject`, or 409 `XMinioObjectExistsAsDirectory` for the other way
    /// round. With one drive (file system mode, until October 2022). (<https://github.com/minio/minio/issues/9865>)
    Refused,
    /// Both can be read, but lists omit the keys below the other. (<https://github.com/minio/minio/issues/18120>,
    /// <https://github.com/minio/minio/issues/20834>)
    Hidden,
}

impl Deviations {
    /// Returns the deviations of every release known to us.
    pub(crate) fn of_every_release() -> Self {
        Self {
            ignores_conditions_of_deletes: true,
            keys_are_paths: true,
            conflicts: Conflicts::Hidden,
            token_leaves_a_key_out: true,
            ..Self::default()
        }
    }

    /// Returns the deviations of the releases of the first half of 2025.
    pub(crate) fn of_early_2025() -> Self {
        Self { writes_what_is_absent: true, ..Self::of_every_release() }
    }
}
