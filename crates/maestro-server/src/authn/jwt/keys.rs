//! A JSON Web Key Set as what can be done with it.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

/// Keys of one set, at most.
const MAX_KEYS: usize = 100;
/// Shortest RSA modulus, bytes: 2048 bits.
const MIN_RSA_BYTES: usize = 256;

/// Keys that check signatures.
#[derive(Debug)]
pub(super) struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithms that it may be used for.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Keys {
    /// Reads a set. Keys that are for something else, or of a kind that isn't known, are left out.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            format!("is no JSON Web Key Set (line {line}, column {column})")
        })?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!(
                "has {} keys, more than the {MAX_KEYS} allowed",
                set.keys.len()
            ));
        }
        let total = set.keys.len();
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(|key| Key::new(&serde_json::from_value(key).ok()?))
            .collect();
        if keys.is_empty() {
            return Err(format!("has no key that can be used, of {total}"));
        }
        Ok(Self(keys))
    }

    /// The key of a token: the one with its id, or, without an id, the only one for its algorithm.
    pub(super) fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<&DecodingKey> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.algorithms.contains(&algorithm));
        let key = match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id))?,
            None => fitting.next().filter(|_| fitting.next().is_none())?,
        };
        Some(&key.key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    fn new(jwk: &Jwk) -> Option<Self> {
        let common = &jwk.common;
        let for_signatures = common
            .public_key_use
            .as_ref()
            .is_none_or(|what| *what == PublicKeyUse::Signature)
            && common
                .key_operations
                .as_ref()
                .is_none_or(|what| what.contains(&KeyOperations::Verify));
        if !for_signatures {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let mut algorithms = algorithms(&jwk.algorithm, &key);
        if let Some(only) = common.key_algorithm {
            let only = Algorithm::try_from(only).ok()?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        (!algorithms.is_empty()).then(|| Self {
            id: common.key_id.clone(),
            algorithms,
            key,
        })
    }
}

/// What a key of this kind and size can be used for. Symmetric keys can't be used at all.
fn algorithms(parameters: &AlgorithmParameters, key: &DecodingKey) -> Vec<Algorithm> {
    let modulus = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            n.len() - n.iter().take_while(|byte| **byte == 0).count()
        }
        DecodingKeyKind::SecretOrDer(_) => 0,
    };
    match parameters {
        AlgorithmParameters::RSA(_) if modulus >= MIN_RSA_BYTES => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
        ],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => Vec::new(),
    }
}
