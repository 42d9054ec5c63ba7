/* Informs what it saw of time and chance: the same turn run again must see the same chance. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    cx_out out = {0};
    cx_puts(&out, "{\"time\":");
    cx_put_int(&out, cx_now());
    cx_puts(&out, ",\"random\":[");
    cx_put_int(&out, cx_random());
    cx_puts(&out, ",");
    cx_put_int(&out, cx_random());
    cx_puts(&out, "]}");
    return cx_inform(&message, cx_done(&out)) < 0;
}
