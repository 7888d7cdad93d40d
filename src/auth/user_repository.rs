//! Repository of accounts in the object store: created by the admin, looked up by name or id.
//!
//! An account is stored under its name, which makes the name unique; a pointer leads from the id to the name.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Random},
    kv::{CacheOptions, UserId, create_json, delete_json, list_names, read_json, replace_json},
    storage::ObjectStore,
};

use super::{
    ttl_cache::TtlCache,
    user::{ADMIN, AccountAccess, AccountsError, Quota, QuotaUpdate, Result, User, Username},
};

/// Prefix of accounts by name.
pub const USERS: &str = "larder/auth/users/";

/// Prefix of the pointers from ids to names.
pub const USER_IDS: &str = "larder/auth/users-by-id/";

/// Maximum number of attempts of a change under contention.
const MAX_ATTEMPTS: usize = 8;

/// Maximum number of accounts read concurrently.
const READ_CONCURRENCY: usize = 16;

/// Pointer from an id to its name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NameOfId {
    username: Username,
}

/// Description of an account to create.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The account's name.
    pub username: Username,
    /// Public access to its stores.
    pub general_access: AccountAccess,
}

/// Changes to an account.
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// New public access to its stores; `None` for no change.
    pub general_access: Option<AccountAccess>,
    /// True if its tokens are to be disabled; `None` for no change.
    pub is_disabled: Option<bool>,
    /// True if links that the user may have signed stay valid when this disables the account. Else they are to be
    /// revoked.
    pub keep_links: bool,
    /// Changes to its quota.
    pub quota: QuotaUpdate,
}

/// Owner named by another caller.
#[derive(Debug, Clone)]
pub struct NamedOwner {
    /// The owner's id; without such an account, an id that no account has, the same every time.
    pub id: UserId,
    /// The account, if there is one.
    pub account: Option<Arc<User>>,
}

/// Repository of all accounts.
#[derive(Debug)]
pub struct UserRepository {
    objects: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    admin: UserId,
    /// Time for which another gateway may use a cached account.
    elsewhere: Option<Duration>,
    by_name: TtlCache<String, User>,
    names: TtlCache<UserId, NameOfId>,
    /// Results of look-ups of owners for other callers, also negative ones: the account's name in lower case.
    told: TtlCache<String, String>,
    hasher: RandomState,
}

impl UserRepository {
    /// Returns the accounts as stored; `None` if there are none yet. Cached accounts are trusted for `staleness` at
    /// most, or for ever where this gateway alone changes them.
    pub async fn read(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        staleness: Option<Duration>,
    ) -> Result<Option<Self>> {
        let Some((admin, _)) = read_json::<User>(objects.as_ref(), &place(ADMIN)).await? else { return Ok(None) };
        let (admin, by_name) = (Arc::new(admin), TtlCache::new(staleness, Arc::clone(&clock)));
        by_name.insert(ADMIN.to_owned(), Arc::clone(&admin));
        let names = TtlCache::new(None, Arc::clone(&clock));
        let told =
            TtlCache::with_equal_lifetimes(staleness.unwrap_or(CacheOptions::SHARED_STALENESS), Arc::clone(&clock));
        let (admin, elsewhere, hasher) = (admin.id, staleness, RandomState::new());
        Ok(Some(Self { objects, clock, random, admin, elsewhere, by_name, names, told, hasher }))
    }

    /// Returns the same, and creates the first account if there is none. Of several gateways that start at once,
    /// exactly one creates it.
    pub async fn open(
        objects: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        staleness: Option<Duration>,
    ) -> Result<Self> {
        for _ in 0..MAX_ATTEMPTS {
            let (again, clock, random) = (Arc::clone(&objects), Arc::clone(&clock), Arc::clone(&random));
            if let Some(users) = Self::read(again, Arc::clone(&clock), Arc::clone(&random), staleness).await? {
                return Ok(users);
            }
            let admin = NewUser { username: ADMIN.parse()?, general_access: AccountAccess::default() };
            let admin = admin.into_user(random.as_ref(), clock.as_ref());
            create_json(objects.as_ref(), &place(ADMIN), &admin).await?;
        }
        Err(AccountsError::Contended)
    }

    /// Returns the same accounts, which other gateways may cache for `elsewhere`.
    #[must_use]
    pub fn cached_elsewhere(self, elsewhere: Option<Duration>) -> Self {
        Self { elsewhere, ..self }
    }

    /// Returns once every gateway knows all earlier changes.
    pub async fn wait_until_visible_everywhere(&self) {
        if let Some(elsewhere) = self.elsewhere {
            self.clock.sleep(elsewhere).await;
        }
    }

    /// Returns the initial account.
    pub async fn admin(&self) -> Result<Arc<User>> {
        self.by_name(ADMIN).await?.ok_or(AccountsError::UserNotFound)
    }

    /// Returns the account with that id.
    pub async fn by_id(&self, id: &UserId) -> Result<Option<Arc<User>>> {
        if *id == self.admin {
            return self.by_name(ADMIN).await;
        }
        let Some(named) = self.names.get(*id, self.name_at(*id)).await? else { return Ok(None) };
        let user = self.by_name(&named.username.folded()).await?;
        // A pointer left by a failed creation leads to another account.
        Ok(user.filter(|user| user.id == *id))
    }

    /// Returns the account with that id or name, in any letter case.
    pub async fn find(&self, id_or_username: &str) -> Result<Option<Arc<User>>> {
        if let Ok(id) = id_or_username.parse() {
            return self.by_id(&id).await;
        }
        match id_or_username.parse::<Username>() {
            Ok(name) => self.by_name(&name.folded()).await,
            Err(_) => Ok(None),
        }
    }

    /// Returns the owner that another caller has named, by id or by name; `None` for a text that can be neither. Costs
    /// one read by name and two by id, whether or not the account exists or is cached; then none until the cached
    /// result expires.
    pub async fn find_for_others(&self, id_or_username: &str) -> Result<Option<NamedOwner>> {
        let (key, id) = match (id_or_username.parse::<UserId>(), id_or_username.parse::<Username>()) {
            (Ok(id), _) => (id.to_string(), Some(id)),
            (Err(_), Ok(name)) => (name.folded(), None),
            (Err(_), Err(_)) => return Ok(None),
        };
        let read = async {
            let found = match id {
                Some(id) => self.read_by_id(id).await?,
                None => self.read_by_name(&key).await?,
            };
            Ok(found.map(|user| user.username.folded()))
        };
        let account = match self.told.get(key.clone(), read).await? {
            Some(folded) => self.by_name(&folded).await?,
            // This gateway may have created it since.
            None => self.by_name.peek(&key),
        };
        let unassigned = || id.unwrap_or_else(|| UserId::unassigned(self.hasher.hash_one(&key)));
        Ok(Some(NamedOwner { id: account.as_ref().map_or_else(unassigned, |user| user.id), account }))
    }

    /// Creates an account.
    pub async fn create(&self, new: NewUser) -> Result<Arc<User>> {
        let objects = self.objects.as_ref();
        let user = new.into_user(self.random.as_ref(), self.clock.as_ref());
        let folded = user.username.folded();
        let pointer = format!("{USER_IDS}{}", user.id);
        let named = NameOfId { username: user.username.clone() };
        // The id is fresh: only an earlier attempt of this very write can conflict.
        create_json(objects, &pointer, &named).await?;
        let is_created = create_json(objects, &place(&folded), &user).await;
        self.by_name.invalidate(folded.clone());
        self.names.invalidate(user.id);
        if is_created? || self.by_name(&folded).await?.is_some_and(|found| found.id == user.id) {
            return Ok(Arc::new(user));
        }
        delete_json(objects, &pointer).await?;
        Err(AccountsError::UsernameTaken)
    }

    /// Changes an account.
    pub async fn update(&self, user: &User, update: UserUpdate) -> Result<Arc<User>> {
        if user.is_admin() && update.is_disabled == Some(true) {
            return Err(AccountsError::AdminStays);
        }
        let UserUpdate { general_access, is_disabled, keep_links, quota } = update;
        self.change(user, |changed| {
            let is_news = is_disabled == Some(true) && !changed.is_disabled;
            changed.has_links_to_end |= is_news && !keep_links;
            changed.general_access = general_access.unwrap_or(changed.general_access);
            changed.is_disabled = is_disabled.unwrap_or(changed.is_disabled);
            changed.has_links_to_end &= changed.is_disabled;
            changed.quota = changed.quota.changed(&quota);
        })
        .await
    }

    /// Records that the links which a disabled user may have signed are revoked.
    pub async fn clear_links_to_end(&self, user: &User) -> Result<Arc<User>> {
        self.change(user, |changed| changed.has_links_to_end = false).await
    }

    /// Changes the current version of an account, and retries when concurrent calls change it.
    async fn change(&self, user: &User, change: impl Fn(&mut User)) -> Result<Arc<User>> {
        let folded = user.username.folded();
        for _ in 0..MAX_ATTEMPTS {
            let found = read_json::<User>(self.objects.as_ref(), &place(&folded)).await?;
            let (mut changed, etag) = found.ok_or(AccountsError::UserNotFound)?;
            change(&mut changed);
            let is_written = replace_json(self.objects.as_ref(), &place(&folded), &changed, etag).await;
            // Also after a failure: the write may have happened.
            self.by_name.invalidate(folded.clone());
            if is_written? {
                return Ok(Arc::new(changed));
            }
        }
        Err(AccountsError::Contended)
    }

    /// Returns the accounts of a page, by name. Lists the names of all accounts, a thousand per request, and reads only
    /// the documents of the page.
    pub async fn list(&self, page: &PageQuery) -> Result<Page<Arc<User>>> {
        let (total, names) = page.select(list_names(self.objects.as_ref(), USERS).await?);
        let users = stream::iter(names).map(async |name| self.by_name(&name).await).buffered(READ_CONCURRENCY);
        let items = users.try_filter_map(async |user| Ok(user)).try_collect().await?;
        Ok(Page { total, items })
    }

    /// Invalidates everything read before now: another gateway has changed accounts on behalf of this one.
    pub fn invalidate(&self) {
        self.by_name.invalidate_all();
        self.names.invalidate_all();
        self.told.invalidate_all();
    }

    async fn by_name(&self, folded: &str) -> Result<Option<Arc<User>>> {
        self.by_name.get(folded.to_owned(), self.account_at(folded)).await
    }

    /// Reads an account by its name, bypassing the cache. One read.
    async fn read_by_name(&self, folded: &str) -> Result<Option<Arc<User>>> {
        self.by_name.read(folded.to_owned(), self.account_at(folded)).await
    }

    /// Reads an account by its id, bypassing the cache. Two reads, also if there is none.
    async fn read_by_id(&self, id: UserId) -> Result<Option<Arc<User>>> {
        let named = self.names.read(id, self.name_at(id)).await?;
        let folded = match named {
            Some(named) => named.username.folded(),
            None if id == self.admin => ADMIN.to_owned(),
            // No account has a name of this form.
            None => id.to_string(),
        };
        Ok(self.read_by_name(&folded).await?.filter(|user| user.id == id))
    }

    async fn account_at(&self, folded: &str) -> Result<Option<User>> {
        Ok(read_json(self.objects.as_ref(), &place(folded)).await?.map(|(user, _)| user))
    }

    async fn name_at(&self, id: UserId) -> Result<Option<NameOfId>> {
        Ok(read_json(self.objects.as_ref(), &format!("{USER_IDS}{id}")).await?.map(|(named, _)| named))
    }
}

impl NewUser {
    fn into_user(self, random: &dyn Random, clock: &dyn Clock) -> User {
        let Self { username, general_access } = self;
        User {
            id: UserId::generate(random),
            username,
            created_at: clock.now(),
            general_access,
            is_disabled: false,
            has_links_to_end: false,
            quota: Quota::default(),
        }
    }
}

fn place(folded: &str) -> String {
    format!("{USERS}{folded}")
}

/// Requested part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Number of items to skip.
    pub offset: usize,
    /// Maximum number of items on the page.
    pub limit: usize,
    /// True if the order is descending.
    pub descending: bool,
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Number of items in the whole list. It counts entries: one whose document is being created or deleted counts, and
    /// is on no page.
    pub total: usize,
    /// The items of the page.
    pub items: Vec<T>,
}

impl PageQuery {
    /// Returns the number of `names`, and those on the page.
    pub fn select(&self, mut names: Vec<String>) -> (usize, Vec<String>) {
        if self.descending {
            names.reverse();
        }
        (names.len(), names.into_iter().skip(self.offset).take(self.limit).collect())
    }
}
