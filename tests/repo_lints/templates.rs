//! Templates of the console: htm drops white space around a line break, so a text that ends its line is joined with the
//! element or value on the next one.

/// Returns a complaint for each text of a template that is joined with what follows it.
pub fn joined(path: &str, text: &str) -> Vec<String> {
    if !path.starts_with("console/app/") || !is_script(path) {
        return Vec::new();
    }
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).enumerate();
    pairs
        .filter(|(_, pair)| ends_in_text(pair[0]) && starts_with_element(pair[1]))
        .map(|(index, pair)| format!("{path}:{}: end the line with ${{' '}}: {:?}", index + 1, pair[0]))
        .collect()
}

fn is_script(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| ending == "js")
}

fn ends_in_text(line: &str) -> bool {
    let is_comment = ["//", "*", "/*"].iter().any(|start| line.starts_with(start));
    let is_code = line.ends_with("return") || line.ends_with("=>");
    !is_comment && !is_code && line.ends_with(|end: char| end.is_alphanumeric() || ".:·”’".contains(end))
}

fn starts_with_element(line: &str) -> bool {
    let opens =
        line.strip_prefix('<').is_some_and(|rest| rest.starts_with(|next: char| next.is_alphabetic() || next == '$'));
    opens || line.starts_with("${")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_joined_with_what_follows_is_found() {
        let found = |text| joined("console/app/a.js", text).len();
        assert_eq!(found("<p>\n    It was changed\n    <b>now</b>\n</p>"), 1);
        assert_eq!(found("<p>\n    12 B ·\n    ${size}\n</p>"), 1);
        assert_eq!(found("<p>\n    It was changed${' '}\n    <b>now</b>\n</p>"), 0);
        assert_eq!(found("<p>\n    It ends here.\n</p>\n// a comment\n<p>"), 0);
    }
}
