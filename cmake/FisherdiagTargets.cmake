# Settings every target of ours shares.
add_library(fisherdiag_options INTERFACE)
target_compile_features(fisherdiag_options INTERFACE cxx_std_20)
target_compile_options(fisherdiag_options INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
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
