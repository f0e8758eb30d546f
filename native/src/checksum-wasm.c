// The exports of the WebAssembly build (scripts/build-wasm.sh). Addresses are offsets in its memory; 64-bit results
// are written to memory, so that no BigInt crosses.
#include "checksum.h"

#define EXPORT(name) __attribute__((export_name(name)))

extern uint8_t __heap_base;

EXPORT("heapBase") uintptr_t heap_base(void) { return ((uintptr_t)&__heap_base + 63) & ~(uintptr_t)63; }

EXPORT("mac") void mac(const uint8_t *data, size_t length, uint8_t *out) { checksum_mac(data, length, out); }

EXPORT("xxh3") void xxh3(const uint8_t *data, size_t length, uint64_t *out) { *out = checksum_xxh3(data, length); }

EXPORT("verifyBatch") int verify_batch(const uint8_t *batch, size_t length) {
  return checksum_verify_batch(batch, length);
}

EXPORT("sealFrames") int seal_frames(uint8_t *batch, size_t length) { return checksum_seal_frames(batch, length); }

EXPORT("sealBatch") int seal_batch(uint8_t *batch, size_t length) { return checksum_seal_batch(batch, length); }

// The compiler may turn small loops into calls of these.
void *memset(void *to, int value, size_t n) {
  uint8_t *p = to;
  while (n--) *p++ = (uint8_t)value;
  return to;
}
