/* The hello processor: a text in, the text and "-wasm" out; C strings, with libc's malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("process") char *process(const char *input) {
    if (!input) return NULL;
    size_t input_len = strlen(input);
    size_t output_len = input_len + 6; /* "-wasm" and the end */
    char *output = malloc(output_len);
    if (!output) return NULL;
    snprintf(output, output_len, "%s-wasm", input);
    return output;
}

EXPORT("allocate") void *allocate(size_t size) { return malloc(size); }

EXPORT("deallocate") void deallocate(void *ptr, size_t size) {
    (void)size;
    free(ptr);
}

EXPORT("get_module_info") const char *get_module_info(void) {
    return "{\"name\":\"hello\",\"version\":\"1.0.0\",\"output_freed_by\":\"host\",\"dependencies\":[]}";
}
