/* Asks about groups as programs do, and as glibc asks its modules; for tests/nss.rs.
 *
 *   nss ask NAME GID USER       each call of the module itself, with status, errno and what it gave
 *   nss buffers NAME GID MOST   by name, by gid and enumerated, with each size of memory from 1 byte to MOST
 *   nss storm THREADS CALLS     lookups by all threads while the first forks; descriptors and memory, before and after
 *   nss closefrom NAME          lookups by a program that has closed everything and opened its own
 *   nss grow USER               a list of groups that starts with room for one
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNTOUCHED = 77, GUARD = 64, LARGEST = 4096 };

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void show(const char *call, int status, int error, const struct group *group)
{
    printf("%s %d %d", call, status, error == UNTOUCHED ? 0 : error);
    if (status == 1 && group) {
        printf(" %s %u ", group->gr_name, group->gr_gid);
        for (char **member = group->gr_mem; *member; member++)
            printf("%s%s", member == group->gr_mem ? "" : ",", *member);
    }
    printf("\n");
}

static int ask(char *name, gid_t gid, char *user)
{
    void *module = dlopen("libnss_oncall.so.2", RTLD_NOW);
    if (!module)
        die(dlerror());
    int (*by_name)(const char *, struct group *, char *, size_t, int *) = dlsym(module, "_nss_oncall_getgrnam_r");
    int (*by_gid)(gid_t, struct group *, char *, size_t, int *) = dlsym(module, "_nss_oncall_getgrgid_r");
    int (*begin)(int) = dlsym(module, "_nss_oncall_setgrent");
    int (*next)(struct group *, char *, size_t, int *) = dlsym(module, "_nss_oncall_getgrent_r");
    int (*end)(void) = dlsym(module, "_nss_oncall_endgrent");
    int (*of_user)(const char *, gid_t, long *, long *, gid_t **, long, int *) =
        dlsym(module, "_nss_oncall_initgroups_dyn");
    struct group group;
    char memory[LARGEST];
    int error = UNTOUCHED, status = by_name(name, &group, memory, sizeof memory, &error);
    show("name", status, error, &group);
    error = UNTOUCHED;
    status = by_gid(gid, &group, memory, sizeof memory, &error);
    show("gid", status, error, &group);
    begin(0);
    do {
        error = UNTOUCHED;
        status = next(&group, memory, sizeof memory, &error);
        show("next", status, error, &group);
    } while (status == 1);
    end();
    long count = 0, room = 1;
    gid_t *gids = malloc(sizeof *gids);
    error = UNTOUCHED;
    status = of_user(user, 100, &count, &room, &gids, -1, &error);
    printf("user %d %d", status, error == UNTOUCHED ? 0 : error);
    for (long at = 0; at < count; at++)
        printf(" %u", gids[at]);
    printf("\n");
    free(gids);
    return 0;
}

/* One call with `size` bytes at an odd address between guards; does it fit? */
static int fits(int how, const char *name, gid_t gid, size_t size)
{
    static char memory[GUARD + LARGEST + GUARD];
    struct group group, *found = NULL;
    char *start = memory + GUARD - 1;
    memset(memory, 0x5a, sizeof memory);
    errno = UNTOUCHED;
    int code = how == 0   ? getgrnam_r(name, &group, start, size, &found)
               : how == 1 ? getgrgid_r(gid, &group, start, size, &found)
                          : getgrent_r(&group, start, size, &found);
    for (char *at = memory; at < memory + sizeof memory; at++)
        if ((at < start || at >= start + size) && *at != 0x5a)
            die("written outside the memory");
    if (code == ERANGE && !found)
        return 0;
    if (code != 0 || !found || found->gr_gid != gid || strcmp(found->gr_name, name))
        die("neither the group nor ERANGE");
    for (char **member = found->gr_mem; *member; member++)
        if (*member < start || *member + strlen(*member) >= start + size)
            die("a member outside the memory");
    return 1;
}

static int buffers(const char *name, gid_t gid, size_t most)
{
    for (int how = 0; how < 3; how++) {
        size_t first = 0;
        if (how == 2) {
            /* Up to the group that is asked about; then the same one until it fits. */
            struct group *group;
            setgrent();
            long before = 0;
            while ((group = getgrent()) && strcmp(group->gr_name, name))
                before++;
            setgrent();
            while (before--)
                getgrent();
        }
        for (size_t size = 1; size <= most; size++) {
            int does = fits(how, name, gid, size);
            if (does && !first)
                first = size;
            if (!does && first)
                die("more memory fits less");
            if (does && how == 2)
                break;
        }
        printf("%zu\n", first);
    }
    return 0;
}

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        die("/proc/self/statm");
    fclose(file);
    return pages * 4;
}

static int is_member(void)
{
    struct group group, *found;
    char memory[LARGEST];
    gid_t gids[64];
    int count = 64, member = 0;
    if (getgrnam_r("oncall", &group, memory, sizeof memory, &found) || !found || strcmp(*found->gr_mem, "alice"))
        return 0;
    if (getgrgid_r(9100, &group, memory, sizeof memory, &found) || !found || strcmp(found->gr_name, "oncall"))
        return 0;
    if (getgrouplist("alice", 100, gids, &count) < 1)
        return 0;
    while (count)
        member |= gids[--count] == 9100;
    return member;
}

static long calls;

static void *thread(void *nothing)
{
    long right = 0;
    for (long call = 0; call < calls; call++)
        right += is_member();
    return (void *)right;
}

static int storm(int threads)
{
    pthread_t running[64];
    long right = 0, children = 0;
    if (!is_member())
        die("alice is not on call");
    calls /= 10;
    thread(NULL);
    calls *= 10;
    int open_before = descriptors();
    long before = resident();
    for (int at = 0; at < threads; at++)
        if (pthread_create(running + at, NULL, thread, NULL))
            die("pthread_create");
    for (int at = 0; at < 100; at++) {
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(is_member() && is_member() ? 0 : 1);
        if (waitpid(child, &status, 0) == child && status == 0)
            children++;
    }
    for (int at = 0; at < threads; at++) {
        void *result;
        pthread_join(running[at], &result);
        right += (long)result;
    }
    printf("%ld right, %ld children, %d descriptors more, %ld KiB more\n", right, children,
           descriptors() - open_before, resident() - before);
    return 0;
}

/* A daemon's start: whatever a module kept open would now be somebody else's. */
static int close_from(const char *name)
{
    char byte;
    if (!getgrnam(name))
        die(name);
    closefrom(3);
    int own[8];
    for (int at = 0; at < 8; at++)
        own[at] = open("/etc/passwd", O_RDONLY);
    int groups = 0;
    setgrent();
    while (getgrent())
        groups++;
    endgrent();
    int found = getgrnam(name) != NULL;
    for (int at = 0; at < 8; at++)
        if (lseek(own[at], 0, SEEK_CUR) != 0 || read(own[at], &byte, 1) != 1)
            die("somebody used a descriptor of ours");
    printf("%d groups, %d found\n", groups, found);
    return 0;
}

static int grow(const char *user)
{
    gid_t gids[64];
    int count = 1;
    int code = getgrouplist(user, 100, gids, &count);
    printf("%d %d", code, count);
    count = 64;
    getgrouplist(user, 100, gids, &count);
    for (int at = 0; at < count; at++)
        printf(" %u", gids[at]);
    printf("\n");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && !strcmp(argv[1], "ask"))
        return ask(argv[2], atoi(argv[3]), argv[4]);
    if (argc == 5 && !strcmp(argv[1], "buffers") && atoi(argv[4]) <= LARGEST)
        return buffers(argv[2], atoi(argv[3]), atoi(argv[4]));
    if (argc == 4 && !strcmp(argv[1], "storm")) {
        calls = atol(argv[3]);
        return storm(atoi(argv[2]));
    }
    if (argc == 3 && !strcmp(argv[1], "closefrom"))
        return close_from(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "grow"))
        return grow(argv[2]);
    return 64;
}
