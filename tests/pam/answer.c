/* A PAM module that answers what its line says: a number, libpam's code. In pam_oncall.so's place, where thousands of
 * stacks are to be asked what becomes of its answers. */
#include <stdlib.h>

#define ANSWERS(name)                                                                                                  \
    int name(void *handle, int flags, int count, const char **words)                                                   \
    {                                                                                                                  \
        return count == 1 ? atoi(words[0]) : 4;                                                                        \
    }
ANSWERS(pam_sm_acct_mgmt)
ANSWERS(pam_sm_open_session)
ANSWERS(pam_sm_close_session)
