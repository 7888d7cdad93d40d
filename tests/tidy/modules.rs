//! The modules of the library: which file is which module, and what a `mod.rs` may hold.

use crate::imports::{self, Import};
use crate::lexer::{self, Token};

/// A file of `src/` as a module.
pub struct Module {
    /// The file, from the repository's root.
    pub file: String,
    /// Its place in the crate: `src/kv/schema/rule.rs` is `kv`, `schema`, `rule`; the root is empty.
    pub path: Vec<String>,
    tokens: Vec<Token>,
}

impl Module {
    /// Takes a file of `src/` as a module; other files are none.
    pub fn read(file: &str, text: &str) -> Option<Self> {
        let inner = file.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut path: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if path == ["lib"] || path.last().is_some_and(|last| last == "mod") {
            path.pop();
        }
        Some(Self { file: file.to_owned(), path, tokens: lexer::tokens(text) })
    }

    /// Returns `true` if the file is the module of a folder.
    pub fn is_folder(&self) -> bool {
        self.file.ends_with("/mod.rs")
    }

    /// Returns everything the file names of this crate.
    pub fn imports(&self, modules: &[Self]) -> Vec<Import> {
        let children: Vec<&str> = modules
            .iter()
            .filter(|module| module.path.split_last().is_some_and(|(_, parent)| parent == self.path))
            .filter_map(|module| module.path.last().map(String::as_str))
            .collect();
        imports::of(&self.tokens, &self.path, &children)
    }

    /// Returns `true` if the file itself defines an item of this name.
    pub fn defines(&self, name: &str) -> bool {
        const KEYWORDS: [&str; 9] = ["trait", "struct", "enum", "type", "const", "static", "fn", "mod", "union"];
        let mut depth = 0;
        self.tokens.windows(2).any(|pair| {
            match pair[0].text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && KEYWORDS.contains(&pair[0].text.as_str()) && pair[1].text == name
        })
    }

    /// Complains when a `mod.rs` implements something.
    pub fn logic_in_mod_rs(&self) -> Option<String> {
        if !self.is_folder() {
            return None;
        }
        let mut depth = 0;
        for token in &self.tokens {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "impl" | "fn" if depth == 0 => {
                    return Some(format!(
                        "{}:{}: a mod.rs declares and re-exports; move this into a file of the folder",
                        self.file, token.line
                    ));
                }
                _ => {}
            }
        }
        None
    }
}

/// Resolves a path of the crate: the longest beginning that is a module, and the rest of the path.
pub fn resolve<'t, 'm>(target: &'t [String], modules: &'m [Module]) -> Option<(&'m Module, &'t [String])> {
    (0..=target.len()).rev().find_map(|length| {
        let module = modules.iter().find(|module| module.path == target[..length])?;
        Some((module, &target[length..]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(file: &str, text: &str) -> Module {
        Module::read(file, text).expect("a file of src")
    }

    #[test]
    fn a_file_stands_where_its_path_says() {
        assert_eq!(module("src/lib.rs", "").path, Vec::<String>::new());
        assert_eq!(module("src/main.rs", "").path, ["main"]);
        assert_eq!(module("src/kv/mod.rs", "").path, ["kv"]);
        assert_eq!(module("src/kv/schema/rule.rs", "").path, ["kv", "schema", "rule"]);
        assert!(Module::read("tests/api/main.rs", "").is_none());
    }

    #[test]
    fn a_path_leads_into_the_innermost_module() {
        let modules = [module("src/lib.rs", ""), module("src/kv/mod.rs", ""), module("src/kv/key.rs", "")];
        let target = ["kv", "key", "RecordKey"].map(str::to_owned);
        let (found, rest) = resolve(&target, &modules).expect("it leads somewhere");
        assert_eq!((found.file.as_str(), rest), ("src/kv/key.rs", &["RecordKey".to_owned()][..]));
    }

    #[test]
    fn a_mod_rs_with_a_body_is_complained_about() {
        assert!(module("src/kv/mod.rs", "mod a; pub use a::B; trait T { fn f(&self); }").logic_in_mod_rs().is_none());
        assert!(module("src/kv/mod.rs", "mod a; fn f() {}").logic_in_mod_rs().is_some());
        assert!(module("src/kv/mod.rs", "struct A; impl A {}").logic_in_mod_rs().is_some());
        assert!(module("src/kv/key.rs", "fn f() {}").logic_in_mod_rs().is_none());
    }

    #[test]
    fn only_what_stands_in_the_file_itself_is_defined_by_it() {
        let clock = module("src/clock/mod.rs", "pub use a::B; pub trait Clock { fn now(&self); }");
        assert!(clock.defines("Clock"));
        assert!(!clock.defines("B") && !clock.defines("now"));
    }
}
