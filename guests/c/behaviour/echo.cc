// The same as echo.c, compiled as C++: the header is both.
#include "echo.c"
