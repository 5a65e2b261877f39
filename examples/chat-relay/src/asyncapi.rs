//! `relay.v1` as an AsyncAPI 3 document, made from the types of [`crate::protocol`] and their docs.
//!
//! `docs/asyncapi.json` is what [`document`] says. Where the two differ a test fails, and says how to write the file
//! anew.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, RelayLimits};
use crate::protocol::{
    self, Command, ErrorCode, Event, Fetched, Found, Invitation, Joined, Members, Nothing, People,
    Rooms, SUBPROTOCOL, Sent, Welcome,
};

/// The close codes of the relay's own, each with what it means and what a client does.
pub const CLOSE_CODES: [(u16, &str); 7] = [
    (protocol::HELLO_LATE, "no hello came in time; come back, with jitter"),
    (
        protocol::TOO_SLOW,
        "the client was behind and took nothing for a minute; come back, with jitter",
    ),
    (protocol::STORE_FAILED, "the relay could not read what it has stored; come back, with jitter"),
    (
        protocol::FLOOD,
        "lines went on after many were refused with `rate`; do not come back by yourself",
    ),
    (protocol::REPLACED, "a newer connection has taken its place; do not come back by yourself"),
    (protocol::SIGNED_OUT, "the person was signed out; do not come back by yourself"),
    (protocol::EXPIRED, "the token has expired; come back with a new one"),
];

/// The schemas: of what the relay reads, and of what it writes.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            let mut settings = SchemaSettings::draft07();
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn answer<T: JsonSchema>(&mut self) -> Value {
        self.written.subschema_for::<T>().to_value()
    }

    /// What the command of this name is answered with; `None` for one that is not known here.
    fn answer_to(&mut self, command: &str) -> Option<Value> {
        Some(match command {
            "hello" => self.answer::<Welcome<'_>>(),
            "join" | "direct" => self.answer::<Joined<'_>>(),
            "members" => self.answer::<Members<'_>>(),
            "send" => self.answer::<Sent>(),
            "get" => self.answer::<Fetched<'_>>(),
            "search" => self.answer::<Found<'_>>(),
            "leave" | "grant" | "mark" | "eph" | "logout" | "ping" => self.answer::<Nothing>(),
            "admin" => json!({"anyOf": [
                self.answer::<People<'_>>(),
                self.answer::<Rooms<'_>>(),
                self.answer::<Invitation<'_>>(),
                self.answer::<Nothing>(),
            ]}),
            _ => return None,
        })
    }

    fn all(&mut self) -> Map<String, Value> {
        let mut all = self.written.take_definitions(true);
        all.append(&mut self.read.take_definitions(true));
        all
    }
}

/// A kind of line: its name, what the docs say of it, and the schema of its fields.
struct Kind {
    name: String,
    says: String,
    fields: Value,
}

/// The variants of an enum whose values are objects with one key.
fn kinds(of: &Value) -> Vec<Kind> {
    let variants = of.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let kind = |variant: &Value| {
        let (name, fields) = variant.get("properties")?.as_object()?.iter().next()?;
        let says = variant.get("description").and_then(Value::as_str).unwrap_or_default();
        // The docs name the type of the answer in brackets, which is a message here.
        let says = says.split(" [").next().unwrap_or_default().replace('\n', " ");
        Some(Kind { name: name.clone(), says, fields: fields.clone() })
    };
    variants.filter_map(kind).collect()
}

/// The document.
pub fn document() -> Value {
    let mut schemas = Schemas::new();
    let commands = kinds(schemas.read.root_schema_for::<Command>().as_value());
    let events = kinds(schemas.written.root_schema_for::<Event<'_>>().as_value());
    let (mut messages, mut operations) = (Map::new(), Map::new());
    let refused = json!({"$ref": "#/channels/socket/messages/refused"});
    for Kind { name, says, fields } in commands {
        let (asked, answered) = (name.clone(), format!("{name}_ok"));
        let id = json!({"type": "integer", "minimum": 0, "maximum": protocol::NUMBER_MAX});
        let line = object(&[("id", id.clone(), false), (&name, fields, true)]);
        messages.insert(asked.clone(), message(&asked, &says, line));
        if let Some(ok) = schemas.answer_to(&name) {
            let line = object(&[("id", id, true), ("ok", ok, true)]);
            messages.insert(
                answered.clone(),
                message(&answered, &format!("The answer to {name}."), line),
            );
        }
        let on_socket = |it: &str| json!({"$ref": format!("#/channels/socket/messages/{it}")});
        let operation = json!({
            "action": "receive",
            "channel": {"$ref": "#/channels/socket"},
            "summary": says,
            "messages": [on_socket(&asked)],
            "reply": {
                "channel": {"$ref": "#/channels/socket"},
                "messages": [on_socket(&answered), refused],
            },
        });
        operations.insert(name, operation);
    }
    let mut told = Vec::new();
    for Kind { name, says, fields } in events {
        let key = format!("{name}_event");
        messages.insert(key.clone(), message(&name, &says, object(&[(&name, fields, true)])));
        told.push(json!({"$ref": format!("#/channels/socket/messages/{key}")}));
    }
    messages.insert("refused".into(), refused_message(&mut schemas));
    operations.insert(
        "tell".into(),
        json!({
            "action": "send",
            "channel": {"$ref": "#/channels/socket"},
            "summary": "What the relay says without being asked.",
            "messages": told,
        }),
    );
    whole(messages, operations, schemas.all())
}

/// A line that is refused.
fn refused_message(schemas: &mut Schemas) -> Value {
    let code = schemas.answer::<ErrorCode>();
    let err = object(&[
        ("code", code, true),
        ("text", json!({"type": "string", "description": "What a person reads."}), true),
        (
            "retry_ms",
            json!({
                "type": "integer",
                "minimum": 0,
                "description": "Present where it is temporary: milliseconds after which it is worth another try.",
            }),
            false,
        ),
    ]);
    let line =
        object(&[("id", json!({"type": "integer", "minimum": 0}), false), ("err", err, true)]);
    message("refused", "The line was refused; the connection stays.", line)
}

fn message(name: &str, summary: &str, payload: Value) -> Value {
    json!({
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "payload": payload,
    })
}

/// The schema of an object with some fields, each with whether it is always there.
fn object(fields: &[(&str, Value, bool)]) -> Value {
    let properties: Map<_, _> =
        fields.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<_> =
        fields.iter().filter(|(_, _, always)| *always).map(|(name, _, _)| *name).collect();
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn whole(
    messages: Map<String, Value>,
    operations: Map<String, Value>,
    schemas: Map<String, Value>,
) -> Value {
    let limits = RelayLimits::default();
    let codes: Map<_, _> =
        CLOSE_CODES.iter().map(|(code, says)| (code.to_string(), (*says).into())).collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "chat-relay",
            "version": SUBPROTOCOL,
            "description": "Text frames, one JSON object a line, several lines a frame. A command is an object with one key \
                that names it, and an `id` if an answer is wanted. protocol.md beside this file tells how they go together.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:8080",
                "protocol": "ws",
                "description": format!("The subprotocol is {SUBPROTOCOL}."),
            },
        },
        "channels": {
            "socket": {
                "address": "/ws",
                "title": "The socket",
                "messages": messages,
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "headers": {
                            "type": "object",
                            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "const": SUBPROTOCOL}},
                            "required": ["Sec-WebSocket-Protocol"],
                        },
                        "bindingVersion": "0.1.0",
                    },
                },
                "x-close-codes": codes,
                "x-limits": {
                    "frame_bytes_max": FRAME_BYTES_MAX,
                    "frame_lines_max": limits.frame_lines_max,
                    "hello_bytes_max": HELLO_BYTES_MAX,
                    "line_bytes_max": limits.line_bytes_max,
                    "body_bytes_max": limits.body_bytes_max,
                    "eph_bytes_max": limits.eph_bytes_max,
                },
            },
        },
        "operations": operations,
        "components": {"schemas": schemas},
    })
}

/// Takes the targets out of the links in descriptions: they are paths of Rust.
fn unlink(value: &mut Value) {
    match value {
        Value::String(text) => {
            while let Some((before, rest)) = text.split_once("[`")
                && let Some((name, rest)) = rest.split_once("`](")
                && let Some((_, after)) = rest.split_once(')')
            {
                *text = format!("{before}`{name}`{after}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unlink),
        Value::Object(fields) => fields.values_mut().for_each(unlink),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The document as the file has it.
pub fn text() -> String {
    let mut document = document();
    unlink(&mut document);
    format!("{document:#}\n")
}
