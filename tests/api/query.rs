//! The query language and its pages: what comes back is what was asked for, on both databases.

use std::collections::{BTreeMap, HashSet};

use ripen_core::{
    context::Context,
    engine::{
        Shape,
        filter::{self, Check, Filter, Literal},
        read::{self, ListQuery},
    },
};
use sea_orm::{ConnectionTrait, DbBackend, Statement, sea_query::SqliteQueryBuilder};
use serde_json::{Value as Json, json};

use crate::support::{Caller, Db, Person, on, on_both};

const NAMES: [&str; 11] = [
    "Acme",
    "acme corp",
    "ACME Ltd",
    "Ätna",
    "ätna",
    "北京公司",
    "Zed \"q\" \\ %_",
    "Ａcme",
    "МОСКВА",
    "Москва 2",
    "Ωmega",
];
const AMOUNTS: [(&str, &str); 7] = [
    ("1000", "USD"),
    ("1000", "JPY"),
    ("12.5", "USD"),
    ("12.345", "BHD"),
    ("-3", "CNY"),
    ("1000.01", "CNY"),
    ("0", "KWD"),
];

/// The same numbers at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

/// Accounts with nulls, equal values and parents, the newest first as the API lists them.
async fn accounts(admin: &Caller, n: usize) -> Vec<Json> {
    let mut dice = Dice(1);
    let mut ids: Vec<String> = Vec::new();
    for i in 0..n {
        let mut body = json!({"external_id": format!("x{i}"), "name": dice.pick(&NAMES)});
        if dice.roll(3) > 0 {
            body["grade"] = json!(dice.pick(&["A", "A-", "B+", "a"]));
        }
        if dice.roll(3) > 0 {
            body["employees"] = json!(dice.pick(&[0, 5, 10, 10, 200]));
        }
        if dice.roll(4) > 0 {
            let (amount, currency) = dice.pick(&AMOUNTS);
            body["annual_revenue"] = json!({"amount": amount, "currency": currency});
        }
        if dice.roll(2) > 0 && !ids.is_empty() {
            body["parent_id"] = json!(ids[dice.roll(ids.len())]);
        }
        ids.push(admin.post("/v1/accounts", body).await.expect(201).id().to_owned());
    }
    let all = admin.list("/v1/accounts", &[("limit", "200")]).await.expect(200).data().clone();
    assert_eq!(all.iter().rev().map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>(), ids);
    all
}

fn condition(dice: &mut Dice) -> String {
    let text = |dice: &mut Dice| Json::from(dice.pick(&NAMES)).to_string();
    let sign = dice.pick(&["=", "!=", "<", "<=", ">", ">=", ":"]);
    let relation = dice.pick(&["", "", "parent.", "parent.parent."]);
    let number = dice.pick(&["0", "5", "10", "7", "-1"]);
    let amount = dice.pick(&["1000", "12.5", "12.345", "0", "-3.001", "1000 JPY", "1000.01 CNY", "12.5 USD", "0.5"]);
    let field = match dice.roll(10) {
        0 => format!("name {sign} {}", text(dice)),
        1 => format!("name IN [{}, {}]", text(dice), text(dice)),
        2 => {
            let function = dice.pick(&["contains", "starts_with"]);
            let part = dice.pick(&["acme", "CM", "ä", "Ä", "СКВ", "москва", "ωM", "北", "", "%", "\\\\", "z"]);
            return format!("{function}({relation}name, \"{part}\")");
        }
        3 => format!("grade {}", dice.pick(&["= \"A\"", "!= \"A\"", "IS NULL", "IS NOT NULL", "> \"A\""])),
        4 => format!("employees {sign} {number}"),
        5 => dice.pick(&["employees BETWEEN 5 AND 10", "employees IN [0, 200]", "employees IS NULL"]).to_owned(),
        6 => format!("annual_revenue {sign} {amount}"),
        7 => format!("annual_revenue BETWEEN {amount} AND 1000"),
        8 => format!("annual_revenue IN [{amount}, 12.5]"),
        _ => {
            dice.pick(&["annual_revenue IS NULL", "annual_revenue.currency = \"JPY\"", "kind = \"company\""]).to_owned()
        }
    };
    format!("{relation}{field}")
}

fn filter_text(dice: &mut Dice, depth: usize) -> String {
    match if depth == 0 { 9 } else { dice.roll(9) } {
        8 => format!("any(accounts_by_parent, {})", below(dice, depth - 1)),
        0 | 1 => format!("NOT ({})", filter_text(dice, depth - 1)),
        2 | 3 => format!("({}) AND ({})", filter_text(dice, depth - 1), filter_text(dice, depth - 1)),
        4 | 5 => format!("({}) OR ({})", filter_text(dice, depth - 1), filter_text(dice, depth - 1)),
        _ => condition(dice),
    }
}

/// A filter that follows one relation at most: another one led here.
fn below(dice: &mut Dice, depth: usize) -> String {
    loop {
        let text = filter_text(dice, depth);
        if !text.contains("parent.parent.") && !text.contains("any(") {
            return text;
        }
    }
}

/// What the language means, by its documentation alone.
struct Oracle<'a>(BTreeMap<&'a str, &'a Json>);

impl Oracle<'_> {
    fn holds(&self, filter: &Filter, row: &Json) -> bool {
        match filter {
            Filter::And(all) => all.iter().all(|inner| self.holds(inner, row)),
            Filter::Or(any) => any.iter().any(|inner| self.holds(inner, row)),
            Filter::Not(inner) => !self.holds(inner, row),
            Filter::Any(any) => {
                assert_eq!(any.relation, "accounts_by_parent");
                self.0.values().any(|other| other["parent_id"] == row["id"] && self.holds(&any.filter, other))
            }
            Filter::Test(test) => {
                let path: Vec<&str> = test.field.split('.').collect();
                let value = self.value(row, &path);
                match (&test.check, value) {
                    (Check::IsNull, value) => value.is_none(),
                    (_, None) => false,
                    (check, Some(value)) => check_holds(check, value),
                }
            }
        }
    }

    fn value<'r>(&'r self, row: &'r Json, path: &[&str]) -> Option<&'r Json> {
        match path {
            ["parent", rest @ ..] => self.value(self.0.get(row["parent_id"].as_str()?)?, rest),
            [name] => Some(&row[*name]).filter(|value| !value.is_null()),
            [name, part] => Some(&row[*name][*part]).filter(|value| !value.is_null()),
            _ => panic!("{path:?}"),
        }
    }
}

fn check_holds(check: &Check, value: &Json) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    let is = |literal: &Literal, wanted: &[std::cmp::Ordering]| {
        compared(value, literal).is_some_and(|order| wanted.contains(&order))
    };
    let folded = || value.as_str().unwrap().to_lowercase();
    match check {
        Check::Has(Literal::Text(part)) if value.is_string() => folded().contains(&part.to_lowercase()),
        Check::Eq(literal) | Check::Has(literal) => is(literal, &[Equal]),
        Check::Ne(literal) => is(literal, &[Less, Greater]),
        Check::Lt(literal) => is(literal, &[Less]),
        Check::Lte(literal) => is(literal, &[Less, Equal]),
        Check::Gt(literal) => is(literal, &[Greater]),
        Check::Gte(literal) => is(literal, &[Greater, Equal]),
        Check::In(literals) => literals.iter().any(|literal| is(literal, &[Equal])),
        Check::Between([low, high]) => is(low, &[Greater, Equal]) && is(high, &[Less, Equal]),
        Check::Contains(part) => folded().contains(&part.to_lowercase()),
        Check::StartsWith(part) => folded().starts_with(&part.to_lowercase()),
        Check::IsNull => false,
        Check::IsNotNull => true,
    }
}

/// `None` where they cannot be compared: an amount of another currency.
fn compared(value: &Json, literal: &Literal) -> Option<std::cmp::Ordering> {
    let amount = value["amount"].as_str().map(fixed);
    Some(match (amount, literal) {
        (Some(amount), Literal::Number(number)) => amount.cmp(&fixed(&number.to_string())),
        (Some(amount), Literal::Text(text)) => {
            let (number, currency) = text.split_once(' ').unwrap();
            (value["currency"] == currency).then(|| amount.cmp(&fixed(number)))?
        }
        (None, Literal::Number(number)) => fixed(&value.to_string()).cmp(&fixed(&number.to_string())),
        (None, Literal::Text(text)) => value.as_str().unwrap().as_bytes().cmp(text.as_bytes()),
        (_, Literal::Boolean(_) | Literal::Call(_)) => panic!("nothing here is boolean or called"),
    })
}

/// Ten-thousandths.
fn fixed(decimal: &str) -> i64 {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

#[test]
fn filters_keep_exactly_the_rows_they_describe() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = accounts(&admin, 60).await;
        let oracle = Oracle(rows.iter().map(|row| (row["id"].as_str().unwrap(), row)).collect());
        let mut dice = Dice(7);
        let mut kept = HashSet::new();
        for _ in 0..400 {
            let text = filter_text(&mut dice, 2);
            let filter = filter::parse(&text).unwrap();
            let wanted: Vec<&Json> =
                rows.iter().filter(|row| oracle.holds(&filter, row)).map(|row| &row["external_id"]).collect();
            let parameters = [("filter", text.as_str()), ("fields", "external_id"), ("limit", "200")];
            let answer = admin.list("/v1/accounts", &parameters).await.expect(200);
            let found: Vec<&Json> = answer.data().iter().map(|row| &row["external_id"]).collect();
            assert_eq!(found, wanted, "{text}");
            kept.insert(wanted.len());
        }
        assert!(kept.len() > 20, "the filters told rows apart");
    });
}

#[test]
fn pages_neither_lose_nor_repeat_a_row_under_any_sort() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = accounts(&admin, 30).await;
        for sort in [
            "id",
            "-id",
            "name",
            "-name",
            "grade",
            "-grade",
            "grade,employees",
            "-grade,-employees",
            "grade,-employees",
            "-employees,grade",
            "-grade,name",
            "name,-grade,employees",
            "annual_revenue",
            "-annual_revenue,-employees",
            "annual_revenue,-name",
            "-created_at",
        ] {
            let whole = admin.list("/v1/accounts", &[("sort", sort), ("limit", "200")]).await.expect(200);
            let mut wanted = rows.clone();
            wanted.sort_by(|a, b| in_order(sort, a, b));
            assert_eq!(whole.data(), &wanted, "{sort}");
            for limit in ["1", "4", "7"] {
                let parameters = [("sort", sort), ("limit", limit)];
                let (forth, last) = walk(&admin, &parameters, "next", None).await;
                assert_eq!(forth.concat(), wanted, "{sort} by {limit}");
                let (mut back, first) = walk(&admin, &parameters, "prev", last).await;
                back.reverse();
                assert_eq!([back.concat(), forth.last().unwrap().clone()].concat(), wanted, "{sort} back by {limit}");
                assert!(first.is_none());
            }
        }
    });
}

/// Pages from `cursor` on, until there is none in this direction; then the last page's cursor the other way.
pub async fn walk(
    caller: &Caller,
    parameters: &[(&str, &str)],
    direction: &str,
    mut cursor: Option<String>,
) -> (Vec<Vec<Json>>, Option<String>) {
    let mut pages = Vec::new();
    let opposite = if direction == "next" { "prev" } else { "next" };
    if direction == "prev" && cursor.is_none() {
        return (pages, None);
    }
    loop {
        let mut parameters = parameters.to_vec();
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let answer = caller.list("/v1/accounts", &parameters).await.expect(200);
        let page = &answer.json["page"];
        assert_eq!(page["has_more"].as_bool().unwrap(), !page["next"].is_null());
        pages.push(answer.data().clone());
        match page[direction].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None if direction == "prev" => return (pages, None),
            None => return (pages, page[opposite].as_str().map(str::to_owned)),
        }
    }
}

fn in_order(sort: &str, a: &Json, b: &Json) -> std::cmp::Ordering {
    let mut descending = false;
    let mut order = std::cmp::Ordering::Equal;
    for key in sort.split(',').chain(["id"]) {
        let name = key.trim_start_matches('-');
        if name != "id" || sort.ends_with("id") {
            descending = key.starts_with('-') || (key == "id" && descending);
        }
        let value = |row: &Json| match &row[name] {
            Json::Null => (0, String::new(), 0),
            Json::String(text) => (1, text.clone(), 0),
            Json::Number(number) => (1, String::new(), number.as_i64().unwrap()),
            money => (1, money["currency"].as_str().unwrap().to_owned(), fixed(money["amount"].as_str().unwrap())),
        };
        let next = value(a).cmp(&value(b));
        order = order.then(if descending { next.reverse() } else { next });
    }
    order
}

#[test]
fn a_page_holds_its_place_while_others_write() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let rows = accounts(&admin, 12).await;
        let parameters = [("sort", "name"), ("limit", "5")];
        let first = admin.list("/v1/accounts", &parameters).await.expect(200);
        let seen = first.data().clone();
        for row in &seen {
            admin.delete(&format!("/v1/accounts/{}", row["id"].as_str().unwrap())).await;
        }
        admin.post("/v1/accounts", json!({"name": "AAA first of all"})).await.expect(201);
        let cursor = first.json["page"]["next"].as_str().unwrap();
        let (rest, _) = walk(&admin, &parameters, "next", Some(cursor.to_owned())).await;
        let ids: HashSet<String> =
            seen.iter().chain(rest.iter().flatten()).map(|row| row["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect());
    });
}

#[test]
fn a_cursor_serves_only_the_list_it_came_from() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, 5).await;
        let own = [("sort", "name"), ("limit", "2"), ("filter", "employees IS NULL OR employees >= 0")];
        let first = admin.list("/v1/accounts", &own).await.expect(200);
        let again = admin.list("/v1/accounts", &own).await.expect(200);
        assert_eq!(first.bytes, again.bytes, "the same question has the same bytes");
        let cursor = first.json["page"]["next"].as_str().unwrap();
        let mut forged = cursor.to_owned();
        forged.replace_range(30..31, if cursor[30..31] == *"A" { "B" } else { "A" });
        let stranger = server.as_person(Person::Stranger).await;
        for (caller, path, sort, filter, cursor) in [
            (&admin, "/v1/accounts", "-name", own[2].1, cursor),
            (&admin, "/v1/accounts", "name", "employees IS NULL", cursor),
            (&admin, "/v1/contacts", "last_name", "title IS NULL", cursor),
            (&admin, "/v1/accounts", "name", own[2].1, &cursor[..40]),
            (&admin, "/v1/accounts", "name", own[2].1, forged.as_str()),
            (&admin, "/v1/accounts", "name", own[2].1, ""),
            (&stranger, "/v1/accounts", "name", own[2].1, cursor),
        ] {
            let answer = caller.list(path, &[("sort", sort), ("filter", filter), ("cursor", cursor)]).await;
            assert_eq!((answer.status, answer.errors()), (400, vec![("cursor", "invalid_cursor")]), "{path} {sort}");
        }
    });
}

#[test]
fn fields_and_expand_print_what_was_asked_in_the_order_of_the_kind() {
    on_both(|server| async move {
        let (admin, rep) = (server.as_admin().await, server.as_person(Person::Rep).await);
        let me = rep.get("/v1/me").await.expect(200).json["user"]["id"].clone();
        let top = admin.post("/v1/accounts", json!({"name": "Top"})).await.expect(201).id().to_owned();
        let child = json!({"name": "Child", "parent_id": top, "annual_revenue": {"amount": "7", "currency": "JPY"}});
        let child = admin.post("/v1/accounts", child).await.expect(201).id().to_owned();
        let path = format!("/v1/accounts/{child}");

        let fields = admin.list(&path, &[("fields", "parent.name,annual_revenue,name,parent.owner.role")]).await;
        let wanted = r#"{"name":"Child","annual_revenue":{"amount":"7","currency":"JPY"},"parent":{"owner":{"role":"admin"},"name":"Top"}}"#;
        assert_eq!(String::from_utf8(fields.expect(200).bytes).unwrap(), wanted);

        let expanded = admin.list(&path, &[("expand", "parent.owner,owner")]).await.expect(200);
        assert_eq!(expanded.header("etag"), "");
        assert_eq!(expanded.json["parent"]["owner"]["name"], expanded.json["owner"]["name"]);
        assert_eq!(expanded.json["parent"]["id"], json!(top));

        let plain = admin.get(&path).await.expect(200);
        assert_eq!(plain.header("etag"), "\"v1\"");
        let some = admin.list(&path, &[("fields", "name")]).await.expect(200);
        assert!(some.header("etag").starts_with("\"v1.") && some.object().len() == 1);

        // the rep may see the child, once it is theirs, and not its parent
        admin.patch(&path, json!({"owner_id": me})).await.expect(200);
        let seen = rep.list(&path, &[("expand", "parent")]).await.expect(200);
        assert_eq!((&seen.json["parent"], &seen.json["parent_id"]), (&Json::Null, &json!(top)));
        let found = rep.list("/v1/accounts", &[("filter", "parent.name = \"Top\"")]).await.expect(200);
        assert!(found.data().is_empty());
    });
}

#[test]
fn what_is_wrong_with_a_query_is_said_at_once_with_the_nearest_name() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let parameters = [
            ("filter", "employes > 10 AND employees > \"many\" AND ownr.name = \"x\" AND contains(kind, \"c\")"),
            ("sort", "-nmae,name,name"),
            ("fields", "id,nam,owner.emial"),
            ("expand", "parnt"),
            ("limit", "201"),
        ];
        let answer = admin.list("/v1/accounts", &parameters).await.expect(400);
        let mut errors = answer.errors();
        errors.sort_unstable();
        let wanted = [
            ("expand", "unknown_field"),
            ("fields", "unknown_field"),
            ("fields", "unknown_field"),
            ("filter", "unknown_field"),
            ("filter", "unknown_field"),
            ("filter", "wrong_type"),
            ("filter", "wrong_type"),
            ("limit", "invalid_parameter"),
            ("sort", "invalid_parameter"),
            ("sort", "unknown_field"),
        ];
        assert_eq!(errors, wanted);
        let text = String::from_utf8(answer.bytes).unwrap();
        for hint in ["`employees`?", "`owner`?", "`name`?", "`email`?", "`parent`?", "at character 19: `employees`"] {
            assert!(text.contains(hint), "{hint} in {text}");
        }
        for (filter, code) in [
            ("name = \"\\u0000\"", "invalid_value"),
            ("annual_revenue > \"1.001 USD\"", "invalid_value"),
            ("annual_revenue > \"1 XXQ\"", "invalid_value"),
            ("annual_revenue.amount > 1", "unknown_field"),
            ("created_at > \"2026-02-30\"", "invalid_value"),
            ("owner_id = \"me\"", "invalid_value"),
            ("kind = \"person \"", "invalid_value"),
            ("kind > \"person\"", "wrong_type"),
            ("owner = \"x\"", "unknown_field"),
            ("parent.parent.parent.name = \"x\"", "query_too_expensive"),
            ("name = 1", "wrong_type"),
            ("employees = 1.5", "wrong_type"),
            ("tenant_id IS NULL", "unknown_field"),
            ("deleted_at IS NULL", "unknown_field"),
        ] {
            let answer = admin.list("/v1/accounts", &[("filter", filter)]).await.expect(400);
            assert_eq!(answer.errors(), vec![("filter", code)], "{filter}");
        }
    });
}

/// Every list that an index of the tenant serves reads a range of it, in order and from the cursor on.
#[test]
fn indexed_lists_walk_their_index() {
    on(Db::Sqlite, |server| async move {
        accounts(&server.as_admin().await, 5).await;
        let cx = server.context(Person::Admin).await;
        for (filter, sort, first, next) in [
            ("", "-id", "sqlite_autoindex_account_1 (tenant_id=?)", "(tenant_id=? AND id<?)"),
            ("", "name", "account_name_idx (tenant_id=?)", "(tenant_id=? AND (name,id)>(?,?))"),
            ("", "-created_at", "account_created_at_idx (tenant_id=?)", "(tenant_id=? AND (created_at,id)<(?,?))"),
            ("name > \"A\"", "name", "account_name_idx (tenant_id=? AND name>?)", "account_name_idx (tenant_id=? AND "),
            (
                "name = \"Acme\"",
                "-id",
                "account_name_idx (tenant_id=? AND name=?)",
                "(tenant_id=? AND name=? AND id<?)",
            ),
            ("owner_id IS NOT NULL", "-id", "account_1 (tenant_id=?)", "account_1 (tenant_id=? AND id<?)"),
            (OWNED, "-id", "account_owner_id_idx (tenant_id=? AND owner_id=?)", "AND owner_id=? AND id<?)"),
            ("external_id = \"x1\"", "-id", "account_external_id_key (tenant_id=? AND external_id=?)", ""),
            ("NOT parent.name = \"Acme\"", "-id", "sqlite_autoindex_account_1 (tenant_id=?", "(tenant_id=? AND id<?)"),
        ] {
            let shape = cx.kind("account").unwrap().shape();
            let filter = Some(filter.to_owned()).filter(|text| !text.is_empty());
            let query = ListQuery {
                filter: filter.map(Into::into),
                sort: Some(sort.to_owned()),
                limit: Some(1),
                ..ListQuery::default()
            };
            assert_plan(&cx, shape, &query, first).await;
            if let Some(cursor) = read::list(&cx, shape, &query).await.unwrap().next {
                assert_plan(&cx, shape, &ListQuery { cursor: Some(cursor), ..query }, next).await;
            }
        }
    });
}

const OWNED: &str = "owner_id = \"019c0000-0000-7000-8000-000000000001\"";

/// The page is one statement, whose plan contains `wanted` and sorts nothing.
async fn assert_plan(cx: &Context, shape: &Shape, query: &ListQuery, wanted: &str) {
    let statements = read::statements(cx, shape, query).unwrap();
    let [select] = statements.as_slice() else { panic!("{} statements", statements.len()) };
    let sql = format!("explain query plan {}", select.to_string(SqliteQueryBuilder));
    let rows = cx.store().read.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
    let plan = plan.join("; ");
    assert!(plan.contains(wanted) && !plan.contains("TEMP B-TREE"), "{query:?}: {plan}");
}

#[test]
fn a_text_of_two_alphabets_is_found_in_either_case() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let upper: String = ('Α'..='Ω').chain('А'..='Я').filter(|c| c.is_uppercase()).collect();
        let lower = upper.to_lowercase().replace('ς', "σ");
        let made = admin.post("/v1/accounts", json!({"name": upper})).await.expect(201);
        admin.post("/v1/accounts", json!({"name": upper.replace('Ω', "Ω\u{301}")})).await.expect(201);
        for filter in [
            format!("contains(name, \"{lower}\")"),
            format!("name : \"{lower}\""),
            format!("starts_with(name, \"{lower}\")"),
        ] {
            let found = admin.list("/v1/accounts", &[("filter", &filter)]).await.expect(200);
            assert_eq!(found.data().iter().map(|row| &row["id"]).collect::<Vec<_>>(), [made.id()], "{filter}");
        }
    });
}
