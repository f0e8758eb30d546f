// A ring of this thread: its memory mapped for JavaScript, and the event loop turned inside out.
//
//        libuv                 on_prepare (here)                     JavaScript
//   timers, messages  ──►  submit what JavaScript queued
//                          wait in io_uring_enter  ◄── sockets, files, libuv's own epoll descriptor
//                          completions? ──────────────────────►  drain(): calls back, queues more
//                          again, until libuv has something to do
//   polls, callbacks  ◄──  return
//
// libuv itself never sleeps while a ring exists (`idle` is active whenever on_prepare has returned): only then is every
// descriptor registered in its epoll when the ring waits for that. `drain` runs through napi_make_callback, so ticks and
// microtasks run after each call.
//
// Every entry that the kernel takes gives exactly one completion, so `sq head - cq head` entries are in flight.
#define _GNU_SOURCE
#define NAPI_VERSION 8
#include "instance.h"
#include "uring-abi.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

/** Words of the control block; `Control` in ring.ts. */
enum { CONTROL_POLLED = 0, CONTROL_IDLE = 1 };
#define CONTROL_SIZE 4096
/** Per submission entry, for what an operation points to; AUX_SIZE in ring.ts. */
#define AUX_SIZE 512
/** The slot number in user_data of the poll on libuv's descriptor, of a cancellation, and the mark of an accept. */
#define SLOT_POLL 0xFFFFFFFFu
#define SLOT_IGNORED 0xFFFFFFFEu
#define ACCEPT_MARK (1ull << 63)

#define EVENT_READABLE 1
#define LEAVE_DEADLINE_MS 5000

enum { BUFFER_RINGS, BUFFER_SQES, BUFFER_CONTROL, BUFFER_AUX, BUFFERS };

struct ring {
  instance *owner;
  ring *next;
  int fd;
  uint32_t enter_flags, sq_mask, sq_entries, cq_mask;
  uint32_t *sq_head, *sq_tail, *cq_head, *cq_tail, *control;
  uring_sqe *sqes;
  uring_cqe *cqes;
  void *mapped[3];
  size_t mapped_size[3];
  napi_ref buffers[BUFFERS], drain;
  napi_async_context context;
  uv_prepare_t prepare;
  uv_idle_t idle;
  int handles;
  /** The poll on libuv's descriptor is in the ring. */
  bool polling;
  /** JavaScript cannot be called any more, or the ring is closed. */
  bool dead;
};

static uint32_t load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static void store(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static bool has_completions(const ring *self) { return load(self->cq_tail) != *self->cq_head; }

/** Waits for `wait` completions at most timeout_ms (-1: for ever). 0 or -errno. */
static int enter(ring *self, uint32_t wait, int timeout_ms) {
  uint32_t submit = *self->sq_tail - load(self->sq_head);
  uring_timespec time = {.seconds = timeout_ms / 1000, .nanoseconds = (timeout_ms % 1000) * 1000000ll};
  uring_wait argument = {.timespec = wait > 0 && timeout_ms >= 0 ? (uint64_t)(uintptr_t)&time : 0};
  uint32_t flags = self->enter_flags | ENTER_GETEVENTS | ENTER_EXT_ARG;
  long result = syscall(__NR_io_uring_enter, self->fd, submit, wait, flags, &argument, sizeof argument);
  return result < 0 ? -errno : 0;
}

/** Puts an entry into the ring; false when there is no room. */
static bool queue(ring *self, uring_sqe entry) {
  uint32_t tail = *self->sq_tail;
  if (tail - load(self->sq_head) == self->sq_entries) return false;
  self->sqes[tail & self->sq_mask] = entry;
  store(self->sq_tail, tail + 1);
  return true;
}

// ------------------------------------------------------------------------------------------------------ the loop

/** Operations and completions that JavaScript still has to deal with keep the thread alive; an unused ring does not. */
static void update_reference(ring *self) {
  bool busy = *self->sq_tail - *self->cq_head != (self->polling ? 1u : 0u);
  if (busy) uv_ref((uv_handle_t *)&self->prepare);
  else uv_unref((uv_handle_t *)&self->prepare);
  self->control[CONTROL_IDLE] = !busy;
}

static void call_drain(ring *self) {
  napi_env env = self->owner->env;
  napi_handle_scope scope;
  napi_value drain, receiver;
  if (napi_open_handle_scope(env, &scope) != napi_ok) {
    self->dead = true;
    return;
  }
  napi_get_reference_value(env, self->drain, &drain);
  napi_get_global(env, &receiver);
  if (napi_make_callback(env, self->context, receiver, drain, 0, NULL, NULL) != napi_ok) {
    bool pending = false;
    napi_value error;
    napi_is_exception_pending(env, &pending);
    // What a callback throws is uncaught. Without an exception, JavaScript is being terminated.
    if (pending && napi_get_and_clear_last_exception(env, &error) == napi_ok) {
      if (napi_fatal_exception(env, error) != napi_ok) self->dead = true;
    } else {
      self->dead = true;
    }
  }
  napi_close_handle_scope(env, scope);
}

static void fail(ring *self, int error) {
  char message[96];
  snprintf(message, sizeof message, "io_uring_enter failed: %s", strerror(-error));
  self->dead = true;
  napi_fatal_error("io_uring-napi", NAPI_AUTO_LENGTH, message, NAPI_AUTO_LENGTH);
}

static void keep_awake(uv_idle_t *handle) { (void)handle; }

static void on_prepare(uv_prepare_t *handle) {
  ring *self = handle->data;
  if (self->dead) return;
  uv_loop_t *loop = handle->loop;
  uv_idle_stop(&self->idle);
  for (;;) {
    update_reference(self);
    uv_update_time(loop);
    int timeout = uv_backend_timeout(loop);
    bool wait = timeout != 0 && !has_completions(self);
    if (wait && !self->polling) {
      self->polling = queue(self, (uring_sqe){.opcode = OP_POLL_ADD,
                                              .fd = uv_backend_fd(loop),
                                              .op_flags = EVENT_READABLE,
                                              .user_data = SLOT_POLL});
      wait = self->polling;
    }
    int result = enter(self, wait ? 1 : 0, timeout);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EBUSY && result != -EAGAIN) fail(self, result);
    if (has_completions(self)) call_drain(self);
    if (self->dead) return;
    bool polled = self->control[CONTROL_POLLED] != 0;
    if (polled) {
      self->control[CONTROL_POLLED] = 0;
      self->polling = false;
    }
    if (polled || timeout == 0 || result == -ETIME) break;
  }
  update_reference(self);
  uv_idle_start(&self->idle, keep_awake);
}

// ------------------------------------------------------------------------------------------------------- the end

static void unmap(ring *self) {
  for (int i = 0; i < 3; i++) {
    if (self->mapped[i] != NULL) munmap(self->mapped[i], self->mapped_size[i]);
  }
}

static void on_closed(uv_handle_t *handle) {
  ring *self = handle->data;
  self->handles -= 1;
  if (self->handles > 0) return;
  instance *owner = self->owner;
  for (ring **link = &owner->rings; *link != NULL; link = &(*link)->next) {
    if (*link != self) continue;
    *link = self->next;
    break;
  }
  unmap(self);
  free(self);
  if (owner->leaving && owner->rings == NULL) instance_free(owner);
}

static void close_ring(ring *self) {
  self->dead = true;
  close(self->fd);
  napi_env env = self->owner->env;
  napi_async_destroy(env, self->context);
  napi_delete_reference(env, self->drain);
  for (int i = 0; i < BUFFERS; i++) napi_delete_reference(env, self->buffers[i]);
  uv_close((uv_handle_t *)&self->prepare, on_closed);
  uv_close((uv_handle_t *)&self->idle, on_closed);
}

static uint64_t now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/** Takes what completes while nobody is left to hear of it. */
static void discard_completions(ring *self) {
  uint32_t head = *self->cq_head;
  for (; head != load(self->cq_tail); head++) {
    uring_cqe *completion = &self->cqes[head & self->cq_mask];
    if (completion->user_data & ACCEPT_MARK && completion->result >= 0) close(completion->result);
  }
  store(self->cq_head, head);
}

/** Cancels everything; true when nothing is in flight any more. */
static bool quiesce(ring *self) {
  uint64_t deadline = now_ms() + LEAVE_DEADLINE_MS;
  // What was queued and not submitted never happens.
  store(self->sq_tail, load(self->sq_head));
  discard_completions(self);
  if (load(self->sq_head) == *self->cq_head) return true;
  queue(self, (uring_sqe){.opcode = OP_ASYNC_CANCEL,
                          .fd = -1,
                          .op_flags = CANCEL_ALL | CANCEL_ANY,
                          .user_data = SLOT_IGNORED});
  while (*self->sq_tail != *self->cq_head) {
    enter(self, 1, 20);
    discard_completions(self);
    if (now_ms() > deadline) return false;
  }
  return true;
}

void rings_leave(instance *owner) {
  for (ring *self = owner->rings; self != NULL; self = self->next) {
    if (uv_is_closing((uv_handle_t *)&self->prepare)) continue;
    if (!quiesce(self)) owner->abandoned = true;
    close_ring(self);
  }
}

// -------------------------------------------------------------------------------------------------- for JavaScript

static ring *to_ring(napi_env env, napi_value value) {
  void *self = NULL;
  napi_get_value_external(env, value, &self);
  return self;
}

static int setup(uint32_t entries, uring_params *params) {
  // The newest way first: completions are worked off in `enter` only, by the one thread that submits.
  static const uint32_t styles[] = {
      SETUP_SUBMIT_ALL | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN,
      SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN,
      0,
  };
  int error = EINVAL;
  for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
    memset(params, 0, sizeof *params);
    params->flags = styles[i] | SETUP_CQSIZE;
    params->cq_entries = entries * 4 < 4096 ? 4096 : entries * 4;
    long fd = syscall(__NR_io_uring_setup, entries, params);
    if (fd >= 0) return (int)fd;
    error = errno;
    if (error != EINVAL) break;
  }
  return -error;
}

static void *map(ring *self, int index, size_t size, int fd, off_t offset) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (memory == MAP_FAILED) return NULL;
  self->mapped[index] = memory;
  self->mapped_size[index] = size;
  return memory;
}

/** Control block and aux blocks, not across a 4 GiB boundary: JavaScript adds to the low half of their address only. */
static void *map_shared(ring *self, size_t size) {
  uint8_t *first = map(self, 2, size, -1, 0);
  if (first == NULL || (uintptr_t)first >> 32 == ((uintptr_t)first + size - 1) >> 32) return first;
  uint8_t *second = map(self, 2, size, -1, 0);
  munmap(first, size);
  return second;
}

static bool share(ring *self, napi_value object, const char *name, int index, void *memory, size_t size) {
  napi_env env = self->owner->env;
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, memory, size, NULL, NULL, &buffer) != napi_ok) return false;
  napi_create_reference(env, buffer, 1, &self->buffers[index]);
  set(env, object, name, buffer);
  return true;
}

/** ringSetup(entries, drain): RingMemory or -errno; -EBUSY when the thread has a ring */
static napi_value ring_setup(napi_env env, napi_callback_info info) {
  napi_value args[2], object, external, name;
  instance *owner = arguments(env, info, 2, args);
  for (ring *other = owner->rings; other != NULL; other = other->next) {
    // A loop can wait in one ring only.
    if (!other->dead) return number(env, -EBUSY);
  }
  uring_params params;
  int fd = setup(to_u32(env, args[0]), &params);
  if (fd < 0) return number(env, fd);
  uint32_t needed = FEATURE_SINGLE_MMAP | FEATURE_NODROP | FEATURE_SUBMIT_STABLE | FEATURE_EXT_ARG;
  ring *self = (params.features & needed) == needed ? calloc(1, sizeof *self) : NULL;
  if (self == NULL) {
    close(fd);
    return number(env, -ENOSYS);
  }
  self->owner = owner;
  self->fd = fd;
  self->enter_flags = params.features & FEATURE_NO_IOWAIT ? ENTER_NO_IOWAIT : 0;
  size_t sq_size = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
  size_t cq_size = params.cq_off.cqes + params.cq_entries * sizeof(uring_cqe);
  size_t rings_size = sq_size > cq_size ? sq_size : cq_size, sqes_size = params.sq_entries * sizeof(uring_sqe);
  size_t shared_size = CONTROL_SIZE + (size_t)params.sq_entries * AUX_SIZE;
  uint8_t *rings = map(self, 0, rings_size, fd, OFFSET_RINGS);
  self->sqes = map(self, 1, sqes_size, fd, OFFSET_SQES);
  uint8_t *control = map_shared(self, shared_size);
  uint8_t *aux = control + CONTROL_SIZE;
  bool ok = rings != NULL && self->sqes != NULL && control != NULL;
  napi_create_object(env, &object);
  ok = ok && share(self, object, "rings", BUFFER_RINGS, rings, rings_size) &&
       share(self, object, "sqes", BUFFER_SQES, self->sqes, sqes_size) &&
       share(self, object, "control", BUFFER_CONTROL, control, CONTROL_SIZE) &&
       share(self, object, "aux", BUFFER_AUX, aux, shared_size - CONTROL_SIZE);
  if (!ok) {
    unmap(self);
    close(fd);
    free(self);
    return number(env, -ENOMEM);
  }
  self->sq_head = (uint32_t *)(void *)(rings + params.sq_off.head);
  self->sq_tail = (uint32_t *)(void *)(rings + params.sq_off.tail);
  self->sq_entries = params.sq_entries;
  self->sq_mask = params.sq_entries - 1;
  self->cq_head = (uint32_t *)(void *)(rings + params.cq_off.head);
  self->cq_tail = (uint32_t *)(void *)(rings + params.cq_off.tail);
  self->cq_mask = params.cq_entries - 1;
  self->cqes = (uring_cqe *)(void *)(rings + params.cq_off.cqes);
  self->control = (uint32_t *)(void *)control;
  uint32_t *array = (uint32_t *)(void *)(rings + params.sq_off.array);
  for (uint32_t i = 0; i < params.sq_entries; i++) array[i] = i;

  set(env, object, "auxLow", number(env, (double)(uint32_t)(uintptr_t)aux));
  set(env, object, "auxHigh", number(env, (double)((uintptr_t)aux >> 32)));
  set(env, object, "sqHead", number(env, params.sq_off.head));
  set(env, object, "sqTail", number(env, params.sq_off.tail));
  set(env, object, "sqEntries", number(env, params.sq_entries));
  set(env, object, "cqHead", number(env, params.cq_off.head));
  set(env, object, "cqTail", number(env, params.cq_off.tail));
  set(env, object, "cqEntries", number(env, params.cq_entries));
  set(env, object, "cqes", number(env, params.cq_off.cqes));
  napi_create_external(env, self, NULL, NULL, &external);
  set(env, object, "ring", external);

  napi_create_reference(env, args[1], 1, &self->drain);
  napi_create_string_utf8(env, "io_uring", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &self->context);
  uv_loop_t *loop;
  napi_get_uv_event_loop(env, &loop);
  uv_prepare_init(loop, &self->prepare);
  uv_idle_init(loop, &self->idle);
  self->prepare.data = self->idle.data = self;
  self->handles = 2;
  uv_prepare_start(&self->prepare, on_prepare);
  uv_unref((uv_handle_t *)&self->idle);
  self->next = owner->rings;
  owner->rings = self;
  return object;
}

/** ringSubmit(ring): 0 or -errno */
static napi_value ring_submit(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  ring *self = to_ring(env, args[0]);
  uint32_t submit = *self->sq_tail - load(self->sq_head);
  long result = syscall(__NR_io_uring_enter, self->fd, submit, 0, 0, NULL, 0);
  return number(env, result < 0 ? -errno : 0);
}

/** ringReference(ring) */
static napi_value ring_reference(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  ring *self = to_ring(env, args[0]);
  self->control[CONTROL_IDLE] = 0;
  uv_ref((uv_handle_t *)&self->prepare);
  return NULL;
}

/** ringClose(ring) */
static napi_value ring_close(napi_env env, napi_callback_info info) {
  napi_value args[1];
  arguments(env, info, 1, args);
  ring *self = to_ring(env, args[0]);
  if (self->dead) return NULL;
  // At most the poll on libuv's descriptor is left.
  if (!quiesce(self)) self->owner->abandoned = true;
  for (int i = 0; i < BUFFERS; i++) {
    napi_value buffer;
    napi_get_reference_value(env, self->buffers[i], &buffer);
    napi_detach_arraybuffer(env, buffer);
  }
  close_ring(self);
  return NULL;
}

void ring_exports(instance *self, napi_value exports) {
  set_function(self, exports, "ringSetup", ring_setup);
  set_function(self, exports, "ringSubmit", ring_submit);
  set_function(self, exports, "ringReference", ring_reference);
  set_function(self, exports, "ringClose", ring_close);
}
