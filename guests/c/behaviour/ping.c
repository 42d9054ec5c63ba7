/* Asked `{"to": NAME, "rounds": N}`, it plays N rounds with `pong` and then informs who asked.
 * The asker's message is kept in state: the rounds go on over a restart. */
#include "caxton.h"

static int64_t number(cx_text digits) {
    int64_t value = 0;
    for (uint32_t i = 0; i < digits.length; i++) value = value * 10 + (digits.at[i] - '0');
    return value;
}

static int32_t serve(cx_text to, int64_t rounds) {
    cx_out out = {0};
    cx_puts(&out, "{\"performative\":\"request\",\"receiver\":");
    cx_put(&out, to);
    cx_puts(&out, ",\"content\":{\"ball\":");
    cx_put_int(&out, rounds);
    cx_puts(&out, "}}");
    return cx_import_send(out.at, out.length) < 0;
}

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message, asked;
    if (!cx_read(at, length, &message)) return 1;
    if (cx_equal(message.performative, "request")) {
        cx_text to = cx_get(message.content, "to");
        if (!to.at || cx_store("asked", message.json) < 0) return 1;
        return serve(to, number(cx_get(message.content, "rounds")));
    }
    cx_text stored = cx_load("asked"), ball = cx_get(message.content, "ball");
    if (!ball.at || !stored.at || !cx_read(stored.at, stored.length, &asked)) return 1;
    int64_t left = number(ball) - 1;
    if (left > 0) return serve(cx_get(asked.content, "to"), left);
    cx_delete("asked");
    return cx_inform(&asked, cx_str("\"done\"")) < 0;
}
