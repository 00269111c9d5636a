"""A policy behind a websocket, for tests, in a process of its own: python policy_server.py PORT WAY.

WAY is what goes wrong: nothing, dies (the process ends at the seventh look), nan, shape, text, huge, silent, garbage,
nameless, or other (another policy's name).
"""

import os
import sys
import time

import msgpack
import numpy as np
from websockets.sync.server import serve


def packed(array):
    return {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": array.dtype.str, b"shape": array.shape}


def answer(way, looks):
    actions = np.full((2, 4), 1.0, np.float32)
    if way == "dies" and looks == 7:
        os._exit(9)
    if way == "nan":
        actions[0, 0] = np.nan
    if way == "shape":
        actions = actions[:, :3]
    if way == "silent":
        time.sleep(60)
    if way == "text":
        return "Traceback ...\nRuntimeError: out of memory"
    if way == "huge":
        return bytes(32 * 2**20)
    if way == "garbage":
        return b"\xc1\xff\x00"
    if way == "object":
        return msgpack.packb({"actions": packed(actions) | {b"dtype": "|O"}})
    return msgpack.packb({"actions": packed(actions), "server_timing": {"infer_ms": 1.0}})


def main(port, way):
    looks = 0
    names = {"nameless": {}, "other": {"name": "other", "revision": "1"}}

    def speak(connection):
        nonlocal looks
        connection.send(msgpack.packb(names.get(way, {"name": "act-outside", "revision": "7", "checkpoint": "abc"})))
        for message in connection:
            asked = msgpack.unpackb(message, strict_map_key=False)
            assert asked["image"][b"shape"] == [64, 64, 3] and isinstance(asked["prompt"], str)
            looks += 1
            connection.send(answer(way, looks))

    with serve(speak, "127.0.0.1", port, compression=None) as server:
        print(server.socket.getsockname()[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
