"""eSpeak NG as a small process: reads what to say from its input, writes samples to its output.

What eSpeak NG says depends on what it said before, so a fork that has said nothing speaks each
sentence. This file is run as a program and imports little: a fork of a process that holds numpy
costs more than the speaking. eSpeak NG is GPL-3; it is loaded at run time and only here.

A request is one line of JSON, [voice, SSML]. A reply is `REPLY`: the samples' rate in Hz and how
many bytes of int16 samples follow, none where eSpeak NG lacks the voice or says nothing.
"""

import ctypes
import json
import os
import struct
import subprocess
import sys

import espeakng_loader

REPLY = struct.Struct("=ii")
ONCE = "once"
_SYNCHRONOUS, _UTF8, _SSML = 2, 1, 0x10


def _library() -> tuple[ctypes.CDLL, int]:
    """eSpeak NG, initialised and silent so far, and its sample rate in Hz."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0)
    if rate <= 0:
        sys.exit(f"eSpeak NG does not start with its data in {data.decode()}")
    library.espeak_ListVoices(None)  # read once: else every fork reads all files of voices
    return library, rate


def _spoken(library: ctypes.CDLL, voice: str, markup: str) -> bytes:
    """What the library says, as bytes of int16. Called once in the life of a process."""
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # of the breath of some voices
    chunks: list[bytes] = []
    receiver = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)

    def receive(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = receiver(receive)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        return b""
    text = markup.encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8 | _SSML, None, None)
    library.espeak_Synchronize()
    return b"".join(chunks)


def _serve() -> None:
    """Have a fork answer each request."""
    library, rate = _library()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                _answer(library, rate, line)
                status = 0
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        if status:
            _write(REPLY.pack(rate, 0))


def _serve_without_forks() -> None:
    """Have a process started anew answer each request: the same samples, more slowly."""
    for line in sys.stdin:
        command = [sys.executable, "-P", __file__, ONCE]
        if subprocess.run(command, input=line.encode(), check=False).returncode:
            _write(REPLY.pack(0, 0))


def _answer(library: ctypes.CDLL, rate: int, line: str) -> None:
    samples = _spoken(library, *json.loads(line))
    _write(REPLY.pack(rate, len(samples)) + samples)


def _write(content: bytes) -> None:
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    if ONCE in sys.argv:
        _answer(*_library(), sys.stdin.readline())
    elif hasattr(os, "fork"):
        _serve()
    else:
        _serve_without_forks()
