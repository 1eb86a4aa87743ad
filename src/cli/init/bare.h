// What bulkhead-init has instead of a C library: system calls, a fork, a few words about text. Where
// raw_call.h does not know the machine, the C library's own syscall(2) stands in.
#pragma once

#include <sys/syscall.h>

#include "sys/raw_call.h"

namespace bulkhead::init {

// The kernel's answer: a result, or the negated errno.
long call(long number, long a = 0, long b = 0, long c = 0, long d = 0) noexcept;
[[noreturn]] void quit(int code) noexcept;
long fork_process() noexcept;

// The program itself; the exit code.
int run(int count, char** arguments, char** environment);

template <class T>
long address(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}
inline long long_of(unsigned long number) noexcept { return static_cast<long>(number); }

inline unsigned long length(const char* text) noexcept {
  unsigned long size = 0;
  while (text[size] != '\0') ++size;
  return size;
}
inline bool begins_with(const char* text, const char* word) noexcept {
  for (; *word != '\0'; ++text, ++word)
    if (*text != *word) return false;
  return true;
}
inline bool contains(const char* text, char wanted) noexcept {
  for (; *text != '\0'; ++text)
    if (*text == wanted) return true;
  return false;
}
// DIRECTORY/NAME; false when it does not fit.
inline bool join(char* out, unsigned long room, const char* directory, unsigned long size,
                 const char* name) noexcept {
  if (size + length(name) + 2 > room) return false;
  for (unsigned long i = 0; i < size; ++i) *out++ = directory[i];
  if (size != 0) *out++ = '/';
  while ((*out++ = *name++) != '\0') continue;
  return true;
}

}  // namespace bulkhead::init
