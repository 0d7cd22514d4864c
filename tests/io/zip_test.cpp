#include "fisherdiag/io/zip.hpp"

#include <span>
#include <string>
#include <vector>

#include "fisherdiag/base/error.hpp"
#include "io/zip_files.hpp"

namespace fisherdiag::test {

namespace {

std::string content_of(io::SizedStream& stream, std::uint64_t offset, std::size_t count) {
  std::string text(count, '\0');
  stream.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

std::string read_member(const std::filesystem::path& path, const std::string& name) {
  const io::ZipArchive archive(path);
  const io::ZipMember* member = archive.find(name);
  REQUIRE(member);
  const auto stream = archive.open(*member);
  return content_of(*stream, 0, stream->size());
}

void rejected(const std::string& bytes, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad.npz", bytes);
  require_error<FormatError>(path, reason, [&] { io::ZipArchive archive(path); });
}

/// Requires the error when the one member is opened and read.
void rejected_inside(const ZipPart& part, const std::string& reason) {
  const TemporaryFolder folder;
  const auto path = folder.file("bad.npz", zip_of({part}));
  require_error<FormatError>(path, reason, [&] { read_member(path, part.name); });
}

}  // namespace

TEST_CASE("zip: stored and deflated members, forward, back and in part", "[zip]") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 9000; ++i) text += static_cast<char>('a' + i * i % 23);
  for (const bool deflated : {false, true}) {
    const auto path = folder.file("a.npz", zip_of({{"empty", "", deflated}, {"b", text, deflated}}));
    const io::ZipArchive archive(path);
    REQUIRE(archive.members().size() == 2);
    REQUIRE(archive.find("c") == nullptr);
    const auto stream = archive.open(*archive.find("b"));
    REQUIRE(stream->size() == text.size());
    for (const std::size_t offset : {0u, 100u, 8000u, 50u, 8999u})
      REQUIRE(content_of(*stream, offset, 1) == text.substr(offset, 1));
    REQUIRE(content_of(*stream, 0, text.size()) == text);
    REQUIRE(content_of(*stream, 10, 20) == text.substr(10, 20));
    REQUIRE(archive.open(*archive.find("empty"))->size() == 0);
    require_error<FormatError>(path, "truncated", [&] { content_of(*stream, text.size(), 1); });
  }
}

TEST_CASE("zip: a comment, Zip64, no member at all", "[zip]") {
  const TemporaryFolder folder;
  ZipBytes zip;
  REQUIRE(io::ZipArchive(folder.file("none.npz", zip.end())).members().empty());
  zip.add({"x", "one"});
  zip.add({"y", "two", true});
  const std::string body = zip.members + zip.directory;
  for (const std::string& end : {zip.end("PK\5\6 is not the end"), zip.end64()}) {
    REQUIRE(read_member(folder.file("a.npz", body + end), "x") == "one");
    REQUIRE(read_member(folder.file("a.npz", body + end), "y") == "two");
  }
}

TEST_CASE("zip: directories that cannot be believed", "[zip]") {
  const std::string good = zip_of({{"x", "one"}, {"y", "two", true}});
  rejected("", "directory at its end");
  rejected("PK\3\4", "directory at its end");
  rejected(good + "x", "directory at its end");
  rejected("x" + good, "not just before its end");
  rejected(zip_of({{"x", "1"}, {"x", "2"}}), "two members");
  rejected(zip_of({{"x", "1", false, 0, 0, 12}}), "method 12");
  rejected(zip_of({{"x", "1", false, 0, 0, 0xFFFF, 1}}), "encrypted");
  rejected(zip_of({{"x", "1", false, 0, 1}}), "cannot give");
  rejected(zip_of({{"x", "1", true, 0, 1 << 20}}), "cannot give");
  ZipBytes zip;
  zip.add({"x", "1"});
  std::string damaged = zip.directory;
  damaged[0] = 'Q';
  rejected(zip.members + damaged + zip.end(), "damaged directory");
  damaged = zip.directory;
  damaged[28] = 100;  // the name's length
  rejected(zip.members + damaged + zip.end(), "damaged directory");
  damaged = zip.directory;
  damaged[42] = 60;  // the member's place
  rejected(zip.members + damaged + zip.end(), "overlaps");
  zip.count = 0;
  rejected(zip.members + zip.directory + zip.end(), "longer than its entries");
  zip.count = 7;
  rejected(zip.members + zip.directory + zip.end(), "damaged or too large");
}

TEST_CASE("zip: every truncation is an error", "[zip]") {
  const TemporaryFolder folder;
  const std::string good = zip_of({{"x", "one"}, {"y", "two", true}});
  for (std::size_t length = 0; length < good.size(); ++length)
    REQUIRE_THROWS_AS(io::ZipArchive(folder.file("cut", good.substr(0, length))), FormatError);
}

TEST_CASE("zip: content that is not what the directory says", "[zip]") {
  for (const bool deflated : {false, true}) {
    rejected_inside({"x", "content", deflated, 1}, "checksum");
    rejected_inside({"x", "content", deflated, 0, 0, 0xFFFF, 0, "z"}, "not what the directory says");
  }
  rejected_inside({"x", "content", true, 0, 1}, "truncated");
  rejected_inside({"x", "content", true, crc32_of("content") ^ crc32_of("conten"), -1}, "trailing");
  rejected_inside({"x", "\7 is no deflate block", false, 0, 0, 8}, "damaged");
}

}  // namespace fisherdiag::test
