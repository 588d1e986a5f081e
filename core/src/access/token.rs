//! Access tokens: JSON Web Tokens (RFC 7519) signed with Ed25519 (RFC 8037), ten minutes long, judged by the clock of the
//! world.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use moka::sync::Cache;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secrets::digest;
use crate::error::{Code, Error, Result};

/// Seconds an access token lives.
pub const ACCESS_TOKEN_LIFE: i64 = 600;
/// Ours have about 500 bytes; a longer one is not looked at.
const LONGEST: usize = 4096;
/// Tokens whose signature is remembered, so that it is checked once a token and not once a request.
const REMEMBERED: u64 = 100_000;

/// What an access token says. It names who asks; what they may do is looked up, so that it can change at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    /// The user.
    pub sub: Uuid,
    /// The tenant.
    pub tid: Uuid,
    /// The session: the family of refresh tokens it was issued with.
    pub sid: Uuid,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970; from then on the token is refused.
    pub exp: i64,
    pub jti: Uuid,
}

/// The signing key pair with everything that checks its tokens.
pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
    public: DecodingKey,
    validation: Validation,
    published: JwkSet,
    verified: Cache<[u8; 32], Arc<Claims>>,
}

impl Signer {
    /// # Errors
    /// The key library refuses the seed.
    pub(super) fn new(seed: &[u8; 32], issuer: &str) -> Result<Self> {
        let broken = |source| Error::internal("the signing key is an Ed25519 seed", source);
        let key = EncodingKey::from_ed_der(&private_key(seed));
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA).map_err(broken)?;
        let id = jwk.thumbprint(ThumbprintHash::SHA256).map_err(broken)?;
        jwk.common.key_id = Some(id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(id);
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false; // by the library's own clock; `verify` asks the world's
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["iss", "sub", "exp"]);
        Ok(Self {
            public: DecodingKey::from_jwk(&jwk).map_err(broken)?,
            key,
            header,
            validation,
            published: JwkSet { keys: vec![jwk] },
            verified: Cache::new(REMEMBERED),
        })
    }

    pub(super) fn sign(&self, claims: &Claims) -> Result<String> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|source| Error::internal("an access token can be signed", source))
    }

    /// # Errors
    /// `invalid_token`, or `token_expired` for one of ours whose time is over.
    pub(super) fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Arc<Claims>> {
        if token.len() > LONGEST {
            return Err(invalid());
        }
        let hash = digest(token);
        let claims = if let Some(claims) = self.verified.get(&hash) {
            claims
        } else {
            let decoded = jsonwebtoken::decode::<Claims>(token, &self.public, &self.validation);
            let decoded = decoded.ok().filter(|data| data.header.kid == self.header.kid).ok_or_else(invalid)?;
            let claims = Arc::new(decoded.claims);
            self.verified.insert(hash, Arc::clone(&claims));
            claims
        };
        if claims.exp <= now.timestamp() {
            self.verified.invalidate(&hash);
            return Err(expired("access token"));
        }
        Ok(claims)
    }

    /// The public keys, as a JSON Web Key Set (RFC 7517).
    pub(super) fn published(&self) -> &JwkSet {
        &self.published
    }
}

pub(super) fn invalid() -> Error {
    Error::Unauthenticated {
        code: Code::InvalidToken,
        detail: "the token is not one of ours, or its session has ended; log in again".to_owned(),
    }
}

pub(super) fn expired(what: &str) -> Error {
    Error::Unauthenticated { code: Code::TokenExpired, detail: format!("the {what} has expired") }
}

/// The seed as PKCS #8, which is how the key library takes it (RFC 8410, section 7): SEQUENCE of version 0, algorithm
/// 1.3.101.112 (Ed25519), and an OCTET STRING that holds the OCTET STRING of the seed.
fn private_key(seed: &[u8; 32]) -> Vec<u8> {
    const PREFIX: [u8; 16] =
        [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    [PREFIX.as_slice(), seed].concat()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn claims() -> Claims {
        let id = Uuid::from_u128(7);
        Claims { iss: "ripen".to_owned(), sub: id, tid: id, sid: id, iat: 1000, exp: 1600, jti: id }
    }

    fn signer() -> Signer {
        Signer::new(&[7; 32], "ripen").unwrap()
    }

    fn code(result: Result<Arc<Claims>>) -> Code {
        match result {
            Err(Error::Unauthenticated { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }

    /// header.payload.signature with any signature.
    fn forged(header: &serde_json::Value, payload: &impl Serialize, signature: &[u8]) -> String {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let payload = serde_json::to_vec(payload).unwrap();
        format!("{}.{}.{}", part(header.to_string().as_bytes()), part(&payload), part(signature))
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let signer = signer();
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(*signer.verify(&token, at(1599)).unwrap(), claims());
        assert_eq!(*signer.verify(&token, at(1599)).unwrap(), claims(), "from the cache");
        assert_eq!(code(signer.verify(&token, at(1600))), Code::TokenExpired);
        assert_eq!(code(super::tests::signer().verify(&token, at(9999))), Code::TokenExpired, "not from the cache");
    }

    #[test]
    fn foreign_and_forged_tokens_are_refused() {
        let signer = signer();
        let good = signer.sign(&claims()).unwrap();
        let kid = signer.header.kid.clone().unwrap();
        let eddsa = json!({"typ": "JWT", "alg": "EdDSA", "kid": kid});
        let (head, signature) = good.rsplit_once('.').unwrap();
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[9] ^= 1;
        let x = signer.published.keys[0].clone();
        let jsonwebtoken::jwk::AlgorithmParameters::OctetKeyPair(pair) = x.algorithm else { panic!() };
        let public = URL_SAFE_NO_PAD.decode(pair.x).unwrap();
        let mut hs256 = Header::new(Algorithm::HS256);
        hs256.kid = Some(kid.clone());
        let with_public_key = jsonwebtoken::encode(&hs256, &claims(), &EncodingKey::from_secret(&public)).unwrap();
        let mut other_kid = Header::new(Algorithm::EdDSA);
        other_kid.kid = Some("another".to_owned());
        let mut longer = claims();
        longer.exp = 999_999;
        let hostile = [
            forged(&json!({"typ": "JWT", "alg": "none"}), &claims(), b""),
            forged(&json!({"typ": "JWT", "alg": "none", "kid": kid}), &claims(), &flipped),
            forged(&eddsa, &longer, &URL_SAFE_NO_PAD.decode(signature).unwrap()),
            forged(&eddsa, &claims(), &flipped),
            forged(&eddsa, &claims(), b""),
            with_public_key,
            jsonwebtoken::encode(&other_kid, &claims(), &signer.key).unwrap(),
            Signer::new(&[8; 32], "ripen").unwrap().sign(&claims()).unwrap(),
            signer.sign(&Claims { iss: "someone-else".to_owned(), ..claims() }).unwrap(),
            head.to_owned(),
            good[..good.len() - 1].to_owned(),
            format!("{good}A"),
            format!("{good}."),
            good.repeat(2500),
            "x".repeat(1 << 20),
            String::new(),
            "..".to_owned(),
            "\u{0}\u{1F600}.a.b".to_owned(),
        ];
        for token in hostile {
            assert_eq!(code(signer.verify(&token, at(1001))), Code::InvalidToken, "{token:.80}");
        }
    }

    #[test]
    fn the_published_key_is_public_and_checks_the_tokens() {
        let signer = signer();
        let set = serde_json::to_value(signer.published()).unwrap();
        let key = &set["keys"][0];
        assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
        assert!(key.get("d").is_none(), "{key}");
        let outside: Jwk = serde_json::from_value(key.clone()).unwrap();
        let token = signer.sign(&claims()).unwrap();
        let public = DecodingKey::from_jwk(&outside).unwrap();
        assert!(jsonwebtoken::decode::<Claims>(&token, &public, &signer.validation).is_ok());
    }
}
