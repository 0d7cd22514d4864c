"""The rooms of src/ include only what docs/design.md allows; xsimd and oneTBB stay in their rooms."""

import pathlib
import re
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src"

# A room may include itself and rooms of lower levels, never another room of its own level.
LEVELS = ({"base"}, {"kernels", "parallel", "io"}, {"nn", "likelihood"}, {"fisher"}, {"ewc"}, {"train"}, {"c", "cli"})
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def files():
    return [path for pattern in ("*.hpp", "*.cpp") for path in sorted(SOURCE.rglob(pattern))]


def room_of(path):
    """The room of a source file or of an include of ours; None for an include from outside."""
    parts = pathlib.PurePosixPath(path).parts
    if parts[0] == "cli":
        return "cli"
    return parts[1] if parts[0] == "fisherdiag" and len(parts) > 2 else None


def includes(path):
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def allowed(room, other):
    return room == other or LEVEL_OF[other] < LEVEL_OF[room]


class Layout(unittest.TestCase):
    def test_every_file_is_in_a_room(self):
        self.assertGreater(len(files()), 50)
        strays = [str(path) for path in files() if room_of(path.relative_to(SOURCE)) not in LEVEL_OF]
        self.assertEqual(strays, [])

    def test_includes_go_one_way(self):
        wrong = []
        for path in files():
            room = room_of(path.relative_to(SOURCE))
            for include in includes(path):
                other = room_of(include)
                if other is not None and (other not in LEVEL_OF or not allowed(room, other)):
                    wrong.append(f"{path.relative_to(SOURCE)} includes {include}")
        self.assertEqual(wrong, [])

    def test_the_rule_itself(self):
        self.assertTrue(allowed("fisher", "kernels"))
        for room, other in (("kernels", "parallel"), ("nn", "likelihood"), ("io", "fisher"), ("base", "io")):
            self.assertFalse(allowed(room, other), f"{room} -> {other}")

    def test_xsimd_only_in_kernels_and_tbb_only_in_parallel(self):
        for path in files():
            room = room_of(path.relative_to(SOURCE))
            for include in includes(path):
                if include.startswith("xsimd"):
                    self.assertEqual((room, path.parent.name), ("kernels", "impl"), f"{path} includes {include}")
                if include.startswith(("tbb/", "oneapi/")):
                    self.assertEqual((room, path.suffix), ("parallel", ".cpp"), f"{path} includes {include}")

    def test_public_headers_need_no_third_party(self):
        for path in files():
            if path.suffix == ".hpp" and path.parent.name != "impl" and room_of(path.relative_to(SOURCE)) != "cli":
                outside = [i for i in includes(path) if room_of(i) is None and "/" in i]
                self.assertEqual([i for i in outside if not i.startswith("sys/")], [], str(path))


if __name__ == "__main__":
    unittest.main()
