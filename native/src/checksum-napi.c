// The checksums as JavaScript calls them: in place, results in one small buffer that both sides hold.
#define NAPI_VERSION 8
#include "checksum.h"
#include "instance.h"
#include <string.h>

#define RESULT_SIZE 16

/** The bytes [from, to) of (bytes, from, to), or NULL with an exception pending. */
static uint8_t *range(napi_env env, napi_callback_info info, instance **self, size_t *length) {
  napi_value args[3];
  *self = arguments(env, info, 3, args);
  napi_typedarray_type type;
  size_t size;
  void *data;
  double from, to;
  if (napi_get_typedarray_info(env, args[0], &type, &size, &data, NULL, NULL) != napi_ok || type != napi_uint8_array ||
      napi_get_value_double(env, args[1], &from) != napi_ok || napi_get_value_double(env, args[2], &to) != napi_ok ||
      !(from >= 0 && from <= to && to <= (double)size)) {
    napi_throw_range_error(env, NULL, "checksum: range outside the buffer");
    return NULL;
  }
  *length = (size_t)to - (size_t)from;
  // An array without bytes may have no address either.
  static uint8_t nothing;
  return data == NULL ? &nothing : (uint8_t *)data + (size_t)from;
}

static napi_value mac(napi_env env, napi_callback_info info) {
  instance *self;
  size_t length;
  uint8_t *data = range(env, info, &self, &length);
  if (data != NULL) checksum_mac(data, length, self->checksum_result);
  return NULL;
}

static napi_value xxh3(napi_env env, napi_callback_info info) {
  instance *self;
  size_t length;
  uint8_t *data = range(env, info, &self, &length);
  if (data == NULL) return NULL;
  uint64_t hash = checksum_xxh3(data, length);
  memcpy(self->checksum_result, &hash, sizeof hash);
  return NULL;
}

static napi_value verify_batch(napi_env env, napi_callback_info info) {
  instance *self;
  size_t length;
  uint8_t *data = range(env, info, &self, &length);
  return data == NULL ? NULL : number(env, checksum_verify_batch(data, length));
}

static napi_value seal_frames(napi_env env, napi_callback_info info) {
  instance *self;
  size_t length;
  uint8_t *data = range(env, info, &self, &length);
  return data == NULL ? NULL : number(env, checksum_seal_frames(data, length));
}

static napi_value seal_batch(napi_env env, napi_callback_info info) {
  instance *self;
  size_t length;
  uint8_t *data = range(env, info, &self, &length);
  return data == NULL ? NULL : number(env, checksum_seal_batch(data, length));
}

/** checksumPortable(portable): for tests; all threads of the process */
static napi_value force_portable(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  bool portable = false;
  napi_get_value_bool(env, args[0], &portable);
  checksum_force_portable(portable);
  return NULL;
}

void checksum_exports(instance *self, napi_value exports) {
  checksum_init();
  napi_value name, result;
  napi_ref forever;
  void *data;
  napi_create_string_utf8(self->env, checksum_implementation(), NAPI_AUTO_LENGTH, &name);
  set(self->env, exports, "checksums", name);
  napi_create_arraybuffer(self->env, RESULT_SIZE, &data, &result);
  napi_create_reference(self->env, result, 1, &forever);
  self->checksum_result = data;
  set(self->env, exports, "checksumResult", result);
  set_function(self, exports, "mac", mac);
  set_function(self, exports, "xxh3", xxh3);
  set_function(self, exports, "verifyBatch", verify_batch);
  set_function(self, exports, "sealFrames", seal_frames);
  set_function(self, exports, "sealBatch", seal_batch);
  set_function(self, exports, "checksumPortable", force_portable);
}
