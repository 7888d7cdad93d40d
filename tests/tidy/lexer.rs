//! Rust source as words and signs, without comments and literals: enough to see imports and the extent of functions.

/// A word (identifier, keyword or number) or a single sign, and its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    /// Returns `true` if this is a word that can name something.
    pub fn is_word(&self) -> bool {
        self.text.starts_with(|sign: char| sign.is_alphabetic() || sign == '_')
    }
}

/// Splits source into tokens. `::` is one token; literals become the token `""`.
pub fn tokens(source: &str) -> Vec<Token> {
    let signs: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < signs.len() {
        let end = end_of_token(&signs, at);
        let text: String = match signs[at] {
            '"' => "\"\"".to_owned(),
            '/' if end > at + 1 => String::new(),
            '\'' if end > at + 1 && signs[end - 1] == '\'' => "\"\"".to_owned(),
            _ if is_prefixed_literal(&signs, at, end) => "\"\"".to_owned(),
            sign if sign.is_whitespace() => String::new(),
            _ => signs[at..end].iter().collect(),
        };
        if !text.is_empty() {
            found.push(Token { text, line });
        }
        line += signs[at..end].iter().filter(|&&sign| sign == '\n').count();
        at = end;
    }
    found
}

fn end_of_token(signs: &[char], at: usize) -> usize {
    let next = signs.get(at + 1).copied();
    match signs[at] {
        '/' if next == Some('/') => position(signs, at, |sign| sign == '\n'),
        '/' if next == Some('*') => end_of_block_comment(signs, at),
        '"' => end_of_quoted(signs, at, '"'),
        '\'' => end_of_character_or_lifetime(signs, at),
        ':' if next == Some(':') => at + 2,
        sign if is_word_sign(sign) => {
            let end = position(signs, at, |sign| !is_word_sign(sign));
            end_of_prefixed_literal(signs, at, end).unwrap_or(end)
        }
        _ => at + 1,
    }
}

fn is_word_sign(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_'
}

/// Returns the first place from `at` on where `ends` holds, or the end of the source.
fn position(signs: &[char], at: usize, ends: impl Fn(char) -> bool) -> usize {
    signs[at..].iter().position(|&sign| ends(sign)).map_or(signs.len(), |length| at + length)
}

fn end_of_block_comment(signs: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < signs.len() {
        match (signs[at], signs.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(signs.len())
}

fn end_of_quoted(signs: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < signs.len() && signs[at] != quote {
        at += if signs[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(signs.len())
}

/// `'a'` and `'\n'` are characters; `'a` followed by anything else is a lifetime.
fn end_of_character_or_lifetime(signs: &[char], at: usize) -> usize {
    if signs.get(at + 1) == Some(&'\\') || signs.get(at + 2) == Some(&'\'') {
        end_of_quoted(signs, at, '\'')
    } else {
        position(signs, at + 1, |sign| !is_word_sign(sign))
    }
}

/// Returns the end of `b"..."`, `r#"..."#` and their kind, when the word before the quote is such a prefix.
fn end_of_prefixed_literal(signs: &[char], start: usize, end: usize) -> Option<usize> {
    let prefix: String = signs[start..end].iter().collect();
    let raw = matches!(prefix.as_str(), "r" | "br" | "cr");
    let quote = if raw { position(signs, end, |sign| sign != '#') } else { end };
    match signs.get(quote)? {
        '"' if raw => {
            let closing: String = std::iter::once('"').chain(std::iter::repeat_n('#', quote - end)).collect();
            let rest: String = signs[quote + 1..].iter().collect();
            let length = rest.find(&closing).map_or(rest.chars().count(), |bytes| rest[..bytes].chars().count());
            Some((quote + 1 + length + closing.len()).min(signs.len()))
        }
        '"' if matches!(prefix.as_str(), "b" | "c") => Some(end_of_quoted(signs, quote, '"')),
        '\'' if prefix == "b" => Some(end_of_quoted(signs, quote, '\'')),
        _ => None,
    }
}

fn is_prefixed_literal(signs: &[char], at: usize, end: usize) -> bool {
    is_word_sign(signs[at]) && signs[at..end].iter().any(|sign| matches!(sign, '"' | '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(texts("a // use crate::x\n/* use /* nested */ y */ b"), ["a", "b"]);
    }

    #[test]
    fn literals_say_nothing() {
        assert_eq!(
            texts(r##"f("use crate::x", r#"a "quoted" b"#, b"\"", 'x', '\'', b'"')"##).concat().matches("\"\"").count(),
            6
        );
        assert!(!texts(r##"f("use crate::x", r#"crate::y"#)"##).contains(&"crate".to_owned()));
    }

    #[test]
    fn lifetimes_are_not_open_characters() {
        assert_eq!(texts("&'a str, 'b'"), ["&", "'a", "str", ",", "\"\""]);
    }

    #[test]
    fn lines_are_counted_through_literals_and_comments() {
        let found = tokens("\"two\nlines\"\n/* and\n two */ here");
        assert_eq!(found.last().map(|token| (token.text.as_str(), token.line)), Some(("here", 4)));
    }

    #[test]
    fn paths_are_words_and_double_colons() {
        assert_eq!(texts("crate::kv::StoreId<r>"), ["crate", "::", "kv", "::", "StoreId", "<", "r", ">"]);
    }
}
