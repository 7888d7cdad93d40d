//! The admin token: given, made, or kept from an earlier start, in the data folder or in the bucket.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{
    auth::Token,
    clock::Random,
    config::weakness,
    storage::{self, Attributes, ByteStream, GetOptions, ObjectStore, Precondition, PutOptions},
};

/// The file that keeps it, in the data folder.
const FILE: &str = "admin-token";

/// The object that keeps it for all gateways before one bucket.
const OBJECT: &str = "larder/auth/admin-token";

/// What the file is called until it is whole.
const UNFINISHED_FILE: &str = "admin-token.new";

/// Only its owner may read the file.
const MODE: u32 = 0o600;

/// Permissions of anybody but the owner.
const OTHERS: u32 = 0o077;

/// The longest token that is read.
const MAX_TOKEN_BYTES: u64 = 4096;

/// The admin token, and what is to be told of it.
#[derive(Debug, Clone)]
pub struct AdminToken {
    /// The token.
    pub token: Token,
    /// Where it comes from.
    pub origin: TokenOrigin,
}

/// Where the admin token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOrigin {
    /// The configuration.
    Given,
    /// It was made by this start, and is kept at this place. Now is the time to show it.
    Made(String),
    /// An earlier start, or another gateway, made it, and this place kept it.
    Kept(String),
}

/// The admin token could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file could not be read or written.
    #[error("the admin token in {} cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The object that keeps it could not be read or written.
    #[error("the admin token in the object store cannot be read or written")]
    Objects(#[from] storage::Error),
    /// The token that is kept is easy to guess.
    #[error("{place}: the admin token {reason}")]
    Weak {
        /// The file or the object.
        place: String,
        /// Reason.
        reason: &'static str,
    },
    /// What is in the file is no token.
    #[error("{} holds no token; put one into it, or remove it to have a new one made", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

impl AdminToken {
    /// Refuses a token that was put where one is kept and is easy to guess, unless only this machine reaches it.
    pub(super) fn require_strong(self, listen: SocketAddr) -> Result<Self, AdminTokenError> {
        let TokenOrigin::Kept(place) = &self.origin else { return Ok(self) };
        match weakness(self.token.reveal()) {
            Some(reason) if listen.ip().to_canonical().is_loopback() => {
                tracing::warn!("{place}: the admin token {reason}");
                Ok(self)
            }
            Some(reason) => Err(AdminTokenError::Weak { place: place.clone(), reason }),
            None => Ok(self),
        }
    }

    /// The file of a data folder that keeps it.
    pub const FILE: &str = FILE;

    /// The object of a bucket that keeps it.
    #[cfg(feature = "s3")]
    pub(super) const OBJECT: &str = OBJECT;

    /// Keeps a token in a data folder. Only the holder of the folder's lock may call this.
    #[cfg(feature = "s3")]
    pub(super) fn keep_in(folder: &Path, token: &Token) -> Result<(), AdminTokenError> {
        write(folder, token).map_err(|cause| AdminTokenError::File { path: folder.join(FILE), cause })
    }

    /// Returns the token that is kept in an object; `None` if there is none.
    #[cfg(feature = "s3")]
    pub(super) async fn kept_shared(objects: &dyn ObjectStore) -> Result<Option<Token>, AdminTokenError> {
        read_object(objects).await
    }

    /// Keeps a token in an object.
    #[cfg(feature = "s3")]
    pub(super) async fn keep_shared(objects: &dyn ObjectStore, token: &Token) -> Result<(), AdminTokenError> {
        Ok(write_object(objects, token, Precondition::None).await?)
    }

    /// The token that is kept in a data folder which another process may be serving from; `None` if there is none.
    pub fn kept_in(folder: &Path) -> Option<Token> {
        let text = read(&folder.join(FILE)).ok()??;
        Some(text.trim()).filter(|text| !text.is_empty()).map(Token::new)
    }

    /// The `given` token; else the one kept in `folder`; else a new one, which is kept there from now on. Only whoever
    /// holds the folder's lock may call this.
    pub fn open(given: Option<&Token>, folder: &Path, random: &dyn Random) -> Result<Self, AdminTokenError> {
        if let Some(token) = given {
            return Ok(Self { token: token.clone(), origin: TokenOrigin::Given });
        }
        let path = folder.join(FILE);
        let failed = |cause| AdminTokenError::File { path: path.clone(), cause };
        if let Some(text) = read(&path).map_err(failed)? {
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(AdminTokenError::Damaged { path });
            }
            return Ok(Self { token: Token::new(text), origin: TokenOrigin::Kept(path.display().to_string()) });
        }
        let token = Token::generate(random);
        write(folder, &token).map_err(failed)?;
        Ok(Self { token, origin: TokenOrigin::Made(path.display().to_string()) })
    }

    /// The `given` token; else the one that an object keeps for all gateways; else a new one. Of several gateways that
    /// start at once, one makes it.
    pub async fn open_shared(
        given: Option<&Token>,
        objects: &dyn ObjectStore,
        random: &dyn Random,
    ) -> Result<Self, AdminTokenError> {
        if let Some(token) = given {
            return Ok(Self { token: token.clone(), origin: TokenOrigin::Given });
        }
        let place = format!("the object {OBJECT}");
        if let Some(token) = read_object(objects).await? {
            return Ok(Self { token, origin: TokenOrigin::Kept(place) });
        }
        let token = Token::generate(random);
        match write_object(objects, &token, Precondition::IfAbsent).await {
            Ok(()) => Ok(Self { token, origin: TokenOrigin::Made(place) }),
            // Another gateway was quicker, or our own write was, and its answer was lost.
            Err(error) => match read_object(objects).await? {
                Some(kept) if kept.reveal() == token.reveal() => Ok(Self { token, origin: TokenOrigin::Made(place) }),
                Some(kept) => Ok(Self { token: kept, origin: TokenOrigin::Kept(place) }),
                None => Err(error.into()),
            },
        }
    }
}

async fn write_object(objects: &dyn ObjectStore, token: &Token, precondition: Precondition) -> storage::Result<()> {
    let attributes = Attributes { content_type: "text/plain".to_owned(), content_encoding: None };
    let body = ByteStream::from(Bytes::from(token.reveal().to_owned()));
    objects.put(OBJECT, body, PutOptions { attributes, precondition }).await.map(drop)
}

async fn read_object(objects: &dyn ObjectStore) -> Result<Option<Token>, AdminTokenError> {
    let object = match objects.get(OBJECT, GetOptions::default()).await {
        Ok(object) => object,
        Err(storage::Error::NotFound) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let bytes = object.body.into_bytes(MAX_TOKEN_BYTES).await.map_err(storage::Error::Body)?;
    match std::str::from_utf8(&bytes).map(str::trim) {
        Ok(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Some(Token::new(text))),
        Ok(_) | Err(_) => Err(AdminTokenError::Damaged { path: PathBuf::from(OBJECT) }),
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.permissions().mode() & OTHERS != 0 {
        tracing::warn!(file = %path.display(), "other users may read the admin token; make its mode 0600");
    }
    let mut text = String::new();
    file.take(MAX_TOKEN_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Writes the token so that after a crash there is either the whole of it or nothing: whoever was shown a token must
/// find it valid from then on.
fn write(folder: &Path, token: &Token) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED_FILE);
    // One that an interrupted start left behind may have another mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&unfinished)?;
    file.write_all(token.reveal().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&unfinished, folder.join(FILE))?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededRandom;

    #[test]
    fn a_token_is_made_once_and_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(UNFINISHED_FILE), "half").expect("it is written");
        let made = AdminToken::open(None, folder.path(), &SeededRandom::new(1)).expect("it is made");
        let path = folder.path().join(FILE);
        assert_eq!(made.origin, TokenOrigin::Made(path.display().to_string()));
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, MODE);
        let kept = AdminToken::open(None, folder.path(), &SeededRandom::new(2)).expect("it is read");
        assert_eq!((kept.token, kept.origin), (made.token, TokenOrigin::Kept(path.display().to_string())));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_given_token_is_written_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let token = Token::new("given");
        let given = AdminToken::open(Some(&token), folder.path(), &SeededRandom::new(1)).expect("it is given");
        assert_eq!((given.token, given.origin), (token, TokenOrigin::Given));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_kept_token_that_can_be_guessed_is_for_this_machine_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let opened = |listen: &str| {
            let opened = AdminToken::open(None, folder.path(), &SeededRandom::new(1)).expect("it is read");
            opened.require_strong(listen.parse().expect("an address")).map(|opened| opened.origin)
        };
        assert!(matches!(opened("0.0.0.0:8011"), Ok(TokenOrigin::Made(_))));
        assert!(matches!(opened("0.0.0.0:8011"), Ok(TokenOrigin::Kept(_))));
        fs::write(folder.path().join(FILE), "password").expect("it is written");
        assert!(matches!(opened("0.0.0.0:8011"), Err(AdminTokenError::Weak { .. })));
        assert!(matches!(opened("[::]:8011"), Err(AdminTokenError::Weak { .. })));
        for loopback in ["127.0.0.1:8011", "[::1]:8011"] {
            assert!(matches!(opened(loopback), Ok(TokenOrigin::Kept(_))), "{loopback}");
        }
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(FILE), " \n").expect("it is written");
        let opened = AdminToken::open(None, folder.path(), &SeededRandom::new(1));
        assert!(matches!(opened, Err(AdminTokenError::Damaged { .. })));
    }
}
