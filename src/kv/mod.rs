//! The domain: what a store is, what a record is, and every rule about them.
//!
//! [`Catalog`] keeps the stores, [`Records`] what is in them; both lay everything durable down as objects
//! (`layout`). This room knows no HTTP, no caller and no vendor: who may do what is decided before it is called.

mod activity;
mod catalog;
mod coding;
mod document;
mod error;
mod id;
mod key;
mod layout;
mod listing;
mod name;
mod records;
mod retention;
mod schema;
mod view;

pub use activity::{Activity, ActivityCounts};
pub use catalog::{Catalog, CatalogOptions, Created, NewStore, StoreLocator, StoreUpdate};
pub use coding::ContentCoding;
pub use document::{Document, GeneralAccess, Phase, Place, Stats};
pub use error::{Error, Result};
pub use id::{IdError, StoreId, UserId};
pub use key::{InvalidKey, MAX_KEY_LENGTH, RecordKey};
pub use listing::{StorePage, StoreQuery};
pub use name::{InvalidName, StoreName};
pub use records::{KeyPage, KeyQuery, ListedKey, RecordAttributes, Records};
pub use retention::{LifecycleClass, Retention};
pub use schema::{InvalidSchema, Schema};
pub use view::StoreView;
