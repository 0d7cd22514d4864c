/* Preloaded: allocation number FAIL_AT fails, or all from it on with FAIL_ON set. The count goes to FAIL_LOG. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* pointer, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static unsigned long calls, fail_at;
static int fail_on, armed;

__attribute__((constructor)) static void arm(void) {
  const char* at = getenv("FAIL_AT");
  fail_at = at ? strtoul(at, NULL, 10) : 0;
  fail_on = getenv("FAIL_ON") != NULL;
  armed = 1;
}

__attribute__((destructor)) static void report(void) {
  const char* name = getenv("FAIL_LOG");
  char text[32];
  int file, length = snprintf(text, sizeof text, "%lu\n", calls);
  armed = 0;
  if (!name) return;
  file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file >= 0 && write(file, text, (size_t)length) == length) close(file);
}

static int fails(void) {
  unsigned long call;
  if (!armed) return 0;
  call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
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
