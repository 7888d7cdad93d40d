//! Prefixes of all objects of this module.

use super::{
    secret::MASTER_KEY,
    shared::SHARED,
    token_objects::{TOKEN_ENDS, TOKEN_USES, TOKENS, TOKENS_OF},
    users::{USER_IDS, USERS},
};

/// Prefixes of all objects of this module, each a folder whose keys are listed in byte order, or one object.
pub const PREFIXES: [&str; 8] = [USERS, USER_IDS, TOKENS, TOKENS_OF, TOKEN_USES, TOKEN_ENDS, SHARED, MASTER_KEY];
