//! What went wrong elsewhere, why it cannot happen here, and which test says so.
//!
//! Every engine that is older than this one has paid for what is written here. Each entry names the incident by its
//! public identifier, says in a sentence what happened, and then what stands in its way in this crate: a type, a
//! limit, a close code. It ends with the names of tests. Those in `attacks` send it over a real socket to a server
//! in a process of its own, whose memory is held under a cap, whose CPU time has to grow in proportion to what is
//! sent, and which serves an honest client meanwhile; `cargo test --test attacks -- --nocapture` prints the
//! figures. Those in `incidents_core` send it to the core alone and count allocations.
//!
//! Entries without an identifier were found by probing other engines, or are as old as TCP.
//!
//! # What holds for all of them
//!
//! - The whole crate is compiled with `forbid(unsafe_code)`. Reading or writing outside of a buffer is not a
//!   mistake that can be made here; it could be made in what the crate depends on.
//! - A [`FrameHeader`](crate::frame::FrameHeader) that exists is legal, a [`Request`](crate::handshake::Request)
//!   that exists is valid. There is no second place that would have to check again.
//! - Limits are checked where a cost is announced, not where it is paid. All are in [`Limits`](crate::Limits), and
//!   every one has a default.
//! - After a [`Violation`](crate::Violation) nothing more is delivered: its [close
//!   code](crate::Violation::close_code) is sent, and what still comes is thrown away.
//!
//! # Frames
//!
//! ## Lengths that overflow
//!
//! *gorilla CVE-2020-27813, Tomcat CVE-2020-13935, undici CVE-2026-1528.* A length of 64 bits went into arithmetic
//! with a sign or with a wrap: sums came out small or negative, and the connection looped, crashed or allocated
//! without end.
//!
//! A length with its top bit set is [`LengthOutOfRange`](crate::Violation::LengthOutOfRange), 1002, as soon as that
//! bit is there. Any other length is compared with what the limit leaves for the message, by subtraction from the
//! limit, before it is added to anything.
//!
//! Tests: `attacks::frames::lengths_with_the_top_bit_set_or_that_wrap_with_their_header`,
//! `attacks::frames::fragments_whose_lengths_wrap_when_they_are_added`,
//! `incidents_core::lengths_with_the_top_bit_set_or_that_wrap_with_their_header`.
//!
//! ## A frame of an unknown kind that is awaited to its end
//!
//! *Jetty CVE-2026-19204.* A reserved opcode with a huge length was not refused before its payload was dealt with.
//!
//! An [`Opcode`](crate::frame::Opcode) has no value for a reserved one. It is
//! [`ReservedOpcode`](crate::Violation::ReservedOpcode), 1002, before the length is read.
//!
//! Test: `attacks::frames::an_unknown_opcode_with_a_huge_length`.
//!
//! ## Payloads of any size
//!
//! *ws CVE-2016-10542, uWebSockets CVE-2016-10544.* A peer chose how much memory a message took.
//!
//! [`message_bytes_max`](crate::Limits::message_bytes_max), 1 MiB by default, is held against the header: 1009 is
//! sent before a byte of the payload has come. What the limit does allow is not reserved when it is announced:
//! memory follows what has come.
//!
//! Tests: `attacks::frames::a_payload_over_the_limit_is_refused_at_its_header`,
//! `attacks::frames::a_hundred_messages_of_a_mebibyte_that_are_announced_and_never_sent`.
//!
//! ## Messages in a million pieces, or without an end
//!
//! *ws CVE-2026-48779 and its issues 2329 and 2331, libsoup CVE-2025-32049, Bandit CVE-2026-65623.* A limit held
//! for one frame and not for the message, or each fragment was kept as an object of its own, so that one byte on
//! the wire cost a hundred in memory.
//!
//! Fragments are gathered in one buffer. Their bytes count together, and so does their number:
//! [`fragments_max`](crate::Limits::fragments_max) and, since an empty fragment brings nothing at all,
//! [`empty_fragments_max`](crate::Limits::empty_fragments_max); beyond them 1008. What was judged of a text is not
//! judged again when more of it comes: [`Utf8`](crate::utf8::Utf8) is a state of a few bytes. One engine took half
//! a minute for a mebibyte of text in fragments of 64 bytes.
//!
//! Tests: `attacks::frames::a_million_fragments_of_one_byte`,
//! `attacks::frames::two_hundred_thousand_empty_fragments`, `attacks::frames::a_message_that_never_ends`,
//! `attacks::frames::a_mebibyte_of_text_in_fragments_of_64_bytes`,
//! `attacks::frames::a_text_frame_in_small_packets`,
//! `attacks::compression::a_compressed_message_in_fragments_of_one_byte`.
//!
//! ## Floods of tiny frames
//!
//! *h2 0.4.16 to 0.4.18, of HTTP/2.* Frames that cost the sender next to nothing made the receiver keep something
//! for each.
//!
//! A message that lies whole in the receive buffer is delivered from there; nothing is kept for it. What it is
//! answered with goes into the loop's one send buffer, and where the peer does not read, reading stops at
//! [`outbox_pause_bytes`](crate::Limits::outbox_pause_bytes).
//!
//! Tests: `attacks::frames::floods_of_tiny_frames_that_are_answered`,
//! `attacks::readers::requests_for_answers_from_a_peer_that_reads_none_of_them`,
//! `incidents_core::floods_of_tiny_frames_allocate_nothing_or_are_refused`.
//!
//! ## Bytes written outside of a buffer
//!
//! *CivetWeb CVE-2026-29035.* A frame with RSV1 at the end of a buffer was written to beyond that end.
//!
//! Safe code cannot. RSV1 without an extension is [`ReservedBits`](crate::Violation::ReservedBits), 1002, at the
//! header; with permessage-deflate the frame is inflated into a buffer that is asked for its room.
//!
//! Tests: `attacks::frames::frames_with_rsv1_of_every_length_around_the_end_of_a_buffer`,
//! `attacks::compression::compressed_frames_of_every_length_around_the_end_of_a_buffer`.
//!
//! ## Bytes of somebody else in a close frame
//!
//! *ws CVE-2026-45736.* A close frame went out with memory that nobody had written.
//!
//! A frame is appended to a buffer from slices that were given; there is no buffer that is sized first and filled
//! later. A close of the peer is answered with its code alone, and the reason of a violation is a fixed text.
//!
//! Tests: `attacks::frames::close_reasons_of_every_length`,
//! `incidents_core::close_reasons_of_every_length_carry_no_byte_that_was_not_given`.
//!
//! ## Pings that are answered into a full socket
//!
//! *curl CVE-2025-5399, Undertow CVE-2021-3690, coder 129d303; tungstenite and tokio-websockets, seen by probe.*
//! Pongs piled up, or the code that owed one waited in a loop for room.
//!
//! While the output is blocked, one pong is owed: that to the newest ping, as RFC 6455 section 5.5.3 allows.
//! Whoever goes on is closed with 1008 after [`unanswered_pings_max`](crate::Limits::unanswered_pings_max).
//!
//! Tests: `attacks::readers::pings_while_the_output_is_blocked_leave_one_pong_waiting`,
//! `attacks::readers::a_million_pings_from_a_peer_that_does_not_read`.
//!
//! ## Masks that can be foretold
//!
//! *curl CVE-2025-10148.* A client chose one masking key for all frames of a connection, so that a server could
//! make it send bytes that a proxy takes for a request.
//!
//! [`MaskKeys`](crate::MaskKeys) is asked anew for each frame; [`RandomKeys`](crate::RandomKeys), which the client
//! and the event loop use, is a cryptographic generator.
//!
//! Tests: `attacks::handshakes::frames_of_a_client_have_a_mask_each`,
//! `attacks::handshakes::frames_that_a_reactor_sends_as_a_client_have_a_mask_each`.
//!
//! ## What a receiver forgets between two frames
//!
//! *Seen by probe.* One engine delivered a masked frame after it had refused an unmasked one; one took a second
//! text message inside an unfinished one for its continuation; one refused a reason that is not UTF-8 in one read
//! and took it byte by byte; one lost a frame that was cut at some byte.
//!
//! The first violation is kept and returned again ([`Unmasked`](crate::Violation::Unmasked)),
//! [`MessageInterrupted`](crate::Violation::MessageInterrupted) is 1002 at the header, and the core is a function
//! of the bytes: how they were cut makes no difference, which property tests say of all sequences.
//!
//! Tests: `attacks::frames::an_unmasked_frame_and_then_a_masked_one`,
//! `attacks::frames::text_not_final_then_text_not_final_then_a_continuation`,
//! `attacks::frames::a_close_with_bad_utf8_whole_and_byte_by_byte`,
//! `attacks::frames::frames_of_each_length_form_cut_at_every_byte_of_their_header`.
//!
//! # Compression
//!
//! ## Bombs
//!
//! *Python websockets CVE-2018-1000518, CVE-2026-39804, undici CVE-2026-1526.* A message of a few kilobytes was
//! inflated whole before anybody asked how long it had become. DEFLATE makes 1,029 bytes of one.
//!
//! Inflating goes step by step, and [`message_bytes_max`](crate::Limits::message_bytes_max) counts what comes out:
//! 1009 as soon as it is crossed, with nothing inflated beyond it, in one frame or in many.
//!
//! Tests: `attacks::compression::sixty_four_kib_that_inflate_to_64_mib_whole_and_spread_over_fragments`,
//! `attacks::compression::a_bomb_from_each_of_fifty_connections`.
//!
//! ## Window bits that nobody has
//!
//! *undici CVE-2026-2229, zlib issue 171.* A number from the peer went to zlib unchecked, which does not take every
//! one, or takes 8 for 9 and says nothing.
//!
//! Parameters are parsed to a number between 8 and 15, in one spelling; an offer with anything else is declined, an
//! answer with it fails the handshake. [`WindowBits`](crate::deflate::WindowBits) holds 9 to 15; where 8 is agreed
//! on, what is sent under it is not compressed.
//!
//! Tests: `attacks::heads::window_bits_of_0_7_8_16_255_and_010_in_an_offer`,
//! `attacks::handshakes::window_bits_of_0_7_16_255_and_010_in_an_answer`.
//!
//! ## Contexts that get out of step
//!
//! *sockudo-ws issue 14, ws issue 983.* Plain or incompressible messages between compressed ones changed one end's
//! window and not the other's, and the next message did not inflate. *Python websockets, seen by probe:* the same
//! after a final block.
//!
//! Only what is sent compressed enters a window, at both ends, and a final block ends a stream and begins the next
//! one.
//!
//! Tests: `attacks::compression::plain_and_incompressible_messages_between_compressed_ones_with_context_takeover`,
//! `attacks::compression::a_final_block_and_then_a_further_compressed_message`,
//! `attacks::compression::compressed_frames_of_each_length_form_cut_at_every_byte`.
//!
//! ## Streams that are cut short
//!
//! *Every engine, seen by probe.* A message whose stream ends inside a block was delivered as far as it went.
//!
//! A message is complete when its stream is at the start of a block, and
//! [`NotInflatable`](crate::Violation::NotInflatable), 1007, otherwise.
//!
//! Test: `attacks::compression::a_deflate_stream_that_ends_inside_a_block`.
//!
//! # The opening handshake
//!
//! ## Heads that take long to read
//!
//! *websocket-extensions CVE-2020-7662, ws in 2017 and CVE-2021-32640.* A regular expression went back and forth
//! over a quoted string that is never closed, or over spaces. *tungstenite CVE-2023-43669.* A head of any length
//! was read again from its start with each packet.
//!
//! There is no regular expression. The end of the head is searched for by
//! [`HeadScanner`](crate::handshake::HeadScanner), which sees each byte once, and lists are read from left to
//! right. [`head_bytes_max`](crate::Limits::head_bytes_max) and
//! [`field_line_bytes_max`](crate::Limits::field_line_bytes_max) end it earlier: 431.
//!
//! Tests: `attacks::heads::an_unclosed_quoted_string_and_a_subprotocol_of_100_000_spaces`,
//! `attacks::heads::twenty_megabytes_of_header_fields_and_fields_in_packets_of_one_byte`,
//! `attacks::heads::a_head_in_small_packets`.
//!
//! ## Fields without number, and fields that stand twice
//!
//! *ws CVE-2024-37890, Cowboy CVE-2026-65624.* More fields than were expected ended the process, or made each
//! further one dearer.
//!
//! [`fields_max`](crate::Limits::fields_max) is at most 128, beyond it 431; a field that decides something and
//! stands twice is 400.
//!
//! Test: `attacks::heads::floods_of_header_fields_and_fields_that_stand_twice`.
//!
//! ## Line ends in what the application adds
//!
//! *undici CVE-2026-1527.* A value with CR LF in it became further fields.
//!
//! [`Accept::field`](crate::handshake::Accept::field), [`Response::field`](crate::handshake::Response::field) and
//! [`ClientRequest::field`](crate::handshake::ClientRequest::field) are errors then, and a subprotocol is one that
//! the client has asked for, or the answer is 500 and the handler is told.
//!
//! Test: `attacks::heads::line_ends_in_a_field_and_in_a_subprotocol_that_the_application_adds`.
//!
//! ## Bytes behind a request
//!
//! *Pingora CVE-2026-2833, nghttpx CVE-2026-58055.* What was sent behind an upgrade, before it was answered, was
//! read as something else by another server in the chain.
//!
//! An upgrade with a body, or with bytes behind it, is 400: RFC 6455 section 4.1 has the client wait. One
//! connection carries one request. What is no upgrade may have a body with one plain `Content-Length`; every other way
//! to say where it ends is refused, since two servers may read it in two ways.
//!
//! Tests: `attacks::heads::frames_pipelined_before_the_101_and_an_upgrade_with_a_body`,
//! `handshake_server::the_body_of_what_is_no_upgrade_has_one_plain_length_or_is_refused`,
//! `reactor::bodies::what_is_behind_a_body_is_no_part_of_it_and_no_second_request`.
//!
//! ## Pages of other sites
//!
//! *CVE-2025-30360, and cross-site hijacking of WebSockets in general.* A browser connects for any page, with the
//! user's cookies; servers did not ask which page it was, or let every address pass.
//!
//! [`Origins::SameHost`](crate::Origins::SameHost) is the default: 403 for another origin, `null`, two, or one that
//! is none. It compares with the host of the request, so it is not what keeps out a page whose name leads to this
//! server by DNS rebinding: a server that trusts addresses compares the host with its own names, as the chat relay does,
//! or lists the origins.
//!
//! Test: `attacks::heads::origins_of_another_site_of_an_address_null_and_two`.
//!
//! # Connections and memory
//!
//! ## Floods of connections and of handshakes
//!
//! As old as TCP. Whoever opens connections faster than they time out fills a table, or memory.
//!
//! [`connections_max`](crate::Limits::connections_max), [`handshakes_max`](crate::Limits::handshakes_max) and
//! [`handshakes_per_address_max`](crate::Limits::handshakes_per_address_max): beyond them 503, which costs no
//! place. A connection that leaves is not counted from then on, and who comes from elsewhere is served.
//!
//! Tests: `attacks::connections::floods_of_open_connections`,
//! `attacks::connections::floods_of_handshakes_from_one_address`,
//! `attacks::connections::floods_of_handshakes_from_many_addresses`,
//! `attacks::connections::floods_of_connections_that_come_and_go`.
//!
//! ## Slowloris
//!
//! A head of one byte a second keeps a connection for hours where each byte begins the time anew.
//!
//! [`handshake_within`](crate::Limits::handshake_within) runs from accept to the end of the handshake, TLS
//! included, and nothing extends it; then 408.
//!
//! Tests: `attacks::connections::a_head_of_one_byte_at_a_time_that_never_ends`,
//! `attacks::connections::connections_that_never_say_anything`,
//! `attacks::tls::a_tls_hello_of_one_byte_at_a_time_that_never_ends`,
//! `attacks::tls::tls_connections_that_never_say_anything`.
//!
//! ## Connections that never end
//!
//! *Tomcat CVE-2024-23672.* A peer that did not do its part of a close kept its connection.
//!
//! Every state has a deadline: [`ping_after`](crate::Limits::ping_after) and
//! [`pong_within`](crate::Limits::pong_within) while it is open, [`close_within`](crate::Limits::close_within) from
//! the close frame to the answer and again to the end, and, where it is wanted,
//! [`idle_after`](crate::Limits::idle_after) for those who answer pings and say nothing.
//!
//! Tests: `attacks::connections::peers_that_are_silent_or_half_open_or_never_answer_a_close`,
//! `attacks::connections::a_peer_that_answers_pings_and_never_says_anything_else`.
//!
//! ## Descriptors that run out
//!
//! *Issues of libuv, mio and others.* `accept` fails while connections wait, an edge-triggered loop is not told
//! again and forgets them, a level-triggered one spins.
//!
//! The loop tries again when a connection ends, and every 100 ms; those who wait in vain are told 503 by means of a
//! descriptor that is kept for it, or nothing where TLS is spoken.
//!
//! Test: `attacks::connections::more_connections_than_descriptors_while_more_wait_in_the_backlog`.
//!
//! # TLS
//!
//! ## Certificates for somebody else
//!
//! *CVE-2020-15133, CVE-2020-11050.* A client checked who had issued a certificate, and not for whom.
//!
//! rustls checks both, for the host of the URL; there is no setting that turns it off. The error
//! ([`CertificateProblem::WrongName`](crate::tls::CertificateProblem::WrongName)) has the name that was wanted and
//! those that are there.
//!
//! Test: `attacks::tls::a_certificate_for_another_name`.
//!
//! ## Storms of hellos, and junk
//!
//! A signature costs the server more than the hello costs its sender.
//!
//! [`tls_handshakes_per_turn_max`](crate::Limits::tls_handshakes_per_turn_max) leaves the open connections their
//! turn; the limits on handshakes hold for TLS too. Junk gets an alert, and is counted by
//! [`Counters::tls_failures`](crate::reactor::Counters::tls_failures).
//!
//! Test: `attacks::tls::floods_of_tls_connections_and_of_junk_where_a_hello_should_be`.
//!
//! # Broadcast
//!
//! ## A subscriber that never reads
//!
//! What is published waits for the slowest, in memory without end, or the others wait with it.
//!
//! What a socket does not take waits in an outbox of its own; beyond
//! [`outbox_bytes_max`](crate::Limits::outbox_bytes_max) the connection is cut, and its handler is told
//! [`NotReading`](crate::reactor::Closed::NotReading). A publication is encoded once for all.
//!
//! Test: `attacks::readers::a_subscriber_that_never_reads_under_broadcast`.
//!
//! ## Sockets that take little at a time
//!
//! *tungstenite, seen by probe.* What was written was taken from the front of a buffer, and the rest moved there,
//! each time.
//!
//! An outbox is a queue of segments and a cursor: nothing moves.
//!
//! Test: `attacks::readers::sixty_four_mebibytes_to_a_socket_that_takes_4_kib_a_time`.
//!
//! ## Callbacks that change what is iterated
//!
//! *uWebSockets CVE-2020-36406.* A subscriber left a topic, or closed, while something was delivered to that topic,
//! and what was freed was used.
//!
//! A handler publishes into a log; it is delivered after the handler has returned, to those who were subscribed
//! when it was published, each in its own order. A [`ConnectionId`](crate::reactor::ConnectionId) has a generation,
//! so that one that is stale names nobody.
//!
//! Test: `attacks::readers::one_that_publishes_unsubscribes_closes_and_publishes_while_it_is_told_a_message`.
