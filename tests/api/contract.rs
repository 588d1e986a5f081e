//! What holds for every request, whatever it asks for.

use serde_json::json;

use crate::support::{Person, on_both};

#[test]
fn somebody_can_log_in_and_read() {
    on_both(|server| async move {
        let users = server.as_admin().await.get("/v1/users?sort=email").await.expect(200);
        assert_eq!(users.data().len(), 4);
        server.anonymous().get("/v1/users").await.expect(401);
        server.as_person(Person::Stranger).await.get("/v1/users").await.expect(200);
        let account = json!({"name": "Acme"});
        let made = server.as_admin().await.post("/v1/accounts", account).await.expect(201);
        server.as_person(Person::Stranger).await.get(&format!("/v1/accounts/{}", made.id())).await.expect(404);
    });
}
