//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 section 9.1), in one pass over each line.
//!
//! This module knows what an extension looks like and none of them by name.

use std::borrow::Cow;

use super::fields::{is_tchar, token};

/// One extension that a peer names, with its parameters.
///
/// An `Extension` that exists follows the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension<'h> {
    name: &'h str,
    parameters: &'h [u8],
}

/// A parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'h> {
    /// Its name, a token.
    pub name: &'h str,
    /// Its value, a token that may have been quoted; `None` where the name stands alone.
    pub value: Option<Cow<'h, str>>,
}

impl<'h> Extension<'h> {
    /// The extension's name, a token as the peer wrote it.
    pub fn name(&self) -> &'h str {
        self.name
    }

    /// The parameters in their order, repeated ones included. Borrows, but for quoted values with a backslash.
    pub fn parameters(&self) -> impl Iterator<Item = Parameter<'h>> + use<'h> {
        let mut rest = Cursor(self.parameters);
        std::iter::from_fn(move || rest.parameter().ok().flatten())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (&'h str, Option<Cow<'h, str>>)> + use<'h> {
        self.parameters().map(|it| (it.name, it.value))
    }
}

/// A value that does not follow the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadExtensions;

/// The extensions of one line, and an error after the last good one where the line does not follow the grammar.
///
/// A list over several lines is the sum of its lines: no extension can span two of them, since the comma that joins
/// them may not stand in a token.
pub(crate) fn parse(
    value: &[u8],
) -> impl Iterator<Item = Result<Extension<'_>, BadExtensions>> + use<'_> {
    let mut rest = Some(Cursor(value));
    std::iter::from_fn(move || {
        let mut cursor = rest.take()?;
        match cursor.extension() {
            Ok(extension) => {
                let extension = extension?;
                rest = Some(cursor);
                Some(Ok(extension))
            }
            Err(error) => Some(Err(error)),
        }
    })
}

/// The rest of a line.
struct Cursor<'h>(&'h [u8]);

impl<'h> Cursor<'h> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# extension = extension-token *( ";" extension-param )
    fn extension(&mut self) -> Result<Option<Extension<'h>>, BadExtensions> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token()?;
        let start = self.0;
        while self.parameter()?.is_some() {}
        if !matches!(self.0, [] | [b',', ..]) {
            return Err(BadExtensions);
        }
        let parameters = start.get(..start.len() - self.0.len()).unwrap_or_default();
        Ok(Some(Extension { name, parameters }))
    }

    /// A semicolon and what follows it, or `None` at anything else.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# extension-param = token [ "=" (token | quoted-string) ]
    fn parameter(&mut self) -> Result<Option<Parameter<'h>>, BadExtensions> {
        self.skip_space();
        if !self.eat(b';') {
            return Ok(None);
        }
        self.skip_space();
        let name = self.token()?;
        self.skip_space();
        if !self.eat(b'=') {
            return Ok(Some(Parameter { name, value: None }));
        }
        self.skip_space();
        let value = if self.eat(b'"') { self.quoted()? } else { Cow::Borrowed(self.token()?) };
        self.skip_space();
        Ok(Some(Parameter { name, value: Some(value) }))
    }

    /// What follows an opening quote, up to the closing one.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# When using the quoted-string syntax variant, the value
    //# ;after quoted-string unescaping MUST conform to the
    //# ;'token' ABNF.
    fn quoted(&mut self) -> Result<Cow<'h, str>, BadExtensions> {
        let plain = self.take_while(is_tchar);
        if self.eat(b'"') {
            return token(plain).map(Cow::Borrowed).ok_or(BadExtensions);
        }
        let mut value = Vec::from(plain);
        loop {
            match self.0 {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return token(&value).map(|it| Cow::Owned(it.to_owned())).ok_or(BadExtensions);
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_tchar(*byte) => {
                    value.push(*byte);
                    self.0 = rest;
                }
                _ => return Err(BadExtensions),
            }
        }
    }

    fn token(&mut self) -> Result<&'h str, BadExtensions> {
        token(self.take_while(is_tchar)).ok_or(BadExtensions)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'h [u8] {
        let end = self.0.iter().position(|&byte| !wanted(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        self.0 = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(u8) -> bool) {
        self.take_while(unwanted);
    }

    fn skip_space(&mut self) {
        self.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0.strip_prefix(&[byte]) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}
