/* Answers, then returns 1: the answer must go out, and the turn is counted as an error. */
#include "caxton.h"

CX_EXPORT("handle_message") int32_t handle_message(const char *at, uint32_t length) {
    cx_message message;
    if (cx_read(at, length, &message)) cx_not_understood(&message);
    return 1;
}
