// The calls without providers, which OpenSSL 3 calls deprecated: they allocate nothing, so nothing can fail.
// Looking for a provider's method crashes OpenSSL 3.0 where an allocation fails.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "fisherdiag/base/digest.hpp"

#include <openssl/sha.h>

#include <array>

namespace fisherdiag {

struct Sha256::State {
  SHA256_CTX context{};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  SHA256_Init(&state_->context);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  SHA256_Update(&state_->context, bytes.data(), bytes.size());
}

std::string Sha256::hex() {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256_Final(digest.data(), &state_->context);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace fisherdiag
