/* Counts requests in state and informs the count: what was counted is seen again after a crash. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (!cx_read(at, length, &message)) return 1;
    if (!cx_equal(message.performative, "request")) return 0;
    cx_text digits = cx_load("count");
    int64_t count = 0;
    for (uint32_t i = 0; i < digits.length; i++) count = count * 10 + (digits.at[i] - '0');
    cx_out out = {0};
    cx_put_int(&out, count + 1);
    if (cx_store("count", cx_done(&out)) < 0) return 1;
    return cx_inform(&message, cx_done(&out)) < 0;
}
