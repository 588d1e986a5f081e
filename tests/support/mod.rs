//! What every test of the whole server shares: a real server over real HTTP, on a fresh database of each kind.

#![allow(dead_code, unused_imports, clippy::allow_attributes, reason = "each test binary uses a part")]

mod client;
mod database;
mod outside;
mod postgres;
mod sample;
mod server;

use std::future::Future;

pub use self::{
    client::{Answer, Caller},
    database::{Db, TestDatabase, databases, prepare},
    outside::TestClock,
    server::{PASSWORD, Person, START, TestServer},
};

/// Runs the test once on each database, each time with a server of its own.
pub fn on_both<F: Future<Output = ()>>(test: impl Fn(std::sync::Arc<TestServer>) -> F) {
    for db in databases() {
        eprintln!("on {db:?}");
        on(db, &test);
    }
}

pub fn on<F: Future<Output = ()>>(db: Db, test: impl Fn(std::sync::Arc<TestServer>) -> F) {
    prepare(db);
    block_on(run(TestServer::new(db), test));
}

/// The same on servers that have one kind more than the product.
pub fn on_both_with_the_sample<F: Future<Output = ()>>(test: impl Fn(std::sync::Arc<TestServer>) -> F) {
    for db in databases() {
        eprintln!("on {db:?}");
        prepare(db);
        block_on(run(TestServer::with_sample(db), &test));
    }
}

async fn run<F: Future<Output = ()>>(
    server: impl Future<Output = TestServer>,
    test: impl Fn(std::sync::Arc<TestServer>) -> F,
) {
    let server = std::sync::Arc::new(server.await);
    test(server.clone()).await;
    std::sync::Arc::into_inner(server).expect("the test keeps nothing of the server").end().await;
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}
