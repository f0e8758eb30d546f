// The part of Linux's io_uring interface that is used here, written down so that old system headers do not matter.
#ifndef URING_ABI_H
#define URING_ABI_H

#include <stdint.h>

#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#define __NR_io_uring_enter 426
#endif

enum {
  SETUP_CQSIZE = 1 << 3,
  SETUP_SUBMIT_ALL = 1 << 7,     // 5.18
  SETUP_COOP_TASKRUN = 1 << 8,   // 5.19
  SETUP_SINGLE_ISSUER = 1 << 12, // 6.0
  SETUP_DEFER_TASKRUN = 1 << 13, // 6.1
};

enum {
  FEATURE_SINGLE_MMAP = 1 << 0,
  FEATURE_NODROP = 1 << 1,
  FEATURE_SUBMIT_STABLE = 1 << 2,
  FEATURE_EXT_ARG = 1 << 8, // 5.11
  FEATURE_NO_IOWAIT = 1 << 17,
};

enum {
  ENTER_GETEVENTS = 1 << 0,
  ENTER_EXT_ARG = 1 << 3,
  ENTER_NO_IOWAIT = 1 << 7, // or an idle thread counts as waiting for the disk
};

enum { OP_POLL_ADD = 6, OP_ASYNC_CANCEL = 14 };
enum { CANCEL_ALL = 1 << 0, CANCEL_ANY = 1 << 2 };

#define OFFSET_RINGS 0
#define OFFSET_SQES 0x10000000

typedef struct {
  uint32_t head, tail, ring_mask, ring_entries, flags, dropped, array, resv1;
  uint64_t user_addr;
} sq_offsets;

typedef struct {
  uint32_t head, tail, ring_mask, ring_entries, overflow, cqes, flags, resv1;
  uint64_t user_addr;
} cq_offsets;

typedef struct {
  uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
  sq_offsets sq_off;
  cq_offsets cq_off;
} uring_params;

typedef struct {
  uint8_t opcode, flags;
  uint16_t ioprio;
  int32_t fd;
  uint64_t offset, address;
  uint32_t length, op_flags;
  uint64_t user_data, rest[3];
} uring_sqe;

typedef struct {
  uint64_t user_data;
  int32_t result;
  uint32_t flags;
} uring_cqe;

typedef struct {
  int64_t seconds, nanoseconds;
} uring_timespec;

typedef struct {
  uint64_t sigmask;
  uint32_t sigmask_size, min_wait_usec;
  uint64_t timespec;
} uring_wait;

_Static_assert(sizeof(uring_params) == 120, "io_uring_params");
_Static_assert(sizeof(uring_sqe) == 64, "io_uring_sqe");
_Static_assert(sizeof(uring_cqe) == 16, "io_uring_cqe");

#endif
