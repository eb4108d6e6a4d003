"""The routes of the test server: the OpenAI API as far as Loreweave speaks it."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import email.utils
import json
import os
import time
from collections.abc import Mapping
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from loreweave.testing._lm_chat import Complaint, Completion, complete
from loreweave.testing._lm_state import State, prompt_hash
from loreweave.testing._lm_vectors import vectors

PIECES = 20
"""In which a dripping body is sent."""


class Pieces(Response):
    """A body sent piece by piece.

    Args:
        pieces: what is sent.
        pause: seconds between two of them.
        cut: end without the last of them, so that the connection breaks with the body incomplete.
    """

    def __init__(self, pieces: list[bytes], *, media_type: str, pause: float = 0.0, cut: bool = False) -> None:
        super().__init__(media_type=media_type, headers={"content-length": str(sum(map(len, pieces)))})
        self.pieces, self.pause, self.cut = pieces, pause, cut

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for number, piece in enumerate(self.pieces):
            if number and self.pause:
                await asyncio.sleep(self.pause)
            last = number == len(self.pieces) - 1
            if last and self.cut:
                return
            await send({"type": "http.response.body", "body": piece, "more_body": not last})


def application(state: State) -> FastAPI:
    """The server as an ASGI application."""
    config = state.config

    async def keyed(request: Request) -> None:
        key = os.environ.get(config.key_env, "") if config.key_env else ""
        if config.key_env and request.url.path != "/stats" and (not key or request.headers.get("authorization") != f"Bearer {key}"):
            raise Complaint(401, "Incorrect API key provided", "invalid_api_key")

    app = FastAPI(title="Loreweave's test server", openapi_url=None, dependencies=[Depends(keyed)])

    @app.exception_handler(HTTPException)
    async def no_route(request: Request, error: HTTPException) -> Response:
        return _error(Complaint(error.status_code, f"{request.method} {request.url.path}: {error.detail}", "not_found"))

    @app.exception_handler(Complaint)
    async def complain(request: Request, error: Complaint) -> Response:
        return _error(error)

    @app.get("/stats")
    async def stats() -> Response:
        return JSONResponse(state.stats())

    @app.get("/v1/models")
    async def models() -> Response:
        return JSONResponse({"object": "list", "data": [{"id": config.model or "any", "object": "model", "owned_by": "nobody"}]})

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        body = await _body(request)
        prompt = prompt_hash(body.get("messages") or [])
        attempt = state.arrived(prompt)
        await asyncio.sleep(config.latency)
        if await request.is_disconnected():
            return Response()
        fault = state.fault(prompt, attempt)
        try:
            if fault in ("429", "500"):
                raise Complaint(int(fault), "as was asked for", "rate_limit_exceeded" if fault == "429" else "server_error")
            completion = complete(state, body, fault)
        except Complaint as error:
            state.left(prompt, error.status, finished=False)
            return _error(error, _retry_after(config.retry_after) if error.status == 429 else {})
        broken = fault in ("malformed", "truncated", "reset")
        state.left(prompt, 200, finished=not broken and fault != "invalid")
        if fault == "reset":
            return Pieces([b" "], media_type="application/json", cut=True)
        return _answer(completion, body, fault, config.drip)

    @app.post("/v1/embeddings")
    async def embeddings(request: Request) -> Response:
        body = await _body(request)
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            raise Complaint(400, "input must be a text or a list of texts, none of them empty", "invalid_request_error")
        if config.model and body.get("model") != config.model:
            raise Complaint(404, f"The model `{body.get('model')}` does not exist", "model_not_found")
        await asyncio.sleep(config.latency)
        state.encoded(len(texts))
        rows = vectors(texts, int(body.get("dimensions") or 64), packed=body.get("encoding_format") == "base64")
        data = [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]
        tokens = sum(-(-len(text.encode()) * 2 // 7) for text in texts)
        return JSONResponse(
            {"object": "list", "data": data, "model": body.get("model"), "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
        )

    @app.post("/v1/files")
    async def upload(request: Request) -> Response:
        kind = request.headers.get("content-type", "")
        head = f"Content-Type: {kind}\r\n\r\n".encode()
        form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + await request.body())
        for part in form.iter_parts() if form.is_multipart() else ():
            if part.get_param("name", header="content-disposition") == "file":
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes)
                return JSONResponse(_file(_kept(state, content), content))
        raise Complaint(400, "no file in the form", "invalid_request_error")

    @app.get("/v1/files/{name}")
    async def file(name: str) -> Response:
        return JSONResponse(_file(name, _content(state, name)))

    @app.get("/v1/files/{name}/content")
    async def content(name: str) -> Response:
        return Response(_content(state, name), media_type="application/octet-stream")

    @app.post("/v1/batches")
    async def create(request: Request) -> Response:
        body = await _body(request)
        lines = _content(state, str(body.get("input_file_id"))).decode().splitlines()
        batch = {
            "id": f"batch_{len(state.batches) + 1}",
            "object": "batch",
            "endpoint": body.get("endpoint", "/v1/chat/completions"),
            "completion_window": body.get("completion_window", "24h"),
            "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"),
            "status": "in_progress",
            "created_at": int(time.time()),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        state.batches[str(batch["id"])] = batch | {"_due": time.monotonic() + config.batch_seconds}
        return JSONResponse(batch)

    @app.get("/v1/batches")
    async def batches() -> Response:
        shown = [_shown(state, name) for name in reversed(state.batches)]
        return JSONResponse({"object": "list", "data": shown, "has_more": False})

    @app.get("/v1/batches/{name}")
    async def batch(name: str) -> Response:
        return JSONResponse(_shown(state, name))

    @app.post("/v1/batches/{name}/cancel")
    async def cancel(name: str) -> Response:
        _shown(state, name)
        state.batches[name]["status"] = "cancelled"
        return JSONResponse(_shown(state, name))

    return app


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Complaint(400, "We could not parse the JSON body of your request.", "invalid_request_error")
    return body


def _error(error: Complaint, headers: Mapping[str, str] | None = None) -> Response:
    inner = {"message": error.message, "type": error.code, "param": error.param, "code": error.code}
    return JSONResponse({"error": inner}, error.status, dict(headers or {}))


def _retry_after(text: str) -> dict[str, str]:
    if text.startswith("date+"):
        text = email.utils.formatdate(time.time() + float(text.removeprefix("date+")), usegmt=True)
    return {"retry-after": text} if text else {}


def _answer(completion: Completion, body: Mapping[str, Any], fault: str | None, drip: float) -> Response:
    if body.get("stream"):
        pieces = completion.events(usage=bool((body.get("stream_options") or {}).get("include_usage")))
        kind = "text/event-stream"
    else:
        whole, kind = completion.json(), "application/json"
        if fault == "malformed":
            whole = whole[: len(whole) // 2]
        step = -(-len(whole) // {"drip": PIECES, "truncated": 2}.get(fault or "", 1))
        pieces = [whole[start : start + step] for start in range(0, len(whole), step)]
    if fault == "malformed" and kind == "text/event-stream":
        pieces = [*pieces[:1], b"data: {]\n\n"]
    pause = drip / max(1, len(pieces) - 1) if fault == "drip" else 0.0
    return Pieces(pieces, media_type=kind, pause=pause, cut=fault == "truncated")


def _kept(state: State, content: bytes) -> str:
    name = f"file-{len(state.files) + 1}"
    state.files[name] = content
    return name


def _content(state: State, name: str) -> bytes:
    if name not in state.files:
        raise Complaint(404, f"No such File object: {name}", "not_found")
    return state.files[name]


def _file(name: str, content: bytes) -> dict[str, Any]:
    return {"id": name, "object": "file", "bytes": len(content), "created_at": 0, "filename": name, "purpose": "batch"}


def _shown(state: State, name: str) -> dict[str, Any]:
    """A batch as it stands; one whose time has come is worked off."""
    batch = state.batches.get(name)
    if batch is None:
        raise Complaint(404, f"No batch found with id '{name}'.", "not_found")
    if batch["status"] == "in_progress" and time.monotonic() >= batch["_due"]:
        _work_off(state, batch)
    return {key: value for key, value in batch.items() if not key.startswith("_")}


def _work_off(state: State, batch: dict[str, Any]) -> None:
    good: list[str] = []
    bad: list[str] = []
    for number, line in enumerate(_content(state, batch["input_file_id"]).decode().splitlines()):
        asked = json.loads(line)
        prompt = prompt_hash(asked["body"]["messages"])
        fault = state.fault(prompt, state.arrived(prompt))
        try:
            if fault in ("429", "500"):
                raise Complaint(int(fault), "as was asked for", "server_error")
            status, body = 200, json.loads(complete(state, asked["body"], fault).json())
        except Complaint as error:
            status, body = error.status, {"error": {"message": error.message, "code": error.code}}
        state.left(prompt, status, finished=status == 200)
        response = {"status_code": status, "request_id": f"req-{number}", "body": body}
        row = {"id": f"batch_req_{number}", "custom_id": asked["custom_id"], "response": response, "error": None}
        (good if status == 200 else bad).append(json.dumps(row))
    batch["status"] = "completed"
    batch["output_file_id"] = _kept(state, "".join(f"{row}\n" for row in good).encode()) if good else None
    batch["error_file_id"] = _kept(state, "".join(f"{row}\n" for row in bad).encode()) if bad else None
    batch["request_counts"] = {"total": len(good) + len(bad), "completed": len(good), "failed": len(bad)}
