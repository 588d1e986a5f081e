//! What is no plugin is refused with the first check that failed, and nothing of it is kept.

use serde_json::json;

use super::{
    support::{Person, on_both},
    work::{RFM, all, ended, send, upload},
};

/// `bytes` and a custom section that nobody reads: another component with the same name and version.
fn other_bytes(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0, 3, 1, b'x', 0]].concat()
}

#[test]
fn bad_bytes_are_named_and_leave_nothing() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let core_module = [b"\0asm".as_slice(), &[1, 0, 0, 0]].concat();
        let cases = [
            (b"these are no WebAssembly bytes".to_vec(), "plugin_malformed"),
            (RFM[..RFM.len() / 2].to_vec(), "plugin_malformed"),
            (core_module, "plugin_not_a_component"),
        ];
        for (bytes, code) in cases {
            let job = ended(&admin, send(&admin, &bytes).await).await;
            assert_eq!((&job["state"], &job["problem"]["code"]), (&json!("failed"), &json!(code)), "{job:#}");
        }
        let large = send(&admin, &vec![0; (24 << 20) + 1]).await.expect(413);
        assert_eq!(large.problem(), "body_too_large");
        let json = admin.post("/v1/plugins", json!({})).await.expect(415);
        assert_eq!(json.problem(), "unsupported_media_type");
        assert!(all(&admin, "/v1/plugins", "name = \"rfm\"", None).await.is_empty());
    });
}

#[test]
fn a_release_is_what_it_was() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let (first, again) = (upload(&admin, RFM).await, upload(&admin, RFM).await);
        assert_eq!(first, again);
        let job = ended(&admin, send(&admin, &other_bytes(RFM)).await).await;
        assert_eq!(job["problem"]["code"], "conflict", "{job:#}");
        let stored = all(&admin, "/v1/plugins", "name = \"rfm\"", None).await;
        assert_eq!(stored.len(), 1);
        assert_eq!((&stored[0]["release"], &stored[0]["kinds"]), (&json!("1.0.0"), &json!(["scorer", "segmenter"])));
        assert_eq!(stored[0]["digest"], first["digest"]);
    });
}

#[test]
fn only_an_admin_uploads_installs_and_applies_and_a_manager_may_simulate() {
    on_both(|server| async move {
        for person in [Person::Manager, Person::Rep] {
            let caller = server.as_person(person).await;
            assert_eq!(send(&caller, RFM).await.expect(403).problem(), "forbidden");
            let installation = json!({"key": "x", "plugin": "rfm", "kind": "scorer"});
            caller.post("/v1/installations", installation).await.expect(403);
            caller.post("/v1/installations/x/activate", json!({})).await.expect(403);
            caller.post("/v1/plugin-runs", json!({"installation": "x", "mode": "apply"})).await.expect(403);
            let simulation = caller.post("/v1/plugin-runs", json!({"installation": "x", "mode": "simulate"})).await;
            simulation.expect(if person == Person::Manager { 404 } else { 403 });
        }
        server.anonymous().post("/v1/plugin-runs", json!({})).await.expect(401);
    });
}
