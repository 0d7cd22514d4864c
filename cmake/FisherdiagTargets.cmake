# Settings every target of ours shares.
add_library(fisherdiag_options INTERFACE)
target_compile_features(fisherdiag_options INTERFACE cxx_std_20)
target_compile_options(fisherdiag_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
# g++ 12 reports overlapping copies inside std::string's operator+ that cannot happen (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(fisherdiag_options INTERFACE -Wno-restrict)
endif()
if(FISHERDIAG_WARNINGS_AS_ERRORS)
  target_compile_options(fisherdiag_options INTERFACE -Werror)
endif()
if(FISHERDIAG_SANITIZE)
  target_compile_options(fisherdiag_options INTERFACE -fsanitize=${FISHERDIAG_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(fisherdiag_options INTERFACE -fsanitize=${FISHERDIAG_SANITIZE})
endif()

# Multiply-adds are written where they are wanted; the compiler adds none, so results do not depend on its mood.
target_compile_options(fisherdiag_options INTERFACE -ffp-contract=off)
