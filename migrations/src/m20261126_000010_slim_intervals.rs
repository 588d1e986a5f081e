//! Intervals in as few indexes as their questions need: a record's current one, and where its past ones ended.
//!
//! Each write of a record pays for every index of its intervals. They had four: their own number, which nothing asked for,
//! the value, which nothing asked for either, and two of the record. What they refer to needs no check of its own: the
//! record refers to the same, in the same unit, and neither users nor stages are ever removed.

use sea_orm_migration::{
    MigrationTrait, SchemaManager, async_trait,
    prelude::DeriveMigrationName,
    sea_orm::{ConnectionTrait, DbBackend, DbErr},
};

use crate::{
    m20261122_000004_intervals as before,
    table::{
        Table,
        Type::{self, Id, Instant, Text},
        drop,
    },
};

#[derive(DeriveMigrationName)]
pub struct Migration;

/// Each table, and the columns of its value.
const TABLES: [(&str, &[(&str, Type)]); 3] = [
    ("ownership", &[("user_id", Id), ("how", Text)]),
    ("stage_interval", &[("stage_id", Id)]),
    ("grade_interval", &[("grade", Text), ("source", Text)]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        put_aside(manager, &["record_id_from_at_idx", "user_id_idx", "stage_id_idx"]).await?;
        for (name, value) in TABLES {
            interval(manager, name, value).create().await?;
        }
        take_over(manager, None).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        put_aside(manager, &["kind_record_id_to_at_idx"]).await?;
        before::create(manager).await?;
        let number = if manager.get_database_backend() == DbBackend::Postgres {
            "gen_random_uuid()"
        } else {
            "lower(format('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2), \
             substr(hex(randomblob(2)), 2), hex(randomblob(6))))"
        };
        take_over(manager, Some(number)).await
    }
}

fn interval<'a>(manager: &'a SchemaManager<'a>, name: &'static str, value: &[(&'static str, Type)]) -> Table<'a> {
    Table::new(manager, name)
        .required(&[("tenant_id", Id), ("kind", Text), ("record_id", Id)])
        .required(value)
        .optional(&[("from_at", Instant), ("to_at", Instant)])
        .unique_where(&["kind", "record_id"], " where \"to_at\" is null")
        .plain_index(&["tenant_id", "kind", "record_id", "to_at"], " where \"to_at\" is not null")
}

/// The tables under another name, without the indexes whose names their successors take.
async fn put_aside(manager: &SchemaManager<'_>, indexes: &[&str]) -> Result<(), DbErr> {
    let db = manager.get_connection();
    for (name, _) in TABLES {
        for index in indexes.iter().chain(&["kind_record_id_key"]) {
            db.execute_unprepared(&format!("drop index if exists \"{name}_{index}\"")).await?;
        }
        db.execute_unprepared(&format!("alter table \"{name}\" rename to \"{name}_before\"")).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            let constraints = format!(
                "do $$ declare c record; begin \
                   for c in select conname from pg_constraint where conrelid = '{name}_before'::regclass and contype <> 'n' loop \
                     execute format('alter table {name}_before drop constraint %I', c.conname); \
                   end loop; end $$"
            );
            db.execute_unprepared(&constraints).await?;
        }
    }
    Ok(())
}

/// The rows of the tables put aside, each with a `number` where they are to have one again.
async fn take_over(manager: &SchemaManager<'_>, number: Option<&str>) -> Result<(), DbErr> {
    for (name, value) in TABLES {
        let columns = ["tenant_id", "kind", "record_id", "from_at", "to_at"].into_iter();
        let columns: Vec<_> = columns.chain(value.iter().map(|(column, _)| *column)).collect();
        let columns = columns.join("\", \"");
        let (id, number) = number.map_or(("", String::new()), |number| ("\"id\", ", format!("{number}, ")));
        let copy =
            format!("insert into \"{name}\" ({id}\"{columns}\") select {number}\"{columns}\" from \"{name}_before\"");
        manager.get_connection().execute_unprepared(&copy).await?;
    }
    drop(manager, &TABLES.map(|(name, _)| format!("{name}_before")).each_ref().map(String::as_str)).await
}
