#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "instance.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/** Equal to ADDON_ABI in addon.ts. */
#define ADDON_ABI 1

instance *arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  void *self;
  napi_get_cb_info(env, info, &count, values, NULL, &self);
  return self;
}

napi_value number(napi_env env, double value) {
  napi_value result;
  napi_create_double(env, value, &result);
  return result;
}

uint32_t to_u32(napi_env env, napi_value value) {
  uint32_t result = 0;
  napi_get_value_uint32(env, value, &result);
  return result;
}

double to_double(napi_env env, napi_value value) {
  double result = 0;
  napi_get_value_double(env, value, &result);
  return result;
}

bool to_string(napi_env env, napi_value value, char *buffer, size_t size) {
  size_t length;
  if (napi_get_value_string_utf8(env, value, buffer, size, &length) == napi_ok && length < size - 1) return true;
  napi_throw_range_error(env, NULL, "not a string, or too long");
  return false;
}

void set(napi_env env, napi_value object, const char *name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

void set_function(instance *self, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(self->env, name, NAPI_AUTO_LENGTH, callback, self, &function);
  set(self->env, exports, name, function);
}

int own(instance *self, int fd) {
  if (fd < 0) return -errno;
  size_t word = (size_t)fd / 64;
  if (word >= self->owned_words) {
    size_t words = word + 16;
    uint64_t *grown = realloc(self->owned, words * sizeof *grown);
    if (grown == NULL) {
      close(fd);
      return -ENOMEM;
    }
    for (size_t i = self->owned_words; i < words; i++) grown[i] = 0;
    self->owned = grown;
    self->owned_words = words;
  }
  self->owned[word] |= (uint64_t)1 << (fd % 64);
  return fd;
}

void disown(instance *self, int fd) {
  size_t word = (size_t)fd / 64;
  if (fd >= 0 && word < self->owned_words) self->owned[word] &= ~((uint64_t)1 << (fd % 64));
}

void instance_free(instance *self) {
  for (size_t word = 0; word < self->owned_words; word++) {
    for (int bit = 0; bit < 64; bit++) {
      if (self->owned[word] >> bit & 1) close((int)word * 64 + bit);
    }
  }
  free(self->owned);
  if (!self->abandoned) memory_free(self);
  napi_remove_async_cleanup_hook(self->hook);
  free(self);
}

/** The thread ends: at its end, by terminate(), or because the process exits. JavaScript does not run any more. */
static void on_leave(napi_async_cleanup_hook_handle hook, void *data) {
  instance *self = data;
  self->hook = hook;
  self->leaving = true;
  if (self->rings == NULL) instance_free(self);
  else rings_leave(self);
}

NAPI_MODULE_INIT() {
  instance *self = calloc(1, sizeof *self);
  if (self == NULL) {
    napi_throw_error(env, "ENOMEM", "out of memory");
    return NULL;
  }
  self->env = env;
  napi_add_async_cleanup_hook(env, on_leave, self, &self->hook);
  set(env, exports, "abi", number(env, ADDON_ABI));
  ring_exports(self, exports);
  memory_exports(self, exports);
  socket_exports(self, exports);
  file_exports(self, exports);
  checksum_exports(self, exports);
  return exports;
}
