//! A fresh database for each test, copied from one that was migrated and peopled once.

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;

use super::{postgres, server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Db {
    Sqlite,
    Postgres,
}

/// Those that this machine has.
pub fn databases() -> Vec<Db> {
    match postgres::url() {
        Some(_) => vec![Db::Sqlite, Db::Postgres],
        None => vec![Db::Sqlite],
    }
}

/// What copies are made of.
enum Template {
    File(Vec<u8>),
    Name(String),
}

/// Makes the template if it is not there yet.
pub fn prepare(db: Db) {
    template_of(db);
}

fn template_of(db: Db) -> &'static Template {
    static SQLITE: OnceLock<Template> = OnceLock::new();
    static POSTGRES: OnceLock<Template> = OnceLock::new();
    let (template, make): (_, fn() -> Template) = match db {
        Db::Sqlite => (&SQLITE, sqlite),
        Db::Postgres => (&POSTGRES, in_cluster),
    };
    // On a thread of its own: the caller may be inside a runtime.
    template.get_or_init(|| std::thread::spawn(make).join().unwrap())
}

fn sqlite() -> Template {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ripen.db");
    super::block_on(server::people(&format!("sqlite://{}", path.display()), dir.path()));
    Template::File(std::fs::read(path).unwrap())
}

fn in_cluster() -> Template {
    let name = format!("ripen_template_{}", std::process::id());
    super::block_on(async {
        execute(&format!("create database {name}")).await;
        let dir = TempDir::new().unwrap();
        server::people(&format!("{}/{name}", postgres::url().unwrap()), dir.path()).await;
    });
    Template::Name(name)
}

async fn execute(sql: &str) {
    let db = Database::connect(format!("{}/postgres", postgres::url().unwrap())).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// One test's own database, and a directory for what else the server keeps.
pub struct TestDatabase {
    pub url: String,
    dir: TempDir,
    name: Option<String>,
}

impl TestDatabase {
    pub async fn new(db: Db) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = TempDir::new().unwrap();
        match template_of(db) {
            Template::File(bytes) => {
                let path = dir.path().join("ripen.db");
                std::fs::write(&path, bytes).unwrap();
                Self { url: format!("sqlite://{}", path.display()), dir, name: None }
            }
            Template::Name(template) => {
                let name = format!("ripen_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
                execute(&format!("create database {name} template {template}")).await;
                Self { url: format!("{}/{name}", postgres::url().unwrap()), dir, name: Some(name) }
            }
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Removes it; a test that failed leaves it behind.
    pub async fn remove(self) {
        if let Some(name) = self.name {
            execute(&format!("drop database {name} with (force)")).await;
        }
    }
}
