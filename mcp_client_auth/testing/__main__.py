"""The demo server as a process of its own: one JSON line when it is ready, then it serves."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import get_args

from .server import DemoServer
from .settings import AUTH_METHODS, Dpop, Nonces, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    if options.until_stdin_closes:
        threading.Thread(target=_wait_for_stdin, args=(done,), daemon=True).start()
    with DemoServer(_settings(options)) as server:
        print(json.dumps({"url": server.url, "issuer": server.issuer}), flush=True)
        while not done.wait(0.2):  # polled: on Windows an endless wait blocks Ctrl-C
            pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mcp_client_auth.testing")
    defaults = Settings()
    parser.add_argument("--scopes", default=" ".join(defaults.scopes), help="space-separated")
    parser.add_argument("--access-token-seconds", type=int, default=defaults.access_token_seconds)
    parser.add_argument("--issuer-path", default=defaults.issuer_path)
    parser.add_argument("--latency", type=float, default=defaults.latency, help="in seconds")
    parser.add_argument("--login-name", default=defaults.login_name)
    parser.add_argument("--registration-method", choices=AUTH_METHODS[:-1], default="none")
    parser.add_argument("--dpop", choices=get_args(Dpop), default=defaults.dpop)
    parser.add_argument("--dpop-nonces", choices=get_args(Nonces), default=defaults.dpop_nonces)
    parser.add_argument("--challenge-scope", action="store_true")
    parser.add_argument("--client-id-metadata-documents", action="store_true")
    parser.add_argument("--omit-resource-metadata-parameter", action="store_true")
    parser.add_argument("--sessions", action="store_true")
    for name in ("registration", "offline-access", "refresh-always"):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--until-stdin-closes", action="store_true")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    values = {key: value for key, value in vars(options).items() if key != "until_stdin_closes"}
    return Settings(**{**values, "scopes": tuple(options.scopes.split())})


def _wait_for_stdin(done: threading.Event) -> None:
    # read by descriptor: a daemon thread inside sys.stdin would be fatal at exit
    while os.read(0, 4096):
        pass
    done.set()


if __name__ == "__main__":
    sys.exit(main())
