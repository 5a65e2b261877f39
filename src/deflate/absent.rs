//! What stands for `deflate` where the feature is off: types without values, so that nothing of it is compiled in.

use std::borrow::Cow;
use std::fmt;

use crate::error::Violation;

pub(crate) const NAME: &str = "permessage-deflate";

/// Nothing can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deflate {}

/// Nothing can be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreed {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiving {}

#[derive(Debug)]
pub(crate) enum Inflater {}

/// Nobody can begin with one.
#[derive(Debug)]
pub(crate) struct Compressor;

#[derive(Debug, Default)]
pub(crate) struct History(());

impl Deflate {
    pub(crate) fn accept_first<O>(&self, _: impl Iterator<Item = O>) -> Option<Agreed> {
        match *self {}
    }

    pub(crate) fn offer(&self) -> Agreed {
        match *self {}
    }

    pub(crate) fn agree<'h>(
        _: &[Self],
        _: impl Iterator<Item = (&'h str, Option<Cow<'h, str>>)>,
    ) -> Option<Agreed> {
        None
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Agreed {
    pub(crate) fn sending(&self) -> Option<Sending> {
        match *self {}
    }

    pub(crate) fn receiving(&self) -> Receiving {
        match *self {}
    }
}

impl Sending {
    pub(crate) fn is_worthwhile(&self, _: usize) -> bool {
        match *self {}
    }

    pub(crate) fn without_history(self) -> Self {
        match self {}
    }

    pub(crate) fn bytes_max(&self, _: &mut History, _: usize) -> usize {
        match *self {}
    }

    pub(crate) fn remember(&self, _: &mut History, _: usize, _: &[u8]) {
        match *self {}
    }

    pub(crate) fn forget(&self, _: &mut History) {
        match *self {}
    }
}

impl History {
    #[cfg(feature = "reactor")]
    pub(crate) fn bytes(&self) -> usize {
        0
    }
}

impl Inflater {
    #[cfg(feature = "reactor")]
    pub(crate) const HELD_BYTES: usize = 0;

    pub(crate) fn begin(receiving: Receiving, _: &History) -> Result<Self, Violation> {
        match receiving {}
    }

    pub(crate) fn step(&mut self, _: &[u8], _: &History) -> Result<(usize, &[u8]), Violation> {
        match *self {}
    }

    pub(crate) fn finish(&mut self, _: Receiving, _: &mut History) -> Result<(), Violation> {
        match *self {}
    }
}

impl Compressor {
    #[cfg(feature = "reactor")]
    pub(crate) const HELD_BYTES: usize = 0;

    pub(crate) fn begin(sending: &Sending, _: &History, _: usize) -> Self {
        match *sending {}
    }

    pub(crate) fn end(self, _: &History) {}

    pub(crate) fn compress(&mut self, _: &[u8], _: bool, _: usize) -> Option<&[u8]> {
        None
    }
}
