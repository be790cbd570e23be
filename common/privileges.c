/* privileges.c: setgroups, setgid, setuid in this order, and the proof that they cannot be taken back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool privileges_held(void)
{
    return geteuid() == 0;
}

/* Leaving uid 0 empties the permitted and the effective set, unless a securebit says otherwise: look. */
static bool capabilities_are_gone(struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, sets) != 0) return error_set_errno(error, errno, "read the capabilities");
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
        if (sets[i].permitted != 0 || sets[i].effective != 0)
            return error_set(error, ERROR_INTERNAL, "capabilities are left after leaving root");
    return true;
}

static bool verify(const struct passwd *account, struct error *error)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) != 0 || getresgid(&real_group, &effective_group, &saved_group) != 0)
        return error_set_errno(error, errno, "read the user");
    if (real != account->pw_uid || effective != real || saved != real)
        return error_set(error, ERROR_INTERNAL, "this is not the user '%s' alone", account->pw_name);
    if (real_group != account->pw_gid || effective_group != real_group || saved_group != real_group)
        return error_set(error, ERROR_INTERNAL, "this is not the group of '%s' alone", account->pw_name);
    if (setuid(0) == 0 || setgid(0) == 0)
        return error_set(error, ERROR_INTERNAL, "root can be taken back after leaving it");
    return true;
}

static bool become(const struct passwd *account, struct error *error)
{
    if (initgroups(account->pw_name, account->pw_gid) != 0) return error_set_errno(error, errno, "set the groups");
    if (setresgid(account->pw_gid, account->pw_gid, account->pw_gid) != 0)
        return error_set_errno(error, errno, "set the group");
    if (setresuid(account->pw_uid, account->pw_uid, account->pw_uid) != 0)
        return error_set_errno(error, errno, "set the user");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return error_set_errno(error, errno, "forbid new privileges");
    /* A change of the user sets it to what fs.suid_dumpable says; secrets are in memory. */
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return error_set_errno(error, errno, "switch dumps off");
    return capabilities_are_gone(error);
}

static bool drop(const char *user, struct error *error)
{
    errno = 0;
    const struct passwd *account = getpwnam(user); /* at start, before any thread */
    if (!account) return error_set(error, ERROR_NOT_FOUND, "there is no such user");
    if (account->pw_uid == 0) return error_set(error, ERROR_INVALID, "that is root; name an ordinary user");
    if (geteuid() == 0) return become(account, error) && verify(account, error);
    if (geteuid() == account->pw_uid && getuid() == account->pw_uid) return true;
    return error_set(error, ERROR_DENIED, "only root can become another user, and this is uid %u", (unsigned)geteuid());
}

bool privileges_drop(const char *user, struct error *error)
{
    return drop(user, error) ? true : error_context(error, "user '%s'", user);
}
