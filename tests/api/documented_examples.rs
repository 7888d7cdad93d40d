//! The examples of the documents, run one after the other as written there.

use crate::harness::{Larder, Reply};

/// The documents with examples, in the order in which these build on each other.
const DOCUMENTS: [(&str, &str); 3] = [
    ("GUARANTEES", include_str!("../../docs/GUARANTEES.md")),
    ("API", include_str!("../../docs/API.md")),
    ("SECURITY_MODEL", include_str!("../../docs/SECURITY_MODEL.md")),
];

/// Stands for anything in an example's answer.
const ANYTHING: char = '…';

/// A request, and what must come back.
#[derive(Debug, Default)]
struct Example {
    document: &'static str,
    line: usize,
    request: Vec<&'static str>,
    answer: Vec<&'static str>,
}

contract_test!(the_examples_of_the_documents_are_true, async |larder: Larder| {
    let examples = examples();
    assert!(examples.len() >= 15, "only {} examples were found", examples.len());
    for example in examples {
        let reply = send(&larder, &example).await;
        check(&example, &reply);
    }
});

fn examples() -> Vec<Example> {
    DOCUMENTS.iter().flat_map(|(document, text)| examples_of(document, text)).collect()
}

fn examples_of(document: &'static str, text: &'static str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut is_example = false;
    for (line, text) in (1..).zip(text.lines()) {
        match text {
            "```http" => {
                is_example = true;
                examples.push(Example { document, line, ..Example::default() });
            }
            "```" => is_example = false,
            _ if is_example => {
                let example = examples.last_mut().expect("a fence begins every example");
                match text.split_at(1) {
                    (">", rest) => example.request.push(rest.trim_start()),
                    ("<", rest) => example.answer.push(rest.trim_start()),
                    _ => panic!("{document}, line {line} is neither request nor answer: {text}"),
                }
            }
            _ => {}
        }
    }
    examples
}

async fn send(larder: &Larder, example: &Example) -> Reply {
    let (method, target) = example.request[0].split_once(' ').expect("a method and a target");
    let mut request = larder.request(method, target);
    let mut lines = example.request[1..].iter();
    for field in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = field.split_once(": ").expect("a header field");
        request = request.field(name, value);
    }
    let body: Vec<_> = lines.copied().collect();
    if !body.is_empty() {
        request = request.body(body.join("\n"));
    }
    request.await
}

fn check(example: &Example, reply: &Reply) {
    let (document, line) = (example.document, example.line);
    assert_eq!(reply.status.to_string(), example.answer[0], "{document}, line {line}: {reply}");
    for expected in &example.answer[1..] {
        if let Some((name, value)) = expected.split_once(": ").filter(|(name, _)| !name.contains(['{', ' ', '"'])) {
            let is = reply.expect_field(&name.to_ascii_lowercase());
            assert!(fits(is, value), "{document}, line {line}: {name} is {is:?}, not {value:?}");
        } else {
            let body = String::from_utf8_lossy(&reply.body);
            assert!(fits(&body, expected), "{document}, line {line}: the body is {body:?}, not {expected:?}");
        }
    }
}

/// Returns `true` if `text` matches `pattern`, in which [`ANYTHING`] stands for anything.
fn fits(text: &str, pattern: &str) -> bool {
    let mut fragments = pattern.split(ANYTHING);
    let Some(mut rest) = fragments.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut fragments = fragments.peekable();
    while let Some(fragment) = fragments.next() {
        if fragments.peek().is_none() {
            return rest.ends_with(fragment);
        }
        let Some(at) = rest.find(fragment) else { return false };
        rest = &rest[at + fragment.len()..];
    }
    rest.is_empty()
}

#[test]
fn an_example_that_is_not_true_is_found_out() {
    assert!(fits("abc", "abc") && fits("abc", "a…c") && fits("abc", "…") && fits("abc", "a…"));
    assert!(!fits("abc", "ab") && !fits("abc", "b…") && !fits("abc", "a…b") && !fits("abc", "…x…"));
}
