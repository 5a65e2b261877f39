//! What comes of an offer: a server's answer to it, and a client's check of the answer (RFC 7692 sections 5 and 7.1).

use std::borrow::Cow;
use std::fmt;

use super::config::{Deflate, Level, WindowBits};
use super::parameters::Parameters;

/// The compression that both sides agreed on, as one of them sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    parameters: Parameters,
    sending: Option<Sending>,
    receiving: Receiving,
}

/// How an endpoint compresses what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) compress_from_bytes: u16,
    pub(crate) level: Level,
    pub(crate) window_bits: WindowBits,
    pub(crate) context_takeover: bool,
}

/// How a peer compresses what it sends to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiving {
    /// At least as large as the peer's window.
    pub(crate) window_bits: WindowBits,
    pub(crate) context_takeover: bool,
}

impl Agreed {
    /// What the server answered.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// `None` where we may send compressed messages and cannot, for a window of 8 bits.
    pub(crate) fn sending(&self) -> Option<Sending> {
        self.sending
    }

    pub(crate) fn receiving(&self) -> Receiving {
        self.receiving
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parameters.fmt(f)
    }
}

impl Deflate {
    /// As a server: the first offer that can be accepted, each given by its parameters. Bad ones are passed over.
    pub(crate) fn accept_first<'h, O>(&self, offers: impl Iterator<Item = O>) -> Option<Agreed>
    where
        O: Iterator<Item = (&'h str, Option<Cow<'h, str>>)>,
    {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7
        //# A server MUST decline an extension negotiation offer for this
        //# extension if any of the following conditions are met:
        offers.filter_map(Parameters::parse).find_map(|offer| self.accept(&offer))
    }

    /// As a server: what to answer to an offer; `None` declines it.
    //= https://www.rfc-editor.org/rfc/rfc7692#section-7
    //# The server doesn't support the offered configuration.
    fn accept(&self, offer: &Parameters) -> Option<Agreed> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9
        //# those parameters MUST be chosen in
        //# accordance with the specification of the extension to which the
        //# parameters apply.
        let asked = offer.server_max_window_bits;
        let sending_bits = asked.unwrap_or(15).min(self.sending.max_window_bits.get());
        //= https://www.rfc-editor.org/rfc/rfc7692#section-5
        //# The element MUST represent a PMCE that
        //# is fully supported by the server.
        let window_bits = WindowBits::new(sending_bits)?;
        let server_no_context_takeover =
            offer.server_no_context_takeover || !self.sending.context_takeover;

        let wanted = self.receiving.max_window_bits.get();
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
        //# the corresponding
        //# extension negotiation response to the offer MUST NOT include the
        //# "client_max_window_bits" extension parameter.
        let limited = offer.client_max_window_bits.map(|hint| hint.unwrap_or(15).min(wanted));
        // A client whose window cannot be limited may not make us keep more than we want to.
        let client_no_context_takeover = offer.client_no_context_takeover
            || !self.receiving.context_takeover
            || (limited.is_none() && wanted < 15);

        let parameters = Parameters {
            server_no_context_takeover,
            client_no_context_takeover,
            server_max_window_bits: (asked.is_some() || sending_bits < 15).then_some(sending_bits),
            client_max_window_bits: limited.filter(|bits| *bits < 15).map(Some),
        };
        Some(Agreed {
            parameters,
            sending: Some(self.sending(window_bits, !server_no_context_takeover)),
            receiving: receiving(limited, !client_no_context_takeover),
        })
    }

    /// As a client: what to offer.
    pub(crate) fn offer(&self) -> Parameters {
        let limit = |bits: WindowBits| (bits < WindowBits::MAX).then_some(bits.get());
        Parameters {
            server_no_context_takeover: !self.receiving.context_takeover,
            client_no_context_takeover: !self.sending.context_takeover,
            //= https://www.rfc-editor.org/rfc/rfc7692#section-5
            //# In a PMCE negotiation offer, the client MUST inform the server of its
            //# LZ77 window size
            server_max_window_bits: limit(self.receiving.max_window_bits),
            client_max_window_bits: Some(limit(self.sending.max_window_bits)),
        }
    }

    /// As a client: what was agreed on by an answer, given by its parameters, to one of these offers. `None` where it
    /// is not an answer to any of them.
    pub(crate) fn agree<'h>(
        offers: &[Self],
        answer: impl Iterator<Item = (&'h str, Option<Cow<'h, str>>)>,
    ) -> Option<Agreed> {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7
        //# A client MUST _Fail the WebSocket Connection_ if the peer server
        //# accepted an extension negotiation offer for this extension with an
        //# extension negotiation response meeting any of the following
        //# conditions:
        let answer = Parameters::parse(answer)?;
        offers.iter().find_map(|offer| offer.agree_to(&answer))
    }

    fn agree_to(&self, answer: &Parameters) -> Option<Agreed> {
        let offer = self.offer();
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
        //# A server accepts an extension negotiation offer that includes the
        //# "server_no_context_takeover" extension parameter by including the
        //# "server_no_context_takeover" extension parameter in the corresponding
        //# extension negotiation response to send back to the client.
        if offer.server_no_context_takeover && !answer.server_no_context_takeover {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
        //# extension negotiation response to send back to the client with the
        //# same or smaller value as the offer.
        if let Some(asked) = offer.server_max_window_bits
            && answer.server_max_window_bits.is_none_or(|bits| bits > asked)
        {
            return None;
        }
        let sending_bits = match answer.client_max_window_bits {
            None => 15,
            Some(Some(bits)) => bits,
            // In an answer it has a value.
            Some(None) => return None,
        };
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# the client MUST use an LZ77
        //# sliding window of a size that conforms the "agreed parameters" to
        //# compress messages to send.
        let window_bits = WindowBits::new(sending_bits.min(self.sending.max_window_bits.get()));
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.2
        //# A client MUST support the "client_no_context_takeover" extension
        //# parameter in an extension negotiation response.
        let takeover = self.sending.context_takeover && !answer.client_no_context_takeover;
        Some(Agreed {
            parameters: *answer,
            sending: window_bits.map(|bits| self.sending(bits, takeover)),
            receiving: receiving(answer.server_max_window_bits, !answer.server_no_context_takeover),
        })
    }

    fn sending(&self, window_bits: WindowBits, context_takeover: bool) -> Sending {
        let Self { compress_from_bytes, level, .. } = *self;
        Sending { compress_from_bytes, level, window_bits, context_takeover }
    }
}

fn receiving(bits: Option<u8>, context_takeover: bool) -> Receiving {
    let window_bits = match bits {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Otherwise, the client MUST use a
        //# 32,768-byte LZ77 sliding window to decompress received messages.
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# Otherwise, the server MUST use a
        //# 32,768-byte LZ77 sliding window to decompress received messages.
        None => WindowBits::MAX,
        Some(bits) => WindowBits::new(bits).unwrap_or(WindowBits::MIN),
    };
    Receiving { window_bits, context_takeover }
}
