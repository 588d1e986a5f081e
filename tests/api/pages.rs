//! Pages as a client walks them: by the `Link` header alone, and while others move rows about.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use crate::support::{Answer, Caller, on_both};

/// Where the answer's `Link` header of this relation leads.
fn link(answer: &Answer, rel: &str) -> Option<String> {
    let end = format!(">; rel=\"{rel}\"");
    let mut links = answer.headers.get_all("link").iter().map(|value| value.to_str().unwrap());
    links.find_map(|link| link.strip_prefix('<')?.strip_suffix(end.as_str())).map(str::to_owned)
}

/// Every page from `start` on in the direction of `rel`. Between any two of them the restless records move.
async fn pages(caller: &Caller, start: &str, rel: &str, restless: &[String]) -> Vec<Answer> {
    let mut pages = vec![caller.get(start).await.expect(200)];
    while let Some(there) = pages.last().and_then(|page| link(page, rel)) {
        if !restless.is_empty() {
            let moved =
                |(i, id): (usize, &String)| json!({"op": "update", "id": id, "data": values(pages.len() * 7 + i * 5)});
            let operations: Vec<Json> = restless.iter().enumerate().map(moved).collect();
            batch(caller, operations, 200).await;
        }
        pages.push(caller.get(&there).await.expect(200));
        assert!(pages.len() < 60, "the pages of {start} do not end");
    }
    pages
}

fn ids(pages: &[Answer]) -> Vec<String> {
    let rows = pages.iter().flat_map(|page| page.data().iter());
    rows.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// One of twelve places in any order by these fields.
fn values(k: usize) -> Json {
    let grade = [None, Some("A"), Some("B")][k % 3];
    json!({"name": format!("n{:02}", k % 12), "employees": (!k.is_multiple_of(4)).then_some(k % 7), "grade": grade})
}

/// Operations that all end with this status; the ids of their records.
async fn batch(caller: &Caller, operations: Vec<Json>, status: u64) -> Vec<String> {
    let done = caller.post("/v1/accounts/batch", json!({"operations": operations})).await.expect(200);
    let results = done.json["results"].as_array().unwrap();
    assert!(results.iter().all(|one| one["status"] == status), "{}", done.json);
    results.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

async fn accounts(admin: &Caller, n: usize) -> Vec<String> {
    batch(admin, (0..n).map(|i| json!({"op": "create", "data": values(i * 5)})).collect(), 201).await
}

#[test]
fn the_link_header_alone_leads_through_every_page_and_back() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made: BTreeSet<String> = accounts(&admin, 51).await.into_iter().collect();
        for start in ["/v1/accounts", "/v1/accounts?sort=-grade,name&fields=id&filter=version%20%3D%201"] {
            let forth = pages(&admin, start, "next", &[]).await;
            let sizes: Vec<_> = forth.iter().map(|page| page.data().len()).collect();
            assert_eq!(sizes, [50, 1], "a page has 50 rows where nothing is said: {start}");
            let seen: BTreeSet<String> = ids(&forth).into_iter().collect();
            assert_eq!(seen, made, "{start}");
            assert_eq!((link(&forth[0], "prev"), link(&forth[1], "next")), (None, None), "{start}");
            let before = link(&forth[1], "prev").unwrap();
            let back = pages(&admin, &before, "prev", &[]).await;
            assert_eq!((back.len(), ids(&back)), (1, ids(&forth[..1])), "{start}");
            let after = link(&back[0], "next").unwrap();
            assert_eq!(ids(&pages(&admin, &after, "next", &[]).await), ids(&forth[1..]), "{start}");
        }
    });
}

#[test]
fn rows_that_stay_come_once_and_in_order_while_others_move_between_pages() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let made = accounts(&admin, 24).await;
        let restless: Vec<String> = made.iter().step_by(2).cloned().collect();
        let quiet =
            |pages: &[Answer]| -> Vec<String> { ids(pages).into_iter().filter(|id| !restless.contains(id)).collect() };
        for sort in [
            "name",
            "-name",
            "employees",
            "-employees",
            "grade,-employees",
            "-grade,name",
            "-employees,grade",
            "name,-grade,employees",
        ] {
            let whole = admin.list("/v1/accounts", &[("sort", sort), ("limit", "200")]).await.expect(200);
            let wanted = quiet(&[whole]);
            assert_eq!(wanted.len(), 12);
            let mut forth = pages(&admin, &format!("/v1/accounts?sort={sort}&limit=5"), "next", &restless).await;
            assert_eq!(quiet(&forth), wanted, "{sort}");
            forth.retain(|page| !page.data().is_empty()); // all that was to come had moved away
            let last = forth.pop().unwrap();
            let before = link(&last, "prev").unwrap();
            let mut back = pages(&admin, &before, "prev", &restless).await;
            back.reverse();
            back.push(last);
            assert_eq!(quiet(&back), wanted, "{sort} back");
        }
    });
}

#[test]
fn rows_are_counted_exactly_or_not_at_all() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        accounts(&admin, 3).await;
        for count in ["x", "", "Exact", "true", "1"] {
            let refused = admin.list("/v1/accounts", &[("count", count)]).await.expect(400);
            let told = (refused.problem(), refused.errors());
            assert_eq!(told, ("invalid_parameter", vec![("count", "invalid_parameter")]), "{count}");
        }
        let counted = admin.list("/v1/accounts", &[("count", "exact"), ("limit", "1")]).await.expect(200);
        assert_eq!(counted.json["page"]["total"], 3);
        let plain = admin.list("/v1/accounts", &[("limit", "1")]).await.expect(200);
        assert_eq!(plain.json["page"].get("total"), None);
    });
}

#[test]
fn three_relations_in_a_row_are_more_than_is_printed() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let account = admin.post("/v1/accounts", json!({"name": "Acme"})).await.expect(201);
        let one = format!("/v1/accounts/{}", account.id());
        for (path, three) in [
            ("/v1/accounts", "parent.parent.parent"),
            (one.as_str(), "parent.parent.owner"),
            ("/v1/contacts", "account.owner.manager"),
        ] {
            let (two, _) = three.rsplit_once('.').unwrap();
            for parameter in ["expand", "fields"] {
                let value = |way: &str| if parameter == "fields" { format!("{way}.id") } else { way.to_owned() };
                let refused = admin.list(path, &[(parameter, value(three).as_str())]).await.expect(400);
                let told = (refused.problem(), refused.errors());
                assert_eq!(told, ("query_too_expensive", vec![(parameter, "query_too_expensive")]), "{path} {three}");
                admin.list(path, &[(parameter, value(two).as_str())]).await.expect(200);
            }
        }
        for (member, pointer, name) in
            [("expand", "/expand", "parent.parent.parent"), ("fields", "/fields", "parent.parent.parent.id")]
        {
            let refused = admin.post("/v1/accounts/search", json!({member: [name]})).await.expect(400);
            assert_eq!(refused.errors(), [(pointer, "query_too_expensive")]);
        }
    });
}
