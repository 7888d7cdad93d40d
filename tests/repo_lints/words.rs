//! Words: persons, the first words of doc comments, and names that the field has a better word for.

/// Words for persons. A sentence names its actor by role: client, caller, user, gateway, operator.
const PERSONS: [&str; 7] = ["whoever", "nobody", "somebody", "he", "his", "him", "himself"];

/// Lines that may have such a word: quotations, and texts that the platform's contract prescribes.
const QUOTATIONS: [&str; 1] = ["\"he\""];

/// Question words. A doc comment begins with a verb in the third person, or a noun phrase.
const QUESTIONS: [&str; 6] = ["What", "How", "Whether", "Who", "Which", "Where"];

/// Words, of names in snake or camel case, that the field has better words for. Several words stand in a row.
const PRIVATE_NAMES: [(&[&str], &str); 30] = [
    (&["keeper"], "leader"),
    (&["keepers"], "leader"),
    (&["forwarder"], "follower"),
    (&["forwarders"], "follower"),
    (&["appointment"], "due item"),
    (&["appointments"], "due queue"),
    (&["upkeep"], "reconciler"),
    (&["renewal"], "expiry extension"),
    (&["renewals"], "expiry extension"),
    (&["sole", "writer"], "single writer"),
    (&["sole", "gateway"], "exclusive bucket"),
    (&["turns"], "key locks"),
    (&["doubts"], "in-doubt keys"),
    (&["errand"], "leader client"),
    (&["errands"], "leader client"),
    (&["parcel"], "staged backup"),
    (&["parcels"], "staged backup"),
    (&["tab"], "call cost"),
    (&["tabs"], "call cost"),
    (&["pulse"], "connection activity"),
    (&["commission"], "request context"),
    (&["untold"], "invalidation"),
    (&["mover"], "relocator"),
    (&["movers"], "relocator"),
    (&["leftover"], "stale location"),
    (&["leftovers"], "stale location"),
    (&["turned", "away"], "rejected"),
    (&["told", "*"], "reported"),
    (&["kept/"], "permanent/"),
    (&["passing/"], "expiring/"),
];

/// Folders with pages in a browser: there a tab is a tab.
const PAGES: [&str; 3] = ["console/", "tests/console/", "docs/screenshots/"];

/// Files that tools write.
const GENERATED: [&str; 3] = ["Cargo.lock", "package-lock.json", "tests/fixtures/"];

fn is_generated(path: &str) -> bool {
    GENERATED.iter().any(|part| path.contains(part))
}

/// Complains about words for persons.
pub fn persons(path: &str, text: &str) -> Vec<String> {
    if is_generated(path) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if QUOTATIONS.iter().any(|quotation| line.contains(quotation)) {
            continue;
        }
        let mut words = line.split(|sign: char| !sign.is_alphanumeric());
        if let Some(word) = words.find(|word| PERSONS.iter().any(|person| person.eq_ignore_ascii_case(word))) {
            found.push(format!("{path}:{number}: {word:?}; name the actor by role, or say \"they\""));
        }
    }
    found
}

/// Complains about doc comments that begin with a question word.
pub fn questions(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_first = true;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let Some(comment) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
            is_first = true;
            continue;
        };
        let word = comment.split_whitespace().next().unwrap_or_default();
        if is_first && QUESTIONS.contains(&word.trim_end_matches([',', ':'])) {
            found.push(format!("{path}:{number}: begins with {word:?}; begin with a verb or a noun phrase"));
        }
        is_first = false;
    }
    found
}

/// Complains about private words in a path and in the names of a file: identifiers of Rust, and anywhere words that are
/// joined by `_` or by capitals.
pub fn private_names(path: &str, text: &str) -> Vec<String> {
    if is_generated(path) {
        return Vec::new();
    }
    let is_page = PAGES.iter().any(|page| path.starts_with(page));
    let mut found = Vec::new();
    let stem = |segment: &str| segment.split('.').next().unwrap_or_default().replace('-', "_");
    for segment in path.split('/').map(stem) {
        if let Some((name, better)) = private_word(&segment, is_page) {
            found.push(format!("{path}: named with {name:?}; say {better:?}"));
        }
    }
    let is_rust = crate::repository::is_rust(path);
    for (number, line) in (1..).zip(text.lines()) {
        let small = line.to_lowercase();
        if !PRIVATE_NAMES.iter().any(|(words, _)| small.contains(words[0])) {
            continue;
        }
        let code = if is_rust { code_of(line) } else { line.to_owned() };
        let is_name = |word: &str| !word.is_empty() && (is_rust || is_joined(word));
        let names = code.split(|sign: char| !(sign.is_alphanumeric() || sign == '_')).filter(|word| is_name(word));
        let stored = ["kept/", "passing/"].into_iter().filter(|stored| has_stored(line, stored));
        if let Some((name, better)) = names.chain(stored).find_map(|name| private_word(name, is_page)) {
            found.push(format!("{path}:{number}: named with {name:?}; say {better:?}"));
        }
    }
    found
}

/// Returns `true` if a line has the prefix of stored keys, at the beginning of a key or of a segment.
fn has_stored(line: &str, stored: &str) -> bool {
    line.match_indices(stored).any(|(at, _)| !line[..at].ends_with(|sign: char| sign.is_alphanumeric() || sign == ' '))
}

/// Returns `true` if a word is a name by its looks: several words, joined by `_` or by capitals.
fn is_joined(word: &str) -> bool {
    let is_camel = |pair: &[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    word.trim_matches('_').contains('_') || word.as_bytes().windows(2).any(is_camel)
}

/// Returns the code of a line of Rust: no comment, and no text in quotes that is a sentence.
fn code_of(line: &str) -> String {
    if line.trim_start().starts_with("//") {
        return String::new();
    }
    let mut code = String::new();
    for (index, part) in line.split('"').enumerate() {
        let is_quoted = index % 2 == 1;
        if !is_quoted || !part.contains(' ') {
            let (part, is_over) = match part.split_once(" // ") {
                Some((before, _)) if !is_quoted => (before, true),
                _ => (part, false),
            };
            code.push_str(part);
            code.push(' ');
            if is_over {
                break;
            }
        }
    }
    code
}

/// Returns the first private word of a name, and the field's word for it.
fn private_word(name: &str, is_page: bool) -> Option<(String, &'static str)> {
    let words = words_of(name);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let is_here = |private: &[&str]| {
        let fits = |(word, private): (&&str, &&str)| word == private || *private == "*";
        words.windows(private.len()).any(|part| part.iter().zip(private).all(fits))
    };
    let (private, better) = PRIVATE_NAMES
        .into_iter()
        .filter(|(private, _)| !(is_page && ["tab", "tabs"].contains(&private[0])))
        .find(|(private, _)| is_here(private))?;
    Some((format!("{name} ({})", private.join("_")), better))
}

/// Returns the words of a name in snake or camel case, in small letters.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for sign in name.chars() {
        if sign == '_' || (sign.is_uppercase() && was_small) {
            words.push(String::new());
        }
        was_small = sign.is_lowercase() || sign.is_numeric();
        if sign != '_' {
            words.last_mut().into_iter().for_each(|word| word.extend(sign.to_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_persons_are_found_whole_and_in_any_case() {
        for line in ["// Who".to_owned() + "ever asks", "Hi".to_owned() + "m", "(h".to_owned() + "e)"] {
            assert_eq!(persons("a.md", &line).len(), 1, "{line}");
        }
        assert!(persons("a.md", "The cache, this and history").is_empty());
    }

    #[test]
    fn doc_comments_that_ask_are_found_at_their_beginning() {
        assert_eq!(questions("a.rs", "/// What it is.\nfn a() {}\n    //! Whether it is.").len(), 2);
        let fine = "/// Returns a name:\n/// What is called so.\n// What a plain comment says.\n/// Whatever it is.";
        assert!(questions("a.rs", fine).is_empty());
    }

    #[test]
    fn private_names_are_found_in_snake_and_camel_case_in_paths_and_in_stored_strings() {
        let found = |path: &str, text: &str| private_names(path, text).len();
        for text in ["let told_it = 1;", "struct SoleWriter;", "LARDER_SOLE_GATEWAY", "let tab = 1;", "f(\"kept/\")"] {
            assert_eq!(found("a.rs", text), 1, "{text}");
        }
        assert_eq!(found("src/sole_writer/a.rs", ""), 1);
        assert_eq!(found("docs/a-parcel.md", ""), 1);
        assert_eq!(found("a.yml", "LARDER_SOLE_GATEWAY=yes, StoreUpkeep"), 1);
        for text in ["let table = establish();", "// told_it", "f(\"it turns out\")", "tell(x)", "let told = 1;"] {
            assert_eq!(found("a.rs", text), 0, "{text}");
        }
        assert_eq!(found("a.md", "The gateway turns; a tab; is kept/lost"), 0);
        assert_eq!(found("console/app/keys_tab.js", "const keysTab = 1;"), 0);
    }
}
