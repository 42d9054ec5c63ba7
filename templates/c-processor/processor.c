/* Counts the words of a text: C strings. */
#include "caxton.h"

CX_EXPORT("allocate") void *allocate(uint32_t size) { return caxton_alloc(size); }
CX_EXPORT("deallocate") void deallocate(void *at, uint32_t size) { caxton_free(at, size); }

CX_EXPORT("process") char *process(const char *input) {
    if (!input) return NULL;
    int64_t words = 0;
    int in_word = 0;
    for (; *input; input++) {
        int is_space = (unsigned char)*input <= 0x20;
        words += !is_space && !in_word;
        in_word = !is_space;
    }
    cx_out out = {0};
    cx_put_int(&out, words);
    cx_put(&out, cx_span("", 1)); /* the NUL that ends it */
    return out.failed ? NULL : out.at;
}

CX_EXPORT("get_module_info") const char *get_module_info(void) {
    return "{\"name\":\"{{name}}\",\"version\":\"0.1.0\",\"output_freed_by\":\"guest\",\"dependencies\":[]}";
}
