//! `larder sign`: a link that opens a record, or a list of keys, without a token.

use crate::{
    auth::signature,
    clock::{Clock, SystemClock, Timestamp},
    kv::{IdError, InvalidKey, RecordKey},
};

use super::{exit::Failure, http::segment, output, target::Door};

/// Prints a link to a record, which must exist, or else to the list of keys.
pub(super) fn sign(door: &Door, store: &str, key: Option<&str>, lifetime: Option<u64>) -> Result<(), Failure> {
    let key: Option<RecordKey> = key.map(str::parse).transpose().map_err(|error: InvalidKey| error.to_string())?;
    let store = door.find_store(store)?;
    let text =
        |member: &str| store.object[member].as_str().ok_or_else(|| format!("this token may not sign: no {member}"));
    let (secret, records) = (text("urlSigningSecretKey")?, text("recordsPublicUrl")?);
    let id = text("id")?.parse().map_err(|error: IdError| error.to_string())?;
    let Some(key) = key else {
        let signature = signature::keys(secret, &id, lifetime.map(end_in));
        output::say(&format!("{}/keys?signature={signature}", records.trim_end_matches("/records")));
        return Ok(());
    };
    if door.head(&store.record(key.as_str()))?.is_none() {
        return Err(store.absent_record(key.as_str()));
    }
    let signature = signature::record(secret, &id, &key)
        .ok_or_else(|| "a link to this record would open the whole store".to_owned())?;
    output::say(&format!("{records}/{}?signature={signature}", segment(key.as_str())));
    Ok(())
}

fn end_in(seconds: u64) -> Timestamp {
    SystemClock.now().plus(std::time::Duration::from_secs(seconds))
}
