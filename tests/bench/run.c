/* Runs commands in rounds, in shuffled order, and says what each run cost.
 *
 *   run ROUNDS SEED <PLAN        PLAN: a command a line, its words divided by tabs
 *
 * Prints NUMBER WALL_NS CPU_US RSS_KIB STATUS for each run; WALL is from spawn to exit. It is C, static and
 * small because a child's peak memory, as the kernel counts it, begins with that of the process it was
 * spawned from; posix_spawn(3) shares memory, so the parent's page tables are not copied either. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { MOST_COMMANDS = 64, MOST_WORDS = 32 };

static char *commands[MOST_COMMANDS][MOST_WORDS + 1];
static uint64_t state;

static uint64_t random_number(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int read_plan(void)
{
    static char text[65536];
    int count = 0;
    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    for (char *line = strtok(text, "\n"); line && count < MOST_COMMANDS; line = strtok(NULL, "\n"), count++) {
        for (int word = 0; line && word < MOST_WORDS; word++)
            commands[count][word] = strsep(&line, "\t");
    }
    return count;
}

int main(int argc, char **argv)
{
    /* What sshd gives its command, nearly. */
    char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C", NULL};
    int order[MOST_COMMANDS];
    posix_spawn_file_actions_t silence;

    if (argc != 3)
        return 64;
    state = strtoull(argv[2], NULL, 10) | 1;
    int count = read_plan();
    posix_spawn_file_actions_init(&silence);
    posix_spawn_file_actions_addopen(&silence, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&silence, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&silence, 2, "/dev/null", O_WRONLY, 0);
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int round = 0; round < atoi(argv[1]); round++) {
        for (int i = count - 1; i > 0; i--) {
            int j = random_number() % (i + 1), swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        for (int i = 0; i < count; i++) {
            struct rusage used;
            pid_t child;
            int status;
            uint64_t start = nanoseconds();
            if (posix_spawn(&child, commands[order[i]][0], &silence, NULL, commands[order[i]], environment) != 0 ||
                wait4(child, &status, 0, &used) != child)
                return 2;
            uint64_t wall = nanoseconds() - start;
            long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + used.ru_utime.tv_usec +
                       used.ru_stime.tv_usec;
            printf("%d %llu %ld %ld %d\n", order[i], (unsigned long long)wall, cpu, used.ru_maxrss,
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
    }
    return fflush(stdout) != 0;
}
