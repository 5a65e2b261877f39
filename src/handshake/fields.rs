//! Header fields of a head that was parsed already, and the lists in them (RFC 9110 section 5).

use super::find::find;

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'h> {
    /// The name as the peer wrote it; compare it without regard to case.
    pub name: &'h str,
    /// The value without surrounding whitespace. Not always UTF-8, but without CR, LF and NUL.
    pub value: &'h [u8],
}

/// The field lines of a head, in their order.
///
/// A view into the head that costs nothing to copy. Looking a field up walks over the lines.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'h> {
    lines: &'h [u8],
}

impl<'h> Fields<'h> {
    /// The fields of a head that was scanned and parsed; the last line of it may be left out.
    pub(crate) fn of_head(head: &'h [u8]) -> Self {
        let mut lines = head;
        next_line(&mut lines);
        Self { lines }
    }

    /// All field lines.
    pub fn iter(self) -> impl Iterator<Item = Field<'h>> + use<'h> {
        let mut lines = self.lines;
        std::iter::from_fn(move || parse_field(next_line(&mut lines)?))
    }

    /// The value of the first field with this name, in any case.
    pub fn first(self, name: &str) -> Option<&'h [u8]> {
        self.all(name).next()
    }

    /// The values of all fields with this name, in any case.
    ///
    /// `_` is not `-`: a field whose name differs in that is another one (RFC 9110 section 17.10).
    pub fn all<'n>(self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        let mut lines = self.lines;
        let fields = std::iter::from_fn(move || split_field(next_line(&mut lines)?));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The members of a list that may be spread over several lines; empty members are passed over.
    pub fn members<'n>(self, name: &'n str) -> impl Iterator<Item = &'h [u8]> + use<'h, 'n> {
        self.all(name).flat_map(members)
    }
}

/// The members of a comma separated list, without the empty ones (RFC 9110 section 5.6.1.2).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without the spaces and tabs on both sides.
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The text of a token, which is at least one byte and has no separators (RFC 9110 section 5.6.2).
pub(crate) fn token(bytes: &[u8]) -> Option<&str> {
    if bytes.is_empty() || !bytes.iter().all(|&byte| is_tchar(byte)) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

/// Whether a byte may stand in a token.
pub(crate) const fn is_tchar(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9'
            | b'A'..=b'Z'
            | b'a'..=b'z'
            | b'!'
            | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    )
}

fn next_line<'h>(lines: &mut &'h [u8]) -> Option<&'h [u8]> {
    let end = find(lines, [b'\n'])?;
    let (line, rest) = lines.split_at_checked(end + 1)?;
    *lines = rest;
    Some(line)
}

/// The line's field; `None` for the empty line at the end.
fn parse_field(line: &[u8]) -> Option<Field<'_>> {
    let (name, value) = split_field(line)?;
    Some(Field { name: std::str::from_utf8(name).ok()?, value })
}

fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.strip_suffix(b"\r\n")?;
    let colon = find(line, [b':'])?;
    let (name, value) = line.split_at_checked(colon)?;
    Some((name, trim(value.get(1..)?)))
}
