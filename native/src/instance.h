// What the addon holds for one thread (one Node environment), and how it ends: rings first, then descriptors and memory.
#ifndef INSTANCE_H
#define INSTANCE_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ring ring;

typedef struct {
  napi_env env;
  napi_async_cleanup_hook_handle hook;
  ring *rings;
  bool leaving;
  /** A ring's operations did not end in time: the kernel may still write into slabs, so they stay mapped. */
  bool abandoned;
  /** 4 GiB of addresses on a 4 GiB boundary, so that all slabs share the high half; NULL until the first slab. */
  uint8_t *region;
  size_t region_used;
  /** Descriptors to close at the end, as a bitmap. */
  uint64_t *owned;
  size_t owned_words;
  uint8_t *checksum_result;
} instance;

/** The instance of the environment that calls, and its arguments; missing ones are undefined. */
instance *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);

napi_value number(napi_env env, double value);
uint32_t to_u32(napi_env env, napi_value value);
double to_double(napi_env env, napi_value value);
/** False, with an exception pending, when it is no string or too long. */
bool to_string(napi_env env, napi_value value, char *buffer, size_t size);
void set(napi_env env, napi_value object, const char *name, napi_value value);
void set_function(instance *self, napi_value exports, const char *name, napi_callback callback);

/** Remembers a descriptor until `disown`; passes errors (-1) through as -errno. */
int own(instance *self, int fd);
void disown(instance *self, int fd);
void instance_free(instance *self);

void ring_exports(instance *self, napi_value exports);
/** Cancels everything, waits for it, then closes all rings; when the last is closed it calls instance_free. */
void rings_leave(instance *owner);
void memory_exports(instance *self, napi_value exports);
void memory_free(instance *self);
void socket_exports(instance *self, napi_value exports);
void file_exports(instance *self, napi_value exports);
void checksum_exports(instance *self, napi_value exports);

#endif
