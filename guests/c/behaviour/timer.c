/* Asked `{"delay": MICROS}`, it informs the asker when that time is over, over a restart too.
 * `{"cancel": ID}` cancels; the id was informed at once as `{"timer": ID}`. */
#include "caxton.h"

static int64_t number(cx_text digits) {
    int64_t value = 0;
    for (uint32_t i = 0; i < digits.length; i++) value = value * 10 + (digits.at[i] - '0');
    return value;
}

/* The state's key for a timer: its id in digits. */
static const char *key(int32_t id) {
    static char digits[12];
    uint32_t at = sizeof digits - 1;
    digits[at] = 0;
    do digits[--at] = (char)('0' + id % 10);
    while ((id /= 10));
    return digits + at;
}

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    cx_text cancel = cx_get(message.content, "cancel");
    cx_out out = {0};
    if (cancel.at) {
        cx_put_int(&out, cx_cancel_timer((int32_t)number(cancel)));
        return cx_inform(&message, cx_done(&out)) < 0;
    }
    int32_t id = cx_set_timer(number(cx_get(message.content, "delay")));
    if (id < 0) return cx_failure(&message, "no timer to be had") < 0;
    if (cx_store(key(id), message.json) < 0) return 1;
    cx_puts(&out, "{\"timer\":");
    cx_put_int(&out, id);
    cx_puts(&out, "}");
    return cx_reply(&message, "agree", cx_done(&out)) < 0;
}

CX_EXPORT("handle_timer") int32_t handle_timer(int32_t id) {
    cx_turn();
    cx_message asked;
    cx_text stored = cx_load(key(id));
    if (!stored.at || !cx_read(stored.at, stored.length, &asked)) return 1;
    cx_delete(key(id));
    return cx_inform(&asked, cx_str("\"time is over\"")) < 0;
}
