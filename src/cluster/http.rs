//! Asks one server: a request at a time, answers bounded in size and time, and never another server than the one that was
//! named.

use super::ClusterError;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// An answer is no longer than this: 10,000 jobs in an overview, each with a name of a few hundred bytes, are 10 MB.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Proxies in front of a cluster lead to it in a few steps.
const MOST_REDIRECTS: usize = 5;

/// Where a cluster answers: `http://[user:password@]host:port[/prefix]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Scheme, host and port, without credentials, and a prefix without a slash at its end.
    base: String,
    /// What goes into the header `Authorization`. Never shown.
    authorization: Option<String>,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

impl Address {
    /// Reads an address. A `token` is sent where the address has no credentials itself. The error never quotes the text, as
    /// there may be a password in it.
    pub fn parse(text: &str, token: Option<&str>) -> Result<Self, String> {
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().map_err(|_| "it is not an address".to_owned())?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or("it starts with neither http:// nor https://")?;
        let authority = uri.authority().filter(|authority| !authority.host().is_empty()).ok_or("it names no host")?;
        if uri.query().is_some() || text.contains('#') {
            return Err("it has a query or a fragment".to_owned());
        }
        let (user, host) = match authority.as_str().rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority.as_str()),
        };
        let authorization = match user {
            Some(user) => {
                let plain = percent_encoding::percent_decode_str(user).collect::<Vec<u8>>();
                Some(format!("Basic {}", BASE64_STANDARD.encode(plain)))
            }
            None => token.map(|token| format!("Bearer {}", token.trim())),
        };
        if authorization.as_ref().is_some_and(|value| header::HeaderValue::from_str(value).is_err()) {
            return Err("its credentials hold characters that no header may".to_owned());
        }
        Ok(Address { base: format!("{scheme}://{host}{}", uri.path().trim_end_matches('/')), authorization })
    }
}

/// An answer, whatever the server made of the request.
pub(super) struct Answer {
    /// What it says of itself.
    pub(super) status: StatusCode,
    /// What is in it.
    pub(super) body: Vec<u8>,
}

/// A client for one server.
pub(super) struct Client<'a> {
    address: &'a Address,
    agent: ureq::Agent,
}

impl<'a> Client<'a> {
    /// Every request takes no longer than `deadline`.
    pub(super) fn new(address: &'a Address, deadline: Duration) -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            // Those that the machine trusts: clusters have certificates of the house.
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(deadline))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent("chkctl")
            .accept("application/json")
            .build()
            .new_agent();
        Client { address, agent }
    }

    /// The answer to `GET path`, which starts with a slash.
    pub(super) fn get(&self, path: &str) -> Result<Answer, ClusterError> {
        let mut url = format!("{}{path}", self.address.base);
        let refuse = |why: String| ClusterError::new(&format!("{}{path}", self.address.base), why);
        for _ in 0..=MOST_REDIRECTS {
            let mut request = self.agent.get(&url);
            if let Some(authorization) = &self.address.authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let mut response = request.call().map_err(|error| refuse(in_words(&error)))?;
            let status = response.status();
            if status.is_redirection() {
                let to = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                url = self.redirected(to).ok_or_else(|| refuse("it leads to another server".to_owned()))?;
                continue;
            }
            let body = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
            return Ok(Answer { status, body: body.map_err(|error| refuse(in_words(&error)))? });
        }
        Err(refuse("it leads in circles".to_owned()))
    }

    /// An answer that says nothing.
    pub(super) fn nonsense(&self, path: &str, why: &str) -> ClusterError {
        ClusterError::new(&format!("{}{path}", self.address.base), why)
    }

    /// Where a redirect leads, if it is the same server.
    fn redirected(&self, to: Option<&str>) -> Option<String> {
        let own: Uri = self.address.base.parse().ok()?;
        let to = to?;
        if to.starts_with('/') && !to.starts_with("//") {
            return Some(format!("{}://{}{to}", own.scheme_str()?, own.authority()?));
        }
        let other: Uri = to.parse().ok()?;
        (other.scheme() == own.scheme() && other.authority() == own.authority()).then(|| to.to_owned())
    }
}

fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it does not answer in time".to_owned(),
        ureq::Error::HostNotFound => "its host is not known".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => "its answer is too long".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let address = Address::parse("https://me:s%40cret@flink.example:8081/proxy/", None).expect("an address");
        assert_eq!(
            format!("{address} {address:?}"),
            "https://flink.example:8081/proxy https://flink.example:8081/proxy"
        );
        let expected = format!("Basic {}", BASE64_STANDARD.encode("me:s@cret"));
        assert_eq!(address.authorization, Some(expected));
        let bearer = Address::parse("flink:8081", Some("abc\n")).expect("an address");
        assert_eq!((bearer.base.as_str(), bearer.authorization.as_deref()), ("http://flink:8081", Some("Bearer abc")));
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_quoted() {
        for text in ["", "ftp://me:secret@host", "http://", "http://me:secret@host/?q=1", "http://me:secret@ho st"] {
            let why = Address::parse(text, None).expect_err(text);
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_redirect_leads_to_no_other_server() {
        let address = Address::parse("http://a:1/x", None).expect("an address");
        let client = Client::new(&address, Duration::from_secs(1));
        assert_eq!(client.redirected(Some("/y")).as_deref(), Some("http://a:1/y"));
        assert_eq!(client.redirected(Some("http://a:1/y")).as_deref(), Some("http://a:1/y"));
        for other in ["http://b:1/y", "http://a:2/y", "https://a:1/y", "//b/y", "y", "http://u@a:1/y"] {
            assert_eq!(client.redirected(Some(other)), None, "{other}");
        }
    }
}
