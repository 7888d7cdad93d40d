//! The document of all lifecycle rules: parsed into rules by their meaning, and written again with all other content
//! unchanged.
//!
//! The meaning is independent of the notation: elements without order, layout and namespaces.

use quick_xml::{Reader, events::Event};

use super::response_documents::resolve_entity;
use crate::{Error, Result};

/// The root of the document.
const ROOT: &str = "LifecycleConfiguration";

/// The beginning and the end of a new document.
const EMPTY_DOCUMENT: (&str, &str) = (
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    "</LifecycleConfiguration>",
);

/// Maximum depth of nesting.
const MAX_DEPTH: usize = 16;

/// Elements whose text is data, including spaces.
const VERBATIM: [&str; 3] = ["Prefix", "Key", "Value"];

/// All rules of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Document {
    /// The document as received; empty if there is none.
    text: String,
    rules: Vec<(Span, Rule)>,
    /// Position of further rules.
    end: usize,
}

/// A rule by its meaning: different notations of vendors for the same rule are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule(Element);

impl Document {
    /// Parses a document.
    pub fn parse(text: String) -> Result<Self> {
        let outline = Outline::parse(&text)?;
        if outline.root != ROOT {
            return Err(malformed("the document is of another kind"));
        }
        let Some(end) = outline.end else { return Ok(Self::default()) };
        let rules = outline.parts.into_iter().filter(|(_, part)| part.name == "Rule");
        let rules: Vec<_> = rules.map(|(span, part)| (span, Rule::from_element(part))).collect();
        if rules.iter().any(|(span, _)| !(text[span.clone()].starts_with("<Rule") && text[span.clone()].ends_with('>')))
        {
            return Err(malformed("its rules have namespace prefixes"));
        }
        Ok(Self { text, rules, end })
    }

    /// Returns a document with only these rules.
    pub fn from_rules(rules: &[String]) -> Result<Self> {
        if rules.is_empty() {
            return Ok(Self::default());
        }
        Self::parse([EMPTY_DOCUMENT.0, &rules.concat(), EMPTY_DOCUMENT.1].concat())
    }

    /// Returns the document without the rules that `is_dropped` selects, and with `added` after all others.
    pub fn edited(&self, is_dropped: impl Fn(&Rule) -> bool, added: &[String]) -> Result<Self> {
        let (mut text, mut from) = (String::with_capacity(self.text.len()), 0);
        let mut stay = 0;
        for (span, rule) in &self.rules {
            if is_dropped(rule) {
                text.push_str(&self.text[from..span.start]);
                from = span.end;
            } else {
                stay += 1;
            }
        }
        if stay == 0 {
            return Self::from_rules(added);
        }
        text.push_str(&self.text[from..self.end]);
        text.extend(added.iter().map(String::as_str));
        text.push_str(&self.text[self.end..]);
        Self::parse(text)
    }

    /// Returns the document to send; `None` if it has no rules and must not be sent.
    pub fn text(&self) -> Option<&str> {
        (!self.rules.is_empty()).then_some(self.text.as_str())
    }

    /// Returns the rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|(_, rule)| rule)
    }
}

impl Rule {
    /// Returns the meaning of the element. The prefix directly in the rule (old notation), alone in its filter, or
    /// among several conditions is the same prefix; an empty one limits nothing.
    fn from_element(element: Element) -> Self {
        let mut rule = Element::new("Rule");
        let mut filter = Element::new("Filter");
        for part in element.children {
            match part.name.as_str() {
                "Prefix" => filter.children.push(part),
                "Filter" => {
                    for condition in part.children {
                        if condition.name == "And" {
                            filter.children.extend(condition.children);
                        } else {
                            filter.children.push(condition);
                        }
                    }
                }
                _ => rule.children.push(normalized_action(part)),
            }
        }
        filter.children.retain(|condition| !(condition.name == "Prefix" && condition.text.is_empty()));
        filter.children.sort_unstable();
        filter.children.dedup();
        rule.children.push(filter);
        rule.children.sort_unstable();
        Self(rule)
    }

    /// Returns the id; empty if it has none.
    pub fn id(&self) -> &str {
        self.0.child("ID").map_or("", |id| id.text.as_str())
    }

    /// Returns the prefix that limits the rule; `None` if there is none.
    pub fn prefix(&self) -> Option<&str> {
        self.filter().iter().find(|condition| condition.name == "Prefix").map(|prefix| prefix.text.as_str())
    }

    /// Returns all conditions of the rule.
    pub fn filter(&self) -> &[Element] {
        self.0.child("Filter").map_or(&[], |filter| &filter.children)
    }

    /// Returns the rule without one of its elements.
    pub fn without(&self, name: &str) -> Self {
        let mut rule = self.0.clone();
        rule.children.retain(|part| part.name != name);
        Self(rule)
    }
}

/// Returns an action without optional parts, and with dates in one form.
fn normalized_action(mut part: Element) -> Element {
    part.children = part.children.into_iter().map(normalized_action).collect();
    part.children.retain(|inner| !(inner.name == "ExpiredObjectDeleteMarker" && inner.text == "false"));
    part.children.sort_unstable();
    if part.name == "Date" {
        part.text = part.text.replace(".000Z", "Z");
    }
    part
}

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
    pub fn parse(document: &str) -> Result<Self> {
        let mut reader = Reader::from_str(document);
        let mut outline = Self { root: String::new(), parts: Vec::new(), end: None };
        let (mut open, mut part_start): (Vec<Element>, usize) = (Vec::new(), 0);
        loop {
            let before = position(&reader);
            let event = reader.read_event().map_err(|error| malformed(&error.to_string()))?;
            match event {
                Event::Start(start) => {
                    match open.len() {
                        0 => outline.open_root(start.name().as_ref())?,
                        1 => part_start = before,
                        MAX_DEPTH.. => return Err(malformed("it is nested too deeply")),
                        _ => {}
                    }
                    open.push(Element::new(start.local_name().as_ref()));
                }
                Event::Empty(tag) if open.is_empty() => outline.open_root(tag.name().as_ref())?,
                Event::Empty(tag) => {
                    let element = Element::new(tag.local_name().as_ref());
                    outline.close_element(element, before..position(&reader), &mut open);
                }
                Event::End(_) => {
                    let element = open.pop().unwrap_or_default();
                    if open.is_empty() {
                        outline.end = Some(before);
                    } else {
                        let start = if open.len() == 1 { part_start } else { before };
                        outline.close_element(element, start..position(&reader), &mut open);
                    }
                }
                Event::Text(text) => add_text(&mut open, &text.xml10_content()),
                Event::CData(text) => add_text(&mut open, &text.xml10_content()),
                Event::GeneralRef(name) => add_text(&mut open, &resolve_entity(&name)),
                Event::Eof if open.is_empty() && !outline.root.is_empty() => return Ok(outline),
                Event::Eof => return Err(malformed("it ends too early")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn open_root(&mut self, name: &str) -> Result<()> {
        if !self.root.is_empty() {
            return Err(malformed("it has two roots"));
        }
        if name.contains(':') {
            return Err(malformed("its elements have namespace prefixes"));
        }
        name.clone_into(&mut self.root);
        Ok(())
    }

    fn close_element(&mut self, element: Element, span: Span, open: &mut [Element]) {
        match open {
            [_root] => self.parts.push((span, element.normalized())),
            [.., parent] => parent.children.push(element.normalized()),
            [] => {}
        }
    }
}

impl Element {
    /// Returns an empty element.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Returns the child element with this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Removes layout between elements, and sorts them.
    fn normalized(mut self) -> Self {
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
    Error::Unavailable(format!("cannot read the bucket's lifecycle rules: {what}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = "<Rule>\n  <ID>theirs</ID> <!-- ours to keep -->\n <Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key>\
        <Value> b </Value></Tag></And></Filter><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule>";

    fn rule(id: &str, limit: &str) -> String {
        format!("<Rule><ID>{id}</ID>{limit}<Status>Enabled</Status><Expiration><Days>5</Days></Expiration></Rule>")
    }

    fn read(text: &str) -> Document {
        Document::parse(text.to_owned()).expect("it is a document")
    }

    fn meaning(limit: &str) -> Rule {
        Document::from_rules(&[rule("a", limit)]).expect("a document").rules().next().expect("a rule").clone()
    }

    #[test]
    fn what_is_not_changed_stays_byte_for_byte_as_it_is() {
        let head = "<?xml version='1.0'?>\n<!-- mine -->\n<LifecycleConfiguration xmlns=\"x\">\n\t";
        let (ours, tail) =
            (rule("ours", "<Filter><Prefix>p/</Prefix></Filter>"), "\n</LifecycleConfiguration>\n<!-- end -->");
        let document = read(&format!("{head}{FOREIGN}<!-- between -->{ours} {tail}"));
        let edited = document.edited(|rule| rule.id() == "ours", &["<Rule><ID>new</ID></Rule>".to_owned()]);
        let expected = format!("{head}{FOREIGN}<!-- between --> \n<Rule><ID>new</ID></Rule>{}", tail.trim_start());
        assert_eq!(edited.expect("a document").text(), Some(expected.as_str()));
        assert_eq!(document.edited(|_| true, &[]).expect("a document").text(), None);
        assert_eq!(document.edited(|_| false, &[]).expect("a document"), document);
    }

    #[test]
    fn a_prefix_is_the_same_wherever_a_vendor_writes_it() {
        let usual = meaning("<Filter><Prefix>p/</Prefix></Filter>");
        assert_eq!(usual.prefix(), Some("p/"));
        for same in [
            "<Prefix>p/</Prefix>",
            "<Filter>\n<And> <Prefix>p/</Prefix> </And></Filter>",
            "<Filter><Prefix>p&#x2F;</Prefix></Filter>",
            "<Prefix/><Filter><Prefix>p/</Prefix></Filter>",
        ] {
            assert_eq!(meaning(same), usual, "{same}");
        }
        for other in [
            "",
            "<Filter/>",
            "<Prefix/>",
            "<Filter><Prefix></Prefix></Filter>",
            "<Filter><Prefix>p</Prefix></Filter>",
            "<Filter><Prefix>p/ </Prefix></Filter>",
            "<Filter><And><Prefix>p/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>",
        ] {
            assert_ne!(meaning(other), usual, "{other}");
        }
        assert!(meaning("<Prefix/>").filter().is_empty() && meaning("").prefix().is_none());
    }

    #[test]
    fn no_rules_are_no_document() {
        for text in ["<LifecycleConfiguration/>", "<LifecycleConfiguration> </LifecycleConfiguration>"] {
            assert_eq!(read(text).text(), None, "{text}");
        }
        assert!(Document::parse("<ListBucketResult></ListBucketResult>".to_owned()).is_err());
        assert!(Document::parse("<LifecycleConfiguration><a:Rule/></LifecycleConfiguration>".to_owned()).is_err());
    }

    #[test]
    fn parts_are_found_where_they_stand() {
        let text =
            "<?xml version=\"1.0\"?>\n<!-- a --><R xmlns=\"x\">\n <A> <B>1</B>\n</A><!-- b --><C/><A>&amp;</A> </R>\n";
        let outline = Outline::parse(text).expect("it is XML");
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
            assert!(Outline::parse(text).is_err(), "{text}");
        }
        assert!(Outline::parse("<R/>").expect("it is one").end.is_none());
    }
}
