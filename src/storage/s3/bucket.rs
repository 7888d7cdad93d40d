//! A bucket, and everything it takes to use it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use tokio_util::task::TaskTracker;

use super::{
    super::{
        error::{Error, Result},
        object::{ETag, Precondition},
    },
    address::query,
    control::{Condition, Control},
    headers,
    listing::{DOCUMENT_LIMIT, no_list, read_list, unquoted},
    options::S3Options,
    request::Request,
    transport::{Effect, Transport},
};

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// Its settings.
    pub options: S3Options,
    /// The way of objects.
    pub transport: Transport,
    /// The way of everything else.
    pub control: Control,
    /// What goes on in the background.
    pub tasks: TaskTracker,
    /// What the object store can do.
    pub powers: Powers,
    /// Whether something on the way decodes objects.
    pub decoding: Decoding,
}

/// What an object store can do, as a probe found out. Until then it is taken to do everything.
#[derive(Debug)]
pub struct Powers {
    conditional_puts: AtomicBool,
    conditional_deletes: AtomicBool,
    conditional_completions: AtomicBool,
    quoted_validators: AtomicBool,
    codings: AtomicBool,
}

/// Whether something on the way decodes objects.
#[derive(Debug, Default)]
pub struct Decoding(AtomicBool);

impl Decoding {
    /// Takes note of an answer that was decoded; the log has a line for the first one.
    pub fn note(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a proxy between the gateway and the object store decodes objects: each read of a record with a Content-Encoding \
                 takes two requests until that is turned off (nginx: gunzip off)"
            );
        }
    }

    /// Returns whether an answer was decoded since the start.
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Powers {
    fn default() -> Self {
        Self {
            conditional_puts: AtomicBool::new(true),
            conditional_deletes: AtomicBool::new(true),
            conditional_completions: AtomicBool::new(true),
            quoted_validators: AtomicBool::new(true),
            codings: AtomicBool::new(true),
        }
    }
}

impl Powers {
    /// Says whether a put may be conditional.
    pub fn set_conditional_puts(&self, is_so: bool) {
        self.conditional_puts.store(is_so, Ordering::Relaxed);
    }

    /// Says whether a delete may be conditional.
    pub fn set_conditional_deletes(&self, is_so: bool) {
        self.conditional_deletes.store(is_so, Ordering::Relaxed);
    }

    /// Says whether completing an upload in parts may be conditional.
    pub fn set_conditional_completions(&self, is_so: bool) {
        self.conditional_completions.store(is_so, Ordering::Relaxed);
    }

    /// Says whether validators stand in quotes in conditions, as the standard has it. (Ceph RGW 16 takes none that do.)
    pub fn set_quoted_validators(&self, is_so: bool) {
        self.quoted_validators.store(is_so, Ordering::Relaxed);
    }

    /// Says whether objects come back in the coding that they were stored in.
    pub fn set_codings(&self, is_so: bool) {
        self.codings.store(is_so, Ordering::Relaxed);
    }

    /// Returns whether objects come back in the coding that they were stored in.
    pub fn has_codings(&self) -> bool {
        self.codings.load(Ordering::Relaxed)
    }

    /// Whether a put may be conditional.
    pub fn has_conditional_puts(&self) -> bool {
        self.conditional_puts.load(Ordering::Relaxed)
    }

    /// Whether completing an upload in parts may be conditional.
    pub fn has_conditional_completions(&self) -> bool {
        self.conditional_completions.load(Ordering::Relaxed)
    }

    /// Whether a delete may be conditional.
    pub fn has_conditional_deletes(&self) -> bool {
        self.conditional_deletes.load(Ordering::Relaxed)
    }
}

impl Bucket {
    /// Returns whether the bucket is there, by a list of one key: unlike a HEAD it is answered with words, and shows whether what
    /// answers has the API of S3.
    pub async fn exists(&self) -> Result<bool> {
        let origin = self.transport.origin();
        let mut request = Request::new("GET", None);
        request.query = query(&[("list-type", "2"), ("max-keys", "1"), ("prefix", &self.options.prefix)]);
        let incoming = match self.transport.ask(request, Effect::Reads).await? {
            Ok(incoming) => incoming,
            Err(refusal) if refusal.code == "NoSuchBucket" => return Ok(false),
            Err(refusal) if refusal.status == 404 && !refusal.is_foreign() => return Ok(false),
            Err(refusal) if refusal.code.is_empty() => return Err(Error::Unavailable(refusal.words(origin).into())),
            Err(refusal) => return Err(refusal.into_error(origin)),
        };
        let head = incoming.head.clone();
        let document = incoming.into_bytes(DOCUMENT_LIMIT).await?;
        match read_list(&document, &self.options.prefix) {
            Ok(_) => Ok(true),
            Err(_) => Err(Error::Unavailable(no_list(&head, origin).into())),
        }
    }

    /// The whole key of an object.
    pub fn whole_key(&self, key: &str) -> String {
        [&self.options.prefix, key].concat()
    }

    /// The condition of a put in the words of its headers.
    pub fn condition_of(&self, precondition: &Precondition) -> Result<Condition> {
        if *precondition != Precondition::None && !self.powers.has_conditional_puts() {
            return Err(Error::Unsupported("conditional writes"));
        }
        headers::condition(precondition, self.powers.quoted_validators.load(Ordering::Relaxed))
    }

    /// Adds the headers of a condition.
    pub fn condition(&self, request: &mut Request<'_>, precondition: &Precondition) -> Result<()> {
        let Condition { if_match, if_none_match } = self.condition_of(precondition)?;
        if let Some(value) = if_match {
            request.header("if-match", value);
        }
        if let Some(value) = if_none_match {
            request.header("if-none-match", value);
        }
        Ok(())
    }

    /// Adds the headers that say how the object is kept.
    pub fn add_storage_headers(&self, request: &mut Request<'_>) {
        let class = self.options.storage_class.as_deref();
        request.headers.extend(headers::storage_headers(self.options.encryption.as_ref(), class));
    }

    /// What an error means to a write: an object that is not there matches nothing.
    pub fn of_write(&self, error: Error, precondition: &Precondition) -> Error {
        match (error, precondition) {
            (Error::NotFound, Precondition::IfMatch(_)) => Error::Precondition,
            (Error::NotFound, Precondition::None | Precondition::IfAbsent) => {
                Error::Unavailable(format!("there is no bucket {}", self.transport.bucket()).into())
            }
            (error, _) => error,
        }
    }

    /// The vendor's validator of an object, and when it was written.
    pub async fn validator(&self, key: &str) -> Result<(ETag, SystemTime)> {
        let incoming = self.transport.send(Request::new("HEAD", Some(key)), Effect::Reads).await?;
        let etag = incoming.head.get("etag").map(unquoted);
        let date = incoming.head.get("last-modified").and_then(|date| httpdate::parse_http_date(date).ok());
        etag.zip(date).ok_or_else(|| Error::Unavailable("the object store gave the object no ETag or date".into()))
    }
}
