/* What libpam makes of stacks: thousands in one process.
 *
 *   stacks DIRECTORY SERVICE account|session USER[,USER...] MODULE...
 *
 * Reads stacks from standard input, each as its length in bytes, a newline and its text, and writes each in turn to
 * SERVICE in DIRECTORY, where the files are that they include. Prints a line for each: libpam's code for every user.
 * The MODULEs are loaded once and stay. libpam is declared here, so that its headers need not be installed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pam_handle;
struct pam_conv {
    int (*conv)(int, const void **, void **, void *);
    void *appdata;
};
int pam_start_confdir(const char *, const char *, const struct pam_conv *, const char *, struct pam_handle **);
int pam_set_item(struct pam_handle *, int, const void *);
int pam_acct_mgmt(struct pam_handle *, int);
int pam_open_session(struct pam_handle *, int);
int pam_end(struct pam_handle *, int);

enum { PAM_USER = 2 };

/* What libpam and its modules would log of each stack. */
void vsyslog(int priority, const char *format, va_list arguments) {}
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments) {}
void syslog(int priority, const char *format, ...) {}
void __syslog_chk(int priority, int flag, const char *format, ...) {}

/* As on a kernel without audit: libpam tells it of each transaction, and waits for an answer. */
int audit_open(void)
{
    errno = EPROTONOSUPPORT;
    return -1;
}

static int nobody_answers(int count, const void **messages, void **answers, void *data)
{
    *answers = NULL;
    return 19;
}

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 64;
    const char *directory = argv[1], *service = argv[2], *kind = argv[3];
    char *users[8], path[256], length[32];
    int count = 0;
    for (char *user = strtok(argv[4], ","); user && count < 8; user = strtok(NULL, ","))
        users[count++] = user;
    for (int i = 5; i < argc; i++)
        if (!dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL)) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
    snprintf(path, sizeof path, "%s/%s", directory, service);
    static const struct pam_conv conversation = {nobody_answers, NULL};
    static char text[65536];
    while (fgets(length, sizeof length, stdin)) {
        size_t size = strtoul(length, NULL, 10);
        if (size > sizeof text || fread(text, 1, size, stdin) != size)
            fail("standard input");
        int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (file < 0 || write(file, text, size) != (ssize_t)size || close(file) != 0)
            fail(path);
        /* The stack is read once, and asked about one user after the other. */
        struct pam_handle *handle = NULL;
        int begun = pam_start_confdir(service, users[0], &conversation, directory, &handle), code = begun;
        for (int i = 0; i < count; i++) {
            if (begun == 0 && (code = pam_set_item(handle, PAM_USER, users[i])) == 0)
                code = *kind == 's' ? pam_open_session(handle, 0) : pam_acct_mgmt(handle, 0);
            printf(i ? " %d" : "%d", code);
        }
        if (begun == 0)
            pam_end(handle, code);
        putchar('\n');
    }
    return 0;
}
