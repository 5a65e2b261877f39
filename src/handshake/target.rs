//! The target of a request (RFC 9112 section 3.2), and the rules that it shares with a URL.

use super::authority::{Authority, percents_are_valid};

/// A target in origin-form or in absolute-form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'h> {
    /// The host of an absolute-form, which overrides that of the `Host` field.
    pub(crate) authority: Option<Authority<'h>>,
    pub(crate) path: &'h str,
    pub(crate) query: Option<&'h str>,
}

impl<'h> Target<'h> {
    /// The parts of a target; `None` where it is `*`, an authority, or not legal.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    //# An HTTP/1.1 or higher GET request, including a "Request-URI"
    //# [RFC2616] that should be interpreted as a /resource name/
    //# defined in Section 3 (or an absolute HTTP/HTTPS URI containing
    //# the /resource name/).
    pub(crate) fn parse(target: &'h str) -> Option<Self> {
        check(target).ok()?;
        if target.starts_with('/') {
            let (path, query) = split_query(target);
            return Some(Self { authority: None, path, query });
        }
        let (scheme, rest) = target.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, rest) = split_authority(rest);
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { "/" } else { path };
        Some(Self { authority: Some(Authority::parse(authority).ok()?), path, query })
    }
}

/// Splits what follows `://` before its path or query.
pub(crate) fn split_authority(text: &str) -> (&str, &str) {
    let end = text.find(['/', '?', '#']).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Splits a path from what follows its first question mark.
pub(crate) fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// What may stand in no target and in no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTarget {
    /// A space, a control character, or one that is not ASCII.
    Character,
    Fragment,
    Percent,
}

/// Looks at each character of a target or a URL.
//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//# Fragment identifiers are meaningless in the context of WebSocket URIs
//# and MUST NOT be used on these URIs.
pub(crate) fn check(text: &str) -> Result<(), BadTarget> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(BadTarget::Character);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //# As with any URI scheme, the
    //# character "#", when not indicating the start of a fragment, MUST be
    //# escaped as %23.
    if text.contains('#') {
        return Err(BadTarget::Fragment);
    }
    if !percents_are_valid(text) {
        return Err(BadTarget::Percent);
    }
    Ok(())
}
