"""Writes rows.json: rows of a Store as the package comment describes them, made without Go.

    python3 rows.py > rows.json
"""
import hashlib
import json
import struct


def varint(n):
    n = (n << 1) ^ (n >> 63)  # zigzag
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def row(names, seconds, nanos, number, values):
    text = b"".join(struct.pack("<I", len(n.encode())) + n.encode() for n in names)
    data = struct.pack("<BqI", 1, seconds, nanos) + hashlib.sha256(text).digest()[:8]
    data += varint(number) + struct.pack("<%dd" % len(values), *values)
    return {
        "names": names, "seconds": seconds, "nanos": nanos, "number": number,
        "values": [repr(v) for v in values], "hex": data.hex(),
    }


default = ["prior_basket_value", "prior_item_count", "prior_regulars_count", "regulars_count"]
print(json.dumps([
    row(default, 1795176000, 250000000, 3, [94.61, 15.0, 0.0, -0.0]),
    row(default, 0, 0, 64, [float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308]),
    row(default, -1, 999999999, 300, [1.0, 2.0, 3.0, 4.0]),
    row(default, -62135596800, 0, 0, [0.0, 0.0, 0.0, 0.0]),
    row(default, 253402300799, 1, 2**31 - 1, [0.1, 0.2, 0.3, 0.4]),
    row(["größe"], 5, 0, -7, [1.5]),
    row(["ab", "c"], 5, 0, 1, [1.5, 2.5]),
    row(["a", "bc"], 5, 0, 1, [1.5, 2.5]),
], indent=1, ensure_ascii=False))
