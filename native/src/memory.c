// Slabs: memory that the kernel may read and write while no JavaScript runs. Reserved as one region of 4 GiB, handed out
// from its start, never given back before the thread ends: an operation could otherwise complete into somebody else's bytes.
//
// Huge pages are advised, not populated: a node plans for the worst case and touches a fraction of it.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "instance.h"
#include <sys/mman.h>

#define REGION ((size_t)4 << 30)
#define ALIGNMENT ((size_t)2 << 20)

static uint8_t *reserve_region(void) {
  uint8_t *start = mmap(NULL, 2 * REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) return NULL;
  uint8_t *region = (uint8_t *)(((uintptr_t)start + REGION - 1) & ~(uintptr_t)(REGION - 1));
  if (region > start) munmap(start, (size_t)(region - start));
  uint8_t *end = start + 2 * REGION;
  if (end > region + REGION) munmap(region + REGION, (size_t)(end - region - REGION));
  return region;
}

static napi_value no_memory(napi_env env) {
  napi_value code, message, error, number_value;
  napi_create_string_utf8(env, "ENOMEM", NAPI_AUTO_LENGTH, &code);
  napi_create_string_utf8(env, "allocate: ENOMEM: the slabs of a thread are limited to 4 GiB", NAPI_AUTO_LENGTH, &message);
  napi_create_error(env, code, message, &error);
  napi_create_int32(env, 12, &number_value);
  set(env, error, "errno", number_value);
  napi_throw(env, error);
  return NULL;
}

/** allocate(size): ArrayBuffer */
static napi_value allocate(napi_env env, napi_callback_info info) {
  napi_value args[1];
  instance *self = arguments(env, info, 1, args);
  double wanted = to_double(env, args[0]);
  if (!(wanted > 0 && wanted < (double)REGION)) return no_memory(env);
  if (self->region == NULL && (self->region = reserve_region()) == NULL) return no_memory(env);
  size_t size = ((size_t)wanted + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
  // The last 2 MiB stay out, so that no length or address wraps.
  if (size > REGION - ALIGNMENT - self->region_used) return no_memory(env);
  uint8_t *slab = self->region + self->region_used;
  if (mprotect(slab, size, PROT_READ | PROT_WRITE) != 0) return no_memory(env);
  madvise(slab, size, MADV_HUGEPAGE);
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, slab, size, NULL, NULL, &buffer) != napi_ok) return no_memory(env);
  self->region_used += size;
  return buffer;
}

static uint64_t address(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  void *data = NULL;
  size_t length;
  if (napi_get_arraybuffer_info(env, args[0], &data, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "not an ArrayBuffer");
  }
  return (uint64_t)(uintptr_t)data;
}

/** addressLow(buffer): number */
static napi_value address_low(napi_env env, napi_callback_info info) {
  return number(env, (double)(uint32_t)address(env, info));
}

/** addressHigh(buffer): number */
static napi_value address_high(napi_env env, napi_callback_info info) {
  return number(env, (double)(address(env, info) >> 32));
}

void memory_exports(instance *self, napi_value exports) {
  set_function(self, exports, "allocate", allocate);
  set_function(self, exports, "addressLow", address_low);
  set_function(self, exports, "addressHigh", address_high);
}

void memory_free(instance *self) {
  if (self->region != NULL) munmap(self->region, REGION);
  self->region = NULL;
}
