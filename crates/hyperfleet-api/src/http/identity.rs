//! Who asks.
//!
//! Callers are known by headers that a gateway sets after it checked them; without a gateway everybody is the same local
//! system. Tokens are the gateway's business.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName};
use hyperfleet_types::Code;
use serde::{Deserialize, Serialize};

use super::route::Action;
use crate::{error::Rejection, service::Caller};

/// The actor when nobody is told apart.
pub const SYSTEM: &str = "system@hyperfleet.local";
/// Longest identity, bytes.
pub const MAX_IDENTITY_BYTES: usize = 256;
/// Longest value of a tenant dimension, bytes.
pub const MAX_TENANT_BYTES: usize = 63;
/// Headers that carry secrets and therefore never an identity.
const SECRET_HEADERS: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "x-forwarded-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
];

/// Settings.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Header with the caller's name, e.g. `X-HyperFleet-Identity`; writes without it are refused. Empty: everybody is
    /// [`SYSTEM`].
    pub identity_header: String,
    /// Tenants.
    pub tenant: Tenant,
}

/// How tenants are told apart.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tenant {
    /// Header that, with the value `true`, marks a caller that may write statuses only. Empty: nobody.
    pub system_header: String,
    /// What makes up a tenant. Empty: there is one.
    pub dimensions: Vec<Dimension>,
}

/// One part of what makes up a tenant.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// Header with the value.
    pub header: String,
    /// Key in `tenancy`.
    pub key: String,
    /// Refuse callers without it.
    #[serde(default)]
    pub required: bool,
}

/// Checked settings.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    header: Option<HeaderName>,
    system: Option<HeaderName>,
    dimensions: Vec<(HeaderName, Dimension)>,
}

impl Identity {
    /// Checks the settings.
    ///
    /// # Errors
    /// Every problem, in words.
    pub fn new(options: &Options) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut name = |key: &str, header: &str| -> Option<HeaderName> {
            if SECRET_HEADERS.contains(&header.to_ascii_lowercase().as_str()) {
                problems.push(format!(
                    "{key}: {header} carries secrets and can't name a caller"
                ));
                return None;
            }
            let parsed = header.parse();
            if parsed.is_err() {
                problems.push(format!("{key}: {header:?} is no header name"));
            }
            parsed.ok()
        };
        let optional = |header: &str| (!header.is_empty()).then(|| header.to_owned());
        let header = optional(&options.identity_header)
            .and_then(|header| name("server.identity_header", &header));
        let system = optional(&options.tenant.system_header)
            .and_then(|header| name("server.tenant.system_header", &header));
        let dimensions: Vec<_> = options
            .tenant
            .dimensions
            .iter()
            .enumerate()
            .filter_map(|(index, dimension)| {
                let header = name(
                    &format!("server.tenant.dimensions[{index}].header"),
                    &dimension.header,
                )?;
                Some((header, dimension.clone()))
            })
            .collect();
        for (index, dimension) in options.tenant.dimensions.iter().enumerate() {
            if dimension.key.is_empty() {
                problems.push(format!("server.tenant.dimensions[{index}].key is required"));
            }
        }
        if problems.is_empty() {
            Ok(Self {
                header,
                system,
                dimensions,
            })
        } else {
            Err(problems)
        }
    }

    /// The caller of a request that writes.
    ///
    /// # Errors
    /// A [`Rejection`] if the caller is not known or may not do this.
    pub fn caller(&self, headers: &HeaderMap, action: &Action) -> Result<Caller, Rejection> {
        let actor = match &self.header {
            None => SYSTEM.to_owned(),
            Some(name) => actor(headers, name)?,
        };
        let system = self.system.as_ref().is_some_and(|name| {
            headers
                .get(name)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"))
        });
        if system {
            if matches!(action, Action::Report(..)) {
                return Ok(Caller {
                    actor,
                    tenancy: BTreeMap::new(),
                });
            }
            return Err(denied(
                "system identities may only write status and conditions",
            ));
        }
        Ok(Caller {
            actor,
            tenancy: self.tenancy(headers)?,
        })
    }

    fn tenancy(&self, headers: &HeaderMap) -> Result<BTreeMap<String, String>, Rejection> {
        let mut tenancy = BTreeMap::new();
        for (
            header,
            Dimension {
                header: shown,
                key,
                required,
            },
        ) in &self.dimensions
        {
            match headers.get(header) {
                None if *required => {
                    return Err(denied(format!(
                        "required tenant header \"{shown}\" is missing"
                    )));
                }
                None => {}
                Some(value) => {
                    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
                    let text = value.to_str().ok().filter(|text| {
                        !text.is_empty()
                            && text.len() <= MAX_TENANT_BYTES
                            && text.as_bytes().iter().all(plain)
                    });
                    let text = text.ok_or_else(|| {
                        denied(format!("tenant header \"{shown}\" has an invalid value"))
                    })?;
                    tenancy.insert(key.clone(), text.to_owned());
                }
            }
        }
        if tenancy.is_empty() && !self.dimensions.is_empty() {
            return Err(denied("caller resolved no tenant dimensions"));
        }
        Ok(tenancy)
    }
}

fn actor(headers: &HeaderMap, name: &HeaderName) -> Result<String, Rejection> {
    let refuse = |text: &str| Rejection::new(Code::AuthenticationRequired, text);
    let missing =
        || refuse("Caller identity is required for mutating requests but could not be resolved");
    let value = headers.get(name).ok_or_else(missing)?;
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| refuse("Unable to resolve caller identity: not UTF-8 text"))?
        .trim();
    if text.is_empty() {
        return Err(missing());
    }
    if text.len() > MAX_IDENTITY_BYTES {
        return Err(refuse(&format!(
            "Unable to resolve caller identity: longer than {MAX_IDENTITY_BYTES} bytes"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(refuse(
            "Unable to resolve caller identity: it has control characters",
        ));
    }
    Ok(text.to_owned())
}

fn denied(text: impl Into<String>) -> Rejection {
    Rejection::new(Code::PermissionDenied, text)
}
