#include "fisherdiag/base/digest.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using fisherdiag::Sha256;

namespace {
std::string digest_of(const std::string& text) {
  Sha256 digest;
  digest.update_values(std::span<const char>(text));
  return digest.hex();
}
}  // namespace

TEST_CASE("SHA-256 of the standard's examples") {
  // FIPS 180-2, appendix B.1 and B.2, and the empty message.
  CHECK(digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("SHA-256 does not depend on how the bytes are handed over") {
  const std::vector<float> values{1.0f, -2.5f, 3.25f, 0.0f};
  Sha256 whole, parts;
  whole.update_values(std::span<const float>(values));
  parts.update_values(std::span<const float>(values).first(1));
  parts.update_values(std::span<const float>());
  parts.update(std::as_bytes(std::span<const float>(values).subspan(1)));
  CHECK(whole.hex() == parts.hex());
}
