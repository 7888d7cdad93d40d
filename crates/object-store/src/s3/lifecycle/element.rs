//! The meaning of a document, independent of its notation: elements without order, layout and namespaces.

use quick_xml::{Reader, events::Event};

use crate::{
    error::{Error, Result},
    s3::listing::resolve,
};

/// Maximum depth of nesting.
const MAX_DEPTH: usize = 16;

/// Elements whose text is data, including spaces.
const VERBATIM: [&str; 3] = ["Prefix", "Key", "Value"];

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Element {
    /// The name, without its namespace.
    pub name: String,
    /// The text; empty if there are child elements.
    pub text: String,
    /// The child elements, sorted.
    pub children: Vec<Self>,
}

/// Byte range in a document.
pub type Span = std::ops::Range<usize>;

/// The outline of a document: its root, and the position of each direct child.
#[derive(Debug)]
pub struct Outline {
    /// The name of the root.
    pub root: String,
    /// The children, with their positions.
    pub parts: Vec<(Span, Element)>,
    /// End of the root, before its end tag; `None` for a single empty tag.
    pub end: Option<usize>,
}

impl Outline {
    /// Parses a document.
    pub fn of(document: &str) -> Result<Self> {
        let mut reader = Reader::from_str(document);
        let mut outline = Self { root: String::new(), parts: Vec::new(), end: None };
        let (mut open, mut part_start): (Vec<Element>, usize) = (Vec::new(), 0);
        loop {
            let before = position(&reader);
            let event = reader.read_event().map_err(|error| malformed(&error.to_string()))?;
            match event {
                Event::Start(start) => {
                    match open.len() {
                        0 => outline.begin(start.name().as_ref())?,
                        1 => part_start = before,
                        MAX_DEPTH.. => return Err(malformed("it is nested too deeply")),
                        _ => {}
                    }
                    open.push(Element::named(start.local_name().as_ref()));
                }
                Event::Empty(tag) if open.is_empty() => outline.begin(tag.name().as_ref())?,
                Event::Empty(tag) => {
                    let element = Element::named(tag.local_name().as_ref());
                    outline.close(element, before..position(&reader), &mut open);
                }
                Event::End(_) => {
                    let element = open.pop().unwrap_or_default();
                    if open.is_empty() {
                        outline.end = Some(before);
                    } else {
                        let start = if open.len() == 1 { part_start } else { before };
                        outline.close(element, start..position(&reader), &mut open);
                    }
                }
                Event::Text(text) => add_text(&mut open, &text.xml10_content()),
                Event::CData(text) => add_text(&mut open, &text.xml10_content()),
                Event::GeneralRef(name) => add_text(&mut open, &resolve(&name)),
                Event::Eof if open.is_empty() && !outline.root.is_empty() => return Ok(outline),
                Event::Eof => return Err(malformed("it ends too early")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn begin(&mut self, name: &str) -> Result<()> {
        if !self.root.is_empty() {
            return Err(malformed("it has two roots"));
        }
        if name.contains(':') {
            return Err(malformed("its elements have prefixes"));
        }
        name.clone_into(&mut self.root);
        Ok(())
    }

    fn close(&mut self, element: Element, span: Span, open: &mut [Element]) {
        match open {
            [_root] => self.parts.push((span, element.tidied())),
            [.., parent] => parent.children.push(element.tidied()),
            [] => {}
        }
    }
}

impl Element {
    /// Returns an empty element.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Returns the child element with this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Removes layout between elements, and sorts them.
    fn tidied(mut self) -> Self {
        if !self.children.is_empty() {
            self.text.clear();
        } else if !VERBATIM.contains(&self.name.as_str()) {
            self.text = self.text.trim().to_owned();
        }
        self.children.sort_unstable();
        self
    }
}

fn add_text(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// Returns the error of a malformed document.
pub fn malformed(what: &str) -> Error {
    Error::Unavailable(format!("the object store's lifecycle rules cannot be read: {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_where_they_stand() {
        let text =
            "<?xml version=\"1.0\"?>\n<!-- a --><R xmlns=\"x\">\n <A> <B>1</B>\n</A><!-- b --><C/><A>&amp;</A> </R>\n";
        let outline = Outline::of(text).expect("it is XML");
        let parts: Vec<_> =
            outline.parts.iter().map(|(span, part)| (&text[span.clone()], part.name.as_str())).collect();
        assert_eq!(parts, [("<A> <B>1</B>\n</A>", "A"), ("<C/>", "C"), ("<A>&amp;</A>", "A")]);
        assert_eq!(outline.parts[0].1.child("B").map(|b| b.text.as_str()), Some("1"));
        assert_eq!((&text[outline.end.expect("an end")..], outline.root.as_str()), ("</R>\n", "R"));
        assert_eq!(outline.parts[2].1.text, "&");
    }

    #[test]
    fn what_is_no_whole_document_is_refused() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        for text in ["", "text", "<R><A></R>", "<R><A>", "<R/><S/>", "<x:R></x:R>", deep.as_str()] {
            assert!(Outline::of(text).is_err(), "{text}");
        }
        assert!(Outline::of("<R/>").expect("it is one").end.is_none());
    }
}
