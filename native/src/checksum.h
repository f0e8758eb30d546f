// Checksums of frames and batches. One source for the addon and for WebAssembly; the same bits on every CPU.
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

enum {
  BATCH_OK = 0,
  BATCH_LENGTH = 1,         // truncated, or batch_length is not the number of bytes given
  BATCH_COUNT = 2,          // message_count is not the number of frames
  BATCH_LAYOUT = 3,         // offset deltas not 0..n-1, a frame out of bounds, reserved bytes not zero
  BATCH_FRAME_CHECKSUM = 4,
  BATCH_CHECKSUM = 5,
};

/** Chooses the fastest implementation that this CPU runs. Call once, before anything else; again is harmless. */
void checksum_init(void);
/** "aes-ni+avx2" and the like. */
const char *checksum_implementation(void);
/** Forces the portable code (tests). */
void checksum_force_portable(int portable);

/** AEGIS-128L with zero key and nonce, an empty message and `data` as associated data: its 128-bit tag. */
void checksum_mac(const uint8_t *data, size_t length, uint8_t tag[16]);
/** XXH3-64, seed 0. */
uint64_t checksum_xxh3(const uint8_t *data, size_t length);
/** Checks a whole batch; a BATCH_ value. Reads nothing outside [batch, batch + length). */
int checksum_verify_batch(const uint8_t *batch, size_t length);
/** Fills in every frame checksum and then the batch checksum. BATCH_LENGTH when the frames do not fit, else 0. */
int checksum_seal_frames(uint8_t *batch, size_t length);
/** Recomputes the batch checksum from the header and the checksums the frames carry. Result as above. */
int checksum_seal_batch(uint8_t *batch, size_t length);

#endif
