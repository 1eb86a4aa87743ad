// Whether the test's program is built with a sanitizer, which maps more memory than a worker may have.
// Included by tests only.
#pragma once

namespace bulkhead::cli {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BULKHEAD_IS_SANITIZED 1
#endif
#endif
#ifdef BULKHEAD_IS_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace bulkhead::cli
