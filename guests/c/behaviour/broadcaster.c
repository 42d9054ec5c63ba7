/* Asked `{"filter": {…}, "say": …}`, it broadcasts `inform` and answers how many it reached. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    cx_text filter = cx_get(message.content, "filter"), say = cx_get(message.content, "say");
    cx_out out = {0}, reached = {0};
    if (!filter.at) filter = cx_str("{}");
    cx_puts(&out, "{\"performative\":\"inform\",\"receiver\":\"all\",\"content\":");
    cx_put(&out, say.at ? say : cx_str("null"));
    cx_puts(&out, "}");
    cx_put_int(&reached, cx_import_broadcast(filter.at, filter.length, out.at, out.length));
    return cx_inform(&message, cx_done(&reached)) < 0;
}
