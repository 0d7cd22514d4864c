"""The one small problem, and writers of every format from Python's standard library, byte by byte."""

import io
import json
import os
import struct
import warnings
import zipfile
import zlib

ARCH = "mlp:4-3-2"
SIZES = (4, 3, 2)
SAMPLES = 6

# Values that every type here holds exactly: weights are eighths, data small whole numbers.
WEIGHTS = [[((7 * i + 3 * layer) % 17 - 8) / 8 for i in range(count)] for layer, count in enumerate((12, 3, 6, 2))]
SHAPES = [[3, 4], [3], [2, 3], [2]]
NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]
DATA = [(5 * i + i // 4) % 7 for i in range(SAMPLES * 4)]
LABELS = [n % 2 for n in range(SAMPLES)]

FLOAT_CODES = {"F64": "d", "F32": "f", "F16": "e"}


def pack(code, values, order="<"):
    return struct.pack(order + "%d%s" % (len(values), code), *values)


def bfloat16(values):
    return b"".join(struct.pack("<f", value)[2:] for value in values)


def tensor_bytes(dtype, values):
    return bfloat16(values) if dtype == "BF16" else pack(FLOAT_CODES[dtype], values)


def safetensors_entries(dtype="F32", order=(0, 1, 2, 3), names=NAMES):
    header, data = {}, b""
    for i in order:
        part = tensor_bytes(dtype, WEIGHTS[i])
        header[names[i]] = {"dtype": dtype, "shape": SHAPES[i], "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    return header, data


def safetensors(text, data, pad=8, length=None):
    text = text if isinstance(text, bytes) else text.encode()
    if pad:
        text += b" " * (-len(text) % pad)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def weights(dtype="F32", order=(0, 1, 2, 3), metadata=None, pad=8, separators=None, indent=None):
    header, data = safetensors_entries(dtype, order)
    if metadata is not None:
        header = {"__metadata__": metadata, **header}
    return safetensors(json.dumps(header, separators=separators, indent=indent), data, pad)


def npy(descr, shape, data, version=1, fortran="False", dictionary=None, align=64, newline=b"\n"):
    if dictionary is None:
        shape_text = "(" + "".join("%d, " % size for size in shape) + ")"
        dictionary = "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }" % (descr, fortran, shape_text)
    text = dictionary if isinstance(dictionary, bytes) else dictionary.encode("latin1")
    prefix = 10 if version == 1 else 12
    if align:
        text += b" " * (-(prefix + len(text) + len(newline)) % align)
    text += newline
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def idx(code, shape, data):
    return struct.pack(">BBBB", 0, 0, code, len(shape)) + b"".join(struct.pack(">I", size) for size in shape) + data


def npz(members, compression=zipfile.ZIP_STORED, comment=b"", zip64=False):
    stream = io.BytesIO()
    warnings.simplefilter("ignore")  # some members are meant to come twice
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = compression
            with archive.open(entry, "w", force_zip64=zip64) as file:
                file.write(content)
        archive.comment = comment
    return stream.getvalue()


def streamed_npz(members, compression):
    """As written to a pipe: sizes follow the data in descriptors."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return pipe.content


def gzip_member(content, flags=0, extra=b"", level=6):
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = stream.compress(content) + stream.flush()
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\x03" + extra
    if flags & 2:
        header += struct.pack("<H", zlib.crc32(header) & 0xFFFF)
    return header + body + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


def arch_json(**extra):
    layers = [
        {"type": "linear", "name": "0", "in": 4, "out": 3},
        {"type": "relu"},
        {"type": "linear", "name": "2", "in": 3, "out": 2},
    ]
    return dict({"format": "fisherdiag.arch/1", "layers": layers}, **extra)


X_NPY = npy("<f4", [SAMPLES, 4], pack("f", DATA))
Y_NPY = npy("<i8", [SAMPLES], pack("q", LABELS))
X_IDX = idx(8, [SAMPLES, 2, 2], bytes(DATA))
PIXELS = npy("<f4", [SAMPLES, 4], pack("f", [value / 255 for value in DATA]))


def write_shards(corpus, folder, names=("one.safetensors", "two.safetensors")):
    for part, name in zip(((0, 1), (2, 3)), names):
        header, data = safetensors_entries(order=part)
        corpus.write(os.path.join(folder, name), safetensors(json.dumps(header), data))
    return {NAMES[i]: names[i // 2] for i in range(4)}
