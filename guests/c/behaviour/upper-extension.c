/* An extension with one action: `upper` takes {"text": …} and gives {"text": …} in capitals. */
#include "caxton.h"

static const char DESCRIPTION[] =
    "{\"name\":\"upper\",\"version\":\"1.0.0\",\"actions\":[{\"name\":\"upper\","
    "\"description\":\"A text in capitals\","
    "\"input_schema\":{\"type\":\"object\",\"required\":[\"text\"],"
    "\"properties\":{\"text\":{\"type\":\"string\"}}},"
    "\"output_schema\":{\"type\":\"object\",\"required\":[\"text\"],"
    "\"properties\":{\"text\":{\"type\":\"string\"}}}}]}";

CX_EXPORT("extension_describe") int32_t extension_describe(char *into, uint32_t room) {
    uint32_t length = sizeof DESCRIPTION - 1;
    for (uint32_t i = 0; i < length && i < room; i++) into[i] = DESCRIPTION[i];
    return (int32_t)length;
}

static int32_t fail(const char *error) {
    cx_out out = {0};
    cx_puts(&out, "{\"error\":");
    cx_put_string(&out, cx_str(error));
    cx_puts(&out, "}");
    cx_import_respond(out.at, out.length);
    return 1;
}

CX_EXPORT("extension_call") int32_t extension_call(const char *at, uint32_t length) {
    cx_text call = cx_span(at, length), action, text;
    if (cx_check(call) || !cx_string(cx_get(call, "action"), &action)) return fail("not a call");
    if (!cx_equal(action, "upper")) return fail("no such action");
    if (!cx_string(cx_get(cx_get(call, "input"), "text"), &text)) return fail("`text` is missing");
    char *upper = (char *)text.at;
    for (uint32_t i = 0; i < text.length; i++)
        if (upper[i] >= 'a' && upper[i] <= 'z') upper[i] -= 32;
    cx_out out = {0};
    cx_puts(&out, "{\"text\":");
    cx_put_string(&out, text);
    cx_puts(&out, "}");
    cx_import_respond(out.at, out.length);
    return 0;
}
