//! Maximum length of a file and of a function.

use crate::lexer::{Token, tokens};

/// Lines of a file, its tests included.
const FILE_LINES: usize = 400;

/// Lines of a function, from `fn` to its last brace.
const FUNCTION_LINES: usize = 70;

/// Complains about a file that is too long.
pub fn long_file(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > FILE_LINES).then(|| format!("{path}: {lines} lines; a file has at most {FILE_LINES}, so split it"))
}

/// Complains about functions that are too long.
pub fn long_functions(path: &str, text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let starts = tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "fn" && pair[1].is_word());
    starts
        .filter_map(|(at, pair)| {
            let lines = last_line(&tokens[at..])? + 1 - pair[0].line;
            let name = &pair[1].text;
            let line = pair[0].line;
            (lines > FUNCTION_LINES)
                .then(|| format!("{path}:{line}: {name} has {lines} lines; a function has at most {FUNCTION_LINES}"))
        })
        .collect()
}

/// Returns the line of a function's last brace; `None` for a declaration without a body.
fn last_line(tokens: &[Token]) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if braces == 0 && brackets == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces = braces.saturating_sub(1);
                if braces == 0 && brackets == 0 {
                    return Some(token.line);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(body_lines: usize) -> String {
        format!("fn long(a: [u8; 2]) -> u8 {{\n{}}}\n", "    if a { b(\"}\") } // }\n".repeat(body_lines))
    }

    #[test]
    fn a_file_of_the_limit_passes_and_one_line_more_does_not() {
        assert!(long_file("a.rs", &"x\n".repeat(FILE_LINES)).is_none());
        assert!(long_file("a.rs", &"x\n".repeat(FILE_LINES + 1)).is_some());
    }

    #[test]
    fn a_function_of_the_limit_passes_and_one_line_more_does_not() {
        let declared = "trait T { fn without_body(&self); }\ntype F = fn(u8);\n";
        assert!(long_functions("a.rs", &format!("{declared}{}", function(FUNCTION_LINES - 2))).is_empty());
        let found = long_functions("a.rs", &format!("{declared}{}", function(FUNCTION_LINES - 1)));
        assert_eq!(found, ["a.rs:3: long has 71 lines; a function has at most 70"]);
    }

    #[test]
    fn every_long_function_is_found() {
        let text = format!("mod tests {{\n{}{}}}\n", function(FUNCTION_LINES), function(FUNCTION_LINES));
        assert_eq!(long_functions("a.rs", &text).len(), 2);
    }
}
