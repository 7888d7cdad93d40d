//! The objects of an installation, in an order that is the same at the source, at the destination and after an
//! interruption.

use crate::{
    auth,
    clock::Clock,
    kv::{self, belongs_to_backend},
    runs,
    storage::{ListOptions, ListedObject, MAX_LIST_KEYS, ObjectStore},
};

use super::{error::MigrationError, patience::patiently};

/// Returns the prefixes of all objects to move, each with the key after which to begin: all of them, or those from
/// that of `after` on.
pub(super) fn prefixes_after(after: Option<&str>) -> Vec<(&'static str, Option<String>)> {
    let all = kv::PREFIXES.into_iter().chain(auth::PREFIXES).chain(runs::PREFIXES);
    let Some(after) = after else { return all.map(|prefix| (prefix, None)).collect() };
    let rest = all.skip_while(|prefix| !is_below(after, prefix));
    rest.enumerate().map(|(index, prefix)| (prefix, (index == 0).then(|| after.to_owned()))).collect()
}

/// Returns whether the object is to be moved.
pub(super) fn is_moved(key: &str) -> bool {
    prefixes_after(None).iter().any(|(prefix, _)| is_below(key, prefix)) && !belongs_to_backend(key)
}

/// Returns whether a key is below a prefix, which is a folder or one object.
fn is_below(key: &str, prefix: &str) -> bool {
    if prefix.ends_with('/') { key.starts_with(prefix) } else { key == prefix }
}

/// The objects below one prefix, page by page.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    objects: &'a dyn ObjectStore,
    clock: &'a dyn Clock,
    prefix: &'static str,
    after: Option<String>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    /// Returns a walk through the objects below `prefix` after the key `after`.
    pub(super) fn new(
        objects: &'a dyn ObjectStore,
        clock: &'a dyn Clock,
        (prefix, after): (&'static str, Option<String>),
    ) -> Self {
        Self { objects, clock, prefix, after, is_over: false }
    }

    /// Returns the next page, which may be empty; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ListedObject>>, MigrationError> {
        if self.is_over {
            return Ok(None);
        }
        let page = list(self.objects, self.clock, self.prefix, self.after.as_ref()).await?;
        self.is_over = !page.1;
        let mut objects = page.0;
        if let Some(last) = objects.last() {
            self.after = Some(last.key.clone());
        }
        objects.retain(|object| is_below(&object.key, self.prefix) && !belongs_to_backend(&object.key));
        Ok(Some(objects))
    }
}

/// Lists a page below `prefix`. Returns whether more follows.
pub(super) async fn list(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    prefix: &str,
    after: Option<&String>,
) -> Result<(Vec<ListedObject>, bool), MigrationError> {
    let options = || ListOptions { prefix: prefix.to_owned(), start_after: after.cloned(), limit: MAX_LIST_KEYS };
    let page = patiently(clock, async || objects.list(options()).await).await;
    let page = page.map_err(|cause| MigrationError::List { prefix: prefix.to_owned(), cause })?;
    // A page without keys has no last key to continue from.
    let is_truncated = page.is_truncated && !page.objects.is_empty();
    Ok((page.objects, is_truncated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_explains_everything_that_is_moved() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/LAYOUT.md")).expect("the page");
        for (prefix, _) in prefixes_after(None) {
            assert!(page.contains(&format!("| `{prefix}")), "{prefix}");
        }
    }

    #[test]
    fn no_prefix_is_the_beginning_of_another_and_a_walk_goes_on_where_it_was() {
        let all: Vec<_> = prefixes_after(None).into_iter().map(|(prefix, _)| prefix).collect();
        for prefix in &all {
            assert_eq!(all.iter().filter(|other| is_below(other, prefix)).count(), 1, "{prefix}");
        }
        let rest = prefixes_after(Some("larder/runs-due/x"));
        let at = all.iter().position(|prefix| *prefix == "larder/runs-due/").expect("it is one of them");
        assert_eq!(rest[0], ("larder/runs-due/", Some("larder/runs-due/x".to_owned())));
        assert_eq!(rest.len(), all.len() - at);
        assert!(rest[1..].iter().all(|(_, after)| after.is_none()));
    }
}
