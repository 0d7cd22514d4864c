"""Files that must be refused."""

import json
import struct
import zipfile

from .writers import (
    DATA,
    LABELS,
    NAMES,
    X_IDX,
    X_NPY,
    Y_NPY,
    arch_json,
    gzip_member,
    idx,
    npy,
    npz,
    pack,
    safetensors,
    safetensors_entries,
    weights,
    write_shards,
)


def raw(entry_text, data=bytes(8)):
    return safetensors(entry_text, data)


def bad_weights(corpus):
    good = weights()
    corpus.truncate("weights", "w.safetensors", good, 40)
    corpus.flip("weights", "length.safetensors", good, range(8))
    structure = [i for i in range(8, 8 + struct.unpack("<Q", good[:8])[0]) if good[i : i + 1] in b"{}[],:"]
    corpus.flip("weights", "structure.safetensors", good, structure[:12])
    entry = '"0.bias":{"dtype":"%s","shape":%s,"data_offsets":%s}'
    header, data = safetensors_entries()
    text = json.dumps(header)

    def one(name, reason, dtype="F32", shape="[2]", offsets="[0,8]"):
        corpus.reject("weights", name + ".safetensors", raw("{" + entry % (dtype, shape, offsets) + "}"), reason)

    one("overflow-to-zero", "overflow", shape="[4294967296,4294967296]", offsets="[0,0]")
    one("overflow-63", "overflow", shape="[9223372036854775808,2]", offsets="[0,0]")
    one("overflow-bits", "overflow", shape="[4611686018427387904]", offsets="[0,8]")
    one("overflow-behind-zero", "overflow", shape="[0,4294967296,4294967296]", offsets="[0,0]")
    one("reversed", "end before", offsets="[8,0]")
    one("hole", "hole", offsets="[4,12]")
    one("past-the-end", "truncated", shape="[4]", offsets="[0,16]")
    one("short", "trailing", shape="[1]", offsets="[0,4]")
    one("one-offset", "offsets", offsets="[0]")
    one("three-offsets", "offsets", offsets="[0,8,8]")
    one("no-offsets", "offsets", offsets="[]")
    one("offset-negative", "negative", offsets="[-8,0]")
    one("offset-float", "number", offsets="[0,8.0]")
    one("offset-2-to-53", "9007199254740993", offsets="[9007199254740993,9007199254741001]")
    one("offset-over-64-bits", "number", offsets="[0,18446744073709551624]")
    one("offset-text", "string", offsets='["0","8"]')
    one("offset-null", "null", offsets="[null,8]")
    one("offset-nested", "array", offsets="[[0,8]]")
    one("shape-negative", "negative", shape="[-2]")
    one("shape-float", "number", shape="[2e0]")
    one("shape-text", "string", shape='"2"')
    one("shape-object", "object", shape='{"0":2}')
    one("shape-wrong", "bits", shape="[3]")
    one("shape-65-dimensions", "dimensions", shape="[" + ",".join(["1"] * 65) + "]")
    one("dtype-unknown", "dtype", dtype="F128")
    one("dtype-case", "dtype", dtype="f32")
    one("dtype-f4-half-byte", "bits", dtype="F4", shape="[1]", offsets="[0,0]")
    for name, start in [
        ("byte-order-mark", b"\xef\xbb\xbf{"),
        ("leading-space", b" {"),
        ("array", b"["),
        ("text", b'"a"'),
    ]:
        corpus.reject("weights", "start-%s.safetensors" % name, safetensors(start + b"}", b""), "'{'")
    for name, middle, reason in [
        ("duplicate-tensor", "{%s,%s}" % (entry % ("F32", "[1]", "[0,4]"), entry % ("F32", "[1]", "[4,8]")), "twice"),
        ("duplicate-key", '{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', "twice"),
        ("duplicate-metadata", '{"__metadata__":{"a":"1","a":"2"}}', "twice"),
        ("no-dtype", '{"a":{"shape":[2],"data_offsets":[0,8]}}', "no dtype"),
        ("no-shape", '{"a":{"dtype":"F32","data_offsets":[0,8]}}', "no shape"),
        ("no-data-offsets", '{"a":{"dtype":"F32","shape":[2]}}', "no data_offsets"),
        ("unknown-key", '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"scale":1}}', "unknown key"),
        ("metadata-number", '{"__metadata__":{"epoch":3}}', "metadata"),
        ("metadata-list", '{"__metadata__":["a"]}', "array"),
        ("metadata-text", '{"__metadata__":"a"}', "string"),
        ("metadata-nested", '{"__metadata__":{"a":{"b":"c"}}}', "object"),
        ("tensor-null", '{"a":null}', "null"),
        ("tensor-list", '{"a":[1]}', "array"),
        ("tensor-true", '{"a":true}', "truth"),
        ("deep-objects", '{"a":' * 100000, "object"),
        ("deep-arrays", '{"a":{"shape":' + "[" * 100000, "array"),
        ("text-after", "{} {}", "JSON"),
        ("no-end", '{"a":{', "JSON"),
        ("comma", "{,}", "JSON"),
        ("comment", "{/* */}", "JSON"),
        ("single-quotes", "{'a':1}", "JSON"),
        ("nan", '{"a":NaN}', "JSON"),
    ]:
        corpus.reject("weights", "json-" + name + ".safetensors", raw(middle), reason)
    for name, middle in [
        ("utf8", b'{"\xff\xfe":1}'),
        ("utf8-overlong", b'{"\xc0\x80":1}'),
        ("surrogate", b'{"\\ud800":1}'),
        ("zero-byte", b"{}\0"),
        ("control", b'{"a\x01":1}'),
    ]:
        corpus.reject("weights", name + ".safetensors", safetensors(middle, b""), "JSON")
    overlap = dict(header, **{"0.bias": dict(header["0.bias"], data_offsets=[0, 12])})
    corpus.reject("weights", "overlap.safetensors", safetensors(json.dumps(overlap), data))
    for name, length in [
        ("wraps", 2**64 - 8),
        ("2-to-63", 2**63),
        ("100-million", 100000001),
        ("whole-file", len(good)),
        ("one-more", len(good) - 7),
        ("zero", 0),
    ]:
        corpus.reject("weights", "length-%s.safetensors" % name, safetensors(text, data, length=length))
    corpus.reject("weights", "trailing.safetensors", good + b"\0\0\0\0", "trailing")
    corpus.reject("weights", "twice-the-file.safetensors", good + good, "trailing")
    corpus.reject("weights", "is-npy.safetensors", X_NPY)
    corpus.reject("weights", "is-pickle.pt", npz([("archive/data.pkl", b"\x80\x02}q\0.")]))
    bad_values(corpus, header, data)


def bad_values(corpus, header, data):
    """Well-formed, but not this model's weights."""
    for value, name in [(float("nan"), "nan"), (float("inf"), "infinite"), (float("-inf"), "minus-infinite")]:
        corpus.reject(
            "weights",
            name + ".safetensors",
            safetensors(json.dumps(header), data[:8] + pack("f", [value]) + data[12:]),
            "finite",
        )
    huge = safetensors_entries("F64")
    corpus.reject(
        "weights",
        "too-large-for-float.safetensors",
        safetensors(json.dumps(huge[0]), pack("d", [1e300]) + huge[1][8:]),
        "finite",
    )
    for name, change, reason in [
        ("transposed", {"shape": [4, 3]}, "shape"),
        ("flat", {"shape": [12]}, "shape"),
        ("rank-3", {"shape": [1, 3, 4]}, "shape"),
        ("integers", {"dtype": "I32"}, "I32"),
        ("unsigned", {"dtype": "U32"}, "U32"),
    ]:
        corpus.reject(
            "weights",
            name + ".safetensors",
            safetensors(json.dumps(dict(header, **{"0.weight": dict(header["0.weight"], **change)})), data),
            reason,
        )
    renamed = {("module." + key): value for key, value in header.items()}
    corpus.reject("weights", "prefixed-names.safetensors", safetensors(json.dumps(renamed), data), "module.")
    missing, part = safetensors_entries(order=(0, 1, 2))
    corpus.reject("weights", "missing.safetensors", safetensors(json.dumps(missing), part), "2.bias")
    more = dict(header, extra={"dtype": "F32", "shape": [1], "data_offsets": [len(data), len(data) + 4]})
    corpus.reject("weights", "extra.safetensors", safetensors(json.dumps(more), data + bytes(4)), "extra")


def bad_npy(corpus):
    corpus.truncate("data", "x.npy", X_NPY, 25)
    corpus.flip("data", "magic.npy", X_NPY, range(8), skip=())
    corpus.flip("data", "length.npy", X_NPY, [9])
    digits = [X_NPY.index(b"(6, 4") + 1, X_NPY.index(b"(6, 4") + 4]
    corpus.flip("data", "shape.npy", X_NPY, digits)
    data = pack("f", DATA)
    good = "{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4), }"
    for name, dictionary, reason in [
        ("object", good.replace("<f4", "|O"), "dtype"),
        ("complex", good.replace("<f4", "<c8"), "dtype"),
        ("text", good.replace("<f4", "<U1"), "dtype"),
        ("void", good.replace("<f4", "|V4"), "dtype"),
        ("time", good.replace("<f4", "<M8[s]"), "dtype"),
        ("no-order", good.replace("<f4", "f4"), "dtype"),
        ("no-descr-text", good.replace("<f4", ""), "dtype"),
        ("long-double", good.replace("<f4", "<f16"), "dtype"),
        ("structured", good.replace("'<f4'", "[('a', '<f4')]"), "structured"),
        ("fortran", good.replace("False", "True"), "Fortran"),
        ("fortran-number", good.replace("False", "0"), "fortran_order"),
        ("fortran-lower", good.replace("False", "false"), "fortran_order"),
        ("shape-list", good.replace("(6, 4)", "[6, 4]"), "header"),
        ("shape-int64", good.replace("(6, 4)", "(np.int64(6), 4)"), "shape"),
        ("shape-negative", good.replace("6,", "-6,"), "shape"),
        ("shape-float", good.replace("6,", "6.0,"), "header"),
        ("shape-no-tuple", good.replace("(6, 4)", "(24)"), "tuple"),
        ("shape-blank", good.replace("6, 4", "6 4"), "header"),
        ("shape-overflow", good.replace("(6, 4)", "(4294967296, 4294967296)"), "overflow"),
        ("shape-overflow-zero", good.replace("(6, 4)", "(0, 4294967296, 4294967296)"), "overflow"),
        ("shape-over-64-bits", good.replace("(6, 4)", "(18446744073709551616, 4)"), "overflow"),
        ("shape-larger", good.replace("6,", "7,"), "truncated"),
        ("shape-smaller", good.replace("6,", "5,"), "trailing"),
        ("shape-65", good.replace("(6, 4)", "(" + "1, " * 65 + ")"), "dimensions"),
        ("scalar", good.replace("(6, 4)", "()"), ""),
        ("code", "__import__('os').getpid()", "header"),
        ("no-shape", "{'descr': '<f4', 'fortran_order': False}", "shape"),
        ("no-descr", "{'fortran_order': False, 'shape': (6, 4)}", "descr"),
        ("empty", "{}", "header"),
        ("twice", good.replace("'shape'", "'descr': '<f4', 'shape'"), "twice"),
        ("more", good.replace("'shape'", "'extra': 1, 'shape'"), "unknown"),
        ("after", good + "x", "after"),
        ("quote", good.replace("'descr'", "'descr"), "header"),
        ("escape", good.replace("<f4", "<f\\x34"), "string"),
        ("zero", good.replace("'shape'", "\0'shape'"), "header"),
        ("nested", "{" * 5000, "header"),
    ]:
        corpus.reject("data", "npy-%s.npy" % name, npy("", [], data, dictionary=dictionary), reason)
    corpus.reject("data", "npy-long-header.npy", npy("<f4", [6, 4], data, version=2, align=20000), "10000")
    corpus.reject("data", "npy-4-gigabyte-header.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff", "header")
    for version in [0, 4, 255]:
        corpus.reject("data", "npy-version-%d.npy" % version, X_NPY[:6] + bytes([version]) + X_NPY[7:], "version")
    for name, value in [("nan", float("nan")), ("infinite", float("-inf"))]:
        corpus.reject("data", "value-" + name + ".npy", npy("<f4", [6, 4], pack("f", [value]) + data[4:]), "sample 0")
    corpus.reject("data", "too-large.npy", npy("<f8", [6, 4], pack("d", DATA[:-1] + [1e39])), "sample 5")
    corpus.reject("data", "no-samples.npy", npy("<f4", [0, 4], b""), "no samples")
    corpus.reject("data", "no-features.npy", npy("<f4", [6, 0], b""), "no features")
    corpus.reject("data", "wrong-width.npy", npy("<f4", [6, 3], pack("f", DATA[:18])), "4")
    corpus.reject("data", "gone-to-text.npy", b"0,1,2,3\n" * 6, "magic")
    corpus.reject("data", "is-safetensors.npy", weights(), "magic")


def bad_labels(corpus):
    for name, descr, data, reason in [
        ("two", "<i8", pack("q", [0, 1, 0, 2, 0, 1]), "sample 3"),
        ("negative", "<i1", pack("b", [0, 1, -1, 1, 0, 1]), "sample 2"),
        ("large", "<i8", pack("q", [0, 1, 2**40, 1, 0, 1]), "sample 2"),
        ("max", "<u8", pack("Q", [2**64 - 1, 1, 0, 1, 0, 1]), "sample 0"),
        ("2-to-24", "<u4", pack("I", [16777217] * 6), "sample 0"),
    ]:
        corpus.reject("labels", "label-%s.npy" % name, npy(descr, [6], data), reason)
    for name, count in [("5", 5), ("7", 7), ("none", 0)]:
        corpus.reject("labels", "labels-%s.npy" % name, npy("<i8", [count], pack("q", [0] * count)))
    corpus.reject("labels", "labels-3-dimensions.npy", npy("<i8", [6, 1, 1], pack("q", LABELS)), "dimensions")
    corpus.reject("labels", "labels-are-images-idx", X_IDX, "dimensions")
    corpus.reject("labels", "labels-nan.npy", npy("<f4", [6], pack("f", [float("nan")] * 6)))
    corpus.truncate("labels", "y.npy", Y_NPY, 8)
    corpus.truncate("labels", "y-idx", idx(8, [6], bytes(LABELS)), 8)


def bad_idx(corpus):
    corpus.truncate("data", "x-idx", X_IDX, 15)
    # An 8 for unsigned bytes becomes a 9 for signed ones: another type of the same size, and valid.
    corpus.flip("data", "header-idx", X_IDX, range(16), skip={(2, 0)})
    for name, content, reason in [
        ("type", idx(10, [6, 4], bytes(24)), "type"),
        ("no-dimensions", b"\0\0\x08\0" + bytes(24), "dimensions"),
        ("255-dimensions", b"\0\0\x08\xff" + b"\0\0\0\x02" * 255, "overflow"),
        ("overflow", idx(8, [2**32 - 1] * 4, b""), "overflow"),
        ("overflow-to-zero", idx(8, [2**31, 2**31, 4], b""), "overflow"),
        ("negative", idx(8, [2**31], b"x"), ""),
        ("labels", idx(8, [24], bytes(24)), "dimensions"),
        ("trailing", X_IDX + b"x", "trailing"),
        ("no-samples", idx(8, [0, 4], b""), "no samples"),
    ]:
        corpus.reject("data", "idx-" + name, content, reason)
    good = gzip_member(X_IDX)
    corpus.truncate("data", "x-idx.gz", good, 25)
    # Bit 0 of the flags, "probably text", means nothing; time, level and system (bytes 4 to 9) neither.
    corpus.flip("data", "header.gz", good, range(4), skip={(3, 0)})
    corpus.flip("data", "trailer.gz", good, range(len(good) - 8, len(good)))
    for name, content, reason in [
        ("trailing", good + b"more", "trailing"),
        ("trailing-zero", good + b"\0", "trailing"),
        ("no-idx", gzip_member(b"hello, this is text"), "IDX"),
        ("empty", gzip_member(b""), ""),
        ("longer", gzip_member(X_IDX + b"x"), "trailing"),
        ("second-member", good + gzip_member(b"x"), "trailing"),
        ("half-second-member", gzip_member(X_IDX[:20]) + gzip_member(X_IDX[20:])[:-9], "truncated"),
        ("bomb", gzip_member(idx(8, [6, 4], bytes(50 << 20)), level=9), "trailing"),
        ("promises-a-terabyte", gzip_member(idx(8, [2**28, 4, 1024], b"")), ""),
        ("npy", gzip_member(X_NPY), "IDX"),
    ]:
        corpus.reject("data", "gzip-%s.gz" % name, content, reason)


def bad_npz(corpus):
    members = [("x.npy", X_NPY), ("y.npy", Y_NPY)]
    stored, deflated = npz(members), npz(members, zipfile.ZIP_DEFLATED)
    for name, content in [("stored", stored), ("deflated", deflated)]:
        corpus.truncate("data", name + ".npz", content, 20)
    end = len(stored) - 22
    directory = struct.unpack("<I", stored[end + 16 : end + 20])[0]
    corpus.flip(
        "data", "end.npz", stored, [*range(end, end + 4), end + 8, end + 10, end + 12, end + 13, end + 16, end + 20]
    )
    # Signature, method, checksum and sizes of the first entry.
    corpus.flip(
        "data",
        "directory.npz",
        stored,
        [*range(directory, directory + 4), directory + 10, *range(directory + 16, directory + 22)],
    )
    corpus.flip("data", "local.npz", stored, [*range(4), 8, 30])
    for name, content, reason in [
        ("twice", npz([("x.npy", X_NPY), ("x.npy", X_NPY)]), "two members"),
        ("nothing", npz([]), "no array"),
        ("no-arrays", npz([("readme.txt", b"hello")]), "no array"),
        ("neither", npz([("a.npy", X_NPY), ("b.npy", Y_NPY)]), "'a'"),
        ("before", b"x" + stored, "before"),
        ("after", stored + b"x", ""),
        ("bzip2", npz(members, zipfile.ZIP_BZIP2), "method"),
        ("lzma", npz(members, zipfile.ZIP_LZMA), "method"),
        ("truncated-array", npz([("x.npy", X_NPY[:-1])]), "truncated"),
        ("longer-array", npz([("x.npy", X_NPY + b"x")], zipfile.ZIP_DEFLATED), "trailing"),
        ("empty-array", npz([("x.npy", b"")]), ""),
        ("object-array", npz([("x.npy", npy("|O", [6, 4], bytes(192)))]), "dtype"),
        ("only-magic", b"PK\x03\x04", "truncated"),
        ("bomb", npz([("x.npy", X_NPY[:-1] + bytes(50 << 20))], zipfile.ZIP_DEFLATED), "trailing"),
    ]:
        corpus.reject("data", "npz-%s.npz" % name, content, reason)


def bad_csv(corpus):
    line = "0,1,2,3\n"
    for name, content, reason in [
        ("empty", "", "empty"),
        ("header-only", "a,b,c,d\n", "no line"),
        ("short-line", line * 5 + "0,1,2\n", "line 6"),
        ("long-line", line * 5 + "0,1,2,3,4\n", "line 6"),
        ("word", line * 5 + "0,1,2,x\n", "line 6, column 4"),
        ("blank-cell", line * 5 + "0,,2,3\n", "line 6, column 2"),
        ("blank-line", line + "\n" + line * 5, "line 2"),
        ("semicolons", line.replace(",", ";") * 6, "line 2"),
        ("hexadecimal", line * 5 + "0x1,1,2,3\n", "line 6"),
        ("comma-at-the-end", line * 5 + "0,1,2,3,\n", "line 6"),
        ("decimal-comma", line * 5 + "0,1,2,3,5\n", "line 6"),
        ("nan", line * 5 + "0,nan,2,3\n", "sample 5"),
        ("infinite", line * 5 + "0,1e99,2,3\n", "sample 5"),
        ("zero-byte", line * 5 + "0,1\0,2,3\n", "line 6"),
        ("quotes", line * 5 + '"0",1,2,3\n', "line 6"),
        ("wrong-width", "0,1,2\n" * 6, "4"),
        ("binary", X_NPY, ""),
    ]:
        corpus.reject("data", "csv-%s.csv" % name, content, reason)


def bad_arch(corpus):
    text = json.dumps(arch_json())
    corpus.truncate("arch", "arch.json", text.encode(), 20)
    linear = {"type": "linear", "name": "0", "in": 4, "out": 3}
    for name, layers, reason, code in [
        ("conv", [linear, {"type": "conv9d", "name": "features.3"}], "features.3", 4),
        ("activation-first", [{"type": "relu"}, linear], "layers[0]", 4),
        ("activation-last", [linear, {"type": "relu"}], "'0'", 4),
        ("twice-activated", [linear, {"type": "relu"}, {"type": "tanh"}, dict(linear, name="b")], "layers[2]", 4),
        ("no-type", [{"in": 4}], "type", 3),
        ("type-number", [{"type": 3}], "type", 3),
        ("layer-text", ["linear"], "layers[0]", 3),
        ("no-in", [{"type": "linear", "out": 3}], "'in'", 3),
        ("in-zero", [dict(linear, **{"in": 0})], "'in'", 3),
        ("in-negative", [dict(linear, **{"in": -4})], "'in'", 3),
        ("in-float", [dict(linear, **{"in": 4.0})], "'in'", 3),
        ("in-text", [dict(linear, **{"in": "4"})], "'in'", 3),
        ("in-huge", [dict(linear, **{"in": 2**70})], "'in'", 3),
        ("too-large", [dict(linear, **{"in": 2**40, "out": 2**40})], "large", 3),
        ("unknown-key", [dict(linear, bais=1)], "bais", 3),
        ("name-number", [dict(linear, name=0)], "name", 3),
        ("same-names", [linear, dict(linear, **{"in": 3})], "two layers", 3),
        ("sizes-differ", [linear, dict(linear, name="b", **{"in": 5})], "'b'", 3),
        ("empty", [], "at least one", 3),
    ]:
        corpus.reject("arch", "arch-%s.json" % name, json.dumps({"layers": layers}), reason, code)
    for name, content, reason in [
        ("array", "[]", "layers"),
        ("number", "3", "layers"),
        ("layers-object", '{"layers":{}}', "layers"),
        ("format", json.dumps(arch_json(format="other/2")), "format"),
        ("more", json.dumps(arch_json(seed=1)), "seed"),
        ("twice", text[:-1] + ', "layers": []}', "twice"),
        ("deep", '{"layers":' + "[" * 100000, "nested"),
        ("deep-closed", '{"layers":' + "[" * 100000 + "]" * 100000 + "}", "nested"),
        ("zero", text + "\0", "zero"),
        ("after", text + "x", "JSON"),
        ("utf8", b'{"layers": "\xff"}', "JSON"),
        ("comment", "// hi\n" + text, "JSON"),
        ("number-too-large", '{"layers": [{"type": "linear", "in": 1e999}]}', "number"),
    ]:
        corpus.reject("arch", "json-%s.json" % name, content, reason)


def bad_index(corpus):
    index = write_shards(corpus, "bad")
    good = json.dumps({"weight_map": index})
    corpus.truncate("weights", "cut.index.json", good.encode(), 10)
    for name, content, reason in [
        ("missing", {"weight_map": {key: index[key] for key in NAMES[:3]}}, "2.bias"),
        ("elsewhere", {"weight_map": dict(index, **{"0.weight": "two.safetensors"})}, "0.weight"),
        ("not-there", {"weight_map": dict(index, extra="one.safetensors")}, "extra"),
        ("no-map", {"metadata": {}}, "weight_map"),
        ("empty", {"weight_map": {}}, "weight_map"),
        ("number", {"weight_map": dict(index, a=1)}, "'a'"),
        ("up", {"weight_map": dict(index, a="../one.safetensors")}, "'a'"),
        ("absolute", {"weight_map": dict(index, a="/etc/passwd")}, "'a'"),
        ("blank", {"weight_map": dict(index, a="")}, "'a'"),
        ("array", [], "weight_map"),
    ]:
        # The file named is the one at fault, which for a misplaced tensor is a shard.
        corpus.reject("weights", "index-%s.index.json" % name, json.dumps(content), reason)
    corpus.reject("weights", "index-twice.index.json", good[:-2] + ', "0.bias": "two.safetensors"}}', "twice")


def add_all(corpus):
    for part in (bad_weights, bad_npy, bad_labels, bad_idx, bad_npz, bad_csv, bad_arch, bad_index):
        part(corpus)
