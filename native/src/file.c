// What files need outside of the ring: opening, locking, and the thread's CPUs.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "instance.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/** openFile(path, flags, mode): fd or -errno */
static napi_value open_file(napi_env env, napi_callback_info info) {
  napi_value args[3];
  instance *self = arguments(env, info, 3, args);
  char path[PATH_MAX + 1];
  if (!to_string(env, args[0], path, sizeof path)) return NULL;
  int fd = open(path, (int)to_u32(env, args[1]) | O_CLOEXEC, (mode_t)to_u32(env, args[2]));
  return number(env, own(self, fd));
}

/** close(fd): 0 or -errno */
static napi_value close_fd(napi_env env, napi_callback_info info) {
  napi_value args[1];
  instance *self = arguments(env, info, 1, args);
  int fd = (int)to_u32(env, args[0]);
  disown(self, fd);
  return number(env, close(fd) == 0 ? 0 : -errno);
}

/** lockFile(path, contents): fd or -errno; the contents are for people */
static napi_value lock_file(napi_env env, napi_callback_info info) {
  napi_value args[2];
  instance *self = arguments(env, info, 2, args);
  char path[PATH_MAX + 1], contents[256];
  if (!to_string(env, args[0], path, sizeof path)) return NULL;
  if (!to_string(env, args[1], contents, sizeof contents)) return NULL;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return number(env, -errno);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  if (ftruncate(fd, 0) != 0 || write(fd, contents, strlen(contents)) < 0) {
    int error = errno;
    close(fd);
    return number(env, -error);
  }
  return number(env, own(self, fd));
}

/** setAffinity(cpus): 0 or -errno, for the calling thread */
static napi_value set_affinity(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  uint32_t count = 0;
  if (napi_get_array_length(env, args[0], &count) != napi_ok) return number(env, -EINVAL);
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (uint32_t i = 0; i < count; i++) {
    napi_value value;
    napi_get_element(env, args[0], i, &value);
    uint32_t cpu = to_u32(env, value);
    if (cpu >= CPU_SETSIZE) return number(env, -EINVAL);
    CPU_SET(cpu, &cpus);
  }
  return number(env, sched_setaffinity(0, sizeof cpus, &cpus) == 0 ? 0 : -errno);
}

void file_exports(instance *self, napi_value exports) {
  set_function(self, exports, "openFile", open_file);
  set_function(self, exports, "close", close_fd);
  set_function(self, exports, "lockFile", lock_file);
  set_function(self, exports, "setAffinity", set_affinity);
}
