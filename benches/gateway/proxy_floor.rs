//! Minimum cost of any gateway: one that passes bytes on as they come, and reads none of them.

use std::{env, net::SocketAddr, path::Path, process::Command, thread};

use tokio::{
    io::copy_bidirectional_with_sizes,
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::mpsc,
};

use crate::{program::Program, report::Outcome};

/// The argument with which this program starts itself as the relay; the target follows it.
pub const ARGUMENT: &str = "--serve-relay";

/// Bytes passed on at once, as many as Larder reads at once of a large body.
const BUFFER: usize = 128 * 1024;

/// Starts it before `store` as a process of its own.
pub fn start(folder: &Path, store: SocketAddr) -> Outcome<Program> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(ARGUMENT).arg(store.to_string());
    Program::start(command, &folder.join("relay.log"))
}

/// Serves on a free port, which it prints, until it is killed. Its connections stay on one thread, as Larder's do.
pub fn serve(store: SocketAddr) -> Outcome<()> {
    let mut threads = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let (sender, streams) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || runtime.block_on(pass_all(streams, store)));
        threads.push(sender);
    }
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        for thread in threads.iter().cycle() {
            thread.send(listener.accept().await?.0.into_std()?)?;
        }
        Ok(())
    })
}

async fn pass_all(mut streams: mpsc::UnboundedReceiver<std::net::TcpStream>, store: SocketAddr) {
    while let Some(stream) = streams.recv().await {
        // A client that goes away is no news here.
        tokio::spawn(async move { pass(stream, store).await.unwrap_or_default() });
    }
}

async fn pass(stream: std::net::TcpStream, store: SocketAddr) -> std::io::Result<()> {
    let (mut client, mut server) = (TcpStream::from_std(stream)?, TcpStream::connect(store).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER).await?;
    Ok(())
}
