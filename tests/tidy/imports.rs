//! Paths of the crate that a file names: in `use` declarations, trees of them included, and in the midst of code.

use crate::lexer::Token;

/// A path of the crate that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// From the crate's root: `crate::kv::StoreId` is `kv`, `StoreId`; a glob ends with `*`.
    pub target: Vec<String>,
    /// Its line.
    pub line: usize,
    /// `true` if only the file's tests name it.
    pub in_tests: bool,
}

/// Reads a file's tokens. `module` is the file's place in the crate, `children` are the modules below it.
pub fn of(tokens: &[Token], module: &[String], children: &[&str]) -> Vec<Import> {
    let mut reader = Reader { tokens, at: 0, module: module.to_vec(), inline: Vec::new(), depth: 0, found: Vec::new() };
    reader.read(children);
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Path of `self`: the file's module and the inline modules around this place.
    module: Vec<String>,
    /// The depth of braces outside each inline module around this place.
    inline: Vec<usize>,
    depth: usize,
    found: Vec<Import>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    fn read(&mut self, children: &[&str]) {
        while self.at < self.tokens.len() {
            match self.text(0) {
                "{" => self.depth += 1,
                "}" => self.leave(),
                "mod" if self.text(2) == "{" => {
                    let name = self.text(1).to_owned();
                    self.module.push(name);
                    self.inline.push(self.depth);
                    self.depth += 1;
                    self.at += 2;
                }
                "use" => {
                    self.at += 1;
                    let relative = self.inline.is_empty() && children.contains(&self.text(0));
                    let start = if relative { Some(self.module.clone()) } else { self.anchor() };
                    match start {
                        Some(start) => self.tree(&start),
                        None => self.skip_declaration(),
                    }
                    continue;
                }
                _ => {
                    if let Some(start) = self.anchor() {
                        self.path_in_code(start);
                        continue;
                    }
                }
            }
            self.at += 1;
        }
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inline.last() == Some(&self.depth) {
            self.inline.pop();
            self.module.pop();
        }
    }

    /// Reads `crate::`, `larder::`, `self::` or any number of `super::`, and gives where it leads.
    fn anchor(&mut self) -> Option<Vec<String>> {
        let mut base = match (self.text(0), self.text(1)) {
            // The program's own file reaches the library by its name.
            ("crate" | "larder", "::") => Vec::new(),
            ("self", "::") => self.module.clone(),
            ("super", "::") => self.module.split_last().map(|(_, parent)| parent.to_vec())?,
            _ => return None,
        };
        self.at += 2;
        while (self.text(0), self.text(1)) == ("super", "::") {
            base.pop();
            self.at += 2;
        }
        Some(base)
    }

    fn path_in_code(&mut self, mut target: Vec<String>) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        while self.tokens.get(self.at).is_some_and(Token::is_word) {
            target.push(self.text(0).to_owned());
            self.at += 1;
            if self.text(0) != "::" {
                break;
            }
            self.at += 1;
        }
        self.note(target, line);
    }

    /// Reads what follows the beginning of a `use`: a path, a group of paths, or a glob.
    fn tree(&mut self, base: &[String]) {
        let mut target = base.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        loop {
            match self.text(0) {
                "{" => {
                    self.group(&target);
                    return;
                }
                "*" => {
                    target.push("*".to_owned());
                    self.at += 1;
                    break;
                }
                "self" => self.at += 1,
                "super" => {
                    target.pop();
                    self.at += 1;
                }
                _ if self.tokens.get(self.at).is_some_and(Token::is_word) => {
                    target.push(self.text(0).to_owned());
                    self.at += 1;
                }
                _ => break,
            }
            if self.text(0) != "::" {
                break;
            }
            self.at += 1;
        }
        if self.text(0) == "as" {
            self.at += 2;
        }
        self.note(target, line);
    }

    fn group(&mut self, base: &[String]) {
        self.at += 1;
        while !matches!(self.text(0), "}" | "") {
            let before = self.at;
            self.tree(base);
            if self.text(0) == "," {
                self.at += 1;
            }
            // Whatever is not understood is stepped over, so that reading ends.
            self.at = self.at.max(before + 1);
        }
        self.at += 1;
    }

    /// Steps over a declaration that names another crate; its groups are not code.
    fn skip_declaration(&mut self) {
        while !matches!(self.text(0), ";" | "") {
            self.at += 1;
        }
    }

    fn note(&mut self, target: Vec<String>, line: usize) {
        let in_tests = self.module.iter().rev().take(self.inline.len()).any(|name| name == "tests");
        self.found.push(Import { target, line, in_tests });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    fn targets(source: &str, module: &str) -> Vec<String> {
        let module: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        of(&lexer::tokens(source), &module, &["child"]).into_iter().map(|import| import.target.join("::")).collect()
    }

    #[test]
    fn a_use_names_its_path() {
        assert_eq!(targets("use crate::kv::StoreId;", "api"), ["kv::StoreId"]);
        assert_eq!(targets("pub(crate) use crate::kv::StoreId as Id; use std::fmt;", "api"), ["kv::StoreId"]);
        assert_eq!(targets("use larder::cli;", "main"), ["cli"]);
    }

    #[test]
    fn a_tree_names_every_leaf() {
        let found = targets("use crate::{kv::{self, key::RecordKey}, clock::*}; use std::{io, crate_};", "api");
        assert_eq!(found, ["kv", "kv::key::RecordKey", "clock::*"]);
    }

    #[test]
    fn super_and_self_are_taken_from_the_module_they_stand_in() {
        assert_eq!(targets("use super::body::X;", "storage::memory"), ["storage::body::X"]);
        assert_eq!(targets("use super::super::clock::X;", "storage::memory"), ["clock::X"]);
        let found = targets("use super::{super::{clock::X, body}, error::Y};", "storage::embedded::row");
        assert_eq!(found, ["storage::clock::X", "storage::body", "storage::embedded::error::Y"]);
        assert_eq!(targets("use self::inner::X;", "storage"), ["storage::inner::X"]);
        assert_eq!(targets("pub use child::X; use other::Y;", "storage"), ["storage::child::X"]);
    }

    #[test]
    fn tests_in_a_file_are_a_module_of_their_own() {
        let source = "fn f() {} mod tests { use super::*; fn g() { { use crate::api::X; } } } use crate::clock::Y;";
        let module = ["kv".to_owned(), "key".to_owned()];
        let found = of(&lexer::tokens(source), &module, &[]);
        let seen: Vec<_> = found.iter().map(|import| (import.target.join("::"), import.in_tests)).collect();
        let expected = [("kv::key::*", true), ("api::X", true), ("clock::Y", false)];
        assert_eq!(seen, expected.map(|(target, in_tests)| (target.to_owned(), in_tests)));
    }

    #[test]
    fn a_path_in_the_midst_of_code_counts() {
        assert_eq!(
            targets("fn f() -> crate::api::Reply { super::g::<crate::kv::Key>() }", "kv::key"),
            ["api::Reply", "kv::g", "kv::Key"]
        );
    }

    #[test]
    fn the_same_path_in_a_comment_or_a_text_does_not() {
        assert_eq!(targets("// use crate::api::X;\nlet a = \"crate::api\";", "kv"), Vec::<String>::new());
    }
}
