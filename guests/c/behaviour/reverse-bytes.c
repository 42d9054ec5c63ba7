/* A length-prefixed processor: the input's bytes in reverse order, NULs and all. */
#include "caxton.h"

CX_EXPORT("allocate") void *allocate(uint32_t size) { return caxton_alloc(size); }
CX_EXPORT("deallocate") void deallocate(void *at, uint32_t size) { caxton_free(at, size); }

CX_EXPORT("process") char *process(const char *in, uint32_t length, uint32_t *out_length) {
    char *out = cx_alloc(length + 1);
    if (!out) return NULL;
    for (uint32_t i = 0; i < length; i++) out[i] = in[length - 1 - i];
    *out_length = length;
    return out;
}
