/* The least that any AuthorizedKeysCommand costs: prints its arguments as one line. */
#include <stdio.h>

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        printf("%s%c", argv[i], i + 1 < argc ? ' ' : '\n');
    return fflush(stdout) != 0;
}
