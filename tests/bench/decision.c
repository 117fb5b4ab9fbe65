/* What a stack costs in account management, in one process, as in sshd's for one login.
 *
 *   decision CONFDIR SERVICE USER CALLS
 *
 * Prints START_NS FIRST_NS MEDIAN_NS CODE: pam_start with the loading of modules, the first call, the
 * median of the calls after it. The user was looked up before, as sshd, sudo, su and login do: what the name
 * services load and read for the first time is theirs. libpam is declared here, so that its headers need not be
 * installed. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct pam_handle;
struct pam_conv {
    int (*conv)(int, const void **, void **, void *);
    void *appdata;
};
int pam_start_confdir(const char *, const char *, const struct pam_conv *, const char *, struct pam_handle **);
int pam_acct_mgmt(struct pam_handle *, int);
int pam_end(struct pam_handle *, int);

static int say_nothing(int count, const void **messages, void **answers, void *data)
{
    return 19; /* PAM_CONV_ERR */
}

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

int main(int argc, char **argv)
{
    struct pam_conv conversation = {say_nothing, NULL};
    struct pam_handle *handle;

    if (argc != 5)
        return 64;
    int calls = atoi(argv[4]);
    long long *took = calloc(calls, sizeof *took);
    getpwnam(argv[3]);
    long long begin = nanoseconds();
    if (!took || calls < 1 || pam_start_confdir(argv[2], argv[3], &conversation, argv[1], &handle) != 0)
        return 2;
    long long started = nanoseconds();
    int code = pam_acct_mgmt(handle, 0);
    long long first = nanoseconds();
    for (int i = 0; i < calls; i++) {
        long long before = nanoseconds();
        pam_acct_mgmt(handle, 0);
        took[i] = nanoseconds() - before;
    }
    qsort(took, calls, sizeof *took, ascending);
    printf("%lld %lld %lld %d\n", started - begin, first - started, took[calls / 2], code);
    pam_end(handle, code);
    return 0;
}
