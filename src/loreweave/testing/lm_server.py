"""An OpenAI-compatible server without a model, for tests and for trying things out: it answers from the prompt itself.

    python -m loreweave.testing.lm_server --port 9000 --latency 0.2 --rate-429 0.1 --rate-500 0.05

`/v1/models`, `/v1/chat/completions` (streamed too), `/v1/embeddings`, `/v1/files`, `/v1/batches`, and `/stats`: what was asked, and what
was asked again after it had been answered. Faults are drawn from the seed, the prompt and the count of its attempts, so that a run can be
repeated whatever the order in which requests arrive.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loreweave.config import build
from loreweave.errors import LoreweaveError, require
from loreweave.testing._lm_state import LmServerConfig, State


@dataclass(frozen=True)
class Serving:
    """A running server.

    Attributes:
        url: of the API, ending in `/v1`.
        state: its memory; in the same process, so that tests may look.
    """

    url: str
    state: State

    def stats(self) -> dict[str, Any]:
        """As `GET /stats`."""
        return self.state.stats()


@contextlib.contextmanager
def serving(**options: Any) -> Iterator[Serving]:
    """A server in a thread of this process, on a free port of the loopback, for as long as the context is open.

    Args:
        options: fields of `LmServerConfig`.

    Raises:
        ConfigError: an unknown option or a bad value.
        MissingExtra: the extra `serve` is not installed.
    """
    state = State(build(LmServerConfig, options, where="test server"))
    server = _server(state, port=0, log_level="critical")
    # asyncio sends small pieces at once only where the protocol is named; else every answer would wait 40 ms for an acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="lm-server", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        if not server.started:
            raise LoreweaveError("the test server did not start; run python -m loreweave.testing.lm_server to see why")
        yield Serving(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", state)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
        listener.close()


def _server(state: State, port: int, log_level: str) -> Any:
    uvicorn: Any = require("uvicorn", "serve")
    require("fastapi", "serve")
    from loreweave.testing._lm_routes import application

    logging.getLogger("uvicorn.error").addFilter(_on_purpose)
    config = uvicorn.Config(
        application(state), host="127.0.0.1", port=port, log_level=log_level, access_log=False, backlog=2048, timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def _on_purpose(record: logging.LogRecord) -> bool:
    """Keep out of the log that an answer broke off: it was told to."""
    return "without completing response" not in record.getMessage()


def main(arguments: list[str] | None = None) -> int:
    """The command line: every field of `LmServerConfig` is an option."""
    parser = argparse.ArgumentParser(prog="python -m loreweave.testing.lm_server", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=9000, help="of 127.0.0.1")
    for name, field in LmServerConfig.model_fields.items():
        option = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            parser.add_argument(option, action="store_true", help=field.description)
        else:
            parser.add_argument(option, default=None, metavar="X", help=(field.description or "").replace("%", "%%"))
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    port = given.pop("port")
    try:
        state = State(build(LmServerConfig, given, where="lm_server"))
        server = _server(state, port, "warning")
    except LoreweaveError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{port}/v1 answers from the prompts; counts at http://127.0.0.1:{port}/stats; Ctrl-C ends it", flush=True)
        server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
