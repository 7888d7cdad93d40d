//! Users: the accounts that own stores.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Random, Timestamp},
    kv::UserId,
    storage::{self, Attributes, ByteStream, GetOptions, ObjectStore, Precondition, PutOptions},
};

/// The account there is from the start.
const ADMIN: &str = "admin";

/// Where accounts stand.
const USERS: &str = "larder/auth/users/";

/// The most bytes an account's document may have.
const MAX_USER_BYTES: u64 = 64 * 1024;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Identifies the account, for ever.
    pub id: UserId,
    /// Its name, unique without regard to letter case.
    pub username: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl User {
    /// Whether this is the account there is from the start, which gateways use among themselves.
    pub fn is_admin(&self) -> bool {
        self.username == ADMIN
    }
}

/// The accounts could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// The object store failed.
    #[error("the accounts could not be read or written")]
    Storage(#[from] storage::Error),
    /// What stands there is no account.
    #[error("the account {username:?} is damaged")]
    Damaged {
        /// Whose it is.
        username: String,
        /// What is wrong with it.
        #[source]
        cause: storage::BoxError,
    },
}

/// All accounts, by id and by name.
#[derive(Debug)]
pub struct Users {
    by_id: HashMap<UserId, Arc<User>>,
}

impl Users {
    /// The accounts as they are; `None` when there are none yet.
    pub async fn read(objects: &dyn ObjectStore) -> Result<Option<Self>, UsersError> {
        Ok(read(objects, &format!("{USERS}{ADMIN}")).await?.map(Self::of))
    }

    /// Reads the accounts, making the first one if there is none. Of several gateways that start at once, one makes it.
    pub async fn open(objects: &dyn ObjectStore, clock: &dyn Clock, random: &dyn Random) -> Result<Self, UsersError> {
        let key = format!("{USERS}{ADMIN}");
        let fresh = User { id: UserId::generate(random), username: ADMIN.to_owned(), created_at: clock.now() };
        let admin = match read(objects, &key).await? {
            Some(admin) => admin,
            None if write_new(objects, &key, &fresh).await? => fresh,
            None => read(objects, &key).await?.unwrap_or(fresh),
        };
        Ok(Self::of(admin))
    }

    fn of(admin: User) -> Self {
        Self { by_id: HashMap::from([(admin.id, Arc::new(admin))]) }
    }

    /// The account with that id.
    pub fn by_id(&self, id: &UserId) -> Option<&Arc<User>> {
        self.by_id.get(id)
    }

    /// The account of that name, in any letter case.
    pub fn by_username(&self, username: &str) -> Option<&Arc<User>> {
        self.by_id.values().find(|user| user.username.eq_ignore_ascii_case(username))
    }

    /// The account with that id or of that name. No name has the form of an id.
    pub fn find(&self, id_or_username: &str) -> Option<&Arc<User>> {
        match id_or_username.parse() {
            Ok(id) => self.by_id(&id),
            Err(_) => self.by_username(id_or_username),
        }
    }

    /// The account there is from the start.
    pub fn admin(&self) -> Option<&Arc<User>> {
        self.by_username(ADMIN)
    }
}

async fn read(objects: &dyn ObjectStore, key: &str) -> Result<Option<User>, UsersError> {
    let damaged = |cause: storage::BoxError| UsersError::Damaged { username: key.replace(USERS, ""), cause };
    let object = match objects.get(key, GetOptions::default()).await {
        Ok(object) => object,
        Err(storage::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = object.body.into_bytes(MAX_USER_BYTES).await.map_err(|error| damaged(error.into()))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(error.into()))
}

/// Writes an account that is not there yet; whether this call was the one that did.
async fn write_new(objects: &dyn ObjectStore, key: &str, user: &User) -> Result<bool, UsersError> {
    let bytes = serde_json::to_vec(user)
        .map_err(|error| UsersError::Damaged { username: user.username.clone(), cause: error.into() })?;
    let attributes = Attributes { content_type: "application/json".to_owned(), content_encoding: None };
    let options = PutOptions { attributes, precondition: Precondition::IfAbsent };
    match objects.put(key, ByteStream::from(Bytes::from(bytes)), options).await {
        Ok(_) => Ok(true),
        Err(storage::Error::Precondition) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
