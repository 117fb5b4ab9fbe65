/* What a login's list of groups costs, in one process.
 *
 *   nss SERVICES USER CALLS
 *
 * Prints FIRST_NS MEDIAN_NS COUNT: the first call, which loads the services, the median of the calls after it, and
 * how many groups the user has. */
#include <grp.h>
#include <nss.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int ascending(const void *left, const void *right)
{
    long long a = *(const long long *)left, b = *(const long long *)right;
    return (a > b) - (a < b);
}

static long long ask(const char *user, int *count)
{
    gid_t gids[64];
    *count = 64;
    long long before = nanoseconds();
    getgrouplist(user, 100, gids, count);
    return nanoseconds() - before;
}

int main(int argc, char **argv)
{
    int count;

    if (argc != 4 || __nss_configure_lookup("group", argv[1]) != 0)
        return 64;
    int calls = atoi(argv[3]);
    long long *took = calloc(calls, sizeof *took);
    if (!took || calls < 1)
        return 2;
    long long first = ask(argv[2], &count);
    for (int i = 0; i < calls; i++)
        took[i] = ask(argv[2], &count);
    qsort(took, calls, sizeof *took, ascending);
    printf("%lld %lld %d\n", first, took[calls / 2], count);
    return 0;
}
