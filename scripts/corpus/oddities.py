"""Files that look odd and must be read."""

import gzip
import json
import sys
import zipfile

from .writers import (
    DATA,
    LABELS,
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
    streamed_npz,
    weights,
    write_shards,
)


def odd_weights(corpus):
    for dtype in ["F64", "F16", "BF16"]:
        corpus.load("weights", dtype + ".safetensors", weights(dtype))
    corpus.load("weights", "unpadded.safetensors", weights(pad=0))
    corpus.load("weights", "padded-to-a-page.safetensors", weights(pad=4096))
    corpus.load("weights", "padded-to-a-megabyte.safetensors", weights(pad=1 << 20))
    corpus.load("weights", "indented.safetensors", weights(indent=2))
    corpus.load("weights", "dense.safetensors", weights(separators=(",", ":")))
    for order in [(3, 2, 1, 0), (2, 0, 3, 1)]:
        corpus.load("weights", "order-%d%d%d%d.safetensors" % order, weights(order=order))
    header, data = safetensors_entries()
    corpus.load(
        "weights", "listed-backwards.safetensors", safetensors(json.dumps(dict(reversed(header.items()))), data)
    )
    escaped = json.dumps(header).replace("0.weight", "\\u0030.weigh\\u0074")
    corpus.load("weights", "escaped-name.safetensors", safetensors(escaped, data))
    keys = {name: dict(reversed(entry.items())) for name, entry in header.items()}
    corpus.load("weights", "keys-backwards.safetensors", safetensors(json.dumps(keys), data))
    for name, metadata in [
        ("empty", {}),
        ("format", {"format": "pt"}),
        ("unicode", {"\u00fc\u4e2d\U0001f600": "\u00e9\n\t\u0000x"}),
        ("long", {"a": "b" * 100000}),
        ("many", {"key%d" % i: str(i) for i in range(2000)}),
        ("blank", {"": ""}),
    ]:
        corpus.load("weights", "metadata-%s.safetensors" % name, weights(metadata=metadata))
    index = write_shards(corpus, "odd")
    corpus.load("weights", "plain.safetensors.index.json", json.dumps({"weight_map": index}))
    corpus.load(
        "weights",
        "total.index.json",
        json.dumps({"metadata": {"total_size": 92, "x": "y"}, "weight_map": index}, indent=1),
    )
    corpus.load("weights", "later-version.index.json", json.dumps({"weight_map": index, "version": 3}))


def odd_npy(corpus):
    codes = {
        "f2": "e",
        "f4": "f",
        "f8": "d",
        "i1": "b",
        "u1": "B",
        "i2": "h",
        "u2": "H",
        "i4": "i",
        "u4": "I",
        "i8": "q",
        "u8": "Q",
    }
    for name, code in codes.items():
        for order in "<>" if name[1] != "1" else "|":
            descr, byte_order = order + name, order if order != "|" else "<"
            label = descr.replace("<", "little-").replace(">", "big-").replace("|", "")
            corpus.load("data", "x-%s.npy" % label, npy(descr, [6, 4], pack(code, DATA, byte_order)))
            corpus.load("labels", "y-%s.npy" % label, npy(descr, [6], pack(code, LABELS, byte_order)))
    corpus.load("labels", "y-bool.npy", npy("|b1", [6], bytes(LABELS)))
    corpus.load("labels", "y-column.npy", npy("<i4", [6, 1], pack("i", LABELS)))
    corpus.load("labels", "y-fortran.npy", npy("<i4", [6], pack("i", LABELS), fortran="True"))
    data = pack("f", DATA)
    for version in [2, 3]:
        corpus.load("data", "version-%d.npy" % version, npy("<f4", [6, 4], data, version))
    corpus.load("data", "equal-sign.npy", npy("=f4", [6, 4], data) if sys.byteorder == "little" else X_NPY)
    corpus.load("data", "unaligned.npy", npy("<f4", [6, 4], data, align=0))
    corpus.load("data", "no-newline.npy", npy("<f4", [6, 4], data, newline=b""))
    corpus.load("data", "long-header.npy", npy("<f4", [6, 4], data, align=8192))
    for name, dictionary in [
        ("dense", "{'descr':'<f4','fortran_order':False,'shape':(6,4)}"),
        ("double-quotes", '{"descr": "<f4", "fortran_order": False, "shape": (6, 4)}'),
        ("other-order", "{'shape': (6, 4), 'fortran_order': False, 'descr': '<f4'}"),
        ("long-integers", "{'descr': '<f4', 'fortran_order': False, 'shape': (6L, 4L), }"),
        ("blanks", "  {  'descr' : '<f4' ,\n 'fortran_order' :\tFalse , 'shape' : ( 6 , 4 , ) , }  "),
    ]:
        corpus.load("data", "header-%s.npy" % name, npy("", [], data, dictionary=dictionary))
    for shape in [[6, 2, 2], [6, 4, 1, 1], [6, 1, 1, 4]]:
        corpus.load("data", "shape-%s.npy" % "x".join(map(str, shape)), npy("<f4", shape, data))
    corpus.load("data", "no-extension", X_NPY)
    corpus.load("data", "misnamed.gz", X_NPY)
    corpus.load("data", "a name, with blanks and *.npy", X_NPY)


def odd_archives(corpus):
    members = [("x.npy", X_NPY), ("y.npy", Y_NPY)]
    numbered = [("arr_0.npy", X_NPY), ("arr_1.npy", Y_NPY)]
    for method, compression in [("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)]:
        for name, content in [
            ("named", npz(members, compression)),
            ("numbered", npz(numbered, compression)),
            ("backwards", npz(members[::-1], compression)),
            ("comment", npz(members, compression, b"PK\5\6 no end")),
            ("zip64", npz(members, compression, zip64=True)),
            ("streamed", streamed_npz(members, compression)),
            ("more", npz([("readme.txt", b"hello"), ("z.npy", Y_NPY)] + members, compression)),
        ]:
            corpus.load("data", "%s-%s.npz" % (name, method), content, own_labels=True)
        corpus.load("data", "alone-%s.npz" % method, npz([("samples.npy", X_NPY)], compression))
        corpus.load("labels", "labels-%s.npz" % method, npz(members, compression))


def odd_idx(corpus):
    member = gzip_member(X_IDX)
    pixels = [
        ("idx3-ubyte", X_IDX),
        ("idx2", idx(8, [6, 4], bytes(DATA))),
        ("x.gz", member),
        ("misnamed.npy", X_IDX),
        ("level-0.gz", gzip_member(X_IDX, level=0)),
        ("level-9.gz", gzip_member(X_IDX, level=9)),
        ("two-members.gz", gzip_member(X_IDX[:21]) + gzip_member(X_IDX[21:])),
        ("empty-member.gz", gzip_member(b"") + member),
        ("member-per-byte.gz", b"".join(gzip_member(X_IDX[i : i + 1]) for i in range(len(X_IDX)))),
        ("name.gz", gzip_member(X_IDX, 8, b"images\0")),
        ("comment.gz", gzip_member(X_IDX, 16, b"a comment\0")),
        ("extra.gz", gzip_member(X_IDX, 4, b"\4\0abcd")),
        ("header-checksum.gz", gzip_member(X_IDX, 2)),
        ("text.gz", gzip_member(X_IDX, 1)),
        ("python.gz", gzip.compress(X_IDX, 6)),
    ]
    for name, content in pixels:
        corpus.load("data", "pixels-" + name, content, like="pixels")
    for code, name, form in [(9, "i1", "b"), (11, "i2", "h"), (12, "i4", "i"), (13, "f4", "f"), (14, "f8", "d")]:
        corpus.load("data", "x-%s-idx" % name, idx(code, [6, 4], pack(form, DATA, ">")))
        corpus.load("labels", "y-%s-idx" % name, idx(code, [6], pack(form, LABELS, ">")))
    corpus.load("labels", "y-u1-idx", idx(8, [6], bytes(LABELS)))
    corpus.load("labels", "y.gz", gzip_member(idx(8, [6], bytes(LABELS))))


def odd_text(corpus):
    rows = [DATA[i : i + 4] for i in range(0, 24, 4)]
    plain = "".join(",".join(map(str, row)) + "\n" for row in rows)
    for name, content in [
        ("plain", plain),
        ("crlf", plain.replace("\n", "\r\n")),
        ("header", "a,b,c,d\n" + plain),
        ("byte-order-mark", "\ufeff" + plain),
        ("quoted-header", '"a","b, c"\n' + plain),
        ("no-end", plain[:-1]),
        ("blank-end", plain + "\n\n  \n"),
        ("blanks", plain.replace(",", " ,\t")),
        ("floats", "".join(",".join("%.6e" % v for v in row) + "\n" for row in rows)),
        ("signs", "".join(",".join("+%d.0" % v for v in row) + "\n" for row in rows)),
    ]:
        corpus.load("data", "%s.csv" % name, content)
    corpus.load("data", "UPPER.CSV", plain)
    corpus.load("labels", "labels.csv", "".join("%d\n" % label for label in LABELS))
    corpus.load("labels", "labels-floats.csv", "class\n" + "".join("%.1f\n" % label for label in LABELS))
    text = arch_json()
    layers = text["layers"]
    for name, content in [
        ("plain", json.dumps(text)),
        ("indented", json.dumps(text, indent=4)),
        ("no-format", json.dumps({"layers": layers})),
        ("layers-first", json.dumps(dict(reversed(text.items())))),
        ("escaped", json.dumps(text).replace("linear", "\\u006cinear")),
        (
            "no-effect",
            json.dumps(
                {
                    "layers": [
                        {"type": "flatten", "start_dim": 1},
                        {"type": "identity"},
                        layers[0],
                        {"type": "dropout", "p": 0.5},
                        layers[1],
                        {"type": "dropout", "p": 1},
                        layers[2],
                    ]
                }
            ),
        ),
        ("named-activation", json.dumps({"layers": [layers[0], {"type": "relu", "name": "1"}, layers[2]]})),
        (
            "default-names",
            json.dumps(
                {
                    "layers": [
                        {"type": "linear", "in": 4, "out": 3},
                        {"type": "relu"},
                        {"type": "linear", "in": 3, "out": 2},
                    ]
                }
            ),
        ),
    ]:
        corpus.load("arch", "arch-%s.json" % name, content)


def odd_lists(corpus):
    for part, rows in enumerate([DATA[:4], DATA[4:12], DATA[12:]]):
        number = [1, 2, 10][part]
        corpus.write("odd/part-%d.npy" % number, npy("<f4", [len(rows) // 4, 4], pack("f", rows)))
        corpus.write(
            "odd/labels-%d.npy" % number,
            npy("<i8", [len(rows) // 4], pack("q", LABELS[sum([1, 2, 3][:part]) :][: len(rows) // 4])),
        )
    for label, options in [
        ("pattern", {"--data": "odd/part-*.npy"}),
        ("both", {"--data": "odd/part-*.npy", "--labels": "odd/labels-*.npy"}),
        ("list", {"--data": "odd/part-1.npy,odd/part-2.npy,odd/part-10.npy"}),
        ("member", {"--data": "odd/more-deflated.npz:x", "--labels": "odd/more-stored.npz:z"}),
        ("shorthand", {"--arch": "mlp:4-3-2:relu"}),
    ]:
        corpus.cases.append({"label": label, "options": options, "file": "", "expect": "load", "like": "canonical"})


def add_all(corpus):
    for part in (odd_weights, odd_npy, odd_archives, odd_idx, odd_text, odd_lists):
        part(corpus)
