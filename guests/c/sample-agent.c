/* The sample agent: processes texts and counts what it did, in state that outlives it. */
#include "caxton.h"

static const char CAPABILITIES[] =
    "{\"version\":\"1.0.0\",\"performatives\":[],\"protocols\":[\"fipa-request\"],\"ontologies\":[],"
    "\"resource_requirements\":{\"min_memory_mb\":1,\"preferred_memory_mb\":2,\"cpu_intensive\":false,"
    "\"network_access\":false,\"persistence_needed\":true},"
    "\"services\":[{\"name\":\"data_processing\","
    "\"description\":\"Makes a text upper case, lower case or reversed\","
    "\"input_schema\":{\"type\":\"object\",\"required\":[\"action\"]},"
    "\"output_schema\":{\"type\":\"object\",\"required\":[\"result\"]},"
    "\"estimated_latency_ms\":1}]}";

CX_EXPORT("agent_init") int32_t agent_init(void) {
    cx_log("Agent initializing...");
    return 0;
}

CX_EXPORT("agent_shutdown") void agent_shutdown(void) { cx_log("Agent shutting down..."); }

CX_EXPORT("get_capabilities") int32_t get_capabilities(char *into, uint32_t room) {
    uint32_t length = sizeof CAPABILITIES - 1;
    for (uint32_t i = 0; i < length && i < room; i++) into[i] = CAPABILITIES[i];
    return (int32_t)length;
}

static int64_t handled(void) {
    cx_text digits = cx_load("handled");
    int64_t count = 0;
    for (uint32_t i = 0; i < digits.length; i++) count = count * 10 + (digits.at[i] - '0');
    return count;
}

/* The letters A to Z only, so that every language's sample answers the same. */
static void upper(char *at, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (at[i] >= 'a' && at[i] <= 'z') at[i] -= 32;
}

static void lower(char *at, uint32_t length) {
    for (uint32_t i = 0; i < length; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] += 32;
}

/* By characters, not by bytes. */
static void reverse(cx_text text, char *into) {
    uint32_t end = text.length;
    for (uint32_t i = 0; i < text.length;) {
        uint32_t size = 1;
        while (i + size < text.length && (text.at[i + size] & 0xc0) == 0x80) size++;
        end -= size;
        for (uint32_t k = 0; k < size; k++) into[end + k] = text.at[i + k];
        i += size;
    }
}

static cx_text apply(cx_text operation, cx_text text) {
    char *result = cx_alloc(text.length + 1);
    if (!result) __builtin_trap();
    for (uint32_t i = 0; i < text.length; i++) result[i] = text.at[i];
    if (cx_equal(operation, "uppercase")) upper(result, text.length);
    else if (cx_equal(operation, "lowercase")) lower(result, text.length);
    else if (cx_equal(operation, "reverse")) reverse(text, result);
    else {
        cx_out unknown = {0};
        cx_puts(&unknown, "Unknown operation: ");
        cx_put(&unknown, operation);
        return cx_done(&unknown);
    }
    return cx_span(result, text.length);
}

static int32_t process_data(const cx_message *message) {
    cx_text data = cx_get(message->content, "data"), operation, text;
    cx_text inner = cx_get(data, "text");
    int is_object = data.at && *data.at == '{';
    if (!inner.at) inner = cx_get(data, "data");
    if (!cx_string(is_object ? inner : data, &text)
        || !cx_string(cx_get(is_object ? data : message->content, "operation"), &operation)) {
        cx_failure(message, "Invalid request format");
        return 1;
    }
    cx_out count = {0}, result = {0};
    cx_put_int(&count, handled() + 1);
    cx_store("handled", cx_done(&count));
    cx_puts(&result, "{\"result\":");
    cx_put_string(&result, apply(operation, text));
    cx_puts(&result, ",\"timestamp\":");
    cx_put_int(&result, cx_now());
    cx_puts(&result, "}");
    cx_inform(message, cx_done(&result));
    return 0;
}

static int32_t get_status(const cx_message *message) {
    cx_out status = {0};
    cx_puts(&status, "{\"status\":\"ok\",\"handled\":");
    cx_put_int(&status, handled());
    cx_puts(&status, "}");
    cx_inform(message, cx_done(&status));
    return 0;
}

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    cx_text action;
    if (!cx_read(at, length, &message)) {
        cx_error("Failed to parse message");
        return 1;
    }
    const char *wrong = length > CX_DATA_MAX ? "Data too large" : message.content.at ? cx_check(message.content) : NULL;
    if (wrong) {
        cx_failure(&message, wrong);
        return 1;
    }
    if (cx_equal(message.performative, "inform") || cx_is_final(&message)) {
        cx_out line = {0};
        cx_puts(&line, "Received ");
        cx_put(&line, message.performative);
        cx_import_log(line.at, line.length);
        return 0;
    }
    if (cx_equal(message.performative, "request") && cx_string(cx_get(message.content, "action"), &action)) {
        if (cx_equal(action, "process_data")) return process_data(&message);
        if (cx_equal(action, "get_status")) return get_status(&message);
    }
    cx_not_understood(&message);
    return 1;
}
