"""Writes rows.basket and rows.json, a snapshot and the rows in it, by the description of
the format in snapshot.go alone. Run it in its folder; it needs nothing but Python."""

import json
import struct


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283

NAMES = ["basket_value", "größe", ""]
NAN, INF = float("nan"), float("inf")
BLOCKS = [
    [
        ("ann", 1750687200, 0, 1, [1.5, NAN, -0.0]),
        ("bob", -2000000000, 999999999, 2, [INF, -INF, 5e-324]),
        ("", 0, 1, 0, [0.1, 0.2, 0.30000000000000004]),
    ],
    [("日本語", 1750687201, 5, 12345678901, [1, 2, 3])],
    [("x" * 3000, -62135596800, 0, -1, [4, 5, 6]), ("\n", 1750687201, 4, 7, [1.7976931348623157e308, 0, 7])],
]

rows = [row for block in BLOCKS for row in block]
newest = max((sec, nsec) for _, sec, nsec, _, _ in rows)
header = struct.pack("<QqII", len(rows), newest[0], newest[1], len(NAMES))
for name in NAMES:
    header += struct.pack("<I", len(name.encode())) + name.encode()
parts = [b"basket\x1a\n" + struct.pack("<II", 1, len(header)) + header]
for block in BLOCKS:
    ids = [row[0].encode() for row in block]
    part, start = struct.pack("<II", len(block), sum(map(len, ids))), 0
    for user_id, (_, sec, nsec, number, _) in zip(ids, block):
        part += struct.pack("<qqQII", sec, number, start, len(user_id), nsec)
        start += len(user_id)
    for _, _, _, _, values in block:
        part += struct.pack("<3d", *values)
    parts.append(part + b"".join(ids))
parts.append(struct.pack("<II", 0, 0))

with open("rows.basket", "wb") as f:
    crc = 0
    for part in parts:
        crc = crc32c(part, crc)
        f.write(part + struct.pack("<I", crc))
with open("rows.json", "w") as f:
    json.dump(
        {
            "names": NAMES,
            "newest": newest,
            "rows": [
                {"user_id": u, "seconds": s, "nanoseconds": ns, "number": n, "bits": [struct.pack(">d", v).hex() for v in vs]}
                for u, s, ns, n, vs in rows
            ],
        },
        f,
        indent=1,
        ensure_ascii=False,
    )
    f.write("\n")
