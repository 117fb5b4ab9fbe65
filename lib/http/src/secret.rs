//! A file whose whole address is a secret: whoever knows it may read the file. So no error tells more than the host.
//!
//! Of what kind the file is, its own parser finds out: servers tell of one kind as several.

use reqwest::Url;

use super::{Client, HeaderName, HttpError, Reply, Route};

impl Client {
    /// A client for the file at `address`, which may have a name and a password in it.
    ///
    /// # Errors
    /// It is no address by https.
    pub fn secret(
        address: &str,
        route: Route<'_>,
        headers: &[(HeaderName, &str)],
    ) -> Result<Self, HttpError> {
        let fits = |url: &Url| url.scheme() == "https" && url.has_host() && url.fragment().is_none();
        let url = Url::parse(address).ok().filter(fits).ok_or(HttpError::Address)?;
        Self::build(url, false, route, headers)
    }

    /// Asks for the file; once more where that is any use.
    ///
    /// # Errors
    /// There is no whole answer within the client's deadline.
    pub fn ask(&self) -> Result<Reply, HttpError> {
        let mut shown = self.base.clone();
        // An address by https has these parts.
        let _ = (shown.set_username(""), shown.set_password(None));
        shown.set_path("");
        shown.set_query(None);
        self.twice(&shown, || self.inner.get(self.base.clone()))
    }

    /// The host that is asked, for messages.
    pub fn host(&self) -> String {
        let port = self.base.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("https://{}{port}", self.base.host_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Instant;

    #[test]
    fn no_error_tells_more_than_the_host() {
        let route =
            Route { agent: "x", ca_file: Path::new("/nonexistent"), proxy: None, deadline: Instant::now() };
        for bad in [
            "webcal://h/geheim",
            "http://h/geheim",
            "https://",
            "geheim",
            "https://h/geheim#x",
            "https://h:x/geheim",
        ] {
            let error = Client::secret(bad, route, &[]).err().map(|error| error.to_string());
            assert!(
                error.as_ref().is_some_and(|error| error.contains("url_file") && !error.contains("geheim")),
                "{bad}: {error:?}"
            );
        }
    }
}
