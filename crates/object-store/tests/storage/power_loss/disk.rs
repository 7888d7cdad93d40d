//! A disk with a file system: its durable state, the state that running processes see, and the states that may remain
//! when they stop.
//!
//! The disk promises the same as POSIX, and no more: a sync of a file makes its bytes and its length durable, not its
//! name; a sync of a folder makes the names in it durable. Before that any part of the changes may be lost: single
//! sectors of a write, the write but not the length that came with it, names in any order. Only a rename is never half
//! done so that the file has no name at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use crate::random_operations::Dice;

use super::trace::{Call, Event};

/// Unit that a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;
/// Unit that a file system mostly writes at once, in bytes.
const PAGE: usize = 4096;

/// Loss of unsynced changes.
#[derive(Debug)]
pub enum Lost {
    /// All of it.
    Everything,
    /// One part in so many is kept, or all but that.
    Random { one_in: usize, is_kept: bool, unit: usize },
}

impl Lost {
    pub fn random(dice: &Dice) -> Self {
        Self::Random {
            one_in: dice.one_of(&[2, 2, 10]),
            is_kept: dice.below(2) == 0,
            unit: dice.one_of(&[SECTOR, PAGE, usize::MAX]),
        }
    }

    fn keeps(&self, dice: &Dice) -> bool {
        match self {
            Self::Everything => false,
            Self::Random { one_in, is_kept, .. } => (dice.below(*one_in) == 0) == *is_kept,
        }
    }

    fn unit(&self) -> usize {
        match self {
            Self::Everything => usize::MAX,
            Self::Random { unit, .. } => *unit,
        }
    }
}

/// A change that is not durable yet, and the line at which the call ended.
#[derive(Debug, Clone)]
struct Pending<T> {
    ended: usize,
    change: T,
}

#[derive(Debug, Clone)]
enum Content {
    Bytes { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Debug, Clone)]
struct NameChange {
    /// Names and their files from now on; `None` for a name that is gone. Durable together or not at all.
    names: Vec<(String, Option<usize>)>,
    /// A name elsewhere, of the same rename, that must be there before those above go.
    after: Option<(usize, String, usize)>,
}

#[derive(Debug)]
enum Node {
    File { durable: Vec<u8>, length: usize, pending: Vec<Pending<Content>> },
    Folder { durable: BTreeMap<String, usize>, names: BTreeMap<String, usize>, pending: Vec<Pending<NameChange>> },
}

impl Node {
    fn file() -> Self {
        Self::File { durable: Vec::new(), length: 0, pending: Vec::new() }
    }

    fn folder() -> Self {
        Self::Folder { durable: BTreeMap::new(), names: BTreeMap::new(), pending: Vec::new() }
    }
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
}

impl Disk {
    /// Creates a disk on which there is nothing but the empty folder `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), nodes: vec![Node::folder()] }
    }

    /// Applies a call. Files that have lost their names, or that are outside the disk, are ignored.
    pub fn apply(&mut self, event: &Event) {
        match &event.call {
            Call::Open { path, is_emptied } => match self.find(path) {
                None if path.starts_with(&self.root) => {
                    let node = self.add(Node::file());
                    self.name(path, node, event.ended);
                }
                Some(node) if *is_emptied => self.change(node, event.ended, Content::Length(0)),
                None | Some(_) => {}
            },
            Call::Write { path, offset, bytes } => {
                if let Some(node) = self.find(path) {
                    let offset = offset.unwrap_or_else(|| self.length(node));
                    self.change(node, event.ended, Content::Bytes { offset, bytes: bytes.clone() });
                }
            }
            Call::Length { path, length } => {
                if let Some(node) = self.find(path) {
                    self.change(node, event.ended, Content::Length(*length));
                }
            }
            Call::Sync { path } => {
                if let Some(node) = self.find(path) {
                    self.sync(node, event.begun);
                }
            }
            Call::MakeFolder { path } => {
                let node = self.add(Node::folder());
                self.name(path, node, event.ended);
            }
            Call::Link { from, to } => {
                let node = self.find(from).unwrap_or_else(|| panic!("what is linked is not there: {event:?}"));
                self.name(to, node, event.ended);
            }
            Call::Rename { from, to } => self.rename(from, to, event.ended),
            Call::Remove { path } => {
                let (folder, name) = self.place(path);
                self.change_names(folder, event.ended, vec![(name, None)], None);
            }
        }
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let mut node = 0;
        for part in path.strip_prefix(&self.root).ok()?.components() {
            let (Component::Normal(name), Node::Folder { names, .. }) = (part, &self.nodes[node]) else { return None };
            node = *names.get(name.to_str()?)?;
        }
        Some(node)
    }

    fn place(&self, path: &Path) -> (usize, String) {
        let folder = self.find(path.parent().unwrap()).unwrap();
        (folder, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    fn name(&mut self, path: &Path, node: usize, ended: usize) {
        let (folder, name) = self.place(path);
        self.change_names(folder, ended, vec![(name, Some(node))], None);
    }

    fn rename(&mut self, from: &Path, to: &Path, ended: usize) {
        let node = self.find(from).unwrap();
        let ((old_folder, old), (new_folder, new)) = (self.place(from), self.place(to));
        if old_folder == new_folder {
            return self.change_names(new_folder, ended, vec![(new, Some(node)), (old, None)], None);
        }
        self.change_names(new_folder, ended, vec![(new.clone(), Some(node))], None);
        self.change_names(old_folder, ended, vec![(old, None)], Some((new_folder, new, node)));
    }

    fn change_names(
        &mut self,
        folder: usize,
        ended: usize,
        changed: Vec<(String, Option<usize>)>,
        after: Option<(usize, String, usize)>,
    ) {
        let Node::Folder { names, pending, .. } = &mut self.nodes[folder] else { panic!("names are in folders") };
        apply_names(names, &changed);
        pending.push(Pending { ended, change: NameChange { names: changed, after } });
    }

    fn change(&mut self, node: usize, ended: usize, change: Content) {
        let Node::File { length, pending, .. } = &mut self.nodes[node] else { panic!("bytes are in files") };
        *length = match &change {
            Content::Bytes { offset, bytes } => (*length).max(offset + bytes.len()),
            Content::Length(length) => *length,
        };
        pending.push(Pending { ended, change });
    }

    fn length(&self, node: usize) -> usize {
        match &self.nodes[node] {
            Node::File { length, .. } => *length,
            Node::Folder { .. } => panic!("folders have no length"),
        }
    }

    /// Everything is durable that ended before `begun`.
    fn sync(&mut self, node: usize, begun: usize) {
        let mut elsewhere = Vec::new();
        match &mut self.nodes[node] {
            Node::File { durable, pending, .. } => {
                for done in pending.extract_if(.., |done| done.ended < begun) {
                    apply_content(durable, &done.change, usize::MAX, &mut || true);
                }
            }
            Node::Folder { durable, pending, .. } => {
                for done in pending.extract_if(.., |done| done.ended < begun) {
                    apply_names(durable, &done.change.names);
                    elsewhere.extend(done.change.after);
                }
            }
        }
        for (folder, name, node) in elsewhere {
            let Node::Folder { durable, .. } = &mut self.nodes[folder] else { panic!("names are in folders") };
            durable.insert(name, node);
        }
    }

    /// Writes into the new folder `folder` what may be found on the disk when `lost` is lost.
    pub fn write_image(&self, folder: &Path, lost: &Lost, dice: &Dice) {
        let kept = self.kept_names(lost, dice);
        self.write_node(0, folder, &kept, lost, dice);
    }

    /// Chooses the names to keep among those that are not durable, as (folder, place in its list).
    fn kept_names(&self, lost: &Lost, dice: &Dice) -> BTreeSet<(usize, usize)> {
        let pending = |folder: usize| match &self.nodes[folder] {
            Node::Folder { pending, .. } => pending.as_slice(),
            Node::File { .. } => &[],
        };
        let all = (0..self.nodes.len()).flat_map(|folder| (0..pending(folder).len()).map(move |at| (folder, at)));
        let mut kept: BTreeSet<(usize, usize)> = all.filter(|_| lost.keeps(dice)).collect();
        for (folder, at) in kept.clone() {
            let Some((other, name, node)) = &pending(folder)[at].change.after else { continue };
            // The other half of a rename, unless it is durable already.
            let half = pending(*other).iter().position(|done| done.change.names == [(name.clone(), Some(*node))]);
            kept.extend(half.map(|half| (*other, half)));
        }
        kept
    }

    fn write_node(&self, node: usize, path: &Path, kept: &BTreeSet<(usize, usize)>, lost: &Lost, dice: &Dice) {
        match &self.nodes[node] {
            Node::File { durable, pending, .. } => {
                let mut bytes = durable.clone();
                for done in pending {
                    apply_content(&mut bytes, &done.change, lost.unit(), &mut || lost.keeps(dice));
                }
                fs::write(path, bytes).unwrap();
            }
            Node::Folder { durable, pending, .. } => {
                fs::create_dir(path).unwrap();
                let mut names = durable.clone();
                for (at, done) in pending.iter().enumerate() {
                    if kept.contains(&(node, at)) {
                        apply_names(&mut names, &done.change.names);
                    }
                }
                for (name, node) in names {
                    self.write_node(node, &path.join(name), kept, lost, dice);
                }
            }
        }
    }
}

fn apply_names(names: &mut BTreeMap<String, usize>, changed: &[(String, Option<usize>)]) {
    for (name, node) in changed {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

/// Changes `content`, as far as `keeps` says so for each `unit` of it. A file that a lost write made longer may be
/// longer all the same, with nothing in it.
fn apply_content(content: &mut Vec<u8>, change: &Content, unit: usize, keeps: &mut impl FnMut() -> bool) {
    match change {
        Content::Length(length) => {
            if keeps() {
                content.resize(*length, 0);
            }
        }
        Content::Bytes { offset, bytes } => {
            let mut at = *offset;
            let end = offset + bytes.len();
            while at < end {
                let next = at
                    .checked_add(1)
                    .and_then(|next| next.checked_next_multiple_of(unit))
                    .map_or(end, |next| next.min(end));
                if keeps() {
                    if content.len() < next {
                        content.resize(next, 0);
                    }
                    content[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                } else if keeps() && content.len() < next {
                    content.resize(next, 0);
                }
                at = next;
            }
        }
    }
}
