//! Web console: its pages, embedded in the program as files. A build without optimisation reads them from their folder,
//! so that changes show without a rebuild.
//!
//! The pages get their content from the public API, with the viewer's token. This module only maps a path to a file and
//! sets the headers that limit what browsers may do with it.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use rust_embed::RustEmbed;

/// Base path of the console.
const BASE: &str = "/console";

/// The single page of the console. It chooses its content by its address.
const PAGE: &str = "index.html";

/// Content security policy of the pages: load their own files, ask this server, and nothing else. Stored content is
/// shown in isolated frames and images.
const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
     connect-src 'self'; font-src 'self'; frame-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// Permissions policy: the console uses no device of the user.
const PERMISSIONS_POLICY: HeaderValue =
    HeaderValue::from_static("camera=(), microphone=(), geolocation=(), usb=(), payment=()");

/// Headers of every response.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
];

/// HTTP handler for the console.
#[derive(Debug)]
pub struct Console;

impl Console {
    /// Responds to a request that a client sent below the path `root`; `None` if it is not about the console.
    pub fn respond<B>(request: &Request<B>, root: &str) -> Option<Response<Bytes>> {
        let rest = request.uri().path().strip_prefix(BASE)?;
        if rest.is_empty() {
            return Some(redirect(root));
        }
        let file = rest.strip_prefix('/')?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "The console can only be looked at.\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Some(response);
        }
        // Addresses of pages have no file extensions; ids of stores and keys are in the query, or have no slash.
        let found = Asset::at(file).or_else(|| (!is_file(file)).then(|| Asset::at(PAGE))?);
        Some(match found {
            Some(asset) => asset_response(asset.with_base_path(root), request.headers()),
            None => text_response(StatusCode::NOT_FOUND, "The console has no such file.\n"),
        })
    }
}

/// Returns whether a path is meant to be that of a file: responding with the page would be a surprise.
fn is_file(path: &str) -> bool {
    ["app/", "style/", "vendor/"].iter().any(|folder| path.starts_with(folder))
}

fn asset_response(asset: Asset, headers: &HeaderMap) -> Response<Bytes> {
    let has_it = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == asset.etag || tag == "*")
    });
    let mut response = Response::new(Bytes::new());
    let reply = response.headers_mut();
    reply.insert(header::ETAG, HeaderValue::try_from(&asset.etag).expect("hexadecimal digits in quotes"));
    // Cached, and revalidated on every use: another version of the program has other files.
    reply.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply.insert(header::CONTENT_TYPE, asset.media_type);
    reply.extend(SECURITY_HEADERS);
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = asset.bytes;
    }
    response
}

/// Redirects to the console's first page.
fn redirect(root: &str) -> Response<Bytes> {
    let mut response = text_response(StatusCode::TEMPORARY_REDIRECT, "");
    let page = HeaderValue::try_from(format!("{root}{BASE}/")).unwrap_or(HeaderValue::from_static("/console/"));
    response.headers_mut().insert(header::LOCATION, page);
    response
}

fn text_response(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().extend(SECURITY_HEADERS);
    response
}

/// The folder `console`, without files that only its developers need.
#[derive(RustEmbed)]
#[folder = "console"]
#[exclude = "*.md"]
#[exclude = "*.d.ts"]
#[exclude = "*.d.mts"]
struct Files;

/// Media type of pages.
const HTML: &str = "text/html; charset=utf-8";

/// File of the console.
#[derive(Debug)]
struct Asset {
    /// The file's bytes.
    bytes: Bytes,
    /// The file's media type.
    media_type: HeaderValue,
    /// The file's `ETag` in quotes, different for every content.
    etag: String,
}

impl Asset {
    /// Returns the file at a path inside the folder, without a leading slash; `None` if there is none.
    fn at(path: &str) -> Option<Self> {
        let file = Files::get(path)?;
        let hash = file.metadata.sha256_hash();
        let etag = hash[..16].iter().fold(String::from("\""), |text, byte| text + &format!("{byte:02x}")) + "\"";
        let bytes = match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        };
        Some(Self { bytes, media_type: media_type(path), etag })
    }

    /// Returns the file for the base path `root`: a page refers to its files by absolute paths.
    fn with_base_path(self, root: &str) -> Self {
        if root.is_empty() || self.media_type != HTML {
            return self;
        }
        let text = String::from_utf8_lossy(&self.bytes).replace("\"/console/", &format!("\"{root}/console/"));
        let etag = format!("{}{root}\"", self.etag.trim_end_matches('"'));
        Self { bytes: text.into(), etag, ..self }
    }
}

/// Returns the media type of a file, by its extension.
fn media_type(path: &str) -> HeaderValue {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    HeaderValue::from_static(match ending {
        "html" => HTML,
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "ttf" => "font/ttf",
        "pfb" => "application/x-font-type1",
        // Licences.
        _ => "text/plain; charset=utf-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Option<Response<Bytes>> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        Console::respond(&request.body(()).expect("a request"), "")
    }

    fn get(path: &str) -> Response<Bytes> {
        ask(Method::GET, path, &[]).expect("it is the console's")
    }

    #[test]
    fn every_page_has_an_address_and_is_the_same_file() {
        let page = get("/console/").into_body();
        for path in
            ["key-value-stores", "key-value-stores/WkzbQMuFYuamGv3YF?key=a.js", "runs/x", "a~b.c", "..", "%2e%2e/x"]
        {
            let response = get(&format!("/console/{path}"));
            assert_eq!((response.status(), response.body()), (StatusCode::OK, &page), "{path}");
        }
        for path in ["app/absent.js", "style/", "vendor/README.md"] {
            assert_eq!(get(&format!("/console/{path}")).status(), StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(get("/console/app/main.js").headers()[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    }

    #[test]
    fn every_answer_says_what_browsers_may_do() {
        for path in ["/console", "/console/", "/console/app/main.js", "/console/app/absent.js"] {
            let response = get(path);
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("a policy");
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        }
    }

    #[test]
    fn what_a_browser_has_already_is_not_sent_again() {
        let first = get("/console/app/main.js");
        let etag = first.headers()[header::ETAG].to_str().expect("a tag");
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-cache");
        let both = format!("\"other\", W/{etag}");
        for (tags, status) in [(etag, 304), (&both, 304), ("*", 304), ("\"other\"", 200)] {
            let again = ask(Method::GET, "/console/app/main.js", &[(header::IF_NONE_MATCH, tags)]).expect("a response");
            assert_eq!((again.status().as_u16(), again.body().is_empty()), (status, status == 304), "{tags}");
        }
    }

    #[test]
    fn the_console_is_only_looked_at() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let response = ask(method, "/console/", &[]).expect("a response");
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        }
    }

    #[test]
    fn the_console_is_below_the_path_of_a_proxy() {
        let below = |path: &str| Console::respond(&Request::get(path).body(()).expect("a request"), "/larder");
        let page = below("/console/").expect("a response");
        let text = String::from_utf8(page.body().to_vec()).expect("text");
        assert!(text.contains("src=\"/larder/console/app/main.js\"") && !text.contains("\"/console/"), "{text}");
        assert_ne!(page.headers()[header::ETAG], get("/console/").headers()[header::ETAG]);
        assert_eq!(below("/console").expect("a response").headers()[header::LOCATION], "/larder/console/");
        let script = below("/console/app/main.js").expect("a response");
        assert_eq!(script.body(), get("/console/app/main.js").body());
    }

    #[test]
    fn the_api_stays_what_it_is() {
        assert_eq!(get("/console").headers()[header::LOCATION], "/console/");
        for path in ["/", "/v2/key-value-stores", "/consoles", "/health/live"] {
            assert!(ask(Method::GET, path, &[(header::ACCEPT, "text/html")]).is_none(), "{path}");
        }
    }

    #[test]
    fn every_file_has_a_type_of_its_own_or_is_a_licence() {
        for path in Files::iter() {
            let is_text = media_type(&path) == "text/plain; charset=utf-8";
            assert_eq!(is_text, path.contains("LICENSE"), "{path}");
        }
    }

    #[test]
    fn files_are_found_and_nothing_outside_of_the_folder_is() {
        let page = Asset::at("index.html").expect("the page");
        assert_eq!(page.media_type, "text/html; charset=utf-8");
        assert!(page.etag.len() == 34 && !page.bytes.is_empty());
        for path in ["", "index", "../Cargo.toml", "app/../../Cargo.toml", "/etc/passwd", "vendor/README.md", "app"] {
            assert!(Asset::at(path).is_none(), "{path}");
        }
    }
}
