//! `GET /`: a redirect to the console for browsers, and a short description of the server for other clients.

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::json;

/// Answers a request for `/`, below the path `base`; `None` if the request is for something else.
pub(super) fn answer<B>(request: &Request<B>, base: &str) -> Option<Response<String>> {
    if request.uri().path() != "/" || ![Method::GET, Method::HEAD].contains(request.method()) {
        return None;
    }
    let mut reply = if wants_page(request) {
        let mut reply = Response::new(String::new());
        *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        let console =
            HeaderValue::try_from(format!("{base}/console/")).unwrap_or(HeaderValue::from_static("/console/"));
        reply.headers_mut().insert(header::LOCATION, console);
        reply
    } else {
        let links = json!({
            "api": format!("{base}/v2"),
            "description": format!("{base}/v2/openapi.json"),
            "console": format!("{base}/console/"),
            "health": format!("{base}/health/ready"),
        });
        let body = json!({ "name": "Larder", "version": env!("CARGO_PKG_VERSION"), "links": links });
        let mut reply = Response::new(format!("{body}\n"));
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        reply
    };
    // The response depends on `Accept`.
    reply.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(reply)
}

/// Returns whether the client is a browser that wants a page.
fn wants_page<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    accepted.iter().any(|value| value.as_bytes().windows(9).any(|part| part == b"text/html"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str, accept: &str, base: &str) -> Option<Response<String>> {
        let request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept).body(());
        answer(&request.expect("a request"), base)
    }

    #[test]
    fn browsers_are_led_to_the_console_and_others_are_told_what_answers() {
        for base in ["", "/larder"] {
            let page = ask(Method::GET, "/", "text/html,*/*;q=0.8", base).expect("an answer");
            assert_eq!(page.status(), StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(page.headers()[header::LOCATION], format!("{base}/console/"));
            let told = ask(Method::GET, "/", "*/*", base).expect("an answer");
            let told: serde_json::Value = serde_json::from_str(told.body()).expect("JSON");
            assert_eq!(
                (told["name"].as_str(), told["version"].as_str()),
                (Some("Larder"), Some(env!("CARGO_PKG_VERSION")))
            );
            assert_eq!(told["links"]["api"], format!("{base}/v2"));
        }
        assert!(ask(Method::POST, "/", "*/*", "").is_none() && ask(Method::GET, "/v2", "text/html", "").is_none());
    }
}
