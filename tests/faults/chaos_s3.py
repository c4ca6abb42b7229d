#!/usr/bin/env python3
"""An S3 that fails on demand: one bucket in memory, signatures checked, every version of every object remembered.

Faults are on the server's side, so that the client's retries are real. Each rule is a dictionary:

    {"op": "PUT" | "GET" | "HEAD" | "LIST" | "DELETE" | "*", "p": 0.2, "mode": MODE, ...}

| mode | what happens |
|---|---|
| `status` | nothing is done; the answer is `status` (503, 500, 429, 403, …) |
| `reset` | nothing is done; the connection is reset |
| `commit-reset` | it is done, and the connection is reset before the answer |
| `truncate` | the answer says its length and ends early |
| `flip` | one bit of the answer's body is another |
| `slow` | the answer comes after `seconds` |
| `stale` | a listing misses the newest objects |
| `hang` | nothing is done, and no answer comes for `seconds` |

As a program: `chaos_s3.py PORT [RULES-AS-JSON]`; rules are replaced by a POST of JSON to `/~rules`, and `/~counts` answers
what was done.
"""

import hashlib
import hmac
import json
import random
import socket
import struct
import sys
import threading
import time
import urllib.parse
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

KEY, SECRET, BUCKET = "chaos", "chaos-secret", "bucket"
PAGE = 1000


class Store:
    """The bucket. `versions` holds (time, hash of the content or None for a removal) of each key, oldest first."""

    def __init__(self, seed=1):
        self.lock = threading.Lock()
        self.objects, self.versions, self.uploads = {}, defaultdict(list), {}
        self.rules, self.counts, self.chance = [], Counter(), random.Random(seed)
        self.down = False

    def put(self, key, body):
        with self.lock:
            self.objects[key] = body
            self.versions[key].append((time.monotonic(), hashlib.sha256(body).hexdigest()))

    def delete(self, key):
        with self.lock:
            if self.objects.pop(key, None) is not None:
                self.versions[key].append((time.monotonic(), None))

    def fault(self, operation):
        """The rule that hits this request, if any."""
        with self.lock:
            self.counts[operation] += 1
            for rule in self.rules:
                if rule["op"] in ("*", operation) and self.chance.random() < rule["p"]:
                    self.counts[f"{operation} {rule['mode']} {rule.get('status', '')}".strip()] += 1
                    return rule
        return None

    def rewritten(self):
        """Keys that were put with two different contents while they existed, or after they were removed."""
        return [key for key, all_of in self.versions.items() if len({what for _, what in all_of if what}) > 1]

    def faults(self):
        return sum(count for name, count in self.counts.items() if " " in name)


def signature(method, path, query, headers, signed, payload_hash, scope, stamp):
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    canonical_query = "&".join(
        f"{urllib.parse.quote(name, safe='-_.~')}={urllib.parse.quote(value, safe='-_.~')}" for name, value in pairs
    )
    canonical_headers = "".join(f"{name}:{' '.join((headers.get(name) or '').split())}\n" for name in signed)
    # The path is signed as it was sent.
    canonical = "\n".join([method, path, canonical_query, canonical_headers, ";".join(signed), payload_hash])
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), digest])
    key = ("AWS4" + SECRET).encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def store(self):
        return self.server.store

    def reset(self):
        """Ends the connection with a reset: no answer, no good-bye."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        # The server's own good-bye has nowhere to go.
        self.wfile = open("/dev/null", "wb")

    def answer(self, status, body=b"", headers=None, rule=None, length=None):
        mode = rule["mode"] if rule else None
        if mode == "commit-reset":
            self.reset()
            return
        if mode == "slow":
            time.sleep(rule["seconds"])
        if mode == "flip" and body:
            position = self.store.chance.randrange(len(body))
            body = body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if mode == "truncate" and body:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.reset()
        elif self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code, headers=None):
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
        self.answer(status, body, {"Content-Type": "application/xml", **(headers or {})})

    def signed(self, body):
        """Whether the request bears a good signature, and the body its hash."""
        words = self.headers.get("Authorization", "").replace(",", " ").split()
        fields = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        payload_hash = self.headers.get("x-amz-content-sha256", "")
        try:
            access, *scope = fields["Credential"].split("/")
            path, _, query = self.path.partition("?")
            headers = fields["SignedHeaders"].split(";")
            stamp = self.headers["x-amz-date"]
            expected = signature(self.command, path, query, self.headers, headers, payload_hash, scope, stamp)
        except (KeyError, ValueError):
            return False
        if payload_hash != "UNSIGNED-PAYLOAD" and hashlib.sha256(body).hexdigest() != payload_hash:
            return False
        return access == KEY and hmac.compare_digest(expected, fields.get("Signature", ""))

    def handle_request(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        if path.startswith("/~"):
            self.control(path, body)
            return
        if self.store.down:
            self.store.counts["refused while down"] += 1
            self.reset()
            return
        if not self.signed(body):
            self.error(403, "SignatureDoesNotMatch")
            return
        _, bucket, *rest = urllib.parse.unquote(path).split("/", 2)
        if bucket != BUCKET:
            self.error(404, "NoSuchBucket")
            return
        key = rest[0] if rest else ""
        operation = "DELETE" if self.command == "POST" and "delete" in query else self.command
        if operation == "GET" and not key:
            operation = "LIST"
        rule = self.store.fault(operation)
        mode = rule["mode"] if rule else None
        if mode == "status":
            codes = {503: "SlowDown", 500: "InternalError", 429: "TooManyRequests", 403: "ExpiredToken"}
            status = rule["status"]
            self.error(status, codes.get(status, "InternalError"), {"Retry-After": "1"} if status == 503 else None)
        elif mode == "reset":
            self.reset()
        elif mode == "hang":
            time.sleep(rule["seconds"])
            self.reset()
        else:
            getattr(self, f"do_one_{operation.lower()}")(key, query, body, rule)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_request

    def control(self, path, body):
        if path == "/~rules" and self.command == "POST":
            self.store.rules = json.loads(body)
        self.answer(200, json.dumps(self.store.counts).encode())

    def do_one_put(self, key, query, body, rule):
        if "uploadId" in query:
            parts = self.store.uploads.get(query["uploadId"])
            if parts is None:
                self.error(404, "NoSuchUpload")
                return
            parts[int(query["partNumber"])] = body
        else:
            self.store.put(key, body)
        self.answer(200, headers={"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, rule=rule)

    def do_one_post(self, key, query, _, rule):
        if "uploads" in query:
            upload = f"upload-{self.store.chance.getrandbits(64):x}"
            self.store.uploads[upload] = {}
            text = f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
            text = f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>"
        else:
            parts = self.store.uploads.get(query.get("uploadId"))
            if parts is None:
                self.error(404, "NoSuchUpload")
                return
            self.store.put(key, b"".join(content for _, content in sorted(parts.items())))
            text = f"<CompleteMultipartUploadResult><Key>{escape(key)}</Key><ETag>x</ETag></CompleteMultipartUploadResult>"
        self.answer(200, text.encode(), {"Content-Type": "application/xml"}, rule)

    def do_one_get(self, key, _, __, rule):
        body = self.store.objects.get(key)
        if body is None:
            self.error(404, "NoSuchKey")
            return
        headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        wanted = self.headers.get("Range")
        status = 200
        if wanted:
            first, last = wanted.removeprefix("bytes=").split("-")
            first, last = int(first), min(int(last or len(body) - 1), len(body) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
            body, status = body[first : last + 1], 206
        self.answer(status, body, headers, rule)

    def do_one_head(self, key, _, __, rule):
        body = self.store.objects.get(key)
        if body is None:
            self.error(404, "NoSuchKey")
            return
        headers = {"ETag": f'"{hashlib.md5(body).hexdigest()}"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
        self.answer(200, b"", headers, rule, length=len(body))

    def do_one_delete(self, key, query, body, rule):
        if "delete" not in query:
            self.store.delete(key)
            self.answer(204, rule=rule)
            return
        text = body.decode()
        keys = [piece.split("</Key>")[0] for piece in text.split("<Key>")[1:]]
        for one in keys:
            self.store.delete(one)
        gone = "".join(f"<Deleted><Key>{one}</Key></Deleted>" for one in keys)
        self.answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode(), {"Content-Type": "application/xml"}, rule)

    def do_one_list(self, _, query, __, rule):
        with self.store.lock:
            keys = sorted(self.store.objects)
            newest = sorted(keys, key=lambda key: self.store.versions[key][-1][0])[-50:]
        if rule and rule["mode"] == "stale":
            keys = [key for key in keys if key not in newest]
        after = query.get("continuation-token") or query.get("start-after") or ""
        keys = [key for key in keys if key.startswith(query.get("prefix", "")) and key > after]
        page, more = keys[: int(query.get("max-keys", PAGE))], len(keys) > int(query.get("max-keys", PAGE))
        rows = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.store.objects.get(key, b''))}</Size>"
            f'<LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>"x"</ETag></Contents>'
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (
            f"<ListBucketResult><Name>{BUCKET}</Name><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )
        self.answer(200, text.encode(), {"Content-Type": "application/xml"}, rule)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port=0, seed=1):
        self.store = Store(seed)
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, *_):
        """A connection that we reset ourselves is no error."""

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self):
        """What a client of the AWS family needs."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }


def main():
    server = Server(int(sys.argv[1]))
    if len(sys.argv) > 2:
        server.store.rules = json.loads(sys.argv[2])
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
