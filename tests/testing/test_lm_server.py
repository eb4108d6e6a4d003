"""The test server speaks the API as the SDK reads it, answers by what is in the prompt, and keeps honest counts."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.errors import ConfigError
from loreweave.testing._lm_answers import Item, answer, items_of, themes
from loreweave.testing.lm_server import Serving, main, serving

PROMPT = """A person's history, newest first, one numbered item a line, attributes after the bar:
<items>
[1] Toy Story (1995) | genre: Animation, Comedy; year: 1995
[2] Shrek (2001) | genre: Animation, Comedy
[3] Alien (1979) | genre: Horror, Sci-Fi
[4] Aliens (1986) | genre: Sci-Fi, Action
</items>

Name at most 5 interests.
"""
INTERESTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "interests": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "category": {"type": "string"},
                    "phrase": {"type": "string"},
                    "evidence": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["category", "phrase", "evidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["interests"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving() as running:
        yield running


def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0)


def get(url: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_items_are_read_within_their_delimiters() -> None:
    assert items_of(PROMPT)[0] == Item(1, "Toy Story (1995)", ("Animation", "Comedy"))
    assert [item.number for item in items_of(f"[9] not an item\n{PROMPT}")] == [1, 2, 3, 4]


def test_interests_are_what_the_items_have_in_common() -> None:
    interests = json.loads(answer(PROMPT, INTERESTS))["interests"]
    assert [(one["category"], one["evidence"]) for one in interests] == [("animation", [1, 2]), ("sci-fi", [3, 4])]
    assert [theme.items for theme in themes(items_of(PROMPT))] == [(1, 2), (3, 4)]


def test_a_second_list_is_judged_by_the_first() -> None:
    schema = {"type": "object", "properties": {"verdict": {"type": "integer", "enum": [0, 1]}}, "required": ["verdict"]}
    alike, unlike = "<items>\n[1] Saw | Horror\n</items>", "<items>\n[1] Cookery | Kitchen\n</items>"
    assert json.loads(answer(PROMPT + alike, schema)) == {"verdict": 1}
    assert json.loads(answer(PROMPT + unlike, schema)) == {"verdict": 0}


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.builds(lambda low, span: {"type": "integer", "minimum": low, "maximum": low + span}, st.integers(-50, 50), st.integers(0, 9)),
        st.builds(lambda low, span: {"type": "number", "minimum": low, "maximum": low + span}, st.floats(-5, 5), st.floats(0, 3)),
        st.builds(lambda low, span: {"type": "string", "minLength": low, "maxLength": low + span}, st.integers(0, 90), st.integers(1, 60)),
        st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1, max_size=3, unique=True)),
    )


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    def deeper(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        array = st.builds(
            lambda items, low, span: {"type": "array", "items": items, "minItems": low, "maxItems": low + span},
            inner,
            st.integers(0, 4),
            st.integers(0, 3),
        )
        fields = st.dictionaries(st.sampled_from(["category", "phrase", "title", "why", "n"]), inner, max_size=3)
        return array | fields.map(lambda fields: {"type": "object", "properties": fields, "required": list(fields)})

    return st.recursive(leaves(), deeper, max_leaves=6)


def meets(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is an instance, worked out apart from what is tested."""
    if "enum" in schema:
        return value in schema["enum"]
    match schema["type"]:
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and schema["minimum"] <= value <= schema["maximum"]
        case "number":
            return isinstance(value, float | int) and schema["minimum"] <= value <= schema["maximum"]
        case "string":
            return isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
        case "array":
            return schema["minItems"] <= len(value) <= schema["maxItems"] and all(meets(one, schema["items"]) for one in value)
    return set(value) == set(schema["properties"]) and all(meets(value[name], inner) for name, inner in schema["properties"].items())


@given(schema=schemas(), prompt=st.sampled_from([PROMPT, "", "Say something about horror films."]))
def test_answers_meet_any_schema_and_are_the_same_again(schema: dict[str, Any], prompt: str) -> None:
    text = answer(prompt, schema)
    assert meets(json.loads(text), schema)
    assert answer(prompt, schema) == text


def test_references_unions_and_schemas_that_contain_themselves() -> None:
    schema = {
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {"phrase": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
            }
        },
        "$ref": "#/$defs/Node",
    }
    node = json.loads(answer(PROMPT, schema))
    assert isinstance(node["phrase"], str)
    assert "next" in node


def test_chat_as_the_sdk_reads_it(server: Serving) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": INTERESTS}}
    messages: Any = [{"role": "user", "content": PROMPT}]
    whole = client(server.url).chat.completions.create(model="m", messages=messages, response_format=form)
    assert whole.choices[0].message.content == answer(PROMPT, INTERESTS)
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == -(-len(PROMPT.encode()) * 2 // 7)
    options: Any = {"include_usage": True}
    chunks = list(
        client(server.url).chat.completions.create(model="m", messages=messages, response_format=form, stream=True, stream_options=options)
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == answer(PROMPT, INTERESTS)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


def test_an_answer_ends_at_its_limit(server: Serving) -> None:
    messages: Any = [{"role": "user", "content": PROMPT}]
    cut = client(server.url).chat.completions.create(model="m", messages=messages, max_tokens=3)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 3


def test_embeddings_are_unit_vectors_of_the_text_alone(server: Serving) -> None:
    packed = client(server.url).embeddings.create(model="m", input=["one", "two", "one"], dimensions=32)
    plain = client(server.url).embeddings.create(model="m", input=["two"], dimensions=32, encoding_format="float")
    rows = np.array([row.embedding for row in packed.data])
    assert rows.shape == (3, 32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_allclose(rows[1], plain.data[0].embedding, atol=1e-7)
    assert abs(rows[0] @ rows[1]) < 0.9
    assert server.stats()["texts_encoded"] >= 4


def test_a_wrong_path_or_body_is_one_plain_error(server: Serving) -> None:
    status, body = get(server.url + "/nothing")
    assert (status, body["error"]["code"]) == (404, "not_found")
    status, body = get(server.url + "/chat/completions")
    assert status == 405
    for content in (b"{", b"[]", b'{"messages": 3}'):
        request = urllib.request.Request(server.url + "/chat/completions", content, {"content-type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        assert caught.value.code == 400
        assert "error" in json.load(caught.value)


def test_other_models_are_not_found_and_a_key_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "right")
    with serving(model="tiny", key_env="SOME_KEY") as server:
        messages: Any = [{"role": "user", "content": "hello"}]
        right = openai.OpenAI(base_url=server.url, api_key="right", max_retries=0)
        assert [model.id for model in right.models.list()] == ["tiny"]
        assert right.chat.completions.create(model="tiny", messages=messages).choices[0].message.content
        with pytest.raises(openai.NotFoundError):
            right.chat.completions.create(model="huge", messages=messages)
        with pytest.raises(openai.AuthenticationError):
            client(server.url).chat.completions.create(model="tiny", messages=messages)
        assert get(server.url.removesuffix("/v1") + "/stats")[0] == 200


def test_counts_tell_what_was_asked_again() -> None:
    with serving(context=100) as server:
        messages: Any = [{"role": "user", "content": "hello"}]
        for _ in range(3):  # the same question again
            client(server.url).chat.completions.create(model="m", messages=messages, max_tokens=5)
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client(server.url).chat.completions.create(model="m", messages=messages, max_tokens=100)
        status, stats = get(server.url.removesuffix("/v1") + "/stats")
    assert status == 200
    assert (stats["requests"], stats["prompts"], stats["answered"], stats["asked_again"]) == (4, 1, 3, 3)
    assert list(stats["finished"].values()) == [3]
    assert stats["status"] == {"200": 3, "400": 1}


def test_faults_depend_on_seed_and_prompt_alone() -> None:
    def statuses(seed: int) -> list[int]:
        with serving(rate_429=0.3, rate_500=0.3, seed=seed, retry_after="7") as server:
            got, asker = [], client(server.url)
            for i in range(20):
                try:
                    messages: Any = [{"role": "user", "content": f"hello {i}"}]
                    asker.chat.completions.create(model="m", messages=messages)
                    got.append(200)
                except openai.APIStatusError as error:
                    got.append(error.status_code)
                    assert error.response.headers.get("retry-after") == ("7" if error.status_code == 429 else None)
        return got

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {200, 429, 500}


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match="rate_429"), serving(rate_429=2):
        pass
    with pytest.raises(ConfigError, match="unknown setting 'speed'"), serving(speed=1):
        pass


def test_command_line_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rate-429", "2"]) == 2
    assert capsys.readouterr().err.startswith("error: lm_server: setting 'rate_429'")


def test_command_line_serves() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "loreweave.testing.lm_server", "--port", str(port), "--latency", "0.01", "--no-schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert f"http://127.0.0.1:{port}/v1" in process.stdout.readline()
            for _ in range(200):
                try:
                    assert get(f"http://127.0.0.1:{port}/v1/models")[0] == 200
                    break
                except urllib.error.URLError:
                    time.sleep(0.05)
            else:
                pytest.fail("it does not answer")
        finally:
            process.terminate()
            _, error = process.communicate(timeout=10)
    assert "Traceback" not in error
