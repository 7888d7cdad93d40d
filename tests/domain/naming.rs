//! One store for each name.

use std::{
    collections::HashSet,
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::{FutureExt, future::BoxFuture};
use larder::{
    kv::{Error, Patch, Phase, StoreLocator, StoreName, StoreUpdate},
    storage::{
        ByteStream, GetOptions, ListOptions, ListPage, Object, ObjectMeta, ObjectStore, Precondition, PutOptions,
        PutOutcome, Result,
    },
};

use crate::gateways::{World, name, new_store};

fn rename_to(text: Option<&str>) -> StoreUpdate {
    StoreUpdate { name: text.map_or(Patch::Clear, |text| Patch::Set(name(text))), ..StoreUpdate::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "the runtime ends with the test, and its tasks with it")]
async fn forty_tasks_of_two_gateways_that_want_one_name_get_one_store() {
    let world = World::new();
    let gateways = [world.gateway(1), world.gateway(2)];
    for round in 0..20 {
        let wanted = format!("shop-{round}");
        let tasks: Vec<_> = (0..40)
            .map(|task| {
                let catalog = gateways[task % 2].catalog.clone();
                let (owner, wanted) = (world.owner, wanted.clone());
                tokio::spawn(async move { catalog.create(owner, new_store(Some(&wanted))).await })
            })
            .collect();
        let mut ids = HashSet::new();
        let mut new = 0;
        for task in tasks {
            let created = task.await.expect("no panic").expect("a store");
            assert!(created.store.document.name.as_ref() == Some(&name(&wanted)));
            ids.insert(created.store.document.id);
            new += usize::from(created.is_new);
        }
        assert_eq!((ids.len(), new), (1, 1), "stores and 201s of {wanted}");
    }
}

#[tokio::test]
async fn a_name_differs_from_another_only_if_its_letters_do() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    let shop = gateway.create(world.owner, Some("Shop")).await;
    let again = gateway.create(world.owner, Some("SHOP")).await;
    assert_eq!(again.document.id, shop.document.id);
    assert_eq!(again.document.name.as_ref().map(StoreName::as_str), Some("Shop"));
}

#[tokio::test]
async fn a_taken_name_is_refused_and_nothing_changes() {
    let world = World::new();
    let gateway = world.exclusive_gateway(1);
    gateway.create(world.owner, Some("one")).await;
    let two = gateway.create(world.owner, Some("two")).await;
    let refused = gateway.catalog.update(two.document.id, rename_to(Some("ONE"))).await;
    assert!(matches!(refused, Err(Error::NameTaken)), "{refused:?}");
    let found = gateway.catalog.resolve(&StoreLocator::Name(world.owner, name("two"))).await.expect("still two");
    assert_eq!((found.document.id, &found.document.pending_name), (two.document.id, &None));
}

#[tokio::test]
async fn a_name_that_was_given_up_can_be_taken_by_another_store_and_back() {
    let world = World::new();
    let gateway = world.gateway(1);
    let one = gateway.create(world.owner, Some("a")).await.document.id;
    gateway.catalog.update(one, rename_to(Some("b"))).await.expect("a free name");
    let two = gateway.create(world.owner, Some("a")).await.document.id;
    assert_ne!(one, two);
    gateway.catalog.update(two, rename_to(None)).await.expect("a name can be taken away");
    let back = gateway.catalog.update(one, rename_to(Some("a"))).await.expect("the name is free again");
    assert_eq!(back.document.name, Some(name("a")));
    assert_eq!(gateway.create(world.owner, Some("a")).await.document.id, one);
}

#[tokio::test]
async fn other_gateways_see_a_rename_within_the_staleness_bound() {
    let world = World::new();
    let (here, there) = (world.gateway(1), world.gateway(2));
    let store = here.create(world.owner, Some("old")).await;
    let old = StoreLocator::Name(world.owner, name("old"));
    there.catalog.resolve(&old).await.expect("visible at once");
    here.catalog.update(store.document.id, rename_to(Some("new"))).await.expect("a free name");
    world.clock.advance(crate::gateways::STALENESS);
    assert!(matches!(there.catalog.resolve(&old).await, Err(Error::StoreNotFound)));
    let new = StoreLocator::Name(world.owner, name("new"));
    assert_eq!(there.catalog.resolve(&new).await.expect("the new name").document.id, store.document.id);
}

/// Hook that runs before a write, with the number of earlier writes.
type BeforeWrite = Box<dyn Fn(usize) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// An object store before whose writes something happens.
struct Watched {
    inner: Arc<dyn ObjectStore>,
    writes: AtomicUsize,
    before_write: BeforeWrite,
}

impl Watched {
    fn new(inner: Arc<dyn ObjectStore>, before_write: BeforeWrite) -> Arc<Self> {
        Arc::new(Self { inner, writes: AtomicUsize::new(0), before_write })
    }

    /// One whose connection is lost for good after so many writes.
    fn that_dies_after(writes: usize, inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let gone = || Err(larder::storage::Error::Unavailable("gone".into()));
        Self::new(inner, Box::new(move |written| ready(if written < writes { Ok(()) } else { gone() }).boxed()))
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put(&self, key: &str, body: ByteStream, options: PutOptions) -> Result<PutOutcome> {
        (self.before_write)(self.writes.fetch_add(1, SeqCst)).await?;
        self.inner.put(key, body, options).await
    }
    async fn get(&self, key: &str, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta> {
        self.inner.head(key).await
    }
    async fn delete(&self, key: &str, precondition: Precondition) -> Result<()> {
        self.inner.delete(key, precondition).await
    }
    async fn delete_many(&self, keys: Vec<String>) -> Result<()> {
        self.inner.delete_many(keys).await
    }
    async fn list(&self, options: ListOptions) -> Result<ListPage> {
        self.inner.list(options).await
    }
    async fn copy(&self, from: &str, to: &str, precondition: Precondition) -> Result<PutOutcome> {
        self.inner.copy(from, to, precondition).await
    }
    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

#[tokio::test]
async fn a_gateway_that_dies_between_any_two_writes_of_a_create_leaves_a_name_that_works() {
    for writes in 0..6 {
        let world = World::new();
        let dying = Watched::that_dies_after(writes, world.objects.clone());
        let first = world.gateway_over(dying, 1, None);
        let outcome = first.catalog.create(world.owner, new_store(Some("shop"))).await;
        assert_eq!(outcome.is_ok(), writes == 5, "a create is five writes: {outcome:?}");

        let next = world.gateway(2);
        let store = next.create(world.owner, Some("shop")).await;
        assert_eq!(
            next.create(world.owner, Some("shop")).await.document.id,
            store.document.id,
            "after {writes} writes"
        );
        let found =
            next.catalog.resolve(&StoreLocator::Name(world.owner, name("shop"))).await.expect("it has its name");
        assert_eq!(found.document.phase, Phase::Active);
    }
}

#[tokio::test]
async fn a_gateway_that_dies_between_any_two_writes_of_a_rename_leaves_both_names_usable() {
    for writes in 0..4 {
        let world = World::new();
        let store = world.gateway(1).create(world.owner, Some("old")).await.document.id;
        let dying = Watched::that_dies_after(writes, world.objects.clone());
        let _ = world.gateway_over(dying, 2, None).catalog.update(store, rename_to(Some("new"))).await;

        let next = world.gateway(3);
        let named_new = next.create(world.owner, Some("new")).await.document.id;
        let named_old = next.create(world.owner, Some("old")).await.document.id;
        assert_ne!(named_new, named_old, "after {writes} writes");
        assert!([named_new, named_old].contains(&store), "the store has lost both names after {writes} writes");
        next.catalog.resolve(&StoreLocator::Id(store)).await.expect("the store itself is never lost");
    }
}

#[tokio::test]
async fn get_or_create_returns_a_store_during_a_concurrent_delete() {
    // An interrupted caller creates the store itself, or completes the half-made claim of a caller that died.
    for (half_made, writes) in [(false, 4), (true, 3)] {
        for interrupted in 0..writes {
            let world = World::new();
            if half_made {
                let dying = Watched::that_dies_after(3, world.objects.clone());
                let _ = world.gateway_over(dying, 1, None).catalog.create(world.owner, new_store(Some("shop"))).await;
            }
            let other = world.gateway(2).catalog;
            let owner = world.owner;
            let meanwhile = move |written| {
                let other = other.clone();
                async move {
                    if written == interrupted {
                        let theirs = other.create(owner, new_store(Some("shop"))).await.expect("a store").store;
                        other.delete(theirs.document.id).await.expect("it is there");
                    }
                    Ok(())
                }
                .boxed()
            };
            let slow = world.gateway_over(Watched::new(world.objects.clone(), Box::new(meanwhile)), 3, None);
            let made = slow.catalog.create(owner, new_store(Some("shop"))).await;
            let made = made.unwrap_or_else(|error| panic!("{half_made}, before write {interrupted}: {error}"));
            let found = world.gateway(4).catalog.resolve(&StoreLocator::Name(owner, name("shop"))).await;
            assert_eq!(found.expect("it has its name").document.id, made.store.document.id);
        }
    }
}
