//! Why a caller is not believed.

use schemas::outcome::IssueType;

/// Told to the caller. None of the texts repeats anything of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// There is no bearer token.
    Missing,
    /// The token is not one to believe.
    Invalid(&'static str),
    /// It was one, until lately.
    Expired,
    /// The token is the issuer's, but does not entitle its bearer to anything here.
    Forbidden(&'static str),
    /// The issuer's keys could not be read yet: the hub's trouble, not the caller's.
    Unavailable,
}

impl AuthError {
    /// `OperationOutcome.issue.code`.
    pub fn issue_type(self) -> IssueType {
        match self {
            Self::Missing => IssueType::Login,
            Self::Invalid(_) => IssueType::Security,
            Self::Expired => IssueType::Expired,
            Self::Forbidden(_) => IssueType::Forbidden,
            Self::Unavailable => IssueType::Transient,
        }
    }

    /// For a metric's label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Invalid(_) => "invalid",
            Self::Expired => "expired",
            Self::Forbidden(_) => "forbidden",
            Self::Unavailable => "unavailable",
        }
    }

    /// The value of `WWW-Authenticate` (RFC 6750), for those whom another token would help.
    pub fn challenge(self) -> Option<String> {
        let realm = r#"Bearer realm="fhir-workflow-hub""#;
        match self {
            Self::Missing => Some(realm.to_owned()),
            Self::Invalid(_) | Self::Expired => {
                Some(format!(r#"{realm}, error="invalid_token", error_description="{self}""#))
            }
            Self::Forbidden(_) => Some(format!(r#"{realm}, error="insufficient_scope", error_description="{self}""#)),
            Self::Unavailable => None,
        }
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => f.write_str("a bearer token is needed: Authorization: Bearer <token>"),
            Self::Invalid(why) => write!(f, "the token is not accepted: {why}"),
            Self::Expired => f.write_str("the token has expired"),
            Self::Forbidden(why) => write!(f, "the token gives no right to be here: {why}"),
            Self::Unavailable => f.write_str("tokens cannot be checked at the moment: try again"),
        }
    }
}

impl std::error::Error for AuthError {}
