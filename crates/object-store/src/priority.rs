//! Priority of calls: work in the background gives way to requests.
//!
//! Jobs change as much in an hour as requests do. A caller that runs such work in [`in_background`] tells the engine
//! that nothing waits for it. The engine then commits changes of requests first. Tasks that the work spawns do not
//! inherit this priority.

use std::future::Future;

tokio::task_local! {
    static BACKGROUND: ();
}

/// Runs `work`, whose calls give way to those of requests.
pub async fn in_background<F: Future>(work: F) -> F::Output {
    BACKGROUND.scope((), work).await
}

/// Returns whether the current call is made [`in_background`].
pub fn is_background() -> bool {
    BACKGROUND.try_with(|()| ()).is_ok()
}
