#include "fisherdiag/io/split_rows.hpp"

#include <glob.h>

#include <algorithm>
#include <new>
#include <utility>

#include "fisherdiag/base/error.hpp"

namespace fisherdiag::io {

namespace {

namespace fs = std::filesystem;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::vector<ArrayWords> expand_pattern(const std::string& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> paths;
  if (status == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (status == GLOB_NOSPACE) throw std::bad_alloc();
  if (paths.empty()) throw IoError(pattern + ": no file matches this pattern");
  std::sort(paths.begin(), paths.end(), natural_less);
  std::vector<ArrayWords> files;
  for (std::string& path : paths) files.push_back({std::move(path), {}});
  return files;
}

/// One piece of a list.
std::vector<ArrayWords> expand_piece(const std::string& piece) {
  constexpr std::string_view kArchive = ".npz:";
  if (exists(piece)) return {{piece, {}}};
  const std::size_t archive = piece.find(kArchive);
  if (archive != std::string::npos && archive + kArchive.size() < piece.size())
    return {{piece.substr(0, archive + kArchive.size() - 1), piece.substr(archive + kArchive.size())}};
  if (piece.find_first_of("*?[") != std::string::npos) return expand_pattern(piece);
  return {{piece, {}}};
}

class SplitRows final : public RowSource {
 public:
  SplitRows(std::vector<ArrayWords> files, ArrayRole role) : files_(std::move(files)), role_(role) {
    for (std::size_t i = 0; i < files_.size(); ++i) add_part(i);
    name_ = files_.front().path.string() + " and " + std::to_string(files_.size() - 1) + " more files";
  }

  std::size_t rows() const override { return starts_.back(); }
  std::size_t width() const override { return width_; }
  const std::string& name() const override { return name_; }

  void read_rows(std::size_t first, MatrixView<float> out) override {
    for (std::size_t done = 0; done < out.rows;) {
      const std::size_t row = first + done;
      const std::size_t part = static_cast<std::size_t>(
          std::upper_bound(starts_.begin(), starts_.end(), row) - starts_.begin() - 1);
      const std::size_t count = std::min(out.rows - done, starts_[part + 1] - row);
      part_rows(part).read_rows(row - starts_[part],
                                MatrixView<float>(out.row(done), count, out.cols, out.stride));
      done += count;
    }
  }

  std::size_t dimensions() const { return dimensions_; }
  bool integer() const { return integer_; }
  std::size_t parts() const { return files_.size(); }
  std::size_t part_size(std::size_t part) const { return starts_[part + 1] - starts_[part]; }
  std::string part_name(std::size_t part) const { return files_[part].path.string(); }

 private:
  void add_part(std::size_t part) {
    const ArrayFile file = open_array(files_[part], role_);
    if (part == 0) {
      width_ = file.rows->width();
      dimensions_ = file.dimensions;
      integer_ = file.integer;
    }
    const std::string& first = files_.front().path.string();
    if (file.rows->width() != width_)
      throw DataError(file.rows->name() + ": has rows of " + std::to_string(file.rows->width()) +
                      " values, but " + first + " has " + std::to_string(width_));
    if (file.dimensions != dimensions_ || file.integer != integer_)
      throw DataError(file.rows->name() + ": is of another kind than " + first +
                      ": dimensions and integer or not must be the same in all parts");
    if (file.rows->rows() > SIZE_MAX - starts_.back())
      throw DataError(file.rows->name() + ": too many rows in all");
    starts_.push_back(starts_.back() + file.rows->rows());
  }

  RowSource& part_rows(std::size_t part) {
    if (open_ && part == open_part_) return *open_;
    open_.reset();
    open_ = open_array(files_[part], role_).rows;
    open_part_ = part;
    if (open_->rows() != part_size(part) || open_->width() != width_) {
      const std::string name = std::exchange(open_, nullptr)->name();
      throw DataError(name + ": changed while being read");
    }
    return *open_;
  }

  std::vector<ArrayWords> files_;
  ArrayRole role_;
  std::string name_;
  std::size_t width_ = 0;
  std::size_t dimensions_ = 0;
  bool integer_ = false;
  std::vector<std::size_t> starts_ = {0};  ///< first row of each part, and their number
  std::unique_ptr<RowSource> open_;
  std::size_t open_part_ = 0;
};

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (digit(a.front()) && digit(b.front())) {
      const auto take = [&digit](std::string_view& text) {
        text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
        std::size_t count = 0;
        while (count < text.size() && digit(text[count])) ++count;
        const std::string_view number = text.substr(0, count);
        text.remove_prefix(count);
        return number;
      };
      const std::string_view x = take(a), y = take(b);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else {
      if (a.front() != b.front())
        return static_cast<unsigned char>(a.front()) < static_cast<unsigned char>(b.front());
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // the same but for leading zeros
}

std::vector<ArrayWords> expand_words(const std::string& words) {
  if (exists(words) || words.find(',') == std::string::npos) return expand_piece(words);
  std::vector<ArrayWords> files;
  for (std::size_t begin = 0; begin <= words.size();) {
    const std::size_t end = std::min(words.find(',', begin), words.size());
    const std::string piece = words.substr(begin, end - begin);
    if (piece.empty()) throw ArgumentError("data '" + words + "' has an empty name in its list");
    for (ArrayWords& file : expand_piece(piece)) files.push_back(std::move(file));
    begin = end + 1;
  }
  return files;
}

ArrayFile open_arrays(const std::vector<ArrayWords>& files, ArrayRole role) {
  if (files.size() == 1) return open_array(files[0], role);
  auto rows = std::make_unique<SplitRows>(files, role);
  ArrayFile result;
  result.dimensions = rows->dimensions();
  result.integer = rows->integer();
  result.rows = std::move(rows);
  return result;
}

void check_pairs(const RowSource& inputs, const RowSource& targets) {
  const auto* a = dynamic_cast<const SplitRows*>(&inputs);
  const auto* b = dynamic_cast<const SplitRows*>(&targets);
  if (!a || !b || a->parts() != b->parts()) return;
  for (std::size_t i = 0; i < a->parts(); ++i)
    if (a->part_size(i) != b->part_size(i))
      throw DataError(b->part_name(i) + ": holds " + std::to_string(b->part_size(i)) + " targets, but " +
                      a->part_name(i) + " holds " + std::to_string(a->part_size(i)) + " samples");
}

}  // namespace fisherdiag::io
