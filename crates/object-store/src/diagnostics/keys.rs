//! Checks of keys: which are accepted, and whether lists show all of them in order.

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    conditional_write_probe::ConditionalWriteProbe,
    error::{Error, Result},
    object::{ListOptions, Precondition},
    store::{MAX_DELETE_KEYS, MAX_LIST_KEYS, ObjectStore},
};

use super::check_runner::Outcome;

/// Description of the check of order.
pub const ORDER: &str =
    "list keys of all letters, digits and !-_.'(), and go on behind some that are there and some that are not";

/// Description of the check of long lists.
pub const PAGES: &str = "list 1,050 keys in pages, and delete them by the thousand";

/// Description of the check of odd keys.
pub const ODD: &str = "keys with dots, with '()!~, with segments of 255 bytes, and of 900 bytes";

/// The letters of the keys, except the one that sorts before them all.
const LETTERS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!-_.'()";

/// Number of keys: more than a page has.
const MANY: usize = 1050;

/// Number of concurrent requests.
const AT_ONCE: usize = 16;

/// Maximum number of pages of a list before the check calls it endless.
const MOST_PAGES: usize = 20;

/// Maximum length of a segment, and of a key.
const LONGEST: (usize, usize) = (255, 900);

/// Checks that lists are in byte order.
pub async fn are_in_order(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}order/");
    let mut keys: Vec<String> = LETTERS.chars().map(|letter| format!("{folder}k{letter}")).collect();
    keys.extend(LETTERS.chars().step_by(5).map(|letter| format!("{folder}k{letter}{letter}")));
    write_all(objects, &keys).await?;
    keys.sort_unstable();
    let advice = "take another object store: pages of keys would leave some out";
    let listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    if listed != keys {
        return Ok(Outcome::wrong(
            format!("keys are not listed in the order of bytes: {}", first_odd(&listed, &keys)),
            advice,
        ));
    }
    for behind in ["k", "k5", "k55", "kA", "kM0", "k_", "kz", "k~"] {
        let behind = format!("{folder}{behind}");
        let listed = all(objects, &folder, Some(behind.clone()), 7).await?;
        let expected: Vec<_> = keys.iter().filter(|key| **key > behind).cloned().collect();
        if listed != expected {
            let what = first_odd(&listed, &expected);
            return Ok(Outcome::wrong(format!("a list that starts behind {behind:?} is another one: {what}"), advice));
        }
    }
    Ok(Outcome::ok("lists are in byte order, and begin where they should"))
}

/// Checks that lists of more than a page are complete.
pub async fn are_all_listed(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}many/");
    let keys: Vec<String> = (0..MANY).map(|number| format!("{folder}k{number:04}")).collect();
    write_all(objects, &keys).await?;
    let listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    if listed != keys {
        let what = format!("{} of {MANY} keys are listed: {}", listed.len(), first_odd(&listed, &keys));
        return Ok(Outcome::wrong(what, "take another object store: keys would be left out of lists"));
    }
    for some in keys.chunks(MAX_DELETE_KEYS) {
        objects.delete_many(some.to_vec()).await?;
    }
    let left = all(objects, &folder, None, MAX_LIST_KEYS).await?.len();
    Ok(if left == 0 {
        Outcome::ok("a list of 1,050 keys is complete, and empty after they were deleted")
    } else {
        Outcome::wrong(format!("{left} keys are listed after they were deleted"), "take another object store")
    })
}

/// Checks that the store accepts all keys that Larder uses, unchanged.
pub async fn odd_ones_are_taken(objects: &dyn ObjectStore, folder: &str) -> Result<Outcome> {
    let folder = format!("{folder}odd/");
    let mut keys: Vec<String> =
        ["k.", "k..", "k...", "ka'(b)!", "k%2F", "k-_.~"].map(|key| format!("{folder}{key}")).into();
    let segment = "s".repeat(LONGEST.0);
    keys.push(format!("{folder}{segment}"));
    let mut long = folder.clone();
    while long.len() + segment.len() < LONGEST.1 {
        long.extend([&segment[1..], "/"]);
    }
    long.push_str(&segment[..LONGEST.1 - long.len()]);
    keys.push(long);
    keys.sort_unstable();
    let mut refused = Vec::new();
    for key in &keys {
        let shown: String = key.trim_start_matches(&folder).chars().take(12).collect();
        match (ConditionalWriteProbe { objects }).write(key, key.as_str(), Precondition::None).await {
            Ok(_) if objects.head(key).await.is_ok_and(|meta| meta.size == key.len() as u64) => {}
            Ok(_) => refused.push(format!("{shown} ({} bytes): not there under this name", key.len())),
            Err(error @ (Error::Timeout | Error::Throttled { .. })) => return Err(error),
            Err(error) => refused.push(format!("{shown} ({} bytes): {}", key.len(), Outcome::failed(&error).meaning)),
        }
    }
    let advice =
        "take another object store, or the proxy away that stands before it: records with such keys could not be kept";
    if !refused.is_empty() {
        return Ok(Outcome::wrong(format!("refused: {}", refused.join("; ")), advice));
    }
    let mut listed = all(objects, &folder, None, MAX_LIST_KEYS).await?;
    listed.sort_unstable();
    Ok(if listed == keys {
        Outcome::ok("keys with signs, and long ones, are stored and listed as they are")
    } else {
        Outcome::wrong(format!("they are listed otherwise: {}", first_odd(&listed, &keys)), advice)
    })
}

async fn write_all(objects: &dyn ObjectStore, keys: &[String]) -> Result<()> {
    // From last to first, so that the order of writing cannot pass for the order of keys.
    let writes = keys.iter().rev().map(|key| async move {
        ConditionalWriteProbe { objects }.write(key, "value", Precondition::None).await.map(drop)
    });
    stream::iter(writes.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
}

/// Lists all keys below a folder, page by page.
async fn all(objects: &dyn ObjectStore, folder: &str, behind: Option<String>, limit: usize) -> Result<Vec<String>> {
    let (mut keys, mut start_after) = (Vec::new(), behind);
    for _ in 0..MOST_PAGES {
        let options = ListOptions { prefix: folder.to_owned(), start_after: start_after.take(), limit };
        let page = objects.list(options).await?;
        start_after = page.objects.last().filter(|_| page.is_truncated).map(|last| last.key.clone());
        keys.extend(page.objects.into_iter().map(|object| object.key));
        if start_after.is_none() {
            break;
        }
    }
    Ok(keys)
}

/// Returns the first key that differs from the expected one.
fn first_odd(found: &[String], expected: &[String]) -> String {
    let at = (0..found.len().max(expected.len())).find(|at| found.get(*at) != expected.get(*at)).unwrap_or_default();
    let name = |keys: &[String]| match keys.get(at) {
        Some(key) => format!("{:?}", key.rsplit('/').next().unwrap_or(key)),
        None => "nothing".to_owned(),
    };
    format!("{} where {} should be", name(found), name(expected))
}
