/* The processor's code, natively. */
#include "caxton_test.h"

#include "processor.c"

int main(void) {
    CXT_CHECK(!strcmp(process("one two  three\n"), "3"));
    CXT_CHECK(!strcmp(process(""), "0"));
    CXT_CHECK(process(NULL) == NULL);
    puts("ok");
    return 0;
}
