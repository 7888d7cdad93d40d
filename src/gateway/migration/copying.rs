//! Copies every object of the source, with its attributes: streamed, and several at once.

use futures_util::{StreamExt, stream};

use crate::{
    clock::Clock,
    kv::MigrationStep,
    storage::{ByteStream, Error, GetOptions, ObjectStore, Precondition, PutOptions},
};

use super::{
    checkpoints::Checkpoints,
    error::MigrationError,
    patience::patiently,
    walk::{Walk, prefixes_after},
};

/// Maximum number of objects processed concurrently.
pub(super) const CONCURRENCY: usize = 32;

/// Copies the objects after the last checkpoint.
pub(super) async fn copy(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    clock: &dyn Clock,
    mut checkpoints: Checkpoints<'_>,
) -> Result<(), MigrationError> {
    for part in prefixes_after(checkpoints.after()) {
        let mut walk = Walk::new(from, clock, part);
        while let Some(page) = walk.next().await? {
            let copies = stream::iter(page).map(async |object| {
                let copied = patiently(clock, async || copy_object(from, to, &object.key).await).await;
                (object.key, copied)
            });
            // In key order, so everything before a checkpoint is copied.
            let mut copies = std::pin::pin!(copies.buffered(CONCURRENCY));
            while let Some((key, copied)) = copies.next().await {
                match copied {
                    Ok(bytes) => checkpoints.done(key, bytes).await?,
                    Err(cause) => return Err(MigrationError::Object { key, cause }),
                }
            }
        }
    }
    Ok(checkpoints.turn_to(MigrationStep::Verifying).await?)
}

/// Copies an object and returns its size. An object that a lifecycle rule has deleted since it was listed has none.
async fn copy_object(from: &dyn ObjectStore, to: &dyn ObjectStore, key: &str) -> Result<u64, Error> {
    let object = match from.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(Error::NotFound) => return Ok(0),
        Err(error) => return Err(error),
    };
    let size = object.meta.size;
    let body = if object.body.length().is_some() { object.body } else { ByteStream::new(Some(size), object.body) };
    let options = PutOptions { attributes: object.meta.attributes, precondition: Precondition::None };
    to.put(key, body, options).await?;
    Ok(size)
}
