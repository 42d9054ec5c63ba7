/* A WASI command: standard input in capitals to standard output, a line to standard error.
 * Input that begins with `!` ends it with exit code 3. */
#include <stdio.h>

int main(void) {
    int c, is_first = 1, is_bad = 0;
    while ((c = getchar()) != EOF) {
        if (is_first && c == '!') is_bad = 1;
        is_first = 0;
        putchar(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    fprintf(stderr, "%s\n", is_bad ? "bad input" : "done");
    return is_bad ? 3 : 0;
}
