//! What is promised, within which limits, and which test says so.
//!
//! A promise without a test is a hope. Each of these has one that fails when it is broken; where a test runs under a
//! seed or in a process of its own, the command is named that does it at length.
//!
//! | | promise | limit | tests |
//! | --- | --- | --- | --- |
//! | 1 | [No bytes from the network make the engine panic](#1-no-panic) | any bytes, any cuts, either role | fuzzing, simulation |
//! | 2 | [There is no `unsafe` in it](#2-no-unsafe) | this crate; its dependencies have their own | the compiler, Miri |
//! | 3 | [Work is linear in the bytes received](#3-linear-work) | nothing is scanned twice | `attacks` |
//! | 4 | [Memory stays under caps](#4-memory) | [`Limits`](crate::Limits) | `attacks`, simulation, a counting allocator |
//! | 5 | [Every connection ends](#5-an-end) | each state has a deadline | simulation, `attacks` |
//! | 6 | [One peer does not hold up the others](#6-others) | its share of a turn | `attacks` |
//! | 7 | [Running out of descriptors stops nothing for good](#7-descriptors) | 100 ms, then 503 | `attacks`, simulation |
//! | 8 | [Each MUST of RFC 6455 and RFC 7692 is implemented and tested](#8-the-standards) | but for those listed with a reason | `tidy` |
//! | 9 | [The same inputs give the same outputs](#9-the-same-again) | but for keys and nonces of the real world | simulation |
//! | 10 | [What was accepted is delivered in order, or its loss is reported](#10-nothing-lost) | until the connection ends | simulation, a soak |
//!
//! # 1 No panic
//!
//! Whatever a peer sends, in whatever pieces, in either role, ends in events, in an error, or in a close frame.
//! `unwrap`, `expect`, `panic!`, indexing and unreachable code are denied by clippy in the whole crate; an exception
//! is local and says why it cannot be reached.
//!
//! The fuzz targets of `fuzz/` give bytes to each layer, whole, byte by byte and cut anywhere, and assert that it makes
//! no difference; one of them compares each verdict with tungstenite's. `cargo test` replays their seeds:
//! `fuzz_seeds::every_seed_of_every_fuzz_target_holds`, `fuzz_seeds::all_short_inputs_hold`. Short scopes are gone
//! through in full, such as all headers of two bytes and all UTF-8 of three.
//!
//! # 2 No unsafe
//!
//! `forbid(unsafe_code)` holds for the whole crate, so that the compiler is the test. What fearless_simd, httparse,
//! simdutf8 and zlib-rs do with our inputs is watched by Miri (`tests/miri/run`), and by the address sanitizer while
//! fuzzing. One thing was found: on processors with AVX2, simdutf8 0.1.5 computes an address behind its input for the
//! processor to fetch early. Nothing is read there; Rust's rules forbid the computation all the same, so Miri runs the
//! code for SSE4.2.
//!
//! # 3 Linear work
//!
//! Work grows in proportion to the bytes that come, however they are cut: a head is scanned on from where the last scan
//! ended, a message is validated as it comes, an outbox has a cursor. Tests send an amount and four times as much, and
//! fail where the server takes more than eight times the CPU: `attacks::heads::a_head_in_small_packets`,
//! `attacks::frames::a_million_fragments_of_one_byte`,
//! `attacks::frames::a_mebibyte_of_text_in_fragments_of_64_bytes`,
//! `attacks::readers::sixty_four_mebibytes_to_a_socket_that_takes_4_kib_a_time`.
//!
//! # 4 Memory
//!
//! A connection at rest holds no buffer. What it may hold otherwise is bounded before it is allocated: a head by
//! [`head_bytes_max`](crate::Limits::head_bytes_max), a request's body by
//! [`request_body_bytes_max`](crate::Limits::request_body_bytes_max), a message by
//! [`message_bytes_max`](crate::Limits::message_bytes_max) before and after inflating, its fragments by
//! [`fragments_max`](crate::Limits::fragments_max), output by
//! [`outbox_bytes_max`](crate::Limits::outbox_bytes_max), pongs by one. All connections of a loop together hold
//! [`held_bytes_max`](crate::Limits::held_bytes_max) at most, and what is in the making: what one connection is read in
//! its turn, 20 MiB at most, and what handlers send in that turn to other connections one by one. The loop's own buffers
//! are bounded: 256 KiB to receive, 1 MiB to send, 1 MiB of what was published and as much of each form in which it is
//! compressed, 4.2 MiB to gather messages in, and with compression 36 codecs of at most 0.4 MiB that wait to be used
//! again.
//!
//! `attacks::admission::half_messages_of_many_peers_that_hold_too_much_together`,
//! `attacks::frames::a_message_that_never_ends`,
//! `reactor::admission::where_all_hold_too_much_those_that_hold_the_most_are_told_to_come_back`,
//! `reactor::admission::where_all_hold_too_much_peers_that_do_not_read_are_cut`,
//! `reactor::admission::half_a_head_counts_and_gives_way`,
//! `reactor::bodies::a_body_over_the_limit_is_refused_at_its_head_and_one_at_the_limit_is_not`,
//! `reactor::bodies::bodies_that_hold_too_much_together_give_way`; and no message costs an allocation:
//! `reactor::allocations::a_message_that_lies_whole_in_a_read_is_echoed_without_an_allocation`.
//!
//! # 5 An end
//!
//! The opening handshake has [`handshake_within`](crate::Limits::handshake_within), which no byte extends; a silent
//! peer is asked after [`ping_after`](crate::Limits::ping_after) and cut after
//! [`pong_within`](crate::Limits::pong_within); a close frame that is not answered ends after
//! [`close_within`](crate::Limits::close_within), and so does a stream that the peer does not end, or a peer that takes
//! nothing of an answer that is whole. A plain request that is answered by a
//! [stream](crate::reactor::Answer::Stream) has no end of its own: it ends with the client, with the application, or
//! where the client takes nothing of what waits for [`pong_within`](crate::Limits::pong_within), which in a shutdown is
//! its time for all of it. While a handler has
//! [paused](crate::reactor::Context::pause_reading) a connection, its peer's silence does not count, unless it takes
//! nothing of what waits for it. Whether it takes something is tried before it is cut for that, as a socket tells of a
//! little room late. Deadlines are never early, and at most one tick of 8 ms and one turn late.
//!
//! `attacks::connections::a_head_of_one_byte_at_a_time_that_never_ends`,
//! `attacks::connections::peers_that_are_silent_or_half_open_or_never_answer_a_close`,
//! `reactor::pausing::the_silence_of_a_paused_peer_does_not_count_and_does_again_when_it_is_resumed`,
//! `reactor::pausing::two_that_hold_each_other_back_and_take_nothing_are_cut_in_time`,
//! `reactor::bodies::a_body_that_does_not_come_in_time_is_408_and_holds_nothing_any_more`,
//! `reactor::streams::a_client_that_is_gone_is_told_once`,
//! `reactor::bodies::an_answer_is_written_for_as_long_as_it_is_read`,
//! `reactor::streams::a_peer_that_reads_a_little_is_not_cut_although_its_socket_does_not_say_so`,
//! `reactor::streams::a_shutdown_has_an_end_although_a_client_reads_a_little_all_the_time`,
//! `reactor::streams::a_peer_that_never_reads_is_cut_by_the_limit_or_in_time`.
//!
//! # 6 Others
//!
//! A socket is read 16 times in a row at most, a listener accepted from 256 times, TLS handshakes take
//! [`tls_handshakes_per_turn_max`](crate::Limits::tls_handshakes_per_turn_max) steps in a turn; then the others have
//! theirs. A handler that always has more to send is asked for it twice in a turn at most. A peer that does not read is not answered without end; one that sends too fast is read at
//! [`messages_per_second_max`](crate::Limits::messages_per_second_max) and
//! [`bytes_per_second_max`](crate::Limits::bytes_per_second_max); one address has
//! [`connections_per_address_max`](crate::Limits::connections_per_address_max). What is refused is counted by reason:
//! [`Counters`](crate::reactor::Counters).
//!
//! In each of the `attacks` an honest client gets its echo in the meantime. Of this promise in particular:
//! `attacks::readers::a_subscriber_that_never_reads_under_broadcast`,
//! `attacks::admission::floods_of_open_connections_from_one_address`,
//! `attacks::admission::floods_of_messages_are_read_at_their_rate`,
//! `attacks::admission::floods_of_bytes_are_read_at_their_rate`,
//! `reactor::pressure::who_always_has_more_to_send_leaves_the_others_their_turn`,
//! `reactor::admission::what_is_refused_is_counted_by_reason`.
//!
//! # 7 Descriptors
//!
//! When descriptors or kernel memory run out, accepting is tried again as soon as a connection ends, and every 100 ms;
//! whoever waits in vain that long is taken with a spare descriptor, told 503 and closed, over TLS without a word. The
//! loop does not spin meanwhile.
//!
//! `attacks::connections::more_connections_than_descriptors_while_more_wait_in_the_backlog`,
//! `reactor::admission::who_is_turned_away_for_want_of_descriptors_is_counted`,
//! `reactor::tls::who_is_turned_away_for_want_of_descriptors_is_told_nothing_that_is_no_tls`.
//!
//! # 8 The standards
//!
//! Every sentence of RFC 6455 and RFC 7692 with MUST, REQUIRED or SHALL is cited next to the code that implements it
//! and next to a test of it, or listed with a reason. `cargo test --test tidy each_must -- --nocapture` prints the
//! report:
//! `tidy::requirements::each_must_of_the_standards_is_implemented_and_tested_or_listed_with_a_reason`.
//!
//! # 9 The same again
//!
//! The core asks no clock and draws no random number: bytes and a time go in, events and bytes come out. The loop asks
//! its [`Net`](crate::reactor::Net) for all of these, so that a simulated world is replayed from its seed: the same
//! calls, the same events, the same sizes at the same times. `cargo run --release -p simulator -- --seed 42` replays
//! one and prints it: `simulator::tests::seeds::a_seed_has_one_trace_and_another_seed_another`.
//!
//! # 10 Nothing lost
//!
//! What [`send`](crate::reactor::Context::send) said is [`Sent`](crate::reactor::SendStatus::Sent) or
//! [`Queued`](crate::reactor::SendStatus::Queued) reaches the peer in order, or the connection's end is reported:
//! [`on_close`](crate::reactor::Handler::on_close) is called once for each connection that was open or was to be made,
//! and nothing after it. So it is with the chunks of a [stream](crate::reactor::Answer::Stream):
//! `reactor::streams::all_holds_for_streams_under_the_faults_of_three_hundred_seeds`.
//!
//! The simulator has loops that listen and loops that connect, plain, compressed and over TLS, peers that misbehave,
//! and clients that send requests with bodies and read the answers, whole ones and streams, or leave at any byte, in
//! one world with one clock: sockets with small buffers, partial reads and writes, interruptions, resets,
//! descriptors that run out, events that are spurious, late, stale or in another order, and a clock that jumps. It
//! checks what arrives against what was accepted, bodies and chunks too, and deadlines, calls, descriptors and what
//! waits, after every turn:
//! `simulator::tests::seeds::all_promises_hold_for_two_hundred_seeds`,
//! `simulator::tests::seeds::all_promises_hold_for_the_seeds_that_once_failed`. That the checks notice something is
//! checked too: `simulator::tests::seeds::every_kind_of_broken_world_is_noticed`. A real server under real load for
//! half an hour is `cargo bench --bench soak`.
//!
//! # What was measured
//!
//! On two shared cores, with other work beside it.
//!
//! | | |
//! | --- | --- |
//! | load held: 5,000 connections at a time for 30 minutes, a tenth of which stall, a tenth on TLS | 160,646 connections came and went, 1,293,216 messages were said and all acknowledged, 23,446,058 heard, none out of order; 11 MB resident after ten minutes and at the end; 11 descriptors before and after |
//! | faults survived: simulated worlds | 20,000 seeds, all promises held in each |
//! | bad inputs tried: fuzzing with the address sanitizer, one hour over all targets | nothing open; what was found is in the seeds |
//! | attacks on a real server | 59, in each of which it stayed within its cap and served others |
//! | a bomb of 64 MiB, three ways | grown by 1.6 MB, 4 ms of CPU |
//! | a million fragments of one byte | grown by 0.4 MB, 37 ms of CPU |
//! | 40 peers with half a message each, 20 MB, where 4 MB may be held | grown by 5.5 MB, 19 ms of CPU |
//! | lines of the core that tests reach, Autobahn and simulation among them | 97.3 % |
