//! Files of a user's own folder: pages that were written for other servers, with their scripts and styles.
//!
//! What is served lies in the folder itself, whatever the request says and wherever links in the folder point, and no
//! part of its path begins with a dot.

use std::io;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::{IntoResponse, Redirect};
use percent_encoding::percent_decode_str;
use tower_http::services::ServeFile;

/// What is served for a folder in the folder.
const INDEX: &str = "index.html";

/// A folder whose files are served; its path has no links in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// What a request found.
enum Found {
    File(PathBuf),
    /// A folder, asked for without the slash that its page's own links need.
    Folder,
}

impl Folder {
    /// Looks at a folder.
    ///
    /// # Errors
    /// When it is none, or cannot be entered.
    pub fn new(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self(path))
    }

    /// The answer to a request for something in the folder; none where there is no such thing to be had.
    pub(crate) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Response<Body>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let file = match self.find(path).await? {
            Found::File(file) => file,
            Found::Folder => {
                return Some(
                    Redirect::permanent(&format!("/{}/", path.trim_matches('/'))).into_response(),
                );
            }
        };
        let mut request = Request::new(Body::empty());
        request.method_mut().clone_from(method);
        request.headers_mut().clone_from(headers);
        let Ok(response) = ServeFile::new(&file).try_call(request).await else {
            return Some(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        };
        let mut response = response.map(Body::new);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        say_utf8(headers);
        Some(response)
    }

    async fn find(&self, path: &str) -> Option<Found> {
        let wanted = self.0.join(relative(path)?);
        // Follows links, so that what is compared is where it really lies.
        let real = tokio::fs::canonicalize(&wanted).await.ok()?;
        if !self.holds(&real) {
            return None;
        }
        let kind = tokio::fs::metadata(&real).await.ok()?;
        if kind.is_file() {
            return (!path.ends_with('/')).then_some(Found::File(real));
        }
        let index = tokio::fs::canonicalize(real.join(INDEX)).await.ok()?;
        let there = self.holds(&index) && tokio::fs::metadata(&index).await.ok()?.is_file();
        match there {
            true if path.ends_with('/') => Some(Found::File(index)),
            true => Some(Found::Folder),
            false => None,
        }
    }

    /// Whether a real path is inside, and none of it hidden.
    fn holds(&self, real: &Path) -> bool {
        let inside = real.strip_prefix(&self.0);
        inside.is_ok_and(|inside| {
            inside.components().all(|part| match part {
                Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
                _ => false,
            })
        })
    }
}

/// A request's path as one below the folder; none where it has a part that no file of the folder may have.
fn relative(path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path.strip_prefix('/')?)
        .decode_utf8()
        .ok()?;
    let mut relative = PathBuf::new();
    for part in decoded.split('/').filter(|part| !part.is_empty()) {
        let own_meaning = part.contains(['\\', ':', '\0']);
        if part.starts_with('.') || own_meaning {
            return None;
        }
        relative.push(part);
    }
    Some(relative)
}

/// Pages of today are UTF-8, and many do not say so.
fn say_utf8(headers: &mut HeaderMap) {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let whole = match kind {
        Some(b"text/html") => "text/html; charset=utf-8",
        Some(b"text/css") => "text/css; charset=utf-8",
        Some(b"text/javascript" | b"application/javascript") => "text/javascript; charset=utf-8",
        _ => return,
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(whole));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn site() -> (tempfile::TempDir, Folder) {
        let all = tempfile::tempdir().unwrap();
        let site = all.path().join("site");
        fs::create_dir_all(site.join("js")).unwrap();
        fs::create_dir_all(site.join("empty")).unwrap();
        fs::create_dir_all(site.join(".git")).unwrap();
        fs::create_dir_all(all.path().join("site-of-others")).unwrap();
        for (name, text) in [
            ("site/index.html", "<p>hello"),
            ("site/js/index.html", "js"),
            ("site/js/main.js", "1"),
            ("site/a b.txt", "space"),
            ("site/.env", "secret"),
            ("site/.git/config", "secret"),
            ("secret", "secret"),
            ("site-of-others/secret", "secret"),
        ] {
            fs::write(all.path().join(name), text).unwrap();
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(all.path().join("secret"), site.join("out")).unwrap();
            symlink(all.path(), site.join("up")).unwrap();
            symlink(site.join(".env"), site.join("env")).unwrap();
            symlink(site.join("js/main.js"), site.join("in.js")).unwrap();
        }
        let folder = Folder::new(&site).unwrap();
        (all, folder)
    }

    async fn get(folder: &Folder, path: &str) -> Option<(StatusCode, String, String)> {
        let response = folder.answer(&Method::GET, path, &HeaderMap::new()).await?;
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .unwrap();
        Some((status, kind, String::from_utf8(body.to_vec()).unwrap()))
    }

    #[tokio::test]
    async fn files_are_served_with_their_types() {
        let (_all, folder) = site();
        let html = "text/html; charset=utf-8";
        let js = "text/javascript; charset=utf-8";
        for (path, kind, text) in [
            ("/", html, "<p>hello"),
            ("/index.html", html, "<p>hello"),
            ("/js/", html, "js"),
            ("/js/main.js", js, "1"),
            ("/a%20b.txt", "text/plain", "space"),
            ("/in.js", js, "1"),
        ] {
            let found = get(&folder, path).await.unwrap();
            assert_eq!(
                found,
                (StatusCode::OK, kind.to_owned(), text.to_owned()),
                "{path}"
            );
        }
        for path in ["/js", "//js"] {
            let headers = HeaderMap::new();
            let sent = folder.answer(&Method::GET, path, &headers).await.unwrap();
            assert_eq!(sent.status(), StatusCode::PERMANENT_REDIRECT);
            assert_eq!(sent.headers()["location"], "/js/", "never another host");
        }
    }

    #[tokio::test]
    async fn there_is_no_way_out_and_nothing_hidden() {
        let (_all, folder) = site();
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/js/../../secret",
            "/js/%2e%2e/%2e%2e/secret",
            "/..%5csecret",
            "/../site-of-others/secret",
            "/out",
            "/up/secret",
            "/env",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/js/main.js/",
            "/main.js%00",
            "/%ff",
            "/empty/",
            "/empty",
            "/none",
        ] {
            assert_eq!(get(&folder, path).await, None, "{path}");
        }
        let put = folder
            .answer(&Method::PUT, "/index.html", &HeaderMap::new())
            .await;
        assert!(put.is_none());
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let (all, _) = site();
        assert!(Folder::new(&all.path().join("secret")).is_err());
        assert!(Folder::new(&all.path().join("none")).is_err());
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_folder(path in "(/|\\.|%2e|%2f|%5c|\\\\|a|:){0,20}") {
            if let Some(relative) = relative(&format!("/{path}")) {
                let normal = |part| matches!(part, Component::Normal(_));
                prop_assert!(relative.components().all(normal), "{:?}", relative);
            }
        }
    }
}
