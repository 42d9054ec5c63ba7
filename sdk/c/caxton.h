/* caxton.h - write Caxton agents, processors and extensions in C or C++. One header, no libc.
 *
 * An agent exports `handle_message` and answers with `cx_inform`, `cx_failure` and their like:
 *
 *     CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
 *         cx_message message;
 *         if (!cx_read(at, length, &message)) return 1;
 *         return cx_inform(&message, cx_str("\"done\""));
 *     }
 *
 * Memory: `cx_alloc` takes from an arena that is emptied when the host frees the turn's input, so
 * nothing has to be freed and nothing may be kept. Keep what must last in state (`cx_store`) or in
 * static variables.
 *
 * Define CX_NO_ALLOCATOR before including it if the program brings `caxton_alloc` and `caxton_free`
 * (or `malloc`) of its own.
 */
#ifndef CAXTON_H
#define CAXTON_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CX_UNUSED __attribute__((unused))
#ifdef __wasm__
#define CX_EXPORT(name) __attribute__((export_name(name)))
#define CX_IMPORT(name) __attribute__((import_module("caxton"), import_name(name)))
#else /* natively, for tests: the test program defines the imports itself */
#define CX_EXPORT(name)
#define CX_IMPORT(name)
#endif

/* ---- What the host offers. An import that is not called is not in the module. ---- */

/* The codes below 0 that host functions answer. */
enum {
    CX_NOT_FOUND = -1,
    CX_MALFORMED = -2,
    CX_DENIED = -3,
    CX_TOO_LARGE = -4,
    CX_RATE_LIMITED = -5,
    CX_QUEUE_FULL = -6,
    CX_QUOTA = -7,
    CX_UNAVAILABLE = -8
};

CX_IMPORT("send_message") int32_t cx_import_send(const char *at, uint32_t length);
CX_IMPORT("send_local_message")
int32_t cx_import_send_local(const char *id, uint32_t id_length, const char *at, uint32_t length);
CX_IMPORT("broadcast_message")
int32_t cx_import_broadcast(const char *filter, uint32_t filter_length, const char *at, uint32_t length);
CX_IMPORT("event_emit")
int32_t cx_import_emit(const char *topic, uint32_t topic_length, const char *at, uint32_t length);
CX_IMPORT("subscribe_messages") int32_t cx_import_subscribe(const char *filter, uint32_t length);
CX_IMPORT("unsubscribe_messages") int32_t cx_unsubscribe(int32_t id);
CX_IMPORT("store_data")
int32_t cx_import_store(const char *key, uint32_t key_length, const char *at, uint32_t length);
CX_IMPORT("load_data")
int32_t cx_import_load(const char *key, uint32_t key_length, char *into, uint32_t length);
CX_IMPORT("vault_get")
int32_t cx_import_vault_get(const char *name, uint32_t name_length, char *into, uint32_t length);
CX_IMPORT("vault_put")
int32_t cx_import_vault_put(const char *name, uint32_t name_length, const char *at, uint32_t length);
CX_IMPORT("delete_data") int32_t cx_import_delete(const char *key, uint32_t key_length);
/* Shared tables, behind the permissions data:read and data:write. A row is the JSON
 * {"table":"tasks","key":"k1"}, a query {"table":"tasks","prefix":"k","after":"k1","limit":100}. */
CX_IMPORT("data_get")
int32_t cx_data_get(const char *row, uint32_t row_length, char *into, uint32_t length);
CX_IMPORT("data_put")
int32_t cx_data_put(const char *row, uint32_t row_length, const char *at, uint32_t length);
CX_IMPORT("data_delete") int32_t cx_data_delete(const char *row, uint32_t row_length);
CX_IMPORT("data_list")
int32_t cx_data_list(const char *query, uint32_t query_length, char *into, uint32_t length);
/* A timer's id above 0; `handle_timer` must be exported. Unit: microseconds. */
CX_IMPORT("set_timer") int32_t cx_set_timer(int64_t delay_micros);
CX_IMPORT("cancel_timer") int32_t cx_cancel_timer(int32_t id);
/* Unit: microseconds since 1970. */
CX_IMPORT("current_timestamp") int64_t cx_now(void);
CX_IMPORT("random_u32") uint32_t cx_random(void);
CX_IMPORT("sleep_micros") void cx_sleep(int64_t micros);
CX_IMPORT("console_log") void cx_import_log(const char *at, uint32_t length);
CX_IMPORT("console_error") void cx_import_error(const char *at, uint32_t length);
CX_IMPORT("register_capabilities") int32_t cx_import_register(const char *json, uint32_t length);
CX_IMPORT("respond") void cx_import_respond(const char *at, uint32_t length);

/* ---- Text: bytes with a length; not terminated. ---- */

typedef struct {
    const char *at;
    uint32_t length;
} cx_text;

static CX_UNUSED cx_text cx_span(const char *at, uint32_t length) {
    cx_text text;
    text.at = at;
    text.length = length;
    return text;
}

static CX_UNUSED cx_text cx_str(const char *terminated) {
    uint32_t length = 0;
    while (terminated[length]) length++;
    return cx_span(terminated, length);
}

static CX_UNUSED int cx_equal(cx_text a, const char *b) {
    uint32_t i = 0;
    for (; i < a.length; i++)
        if (!b[i] || a.at[i] != b[i]) return 0;
    return b[i] == 0;
}

/* ---- The arena ---- */

#if defined(__wasm__) && !defined(__wasi__)
/* The compiler may turn loops into calls of these; without a libc they must be somewhere. */
__attribute__((weak, no_builtin)) void *memcpy(void *to, const void *from, size_t count) {
    for (size_t i = 0; i < count; i++) ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}
__attribute__((weak, no_builtin)) void *memset(void *to, int value, size_t count) {
    for (size_t i = 0; i < count; i++) ((volatile char *)to)[i] = (char)value;
    return to;
}
#endif

#ifndef CX_NO_ALLOCATOR
#ifdef __wasm__
extern char __heap_base;
#define CX_ARENA_START ((uintptr_t)&__heap_base)
#define CX_ARENA_END ((uintptr_t)__builtin_wasm_memory_size(0) * 65536u)
#define CX_ARENA_GROW(pages) (__builtin_wasm_memory_grow(0, (pages)) != (size_t)-1)
#else
static char cx_native_arena[8 << 20];
#define CX_ARENA_START ((uintptr_t)cx_native_arena)
#define CX_ARENA_END (CX_ARENA_START + sizeof cx_native_arena)
#define CX_ARENA_GROW(pages) ((void)(pages), 0)
#endif

static uintptr_t cx_arena_at;
static uint32_t cx_arena_held; /* regions that the host holds */

/* Memory until the end of the turn; NULL if the host refuses more. */
static CX_UNUSED void *cx_alloc(uint32_t bytes) {
    if (!cx_arena_at) cx_arena_at = (CX_ARENA_START + 15u) & ~(uintptr_t)15;
    uintptr_t end = CX_ARENA_END;
    if (end < cx_arena_at || end - cx_arena_at < bytes) {
        uintptr_t missing = bytes - (end - cx_arena_at);
        if (bytes > 0x7fffffffu || !CX_ARENA_GROW((missing + 65535u) / 65536u)) return NULL;
    }
    void *at = (void *)cx_arena_at;
    cx_arena_at = (cx_arena_at + bytes + 15u) & ~(uintptr_t)15;
    return at;
}

/* Empties the arena. Call it first in `handle_timer`: a timer brings no input to be freed. */
static CX_UNUSED void cx_turn(void) {
    if (!cx_arena_held) cx_arena_at = 0;
}

CX_EXPORT("caxton_alloc") void *caxton_alloc(uint32_t bytes);
void *caxton_alloc(uint32_t bytes) {
    void *at = cx_alloc(bytes);
    if (at) cx_arena_held++;
    return at;
}

CX_EXPORT("caxton_free") void caxton_free(void *at, uint32_t bytes);
void caxton_free(void *at, uint32_t bytes) {
    (void)at;
    (void)bytes;
    if (cx_arena_held && !--cx_arena_held) cx_arena_at = 0;
}
#else
#include <stdlib.h>
static CX_UNUSED void *cx_alloc(uint32_t bytes) { return malloc(bytes); }
#endif

/* ---- Writing ---- */

/* A text that grows. Zero it first: `cx_out out = {0};`. `failed` once memory was refused. */
typedef struct {
    char *at;
    uint32_t length, room;
    int failed;
} cx_out;

static CX_UNUSED void cx_put(cx_out *out, cx_text text) {
    if (out->failed) return;
    if (out->room - out->length < text.length) {
        uint32_t room = (out->length + text.length) * 2 + 64;
        char *at = (char *)cx_alloc(room);
        if (!at) {
            out->failed = 1;
            return;
        }
        for (uint32_t i = 0; i < out->length; i++) at[i] = out->at[i];
        out->at = at;
        out->room = room;
    }
    for (uint32_t i = 0; i < text.length; i++) out->at[out->length + i] = text.at[i];
    out->length += text.length;
}

static CX_UNUSED void cx_puts(cx_out *out, const char *terminated) { cx_put(out, cx_str(terminated)); }

static CX_UNUSED void cx_put_int(cx_out *out, int64_t value) {
    char digits[20];
    uint32_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0) cx_puts(out, "-");
    cx_put(out, cx_span(digits + at, (uint32_t)sizeof digits - at));
}

/* A text as a JSON string, quotes and escapes included. */
static CX_UNUSED void cx_put_string(cx_out *out, cx_text text) {
    static const char hex[] = "0123456789abcdef";
    cx_puts(out, "\"");
    uint32_t from = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        cx_put(out, cx_span(text.at + from, i - from));
        from = i + 1;
        char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        const char *named = c == '"' ? "\\\"" : c == '\\' ? "\\\\" : c == '\n' ? "\\n" : c == '\r' ? "\\r"
                          : c == '\t' ? "\\t" : c == '\b' ? "\\b" : c == '\f' ? "\\f" : NULL;
        if (named) cx_puts(out, named);
        else cx_put(out, cx_span(escape, 6));
    }
    cx_put(out, cx_span(text.at + from, text.length - from));
    cx_puts(out, "\"");
}

static CX_UNUSED cx_text cx_done(const cx_out *out) { return cx_span(out->at, out->length); }

/* ---- Reading JSON, without a tree: values are found in the text. ---- */

/* What content may be, so that no sender can make an agent choke on it. */
enum { CX_DATA_MAX = 1048576, CX_KEYS_MAX = 100, CX_KEY_MAX = 256, CX_ITEMS_MAX = 1000, CX_STRING_MAX = 10000, CX_DEPTH_MAX = 64 };

typedef struct {
    const char *at, *end;
    const char *error; /* the first thing wrong */
    int unlimited;     /* syntax only */
} cx_json;

static CX_UNUSED void cx_json_space(cx_json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) json->at++;
}

static CX_UNUSED int cx_json_take(cx_json *json, char c) {
    cx_json_space(json);
    if (json->at >= json->end || *json->at != c) return 0;
    json->at++;
    return 1;
}

static CX_UNUSED int cx_json_wrong(cx_json *json, const char *error) {
    if (!json->error) json->error = error;
    return 0;
}

static CX_UNUSED int cx_json_string(cx_json *json, uint32_t max, const char *too_long) {
    uint32_t length = 0; /* of the text itself, in UTF-8: what the limits count */
    if (!cx_json_take(json, '"')) return cx_json_wrong(json, "not JSON");
    while (json->at < json->end && *json->at != '"') {
        unsigned char c = (unsigned char)*json->at++;
        if (c < 0x20) return cx_json_wrong(json, "not JSON");
        if (c != '\\') {
            length++;
            continue;
        }
        if (json->at >= json->end) break;
        c = (unsigned char)*json->at++;
        if (c != 'u') {
            length++;
            continue;
        }
        if (json->end - json->at < 4) break;
        char a = json->at[0], b = json->at[1], d = json->at[2];
        json->at += 4;
        length += a == '0' && b == '0' && d < '8' ? 1 : a == '0' && b < '8' ? 2 : (a == 'd' || a == 'D') && b >= '8' ? 2 : 3;
    }
    if (json->at >= json->end) return cx_json_wrong(json, "not JSON");
    json->at++;
    return length <= max || json->unlimited ? 1 : cx_json_wrong(json, too_long);
}

/* Steps over one value. */
static CX_UNUSED int cx_json_value(cx_json *json, int depth) {
    cx_json_space(json);
    if (json->at >= json->end) return cx_json_wrong(json, "not JSON");
    if (depth > CX_DEPTH_MAX) return cx_json_wrong(json, "Nested too deep");
    char c = *json->at;
    if (c == '"') return cx_json_string(json, CX_STRING_MAX, "String too long");
    if (c == '{' || c == '[') {
        char close = c == '{' ? '}' : ']';
        uint32_t count = 0, max = c == '{' ? CX_KEYS_MAX : CX_ITEMS_MAX;
        json->at++;
        if (cx_json_take(json, close)) return 1;
        do {
            if (++count > max && !json->unlimited)
                return cx_json_wrong(json, c == '{' ? "Object has too many keys" : "Array too large");
            cx_json_space(json);
            if (c == '{' && !cx_json_string(json, CX_KEY_MAX, "Key too long")) return 0;
            if (c == '{' && !cx_json_take(json, ':')) return cx_json_wrong(json, "not JSON");
            if (!cx_json_value(json, depth + 1)) return 0;
        } while (cx_json_take(json, ','));
        return cx_json_take(json, close) ? 1 : cx_json_wrong(json, "not JSON");
    }
    const char *from = json->at;
    while (json->at < json->end) {
        c = *json->at;
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == 'E' || c == '-' || c == '+' || c == '.')) break;
        json->at++;
    }
    return json->at > from ? 1 : cx_json_wrong(json, "not JSON");
}

/* NULL if a text is JSON within the limits, else what is wrong. */
static CX_UNUSED const char *cx_check(cx_text text) {
    cx_json json = {text.at, text.at + text.length, NULL, 0};
    if (cx_json_value(&json, 1)) cx_json_space(&json);
    if (!json.error && json.at != json.end) json.error = "not JSON";
    return json.error;
}

/* The value under a key of an object, as JSON; `at` is NULL if there is none. */
static CX_UNUSED cx_text cx_get(cx_text object, const char *key) {
    cx_json json = {object.at, object.at + object.length, NULL, 1};
    cx_text found = {NULL, 0};
    if (!object.at || !cx_json_take(&json, '{')) return found;
    do {
        cx_json_space(&json);
        const char *name = json.at + 1;
        if (!cx_json_string(&json, 0, NULL)) break;
        cx_text this_key = cx_span(name, (uint32_t)(json.at - 1 - name));
        if (!cx_json_take(&json, ':')) break;
        cx_json_space(&json);
        const char *value = json.at;
        if (!cx_json_value(&json, 1)) break;
        if (cx_equal(this_key, key)) found = cx_span(value, (uint32_t)(json.at - value));
    } while (cx_json_take(&json, ','));
    return found;
}

static CX_UNUSED uint32_t cx_hex4(const char *at) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        value = value * 16 + (uint32_t)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

/* A JSON string's text, without quotes and escapes. False if it is no string. */
static CX_UNUSED int cx_string(cx_text json, cx_text *text) {
    if (!json.at || json.length < 2 || json.at[0] != '"') return 0;
    char *out = (char *)cx_alloc(json.length);
    if (!out) return 0;
    uint32_t length = 0;
    for (uint32_t i = 1; i + 1 < json.length; i++) {
        char c = json.at[i];
        if (c != '\\') {
            out[length++] = c;
            continue;
        }
        c = json.at[++i];
        if (c != 'u') {
            out[length++] = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
            continue;
        }
        if (json.length - i < 6) return 0;
        uint32_t code = cx_hex4(json.at + i + 1);
        i += 4;
        if (code >= 0xd800 && code < 0xdc00 && json.length - i > 7 && json.at[i + 1] == '\\' && json.at[i + 2] == 'u') {
            code = 0x10000 + ((code - 0xd800) << 10) + (cx_hex4(json.at + i + 3) - 0xdc00);
            i += 6;
        }
        if (code < 0x80) out[length++] = (char)code;
        else {
            if (code < 0x800) out[length++] = (char)(0xc0 | code >> 6);
            else {
                if (code < 0x10000) out[length++] = (char)(0xe0 | code >> 12);
                else {
                    out[length++] = (char)(0xf0 | code >> 18);
                    out[length++] = (char)(0x80 | (code >> 12 & 63));
                }
                out[length++] = (char)(0x80 | (code >> 6 & 63));
            }
            out[length++] = (char)(0x80 | (code & 63));
        }
    }
    *text = cx_span(out, length);
    return 1;
}

/* ---- Messages ---- */

/* All but `performative` are JSON as it came; `at` is NULL where there is none, or null. */
typedef struct {
    cx_text json;         /* the whole message */
    cx_text performative; /* lower case, with `-`, as the host writes it */
    cx_text content, sender, reply_to, reply_with, conversation_id, protocol;
} cx_message;

/* Where a field of that name is kept; NULL for others. */
static CX_UNUSED cx_text *cx_field(cx_message *message, cx_text name) {
    return cx_equal(name, "performative") ? &message->performative
         : cx_equal(name, "content") ? &message->content
         : cx_equal(name, "sender") ? &message->sender
         : cx_equal(name, "reply_to") ? &message->reply_to
         : cx_equal(name, "reply_with") ? &message->reply_with
         : cx_equal(name, "conversation_id") ? &message->conversation_id
         : cx_equal(name, "protocol") ? &message->protocol
         : NULL;
}

/* Reads a message, in one walk. False if it is none. The content's limits are `cx_check`'s. */
static CX_UNUSED int cx_read(const char *at, uint32_t length, cx_message *message) {
    cx_json json = {at, at + length, NULL, 1};
    cx_text none = {NULL, 0};
    message->json = cx_span(at, length);
    message->performative = message->content = message->sender = message->reply_to = none;
    message->reply_with = message->conversation_id = message->protocol = none;
    if (!cx_json_take(&json, '{')) return 0;
    do {
        cx_json_space(&json);
        const char *name = json.at + 1;
        if (!cx_json_string(&json, 0, NULL)) return 0;
        cx_text *field = cx_field(message, cx_span(name, (uint32_t)(json.at - 1 - name)));
        if (!cx_json_take(&json, ':')) return 0;
        cx_json_space(&json);
        const char *value = json.at;
        if (!cx_json_value(&json, 1)) return 0;
        if (field) *field = cx_span(value, (uint32_t)(json.at - value));
        if (field && field != &message->content && cx_equal(*field, "null")) field->at = NULL;
    } while (cx_json_take(&json, ','));
    if (!cx_json_take(&json, '}')) return 0;
    cx_json_space(&json);
    return json.at == json.end && cx_string(message->performative, &message->performative);
}

/* Whether a message is itself an answer that must not be answered again. */
static CX_UNUSED int cx_is_final(const cx_message *message) {
    return cx_equal(message->performative, "failure") || cx_equal(message->performative, "not-understood");
}

static CX_UNUSED void cx_put_field(cx_out *out, const char *name, cx_text value) {
    if (!value.at) return;
    cx_puts(out, ",\"");
    cx_puts(out, name);
    cx_puts(out, "\":");
    cx_put(out, value);
}

/* Answers a message, with content as JSON: 0, or a code below 0. */
static CX_UNUSED int32_t cx_reply(const cx_message *message, const char *performative, cx_text content) {
    cx_out out = {NULL, 0, 0, 0};
    cx_text to = message->reply_to.at ? message->reply_to : message->sender;
    cx_puts(&out, "{\"performative\":\"");
    cx_puts(&out, performative);
    cx_puts(&out, "\",\"receiver\":");
    cx_put(&out, to.at ? to : cx_str("\"\""));
    cx_puts(&out, ",\"content\":");
    cx_put(&out, content);
    cx_put_field(&out, "conversation_id", message->conversation_id);
    cx_put_field(&out, "in_reply_to", message->reply_with);
    cx_put_field(&out, "protocol", message->protocol);
    cx_puts(&out, "}");
    return out.failed ? CX_TOO_LARGE : cx_import_send(out.at, out.length);
}

/* Answers `inform` with `{"result": …}`. */
static CX_UNUSED int32_t cx_inform(const cx_message *message, cx_text result) {
    cx_out out = {NULL, 0, 0, 0};
    cx_puts(&out, "{\"result\":");
    cx_put(&out, result);
    cx_puts(&out, "}");
    return out.failed ? CX_TOO_LARGE : cx_reply(message, "inform", cx_done(&out));
}

/* Answers `failure` with `{"error": …}`. A failure is not answered. */
static CX_UNUSED int32_t cx_failure(const cx_message *message, const char *error) {
    cx_out out = {NULL, 0, 0, 0};
    if (cx_is_final(message)) return 0;
    cx_puts(&out, "{\"error\":");
    cx_put_string(&out, cx_str(error));
    cx_puts(&out, "}");
    return out.failed ? CX_TOO_LARGE : cx_reply(message, "failure", cx_done(&out));
}

/* Answers `not-understood`. One that is itself such an answer is not answered. */
static CX_UNUSED int32_t cx_not_understood(const cx_message *message) {
    if (cx_is_final(message)) return 0;
    return cx_reply(message, "not-understood", cx_str("{\"error\":\"Message not understood\"}"));
}

/* Emits an event, JSON, to all that subscribed to its topic: how many. Needs `event:emit`. */
static CX_UNUSED int32_t cx_emit(const char *topic, cx_text json) {
    cx_text name = cx_str(topic);
    return cx_import_emit(name.at, name.length, json.at, json.length);
}

/* ---- State and log ---- */

static CX_UNUSED int32_t cx_store(const char *key, cx_text value) {
    cx_text name = cx_str(key);
    return cx_import_store(name.at, name.length, value.at, value.length);
}

/* The stored bytes; `at` is NULL if there are none. */
static CX_UNUSED cx_text cx_load(const char *key) {
    cx_text name = cx_str(key), none = {NULL, 0};
    int32_t length = cx_import_load(name.at, name.length, NULL, 0);
    if (length < 0) return none;
    char *at = (char *)cx_alloc((uint32_t)length + 1);
    if (!at) return none;
    cx_import_load(name.at, name.length, at, (uint32_t)length);
    return cx_span(at, (uint32_t)length);
}

/* The value of a secret of the vault; `at` is NULL if it can't be had. Needs `vault:read`. */
static CX_UNUSED cx_text cx_vault_get(const char *secret) {
    cx_text name = cx_str(secret), none = {NULL, 0};
    int32_t length = cx_import_vault_get(name.at, name.length, NULL, 0);
    if (length < 0) return none;
    char *at = (char *)cx_alloc((uint32_t)length + 1);
    if (!at) return none;
    cx_import_vault_get(name.at, name.length, at, (uint32_t)length);
    return cx_span(at, (uint32_t)length);
}

/* Sets a secret of 8 bytes to 64 KiB; it stays set if the turn faults. Needs `vault:write`. */
static CX_UNUSED int32_t cx_vault_put(const char *secret, cx_text value) {
    cx_text name = cx_str(secret);
    return cx_import_vault_put(name.at, name.length, value.at, value.length);
}

static CX_UNUSED int32_t cx_delete(const char *key) {
    cx_text name = cx_str(key);
    return cx_import_delete(name.at, name.length);
}

static CX_UNUSED void cx_log(const char *line) { cx_import_log(line, cx_str(line).length); }
static CX_UNUSED void cx_error(const char *line) { cx_import_error(line, cx_str(line).length); }

#ifdef __cplusplus
}
#endif
#endif
