//! Entities and tables agree; every migration goes down and up again.

use std::collections::BTreeMap;

use ripen_migrations::{Migrator, MigratorTrait};
use sea_orm::ColumnType;

use super::world::{Fixture, on_both};

/// Column -> family of its type, and whether it may be null.
type Columns = BTreeMap<String, (&'static str, bool)>;

fn family(kind: &ColumnType) -> &'static str {
    match kind {
        ColumnType::Uuid => "id",
        ColumnType::Text | ColumnType::String(_) => "text",
        ColumnType::BigInteger => "integer",
        ColumnType::Double => "number",
        ColumnType::Boolean => "boolean",
        ColumnType::Date => "date",
        ColumnType::TimestampWithTimeZone => "instant",
        ColumnType::Json => "json",
        other => panic!("no column of a record is {other:?}"),
    }
}

fn stored(declared: &str) -> &'static str {
    match declared.to_lowercase().as_str() {
        "uuid" | "uuid_text" => "id",
        "text" => "text",
        "bigint" | "integer" => "integer",
        "double precision" | "double" => "number",
        "boolean" => "boolean",
        "date" | "date_text" => "date",
        "timestamp with time zone" | "timestamp_with_timezone_text" => "instant",
        "json" | "json_text" => "json",
        other => panic!("no table has {other}"),
    }
}

async fn table(of: &Fixture, name: &str) -> Columns {
    let sql = if of.postgres() {
        format!(
            "select column_name as name, data_type as type, (is_nullable = 'YES') as nullable \
             from information_schema.columns where table_name = '{name}' and $1::uuid is not null"
        )
    } else {
        format!("select name, type, \"notnull\" = 0 as nullable from pragma_table_info('{name}') where $1 is not null")
    };
    let rows = of.all(&sql).await;
    let column = |row: &sea_orm::QueryResult| {
        let declared: String = row.try_get("", "type").unwrap();
        (row.try_get("", "name").unwrap(), (stored(&declared), row.try_get("", "nullable").unwrap()))
    };
    rows.iter().map(column).collect()
}

#[test]
fn every_kind_has_the_table_that_its_entity_describes() {
    on_both(async |of| {
        for shape in of.cx.shapes() {
            let described: Columns =
                shape.columns.iter().map(|c| (c.name.clone(), (family(&c.kind), c.nullable))).collect();
            assert_eq!(table(&of, &shape.name).await, described, "{}", shape.name);
        }
    });
}

/// Every table, column, constraint and index, in words of the database.
async fn schema(of: &Fixture) -> Vec<String> {
    let sql = if of.postgres() {
        "select 'column ' || table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' \
             || coalesce(column_default, '') || ' ' || coalesce(collation_name, '') as line \
         from information_schema.columns where table_schema = 'public' and $1::uuid is not null \
         union all select indexdef from pg_indexes where schemaname = 'public' \
         union all select conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) from pg_constraint \
             where connamespace = 'public'::regnamespace \
         order by line"
    } else {
        "select type || ' ' || name || ' ' || coalesce(sql, '') as line from sqlite_master \
         where name not like 'sqlite_%' and $1 is not null order by line"
    };
    of.all(sql).await.iter().map(|row| row.try_get("", "line").unwrap()).collect()
}

#[test]
fn every_migration_goes_down_and_up_again() {
    on_both(async |of| {
        let db = &of.cx.store().write;
        let whole = schema(&of).await;
        assert!(whole.len() > 50, "{whole:#?}");
        let steps = u32::try_from(Migrator::migrations().len()).unwrap();
        for n in 1..=steps {
            Migrator::down(db, Some(n)).await.unwrap();
            Migrator::up(db, None).await.unwrap();
            assert_eq!(schema(&of).await, whole, "after {n} down and up");
        }
        Migrator::down(db, None).await.unwrap();
        let left = schema(&of).await;
        assert!(left.iter().all(|line| line.contains("seaql_migrations")), "{left:#?}");
    });
}
