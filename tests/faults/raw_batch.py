"""Record batches of our own, whatever their headers claim. Needs nothing beside Python."""

import struct
import time

# Id, epoch, sequence number.
NOBODY = (-1, -1, -1)


def crc32c_table():
    for number in range(256):
        for _ in range(8):
            number = (number >> 1) ^ 0x82F63B78 if number & 1 else number >> 1
        yield number


CRC_TABLE = list(crc32c_table())


def crc32c(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def varint(number):
    """A number that is not negative, as records write it."""
    number, content = number << 1, b""
    while number >= 0x80:
        number, content = number >> 7, content + bytes([number & 0x7F | 0x80])
    return content + bytes([number])


def batch(
    value, producer=NOBODY, *, attributes=0, last=0, first_time=None, last_time=None, count=1, base=0, body=None
):
    """A batch of one record unless `body` is something else, with a right checksum whatever its header claims."""
    now = int(time.time() * 1000)
    record = b"\0\0\0\x01" + varint(len(value)) + value + b"\0"
    record = varint(len(record)) + record if body is None else body
    times = (now if when is None else when for when in (first_time, last_time))
    tail = struct.pack(">hiqqqhii", attributes, last, *times, *producer, count) + record
    whole = struct.pack(">ibI", -1, 2, crc32c(tail)) + tail
    return struct.pack(">qi", base, len(whole)) + whole
