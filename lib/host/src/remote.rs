//! Services elsewhere, as configurations name them.

/// Who may vouch for them, unless `ca_file` names another file: Debian's bundle of authorities.
pub const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The address `url` to which something secret may go, without a slash at its end; `key` is the setting.
///
/// # Errors
/// What is wrong with it.
pub fn https(key: &str, url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#\"\\<>".contains(&byte);
    if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(is_plain) {
        return Err(format!("`{key}` is https:// and a host, perhaps with a path: a secret goes there"));
    }
    Ok(url.trim_end_matches('/').to_string())
}

/// An address of [`https`] as its host, and the path there.
pub fn split_path(url: &str) -> (&str, &str) {
    let end = url.get("https://".len()..).and_then(|rest| rest.find('/')).map(|at| at + "https://".len());
    url.split_at(end.unwrap_or(url.len()))
}

/// `HOST[:PORT]`, `[::1]:PORT`, in the setting `server`; without a port the `usual` one.
///
/// # Errors
/// It is neither.
pub fn address(text: &str, usual: u16) -> Result<(String, u16), String> {
    let bad = || format!("`server` is a host, perhaps with a port: `{text}`");
    let (host, port) = match (text.strip_prefix('['), text.rsplit_once(':')) {
        (Some(rest), _) => rest.split_once(']').ok_or_else(bad)?,
        (None, Some((host, port))) => (host, port),
        (None, None) => (text, ""),
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let port = if port.is_empty() { usual } else { port.parse().map_err(|_| bad())? };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-:_".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(bad());
    }
    Ok((host.to_string(), port))
}
