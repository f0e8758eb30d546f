// AEGIS-128L (draft-irtf-cfrg-aegis-aead) as a MAC, XXH3-64, and the walk over a batch's frames.
//
// Batch (little-endian):
//   0 partition_id u64 | 8 base_offset u64 | 16 base_timestamp u64 | 24 origin_timestamp u64 | 32 batch_length u64
//   40 batch_checksum u64 | 48 message_count u32 | 52..256 zero | frames
// Frame:
//   0 checksum u64 | 8 id u128 | 24 offset_delta u32 | 28 timestamp_delta u32 | 32 user_headers_length u32
//   36 payload_length u32 | 40 zero u64 | 48 payload | user headers
//
// frame checksum = XXH3-64 of the frame's bytes [8, end)
// batch checksum = XXH3-64 of bytes [0, 40) ++ message_count ++ every frame's checksum
//
// All targets are little-endian; loads go through memcpy, so no address needs to be aligned.
#include "checksum.h"

#if defined(__x86_64__)
#define HAVE_X86 1
#include <immintrin.h>
#elif defined(__wasm_simd128__)
#define HAVE_WASM_SIMD 1
#include <wasm_simd128.h>
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t load32(const uint8_t *p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}

INLINE uint64_t load64(const uint8_t *p) {
  uint64_t v;
  __builtin_memcpy(&v, p, 8);
  return v;
}

INLINE void store64(uint8_t *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }

// ---------------------------------------------------------------------------------------------- AEGIS-128L

// The state after initialisation with key = nonce = 0; test/protocol/checksum.test.ts derives it anew.
static const uint8_t aegis_zero[128] __attribute__((aligned(16))) = {
#include "aegis-zero.inc"
};

typedef struct {
  uint32_t w[4];
} block;

// AES round as one table lookup per byte: T[x] = (2·S[x], S[x], S[x], 3·S[x]), and its rotations.
static const uint32_t aes_table[256] = {
#include "aes-table.inc"
};

INLINE uint32_t rotl32(uint32_t v, int n) { return (v << n) | (v >> (32 - n)); }

INLINE uint32_t aes_column(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return aes_table[a & 255] ^ rotl32(aes_table[(b >> 8) & 255], 8) ^ rotl32(aes_table[(c >> 16) & 255], 16) ^
         rotl32(aes_table[d >> 24], 24);
}

INLINE block aes_round(block s, block key) {
  block r;
  r.w[0] = aes_column(s.w[0], s.w[1], s.w[2], s.w[3]) ^ key.w[0];
  r.w[1] = aes_column(s.w[1], s.w[2], s.w[3], s.w[0]) ^ key.w[1];
  r.w[2] = aes_column(s.w[2], s.w[3], s.w[0], s.w[1]) ^ key.w[2];
  r.w[3] = aes_column(s.w[3], s.w[0], s.w[1], s.w[2]) ^ key.w[3];
  return r;
}

INLINE block block_xor(block a, block b) {
  for (int i = 0; i < 4; i++) a.w[i] ^= b.w[i];
  return a;
}

INLINE block block_load(const uint8_t *p) {
  block b;
  __builtin_memcpy(&b, p, 16);
  return b;
}

INLINE void portable_update(block s[8], block m0, block m1) {
  block t = s[7];
  s[7] = aes_round(s[6], s[7]);
  s[6] = aes_round(s[5], s[6]);
  s[5] = aes_round(s[4], s[5]);
  s[4] = aes_round(s[3], block_xor(s[4], m1));
  s[3] = aes_round(s[2], s[3]);
  s[2] = aes_round(s[1], s[2]);
  s[1] = aes_round(s[0], s[1]);
  s[0] = aes_round(t, block_xor(s[0], m0));
}

static void mac_portable(const uint8_t *data, size_t length, uint8_t tag[16]) {
  block s[8];
  for (int i = 0; i < 8; i++) s[i] = block_load(aegis_zero + 16 * i);
  size_t i = 0;
  for (; i + 32 <= length; i += 32) portable_update(s, block_load(data + i), block_load(data + i + 16));
  if (i < length) {
    uint8_t last[32] = {0};
    for (size_t j = 0; i + j < length; j++) last[j] = data[i + j];
    portable_update(s, block_load(last), block_load(last + 16));
  }
  uint64_t bits = (uint64_t)length * 8;
  block t = s[2];
  t.w[0] ^= (uint32_t)bits;
  t.w[1] ^= (uint32_t)(bits >> 32);
  for (int r = 0; r < 7; r++) portable_update(s, t, t);
  t = s[0];
  for (int r = 1; r < 7; r++) t = block_xor(t, s[r]);
  __builtin_memcpy(tag, &t, 16);
}

#ifdef HAVE_X86

#define AES __attribute__((target("aes,sse4.1")))

// A macro, not a function: the eight blocks must stay in registers.
#define UPDATE(m0, m1)                                                                                                 \
  do {                                                                                                                 \
    __m128i last_ = s7;                                                                                                \
    s7 = _mm_aesenc_si128(s6, s7);                                                                                     \
    s6 = _mm_aesenc_si128(s5, s6);                                                                                     \
    s5 = _mm_aesenc_si128(s4, s5);                                                                                     \
    s4 = _mm_aesenc_si128(s3, _mm_xor_si128(s4, (m1)));                                                                \
    s3 = _mm_aesenc_si128(s2, s3);                                                                                     \
    s2 = _mm_aesenc_si128(s1, s2);                                                                                     \
    s1 = _mm_aesenc_si128(s0, s1);                                                                                     \
    s0 = _mm_aesenc_si128(last_, _mm_xor_si128(s0, (m0)));                                                             \
  } while (0)

AES static void mac_aes(const uint8_t *data, size_t length, uint8_t tag[16]) {
  const __m128i *z = (const __m128i *)(const void *)aegis_zero;
  __m128i s0 = z[0], s1 = z[1], s2 = z[2], s3 = z[3], s4 = z[4], s5 = z[5], s6 = z[6], s7 = z[7];
  size_t i = 0;
  for (; i + 64 <= length; i += 64) {
    const __m128i *p = (const __m128i *)(const void *)(data + i);
    UPDATE(_mm_loadu_si128(p), _mm_loadu_si128(p + 1));
    UPDATE(_mm_loadu_si128(p + 2), _mm_loadu_si128(p + 3));
  }
  for (; i + 32 <= length; i += 32) {
    const __m128i *p = (const __m128i *)(const void *)(data + i);
    UPDATE(_mm_loadu_si128(p), _mm_loadu_si128(p + 1));
  }
  if (i < length) {
    uint8_t last[32] __attribute__((aligned(16))) = {0};
    for (size_t j = 0; i + j < length; j++) last[j] = data[i + j];
    const __m128i *p = (const __m128i *)(const void *)last;
    UPDATE(p[0], p[1]);
  }
  __m128i t = _mm_xor_si128(s2, _mm_set_epi64x(0, (long long)((uint64_t)length * 8)));
  for (int r = 0; r < 7; r++) UPDATE(t, t);
  t = _mm_xor_si128(_mm_xor_si128(_mm_xor_si128(s0, s1), _mm_xor_si128(s2, s3)),
                    _mm_xor_si128(_mm_xor_si128(s4, s5), s6));
  _mm_storeu_si128((__m128i *)(void *)tag, t);
}

#endif

// ------------------------------------------------------------------------------------------------- XXH3-64

#define P32_1 0x9E3779B1u
#define P32_2 0x85EBCA77u
#define P32_3 0xC2B2AE3Du
#define P64_1 0x9E3779B185EBCA87ull
#define P64_2 0xC2B2AE3D27D4EB4Full
#define P64_3 0x165667B19E3779F9ull
#define P64_4 0x85EBCA77C2B2AE63ull
#define P64_5 0x27D4EB2F165667C5ull

enum { SECRET_SIZE = 192, STRIPE = 64, BLOCK = 1024, STRIPES_PER_BLOCK = 16, SHORT_MAX = 240 };

static const uint8_t secret[SECRET_SIZE] __attribute__((aligned(64))) = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static const uint64_t acc_start[8] __attribute__((aligned(64))) = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};

INLINE uint64_t mul128_fold(uint64_t a, uint64_t b) {
#ifdef __SIZEOF_INT128__
#ifndef __wasm__
  __extension__ typedef unsigned __int128 u128;
  u128 p = (u128)a * b;
  return (uint64_t)p ^ (uint64_t)(p >> 64);
#endif
#endif
  uint64_t ll = (a & 0xFFFFFFFF) * (b & 0xFFFFFFFF);
  uint64_t hl = (a >> 32) * (b & 0xFFFFFFFF);
  uint64_t lh = (a & 0xFFFFFFFF) * (b >> 32);
  uint64_t hh = (a >> 32) * (b >> 32);
  uint64_t cross = (ll >> 32) + (hl & 0xFFFFFFFF) + lh;
  uint64_t upper = (hl >> 32) + (cross >> 32) + hh;
  uint64_t lower = (cross << 32) | (ll & 0xFFFFFFFF);
  return upper ^ lower;
}

INLINE uint64_t rotl64(uint64_t v, int n) { return (v << n) | (v >> (64 - n)); }

INLINE uint64_t avalanche(uint64_t h) {
  h ^= h >> 37;
  h *= 0x165667919E3779F9ull;
  return h ^ (h >> 32);
}

INLINE uint64_t avalanche64(uint64_t h) {
  h ^= h >> 33;
  h *= P64_2;
  h ^= h >> 29;
  h *= P64_3;
  return h ^ (h >> 32);
}

INLINE uint64_t mix16(const uint8_t *p, const uint8_t *s) {
  return mul128_fold(load64(p) ^ load64(s), load64(p + 8) ^ load64(s + 8));
}

/** At most SHORT_MAX bytes. */
static uint64_t xxh3_short(const uint8_t *p, size_t length) {
  if (length <= 16) {
    if (length > 8) {
      uint64_t lo = load64(p) ^ load64(secret + 24) ^ load64(secret + 32);
      uint64_t hi = load64(p + length - 8) ^ load64(secret + 40) ^ load64(secret + 48);
      return avalanche(length + __builtin_bswap64(lo) + hi + mul128_fold(lo, hi));
    }
    if (length >= 4) {
      uint64_t h = load32(p + length - 4) + ((uint64_t)load32(p) << 32);
      h ^= load64(secret + 8) ^ load64(secret + 16);
      h ^= rotl64(h, 49) ^ rotl64(h, 24);
      h *= 0x9FB21C651E98DF25ull;
      h ^= (h >> 35) + length;
      h *= 0x9FB21C651E98DF25ull;
      return h ^ (h >> 28);
    }
    if (length > 0) {
      uint32_t c = ((uint32_t)p[0] << 16) | ((uint32_t)p[length >> 1] << 24) | p[length - 1] | ((uint32_t)length << 8);
      return avalanche64((uint64_t)c ^ (load32(secret) ^ load32(secret + 4)));
    }
    return avalanche64(load64(secret + 56) ^ load64(secret + 64));
  }
  uint64_t h = length * P64_1;
  if (length <= 128) {
    if (length > 32) {
      if (length > 64) {
        if (length > 96) h += mix16(p + 48, secret + 96) + mix16(p + length - 64, secret + 112);
        h += mix16(p + 32, secret + 64) + mix16(p + length - 48, secret + 80);
      }
      h += mix16(p + 16, secret + 32) + mix16(p + length - 32, secret + 48);
    }
    return avalanche(h + mix16(p, secret) + mix16(p + length - 16, secret + 16));
  }
  size_t rounds = length / 16;
  for (size_t i = 0; i < 8; i++) h += mix16(p + 16 * i, secret + 16 * i);
  h = avalanche(h);
  for (size_t i = 8; i < rounds; i++) h += mix16(p + 16 * i, secret + 16 * (i - 8) + 3);
  return avalanche(h + mix16(p + length - 16, secret + 136 - 17));
}

INLINE uint64_t merge(const uint64_t acc[8], uint64_t length) {
  uint64_t h = length * P64_1;
  for (int i = 0; i < 4; i++)
    h += mul128_fold(acc[2 * i] ^ load64(secret + 11 + 16 * i), acc[2 * i + 1] ^ load64(secret + 11 + 16 * i + 8));
  return avalanche(h);
}

// One implementation per instruction set of: fold `stripes` stripes at p into acc, with the secret from s on.
// NAME_block does the first 1024 bytes of a block and its scramble. Both inline into NAME_long.

#define SCRAMBLE_SECRET (secret + SECRET_SIZE - STRIPE)
#define LAST_SECRET (secret + SECRET_SIZE - STRIPE - 7)

#define LONG(NAME, ATTRIBUTE)                                                                                          \
  ATTRIBUTE static uint64_t NAME##_long(const uint8_t *p, size_t length) {                                             \
    NAME##_acc acc;                                                                                                    \
    NAME##_start(&acc);                                                                                                \
    size_t blocks = (length - 1) / BLOCK;                                                                              \
    for (size_t b = 0; b < blocks; b++) {                                                                              \
      const uint8_t *q = p + b * BLOCK;                                                                                \
      for (size_t i = 0; i < STRIPES_PER_BLOCK; i++) NAME##_stripe(&acc, q + i * STRIPE, secret + 8 * i);              \
      NAME##_scramble(&acc);                                                                                           \
    }                                                                                                                  \
    const uint8_t *q = p + blocks * BLOCK;                                                                             \
    size_t stripes = (length - 1 - blocks * BLOCK) / STRIPE;                                                           \
    for (size_t i = 0; i < stripes; i++) NAME##_stripe(&acc, q + i * STRIPE, secret + 8 * i);                          \
    NAME##_stripe(&acc, p + length - STRIPE, LAST_SECRET);                                                             \
    uint64_t out[8];                                                                                                   \
    __builtin_memcpy(out, &acc, 64);                                                                                   \
    return merge(out, length);                                                                                         \
  }

typedef struct {
  uint64_t v[8];
} scalar_acc;

INLINE void scalar_start(scalar_acc *a) { __builtin_memcpy(a, acc_start, 64); }

INLINE void scalar_stripe(scalar_acc *a, const uint8_t *p, const uint8_t *s) {
  for (int i = 0; i < 8; i++) {
    uint64_t data = load64(p + 8 * i), key = data ^ load64(s + 8 * i);
    a->v[i ^ 1] += data;
    a->v[i] += (key & 0xFFFFFFFF) * (key >> 32);
  }
}

INLINE void scalar_scramble(scalar_acc *a) {
  for (int i = 0; i < 8; i++) {
    uint64_t v = a->v[i];
    a->v[i] = ((v ^ (v >> 47)) ^ load64(SCRAMBLE_SECRET + 8 * i)) * P32_1;
  }
}

#ifdef HAVE_WASM_SIMD

typedef struct {
  v128_t v[4];
} simd_acc;

INLINE void simd_start(simd_acc *a) { __builtin_memcpy(a, acc_start, 64); }

INLINE void simd_stripe(simd_acc *a, const uint8_t *p, const uint8_t *s) {
  for (int i = 0; i < 4; i += 2) {
    v128_t d0 = wasm_v128_load(p + 16 * i), d1 = wasm_v128_load(p + 16 * i + 16);
    v128_t k0 = wasm_v128_xor(d0, wasm_v128_load(s + 16 * i)), k1 = wasm_v128_xor(d1, wasm_v128_load(s + 16 * i + 16));
    v128_t lo = wasm_i32x4_shuffle(k0, k1, 0, 2, 4, 6), hi = wasm_i32x4_shuffle(k0, k1, 1, 3, 5, 7);
    v128_t s0 = wasm_i64x2_shuffle(d0, d0, 1, 0), s1 = wasm_i64x2_shuffle(d1, d1, 1, 0);
    a->v[i] = wasm_i64x2_add(a->v[i], wasm_i64x2_add(s0, wasm_u64x2_extmul_low_u32x4(lo, hi)));
    a->v[i + 1] = wasm_i64x2_add(a->v[i + 1], wasm_i64x2_add(s1, wasm_u64x2_extmul_high_u32x4(lo, hi)));
  }
}

INLINE void simd_scramble(simd_acc *a) {
  scalar_acc b;
  __builtin_memcpy(&b, a, 64);
  scalar_scramble(&b);
  __builtin_memcpy(a, &b, 64);
}

LONG(simd, )
#define xxh3_long simd_long

#else

LONG(scalar, )

#ifdef HAVE_X86

#define SSE2 __attribute__((target("sse2")))
#define AVX2 __attribute__((target("avx2")))

typedef struct {
  __m128i v[4];
} sse2_acc;

SSE2 INLINE void sse2_start(sse2_acc *a) { __builtin_memcpy(a, acc_start, 64); }

SSE2 INLINE void sse2_stripe(sse2_acc *a, const uint8_t *p, const uint8_t *s) {
  for (int i = 0; i < 4; i++) {
    __m128i data = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
    __m128i key = _mm_xor_si128(data, _mm_loadu_si128((const __m128i *)(const void *)(s + 16 * i)));
    __m128i product = _mm_mul_epu32(key, _mm_srli_epi64(key, 32));
    a->v[i] = _mm_add_epi64(a->v[i], _mm_add_epi64(_mm_shuffle_epi32(data, 0x4E), product));
  }
}

SSE2 INLINE void sse2_scramble(sse2_acc *a) {
  __m128i prime = _mm_set1_epi32((int)P32_1);
  for (int i = 0; i < 4; i++) {
    __m128i v = _mm_xor_si128(a->v[i], _mm_srli_epi64(a->v[i], 47));
    v = _mm_xor_si128(v, _mm_loadu_si128((const __m128i *)(const void *)(SCRAMBLE_SECRET + 16 * i)));
    __m128i high = _mm_slli_epi64(_mm_mul_epu32(_mm_srli_epi64(v, 32), prime), 32);
    a->v[i] = _mm_add_epi64(_mm_mul_epu32(v, prime), high);
  }
}

LONG(sse2, SSE2)

typedef struct {
  __m256i v[2];
} avx2_acc;

AVX2 INLINE void avx2_start(avx2_acc *a) { __builtin_memcpy(a, acc_start, 64); }

AVX2 INLINE void avx2_stripe(avx2_acc *a, const uint8_t *p, const uint8_t *s) {
  for (int i = 0; i < 2; i++) {
    __m256i data = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));
    __m256i key = _mm256_xor_si256(data, _mm256_loadu_si256((const __m256i *)(const void *)(s + 32 * i)));
    __m256i product = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));
    a->v[i] = _mm256_add_epi64(a->v[i], _mm256_add_epi64(_mm256_shuffle_epi32(data, 0x4E), product));
  }
}

AVX2 INLINE void avx2_scramble(avx2_acc *a) {
  __m256i prime = _mm256_set1_epi32((int)P32_1);
  for (int i = 0; i < 2; i++) {
    __m256i v = _mm256_xor_si256(a->v[i], _mm256_srli_epi64(a->v[i], 47));
    v = _mm256_xor_si256(v, _mm256_loadu_si256((const __m256i *)(const void *)(SCRAMBLE_SECRET + 32 * i)));
    __m256i high = _mm256_slli_epi64(_mm256_mul_epu32(_mm256_srli_epi64(v, 32), prime), 32);
    a->v[i] = _mm256_add_epi64(_mm256_mul_epu32(v, prime), high);
  }
}

LONG(avx2, AVX2)

#endif

static uint64_t (*xxh3_long)(const uint8_t *, size_t) = scalar_long;

#endif

uint64_t checksum_xxh3(const uint8_t *data, size_t length) {
  return length <= SHORT_MAX ? xxh3_short(data, length) : xxh3_long(data, length);
}

// The batch checksum's input is scattered over the frames, so it is streamed: a block of 1024 bytes is folded only
// when more input follows, because the last block is treated differently; the 64 bytes before it are kept, because
// the last stripe may reach back into them.
typedef struct {
  scalar_acc acc;
  size_t length;                  // bytes so far
  size_t used;                    // bytes in block
  uint8_t buffer[STRIPE + BLOCK]; // [tail of the block before | block]
} stream;

static void stream_start(stream *s) {
  scalar_start(&s->acc);
  s->length = 0;
  s->used = 0;
}

INLINE void stream_put(stream *s, const uint8_t *p, size_t n) { // n divides the space left: pieces are 40, 4, 8, 8, ...
  for (size_t done = 0; done < n;) {
    if (s->used == BLOCK) {
      uint8_t *q = s->buffer + STRIPE;
      for (size_t i = 0; i < STRIPES_PER_BLOCK; i++) scalar_stripe(&s->acc, q + i * STRIPE, secret + 8 * i);
      scalar_scramble(&s->acc);
      __builtin_memcpy(s->buffer, s->buffer + BLOCK, STRIPE);
      s->used = 0;
    }
    size_t piece = BLOCK - s->used < n - done ? BLOCK - s->used : n - done;
    for (size_t i = 0; i < piece; i++) s->buffer[STRIPE + s->used + i] = p[done + i];
    s->used += piece;
    done += piece;
  }
  s->length += n;
}

static uint64_t stream_end(stream *s) {
  uint8_t *q = s->buffer + STRIPE;
  if (s->length <= SHORT_MAX) return xxh3_short(q, s->length);
  size_t stripes = (s->used - 1) / STRIPE;
  for (size_t i = 0; i < stripes; i++) scalar_stripe(&s->acc, q + i * STRIPE, secret + 8 * i);
  scalar_stripe(&s->acc, q + s->used - STRIPE, LAST_SECRET);
  return merge(s->acc.v, s->length);
}

// -------------------------------------------------------------------------------------------------- batches

enum {
  BATCH_HEADER = 256,
  FRAME_HEADER = 48,
  AT_BATCH_LENGTH = 32,
  AT_BATCH_CHECKSUM = 40,
  AT_COUNT = 48,
  AT_RESERVED = 52,
  AT_DELTA = 24,
  AT_HEADERS_LENGTH = 32,
  AT_PAYLOAD_LENGTH = 36,
  AT_FRAME_RESERVED = 40,
};

/** Size of the frame at p when it lies within `left` bytes, else 0. */
INLINE size_t frame_size(const uint8_t *p, size_t left) {
  if (left < FRAME_HEADER) return 0;
  uint64_t size = (uint64_t)FRAME_HEADER + load32(p + AT_HEADERS_LENGTH) + load32(p + AT_PAYLOAD_LENGTH);
  return size <= left ? (size_t)size : 0;
}

int checksum_verify_batch(const uint8_t *batch, size_t length) {
  if (length < BATCH_HEADER || load64(batch + AT_BATCH_LENGTH) != length) return BATCH_LENGTH;
  uint32_t reserved = load32(batch + AT_RESERVED);
  for (size_t i = AT_RESERVED + 4; i < BATCH_HEADER; i += 8) reserved |= load64(batch + i) != 0;
  if (reserved != 0) return BATCH_LAYOUT;
  uint32_t count = load32(batch + AT_COUNT);
  if (count == 0) return BATCH_COUNT;
  stream s;
  stream_start(&s);
  stream_put(&s, batch, 40);
  stream_put(&s, batch + AT_COUNT, 4);
  size_t at = BATCH_HEADER;
  for (uint32_t n = 0; n < count; n++) {
    if (at == length) return BATCH_COUNT;
    const uint8_t *frame = batch + at;
    size_t size = frame_size(frame, length - at);
    if (size == 0 || load32(frame + AT_DELTA) != n || load64(frame + AT_FRAME_RESERVED) != 0) return BATCH_LAYOUT;
    if (checksum_xxh3(frame + 8, size - 8) != load64(frame)) return BATCH_FRAME_CHECKSUM;
    stream_put(&s, frame, 8);
    at += size;
  }
  if (at != length) return BATCH_COUNT;
  return stream_end(&s) == load64(batch + AT_BATCH_CHECKSUM) ? BATCH_OK : BATCH_CHECKSUM;
}

INLINE int seal(uint8_t *batch, size_t length, int frames) {
  if (length < BATCH_HEADER) return BATCH_LENGTH;
  uint32_t count = load32(batch + AT_COUNT);
  stream s;
  stream_start(&s);
  stream_put(&s, batch, 40);
  stream_put(&s, batch + AT_COUNT, 4);
  size_t at = BATCH_HEADER;
  for (uint32_t n = 0; n < count; n++) {
    uint8_t *frame = batch + at;
    size_t size = frame_size(frame, length - at);
    if (size == 0) return BATCH_LENGTH;
    if (frames) store64(frame, checksum_xxh3(frame + 8, size - 8));
    stream_put(&s, frame, 8);
    at += size;
  }
  store64(batch + AT_BATCH_CHECKSUM, stream_end(&s));
  return BATCH_OK;
}

int checksum_seal_frames(uint8_t *batch, size_t length) { return seal(batch, length, 1); }

int checksum_seal_batch(uint8_t *batch, size_t length) { return seal(batch, length, 0); }

// -------------------------------------------------------------------------------------------------- dispatch

#ifdef HAVE_X86

static void (*mac)(const uint8_t *, size_t, uint8_t *) = mac_portable;
static const char *implementation = "portable";

void checksum_force_portable(int portable) {
  __builtin_cpu_init();
  int aes = !portable && __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
  int avx2 = !portable && __builtin_cpu_supports("avx2");
  mac = aes ? mac_aes : mac_portable;
  xxh3_long = portable ? scalar_long : avx2 ? avx2_long : sse2_long;
  implementation = portable ? "portable" : aes ? (avx2 ? "aes-ni+avx2" : "aes-ni+sse2") : (avx2 ? "avx2" : "sse2");
}

void checksum_init(void) { checksum_force_portable(0); }

const char *checksum_implementation(void) { return implementation; }

void checksum_mac(const uint8_t *data, size_t length, uint8_t tag[16]) { mac(data, length, tag); }

#else

void checksum_force_portable(int portable) { (void)portable; }

void checksum_init(void) {}

const char *checksum_implementation(void) { return "portable"; }

void checksum_mac(const uint8_t *data, size_t length, uint8_t tag[16]) { mac_portable(data, length, tag); }

#endif
