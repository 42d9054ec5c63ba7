/* A WASI command: its arguments, a line each, to standard output; exit code 4 without any. */
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) puts(argv[i]);
    return argc > 1 ? 0 : 4;
}
