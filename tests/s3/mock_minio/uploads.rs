//! Multipart uploads.

use http::StatusCode;
use http_body_util::Full;

use super::http::{Answer, Request, Result, document, element, empty, error, status, texts};
use super::state::{Object, State, Upload};

/// The smallest part, the last one excepted, in bytes.
const LEAST_PART: usize = 5 << 20;

/// Begins an upload.
pub(crate) fn begin(state: &mut State, request: &Request) -> Result<Answer> {
    state.check_write(&request.bucket, &request.key)?;
    let bucket = state.bucket(&request.bucket)?;
    bucket.begun_uploads += 1;
    let id = format!("upload-{}", bucket.begun_uploads);
    let upload =
        Upload { key: request.key.clone(), headers: request.kept_headers(), parts: std::collections::BTreeMap::new() };
    bucket.uploads.insert(id.clone(), upload);
    let content = element("Bucket", &request.bucket) + &element("Key", &request.key) + &element("UploadId", &id);
    Ok(document("InitiateMultipartUploadResult", &content))
}

/// Stores a part.
pub(crate) fn put_part(state: &mut State, request: &Request, id: &str) -> Result<Answer> {
    state.check_write(&request.bucket, &request.key)?;
    let number = request.parameter("partNumber").and_then(|number| number.parse().ok());
    let number = number.filter(|number| (1..=10_000).contains(number));
    let number = number.ok_or_else(|| error(StatusCode::BAD_REQUEST, "InvalidArgument"))?;
    let part = Object::new(request.body.clone(), http::HeaderMap::new());
    upload(state, request, id)?.parts.insert(number, part.bytes);
    Ok(status(StatusCode::OK).header("etag", format!("\"{}\"", part.etag)).body(Full::default()).expect("an answer"))
}

/// Makes an object of the parts that the request lists.
pub(crate) fn complete(state: &mut State, request: &Request, id: &str) -> Result<Answer> {
    upload(state, request, id)?;
    state.check_write(&request.bucket, &request.key)?;
    state.check_conditions(&request.bucket, &request.key, &request.headers)?;
    let listed = texts(&String::from_utf8_lossy(&request.body), "PartNumber");
    let upload = upload(state, request, id)?;
    let mut bytes = Vec::new();
    for (index, number) in listed.iter().enumerate() {
        let part = number.parse().ok().and_then(|number: u32| upload.parts.get(&number));
        let part = part.ok_or_else(|| error(StatusCode::BAD_REQUEST, "InvalidPart"))?;
        if part.len() < LEAST_PART && index + 1 < listed.len() {
            return Err(error(StatusCode::BAD_REQUEST, "EntityTooSmall"));
        }
        bytes.extend_from_slice(part);
    }
    if listed.is_empty() {
        return Err(error(StatusCode::BAD_REQUEST, "MalformedXML"));
    }
    let mut object = Object::new(bytes.into(), upload.headers.clone());
    object.etag = format!("{}-{}", object.etag, listed.len());
    let content = element("Key", &request.key) + &element("ETag", &format!("\"{}\"", object.etag));
    let bucket = state.bucket(&request.bucket)?;
    bucket.uploads.remove(id);
    bucket.objects.insert(request.key.clone(), object);
    Ok(document("CompleteMultipartUploadResult", &content))
}

/// Gives an upload up.
pub(crate) fn abort(state: &mut State, request: &Request, id: &str) -> Result<Answer> {
    upload(state, request, id)?;
    state.bucket(&request.bucket)?.uploads.remove(id);
    Ok(empty(StatusCode::NO_CONTENT))
}

fn upload<'a>(state: &'a mut State, request: &Request, id: &str) -> Result<&'a mut Upload> {
    let upload = state.bucket(&request.bucket)?.uploads.get_mut(id);
    upload.filter(|upload| upload.key == request.key).ok_or_else(|| error(StatusCode::NOT_FOUND, "NoSuchUpload"))
}
