//! The files of the page, in the program itself. Their names hold a digest of their
//! content, so a browser may keep them for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, header};
use sha2::{Digest as _, Sha256};

use super::error::Failure;
use super::text::visible;

/// One file.
struct Asset {
    /// `style.1f2e3d4c5b6a.css`.
    name: String,
    kind: &'static str,
    body: &'static str,
}

/// Where the page finds its files.
pub(super) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon_good: String,
    pub(super) icon_bad: String,
    files: [Asset; 4],
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let files = [
        Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../../assets/style.css")),
        Asset::new("live", "js", "text/javascript; charset=utf-8", include_str!("../../assets/live.js")),
        Asset::new("good", "svg", "image/svg+xml", include_str!("../../assets/good.svg")),
        Asset::new("bad", "svg", "image/svg+xml", include_str!("../../assets/bad.svg")),
    ];
    let [style, script, icon_good, icon_bad] = files.each_ref().map(|file| format!("/assets/{}", file.name));
    Assets { style, script, icon_good, icon_bad, files }
});

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, body: &'static str) -> Self {
        let digest = Sha256::digest(body);
        let hash: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{stem}.{hash}.{extension}"), kind, body }
    }
}

/// `GET /assets/FILE`.
pub(super) async fn asset(Path(name): Path<String>) -> Result<Response, Failure> {
    let found = ASSETS.files.iter().find(|file| file.name == name);
    let file =
        found.ok_or_else(|| Failure::not_found(format!("there is no asset `{}`", visible(&name, 100))))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Ok((headers, file.body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_changes_with_its_content() {
        let name = |body| Asset::new("a", "css", "", body).name;
        assert_eq!(name("x"), name("x"));
        assert_ne!(name("x"), name("y"));
        assert!(name("x").starts_with("a.") && name("x").ends_with(".css"));
    }
}
