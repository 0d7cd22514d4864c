/* Preloaded: allocation number FAIL_AT since main began fails, or all from it on with FAIL_ON set. The count goes to
   FAIL_LOG, and with FAIL_STACKS set before it the number of the first allocation of every call stack. Before main a
   failure ends the process whatever the program does: that is left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { kDepth = 32, kMostStacks = 1 << 16 };

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* pointer, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static unsigned long calls, fail_at;
static int fail_on, armed, stacks_wanted, locked;

/* Open addressing; a table that is full takes no more. */
static struct {
  uint64_t hash;
  unsigned long call;
} stacks[kMostStacks];

typedef int (*Main)(int argc, char** argv, char** environment);
typedef int (*StartMain)(Main, int, char**, void (*)(void), void (*)(void), void (*)(void), void*);
static Main real_main;

static int armed_main(int argc, char** argv, char** environment) {
  const char* at = getenv("FAIL_AT");
  void* frame;
  backtrace(&frame, 1); /* loads what it needs now */
  fail_at = at ? strtoul(at, NULL, 10) : 0;
  fail_on = getenv("FAIL_ON") != NULL;
  stacks_wanted = getenv("FAIL_STACKS") != NULL;
  armed = 1;
  return real_main(argc, argv, environment);
}

int __libc_start_main(Main main, int argc, char** argv, void (*init)(void), void (*fini)(void), void (*loader_fini)(void),
                      void* stack_end) {
  real_main = main;
  return ((StartMain)dlsym(RTLD_NEXT, "__libc_start_main"))(armed_main, argc, argv, init, fini, loader_fini, stack_end);
}

__attribute__((destructor)) static void report(void) {
  const char* name = getenv("FAIL_LOG");
  FILE* file;
  int i;
  armed = 0;
  if (!name || !(file = fopen(name, "w"))) return;
  for (i = 0; i < kMostStacks; ++i)
    if (stacks[i].hash) fprintf(file, "%lu\n", stacks[i].call);
  fprintf(file, "%lu\n", calls);
  fclose(file);
}

static void note_stack(unsigned long call) {
  void* frames[kDepth];
  const int depth = backtrace(frames, kDepth);
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  int i, tries;
  for (i = 0; i < depth; ++i) hash = (hash ^ (uintptr_t)frames[i]) * 1099511628211u;
  hash |= 1;
  while (__atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE)) {
  }
  for (i = hash >> 48, tries = 0; tries < kMostStacks; i = (i + 1) % kMostStacks, ++tries) {
    if (stacks[i].hash == hash) break;
    if (stacks[i].hash) continue;
    stacks[i].hash = hash;
    stacks[i].call = call;
    break;
  }
  __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

static int fails(void) {
  unsigned long call;
  if (!armed) return 0;
  call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  if (stacks_wanted) note_stack(call);
  if (!fail_at || (fail_on ? call < fail_at : call != fail_at)) return 0;
  errno = ENOMEM;
  return 1;
}

void* malloc(size_t size) { return fails() ? NULL : __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return fails() ? NULL : __libc_calloc(count, size); }
void* realloc(void* pointer, size_t size) { return fails() ? NULL : __libc_realloc(pointer, size); }
void* memalign(size_t alignment, size_t size) { return fails() ? NULL : __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void** out, size_t alignment, size_t size) {
  *out = memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}
