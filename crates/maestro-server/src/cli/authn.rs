//! Flags about who is let in, and what they may do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args as Group, ValueEnum};

use super::{Error, duration};
use crate::authn::{
    AgentIdentity, AuthnConfig, Credential, Jwks, Jwt, Pattern, RestAuthn, SourceAuthn,
};

#[derive(Clone, Debug, Group)]
#[command(next_help_heading = "Who is let in")]
pub(super) struct AuthnArgs {
    /// How sources say who they are: mock (not at all), mtls (client certificate), token (known to the Kubernetes API).
    /// With mtls and token the Kubernetes API also decides what they may do: verbs pub and sub on /sources/<source>.
    #[arg(
        long,
        default_value = "mock",
        value_enum,
        hide_possible_values = true,
        value_name = "TYPE"
    )]
    grpc_authn_type: Sources,
    /// Authorities whose certificates sources must show, PEM; only with --grpc-authn-type=mtls. Only these are trusted,
    /// not those of the system.
    #[arg(long, value_name = "FILE")]
    grpc_client_ca_file: Option<PathBuf>,
    /// Kubeconfig of the Kubernetes API that reviews tokens and permissions [default: that of this pod].
    #[arg(long, value_name = "FILE")]
    grpc_authorizer_config: Option<PathBuf>,
    /// How long a good answer of the Kubernetes API is remembered; 0s = not at all.
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    authn_cache_ttl: Duration,
    /// Let an agent act only for the cluster that its name contains, for example
    /// system:open-cluster-management:{cluster}:agent, or {cluster}-* [default: for any].
    #[arg(long, value_name = "PATTERN")]
    agent_identity_pattern: Option<String>,
    /// Where the name of an agent is: mtls (common name of its certificate), token (user of its token).
    #[arg(
        long,
        default_value = "mtls",
        value_enum,
        hide_possible_values = true,
        value_name = "TYPE"
    )]
    agent_authn_type: Agents,
    /// How callers of REST say who they are: none (not at all), token (known to the Kubernetes API), jwt (JSON Web Token).
    #[arg(
        long,
        default_value = "none",
        value_enum,
        hide_possible_values = true,
        value_name = "TYPE"
    )]
    rest_authn: Rest,
    /// Groups that may change things over REST; others may only read [default: everybody].
    #[arg(long, value_name = "GROUP,…", value_delimiter = ',')]
    rest_admin_groups: Vec<String>,
    /// Keys of JSON Web Tokens: a JSON Web Key Set.
    #[arg(long, value_name = "FILE", conflicts_with = "rest_jwks_url")]
    rest_jwks_file: Option<PathBuf>,
    /// The same behind a URL; https, or http on this host.
    #[arg(long, value_name = "URL")]
    rest_jwks_url: Option<String>,
    /// Authorities of the server of --rest-jwks-url, PEM [default: those of the system].
    #[arg(long, value_name = "FILE")]
    rest_jwks_ca_file: Option<PathBuf>,
    /// How often keys are looked at again. A token with an unknown key causes a look, too.
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    rest_jwks_reload_interval: Duration,
    /// Who must have issued JSON Web Tokens (claim iss).
    #[arg(long, value_name = "ISSUER")]
    rest_jwt_issuer: Option<String>,
    /// For whom JSON Web Tokens must be meant (claim aud); one of these.
    #[arg(long, value_name = "AUDIENCE,…", value_delimiter = ',')]
    rest_jwt_audience: Vec<String>,
    /// How far the clock of the issuer may be off.
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    rest_jwt_leeway: Duration,
    /// The claim that holds the name of the user.
    #[arg(long, default_value = "sub", value_name = "CLAIM")]
    rest_jwt_user_claim: String,
    /// The claim that holds the groups: a list of texts, or one text.
    #[arg(long, default_value = "groups", value_name = "CLAIM")]
    rest_jwt_groups_claim: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sources {
    Mock,
    Mtls,
    Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Agents {
    Mtls,
    Token,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rest {
    None,
    Token,
    Jwt,
}

impl AuthnArgs {
    /// The authorities of source certificates. As upstream, only looked at when certificates are asked for.
    pub(super) fn client_ca(&self) -> Option<&Path> {
        let asked = self.grpc_authn_type == Sources::Mtls;
        self.grpc_client_ca_file.as_deref().filter(|_| asked)
    }

    /// The settings that the flags mean.
    pub(super) fn into_config(self) -> Result<AuthnConfig, Error> {
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let agents = match self.agent_identity_pattern.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(AgentIdentity {
                pattern: text
                    .parse::<Pattern>()
                    .map_err(|error| Error(format!("--agent-identity-pattern={text}: {error}")))?,
                credential: match self.agent_authn_type {
                    Agents::Mtls => Credential::Mtls,
                    Agents::Token => Credential::Token,
                },
            }),
        };
        let ca = self.rest_jwks_ca_file.filter(set);
        let jwks = match (self.rest_jwks_file.filter(set), self.rest_jwks_url) {
            (_, None) if ca.is_some() => {
                return Err(Error("--rest-jwks-ca-file needs --rest-jwks-url".into()));
            }
            (Some(path), _) => Some(Jwks::File(path)),
            (None, Some(url)) => Some(Jwks::Url { url, ca }),
            (None, None) => None,
        };
        let rest = match (self.rest_authn, jwks) {
            (Rest::None, None) => RestAuthn::None,
            (Rest::Token, None) => RestAuthn::Token,
            (Rest::Jwt, Some(jwks)) => RestAuthn::Jwt(Jwt {
                jwks,
                issuer: self.rest_jwt_issuer.unwrap_or_default(),
                audiences: self.rest_jwt_audience,
                leeway: self.rest_jwt_leeway,
                user_claim: self.rest_jwt_user_claim,
                groups_claim: self.rest_jwt_groups_claim,
                reload_interval: self.rest_jwks_reload_interval,
            }),
            (Rest::Jwt, None) => {
                return Err(Error(
                    "--rest-authn=jwt needs --rest-jwks-file or --rest-jwks-url".into(),
                ));
            }
            (_, Some(_)) => {
                return Err(Error(
                    "--rest-jwks-file and --rest-jwks-url need --rest-authn=jwt".into(),
                ));
            }
        };
        Ok(AuthnConfig {
            sources: match self.grpc_authn_type {
                Sources::Mock => SourceAuthn::Mock,
                Sources::Mtls => SourceAuthn::Mtls,
                Sources::Token => SourceAuthn::Token,
            },
            authorizer_config: self.grpc_authorizer_config.filter(set),
            cache_ttl: self.authn_cache_ttl,
            agents,
            rest,
            rest_admin_groups: self.rest_admin_groups,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Args;

    fn config(flags: &[&str]) -> Result<AuthnConfig, String> {
        let arguments = std::iter::once(&"maestro").chain(flags);
        let args = Args::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let config = args.into_config().map_err(|error| error.to_string())?;
        Ok(config.authn)
    }

    const GRPC: &[&str] = &["--grpc-tls-cert-file=c", "--grpc-tls-key-file=k"];
    const BROKER: &[&str] = &[
        "--grpc-broker-tls-cert-file=c",
        "--grpc-broker-tls-key-file=k",
    ];
    const JWT: &[&str] = &[
        "--rest-authn=jwt",
        "--rest-jwks-file=keys",
        "--rest-jwt-issuer=i",
        "--rest-jwt-audience=a,b",
    ];

    #[test]
    fn flags_become_settings() {
        let nothing = config(&[]).unwrap();
        assert_eq!(nothing.sources, SourceAuthn::Mock);
        assert!(nothing.agents.is_none());
        let all = [
            GRPC,
            BROKER,
            JWT,
            &[
                "--grpc-authn-type=mtls",
                "--grpc-client-ca-file=ca",
                "--grpc-broker-client-ca-file=ca",
                "--agent-identity-pattern={cluster}-*",
                "--rest-admin-groups=x,y",
                "--authn-cache-ttl=0s",
            ],
        ]
        .concat();
        let all = config(&all).unwrap();
        assert_eq!(all.sources, SourceAuthn::Mtls);
        assert_eq!(all.agents.unwrap().pattern.to_string(), "{cluster}-*");
        assert_eq!(all.rest_admin_groups, ["x", "y"]);
        assert!(all.cache_ttl.is_zero());
        let RestAuthn::Jwt(jwt) = all.rest else {
            panic!("JSON Web Tokens")
        };
        assert_eq!(jwt.audiences, ["a", "b"]);
    }

    #[test]
    fn what_lacks_something_is_refused_by_name() {
        for (flags, expected) in [
            (
                vec!["--grpc-authn-type=token"],
                "--grpc-authn-type=token needs TLS on the source port",
            ),
            (
                vec!["--grpc-authn-type=mtls"],
                "--grpc-authn-type=mtls needs TLS on the source port",
            ),
            (
                [GRPC, &["--grpc-authn-type=mtls"]].concat(),
                "needs --grpc-client-ca-file",
            ),
            (
                vec!["--agent-identity-pattern=x"],
                "must contain {cluster} once",
            ),
            (
                vec!["--agent-identity-pattern={cluster}"],
                "needs TLS on the agent port",
            ),
            (
                [BROKER, &["--agent-identity-pattern={cluster}"]].concat(),
                "needs --grpc-broker-client-ca-file",
            ),
            (
                vec!["--rest-authn=jwt"],
                "needs --rest-jwks-file or --rest-jwks-url",
            ),
            (vec!["--rest-jwks-file=keys"], "need --rest-authn=jwt"),
            (
                vec!["--rest-authn=jwt", "--rest-jwks-file=keys"],
                "needs --rest-jwt-issuer",
            ),
            (
                [JWT, &["--rest-jwks-url=https://x"]].concat(),
                "cannot be used with",
            ),
            (
                [JWT, &["--rest-jwks-ca-file=ca"]].concat(),
                "--rest-jwks-ca-file needs --rest-jwks-url",
            ),
            (vec!["--rest-admin-groups=x"], "--rest-admin-groups needs"),
            (
                vec!["--authn-cache-ttl=1h"],
                "--authn-cache-ttl: at most 300 s",
            ),
        ] {
            let said = config(&flags).unwrap_err();
            assert!(said.contains(expected), "{flags:?}: {said}");
        }
    }
}
