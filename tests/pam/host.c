/* A process that asks PAM over and over, as a daemon does that lives for months, and looks whether it is still the
 * process that it was.
 *
 *   host TRANSACTIONS SERVICE USER[,USER...] [tty=T] [rhost=H] [ruser=U] [auth=LINE] [module=FILE]
 *
 * Each transaction is whole: pam_start, account management, a session opened and closed, pam_end. `-` is a
 * transaction without a user. The users take turns. Prints for each of them ACCOUNT OPEN CLOSE, libpam's
 * codes of the last transaction, and then the longest account management in microseconds; on standard error, what has
 * changed. Exit status 0, nothing has. libpam is declared here, so that its headers need not be installed. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct pam_handle;
struct pam_conv {
    int (*conv)(int, const void **, void **, void *);
    void *appdata;
};
int pam_start(const char *, const char *, const struct pam_conv *, struct pam_handle **);
int pam_set_item(struct pam_handle *, int, const void *);
int pam_putenv(struct pam_handle *, const char *);
int pam_acct_mgmt(struct pam_handle *, int);
int pam_open_session(struct pam_handle *, int);
int pam_close_session(struct pam_handle *, int);
int pam_end(struct pam_handle *, int);

enum { PAM_TTY = 3, PAM_RHOST = 4, PAM_RUSER = 8, MOST_USERS = 8, WARM_UP = 200, MOST_GROWTH_KIB = 512 };

static const char *tty, *rhost, *ruser, *module, *service;
static char *auth;
extern char **environ;

static int listen_only(int count, const void **messages, void **answers, void *data)
{
    *answers = NULL;
    return 0;
}

static void on_child(int signal) {}

/* Everything about this process that a module could change, a line each. */
static char *picture(void)
{
    char *text = NULL, path[64], target[512];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    mode_t mask = umask(0);
    umask(mask);
    fprintf(out, "umask %o\ncwd %s\nlocale %s\n", mask, getcwd(target, sizeof target), setlocale(LC_ALL, NULL));
    fprintf(out, "environ %p\n", (void *)environ);
    for (char **entry = environ; *entry; entry++)
        fprintf(out, "environment %s\n", *entry);

    DIR *fds = opendir("/proc/self/fd");
    struct dirent *fd;
    while ((fd = readdir(fds))) {
        if (fd->d_name[0] == '.' || atoi(fd->d_name) == dirfd(fds))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%.20s", fd->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        fprintf(out, "fd %s %s\n", fd->d_name, target);
    }
    closedir(fds);

    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0)
            continue;
        fprintf(out, "signal %d %p %x", number, (void *)action.sa_handler, action.sa_flags);
        for (int other = 1; other < NSIG; other++)
            fputc('0' + sigismember(&action.sa_mask, other), out);
        fputc('\n', out);
    }
    sigset_t blocked;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    fputs("blocked ", out);
    for (int other = 1; other < NSIG; other++)
        fputc('0' + sigismember(&blocked, other), out);
    for (int kind = 0; kind < RLIM_NLIMITS; kind++) {
        struct rlimit limit;
        getrlimit(kind, &limit);
        fprintf(out, "\nlimit %d %lu %lu", kind, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    }
    for (int kind = ITIMER_REAL; kind <= ITIMER_PROF; kind++) {
        struct itimerval timer;
        getitimer(kind, &timer);
        fprintf(out, "\ntimer %d %d", kind, timer.it_value.tv_sec || timer.it_value.tv_usec || timer.it_interval.tv_sec);
    }
    uid_t r, e, s;
    getresuid(&r, &e, &s);
    fprintf(out, "\nuid %d %d %d", r, e, s);
    getresgid(&r, &e, &s);
    fprintf(out, "\ngid %d %d %d\ngroups %d\n", r, e, s, getgroups(0, NULL));
    fprintf(out, "priority %d\ndumpable %d\nsession %d\ngroup %d\n", getpriority(PRIO_PROCESS, 0),
            prctl(PR_GET_DUMPABLE), getsid(0), getpgrp());

    char line[512];
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "Threads:", 8) || !strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10) || !strncmp(line, "Cap", 3))
            fputs(line, out);
    fclose(file);
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    file = fopen(path, "r");
    if (file && fgets(line, sizeof line, file))
        fprintf(out, "children %s\n", line);
    if (file)
        fclose(file);
    fclose(out);
    return text;
}

static long resident_kib(void)
{
    char line[512];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file))
        sscanf(line, "VmRSS: %ld", &kib);
    fclose(file);
    return kib;
}

static long long microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void transact(const char *user, int codes[3], long long *longest)
{
    struct pam_conv conversation = {listen_only, NULL};
    struct pam_handle *handle;
    if (pam_start(service, user, &conversation, &handle) != 0)
        exit(2);
    if (tty)
        pam_set_item(handle, PAM_TTY, tty);
    if (rhost)
        pam_set_item(handle, PAM_RHOST, rhost);
    if (ruser)
        pam_set_item(handle, PAM_RUSER, ruser);
    if (auth)
        pam_putenv(handle, "SSH_AUTH_INFO_0=");
    long long before = microseconds();
    codes[0] = pam_acct_mgmt(handle, 0);
    long long took = microseconds() - before;
    *longest = took > *longest ? took : *longest;
    if (auth)
        pam_putenv(handle, auth);
    codes[1] = codes[0] == 0 ? pam_open_session(handle, 0) : -1;
    codes[2] = codes[1] == 0 ? pam_close_session(handle, 0) : -1;
    pam_end(handle, codes[0]);
}

/* All six entry points, for ever. The module stays loaded then; otherwise each transaction loads it anew. */
static int has_all_symbols(void)
{
    static const char *const names[] = {"pam_sm_authenticate", "pam_sm_setcred",       "pam_sm_acct_mgmt",
                                        "pam_sm_open_session", "pam_sm_close_session", "pam_sm_chauthtok"};
    void *library = dlopen(module, RTLD_NOW);
    int all = library != NULL;
    for (size_t i = 0; library && i < sizeof names / sizeof *names; i++)
        if (!dlsym(library, names[i])) {
            fprintf(stderr, "no %s\n", names[i]);
            all = 0;
        }
    return all;
}

static const char *option(const char *argument, const char *name)
{
    size_t length = strlen(name);
    return !strncmp(argument, name, length) ? argument + length : NULL;
}

int main(int argc, char **argv)
{
    char *users[MOST_USERS];
    int count = 0, codes[MOST_USERS][3];
    if (argc < 4)
        return 64;
    int transactions = atoi(argv[1]);
    service = argv[2];
    for (char *user = strtok(argv[3], ","); user && count < MOST_USERS; user = strtok(NULL, ","))
        users[count++] = strcmp(user, "-") ? user : NULL;
    for (int i = 4; i < argc; i++) {
        const char *value;
        if ((value = option(argv[i], "tty=")))
            tty = value;
        else if ((value = option(argv[i], "rhost=")))
            rhost = value;
        else if ((value = option(argv[i], "ruser=")))
            ruser = value;
        else if ((value = option(argv[i], "module=")))
            module = value;
        else if (!(value = option(argv[i], "auth=")) || asprintf(&auth, "SSH_AUTH_INFO_0=%s\n", value) < 0)
            return 64;
    }
    if (module && !has_all_symbols())
        return 1;

    /* Nothing is as it is by default, and one child is to be reaped by nobody else. */
    umask(0137);
    if (chdir("/var") != 0)
        return 2;
    setlocale(LC_ALL, "C.UTF-8");
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigaddset(&action.sa_mask, SIGUSR2);
    sigaction(SIGCHLD, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    struct rlimit limit = {100, 200};
    setrlimit(RLIMIT_NOFILE, &limit);
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(7);
    siginfo_t info;
    waitid(P_PID, zombie, &info, WEXITED | WNOWAIT);
    pid_t living = fork();
    if (living == 0) {
        poll(NULL, 0, -1);
        _exit(0);
    }

    long long longest = 0;
    int warm_up = transactions / 10 < WARM_UP ? transactions / 10 : WARM_UP;
    for (int i = 0; i < warm_up; i++)
        transact(users[i % count], codes[i % count], &longest);
    longest = 0;
    char *before = picture();
    long rss_before = resident_kib();
    for (int i = 0; i < transactions; i++)
        transact(users[i % count], codes[i % count], &longest);
    long grown = resident_kib() - rss_before;
    char *after = picture();

    for (int i = 0; i < count; i++)
        printf("%d %d %d\n", codes[i][0], codes[i][1], codes[i][2]);
    printf("%lld us at most, %ld KiB more\n", longest, grown);
    int changed = strcmp(before, after) != 0;
    if (changed)
        fprintf(stderr, "before\n%s\nafter\n%s\n", before, after);
    int status = 0;
    if (waitpid(zombie, &status, WNOHANG) != zombie || WEXITSTATUS(status) != 7)
        changed = 1, fprintf(stderr, "somebody reaped a child\n");
    if (transactions >= 1000 && grown > MOST_GROWTH_KIB)
        changed = 1, fprintf(stderr, "%ld KiB more than before\n", grown);
    kill(living, SIGKILL);
    waitpid(living, NULL, 0);
    free(before);
    free(after);
    free(auth);
    return changed;
}
